//! The gateway under measurement: the real binary with real files, one directory per run.
//!
//! Owns: its configuration, written in the language users write; its start; the few admin calls the harness needs.
//! Never: reaches into the library; what is measured here is what is shipped. Fails: with the end of its log.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Failed;
use super::event;
use super::files::CALLBACKS_PATH;
use super::http;
use super::process::Process;

/// How long a start may take; with a thousand tenants it is about a second.
const READY_WAIT: Duration = Duration::from_secs(30);
/// Between two looks at something that is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Something awaited that has not moved for this long will not come.
const STALLED: Duration = Duration::from_secs(45);

/// The store of a gateway that stands alone, in its own directory.
pub(crate) const SQLITE: &str = "sqlite:data/snowgate.db";

/// The mapping of every tenant: eight fields, two value tables, no look-ups in the instance.
const MAPPING: &str = r#"version: 1
name: bench
target: {table: incident}
tables:
  impact: {critical: 1, high: 1, medium: 2, default: 3}
  state: {new: 1, investigating: 2, needs_customer_action: 2, provider_working: 3, awaiting_external: 3, resolved: 6, default: 2}
to_ticket:
  fields:
    short_description: {value: "{{ incident.title }}", max: 160}
    description: "{{ incident.description or incident.title }}"
    impact: {value: "{{ incident.severity }}", table: impact}
    urgency: {value: "{{ incident.severity }}", table: impact}
    state: {value: "{{ incident.state }}", table: state}
    category: {value: inquiry, on: create}
    subcategory: {value: "{{ incident.category }}", when: "{{ incident.category is defined }}"}
    location: "Room {{ incident.affected[0].name | default('unknown') }}"
  on:
    incident.resolved:
      close_code: Solution provided
      close_notes: Resolved by the managed service.
"#;

/// What [`MAPPING`] says of files, besides.
const MAPPED_FILES: &str = r#"  attachments: {max_bytes: 128MB, types: ["application/*"]}
to_incident:
  state: {"1": new, "2": investigating, "3": awaiting_external, "6": resolved, "7": closed, "8": cancelled}
  attachments: {max_bytes: 128MB, types: ["application/*"]}
"#;

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    process: Process,
    public: SocketAddr,
    admin: SocketAddr,
    _directory: TempDir,
}

impl Gateway {
    /// Starts it in a fresh directory below `scratch`, with so many tenants of one instance, and waits until it is ready.
    pub(crate) async fn start(scratch: &Path, tenants: usize, instance: SocketAddr) -> Result<Self, Failed> {
        Self::start_on(scratch, SQLITE, tenants, |_| instance).await
    }

    /// The same on this store, with an instance for each tenant.
    pub(crate) async fn start_on(
        scratch: &Path,
        store: &str,
        tenants: usize,
        instance: impl Fn(usize) -> SocketAddr,
    ) -> Result<Self, Failed> {
        Self::start_of(scratch, store, |directory| {
            for tenant in 0..tenants {
                let name = event::tenant_name(tenant);
                fs::write(directory.join(format!("tenants/{name}.yaml")), tenant_file(tenant, instance(tenant)))?;
            }
            Ok(())
        })
        .await
    }

