//! A tenant's settings after the check: types that cannot be wrong.
//!
//! Owns: what the values of a tenant's file mean. Never: reads the mapping it names (that is `tenants::load`), calls
//! anybody. Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::auth::{Auth, auth};
use super::codes;
use super::duration;
use super::finding::Place;
use super::raw::RawSecret;
use super::raw_tenant::{CreateStrategy, RawCallback, RawLimits, RawSender, RawSweep, RawWebhook};
use super::reader::Reader;
use crate::domain::id::TenantId;
use crate::limits::{
    SENDERS_PER_TENANT_MAX, SETTLE_SECS_MAX, SETTLE_SECS_MIN, SWEEP_SECS_MAX, SWEEP_SECS_MIN, WEBHOOK_SECRETS_MAX,
};
use crate::security::api_key::ApiKeyHash;
use crate::security::signature::{HexSignatures, WebhookSecret};
use crate::security::target::{EgressPolicy, Extent, Target};

/// One customer, as its file says.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// Its name.
    pub tenant: TenantId,
    /// Whether anything is accepted and delivered for it.
    pub enabled: bool,
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
    /// The file it came from, as it was named.
    pub file: Arc<str>,
    /// Over the file, its secrets and the egress policy: differs if anything of it does.
    pub digest: [u8; 32],
}

/// The customer's instance.
#[derive(Clone, Debug)]
pub struct ServiceNowSettings {
    /// Its address, without a path.
    pub instance: Target,
    /// How we authenticate there.
    pub auth: Auth,
    /// How much we may ask of it.
    pub limits: CallLimits,
    /// How a ticket is created.
    pub create: CreateStrategy,
    /// How long a write without an answer may still land.
    pub settle: Duration,
    /// How often we ask what changed.
    pub sweep_every: Duration,
}

/// How much we may ask of an instance, over all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls per second.
    pub calls_per_second: u32,
    /// Calls per hour.
    pub calls_per_hour: u32,
    /// Calls at the same time.
    pub concurrency: u32,
}

/// Who may push to us. During a rotation a name stands here twice.
#[derive(Clone, Debug)]
pub struct Sender {
    /// For the log and the metrics.
    pub name: Arc<str>,
    /// How it proves who it is.
    pub credential: SenderCredential,
}

/// How a sender proves who it is.
#[derive(Clone, Debug)]
pub enum SenderCredential {
    /// By a key, of which we hold the hash.
    ApiKey(ApiKeyHash),
    /// By a signature.
    Webhook(WebhookSecret, HexSignatures),
}

/// ServiceNow calls us.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The shared secrets, of which any may sign.
    pub secrets: Vec<WebhookSecret>,
    /// Whether signatures in hexadecimal are taken.
    pub hex: HexSignatures,
}

/// We call the managed service.
#[derive(Clone, Debug)]
pub struct CallbackSettings {
    /// Where to.
    pub url: Target,
    /// What we sign with.
    pub secret: WebhookSecret,
}

