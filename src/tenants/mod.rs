//! The customers as they are served now: settings and compiled mapping together, replaced as a whole.
//!
//! Owns: [`mod@load`] (settings, tenants, mappings and sources, read and checked together), [`watch`] (whether their files
//! changed), [`registry`] (who is served, and who is calling) and [`Tenant`]. Never: knows the store, a client or a request;
//! writes anything.
//! Fails: a load with errors changes nothing. Proved by: `tests/tenants.rs`, and the tests in `load`.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::id::TenantId;
use crate::mapping::Mapping;
use crate::settings::TenantSettings;

mod callers;
pub mod load;
pub mod registry;
mod sources;
mod unsigned;
pub mod watch;

pub use crate::settings::Finding;
pub use load::{Loaded, Prepared, load, load_over, sources_folder};
pub use registry::{
    Authenticated, Credential, Diff, InstanceCredential, Registry, SignedRequest, Unauthenticated, Wanted,
};
pub use sources::Sources;

/// One customer, ready to be served. Never changes: a reload replaces it, and work in flight keeps the one it began with.
#[derive(Debug)]
pub struct Tenant {
    settings: TenantSettings,
    mapping: Arc<Mapping>,
    /// Of the settings and the mapping's file: differs if anything of either does.
    digest: [u8; 32],
    mapping_digest: [u8; 32],
    callers: callers::Callers,
    unsigned: Option<unsigned::Unsigned>,
}

impl Tenant {
    /// Puts settings and mapping together. `mapping_digest` is of the file the mapping was compiled from.
    pub fn new(settings: TenantSettings, mapping: Arc<Mapping>, mapping_digest: [u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(settings.digest).chain_update(mapping_digest).finalize().into();
        let callers = callers::Callers::of(&settings.senders);
        let unsigned = settings.webhook.as_ref().and_then(|webhook| webhook.unsigned.as_ref());
        let unsigned = unsigned.map(unsigned::Unsigned::of);
        Self { settings, mapping, digest, mapping_digest, callers, unsigned }
    }

    /// Its name.
    pub const fn id(&self) -> &TenantId {
        &self.settings.tenant
    }

    /// What its file says.
    pub const fn settings(&self) -> &TenantSettings {
        &self.settings
    }

    /// Its mapping, shared with every tenant that names the same file.
    pub const fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Whether the other has the very same mapping, to the letter.
    pub fn is_mapped_like(&self, other: &Self) -> bool {
        self.mapping_digest == other.mapping_digest
    }

    /// Whether anything is accepted and delivered for it.
    pub const fn is_enabled(&self) -> bool {
        self.settings.enabled
    }
}
