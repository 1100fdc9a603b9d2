//! A PostgreSQL of the harness's own: made in a fresh directory, as durable as it is shipped, gone with this value.
//!
//! Owns: `initdb`, start, databases, questions asked over a connection. Never: uses a server that is there already, or
//! switches `fsync` off. PostgreSQL refuses to run as root, so root's runs as the user `postgres`, in a directory which
//! that user can reach. Needs Debian's package `postgresql`. Fails: with the end of the server's log.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::Failed;
use super::process::Process;

/// A start recovers nothing and takes about a second.
const READY_WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Half a gigabyte of cache would hide what the disk costs, PostgreSQL's own default would show nothing else. The log is
/// as large as a busy server's, so that no checkpoint falls into one round and not into the next.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=15min",
    "fsync=on",
    "synchronous_commit=on",
];

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    // The server ends before its files go.
    process: Process,
    _directory: TempDir,
}

impl Postgres {
    /// Makes a server and waits until it answers.
    pub(crate) async fn start(scratch: &Path) -> Result<Self, Failed> {
        let directory = directory(scratch)?;
        let data = directory.path().join("data");
        let mut init = as_postgres(program("initdb"));
        init.arg("-D").arg(&data).args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        let made = init.arg("--no-instructions").stdin(Stdio::null()).output();
        let made = made.map_err(|error| Failed::io("PostgreSQL is needed (Debian: postgresql)", &error))?;
        if !made.status.success() {
            return Err(Failed::new(format!("initdb: {}", String::from_utf8_lossy(&made.stderr))));
        }
        let port = free_port().map_err(|error| Failed::io("no free port", &error))?;
        let mut command = as_postgres(program("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let process = Process::program("postgres", command, &directory.path().join("log"))?;
        let mut server = Self { port, process, _directory: directory };
        server.wait_ready().await?;
        Ok(server)
    }

    /// A fresh database, as a URL.
    pub(crate) async fn database(&self, name: &str) -> Result<String, Failed> {
        let url = self.url("postgres");
        ask(&url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        ask(&url, &format!("CREATE DATABASE {name}")).await?;
        Ok(self.url(name))
    }

    /// Writes everything down that is in memory only, so that no round pays for the one before.
    pub(crate) async fn checkpoint(&self) -> Result<(), Failed> {
        ask(&self.url("postgres"), "CHECKPOINT").await
    }

    /// Bytes of log written since the server was made.
    pub(crate) async fn log_bytes(&self) -> Result<f64, Failed> {
        let client = connect(&self.url("postgres")).await?;
        let row = client.query_one("SELECT (pg_current_wal_lsn() - '0/0')::float8", &[]).await.map_err(failed)?;
        Ok(row.get(0))
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    async fn wait_ready(&mut self) -> Result<(), Failed> {
        let asked = Instant::now();
        // Refused connections are what waiting means here.
        while connect(&self.url("postgres")).await.is_err() {
            self.process.still_runs()?;
            if asked.elapsed() > READY_WAIT {
                return Err(Failed::new(format!("PostgreSQL did not start\n{}", self.process.last_words())));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its sessions end with it; a server that is killed instead leaves them to notice.
        drop(Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status());
    }
}

/// A connection that lasts as long as its client.
pub(crate) async fn connect(url: &str) -> Result<Client, Failed> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(failed)?;
    // What breaks it is told to whoever asks next.
    drop(tokio::spawn(connection));
    Ok(client)
}

/// One statement on a connection of its own.
pub(crate) async fn ask(url: &str, statement: &str) -> Result<(), Failed> {
    connect(url).await?.batch_execute(statement).await.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "as the argument of `map_err`")]
fn failed(error: tokio_postgres::Error) -> Failed {
    let said = error.as_db_error().map(ToString::to_string);
    Failed::new(format!("PostgreSQL: {error} {}", said.unwrap_or_default()))
}

/// On the same disk as everything else, unless the user `postgres` cannot go there.
fn directory(scratch: &Path) -> Result<TempDir, Failed> {
    let reachable = as_postgres("test").arg("-x").arg(scratch).status().is_ok_and(|status| status.success());
    let base = if reachable { scratch } else { Path::new("/var/tmp") };
    let made = TempDir::with_prefix_in("postgres-", base).and_then(|directory| {
        if let Some((user, group)) = postgres_user() {
            chown(directory.path(), Some(user), Some(group))?;
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700))?;
        Ok(directory)
    });
    made.map_err(|error| Failed::io("could not make a directory for PostgreSQL", &error))
}

/// Debian keeps the programs of each version in a directory of its own; the newest is taken.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let path = newest.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}")));
    path.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// A command that root runs as the user `postgres`.
fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((user, group)) = postgres_user() {
        command.uid(user).gid(group);
    }
    command
}

/// The user and the group of that name, if this is root.
fn postgres_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() != 0) {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut words = line.split(':').skip(2);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
