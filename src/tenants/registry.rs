//! Who is served now, and who is calling.
//!
//! Owns: replacing all tenants at once, and authentication. A lookup never waits for a reload, and a reload never for
//! lookups. Never: says why to a caller: an unknown tenant, a wrong key and a wrong signature are one and the same
//! answer, and cost the same, so that nobody can learn from either who is a customer.
//! Fails: closed. Proved by: `tests/tenants.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::unsigned;
use super::{Sources, Tenant};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::security::api_key;
use crate::security::signature::{self, HexSignatures, SignatureError, SignedHeaders, WebhookSecret};

/// The tenants that are served. Starts empty: it serves nobody.
#[derive(Debug)]
pub struct Registry {
    tenants: ArcSwap<Tenants>,
    sources: ArcSwap<Sources>,
}

/// What a replacement changed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Tenants that were not served before.
    pub added: Vec<TenantId>,
    /// Tenants whose settings, secrets or mapping differ.
    pub changed: Vec<TenantId>,
    /// Tenants that are not served any more. What waits for them stays.
    pub removed: Vec<TenantId>,
}

/// A caller that proved who it is.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// For which tenant it speaks.
    pub tenant: Arc<Tenant>,
    /// Its name in the tenant's file; `servicenow` for the instance itself.
    pub sender: Arc<str>,
    /// `api_key`, `unsigned`, or `secret_1`, `secret_2`, … in the order of the file: shows which secret of a rotation is
    /// in use, and whether an instance signs already.
    pub credential: &'static str,
}

/// What a caller shows to prove who it is.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// The text after `Authorization: Bearer`.
    ApiKey(&'a str),
    /// A signed request.
    Signature(SignedRequest<'a>),
}

/// What an instance shows to prove who it is.
#[derive(Clone, Copy)]
pub enum InstanceCredential<'a> {
    /// A signed request. If the signature is wrong, nothing else is looked at.
    Signed(SignedRequest<'a>),
    /// A request without a signature: the value of each of its headers, by the name in lower case. Which header shows
    /// who is calling, the tenant's file says, if it allows any.
    Unsigned(&'a dyn Fn(&str) -> Option<&'a str>),
}

/// A signed request as it came.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// Its three headers.
    pub headers: SignedHeaders<'a>,
    /// Its body, byte for byte.
    pub body: &'a [u8],
    /// When it arrived.
    pub now: Timestamp,
}

/// Why a caller is nobody; for the log. All of them get the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// There is no such tenant, or it has no such key.
    #[error("no tenant of that name has that key")]
    Key,
    /// The signature does not hold for this tenant, or there is no such tenant.
    #[error("no tenant of that name takes that signature")]
    Signature(#[source] SignatureError),
}

#[derive(Debug)]
struct Tenants {
    by_name: HashMap<Arc<str>, Arc<Tenant>>,
    /// How many signatures are computed for a caller who turns out to be nobody, whichever tenant it names.
    macs: usize,
    decoy: WebhookSecret,
}

impl Default for Registry {
    fn default() -> Self {
        Self { tenants: ArcSwap::from_pointee(Tenants::of(HashMap::new())), sources: ArcSwap::default() }
    }
}

impl Registry {
    /// Serves these tenants from now on, and says what that changed. A tenant that did not change stays the very same
    /// value, so whatever was built for it can be kept.
    pub fn replace(&self, tenants: Vec<Tenant>) -> Diff {
        let before = self.tenants.load_full();
        let mut diff = Diff::default();
        let mut by_name: HashMap<Arc<str>, Arc<Tenant>> = HashMap::with_capacity(tenants.len());
        for tenant in tenants {
            let (name, kept): (Arc<str>, _) = match before.by_name.get_key_value(tenant.id().as_str()) {
                Some((name, known)) if known.digest == tenant.digest => (Arc::clone(name), Arc::clone(known)),
                Some((name, _)) => {
                    diff.changed.push(tenant.id().clone());
                    (Arc::clone(name), Arc::new(tenant))
                }
                None => {
                    diff.added.push(tenant.id().clone());
                    (tenant.id().as_str().into(), Arc::new(tenant))
                }
            };
            by_name.insert(name, kept);
        }
        let gone = before.by_name.iter().filter(|(name, _)| !by_name.contains_key(*name));
        diff.removed.extend(gone.map(|(_, tenant)| tenant.id().clone()));
        diff.sort();
        self.tenants.store(Arc::new(Tenants::of(by_name)));
        diff
    }

    /// Understands these tools from now on.
    pub fn replace_sources(&self, sources: Sources) {
        self.sources.store(Arc::new(sources));
    }

    /// The tools that are understood now.
    pub fn sources(&self) -> Sources {
        Sources::clone(&self.sources.load())
    }

    /// The tenant of that name.
    pub fn find(&self, tenant: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.load().by_name.get(tenant.as_str()).cloned()
    }

