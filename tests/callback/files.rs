//! Files: signed like any event, fetched whole or not at all, and never in memory as a whole.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha2::{Digest, Sha256};
use snowgate::callback::client::{CallbackOptions, Client};
use snowgate::callback::event::Event;
use snowgate::callback::files::{FileToFetch, FileToSend};
use snowgate::delivery::kind::TicketKind;
use snowgate::delivery::outcome::{Class, Outcome};
use snowgate::domain::id::TenantId;
use snowgate::domain::secret::Secret;
use snowgate::domain::time::Timestamp;
use snowgate::peer::caller::Identity;
use snowgate::peer::oauth::Credentials;
use snowgate::peer::transport::Transport;
use snowgate::peer::transport::files::Downloaded;
use snowgate::peer::transport::http::HttpOptions;
use tokio::io::AsyncReadExt;

use crate::harness::{Connection, Peer, http_with};
use crate::receiver::{Receiver, SECRET, answer, options, target};

const MEGABYTE: usize = 1024 * 1024;
const LARGE: usize = 100 * MEGABYTE;

fn event() -> Event {
    let tenant = TenantId::parse("contoso").expect("a tenant");
    Event::new(&tenant, TicketKind::AttachmentAdded, "f-7", Timestamp::EPOCH, Value::Null).about("MTR-1")
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

async fn send(client: &Client, path: &Path, bytes: u64) -> Result<(), Outcome> {
    let permit = client.permit(false).await.expect("a permit");
    let file = FileToSend { path, bytes, media_type: "image/png", attributes: &[("filename", "a b.png")] };
    client.send_file(permit, &event(), &file).await.map(drop)
}

/// A way that reaches everything.
fn open_way() -> Transport {
    http_with(&HttpOptions::new(Arc::new(|_| Ok(()))))
}

async fn fetch(client: &Client, url: &str, into: &Path, sha256: Option<&str>) -> Result<Downloaded, Outcome> {
    fetch_by(&open_way(), client, (url, into), sha256).await
}

async fn fetch_by(
    way: &Transport,
    client: &Client,
    (url, into): (&str, &Path),
    sha256: Option<&str>,
) -> Result<Downloaded, Outcome> {
    let permit = client.permit(false).await.expect("a permit");
    let url = target(url);
    client.fetch_file(permit, &FileToFetch { url: &url, way, into, bytes_max: 1_000, sha256 }).await
}

#[tokio::test]
async fn a_file_arrives_as_an_event_with_a_signature_over_its_bytes() {
    let receiver = Receiver::answering(&[&answer("503 Busy", "", ""), &answer("200 OK", "", "")]).await;
    let client = receiver.client();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, [0, 159, 146, 150, 13, 10]).expect("written");
    assert_eq!(send(&client, &path, 6).await.expect_err("busy").class, Class::NotProcessed);
    assert_eq!(send(&client, &path, 6).await, Ok(()));
    for got in receiver.got() {
        assert!(got.is_signed_by(SECRET));
        assert_eq!(got.body, [0, 159, 146, 150, 13, 10]);
        for (name, value) in [
            ("webhook-id", "f-7"),
            ("ce-id", "f-7"),
            ("ce-type", "ticket.attachment_added"),
            ("ce-subject", "MTR-1"),
            ("ce-filename", "a%20b.png"),
            ("content-type", "image/png"),
        ] {
            assert_eq!(got.header(name), Some(value), "{name}");
        }
    }
    let outcome = send(&client, &folder.path().join("none"), 6).await.expect_err("no file");
    assert_eq!((outcome.class, outcome.code.as_str()), (Class::NotProcessed, "file_unusable"));
}

#[tokio::test]
async fn a_file_is_fetched_whole_and_is_the_one_named_or_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("file");
    let right = hex(&Sha256::digest(b"abc"));
    let html = "content-type: text/plain\r\n";
    let receiver = Receiver::answering(&[&answer("200 OK", html, "abc")]).await;
    let (client, url) = (receiver.client(), format!("{}/files/1?key=2", receiver.peer.origin()));
    let file = fetch(&client, &url, &into, Some(&right.to_uppercase())).await.expect("the file");
    assert_eq!((file.bytes, file.sha256.as_str(), file.media_type.as_deref()), (3, right.as_str(), Some("text/plain")));
    assert_eq!(std::fs::read(&into).expect("a file"), b"abc");
    assert!(receiver.got()[0].head.starts_with("GET /files/1?key=2 HTTP/1.1\r\n"));
    let wrong = hex(&Sha256::digest(b"abd"));
    let outcome = fetch(&client, &url, &into, Some(&wrong)).await.expect_err("another file");
    assert_eq!((outcome.class, outcome.code.as_str(), into.exists()), (Class::Refused, "file_hash_differs", false));

    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nabc";
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(2_000));
    for (reply, class, code) in [
        (cut.to_owned(), Class::NotProcessed, "answer_cut"),
        (endless, Class::Refused, "file_too_large"),
        (answer("302 Found", "location: /elsewhere\r\n", ""), Class::Refused, "file_redirected"),
        (answer("404 Gone", "", ""), Class::Refused, "file_gone"),
        (answer("503 Busy", "retry-after: 9\r\n", ""), Class::NotProcessed, "file_not_now"),
        (String::new(), Class::NotProcessed, "connection_lost"),
    ] {
        let peer = Peer::start(move |connection, _| say(connection, reply.clone())).await;
        let client = Client::new(options(&peer.origin()));
        let outcome = fetch(&client, &peer.origin(), &into, None).await.expect_err("no file");
        assert_eq!((outcome.class, outcome.code.as_str(), outcome.instance_fault), (class, code, false));
        assert!(!into.exists(), "{code}: half a file is none");
        assert_eq!(peer.connections(), 1, "{code}: nothing is followed");
    }
}

