//! Who may push to us, after the check.
//!
//! Owns: what the entries of `senders` mean, and the words of caution about them. Never: compares a credential (that is
//! `tenants::registry`), asks an issuer for its keys. Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::sync::Arc;

use super::codes;
use super::exchange::{signing_secret, unsigned_secret, user_name};
use super::raw::RawSecret;
use super::raw_exchange::RawBasic;
use super::raw_senders::{RawCertificate, RawSender};
use super::reader::Reader;
use super::tenant::Against;
use super::tokens;
use crate::domain::id::TenantId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::limits::{CREDENTIAL_EXPIRY_NOTICE, SENDERS_PER_TENANT_MAX};
use crate::security::api_key::ApiKeyHash;
use crate::security::pagerduty::PagerdutySecret;
use crate::security::scope::{Scope, Scopes};
use crate::security::signature::{HexSignatures, WebhookSecret};
use crate::security::token::TokenRules;

/// Who may push to us. During a rotation a name stands here twice.
#[derive(Clone, Debug)]
pub struct Sender {
    /// For the log and the metrics.
    pub name: Arc<str>,
    /// How it proves who it is.
    pub credential: SenderCredential,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
}

/// How a sender proves who it is.
#[derive(Clone, Debug)]
pub enum SenderCredential {
    /// By a key, of which we hold the hash.
    ApiKey(ApiKeyHash, KeyInUrl),
    /// By a signature as in Standard Webhooks.
    Webhook(WebhookSecret, HexSignatures),
    /// By PagerDuty's signature.
    Pagerduty(PagerdutySecret),
    /// By user name and password.
    Basic {
        /// Visible ASCII without a colon.
        username: String,
        /// 16 to 80 visible characters.
        password: Secret,
    },
    /// By a token of an OAuth issuer.
    Token(Arc<TokenRules>),
    /// By a certificate with this name, which a trusted proxy has verified.
    Certificate(Arc<str>),
}

impl SenderCredential {
    /// What makes it recognisable in another place, with the key under which it stands: it must open one tenant alone.
    pub(super) fn digests(&self) -> Vec<(&'static str, [u8; 32])> {
        match self {
            Self::ApiKey(hash, _) => vec![("api_key_sha256", hash.digest())],
            Self::Webhook(secret, _) => vec![("webhook_secret", secret.digest())],
            Self::Pagerduty(secret) => vec![("pagerduty_secret", secret.digest())],
            Self::Basic { password, .. } => vec![("basic.password", ApiKeyHash::of(password.expose()).digest())],
            Self::Token(rules) => tokens::digests(rules),
            Self::Certificate(name) => {
                vec![("client_certificate.san", ApiKeyHash::of(&format!("certificate {name}")).digest())]
            }
        }
    }
}

/// Whether a key may stand in the address of a request, where proxies log it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyInUrl {
    /// In the header alone.
    Refuse,
    /// Also as `?key=` in the address of a source.
    Accept,
}

pub(super) fn senders(reader: &mut Reader<'_>, against: &Against<'_>) -> Option<Vec<Sender>> {
    let count = reader.count("senders");
    if count > SENDERS_PER_TENANT_MAX {
        let message = format!("a tenant has at most {SENDERS_PER_TENANT_MAX} senders, not {count}");
        reader.error(codes::TOO_MANY, "senders", message);
        return None;
    }
    // One by one, so that a mistake in one does not hide those in the others.
    let senders: Vec<Option<Sender>> =
        (0..count).map(|index| sender(reader, against, &format!("senders.{index}"))).collect();
    if reader.part("senders", Vec::<serde_json::Value>::new)?.is_empty() {
        reader.warning(codes::NO_SENDERS, "senders", "nobody may push for this tenant: it has no `senders`");
    }
    senders.into_iter().collect()
}

fn sender(reader: &mut Reader<'_>, against: &Against<'_>, path: &str) -> Option<Sender> {
    let raw: RawSender = reader.required(path)?;
    let name = TenantId::parse(&raw.name)
        .map_err(|_| format!("`{}` is not a name: use 1 to 40 of a-z, 0-9 and `-`", raw.name.escape_debug()));
    let name = reader.check(codes::NAME, &format!("{path}.name"), name);
    let scopes = scopes(reader, raw.scopes.as_deref(), &format!("{path}.scopes"));
    let expires = expires(reader, against.now, &raw, path);
    let credential = credential(reader, against, raw, path);
    Some(Sender { name: name?.as_str().into(), credential: credential?, scopes: scopes?, expires: expires? })
}

