//! Checks and releases, and what else is done to a tenant by somebody's word.
//!
//! Each is one transaction at READ COMMITTED that locks the tenant's row before it reads how the tenant stands, so what
//! the log says was before is what was before, also when two operators act at once on two replicas.
//! Never: decides who may, or what a check has to find. Fails: with nothing changed.
//! Proved by: `tests/store`, parts `life_cycle` and `audit`.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::PostgresStore;
use super::audit::log_deed;
use super::fault::Fault;
use super::operate::{again, end_pause, lock_tenant, paused, store_pause};
use super::rows::{from_json, json, moment, plain};
use crate::domain::id::TenantId;
use crate::store::audit::{Actor, Hash};
use crate::store::contract::{Pause, StoreError};
use crate::store::deeds;
use crate::store::life_cycle::{Check, CheckRecord, Release, Released, kept, may_release};

/// The columns that [`check`] and [`release`] read, of `tenant_check c`, from a column on.
pub(super) const CHECK_COLUMNS: &str = "c.checked_at, c.checked_by, c.digest, c.passed, c.findings, \
     c.released_at, c.released_by, c.released_digest, c.forced";

impl PostgresStore {
    pub(in crate::store) async fn pause_by(
        &self,
        tenant: &TenantId,
        pause: Pause,
        by: Actor,
    ) -> Result<(), StoreError> {
        self.ask(async { again!(self.pause_by_word(tenant, &pause, &by)) }).await
    }

    pub(in crate::store) async fn resume_by(&self, tenant: &TenantId, by: Actor) -> Result<Option<Pause>, StoreError> {
        self.ask(async { again!(self.resume_by_word(tenant, &by)) }).await
    }

    pub(in crate::store) async fn record_check(&self, tenant: &TenantId, check: CheckRecord) -> Result<(), StoreError> {
        self.ask(async { again!(self.keep_check(tenant, &check)) }).await
    }

    pub(in crate::store) async fn release(
        &self,
        tenant: &TenantId,
        digest: Hash,
        force: bool,
        by: Actor,
    ) -> Result<Released, StoreError> {
        self.ask(async { again!(self.release_by_word(tenant, &digest, force, &by)) }).await
    }

    pub(in crate::store) async fn withdraw(&self, tenant: &TenantId, by: Actor) -> Result<bool, StoreError> {
        self.ask(async { again!(self.withdraw_release(tenant, &by)) }).await
    }

