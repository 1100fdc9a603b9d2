//! PostgreSQL for the tests: one server that all test processes share, or one of a test's own to stop, kill and restart.
//!
//! The shared server is made by the first test that wants it and ends by itself some twenty seconds after the last one:
//! every test process holds a lock on a file while it lives, and the shell that started the server watches that file. So
//! the tests need no set-up, and nothing is left running. Each test works in a database of its own. `fsync`
//! stays on as in production; where there is room the files lie in memory, since what dies here is processes and never
//! the machine. A server that died, or that another boot left behind, is noticed and started anew.
//!
//! Needs Debian's package `postgresql`; the service which that package sets up is not used. PostgreSQL refuses to run as
//! root, so root's tests run it as the user `postgres`. `SNOWGATE_TEST_POSTGRES=postgres://user:password@host:port` makes
//! the shared server another one.
//!
//! Uses nothing of the other support modules: the store's tests include this file by its path.
#![allow(dead_code, clippy::panic, reason = "each test binary uses its part of it; in a test a panic is the report")]

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// A server of this address is used instead of a shared one of our own.
const ANOTHER: &str = "SNOWGATE_TEST_POSTGRES";

/// Runs the shared server, and when for twenty seconds nobody has held a lock on the file, stops it and clears it away.
const KEEPER: &str = r#"
users=$1 log=$2 data=$3; shift 3
"$@" >"$log" 2>&1 &
server=$!
exec 9<"$users"
unused=0
while kill -0 "$server" 2>/dev/null; do
  sleep 1
  if flock --nonblock 9; then
    unused=$((unused + 1))
    if [ "$unused" -ge 20 ]; then kill -INT "$server"; wait "$server"; rm -rf "$data"; exit; fi
    flock --unlock 9
  else
    unused=0
  fi
done
"#;

/// A PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Server {
    /// `postgres://user@host:port`, to be followed by a database.
    address: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Held by a lock on this file.
    Shared {
        _user: File,
    },
    Own(Own),
    /// Somebody else's.
    Named,
}

/// A server of one test.
#[derive(Debug)]
struct Own {
    postmaster: Option<Child>,
    port: u16,
    options: Vec<String>,
    /// Whether it sees a small disk of its own under `disk`.
    has_disk: bool,
    // Last: the files go after the server.
    folder: tempfile::TempDir,
}

/// A fresh database; it goes with this value.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    url: String,
    maintenance: String,
}

/// How a server of one's own is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// Waits until nobody is connected.
    Smart,
    /// Ends the sessions and writes a checkpoint.
    Fast,
    /// Ends at once; the next start recovers from the log.
    Immediate,
}

/// A session that does what it is told and stays open, as a person's would who went to lunch.
#[derive(Debug)]
pub(crate) struct Session(Child);

/// A fresh database on the shared server.
pub(crate) fn database() -> Database {
    Server::shared().database()
}

