//! What a tenant's deliveries need: its mapping, its client, its table. Made when first needed, and again when the
//! tenant's files changed.
//!
//! A bridge is small until it is used: clients share one connection pool, mappings are shared by file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use sha2::{Digest, Sha256};

use super::back::sweep::Found;
use super::credentials;
use super::sharing::SharedStore;
use super::spool::Files;
use crate::callback;
use crate::callback::client::CallbackOptions;
use crate::domain::id::TenantId;
use crate::domain::time::{SharedClock, Timestamp};
use crate::mapping::{self, Mapping};
use crate::peer::caller::Identity;
use crate::peer::oauth::Credentials;
use crate::peer::pace::{Limits, Standing};
use crate::peer::transport::Transport;
use crate::runtime::luck;
use crate::security::target::Target;
use crate::service_levels::ServiceLevels;
use crate::servicenow::client::{CallReport, Client, ClientOptions, Kept};
use crate::settings::{CallLimits, CallbackOAuth, CreateStrategy};
use crate::store::{Learned, Store, StoreError};
use crate::telemetry::events::{CallFinished, CallbackFinished};
use crate::tenants::{Registry, Tenant};

/// What one tenant's deliveries need.
#[derive(Debug)]
pub struct Bridge {
    pub(super) client: Client,
    pub(super) mapping: Arc<Mapping>,
    pub(super) table: String,
    pub(super) deployment_key: Arc<str>,
    pub(super) settle: Duration,
    /// Whether a create carries a `sys_id` chosen by us.
    pub(super) sends_sys_id: bool,
    /// What was learned of an instance holds only for this instance, table and deployment key.
    pub(super) fingerprint: String,
    /// The instance's address, for people.
    pub(super) origin: String,
    /// Who we are there, if that is configured.
    pub(super) user: Option<Arc<str>>,
    /// By which name the instance calls itself in its webhooks.
    pub(super) instance_name: Option<Arc<str>>,
    /// How the managed service is called; `None` for a tenant whose tickets tell nobody anything.
    pub(super) callback: Option<callback::client::Client>,
    pub(super) sweep_every: Duration,
    pub(super) compare_every: Duration,
    pub(super) service_levels: Option<Arc<ServiceLevels>>,
    pub(super) files: Option<Files>,
    /// Turns for files on their way, either way.
    pub(super) files_at_once: Semaphore,
    tenant: TenantId,
    /// When this process last swept the instance, and what came of it.
    swept: Mutex<Option<(Timestamp, Found)>>,
}

/// How a tenant's peers and its sweep stand just now, as this process sees it.
#[derive(Clone, Debug)]
pub struct Standings {
    /// The customer's instance.
    pub servicenow: Standing,
    /// The managed service's receiver, if there is one.
    pub callback: Option<Standing>,
    /// When the last sweep began, and what it found.
    pub sweep: Option<(Timestamp, Found)>,
}

/// What a bridge is made of.
pub struct BridgeParts {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its mapping.
    pub mapping: Arc<Mapping>,
    /// Its instance, scheme and host.
    pub instance: String,
    /// Who we are there.
    pub credentials: Credentials,
    /// Where tokens come from, if not from the instance's usual place.
    pub token_url: Option<String>,
    /// What we may use.
    pub limits: Limits,
    /// How long a write without an answer may still land.
    pub settle: Duration,
    /// Whether a create carries a `sys_id` chosen by us.
    pub sends_sys_id: bool,
    /// The text all keys are derived from.
    pub deployment_key: Arc<str>,
    /// The way there.
    pub transport: Transport,
    /// The time.
    pub clock: SharedClock,
    /// The way back; `None` for a tenant without.
    pub back: Option<BackParts>,
}

/// What the way back of a bridge is made of.
pub struct BackParts {
    /// Where the managed service takes callbacks, and how it is called.
    pub callback: CallbackOptions,
    /// Who we are at the instance, if that is configured.
    pub user: Option<Arc<str>>,
    /// By which name the instance calls itself in its webhooks.
    pub instance_name: Option<Arc<str>>,
    /// How often the instance is asked what changed.
    pub sweep_every: Duration,
    /// How long one rotation of the full compare takes.
    pub compare_every: Duration,
    /// What the tenant promises about time.
    pub service_levels: Option<Arc<ServiceLevels>>,
    /// What passing files on needs; without it every file is refused with a word.
    pub files: Option<Files>,
}

impl Bridge {
    /// A bridge that has not been used yet.
    pub fn new(parts: BridgeParts) -> Self {
        Self::made(parts, None)
    }

