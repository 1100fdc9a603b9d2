//! Reading: short statements on connections of their own, so that no list ever waits for a commit or delays one.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::mpsc;

use super::fault::Fault;
use super::life_cycle::{CHECK_COLUMNS, check, release};
use super::rows::{
    DELIVERY_COLUMNS, STATE_NUMBERS, delivery, direction_number, from_json, json, receipt_bytes, state_number, unsigned,
};
use super::session::{Halt, halt};
use super::thread::BoxedJob;
use crate::delivery::record::{Delivery, Direction, State};
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::domain::time::Timestamp;
use crate::store::contract::{DeliveryPage, DeliveryQuery, LaneView, Pause, StoreError, TenantRecord, TenantStanding};
use crate::store::steady::SteadyClock;

/// What a reading thread owns.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) clock: Arc<SteadyClock>,
    pub(super) halted: Halt,
}

impl Reader {
    /// Serves until the last sender is gone.
    pub(super) fn serve(mut self, mut jobs: mpsc::Receiver<BoxedJob<Self>>) {
        while let Some(mut job) = jobs.blocking_recv() {
            let outcome = match self.halted.get() {
                Some(reason) => Err(reason.clone()),
                None => job.run(&mut self).map_err(|fault| self.tell(fault)),
            };
            job.answer(outcome);
        }
    }

    /// What the caller is told. Damage stops the writer too: it must not build on what cannot be read.
    fn tell(&self, fault: Fault) -> StoreError {
        let fatal = matches!(fault, Fault::Fatal(_));
        let error = fault.into_error();
        if fatal {
            halt(&self.halted, &error);
        }
        error
    }

    fn tenant_row(&self, tenant: &TenantId) -> Result<Option<i64>, Fault> {
        let sql = "SELECT id FROM tenant WHERE name = ?1";
        let row = params![tenant.as_str()];
        Ok(self.connection.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?)
    }

    pub(super) fn tenant(&self, tenant: &TenantId) -> Result<TenantRecord, Fault> {
        let sql = format!(
            "SELECT paused_until, pause_code, pause_reason, learned, {CHECK_COLUMNS} \
             FROM tenant t LEFT JOIN tenant_check c ON c.tenant = t.id WHERE name = ?1"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![tenant.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(TenantRecord::default()) };
        let until = row.get::<_, Option<i64>>(0)?.map(Timestamp::from_millis);
        let pause = match until.filter(|until| *until > self.clock.now()) {
            Some(until) => Some(Pause { until, code: row.get(1)?, reason: row.get(2)? }),
            None => None,
        };
        let learned: Option<String> = row.get(3)?;
        let learned = from_json(learned.as_deref())?;
        Ok(TenantRecord { pause, learned, check: check(row, 4)?, release: release(row, 4)? })
    }

    pub(super) fn tenant_standings(&mut self) -> Result<Vec<TenantStanding>, Fault> {
        let sql = "SELECT name, CASE WHEN paused_until > ?1 THEN paused_until END, pause_code, pause_reason, \
                     c.released_at IS NOT NULL \
                   FROM tenant t LEFT JOIN tenant_check c ON c.tenant = t.id \
                   WHERE paused_until > ?1 OR c.released_at IS NOT NULL ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.clock.now().millis()])?;
        let mut standings = Vec::new();
        while let Some(row) = rows.next()? {
            let pause = match row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis) {
                Some(until) => Some(Pause { until, code: row.get(2)?, reason: row.get(3)? }),
                None => None,
            };
            let name: String = row.get(0)?;
            let tenant = TenantId::parse(&name).map_err(|error| Fault::nonsense("tenant.name", error))?;
            standings.push(TenantStanding { tenant, pause, is_released: row.get(4)? });
        }
        Ok(standings)
    }

