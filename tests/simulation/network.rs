//! The way between the client and the simulated instance, on virtual time. Once bytes are handed to it they travel on,
//! whether or not their sender is still alive.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snowgate::domain::time::{Clock, SharedClock, Timestamp};
use snowgate::peer::message as wire;
use snowgate::peer::message::{FaultKind, TransportFault};
use snowgate::peer::transport::{Exchange, Replying};
use snowgate::runtime::{luck, tasks};
use snowgate::sim::faults::{Faults, Performed, perform};
use snowgate::sim::instance::Instance;
use snowgate::sim::{Request, Response};

/// Time as tokio's paused runtime tells it, set forward or back as a machine's clock may be.
#[derive(Debug)]
pub(crate) struct VirtualClock {
    start: tokio::time::Instant,
    ahead_secs: AtomicI64,
}

impl VirtualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { start: tokio::time::Instant::now(), ahead_secs: AtomicI64::new(0) })
    }

    /// Sets the clock: what waits in the runtime does not notice.
    pub(crate) fn jump(&self, seconds: i64) {
        self.ahead_secs.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_secs.load(Ordering::Relaxed).saturating_mul(1_000);
        Timestamp::from_millis(1_795_327_200_000 + ahead).plus(self.start.elapsed())
    }
}

/// One call, as the network saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
    pub(crate) fate: &'static str,
    pub(crate) status: Option<u16>,
}

/// The network, with the instance at its end.
pub(crate) struct Network {
    pub(crate) clock: SharedClock,
    pub(crate) instance: Mutex<Instance>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) log: Mutex<Vec<Call>>,
    /// Since and until when the instance asked to be left alone, as far as the living client was told.
    pub(crate) quiet: Mutex<Option<(Timestamp, Timestamp)>>,
    pub(crate) broken_windows: Mutex<Vec<String>>,
    /// A rule of the customer's strips what looks like a footer from every comment, before it is stored.
    pub(crate) strips_footers: bool,
}

/// What a client holds of the network.
#[derive(Clone)]
pub(crate) struct Way(pub(crate) Arc<Network>);

impl Exchange for Way {
    fn exchange(&self, request: wire::Request) -> Replying {
        let network = Arc::clone(&self.0);
        // Who may not renew its token yet may go on with the one it has: the window is the token endpoint's own.
        let window_counts = !request.path_and_query.starts_with("/oauth_token.do");
        network.watch_window(&request);
        let (answer, answered) = tokio::sync::oneshot::channel();
        drop(tasks::spawn("network", async move {
            let outcome = Arc::clone(&network).carry(request).await;
            let asked_for_quiet = outcome.as_ref().ok().filter(|_| window_counts).and_then(retry_after);
            // Whoever asked may be dead by now, and then was told nothing.
            if let (Ok(()), Some(seconds)) = (answer.send(outcome), asked_for_quiet) {
                network.quiet_for(Duration::from_secs(seconds));
            }
        }));
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(reset())) })
    }
}

impl Network {
    fn watch_window(&self, request: &wire::Request) {
        let (now, quiet) = (self.clock.now(), *self.quiet.lock().unwrap());
        // A call that leaves in the very instant in which the answer comes in cannot know of it.
        if let Some((_, until)) = quiet.filter(|(since, until)| since < &now && now < *until) {
            let what = format!("call inside a Retry-After window: {request:?} at {now}, window until {until}");
            self.broken_windows.lock().unwrap().push(what);
        }
    }

    fn quiet_for(&self, duration: Duration) {
        let now = self.clock.now();
        let mut quiet = self.quiet.lock().unwrap();
        let open = quiet.filter(|(_, until)| now < *until);
        let (since, until) = open.unwrap_or((now, now));
        *quiet = Some((since, until.max(now.plus(duration))));
    }

    async fn carry(self: Arc<Self>, request: wire::Request) -> Result<wire::Answer, TransportFault> {
        travel().await;
        let mut request = translated(&request);
        if self.strips_footers {
            request.body = without_footer(&request.body);
        }
        let fate = self.faults.lock().unwrap().decide(&request);
        tokio::time::sleep(Duration::from_millis(fate.wait_before_ms())).await;
        let now = self.clock.now();
        let performed = perform(&mut self.instance.lock().unwrap(), &request, fate, now.millis());
        let Performed { answer, applied: _, apply_later_ms, wait_after_ms } = performed;
        let what = format!("{} {}", request.method, request.path);
        let status = answer.as_ref().map(|answer| answer.status);
        self.log.lock().unwrap().push(Call { at: now, what, fate: fate.word(), status });
        if let Some(later) = apply_later_ms {
            self.apply_later(request, later);
        }
        tokio::time::sleep(Duration::from_millis(wait_after_ms)).await;
        travel().await;
        let Some(answer) = answer else { return silence().await };
        Ok(answered(answer))
    }

    /// A request that still runs at the other side after the client gave up.
    fn apply_later(self: &Arc<Self>, request: Request, later: u64) {
        let network = Arc::clone(self);
        drop(tasks::spawn("zombie", async move {
            tokio::time::sleep(Duration::from_millis(later)).await;
            let now = network.clock.now().millis();
            network.instance.lock().unwrap().handle(&request, now);
        }));
    }
}

/// Either the connection breaks, or nothing ever comes and the client's own deadline ends it.
pub(crate) async fn silence() -> Result<wire::Answer, TransportFault> {
    if luck::fraction() < 0.5 {
        std::future::pending::<()>().await;
    }
    Err(reset())
}

pub(crate) fn reset() -> TransportFault {
    TransportFault::new(FaultKind::Reset { sent: true }, "the simulated network broke the connection")
}

pub(crate) async fn travel() {
    tokio::time::sleep(Duration::from_secs_f64(0.002 + 0.04 * luck::fraction())).await;
}

/// The record that a call writes, its comment without the last line.
fn without_footer(body: &[u8]) -> Vec<u8> {
    let Ok(mut record) = serde_json::from_slice::<serde_json::Value>(body) else { return body.to_vec() };
    if let Some(comment) = record["comments"].as_str() {
        record["comments"] = comment.rsplit_once('\n').map_or(comment, |(text, _)| text).into();
        return record.to_string().into_bytes();
    }
    body.to_vec()
}

fn retry_after(answer: &wire::Answer) -> Option<u64> {
    answer.header("retry-after").filter(|_| answer.status == 429)?.parse().ok()
}

fn translated(request: &wire::Request) -> Request {
    let mut translated = Request::new(request.method.as_str(), &request.path_and_query);
    translated.headers = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    translated.body.clone_from(&request.body);
    translated
}

fn answered(response: Response) -> wire::Answer {
    let mut headers = wire::HeaderMap::new();
    for (name, value) in response.headers {
        let name = wire::HeaderName::try_from(name).unwrap();
        headers.append(name, wire::HeaderValue::try_from(value).unwrap());
    }
    wire::Answer { status: response.status, headers, body: response.body, cut: false }
}
