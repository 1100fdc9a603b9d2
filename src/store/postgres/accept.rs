//! Appending changes to lanes: one statement for any number of them.
//!
//! Owns: that statement, which tells known events from new ones, gives each new change its place in its lane, and stores
//! it. Lanes are locked in one order whoever locks them (tenant, incident, direction), so that replicas wait for each
//! other and never in a circle.
//! Never: decides whether a call is stored ([`admission`](crate::store::admission) does, for what is not plain).
//! Fails: as the statement does; a repeat that another replica stored meanwhile is [`Fault::Contested`], and the same
//! again finds it.

use deadpool_postgres::{GenericClient, Transaction};
use uuid::Uuid;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{CHANGE_COLUMNS, change, direction_number, rank_number, receipt_of, receipt_uuid, signed, unsigned};
use crate::domain::time::Timestamp;
use crate::store::contract::{NewDelivery, Receipt};

/// A change to be appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    /// What is stored together or not at all has one number.
    pub(super) call: i32,
    pub(super) tenant: i64,
    pub(super) change: &'a NewDelivery,
}

/// How one item stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Stored(Receipt),
    /// Its event was accepted before; whether it is the same change.
    Known {
        receipt: Receipt,
        same: bool,
    },
    /// Something else of its call is known, or a lane of it is full.
    LeftOut,
}

/// `$13`: how many may wait in a lane. A call with a known event, or one that would overfill a lane, is left out whole.
/// New lanes are locked in the common order, but numbered in the order of arrival, which decides between two that are due
/// at the same moment. Changes and lanes are brought together by their place in that order: see the settings of a
/// connection for why nothing here is joined by a hash.
const APPEND: &str = "
WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now),
item AS MATERIALIZED (
  SELECT item.call, item.tenant, item.incident COLLATE \"C\" AS incident, item.direction, item.event, item.receipt, item.kind,
         item.rank, item.body, item.body_hash, item.is_echo, item.place
  FROM unnest($2::integer[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::uuid[], $8::text[],
                       $9::smallint[], $10::text[], $11::bytea[], $12::boolean[]) WITH ORDINALITY
    AS item(call, tenant, incident, direction, event, receipt, kind, rank, body, body_hash, is_echo, place)),
known AS MATERIALIZED (
  SELECT item.place, item.call, d.receipt, d.sequence, d.body_hash = item.body_hash AND l.incident = item.incident AS same
  FROM item JOIN delivery d ON d.tenant = item.tenant AND d.event = item.event JOIN lane l ON l.id = d.lane),
overfull AS MATERIALIZED (
  SELECT more.tenant, more.incident, more.direction
  FROM (SELECT tenant, incident, direction, count(*) AS changes FROM item GROUP BY 1, 2, 3) AS more
  LEFT JOIN lane l ON l.tenant = more.tenant AND l.incident = more.incident AND l.direction = more.direction
  WHERE coalesce(l.tail + 1 - l.head, 0) + more.changes > $13::bigint),
left_out AS MATERIALIZED (
  SELECT call FROM known UNION SELECT item.call FROM item JOIN overfull USING (tenant, incident, direction)),
fresh AS MATERIALIZED (
  SELECT item.*, row_number() OVER (PARTITION BY tenant, incident, direction ORDER BY place) AS nth,
         count(*) OVER (PARTITION BY tenant, incident, direction) AS together,
         dense_rank() OVER (ORDER BY tenant, incident, direction) AS nth_lane
  FROM item WHERE item.call NOT IN (SELECT call FROM left_out)),
wanted AS MATERIALIZED (
  SELECT nextval('lane_id_seq') AS id, first.* FROM (
    SELECT tenant, incident, direction, count(*) AS changes, min(rank) AS rank FROM fresh
    GROUP BY tenant, incident, direction ORDER BY min(place)) AS first),
lengthened AS (
  INSERT INTO lane (id, tenant, incident, direction, tail, rank, due) OVERRIDING SYSTEM VALUE
  SELECT id, tenant, incident, direction, changes, rank, clock.now FROM wanted, clock
  ORDER BY tenant, incident, direction
  ON CONFLICT (tenant, incident, direction) DO UPDATE SET
    tail = lane.tail + excluded.tail,
    rank = CASE WHEN lane.head > lane.tail THEN excluded.rank ELSE least(lane.rank, excluded.rank) END,
    due = CASE WHEN lane.due IS NULL AND NOT lane.parked THEN excluded.due ELSE lane.due END
  RETURNING id, tenant, incident, direction, tail),
lanes AS MATERIALIZED (
  SELECT array_agg(id ORDER BY tenant, incident, direction) AS ids,
         array_agg(tail ORDER BY tenant, incident, direction) AS tails FROM lengthened),
placed AS MATERIALIZED (
  SELECT fresh.*, lanes.ids[nth_lane::integer] AS lane, lanes.tails[nth_lane::integer] - together + nth AS sequence
  FROM fresh CROSS JOIN lanes),
stored AS (
  INSERT INTO delivery (lane, sequence, tenant, receipt, event, kind, rank, accepted_at, body, body_hash, is_echo)
  SELECT lane, sequence, tenant, receipt, event, kind, rank, clock.now, body, body_hash, is_echo FROM placed, clock)
SELECT place, NULL::uuid, sequence, NULL::boolean FROM placed
UNION ALL SELECT place, receipt, sequence, same FROM known";

/// One column of all items.
fn column<'a, T>(items: &[Item<'a>], of: impl Fn(&Item<'a>) -> T) -> Vec<T> {
    items.iter().map(of).collect()
}

