//! Outbound calls over real HTTP, to a receiver that shares nothing with the instance. Facts: facts/servicenow 7.2 and 7.3.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant as Moment, sleep};

use super::super::outbound::{CallState, WebhookRule};
use super::super::server::{Options, Simulator, start};
use crate::limits::{SIM_OUTBOUND_CALLS_MAX, SIM_OUTBOUND_CALLS_PER_HOST_MAX};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Long enough for a busy machine; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// Takes calls, verifies them with the standard's own library, and answers when it is let.
struct Receiver {
    url: String,
    seen: Arc<Seen>,
    server: ServerHandle,
}

struct Seen {
    status: u16,
    now: AtomicUsize,
    at_most: AtomicUsize,
    unsigned: AtomicUsize,
    bodies: Mutex<Vec<Value>>,
    /// A call is answered when it gets one of these.
    answers: Semaphore,
}

impl Receiver {
    fn answering(status: u16, answers: usize) -> Self {
        let seen = Arc::new(Seen {
            status,
            now: AtomicUsize::new(0),
            at_most: AtomicUsize::new(0),
            unsigned: AtomicUsize::new(0),
            bodies: Mutex::default(),
            answers: Semaphore::new(answers),
        });
        let shared = Arc::clone(&seen);
        let app = move || App::new().app_data(web::Data::from(Arc::clone(&shared))).default_service(web::to(receive));
        let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}/hook", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "a test's own server; its panics fail the test")]
        drop(tokio::spawn(server));
        Self { url, seen, server: handle }
    }

    fn bodies(&self) -> Vec<Value> {
        self.seen.bodies.lock().expect("a lock").clone()
    }
}