impl Server {
    /// The server that all tests of this checkout share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| match another() {
            Some(address) => Self { address, kind: Kind::Named },
            None => shared(),
        })
    }

    /// A server of this test alone, running.
    pub(crate) fn own() -> Self {
        Self::own_with(&[])
    }

    /// The same with more settings, each `name=value`.
    pub(crate) fn own_with(settings: &[&str]) -> Self {
        let template = template();
        Self::own_from(settings, |data| {
            let mut copy = as_postgres("cp");
            run(copy.args(["--archive", "--reflink=auto"]).arg(&template).arg(data));
        })
    }

    /// The same on a data directory that the caller fills, such as the copy of another server's.
    pub(crate) fn own_from(settings: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("own-").tempdir_in(quick(&base())).expect("a folder");
        give_to_postgres(folder.path());
        fill(&folder.path().join("data"));
        let options = settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]).collect();
        let port = free_port();
        let own = Own { postmaster: None, port, options, has_disk: false, folder };
        let mut server = Self { address: address(port), kind: Kind::Own(own) };
        server.start();
        server
    }

    /// One whose databases lie on a disk of their own that is small enough to be filled; its log lies elsewhere. Not to be
    /// restarted: the disk goes with its first process.
    pub(crate) fn own_on_a_small_disk() -> Self {
        let mut server = Self::own();
        server.stop(Stop::Fast);
        let own = server.own_parts();
        own.has_disk = true;
        let disk = own.folder.path().join("disk");
        run(as_postgres("mkdir").arg(&disk));
        server.start();
        let tablespace = format!("create tablespace small location '{}'", disk.display());
        server.query("postgres", &tablespace).expect("an empty disk");
        server.query("postgres", "alter system set default_tablespace = small").expect("a setting");
        server.query("postgres", "select pg_reload_conf()").expect("a reload");
        server
    }

    /// Fills its small disk to the last byte.
    pub(crate) fn fills_its_disk(&self) {
        self.at_its_disk("! cat /dev/zero >\"$0/ballast\"");
    }

    /// Gives the room back.
    pub(crate) fn empties_its_disk(&self) {
        self.at_its_disk("rm \"$0/ballast\"");
    }

    /// Has a shell do something at its disk, as it is seen from here, and as the user whose disk it is.
    fn at_its_disk(&self, does: &str) {
        let Kind::Own(own) = &self.kind else { panic!("a server of one's own") };
        let disk = own.folder.path().join("disk");
        let root = Path::new("/proc").join(self.pid().to_string()).join("root");
        let disk = root.join(disk.strip_prefix("/").expect("a whole path"));
        run(as_postgres("bash").args(["-c", does]).arg(disk));
    }

    /// The address of one of its databases, as the gateway's settings take it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.address)
    }

    /// A fresh database.
    pub(crate) fn database(&self) -> Database {
        let name = format!("snowgate_{:016x}", RandomState::new().hash_one(std::process::id()));
        let maintenance = self.url("postgres");
        query(&maintenance, &format!("create database {name} template template0"))
            .unwrap_or_else(|said| panic!("no database: {said}"));
        Database { url: self.url(&name), name, maintenance }
    }

    /// What the server answers to one statement in a database, as lines of `|`-separated columns.
    pub(crate) fn query(&self, database: &str, statement: &str) -> Result<String, String> {
        query(&self.url(database), statement)
    }

    // ── only for a server of one's own ──

    /// Stops it; its port stays its own.
    pub(crate) fn stop(&mut self, mode: Stop) {
        let own = self.own_parts();
        let signal = match mode {
            Stop::Smart => "-TERM",
            Stop::Fast => "-INT",
            Stop::Immediate => "-QUIT",
        };
        let postmaster = own.postmaster.as_mut().expect("it runs");
        run(Command::new("kill").args([signal, &postmaster.id().to_string()]));
        postmaster.wait().expect("our own child");
        own.postmaster = None;
    }

    /// Kills it as a power cut would; what it had not synced may be lost to it.
    pub(crate) fn kill(&mut self) {
        let mut postmaster = self.own_parts().postmaster.take().expect("it runs");
        postmaster.kill().expect("our own child");
        postmaster.wait().expect("our own child");
    }

    /// Starts it again on its port and waits until it answers.
    pub(crate) fn start(&mut self) {
        let probe = self.url("postgres");
        let own = self.own_parts();
        assert!(own.postmaster.is_none(), "it runs already");
        // The sessions of a killed server need a moment to notice, and keep the data directory busy until then.
        for _ in 0..20 {
            let mut postmaster = own.spawn();
            if until_ready(&probe, || postmaster.try_wait().expect("our own child").is_none()) {
                own.postmaster = Some(postmaster);
                return;
            }
            drop(postmaster.kill());
            postmaster.wait().expect("our own child");
            pause(250);
        }
        panic!("PostgreSQL does not start:\n{}", fs::read_to_string(own.log()).unwrap_or_default());
    }

    pub(crate) fn restart(&mut self, mode: Stop) {
        self.stop(mode);
        self.start();
    }

    /// The process id of its first process.
    pub(crate) fn pid(&self) -> u32 {
        let Kind::Own(Own { postmaster: Some(postmaster), .. }) = &self.kind else {
            panic!("a server of one's own, running")
        };
        postmaster.id()
    }

    /// `127.0.0.1:PORT`, to put a proxy before it.
    pub(crate) fn socket(&self) -> SocketAddr {
        let Kind::Own(own) = &self.kind else { panic!("a server of one's own") };
        (Ipv4Addr::LOCALHOST, own.port).into()
    }

    fn own_parts(&mut self) -> &mut Own {
        match &mut self.kind {
            Kind::Own(own) => own,
            Kind::Shared { .. } | Kind::Named => panic!("other tests use this server too: take `Server::own`"),
        }
    }
}

impl Own {
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn spawn(&self) -> Child {
        let log = OpenOptions::new().append(true).create(true).open(self.log()).expect("a log file");
        let mut command = if self.has_disk { self.behind_a_disk() } else { as_postgres(program("postgres")) };
        command.args(arguments(&self.folder.path().join("data"), self.port)).args(&self.options);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        command.spawn().expect("PostgreSQL is installed")
    }
}

