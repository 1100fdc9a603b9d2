//! Reading: what a sender, an operator and a worker see of tenants, lanes and deliveries.
//!
//! Each answer is one statement, so it shows one moment and needs no transaction: between two states a delivery never
//! seems to be in none. A list reads as many entries of an index as the page has rows (and those that its filter leaves
//! out), however much a tenant has; the statements are written so that the planner has no other way to go.
//! Never: writes, or waits for somebody's lock. Fails: like any statement; a row that cannot be read concerns its list.
//! Proved by: `tests/store`, parts `reading`, `tenants`, `linking`.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::fault::Fault;
use super::life_cycle::{CHECK_COLUMNS, check, release};
use super::rows::{
    DELIVERY_COLUMNS, STATE_NUMBERS, delivery, direction_number, from_json, moment, receipt_uuid, state_number,
    tenant_of, unsigned,
};
use crate::delivery::record::{Delivery, Direction, State};
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::domain::time::Timestamp;
use crate::store::contract::{DeliveryPage, DeliveryQuery, LaneView, Pause, StoreError, TenantRecord, TenantStanding};

/// A delivery of the tenant `of_tenant` by its receipt `$3`, in one of the states `$2`: one short look per state, because
/// the index has the state before the receipt. (`OFFSET 0`: else the planner may walk through all states at once.)
pub(super) const BY_RECEIPT: &str = "(SELECT found.* FROM unnest($2::smallint[]) AS wanted (state) \
     CROSS JOIN LATERAL (SELECT * FROM delivery \
       WHERE tenant = of_tenant.id AND state = wanted.state AND receipt = $3 OFFSET 0) found)";

impl PostgresStore {
    pub(in crate::store) async fn tenant(&self, tenant: &TenantId) -> Result<TenantRecord, StoreError> {
        self.ask(self.tenant_record(tenant)).await
    }

    pub(in crate::store) async fn tenant_standings(&self) -> Result<Vec<TenantStanding>, StoreError> {
        self.ask(self.standings_of_tenants()).await
    }

    pub(in crate::store) async fn lane(
        &self,
        tenant: &TenantId,
        direction: Direction,
        incident: &IncidentId,
    ) -> Result<Option<LaneView>, StoreError> {
        self.ask(self.lane_view(tenant, direction, incident)).await
    }

    pub(in crate::store) async fn opening(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        self.ask(self.is_opening(tenant)).await
    }

    pub(in crate::store) async fn delivery(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        self.ask(self.delivery_by_id(tenant, id)).await
    }

    pub(in crate::store) async fn deliveries(&self, query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        self.ask(self.delivery_page(query)).await
    }

    async fn tenant_record(&self, tenant: &TenantId) -> Result<TenantRecord, Fault> {
        let sql = format!(
            "SELECT paused_until > coalesce($2::bigint, store_now()), paused_until, pause_code, pause_reason, learned, \
               {CHECK_COLUMNS} \
             FROM tenant t LEFT JOIN tenant_check c ON c.tenant = t.id WHERE t.name = $1"
        );
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(&sql).await?;
        let found = connection.query_opt(&statement, &[&tenant.as_str(), &self.given_time()]).await?;
        let Some(row) = found else { return Ok(TenantRecord::default()) };
        let is_paused = row.try_get::<_, Option<bool>>(0)?.unwrap_or(false);
        let pause = if is_paused {
            let until = Timestamp::from_millis(row.try_get(1)?);
            Some(Pause { until, code: row.try_get(2)?, reason: row.try_get(3)? })
        } else {
            None
        };
        let learned = from_json(row.try_get(4)?)?;
        Ok(TenantRecord { pause, learned, check: check(&row, 5)?, release: release(&row, 5)? })
    }

    async fn standings_of_tenants(&self) -> Result<Vec<TenantStanding>, Fault> {
        let sql = "WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now) \
                   SELECT name, CASE WHEN paused_until > now THEN paused_until END, pause_code, pause_reason, \
                     c.released_at IS NOT NULL \
                   FROM clock CROSS JOIN tenant t LEFT JOIN tenant_check c ON c.tenant = t.id \
                   WHERE paused_until > now OR c.released_at IS NOT NULL ORDER BY name";
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        let rows = connection.query(&statement, &[&self.given_time()]).await?;
        let standing_of = |row: &Row| {
            let pause = match moment(row.try_get(1)?) {
                Some(until) => Some(Pause { until, code: row.try_get(2)?, reason: row.try_get(3)? }),
                None => None,
            };
            Ok(TenantStanding { tenant: tenant_of(row.try_get(0)?)?, pause, is_released: row.try_get(4)? })
        };
        rows.iter().map(standing_of).collect()
    }

    async fn lane_view(
        &self,
        tenant: &TenantId,
        direction: Direction,
        incident: &IncidentId,
    ) -> Result<Option<LaneView>, Fault> {
        // A parked head waits for a person, not for its turn.
        let sql = "SELECT m.memory, l.tail + 1 - l.head - l.parked::int, \
                     EXISTS (SELECT FROM delivery d \
                             WHERE d.lane = l.id AND d.sequence >= l.head AND d.sending_since IS NOT NULL) \
                   FROM lane l LEFT JOIN lane_memory m ON m.lane = l.id \
                   WHERE l.tenant = (SELECT id FROM tenant WHERE name = $1) AND l.incident = $2 AND l.direction = $3";
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        let lane: [&(dyn ToSql + Sync); 3] = [&tenant.as_str(), &incident.as_str(), &direction_number(direction)];
        let Some(row) = connection.query_opt(&statement, &lane).await? else { return Ok(None) };
        // A cache: what cannot be read is found again in ServiceNow.
        let memory = from_json(row.try_get(0)?).unwrap_or_default();
        Ok(Some(LaneView { memory, waiting: unsigned(row.try_get(1)?), sending: row.try_get(2)? }))
    }

