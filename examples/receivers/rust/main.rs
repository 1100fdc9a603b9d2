//! Takes Snowgate's callbacks: verifies, recognises repeats, answers `ticket.opened` with an incident of its own.
//!
//!     SNOWGATE_CALLBACK_SECRET=whsec_… PORT=9000 cargo run --example receiver
//!
//! What is yours to change: `handle`, and `Answers`, which must be a table with a unique key that outlives a restart.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "an example has no settings and no log")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use actix_web::http::header::HeaderMap;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap as PackageHeaders, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use standardwebhooks::Webhook;

const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
const SKEW_SECS_MAX: u64 = 300;

/// What each `webhook-id` was answered. An id may come again for 30 days: keep it in the transaction of its effect.
type Answers = Mutex<HashMap<String, Option<Value>>>;

/// Does what the event asks for and gives the answer's body, if there is one.
fn handle(event: &Value) -> Option<Value> {
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
    println!("took {} {} {} {}", text("/type"), text("/subject"), text("/id"), text("/file/sha256"));
    // The same ticket is the same incident, whatever happened to our first answer. Types that we do not know yet are
    // taken as well, or they would come again.
    (text("/type") == "ticket.opened")
        .then(|| json!({"incident": {"id": format!("INC-{}", text("/data/ticket/sys_id"))}}))
}

/// The event of a genuine request.
fn verified(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, Box<dyn Error>> {
    let header = |name: &str| -> Result<&str, Box<dyn Error>> {
        Ok(headers.get(name).ok_or_else(|| format!("no {name}"))?.to_str()?)
    };
    if headers.contains_key("ce-type") {
        // The body is a file, byte for byte. The package takes text alone, so this is the same signature by hand.
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        check_file(secret, id, timestamp, header("webhook-signature")?, body)?;
        let sha256 = Sha256::digest(body).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        if sha256 != header("ce-attachmentsha256")? {
            return Err("this is another file".into());
        }
        let file = json!({"id": header("ce-attachmentid")?, "name": header("ce-attachmentname")?, "sha256": sha256});
        let (id, kind, subject) = (header("ce-id")?, header("ce-type")?, header("ce-subject")?);
        return Ok(json!({"id": id, "type": kind, "subject": subject, "file": file}));
    }
    let mut signed = PackageHeaders::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        signed.insert(name, HeaderValue::from_str(header(name)?)?);
    }
    Webhook::new(secret)?.verify(body, &signed)?;
    Ok(serde_json::from_slice(body)?)
}

fn check_file(secret: &str, id: &str, timestamp: &str, given: &str, body: &[u8]) -> Result<(), Box<dyn Error>> {
    let sent: i64 = timestamp.parse()?;
    if sent.abs_diff(jiff::Timestamp::now().as_second()) > SKEW_SECS_MAX {
        return Err("the timestamp is too old or too new".into());
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(secret.trim_start_matches("whsec_"))?)?;
    for part in [format!("{id}.{timestamp}.").as_bytes(), body] {
        mac.update(part);
    }
    let entries = given.split(' ').filter_map(|entry| STANDARD.decode(entry.strip_prefix("v1,")?).ok());
    // `verify_slice` compares in constant time.
    let is_right = entries.into_iter().any(|entry| mac.clone().verify_slice(&entry).is_ok());
    if is_right { Ok(()) } else { Err("the signature is wrong".into()) }
}

async fn receive(
    request: HttpRequest,
    body: web::Bytes,
    secret: web::Data<String>,
    answers: web::Data<Answers>,
) -> HttpResponse {
    let Ok(event) = verified(&secret, request.headers(), &body) else {
        return HttpResponse::Unauthorized().finish();
    };
    let id = request.headers().get("webhook-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    match answers.entry(id.unwrap_or_default()).or_insert_with(|| handle(&event)) {
        Some(answer) => HttpResponse::Ok().json(answer),
        None => HttpResponse::NoContent().finish(),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = web::Data::new(std::env::var("SNOWGATE_CALLBACK_SECRET")?);
    let port: u16 = std::env::var("PORT").unwrap_or_else(|_| "9000".to_owned()).parse()?;
    let answers = web::Data::new(Answers::default());
    let server = HttpServer::new(move || {
        let app = App::new().app_data(secret.clone()).app_data(answers.clone());
        app.app_data(web::PayloadConfig::new(BODY_BYTES_MAX)).default_service(web::to(receive))
    });
    let server = server.workers(1).bind(("127.0.0.1", port))?;
    println!("listening on http://{}", server.addrs().first().ok_or("no address")?);
    Ok(server.run().await?)
}
