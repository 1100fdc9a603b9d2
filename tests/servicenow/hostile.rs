//! Peers that stall, flood, lie, redirect and hang up (F36, F37, F39, F40, F51, F52).

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use snowgate::delivery::outcome::{Class, Outcome};
use snowgate::domain::time::Timestamp;
use snowgate::peer::message::{Answer, FaultKind, Method, TransportFault};
use snowgate::peer::transport::http::HttpOptions;
use snowgate::servicenow::classify::classify;
use snowgate::servicenow::wire::calls::CallKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::harness::{Peer, allowance, any_address, basic, client, eventually, fields, http, http_with, request};

const ROW: &str = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 57\r\nSet-Cookie: JSESSIONID=1\r\n\r\n\
                   {\"result\":{\"sys_id\":\"699ec6375df7c9b27e8f0009f87025b7\"}}\n";

async fn post(origin: &str, millis: u64) -> Result<Answer, TransportFault> {
    http().send(request(Method::Post, origin, "/api/now/table/incident", "{}"), allowance(millis)).await
}

fn judged(reply: &Result<Answer, TransportFault>) -> Outcome {
    classify(CallKind::Create, Timestamp::EPOCH, reply).expect_err("no success")
}

fn check(reply: &Result<Answer, TransportFault>, class: Class, code: &str) {
    let outcome = judged(reply);
    assert_eq!((outcome.class, outcome.code.as_str()), (class, code), "{reply:?}");
}

#[tokio::test]
async fn a_head_that_drips_is_cut_at_the_deadline_and_the_connection_is_given_up() {
    // proves F36: a head at 50 bytes a second is cut at the deadline, unclear, and the connection ends
    let peer = Peer::start(|mut connection, _| async move {
        connection.read_request().await;
        connection.write(b"HTTP/1.1 201 Created\r\nX-Slow: ").await;
        connection.flood(b"a", Duration::from_millis(20)).await;
    })
    .await;
    check(&post(&peer.origin(), 300).await, Class::Unclear, "timeout");
    let seen = peer.seen();
    eventually(|| seen.over.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_body_that_drips_is_cut_at_the_deadline() {
    // proves F36: a body at 50 bytes a second is cut at the deadline, unclear, and the connection ends
    let peer = Peer::start(|mut connection, _| async move {
        connection.read_request().await;
        connection
            .write(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n")
            .await;
        connection.flood(b" ", Duration::from_millis(20)).await;
    })
    .await;
    let reply = post(&peer.origin(), 300).await;
    assert!(reply.as_ref().is_ok_and(|answer| answer.cut && answer.body.len() < 100), "{reply:?}");
    check(&reply, Class::Unclear, "answer_cut");
    let seen = peer.seen();
    eventually(|| seen.over.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn endless_bodies_are_cut_at_the_cap() {
    // proves F37: 2 GiB announced and chunks without end are cut at 1 MiB, unclear
    for head in ["Content-Length: 2147483648\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"] {
        let peer = Peer::start(move |mut connection, _| async move {
            connection.read_request().await;
            connection.write(format!("HTTP/1.1 201 Created\r\n{head}").as_bytes()).await;
            let piece = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
            connection.flood(piece.as_bytes(), Duration::ZERO).await;
        })
        .await;
        let reply = post(&peer.origin(), 20_000).await;
        check(&reply, Class::Unclear, "answer_cut");
        assert!(reply.is_ok_and(|answer| answer.body.len() <= 1024 * 1024));
        let seen = peer.seen();
        eventually(|| seen.over.load(Ordering::SeqCst) == 1).await;
        // What was written but not read waits in the sockets' buffers, whose size is the machine's.
        assert!(seen.written.load(Ordering::SeqCst) < 32 * 1024 * 1024);
    }
}

#[tokio::test]
async fn floods_of_headers_and_of_interim_answers_end() {
    // proves F37: 1,000 headers and interim answers without end are given up, unclear
    let peer = Peer::start(|mut connection, number| async move {
        connection.read_request().await;
        if number == 1 {
            connection.write(b"HTTP/1.1 201 Created\r\n").await;
            connection.write("X-H: 1\r\n".repeat(1_000).as_bytes()).await;
            connection.write(b"\r\n").await;
        } else {
            connection.flood(b"HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(1)).await;
        }
    })
    .await;
    check(&post(&peer.origin(), 5_000).await, Class::Unclear, "not_http");
    check(&post(&peer.origin(), 300).await, Class::Unclear, "timeout");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_unclear() {
    let peer = Peer::answering("SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    check(&post(&peer.origin(), 5_000).await, Class::Unclear, "not_http");
}

#[tokio::test]
async fn a_redirect_is_not_followed_anywhere() {
    // proves F40: a 302 to another host: 0 connections there, the tenant needs a person
    let attacker = Peer::answering(ROW).await;
    let location = attacker.origin();
    let peer = Peer::start(move |mut connection, _| {
        let location = location.clone();
        async move {
            connection.read_request().await;
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}/steal?x=1\r\nContent-Length: 0\r\n\r\n");
            connection.write(answer.as_bytes()).await;
        }
    })
    .await;
    let client = client(&peer.origin(), basic());
    let permit = client.permit(false).await.expect("a permit");
    let outcome = client.create(permit, "incident", &[], &[]).await.expect_err("no ticket");
    assert_eq!((outcome.class, outcome.code.as_str()), (Class::Misconfigured, "redirected"));
    assert_eq!(outcome.detail, format!("to {}", attacker.address));
    assert_eq!(attacker.connections(), 0);
}

#[tokio::test]
async fn a_page_instead_of_json_is_no_success() {
    // proves F39: 200 with a page is unclear, never a success; its title is told
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 50\r\n\r\n\
                <html><title>Log in with SSO</title>secret</html>\n";
    let peer = Peer::answering(page).await;
    let outcome = judged(&post(&peer.origin(), 5_000).await);
    assert_eq!((outcome.class, outcome.detail.as_str()), (Class::Unclear, "Log in with SSO"));
}

#[tokio::test]
async fn a_zipped_answer_that_nobody_asked_for_is_not_unzipped() {
    // proves F38: nothing is ever unpacked: a gzip answer is no JSON and unclear, and none is asked for
    let bomb = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\
                \u{1f}x\u{8}\n";
    let peer = Peer::answering(bomb).await;
    check(&post(&peer.origin(), 5_000).await, Class::Unclear, "not_json");
    assert!(!peer.heads()[0].to_ascii_lowercase().contains("accept-encoding"));
}

#[tokio::test]
async fn connections_are_used_again_and_cookies_are_not() {
    let peer = Peer::answering(ROW).await;
    let client = client(&peer.origin(), basic());
    for _ in 0..3 {
        let permit = client.permit(false).await.expect("a permit");
        client.create(permit, "incident", &fields(&[("state", "1")]), &[]).await.expect("a ticket");
    }
    assert_eq!((peer.connections(), peer.heads().len()), (1, 3));
    for head in peer.heads() {
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-length: 13") && !head.contains("cookie") && !head.contains("chunked"), "{head}");
        assert!(head.contains("user-agent: snowgate/"), "{head}");
    }
}

#[tokio::test]
async fn a_request_that_was_read_and_not_answered_is_never_sent_again() {
    let peer = Peer::start(|mut connection, _| async move {
        connection.read_request().await;
        connection.write(ROW.as_bytes()).await;
        connection.read_request().await;
    })
    .await;
    let transport = http();
    let send = || transport.send(request(Method::Post, &peer.origin(), "/x", "{}"), allowance(5_000));
    assert!(send().await.is_ok());
    // The second request goes out on the idle connection, which then closes under it.
    check(&send().await, Class::Unclear, "connection_lost");
    assert_eq!((peer.connections(), peer.heads().len()), (1, 2));
}

#[tokio::test]
async fn an_idle_connection_that_the_peer_closed_costs_nothing() {
    let peer = Peer::start(|mut connection, _| async move {
        connection.read_request().await;
        connection.write(ROW.as_bytes()).await;
    })
    .await;
    let transport = http();
    let seen = peer.seen();
    for call in 1..=5 {
        let reply = transport.send(request(Method::Post, &peer.origin(), "/x", "{}"), allowance(5_000)).await;
        // Either the client saw the end in time and dialled anew, or it met it before a byte was written, or it cannot
        // know; whatever it says, one call is at most one request.
        let lost = matches!(&reply, Err(fault) if matches!(fault.kind, FaultKind::Reset { .. }));
        assert!(lost || reply.is_ok(), "{reply:?}");
        assert!(peer.heads().len() <= call);
        eventually(|| seen.over.load(Ordering::SeqCst) == peer.connections()).await;
    }
}

#[tokio::test]
async fn nothing_listens_there() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    check(&post(&origin, 5_000).await, Class::NotProcessed, "connect_failed");
}

#[tokio::test]
async fn a_name_that_does_not_exist_was_not_reached() {
    // proves F51: a name that does not resolve was not reached: safe to send again
    // A resolver without a network may take its time to say so.
    let patient = HttpOptions { connect_time: Duration::from_mins(1), ..HttpOptions::new(any_address()) };
    let request = request(Method::Post, "http://no-such-host.invalid", "/", "{}");
    let reply = http_with(&patient).send(request, allowance(60_000)).await;
    check(&reply, Class::NotProcessed, "dns_failed");
}

#[tokio::test]
async fn forbidden_addresses_are_not_dialled_by_name_or_by_number() {
    let peer = Peer::answering(ROW).await;
    let port = peer.address.port();
    let inside_only = Arc::new(
        |address: std::net::IpAddr| {
            if address.is_loopback() { Err("a private address".to_owned()) } else { Ok(()) }
        },
    );
    let transport = http_with(&HttpOptions::new(inside_only));
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1"] {
        let origin = format!("http://{host}:{port}");
        let reply = transport.send(request(Method::Post, &origin, "/", "{}"), allowance(5_000)).await;
        check(&reply, Class::Misconfigured, "address_forbidden");
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_down_is_our_trouble_and_not_the_tenants() {
    // proves F52: an egress proxy that is down is no fault of the instance: its breaker does not count it
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let proxy = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let transport = http_with(&HttpOptions { proxy: Some(proxy), ..HttpOptions::new(any_address()) });
    for origin in ["https://contoso.service-now.com", "http://contoso.service-now.com"] {
        let reply = transport.send(request(Method::Post, origin, "/", "{}"), allowance(5_000)).await;
        check(&reply, Class::NotProcessed, "egress_proxy_failed");
        assert!(!judged(&reply).instance_fault);
    }
}

#[tokio::test]
async fn a_handshake_that_fails_has_sent_nothing() {
    // proves F51: TLS that breaks or hangs has sent nothing: safe to send again
    let broken = Peer::start(|mut connection, _| async move {
        connection.stream.shutdown().await.unwrap_or_default();
    })
    .await;
    check(&post(&format!("https://{}", broken.address), 5_000).await, Class::NotProcessed, "tls_broken");

    let silent = Peer::start(|connection, _| async move {
        sleep(Duration::from_mins(1)).await;
        drop(connection);
    })
    .await;
    let transport =
        http_with(&HttpOptions { connect_time: Duration::from_millis(200), ..HttpOptions::new(any_address()) });
    let origin = format!("https://{}", silent.address);
    let reply = transport.send(request(Method::Post, &origin, "/", "{}"), allowance(5_000)).await;
    check(&reply, Class::NotProcessed, "connect_failed");

    // The whole deadline may also end inside the handshake.
    check(&post(&origin, 200).await, Class::NotProcessed, "timeout_before_sending");
}

/// A server that shows a certificate which ended at the beginning of 2024, and the authority that signed it.
fn with_an_ended_certificate() -> (String, String) {
    let key = || KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = key();
    let root = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    (leaf.not_before, leaf.not_after) = (date_time_ymd(2023, 1, 1), date_time_ymd(2024, 1, 1));
    let leaf_key = key();
    let chain = vec![leaf.signed_by(&leaf_key, &issuer).expect("a certificate").der().clone()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let leaf_key = PrivatePkcs8KeyDer::from(leaf_key.serialize_der()).into();
    let server =
        Arc::new(server.expect("TLS").with_no_client_auth().with_single_cert(chain, leaf_key).expect("a pair"));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let origin = format!("https://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&server)).expect("a session");
            let mut read = [0; 1];
            // The caller hangs up during the handshake.
            drop(rustls::StreamOwned::new(session, stream).read(&mut read));
        }
    });
    (origin, root)
}

#[tokio::test]
async fn a_certificate_that_ended_is_a_persons_business_and_named_with_its_date() {
    // proves F51: a certificate that ended: nothing was sent, a person is asked, and told when it ended
    let (origin, root) = with_an_ended_certificate();
    let options = HttpOptions { authorities: vec![root], ..HttpOptions::new(any_address()) };
    let reply = http_with(&options).send(request(Method::Post, &origin, "/", "{}"), allowance(5_000)).await;
    check(&reply, Class::Misconfigured, "tls_certificate");
    let said = judged(&reply);
    assert!(said.detail.contains("the certificate ended at 2024-01-01T00:00:00.000Z"), "{}", said.detail);
    assert!(!said.instance_fault, "waiting does not mend it");
}
