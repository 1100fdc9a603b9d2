//! Files of tickets, over a server of a few lines: what an instance says about them, and their content both ways.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use snowgate::delivery::outcome::{Class, Outcome};
use snowgate::domain::id::SysId;
use snowgate::peer::message::{FaultKind, Method};
use snowgate::peer::transport::files::Sink;
use snowgate::servicenow::attachments::{FileToAttach, find_attached};

use crate::harness::{Peer, basic, client, http, request};

const TICKET: u128 = 0x7;
const FILE: u128 = 0x9;

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn metadata(table: &str, ticket: u128, hash: &str) -> String {
    format!(
        r#"{{"sys_id":"{FILE:032x}","table_name":"{table}","table_sys_id":"{ticket:032x}","file_name":"log.zip",
            "content_type":"application/zip","size_bytes":"3","hash":"{hash}","sys_created_on":"2026-11-22 06:00:00",
            "sys_created_by":"abel.tuter"}}"#
    )
}

async fn listing(rows: String) -> Peer {
    let answer = ok(&format!(r#"{{"result":[{rows}]}}"#));
    Peer::start(move |mut connection, _| {
        let answer = answer.clone();
        async move {
            while connection.read_request().await.is_some() {
                connection.write(answer.as_bytes()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_files_of_a_ticket_are_told_and_strangers_are_not_believed() {
    let ticket = SysId::from_bits(TICKET);
    let peer = listing(metadata("incident", TICKET, "ab")).await;
    let client = client(&peer.origin(), basic());
    let permit = client.permit_to_read().await.expect("a permit");
    let files = client.attachments_of(permit, "incident", &ticket).await.expect("files");
    assert_eq!(find_attached(&files, "log.zip", "AB").map(|file| file.size_bytes), Some(Some(3)));
    let permit = client.permit_to_read().await.expect("a permit");
    let since = client.attachments_since(permit, "incident", "2026-11-22 06:00:00", 10).await.expect("files");
    assert_eq!(since.iter().map(|(ticket, _)| ticket).collect::<Vec<_>>(), [&ticket]);
    let asked = peer.heads();
    let query = "sysparm_query=table_name%3Dincident%5Etable_sys_idIN00000000000000000000000000000007";
    assert!(asked[0].starts_with("GET /api/now/attachment?") && asked[0].contains(query), "{}", asked[0]);

    for rows in [metadata("incident", 0x8, "ab"), metadata("sys_user", TICKET, "ab"), r#"{"sys_id":"x"}"#.to_owned()] {
        let peer = listing(rows.clone()).await;
        let client = crate::harness::client(&peer.origin(), basic());
        let permit = client.permit_to_read().await.expect("a permit");
        let outcome = client.attachments_of(permit, "incident", &ticket).await.expect_err("strangers");
        assert!(["lookup_untrusted", "no_sys_id"].contains(&outcome.code.as_str()), "{rows}: {outcome:?}");
    }
}

async fn download(answer: Vec<u8>, bytes_max: u64) -> (Result<String, Outcome>, bool) {
    let answer = Arc::new(answer);
    let peer = Peer::start(move |mut connection, _| {
        let answer = Arc::clone(&answer);
        async move {
            connection.read_request().await;
            connection.write(&answer).await;
        }
    })
    .await;
    let client = client(&peer.origin(), basic());
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("file");
    let permit = client.permit_to_read().await.expect("a permit");
    let fetched = client.download_file(permit, &SysId::from_bits(FILE), &into, bytes_max).await;
    let fetched = fetched.map(|file| {
        assert_eq!(std::fs::metadata(&into).expect("a file").len(), file.bytes);
        file.sha256
    });
    assert!(peer.heads()[0].starts_with(&format!("GET /api/now/attachment/{FILE:032x}/file ")));
    (fetched, into.exists())
}

#[tokio::test]
async fn a_download_is_whole_or_nothing() {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let (fetched, exists) = download(format!("{}abc", head(3)).into_bytes(), 3).await;
    let digest = Sha256::digest(b"abc").iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!((fetched, exists), (Ok(digest), true));

    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n4\r\nabcd\r\n";
    let said = r#"{"error":{"message":"No Record found","detail":"x"},"status":"failure"}"#;
    let gone = head(said.len()).replace("200 OK", "404 Not Found") + said;
    let moved = "HTTP/1.1 302 Found\r\nlocation: /login.do\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for (answer, class, code) in [
        (format!("{}ab", head(3)), Class::NotProcessed, "answer_cut"),
        (format!("{}abcd", head(4)), Class::Refused, "file_too_large"),
        (chunked.to_owned(), Class::Refused, "file_too_large"),
        (chunked.replace("abcd", "ab").replace("4\r", "2\r"), Class::NotProcessed, "answer_cut"),
        (gone, Class::Missing, "http_404_no_record"),
        (moved.to_owned(), Class::Misconfigured, "redirected"),
    ] {
        let (fetched, exists) = download(answer.clone().into_bytes(), 3).await;
        let outcome = fetched.expect_err("no file");
        assert_eq!((outcome.class, outcome.code.as_str(), exists), (class, code, false), "{answer}");
    }
}

#[tokio::test]
async fn a_download_that_dribbles_ends_with_its_time() {
    let peer = Peer::start(|mut connection, _| async move {
        connection.read_request().await;
        connection.write(b"HTTP/1.1 200 OK\r\n\r\n").await;
        connection.flood(b"x", Duration::from_millis(10)).await;
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("file");
    let sink = Sink { path: &into, bytes_max: 1_000_000, time: Duration::from_millis(300) };
    let fault = http().download(request(Method::Get, &peer.origin(), "/f", ""), sink).await.expect_err("no end");
    assert_eq!((fault.kind, into.exists()), (FaultKind::Cut, false));
}

#[tokio::test]
async fn an_upload_is_the_file_and_says_where_it_belongs() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&received);
    let peer = Peer::start(move |mut connection, _| {
        let kept = Arc::clone(&kept);
        async move {
            let (_, body) = connection.read_whole().await.expect("a request");
            *kept.lock().expect("whole") = body;
            let answer = ok(&format!(r#"{{"result":{}}}"#, metadata("incident", TICKET, "ab")));
            connection.write(answer.as_bytes()).await;
        }
    })
    .await;
    let client = client(&peer.origin(), basic());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, b"abc").expect("written");
    let ticket = SysId::from_bits(TICKET);
    let file = FileToAttach { name: "a & b.zip", media_type: "application/zip", path: &path, bytes: 3 };
    let permit = client.permit(false).await.expect("a permit");
    let attached = client.upload_file(permit, ("incident", &ticket), &file).await.expect("attached");
    assert_eq!((attached.sys_id, attached.created_by.as_deref()), (SysId::from_bits(FILE), Some("abel.tuter")));
    assert_eq!(*received.lock().expect("whole"), b"abc");
    let head = &peer.heads()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /api/now/attachment/file?table_name=incident&table_sys_id="), "{head}");
    assert!(head.contains("&file_name=a%20%26%20b.zip ") && head.contains("content-type: application/zip"), "{head}");

    let permit = client.permit(false).await.expect("a permit");
    let other = FileToAttach { bytes: 4, ..file };
    let outcome = client.upload_file(permit, ("incident", &ticket), &other).await.expect_err("another size");
    assert_eq!((outcome.class, outcome.code.as_str()), (Class::NotProcessed, "file_unusable"));
    assert_eq!(peer.heads().len(), 1, "nothing was sent");
}

#[tokio::test]
async fn an_upload_without_an_answer_may_have_happened() {
    let peer = Peer::start(|mut connection, _| async move {
        connection.read_whole().await;
    })
    .await;
    let client = client(&peer.origin(), basic());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, b"abc").expect("written");
    let file = FileToAttach { name: "x", media_type: "", path: &path, bytes: 3 };
    let permit = client.permit(false).await.expect("a permit");
    let outcome = client.upload_file(permit, ("incident", &SysId::from_bits(TICKET)), &file).await.expect_err("lost");
    assert_eq!((outcome.class, outcome.code.as_str()), (Class::Unclear, "connection_lost"));
}