    /// Every tenant, by name.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        let mut all: Vec<Arc<Tenant>> = self.tenants.load().by_name.values().cloned().collect();
        all.sort_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// Who a sender is. The tenant comes from the credential; the name in the path only says where to look.
    pub fn authenticate(
        &self,
        path_tenant: &str,
        credential: Credential<'_>,
    ) -> Result<Authenticated, Unauthenticated> {
        let tenants = self.tenants.load();
        let tenant = tenants.by_name.get(path_tenant);
        match credential {
            Credential::ApiKey(key) => by_key(tenant, key),
            Credential::Signature(request) => {
                let (secrets, hex) =
                    tenant.map_or((&[][..], HexSignatures::Refuse), |tenant| (&tenant.secrets, tenant.hex));
                let keys: Vec<WebhookSecret> = secrets.iter().map(|(secret, _)| secret.clone()).collect();
                let verified = tenants.verify(request, &keys, hex)?;
                let sender = secrets.get(verified).map(|(_, name)| Arc::clone(name));
                authenticated(tenant, sender, secret_label(position(secrets, verified)))
                    .ok_or(Unauthenticated::Signature(SignatureError::Mismatch))
            }
        }
    }

    /// Whether a webhook comes from the tenant's own instance.
    pub fn authenticate_instance(
        &self,
        path_tenant: &str,
        credential: InstanceCredential<'_>,
    ) -> Result<Authenticated, Unauthenticated> {
        let tenants = self.tenants.load();
        let tenant = tenants.by_name.get(path_tenant);
        let proven = match credential {
            InstanceCredential::Signed(request) => {
                let webhook = tenant.and_then(|tenant| tenant.settings.webhook.as_ref());
                let (secrets, hex) =
                    webhook.map_or((&[][..], HexSignatures::Refuse), |webhook| (&webhook.secrets, webhook.hex));
                secret_label(tenants.verify(request, secrets, hex)?)
            }
            InstanceCredential::Unsigned(header) => {
                let unsigned = tenant.and_then(|tenant| tenant.unsigned.as_ref());
                if !unsigned::is_proven(unsigned, header) {
                    return Err(Unauthenticated::Key);
                }
                "unsigned"
            }
        };
        authenticated(tenant, Some("servicenow".into()), proven).ok_or(Unauthenticated::Key)
    }
}

impl Tenants {
    fn of(by_name: HashMap<Arc<str>, Arc<Tenant>>) -> Self {
        let secrets = |tenant: &Arc<Tenant>| {
            let webhook = tenant.settings.webhook.as_ref().map_or(0, |webhook| webhook.secrets.len());
            webhook.max(tenant.secrets.len())
        };
        let macs = by_name.values().map(secrets).max().unwrap_or(0).max(1);
        // Its bytes are no secret: what it verifies is thrown away.
        let (decoy, _) = WebhookSecret::from_entropy([0; 32]);
        Self { by_name, macs, decoy }
    }

    /// The index of the secret that signed. A failure computes as many signatures as the tenant with the most secrets
    /// needs, so its time does not tell whether there is such a tenant.
    fn verify(
        &self,
        request: SignedRequest<'_>,
        secrets: &[WebhookSecret],
        hex: HexSignatures,
    ) -> Result<usize, Unauthenticated> {
        let SignedRequest { headers, body, now } = request;
        signature::verify(headers, body, secrets, hex, now).map(|verified| verified.secret).map_err(|error| {
            let decoys = vec![self.decoy.clone(); self.macs.saturating_sub(secrets.len())];
            let ignored = signature::verify(headers, body, &decoys, hex, now);
            std::hint::black_box(ignored.is_ok());
            Unauthenticated::Signature(error)
        })
    }
}

impl Diff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    fn sort(&mut self) {
        self.added.sort();
        self.changed.sort();
        self.removed.sort();
    }
}

impl Unauthenticated {
    /// Whether the request is malformed rather than wrong: its answer may say so, since that depends on nothing of ours.
    pub const fn is_malformed(self) -> bool {
        match self {
            Self::Key => false,
            Self::Signature(error) => error.is_malformed(),
        }
    }
}

fn by_key(tenant: Option<&Arc<Tenant>>, key: &str) -> Result<Authenticated, Unauthenticated> {
    let keys = tenant.map_or(&[][..], |tenant| &tenant.keys);
    let hashes: Vec<_> = keys.iter().map(|(hash, _)| *hash).collect();
    let found = api_key::find(key, &hashes).and_then(|index| keys.get(index));
    authenticated(tenant, found.map(|(_, name)| Arc::clone(name)), "api_key").ok_or(Unauthenticated::Key)
}

fn authenticated(
    tenant: Option<&Arc<Tenant>>,
    sender: Option<Arc<str>>,
    credential: &'static str,
) -> Option<Authenticated> {
    Some(Authenticated { tenant: Arc::clone(tenant?), sender: sender?, credential })
}

/// Which of its sender's secrets this one is, counted from 0.
fn position(secrets: &[(WebhookSecret, Arc<str>)], index: usize) -> usize {
    let name = secrets.get(index).map(|(_, name)| name);
    secrets.iter().take(index).filter(|(_, other)| Some(other) == name).count()
}

/// A label must be one of a few words of ours.
const fn secret_label(position: usize) -> &'static str {
    match position {
        0 => "secret_1",
        1 => "secret_2",
        _ => "secret_3",
    }
}
