//! The simulator over real HTTP: bind, serve, stop.
//!
//! Owns: the listener and the way between the framework's requests and ours. Never: behaviour of the instance.
//! Fails: if the address is taken or the CA file cannot be written. Proved by: the tests below and `tests/sim_clients.rs`.
//!
//! [`start`] must be called inside a tokio runtime (`#[tokio::main]`, `#[tokio::test]` and `#[actix_web::main]` all are):
//! actix then starts its two worker threads beside that runtime, each with a small runtime of its own, and needs the
//! caller's only to be told to stop. Signals are left alone; they belong to the program.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServerHandle;
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError as _, web};
use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use super::attachment_api::Place;
use super::attachments::{Hashing, Upload};
pub use super::call_log::Call;
use super::control;
use super::fault_plan::FaultPlan;
use super::faults::Faults;
use super::instance::{self, Instance};
use super::message::{Request, Response};
use super::misconfiguration::Misconfiguration;
use super::outbound::{InvalidRule, OutboundRecord, WebhookRule, Wire, pump};
pub use super::shell::OutageKind;
use super::shell::{Shell, lock};
use super::switches::Switches;
use super::tls;
use crate::limits::{SIM_SOCKET_BODY_BYTES_MAX, SIM_STOP_SECS_MAX};
use crate::runtime::tasks;

/// What a simulator is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve https with a throw-away CA whose certificate (PEM) is written to this file.
    pub tls_ca_file: Option<PathBuf>,
    /// With https: the authority (PEM) whose client certificates are asked for; a call without one is let in to be judged.
    pub client_authority: Option<String>,
    /// Where the instance's luck comes from; faults have their own seed in their plan.
    pub seed: u64,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// How the instance differs from the base system.
    pub switches: Switches,
    /// The OAuth client …
    pub client_id: String,
    /// … and its secret.
    pub client_secret: String,
    /// The integration user …
    pub username: String,
    /// … and its password.
    pub password: String,
    /// How long a call keeps its thread, milliseconds; four threads and this number are the instance's speed.
    pub work_ms: u64,
    /// Calls per hour and user that a rate-limit rule admits; `None` is no rule.
    pub rate_limit_per_hour: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        let instance = instance::Options::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls_ca_file: None,
            client_authority: None,
            seed: instance.seed,
            faults: FaultPlan::default(),
            switches: instance.switches,
            client_id: instance.client_id,
            client_secret: instance.client_secret,
            username: instance.username,
            password: instance.password,
            work_ms: 0,
            rate_limit_per_hour: None,
        }
    }
}

/// A running simulator. Dropping it stops it without waiting; [`Simulator::stop`] waits.
#[derive(Debug)]
pub struct Simulator {
    url: String,
    shell: Arc<Shell>,
    handle: ServerHandle,
    /// Sends the instance's outbound calls.
    pump: JoinHandle<()>,
}

/// Starts a simulator; it serves until stopped or dropped.
pub fn start(options: Options) -> io::Result<Simulator> {
    let listener = TcpListener::bind(options.listen)?;
    let authority = options.client_authority.as_deref();
    let tls = options.tls_ca_file.as_deref().map(|file| tls::throw_away(file, authority)).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    let shell = Arc::new(shell(options, &url));
    let client = pump::client()?;
    let shared = Arc::clone(&shell);
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::from(Arc::clone(&shared))).default_service(web::to(serve))
    });
    let server = server.on_connect(tls::remember_certificate);
    let server = server.workers(2).disable_signals().shutdown_timeout(SIM_STOP_SECS_MAX);
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
        None => server.listen(listener)?,
    };
    let server = server.run();
    let handle = server.handle();
    #[expect(clippy::disallowed_methods, reason = "actix reports the panics of its own workers and restarts them")]
    let task = tokio::spawn(server);
    // The task ends with the handle's `stop`; nobody else waits for it.
    drop(task);
    let pump = tasks::spawn("simulator pump", pump::run(Arc::clone(&shell.instance), client));
    Ok(Simulator { url, shell, handle, pump })
}

fn shell(options: Options, url: &str) -> Shell {
    let instance = instance::Options {
        seed: options.seed,
        base_url: url.to_owned(),
        username: options.username,
        password: options.password,
        client_id: options.client_id,
        client_secret: options.client_secret,
        rate_limit_per_hour: options.rate_limit_per_hour,
        switches: options.switches,
    };
    Shell::new(instance, Faults::new(options.faults), options.work_ms)
}

