//! Who calls whom, after the check: the webhook by which ServiceNow calls us, the callback by which we call the managed
//! service.
//!
//! Owns: what the two parts of a tenant's file mean, their credentials included. Never: calls anybody, compares a
//! credential (that is `tenants::registry`). Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::sync::Arc;

use url::Host;

use super::codes;
use super::raw::RawSecret;
use super::raw_exchange::{RawBasic, RawCallbackLimits, RawCallbackOAuth, RawHeader};
use super::reader::Reader;
use super::tenant::{CallLimits, target};
use crate::domain::secret::Secret;
use crate::limits::{UNSIGNED_SECRET_BYTES_MAX, UNSIGNED_SECRET_BYTES_MIN, USER_NAME_CHARS_MAX, WEBHOOK_SECRETS_MAX};
use crate::security::signature::{HexSignatures, WebhookSecret};
use crate::security::target::{EgressPolicy, Extent, Target};

/// ServiceNow calls us.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The shared secrets, of which any may sign. Empty only if calls may come unsigned.
    pub secrets: Vec<WebhookSecret>,
    /// Whether signatures in hexadecimal are taken.
    pub hex: HexSignatures,
    /// The `instance_name` of the instance that calls, in lower case; a clone calls with another one.
    pub instance: Arc<str>,
    /// How a rule that cannot sign shows who it is.
    pub unsigned: Option<UnsignedWebhook>,
}

/// How a rule that cannot sign shows who it is. Prints without what is secret.
#[derive(Clone, Debug)]
pub enum UnsignedWebhook {
    /// By user name and password.
    Basic {
        /// Visible ASCII without a colon.
        username: String,
        /// 16 to 80 visible characters.
        password: Secret,
    },
    /// By a header that always has the same value.
    Header {
        /// In lower case.
        name: Arc<str>,
        /// 16 to 80 visible characters.
        value: Secret,
    },
}

/// We call the managed service.
#[derive(Clone, Debug)]
pub struct CallbackSettings {
    /// Where to.
    pub url: Target,
    /// What we sign with: the current secret, and during a rotation the coming one. All of them sign.
    pub secrets: Vec<WebhookSecret>,
    /// A bearer token on top of the signature.
    pub oauth: Option<CallbackOAuth>,
    /// How much we may ask of the managed service for this tenant.
    pub limits: CallLimits,
}

/// OAuth 2.0 client credentials towards the managed service.
#[derive(Clone, Debug)]
pub struct CallbackOAuth {
    /// Where tokens are asked for.
    pub token_url: Target,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// What the token is to be good for.
    pub scope: Option<String>,
    /// Whom the token is for.
    pub audience: Option<String>,
}

/// `Some(None)` is a tenant without webhook, `None` one whose webhook is wrong. The instance is where we call.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
pub(super) fn webhook(reader: &mut Reader<'_>, instance: Option<&Target>) -> Option<Option<WebhookSettings>> {
    if reader.is_absent("webhook") {
        return Some(None);
    }
    let secrets = secrets(reader);
    let hex = reader.part("webhook.hex_signatures", || false).map(HexSignatures::accepting);
    let instance = instance_name(reader, instance);
    let unsigned = unsigned(reader);
    if matches!((&secrets, &unsigned), (Some(secrets), Some(None)) if secrets.is_empty()) {
        reader.error(codes::WEBHOOK, "webhook", "`webhook` needs `secrets`, or `unsigned` for rules that cannot sign");
        return None;
    }
    Some(Some(WebhookSettings { secrets: secrets?, hex: hex?, instance: instance?, unsigned: unsigned? }))
}

fn secrets(reader: &mut Reader<'_>) -> Option<Vec<WebhookSecret>> {
    let count = reader.count("webhook.secrets");
    if count > WEBHOOK_SECRETS_MAX {
        let message = format!("there are at most {WEBHOOK_SECRETS_MAX} secrets at a time, not {count}");
        reader.error(codes::TOO_MANY, "webhook.secrets", message);
        return None;
    }
    let references: Vec<RawSecret> = reader.part("webhook.secrets", Vec::new)?;
    let read = |(index, reference)| signing_secret(reader, reference, &format!("webhook.secrets.{index}"));
    let secrets: Vec<Option<WebhookSecret>> = references.iter().enumerate().map(read).collect();
    secrets.into_iter().collect()
}

/// Said, or the first label of the host that we call: `contoso` of `contoso.service-now.com`.
fn instance_name(reader: &mut Reader<'_>, instance: Option<&Target>) -> Option<Arc<str>> {
    let Some(text) = reader.part("webhook.instance", || None::<String>)? else {
        return Some(match instance?.url().host()? {
            Host::Domain(name) => name.split('.').next().unwrap_or(name).into(),
            // A simulator on this machine.
            Host::Ipv4(address) => address.to_string().into(),
            Host::Ipv6(address) => address.to_string().into(),
        });
    };
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    let message = || format!("`{}` is not the name of an instance, such as `contoso`", text.escape_debug());
    reader.check(codes::NAME, "webhook.instance", is_name.then(|| text.to_ascii_lowercase().into()).ok_or_else(message))
}

