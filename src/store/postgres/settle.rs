//! The end of deliveries: one statement for all who settle at the same time, and one transaction where something follows.
//!
//! Owns: what a settlement changes, and how a lane is given back. Never: changes anything without the fence.
//! Fails: with nothing changed; a transaction that met another one is run again.

use std::collections::HashSet;

use deadpool_postgres::{GenericClient, Transaction};

use super::PostgresStore;
use super::accept::Item;
use super::fault::Fault;
use super::links::keep_link;
use super::rows::{direction_number, json, signed, state_number};
use super::together::{Joint, Outcome, in_their_places};
use crate::delivery::record::{Ending, State};
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;
use crate::limits::{ATTEMPT_RECORDS_MAX, POSTGRES_TRIES_MAX};
use crate::store::contract::{Held, Lease, NewDelivery, Settlement};

/// Deliveries are named by parameters alone: of one that is joined, the planner may begin with the other side, and find its
/// `sequence` in every lane. The rank is asked of a function that sees what was accepted while this statement waited for the lane.
const SETTLE: &str = "
WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now),
held AS (
  UPDATE lane SET head = $6::bigint, parked = $7::boolean, attempts = 0, leased_until = NULL,
    rank = CASE WHEN $6 <= tail THEN coalesce(waiting_rank(id, $6), rank) ELSE rank END,
    due = CASE WHEN $6 <= tail AND NOT $7 THEN clock.now END
  FROM clock
  WHERE id = $2::bigint AND fence = $3::bigint AND head = $4::bigint AND leased_until + 0 IS NOT NULL
    AND $5::bigint BETWEEN head AND tail
  RETURNING id, tenant, due, clock.now),
remembered AS (
  INSERT INTO lane_memory (lane, memory) SELECT id, $8::text FROM held
  ON CONFLICT (lane) DO UPDATE SET memory = excluded.memory),
folded AS (
  UPDATE delivery d SET state = $13::smallint, sending_since = NULL, ended_at = held.now,
    ending = (SELECT replace($12::text, repeat('0', 32), replace(last.receipt::text, '-', ''))
              FROM delivery last WHERE last.lane = $2 AND last.sequence = $5)
  FROM held WHERE d.lane = $2 AND d.sequence >= $4 AND d.sequence < $5),
ended AS (
  UPDATE delivery d SET state = $9::smallint, sending_since = NULL, ended_at = held.now, ending = $10::text,
    attempts = CASE WHEN $11::text IS NULL THEN attempts ELSE with_attempt(attempts, $11, $14::integer) END
  FROM held WHERE d.lane = $2 AND d.sequence = $5)
SELECT tenant, due FROM held";

/// The same for a group of those from which nothing follows. It waits for no lane that somebody holds, and passes over it.
const SETTLE_ALL: &str = "
WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now),
free AS MATERIALIZED (
  SELECT asked.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::boolean[], $8::text[],
                       $9::smallint[], $10::text[], $11::text[]) WITH ORDINALITY
    AS asked(lane, fence, head, upto, next, blocks, memory, state, ending, attempt, place)
  CROSS JOIN LATERAL (
    SELECT FROM lane WHERE id = asked.lane AND fence = asked.fence AND head = asked.head
      AND leased_until + 0 IS NOT NULL AND asked.upto BETWEEN head AND tail FOR NO KEY UPDATE SKIP LOCKED) AS held),
held AS (
  UPDATE lane SET head = free.next, parked = free.blocks, attempts = 0, leased_until = NULL,
    rank = CASE WHEN free.next <= tail THEN coalesce(waiting_rank(id, free.next), rank) ELSE rank END,
    due = CASE WHEN free.next <= tail AND NOT free.blocks THEN clock.now END
  FROM free, clock WHERE lane.id = free.lane AND lane.fence = free.fence AND lane.head = free.head
    AND leased_until + 0 IS NOT NULL
  RETURNING lane.tenant, lane.due, clock.now, free.*),
remembered AS (
  INSERT INTO lane_memory (lane, memory) SELECT lane, memory FROM held
  ON CONFLICT (lane) DO UPDATE SET memory = excluded.memory),
folded AS (
  UPDATE delivery d SET state = $13::smallint, sending_since = NULL, ended_at = held.now,
    ending = (SELECT replace($12::text, repeat('0', 32), replace(last.receipt::text, '-', ''))
              FROM delivery last WHERE last.lane = held.lane AND last.sequence = held.upto)
  FROM held WHERE d.lane = held.lane AND d.sequence >= held.head AND d.sequence < held.upto),
