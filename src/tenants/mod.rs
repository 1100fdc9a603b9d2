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
use crate::security::api_key::ApiKeyHash;
use crate::security::signature::{HexSignatures, WebhookSecret};
use crate::settings::{Sender, SenderCredential, TenantSettings};

pub mod load;
pub mod registry;
mod sources;
mod unsigned;
pub mod watch;

pub use crate::settings::Finding;
pub use load::{Loaded, Prepared, load, load_over, sources_folder};
pub use registry::{Authenticated, Credential, Diff, InstanceCredential, Registry, SignedRequest, Unauthenticated};
pub use sources::Sources;

/// One customer, ready to be served. Never changes: a reload replaces it, and work in flight keeps the one it began with.
#[derive(Debug)]
pub struct Tenant {
    settings: TenantSettings,
    mapping: Arc<Mapping>,
    /// Of the settings and the mapping's file: differs if anything of either does.
    digest: [u8; 32],
    mapping_digest: [u8; 32],
    keys: Vec<(ApiKeyHash, Arc<str>)>,
    secrets: Vec<(WebhookSecret, Arc<str>)>,
    hex: HexSignatures,
    unsigned: Option<unsigned::Unsigned>,
}

impl Tenant {
    /// Puts settings and mapping together. `mapping_digest` is of the file the mapping was compiled from.
    pub fn new(settings: TenantSettings, mapping: Arc<Mapping>, mapping_digest: [u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(settings.digest).chain_update(mapping_digest).finalize().into();
        let (mut keys, mut secrets, mut hex) = (Vec::new(), Vec::new(), HexSignatures::Refuse);
        for Sender { name, credential } in &settings.senders {
            match credential {
                SenderCredential::ApiKey(hash) => keys.push((*hash, Arc::clone(name))),
                SenderCredential::Webhook(secret, accepted) => {
                    secrets.push((secret.clone(), Arc::clone(name)));
                    // A signature in hexadecimal proves as much as one in base64, so one sender's need may serve all.
                    hex = hex.or(*accepted);
                }
            }
        }
        let unsigned = settings.webhook.as_ref().and_then(|webhook| webhook.unsigned.as_ref());
        let unsigned = unsigned.map(unsigned::Unsigned::of);
        Self { settings, mapping, digest, mapping_digest, keys, secrets, hex, unsigned }
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