impl Own {
    /// The server, which alone sees what was mounted. Mounting takes root, and the server refuses to be root: each is so in
    /// a user namespace of its own.
    fn behind_a_disk(&self) -> Command {
        let mut command = as_postgres("unshare");
        let mount =
            "mount -t tmpfs -o size=64m,mode=0700 tmpfs \"$0\"; exec unshare --user --map-user=1 --map-group=1 \"$@\"";
        command.args(["--user", "--map-root-user", "--mount", "bash", "-ec", mount]);
        command.arg(self.folder.path().join("disk")).arg(program("postgres"));
        command
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(postmaster) = &mut self.postmaster {
            // It may have died by itself; either way it is gone afterwards, and its sessions follow it.
            drop(postmaster.kill());
            drop(postmaster.wait());
        }
    }
}

impl Database {
    /// Its address, as the gateway's settings take it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it answers to one statement, as lines of `|`-separated columns.
    pub(crate) fn query(&self, statement: &str) -> Result<String, String> {
        query(&self.url, statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server of one's own may be gone by now, and its databases with it.
        drop(query(&self.maintenance, &format!("drop database if exists {} with (force)", self.name)));
    }
}

impl Session {
    pub(crate) fn open(url: &str) -> Self {
        let mut command = Command::new(program("psql"));
        command.args(["--no-psqlrc", "--quiet", "--no-password", "--dbname", url]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().expect("the package `postgresql` is installed"))
    }

    /// Says something, and waits until the server has done it.
    pub(crate) fn says(&mut self, statements: &str) {
        // A shell's word comes at once; psql keeps its own for later.
        writeln!(self.0.stdin.as_mut().expect("a pipe"), "{statements}\n\\! echo done").expect("psql listens");
        let mut lines = BufReader::new(self.0.stdout.as_mut().expect("a pipe")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == "done")), "psql ended");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Copies a running server's data directory, with all that was committed so far and nothing after.
pub(crate) fn base_backup(source: SocketAddr, data: &Path) {
    let mut command = as_postgres(program("pg_basebackup"));
    command.args(["-h", "127.0.0.1", "-p", &source.port().to_string(), "-U", "postgres"]);
    run(command.args(["--checkpoint=fast", "--wal-method=stream", "-D"]).arg(data));
}

// ── the shared server ──

fn another() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is for whoever runs the tests, no setting of the gateway")]
    let address = std::env::var(ANOTHER).ok().filter(|address| !address.is_empty())?;
    Some(address.trim_end_matches('/').to_owned())
}

fn shared() -> Server {
    let base = base();
    let users = base.join("users.lock");
    let user = open_lock(&users);
    // Whoever holds this is a user; the keeper stops the server only when it gets the file for itself.
    user.lock_shared().expect("a lock");
    let port = running(&base).unwrap_or_else(|| {
        let making = open_lock(&base.join("making.lock"));
        making.lock().expect("a lock");
        running(&base).unwrap_or_else(|| start_shared(&base, &users))
    });
    Server { address: address(port), kind: Kind::Shared { _user: user } }
}

fn open_lock(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).expect("a lock file")
}

/// The port of the shared server, if it answers and is really ours: after a crash somebody else may have its port.
fn running(base: &Path) -> Option<u16> {
    let port = fs::read_to_string(base.join("port")).ok()?.trim().parse().ok()?;
    let data = query(&format!("{}/postgres", address(port)), "show data_directory").ok()?;
    (Path::new(data.trim()) == quick(base).join("shared")).then_some(port)
}

fn start_shared(base: &Path, users: &Path) -> u16 {
    let data = quick(base).join("shared");
    end_what_is_left(&data);
    for attempt in 0..3 {
        if attempt > 0 || !data.join("PG_VERSION").exists() {
            // Tests own nothing of lasting value in it, so whatever it may be, a new one is better.
            drop(fs::remove_dir_all(&data));
            let template = template();
            run(as_postgres("cp").args(["--archive", "--reflink=auto"]).arg(template).arg(&data));
        }
        let port = free_port();
        let mut keeper = as_postgres("setsid");
        keeper.args(["sh", "-c", KEEPER, "keeper"]).arg(users).arg(data.with_extension("log")).arg(&data);
        keeper.arg(program("postgres")).args(arguments(&data, port));
        let mut keeper =
            keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("`setsid`");
        let alive = || keeper.try_wait().expect("our own child").is_none();
        if until_ready(&format!("{}/postgres", address(port)), alive) {
            fs::write(base.join("port"), port.to_string()).expect("a file for the port");
            return port;
        }
        end_what_is_left(&data);
    }
    panic!("PostgreSQL does not start:\n{}", fs::read_to_string(data.with_extension("log")).unwrap_or_default());
}