async fn receive(request: HttpRequest, body: web::Bytes, seen: web::Data<Seen>) -> HttpResponse {
    let now = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
    seen.at_most.fetch_max(now, Ordering::SeqCst);
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in request.headers() {
        let name: reqwest::header::HeaderName = name.as_str().parse().expect("a name");
        headers.insert(name, value.as_bytes().try_into().expect("a value"));
    }
    if standardwebhooks::Webhook::new(SECRET).expect("a secret").verify(&body, &headers).is_err() {
        seen.unsigned.fetch_add(1, Ordering::SeqCst);
    }
    seen.bodies.lock().expect("a lock").push(serde_json::from_slice(&body).expect("JSON"));
    seen.answers.acquire().await.expect("it is never closed").forget();
    seen.now.fetch_sub(1, Ordering::SeqCst);
    HttpResponse::build(seen.status.try_into().expect("a status")).finish()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Moment::now() + DEADLINE;
    while !condition() {
        assert!(Moment::now() < end, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn simulator(url: &str) -> Simulator {
    let simulator = start(Options::default()).expect("a free port");
    simulator.subscribe(WebhookRule { delay_ms_max: 0, ..WebhookRule::new(url, SECRET) }).expect("a rule");
    simulator
}

fn create(simulator: &Simulator, tickets: usize) {
    let instance = simulator.instance();
    let mut instance = instance.lock().expect("a lock");
    for at in 0..tickets {
        let name = format!("{at}");
        instance.create_as("abel.tuter", "incident", &[("short_description", &name)], now()).expect("created");
    }
}

#[tokio::test]
async fn calls_are_signed_and_at_most_four_at_a_time() {
    let receiver = Receiver::answering(202, 0);
    let simulator = simulator(&receiver.url);
    create(&simulator, 30);
    let seen = Arc::clone(&receiver.seen);
    eventually("four calls arrive", || seen.now.load(Ordering::SeqCst) == SIM_OUTBOUND_CALLS_PER_HOST_MAX).await;
    // Twenty places are taken, sixteen of them by calls that wait for a connection; ten jobs have not run yet.
    eventually("the places are full", || {
        let waiting = simulator.instance().lock().expect("a lock").jobs_waiting();
        waiting == 30 - SIM_OUTBOUND_CALLS_MAX
    })
    .await;
    seen.answers.add_permits(30);
    eventually("all calls arrive", || receiver.bodies().len() == 30).await;
    let all_answered =
        || simulator.outbound_calls().iter().filter(|call| call.state == CallState::Answered(202)).count() == 30;
    eventually("all calls are answered", all_answered).await;
    assert_eq!(seen.at_most.load(Ordering::SeqCst), SIM_OUTBOUND_CALLS_PER_HOST_MAX, "one host, four connections");
    assert_eq!(seen.unsigned.load(Ordering::SeqCst), 0, "the standard's own library takes every signature");
    receiver.server.stop(false).await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_refused_call_is_lost() {
    let receiver = Receiver::answering(503, 100);
    let simulator = simulator(&receiver.url);
    create(&simulator, 3);
    let refused = || simulator.outbound_calls().iter().filter(|call| call.state == CallState::Answered(503)).count();
    eventually("three refusals", || refused() == 3).await;
    let waiting = simulator.instance().lock().expect("a lock").next_call_at();
    assert_eq!((waiting, receiver.bodies().len()), (None, 3), "nothing is tried again");
    receiver.server.stop(false).await;
    simulator.instance().lock().expect("a lock").unsubscribe_all();
    // Bound and given back: nobody listens there.
    let deserted =
        std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("an address");
    let rule = WebhookRule { delay_ms_max: 0, ..WebhookRule::new(&format!("http://{deserted}/hook"), SECRET) };
    simulator.subscribe(rule).expect("a rule");
    create(&simulator, 1);
    let failed = || simulator.outbound_calls().iter().any(|call| matches!(call.state, CallState::Failed(_)));
    eventually("a call nobody takes", failed).await;
    simulator.stop().await;
}

#[tokio::test]
async fn the_control_face_subscribes_spoils_and_tells() {
    let receiver = Receiver::answering(202, 100);
    let simulator = start(Options::default()).expect("a free port");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let control = async |method: reqwest::Method, route: &str, body: Value| {
        let request = client.request(method, format!("{}/_sim/{route}", simulator.url()));
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = request.send().await.expect("an answer");
        #[expect(clippy::disallowed_methods, reason = "the answer of our own simulator")]
        let text = answer.text().await.expect("a body");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let (get, post, put) = (reqwest::Method::GET, reqwest::Method::POST, reqwest::Method::PUT);
    let rule =
        json!({"url": receiver.url, "secret": SECRET, "form": "hint", "skip_user": "snowgate", "delay_ms_max": 0});
    assert_eq!(control(post.clone(), "webhooks", rule).await, json!({"webhook": 1}));
    let wrong = control(post.clone(), "webhooks", json!({"url": "x", "secret": SECRET})).await;
    assert!(wrong["problem"].as_str().is_some_and(|text| text.contains("http://")), "{wrong}");
    let listed = control(get.clone(), "webhooks", Value::Null).await;
    assert_eq!((&listed["webhooks"][0]["form"], listed.to_string().contains("MfKQ")), (&json!("hint"), false));

    let made = json!({"user": "joe.employee", "table": "incident", "fields": {"short_description": "Room dark"}});
    let id = control(post.clone(), "create", made).await["created"].as_str().expect("an id").to_owned();
    eventually("the call of the new ticket", || receiver.bodies().len() == 1).await;
    assert_eq!(receiver.bodies()[0], json!({"table": "incident", "sys_id": id}));

    assert_eq!(control(put, "loss", json!("silent")).await["silent"], json!(true));
    let comment = json!({"user": "joe.employee", "sys_id": id, "act": "comment", "text": "Still dark"});
    assert_eq!(control(post.clone(), "act", comment).await["done"], json!("comment"));
    eventually("a lost call", || simulator.outbound_calls().iter().any(|call| call.state == CallState::Dropped)).await;
    let told = control(get.clone(), "outbound", Value::Null).await;
    assert_eq!((&told["calls"][1]["state"], &told["waiting"]), (&json!("dropped"), &json!(0)));
    assert_eq!(receiver.bodies().len(), 1, "nobody heard of the comment");
    assert_eq!(control(post.clone(), "reset", Value::Null).await, json!({"reset": true}));
    let kept = control(get.clone(), "webhooks", Value::Null).await;
    assert_eq!(kept["webhooks"][0]["url"], json!(receiver.url), "a reset forgets what happened, not what was set up");
    assert_eq!(control(get.clone(), "loss", Value::Null).await["silent"], json!(true));
    assert_eq!(control(get, "outbound", Value::Null).await["calls"], json!([]));
    let emptied = control(reqwest::Method::DELETE, "webhooks", Value::Null).await;
    assert_eq!(emptied, json!({"webhooks": []}));
    assert_eq!(control(post, "jobs", json!({"in_days": 8})).await, json!({"closed": 0}));
    receiver.server.stop(false).await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_clone_calls_too_under_its_own_name() {
    let receiver = Receiver::answering(202, 100);
    let production = simulator(&receiver.url);
    let clone = production.clone_as("contosotest", 7).expect("a free port");
    assert_ne!(clone.url(), production.url());
    create(&production, 1);
    create(&clone, 1);
    eventually("both call", || receiver.bodies().len() == 2).await;
    let mut names: Vec<String> = receiver.bodies().iter().map(|body| body["instance"].to_string()).collect();
    names.sort();
    assert_eq!(names, ["\"contosotest\"", "\"example\""]);
    assert_eq!(receiver.seen.unsigned.load(Ordering::SeqCst), 0, "with the same secret");
    receiver.server.stop(false).await;
    clone.stop().await;
    production.stop().await;
}

#[tokio::test]
async fn a_large_file_is_hashed_as_it_comes() {
    use sha2::Digest as _;
    let simulator = start(Options::default()).expect("a free port");
    let ticket = {
        let instance = simulator.instance();
        let mut instance = instance.lock().expect("a lock");
        instance.switches_mut().attachment_content_kept = false;
        instance.create_as("abel.tuter", "incident", &[], now()).expect("created")
    };
    // More than any body the Table API takes, in pieces, so that neither side holds it whole.
    let piece = vec![7_u8; 1 << 20];
    let mut hash = sha2::Sha256::new();
    (0..40).for_each(|_| hash.update(&piece));
    let pieces = futures_util::stream::iter((0..40).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let target = format!(
        "{}/api/now/attachment/file?table_name=incident&table_sys_id={ticket}&file_name=big.bin",
        simulator.url()
    );
    let request = client.post(target).basic_auth("snowgate", Some("snowgate"));
    let request = request.header("content-type", "application/octet-stream").body(reqwest::Body::wrap_stream(pieces));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 201);
    let instance = simulator.instance();
    let file = instance.lock().expect("a lock").find("sys_attachment", "table_sys_id", &ticket).remove(0);
    let row = instance.lock().expect("a lock").record("sys_attachment", &file).expect("a row");
    let digest = super::super::outbound::signing::hex(&hash.finalize());
    assert_eq!((&*row["size_bytes"], &row["hash"]), ("41943040", &digest));
    assert!(instance.lock().expect("a lock").content(&file).is_none());
    simulator.stop().await;
}
