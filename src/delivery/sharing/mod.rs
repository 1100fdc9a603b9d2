//! What the replicas of a gateway share about one peer of a tenant, and what one of them is told when it asks.
//!
//! Owns: the one rule that every engine of the store applies to its row: the budget of calls (GCRA, `facts/reliability.md`
//! 4.5), the count of the hour, the time a peer asked for, and the breaker with one probe for all of them (4.4).
//! Never: reads a clock; the store's time is an argument. A replica's clock may differ from it, so that everything that
//! travels is a length of time, never a moment.
//! Fails: it cannot. An answer that is lost on its way loses calls of the budget, never makes more of them, and a report
//! that is repeated because of it changes nothing: each carries the epoch it was made in.
//! Proved by: the tests below, and `tests/store/sharing.rs` on every engine.

mod words;

use std::time::Duration;

pub use self::words::{Answer, Ask, Found, GateTold, HealthTold, HourTold, Passage};

use crate::domain::time::Timestamp;
use crate::limits::{
    ASKED_WAIT_MAX, BREAKER_GOOD_ANSWERS, BREAKER_OPEN_MAX, BREAKER_ROUNDS_MAX, HOURLY_SHARE_PERCENT, HOURLY_WINDOW,
    PAID_AHEAD_MAX, PROBE_LEASE, PROBE_LOOK, RATE_RESET_WAIT_MAX, RELEASE_RAMP, RESERVATION_LIFE,
    SHARED_REASON_CHARS_MAX,
};

/// How a tenant's peer stands for all replicas; one row of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedPace {
    /// Until when calls are paid for, in microseconds of the store's time: GCRA's theoretical arrival time. A second of the
    /// fastest rate does not fit into milliseconds.
    pub paid_until: i64,
    /// The present hour.
    pub hour: Hour,
    /// The time the peer asked for last; it may be over.
    pub gate: Option<Gate>,
    /// Whether the peer works.
    pub breaker: Breaker,
}

/// The calls of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// When it ends; names the window as well.
    pub ends: Timestamp,
    /// Calls reserved of it.
    pub used: u64,
    /// What the peer itself allows, as it told.
    pub limit: Option<u64>,
    /// Whether it told so in this window.
    pub told: bool,
}

/// A time that the peer asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Not before.
    pub until: Timestamp,
    /// Why.
    pub cause: Cause,
    /// Why, for people.
    pub reason: String,
}

/// Why a peer is left alone for a time that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It counted us out.
    Throttled,
    /// Too many calls run there at once.
    Crowded,
}

/// The breaker that all replicas share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// How it stands.
    pub state: State,
    /// Grows with every turn and every probe; a report of an older one changes nothing.
    pub epoch: u64,
    /// How often in a row it opened: pauses grow with it.
    pub rounds: u32,
    /// When it opened or closed last.
    pub turned_at: Timestamp,
    /// The code of the last failure, for people.
    pub failure: String,
}

/// How the shared breaker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Calls go out.
    #[default]
    Closed,
    /// None does.
    Open {
        /// Until then; after it, one replica asks.
        until: Timestamp,
    },
    /// One replica at a time finds out whether the peer is back.
    HalfOpen {
        /// Good answers in a row.
        good: u32,
        /// Who finds out, until when; after that it counts as dead.
        probe: Option<(String, Timestamp)>,
    },
}

