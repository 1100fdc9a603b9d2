//! The load generator: keep-alive connections that each send one request, wait for its answer and send the next; as fast
//! as it goes, or at a rate.
//!
//! Owns: sending, timing, counting. It runs on one thread and does as little as it can, because on a small machine it
//! takes its share from whoever is being measured. Never: retries; a connection that breaks ends the measurement.
//! Fails: with the first answer that was not the expected one, quoted.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Failed;
use super::event::Requests;
use super::http;

/// Connections that are open at once, as many as in the measurements this project began with.
pub(crate) const CONNECTIONS: usize = 64;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After this time.
    Elapsed(Duration),
    /// After so many requests.
    Sent(u64),
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Answers with the expected status.
    pub(crate) answers: u64,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// Sorted.
    micros: Vec<u32>,
}

impl Seen {
    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.answers, self.took)
    }

    /// The time that this share (0 to 1) of the answers did not exceed, in milliseconds.
    pub(crate) fn quantile_millis(&self, share: f64) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into some hundred thousand samples"
        )]
        let at = (last as f64 * share) as usize;
        self.micros.get(at).map_or(0.0, |&micros| f64::from(micros) / 1_000.0)
    }
}

/// Events per second.
pub(crate) fn per_second(count: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
    let count = count as f64;
    count / took.as_secs_f64()
}

/// Everything the connections of one run share; they live on one thread.
struct Run<'a> {
    requests: &'a Requests,
    expected: u16,
    started: Instant,
    until: Until,
    sent: Cell<u64>,
    micros: RefCell<Vec<u32>>,
}

impl Run<'_> {
    /// Whether one more request is to be sent; counts it.
    fn goes_on(&self) -> bool {
        let sent = self.sent.get();
        let more = match self.until {
            Until::Elapsed(time) => self.started.elapsed() < time,
            Until::Sent(count) => sent < count,
        };
        if more {
            self.sent.set(sent + 1);
        }
        more
    }
}

/// Sends to `target` over [`CONNECTIONS`] connections; every answer must have the status `expected`.
pub(crate) async fn run(target: SocketAddr, requests: &Requests, expected: u16, until: Until) -> Result<Seen, Failed> {
    run_on(&[target], requests, expected, until).await
}

/// The same, connection by connection to one target after the other.
pub(crate) async fn run_on(
    targets: &[SocketAddr],
    requests: &Requests,
    expected: u16,
    until: Until,
) -> Result<Seen, Failed> {
    let mut streams = Vec::with_capacity(CONNECTIONS);
    for target in targets.iter().cycle().take(CONNECTIONS) {
        streams.push(connect(*target).await?);
    }
    let started = Instant::now();
    let run = Run { requests, expected, started, until, sent: Cell::new(0), micros: RefCell::default() };
    try_join_all(streams.into_iter().map(|stream| converse(&run, stream))).await?;
    let took = started.elapsed();
    let mut micros = run.micros.into_inner();
    micros.sort_unstable();
    Ok(Seen { answers: micros.len() as u64, took, micros })
}

/// One connection: request, answer, request, answer.
async fn converse(run: &Run<'_>, mut stream: TcpStream) -> Result<(), Failed> {
    let mut request = Vec::new();
    let mut buffer = Vec::new();
    while run.goes_on() {
        run.requests.write_next(&mut request);
        let sent = Instant::now();
        stream.write_all(&request).await.map_err(|error| Failed::io("could not send", &error))?;
        let (status, head) =
            http::read_answer(&mut stream, &mut buffer).await.map_err(|error| Failed::io("no answer", &error))?;
        let micros = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
        if status != run.expected {
            let said = String::from_utf8_lossy(&buffer[head.bytes..]).into_owned();
            return Err(Failed::new(format!("expected {}, got {status}: {said}", run.expected)));
        }
        run.micros.borrow_mut().push(micros);
        if head.closes {
            return Err(Failed::new("the server closed a keep-alive connection"));
        }
    }
    Ok(())
}

async fn connect(target: SocketAddr) -> Result<TcpStream, Failed> {
    let stream = TcpStream::connect(target).await.map_err(|error| Failed::io("could not connect", &error))?;
    stream.set_nodelay(true).map_err(|error| Failed::io("could not set TCP_NODELAY", &error))?;
    Ok(stream)
}

/// Sends so many requests a second for a while over so many connections, whatever is answered: a sender that floods is
/// told to come again later, and does. A connection whose answer is late sends its next request at once.
pub(crate) async fn steady(
    targets: &[SocketAddr],
    requests: &Requests,
    (per_second, connections): (f64, u32),
    time: Duration,
) -> Result<u64, Failed> {
    let began = tokio::time::Instant::now();
    let sending = (0..connections).zip(targets.iter().cycle()).map(|(number, target)| async move {
        let mut stream = connect(*target).await?;
        let (mut request, mut buffer, mut sent) = (Vec::new(), Vec::new(), 0);
        loop {
            let due = f64::from(sent * connections + number) / per_second;
            if due >= time.as_secs_f64() {
                return Ok::<_, Failed>(u64::from(sent));
            }
            tokio::time::sleep_until(began + Duration::from_secs_f64(due)).await;
            requests.write_next(&mut request);
            stream.write_all(&request).await.map_err(|error| Failed::io("could not send", &error))?;
            let (_, head) =
                http::read_answer(&mut stream, &mut buffer).await.map_err(|error| Failed::io("no answer", &error))?;
            sent += 1;
            if head.closes {
                stream = connect(*target).await?;
            }
        }
    });
    Ok(try_join_all(sending).await?.into_iter().sum())
}
