//! Both peers of a gateway that passes files on: an instance with an Attachment API, and a managed service with a shelf.
//!
//! Owns: answers that are as large as their address says, and counts of what came. Never: keeps a file, for it is the
//! gateway's memory that is measured; judges a call. Fails: with a bare 400.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::body::SizedStream;
use actix_web::dev::Server;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{references, upstream};

/// Where it is asked what came.
pub(crate) const CAME_PATH: &str = "/came";
/// Where it takes callbacks.
pub(crate) const CALLBACKS_PATH: &str = "/callbacks";

/// What is given out at once.
const PIECE: &[u8] = &[7; 64 * 1024];

/// What came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Came {
    /// The ticket that the last `ticket.linked` named.
    pub(crate) linked: String,
    /// Bytes of files that were attached.
    pub(crate) attached: u64,
    /// Bytes of files that came as callbacks.
    pub(crate) called_back: u64,
}

type Shared = Data<Arc<Mutex<Came>>>;

/// Where a file of so many bytes is fetched from.
pub(crate) fn shelf(peer: SocketAddr, bytes: u64) -> String {
    format!("http://{peer}/shelf/{bytes}")
}

/// The key of an attachment with so many bytes.
pub(crate) fn attachment(bytes: u64) -> String {
    format!("{bytes:032}")
}

/// Serves until the process ends.
pub(crate) fn peers() -> io::Result<(Server, SocketAddr)> {
    let came: Shared = Data::new(Arc::default());
    let server = HttpServer::new(move || App::new().app_data(came.clone()).default_service(web::to(converse)));
    let server = server.workers(1).bind(("127.0.0.1", 0))?;
    references::started(&server.addrs(), server.run())
}

async fn converse(request: HttpRequest, mut body: web::Payload, came: Shared) -> HttpResponse {
    let (verb, path) = (request.method().as_str(), request.path());
    let is_file = path == "/api/now/attachment/file" || request.headers().contains_key("ce-type");
    let (mut bytes, mut kept) = (0, Vec::new());
    while let Some(piece) = body.next().await {
        let Ok(piece) = piece else { return HttpResponse::BadRequest().finish() };
        bytes += piece.len() as u64;
        if !is_file {
            kept.extend_from_slice(&piece);
        }
    }
    let last = |back: usize| path.rsplit('/').nth(back).and_then(|number| number.parse().ok()).unwrap_or_default();
    match (verb, path) {
        ("GET", CAME_PATH) => HttpResponse::Ok().json(&*lock(&came)),
        ("GET", _) if path.starts_with("/shelf/") => content(last(0)),
        ("GET", _) if path.starts_with("/api/now/attachment/") => content(last(1)),
        ("GET", _) => HttpResponse::Ok().json(json!({"result": []})),
        ("POST", CALLBACKS_PATH) if is_file => {
            lock(&came).called_back += bytes;
            HttpResponse::Accepted().finish()
        }
        ("POST", CALLBACKS_PATH) => {
            let event: Value = serde_json::from_slice(&kept).unwrap_or_default();
            if event["type"] == "ticket.linked" {
                event["data"]["ticket"]["sys_id"].as_str().unwrap_or_default().clone_into(&mut lock(&came).linked);
            }
            HttpResponse::Accepted().finish()
        }
        ("POST", _) if is_file => {
            lock(&came).attached += bytes;
            let row = json!({"sys_id": attachment(bytes), "file_name": "room.zip", "size_bytes": bytes.to_string()});
            HttpResponse::Created().json(json!({"result": row}))
        }
        ("POST", _) => HttpResponse::Created().content_type("application/json").body(upstream::record(&kept, 1)),
        _ => HttpResponse::Ok().content_type("application/json").body(upstream::record(&kept, 1)),
    }
}

/// A file of so many bytes, made while it is read.
fn content(bytes: u64) -> HttpResponse {
    let pieces = stream::unfold(bytes, |left| async move {
        let next = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        let piece = Bytes::from_static(PIECE.get(..next).unwrap_or_default());
        (next > 0).then(|| (Ok::<_, actix_web::Error>(piece), left - next as u64))
    });
    HttpResponse::Ok().content_type("application/zip").body(SizedStream::new(bytes, Box::pin(pieces)))
}

fn lock(came: &Mutex<Came>) -> MutexGuard<'_, Came> {
    came.lock().unwrap_or_else(PoisonError::into_inner)
}
