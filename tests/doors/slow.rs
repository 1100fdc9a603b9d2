//! Clients that never end: each is cut off within a bound, and nobody else waits for them.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use snowgate::limits::{REQUEST_BODY_WAIT, REQUEST_HEAD_WAIT};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use crate::raw::{Said, exchange, lines, read_to_end};
use crate::support::{Event, Gateway, Home, Instance, Reply};

/// What a busy machine may add to a bound.
const GRACE: Duration = Duration::from_secs(15);
/// Idle and dripping clients, each so many.
const CLIENTS: usize = 150;
/// Memory that a flood of slow clients may cost: their buffers, and what the allocator keeps.
const MEMORY_KIB: u64 = 64 * 1024;

async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    (instance, home, gateway)
}

/// Sends `start`, then `drop` again and again, until the other side has had enough.
async fn drips(address: &str, start: &str, drop_of: &[u8], patience: Duration) -> (Said, Duration) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let begun = Instant::now();
    stream.write_all(start.as_bytes()).await.expect("it reads");
    let (mut reading, mut writing) = stream.split();
    let drip = async {
        let mut every = interval(Duration::from_millis(200));
        loop {
            every.tick().await;
            if writing.write_all(drop_of).await.is_err() {
                return;
            }
        }
    };
    let mut seen = Vec::new();
    let read = async {
        let mut piece = [0; 1024];
        while let Ok(count @ 1..) = tokio::io::AsyncReadExt::read(&mut reading, &mut piece).await {
            seen.extend(piece.iter().take(count));
        }
    };
    let closed = timeout(patience, async { tokio::join!(drip, read) }).await.is_ok();
    let text = String::from_utf8_lossy(&seen).into_owned();
    let statuses = text.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect();
    (Said { statuses, closed, text }, begun.elapsed())
}

