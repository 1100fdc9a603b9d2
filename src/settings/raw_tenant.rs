//! What may stand in a tenant's file, as people write it; see [`super::raw`] for how these types are used.
//!
//! Owns: names, defaults and documentation of the keys. Never: judges values; that is [`super::tenant`].
//! Fails: it cannot. Proved by: `tests/settings.rs`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::{RawSecret, RawText};
use super::raw_exchange::{RawCallback, RawWebhook};
use super::raw_senders::RawSender;
use super::raw_service_levels::RawServiceLevels;
use crate::limits::{
    CALL_CONCURRENCY_MAX, CALLS_PER_HOUR_MAX, CALLS_PER_SECOND_MAX, CLAIM_CHARS_MAX, REFRESH_TOKEN_DAYS,
    REFRESH_TOKEN_DAYS_MAX, TENANT_WAITING_LEAST, TENANT_WAITING_MAX, TENANT_WAITING_MOST, USER_NAME_CHARS_MAX,
};

/// One customer: `config/tenants/NAME.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Snowgate tenant")]
#[expect(dead_code, reason = "describes the file for the schema; the parts are read one by one")]
pub(super) struct RawTenant {
    /// The tenant's name: 1 to 40 of a-z, 0-9 and `-`.
    tenant: String,
    /// Whether anything is accepted and delivered for it; `after_check`: once a check of its instance passed and an operator
    /// enabled it.
    #[serde(default = "RawEnabled::yes")]
    enabled: RawEnabled,
    /// The customer's instance.
    servicenow: RawServiceNow,
    /// The mapping file, in the directory of mappings.
    mapping: String,
    /// Who may push to us for this tenant. A name may stand twice while its key is being rotated.
    #[serde(default)]
    senders: Vec<RawSender>,
    /// ServiceNow calls us.
    webhook: Option<RawWebhook>,
    /// We call the managed service.
    callback: Option<RawCallback>,
    /// Deliveries that may wait before senders are told to wait too.
    #[serde(default = "waiting_max")]
    #[schemars(range(min = TENANT_WAITING_LEAST, max = TENANT_WAITING_MOST))]
    waiting_max: u64,
    /// What is promised about time; nothing, unless it stands here.
    service_levels: Option<RawServiceLevels>,
}

/// What may wait of a tenant whose file does not say.
pub(super) const fn waiting_max() -> u64 {
    TENANT_WAITING_MAX
}