impl PostgresStore {
    /// Appends what is new and may be appended; answers how each item stands, in their order. No two items may have the
    /// same event. Whoever calls it wakes the tenants after the commit.
    pub(super) async fn append_all(
        &self,
        client: &impl GenericClient,
        items: &[Item<'_>],
        now: Option<i64>,
        waiting_max: i64,
    ) -> Result<Vec<Standing>, Fault> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let statement = client.prepare_cached(APPEND).await?;
        let receipts: Vec<Uuid> = column(items, |item| receipt_uuid(&item.change.id));
        let rows = client
            .query(
                &statement,
                &[
                    &now,
                    &column(items, |item| item.call),
                    &column(items, |item| item.tenant),
                    &column(items, |item| item.change.incident.as_str()),
                    &column(items, |item| direction_number(item.change.direction)),
                    &column(items, |item| item.change.event.as_str()),
                    &receipts,
                    &column(items, |item| item.change.kind.as_str()),
                    &column(items, |item| rank_number(item.change.kind)),
                    &column(items, |item| &*item.change.body),
                    &column(items, |item| item.change.body_hash.as_slice()),
                    &column(items, |item| item.change.is_echo),
                    &waiting_max,
                ],
            )
            .await?;
        let mut standings = vec![Standing::LeftOut; items.len()];
        for row in rows {
            let place: i64 = row.try_get(0)?;
            let index = usize::try_from(place - 1).ok().filter(|index| *index < items.len());
            let index = index.ok_or_else(|| Fault::nonsense("a stored change", place))?;
            let sequence = unsigned(row.try_get(2)?);
            let known: Option<Uuid> = row.try_get(1)?;
            standings[index] = match known {
                None => Standing::Stored(Receipt { delivery: items[index].change.id.clone(), sequence }),
                Some(receipt) => {
                    let receipt = Receipt { delivery: receipt_of(receipt), sequence };
                    Standing::Known { receipt, same: row.try_get(3)? }
                }
            };
        }
        Ok(standings)
    }

    /// Appends one change to its lane, which is made if it is the first, however much waits there. Whoever calls it wakes
    /// the tenant after the commit.
    pub(super) async fn append(
        &self,
        transaction: &Transaction<'_>,
        tenant: i64,
        change: &NewDelivery,
        now: Timestamp,
    ) -> Result<Receipt, Fault> {
        let item = Item { call: 0, tenant, change };
        match self.append_all(transaction, &[item], Some(now.millis()), i64::MAX).await?.pop() {
            Some(Standing::Stored(receipt)) => Ok(receipt),
            Some(Standing::Known { .. } | Standing::LeftOut) | None => {
                Err(Fault::nonsense("delivery.event", "an event that must be new is known"))
            }
        }
    }

    /// A change that was accepted before, to be appended once more.
    pub(super) async fn stored_change(
        &self,
        transaction: &Transaction<'_>,
        lane: i64,
        sequence: u64,
    ) -> Result<NewDelivery, Fault> {
        let sql = format!(
            "SELECT {CHANGE_COLUMNS} FROM delivery d JOIN lane l ON l.id = d.lane JOIN tenant t ON t.id = d.tenant \
             WHERE d.lane = $1 AND d.sequence = $2"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let row = transaction.query_opt(&statement, &[&lane, &signed(sequence)]).await?;
        change(&row.ok_or_else(|| Fault::nonsense("delivery", "a row is gone"))?)
    }
}
