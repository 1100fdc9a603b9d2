//! Reading the configuration anew while the gateway works, and using it: whole or not at all.
//!
//! Files are read when they changed ([`watch`](crate::tenants::watch)), on SIGHUP, and when an operator asks. What needs a
//! restart is an error like any other. After the last thing that can fail, everything is replaced in this order:
//!
//! 1. the store claims only for tenants that stay, so that no lane of a removed one is taken;
//! 2. the ways to the instances, the operators, and then the registry: from here on callers are judged by the new files, and calls to the instances show their credentials;
//! 3. the store claims for new and returned tenants as well, and pauses of changed ones that may be mended are lifted.
//!
//! Work in flight ends with what it began with. Should the store fail in the third step, it is repeated until it is done:
//! accepted work waits meanwhile, as it does whenever the store is away.
//!
//! Owns: that order, and what is known of the last try. Never: judges files (that is `settings` and `tenants`).
//! Fails: with the findings, and nothing changed. Proved by: `tests/it/reload`, `tests/process/hangups`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::upkeep;
use crate::domain::id::TenantId;
use crate::domain::time::{SharedClock, Timestamp};
use crate::http::configuration::{Configuration, Configured, Failure, NotReloaded, Reloaded};
use crate::http::operators::{Operators, Role};
use crate::http::serving::Serving;
use crate::issuers::Issuers;
use crate::limits::RELOAD_EVERY_MAX;
use crate::peer::transport::http::HttpOptionsError;
use crate::runtime::drain::Stop;
use crate::runtime::tasks;
use crate::runtime::wake::Wake;
use crate::settings::{self, Environment, Every, Finding, Settings, duration};
use crate::store::audit::{Actor, AuditAction, AuditEntry, Hash};
use crate::store::{Pause, Store, StoreError, TenantShare};
use crate::telemetry::events::{SettingsApplied, SettingsRefused, TenantResumed};
use crate::tenants::watch::{Look, Watch};
use crate::tenants::{self, Diff, Enabled, Prepared, Registry, Tenant};
use crate::worker::bridges::{Bridges, Surroundings, Ways};

/// Findings that the log line of a refused reload repeats.
const FINDINGS_LOGGED: usize = 3;
/// Pauses that end only by themselves or by a person: no file mends them.
const NOT_MENDED: [&str; 3] = [Pause::OPERATOR, "throttled", "crowded"];

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The settings file, as it was named.
    pub path: PathBuf,
    /// Variables and working directory, as they were at the start.
    pub environment: Environment,
}

/// Who asked for a reload.
#[derive(Debug)]
enum Asked {
    /// A person; they are told even if nothing changed.
    Person(Actor),
    /// A change of a file.
    Files,
}

/// What bridges share, made from settings.
pub(super) type Surround = Box<dyn Fn(&Settings) -> Result<Surroundings, HttpOptionsError> + Send + Sync>;

/// Reloads the configuration; cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

/// What a reload reads, and what it replaces.
pub(super) struct Parts {
    pub(super) origin: Origin,
    pub(super) registry: Arc<Registry>,
    pub(super) bridges: Arc<Bridges>,
    pub(super) issuers: Arc<Issuers>,
    pub(super) operators: Arc<Operators>,
    pub(super) store: Store,
    pub(super) serving: Arc<Serving>,
    pub(super) accepted: Wake,
    pub(super) clock: SharedClock,
    pub(super) surround: Surround,
    /// What the start has served already.
    pub(super) running: Running,
}

struct Inner {
    origin: Origin,
    registry: Arc<Registry>,
    bridges: Arc<Bridges>,
    issuers: Arc<Issuers>,
    operators: Arc<Operators>,
    store: Store,
    serving: Arc<Serving>,
    accepted: Wake,
    clock: SharedClock,
    surround: Surround,
    /// One reload at a time.
    running: tokio::sync::Mutex<Running>,
    told: Mutex<Told>,
}

/// What runs.
pub(super) struct Running {
    settings: Settings,
    digest: [u8; 32],
    watch: Watch,
    /// Tenants for which the third step is still to be done.
    behind: Option<Vec<TenantId>>,
    first: Told,
}

/// What is said of it to those who ask.
#[derive(Clone)]
struct Told {
    loaded_at: Timestamp,
    changes: u64,
    every: Every,
    files: BTreeSet<PathBuf>,
    failure: Option<Failure>,
}