    async fn is_opening(&self, tenant: &TenantId) -> Result<bool, Fault> {
        // The words of the index `delivery_opening`: they must stand here as they stand there.
        let sql = "SELECT EXISTS (SELECT FROM delivery WHERE tenant = (SELECT id FROM tenant WHERE name = $1) \
                     AND kind = 'ticket.opened' AND state = 0 AND sending_since IS NOT NULL)";
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        Ok(connection.query_one(&statement, &[&tenant.as_str()]).await?.try_get(0)?)
    }

    async fn delivery_by_id(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<Delivery>, Fault> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM (SELECT d.* FROM (SELECT id FROM tenant WHERE name = $1) of_tenant \
               CROSS JOIN LATERAL {BY_RECEIPT} d) d JOIN lane l ON l.id = d.lane"
        );
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(&sql).await?;
        let wanted: [&(dyn ToSql + Sync); 3] = [&tenant.as_str(), &STATE_NUMBERS.as_slice(), &receipt_uuid(id)];
        let found = connection.query_opt(&statement, &wanted).await?;
        found.map(|row| delivery(tenant, &row)).transpose()
    }

    async fn delivery_page(&self, query: &DeliveryQuery) -> Result<DeliveryPage, Fault> {
        let mut deliveries =
            if query.incidents.is_empty() { self.of_states(query).await? } else { self.of_incidents(query).await? };
        let more = deliveries.len() > query.limit;
        deliveries.truncate(query.limit);
        let next = if more { deliveries.last().map(|last| last.id.clone()) } else { None };
        Ok(DeliveryPage { deliveries, next })
    }

    /// Newest first over the ranges of the states wanted; one more than the limit, if there is one.
    ///
    /// Each range is walked from its newest end until the page is full. The direction is asked of each row's lane
    /// instead of joined, because a join would let the planner collect and sort the whole range.
    async fn of_states(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, Fault> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM (SELECT found.* FROM unnest($2::smallint[]) AS wanted (state) \
               CROSS JOIN LATERAL (SELECT * FROM delivery \
                 WHERE tenant = (SELECT id FROM tenant WHERE name = $1) AND state = wanted.state AND receipt < $3 \
                   AND ($4::smallint IS NULL OR (SELECT direction FROM lane WHERE id = delivery.lane) = $4) \
                   AND ($5::boolean IS NULL OR (sending_since IS NOT NULL) = $5) \
                 ORDER BY receipt DESC LIMIT $6) found ORDER BY found.receipt DESC LIMIT $6) d \
             JOIN lane l ON l.id = d.lane ORDER BY d.receipt DESC"
        );
        let states = query.state.map_or_else(|| STATE_NUMBERS.to_vec(), |state| vec![state_number(state)]);
        let direction = query.direction.map(direction_number);
        let values: [&(dyn ToSql + Sync); 6] =
            [&query.tenant.as_str(), &states, &before(query), &direction, &sending(query.state), &most(query)];
        self.deliveries_by(&query.tenant, &sql, &values).await
    }

    /// The same over some incidents' lanes, which are two each at most.
    async fn of_incidents(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, Fault> {
        // OFFSET 0 keeps the lanes first: else a page of few rows looks cheap to find by walking all of the tenant's.
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM (SELECT * FROM lane \
               WHERE tenant = (SELECT id FROM tenant WHERE name = $1) AND incident = ANY ($7::text[]) OFFSET 0) l \
             CROSS JOIN LATERAL (SELECT * FROM delivery WHERE delivery.lane = l.id OFFSET 0) d \
             WHERE d.receipt < $3 AND ($2::smallint IS NULL OR d.state = $2) \
               AND ($4::smallint IS NULL OR l.direction = $4) \
               AND ($5::boolean IS NULL OR (d.sending_since IS NOT NULL) = $5) \
             ORDER BY d.receipt DESC LIMIT $6"
        );
        let incidents: Vec<&str> = query.incidents.iter().map(IncidentId::as_str).collect();
        let (state, direction) = (query.state.map(state_number), query.direction.map(direction_number));
        let values: [&(dyn ToSql + Sync); 7] = [
            &query.tenant.as_str(),
            &state,
            &before(query),
            &direction,
            &sending(query.state),
            &most(query),
            &incidents,
        ];
        self.deliveries_by(&query.tenant, &sql, &values).await
    }

    async fn deliveries_by(
        &self,
        tenant: &TenantId,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Delivery>, Fault> {
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        connection.query(&statement, values).await?.iter().map(|row| delivery(tenant, row)).collect()
    }
}

/// Receipts of a page come before this one. The last of all is nobody's: the clock in a receipt ends in the year 10889.
fn before(query: &DeliveryQuery) -> Uuid {
    query.before.as_ref().map_or(Uuid::max(), receipt_uuid)
}

/// Which of the open ones are meant, if only one kind is.
fn sending(state: Option<State>) -> Option<bool> {
    match state? {
        State::Waiting => Some(false),
        State::Sending => Some(true),
        State::Delivered | State::Superseded | State::Parked | State::Dropped => None,
    }
}

fn most(query: &DeliveryQuery) -> i64 {
    i64::try_from(query.limit).map_or(i64::MAX, |limit| limit.saturating_add(1))
}
