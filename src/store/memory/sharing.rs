//! What replicas share about a tenant's peer, as the model keeps it.

use super::MemoryStore;
use crate::delivery::sharing::{Answer, Ask};
use crate::domain::id::TenantId;

impl MemoryStore {
    pub(in crate::store) fn share_pace(&self, tenant: &TenantId, peer: &str, ask: &Ask) -> Answer {
        let now = self.clock.now();
        let mut tables = self.tables();
        let pace = tables.paces.entry((tenant.clone(), peer.to_owned())).or_default();
        pace.exchange(now, ask)
    }
}