impl Running {
    /// A start is a reload from nothing: everybody is new, and what was wrong may have been mended.
    pub(super) async fn from_nothing(
        prepared: Prepared,
        store: &Store,
        registry: &Arc<Registry>,
        now: Timestamp,
    ) -> Result<(Self, Arc<Serving>), StoreError> {
        let Prepared { settings, tenants, sources, files, digest, .. } = prepared;
        let diff = registry.replace(tenants);
        registry.replace_sources(sources);
        upkeep::take_over_releases(&store.tenant_standings().await?, registry);
        let serving = Serving::new(store.clone(), Arc::clone(registry), shares);
        serving.turn().await.tell().await?;
        resume_mended(store, &diff.added).await?;
        SettingsApplied { added: &diff.added, changed: &[], removed: &[], at: now }.measure();
        let first = Told { loaded_at: now, changes: 0, every: settings.reload_every, files, failure: None };
        let running = Self { settings, digest, watch: Watch::default(), behind: None, first };
        Ok((running, Arc::new(serving)))
    }
}

impl Reloader {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { origin, registry, bridges, issuers, operators, store, serving, accepted, clock, surround, running } =
            parts;
        let told = Mutex::new(running.first.clone());
        let running = tokio::sync::Mutex::new(running);
        Self(Arc::new(Inner {
            origin,
            registry,
            bridges,
            issuers,
            operators,
            store,
            serving,
            accepted,
            clock,
            surround,
            running,
            told,
        }))
    }

    /// Reads the files now, because a person asked for it.
    pub async fn reload(&self, by: Actor) -> Result<Reloaded, NotReloaded> {
        // In a task of its own: whoever asked may go away in the middle of it.
        let reloader = self.clone();
        let reloading = tasks::spawn("reload", async move { reloader.reload_now(Asked::Person(by)).await });
        reloading.await.unwrap_or(Err(NotReloaded::Defect))
    }

    /// What the admin listener needs of this.
    pub(super) fn configured(&self) -> Configured {
        let (describes, reloads) = (self.clone(), self.clone());
        Configured {
            present: Arc::new(move || describes.present()),
            reload: Arc::new(move |by| {
                let reloader = reloads.clone();
                Box::pin(async move { reloader.reload(by).await })
            }),
        }
    }

    /// Looks at the files until a stop is requested, and reads them when they changed and lie still.
    pub(super) async fn watch(self, stop: Stop) {
        while !stop.is_requested() {
            let (every, looks) = match self.told().every {
                Every::Interval(every) => (every, true),
                Every::Off => (RELOAD_EVERY_MAX, false),
            };
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(every) => {}
            }
            self.catch_up().await;
            if looks && self.has_changed().await {
                // What is wrong was told.
                drop(self.reload_now(Asked::Files).await);
            }
        }
    }

    async fn has_changed(&self) -> bool {
        let mut running = self.0.running.lock().await;
        let look = self.look().await;
        look.is_some_and(|look| running.watch.is_due(&look))
    }

    async fn look(&self) -> Option<Look> {
        let files = self.told().files.clone();
        tasks::blocking("look at files", move || Look::at(&files)).await.ok()
    }

    async fn reload_now(&self, asked: Asked) -> Result<Reloaded, NotReloaded> {
        let mut running = self.0.running.lock().await;
        let loaded = self.load(&mut running).await.ok_or(NotReloaded::Defect)?;
        let before = running.digest;
        let is_person = matches!(asked, Asked::Person(_));
        let applied = match loaded {
            Ok(prepared) => self.apply(&mut running, prepared, is_person).await,
            Err(findings) => Err(NotReloaded::Findings(findings)),
        };
        if let Err(NotReloaded::Store(_) | NotReloaded::Defect) = applied {
            // It is not the files' fault, so no change of them would bring the next try.
            running.watch = Watch::default();
        }
        if is_person || running.digest != before || applied.is_err() {
            self.record(asked, (before, running.digest), &applied).await;
        }
        applied.inspect_err(|refused| self.tell_refused(refused))
    }

    /// Who had the files read, and what came of it. The files are in use by then: a row that cannot be written is an error
    /// in the log, and takes nothing back.
    async fn record(&self, asked: Asked, digests: (Hash, Hash), applied: &Result<Reloaded, NotReloaded>) {
        let by = match asked {
            Asked::Person(by) => by,
            Asked::Files => Actor::gateway(),
        };
        let (action, note) = match applied {
            Ok(Reloaded { added, changed, removed, .. }) => {
                let note =
                    format!("tenants: {} added, {} changed, {} removed", added.len(), changed.len(), removed.len());
                (AuditAction::SettingsApplied, note)
            }
            Err(_) => (AuditAction::SettingsRefused, String::new()),
        };
        let Origin { path, environment } = &self.0.origin;
        let entry = AuditEntry::new(by, action).to(environment.shown(path)).noting(note);
        if let Err(failed) = self.0.store.audit(entry.changing(Some(digests.0), Some(digests.1))).await {
            tracing::error!(error = %failed, "Cannot record who had the files read: {failed}");
        }
    }

    /// Reads everything, and notes what was read, so that the next change of any of it is noticed.
    async fn load(&self, running: &mut Running) -> Option<Result<Prepared, Vec<Finding>>> {
        let look = self.look().await?;
        let (Origin { path, environment }, settings) = (self.0.origin.clone(), running.settings.clone());
        let load = move || tenants::load_over(&path, &environment, Some(&settings));
        let loaded = tasks::blocking("reload", load).await.ok()?;
        let mut told = self.told();
        if loaded.findings.iter().any(Finding::is_error) {
            // Files with errors may not even say where the others are.
            told.files.extend(loaded.files.iter().cloned());
        } else {
            told.files.clone_from(&loaded.files);
        }
        running.watch.loaded(look, &told.files);
        drop(told);
        Some(loaded.strict())
    }

    async fn apply(&self, running: &mut Running, prepared: Prepared, is_person: bool) -> Result<Reloaded, NotReloaded> {
        let Prepared { settings, tenants, sources, warnings, digest, .. } = prepared;
        let is_news = digest != running.digest;
        let mut diff = Diff::default();
        if is_news {
            let surroundings = (settings.egress != running.settings.egress).then(|| (self.0.surround)(&settings));
            let surroundings = surroundings.transpose().map_err(|failed| {
                tracing::error!(error = %failed, "Cannot make ways by the new egress rules: {failed}");
                NotReloaded::Defect
            })?;
            // Until the tenants are replaced nobody else says whom to serve.
            let turn = self.0.serving.turn().await;
            self.withdraw_outdated(&tenants).await.map_err(NotReloaded::Store)?;
            let staying = staying(&self.0.registry, &tenants);
            self.0.store.serve_tenants(staying).await.map_err(NotReloaded::Store)?;
            // Nothing fails from here on.
            if let Some(surroundings) = surroundings {
                let Ways { encrypted, plain } = surroundings.ways.clone();
                self.0.issuers.surround(encrypted, plain, Arc::new(settings.egress.clone()));
                self.0.bridges.surround(surroundings);
            }
            self.0.operators.replace(operators(&settings));
            diff = self.0.registry.replace(tenants);
            self.0.registry.replace_sources(sources);
            drop(turn);
            self.0.bridges.renew(&diff.changed);
            self.0.bridges.forget(&diff.removed);
            running.behind.get_or_insert_default().extend(diff.changed.iter().chain(&diff.added).cloned());
            (running.settings, running.digest) = (settings, digest);
        }
        self.tell_applied(&diff, running.settings.reload_every, is_news || is_person);
        self.follow(running).await;
        Ok(Reloaded::of(diff, warnings))
    }

    /// Does the third step again if it failed.
    async fn catch_up(&self) {
        let mut running = self.0.running.lock().await;
        self.follow(&mut running).await;
    }

    async fn follow(&self, running: &mut Running) {
        let Some(mended) = &running.behind else { return };
        match self.catch_up_with(mended).await {
            Ok(()) => running.behind = None,
            Err(failed) => {
                tracing::error!(error = %failed, "Cannot tell the store whom to serve, tried again soon: {failed}");
            }
        }
        self.0.accepted.one();
    }

    /// A tenant that was removed and comes back as another one is not served by the word that was given for the one before.
    /// One that comes back as it was is: its file may have been away by accident. Before it comes, nobody can release it.
    async fn withdraw_outdated(&self, coming: &[Tenant]) -> Result<(), StoreError> {
        let is_left_to_operators = |tenant: &&Tenant| tenant.settings().enabled == Enabled::AfterCheck;
        let is_added = |tenant: &&Tenant| self.0.registry.find(tenant.id()).is_none();
        for tenant in coming.iter().filter(is_left_to_operators).filter(is_added) {
            let release = self.0.store.tenant(tenant.id()).await?.release;
            if release.is_some_and(|release| release.digest != *tenant.check_digest()) {
                self.0.store.withdraw(tenant.id(), Actor::gateway()).await?;
            }
        }
        Ok(())
    }

    /// Whom operators released is known before it is said whom to serve.
    async fn catch_up_with(&self, mended: &[TenantId]) -> Result<(), StoreError> {
        let turn = self.0.serving.turn().await;
        upkeep::take_over_releases(&self.0.store.tenant_standings().await?, &self.0.registry);
        turn.tell().await?;
        drop(turn);
        resume_mended(&self.0.store, mended).await
    }

    fn tell_applied(&self, diff: &Diff, every: Every, is_news: bool) {
        let at = self.0.clock.now();
        let mut told = self.told();
        let is_cured = told.failure.take().is_some();
        told.changes += u64::from(is_news);
        (told.loaded_at, told.every) = (at, every);
        drop(told);
        let Diff { added, changed, removed } = diff;
        let applied = SettingsApplied { added, changed, removed, at };
        if is_news || is_cured { applied.emit() } else { applied.measure() }
    }

    fn tell_refused(&self, refused: &NotReloaded) {
        let findings = match refused {
            NotReloaded::Findings(findings) => findings.as_slice(),
            NotReloaded::Store(_) | NotReloaded::Defect => &[],
        };
        let errors: Vec<String> = findings.iter().filter(|one| one.is_error()).map(Finding::headline).collect();
        let first = match refused {
            NotReloaded::Findings(_) => errors.iter().take(FINDINGS_LOGGED).cloned().collect::<Vec<_>>().join(" | "),
            NotReloaded::Store(failed) => format!("the store did not answer: {failed}"),
            NotReloaded::Defect => "the gateway could not read its files".to_owned(),
        };
        SettingsRefused { errors: errors.len().max(1), first: &first }.emit();
        self.told().failure = Some(Failure::of(self.0.clock.now().to_string(), findings));
    }

    fn present(&self) -> Configuration {
        let Told { loaded_at, changes, every, files, failure } = self.told().clone();
        let Origin { path, environment } = &self.0.origin;
        Configuration {
            file: environment.shown(path),
            loaded_at: loaded_at.to_string(),
            changes,
            tenants: self.0.registry.all().len(),
            files: files.len(),
            looked_at_every: match every {
                Every::Interval(every) => duration::display(every),
                Every::Off => "off".to_owned(),
            },
            last_failure: failure,
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reloader({})", self.0.origin.path.display())
    }
}