impl SharedPace {
    /// Hears what a replica tells and answers what it asks.
    pub fn exchange(&mut self, now: Timestamp, ask: &Ask) -> Answer {
        self.mend(now);
        self.hour.roll(now);
        self.hour.give_back(ask.unused);
        if let Some(told) = ask.told {
            self.hour.learn(now, told);
        }
        if let Some(told) = &ask.gate {
            self.close(now, told);
        }
        if let Some(told) = &ask.health {
            self.breaker.hear(now, told);
        }
        let gate = self.gate.as_ref().filter(|gate| now < gate.until);
        let gate = gate.map(|gate| gate.told(now));
        let passage = self.breaker.passage(now, ask, gate.is_none());
        let wanted = match passage {
            Passage::Free => ask.calls,
            Passage::Probe => ask.calls.min(1),
            Passage::Closed(_) | Passage::Probing(_) => 0,
        };
        let (calls, again_in) = if gate.is_some() { (0, Duration::ZERO) } else { self.reserve(now, wanted, ask) };
        Answer {
            calls,
            again_in,
            hour: self.hour,
            hour_ends_in: self.hour.ends.since(now),
            gate,
            released: self.released(now),
            passage,
            epoch: self.breaker.epoch,
            rounds: self.breaker.rounds,
            failure: self.breaker.failure.clone(),
        }
    }

    /// A database's clock may be set back, or another server takes over with a slower one. No moment here is further away
    /// than it can have been when it was written, or a pause of seconds would last for hours.
    fn mend(&mut self, now: Timestamp) {
        let ahead = now.plus(PAID_AHEAD_MAX).millis().saturating_mul(1_000);
        if self.paid_until > ahead {
            self.paid_until = now.millis().saturating_mul(1_000);
        }
        self.hour.ends = self.hour.ends.min(now.plus(RATE_RESET_WAIT_MAX));
        if let Some(gate) = &mut self.gate {
            gate.until = gate.until.min(now.plus(ASKED_WAIT_MAX));
        }
        match &mut self.breaker.state {
            State::Open { until } => *until = (*until).min(now.plus(2 * BREAKER_OPEN_MAX)),
            State::HalfOpen { probe: Some((_, until)), .. } => *until = (*until).min(now.plus(PROBE_LEASE)),
            State::Closed | State::HalfOpen { probe: None, .. } => {}
        }
    }

    /// GCRA with reservations. The bucket holds one second and not two: what is reserved may be used up to a second later,
    /// so that no window of any length ever sees more than its rate and two seconds' worth, as without sharing.
    fn reserve(&mut self, now: Timestamp, wanted: u32, ask: &Ask) -> (u32, Duration) {
        let share = self.share(now).min(u64::from(ask.share.clamp(10, 100)));
        let interval = signed(ask.interval.max(1).saturating_mul(100) / share);
        let now = now.millis().saturating_mul(1_000);
        let bucket = i64::try_from(RESERVATION_LIFE.as_micros()).unwrap_or(i64::MAX).max(interval);
        let paid_until = self.paid_until.max(now);
        let room = bucket - (paid_until - now);
        let calls = u64::try_from(room / interval).unwrap_or(0).min(u64::from(wanted)).min(self.hour.left(ask.hourly));
        self.paid_until = paid_until.saturating_add(signed(calls).saturating_mul(interval));
        self.hour.used = self.hour.used.saturating_add(calls);
        let missing = interval.saturating_sub(bucket - (self.paid_until.max(now) - now));
        let again_in = if calls < u64::from(wanted) { u64::try_from(missing).unwrap_or(0) } else { 0 };
        (u32::try_from(calls).unwrap_or(wanted), Duration::from_micros(again_in))
    }

    /// Percent of the rate that may be used: a tenth right after a pause, all of it a minute later.
    fn share(&self, now: Timestamp) -> u64 {
        let Some(gone) = self.released(now) else { return 100 };
        u64::try_from(10 + 90 * gone.as_millis() / RELEASE_RAMP.as_millis()).unwrap_or(100).min(100)
    }

    fn released(&self, now: Timestamp) -> Option<Duration> {
        let gate = self.gate.as_ref().filter(|gate| gate.until <= now)?;
        Some(now.since(gate.until)).filter(|gone| *gone < RELEASE_RAMP)
    }

    /// A time that was asked for is only ever made longer.
    fn close(&mut self, now: Timestamp, told: &GateTold) {
        let until = now.plus(told.wait);
        if self.gate.as_ref().is_none_or(|gate| gate.until < until) {
            self.gate = Some(Gate { until, cause: told.cause, reason: short(&told.reason) });
        }
    }
}