/// The one credential of a sender.
fn credential(reader: &mut Reader<'_>, against: &Against<'_>, raw: RawSender, path: &str) -> Option<SenderCredential> {
    check_count(reader, &raw, path)?;
    let RawSender { name: _, api_key_sha256, webhook_secret, hex_signatures, pagerduty_secret, basic, .. } = raw;
    if let Some(hash) = api_key_sha256 {
        return api_key(reader, &hash, raw.key_in_url, path);
    }
    if let Some(reference) = webhook_secret {
        let secret = signing_secret(reader, &reference, &format!("{path}.webhook_secret"));
        return secret.map(|secret| SenderCredential::Webhook(secret, HexSignatures::accepting(hex_signatures)));
    }
    if let Some(reference) = pagerduty_secret {
        return pagerduty(reader, &reference, &format!("{path}.pagerduty_secret"));
    }
    if let Some(pair) = basic {
        return self::basic(reader, &pair, &format!("{path}.basic"));
    }
    if let Some(RawCertificate { san }) = raw.client_certificate {
        return certificate(reader, against, &san, &format!("{path}.client_certificate"));
    }
    let rules = match (raw.oauth, raw.azure_secure_webhook) {
        (Some(given), _) => tokens::rules(reader, against.egress, given, &format!("{path}.oauth")),
        (None, Some(azure)) => {
            tokens::azure_rules(reader, against.egress, azure, &format!("{path}.azure_secure_webhook"))
        }
        (None, None) => None,
    };
    rules.map(|rules| SenderCredential::Token(Arc::new(rules)))
}

/// Exactly one credential, and what belongs to another kind of credential only beside that.
fn check_count(reader: &mut Reader<'_>, raw: &RawSender, path: &str) -> Option<()> {
    let given = [
        raw.api_key_sha256.is_some(),
        raw.webhook_secret.is_some(),
        raw.pagerduty_secret.is_some(),
        raw.basic.is_some(),
        raw.oauth.is_some(),
        raw.azure_secure_webhook.is_some(),
        raw.client_certificate.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        let message = format!(
            "sender `{}` needs exactly one of `api_key_sha256`, `webhook_secret`, `pagerduty_secret`, `basic`, `oauth`, \
             `azure_secure_webhook` and `client_certificate`",
            raw.name.escape_debug()
        );
        reader.error(codes::SENDER, path, message);
        reader.hint("for several, write an entry of the same name for each");
        return None;
    }
    for (key, stands, belongs_to, there) in [
        ("key_in_url", raw.key_in_url, "api_key_sha256", raw.api_key_sha256.is_some()),
        ("hex_signatures", raw.hex_signatures, "webhook_secret", raw.webhook_secret.is_some()),
    ] {
        if stands && !there {
            let message = format!("`{key}` has a meaning only beside `{belongs_to}`");
            reader.error(codes::SENDER, &format!("{path}.{key}"), message);
            return None;
        }
    }
    Some(())
}

fn api_key(reader: &mut Reader<'_>, hash: &str, in_url: bool, path: &str) -> Option<SenderCredential> {
    let hash = reader.check(codes::BAD_SECRET, &format!("{path}.api_key_sha256"), ApiKeyHash::parse(hash));
    if hash.is_none() {
        // Perhaps it is the key itself.
        reader.cut();
    }
    if in_url {
        let message = "the key is also taken in the address, which proxies, browsers and the tool itself may log";
        reader.warning(codes::WEAK_SENDER, &format!("{path}.key_in_url"), message);
        reader.hint("confine it with `scopes` to the one source that needs it, and give it an end with `expires`");
    }
    let in_url = if in_url { KeyInUrl::Accept } else { KeyInUrl::Refuse };
    hash.map(|hash| SenderCredential::ApiKey(hash, in_url))
}

fn pagerduty(reader: &mut Reader<'_>, reference: &RawSecret, path: &str) -> Option<SenderCredential> {
    let text = reader.secret(reference, path)?;
    let secret = reader.check(codes::BAD_SECRET, path, PagerdutySecret::parse(text.expose()));
    secret.map(SenderCredential::Pagerduty)
}

