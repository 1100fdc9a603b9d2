//! As much HTTP/1.1 as the load generator and the upstream need, and nothing that costs them processor time.
//!
//! Owns: finding the end of a head, its first line and its length. Never: chunked bodies, which neither side sends; a
//! message with one is refused, so that a wrong measurement cannot pass for a good one. Fails: with `InvalidData`.
//! Proved by: every figure of the harness, which counts answers by status on both ends.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Room for one message head; ours have less than a tenth of it.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// An answer on a control path that takes longer than this is a hung process.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);

/// The head of a message: what its first line says and where its body is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Bytes up to and including the empty line.
    pub(crate) bytes: usize,
    /// Bytes of the body after it.
    pub(crate) body_bytes: usize,
    /// The peer closes the connection after this message.
    pub(crate) closes: bool,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Looks for a complete head at the start of `bytes`; `None` until the empty line is there.
pub(crate) fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(malformed("a head without an end")) } else { Ok(None) };
    };
    let mut found = Head { bytes: end + 4, body_bytes: 0, closes: false };
    for line in bytes[..end].split(|&byte| byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            found.body_bytes = number(value).ok_or_else(|| malformed("a content-length that is not a number"))?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(malformed("a chunked body"));
        } else if name.eq_ignore_ascii_case(b"connection") {
            found.closes = value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(Some(found))
}

/// The status of an answer whose head is complete.
pub(crate) fn status(head: &[u8]) -> io::Result<u16> {
    let digits = head.get(9..12).and_then(number);
    digits.and_then(|status| u16::try_from(status).ok()).ok_or_else(|| malformed("no status in the first line"))
}

/// Reads one answer from a connection that stays open; `buffer` is scratch space and ends holding head and body.
pub(crate) async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<(u16, Head)> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before the answer did"));
        }
        let Some(head) = head(buffer)? else { continue };
        let total = head.bytes + head.body_bytes;
        while buffer.len() < total {
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within the answer"));
            }
        }
        return Ok((status(buffer)?, head));
    }
}

/// Sends a whole request, and gives the status of its answer.
pub(crate) async fn send(address: SocketAddr, request: &[u8]) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    read_answer(&mut stream, &mut Vec::new()).await.map(|(status, _)| status)
}

/// One request on a connection of its own, for readiness, metrics and switches.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::new();
        let (status, head) = read_answer(&mut stream, &mut buffer).await?;
        Ok(Answer { status, body: buffer.split_off(head.bytes) })
    };
    tokio::time::timeout(ASK_TIMEOUT, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