/// Turns the parts into a tenant, as yet without its digest. `None` if anything is wrong; all of it has been reported
/// to the reader.
pub(super) fn tenant(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>, file: &str) -> Option<TenantSettings> {
    let name = name(reader);
    let enabled = reader.part("enabled", || true);
    let servicenow = servicenow(reader, egress);
    let mapping = mapping(reader);
    let senders = senders(reader);
    let webhook = webhook(reader);
    let callback = callback(reader, egress);
    Some(TenantSettings {
        tenant: name?,
        enabled: enabled?,
        servicenow: servicenow?,
        mapping: mapping?,
        mapping_place: reader.place("mapping"),
        senders: senders?,
        webhook: webhook?,
        callback: callback?,
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
    let auth = auth(reader, egress, instance.as_ref());
    let limits: Option<RawLimits> = reader.part("servicenow.limits", RawLimits::default);
    let create = create(reader);
    let settle = reader.part("servicenow.settle", || "150s".to_owned());
    let settle = settle.and_then(|text| bounded(reader, "servicenow.settle", &text, SETTLE_SECS_MIN, SETTLE_SECS_MAX));
    let sweep = reader.part("servicenow.sweep", RawSweep::default);
    let sweep =
        sweep.and_then(|raw| bounded(reader, "servicenow.sweep.every", &raw.every, SWEEP_SECS_MIN, SWEEP_SECS_MAX));
    let RawLimits { calls_per_second, calls_per_hour, concurrency } = limits?;
    Some(ServiceNowSettings {
        instance: instance?,
        auth: auth?,
        limits: CallLimits { calls_per_second, calls_per_hour, concurrency },
        create: create?,
        settle: settle?,
        sweep_every: sweep?,
    })
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

fn bounded(reader: &mut Reader<'_>, path: &str, text: &str, secs_min: u64, secs_max: u64) -> Option<Duration> {
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

fn senders(reader: &mut Reader<'_>) -> Option<Vec<Sender>> {
    let count = reader.count("senders");
    if count > SENDERS_PER_TENANT_MAX {
        reader.error(
            codes::TOO_MANY,
            "senders",
            format!("a tenant has at most {SENDERS_PER_TENANT_MAX} senders, not {count}"),
        );
        return None;
    }
    // One by one, so that a mistake in one does not hide those in the others.
    let senders: Vec<Option<Sender>> = (0..count).map(|index| sender(reader, &format!("senders.{index}"))).collect();
    if reader.part("senders", Vec::<serde_json::Value>::new)?.is_empty() {
        reader.warning(codes::NO_SENDERS, "senders", "nobody may push for this tenant: it has no `senders`");
    }
    senders.into_iter().collect()
}

fn sender(reader: &mut Reader<'_>, path: &str) -> Option<Sender> {
    let RawSender { name, api_key_sha256, webhook_secret, hex_signatures } = reader.required(path)?;
    let named = TenantId::parse(&name).map_err(|_| format!("`{name}` is not a name: use 1 to 40 of a-z, 0-9 and `-`"));
    let named = reader.check(codes::NAME, &format!("{path}.name"), named);
    let credential = match (api_key_sha256, webhook_secret) {
        (Some(hash), None) => {
            let hash = reader.check(codes::BAD_SECRET, &format!("{path}.api_key_sha256"), ApiKeyHash::parse(&hash));
            if hash.is_none() {
                // Perhaps it is the key itself.
                reader.cut();
            }
            hash.map(SenderCredential::ApiKey)
        }
        (None, Some(reference)) => {
            let secret = signing_secret(reader, &reference, &format!("{path}.webhook_secret"));
            secret.map(|secret| SenderCredential::Webhook(secret, hex(hex_signatures)))
        }
        (None, None) | (Some(_), Some(_)) => {
            let message = format!("sender `{name}` needs exactly one of `api_key_sha256` and `webhook_secret`");
            reader.error(codes::SENDER, path, message);
            reader.hint("for both, write two entries of the same name");
            None
        }
    };
    Some(Sender { name: named?.as_str().into(), credential: credential? })
}

/// `Some(None)` is a tenant without webhook, `None` one whose webhook is wrong.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn webhook(reader: &mut Reader<'_>) -> Option<Option<WebhookSettings>> {
    let Some(RawWebhook { secrets, hex_signatures }) = reader.part("webhook", || None)? else { return Some(None) };
    if secrets.len() > WEBHOOK_SECRETS_MAX {
        let message = format!("there are at most {WEBHOOK_SECRETS_MAX} secrets at a time, not {}", secrets.len());
        reader.error(codes::TOO_MANY, "webhook.secrets", message);
        return None;
    }
    let read = |(index, reference)| signing_secret(reader, reference, &format!("webhook.secrets.{index}"));
    let secrets: Vec<Option<WebhookSecret>> = secrets.iter().enumerate().map(read).collect();
    let secrets = secrets.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Some(WebhookSettings { secrets, hex: hex(hex_signatures) }))
}

/// `Some(None)` is a tenant without callback, `None` one whose callback is wrong.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn callback(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>) -> Option<Option<CallbackSettings>> {
    let Some(RawCallback { secret, .. }) = reader.part("callback", || None)? else { return Some(None) };
    let url = target(reader, egress, "callback.url", Extent::Path);
    let secret = signing_secret(reader, &secret, "callback.secret");
    Some(Some(CallbackSettings { url: url?, secret: secret? }))
}

fn signing_secret(reader: &mut Reader<'_>, reference: &RawSecret, path: &str) -> Option<WebhookSecret> {
    let text = reader.secret(reference, path)?;
    reader.check(codes::BAD_SECRET, path, WebhookSecret::parse(text.expose()))
}

const fn hex(accept: bool) -> HexSignatures {
    if accept { HexSignatures::Accept } else { HexSignatures::Refuse }
}

/// The file is right, and this version cannot do it.
pub(super) fn not_yet(reader: &mut Reader<'_>, path: &str, what: &str, instead: &str) {
    reader.error(codes::NOT_YET, path, format!("{what} is not available yet: {instead}"));
}
