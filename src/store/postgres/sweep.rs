//! Sweeps: who may ask an instance what changed, and how far the one before came.
//!
//! Each of the three is one statement, so it needs no transaction of its own and no lock that outlives it. Two replicas
//! that want the same tenant meet at its row: the second waits for the first one's commit, finds the lease that it wrote
//! (an upsert judges its condition anew on the newest row), and gets none.
//! Fails: a cursor that cannot be read is an error and no fresh start, because what lies between would be missed.
//! Proved by: `tests/store`, part `sweeping`.

use std::time::Duration;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{from_json, json, millis, plain, signed, unsigned};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::contract::{Held, StoreError, SweepCursor, SweepLease};

impl PostgresStore {
    pub(in crate::store) async fn lease_sweep(
        &self,
        tenant: &TenantId,
        owner: &str,
        every: Duration,
        lease_for: Duration,
    ) -> Result<Option<SweepLease>, StoreError> {
        self.ask(self.take_sweep(tenant, owner, every, lease_for)).await
    }

    pub(in crate::store) async fn save_sweep(
        &self,
        lease: &SweepLease,
        cursor: &SweepCursor,
        lease_for: Duration,
    ) -> Result<Held<()>, StoreError> {
        self.ask(self.note_sweep(lease, cursor, lease_for)).await
    }

    pub(in crate::store) async fn finish_sweep(
        &self,
        lease: &SweepLease,
        cursor: &SweepCursor,
    ) -> Result<Held<()>, StoreError> {
        self.ask(self.end_sweep(lease, cursor)).await
    }

    async fn take_sweep(
        &self,
        tenant: &TenantId,
        owner: &str,
        every: Duration,
        lease_for: Duration,
    ) -> Result<Option<SweepLease>, Fault> {
        // Looked at before it is tried: a refused upsert locks the row, and most replicas ask in vain most of the time.
        let sql = "WITH moment AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now) \
             INSERT INTO sweep AS s (tenant, fence, owner, leased_until, began) \
               SELECT $2, 1, $3, now + $4, now FROM moment WHERE NOT EXISTS (SELECT 1 FROM sweep \
                 WHERE tenant = $2 AND (leased_until > now OR now - last_began < $5)) \
             ON CONFLICT (tenant) DO UPDATE SET fence = s.fence + 1, owner = excluded.owner, \
                 leased_until = excluded.leased_until, began = excluded.began \
               WHERE (s.leased_until > excluded.began OR excluded.began - s.last_began < $5) IS NOT TRUE \
             RETURNING fence, cursor, began";
        let connection = self.connection().await?;
        let row = self.row(&connection, tenant).await?;
        let statement = connection.prepare_cached(sql).await?;
        let owner = plain(owner);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&self.given_time(), &row, &owner, &millis(lease_for), &millis(every)];
        let Some(taken) = connection.query_opt(&statement, &values).await? else { return Ok(None) };
        Ok(Some(SweepLease {
            tenant: tenant.clone(),
            fence: unsigned(taken.try_get(0)?),
            cursor: from_json(taken.try_get(1)?)?,
            now: Timestamp::from_millis(taken.try_get(2)?),
        }))
    }

    async fn note_sweep(
        &self,
        lease: &SweepLease,
        cursor: &SweepCursor,
        lease_for: Duration,
    ) -> Result<Held<()>, Fault> {
        let sql = "UPDATE sweep SET cursor = $3, leased_until = coalesce($4::bigint, store_now()) + $5 \
                   WHERE tenant = (SELECT id FROM tenant WHERE name = $1) AND fence = $2 AND leased_until IS NOT NULL";
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        let (tenant, fence) = (lease.tenant.as_str(), signed(lease.fence));
        let (now, cursor) = (self.given_time(), json(cursor)?);
        Ok(held(connection.execute(&statement, &[&tenant, &fence, &cursor, &now, &millis(lease_for)]).await?))
    }

    async fn end_sweep(&self, lease: &SweepLease, cursor: &SweepCursor) -> Result<Held<()>, Fault> {
        let sql = "UPDATE sweep SET cursor = $3, leased_until = NULL, owner = NULL, last_began = began \
                   WHERE tenant = (SELECT id FROM tenant WHERE name = $1) AND fence = $2 AND leased_until IS NOT NULL";
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        let (tenant, fence, cursor) = (lease.tenant.as_str(), signed(lease.fence), json(cursor)?);
        Ok(held(connection.execute(&statement, &[&tenant, &fence, &cursor]).await?))
    }
}

/// A fenced write changes the one row, or none if the lease is gone.
const fn held(rows: u64) -> Held<()> {
    if rows == 0 { Held::Lost } else { Held::Yes(()) }
}