/// Who decides whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Enabled")]
pub(super) enum RawEnabled {
    /// This file.
    File(bool),
    /// An operator, after a check.
    Later(RawAfterCheck),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AfterCheck")]
pub(super) enum RawAfterCheck {
    /// The word.
    AfterCheck,
}

impl RawEnabled {
    pub(super) const fn yes() -> Self {
        Self::File(true)
    }
}

/// The customer's instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServiceNow")]
#[expect(dead_code, reason = "describes the file for the schema; the parts are read one by one")]
pub(super) struct RawServiceNow {
    /// Its address, such as `https://contoso.service-now.com`.
    instance: String,
    /// How we authenticate there.
    auth: RawAuth,
    /// How much we may ask of it.
    #[serde(default)]
    limits: RawLimits,
    /// How a ticket is created so that there is never a second one.
    #[serde(default)]
    create: CreateStrategy,
    /// How long a write without an answer may still land there; only then it is looked up and sent again.
    #[serde(default = "settle")]
    settle: String,
    /// The name of the user we are there, if it cannot be learned from the instance's answers: our own changes are
    /// recognised by it. With `password` and `basic` it is the account.
    #[schemars(length(min = 1, max = USER_NAME_CHARS_MAX))]
    user: Option<String>,
    /// Asking for what changed, so that a lost webhook costs only latency.
    #[serde(default)]
    sweep: RawSweep,
}

/// How we authenticate at the instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Auth")]
#[expect(dead_code, reason = "what is checked on its own is only described here")]
pub(super) enum RawAuth {
    /// OAuth 2.0 client credentials. Use this if the instance allows it (Washington DC and later).
    ClientCredentials {
        /// The client's id.
        client_id: RawText,
        /// The client's secret.
        client_secret: RawSecret,
        /// The coming secret during a rotation: used once the other one is refused. Later it moves to `client_secret`.
        client_secret_next: Option<RawSecret>,
        /// If it is not `<instance>/oauth_token.do`.
        token_url: Option<String>,
        /// A client certificate on top.
        mutual_tls: Option<RawMutualTls>,
    },
    /// OAuth 2.0 with a signed assertion (RFC 7523).
    JwtBearer {
        /// The client's id.
        client_id: RawText,
        /// The client's secret, if the instance wants it beside the assertion.
        client_secret: Option<RawSecret>,
        /// The key that signs the assertion, PEM: RSA (RS256) or P-256 (ES256).
        private_key: RawSecret,
        /// The id under which the instance knows the key (`kid`).
        #[schemars(length(min = 1, max = CLAIM_CHARS_MAX))]
        key_id: Option<String>,
        /// The coming key during a rotation: used once the other one is refused. Later it moves to `private_key`.
        private_key_next: Option<RawSecret>,
        /// The id under which the instance knows the coming key.
        #[schemars(length(min = 1, max = CLAIM_CHARS_MAX))]
        key_id_next: Option<String>,
        /// The user the assertion speaks for, by the field that the instance looks at.
        #[schemars(length(min = 1, max = CLAIM_CHARS_MAX))]
        subject: String,
        /// Who signs (`iss`), if it is not the client's id.
        #[schemars(length(min = 1, max = CLAIM_CHARS_MAX))]
        issuer: Option<String>,
        /// Who is to believe it (`aud`), if it is not the client's id.
        #[schemars(length(min = 1, max = CLAIM_CHARS_MAX))]
        audience: Option<String>,
        /// If it is not `<instance>/oauth_token.do`.
        token_url: Option<String>,
        /// A client certificate on top.
        mutual_tls: Option<RawMutualTls>,
    },
    /// OAuth 2.0 with a refresh token that somebody obtained once. It ends, after 100 days by default.
    RefreshToken {
        /// The client's id.
        client_id: RawText,
        /// The client's secret.
        client_secret: RawSecret,
        /// The coming secret during a rotation: used once the other one is refused. Later it moves to `client_secret`.
        client_secret_next: Option<RawSecret>,
        /// The refresh token.
        refresh_token: RawSecret,
        /// The day on which somebody obtained it, such as `2026-11-01`: its end can then be told in time.
        refresh_token_obtained: Option<String>,
        /// How many days the instance lets it live.
        #[serde(default = "refresh_token_days")]
        #[schemars(range(min = 1, max = REFRESH_TOKEN_DAYS_MAX))]
        refresh_token_days: u32,
        /// If it is not `<instance>/oauth_token.do`.
        token_url: Option<String>,
        /// A client certificate on top.
        mutual_tls: Option<RawMutualTls>,
    },
    /// OAuth 2.0 with the account's password. Works everywhere; the standards advise against it.
    Password {
        /// The client's id.
        client_id: RawText,
        /// The client's secret.
        client_secret: RawSecret,
        /// The coming secret during a rotation: used once the other one is refused. Later it moves to `client_secret`.
        client_secret_next: Option<RawSecret>,
        /// The account.
        username: RawText,
        /// Its password.
        password: RawSecret,
        /// The coming password during a rotation: used once the other one is refused. Later it moves to `password`.
        password_next: Option<RawSecret>,
        /// If it is not `<instance>/oauth_token.do`.
        token_url: Option<String>,
        /// A client certificate on top.
        mutual_tls: Option<RawMutualTls>,
    },
    /// The account's password with every call.
    Basic {
        /// The account.
        username: RawText,
        /// Its password.
        password: RawSecret,
        /// The coming password during a rotation: used once the other one is refused. Later it moves to `password`.
        password_next: Option<RawSecret>,
        /// A client certificate on top.
        mutual_tls: Option<RawMutualTls>,
    },
    /// An inbound REST API key of the instance.
    ApiKey {
        /// The key.
        key: RawSecret,
        /// The coming key during a rotation: used once the other one is refused. Later it moves to `key`.
        key_next: Option<RawSecret>,
        /// The header that carries it, `x-sn-apikey` by default.
        header: Option<String>,
        /// A client certificate on top.
        mutual_tls: Option<RawMutualTls>,
    },
}

/// A client certificate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MutualTls")]
pub(super) struct RawMutualTls {
    /// The certificate and what leads to its root, PEM.
    pub(super) certificate: RawSecret,
    /// Its key, PEM.
    pub(super) key: RawSecret,
}

/// How much we may ask of the instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub(super) struct RawLimits {
    /// Calls per second, over all replicas.
    #[schemars(range(min = 1, max = CALLS_PER_SECOND_MAX))]
    pub(super) calls_per_second: u32,
    /// Calls per hour, over all replicas; ServiceNow counts per hour.
    #[schemars(range(min = 60, max = CALLS_PER_HOUR_MAX))]
    pub(super) calls_per_hour: u32,
    /// Calls at the same time.
    #[schemars(range(min = 1, max = CALL_CONCURRENCY_MAX))]
    pub(super) concurrency: u32,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { calls_per_second: 5, calls_per_hour: 20_000, concurrency: 4 }
    }
}

/// How a ticket is created so that there is never a second one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CreateStrategy {
    /// With a `sys_id` derived by us: a repeated create cannot make a second ticket.
    #[default]
    DerivedSysId,
    /// Looked up by `correlation_id` before every create.
    LookupFirst,
    /// Through an import set that coalesces.
    ImportSet,
    /// Through a unique index on a field of the customer's own.
    UniqueIndex,
}

/// Asking for what changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Sweep")]
pub(super) struct RawSweep {
    /// How often: `30s` to `1d`.
    pub(super) every: String,
    /// How long one round of comparing every open ticket takes: `1h` to `30d`. Finds what no date tells of.
    pub(super) compare_every: String,
}

impl Default for RawSweep {
    fn default() -> Self {
        Self { every: "5m".to_owned(), compare_every: "1d".to_owned() }
    }
}

const fn refresh_token_days() -> u32 {
    REFRESH_TOKEN_DAYS
}

/// 150 s: ServiceNow's own transaction quota ends a REST call after 60 s, with room for a queue before it.
fn settle() -> String {
    "150s".to_owned()
}