impl Hour {
    /// A new window once the old one is over. A limit that was not told again in a whole window is forgotten.
    fn roll(&mut self, now: Timestamp) {
        if now >= self.ends {
            let limit = self.limit.filter(|_| self.told);
            *self = Self { ends: now.plus(HOURLY_WINDOW), used: 0, limit, told: false };
        }
    }

    fn give_back(&mut self, (calls, of): (u32, Timestamp)) {
        if of == self.ends {
            self.used = self.used.saturating_sub(u64::from(calls));
        }
    }

    fn learn(&mut self, now: Timestamp, told: HourTold) {
        if told.limit.is_some() {
            (self.limit, self.told) = (told.limit, true);
        }
        let Some(ends) = told.ends_in.map(|left| now.plus(left)) else { return };
        if ends.since(self.ends) > HOURLY_WINDOW / 2 {
            // The peer is in its next window already; its clock counts.
            self.used = 0;
        } else if ends.since(self.ends).max(self.ends.since(ends)) < RESERVATION_LIFE {
            // The same end, but for the way there: the window keeps its name.
            return;
        }
        self.ends = ends;
    }

    fn left(&self, known: u64) -> u64 {
        let told = self.limit.map_or(u64::MAX, |limit| limit.saturating_mul(HOURLY_SHARE_PERCENT) / 100);
        known.min(told).max(1).saturating_sub(self.used)
    }
}

impl Gate {
    fn told(&self, now: Timestamp) -> GateTold {
        GateTold { wait: self.until.since(now), cause: self.cause, reason: self.reason.clone() }
    }
}

impl Cause {
    /// A stable word, for the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Crowded => "crowded",
        }
    }

    /// The cause with that word; an unknown one is from a newer program and as strict as the strictest.
    pub fn of(word: &str) -> Self {
        if word == Self::Crowded.as_str() { Self::Crowded } else { Self::Throttled }
    }
}

impl Breaker {
    fn hear(&mut self, now: Timestamp, told: &HealthTold) {
        if told.epoch != self.epoch {
            return;
        }
        match (&mut self.state, &told.found) {
            (State::Closed | State::HalfOpen { .. }, Found::Failing { wait, failure }) => {
                self.failure = short(failure);
                self.rounds = (self.rounds + 1).min(BREAKER_ROUNDS_MAX);
                self.turn(now, State::Open { until: now.plus(*wait) });
            }
            (State::HalfOpen { good, probe }, Found::Answering) => {
                *good += 1;
                *probe = None;
                self.epoch += 1;
                if *good >= BREAKER_GOOD_ANSWERS {
                    self.rounds = 0;
                    self.turn(now, State::Closed);
                }
            }
            (State::Open { .. }, _) | (State::Closed, Found::Answering) => {}
        }
    }

    fn turn(&mut self, now: Timestamp, state: State) {
        self.state = state;
        self.turned_at = now;
        self.epoch += 1;
    }

    fn passage(&mut self, now: Timestamp, ask: &Ask, gate_is_open: bool) -> Passage {
        let good = match &self.state {
            State::Closed => return Passage::Free,
            State::Open { until } if now < *until => return Passage::Closed(until.since(now)),
            State::Open { .. } => 0,
            // It was given the right, but no call was left of the budget then.
            State::HalfOpen { probe: Some(_), .. } if ask.chosen == Some(self.epoch) => return Passage::Probe,
            State::HalfOpen { probe: Some((_, until)), .. } if now < *until => {
                return Passage::Probing(until.since(now).min(PROBE_LOOK));
            }
            State::HalfOpen { good, .. } => *good,
        };
        if !(ask.probe && gate_is_open) {
            return Passage::Probing(Duration::ZERO);
        }
        self.state = State::HalfOpen { good, probe: Some((short(&ask.replica), now.plus(PROBE_LEASE))) };
        self.epoch += 1;
        Passage::Probe
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn short(text: &str) -> String {
    text.chars().take(SHARED_REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