impl Simulator {
    /// Scheme, address and port, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The instance behind the server; hold the lock shortly, every call needs it.
    pub fn instance(&self) -> Arc<Mutex<Instance>> {
        Arc::clone(&self.shell.instance)
    }

    /// Replaces the plan of faults.
    pub fn set_faults(&self, plan: FaultPlan) {
        *lock(&self.shell.faults) = Faults::new(plan);
    }

    /// How many faults of the current plan have struck.
    pub fn faults_struck(&self) -> u64 {
        lock(&self.shell.faults).struck()
    }

    /// Begins an outage; a second one replaces the first.
    pub fn begin_outage(&self, kind: OutageKind, duration: Duration) {
        self.shell.begin_outage(kind, duration);
    }

    /// Ends an outage early.
    pub fn end_outage(&self) {
        self.shell.end_outage();
    }

    /// Sets the instance up wrongly. Fails, and changes nothing, if it has no such table, column or row.
    pub fn misconfigure(&self, mistake: &Misconfiguration) -> Result<(), String> {
        lock(&self.shell.instance).misconfigure(mistake)
    }

    /// Adds a business rule that calls a URL, and gives its number.
    pub fn subscribe(&self, rule: WebhookRule) -> Result<u32, InvalidRule> {
        lock(&self.shell.instance).subscribe(rule)
    }

    /// Replaces what the wire does to outbound calls.
    pub fn set_wire(&self, wire: Wire) {
        lock(&self.shell.instance).set_wire(wire);
    }

    /// The last outbound calls, oldest first.
    pub fn outbound_calls(&self) -> Vec<OutboundRecord> {
        lock(&self.shell.instance).outbound_calls().cloned().collect()
    }

    /// Starts a clone of this instance on a free port: the same records, passwords, rules, URLs and secrets, another name.
    pub fn clone_as(&self, instance_name: &str, seed: u64) -> io::Result<Self> {
        let faults = lock(&self.shell.faults).plan().clone();
        let options = self.shell.options();
        let clone = start(Options {
            seed,
            faults,
            switches: options.switches.clone(),
            client_id: options.client_id.clone(),
            client_secret: options.client_secret.clone(),
            username: options.username.clone(),
            password: options.password.clone(),
            work_ms: self.shell.work_ms(),
            rate_limit_per_hour: options.rate_limit_per_hour,
            ..Options::default()
        })?;
        let mut copied = lock(&self.shell.instance).clone_as(instance_name, seed);
        copied.set_base_url(clone.url());
        *lock(&clone.shell.instance) = copied;
        Ok(clone)
    }

    /// The last calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shell.log).calls().cloned().collect()
    }

    /// Stops serving: waits a moment for calls that run, then cuts them.
    pub async fn stop(self) {
        self.pump.abort();
        self.handle.stop(true).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // The command is sent at once; only its completion would be awaited.
        drop(self.handle.stop(false));
        self.pump.abort();
    }
}

async fn serve(request: HttpRequest, payload: web::Payload, shell: web::Data<Shell>) -> HttpResponse {
    let shell = shell.into_inner();
    let ours = match incoming(&request, payload, &shell).await {
        Ok(ours) => ours,
        Err(refused) => return refused,
    };
    let answer = if ours.path.starts_with(control::PREFIX) {
        Some(controlled(&shell, &request, &ours))
    } else {
        shell.serve(ours).await
    };
    answer.map_or_else(cut, |answer| outgoing(&answer))
}

fn controlled(shell: &Shell, request: &HttpRequest, ours: &Request) -> Response {
    if !request.peer_addr().is_some_and(|peer| peer.ip().is_loopback()) {
        return control::problem(403, "the control face serves this machine only");
    }
    control::answer(shell, ours, jiff::Timestamp::now().as_millisecond())
}