ended AS (
  UPDATE delivery d SET state = held.state, sending_since = NULL, ended_at = held.now, ending = held.ending,
    attempts = CASE WHEN held.attempt IS NULL THEN attempts ELSE with_attempt(attempts, held.attempt, $14::integer) END
  FROM held WHERE d.lane = held.lane AND d.sequence = held.upto)
SELECT place, tenant, due FROM held";

const GIVE_BACK: &str = "
UPDATE lane SET head = $2::bigint, parked = $3::boolean, attempts = 0, leased_until = NULL,
  rank = CASE WHEN $2 <= tail THEN coalesce(waiting_rank(id, $2), rank) ELSE rank END,
  due = CASE WHEN $2 <= tail AND NOT $3 THEN $4::bigint END
WHERE id = $1::bigint";

/// Whoever locks several lanes locks them in this order.
const LOCK_LANES: &str = "
SELECT FROM lane WHERE id = $1::bigint OR id IN (
  SELECT l.id FROM unnest($2::text[], $3::smallint[]) AS other(incident, direction)
  JOIN lane own ON own.id = $1
  JOIN lane l ON l.tenant = own.tenant AND l.incident = other.incident AND l.direction = other.direction)
ORDER BY tenant, incident, direction FOR NO KEY UPDATE";

/// A settlement under its lease.
pub(super) struct Settled {
    pub(super) lease: Lease,
    pub(super) settlement: Settlement,
}

impl Settled {
    /// Whether nothing follows from it: then it is one statement.
    const fn is_plain(&self) -> bool {
        self.settlement.follows.is_empty() && self.settlement.link.is_none()
    }
}

impl Joint for Settled {
    type Answer = ();
    type Row = i64;

    fn row(&self) -> i64 {
        self.lease.lane
    }

    async fn together(engine: &PostgresStore, group: &[Self]) -> Result<Vec<Option<()>>, Fault> {
        let all = Columns::of(group)?;
        let client = engine.connection().await?;
        let statement = client.prepare_cached(SETTLE_ALL).await?;
        let number = |of: fn(&Self) -> i64| group.iter().map(of).collect::<Vec<_>>();
        let rows = client
            .query(
                &statement,
                &[
                    &engine.given_time(),
                    &number(|one| one.lease.lane),
                    &number(|one| signed(one.lease.fence)),
                    &number(|one| signed(one.lease.head)),
                    &number(|one| signed(one.settlement.upto)),
                    &number(|one| signed(next_head(&one.settlement))),
                    &group.iter().map(|one| blocks(&one.settlement)).collect::<Vec<_>>(),
                    &all.memories,
                    &group.iter().map(|one| state_number(one.settlement.state)).collect::<Vec<_>>(),
                    &all.endings,
                    &all.attempts,
                    &json(&folded())?,
                    &state_number(State::Superseded),
                    &attempts_max(),
                ],
            )
            .await?;
        for row in &rows {
            engine.wake_settled(row.try_get(1)?, row.try_get(2)?);
        }
        in_their_places(group.len(), rows.iter().map(|row| Ok((row.try_get(0)?, ()))))
    }
}

/// The texts of a group of settlements.
#[derive(Default)]
struct Columns {
    memories: Vec<String>,
    endings: Vec<String>,
    attempts: Vec<Option<String>>,
}

impl Columns {
    fn of(group: &[Settled]) -> Result<Self, Fault> {
        let mut all = Self::default();
        for Settled { settlement, .. } in group {
            all.memories.push(json(&settlement.memory)?);
            all.endings.push(json(&settlement.ending)?);
            all.attempts.push(settlement.attempt.as_ref().map(json).transpose()?);
        }
        Ok(all)
    }
}

/// A settlement that was stored: whose lane it was, and when more of it is due.
struct End {
    tenant: i64,
    due: Option<i64>,
}

fn blocks(settlement: &Settlement) -> bool {
    settlement.ending.parking.as_ref().is_some_and(|parking| parking.blocks)
}

/// Where the lane goes on: a head that blocks stays.
fn next_head(settlement: &Settlement) -> u64 {
    if blocks(settlement) { settlement.upto } else { settlement.upto.saturating_add(1) }
}

/// How what was folded ends: the receipt of the last one takes the place of the zeros.
fn folded() -> Ending {
    Ending { superseded_by: Some(DeliveryId::from_bits(0)), ..Ending::default() }
}

impl PostgresStore {
    pub(super) async fn settle_lane(&self, lease: &Lease, settlement: Settlement) -> Result<Held<()>, Fault> {
        let mut settled = Settled { lease: lease.clone(), settlement };
        if settled.is_plain() {
            match self.endings.go(settled).await? {
                Outcome::Done(()) => return Ok(Held::Yes(())),
                Outcome::Alone(back) => settled = back,
            }
        }
        self.settle_alone(&settled).await
    }

