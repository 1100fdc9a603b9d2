//! HTTP spelled out by hand, for requests that no client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::home::key_of;

/// A connection to the gateway, `127.0.0.1:PORT`.
pub(crate) async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).await.expect("it listens")
}

/// The head of a POST of an event, up to the empty line; `more` are header lines, each with its end.
pub(crate) fn head(tenant: &str, more: &str) -> String {
    format!(
        "POST /v1/tenants/{tenant}/events HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/cloudevents+json\r\n{more}\r\n",
        key_of(tenant)
    )
}

/// Writes what the other side is willing to read; a reset is its right.
pub(crate) async fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok()
}

/// The first answer's status and everything that came, as soon as the head is there or the connection has ended.
pub(crate) async fn answer(stream: &mut TcpStream, patience: Duration) -> (u16, String) {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    let reading = async {
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => seen.extend(piece.iter().take(count)),
            }
            if String::from_utf8_lossy(&seen).contains("\r\n\r\n{") && seen.ends_with(b"}") {
                break;
            }
        }
    };
    timeout(patience, reading).await.expect("an answer, or the end of the connection");
    let text = String::from_utf8_lossy(&seen).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}