/// Reads a request whole; a file is hashed as it comes, so that its size is no matter.
async fn incoming(request: &HttpRequest, payload: web::Payload, shell: &Shell) -> Result<Request, HttpResponse> {
    let is_file = request.method() == Method::POST && Place::parse(request.uri().path()) == Some(Place::Upload);
    let (body, upload) = if is_file {
        // The lock is given back before the file is waited for.
        let kept_max = lock(&shell.instance).upload_bytes_kept_max();
        (web::Bytes::new(), Some(uploaded(payload, kept_max).await?))
    } else {
        let body = payload.to_bytes_limited(SIM_SOCKET_BODY_BYTES_MAX).await;
        let body = body.map_err(|_| HttpResponse::PayloadTooLarge().finish())?;
        (body.map_err(|error| error.as_response_error().error_response())?, None)
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    Ok(Request {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: request.query_string().to_owned(),
        headers: request.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
        body: body.to_vec(),
        upload,
        certificate: request.conn_data::<tls::ShownCertificate>().map(|shown| shown.0.clone()),
    })
}

async fn uploaded(mut payload: web::Payload, kept_max: usize) -> Result<Upload, HttpResponse> {
    let mut hashing = Hashing::default();
    while let Some(chunk) = payload.next().await {
        hashing.take(&chunk.map_err(|error| error.error_response())?, kept_max);
    }
    Ok(hashing.end())
}

fn outgoing(answer: &Response) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in &answer.headers {
        response.append_header((name.as_str(), value.as_str()));
    }
    response.body(answer.body.clone())
}

/// A response that never leaves: its body fails before the head is flushed, and the connection closes without a byte.
fn cut() -> HttpResponse {
    HttpResponse::Ok().body(Cut)
}

struct Cut;

impl MessageBody for Cut {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::limits::SIM_API_THREADS;

    const TABLE: &str = "/api/now/table/incident";
    /// Long enough for a busy machine; a test that waits this long has failed.
    const DEADLINE: Duration = Duration::from_secs(20);

    fn simulator(faults: &str, work_ms: u64) -> Simulator {
        let faults = FaultPlan::parse(faults).expect("a plan");
        start(Options { faults, work_ms, ..Options::default() }).expect("a free port")
    }

    async fn connect(simulator: &Simulator) -> TcpStream {
        let address = simulator.url().trim_start_matches("http://");
        TcpStream::connect(address).await.expect("it listens")
    }

    async fn write(stream: &mut TcpStream, method: &str, target: &str, body: &str) {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Authorization: Basic c25vd2dhdGU6c25vd2dhdGU=\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
    }