/// `Some(None)`: every call must be signed.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn unsigned(reader: &mut Reader<'_>) -> Option<Option<UnsignedWebhook>> {
    const PATH: &str = "webhook.unsigned";
    if reader.is_absent(PATH) {
        return Some(None);
    }
    let message =
        "calls that are not signed are taken: whoever reads one can make any other, and nothing ends a replay";
    reader.warning(codes::UNSIGNED_WEBHOOK, PATH, message);
    reader.hint("have the rules sign as in Standard Webhooks, with one of `secrets`, and leave `unsigned` out");
    let basic: Option<RawBasic> = reader.part("webhook.unsigned.basic", || None)?;
    let header: Option<RawHeader> = reader.part("webhook.unsigned.header", || None)?;
    match (basic, header) {
        (Some(RawBasic { username, password }), None) => {
            let username = reader.text(&username, "webhook.unsigned.basic.username");
            let username = username.and_then(|text| user_name(reader, text, "webhook.unsigned.basic.username"));
            let password = unsigned_secret(reader, &password, "webhook.unsigned.basic.password");
            Some(Some(UnsignedWebhook::Basic { username: username?, password: password? }))
        }
        (None, Some(RawHeader { name, value })) => {
            let name = header_name(reader, &name, "webhook.unsigned.header.name");
            let value = unsigned_secret(reader, &value, "webhook.unsigned.header.value");
            Some(Some(UnsignedWebhook::Header { name: name?, value: value? }))
        }
        (None, None) | (Some(_), Some(_)) => {
            reader.error(codes::WEBHOOK, PATH, "`webhook.unsigned` needs exactly one of `basic` and `header`");
            None
        }
    }
}

/// It may come from where secrets are kept, so a wrong one is not quoted.
pub(super) fn user_name(reader: &mut Reader<'_>, text: String, path: &str) -> Option<String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if is_plain && (1..=USER_NAME_CHARS_MAX).contains(&text.len()) {
        return Some(text);
    }
    let message =
        format!("a user name is 1 to {USER_NAME_CHARS_MAX} visible characters of ASCII without a space or colon");
    reader.error(codes::NAME, path, message).cut();
    None
}

/// Names that HTTP, or the signature, has given another meaning.
const TAKEN_HEADERS: [&str; 11] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

pub(super) fn header_name(reader: &mut Reader<'_>, text: &str, path: &str) -> Option<Arc<str>> {
    let name = text.to_ascii_lowercase();
    let is_token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_token && !TAKEN_HEADERS.contains(&name.as_str()) && !name.starts_with("webhook-") {
        return Some(name.into());
    }
    let message = format!("`{}` cannot name the header that shows who is calling", text.escape_debug());
    reader.error(codes::NAME, path, message);
    reader.hint("use a name of your own, such as `x-snowgate-token`");
    None
}

/// The one thing that such a caller has to prove who it is: it must not be guessed.
pub(super) fn unsigned_secret(reader: &mut Reader<'_>, reference: &RawSecret, path: &str) -> Option<Secret> {
    const LENGTHS: std::ops::RangeInclusive<usize> = UNSIGNED_SECRET_BYTES_MIN..=UNSIGNED_SECRET_BYTES_MAX;
    let secret = reader.secret(reference, path)?;
    let text = secret.expose();
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text;
    if visible && LENGTHS.contains(&text.len()) {
        return Some(secret);
    }
    let (least, most) = LENGTHS.into_inner();
    let message = format!("this must be {least} to {most} visible characters of ASCII, with no space at either end");
    reader.error(codes::BAD_SECRET, path, message);
    None
}

/// `Some(None)` is a tenant without callback, `None` one whose callback is wrong.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
pub(super) fn callback(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>) -> Option<Option<CallbackSettings>> {
    if reader.is_absent("callback") {
        return Some(None);
    }
    let url = target(reader, egress, "callback.url", Extent::Path);
    let secret: Option<RawSecret> = reader.required("callback.secret");
    let secret = secret.and_then(|reference| signing_secret(reader, &reference, "callback.secret"));
    let next: Option<Option<RawSecret>> = reader.part("callback.secret_next", || None);
    let next = next.and_then(|next| match next {
        Some(reference) => signing_secret(reader, &reference, "callback.secret_next").map(Some),
        None => Some(None),
    });
    let oauth = oauth(reader, egress);
    let limits = limits(reader);
    let secrets = std::iter::once(secret?).chain(next?).collect();
    Some(Some(CallbackSettings { url: url?, secrets, oauth: oauth?, limits: limits? }))
}

/// `Some(None)`: the signature alone.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn oauth(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>) -> Option<Option<CallbackOAuth>> {
    if reader.is_absent("callback.oauth") {
        return Some(None);
    }
    let token_url = target(reader, egress, "callback.oauth.token_url", Extent::Path);
    let RawCallbackOAuth { client_id, client_secret, scope, audience, .. } = reader.required("callback.oauth")?;
    let client_id = reader.text(&client_id, "callback.oauth.client_id");
    let client_secret = reader.secret(&client_secret, "callback.oauth.client_secret");
    let scope = match scope {
        Some(text) => Some(self::scope(reader, text)?),
        None => None,
    };
    Some(Some(CallbackOAuth {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
        audience,
    }))
}

/// Words separated by one space each (RFC 6749, 3.3).
fn scope(reader: &mut Reader<'_>, text: String) -> Option<String> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    let words = text.split(' ').all(is_word).then_some(text);
    let message = "a scope is words separated by single spaces, without quotes and backslashes";
    reader.check(codes::NAME, "callback.oauth.scope", words.ok_or(message))
}

fn limits(reader: &mut Reader<'_>) -> Option<CallLimits> {
    let raw = reader.part("callback.limits", RawCallbackLimits::default)?;
    let RawCallbackLimits { calls_per_second, calls_per_hour, concurrency } = raw;
    Some(CallLimits { calls_per_second, calls_per_hour, concurrency })
}

/// The secret `whsec_…` from where it is kept.
pub(super) fn signing_secret(reader: &mut Reader<'_>, reference: &RawSecret, path: &str) -> Option<WebhookSecret> {
    let text = reader.secret(reference, path)?;
    reader.check(codes::BAD_SECRET, path, WebhookSecret::parse(text.expose()))
}