    /// The same where other replicas call the tenant's peers too: what may be called is shared with them.
    #[must_use]
    pub fn shared_over(self, store: &SharedStore) -> Self {
        self.client.share(store.replica(), store.exchange(&self.tenant, &format!("servicenow {}", self.origin)));
        if let Some(callback) = &self.callback {
            callback.share(store.replica(), store.exchange(&self.tenant, &format!("callback {}", callback.origin())));
        }
        self
    }

    /// A bridge in place of another one, when the tenant's files changed. What leads to the same peer goes on with its
    /// budgets, its calls under way and what it asked for.
    fn succeeding(parts: BridgeParts, other: &Self, kept: Kept) -> Self {
        Self::made(parts, Some((other, kept)))
    }

    fn made(parts: BridgeParts, before: Option<(&Self, Kept)>) -> Self {
        let BridgeParts { tenant, mapping, instance, credentials, token_url, limits, settle, back, .. } = parts;
        let table = match mapping.target() {
            mapping::Target::Table(table) | mapping::Target::ImportSet(table) => table.to_string(),
        };
        let observed = tenant.clone();
        let options = ClientOptions {
            instance: instance.clone(),
            credentials,
            token_url,
            limits,
            transport: parts.transport,
            clock: parts.clock,
            luck_seed: luck::bits(),
            observer: Some(Arc::new(move |report: &CallReport<'_>| tell(&observed, report))),
            news: Some(credentials::teller(tenant.clone())),
        };
        let client = match before {
            Some((other, kept)) => Client::succeeding(options, &other.client, kept),
            None => Client::new(options),
        };
        let (callback, user, instance_name, every, compare_every, service_levels, files) = match back {
            Some(BackParts { callback, user, instance_name, sweep_every, compare_every, service_levels, files }) => {
                let callback = match before.and_then(|(other, _)| other.callback.as_ref()) {
                    Some(other) => callback::client::Client::succeeding(callback, other),
                    None => callback::client::Client::new(callback),
                };
                (Some(callback), user, instance_name, sweep_every, compare_every, service_levels, files)
            }
            None => (None, None, None, Duration::MAX, Duration::MAX, None, None),
        };
        Self {
            client,
            origin: instance.clone(),
            callback,
            user,
            instance_name,
            sweep_every: every,
            compare_every,
            service_levels,
            files,
            files_at_once: Semaphore::new(usize::from(limits.concurrency / 2).max(1)),
            fingerprint: fingerprint(&instance, &table, &parts.deployment_key, parts.sends_sys_id),
            mapping,
            table,
            deployment_key: parts.deployment_key,
            settle,
            sends_sys_id: parts.sends_sys_id,
            tenant,
            swept: Mutex::new(before.and_then(|(other, _)| other.swept())),
        }
    }

    fn swept(&self) -> Option<(Timestamp, Found)> {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody mended something, or says so: what was refused may be tried again at once.
    fn trust_credentials_again(&self) {
        self.client.trust_credentials_again();
        if let Some(callback) = &self.callback {
            callback.trust_credentials_again();
        }
    }

    /// Whether what happens to tickets is told to anybody.
    pub(super) const fn goes_back(&self) -> bool {
        self.callback.is_some()
    }

    /// What was learned of this very instance; what was learned of another instance, table or deployment key is void.
    pub(super) fn of_this_instance(&self, learned: &Learned) -> Learned {
        if learned.fingerprint == self.fingerprint {
            return learned.clone();
        }
        Learned { fingerprint: self.fingerprint.clone(), ..Learned::default() }
    }

    /// What is known of the instance, as the store has it now.
    pub(super) async fn learned(&self, store: &Store) -> Result<Learned, StoreError> {
        let known = store.tenant(&self.tenant).await?.learned;
        Ok(self.of_this_instance(&known))
    }

    /// Notes what a sweep came to.
    pub(super) fn note_sweep(&self, began: Timestamp, found: Found) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, found));
    }
}

/// Every tenant's bridge.
#[derive(Debug)]
pub struct Bridges {
    source: Source,
    made: Mutex<HashMap<TenantId, Made>>,
}

/// A bridge, and the tenant it was made for.
type Made = (Arc<Tenant>, Arc<Bridge>);

#[derive(Debug)]
enum Source {
    /// As the registry says, which may change.
    Registry(Arc<Registry>, ArcSwap<Surroundings>),
    /// These and no others.
    Fixed(HashMap<TenantId, Arc<Bridge>>),
}