    async fn pause_by_word(&self, tenant: &TenantId, pause: &Pause, by: &Actor) -> Result<(), Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let row = self.row(&transaction, tenant).await?;
        lock_tenant(&transaction, row).await?;
        let now = self.now(&transaction).await?;
        let before = paused(&transaction, row, now).await?;
        store_pause(&transaction, row, pause, before.as_ref()).await?;
        let after = paused(&transaction, row, now).await?;
        log_deed(&transaction, now, &deeds::paused(tenant, before.as_ref(), after.as_ref(), by.clone())).await?;
        Ok(transaction.commit().await?)
    }

    async fn resume_by_word(&self, tenant: &TenantId, by: &Actor) -> Result<Option<Pause>, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let row = self.known_row(&transaction, tenant).await?;
        if let Some(row) = row {
            lock_tenant(&transaction, row).await?;
        }
        let now = self.now(&transaction).await?;
        let mut before = None;
        if let Some(row) = row {
            before = paused(&transaction, row, now).await?;
            end_pause(&transaction, row).await?;
        }
        log_deed(&transaction, now, &deeds::resumed(tenant, before.as_ref(), by.clone())).await?;
        transaction.commit().await?;
        drop(connection);
        if let Some(row) = row {
            self.wake_lanes(row, now).await?;
        }
        Ok(before)
    }

    async fn keep_check(&self, tenant: &TenantId, record: &CheckRecord) -> Result<(), Fault> {
        let CheckRecord { digest, passed, findings, by } = record;
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let row = self.row(&transaction, tenant).await?;
        lock_tenant(&transaction, row).await?;
        let now = self.now(&transaction).await?;
        let (before, _) = life_cycle(&transaction, row).await?;
        let sql = "INSERT INTO tenant_check (tenant, checked_at, checked_by, digest, passed, findings) \
                     VALUES ($1, $2, $3, $4, $5, $6) \
                   ON CONFLICT (tenant) DO UPDATE SET checked_at = $2, checked_by = $3, digest = $4, passed = $5, \
                     findings = $6";
        let statement = transaction.prepare_cached(sql).await?;
        let (name, kept) = (plain(&by.name), json(&kept(findings.clone()))?);
        transaction.execute(&statement, &[&row, &now.millis(), &name, &digest.as_slice(), passed, &kept]).await?;
        let before = before.map(|check| check.digest);
        log_deed(&transaction, now, &deeds::checked(tenant, before, record)).await?;
        Ok(transaction.commit().await?)
    }

    async fn release_by_word(
        &self,
        tenant: &TenantId,
        digest: &Hash,
        force: bool,
        by: &Actor,
    ) -> Result<Released, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let row = self.row(&transaction, tenant).await?;
        lock_tenant(&transaction, row).await?;
        let now = self.now(&transaction).await?;
        let (check, before) = life_cycle(&transaction, row).await?;
        let Some(forced) = may_release(check.as_ref(), digest, force) else { return Ok(Released::Untested(check)) };
        let sql = "INSERT INTO tenant_check (tenant, released_at, released_by, released_digest, forced) \
                     VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (tenant) DO UPDATE SET released_at = $2, released_by = $3, released_digest = $4, \
                     forced = $5";
        let statement = transaction.prepare_cached(sql).await?;
        let name = plain(&by.name);
        transaction.execute(&statement, &[&row, &now.millis(), &name, &digest.as_slice(), &forced]).await?;
        let deed = deeds::released(tenant, before.as_ref(), *digest, forced, by.clone());
        log_deed(&transaction, now, &deed).await?;
        transaction.commit().await?;
        Ok(Released::Done { forced })
    }

    async fn withdraw_release(&self, tenant: &TenantId, by: &Actor) -> Result<bool, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let mut before = None;
        if let Some(row) = self.known_row(&transaction, tenant).await? {
            lock_tenant(&transaction, row).await?;
            before = life_cycle(&transaction, row).await?.1;
            if before.is_some() {
                let sql = "UPDATE tenant_check SET released_at = NULL, released_by = NULL, released_digest = NULL, \
                             forced = NULL WHERE tenant = $1";
                let statement = transaction.prepare_cached(sql).await?;
                transaction.execute(&statement, &[&row]).await?;
            }
        }
        let now = self.now(&transaction).await?;
        log_deed(&transaction, now, &deeds::withdrawn(tenant, before.as_ref(), by.clone())).await?;
        transaction.commit().await?;
        Ok(before.is_some())
    }
}

async fn life_cycle(transaction: &Transaction<'_>, tenant: i64) -> Result<(Option<Check>, Option<Release>), Fault> {
    let sql = format!("SELECT {CHECK_COLUMNS} FROM tenant_check c WHERE tenant = $1");
    let statement = transaction.prepare_cached(&sql).await?;
    let Some(row) = transaction.query_opt(&statement, &[&tenant]).await? else { return Ok((None, None)) };
    Ok((check(&row, 0)?, release(&row, 0)?))
}

/// Reads a check from that column on.
pub(super) fn check(row: &Row, from: usize) -> Result<Option<Check>, Fault> {
    let Some(at) = moment(row.try_get(from)?) else { return Ok(None) };
    Ok(Some(Check {
        at,
        by: row.try_get(from + 1)?,
        digest: hash(row, from + 2, "tenant_check.digest")?,
        passed: row.try_get(from + 3)?,
        findings: from_json(row.try_get(from + 4)?)?,
    }))
}

/// Reads a release from that column on.
pub(super) fn release(row: &Row, from: usize) -> Result<Option<Release>, Fault> {
    let Some(at) = moment(row.try_get(from + 5)?) else { return Ok(None) };
    Ok(Some(Release {
        at,
        by: row.try_get(from + 6)?,
        digest: hash(row, from + 7, "tenant_check.released_digest")?,
        forced: row.try_get(from + 8)?,
    }))
}

fn hash(row: &Row, column: usize, what: &str) -> Result<Hash, Fault> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|error| Fault::nonsense(what, error))
}
