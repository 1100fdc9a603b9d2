//! A gateway's folder: settings, tenants, mappings and the store, on a real disk. It outlives the processes in it.
//!
//! The store is a file in the folder, or a database of its own on the tests' PostgreSQL: then several replicas may be
//! started on the folder, each on ports of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use super::gateway::Gateway;
use super::instance::{CLIENT_SECRET, CLIENT_SECRET_NEXT, PASSWORD};
use super::mappings;
use super::postgres::{self, Database};

/// The authority that the machine trusts, if there is this file.
pub(crate) const AUTHORITY: &str = "authority.pem";

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Home {
    folder: tempfile::TempDir,
    tenants: Vec<String>,
    starts: AtomicUsize,
    lease: Option<&'static str>,
    database: Option<Database>,
}

/// Where the work is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// A file.
    Sqlite,
    /// A database of its own on the shared server. A dead process's leases run out there, so they are short.
    Postgres,
}

/// What is special about one process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start<'a> {
    /// Where it dies: `name:n` or `name:n:manner`.
    pub(crate) crash_at: Option<&'a str>,
    /// Another version of the program.
    pub(crate) binary: Option<&'a str>,
    /// More of its environment.
    pub(crate) variables: &'a [(&'a str, &'a str)],
    /// What a shell runs first, with mounts that only this process sees, such as `mount -t tmpfs …`.
    pub(crate) after: Option<&'a str>,
}

/// How long leases last where nothing releases those of a dead process: longer than our own part of any call takes on a
/// busy machine, and short enough to wait for.
const SHORT_LEASE: &str = "8s";

/// One tenant's file.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    name: String,
    instance: String,
    auth: &'static str,
    mapping: String,
    settle: &'static str,
    sweep: &'static str,
    more: String,
}

const BASIC: &str = "{kind: basic, username: snowgate, password: {env: SNOW_PASSWORD}}";
const OAUTH: &str = "{kind: client_credentials, client_id: snowgate-client, client_secret: {env: SNOW_CLIENT_SECRET}}";

impl Tenant {
    /// A tenant with the plain mapping, a short settle time (the simulator is quick), and room for many calls.
    pub(crate) fn named(name: &str, instance: &str) -> Self {
        Self {
            name: name.to_owned(),
            instance: instance.to_owned(),
            auth: BASIC,
            mapping: mappings::PLAIN.to_owned(),
            settle: "3s",
            sweep: "5m",
            more: String::new(),
        }
    }

    pub(crate) fn with_oauth(self) -> Self {
        Self { auth: OAUTH, ..self }
    }

    /// With another `auth` of its file.
    pub(crate) fn signing_in_with(self, auth: &'static str) -> Self {
        Self { auth, ..self }
    }

    pub(crate) fn mapped_by(self, mapping: &str) -> Self {
        Self { mapping: mapping.to_owned(), ..self }
    }

    /// With another settle time, for instances that are slow on purpose.
    pub(crate) fn settling(self, settle: &'static str) -> Self {
        Self { settle, ..self }
    }

    /// With another time between two sweeps.
    pub(crate) fn sweeping(self, sweep: &'static str) -> Self {
        Self { sweep, ..self }
    }

    /// With more lines at the end of its file.
    pub(crate) fn and(self, more: &str) -> Self {
        Self { more: more.to_owned(), ..self }
    }

    fn file(&self) -> String {
        let Self { name, instance, auth, settle, sweep, more, .. } = self;
        let (hash, hook) = (hash_of(&key_of(name)), hook_variable(name));
        format!(
            "tenant: {name}\nservicenow:\n  instance: {instance}\n  auth: {auth}\n  settle: {settle}\n  \
             sweep: {{every: {sweep}}}\n  limits: {{calls_per_second: 100, calls_per_hour: 360000, concurrency: 16}}\nmapping: {name}.yaml\n\
             senders:\n  - {{name: soc, api_key_sha256: \"{hash}\"}}\n  \
             - {{name: rooms, webhook_secret: {{env: {hook}}}}}\n{more}"
        )
    }
}

/// The key of a tenant's sender; it must never reach a log.
pub(crate) fn key_of(tenant: &str) -> String {
    format!("sgk_canary-key-of-{tenant}")
}

/// The signing secret of a tenant's other sender; it must never reach a log either.
pub(crate) fn hook_secret_of(tenant: &str) -> String {
    format!("whsec_{}", STANDARD.encode(Sha256::digest(format!("canary hook of {tenant}"))))
}

fn hook_variable(tenant: &str) -> String {
    format!("HOOK_{}", tenant.to_ascii_uppercase().replace('-', "_"))
}