/// Kills the server that an earlier run left in this directory, if it is one.
fn end_what_is_left(data: &Path) {
    let Ok(file) = fs::read_to_string(data.join("postmaster.pid")) else { return };
    let pid = file.lines().next().unwrap_or_default().to_owned();
    let process = Path::new("/proc").join(&pid);
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    if pid.parse::<u32>().is_ok() && String::from_utf8_lossy(&command).contains(&*data.to_string_lossy()) {
        drop(Command::new("kill").args(["-KILL", &pid]).status());
        pause(500);
    }
    // Where nobody reaps the dead, PostgreSQL would take its number for that of a running server.
    drop(fs::remove_file(data.join("postmaster.pid")));
}

// ── what both kinds need ──

/// The folder of all servers of this checkout: on a real disk, and where the user `postgres` can reach it.
fn base() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    let name = format!("postgres-{:08x}", hasher.finish() >> 32);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(target).expect("a folder for what tests leave");
    let reachable = as_postgres("test").arg("-x").arg(target).status().is_ok_and(|status| status.success());
    let base = if reachable { target.join(name) } else { Path::new("/var/tmp").join(format!("snowgate-{name}")) };
    if !base.exists() {
        fs::create_dir_all(&base).expect("a folder for PostgreSQL");
        give_to_postgres(&base);
    }
    base
}

/// Where data directories lie: in memory if there is plenty, since each of hundreds of databases costs some hundred syncs.
fn quick(base: &Path) -> PathBuf {
    static ROOM: OnceLock<bool> = OnceLock::new();
    let room = *ROOM.get_or_init(|| {
        let df = Command::new("df").args(["--output=avail", "--block-size=1M", "/dev/shm"]).output();
        let free =
            df.ok().and_then(|output| String::from_utf8_lossy(&output.stdout).lines().nth(1)?.trim().parse().ok());
        free.is_some_and(|mebibytes: u64| mebibytes >= 4_096)
    });
    if !room {
        return base.to_owned();
    }
    let quick = Path::new("/dev/shm").join(format!("snowgate-{}", base.file_name().unwrap_or_default().display()));
    if !quick.exists() {
        fs::create_dir_all(&quick).expect("a folder in memory");
        give_to_postgres(&quick);
    }
    quick
}

/// A data directory as `initdb` leaves it, made once.
fn template() -> PathBuf {
    let base = base();
    let version = program("postgres").to_string_lossy().replace('/', "-");
    let template = base.join(format!("template{version}"));
    let making = open_lock(&base.join("template.lock"));
    making.lock().expect("a lock");
    if !template.exists() {
        let unfinished = base.join("template-unfinished");
        drop(fs::remove_dir_all(&unfinished));
        let mut command = as_postgres(program("initdb"));
        command.arg("-D").arg(&unfinished).args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        run(command.args(["--locale=C", "--wal-segsize=4", "--no-sync", "--no-instructions"]));
        fs::rename(unfinished, &template).expect("a name that nobody has");
    }
    template
}

fn arguments(data: &Path, port: u16) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.display().to_string(), "-p".to_owned(), port.to_string()];
    // Small, because a machine that builds has better uses for its memory; everything else is as PostgreSQL ships it.
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=200",
        "shared_buffers=32MB",
        "max_wal_size=256MB",
        "recovery_init_sync_method=syncfs",
        "timezone=UTC",
    ] {
        arguments.extend(["-c".to_owned(), setting.to_owned()]);
    }
    arguments
}

fn address(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Debian keeps the programs of each version in a folder of its own; the newest is taken.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let path = newest.map(|version| Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin").join(name));
    path.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// A command that root runs as the user `postgres`.
fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    // Not the folder of the checkout, which that user may not be able to enter.
    command.current_dir("/");
    if let Some((user, group)) = postgres_user() {
        command.uid(user).gid(group);
    }
    command
}

fn postgres_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").expect("this is Linux").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a list of users");
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == "postgres");
    let fields = fields.expect("the package `postgresql` is installed");
    Some((fields[2].parse().expect("a number"), fields[3].parse().expect("a number")))
}

fn give_to_postgres(path: &Path) {
    if let Some((user, group)) = postgres_user() {
        chown(path, Some(user), Some(group)).expect("root may");
    }
}

/// Waits until the server answers; false if it ended or says nothing for half a minute.
fn until_ready(probe: &str, mut alive: impl FnMut() -> bool) -> bool {
    for _ in 0..300 {
        if query(probe, "select 1").is_ok() {
            return true;
        }
        if !alive() {
            return false;
        }
        pause(100);
    }
    false
}

fn query(url: &str, statement: &str) -> Result<String, String> {
    let mut command = Command::new(program("psql"));
    command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--no-password"]);
    command.args(["--set=ON_ERROR_STOP=1", "--dbname", url, "--command", statement]).env("PGCONNECT_TIMEOUT", "10");
    let output = command.stdin(Stdio::null()).output().expect("the package `postgresql` is installed");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::disallowed_methods, reason = "this blocks a test, which has nothing else to do")]
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
