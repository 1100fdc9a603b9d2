//! The breaker: when an instance fails as a whole, it is left alone, and asked again by one call at a time.
//!
//! `facts/reliability.md` 4.4. Only faults of the instance count; a refused payload shows that the instance is well.
//! Answers to calls that began before the breaker opened no longer change it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::delivery::sharing::{Answer, Passage as Shared};
use crate::domain::time::Timestamp;
use crate::limits::{
    BREAKER_CALLS_MIN, BREAKER_FAILURES_IN_A_ROW, BREAKER_GOOD_ANSWERS, BREAKER_OPEN_MAX, BREAKER_OPEN_MIN,
    BREAKER_ROUNDS_MAX, BREAKER_WINDOW,
};

/// What the breaker says to a call that wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Go.
    Free,
    /// Go, as the one call that finds out whether the instance is back.
    Probe,
    /// Not before; `None` when a probe is under way and its answer decides.
    Closed(Option<Timestamp>),
    /// Other replicas must be asked whether this one may find out.
    Ask,
}

/// The breaker of one tenant.
#[derive(Debug, Default)]
pub struct Breaker {
    state: State,
    in_a_row: u32,
    recent: Recent,
    /// How often in a row it opened.
    rounds: u32,
    last_failure: String,
    /// Whether other replicas share it: then one of all of them probes, and the store says who.
    is_shared: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Timestamp,
    },
    HalfOpen {
        probing: bool,
        good: u32,
        /// Until when a probe may begin; never ends where it is nobody else's turn.
        right_until: Timestamp,
    },
    /// Another replica finds out, or none is chosen: worth asking again then.
    Elsewhere {
        until: Timestamp,
    },
}

/// What a recorded answer did to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Nothing.
    Not,
    /// It opened.
    Open,
    /// It closed.
    Closed,
    /// Its probe was answered well; what that makes of it is for the store to say.
    Answering,
}

impl Breaker {
    /// Asks for passage; a [`Passage::Probe`] must be answered by [`Self::record`] or given back.
    pub fn enter(&mut self, now: Timestamp) -> Passage {
        match &mut self.state {
            State::Closed => Passage::Free,
            State::Open { until } if now < *until => Passage::Closed(Some(*until)),
            State::Elsewhere { until } if now < *until => Passage::Closed(None),
            State::Open { .. } | State::Elsewhere { .. } if self.is_shared => Passage::Ask,
            State::HalfOpen { right_until, .. } if now >= *right_until => Passage::Ask,
            State::Open { .. } | State::Elsewhere { .. } => {
                self.state = State::HalfOpen { probing: true, good: 0, right_until: Timestamp::NEVER };
                Passage::Probe
            }
            State::HalfOpen { probing, .. } if *probing => Passage::Closed(None),
            State::HalfOpen { probing, .. } => {
                *probing = true;
                Passage::Probe
            }
        }
    }

    /// Gives a probe back that was never sent, or whose answer says nothing.
    pub fn give_back(&mut self) {
        if let State::HalfOpen { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// Records what an answer showed of the instance. `luck` is a number in `0.0..1.0`.
    pub fn record(&mut self, now: Timestamp, failure: Option<&str>, probe: bool, luck: f64) -> Turned {
        if let Some(code) = failure {
            code.clone_into(&mut self.last_failure);
        }
        match (&mut self.state, failure) {
            (State::Closed, None) => {
                self.in_a_row = 0;
                self.recent.count(now, false);
                Turned::Not
            }
            (State::Closed, Some(_)) => {
                self.in_a_row += 1;
                self.recent.count(now, true);
                if self.in_a_row >= BREAKER_FAILURES_IN_A_ROW || self.recent.mostly_bad(now) {
                    self.open(now, luck)
                } else {
                    Turned::Not
                }
            }
            (State::HalfOpen { .. }, Some(_)) if probe => self.open(now, luck),
            (State::HalfOpen { .. }, None) if probe && self.is_shared => {
                self.state = State::Elsewhere { until: now };
                Turned::Answering
            }
            (State::HalfOpen { probing, good, .. }, None) if probe => {
                *probing = false;
                *good += 1;
                if *good >= BREAKER_GOOD_ANSWERS { self.close() } else { Turned::Not }
            }
            (State::Open { .. } | State::HalfOpen { .. } | State::Elsewhere { .. }, _) => Turned::Not,
        }
    }

    /// The last failure's code, for people.
    pub fn last_failure(&self) -> &str {
        &self.last_failure
    }

    /// `closed`, `open` or `half_open`: the word for metrics and the console.
    pub const fn word(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } | State::Elsewhere { .. } => "half_open",
        }
    }