/// One way for https, one for plain http, which dials only addresses that the operator opened for it.
#[derive(Clone, Debug)]
pub struct Ways {
    /// For https.
    pub encrypted: Transport,
    /// For plain http, such as a simulator on this machine.
    pub plain: Transport,
}

/// What all bridges share.
#[derive(Debug)]
pub struct Surroundings {
    /// The text all keys are derived from.
    pub deployment_key: Arc<str>,
    /// The ways to every instance.
    pub ways: Ways,
    /// What passing files on needs.
    pub files: Files,
    /// The time.
    pub clock: SharedClock,
    /// Where other replicas call the same peers.
    pub shared: Option<SharedStore>,
}

impl Bridges {
    /// Bridges for the registry's tenants.
    pub fn new(registry: Arc<Registry>, surroundings: Surroundings) -> Self {
        Self { source: Source::Registry(registry, ArcSwap::from_pointee(surroundings)), made: Mutex::default() }
    }

    /// Exactly these bridges, for those who compose tenants themselves.
    pub fn fixed(bridges: impl IntoIterator<Item = Bridge>) -> Self {
        let bridges = bridges.into_iter().map(|bridge| (bridge.tenant.clone(), Arc::new(bridge)));
        Self { source: Source::Fixed(bridges.collect()), made: Mutex::default() }
    }

    /// An operator ended a tenant's pause: its credentials may be tried again at once.
    pub fn resumed(&self, id: &TenantId) {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bridge)) = made.get(id) {
            bridge.trust_credentials_again();
        }
    }

    /// Bridges that are made from now on stand in these surroundings. Say so before the registry changes: a bridge is
    /// made again when its tenant changed, and not for its surroundings alone.
    pub fn surround(&self, surroundings: Surroundings) {
        match &self.source {
            Source::Registry(_, present) => present.store(Arc::new(surroundings)),
            Source::Fixed(_) => {}
        }
    }

    /// The files of these tenants changed: what calls for them shows the new credentials from now on. Without this it would
    /// with the next delivery, and a late refusal of the old ones could be held against the new ones until then.
    pub fn renew(&self, changed: &[TenantId]) {
        for tenant in changed {
            let is_used = self.made.lock().unwrap_or_else(PoisonError::into_inner).contains_key(tenant);
            if is_used {
                drop(self.of(tenant));
            }
        }
    }

    /// These tenants were removed: nothing calls for them any more, and their secrets are forgotten, as soon as work in flight
    /// ended. Their budgets go as well: those are only for an instance that goes on being called.
    pub fn forget(&self, removed: &[TenantId]) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for tenant in removed {
            made.remove(tenant);
        }
    }

    /// How a tenant's peers stand; `None` if nothing was done for it since the start.
    pub fn standings(&self, id: &TenantId) -> Option<Standings> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, bridge) = made.get(id)?;
        let sweep = bridge.swept();
        let callback = bridge.callback.as_ref().map(callback::client::Client::standing);
        Some(Standings { servicenow: bridge.client.standing(), callback, sweep })
    }

    /// The client of a tenant's instance, for a check: what it calls counts as everything else does.
    pub fn client_of(&self, id: &TenantId) -> Option<Client> {
        self.of(id).map(|bridge| bridge.client.clone())
    }

    /// The tenants whose instances are asked what changed, and how often.
    pub(super) fn swept(&self) -> Vec<(TenantId, Duration)> {
        match &self.source {
            Source::Fixed(bridges) => {
                let back = bridges.values().filter(|bridge| bridge.goes_back());
                back.map(|bridge| (bridge.tenant.clone(), bridge.sweep_every)).collect()
            }
            Source::Registry(registry, _) => {
                let tenants = registry.all();
                let back = tenants.iter().filter(|tenant| tenant.is_enabled() && tenant.settings().callback.is_some());
                back.map(|tenant| (tenant.id().clone(), tenant.settings().servicenow.sweep.every)).collect()
            }
        }
    }

    /// A tenant's bridge; `None` if there is no such tenant any more.
    pub(super) fn of(&self, id: &TenantId) -> Option<Arc<Bridge>> {
        let (registry, surroundings) = match &self.source {
            Source::Fixed(bridges) => return bridges.get(id).cloned(),
            Source::Registry(registry, surroundings) => (registry, surroundings),
        };
        // Found under the lock: whoever looked before a reload must not put its older bridge in place of a newer one.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = registry.find(id)?;
        let surroundings = surroundings.load();
        let parts = |tenant| surroundings.parts_of(tenant);
        let bridge = match made.get(id) {
            Some((of, bridge)) if Arc::ptr_eq(of, &tenant) => return Some(Arc::clone(bridge)),
            Some((of, before)) => {
                let bridge = Bridge::succeeding(parts(&tenant), before, kept(of, &tenant));
                // Its files changed: perhaps in what was refused.
                bridge.trust_credentials_again();
                bridge
            }
            None => Bridge::new(parts(&tenant)),
        };
        let bridge = match &surroundings.shared {
            Some(store) => bridge.shared_over(store),
            None => bridge,
        };
        let bridge = Arc::new(bridge);
        made.insert(id.clone(), (tenant, Arc::clone(&bridge)));
        Some(bridge)
    }
}