    /// A lane that has more to do may be claimed; of one that has nothing there is nothing to be looked for.
    fn wake_settled(&self, tenant: i64, due: Option<i64>) {
        if let Some(due) = due {
            self.tenants.wake(tenant, Timestamp::from_millis(due));
        }
    }

    async fn settle_alone(&self, settled: &Settled) -> Result<Held<()>, Fault> {
        let Settled { lease, settlement } = settled;
        let mut tries = 0;
        loop {
            tries += 1;
            let ended = if settled.is_plain() {
                let client = self.connection().await?;
                self.end(&client, lease, settlement, self.given_time()).await
            } else {
                self.settle_with_more(lease, settlement).await
            };
            match ended {
                Ok(Some(End { tenant, due })) => {
                    self.wake_settled(tenant, due);
                    return Ok(Held::Yes(()));
                }
                Ok(None) => return Ok(Held::Lost),
                Err(Fault::Contested(_)) if tries < POSTGRES_TRIES_MAX => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Settles, keeps the link and appends what follows: in one transaction.
    async fn settle_with_more(&self, lease: &Lease, settlement: &Settlement) -> Result<Option<End>, Fault> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        let now = self.now(&transaction).await?;
        lock_lanes(&transaction, lease.lane, &settlement.follows).await?;
        let Some(End { tenant, .. }) = self.end(&transaction, lease, settlement, Some(now.millis())).await? else {
            return Ok(None);
        };
        if let Some(link) = &settlement.link {
            keep_link(&transaction, tenant, link, now).await?;
        }
        // After the lane is given back: what follows in the very same lane comes behind what waits there. Of two with one
        // event the first counts.
        let mut events = HashSet::new();
        let follows = settlement.follows.iter().filter(|change| events.insert(&change.event));
        let items: Vec<Item<'_>> = (0..).zip(follows).map(|(call, change)| Item { call, tenant, change }).collect();
        self.append_all(&transaction, &items, Some(now.millis()), i64::MAX).await?;
        transaction.commit().await?;
        // What follows is due at once.
        Ok(Some(End { tenant, due: Some(now.millis()) }))
    }

    /// Ends the deliveries and gives the lane back; answers nothing if the lease is lost.
    async fn end(
        &self,
        client: &impl GenericClient,
        lease: &Lease,
        settlement: &Settlement,
        now: Option<i64>,
    ) -> Result<Option<End>, Fault> {
        let statement = client.prepare_cached(SETTLE).await?;
        let row = client
            .query_opt(
                &statement,
                &[
                    &now,
                    &lease.lane,
                    &signed(lease.fence),
                    &signed(lease.head),
                    &signed(settlement.upto),
                    &signed(next_head(settlement)),
                    &blocks(settlement),
                    &json(&settlement.memory)?,
                    &state_number(settlement.state),
                    &json(&settlement.ending)?,
                    &settlement.attempt.as_ref().map(json).transpose()?,
                    &json(&folded())?,
                    &state_number(State::Superseded),
                    &attempts_max(),
                ],
            )
            .await?;
        row.map(|row| Ok(End { tenant: row.try_get(0)?, due: row.try_get(1)? })).transpose()
    }
}

/// Ends the lease of a lane whose head moved, was parked or was woken. What waits decides its rank and its due.
/// Whoever calls it has locked the lane, and wakes the tenant after the commit.
pub(super) async fn give_back(
    transaction: &Transaction<'_>,
    lane: i64,
    head: u64,
    parked: bool,
    now: Timestamp,
) -> Result<(), Fault> {
    let statement = transaction.prepare_cached(GIVE_BACK).await?;
    transaction.execute(&statement, &[&lane, &signed(head), &parked, &now.millis()]).await?;
    Ok(())
}

/// How many tries are remembered, as the database counts.
pub(super) fn attempts_max() -> i32 {
    i32::try_from(ATTEMPT_RECORDS_MAX).unwrap_or(i32::MAX)
}

async fn lock_lanes(transaction: &Transaction<'_>, own: i64, follows: &[NewDelivery]) -> Result<(), Fault> {
    if follows.is_empty() {
        return Ok(());
    }
    let incidents: Vec<&str> = follows.iter().map(|change| change.incident.as_str()).collect();
    let directions: Vec<i16> = follows.iter().map(|change| direction_number(change.direction)).collect();
    let statement = transaction.prepare_cached(LOCK_LANES).await?;
    transaction.execute(&statement, &[&own, &incidents, &directions]).await?;
    Ok(())
}