#[tokio::test]
async fn only_the_receiver_is_shown_our_token_and_only_allowed_addresses_are_dialled() {
    let token = answer("200 OK", "", r#"{"access_token":"one","token_type":"Bearer"}"#);
    let receiver = Receiver::answering(&[&token, &answer("200 OK", "", "abc")]).await;
    let elsewhere = Receiver::answering(&[&answer("200 OK", "", "abc")]).await;
    let origin = receiver.peer.origin();
    let credentials =
        Credentials::ClientCredentials { client_id: "snowgate".to_owned(), client_secret: Secret::new("x") };
    let oauth = Some(Identity { credentials, token_url: format!("{origin}/token"), scope: None, audience: None });
    let client = Client::new(CallbackOptions { oauth, ..options(&origin) });
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("file");
    fetch(&client, &format!("{}/f", elsewhere.peer.origin()), &into, None).await.expect("the file");
    fetch(&client, &format!("{origin}/f"), &into, None).await.expect("the file");
    assert_eq!(elsewhere.got()[0].header("authorization"), None);
    assert_eq!(receiver.got()[1].header("authorization"), Some("Bearer one"));

    // The way of the file counts, not that of the receiver.
    let closed = http_with(&HttpOptions::new(Arc::new(|_| Err("not outside".to_owned()))));
    let client = Client::new(options(&origin));
    let url = format!("{}/f", elsewhere.peer.origin());
    let outcome = fetch_by(&closed, &client, (&url, &into), None).await.expect_err("forbidden");
    assert_eq!((outcome.class, outcome.code.as_str()), (Class::Refused, "address_forbidden"));
    assert_eq!(elsewhere.got().len(), 1);
}

/// Reads one request, says this, and hangs up.
async fn say(mut connection: Connection, reply: String) {
    connection.read_request().await;
    connection.write(reply.as_bytes()).await;
}

/// Gives a large file to whoever asks, or takes one and keeps its digest; never has more than a megabyte of it.
#[cfg(target_os = "linux")]
async fn take_or_give(mut connection: Connection, digest: Arc<Mutex<String>>) {
    let (head, begun, length) = connection.read_head().await.expect("a request");
    let mut piece = vec![7; MEGABYTE];
    if head.starts_with("GET ") {
        connection.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes()).await;
        for _ in 0..LARGE / MEGABYTE {
            connection.write(&piece).await;
        }
        return;
    }
    let (mut hash, mut left) = (Sha256::new_with_prefix(&begun), length - begun.len());
    while left > 0 {
        let read = connection.stream.read(&mut piece).await.expect("more");
        assert!(read > 0, "the body ended early");
        hash.update(&piece[..read]);
        left -= read;
    }
    *digest.lock().expect("whole") = hex(&hash.finalize());
    connection.write(answer("200 OK", "", "").as_bytes()).await;
}

/// The most memory this process has ever had, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hundred_megabytes_pass_both_ways_in_little_memory() {
    let digest = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&digest);
    let peer = Peer::start(move |connection, _| take_or_give(connection, Arc::clone(&kept))).await;
    let client = Client::new(options(&peer.origin()));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    // Everything that is set up once is there before the first measurement.
    fetch(&client, &format!("{}/f", peer.origin()), &path, None).await.expect_err("more than it may have");
    let before = peak_memory();
    let url = target(&format!("{}/f", peer.origin()));
    let bytes = u64::try_from(LARGE).expect("fits");
    let way = open_way();
    let wanted = FileToFetch { url: &url, way: &way, into: &path, bytes_max: bytes, sha256: None };
    let permit = client.permit(false).await.expect("a permit");
    let fetched = client.fetch_file(permit, &wanted).await.expect("the file");
    assert_eq!(fetched.bytes, bytes);
    assert_eq!(send(&client, &path, bytes).await, Ok(()));
    assert_eq!(*digest.lock().expect("whole"), fetched.sha256);
    let more = peak_memory() - before;
    assert!(more < 20 * MEGABYTE, "{} MB more", more / MEGABYTE);
}
