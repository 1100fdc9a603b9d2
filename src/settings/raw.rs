//! What may stand in `snowgate.yaml`, as people write it. The JSON Schema is made from these types, files are checked
//! against that schema, and the values are read into these types: one description, three uses.
//!
//! Owns: names, defaults and documentation of the keys. Never: judges values; that is [`super::checked`].
//! Fails: it cannot; see [`super::shape`]. Proved by: `tests/settings.rs`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::limits::{USER_NAME_CHARS_MAX, WORKERS_MAX};

/// Settings of the gateway: `config/snowgate.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Snowgate settings")]
pub(super) struct RawSettings {
    /// Where the gateway listens.
    pub(super) server: RawServer,
    /// Where accepted work is kept.
    pub(super) store: RawStore,
    /// The directory with one file per tenant.
    pub(super) tenants: PathBuf,
    /// The directory of the mapping files that tenants name.
    pub(super) mappings: PathBuf,
    /// Where the gateway may connect to. No tenant can widen it.
    pub(super) egress: RawEgress,
    /// The `sys_id` of every ticket is derived from this text. Keep it over a rebuild and over replicas, and choose
    /// your own if two deployments serve the same instance. Not a secret.
    #[schemars(length(min = 1, max = 200))]
    pub(super) deployment_key: String,
    /// Log lines on standard error.
    pub(super) log: RawLog,
    /// Who may use the admin listener from other machines.
    pub(super) operators: Vec<RawOperator>,
    /// Noticing that files changed.
    pub(super) reload: RawReload,
}

impl Default for RawSettings {
    fn default() -> Self {
        Self {
            server: RawServer::default(),
            store: RawStore::default(),
            tenants: "config/tenants".into(),
            mappings: "mappings".into(),
            egress: RawEgress::default(),
            deployment_key: "snowgate".to_owned(),
            log: RawLog::default(),
            operators: Vec::new(),
            reload: RawReload::default(),
        }
    }
}

/// Noticing that files changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Reload")]
pub(super) struct RawReload {
    /// How often the files are looked at, or `off`: then only `snowgate reload` and SIGHUP make the gateway read them.
    pub(super) every: String,
}

impl Default for RawReload {
    fn default() -> Self {
        Self { every: "2s".to_owned() }
    }
}

/// Where the gateway listens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Server")]
pub(super) struct RawServer {
    /// The public face: events, sources, webhooks, health.
    pub(super) listen: String,
    /// The operators' face: admin API, console, metrics. Keep it on loopback, or name operators.
    pub(super) admin_listen: String,
    /// Threads that serve requests; by default one per processor.
    #[schemars(range(min = 1, max = WORKERS_MAX))]
    pub(super) workers: Option<usize>,
    /// Proxies in front of the public face that are believed about their callers.
    pub(super) trusted_proxies: RawTrustedProxies,
}

/// Proxies in front of the public face.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TrustedProxies")]
pub(super) struct RawTrustedProxies {
    /// Blocks of addresses they connect from, such as `10.0.0.0/8`. Only what comes from there is believed to have come
    /// through a proxy: `X-Forwarded-For`, and the names of client certificates.
    pub(super) networks: Vec<String>,
    /// The header with the names of a verified client certificate. The proxy must set or remove it on every request.
    #[schemars(length(min = 1, max = USER_NAME_CHARS_MAX))]
    pub(super) client_certificate_header: String,
}

impl Default for RawTrustedProxies {
    fn default() -> Self {
        Self { networks: Vec::new(), client_certificate_header: "x-client-cert-san".to_owned() }
    }
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            admin_listen: "127.0.0.1:8081".to_owned(),
            workers: None,
            trusted_proxies: RawTrustedProxies::default(),
        }
    }
}

/// Where accepted work is kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Store")]
pub(super) struct RawStore {
    /// `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, or `memory:`.
    pub(super) url: String,
    /// The password for PostgreSQL.
    pub(super) password: Option<RawSecret>,
    /// Run although the store cannot promise that accepted work survives: a database file on a network file system,
    /// PostgreSQL with `fsync` or `synchronous_commit` off, or `memory:`.
    pub(super) accept_data_loss: bool,
}

impl Default for RawStore {
    fn default() -> Self {
        Self { url: "sqlite:data/snowgate.db".to_owned(), password: None, accept_data_loss: false }
    }
}

/// Where the gateway may connect to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Egress")]
pub(super) struct RawEgress {
    /// Names such as `soc.example` or `*.service-now.com`, with a port if it is not 443.
    pub(super) allow_hosts: Vec<String>,
    /// Blocks of addresses that are allowed although they are not public, such as `127.0.0.0/8`; plain http only to these.
    pub(super) allow_private: Vec<String>,
}

impl Default for RawEgress {
    fn default() -> Self {
        let hosts = ["*.service-now.com", "*.servicenow.com", "*.servicenowservices.com"];
        Self { allow_hosts: hosts.map(str::to_owned).to_vec(), allow_private: Vec::new() }
    }
}

/// Log lines on standard error.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Log")]
pub(super) struct RawLog {
    /// For people or for machines.
    pub(super) format: LogFormat,
    /// A level such as `info`, or a list such as `info,snowgate::worker=debug`. The environment's `RUST_LOG` goes first.
    pub(super) level: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".to_owned() }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Somebody who may use the admin listener from other machines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Operator")]
pub(super) struct RawOperator {
    /// Written to the audit trail.
    #[schemars(length(min = 1, max = 60))]
    pub(super) name: String,
    /// What they may do.
    pub(super) role: Role,
    /// The hash that `snowgate key new` prints; the key itself is the bearer token.
    pub(super) api_key_sha256: String,
}

/// What an operator may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Read,
    /// Look, pause, resume, check, replay.
    Operate,
    /// All of that, and drop deliveries.
    Admin,
}

/// Where a secret is kept; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SecretRef")]
pub(super) enum RawSecret {
    /// In this environment variable.
    Env(String),
    /// In this file; one line feed at its end is not part of the secret.
    File(PathBuf),
}

/// Text that is not secret, given directly or like a secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "TextOrRef")]
pub(super) enum RawText {
    /// The text itself.
    Plain(String),
    /// Where it is kept.
    Kept(RawSecret),
}