    /// Until when it is open.
    pub const fn open_until(&self) -> Option<Timestamp> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::HalfOpen { .. } | State::Elsewhere { .. } => None,
        }
    }

    fn open(&mut self, now: Timestamp, luck: f64) -> Turned {
        let rounds = usize::try_from(self.rounds.min(BREAKER_ROUNDS_MAX)).unwrap_or(0);
        let pause = pauses().nth(rounds).unwrap_or(BREAKER_OPEN_MAX);
        self.rounds = self.rounds.saturating_add(1);
        // A fifth more or less, so that replicas and tenants of one instance do not probe together.
        let pause = pause.mul_f64(0.8 + 0.4 * luck.clamp(0.0, 1.0));
        self.state = State::Open { until: now.plus(pause) };
        Turned::Open
    }

    fn close(&mut self) -> Turned {
        let last_failure = std::mem::take(&mut self.last_failure);
        *self = Self { last_failure, is_shared: self.is_shared, ..Self::default() };
        Turned::Closed
    }

    /// From now on one of all replicas probes, and the store says who.
    pub const fn share(&mut self) {
        self.is_shared = true;
    }

    /// Whether the store is to be asked who finds out if the peer is back.
    pub fn wants_probe(&self, now: Timestamp) -> bool {
        let from = match &self.state {
            State::Closed => return false,
            State::Open { until } | State::Elsewhere { until } => *until,
            State::HalfOpen { right_until, .. } => *right_until,
        };
        self.is_shared && now >= from
    }

    /// Whether a call may go out, be it as a probe.
    pub const fn lets_through(&self) -> bool {
        matches!(self.state, State::Closed | State::HalfOpen { .. })
    }

    /// Until when a probe may begin.
    pub const fn probe_before(&self) -> Option<Timestamp> {
        match self.state {
            State::HalfOpen { right_until, .. } => Some(right_until),
            State::Closed | State::Open { .. } | State::Elsewhere { .. } => None,
        }
    }

    /// Takes over how the breaker stands for all; says whether it turned here.
    pub fn adopt(&mut self, now: Timestamp, right_until: Timestamp, answer: &Answer) -> bool {
        let before = self.word();
        match answer.passage {
            Shared::Free if matches!(self.state, State::Closed) => {}
            Shared::Free => drop(self.close()),
            Shared::Closed(left) => self.state = State::Open { until: now.plus(left) },
            Shared::Probing(look) if !self.is_chosen(now) => self.state = State::Elsewhere { until: now.plus(look) },
            // The store was told something, and not asked: the right that it gave before still stands.
            Shared::Probing(_) => {}
            // The same right once more: its probe may be under way.
            Shared::Probe if self.is_chosen(now) => {}
            Shared::Probe => self.state = State::HalfOpen { probing: false, good: 0, right_until },
        }
        self.rounds = answer.rounds;
        if !answer.failure.is_empty() {
            self.last_failure.clone_from(&answer.failure);
        }
        self.word() != before
    }

    /// Whether the probe is this replica's, and may still begin or is under way.
    pub fn is_chosen(&self, now: Timestamp) -> bool {
        matches!(self.state, State::HalfOpen { right_until, .. } if now < right_until)
    }
}

/// 30 s, 1 min, 2 min … 10 min, 10 min …
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(BREAKER_OPEN_MIN)
        .with_max_delay(BREAKER_OPEN_MAX)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

/// Good and bad answers of the last minute, in six steps of ten seconds: bounded whatever the rate.
#[derive(Debug, Default)]
struct Recent {
    steps: [(u32, u32); STEPS],
    newest: i64,
}

const STEPS: usize = 6;

impl Recent {
    fn count(&mut self, now: Timestamp, bad: bool) {
        self.forget_old(now);
        if let Some((good_count, bad_count)) = self.steps.first_mut() {
            let count = if bad { bad_count } else { good_count };
            *count = count.saturating_add(1);
        }
    }

    fn mostly_bad(&mut self, now: Timestamp) -> bool {
        self.forget_old(now);
        let (good, bad) = self
            .steps
            .iter()
            .fold((0_u32, 0_u32), |sum, step| (sum.0.saturating_add(step.0), sum.1.saturating_add(step.1)));
        good.saturating_add(bad) >= BREAKER_CALLS_MIN && bad >= good
    }

