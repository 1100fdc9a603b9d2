//! The gateway's settings after the check: types that cannot be wrong.
//!
//! Owns: what the values of `snowgate.yaml` mean. Never: opens what they point to.
//! Fails: by collecting findings; there are settings only if there is no error. Proved by: `tests/settings.rs`.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::Environment;
use super::codes;
use super::duration;
use super::exchange::header_name;
use super::raw::{
    LogFormat, RawEgress, RawLog, RawOperator, RawReload, RawServer, RawSettings, RawStore, RawTrustedProxies, Role,
};
use super::reader::Reader;
use crate::domain::secret::Secret;
use crate::limits::{OPERATORS_MAX, RELOAD_EVERY_MAX, RELOAD_EVERY_MIN};
use crate::security::api_key::ApiKeyHash;
use crate::security::proxies::TrustedProxies;
use crate::security::target::EgressPolicy;

/// Settings of the gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub server: ServerSettings,
    /// Where accepted work is kept.
    pub store: StoreSettings,
    /// The directory with one file per tenant, as seen from the working directory.
    pub tenants: PathBuf,
    /// The directory of the mapping files.
    pub mappings: PathBuf,
    /// Where it may connect to.
    pub egress: EgressPolicy,
    /// The text from which `sys_id`s are derived.
    pub deployment_key: String,
    /// Log lines.
    pub log: LogSettings,
    /// Who may use the admin listener from other machines.
    pub operators: Vec<Operator>,
    /// How often the files are looked at.
    pub reload_every: Every,
    /// Where to die on purpose; never set in release builds.
    pub crash_at: Option<CrashAt>,
    /// How long a lease lasts in a process for kill tests.
    pub lease: Option<Duration>,
}

/// Where the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// The public face.
    pub listen: SocketAddr,
    /// The operators' face.
    pub admin_listen: SocketAddr,
    /// Threads that serve requests; `None` is one per processor.
    pub workers: Option<usize>,
    /// Whom it believes about callers.
    pub trusted_proxies: TrustedProxies,
}

/// Where accepted work is kept.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Which store.
    pub url: StoreUrl,
    /// Whether to run although accepted work might not survive.
    pub accept_data_loss: bool,
}

/// Which store.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// A database file, as seen from the working directory.
    Sqlite(PathBuf),
    /// A server, for several replicas.
    Postgres {
        /// `postgres://user@host/database?…`, never with a password.
        url: String,
        /// The password.
        password: Option<Secret>,
    },
    /// Nothing survives the process.
    Memory,
}

/// Log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or machines.
    pub format: LogFormat,
    /// What `RUST_LOG` takes.
    pub filter: String,
}

/// Somebody who may use the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// For the audit trail.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The hash of their bearer token.
    pub key: ApiKeyHash,
}

/// How often something is done without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// So often.
    Interval(Duration),
    /// Never.
    Off,
}

/// Where a process for kill tests dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashAt {
    /// The point's name, such as `accept.after_commit`.
    pub point: String,
    /// At which pass.
    pub pass: NonZeroU64,
    /// How.
    pub manner: CrashManner,
}

/// How a process for kill tests dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashManner {
    /// `abort`, or nothing: as `kill -9` would end it.
    Abort,
    /// `stop`: it is frozen until somebody continues it.
    Stop,
    /// `panic`: the task panics, from this pass on.
    Panic,
}

impl Settings {
    /// Which of the settings differ and take effect only when the process is started again.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let differences = [
            ("store.url", self.store.place() != other.store.place()),
            ("store.password", self.store.password() != other.store.password()),
            ("store.accept_data_loss", self.store.accept_data_loss != other.store.accept_data_loss),
            ("deployment_key", self.deployment_key != other.deployment_key),
            ("log.format", self.log.format != other.log.format),
            ("log.level", self.log.filter != other.log.filter),
        ];
        let differences = self.server.differences(&other.server).into_iter().chain(differences);
        differences.filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

impl ServerSettings {
    /// Which keys differ. The listeners are made once, so all of them need a restart; a new field does not compile until it
    /// is named here.
    fn differences(&self, other: &Self) -> [(&'static str, bool); 4] {
        let Self { listen, admin_listen, workers, trusted_proxies } = self;
        [
            ("server.listen", *listen != other.listen),
            ("server.admin_listen", *admin_listen != other.admin_listen),
            ("server.workers", *workers != other.workers),
            ("server.trusted_proxies", *trusted_proxies != other.trusted_proxies),
        ]
    }
}

impl StoreSettings {
    fn place(&self) -> Option<&Path> {
        match &self.url {
            StoreUrl::Sqlite(path) => Some(path),
            StoreUrl::Postgres { url, .. } => Some(Path::new(url)),
            StoreUrl::Memory => None,
        }
    }

