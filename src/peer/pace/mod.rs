//! When the next call of a tenant may begin: the one place where all limits of an instance meet.
//!
//! Owns: the [`gate`] (times the instance asked for), the [`breaker`], [`concurrency`], the [`hourly`] budget, the
//! [`rate`] per second and the budget for [`retries`]. Never: sleeps, sends, reads a clock; the time is an argument.
//! Fails: it cannot; it says [`Closed`], until when and why. A backward step of the clock lengthens nothing ([`steady`]).
//! Proved by: the tests in each file, and `tests/servicenow.rs` for the whole.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

pub mod breaker;
pub mod concurrency;
pub mod gate;
pub mod hourly;
pub mod rate;
pub mod retries;
pub mod shared;
pub mod steady;

use std::time::Duration;

use self::breaker::{Breaker, PROBE_LOOK, Passage, Turned};
use self::concurrency::Concurrency;
pub use self::gate::Closed;
use self::gate::{Gate, in_words};
use self::hourly::HourlyBudget;
use self::rate::Rate;
use self::retries::RetryBudget;
use self::shared::Shared;
use self::steady::Steady;
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::sharing::{Cause, Found, GateTold, HourTold};
use crate::delivery::verdict::rounded_up;
use crate::domain::time::Timestamp;
use crate::limits::{AUTH_PAUSES, BUSY_WAIT, CROWDED_WAIT_MIN, THROTTLED_WAIT};

/// The codes under which the gate closes.
const THROTTLED: &str = "http_429_rate_limit";
const CROWDED: &str = "http_429_busy";
const REFUSED: &str = "credentials_refused";

/// What a tenant may use of its peer; from the tenant's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls that begin in one second.
    pub calls_per_second: u32,
    /// Calls that begin in one hour.
    pub calls_per_hour: u32,
    /// Calls under way at once.
    pub concurrency: u16,
}

impl Default for Limits {
    /// What a stock instance bears beside its people (`facts/servicenow.md` 3).
    fn default() -> Self {
        Self { calls_per_second: 5, calls_per_hour: 20_000, concurrency: 4 }
    }
}

/// What a call is for; decides which budgets pay for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A first try.
    FirstTry,
    /// A try after one that failed: paid by the retry budget.
    Retry,
    /// A look-up or a sweep: may use the tenth of the hour that is kept for reading.
    Reading,
}

/// Why a call may not begin yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Every slot is taken; the next free one will do.
    Busy,
    /// The rate is used up for so long.
    Soon(Duration),
    /// Not before a time.
    Closed(Closed),
    /// Not before the other replicas' use of the peer is known; see [`Pace::need`].
    Ask,
}

/// What is known of a call beside its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `X-RateLimit-Limit`.
    pub limit: Option<u64>,
    /// When that window ends.
    pub window_ends: Option<Timestamp>,
    /// Whether the call was the breaker's probe.
    pub probe: bool,
}

/// How a tenant's calls stand; for metrics and the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// Why and until when nothing is sent, if so.
    pub closed: Option<Closed>,
    /// Calls under way.
    pub in_flight: u32,
    /// Calls that may be under way at present.
    pub concurrency: u32,
    /// Calls made in the present window.
    pub hour_used: u64,
    /// Calls allowed in a window at present.
    pub hour_calls: u64,
}

/// All limits of one tenant at one peer.
#[derive(Debug)]
pub struct Pace {
    /// What people call the peer.
    peer: &'static str,
    steady: Steady,
    gate: Gate,
    breaker: Breaker,
    slots: Concurrency,
    hourly: HourlyBudget,
    retries: RetryBudget,
    rate: Rate,
    refusals: usize,
    hour_spent_until: Option<Timestamp>,
    /// Where other replicas call the same peer.
    shared: Option<Shared>,
}

impl Pace {
    /// A fresh start: nothing known against the peer.
    pub fn new(limits: Limits) -> Self {
        Self {
            peer: "the instance",
            steady: Steady::default(),
            gate: Gate::default(),
            breaker: Breaker::default(),
            slots: Concurrency::new(limits.concurrency),
            hourly: HourlyBudget::new(limits.calls_per_hour),
            retries: RetryBudget::full(),
            rate: Rate::new(limits.calls_per_second),
            refusals: 0,
            hour_spent_until: None,
            shared: None,
        }
    }

    /// The same for another peer than an instance; `peer` is what people read in reasons.
    #[must_use]
    pub fn with(self, peer: &'static str) -> Self {
        Self { peer, ..self }
    }

    /// Other limits from now on. What was used of them stays used, and what the peer asked for stays asked.
    pub fn limit_to(&mut self, limits: Limits) {
        let Limits { calls_per_second, calls_per_hour, concurrency } = limits;
        self.slots.limit_to(concurrency);
        self.hourly.limit_to(calls_per_hour);
        self.rate.limit_to(calls_per_second);
        if let Some(shared) = &mut self.shared {
            shared.limit_to(calls_per_second);
        }
    }

