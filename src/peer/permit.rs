//! The right to make one call. There is no way to call without one, and none to use one twice: it is moved into the call.
//!
//! A permit holds a slot; dropping it, by a finished call or by a cancelled one, gives the slot back and wakes the next
//! waiter. An unanswered probe of the breaker goes back as well.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::pace::{Closed, Halt, Pace, Purpose, Told};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{BUSY_WAIT, PERMIT_WAIT_MAX};

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
}

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
        Arc::new(Self { pace, freed: Notify::new(), clock, showing: AtomicU64::new(0), told })
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
            }
        }
    }

    async fn slot(self: &Arc<Self>, purpose: Purpose, deadline: Instant) -> Result<Permit, Closed> {
        loop {
            // Listening begins before looking, so that a slot freed in between is not missed.
            let freed = self.freed.notified();
            let entered = self.pace().enter(self.clock.now(), purpose);
            match entered {
                Ok(probe) => {
                    return Ok(Permit { permits: Arc::clone(self), probe, answered: false, send_before: None });
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
    pub const fn send_before(mut self, moment: Timestamp) -> Self {
        self.send_before = Some(moment);
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

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.probe { "Permit (probe)" } else { "Permit" })
    }
}