/// Lets these tenants try again what their files may have mended. What the instance asked for, and what an operator
/// ordered, stays.
async fn resume_mended(store: &Store, mended: &[TenantId]) -> Result<(), StoreError> {
    for tenant in mended {
        if let Some(pause) = store.resume_unless(tenant, &NOT_MENDED).await? {
            TenantResumed { tenant, reason: &pause.code }.emit();
        }
    }
    Ok(())
}

/// Those of the coming tenants that are served already. Whether an operator released one is known of the present tenant
/// only: the coming one takes it over when it comes into use.
fn staying(registry: &Registry, coming: &[Tenant]) -> Vec<TenantShare> {
    let is_served = |tenant: &&Tenant| registry.find(tenant.id()).is_some_and(|present| present.is_enabled());
    let may_be = |tenant: &&Tenant| tenant.settings().enabled != Enabled::No;
    coming.iter().filter(may_be).filter(is_served).map(share).collect()
}

/// Divides what may be worked on at once among the tenants that are served.
fn shares(registry: &Registry) -> Vec<TenantShare> {
    registry.all().iter().filter(|tenant| tenant.is_enabled()).map(|tenant| share(tenant)).collect()
}

fn share(tenant: &Tenant) -> TenantShare {
    TenantShare { tenant: tenant.id().clone(), lanes_max: tenant.settings().servicenow.limits.concurrency }
}

/// The operators that the settings name.
pub(super) fn operators(
    settings: &Settings,
) -> impl Iterator<Item = (String, Role, crate::security::api_key::ApiKeyHash)> + '_ {
    settings.operators.iter().map(|operator| {
        let role = match operator.role {
            settings::Role::Read => Role::Read,
            settings::Role::Operate => Role::Operate,
            settings::Role::Admin => Role::Admin,
        };
        (operator.name.clone(), role, operator.key)
    })
}
