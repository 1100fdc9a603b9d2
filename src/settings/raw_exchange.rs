//! What may stand under `webhook` and `callback` in a tenant's file: ServiceNow calls us, and we call the managed service.
//!
//! Owns: names, defaults and documentation of the keys; see [`super::raw`] for how these types are used. Never: judges
//! values; that is [`super::exchange`]. Fails: it cannot. Proved by: `tests/settings.rs`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::{RawSecret, RawText};
use crate::limits::{
    CALL_CONCURRENCY_MAX, CALLS_PER_HOUR_MAX, CALLS_PER_SECOND_MAX, CLAIM_CHARS_MAX, INSTANCE_NAME_CHARS_MAX,
    OAUTH_SCOPE_CHARS_MAX, USER_NAME_CHARS_MAX,
};

/// ServiceNow calls us, signed as Standard Webhooks. `secrets`, or `unsigned`, or both while one replaces the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Webhook")]
#[expect(dead_code, reason = "describes the file for the schema; the parts are read one by one")]
pub(super) struct RawWebhook {
    /// The shared secrets, `whsec_…`; two during a rotation.
    #[schemars(length(min = 1))]
    secrets: Option<Vec<RawSecret>>,
    /// Also take signatures in hexadecimal.
    #[serde(default)]
    hex_signatures: bool,
    /// The `instance_name` of the instance that calls; by default the first label of the host in `servicenow.instance`.
    /// A clone calls with another one and is held.
    #[schemars(length(min = 1, max = INSTANCE_NAME_CHARS_MAX))]
    instance: Option<String>,
    /// For rules that cannot sign. Whoever once reads such a call can make any other.
    unsigned: Option<RawUnsigned>,
}

/// How a rule that cannot sign shows who it is. Exactly one of `basic` and `header`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Unsigned")]
#[expect(dead_code, reason = "describes the file for the schema; the parts are read one by one")]
pub(super) struct RawUnsigned {
    /// By user name and password.
    basic: Option<RawBasic>,
    /// By a header that always has the same value.
    header: Option<RawHeader>,
}

/// User name and password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Basic")]
pub(super) struct RawBasic {
    /// The user name.
    pub(super) username: RawText,
    /// The password: 16 to 80 visible characters.
    pub(super) password: RawSecret,
}

/// A header that always has the same value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Header")]
pub(super) struct RawHeader {
    /// Its name, such as `x-snowgate-token`.
    #[schemars(length(min = 1, max = USER_NAME_CHARS_MAX))]
    pub(super) name: String,
    /// Its value: 16 to 80 visible characters.
    pub(super) value: RawSecret,
}

/// We call the managed service with CloudEvents, signed as Standard Webhooks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Callback")]
#[expect(dead_code, reason = "describes the file for the schema; the parts are read one by one")]
pub(super) struct RawCallback {
    /// Where to.
    url: String,
    /// The shared secret, `whsec_…`.
    secret: RawSecret,
    /// The coming secret during a rotation; then both sign.
    secret_next: Option<RawSecret>,
    /// A bearer token on top of the signature.
    oauth: Option<RawCallbackOAuth>,
    /// How much we may ask of the managed service for this tenant.
    #[serde(default)]
    limits: RawCallbackLimits,
}

/// OAuth 2.0 client credentials towards the managed service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CallbackOAuth")]
#[expect(dead_code, reason = "the URL is read on its own, where it is checked")]
pub(super) struct RawCallbackOAuth {
    /// Where tokens are asked for.
    pub(super) token_url: String,
    /// The client's id.
    pub(super) client_id: RawText,
    /// The client's secret.
    pub(super) client_secret: RawSecret,
    /// What the token is to be good for; some servers need it.
    #[schemars(length(min = 1, max = OAUTH_SCOPE_CHARS_MAX))]
    pub(super) scope: Option<String>,
    /// Whom the token is for; servers that serve several want it.
    #[schemars(length(min = 1, max = CLAIM_CHARS_MAX))]
    pub(super) audience: Option<String>,
}

/// How much we may ask of the managed service for one tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "CallbackLimits")]
pub(super) struct RawCallbackLimits {
    /// Calls per second, over all replicas.
    #[schemars(range(min = 1, max = CALLS_PER_SECOND_MAX))]
    pub(super) calls_per_second: u32,
    /// Calls per hour, over all replicas.
    #[schemars(range(min = 60, max = CALLS_PER_HOUR_MAX))]
    pub(super) calls_per_hour: u32,
    /// Calls at the same time.
    #[schemars(range(min = 1, max = CALL_CONCURRENCY_MAX))]
    pub(super) concurrency: u32,
}

impl Default for RawCallbackLimits {
    fn default() -> Self {
        Self { calls_per_second: 10, calls_per_hour: 36_000, concurrency: 8 }
    }
}
