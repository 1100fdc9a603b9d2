//! The managed service's side of the demo: a receiver that checks the signature of every callback and remembers it.
//!
//! What a real one does in a few lines more: `examples/receivers`. Owns: what was heard, and the one line it is shown as.
//! Never: sends events. Fails: a callback that is not signed, or badly, is refused and counted. Proved by: `tests/cli`.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};

use crate::domain::secret::Secret;
use crate::domain::time::Clock;
use crate::runtime::clock::SystemClock;
use crate::runtime::tasks;
use crate::security::signature::{self, HexSignatures, SignedHeaders, WebhookSecret};

/// The incident that the managed service makes of a ticket which a customer opened.
pub(super) const OPENED_BY_CUSTOMER: &str = "MTR-5001";
/// How much of a text is shown.
const SHOWN_CHARS_MAX: usize = 80;

/// A running receiver.
pub(super) struct Receiver {
    url: String,
    secret: Secret,
    ear: Arc<Ear>,
    server: ServerHandle,
}

/// What it knows.
struct Ear {
    secret: WebhookSecret,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    callbacks: Vec<Value>,
    refused: usize,
}

/// Where an incident's ticket is, as the managed service was told.
#[derive(Clone, Debug)]
pub(super) struct Whereabouts {
    pub(super) sys_id: String,
    pub(super) number: String,
}

impl Receiver {
    /// Listens on a free port of this machine. The secret is made of the entropy.
    pub(super) fn start(entropy: [u8; 32]) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}/callbacks", listener.local_addr()?);
        let (key, secret) = WebhookSecret::from_entropy(entropy);
        let ear = Arc::new(Ear { secret: key, heard: Mutex::default() });
        let shared = Arc::clone(&ear);
        let server = HttpServer::new(move || {
            App::new().app_data(Data::from(Arc::clone(&shared))).route("/callbacks", web::post().to(take))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        drop(tasks::spawn("demo receiver", server));
        Ok(Self { url, secret, ear, server: handle })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Every callback that was taken, in the order of arrival.
    pub(super) fn callbacks(&self) -> Vec<Value> {
        self.ear.heard().callbacks.clone()
    }

    /// Whether a callback of this type was taken that says this.
    pub(super) fn has_heard(&self, kind: &str, what: &str) -> bool {
        self.ear.heard().callbacks.iter().any(|callback| {
            let text = callback["data"]["message"]["text"].as_str().unwrap_or_default();
            callback["type"] == kind && (text.contains(what) || line(callback).contains(what))
        })
    }

    /// How many were refused for their signature.
    pub(super) fn refused(&self) -> usize {
        self.ear.heard().refused
    }

    /// The newest ticket that an incident was linked with.
    pub(super) fn ticket_of(&self, incident: &str) -> Option<Whereabouts> {
        let heard = self.ear.heard();
        let linked = |callback: &&Value| callback["type"] == "ticket.linked" && callback["subject"] == incident;
        let ticket = heard.callbacks.iter().rev().find(linked)?.get("data")?.get("ticket")?;
        Some(Whereabouts { sys_id: text(&ticket["sys_id"]), number: text(&ticket["number"]) })
    }

    pub(super) async fn stop(self) {
        self.server.stop(false).await;
    }
}

impl Ear {
    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(ear: Data<Ear>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let headers = SignedHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let secrets = std::slice::from_ref(&ear.secret);
    let signed = signature::verify(headers, &body, secrets, HexSignatures::Refuse, SystemClock.now());
    let callback = serde_json::from_slice::<Value>(&body).ok().filter(|event| event["id"] == headers.id);
    let (Ok(_), Some(callback)) = (signed, callback) else {
        ear.heard().refused += 1;
        return HttpResponse::Unauthorized().finish();
    };
    let opens = callback["type"] == "ticket.opened";
    ear.heard().callbacks.push(callback);
    if opens {
        return HttpResponse::Ok().json(json!({"incident": {"id": OPENED_BY_CUSTOMER}}));
    }
    HttpResponse::NoContent().finish()
}

/// A callback in one line.
pub(super) fn line(callback: &Value) -> String {
    let (kind, data) = (callback["type"].as_str().unwrap_or_default(), &callback["data"]);
    let (incident, number) = (text(&callback["subject"]), text(&data["ticket"]["number"]));
    let said = match kind {
        "ticket.linked" => format!("{number} ({})", text(&data["how"])),
        "ticket.changed" => changes(&data["changes"]),
        "ticket.message_added" => {
            let message = &data["message"];
            let author = message["author"]["name"].as_str().unwrap_or("the customer's side");
            format!("{author}: “{}”", short(&text(&message["text"])))
        }
        "ticket.opened" => format!("{number} “{}”", short(&text(&data["incident"]["title"]))),
        "ticket.parked" => text(&data["parked"]["reason"]),
        _ => String::new(),
    };
    format!("{kind}{}{incident}  {said}", if incident.is_empty() { "" } else { " " })
}

/// `state=investigating, assignee.name=Abel Tuter`.
fn changes(changes: &Value) -> String {
    let mut said = Vec::new();
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => said.extend(inner.iter().map(|(part, value)| format!("{name}.{part}={}", text(value)))),
            None => said.push(format!("{name}={}", text(value))),
        }
    }
    short(&said.join(", "))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

fn short(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(SHOWN_CHARS_MAX) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_callback_is_one_short_line() {
        let changed = json!({"type": "ticket.changed", "subject": "MTR-1", "data": {"changes": {
            "assignee": {"name": "Abel Tuter"}, "state": "investigating"}}});
        assert_eq!(line(&changed), "ticket.changed MTR-1  assignee.name=Abel Tuter, state=investigating");
        let said = json!({"type": "ticket.message_added", "subject": "MTR-1", "data": {"message": {
            "text": format!("two\nlines {}", "x".repeat(200)), "author": {"name": "abel.tuter"}}}});
        let shown = line(&said);
        assert!(shown.starts_with("ticket.message_added MTR-1  abel.tuter: “two lines xxx"), "{shown}");
        assert!(shown.ends_with("…”") && !shown.contains('\n'), "{shown}");
    }
}