    fn password(&self) -> Option<&str> {
        match &self.url {
            StoreUrl::Postgres { password, .. } => password.as_ref().map(Secret::expose),
            StoreUrl::Sqlite(_) | StoreUrl::Memory => None,
        }
    }
}

/// Reports every setting that differs from the running one and cannot take effect without a restart.
pub(super) fn check_restart(reader: &mut Reader<'_>, running: &Settings, wanted: &Settings) {
    for key in running.needs_restart(wanted) {
        let message = format!("a change of `{key}` takes effect only when the gateway is started again");
        let finding = reader.error(codes::NEEDS_RESTART, key, message);
        if key == "store.url" {
            // It may hold a password by mistake.
            finding.cut();
        }
        reader.hint("restart the gateway, or set it back; until then nothing of what changed is used");
    }
}

/// The settings, and what is needed of them even if others are wrong, so that tenants are checked all the same.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) settings: Option<Settings>,
    pub(super) egress: Option<EgressPolicy>,
    pub(super) tenants: Option<PathBuf>,
    pub(super) trusts_a_proxy: bool,
}

/// Turns the parts of the files into settings. What is wrong has been reported to the reader.
pub(super) fn parts(reader: &mut Reader<'_>, environment: &Environment) -> Parts {
    let RawSettings { deployment_key, tenants, mappings, .. } = RawSettings::default();
    let server = server(reader);
    let store = store(reader, environment);
    let egress = egress(reader);
    let operators = operators(reader);
    let log = log(reader, environment);
    let reload = reload(reader);
    let deployment_key = reader.part("deployment_key", || deployment_key);
    let tenants = reader.part("tenants", || tenants).map(|tenants| environment.resolve(&tenants));
    let mappings = reader.part("mappings", || mappings).map(|mappings| environment.resolve(&mappings));
    let crash_at = crash_at(reader, environment);
    let lease = lease(reader, environment);
    if let (Some(server), Some(operators)) = (&server, &operators) {
        check_admin(reader, server, operators);
    }
    let all = || {
        Some(Settings {
            server: server.clone()?,
            store: store?,
            tenants: tenants.clone()?,
            mappings: mappings?,
            egress: egress.clone()?,
            deployment_key: deployment_key?,
            log: log?,
            operators: operators?,
            reload_every: reload?,
            crash_at,
            lease,
        })
    };
    let trusts_a_proxy = server.as_ref().is_some_and(|server| !server.trusted_proxies.networks.is_empty());
    Parts { settings: all(), egress: egress.clone(), tenants: tenants.clone(), trusts_a_proxy }
}

fn server(reader: &mut Reader<'_>) -> Option<ServerSettings> {
    let RawServer { listen, admin_listen, workers, .. } = RawServer::default();
    let listen = reader.part("server.listen", || listen);
    let listen = listen.and_then(|text| address(reader, "server.listen", &text));
    let admin_listen = reader.part("server.admin_listen", || admin_listen);
    let admin_listen = admin_listen.and_then(|text| address(reader, "server.admin_listen", &text));
    let workers = reader.part("server.workers", || workers);
    let trusted_proxies = trusted_proxies(reader);
    let (listen, admin_listen) = (listen?, admin_listen?);
    // Port 0 lets the system choose, and it never chooses one twice.
    if listen == admin_listen && listen.port() != 0 {
        let message = format!("the public and the admin listener cannot both have {listen}");
        reader.error(codes::LISTEN, "server.admin_listen", message);
        return None;
    }
    Some(ServerSettings { listen, admin_listen, workers: workers?, trusted_proxies: trusted_proxies? })
}

fn trusted_proxies(reader: &mut Reader<'_>) -> Option<TrustedProxies> {
    const HEADER: &str = "server.trusted_proxies.client_certificate_header";
    let RawTrustedProxies { networks, client_certificate_header } = RawTrustedProxies::default();
    let networks = reader.part("server.trusted_proxies.networks", || networks);
    let networks = networks.and_then(|texts| parsed_list(reader, "server.trusted_proxies.networks", &texts));
    let header = reader.part(HEADER, || client_certificate_header);
    let header = header.and_then(|text| header_name(reader, &text, HEADER));
    Some(TrustedProxies { networks: networks?, certificate_header: header? })
}

fn address(reader: &mut Reader<'_>, path: &str, text: &str) -> Option<SocketAddr> {
    let address = SocketAddr::from_str(text).map_err(|_| format!("`{text}` is not an address and a port"));
    let listen = reader.check(codes::LISTEN, path, address);
    if listen.is_none() {
        reader.hint("write `127.0.0.1:8080`, or `0.0.0.0:8080` for every network of this machine");
    }
    listen
}

