//! Writes under a lease that do not end anything: one statement each, which proves its fence and changes nothing if the
//! lane has another owner.
//!
//! They say `leased_until + 0 IS NOT NULL`, because without the sum the planner may walk through the index of all leased
//! lanes, which its statistics believe to be empty, instead of going to the one lane by its id; and `state + 0` for the
//! same reason.

use std::time::Duration;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{json, millis, signed};
use super::settle::attempts_max;
use super::together::{Joint, Outcome, in_their_places};
use crate::domain::time::Timestamp;
use crate::store::contract::{Held, Lease, Postponement};

/// What was begun together with these and refused is begun anew.
const INTEND: &str = "
WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now),
held AS (
  UPDATE lane SET leased_until = clock.now + $6::bigint, due = clock.now + $6
  FROM clock WHERE id = $2::bigint AND fence = $3::bigint AND head = $4::bigint AND leased_until + 0 IS NOT NULL
  RETURNING id, clock.now),
begun AS (
  UPDATE delivery d SET sending_since = CASE WHEN d.sequence <= $5::bigint THEN held.now END
  FROM held WHERE d.lane = $2 AND d.sequence >= $4 AND d.state + 0 = 0
    AND (d.sequence <= $5 OR d.sending_since IS NOT NULL))
SELECT now FROM held";

/// The same for a group. It waits for no lane that somebody holds, and passes over it.
const INTEND_ALL: &str = "
WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now),
free AS MATERIALIZED (
  SELECT asked.*
  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) WITH ORDINALITY
    AS asked(lane, fence, head, upto, lease_for, place)
  CROSS JOIN LATERAL (
    SELECT FROM lane WHERE id = asked.lane AND fence = asked.fence AND head = asked.head
      AND leased_until + 0 IS NOT NULL FOR NO KEY UPDATE SKIP LOCKED) AS held),
held AS (
  UPDATE lane SET leased_until = clock.now + free.lease_for, due = clock.now + free.lease_for
  FROM free, clock WHERE lane.id = free.lane AND lane.fence = free.fence AND lane.head = free.head
    AND leased_until + 0 IS NOT NULL
  RETURNING free.*, clock.now),
begun AS (
  UPDATE delivery d SET sending_since = CASE WHEN d.sequence <= held.upto THEN held.now END
  FROM held WHERE d.lane = held.lane AND d.sequence >= held.head AND d.state + 0 = 0
    AND (d.sequence <= held.upto OR d.sending_since IS NOT NULL))
SELECT place, now FROM held";

const RENEW: &str = "
UPDATE lane SET leased_until = clock.now + $5::bigint, due = clock.now + $5
FROM (SELECT coalesce($1::bigint, store_now()) AS now OFFSET 0) AS clock
WHERE id = $2::bigint AND fence = $3::bigint AND head = $4::bigint AND leased_until + 0 IS NOT NULL";

const POSTPONE: &str = "
WITH held AS (
  UPDATE lane SET leased_until = NULL, due = $4::bigint, attempts = attempts - $5::integer
  WHERE id = $1::bigint AND fence = $2::bigint AND head = $3::bigint AND leased_until + 0 IS NOT NULL
  RETURNING id, tenant),
recorded AS (
  UPDATE delivery d SET
    sending_since = CASE WHEN $6::boolean THEN NULL ELSE sending_since END,
    attempts = CASE WHEN d.sequence = $3 AND $7::text IS NOT NULL THEN with_attempt(attempts, $7::text, $8::integer) ELSE attempts END
  FROM held WHERE d.lane = $1 AND d.sequence >= $3
    AND (($6 AND d.sending_since IS NOT NULL) OR (d.sequence = $3 AND $7::text IS NOT NULL)))
SELECT tenant FROM held";

/// One intention.
pub(super) struct Intent {
    pub(super) lease: Lease,
    pub(super) upto: u64,
    pub(super) lease_for: Duration,
}

impl Joint for Intent {
    type Answer = Timestamp;
    type Row = i64;

    fn row(&self) -> i64 {
        self.lease.lane
    }

    async fn together(engine: &PostgresStore, group: &[Self]) -> Result<Vec<Option<Timestamp>>, Fault> {
        let column = |of: fn(&Self) -> i64| group.iter().map(of).collect::<Vec<_>>();
        let client = engine.connection().await?;
        let statement = client.prepare_cached(INTEND_ALL).await?;
        let rows = client
            .query(
                &statement,
                &[
                    &engine.given_time(),
                    &column(|one| one.lease.lane),
                    &column(|one| signed(one.lease.fence)),
                    &column(|one| signed(one.lease.head)),
                    &column(|one| signed(one.upto)),
                    &column(|one| millis(one.lease_for)),
                ],
            )
            .await?;
        let moments = rows.iter().map(|row| Ok((row.try_get(0)?, Timestamp::from_millis(row.try_get(1)?))));
        in_their_places(group.len(), moments)
    }
}

impl PostgresStore {
    pub(super) async fn intend_to_send(
        &self,
        lease: &Lease,
        upto: u64,
        lease_for: Duration,
    ) -> Result<Held<Timestamp>, Fault> {
        match self.intents.go(Intent { lease: lease.clone(), upto, lease_for }).await? {
            Outcome::Done(now) => Ok(Held::Yes(now)),
            Outcome::Alone(intent) => self.intend_alone(&intent).await,
        }
    }

    async fn intend_alone(&self, intent: &Intent) -> Result<Held<Timestamp>, Fault> {
        let client = self.connection().await?;
        let statement = client.prepare_cached(INTEND).await?;
        let Intent { lease: Lease { lane, fence, head }, upto, lease_for } = intent;
        let row = client
            .query_opt(
                &statement,
                &[&self.given_time(), lane, &signed(*fence), &signed(*head), &signed(*upto), &millis(*lease_for)],
            )
            .await?;
        let Some(row) = row else { return Ok(Held::Lost) };
        Ok(Held::Yes(Timestamp::from_millis(row.try_get(0)?)))
    }

    pub(super) async fn renew_lease(&self, lease: &Lease, lease_for: Duration) -> Result<Held<()>, Fault> {
        let client = self.connection().await?;
        let statement = client.prepare_cached(RENEW).await?;
        let Lease { lane, fence, head } = lease;
        let renewed = client
            .execute(&statement, &[&self.given_time(), lane, &signed(*fence), &signed(*head), &millis(lease_for)])
            .await?;
        Ok(if renewed == 1 { Held::Yes(()) } else { Held::Lost })
    }

    pub(super) async fn postpone_lane(&self, lease: &Lease, postponement: &Postponement) -> Result<Held<()>, Fault> {
        let client = self.connection().await?;
        let statement = client.prepare_cached(POSTPONE).await?;
        let Lease { lane, fence, head } = lease;
        let row = client
            .query_opt(
                &statement,
                &[
                    lane,
                    &signed(*fence),
                    &signed(*head),
                    &postponement.at.millis(),
                    &i32::from(!postponement.counted),
                    &postponement.not_processed,
                    &postponement.attempt.as_ref().map(json).transpose()?,
                    &attempts_max(),
                ],
            )
            .await?;
        let Some(row) = row else { return Ok(Held::Lost) };
        self.tenants.wake(row.try_get(0)?, postponement.at);
        Ok(Held::Yes(()))
    }
}