    /// Status and body; `None` if the connection ended without a byte.
    async fn call(simulator: &Simulator, method: &str, target: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = connect(simulator).await;
        write(&mut stream, method, target, body).await;
        let mut answer = Vec::new();
        // A reset is an end like any other: what counts is what came before it.
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an end");
        let answer = String::from_utf8(answer).expect("text");
        if answer.is_empty() {
            return None;
        }
        ended.expect("a whole answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Some((status, body.to_owned()))
    }

    async fn check(simulator: &Simulator, call: (&str, &str, Value), status: Option<u16>, tickets: usize) -> String {
        let (method, target, body) = call;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self::call(simulator, method, target, &body).await;
        assert_eq!(answer.as_ref().map(|(status, _)| *status), status, "{method} {target}: {answer:?}");
        assert_eq!(self::tickets(simulator), tickets, "{method} {target}");
        answer.map(|(_, body)| body).unwrap_or_default()
    }

    fn tickets(simulator: &Simulator) -> usize {
        lock(&simulator.shell.instance).count("incident")
    }

    async fn eventually(condition: impl Fn() -> bool) {
        let end = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < end, "it never happened");
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_ticket_is_made_and_can_be_watched() {
        let simulator = simulator("", 0);
        let created =
            check(&simulator, ("POST", TABLE, json!({"short_description": "x", "comments": "c"})), Some(201), 1).await;
        let link = format!("{}/api/now/table/sys_user/", simulator.url());
        assert!(created.contains(&link), "links carry the simulator's own address");
        let state: Value =
            serde_json::from_str(&check(&simulator, ("GET", "/_sim/state", Value::Null), Some(200), 1).await)
                .expect("json");
        assert_eq!(state.pointer("/tickets/0/journal/0/text"), Some(&json!("c")));
        let id = state.pointer("/tickets/0/sys_id").and_then(Value::as_str).expect("an id");
        let edit = json!({"user": "abel.tuter", "table": "incident", "sys_id": id, "fields": {"state": "2"}});
        check(&simulator, ("POST", "/_sim/edit", edit.clone()), Some(200), 1).await;
        let log = check(&simulator, ("GET", "/_sim/log", Value::Null), Some(200), 1).await;
        assert!(log.contains(
            r#""verb":"POST","target":"/api/now/table/incident","status":201,"fate":"normal","applied":true"#
        ));
        check(&simulator, ("POST", "/_sim/reset", Value::Null), Some(200), 0).await;
        check(&simulator, ("POST", "/_sim/edit", edit), Some(400), 0).await;
        check(&simulator, ("GET", "/_sim/nonsense", Value::Null), Some(404), 0).await;
        simulator.stop().await;
    }

    #[tokio::test]
    async fn cut_connections_carry_no_byte() {
        let simulator = simulator("answer_lost=1000", 0);
        check(&simulator, ("POST", TABLE, json!({})), None, 1).await;
        check(&simulator, ("PUT", "/_sim/faults", json!("reset_before=1000")), Some(200), 1).await;
        check(&simulator, ("POST", TABLE, json!({})), None, 1).await;
        check(&simulator, ("PUT", "/_sim/faults", json!({"zombie": "1000:300", "budget": 1})), Some(200), 1).await;
        check(&simulator, ("POST", TABLE, json!({})), None, 1).await;
        eventually(|| tickets(&simulator) == 2).await;
        assert_eq!(simulator.faults_struck(), 1);
        let late: Vec<bool> = simulator.calls().iter().map(|call| call.late).collect();
        assert_eq!(late, [false, false, false, true]);
        let wrong = check(&simulator, ("PUT", "/_sim/faults", json!("zomby=1")), Some(400), 2).await;
        assert!(wrong.contains("`zomby` is no fault"), "{wrong}");
        check(&simulator, ("POST", TABLE, json!({})), Some(201), 3).await;
        simulator.stop().await;
    }

    #[tokio::test]
    async fn outages_begin_and_end() {
        let simulator = simulator("", 0);
        let outage = |kind: &str| ("POST", "/_sim/outage", json!({"kind": kind, "seconds": 600}));
        for (kind, status) in [("connect", None), ("http_503", Some(503)), ("html", Some(200))] {
            check(&simulator, outage(kind), Some(200), 0).await;
            check(&simulator, ("POST", TABLE, json!({})), status, 0).await;
        }
        check(&simulator, outage("hang"), Some(200), 0).await;
        let mut hanging = connect(&simulator).await;
        write(&mut hanging, "POST", TABLE, "{}").await;
        let mut byte = [0; 1];
        let silence = tokio::time::timeout(Duration::from_millis(100), hanging.read(&mut byte)).await;
        assert!(silence.is_err(), "nothing comes while it hangs");
        check(&simulator, ("DELETE", "/_sim/outage", Value::Null), Some(200), 0).await;
        check(&simulator, ("POST", TABLE, json!({})), Some(201), 1).await;
        check(&simulator, outage("flood"), Some(400), 1).await;
        simulator.stop().await;
    }

    #[tokio::test]
    async fn a_client_that_leaves_does_not_stop_its_transaction() {
        let simulator = simulator("", 200);
        let mut leaving = connect(&simulator).await;
        write(&mut leaving, "POST", TABLE, "{}").await;
        eventually(|| simulator.shell.gate.idle_threads() < SIM_API_THREADS).await;
        // A reset, not a farewell: the server notices at once.
        leaving.set_zero_linger().expect("an option of every socket");
        drop(leaving);
        eventually(|| tickets(&simulator) == 1).await;
        simulator.stop().await;
    }

    #[tokio::test]
    async fn a_full_node_turns_calls_away_without_a_hint() {
        let simulator = Arc::new(simulator("", 100));
        let create = |simulator: Arc<Simulator>| async move { call(&simulator, "POST", TABLE, "{}").await };
        let calls: tokio::task::JoinSet<_> = (0..90).map(|_| create(Arc::clone(&simulator))).collect();
        let answers: Vec<(u16, String)> = calls.join_all().await.into_iter().flatten().collect();
        let created = answers.iter().filter(|(status, _)| *status == 201).count();
        let refused = answers.iter().filter(|(status, body)| *status == 429 && !body.contains("error")).count();
        assert_eq!(created + refused, 90, "{answers:?}");
        assert!(refused > 0 && created >= 54, "{created} created, {refused} turned away");
        assert_eq!(tickets(&simulator), created);
    }
}