    /// Takes a slot; says whether the call is the breaker's probe.
    pub fn enter(&mut self, clock: Timestamp, purpose: Purpose) -> Result<bool, Halt> {
        let now = self.steady.at(clock);
        self.open_for(now, purpose)?;
        if !self.slots.enter() {
            return Err(Halt::Busy);
        }
        let closed = match self.breaker.enter(now) {
            Passage::Free => return Ok(false),
            Passage::Probe => return Ok(true),
            Passage::Closed(until) => self.breaker_closed(now, until),
            Passage::Ask => {
                self.slots.leave();
                return Err(Halt::Ask);
            }
        };
        self.slots.leave();
        Err(self.halt(closed))
    }

    /// Pays for a call that holds a slot: the rate last, because only the rate cannot be given back.
    pub fn pay(&mut self, clock: Timestamp, purpose: Purpose) -> Result<(), Halt> {
        let now = self.steady.at(clock);
        self.open_for(now, purpose)?;
        self.may_use(now)?;
        self.rate.take(now, self.gate.share(now)).map_err(Halt::Soon)?;
        self.hourly.pay(now);
        if let Some(shared) = &mut self.shared {
            shared.pay(now);
        }
        match purpose {
            Purpose::FirstTry => self.retries.first_try(now),
            Purpose::Retry => self.retries.pay(now),
            Purpose::Reading => {}
        }
        Ok(())
    }

    /// Gives the slot back, and the probe if its answer said nothing.
    pub fn leave(&mut self, probe_unanswered: bool) {
        self.slots.leave();
        if probe_unanswered {
            self.breaker.give_back();
        }
    }

    /// Learns from an outcome. Says the time not before which the tenant may be heard of again, where that is known
    /// better here than from the answer alone. `luck` is a number in `0.0..1.0`.
    pub fn learn(&mut self, clock: Timestamp, outcome: &Outcome, told: Told, luck: f64) -> Option<Timestamp> {
        let now = self.steady.at(clock);
        let ends = told.window_ends.map(|ends| now.plus(ends.since(clock)));
        self.hourly.learn(told.limit, ends);
        if let Some(shared) = self.shared.as_mut().filter(|_| told.limit.is_some() || ends.is_some()) {
            shared.hour_was_told(HourTold { limit: told.limit, ends_in: ends.map(|ends| ends.since(now)) });
        }
        let asked = outcome.not_before.map(|at| now.plus(at.since(clock)));
        match outcome.class {
            Class::Throttled => {
                let until = rounded_up(now, asked.unwrap_or_else(|| now.plus(THROTTLED_WAIT)), luck);
                self.close(now, until, Cause::Throttled);
                self.give_back(told.probe);
                return Some(self.steady.shown(until));
            }
            Class::Crowded => {
                let until = rounded_up(now, now.plus(self.slots.crowded(now).max(CROWDED_WAIT_MIN)), luck);
                self.close(now, until, Cause::Crowded);
                self.give_back(told.probe);
                return Some(self.steady.shown(until));
            }
            Class::Unauthorized => self.refused(now, &outcome.detail),
            Class::Done | Class::Refused | Class::RefusedPerhapsDone | Class::Missing => self.refusals = 0,
            Class::NotProcessed | Class::Unclear | Class::Misconfigured | Class::Defect => {}
        }
        self.count(now, outcome, told.probe, luck);
        asked.map(|at| self.steady.shown(rounded_up(now, at, luck)))
    }

    /// Somebody mended the credentials, or says so: they may be tried at once. What the instance asked for stays.
    pub fn trust_credentials_again(&mut self) {
        self.refusals = 0;
        self.gate.reopen(REFUSED);
    }

    /// The outcome of a call whose permit was taken before the gate closed: it is not sent into the window.
    pub fn overtaken(&mut self, clock: Timestamp) -> Option<Outcome> {
        let now = self.steady.at(clock);
        let closed = self.gate.closed(now)?;
        let class = match closed.code {
            THROTTLED => Class::Throttled,
            CROWDED => Class::Crowded,
            _ => Class::Unauthorized,
        };
        let not_before = Some(self.steady.shown(closed.until));
        Some(Outcome { not_before, ..Outcome::new(class, closed.code).with_detail(&closed.reason) })
    }