/// What a bridge keeps of the one before it. What look-ups found is forgotten with another mapping: whoever changes one
/// has often just created what it looks for.
fn kept(before: &Tenant, tenant: &Tenant) -> Kept {
    let auth = |tenant: &Tenant| tenant.settings().servicenow.auth_digest;
    Kept { token: auth(before) == auth(tenant), lookups: before.is_mapped_like(tenant) }
}

impl Surroundings {
    fn parts_of(&self, tenant: &Tenant) -> BridgeParts {
        let settings = &tenant.settings().servicenow;
        let (credentials, token_url) = credentials::of(settings);
        BridgeParts {
            tenant: tenant.id().clone(),
            mapping: Arc::clone(tenant.mapping()),
            instance: settings.instance.origin(),
            credentials,
            token_url,
            limits: limits(settings.limits),
            settle: settings.settle,
            sends_sys_id: settings.create == CreateStrategy::DerivedSysId,
            deployment_key: Arc::clone(&self.deployment_key),
            transport: credentials::way(self.ways.to(&settings.instance), tenant.id(), settings.certificate.as_ref()),
            clock: Arc::clone(&self.clock),
            back: self.back_of(tenant),
        }
    }

    fn back_of(&self, tenant: &Tenant) -> Option<BackParts> {
        let settings = tenant.settings();
        let callback = settings.callback.as_ref()?;
        let told = tenant.id().clone();
        let observer: callback::client::Observer = Arc::new(move |made| {
            let (class, status) = (made.outcome.class.as_str(), made.outcome.status);
            CallbackFinished { tenant: &told, class, status, took: Duration::from_millis(made.millis) }.emit();
        });
        let identity = |oauth: &CallbackOAuth| Identity {
            credentials: Credentials::ClientCredentials {
                client_id: oauth.client_id.clone(),
                client_secret: oauth.client_secret.clone(),
            },
            token_url: oauth.token_url.to_string(),
            scope: oauth.scope.clone(),
            audience: oauth.audience.clone(),
        };
        Some(BackParts {
            callback: CallbackOptions {
                url: callback.url.clone(),
                secrets: callback.secrets.clone(),
                oauth: callback.oauth.as_ref().map(identity),
                limits: limits(callback.limits),
                transport: self.ways.to(&callback.url),
                clock: Arc::clone(&self.clock),
                luck_seed: luck::bits(),
                observer: Some(observer),
            },
            user: settings.servicenow.user.clone(),
            instance_name: settings.webhook.as_ref().map(|webhook| Arc::clone(&webhook.instance)),
            sweep_every: settings.servicenow.sweep.every,
            compare_every: settings.servicenow.sweep.compare_every,
            service_levels: settings.service_levels.clone(),
            files: Some(self.files.clone()),
        })
    }
}

impl Ways {
    /// The way to a checked address.
    pub(super) fn to(&self, target: &Target) -> Transport {
        if target.is_plain() { &self.plain } else { &self.encrypted }.clone()
    }
}

fn limits(given: CallLimits) -> Limits {
    Limits {
        calls_per_second: given.calls_per_second,
        calls_per_hour: given.calls_per_hour,
        concurrency: u16::try_from(given.concurrency).unwrap_or(u16::MAX),
    }
}

fn fingerprint(instance: &str, table: &str, deployment_key: &str, sends_sys_id: bool) -> String {
    let mut hash = Sha256::new();
    for part in [instance, table, deployment_key, if sends_sys_id { "sys_id" } else { "" }] {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn tell(tenant: &TenantId, report: &CallReport<'_>) {
    CallFinished {
        tenant,
        class: report.class.as_str(),
        operation: report.call.as_str(),
        status: report.status,
        took: Duration::from_millis(report.millis),
    }
    .emit();
}
