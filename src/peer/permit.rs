//! The right to make one call. There is no way to call without one, and none to use one twice: it is moved into the call.
//!
//! A permit holds a slot; dropping it, by a finished call or by a cancelled one, gives the slot back and wakes the next
//! waiter. An unanswered probe of the breaker goes back as well.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::pace::shared::{Asked, Need};
use super::pace::{Closed, Halt, Pace, Purpose, Told};
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::sharing::{Answer, Ask};
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{BUSY_WAIT, PERMIT_WAIT_MAX};
use crate::runtime::luck;

/// The breaker's word at the beginning.
const CLOSED: &str = "closed";

/// Where permits come from: the pace of one tenant.
#[derive(Debug)]
pub(crate) struct Permits {
    pace: Mutex<Pace>,
    freed: Notify,
    clock: SharedClock,
    /// Counts the credentials of the calls, one after the other.
    showing: AtomicU64,
    /// How the breaker stood when that was last told.
    told: Mutex<&'static str>,
    /// Where other replicas call the same peer: the way to what is shared with them, one question at a time.
    sharing: OnceLock<(Exchange, tokio::sync::Mutex<()>)>,
    /// Calls that wait for the rate.
    waiting: AtomicU32,
}

/// Carries a question about a peer to where all replicas ask, and brings the answer; or says why there is none.
#[derive(Clone)]
pub struct Exchange(Arc<Carry>);

type Carry = dyn Fn(Ask) -> BoxFuture<'static, Result<Answer, String>> + Send + Sync;

/// Which of the credentials that were shown to a peer one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Showing(u64);

/// The breaker stands in another way than was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerTurned {
    /// `closed` (calls go out), `open` or `half_open`.
    pub state: &'static str,
    /// Why nothing is sent, if so.
    pub reason: Option<String>,
}

/// One call's right to be made.
pub struct Permit {
    permits: Arc<Permits>,
    probe: bool,
    answered: bool,
    send_before: Option<Timestamp>,
}

impl Permits {
    pub(crate) fn new(pace: Pace, clock: SharedClock) -> Arc<Self> {
        let (pace, told) = (Mutex::new(pace), Mutex::new(CLOSED));
        let (sharing, waiting) = (OnceLock::new(), AtomicU32::new(0));
        Arc::new(Self { pace, freed: Notify::new(), clock, showing: AtomicU64::new(0), told, sharing, waiting })
    }

    /// From now on other replicas call the same peer; said once.
    pub(crate) fn share(&self, replica: Arc<str>, exchange: Exchange) {
        // The way first: a pace that must ask would find none.
        self.sharing.get_or_init(|| (exchange, tokio::sync::Mutex::default()));
        self.pace().share(replica);
    }

    /// Which credentials are shown at present.
    pub(crate) fn shown(&self) -> Showing {
        Showing(self.showing.load(Ordering::SeqCst))
    }

