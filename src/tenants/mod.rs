//! The customers as they are served now: settings and compiled mapping together, replaced as a whole.
//!
//! Owns: [`mod@load`] (settings, tenants, mappings and sources, read and checked together), [`watch`] (whether their files
//! changed), [`registry`] (who is served, and who is calling) and [`Tenant`]. Never: knows the store, a client or a request;
//! writes anything.
//! Fails: a load with errors changes nothing. Proved by: `tests/tenants.rs`, and the tests in `load`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use crate::domain::id::TenantId;
use crate::mapping::Mapping;
use crate::settings::{ServiceNowSettings, TenantSettings};

mod callers;
pub mod load;
pub mod registry;
mod sources;
mod unsigned;
pub mod watch;

pub use crate::settings::{Enabled, Finding};
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
    /// Of what a check of the instance depends on.
    check_digest: [u8; 32],
    /// Whether an operator enabled it, where the file leaves it to one. The one thing that may change while it is served;
    /// it passes on to whatever replaces this value.
    released: Arc<AtomicBool>,
    callers: callers::Callers,
    unsigned: Option<unsigned::Unsigned>,
}

impl Tenant {
    /// Puts settings and mapping together. `mapping_digest` is of the file the mapping was compiled from.
    pub fn new(settings: TenantSettings, mapping: Arc<Mapping>, mapping_digest: [u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(settings.digest).chain_update(mapping_digest).finalize().into();
        let check_digest = check_digest(&settings, mapping_digest);
        let callers = callers::Callers::of(&settings.senders);
        let unsigned = settings.webhook.as_ref().and_then(|webhook| webhook.unsigned.as_ref());
        let unsigned = unsigned.map(unsigned::Unsigned::of);
        let released = Arc::default();
        Self { settings, mapping, digest, mapping_digest, check_digest, released, callers, unsigned }
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
    pub fn is_enabled(&self) -> bool {
        match self.settings.enabled {
            Enabled::Yes => true,
            Enabled::No => false,
            Enabled::AfterCheck => self.released.load(Ordering::Relaxed),
        }
    }

    /// Takes over what the store says of an operator's word; answers whether that changed anything. It counts only where
    /// the file leaves it to an operator.
    pub fn set_released(&self, released: bool) -> bool {
        self.released.swap(released, Ordering::Relaxed) != released && self.settings.enabled == Enabled::AfterCheck
    }

    /// Of what a check of the instance depends on: its address, the account we use there, and the mapping. A check speaks
    /// for a tenant only while this stays the same; a new secret of the same account changes nothing of it.
    pub const fn check_digest(&self) -> &[u8; 32] {
        &self.check_digest
    }
}

fn check_digest(settings: &TenantSettings, mapping_digest: [u8; 32]) -> [u8; 32] {
    // Secrets print as `[secret]`.
    let ServiceNowSettings { instance, auth, create, user, .. } = &settings.servicenow;
    let said = format!("{instance:?} {auth:?} {create:?} {user:?}");
    Sha256::new().chain_update(said.as_bytes()).chain_update(mapping_digest).finalize().into()
}
