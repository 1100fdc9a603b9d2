//! Requests that two programs could read differently: the gateway takes none of them, and never what is hidden behind one.
//!
//! Each is followed by a whole and honest request on the same connection. Where a proxy in front sees one request and the
//! gateway two, the second one would be somebody else's; so it must not run.

use std::time::Duration;

use crate::raw::{SOON, exchange, honest, lines};
use crate::support::{Event, Gateway, Home, Instance, eventually};

async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    (instance, home, gateway)
}

const CHUNKED_END: &str = "0\r\n\r\n";

/// The head of an event's POST with these further lines, and what follows it.
fn with(more: &str, body: &str) -> String {
    format!("{}{more}\r\n{body}", lines("Host: gateway\r\n"))
}

/// Every request of the set, in words.
fn ambiguous() -> Vec<(&'static str, String)> {
    let absolute = lines("Host: gateway\r\n").replacen("POST /v1", "POST http://elsewhere.example/v1", 1);
    vec![
        ("a length and chunks", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKED_END)),
        ("chunks and a length", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("two lengths", with("Content-Length: 5\r\nContent-Length: 0\r\n", "12345")),
        ("the same length twice", with("Content-Length: 5\r\nContent-Length: 5\r\n", "12345")),
        ("a list of lengths", with("Content-Length: 5, 5\r\n", "12345")),
        ("a length with a sign", with("Content-Length: +5\r\n", "12345")),
        ("a negative length", with("Content-Length: -5\r\n", "12345")),
        ("a length in hexadecimal", with("Content-Length: 0x5\r\n", "12345")),
        ("a length that overflows", with("Content-Length: 18446744073709551621\r\n", "12345")),
        ("another encoding", with("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("chunked, identity", with("Transfer-Encoding: chunked, identity\r\n", CHUNKED_END)),
        ("identity, chunked", with("Transfer-Encoding: identity, chunked\r\n", CHUNKED_END)),
        ("identity", with("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("gzip, chunked", with("Transfer-Encoding: gzip, chunked\r\n", CHUNKED_END)),
        ("two encodings", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED_END)),
        ("a parameter", with("Transfer-Encoding: chunked;q=1\r\n", CHUNKED_END)),
        ("quotes", with("Transfer-Encoding: \"chunked\"\r\n", CHUNKED_END)),
        ("a space before the colon", with("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("a vertical tab", with("Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("a NUL", with("Transfer-Encoding: chunked\0\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("a folded line", with("Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("a line that begins with a space", with("X: 1\r\n Transfer-Encoding: chunked\r\n", CHUNKED_END)),
        (
            "an encoding behind a bare line feed",
            with("X: 1\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKED_END),
        ),
        ("a bare carriage return", with("X: 1\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKED_END)),
        ("two hosts", format!("{}Content-Length: 5\r\n\r\n12345", lines("Host: gateway\r\nHost: other\r\n"))),
        ("no host", format!("{}Content-Length: 5\r\n\r\n12345", lines(""))),
        ("another host in the address", format!("{absolute}Content-Length: 5\r\n\r\n12345")),
        ("chunks in HTTP/1.0", with("Transfer-Encoding: chunked\r\n", CHUNKED_END).replacen("HTTP/1.1", "HTTP/1.0", 1)),
        ("HTTP/2 without having asked", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("a chunk's size in other digits", with("Transfer-Encoding: chunked\r\n", "0x5\r\n12345\r\n0\r\n\r\n")),
        ("a chunk's size that overflows", with("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n12345\r\n")),
        ("a chunk's size with a sign", with("Transfer-Encoding: chunked\r\n", "+5\r\n12345\r\n0\r\n\r\n")),
        ("a chunk longer than it says", with("Transfer-Encoding: chunked\r\n", "3\r\n12345\r\n0\r\n\r\n")),
        ("chunks with bare line feeds", with("Transfer-Encoding: chunked\r\n", "5\n12345\n0\n\n")),
        ("a line feed in a chunk's extension", with("Transfer-Encoding: chunked\r\n", "5;a\nb\r\n12345\r\n0\r\n\r\n")),
    ]
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_runs() {
    let (_instance, _home, gateway) = gateway().await;
    for (what, request) in ambiguous() {
        let said = exchange(gateway.address(), format!("{request}{}", honest("HIDDEN")).as_bytes(), SOON).await;
        assert!(said.closed, "{what}: the connection stays open: {}", said.text);
        assert!(said.statuses.iter().all(|status| *status == 400), "{what}: {}", said.text);
        assert!(gateway.deliveries("").await.is_empty(), "{what}: something was taken: {}", said.text);
    }
    // The same two without any trick, so that the hidden one would have run.
    let both = format!("{}{}", honest("MTR-1"), honest("MTR-2").replacen("Host", "Connection: close\r\nHost", 1));
    let said = exchange(gateway.address(), both.as_bytes(), SOON).await;
    assert_eq!(said.statuses, [202, 202], "{}", said.text);
    gateway.quiet().await;
}

#[tokio::test]
async fn what_is_inside_a_body_that_nobody_read_does_not_run() {
    let (_instance, _home, gateway) = gateway().await;
    let hidden = honest("HIDDEN");
    let nobody = |framing: &str| {
        format!("POST /v1/tenants/contoso/events HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer x\r\n{framing}\r\n")
    };
    let chunks = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let length = format!("Content-Length: {}\r\n", hidden.len());
    for (what, request) in [
        ("a wrong key", format!("{}{hidden}", nobody(&length))),
        ("a wrong key, in chunks", format!("{}{chunks}", nobody("Transfer-Encoding: chunked\r\n"))),
        ("a page that reads no body", format!("GET /livez HTTP/1.1\r\nHost: gateway\r\n{length}\r\n{hidden}")),
        ("no page at all", format!("POST /nothing HTTP/1.1\r\nHost: gateway\r\n{length}\r\n{hidden}")),
        ("another method", format!("PUT /livez HTTP/1.1\r\nHost: gateway\r\n{length}\r\n{hidden}")),
        ("a tunnel", format!("CONNECT gateway:443 HTTP/1.1\r\nHost: gateway\r\n\r\n{hidden}")),
        (
            "another protocol",
            format!(
                "GET /livez HTTP/1.1\r\nHost: gateway\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n{hidden}"
            ),
        ),
    ] {
        let said = exchange(gateway.address(), request.as_bytes(), Duration::from_secs(3)).await;
        assert_eq!(said.statuses.len(), 1, "{what}: {}", said.text);
        assert!(gateway.deliveries("").await.is_empty(), "{what}: {}", said.text);
    }
}

#[tokio::test]
async fn http_2_is_spoken_neither_at_once_nor_after_an_upgrade() {
    let (_instance, _home, gateway) = gateway().await;
    let upgrade = "GET /livez HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
    let said = exchange(gateway.address(), upgrade.as_bytes(), Duration::from_secs(2)).await;
    assert_eq!(said.statuses, [200], "answered as if nothing had been asked: {}", said.text);
}

#[tokio::test]
async fn forwarded_headers_from_a_stranger_change_nothing() {
    let (_instance, _home, gateway) = gateway().await;
    let forged = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;host=localhost"),
        ("x-original-url", "/v1/tenants"),
        ("x-rewrite-url", "/v1/tenants"),
        ("x-http-method-override", "GET"),
    ];
    let send = |request: reqwest::RequestBuilder| {
        gateway.sent(forged.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    };
    let event = Event::opened("MTR-1");
    send(gateway.request(reqwest::Method::POST, "/v1/tenants/contoso/events").body(event.body())).await.expect(401);
    send(gateway.request(reqwest::Method::GET, "/v1/tenants")).await.expect(404);
    send(gateway.asking(reqwest::Method::GET, "/v1/tenants").header("host", "evil.example")).await.expect(403);
    send(gateway.posting("contoso", &event)).await.expect(202);
    eventually("it is delivered", async || (gateway.deliveries("delivered").await.len() == 1).then_some(())).await;
}
