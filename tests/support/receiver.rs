//! A managed service: takes callbacks over real HTTP as the documents tell it to, and can be told to fail.
//!
//! What it believes is verified by the Standard Webhooks package, which is not ours; a file, which that package does not
//! take, by the same signature spelled out. It keeps what it has taken by id, as it must, and everything that came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use standardwebhooks::Webhook;

use super::home::hook_secret_of;
use super::reply::text;
use super::wait::eventually;

/// What it answers to a genuine callback.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Takes it; a `ticket.opened` becomes an incident if it was told to give ids.
    Take,
    /// Takes it after a while.
    TakeSlowly(Duration),
    /// Takes it and says so with this status and body.
    TakeSaying(u16, Value),
    /// Does not take it.
    Refuse(u16),
    /// Does not take it now.
    Busy { status: u16, retry_after: u64 },
}

/// A callback that was taken. Each id is there once, in the order in which they were taken.
#[derive(Clone, Debug)]
pub(crate) struct Callback(pub(crate) Value);

/// A request that came, whatever was answered.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) status: u16,
    pub(crate) at: jiff::Timestamp,
}

#[derive(Debug, Default)]
struct Memory {
    taken: Vec<Callback>,
    /// The hash of what came under an id.
    ids: BTreeMap<String, Vec<u8>>,
    arrivals: Vec<Arrival>,
    bodies: Vec<Vec<u8>>,
    begun: Vec<String>,
    wrong: Vec<String>,
    next: VecDeque<Answer>,
    always: Option<Answer>,
    gives_ids: bool,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Receiver {
    url: String,
    secret: String,
    memory: Arc<Mutex<Memory>>,
    handle: ServerHandle,
}

impl Receiver {
    /// One that takes everything, at a free port.
    pub(crate) fn start() -> Self {
        let secret = hook_secret_of("callback");
        let memory = Arc::new(Mutex::new(Memory { gives_ids: true, ..Memory::default() }));
        let (shared, key) = (Arc::clone(&memory), secret.clone());
        let server = HttpServer::new(move || {
            let state = web::Data::new((Arc::clone(&shared), key.clone()));
            App::new().app_data(state).app_data(web::PayloadConfig::new(64 << 20)).default_service(web::to(receive))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(1).bind(("127.0.0.1", 0)).expect("a port");
        let address = server.addrs().first().copied().expect("bound");
        let server = server.run();
        let handle = server.handle();
        drop(snowgate::runtime::tasks::spawn("receiver", server));
        Self { url: format!("http://{address}/callbacks"), secret, memory, handle }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What callbacks are signed with; it must reach no log.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// From now on it answers so, or takes everything again.
    pub(crate) fn answers(&self, answer: Answer) {
        lock(&self.memory).always = Some(answer);
    }

    /// So it answers the next ones, one each.
    pub(crate) fn answers_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.memory).next.extend(answers);
    }

    /// Whether `ticket.opened` is answered with an incident's id.
    pub(crate) fn gives_ids(&self, whether: bool) {
        lock(&self.memory).gives_ids = whether;
    }

    /// Everything that was taken, oldest first.
    pub(crate) fn taken(&self) -> Vec<Callback> {
        lock(&self.memory).taken.clone()
    }

    /// What was taken of one kind, such as `changed`.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Callback> {
        let kind = format!("ticket.{kind}");
        self.taken().into_iter().filter(|callback| callback.text("/type") == kind).collect()
    }

    /// The texts of the messages it has, oldest first.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.of_kind("message_added").iter().map(|callback| callback.text("/data/message/text")).collect()
    }

    /// Every request that came.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.memory).arrivals.clone()
    }

    /// Every byte that came in a body.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        lock(&self.memory).bytes_of_bodies()
    }

    /// Waits until so many callbacks of a kind were taken, and gives the last of them.
    pub(crate) async fn has(&self, count: usize, kind: &str) -> Callback {
        eventually(&format!("{count} callbacks ticket.{kind}"), async || {
            let all = self.of_kind(kind);
            (all.len() >= count).then(|| all.get(count - 1).cloned()).flatten()
        })
        .await
    }

    /// Waits until a callback answers this.
    pub(crate) async fn has_one(&self, what: &str, is_it: impl Fn(&Callback) -> bool) -> Callback {
        eventually(what, async || self.taken().into_iter().find(|callback| is_it(callback))).await
    }

    /// Waits until it has taken more than so many.
    pub(crate) async fn grown(&self, from: usize) {
        eventually("one more callback", async || (self.taken().len() > from).then_some(())).await;
    }

    /// Waits until a request of a kind came, answered or not.
    pub(crate) async fn saw(&self, kind: &str) {
        let seen = async || lock(&self.memory).begun.iter().any(|begun| begun == kind).then_some(());
        eventually(&format!("a {kind} comes"), seen).await;
    }

    /// What it believes of an incident from everything that was told of it: the last value of each part.
    pub(crate) fn believes(&self, incident: &str) -> Value {
        let mut believed = json!({});
        for callback in self.of_kind("changed").iter().filter(|callback| callback.text("/subject") == incident) {
            merge(&mut believed, &callback.0["data"]["changes"]);
        }
        believed
    }
}

