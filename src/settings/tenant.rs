//! A tenant's settings after the check: types that cannot be wrong.
//!
//! Owns: what the values of a tenant's file mean. Never: reads the mapping it names (that is `tenants::load`), calls
//! anybody. Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::auth::{Auth, auth};
use super::auth_ends::certificate;
use super::codes;
use super::duration;
use super::exchange::{CallbackSettings, WebhookSettings, callback, webhook};
use super::finding::Place;
use super::raw_tenant::{CreateStrategy, RawAfterCheck, RawEnabled, RawLimits, RawSweep, waiting_max};
use super::reader::Reader;
use super::senders::{Sender, senders};
use super::service_levels::service_levels;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::{
    COMPARE_SECS_MAX, COMPARE_SECS_MIN, SETTLE_SECS_MAX, SETTLE_SECS_MIN, SWEEP_SECS_MAX, SWEEP_SECS_MIN,
};
use crate::security::certificate::ClientCertificate;
use crate::security::target::{EgressPolicy, Extent, Target};
use crate::service_levels::ServiceLevels;

/// One customer, as its file says.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// Its name.
    pub tenant: TenantId,
    /// Who decides whether anything is accepted and delivered for it.
    pub enabled: Enabled,
    /// Its instance.
    pub servicenow: ServiceNowSettings,
    /// The mapping file, relative to the directory of mappings.
    pub mapping: String,
    /// Where the tenant's file names it.
    pub mapping_place: Place,
    /// Who may push to us for it.
    pub senders: Vec<Sender>,
    /// ServiceNow calls us.
    pub webhook: Option<WebhookSettings>,
    /// We call the managed service.
    pub callback: Option<CallbackSettings>,
    /// Deliveries that may wait before senders are told to wait too.
    pub waiting_max: u64,
    /// What is promised about time.
    pub service_levels: Option<Arc<ServiceLevels>>,
    /// The file it came from, as it was named.
    pub file: Arc<str>,
    /// Over the file, its secrets and the egress policy: differs if anything of it does.
    pub digest: [u8; 32],
}

/// Who decides whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// Its file: it is.
    Yes,
    /// Its file: it is not.
    No,
    /// An operator, after a check of its instance passed, or by force.
    AfterCheck,
}

/// The customer's instance.
#[derive(Clone, Debug)]
pub struct ServiceNowSettings {
    /// Where the tenant's file names it.
    pub place: Place,
    /// Where the tenant's file says how we authenticate.
    pub auth_place: Place,
    /// Its address, without a path.
    pub instance: Target,
    /// How we authenticate there.
    pub auth: Auth,
    /// How we authenticate there once that is refused: the coming credential of a rotation.
    pub auth_next: Option<Auth>,
    /// What we show the instance's TLS, if it asks who we are.
    pub certificate: Option<ClientCertificate>,
    /// Over these three, their secrets and keys: differs if anything of them does.
    pub auth_digest: [u8; 32],
    /// How much we may ask of it.
    pub limits: CallLimits,
    /// How a ticket is created.
    pub create: CreateStrategy,
    /// How long a write without an answer may still land.
    pub settle: Duration,
    /// The user we are there, if somebody said so or it is the account we log in with; our own changes bear this name.
    pub user: Option<Arc<str>>,
    /// Asking for what changed.
    pub sweep: SweepSettings,
}

/// Asking for what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepSettings {
    /// How often we ask what changed.
    pub every: Duration,
    /// How long one round of comparing every open ticket takes.
    pub compare_every: Duration,
}

/// How much we may ask of somebody, over all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls per second.
    pub calls_per_second: u32,
    /// Calls per hour.
    pub calls_per_hour: u32,
    /// Calls at the same time.
    pub concurrency: u32,
}

/// What a tenant's file is held to beside itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Against<'a> {
    /// The operator's policy; `None` if it is broken, which was reported.
    pub(super) egress: Option<&'a EgressPolicy>,
    /// Whether any proxy may name a caller's certificate.
    pub(super) trusts_a_proxy: bool,
    /// The present moment.
    pub(super) now: Timestamp,
}

/// Turns the parts into a tenant, as yet without its digest. `None` if anything is wrong; all of it has been reported
/// to the reader.
pub(super) fn tenant(reader: &mut Reader<'_>, against: &Against<'_>, file: &str) -> Option<TenantSettings> {
    let egress = against.egress;
    let name = name(reader);
    let enabled = reader.part("enabled", RawEnabled::yes).map(|raw| match raw {
        RawEnabled::File(true) => Enabled::Yes,
        RawEnabled::File(false) => Enabled::No,
        RawEnabled::Later(RawAfterCheck::AfterCheck) => Enabled::AfterCheck,
    });
    let servicenow = servicenow(reader, egress);
    let mapping = mapping(reader);
    let senders = senders(reader, against);
    let webhook = webhook(reader, servicenow.as_ref().map(|servicenow| &servicenow.instance));
    let callback = callback(reader, egress);
    let waiting_max = reader.part("waiting_max", waiting_max);
    let service_levels = service_levels(reader);
    check_callback(reader);
    Some(TenantSettings {
        tenant: name?,
        enabled: enabled?,
        servicenow: servicenow?,
        mapping: mapping?,
        mapping_place: reader.place("mapping"),
        senders: senders?,
        webhook: webhook?,
        callback: callback?,
        waiting_max: waiting_max?,
        service_levels: service_levels?,
        file: file.into(),
        digest: [0; 32],
    })
}

