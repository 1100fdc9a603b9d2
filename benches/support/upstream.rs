//! The fast upstream: a ServiceNow that is never the bottleneck.
//!
//! Owns: answers in the shape of the Table API (a create echoes what was written, with a number; reads find nothing)
//! counts per verb, and how long each ticket was on its way if the event said when it was sent, both on control paths.
//! It listens on many loopback addresses, so that every tenant has an instance of its own, as tenants do. Hand-written on
//! one thread, because a framework here would be part of what is measured. Never: a simulator; it keeps nothing and
//! refuses nothing, `snowgate simulate` is faithful instead. Fails: by closing the connection.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::http::{self, Head};

/// Where the counts are read.
pub(crate) const COUNTS_PATH: &str = "/bench/counts";

/// Where the tickets' times on their way are read, in microseconds, sorted; reading them forgets them.
pub(crate) const LAGS_PATH: &str = "/bench/lags";
/// Addresses it listens on, one port for all.
const HOSTS: usize = 200;
/// Stands before the moment an event was sent, in microseconds since 1970 and [`SENT_DIGITS`] digits.
pub(crate) const SENT: &str = "sent-at-";
/// See [`SENT`].
pub(crate) const SENT_DIGITS: usize = 16;

/// The address of a tenant's instance, at an upstream that was started at this one.
pub(crate) fn instance(upstream: SocketAddr, tenant: usize) -> SocketAddr {
    (host(tenant % HOSTS), upstream.port()).into()
}

fn host(number: usize) -> Ipv4Addr {
    let number = u8::try_from(number).expect("a small constant");
    Ipv4Addr::new(127, 1, 0, number.saturating_add(1))
}

/// Now, for both ends of a lag: they run on one machine.
pub(crate) fn micros_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    u64::try_from(now.as_micros()).expect("some thousand years from now")
}

/// Calls since the start, by verb.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Counts {
    pub(crate) post: u32,
    pub(crate) patch: u32,
    pub(crate) get: u32,
}

impl Counts {
    /// All of them.
    pub(crate) fn all(self) -> u32 {
        self.post + self.patch + self.get
    }
}

/// What it keeps, on its one thread.
#[derive(Default)]
struct Seen {
    counts: Cell<Counts>,
    lags: RefCell<Vec<u32>>,
}

/// Listens on every address, at one port.
pub(crate) async fn listen() -> io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind((host(0), 0)).await?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    for number in 1..HOSTS {
        listeners.push(TcpListener::bind((host(number), port)).await?);
    }
    Ok(listeners)
}

/// Serves until the process ends; each answer is this late.
pub(crate) async fn serve(listeners: Vec<TcpListener>, delay: Duration) -> io::Result<()> {
    let seen = Rc::new(Seen::default());
    let accepting = listeners.into_iter().map(|listener| welcome(listener, Rc::clone(&seen), delay));
    LocalSet::new().run_until(futures_util::future::try_join_all(accepting)).await.map(|_: Vec<()>| ())
}

async fn welcome(listener: TcpListener, seen: Rc<Seen>, delay: Duration) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let seen = Rc::clone(&seen);
        // A peer that closes its connection is no event here: the measuring side notices what it misses.
        drop(tokio::task::spawn_local(async move { converse(stream, &seen, delay).await }));
    }
}

async fn converse(mut stream: TcpStream, seen: &Seen, delay: Duration) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut answer = Vec::with_capacity(8 * 1024);
    loop {
        let head = loop {
            if let Some(head) = http::head(&buffer)?.filter(|head| buffer.len() >= head.bytes + head.body_bytes) {
                break head;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        answer.clear();
        respond(&buffer, head, seen, &mut answer)?;
        if !delay.is_zero() && !buffer.starts_with(b"GET /bench/") {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(&answer).await?;
        buffer.drain(..head.bytes + head.body_bytes);
    }
}

fn respond(message: &[u8], head: Head, seen: &Seen, answer: &mut Vec<u8>) -> io::Result<()> {
    let (line, body) = (&message[..head.bytes], &message[head.bytes..head.bytes + head.body_bytes]);
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\r'));
    let (verb, address) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut count = seen.counts.get();
    match verb {
        b"POST" => {
            count.post += 1;
            seen.lags.borrow_mut().extend(lag(body));
            push_answer(answer, "201 Created", &record(body, count.post));
        }
        b"PATCH" | b"PUT" => {
            count.patch += 1;
            push_answer(answer, "200 OK", &record(body, count.patch));
        }
        b"GET" if address == COUNTS_PATH.as_bytes() => {
            push_answer(answer, "200 OK", &serde_json::to_vec(&count)?);
        }
        b"GET" if address == LAGS_PATH.as_bytes() => {
            let mut lags = seen.lags.take();
            lags.sort_unstable();
            push_answer(answer, "200 OK", &serde_json::to_vec(&lags)?);
        }
        b"GET" => {
            count.get += 1;
            // `/api/now/table/{table}/{sys_id}` reads one record, `/api/now/table/{table}?…` a list.
            let path = address.split(|&byte| byte == b'?').next().unwrap_or_default();
            if path.split(|&byte| byte == b'/').count() > 5 {
                push_answer(answer, "404 Not Found", br#"{"error":{"message":"No Record found","detail":"Record doesn't exist or ACL restricts the record retrieval"},"status":"failure"}"#);
            } else {
                push_answer(answer, "200 OK", br#"{"result":[]}"#);
            }
        }
        _ => push_answer(answer, "405 Method Not Allowed", b"{}"),
    }
    seen.counts.set(count);
    Ok(())
}

/// How long the event of this ticket was on its way, if it says when it was sent.
fn lag(body: &[u8]) -> Option<u32> {
    let at = body.windows(SENT.len()).position(|window| window == SENT.as_bytes())? + SENT.len();
    let sent: u64 = str::from_utf8(body.get(at..at + SENT_DIGITS)?).ok()?.parse().ok()?;
    u32::try_from(micros_now().saturating_sub(sent)).ok()
}

/// What was written comes back as the record's content, as the caller who names `sysparm_fields` would see it.
pub(super) fn record(body: &[u8], number: u32) -> Vec<u8> {
    let written = body.trim_ascii().strip_suffix(b"}").filter(|rest| rest.starts_with(b"{")).unwrap_or(b"{");
    let mut record = b"{\"result\":".to_vec();
    record.extend_from_slice(written);
    if written.len() > 1 {
        record.push(b',');
    }
    if !written.windows(9).any(|nine| nine == b"\"sys_id\":") {
        record.extend_from_slice(format!("\"sys_id\":\"{number:032x}\",").as_bytes());
    }
    let rest = format!(
        "\"number\":\"INC{number:07}\",\"sys_created_on\":\"2026-11-22 06:00:00\",\
         \"sys_updated_on\":\"2026-11-22 06:00:00\",\"sys_mod_count\":\"0\"}}}}"
    );
    record.extend_from_slice(rest.as_bytes());
    record
}

fn push_answer(answer: &mut Vec<u8>, status: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json;charset=UTF-8\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    answer.extend_from_slice(head.as_bytes());
    answer.extend_from_slice(body);
}
