//! The fast upstream: a ServiceNow that is never the bottleneck.
//!
//! Owns: answers in the shape of the Table API (a create echoes what was written, with a number; reads find nothing)
//! and counts per verb, on the control path `GET /bench/counts`. Hand-written on one thread, because a framework here
//! would be part of what is measured. Never: a simulator; it keeps nothing and refuses nothing, `snowgate simulate`
//! is faithful instead. Fails: by closing the connection.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::http::{self, Head};

/// Where the counts are read.
pub(crate) const COUNTS_PATH: &str = "/bench/counts";

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

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener) -> io::Result<()> {
    let counts = Rc::new(Cell::new(Counts::default()));
    let accepting = async move {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let counts = Rc::clone(&counts);
            // A peer that closes its connection is no event here: the measuring side notices what it misses.
            drop(tokio::task::spawn_local(async move { converse(stream, &counts).await }));
        }
    };
    LocalSet::new().run_until(accepting).await
}

async fn converse(mut stream: TcpStream, counts: &Cell<Counts>) -> io::Result<()> {
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
        respond(&buffer, head, counts, &mut answer)?;
        stream.write_all(&answer).await?;
        buffer.drain(..head.bytes + head.body_bytes);
    }
}

fn respond(message: &[u8], head: Head, counts: &Cell<Counts>, answer: &mut Vec<u8>) -> io::Result<()> {
    let (line, body) = (&message[..head.bytes], &message[head.bytes..head.bytes + head.body_bytes]);
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\r'));
    let (verb, address) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut count = counts.get();
    match verb {
        b"POST" => {
            count.post += 1;
            push_answer(answer, "201 Created", &record(body, count.post));
        }
        b"PATCH" | b"PUT" => {
            count.patch += 1;
            push_answer(answer, "200 OK", &record(body, count.patch));
        }
        b"GET" if address == COUNTS_PATH.as_bytes() => {
            push_answer(answer, "200 OK", &serde_json::to_vec(&count)?);
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
    counts.set(count);
    Ok(())
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