/// What was read, and the operator's policy, as one digest.
pub(super) fn digest(read: [u8; 32], egress: Option<&EgressPolicy>) -> [u8; 32] {
    let policy = format!("{egress:?}");
    Sha256::new().chain_update(read).chain_update(policy.as_bytes()).finalize().into()
}

fn name(reader: &mut Reader<'_>) -> Option<TenantId> {
    let text: String = reader.required("tenant")?;
    reader.check(codes::NAME, "tenant", TenantId::parse(&text))
}

/// A plain file name: the directory is the operator's, and a tenant must not lead out of it.
fn mapping(reader: &mut Reader<'_>) -> Option<String> {
    let text: String = reader.required("mapping")?;
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if text.split('/').all(is_plain) && Path::new(&text).extension().is_some_and(|extension| extension == "yaml") {
        return Some(text);
    }
    reader.error(codes::NAME, "mapping", format!("`{text}` is not the name of a mapping file"));
    reader.hint("write a name such as `teams-rooms.yaml`, relative to the directory of mappings");
    None
}

fn servicenow(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>) -> Option<ServiceNowSettings> {
    let instance = target(reader, egress, "servicenow.instance", Extent::Origin);
    let ((auth, certificate), auth_digest) = reader.digested("servicenow.auth", |reader| {
        (auth(reader, egress, instance.as_ref()), certificate(reader, instance.as_ref()))
    });
    let limits: Option<RawLimits> = reader.part("servicenow.limits", RawLimits::default);
    let create = create(reader);
    let settle = reader.part("servicenow.settle", || "150s".to_owned());
    let settle = settle.and_then(|text| bounded(reader, "servicenow.settle", &text, SETTLE_SECS_MIN, SETTLE_SECS_MAX));
    let user: Option<Option<String>> = reader.part("servicenow.user", || None);
    let sweep = sweep(reader);
    let RawLimits { calls_per_second, calls_per_hour, concurrency } = limits?;
    let (auth, auth_next) = auth?;
    let user = user?.map(Arc::from).or_else(|| auth.username().map(Arc::from));
    Some(ServiceNowSettings {
        place: reader.place("servicenow.instance"),
        auth_place: reader.place("servicenow.auth"),
        instance: instance?,
        auth,
        auth_next,
        certificate: certificate?,
        auth_digest,
        limits: CallLimits { calls_per_second, calls_per_hour, concurrency },
        create: create?,
        settle: settle?,
        user,
        sweep: sweep?,
    })
}

fn sweep(reader: &mut Reader<'_>) -> Option<SweepSettings> {
    const COMPARE: &str = "servicenow.sweep.compare_every";
    let RawSweep { every, compare_every } = RawSweep::default();
    let every = reader.part("servicenow.sweep.every", || every);
    let every = every.and_then(|text| bounded(reader, "servicenow.sweep.every", &text, SWEEP_SECS_MIN, SWEEP_SECS_MAX));
    let compare_every = reader.part(COMPARE, || compare_every);
    let compare_every =
        compare_every.and_then(|text| bounded(reader, COMPARE, &text, COMPARE_SECS_MIN, COMPARE_SECS_MAX));
    Some(SweepSettings { every: every?, compare_every: compare_every? })
}

fn create(reader: &mut Reader<'_>) -> Option<CreateStrategy> {
    let create = reader.part("servicenow.create", CreateStrategy::default)?;
    let word = match create {
        CreateStrategy::DerivedSysId | CreateStrategy::LookupFirst => return Some(create),
        CreateStrategy::ImportSet => "import_set",
        CreateStrategy::UniqueIndex => "unique_index",
    };
    not_yet(reader, "servicenow.create", &format!("`{word}`"), "use `derived_sys_id` or `lookup_first`");
    None
}

/// A duration within these bounds.
pub(super) fn bounded(
    reader: &mut Reader<'_>,
    path: &str,
    text: &str,
    secs_min: u64,
    secs_max: u64,
) -> Option<Duration> {
    let given = reader.check(codes::DURATION, path, duration::parse(text))?;
    let (least, most) = (Duration::from_secs(secs_min), Duration::from_secs(secs_max));
    if (least..=most).contains(&given) {
        return Some(given);
    }
    let (least, most) = (duration::display(least), duration::display(most));
    reader.error(codes::DURATION, path, format!("`{path}` is from {least} to {most}, not {text}"));
    None
}

/// Without a policy (it is broken, which was reported) nothing can be said about a URL.
pub(super) fn target(
    reader: &mut Reader<'_>,
    egress: Option<&EgressPolicy>,
    path: &str,
    extent: Extent,
) -> Option<Target> {
    let text: String = reader.required(path)?;
    let checked = egress?.check(&text, extent);
    if text.contains('@') {
        // It may hold a password.
        return checked.map_err(|error| reader.error(codes::TARGET, path, error.to_string()).cut()).ok();
    }
    reader.check(codes::TARGET, path, checked)
}

/// What ServiceNow tells, and a close that is due, is for the managed service to hear.
fn check_callback(reader: &mut Reader<'_>) {
    if !reader.is_absent("callback") {
        return;
    }
    for (path, what) in [
        ("webhook", "what ServiceNow tells us is told to nobody"),
        ("service_levels.inactivity", "nobody is told when a silent ticket is due to be closed"),
    ] {
        if !reader.is_absent(path) {
            reader.warning(codes::NO_CALLBACK, path, format!("{what}: the tenant has no `callback`"));
        }
    }
}

/// The file is right, and this version cannot do it.
pub(super) fn not_yet(reader: &mut Reader<'_>, path: &str, what: &str, instead: &str) {
    reader.error(codes::NOT_YET, path, format!("{what} is not available yet: {instead}"));
}
