//! Who is served now, and who is calling.
//!
//! Owns: replacing all tenants at once, and authentication. A lookup never waits for a reload, and a reload never for
//! lookups. Never: says why to a caller: an unknown tenant, a wrong key and a wrong signature are one and the same
//! answer, and cost the same, so that nobody can learn from either who is a customer.
//! Fails: closed. Proved by: `tests/tenants.rs`; that the work is the same for everybody, by the tests of this module.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::callers::{Callers, Holder};
use super::unsigned;
use super::{Sources, Tenant};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::security::pagerduty::{self, PagerdutySecret};
use crate::security::scope::Access;
use crate::security::signature::{self, HexSignatures, SignatureError, SignedHeaders, WebhookSecret};
use crate::security::token::{Issuer, Proven, TokenRefusal};

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
    /// The kind of credential and, for one that is rotated by a second entry, which of them in the order of the file:
    /// `api_key`, `api_key_2`, `secret_1`, `secret_2`, …, `unsigned`.
    pub credential: &'static str,
}

/// What a caller shows to prove who it is.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// The text after `Authorization: Bearer`, or where else a header or body holds a key.
    ApiKey(&'a str),
    /// A key in the address of the request.
    KeyInUrl(&'a str),
    /// A request signed as in Standard Webhooks.
    Signature(SignedRequest<'a>),
    /// A request signed by PagerDuty.
    Pagerduty {
        /// `X-PagerDuty-Signature`.
        signatures: &'a str,
        /// Its body, byte for byte.
        body: &'a [u8],
    },
    /// The text after `Authorization: Basic`.
    Basic(&'a str),
    /// A token whose signature was looked at already: by whom it was made, or why it is not taken.
    Token(&'a Result<Proven<'a>, TokenRefusal>),
    /// What a trusted proxy says about the caller's certificate.
    Certificate(&'a str),
}

/// What a caller wants, and when.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What it wants to do.
    pub access: Access<'a>,
    /// The present moment.
    pub now: Timestamp,
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// There is no such tenant, or it has no such key.
    #[error("no tenant of that name has that key")]
    Key,
    /// The key is right, and may not stand in an address.
    #[error("the key in the address belongs to a sender without `key_in_url`")]
    KeyInUrl,
    /// There is no such tenant, or it has no such user name and password.
    #[error("no tenant of that name has that user name and password")]
    Password,
    /// The signature does not hold for this tenant, or there is no such tenant.
    #[error("no tenant of that name takes that signature")]
    Signature(#[source] SignatureError),
    /// The token does not hold for this tenant, or there is no such tenant.
    #[error("no tenant of that name takes that token: {0}")]
    Token(TokenRefusal),
    /// No sender of the tenant has the certificate, or there is no such tenant.
    #[error("no tenant of that name has a sender with that certificate")]
    Certificate,
    /// The credential was right once.
    #[error("the credential of sender `{sender}` expired at {at}")]
    Expired {
        /// Whose it is.
        sender: Arc<str>,
        /// When it ended.
        at: Timestamp,
    },
    /// The credential is right, and not for this.
    #[error("sender `{sender}` is confined by `scopes`, and `{wanted}` is none of them")]
    OutOfScope {
        /// Whose it is.
        sender: Arc<str>,
        /// What it wanted.
        wanted: String,
    },
}

#[derive(Debug)]
struct Tenants {
    by_name: HashMap<Arc<str>, Arc<Tenant>>,
    /// Everybody whose tokens are taken, by the text of `iss`; mostly one for each.
    issuers: HashMap<Arc<str>, Vec<Issuer>>,
    /// Where a caller is looked for who names no tenant.
    nobody: Callers,
    /// How many signatures are computed for a caller who turns out to be nobody, whichever tenant it names.
    macs: usize,
    pagerduty_macs: usize,
    decoy: WebhookSecret,
    pagerduty_decoy: PagerdutySecret,
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
        for mut tenant in tenants {
            let (name, kept): (Arc<str>, _) = match before.by_name.get_key_value(tenant.id().as_str()) {
                Some((name, known)) if known.digest == tenant.digest => (Arc::clone(name), Arc::clone(known)),
                Some((name, known)) => {
                    tenant.released = Arc::clone(&known.released);
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

    /// Who issues tokens under this name; nobody if no sender of any tenant takes its tokens.
    pub fn issuers(&self, name: &str) -> Vec<Issuer> {
        self.tenants.load().issuers.get(name).cloned().unwrap_or_default()
    }

    /// Who a sender is. The tenant comes from the credential; the name in the path only says where to look.
    pub fn authenticate(
        &self,
        path_tenant: &str,
        credential: Credential<'_>,
        wanted: Wanted<'_>,
    ) -> Result<Authenticated, Unauthenticated> {
        let tenants = self.tenants.load();
        let tenant = tenants.by_name.get(path_tenant);
        let callers = tenant.map_or(&tenants.nobody, |tenant| &tenant.callers);
        let (holder, kind) = tenants.holder(callers, credential, wanted)?;
        holder.admit(wanted)?;
        authenticated(tenant, Some(Arc::clone(&holder.sender)), label(kind, holder.position))
            .ok_or(Unauthenticated::Key)
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
                label(Kind::Secret, tenants.verify(request, secrets, hex)?)
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
            webhook.max(tenant.callers.secrets.credentials.len())
        };
        let macs = by_name.values().map(secrets).max().unwrap_or(0).max(1);
        let pagerduty = |tenant: &Arc<Tenant>| tenant.callers.pagerduty.credentials.len();
        let pagerduty_macs = by_name.values().map(pagerduty).max().unwrap_or(0).max(1);
        let mut issuers: HashMap<Arc<str>, Vec<Issuer>> = HashMap::new();
        for issuer in by_name.values().flat_map(|tenant| tenant.callers.issuers()) {
            let known = issuers.entry(Arc::clone(&issuer.name)).or_default();
            if !known.contains(issuer) {
                known.push(issuer.clone());
            }
        }
        // Their bytes are no secret: what they verify is thrown away.
        let (decoy, _) = WebhookSecret::from_entropy([0; 32]);
        let pagerduty_decoy = PagerdutySecret::decoy();
        let nobody = Callers::default();
        Self { by_name, issuers, nobody, macs, pagerduty_macs, decoy, pagerduty_decoy }
    }

    /// Whose the credential is, and of which kind.
    fn holder<'a>(
        &self,
        callers: &'a Callers,
        credential: Credential<'_>,
        wanted: Wanted<'_>,
    ) -> Result<(&'a Holder, Kind), Unauthenticated> {
        match credential {
            Credential::ApiKey(key) => Ok((callers.by_key(key)?, Kind::ApiKey)),
            Credential::KeyInUrl(key) => Ok((callers.by_key_in_url(key)?, Kind::KeyInUrl)),
            Credential::Basic(pair) => Ok((callers.by_pair(pair)?, Kind::Basic)),
            Credential::Certificate(names) => Ok((callers.by_certificate(names, wanted)?, Kind::Certificate)),
            Credential::Token(Ok(token)) => Ok((callers.by_token(token, wanted)?, Kind::Token)),
            Credential::Token(Err(why)) => Err(Unauthenticated::Token(*why)),
            Credential::Signature(request) => {
                let index = self.verify(request, &callers.secrets.credentials, callers.hex)?;
                let holder = callers.secrets.holder(index);
                Ok((holder.ok_or(Unauthenticated::Signature(SignatureError::Mismatch))?, Kind::Secret))
            }
            Credential::Pagerduty { signatures, body } => {
                let index = self.verify_pagerduty(signatures, body, &callers.pagerduty.credentials)?;
                let holder = callers.pagerduty.holder(index);
                Ok((holder.ok_or(Unauthenticated::Signature(SignatureError::Mismatch))?, Kind::Pagerduty))
            }
        }
    }

    /// As [`Self::verify`], for PagerDuty.
    fn verify_pagerduty(
        &self,
        signatures: &str,
        body: &[u8],
        secrets: &[PagerdutySecret],
    ) -> Result<usize, Unauthenticated> {
        pagerduty::verify(signatures, body, secrets).map_err(|error| {
            let decoys = vec![self.pagerduty_decoy.clone(); self.pagerduty_macs.saturating_sub(secrets.len())];
            std::hint::black_box(pagerduty::verify(signatures, body, &decoys).is_ok());
            Unauthenticated::Signature(error)
        })
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

fn authenticated(
    tenant: Option<&Arc<Tenant>>,
    sender: Option<Arc<str>>,
    credential: &'static str,
) -> Option<Authenticated> {
    Some(Authenticated { tenant: Arc::clone(tenant?), sender: sender?, credential })
}

/// A kind of credential.
#[derive(Clone, Copy)]
enum Kind {
    ApiKey,
    KeyInUrl,
    Basic,
    Secret,
    Pagerduty,
    Token,
    Certificate,
}

/// A label must be one of a few words of ours.
const fn label(kind: Kind, position: usize) -> &'static str {
    match (kind, position) {
        (Kind::ApiKey, 0) => "api_key",
        (Kind::ApiKey, 1) => "api_key_2",
        (Kind::ApiKey, _) => "api_key_3",
        (Kind::KeyInUrl, _) => "key_in_url",
        (Kind::Basic, 0) => "basic",
        (Kind::Basic, _) => "basic_2",
        (Kind::Secret, 0) => "secret_1",
        (Kind::Secret, 1) => "secret_2",
        (Kind::Secret, _) => "secret_3",
        (Kind::Pagerduty, 0) => "pagerduty_1",
        (Kind::Pagerduty, 1) => "pagerduty_2",
        (Kind::Pagerduty, _) => "pagerduty_3",
        (Kind::Token, _) => "token",
        (Kind::Certificate, _) => "certificate",
    }
}

#[cfg(test)]
mod tests;