    /// How things stand.
    pub fn standing(&mut self, clock: Timestamp) -> Standing {
        let now = self.steady.at(clock);
        let closed = self.gate.closed(now).cloned().or_else(|| {
            let until = self.breaker.open_until().filter(|until| now < *until)?;
            Some(self.breaker_closed(now, Some(until)))
        });
        let (in_flight, concurrency) = self.slots.standing();
        let (hour_used, hour_calls) = self.hourly.standing();
        let closed = closed.map(|closed| self.shown(closed));
        Standing { breaker: self.breaker.word(), closed, in_flight, concurrency, hour_used, hour_calls }
    }

    /// Everything that closes to a call for a while, but slots and rate.
    fn open_for(&mut self, now: Timestamp, purpose: Purpose) -> Result<(), Halt> {
        if let Some(closed) = self.gate.closed(now) {
            let closed = closed.clone();
            return Err(self.halt(closed));
        }
        if let Some((until, calls)) = self.hourly.spent(now, purpose == Purpose::Reading) {
            self.hour_spent_until = Some(until);
            let reason = format!("the {calls} calls of this hour are used up; the next begin in {}", left(now, until));
            return Err(self.halt(Closed { until, code: "hourly_budget_spent", reason }));
        }
        if let Some(ended) = self.hour_spent_until.take_if(|until| now >= *until) {
            self.gate.ramp_from(ended);
        }
        if purpose == Purpose::Retry {
            let until = self.retries.payable_at(now);
            if now < until {
                let reason = "too many tries are repeats; first tries and time earn new ones".to_owned();
                return Err(self.halt(Closed { until, code: "retry_budget_spent", reason }));
            }
        }
        Ok(())
    }

    /// Lets the breaker see the outcome, and the slots what became of it.
    fn count(&mut self, now: Timestamp, outcome: &Outcome, probe: bool, luck: f64) {
        let failure = outcome.instance_fault.then_some(outcome.code.as_str());
        // An answer that shows neither health nor sickness: our proxy, our token, our defect.
        let answered = outcome.status.is_some_and(|status| status < 500);
        if failure.is_none() && !answered {
            self.give_back(probe);
            return;
        }
        match self.breaker.record(now, failure, probe, luck) {
            Turned::Closed => self.slots.restart(now),
            Turned::Not if failure.is_none() => self.slots.good(now),
            Turned::Not => {}
            Turned::Open => self.found(Found::Failing {
                wait: self.breaker.open_until().map_or(Duration::ZERO, |until| until.since(now)),
                failure: self.breaker.last_failure().to_owned(),
            }),
            Turned::Answering => self.found(Found::Answering),
        }
    }

    fn found(&mut self, found: Found) {
        if let Some(shared) = &mut self.shared {
            shared.found(found);
        }
    }

    /// Refused credentials close the gate for longer each time: failures in a row lock accounts.
    fn refused(&mut self, now: Timestamp, detail: &str) {
        if self.gate.closed(now).is_some_and(|closed| closed.code == REFUSED) {
            return;
        }
        let pause = AUTH_PAUSES.get(self.refusals.min(AUTH_PAUSES.len() - 1)).copied().unwrap_or(BUSY_WAIT);
        self.refusals += 1;
        let said = if detail.is_empty() { "it says nothing more" } else { detail };
        let reason = format!("{} does not accept our credentials: {said}", self.peer);
        self.gate.close(Closed { until: now.plus(pause), code: REFUSED, reason }, false);
    }

    fn close(&mut self, now: Timestamp, until: Timestamp, cause: Cause) {
        let (code, why) = match cause {
            Cause::Throttled => (THROTTLED, "counted us out"),
            Cause::Crowded => (CROWDED, "has a full queue"),
        };
        let reason = format!("{} {why}; it is left alone for {}", self.peer, left(now, until));
        if let Some(shared) = &mut self.shared {
            shared.gate_closed(GateTold { wait: until.since(now), cause, reason: reason.clone() });
        }
        self.gate.close(Closed { until, code, reason }, true);
    }

    fn give_back(&mut self, probe: bool) {
        if probe {
            self.breaker.give_back();
        }
    }

    fn breaker_closed(&self, now: Timestamp, until: Option<Timestamp>) -> Closed {
        let last = self.breaker.last_failure();
        match until {
            Some(until) => Closed {
                until,
                code: "breaker_open",
                reason: format!(
                    "{} keeps failing (last: {last}); it is asked again in {}",
                    self.peer,
                    left(now, until)
                ),
            },
            None => Closed {
                until: now.plus(PROBE_LOOK),
                code: "breaker_probing",
                reason: format!("one call is finding out whether {} is back (last failure: {last})", self.peer),
            },
        }
    }

    fn halt(&self, closed: Closed) -> Halt {
        Halt::Closed(self.shown(closed))
    }

    fn shown(&self, closed: Closed) -> Closed {
        Closed { until: self.steady.shown(closed.until), ..closed }
    }
}

fn left(now: Timestamp, until: Timestamp) -> String {
    in_words(until.since(now))
}

#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
