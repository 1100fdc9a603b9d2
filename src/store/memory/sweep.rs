//! Sweeps, as the model keeps them: who may ask an instance what changed, and how far the one before came.

use std::time::Duration;

use super::{MemoryStore, Tables};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::contract::{Held, SweepCursor, SweepLease};

#[derive(Debug, Default)]
pub(super) struct Sweep {
    fence: u64,
    leased_until: Option<Timestamp>,
    /// When the latest one began, finished or not.
    began: Timestamp,
    /// When the latest finished one began.
    last_began: Option<Timestamp>,
    cursor: SweepCursor,
}

impl MemoryStore {
    pub(in crate::store) fn lease_sweep(
        &self,
        tenant: &TenantId,
        _owner: &str,
        every: Duration,
        lease_for: Duration,
    ) -> Option<SweepLease> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let sweep = tables.sweeps.entry(tenant.clone()).or_default();
        let leased = sweep.leased_until.is_some_and(|until| until > now);
        let fresh = sweep.last_began.is_some_and(|began| now.since(began) < every);
        if leased || fresh {
            return None;
        }
        sweep.fence += 1;
        sweep.leased_until = Some(now.plus(lease_for));
        sweep.began = now;
        Some(SweepLease { tenant: tenant.clone(), fence: sweep.fence, cursor: sweep.cursor.clone(), now })
    }

    pub(in crate::store) fn save_sweep(
        &self,
        lease: &SweepLease,
        cursor: &SweepCursor,
        lease_for: Duration,
    ) -> Held<()> {
        let until = self.clock.now().plus(lease_for);
        let mut tables = self.tables();
        let Some(sweep) = tables.held_sweep(lease) else { return Held::Lost };
        sweep.cursor = cursor.clone();
        sweep.leased_until = Some(until);
        Held::Yes(())
    }

    pub(in crate::store) fn finish_sweep(&self, lease: &SweepLease, cursor: &SweepCursor) -> Held<()> {
        let mut tables = self.tables();
        let Some(sweep) = tables.held_sweep(lease) else { return Held::Lost };
        sweep.cursor = cursor.clone();
        sweep.leased_until = None;
        sweep.last_began = Some(sweep.began);
        Held::Yes(())
    }
}

impl Tables {
    /// The tenant's sweep, if the lease still holds it.
    fn held_sweep(&mut self, lease: &SweepLease) -> Option<&mut Sweep> {
        let sweep = self.sweeps.get_mut(&lease.tenant)?;
        (sweep.fence == lease.fence && sweep.leased_until.is_some()).then_some(sweep)
    }
}
