//! Bytes on a socket, and everything that comes back until the other side ends the connection.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::Event;
use crate::support::home::key_of;

/// Longer than a connection is allowed to do nothing before its first answer.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(crate) struct Said {
    /// The status of every answer.
    pub(crate) statuses: Vec<u16>,
    /// Whether the other side ended the connection in time.
    pub(crate) closed: bool,
    pub(crate) text: String,
}

/// Writes what the other side is willing to read, and reads to the end of the connection.
pub(crate) async fn exchange(address: &str, bytes: &[u8], patience: Duration) -> Said {
    exchange_from(Ipv4Addr::LOCALHOST, address, bytes, patience).await
}

/// The same from another of this machine's own addresses: whoever fails often is held off by its address.
pub(crate) async fn exchange_from(source: Ipv4Addr, address: &str, bytes: &[u8], patience: Duration) -> Said {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((source, 0).into()).expect("an address of this machine");
    let mut stream = socket.connect(address.parse().expect("an address")).await.expect("it listens");
    // It may have ended the connection in the middle of this, which is its right.
    drop(stream.write_all(bytes).await);
    read_to_end(&mut stream, patience).await
}

/// Reads to the end of the connection, or as long as this.
pub(crate) async fn read_to_end(stream: &mut TcpStream, patience: Duration) -> Said {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    let reading = async {
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            seen.extend(piece.iter().take(count));
        }
    };
    let closed = timeout(patience, reading).await.is_ok();
    let text = String::from_utf8_lossy(&seen).into_owned();
    let status = |rest: &str| rest.get(..3).and_then(|status| status.parse().ok());
    Said { statuses: text.split("HTTP/1.1 ").skip(1).filter_map(status).collect(), closed, text }
}

/// A whole and honest POST of an event of `contoso`, with a length.
pub(crate) fn honest(incident: &str) -> String {
    let body = Event::opened(incident).body();
    format!("{}Content-Length: {}\r\n\r\n{body}", lines("Host: gateway\r\n"), body.len())
}

/// Request line and headers of a POST of an event up to the empty line, with these lines in front.
pub(crate) fn lines(first: &str) -> String {
    format!(
        "POST /v1/tenants/contoso/events HTTP/1.1\r\n{first}Authorization: Bearer {}\r\n\
         Content-Type: application/cloudevents+json\r\n",
        key_of("contoso")
    )
}
