//! Checks and releases, and what else is done to a tenant by somebody's word, as the model keeps it.

use super::MemoryStore;
use crate::domain::id::TenantId;
use crate::store::audit::{Actor, Hash};
use crate::store::contract::Pause;
use crate::store::deeds;
use crate::store::life_cycle::{Check, CheckRecord, Release, Released, kept, may_release};

impl MemoryStore {
    pub(in crate::store) fn pause_by(&self, tenant: &TenantId, pause: Pause, by: Actor) {
        let now = self.clock.now();
        let mut tables = self.tables();
        let before = tables.paused(tenant, now);
        tables.pause(tenant, pause, now);
        let after = tables.paused(tenant, now);
        tables.record(now, &deeds::paused(tenant, before.as_ref(), after.as_ref(), by));
    }

    pub(in crate::store) fn resume_by(&self, tenant: &TenantId, by: Actor) -> Option<Pause> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let before = tables.paused(tenant, now);
        tables.resume(tenant, now);
        tables.record(now, &deeds::resumed(tenant, before.as_ref(), by));
        before
    }

    pub(in crate::store) fn record_check(&self, tenant: &TenantId, check: CheckRecord) {
        let now = self.clock.now();
        let mut tables = self.tables();
        let row = tables.tenants.entry(tenant.clone()).or_default();
        let before = row.check.as_ref().map(|check| check.digest);
        let entry = deeds::checked(tenant, before, &check);
        let CheckRecord { digest, passed, findings, by } = check;
        row.check = Some(Check { at: now, by: by.name, digest, passed, findings: kept(findings) });
        tables.record(now, &entry);
    }

    pub(in crate::store) fn release(&self, tenant: &TenantId, digest: Hash, force: bool, by: Actor) -> Released {
        let now = self.clock.now();
        let mut tables = self.tables();
        let row = tables.tenants.entry(tenant.clone()).or_default();
        let Some(forced) = may_release(row.check.as_ref(), &digest, force) else {
            return Released::Untested(row.check.clone());
        };
        let entry = deeds::released(tenant, row.release.as_ref(), digest, forced, by.clone());
        row.release = Some(Release { at: now, by: by.name, digest, forced });
        tables.record(now, &entry);
        Released::Done { forced }
    }

    pub(in crate::store) fn withdraw(&self, tenant: &TenantId, by: Actor) -> bool {
        let now = self.clock.now();
        let mut tables = self.tables();
        let before = tables.tenants.get_mut(tenant).and_then(|row| row.release.take());
        tables.record(now, &deeds::withdrawn(tenant, before.as_ref(), by));
        before.is_some()
    }
}