impl Memory {
    fn bytes_of_bodies(&self) -> Vec<u8> {
        self.bodies.concat()
    }
}

impl Callback {
    /// A text in it, empty if there is none.
    pub(crate) fn text(&self, pointer: &str) -> String {
        text(&self.0, pointer)
    }
}

/// Puts a partial incident over what is known.
fn merge(known: &mut Value, said: &Value) {
    match (known, said) {
        (Value::Object(known), Value::Object(said)) => {
            for (name, value) in said {
                merge(known.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (known, said) => *known = said.clone(),
    }
}

type State = (Arc<Mutex<Memory>>, String);

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let (memory, secret) = &**state;
    let callback = match verified(secret, &request, &body) {
        Ok(callback) => callback,
        Err(wrong) => {
            lock(memory).wrong.push(wrong);
            return HttpResponse::Unauthorized().finish();
        }
    };
    let (id, kind) = (callback.text("/id"), callback.text("/type"));
    let answer = {
        let mut memory = lock(memory);
        memory.bodies.push(body.to_vec());
        memory.begun.push(kind.clone());
        memory.next.pop_front().or_else(|| memory.always.clone()).unwrap_or(Answer::Take)
    };
    if let Answer::TakeSlowly(wait) = answer {
        tokio::time::sleep(wait).await;
    }
    let mut memory = lock(memory);
    let (status, said) = match &answer {
        Answer::Take | Answer::TakeSlowly(_) => memory.take(callback, &body),
        Answer::TakeSaying(status, said) => {
            drop(memory.take(callback, &body));
            (*status, said.clone())
        }
        Answer::Refuse(status) | Answer::Busy { status, .. } => (*status, Value::Null),
    };
    memory.arrivals.push(Arrival { id, kind, status, at: jiff::Timestamp::now() });
    let mut response = HttpResponse::build(actix_web::http::StatusCode::from_u16(status).expect("a status"));
    if let Answer::Busy { retry_after, .. } = answer {
        response.append_header(("retry-after", retry_after.to_string()));
    }
    if said.is_null() { response.finish() } else { response.json(said) }
}

impl Memory {
    /// Takes a callback once, whatever came before under its id.
    fn take(&mut self, callback: Callback, body: &[u8]) -> (u16, Value) {
        let id = callback.text("/id");
        let hash = Sha256::digest(body).to_vec();
        let answer = match callback.text("/type").as_str() {
            "ticket.opened" if self.gives_ids => {
                (200, json!({"incident": {"id": format!("SOC-{}", callback.text("/data/ticket/number"))}}))
            }
            _ => (202, Value::Null),
        };
        match self.ids.get(&id) {
            None => {
                self.ids.insert(id, hash);
                self.taken.push(callback);
            }
            Some(before) if *before != hash => self.wrong.push(format!("`{id}` came with two contents")),
            Some(_) => {}
        }
        answer
    }
}

/// The callback of a genuine request, or what is wrong with it.
fn verified(secret: &str, request: &HttpRequest, body: &[u8]) -> Result<Callback, String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut signed = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let value = HeaderValue::from_str(header(name)).map_err(|error| error.to_string())?;
        signed.insert(HeaderName::from_static(name), value);
    }
    if header("ce-type").is_empty() {
        let webhook = Webhook::new(secret).map_err(|error| error.to_string())?;
        webhook.verify(body, &signed).map_err(|error| error.to_string())?;
        let event: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if text(&event, "/id") != header("webhook-id") {
            return Err("`webhook-id` is not the event's id".to_owned());
        }
        return Ok(Callback(event));
    }
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).map_err(|error| error.to_string())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| error.to_string())?;
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(body);
    if header("webhook-signature") != format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())) {
        return Err("the signature of a file is wrong".to_owned());
    }
    let of = |name: &str| header(&format!("ce-{name}")).to_owned();
    let sha256 = Sha256::digest(body).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let file = json!({"id": of("attachmentid"), "name": of("attachmentname"), "sha256": sha256});
    Ok(Callback(json!({"id": of("id"), "type": of("type"), "subject": of("subject"), "file": file})))
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // The command is sent at once; only its completion would be awaited.
        drop(self.handle.stop(false));
        let wrong = std::mem::take(&mut lock(&self.memory).wrong);
        if !std::thread::panicking() {
            assert!(wrong.is_empty(), "the receiver was called wrongly: {wrong:#?}");
        }
    }
}