/// An admin listener that others can reach needs operators who prove who they are.
fn check_admin(reader: &mut Reader<'_>, server: &ServerSettings, operators: &[Operator]) {
    if operators.is_empty() && !server.admin_listen.ip().is_loopback() {
        let message = format!("{} can be reached from other machines, and no operator is named", server.admin_listen);
        reader.error(codes::OPEN_ADMIN, "server.admin_listen", message);
        reader.hint("use a loopback address, or name somebody under `operators`");
    }
}

fn store(reader: &mut Reader<'_>, environment: &Environment) -> Option<StoreSettings> {
    let RawStore { url, password, accept_data_loss } = RawStore::default();
    let password = reader.part("store.password", || password)?;
    let password = match &password {
        Some(reference) => Some(reader.secret(reference, "store.password")?),
        None => None,
    };
    let accept_data_loss = reader.part("store.accept_data_loss", || accept_data_loss)?;
    if accept_data_loss {
        let message = "accepted work may be lost: the promise \"durable before the receipt\" is switched off";
        reader.warning(codes::DATA_LOSS, "store.accept_data_loss", message);
    }
    let text = reader.part("store.url", || url)?;
    let url = match text.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => {
            StoreUrl::Sqlite(environment.resolve(Path::new(path.strip_prefix("//").unwrap_or(path))))
        }
        Some(("postgres" | "postgresql", _)) => postgres(reader, &text, password)?,
        Some(("memory", "")) if accept_data_loss => StoreUrl::Memory,
        Some(("memory", "")) => {
            reader.error(codes::STORE_URL, "store.url", "`memory:` loses accepted work when the process ends");
            reader.hint("if that is meant, set `store.accept_data_loss: true`");
            return None;
        }
        _ => {
            // What stands there may hold a password, so it is not repeated.
            reader.error(codes::STORE_URL, "store.url", "`store.url` is not the URL of a store").cut();
            reader.hint("write `sqlite:data/snowgate.db`, or `postgres://user@host/database` for several replicas");
            return None;
        }
    };
    Some(StoreSettings { url, accept_data_loss })
}

fn postgres(reader: &mut Reader<'_>, text: &str, password: Option<Secret>) -> Option<StoreUrl> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let authority =
        place.split_once("://").map(|(_, rest)| rest.split_once('/').map_or(rest, |(authority, _)| authority));
    let Some(authority) = authority else {
        reader.error(codes::STORE_URL, "store.url", "`store.url` is not a URL of PostgreSQL").cut();
        reader.hint("write `postgres://user@host/database`");
        return None;
    };
    // Read by hand: with a socket's directory in the query the authority may be `user@`, which is no URL to others.
    let has_password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    if has_password || url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "password") {
        reader
            .error(codes::PLAIN_SECRET, "store.url", "`store.url` holds a password, which must not stand in the file")
            .cut();
        reader.hint("write `postgres://user@host/database`, and `store.password: {env: NAME}` or `{file: PATH}`");
        return None;
    }
    Some(StoreUrl::Postgres { url: text.to_owned(), password })
}

fn egress(reader: &mut Reader<'_>) -> Option<EgressPolicy> {
    let RawEgress { allow_hosts, allow_private } = RawEgress::default();
    let allow_hosts = reader.part("egress.allow_hosts", || allow_hosts);
    let allow_hosts = allow_hosts.and_then(|texts| parsed_list(reader, "egress.allow_hosts", &texts));
    let allow_private = reader.part("egress.allow_private", || allow_private);
    let allow_private = allow_private.and_then(|texts| parsed_list(reader, "egress.allow_private", &texts));
    Some(EgressPolicy { allow_hosts: allow_hosts?, allow_private: allow_private? })
}

/// Every entry of a list of texts, or `None` after every wrong one was reported.
fn parsed_list<T>(reader: &mut Reader<'_>, path: &str, texts: &[String]) -> Option<Vec<T>>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let mut parsed = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        parsed.push(reader.check(codes::EGRESS, &format!("{path}.{index}"), text.parse()));
    }
    parsed.into_iter().collect()
}

fn operators(reader: &mut Reader<'_>) -> Option<Vec<Operator>> {
    let raw: Vec<RawOperator> = reader.part("operators", Vec::new)?;
    if raw.len() > OPERATORS_MAX {
        reader.error(codes::TOO_MANY, "operators", format!("there are more than {OPERATORS_MAX} operators"));
        return None;
    }
    let mut operators: Vec<Operator> = Vec::with_capacity(raw.len());
    for (index, RawOperator { name, role, api_key_sha256 }) in raw.into_iter().enumerate() {
        let path = format!("operators.{index}.api_key_sha256");
        let key = reader.check(codes::BAD_SECRET, &path, ApiKeyHash::parse(&api_key_sha256))?;
        if let Some(other) = operators.iter().find(|other| other.key == key) {
            let message = format!("`{}` has this very key already", other.name);
            reader.error(codes::DUPLICATE_CREDENTIAL, &path, message);
            return None;
        }
        operators.push(Operator { name, role, key });
    }
    Some(operators)
}

