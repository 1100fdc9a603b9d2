//! The end of deliveries: one statement, and one transaction where something follows from it.
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
use crate::delivery::record::{Ending, State};
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;
use crate::limits::{ATTEMPT_RECORDS_MAX, POSTGRES_TRIES_MAX};
use crate::store::contract::{Held, Lease, NewDelivery, Settlement};

/// The rank is asked of a function that sees what was accepted while this statement waited for the lane.
const SETTLE: &str = "
WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now),
held AS (
  UPDATE lane SET head = $6::bigint, parked = $7::boolean, attempts = 0, leased_until = NULL,
    rank = CASE WHEN $6 <= tail THEN coalesce(waiting_rank(id, $6), rank) ELSE rank END,
    due = CASE WHEN $6 <= tail AND NOT $7 THEN clock.now END
  FROM clock
  WHERE id = $2::bigint AND fence = $3::bigint AND head = $4::bigint AND leased_until + 0 IS NOT NULL
    AND $5::bigint BETWEEN head AND tail
  RETURNING id, tenant, clock.now),
remembered AS (
  INSERT INTO lane_memory (lane, memory) SELECT id, $8::text FROM held
  ON CONFLICT (lane) DO UPDATE SET memory = excluded.memory),
folded AS (
  UPDATE delivery d SET state = $13::smallint, sending_since = NULL, ended_at = held.now,
    ending = (SELECT replace($12::text, repeat('0', 32), replace(last.receipt::text, '-', ''))
              FROM delivery last WHERE last.lane = $2 AND last.sequence = $5)
  FROM held WHERE d.lane = held.id AND d.sequence >= $4 AND d.sequence < $5),
ended AS (
  UPDATE delivery d SET state = $9::smallint, sending_since = NULL, ended_at = held.now, ending = $10::text,
    attempts = with_attempt(attempts, $11::text, $14::integer)
  FROM held WHERE d.lane = held.id AND d.sequence = $5)
SELECT tenant, now FROM held";

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

impl PostgresStore {
    pub(super) async fn settle_lane(&self, lease: &Lease, settlement: &Settlement) -> Result<Held<()>, Fault> {
        let mut tries = 0;
        loop {
            tries += 1;
            let settled = if settlement.follows.is_empty() && settlement.link.is_none() {
                let client = self.connection().await?;
                self.end(&client, lease, settlement, self.given_time()).await
            } else {
                self.settle_with_more(lease, settlement).await
            };
            match settled {
                Ok(Some((tenant, now))) => {
                    self.tenants.wake(tenant, now);
                    return Ok(Held::Yes(()));
                }
                Ok(None) => return Ok(Held::Lost),
                Err(Fault::Contested(_)) if tries < POSTGRES_TRIES_MAX => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Settles, keeps the link and appends what follows: in one transaction.
    async fn settle_with_more(
        &self,
        lease: &Lease,
        settlement: &Settlement,
    ) -> Result<Option<(i64, Timestamp)>, Fault> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        let now = self.now(&transaction).await?;
        lock_lanes(&transaction, lease.lane, &settlement.follows).await?;
        let Some((tenant, _)) = self.end(&transaction, lease, settlement, Some(now.millis())).await? else {
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
        Ok(Some((tenant, now)))
    }

    /// Ends the deliveries and gives the lane back; answers the tenant and the moment, or nothing if the lease is lost.
    async fn end(
        &self,
        client: &impl GenericClient,
        lease: &Lease,
        settlement: &Settlement,
        now: Option<i64>,
    ) -> Result<Option<(i64, Timestamp)>, Fault> {
        let blocks = settlement.ending.parking.as_ref().is_some_and(|parking| parking.blocks);
        let head = if blocks { settlement.upto } else { settlement.upto.saturating_add(1) };
        // The receipt of the last one takes the place of the zeros.
        let folded = Ending { superseded_by: Some(DeliveryId::from_bits(0)), ..Ending::default() };
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
                    &signed(head),
                    &blocks,
                    &json(&settlement.memory)?,
                    &state_number(settlement.state),
                    &json(&settlement.ending)?,
                    &settlement.attempt.as_ref().map(json).transpose()?,
                    &json(&folded)?,
                    &state_number(State::Superseded),
                    &attempts_max(),
                ],
            )
            .await?;
        row.map(|row| Ok((row.try_get(0)?, Timestamp::from_millis(row.try_get(1)?)))).transpose()
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
