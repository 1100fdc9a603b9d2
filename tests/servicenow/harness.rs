//! What the tests share: clocks, clients, and servers of a few lines.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snowgate::domain::secret::Secret;
use snowgate::domain::time::{Clock, SharedClock, Timestamp};
use snowgate::peer::message::{HeaderMap, Method, Request};
use snowgate::peer::oauth::Credentials;
use snowgate::peer::pace::Limits;
use snowgate::peer::transport::addresses::AddressFilter;
use snowgate::peer::transport::http::{Http, HttpOptions};
use snowgate::peer::transport::{Allowance, Transport};
use snowgate::runtime::clock::SystemClock;
use snowgate::servicenow::client::{Client, ClientOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Long enough for a busy machine; a test that waits this long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Limits that stay out of the way of tests about something else.
pub(crate) const WIDE: Limits = Limits { calls_per_second: 10_000, calls_per_hour: 1_000_000, concurrency: 64 };

/// Every address may be dialled.
pub(crate) fn any_address() -> AddressFilter {
    Arc::new(|_| Ok(()))
}

pub(crate) fn http() -> Transport {
    http_with(&HttpOptions::new(any_address()))
}

pub(crate) fn http_with(options: &HttpOptions) -> Transport {
    Transport::Http(Arc::new(Http::new(options).expect("a client")))
}

pub(crate) fn client_credentials(secret: &str) -> Credentials {
    Credentials::ClientCredentials { client_id: "snowgate-client".to_owned(), client_secret: Secret::new(secret) }
}

pub(crate) fn basic() -> Credentials {
    Credentials::Basic { username: "snowgate".to_owned(), password: Secret::new("snowgate") }
}

pub(crate) fn options(instance: &str, credentials: Credentials) -> ClientOptions {
    ClientOptions {
        instance: instance.to_owned(),
        credentials,
        token_url: None,
        limits: WIDE,
        transport: http(),
        clock: Arc::new(SystemClock),
        luck_seed: 7,
        observer: None,
        news: None,
    }
}

pub(crate) fn client(instance: &str, credentials: Credentials) -> Client {
    Client::new(options(instance, credentials))
}

pub(crate) fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
}

/// A clock that goes with tokio's, so that paused time moves it.
#[derive(Debug)]
pub(crate) struct VirtualClock(Instant);

impl VirtualClock {
    pub(crate) fn shared() -> SharedClock {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_327_200_000).plus(self.0.elapsed())
    }
}

/// Waits for a condition, not for a time.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "it never happened");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A request as the client would send it.
pub(crate) fn request(method: Method, origin: &str, path: &str, body: &str) -> Request {
    Request {
        method,
        origin: origin.into(),
        path_and_query: path.to_owned(),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
    }
}

pub(crate) fn allowance(millis: u64) -> Allowance {
    Allowance { time: Duration::from_millis(millis), body_bytes_max: 1024 * 1024 }
}

/// A server on one port that hands each connection to a script, and counts.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What a peer saw.
#[derive(Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
    pub(crate) written: AtomicUsize,
    pub(crate) over: AtomicUsize,
}

impl Peer {
    /// `script` plays one connection, whose number (from 1) it gets.
    pub(crate) async fn start<S, F>(script: S) -> Self
    where
        S: Fn(Connection, usize) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                let play = script(Connection { stream, seen: Arc::clone(&shared) }, number);
                let counted = counted(play, Arc::clone(&shared));
                #[expect(clippy::disallowed_methods, reason = "a test's connection ends with its runtime")]
                drop(tokio::spawn(counted));
            }
        });
        Self { address, seen, task }
    }

    /// Answers every request with the same bytes, keeping connections alive.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut connection, _| async move {
            while connection.read_request().await.is_some() {
                connection.write(answer.as_bytes()).await;
            }
        })
        .await
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests read so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("whole").clone()
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn counted(play: impl Future<Output = ()>, seen: Arc<Seen>) {
    play.await;
    seen.over.fetch_add(1, Ordering::SeqCst);
}

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    seen: Arc<Seen>,
}

impl Connection {
    /// Reads one whole request, and gives its head; `None` at the end of the connection.
    pub(crate) async fn read_request(&mut self) -> Option<String> {
        self.read_whole().await.map(|(head, _)| head)
    }

    /// Reads one whole request: its head and its body.
    pub(crate) async fn read_whole(&mut self) -> Option<(String, Vec<u8>)> {
        let (head, mut body, length) = self.read_head().await?;
        while body.len() < length {
            if self.stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        Some((head, body))
    }

    /// Reads the head of a request: it, what came of the body with it, and how long the body will be.
    pub(crate) async fn read_head(&mut self) -> Option<(String, Vec<u8>, usize)> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok())
            .unwrap_or(0);
        self.seen.heads.lock().expect("whole").push(head.clone());
        Some((head, bytes.split_off(end), length))
    }

    /// Writes the same again and again, until the other side takes no more.
    pub(crate) async fn flood(&mut self, bytes: &[u8], pause: Duration) {
        while self.write(bytes).await {
            sleep(pause).await;
        }
    }

    /// Writes; says whether the other side still takes it.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        let taken = self.stream.write_all(bytes).await.is_ok();
        if taken {
            self.seen.written.fetch_add(bytes.len(), Ordering::SeqCst);
        }
        taken
    }
}