fn log(reader: &mut Reader<'_>, environment: &Environment) -> Option<LogSettings> {
    let RawLog { format, level } = RawLog::default();
    let format = reader.part("log.format", || format);
    let level = reader.part("log.level", || level)?;
    let from_environment = environment.variable("RUST_LOG").filter(|filter| !filter.is_empty());
    let filter = from_environment.map_or(level, str::to_owned);
    if EnvFilter::builder().parse(&filter).is_err() {
        let source = if from_environment.is_some() { "RUST_LOG" } else { "log.level" };
        let message = format!("`{filter}` in `{source}` is not a level or list of levels");
        reader.error(codes::LOG_LEVEL, "log.level", message);
        reader.hint("write `info`, or `info,snowgate::worker=debug`");
        return None;
    }
    Some(LogSettings { format: format?, filter })
}

fn reload(reader: &mut Reader<'_>) -> Option<Every> {
    const EVERY: &str = "reload.every";
    let text = reader.part(EVERY, || RawReload::default().every)?;
    if text == "off" {
        return Some(Every::Off);
    }
    let every = reader.check(codes::DURATION, EVERY, duration::parse(&text))?;
    if (RELOAD_EVERY_MIN..=RELOAD_EVERY_MAX).contains(&every) {
        return Some(Every::Interval(every));
    }
    let (least, most) = (duration::display(RELOAD_EVERY_MIN), duration::display(RELOAD_EVERY_MAX));
    reader.error(codes::DURATION, EVERY, format!("`{EVERY}` is `off`, or from {least} to {most}, not {text}"));
    None
}

/// Release builds do not even look.
fn crash_at(reader: &mut Reader<'_>, environment: &Environment) -> Option<CrashAt> {
    let text = environment.variable("SNOWGATE_CRASH_AT").filter(|_| cfg!(debug_assertions))?;
    let wrong = "`SNOWGATE_CRASH_AT` is not `name:n` or `name:n:manner`, such as `accept.after_commit:3:stop`";
    reader.check(codes::CRASH_POINT, "", parsed_crash(text).ok_or(wrong))
}

fn parsed_crash(text: &str) -> Option<CrashAt> {
    let mut parts = text.split(':');
    let (point, pass) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
    let manner = match parts.next() {
        None | Some("abort") => CrashManner::Abort,
        Some("stop") => CrashManner::Stop,
        Some("panic") => CrashManner::Panic,
        Some(_) => return None,
    };
    parts.next().is_none().then_some(CrashAt { point, pass, manner })
}

/// As above.
fn lease(reader: &mut Reader<'_>, environment: &Environment) -> Option<Duration> {
    let text = environment.variable("SNOWGATE_LEASE").filter(|_| cfg!(debug_assertions))?;
    reader.check(codes::CRASH_POINT, "", duration::parse(text).map_err(|_| "`SNOWGATE_LEASE` is not a duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_server_is_named_when_it_differs() {
        let running = ServerSettings {
            listen: "127.0.0.1:8080".parse().unwrap(),
            admin_listen: "127.0.0.1:8081".parse().unwrap(),
            workers: None,
            trusted_proxies: TrustedProxies::none(),
        };
        let elsewhere = "127.0.0.1:9090".parse().unwrap();
        let proxies = |networks: &[&str], header: &str| TrustedProxies {
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            certificate_header: header.into(),
        };
        for (wanted, expected) in [
            (running.clone(), None),
            (ServerSettings { listen: elsewhere, ..running.clone() }, Some("server.listen")),
            (ServerSettings { admin_listen: elsewhere, ..running.clone() }, Some("server.admin_listen")),
            (ServerSettings { workers: Some(2), ..running.clone() }, Some("server.workers")),
            (
                ServerSettings { trusted_proxies: proxies(&["10.0.0.0/8"], "x-client-cert-san"), ..running.clone() },
                Some("server.trusted_proxies"),
            ),
            (
                ServerSettings { trusted_proxies: proxies(&[], "x-other"), ..running.clone() },
                Some("server.trusted_proxies"),
            ),
        ] {
            let named = running.differences(&wanted).into_iter().filter_map(|(name, differs)| differs.then_some(name));
            assert_eq!(named.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