/// What a file keeps of a key.
pub(crate) fn hash_of(key: &str) -> String {
    Sha256::digest(key).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

impl Home {
    /// A folder for these tenants.
    pub(crate) fn of(tenants: &[Tenant]) -> Self {
        // Not the system's folder for temporary files, which may be memory: a commit must reach a disk here.
        let folder =
            tempfile::Builder::new().prefix("home-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let names = tenants.iter().map(|tenant| tenant.name.clone()).collect();
        let home = Self { folder, tenants: names, starts: AtomicUsize::new(0), lease: None, database: None };
        for name in ["tenants", "mappings"] {
            fs::create_dir(home.path().join(name)).expect("a new folder");
        }
        home.keep_at("sqlite:snowgate.db");
        for tenant in tenants {
            home.write(&format!("tenants/{}.yaml", tenant.name), &tenant.file());
            home.write(&format!("mappings/{}.yaml", tenant.name), &tenant.mapping);
        }
        home
    }

    /// A folder for the tenant `contoso` at this instance.
    pub(crate) fn contoso(instance: &str) -> Self {
        Self::of(&[Tenant::named("contoso", instance)])
    }

    /// A folder for these tenants, whose work is kept there.
    pub(crate) fn kept(keeping: Keeping, tenants: &[Tenant]) -> Self {
        let home = Self::of(tenants);
        match keeping {
            Keeping::Sqlite => home,
            Keeping::Postgres => home.in_database(postgres::database()).leasing(SHORT_LEASE),
        }
    }

    /// Keeps its work in this database.
    pub(crate) fn in_database(self, database: Database) -> Self {
        self.keep_at(database.url());
        Self { database: Some(database), ..self }
    }

    /// Keeps its work under this URL from the next start on.
    pub(crate) fn keep_at(&self, url: &str) {
        self.write(
            "snowgate.yaml",
            &format!(
                "server: {{listen: \"127.0.0.1:0\", admin_listen: \"127.0.0.1:0\"}}\nstore: {{url: \"{url}\"}}\n\
                 tenants: tenants\nmappings: mappings\negress: {{allow_private: [127.0.0.0/8]}}\n",
            ),
        );
    }

    /// Makes every lease so long.
    pub(crate) fn leasing(self, lease: &'static str) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// Its database on the tests' PostgreSQL.
    pub(crate) fn database(&self) -> &Database {
        self.database.as_ref().expect("it is kept in PostgreSQL")
    }

    /// Puts the shipped sources into the folder.
    pub(crate) fn add_sources(&self) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/sources");
        let folder = self.path().join("mappings/sources");
        fs::create_dir_all(&folder).expect("a folder");
        for file in fs::read_dir(shipped).expect("the shipped sources") {
            let file = file.expect("an entry");
            fs::copy(file.path(), folder.join(file.file_name())).expect("the folder can be written to");
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the folder anew.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("the folder can be written to");
    }

    /// Writes a tenant's file and mapping anew.
    pub(crate) fn rewrite(&self, tenant: &Tenant) {
        self.write(&format!("tenants/{}.yaml", tenant.name), &tenant.file());
        self.remap(&tenant.name, &tenant.mapping);
    }

    /// Replaces the mapping of a tenant, as a person would before a restart.
    pub(crate) fn remap(&self, tenant: &str, mapping: &str) {
        self.write(&format!("mappings/{tenant}.yaml"), mapping);
    }

    /// Starts a gateway and waits until both of its listeners answer.
    pub(crate) async fn start(&self) -> Gateway {
        self.start_as(Start::default()).await
    }

    /// Starts one that aborts at the n-th pass of a point, `name:n`.
    pub(crate) async fn start_dying_at(&self, point: &str) -> Gateway {
        self.start_as(Start { crash_at: Some(point), ..Start::default() }).await
    }

    pub(crate) async fn start_as(&self, start: Start<'_>) -> Gateway {
        Gateway::started(self, start).await
    }

    /// Starts so many at once, on the same files and the same store.
    pub(crate) async fn replicas(&self, count: usize) -> Vec<Gateway> {
        join_all((0..count).map(|_| self.start())).await
    }

    /// `snowgate` with these arguments, in this folder, with the secrets its files name and nothing else of ours.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_snowgate"), arguments)
    }

    /// The same of another version of the program.
    pub(crate) fn command_of(&self, binary: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.args(arguments);
        self.furnish(&mut command);
        command
    }

    /// The same by way of a shell that runs something first; what that mounts goes with the process.
    pub(crate) fn command_after(&self, first: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "bash", "-ec", &format!("{first}; exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_snowgate")).args(arguments);
        self.furnish(&mut command);
        command
    }

    fn furnish(&self, command: &mut Command) {
        command.current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SNOWGATE") {
                command.env_remove(name);
            }
        }
        command.env("RUST_LOG", "info").env("NO_COLOR", "1");
        command.env("SNOW_PASSWORD", PASSWORD).env("SNOW_CLIENT_SECRET", CLIENT_SECRET);
        command.env("SNOW_CLIENT_SECRET_NEXT", CLIENT_SECRET_NEXT);
        let authority = self.path().join(AUTHORITY);
        if authority.exists() {
            command.env("SSL_CERT_FILE", authority);
        }
        for tenant in &self.tenants {
            command.env(hook_variable(tenant), hook_secret_of(tenant));
        }
        if let Some(lease) = self.lease {
            command.env("SNOWGATE_LEASE", lease);
        }
    }

    /// Everything that must never be seen outside of this folder.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let of_tenants = self.tenants.iter().flat_map(|tenant| [key_of(tenant), hook_secret_of(tenant)]);
        let hooks = [hook_secret_of("webhook"), hook_secret_of("callback")];
        of_tenants.chain(hooks).chain([PASSWORD, CLIENT_SECRET, CLIENT_SECRET_NEXT].map(str::to_owned)).collect()
    }

    /// A file for the log of the next process.
    pub(crate) fn next_log(&self) -> PathBuf {
        self.path().join(format!("log-{}.jsonl", self.starts.fetch_add(1, Ordering::Relaxed)))
    }
}