    async fn start_of(
        scratch: &Path,
        store: &str,
        tenants: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<Self, Failed> {
        let io = |error| Failed::io("could not prepare the gateway's files", &error);
        let directory = tempfile::tempdir_in(scratch).map_err(io)?;
        let (public, admin) = free_addresses().map_err(io)?;
        write_files(directory.path(), (public, admin), store).and_then(|()| tenants(directory.path())).map_err(io)?;
        let mut command = Command::new(binary());
        command.args(["serve", "--config", "snowgate.yaml"]).current_dir(directory.path()).env_remove("RUST_LOG");
        let process = Process::program("snowgate serve", command, &directory.path().join("gateway.log"))?;
        let mut gateway = Self { process, public, admin, _directory: directory };
        gateway.wait_ready().await?;
        Ok(gateway)
    }

    /// Starts it with one tenant whose files pass both ways; both its peers are at one address.
    pub(crate) async fn start_with_files(scratch: &Path, peers: SocketAddr) -> Result<Self, Failed> {
        Self::start_of(scratch, SQLITE, |directory| {
            let mapping = format!("{MAPPING}{MAPPED_FILES}");
            fs::write(directory.join("mappings/bench.yaml"), mapping)?;
            fs::write(directory.join("callback"), event::callback_secret())?;
            let callback =
                format!("callback: {{url: \"http://{peers}{CALLBACKS_PATH}\", secret: {{file: callback}}}}\n");
            let file = tenant_file(0, peers).replace("webhook: {", "webhook: {instance: bench, ") + &callback;
            fs::write(directory.join(format!("tenants/{}.yaml", event::tenant_name(0))), file)
        })
        .await
    }

    /// Where events go.
    pub(crate) fn public(&self) -> SocketAddr {
        self.public
    }

    /// The process, for its memory.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Accepts and stores, delivers nothing.
    pub(crate) async fn pause(&self, tenant: usize) -> Result<(), Failed> {
        let path = format!("/v1/tenants/{}/pause", event::tenant_name(tenant));
        let answer =
            http::ask(self.admin, "POST", &path).await.map_err(|error| Failed::io("could not pause", &error))?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        Err(Failed::new(format!("pausing was answered with {}: {said}", answer.status)))
    }

    /// The sum of a metric over all its labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64, Failed> {
        let answer = http::ask(self.admin, "GET", "/metrics").await;
        let answer = answer.map_err(|error| Failed::io("could not read the metrics", &error))?;
        let text = String::from_utf8_lossy(&answer.body);
        let samples =
            text.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']));
        Ok(samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until a metric has reached `least`.
    pub(crate) async fn wait_for(&mut self, name: &str, least: f64) -> Result<(), Failed> {
        self.wait_until(name, least, async |gateway| gateway.metric(name).await).await
    }

    /// Waits until what is read has reached `least`; gives up when it has not moved for a while.
    pub(crate) async fn wait_until(
        &mut self,
        what: &str,
        least: f64,
        read: impl AsyncFn(&Self) -> Result<f64, Failed>,
    ) -> Result<(), Failed> {
        let mut reached = f64::NEG_INFINITY;
        let mut moved = Instant::now();
        loop {
            let value = read(self).await?;
            if value >= least {
                return Ok(());
            }
            if value > reached {
                (reached, moved) = (value, Instant::now());
            }
            self.process.still_runs()?;
            if moved.elapsed() > STALLED {
                let words = self.process.last_words();
                return Err(Failed::new(format!("{what} stays at {value}, {least} was expected\n{words}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn wait_ready(&mut self) -> Result<(), Failed> {
        let asked = Instant::now();
        loop {
            // Refused connections are what waiting means here.
            if http::ask(self.public, "GET", "/readyz").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            self.process.still_runs()?;
            if asked.elapsed() > READY_WAIT {
                return Err(Failed::new(format!("the gateway did not become ready\n{}", self.process.last_words())));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// `SNOWGATE_BIN`, or the binary that was built with this harness.
fn binary() -> PathBuf {
    std::env::var_os("SNOWGATE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_snowgate").into(), PathBuf::from)
}

/// Two addresses that were free a moment ago; nobody else on a loopback interface takes them that quickly.
fn free_addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let (first, second) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((first.local_addr()?, second.local_addr()?))
}

/// An address where nobody listens: an instance that is down.
pub(crate) fn dead_address() -> Result<SocketAddr, Failed> {
    free_addresses().map(|(address, _)| address).map_err(|error| Failed::io("no free address", &error))
}

fn write_files(directory: &Path, (public, admin): (SocketAddr, SocketAddr), store: &str) -> io::Result<()> {
    for name in ["tenants", "mappings", "data"] {
        fs::create_dir(directory.join(name))?;
    }
    let settings = format!(
        "server: {{listen: \"{public}\", admin_listen: \"{admin}\"}}\nstore: {{url: \"{store}\"}}\n\
         tenants: tenants\nmappings: mappings\negress: {{allow_private: [\"127.0.0.0/8\"]}}\nlog: {{level: warn}}\n"
    );
    fs::write(directory.join("snowgate.yaml"), settings)?;
    fs::write(directory.join("mappings/bench.yaml"), MAPPING)?;
    fs::write(directory.join("password"), "bench")?;
    fs::write(directory.join("hook"), event::hook_secret())
}

/// One tenant, with the widest limits a tenant's file may ask for: the pace is not what is measured.
fn tenant_file(tenant: usize, instance: SocketAddr) -> String {
    let mut text = format!("tenant: {}\nservicenow:\n  instance: http://{instance}\n", event::tenant_name(tenant));
    text.push_str("  auth: {kind: basic, username: bench, password: {file: password}}\n");
    text.push_str("  limits: {calls_per_second: 100, calls_per_hour: 360000, concurrency: 16}\n");
    text.push_str("mapping: bench.yaml\nsenders:\n");
    writeln!(text, "  - {{name: soc, api_key_sha256: \"{}\"}}", event::api_key_sha256(tenant))
        .expect("a String takes everything");
    // A secret serves one tenant; the first one's webhooks are measured.
    if tenant == 0 {
        text.push_str("webhook: {secrets: [{file: hook}]}\n");
    }
    text
}
