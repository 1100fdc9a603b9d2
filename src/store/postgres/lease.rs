//! Writes under a lease that do not end anything: one statement each, which proves its fence and changes nothing if the
//! lane has another owner.
//!
//! They say `leased_until + 0 IS NOT NULL`, because without the sum the planner may walk through the index of all leased
//! lanes, which its statistics believe to be empty, instead of going to the one lane by its id.

use std::time::Duration;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{json, millis, signed};
use super::settle::attempts_max;
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
  FROM held WHERE d.lane = held.id AND d.sequence >= $4 AND d.state = 0
    AND (d.sequence <= $5 OR d.sending_since IS NOT NULL))
SELECT now FROM held";

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
    attempts = CASE WHEN d.sequence = $3 THEN with_attempt(attempts, $7::text, $8::integer) ELSE attempts END
  FROM held WHERE d.lane = held.id AND d.sequence >= $3
    AND (($6 AND d.sending_since IS NOT NULL) OR (d.sequence = $3 AND $7::text IS NOT NULL)))
SELECT tenant FROM held";

impl PostgresStore {
    pub(super) async fn intend_to_send(
        &self,
        lease: &Lease,
        upto: u64,
        lease_for: Duration,
    ) -> Result<Held<Timestamp>, Fault> {
        let client = self.connection().await?;
        let statement = client.prepare_cached(INTEND).await?;
        let Lease { lane, fence, head } = lease;
        let row = client
            .query_opt(
                &statement,
                &[&self.given_time(), lane, &signed(*fence), &signed(*head), &signed(upto), &millis(lease_for)],
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