/// Kibibytes of memory that a process has at this moment.
fn resident_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_whatever_it_announced() {
    let (_instance, _home, gateway) = gateway().await;
    let head = lines("Host: gateway\r\n");
    let announced = format!("{head}Content-Length: 200000\r\n\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let patience = REQUEST_BODY_WAIT + GRACE;
    let clients = [(&announced, b"x".as_slice()), (&chunked, b"1\r\nx\r\n".as_slice())];
    let ended = join_all(clients.map(|(start, piece)| drips(gateway.address(), start, piece, patience))).await;
    for (said, took) in ended {
        assert!(said.closed, "after {took:?}: {}", said.text);
        assert_eq!(said.statuses, [408], "{}", said.text);
        assert!(took >= REQUEST_BODY_WAIT, "it was given its time: {took:?}");
    }
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn a_stranger_cannot_hold_a_connection_with_a_body_that_was_refused() {
    let (_instance, _home, gateway) = gateway().await;
    let head = "POST /v1/tenants/contoso/events HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer wrong\r\n";
    let announced = format!("{head}Content-Length: 200000\r\n\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let nowhere = "POST /nothing HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let clients =
        [(&announced, b"x".as_slice()), (&chunked, b"1\r\nx\r\n".as_slice()), (&nowhere, b"1\r\nx\r\n".as_slice())];
    let ended = join_all(clients.map(|(start, piece)| drips(gateway.address(), start, piece, GRACE))).await;
    for (said, took) in ended {
        assert!(said.closed, "it still drips after {took:?}: {}", said.text);
        assert!(matches!(said.statuses.as_slice(), [401 | 404]), "{}", said.text);
    }
}

#[tokio::test]
async fn a_length_that_lies_stores_nothing_and_ends_the_connection() {
    let (_instance, _home, gateway) = gateway().await;
    let body = Event::opened("MTR-1").body();
    let with = |length: usize| format!("{}Content-Length: {length}\r\n\r\n{body}", lines("Host: gateway\r\n"));
    let short = exchange(gateway.address(), with(body.len() - 5).as_bytes(), GRACE).await;
    assert!(short.closed, "the rest is no request: {}", short.text);
    assert_eq!(short.statuses.first(), Some(&400), "{}", short.text);

    let mut stream = TcpStream::connect(gateway.address()).await.expect("it listens");
    stream.write_all(with(body.len() + 5).as_bytes()).await.expect("it reads");
    stream.shutdown().await.expect("our own half");
    let long = read_to_end(&mut stream, GRACE).await;
    assert!(long.closed, "{}", long.text);
    assert!(long.statuses.iter().all(|status| *status == 400), "{}", long.text);

    for length in ["10485760", "18446744073709551615"] {
        let huge = format!("{}Content-Length: {length}\r\n\r\n{{", lines("Host: gateway\r\n"));
        let said = exchange(gateway.address(), huge.as_bytes(), GRACE).await;
        assert!(said.closed, "{length}: {}", said.text);
        assert_eq!(said.statuses, [413], "{length}: {}", said.text);
    }
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn hundreds_of_slow_clients_are_cut_off_and_a_healthy_one_does_not_wait_for_them() {
    let (instance, _home, gateway) = gateway().await;
    gateway.post(&Event::opened("MTR-0")).await.expect(202);
    let before = resident_kib(&gateway);
    let patience = REQUEST_HEAD_WAIT + GRACE;
    let address = gateway.address();
    let silent = join_all((0..CLIENTS).map(|_| async move { exchange(address, b"", patience).await }));
    let begun_head = "POST /v1/tenants/contoso/events HTTP/1.1\r\nX-Header: ";
    let dripping = join_all((0..CLIENTS).map(|_| drips(address, begun_head, b"a", patience)));
    let healthy = async {
        let mut slowest = Duration::ZERO;
        for number in 1..=20 {
            let begun = Instant::now();
            gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    let (silent, dripping, slowest) = tokio::join!(silent, dripping, healthy);
    assert!(slowest < REQUEST_HEAD_WAIT, "a healthy client waited {slowest:?}");
    assert!(silent.iter().all(|said| said.closed), "a client that never said a word is still connected");
    for (said, took) in &dripping {
        assert!(said.closed, "a head still drips after {took:?}: {}", said.text);
        assert!(said.statuses.iter().all(|status| *status == 408), "{}", said.text);
    }
    let grown = resident_kib(&gateway).saturating_sub(before);
    assert!(grown < MEMORY_KIB, "it grew by {grown} KiB");
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 21);
}

#[tokio::test]
async fn a_stranger_has_one_request_and_cannot_let_a_second_one_drip() {
    let (_instance, _home, gateway) = gateway().await;
    let second = "POST /v1/tenants/contoso/events HTTP/1.1\r\nX-Header: ";
    let first = [
        ("a page for anybody", "GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n", 200),
        ("no page", "GET /nothing HTTP/1.1\r\nHost: gateway\r\n\r\n", 404),
        ("a wrong method", "PUT /livez HTTP/1.1\r\nHost: gateway\r\n\r\n", 405),
        ("no key", "POST /v1/tenants/contoso/events HTTP/1.1\r\nHost: gateway\r\n\r\n", 401),
    ];
    let starts = first.map(|(_, first, _)| format!("{first}{second}"));
    let ended = join_all(starts.iter().map(|start| drips(gateway.address(), start, b"a", GRACE))).await;
    for ((what, _, status), (said, took)) in first.into_iter().zip(ended) {
        assert!(said.closed, "{what}: the second one still drips after {took:?}: {}", said.text);
        assert_eq!(said.statuses, [status], "{what}: {}", said.text);
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused_before_it_fills_the_memory() {
    let (_instance, _home, gateway) = gateway().await;
    let before = resident_kib(&gateway);
    let line = format!("X-Filler: {}\r\n", "a".repeat(8_000));
    let many = (0..1_000).fold(String::new(), |head, number| format!("{head}X-{number}: 1\r\n"));
    for (what, head) in [
        ("one line", format!("GET /livez HTTP/1.1\r\nHost: gateway\r\nX: {}", "a".repeat(4 << 20))),
        ("long lines", format!("GET /livez HTTP/1.1\r\nHost: gateway\r\n{}", line.repeat(500))),
        ("many lines", format!("GET /livez HTTP/1.1\r\nHost: gateway\r\n{many}\r\n")),
        ("a long address", format!("GET /{} HTTP/1.1\r\nHost: gateway\r\n\r\n", "a".repeat(4 << 20))),
    ] {
        let said = exchange(gateway.address(), head.as_bytes(), GRACE).await;
        assert!(said.closed, "{what}: {}", said.text);
        assert!(said.statuses.iter().all(|status| (400..500).contains(status)), "{what}: {}", said.text);
    }
    let grown = resident_kib(&gateway).saturating_sub(before);
    assert!(grown < MEMORY_KIB, "it grew by {grown} KiB");
    Reply::of(gateway.request(Method::GET, "/livez")).await.expect("an answer").expect(200);
}