    /// From now on others are shown: what the peer thought of the old ones no longer counts.
    pub(crate) fn show_others(&self) -> Showing {
        // Under the lock that a call settles under: a refusal of the old ones comes before and is forgiven, or after and is known.
        let mut pace = self.pace();
        pace.trust_credentials_again();
        Showing(self.showing.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// How the breaker stands, if that was not told yet; told once, whoever asks.
    pub(crate) fn breaker_turned(&self) -> Option<BreakerTurned> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = self.pace().standing(self.clock.now());
        if standing.breaker == *told {
            return None;
        }
        *told = standing.breaker;
        let reason = standing.closed.map(|closed| closed.reason);
        Some(BreakerTurned { state: standing.breaker, reason })
    }

    /// The tenant's limits, for a moment.
    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot and for the rate, both together at most [`PERMIT_WAIT_MAX`].
    pub(crate) async fn take(self: &Arc<Self>, purpose: Purpose) -> Result<Permit, Closed> {
        let deadline = Instant::now() + PERMIT_WAIT_MAX;
        let permit = self.slot(purpose, deadline).await?;
        let _waiting = Waiting::of(&self.waiting);
        loop {
            let paid = self.pace().pay(self.clock.now(), purpose);
            match paid {
                Ok(()) => return Ok(permit),
                Err(Halt::Closed(closed)) => return Err(closed),
                Err(Halt::Soon(wait)) if Instant::now() + wait <= deadline => {
                    // At least a millisecond: the clock counts in those.
                    sleep(wait.max(Duration::from_millis(1))).await;
                }
                Err(Halt::Soon(wait)) => return Err(self.later(wait, "calls_per_second", "calls a second")),
                Err(Halt::Busy) => return Err(self.later(BUSY_WAIT, "all_slots_busy", "calls at once")),
                Err(Halt::Ask) => self.ask(deadline).await?,
            }
        }
    }

    /// Gets from the store what the pace needs for a call. When it returns, the pace may be asked again.
    async fn ask(&self, deadline: Instant) -> Result<(), Closed> {
        let Some((exchange, turn)) = self.sharing.get() else { return Ok(()) };
        let busy = || self.later(BUSY_WAIT, "calls_per_second", "calls a second");
        let turn = timeout_at(deadline, turn.lock()).await.map_err(|_| busy())?;
        // The answer for one who asked before may serve this one too.
        let need = self.pace().need(self.clock.now(), self.waiting.load(Ordering::Relaxed));
        match need {
            Need::Nothing => Ok(()),
            Need::Time(wait) if Instant::now() + wait <= deadline => {
                drop(turn);
                sleep(wait.max(Duration::from_millis(1))).await;
                Ok(())
            }
            Need::Time(wait) => Err(self.later(wait, "calls_per_second", "calls a second")),
            Need::Answer(asked) => self.exchange(exchange, &asked, deadline).await,
        }
    }

    /// Tells others at once what concerns all of them. What cannot be told now goes with the next question, and without
    /// its answer nothing is sent.
    pub(crate) async fn tell_news(&self) {
        let Some((exchange, turn)) = self.sharing.get() else { return };
        let deadline = Instant::now() + PERMIT_WAIT_MAX;
        let Ok(_turn) = timeout_at(deadline, turn.lock()).await else { return };
        let need = self.pace().news(self.clock.now());
        if let Need::Answer(asked) = need {
            drop(self.exchange(exchange, &asked, deadline).await);
        }
    }

    async fn exchange(&self, exchange: &Exchange, asked: &Asked, deadline: Instant) -> Result<(), Closed> {
        let answer = timeout_at(deadline, exchange.0(asked.ask.clone())).await;
        let why = match answer {
            Ok(Ok(answer)) => {
                self.pace().adopt(self.clock.now(), asked, &answer, luck::fraction());
                self.freed.notify_waiters();
                return Ok(());
            }
            Ok(Err(why)) => why,
            Err(_) => "it does not answer".to_owned(),
        };
        let reason = format!("what all replicas may call cannot be read from the store: {why}");
        Err(Closed { until: self.clock.now().plus(BUSY_WAIT), code: "store_unavailable", reason })
    }

    async fn slot(self: &Arc<Self>, purpose: Purpose, deadline: Instant) -> Result<Permit, Closed> {
        loop {
            // Listening begins before looking, so that a slot freed in between is not missed.
            let freed = self.freed.notified();
            let entered = self.pace().enter(self.clock.now(), purpose);
            match entered {
                Ok(probe) => {
                    let send_before = self.pace().probe_before().filter(|_| probe);
                    return Ok(Permit { permits: Arc::clone(self), probe, answered: false, send_before });
                }
                Err(Halt::Ask) => {
                    self.ask(deadline).await?;
                    continue;
                }
                Err(Halt::Closed(closed)) => {
                    // What woke this caller may be of use to the next one.
                    self.freed.notify_one();
                    return Err(closed);
                }
                Err(Halt::Busy | Halt::Soon(_)) => {}
            }
            if timeout_at(deadline, freed).await.is_err() {
                return Err(self.later(BUSY_WAIT, "all_slots_busy", "calls at once"));
            }
        }
    }

    /// There may be more slots than before.
    pub(crate) fn look_again(&self) {
        self.freed.notify_waiters();
    }

    fn later(&self, wait: Duration, code: &'static str, what: &str) -> Closed {
        let until = self.clock.now().plus(wait.max(Duration::from_millis(1)));
        Closed { until, code, reason: format!("the tenant's {what} are all in use") }
    }
}

impl Permit {
    /// The request's first byte leaves before this moment or not at all, whatever a token takes to fetch: whoever waits
    /// for a lost write to settle counts from here.
    #[must_use]
    pub fn send_before(mut self, moment: Timestamp) -> Self {
        self.send_before = Some(self.send_before.map_or(moment, |before| before.min(moment)));
        self
    }

    /// Whether it is too late to send.
    pub(crate) fn is_late(&self) -> bool {
        self.send_before.is_some_and(|moment| self.permits.clock.now() > moment)
    }

    /// The outcome of the call if the gate has closed since this permit was taken.
    pub(crate) fn overtaken(&self) -> Option<Outcome> {
        self.permits.pace().overtaken(self.permits.clock.now())
    }

    /// Lets the pace learn from the call's outcome, and the outcome from the pace. Refused credentials close the gate, but
    /// not if they have been replaced while the call was on its way.
    pub(crate) fn settle(&mut self, outcome: &mut Outcome, told: Told, shown: Showing, luck: f64) {
        let now = self.permits.clock.now();
        let told = Told { probe: self.probe, ..told };
        let mut pace = self.permits.pace();
        if outcome.class == Class::Unauthorized && shown != self.permits.shown() {
            *outcome = Outcome { status: outcome.status, ..replaced() };
        }
        outcome.not_before = pace.learn(now, outcome, told, luck);
        drop(pace);
        self.answered = true;
    }
}

/// The refusal of credentials that nobody shows any more.
fn replaced() -> Outcome {
    let why = "the credentials were replaced while the call was on its way; it goes out again with the new ones";
    Outcome::new(Class::NotProcessed, "credentials_replaced").with_detail(why)
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.pace().leave(self.probe && !self.answered);
        self.permits.freed.notify_one();
    }
}

/// Counted among the calls that wait for the rate.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn of(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Exchange {
    /// By way of this function.
    pub fn new(carry: impl Fn(Ask) -> BoxFuture<'static, Result<Answer, String>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(carry))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.probe { "Permit (probe)" } else { "Permit" })
    }
}
