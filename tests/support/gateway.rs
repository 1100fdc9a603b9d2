//! A running gateway: the real binary as a process of its own.
//!
//! Dropping it looks at what is left ([`super::last_look`]) and fails the test for anything it did not declare.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::events::Event;
use super::home::{Home, Start, key_of};
use super::last_look::{Declared, last_look};
use super::reply::{Reply, text};
use super::wait::{eventually, within};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    gone: bool,
    public: String,
    admin: String,
    log: PathBuf,
    secrets: Vec<String>,
    http: reqwest::Client,
    declared: Mutex<Declared>,
}

impl Gateway {
    pub(super) async fn started(home: &Home, start: Start<'_>) -> Self {
        let log = home.next_log();
        let arguments = ["serve", "--config", "snowgate.yaml", "--log-format", "json"];
        let mut command = match start.after {
            None => home.command_of(start.binary.unwrap_or(env!("CARGO_BIN_EXE_snowgate")), &arguments),
            Some(first) => home.command_after(first, &arguments),
        };
        command.stderr(File::create(&log).expect("a log file"));
        if let Some(point) = start.crash_at {
            command.env("SNOWGATE_CRASH_AT", point);
        }
        command.envs(start.variables.iter().copied());
        let child = command.spawn().expect("the binary was built");
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(50))
            .build()
            .expect("a client");
        let mut gateway = Self {
            child,
            gone: false,
            public: String::new(),
            admin: String::new(),
            log,
            secrets: home.secrets(),
            http,
            declared: Mutex::default(),
        };
        let (public, admin) = eventually("the gateway says where it listens", async || gateway.addresses()).await;
        (gateway.public, gateway.admin) = (public, admin);
        gateway
    }

    /// The line that says where it listens; fails at once if the process has ended instead.
    fn addresses(&mut self) -> Option<(String, String)> {
        let ended = self.child.try_wait().expect("our own child");
        self.gone = ended.is_some();
        let log = self.log();
        assert!(ended.is_none(), "the gateway did not start ({ended:?}):\n{log}");
        log.lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some((line["public"].as_str()?.to_owned(), line["admin"].as_str()?.to_owned()))
        })
    }

    /// `http://127.0.0.1:PORT` of the public listener.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// `http://127.0.0.1:PORT` of the admin listener.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// `127.0.0.1:PORT` of the public listener.
    pub(crate) fn address(&self) -> &str {
        self.public.trim_start_matches("http://")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("its log")
    }

    // ── what a sender does ──

    /// A request to the public listener, without credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.public))
    }

    /// A POST of an event as a tenant's sender makes it, to be sent.
    pub(crate) fn posting(&self, tenant: &str, event: &Event) -> reqwest::RequestBuilder {
        let request = self.request(Method::POST, &format!("/v1/tenants/{tenant}/events")).bearer_auth(key_of(tenant));
        request.header("content-type", "application/cloudevents+json").body(event.body())
    }

    /// What the gateway says to an event of `contoso`.
    pub(crate) async fn post(&self, event: &Event) -> Reply {
        self.post_for("contoso", event).await
    }

    pub(crate) async fn post_for(&self, tenant: &str, event: &Event) -> Reply {
        Reply::of(self.posting(tenant, event)).await.expect("the gateway answers")
    }

    /// Posts events of `contoso` one after the other; each must be taken.
    pub(crate) async fn post_all(&self, events: &[Event]) {
        for event in events {
            self.post(event).await.expect(202);
        }
    }

    /// Posts events of `contoso` as one batch.
    pub(crate) async fn post_batch(&self, events: &[Event]) -> Reply {
        let bodies: Vec<String> = events.iter().map(Event::body).collect();
        let request = self.request(Method::POST, "/v1/tenants/contoso/events").bearer_auth(key_of("contoso"));
        let request = request.header("content-type", "application/cloudevents-batch+json");
        Reply::of(request.body(format!("[{}]", bodies.join(",")))).await.expect("the gateway answers")
    }

    // ── what an operator does ──

    pub(crate) async fn ask(&self, method: Method, path: &str) -> Reply {
        Reply::of(self.http.request(method, format!("{}{path}", self.admin))).await.expect("the admin listener answers")
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path).await.expect(200).json()
    }

    /// The deliveries of `contoso` in a state (or all, for an empty word), oldest first.
    pub(crate) async fn deliveries(&self, state: &str) -> Vec<Value> {
        let filter = if state.is_empty() { String::new() } else { format!("&state={state}") };
        let page = self.get(&format!("/v1/tenants/contoso/deliveries?limit=200{filter}")).await;
        page["deliveries"].as_array().expect("a list").iter().rev().cloned().collect()
    }

    /// Everything on record about a delivery of `contoso`.
    pub(crate) async fn record(&self, delivery: &str) -> Value {
        self.get(&format!("/v1/tenants/contoso/deliveries/{delivery}")).await
    }

    /// The record of a delivery of `contoso`, as soon as it is in this state.
    pub(crate) async fn record_once(&self, delivery: &str, state: &str) -> Value {
        eventually(&format!("{delivery} is {state}"), async || {
            Some(self.record(delivery).await).filter(|record| record["state"] == state)
        })
        .await
    }

    /// Replays a parked delivery of `contoso`, and gives the delivery that is under way now.
    pub(crate) async fn replay(&self, delivery: &str) -> String {
        self.ask(Method::POST, &format!("/v1/tenants/contoso/deliveries/{delivery}/replay"))
            .await
            .expect(200)
            .delivery()
    }

    /// Waits until nothing waits for any tenant.
    pub(crate) async fn quiet(&self) {
        eventually("nothing waits", async || {
            let tenants = self.get("/v1/tenants").await;
            let all = tenants["tenants"].as_array().expect("a list");
            all.iter().all(|tenant| tenant["waiting"] == 0).then_some(())
        })
        .await;
    }

    /// The value of a metric's line that contains all of these parts, 0 if there is none.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = self.ask(Method::GET, "/metrics").await.expect(200).text;
        let line = page.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(labels));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// A request to the admin listener, to be sent.
    pub(crate) fn asking(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.admin))
    }

    /// What the gateway answers to a request.
    pub(crate) async fn sent(&self, request: reqwest::RequestBuilder) -> Reply {
        Reply::of(request).await.expect("the gateway answers")
    }

    /// The value of a metric without labels, as it is written; empty if it is not there.
    pub(crate) async fn gauge(&self, name: &str) -> String {
        let page = self.ask(Method::GET, "/metrics").await.expect(200).text;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_default().to_owned()
    }

    /// The same as a number, 0 if there is none.
    pub(crate) async fn metric_of(&self, name: &str) -> f64 {
        self.gauge(name).await.parse().unwrap_or(0.0)
    }

    // ── its end ──

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.gone = true;
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// Ends it while what it would be asked at the end is not there any more.
    pub(crate) fn kill_quietly(mut self) {
        self.kill();
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill").args([format!("-{name}"), pid]).status().expect("`kill` exists");
        assert!(sent.success(), "it was alive");
    }

    /// How it ended, if it does within this time.
    pub(crate) async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let child = &mut self.child;
        let status = within(patience, "the process ends", async || child.try_wait().expect("our own child")).await;
        self.gone = true;
        status
    }

    // ── what the test says will be left ──

    fn declare(&self, change: impl FnOnce(&mut Declared)) {
        change(&mut self.declared.lock().expect("no panic while it was held"));
    }

    /// So many deliveries are parked at the end.
    pub(crate) fn leaves_parked(&self, count: u64) {
        self.declare(|declared| declared.parked = count);
    }

    /// Work is left waiting at the end, on purpose.
    pub(crate) fn leaves_work(&self) {
        self.declare(|declared| declared.waiting = true);
    }

    /// Its admin listener asks for tokens, so that what is left cannot be asked for.
    pub(crate) fn asks_for_tokens(&self) {
        self.declare(|declared| declared.closed = true);
    }

    /// Lines of level ERROR that contain this are expected.
    pub(crate) fn logs_error(&self, text: &str) {
        self.declare(|declared| declared.errors.push(text.to_owned()));
    }

    /// Workers of it panic on purpose.
    pub(crate) fn panics(&self) {
        self.declare(|declared| declared.panics = true);
    }

    pub(crate) fn log_file(&self) -> &Path {
        &self.log
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let admin = (!self.gone).then(|| self.admin.trim_start_matches("http://").to_owned());
        let declared = std::mem::take(&mut *self.declared.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let left =
            last_look(admin.as_deref().filter(|address| !address.is_empty()), &self.log, &self.secrets, &declared);
        if !self.gone {
            // It may have died in this very moment; either way it is gone afterwards.
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "what the gateway said belongs to a failed test's output")]
            {
                eprintln!("left: {left:#?}\nlog of the gateway, {}:\n{}", self.log.display(), self.log());
            }
        } else {
            assert!(left.is_empty(), "the gateway leaves {left:#?}\nits log:\n{}", self.log());
        }
    }
}

/// The reason of a parked delivery's record.
pub(crate) fn parking(record: &Value) -> (String, String) {
    (text(record, "/ending/parking/code"), text(record, "/ending/parking/reason"))
}