    pub(super) fn lane(
        &self,
        tenant: &TenantId,
        direction: Direction,
        incident: &IncidentId,
    ) -> Result<Option<LaneView>, Fault> {
        // A parked head waits for a person, not for its turn.
        let sql = "SELECT m.memory, l.tail + 1 - l.head - l.parked, \
                     EXISTS (SELECT 1 FROM delivery d \
                             WHERE d.lane = l.id AND d.sequence >= l.head AND d.sending_since IS NOT NULL) \
                   FROM lane l LEFT JOIN lane_memory m ON m.lane = l.id \
                   WHERE l.tenant = (SELECT id FROM tenant WHERE name = ?1) AND l.incident = ?2 AND l.direction = ?3";
        let view = |row: &Row<'_>| {
            let memory: Option<String> = row.get(0)?;
            // A cache: what cannot be read is found again in ServiceNow.
            let memory = from_json(memory.as_deref()).unwrap_or_default();
            Ok(LaneView { memory, waiting: unsigned(row.get(1)?), sending: row.get(2)? })
        };
        let lane = params![tenant.as_str(), incident.as_str(), direction_number(direction)];
        Ok(self.connection.prepare_cached(sql)?.query_row(lane, view).optional()?)
    }

    pub(super) fn opening(&self, tenant: &TenantId) -> Result<bool, Fault> {
        // The words of the index: they must stand here as they stand there.
        let sql = "SELECT 1 FROM delivery INDEXED BY delivery_opening \
                   WHERE tenant = (SELECT id FROM tenant WHERE name = ?1) \
                     AND kind = 'ticket.opened' AND sending_since IS NOT NULL";
        Ok(self.connection.prepare_cached(sql)?.exists(params![tenant.as_str()])?)
    }

    pub(super) fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<Delivery>, Fault> {
        let Some(row) = self.tenant_row(tenant)? else { return Ok(None) };
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM delivery d INDEXED BY delivery_state \
             JOIN lane l ON l.id = d.lane JOIN body b ON b.id = d.body \
             WHERE d.tenant = ?1 AND d.state = ?2 AND d.receipt = ?3"
        );
        // One read transaction: between two states a delivery must not seem to be in none.
        let transaction = self.connection.unchecked_transaction()?;
        let mut statement = transaction.prepare_cached(&sql)?;
        for state in STATE_NUMBERS {
            let mut rows = statement.query(params![row, state, receipt_bytes(id)])?;
            if let Some(row) = rows.next()? {
                return delivery(tenant, row).map(Some);
            }
        }
        Ok(None)
    }

    pub(super) fn deliveries(&self, query: &DeliveryQuery) -> Result<DeliveryPage, Fault> {
        let Some(tenant) = self.tenant_row(&query.tenant)? else { return Ok(DeliveryPage::default()) };
        let deliveries = if query.incidents.is_empty() { Self::of_states } else { Self::of_incidents };
        let mut deliveries = deliveries(self, tenant, query)?;
        let more = deliveries.len() > query.limit;
        deliveries.truncate(query.limit);
        let next = if more { deliveries.last().map(|last| last.id.clone()) } else { None };
        Ok(DeliveryPage { deliveries, next })
    }

    /// Newest first over the ranges of the states wanted; one more than the limit, if there is one.
    fn of_states(&self, tenant: i64, query: &DeliveryQuery) -> Result<Vec<Delivery>, Fault> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM delivery d INDEXED BY delivery_state \
             CROSS JOIN lane l ON l.id = d.lane CROSS JOIN body b ON b.id = d.body \
             WHERE d.tenant = ?1 AND d.state = ?2 AND d.receipt < ?3 \
               AND (?4 IS NULL OR l.direction = ?4) AND (?5 IS NULL OR (d.sending_since IS NOT NULL) = ?5) \
             ORDER BY d.receipt DESC LIMIT ?6"
        );
        let transaction = self.connection.unchecked_transaction()?;
        let mut statement = transaction.prepare_cached(&sql)?;
        let wanted = query.state.map(state_number);
        let mut found = Vec::new();
        for state in STATE_NUMBERS.into_iter().filter(|state| wanted.is_none_or(|wanted| wanted == *state)) {
            let row = params![
                tenant,
                state,
                before(query),
                query.direction.map(direction_number),
                sending(query.state),
                most(query)
            ];
            let mut rows = statement.query(row)?;
            while let Some(row) = rows.next()? {
                found.push(delivery(&query.tenant, row)?);
            }
        }
        found.sort_by(|one, other| other.id.cmp(&one.id));
        Ok(found)
    }

    /// The same over some incidents' lanes, which are two each at most.
    fn of_incidents(&self, tenant: i64, query: &DeliveryQuery) -> Result<Vec<Delivery>, Fault> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM (SELECT DISTINCT value AS incident FROM json_each(?7)) wanted \
             CROSS JOIN lane l ON l.tenant = ?1 AND l.incident = wanted.incident \
             CROSS JOIN delivery d ON d.lane = l.id CROSS JOIN body b ON b.id = d.body \
             WHERE d.receipt < ?3 AND (?2 IS NULL OR d.state = ?2) \
               AND (?4 IS NULL OR l.direction = ?4) AND (?5 IS NULL OR (d.sending_since IS NOT NULL) = ?5) \
             ORDER BY d.receipt DESC LIMIT ?6"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![
            tenant,
            query.state.map(state_number),
            before(query),
            query.direction.map(direction_number),
            sending(query.state),
            most(query),
            json(&query.incidents)?
        ])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(delivery(&query.tenant, row)?);
        }
        Ok(found)
    }
}

/// Receipts of a page come before this; seventeen bytes of ones come after every receipt.
fn before(query: &DeliveryQuery) -> Vec<u8> {
    query.before.as_ref().map_or_else(|| vec![0xff; 17], |before| receipt_bytes(before).to_vec())
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
