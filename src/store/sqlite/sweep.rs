//! Sweeps: who may ask an instance what changed, and how far the one before came.
//!
//! Fails: a cursor that cannot be read is an error and no fresh start, because what lies between would be missed.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::rows::{from_json, json, signed, unsigned};
use super::session::Session;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::contract::{Held, SweepCursor, SweepLease};

/// How a tenant's sweep stands.
struct Standing {
    fence: i64,
    leased_until: Option<i64>,
    last_began: Option<i64>,
    cursor: Option<String>,
}

impl Session {
    pub(super) fn lease_sweep(
        &mut self,
        tenant: &TenantId,
        owner: &str,
        every: Duration,
        lease_for: Duration,
    ) -> Result<Option<SweepLease>, Fault> {
        let now = self.now();
        let row = self.tenants.row(&self.connection, tenant)?;
        let before = self.sweep_of(row)?;
        if before.as_ref().is_some_and(|sweep| sweep.is_leased(now) || sweep.is_fresh(now, every)) {
            return Ok(None);
        }
        let (fence, cursor) = before.map_or((0, None), |sweep| (sweep.fence, sweep.cursor));
        let cursor: SweepCursor = from_json(cursor.as_deref())?;
        let sql = "INSERT INTO sweep (tenant, fence, owner, leased_until, began) VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT (tenant) DO UPDATE SET fence = excluded.fence, owner = excluded.owner, \
                     leased_until = excluded.leased_until, began = excluded.began";
        let until = now.plus(lease_for).millis();
        self.connection.prepare_cached(sql)?.execute(params![row, fence + 1, owner, until, now.millis()])?;
        Ok(Some(SweepLease { tenant: tenant.clone(), fence: unsigned(fence + 1), cursor, now }))
    }

    fn sweep_of(&self, tenant: i64) -> Result<Option<Standing>, Fault> {
        let sql = "SELECT fence, leased_until, last_began, cursor FROM sweep WHERE tenant = ?1";
        let standing = |row: &rusqlite::Row<'_>| {
            Ok(Standing { fence: row.get(0)?, leased_until: row.get(1)?, last_began: row.get(2)?, cursor: row.get(3)? })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row(params![tenant], standing).optional()?)
    }

    pub(super) fn save_sweep(
        &mut self,
        lease: &SweepLease,
        cursor: &SweepCursor,
        lease_for: Duration,
    ) -> Result<Held<()>, Fault> {
        let until = self.now().plus(lease_for).millis();
        let sql = "UPDATE sweep SET cursor = ?3, leased_until = ?4 \
                   WHERE tenant = ?1 AND fence = ?2 AND leased_until IS NOT NULL";
        let Some(row) = self.tenants.known_row(&lease.tenant) else { return Ok(Held::Lost) };
        let values = params![row, signed(lease.fence), json(cursor)?, until];
        Ok(held(self.connection.prepare_cached(sql)?.execute(values)?))
    }

    pub(super) fn finish_sweep(&mut self, lease: &SweepLease, cursor: &SweepCursor) -> Result<Held<()>, Fault> {
        let sql = "UPDATE sweep SET cursor = ?3, leased_until = NULL, owner = NULL, last_began = began \
                   WHERE tenant = ?1 AND fence = ?2 AND leased_until IS NOT NULL";
        let Some(row) = self.tenants.known_row(&lease.tenant) else { return Ok(Held::Lost) };
        Ok(held(self.connection.prepare_cached(sql)?.execute(params![row, signed(lease.fence), json(cursor)?])?))
    }
}

impl Standing {
    fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| until > now.millis())
    }

    /// Whether it was swept so lately that no other sweep is due.
    fn is_fresh(&self, now: Timestamp, every: Duration) -> bool {
        self.last_began.is_some_and(|began| now.since(Timestamp::from_millis(began)) < every)
    }
}

/// A fenced write changes the one row, or none if the lease is gone.
const fn held(rows: usize) -> Held<()> {
    if rows == 0 { Held::Lost } else { Held::Yes(()) }
}
