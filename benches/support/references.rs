//! What the gateway is compared with: the least that a program of the same framework must do for the same promise.
//!
//! Owns: three servers. *Bare handler* parses the event and answers. *Bare durable* parses it, appends it to a file and
//! answers after `fdatasync`, one sync for everyone who waits: the floor under "durable before the receipt". *Bare
//! reverse proxy* passes the event on and the answer back: the floor under "one HTTP call in, one HTTP call out".
//! Never: authentication, mapping, order, retries; the ratios say what those cost. Fails: with a bare 500.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use actix_web::dev::Server;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Events that share one sync at most: more than there are connections, so that all who wait share it.
const GROUP_MAX: usize = 256;

/// An event on its way to the file, and who waits for it to be there.
type Waiting = (Bytes, oneshot::Sender<()>);

/// Parses and answers.
pub(crate) fn handler() -> io::Result<(Server, SocketAddr)> {
    async fn accept(body: Bytes) -> HttpResponse {
        parsed(&body).map_or_else(refusal, |event| receipt(&event))
    }
    let server = HttpServer::new(|| App::new().default_service(web::to(accept))).bind(("127.0.0.1", 0))?;
    started(&server.addrs(), server.run())
}

/// Parses, appends to a file in `directory`, syncs and answers.
pub(crate) fn durable(directory: &Path) -> io::Result<(Server, SocketAddr)> {
    async fn accept(body: Bytes, file: Data<SyncSender<Waiting>>) -> HttpResponse {
        let Some(event) = parsed(&body) else { return refusal() };
        let (written, done) = oneshot::channel();
        // There is room for every connection, so this never blocks.
        match file.try_send((body, written)) {
            Ok(()) if done.await.is_ok() => receipt(&event),
            Ok(()) | Err(_) => HttpResponse::InternalServerError().finish(),
        }
    }
    let file = File::create_new(directory.join("events.log"))?;
    let (sender, receiver) = sync_channel(GROUP_MAX);
    drop(std::thread::Builder::new().name("writer".to_owned()).spawn(move || append(file, &receiver))?);
    let sender = Data::new(sender);
    let server = HttpServer::new(move || App::new().app_data(sender.clone()).default_service(web::to(accept)))
        .bind(("127.0.0.1", 0))?;
    started(&server.addrs(), server.run())
}

/// Passes every request on to `upstream` and its answer back. Each worker thread has a pool of its own, which is the
/// faster way.
pub(crate) fn proxy(upstream: SocketAddr) -> io::Result<(Server, SocketAddr)> {
    async fn pass(body: Bytes, client: Data<reqwest::Client>, url: Data<String>) -> HttpResponse {
        let sent = client.post(url.as_str()).header("content-type", "application/json").body(body).send().await;
        let Ok(answer) = sent else { return HttpResponse::BadGateway().finish() };
        let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16());
        let (Ok(status), Ok(body)) = (status, answer.bytes().await) else {
            return HttpResponse::BadGateway().finish();
        };
        HttpResponse::build(status).content_type("application/json").body(body)
    }
    let url = Data::new(format!("http://{upstream}/api/now/table/incident"));
    let server = HttpServer::new(move || {
        let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build();
        let client = client.expect("a client without certificates of its own can always be built");
        App::new().app_data(Data::new(client)).app_data(url.clone()).default_service(web::to(pass))
    })
    .bind(("127.0.0.1", 0))?;
    started(&server.addrs(), server.run())
}

pub(super) fn started(addresses: &[SocketAddr], server: Server) -> io::Result<(Server, SocketAddr)> {
    let address = addresses.first().copied().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((server, address))
}

pub(super) fn parsed(body: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(body).ok().filter(|event| event["data"]["incident"]["id"].is_string())
}

pub(super) fn receipt(event: &Value) -> HttpResponse {
    HttpResponse::Accepted().json(json!({
        "delivery": "dlv_0000000000000000000000000",
        "tenant": "bench",
        "incident": event["data"]["incident"]["id"],
        "sequence": 1,
        "duplicate": false,
    }))
}

pub(super) fn refusal() -> HttpResponse {
    HttpResponse::BadRequest().finish()
}

/// The one writer: takes whoever waits, writes all, syncs once, answers all. A failed write answers nobody, and every
/// handler notices.
fn append(mut file: File, waiting: &Receiver<Waiting>) {
    let mut text = Vec::new();
    let mut told = Vec::new();
    while let Ok(first) = waiting.recv() {
        for (body, written) in std::iter::once(first).chain(waiting.try_iter()).take(GROUP_MAX) {
            text.extend_from_slice(&body);
            text.push(b'\n');
            told.push(written);
        }
        if file.write_all(&text).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        text.clear();
        for written in told.drain(..) {
            // A client that went away needs no answer.
            written.send(()).ok();
        }
    }
}
