//! Checks and releases, and what else is done to a tenant by somebody's word.

use rusqlite::{OptionalExtension, Row, params};

use super::fault::Fault;
use super::rows::{from_json, json};
use super::session::Session;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::audit::{Actor, Hash};
use crate::store::contract::Pause;
use crate::store::deeds;
use crate::store::life_cycle::{Check, CheckRecord, Release, Released, kept, may_release};

/// The columns that [`check`] and [`release`] read, of `tenant_check c`, from a column on.
pub(super) const CHECK_COLUMNS: &str = "c.checked_at, c.checked_by, c.digest, c.passed, c.findings, \
     c.released_at, c.released_by, c.released_digest, c.forced";

impl Session {
    pub(super) fn pause_by(&mut self, tenant: &TenantId, pause: &Pause, by: &Actor) -> Result<(), Fault> {
        let before = self.paused(tenant)?;
        self.pause(tenant, pause)?;
        let after = self.paused(tenant)?;
        self.log_deed(self.now(), &deeds::paused(tenant, before.as_ref(), after.as_ref(), by.clone()))?;
        Ok(())
    }

    pub(super) fn resume_by(&mut self, tenant: &TenantId, by: &Actor) -> Result<Option<Pause>, Fault> {
        let before = self.paused(tenant)?;
        self.resume(tenant)?;
        self.log_deed(self.now(), &deeds::resumed(tenant, before.as_ref(), by.clone()))?;
        Ok(before)
    }

    pub(super) fn paused(&self, tenant: &TenantId) -> Result<Option<Pause>, Fault> {
        let sql = "SELECT paused_until, pause_code, pause_reason FROM tenant WHERE name = ?1 AND paused_until > ?2";
        let pause = |row: &Row<'_>| {
            Ok(Pause { until: Timestamp::from_millis(row.get(0)?), code: row.get(1)?, reason: row.get(2)? })
        };
        let of = params![tenant.as_str(), self.now().millis()];
        Ok(self.connection.prepare_cached(sql)?.query_row(of, pause).optional()?)
    }

    pub(super) fn record_check(&mut self, tenant: &TenantId, record: &CheckRecord) -> Result<(), Fault> {
        let now = self.now();
        let CheckRecord { digest, passed, findings, by } = record;
        let row = self.tenants.row(&self.connection, tenant)?;
        let (before, _) = self.life_cycle(row)?;
        let sql = "INSERT INTO tenant_check (tenant, checked_at, checked_by, digest, passed, findings) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                   ON CONFLICT (tenant) DO UPDATE SET checked_at = ?2, checked_by = ?3, digest = ?4, passed = ?5, \
                     findings = ?6";
        let kept = json(&kept(findings.clone()))?;
        let values = params![row, now.millis(), by.name, digest.as_slice(), passed, kept];
        self.connection.prepare_cached(sql)?.execute(values)?;
        let before = before.map(|check| check.digest);
        self.log_deed(now, &deeds::checked(tenant, before, record))?;
        Ok(())
    }

    pub(super) fn release(
        &mut self,
        tenant: &TenantId,
        digest: &Hash,
        force: bool,
        by: &Actor,
    ) -> Result<Released, Fault> {
        let now = self.now();
        let row = self.tenants.row(&self.connection, tenant)?;
        let (check, before) = self.life_cycle(row)?;
        let Some(forced) = may_release(check.as_ref(), digest, force) else { return Ok(Released::Untested(check)) };
        let sql = "INSERT INTO tenant_check (tenant, released_at, released_by, released_digest, forced) \
                     VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT (tenant) DO UPDATE SET released_at = ?2, released_by = ?3, released_digest = ?4, \
                     forced = ?5";
        let values = params![row, now.millis(), by.name, digest.as_slice(), forced];
        self.connection.prepare_cached(sql)?.execute(values)?;
        self.log_deed(now, &deeds::released(tenant, before.as_ref(), *digest, forced, by.clone()))?;
        Ok(Released::Done { forced })
    }

    pub(super) fn withdraw(&self, tenant: &TenantId, by: &Actor) -> Result<bool, Fault> {
        let before = match self.tenants.known_row(tenant) {
            Some(row) => self.life_cycle(row)?.1,
            None => None,
        };
        if let (Some(_), Some(row)) = (&before, self.tenants.known_row(tenant)) {
            let sql = "UPDATE tenant_check SET released_at = NULL, released_by = NULL, released_digest = NULL, \
                         forced = NULL WHERE tenant = ?1";
            self.connection.prepare_cached(sql)?.execute(params![row])?;
        }
        self.log_deed(self.now(), &deeds::withdrawn(tenant, before.as_ref(), by.clone()))?;
        Ok(before.is_some())
    }

    fn life_cycle(&self, tenant: i64) -> Result<(Option<Check>, Option<Release>), Fault> {
        let sql = format!("SELECT {CHECK_COLUMNS} FROM tenant_check c WHERE tenant = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![tenant])?;
        let Some(row) = rows.next()? else { return Ok((None, None)) };
        Ok((check(row, 0)?, release(row, 0)?))
    }
}

/// Reads a check from that column on.
pub(super) fn check(row: &Row<'_>, from: usize) -> Result<Option<Check>, Fault> {
    let Some(at) = row.get::<_, Option<i64>>(from)? else { return Ok(None) };
    let findings: Option<String> = row.get(from + 4)?;
    Ok(Some(Check {
        at: Timestamp::from_millis(at),
        by: row.get(from + 1)?,
        digest: row.get(from + 2)?,
        passed: row.get(from + 3)?,
        findings: from_json(findings.as_deref())?,
    }))
}

/// Reads a release from that column on.
pub(super) fn release(row: &Row<'_>, from: usize) -> Result<Option<Release>, Fault> {
    let Some(at) = row.get::<_, Option<i64>>(from + 5)? else { return Ok(None) };
    Ok(Some(Release {
        at: Timestamp::from_millis(at),
        by: row.get(from + 6)?,
        digest: row.get(from + 7)?,
        forced: row.get(from + 8)?,
    }))
}
