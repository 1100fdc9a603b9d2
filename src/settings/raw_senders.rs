//! What may stand under `senders` in a tenant's file: who may push to us, and how it proves who it is.
//!
//! Owns: names, defaults and documentation of the keys; see [`super::raw`] for how these types are used. Never: judges
//! values; that is [`super::senders`]. Fails: it cannot. Proved by: `tests/settings.rs`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::RawSecret;
use super::raw_exchange::RawBasic;
use crate::limits::{
    CERTIFICATE_NAME_CHARS_MAX, SCOPES_MAX, TARGET_URL_CHARS_MAX, TOKEN_WORD_CHARS_MAX, TOKEN_WORDS_MAX,
};

/// Who may push to us. Exactly one credential each; a name stands twice while its credential is rotated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sender")]
pub(super) struct RawSender {
    /// For the log and the metrics: 1 to 40 of a-z, 0-9 and `-`.
    pub(super) name: String,
    /// The hash that `snowgate key new` prints; the sender holds the key.
    pub(super) api_key_sha256: Option<String>,
    /// The shared secret of Standard Webhooks, `whsec_…`.
    pub(super) webhook_secret: Option<RawSecret>,
    /// Also take signatures in hexadecimal, from senders that can print nothing else.
    #[serde(default)]
    pub(super) hex_signatures: bool,
    /// The secret of a PagerDuty webhook subscription.
    pub(super) pagerduty_secret: Option<RawSecret>,
    /// User name and password, for tools that have nothing else.
    pub(super) basic: Option<RawBasic>,
    /// Bearer tokens of an OAuth issuer.
    pub(super) oauth: Option<RawTokens>,
    /// Bearer tokens of Azure Monitor's secure webhook: `oauth` with what Microsoft documents for it.
    pub(super) azure_secure_webhook: Option<RawAzure>,
    /// A client certificate that a proxy of `server.trusted_proxies` has verified.
    pub(super) client_certificate: Option<RawCertificate>,
    /// What it may do: `events`, `sources`, `sources/NAME`, `deliveries`. Everything, unless it stands here.
    #[schemars(length(min = 1, max = SCOPES_MAX))]
    pub(super) scopes: Option<Vec<String>>,
    /// Until when it is taken: a date such as `2027-01-31`, which is the last day in UTC, or a time such as
    /// `2027-01-31T12:00:00Z`.
    pub(super) expires: Option<String>,
    /// Also take the key as `?key=` in the address of a source, from tools that can send nothing else.
    #[serde(default)]
    pub(super) key_in_url: bool,
}

/// Bearer tokens of an OAuth issuer. Where several values are given, one of them is enough.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tokens")]
pub(super) struct RawTokens {
    /// The very text of the token's `iss`, such as `https://login.example/realms/soc`.
    #[schemars(length(min = 1, max = TARGET_URL_CHARS_MAX))]
    pub(super) issuer: String,
    /// The token's `aud`: one or a list.
    pub(super) audience: RawWords,
    /// The applications it may have been given to: `azp`, `appid` or `client_id`.
    #[schemars(length(min = 1, max = TOKEN_WORDS_MAX))]
    pub(super) clients: Option<Vec<String>>,
    /// Application roles (`roles`).
    #[schemars(length(min = 1, max = TOKEN_WORDS_MAX))]
    pub(super) roles: Option<Vec<String>>,
    /// Scopes (`scp` or `scope`).
    #[schemars(length(min = 1, max = TOKEN_WORDS_MAX))]
    pub(super) scopes: Option<Vec<String>>,
    /// Whom it must speak for (`sub`).
    #[schemars(length(min = 1, max = TOKEN_WORD_CHARS_MAX))]
    pub(super) subject: Option<String>,
    /// Where the issuer's keys are, if not where `<issuer>/.well-known/openid-configuration` says.
    pub(super) jwks_url: Option<String>,
}

/// Azure Monitor's secure webhook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AzureSecureWebhook")]
pub(super) struct RawAzure {
    /// The id of the directory (tenant) of Entra whose action groups call.
    pub(super) directory: String,
    /// The application of the webhook: its client id, its App ID URI, or both in a list.
    pub(super) audience: RawWords,
    /// The directory is in Azure Government.
    #[serde(default)]
    pub(super) government: bool,
    /// Where the directory's keys are, if not where Microsoft says.
    pub(super) jwks_url: Option<String>,
}

/// A client certificate that a trusted proxy has verified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClientCertificate")]
pub(super) struct RawCertificate {
    /// One of the certificate's names, as the proxy writes it, without `DNS:` or `URI:`.
    #[schemars(length(min = 1, max = CERTIFICATE_NAME_CHARS_MAX))]
    pub(super) san: String,
}

/// One text or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Words")]
pub(super) enum RawWords {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl RawWords {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}
