//! Letting go of what ended long ago, in small batches of one statement each.
//!
//! Two replicas may do it at once: each passes over the rows that the other has locked, so neither waits, and no row is
//! counted twice. At READ COMMITTED a row that somebody changed meanwhile is judged anew before it is locked, and nothing
//! that has ended changes again but by being forgotten.
//! Lanes, their memories and links stay, and so does what is parked.
//! Never: holds rows for longer than one batch. Fails: like any statement; what went before is gone for good.
//! Proved by: `tests/store`, part `trimming`.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::state_number;
use crate::delivery::record::State;
use crate::domain::time::Timestamp;
use crate::limits::{EVENTS_REMEMBERED, POSTGRES_BATCH_ROWS_MAX, RECEIPT_CLOCK_SLACK};
use crate::store::contract::StoreError;

/// The ends that need no person any more.
const DONE: [State; 3] = [State::Delivered, State::Superseded, State::Dropped];

/// Each tenant's and end's range of receipts is read from its oldest on. A receipt begins with the moment it was made, so
/// `$3` ends the search where everything is too young: what is done and young costs nothing, however much it is.
const TRIM: &str = "
WITH clock AS MATERIALIZED (SELECT least($2::bigint, coalesce($1::bigint, store_now()) - $6::bigint) AS before),
gone AS MATERIALIZED (
  SELECT d.lane, d.sequence
  FROM clock CROSS JOIN tenant t CROSS JOIN unnest($4::smallint[]) AS done (state)
  CROSS JOIN LATERAL (
    SELECT lane, sequence FROM delivery
    WHERE tenant = t.id AND state = done.state AND receipt < $3::uuid
      AND accepted_at < clock.before AND ended_at < clock.before
    ORDER BY receipt LIMIT $5::bigint FOR UPDATE SKIP LOCKED) d
  LIMIT $5)
DELETE FROM delivery USING gone WHERE delivery.lane = gone.lane AND delivery.sequence = gone.sequence";

impl PostgresStore {
    pub(in crate::store) async fn trim(&self, before: Timestamp, most: usize) -> Result<usize, StoreError> {
        self.ask(self.forget(before, most)).await
    }

    async fn forget(&self, before: Timestamp, most: usize) -> Result<usize, Fault> {
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(TRIM).await?;
        let done = DONE.map(state_number);
        let mut gone = 0;
        while gone < most {
            let batch = (most - gone).min(POSTGRES_BATCH_ROWS_MAX);
            let limit = i64::try_from(batch).unwrap_or(i64::MAX);
            let values: [&(dyn ToSql + Sync); 6] = [
                &self.given_time(),
                &before.millis(),
                &first_receipt_of(before.plus(RECEIPT_CLOCK_SLACK)),
                &done.as_slice(),
                &limit,
                &super::rows::millis(EVENTS_REMEMBERED),
            ];
            let went = usize::try_from(connection.execute(&statement, &values).await?).unwrap_or(usize::MAX);
            gone += went;
            if went < batch {
                break;
            }
        }
        Ok(gone)
    }
}

/// The smallest receipt that can be made at that moment or later.
fn first_receipt_of(at: Timestamp) -> Uuid {
    let millis = u128::try_from(at.millis().max(0)).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(millis << 80)
}
