//! What people and configuration do: pauses, replays and drops.
//!
//! Each is one transaction at READ COMMITTED that locks first and reads then, so what it read is still so when it writes:
//! a pause its tenant's row, a replay its lane's row and after that its delivery, in the order in which settlements lock
//! them. Of two replicas that replay one delivery the second waits, and finds it not parked any more. What a person did
//! is recorded last in the same transaction, because the log takes one writer at a time.
//! Never: decides who may. Fails: with nothing changed; a transaction that met another one is run again (`again!`).
//! Proved by: `tests/store`, parts `parking` and `tenants`.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::audit::log_deed;
use super::fault::Fault;
use super::read::BY_RECEIPT;
use super::rows::{STATE_NUMBERS, json, plain, receipt_uuid, signed, state_number, unsigned};
use super::settle::give_back;
use crate::delivery::record::{Ending, State, Urgency};
use crate::domain::id::{DeliveryId, EventKey, TenantId};
use crate::domain::time::Timestamp;
use crate::limits::POSTGRES_BATCH_ROWS_MAX;
use crate::store::audit::{Actor, Hash};
use crate::store::contract::{NewDelivery, Pause, REPLAY_SOURCE, Replayed, StoreError};
use crate::store::deeds;

/// Runs a transaction again that another replica's came in the way of, a few times. (A macro: a closure that is awaited
/// and borrows cannot yet promise that its future may move between threads.)
macro_rules! again {
    ($attempt:expr) => {{
        let mut tries = 1;
        loop {
            match $attempt.await {
                Err(Fault::Contested(_)) if tries < crate::limits::POSTGRES_TRIES_MAX => tries += 1,
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use again;

/// A parked delivery, and how its lane stands.
struct Found {
    lane: i64,
    sequence: u64,
    parked: bool,
    /// Whether its lane waits for it.
    blocks: bool,
    body: Hash,
}

/// A pause that has not ended yet.
pub(super) async fn paused(transaction: &Transaction<'_>, tenant: i64, now: Timestamp) -> Result<Option<Pause>, Fault> {
    let sql = "SELECT paused_until, pause_code, pause_reason FROM tenant WHERE id = $1 AND paused_until > $2";
    let statement = transaction.prepare_cached(sql).await?;
    let Some(row) = transaction.query_opt(&statement, &[&tenant, &now.millis()]).await? else { return Ok(None) };
    Ok(Some(Pause { until: Timestamp::from_millis(row.try_get(0)?), code: row.try_get(1)?, reason: row.try_get(2)? }))
}

/// Keeps others from pausing, resuming, checking and releasing a tenant until the end of the transaction. Lanes that
/// are made meanwhile refer to the row and do not wait for this.
pub(super) async fn lock_tenant(transaction: &Transaction<'_>, tenant: i64) -> Result<(), Fault> {
    let lock = transaction.prepare_cached("SELECT FROM tenant WHERE id = $1 FOR NO KEY UPDATE").await?;
    transaction.query_opt(&lock, &[&tenant]).await?;
    Ok(())
}

/// Stores a pause if it counts beside the present one; the tenant is locked.
pub(super) async fn store_pause(
    transaction: &Transaction<'_>,
    tenant: i64,
    pause: &Pause,
    present: Option<&Pause>,
) -> Result<(), Fault> {
    let Some(Pause { until, code, reason }) = pause.clone().over(present) else { return Ok(()) };
    let sql = "UPDATE tenant SET paused_until = $2, pause_code = $3, pause_reason = $4 WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&tenant, &until.millis(), &plain(&code), &plain(&reason)]).await?;
    Ok(())
}

/// Takes a tenant's pause away; the tenant is locked.
pub(super) async fn end_pause(transaction: &Transaction<'_>, tenant: i64) -> Result<(), Fault> {
    let sql = "UPDATE tenant SET paused_until = NULL, pause_code = NULL, pause_reason = NULL WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&tenant]).await?;
    Ok(())
}

impl PostgresStore {
    pub(in crate::store) async fn pause_tenant(&self, tenant: &TenantId, pause: Pause) -> Result<(), StoreError> {
        self.ask(async { again!(self.pause(tenant, &pause)) }).await
    }

    pub(in crate::store) async fn resume_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        self.ask(async { again!(self.resume(tenant, None)) }).await.map(drop)
    }

    pub(in crate::store) async fn resume_unless(
        &self,
        tenant: &TenantId,
        codes: &[&str],
    ) -> Result<Option<Pause>, StoreError> {
        self.ask(async { again!(self.resume(tenant, Some(codes))) }).await
    }

    pub(in crate::store) async fn replay(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        new: DeliveryId,
        by: Actor,
    ) -> Result<Replayed, StoreError> {
        self.ask(async { again!(self.replay_parked(tenant, id, &new, &by)) }).await
    }

    pub(in crate::store) async fn drop_parked(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        by: Actor,
    ) -> Result<Replayed, StoreError> {
        self.ask(async { again!(self.drop_one_parked(tenant, id, &by)) }).await
    }

    async fn pause(&self, tenant: &TenantId, pause: &Pause) -> Result<(), Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let row = self.row(&transaction, tenant).await?;
        lock_tenant(&transaction, row).await?;
        let now = self.now(&transaction).await?;
        let present = paused(&transaction, row, now).await?;
        store_pause(&transaction, row, pause, present.as_ref()).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends a pause, or only one whose code is none of these; answers which one was ended.
    async fn resume(&self, tenant: &TenantId, unless: Option<&[&str]>) -> Result<Option<Pause>, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = self.known_row(&transaction, tenant).await? else { return Ok(None) };
        lock_tenant(&transaction, row).await?;
        let now = self.now(&transaction).await?;
        let pause = paused(&transaction, row, now)
            .await?
            .filter(|pause| !unless.is_some_and(|codes| codes.contains(&pause.code.as_str())));
        if unless.is_some() && pause.is_none() {
            return Ok(None);
        }
        end_pause(&transaction, row).await?;
        transaction.commit().await?;
        drop(connection);
        self.wake_lanes(row, now).await?;
        Ok(pause)
    }

    /// What waited for the end of a pause goes on now. A leased lane is somebody's; a parked one has no due.
    ///
    /// Apart from the pause's end, and in batches, because nobody knows how many there are; lanes are locked in the order
    /// that all keep. If it breaks off, the rest goes on when its own time has come.
    pub(super) async fn wake_lanes(&self, tenant: i64, now: Timestamp) -> Result<(), Fault> {
        // Found by the index of what is due, rank by rank; the limit inside leaves the planner no other way.
        let sql = "WITH late AS MATERIALIZED (SELECT found.id FROM unnest($2::smallint[]) AS of (rank) \
                     CROSS JOIN LATERAL (SELECT id FROM lane WHERE tenant = $1 AND rank = of.rank AND due > $3 \
                       AND leased_until IS NULL ORDER BY due LIMIT $4) found LIMIT $4), \
                   locked AS MATERIALIZED (SELECT id FROM lane WHERE id IN (SELECT id FROM late) AND due > $3 \
                     AND leased_until IS NULL ORDER BY incident, direction FOR NO KEY UPDATE) \
                   UPDATE lane SET due = $3 FROM locked WHERE lane.id = locked.id";
        let ranks: Vec<i16> = Urgency::ALL.iter().filter_map(|urgency| i16::try_from(urgency.rank()).ok()).collect();
        let most = i64::try_from(POSTGRES_BATCH_ROWS_MAX).unwrap_or(i64::MAX);
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        loop {
            let values: [&(dyn ToSql + Sync); 4] = [&tenant, &ranks, &now.millis(), &most];
            let woken = connection.execute(&statement, &values).await?;
            self.tenants.wake(tenant, now);
            if woken == 0 {
                return Ok(());
            }
        }
    }

    async fn replay_parked(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        new: &DeliveryId,
        by: &Actor,
    ) -> Result<Replayed, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some((row, found)) = self.find_locked(&transaction, tenant, id).await? else {
            return Ok(Replayed::Unknown);
        };
        if !found.parked {
            return Ok(Replayed::NotParked);
        }
        let now = self.now(&transaction).await?;
        let done = if found.blocks {
            set_state(&transaction, &found, State::Waiting, None).await?;
            give_back(&transaction, found.lane, found.sequence, false, now).await?;
            id
        } else {
            let Ok(event) = EventKey::new(REPLAY_SOURCE, id.as_str()) else { return Ok(Replayed::NotParked) };
            let change = self.stored_change(&transaction, found.lane, found.sequence).await?;
            let ending = Ending { superseded_by: Some(new.clone()), ..Ending::default() };
            set_state(&transaction, &found, State::Superseded, Some((now, &ending))).await?;
            self.append(&transaction, row, &NewDelivery { id: new.clone(), event, ..change }, now).await?;
            new
        };
        log_deed(&transaction, now, &deeds::replayed(tenant, id, done, found.body, by.clone())).await?;
        transaction.commit().await?;
        self.tenants.wake(row, now);
        Ok(Replayed::Done(done.clone()))
    }

    async fn drop_one_parked(&self, tenant: &TenantId, id: &DeliveryId, by: &Actor) -> Result<Replayed, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some((row, found)) = self.find_locked(&transaction, tenant, id).await? else {
            return Ok(Replayed::Unknown);
        };
        if !found.parked {
            return Ok(Replayed::NotParked);
        }
        let now = self.now(&transaction).await?;
        let sql = "UPDATE delivery SET state = $3 WHERE lane = $1 AND sequence = $2";
        let statement = transaction.prepare_cached(sql).await?;
        let dropped: [&(dyn ToSql + Sync); 3] = [&found.lane, &signed(found.sequence), &state_number(State::Dropped)];
        transaction.execute(&statement, &dropped).await?;
        if found.blocks {
            give_back(&transaction, found.lane, found.sequence + 1, false, now).await?;
        }
        log_deed(&transaction, now, &deeds::dropped(tenant, id, found.body, by.clone())).await?;
        transaction.commit().await?;
        self.tenants.wake(row, now);
        Ok(Replayed::Done(id.clone()))
    }

    /// Locks a delivery's lane, and only then looks at both; answers the tenant's row with them.
    async fn find_locked(
        &self,
        transaction: &Transaction<'_>,
        tenant: &TenantId,
        id: &DeliveryId,
    ) -> Result<Option<(i64, Found)>, Fault> {
        let Some(tenant) = self.known_row(transaction, tenant).await? else { return Ok(None) };
        let of_tenant = "(SELECT $1::bigint AS id) of_tenant";
        let lock = format!(
            "SELECT id FROM lane WHERE id = (SELECT d.lane FROM {of_tenant} CROSS JOIN LATERAL {BY_RECEIPT} d) \
             FOR NO KEY UPDATE"
        );
        let lock = transaction.prepare_cached(&lock).await?;
        let delivery: [&(dyn ToSql + Sync); 3] = [&tenant, &STATE_NUMBERS.as_slice(), &receipt_uuid(id)];
        let Some(lane) = transaction.query_opt(&lock, &delivery).await? else { return Ok(None) };
        let lane: i64 = lane.try_get(0)?;
        let find = format!(
            "SELECT d.sequence, d.state, l.parked AND l.head = d.sequence, d.body_hash \
             FROM {of_tenant} CROSS JOIN LATERAL {BY_RECEIPT} d JOIN lane l ON l.id = d.lane"
        );
        let find = transaction.prepare_cached(&find).await?;
        let Some(row) = transaction.query_opt(&find, &delivery).await? else { return Ok(None) };
        let hash: &[u8] = row.try_get(3)?;
        let found = Found {
            lane,
            sequence: unsigned(row.try_get(0)?),
            parked: row.try_get::<_, i16>(1)? == state_number(State::Parked),
            blocks: row.try_get(2)?,
            body: hash.try_into().map_err(|error| Fault::nonsense("delivery.body_hash", error))?,
        };
        Ok(Some((tenant, found)))
    }
}

async fn set_state(
    transaction: &Transaction<'_>,
    found: &Found,
    state: State,
    ended: Option<(Timestamp, &Ending)>,
) -> Result<(), Fault> {
    let sql = "UPDATE delivery SET state = $3, sending_since = NULL, ended_at = $4, ending = $5 \
               WHERE lane = $1 AND sequence = $2";
    let at = ended.map(|(at, _)| at.millis());
    let ending = ended.map(|(_, ending)| json(ending)).transpose()?;
    let statement = transaction.prepare_cached(sql).await?;
    let values: [&(dyn ToSql + Sync); 5] = [&found.lane, &signed(found.sequence), &state_number(state), &at, &ending];
    transaction.execute(&statement, &values).await?;
    Ok(())
}