fn basic(reader: &mut Reader<'_>, pair: &RawBasic, path: &str) -> Option<SenderCredential> {
    let message = "a password travels with every request and may be reused elsewhere; it is the weakest credential";
    reader.warning(codes::WEAK_SENDER, path, message);
    reader.hint("use an API key or a signature if the tool can send one");
    let at = format!("{path}.username");
    let username = reader.text(&pair.username, &at).and_then(|text| user_name(reader, text, &at));
    let password = unsigned_secret(reader, &pair.password, &format!("{path}.password"));
    Some(SenderCredential::Basic { username: username?, password: password? })
}

fn certificate(reader: &mut Reader<'_>, against: &Against<'_>, san: &str, path: &str) -> Option<SenderCredential> {
    // The header separates names with commas.
    let is_name = !san.is_empty() && san.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let message = || format!("`{}` is not a name in a certificate, such as `soc.example`", san.escape_debug());
    let name = reader.check(codes::NAME, &format!("{path}.san"), is_name.then(|| san.into()).ok_or_else(message));
    if !against.trusts_a_proxy {
        let message = "no proxy is trusted to name certificates, so nobody can be this sender";
        reader.warning(codes::WEAK_SENDER, path, message);
        reader.hint("name the networks of your proxies in `server.trusted_proxies.networks`");
    }
    name.map(SenderCredential::Certificate)
}

fn scopes(reader: &mut Reader<'_>, words: Option<&[String]>, path: &str) -> Option<Scopes> {
    let Some(words) = words else { return Some(Scopes::All) };
    let parsed =
        |(index, word): (usize, &String)| reader.check(codes::NAME, &format!("{path}.{index}"), Scope::parse(word));
    let scopes: Vec<Option<Scope>> = words.iter().enumerate().map(parsed).collect();
    scopes.into_iter().collect::<Option<Vec<Scope>>>().map(Scopes::Only)
}

/// `Some(None)`: it does not end. Speaks of an end that is near or past.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn expires(reader: &mut Reader<'_>, now: Timestamp, raw: &RawSender, path: &str) -> Option<Option<Timestamp>> {
    let Some(text) = &raw.expires else { return Some(None) };
    let path = format!("{path}.expires");
    let message = || {
        let text = text.escape_debug();
        format!("`{text}` is neither a date such as `2027-01-31` nor a time such as `2027-01-31T12:00:00Z`")
    };
    let end = reader.check(codes::EXPIRY, &path, parse_end(text).ok_or_else(message))?;
    if now >= end {
        let message = format!("the credential of `{}` EXPIRED at {end}: whoever still shows it is refused", raw.name);
        reader.warning(codes::EXPIRY, &path, message);
        reader.hint("give the sender a new credential, or remove the entry");
    } else if now.plus(CREDENTIAL_EXPIRY_NOTICE) >= end {
        let days = end.since(now).as_secs() / 86_400;
        let left = match days {
            0 => "in less than a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        reader.warning(codes::EXPIRY, &path, format!("the credential of `{}` ends {left}, at {end}", raw.name));
        reader.hint("write a second entry of this name with a new credential, and remove this one when it is unused");
    }
    Some(Some(end))
}

/// When a credential ends: a moment such as `2027-01-31T12:00:00Z`, or the end of a day such as `2027-01-31` in UTC.
pub fn parse_end(text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_millis(moment.as_millisecond()));
    }
    let plain = text.len() == "2027-01-31".len();
    let date: jiff::civil::Date = text.parse().ok().filter(|_| plain)?;
    let after = date.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(after.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_whole_day_and_a_time_is_a_moment() {
        for (text, expected) in [
            ("2027-01-31", Some("2027-02-01T00:00:00.000Z")),
            ("2027-01-31T12:00:00Z", Some("2027-01-31T12:00:00.000Z")),
            ("2027-01-31T12:00:00+02:00", Some("2027-01-31T10:00:00.000Z")),
            ("2027-01-31T12:00:00", None),
            ("2027-02-30", None),
            ("31.01.2027", None),
            ("never", None),
            ("", None),
        ] {
            assert_eq!(parse_end(text).map(|end| end.to_string()).as_deref(), expected, "{text}");
        }
    }
}