    /// The first step is the present one; steps older than the window fall off the end.
    fn forget_old(&mut self, now: Timestamp) {
        let length = BREAKER_WINDOW / u32::try_from(STEPS).unwrap_or(1);
        let step = now.millis().div_euclid(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
        let gone = usize::try_from(step.saturating_sub(self.newest)).unwrap_or(0).min(STEPS);
        self.steps.rotate_right(gone % STEPS);
        self.steps.iter_mut().take(gone).for_each(|old| *old = (0, 0));
        self.newest = self.newest.max(step);
    }
}

/// When others look again while a probe is under way: most answers have come by then.
pub const PROBE_LOOK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn fail(breaker: &mut Breaker, seconds: i64, probe: bool) -> Turned {
        breaker.record(at(seconds), Some("http_502"), probe, 0.5)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(fail(&mut breaker, 0, false), Turned::Not);
        }
        assert_eq!(fail(&mut breaker, 0, false), Turned::Open);
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_good_answer_between_does_not() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            for _ in 0..4 {
                fail(&mut breaker, 0, false);
            }
            // Enough good answers that half of the window is not bad either.
            for _ in 0..10 {
                assert_eq!(breaker.record(at(0), None, false, 0.5), Turned::Not);
            }
        }
        assert_eq!(breaker.word(), "closed");
        assert_eq!(opened().enter(at(29)), Passage::Closed(Some(at(30))));
    }

    #[test]
    fn half_of_ten_calls_in_a_minute_open_it() {
        let mut breaker = Breaker::default();
        let mut turned = Turned::Not;
        for call in 0..10 {
            let failure = (call % 2 == 1).then_some("timeout");
            turned = breaker.record(at(call * 5), failure, false, 0.5);
            assert_eq!(turned == Turned::Open, call == 9, "{call}");
        }
        assert_eq!(turned, Turned::Open);
        let mut slow = Breaker::default();
        for call in 0..100 {
            let failure = (call % 2 == 1).then_some("timeout");
            assert_eq!(
                slow.record(at(call * 10), failure, false, 0.5),
                Turned::Not,
                "ten calls never fall in one minute"
            );
        }
    }

    #[test]
    fn one_probe_at_a_time_and_three_good_answers_close_it() {
        let mut breaker = opened();
        for good in 1..=3 {
            assert_eq!(breaker.enter(at(30)), Passage::Probe);
            assert_eq!(breaker.enter(at(30)), Passage::Closed(None));
            let turned = breaker.record(at(31), None, true, 0.5);
            assert_eq!(turned == Turned::Closed, good == 3);
        }
        assert_eq!(breaker.enter(at(32)), Passage::Free);
    }

    #[test]
    fn pauses_double_up_to_ten_minutes_and_start_over_once_it_was_well() {
        let mut breaker = opened();
        let mut now = 0;
        for pause in [30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(breaker.open_until(), Some(at(now + pause)));
            now += pause;
            assert_eq!(breaker.enter(at(now)), Passage::Probe);
            assert_eq!(fail(&mut breaker, now, true), Turned::Open);
        }
        now += 600;
        for _ in 0..3 {
            assert_eq!(breaker.enter(at(now)), Passage::Probe);
            breaker.record(at(now), None, true, 0.5);
        }
        for _ in 0..5 {
            fail(&mut breaker, now, false);
        }
        assert_eq!(breaker.open_until(), Some(at(now + 30)));
    }

    #[test]
    fn luck_moves_a_pause_by_a_fifth_at_most() {
        for (luck, seconds) in [(0.0, 24), (1.0, 36), (7.0, 36)] {
            let mut breaker = Breaker::default();
            for _ in 0..5 {
                breaker.record(at(0), Some("timeout"), false, luck);
            }
            assert_eq!(breaker.open_until(), Some(at(seconds)));
        }
    }

    #[test]
    fn late_answers_of_older_calls_neither_close_nor_reopen_it() {
        let mut breaker = opened();
        assert_eq!(breaker.record(at(1), None, false, 0.5), Turned::Not);
        assert_eq!(fail(&mut breaker, 2, false), Turned::Not);
        assert_eq!(breaker.open_until(), Some(at(30)));
        assert_eq!(breaker.enter(at(30)), Passage::Probe);
        assert_eq!(fail(&mut breaker, 31, false), Turned::Not);
        assert_eq!(breaker.word(), "half_open");
    }

    #[test]
    fn a_probe_given_back_can_be_taken_by_another() {
        let mut breaker = opened();
        assert_eq!(breaker.enter(at(30)), Passage::Probe);
        breaker.give_back();
        assert_eq!(breaker.enter(at(30)), Passage::Probe);
    }
}
