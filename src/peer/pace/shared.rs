//! The part of a pace that is shared with other replicas: calls reserved ahead, what is still to be told, who may probe.
//!
//! Owns: when to ask the store, for how much, and what an answer changes here. Everything local stays in force: sharing
//! only ever makes a pace slower. Never: talks to a store; whoever owns the pace carries the question and the answer.
//! Fails: without an answer nothing is reserved, and nothing is sent; what was to be told is told with the next question.
//! What stays each replica's own: calls at once (the lanes' share holds over all replicas), room lost to crowding, the
//! budget for retries, and refused credentials, because replicas may show different ones while files are rolled out.
//! Proved by: the tests of [`super`], and `tests/sharing` with several workers on one store.

use std::sync::Arc;
use std::time::Duration;

use super::gate::Closed;
use super::{CROWDED, Halt, Pace, THROTTLED};
use crate::delivery::sharing::{Answer, Ask, Cause, Found, GateTold, HealthTold, HourTold};
use crate::domain::time::Timestamp;
use crate::limits::{PROBE_SEND_MAX, RESERVATION_LIFE, RESERVE_AGAIN, RESERVE_CALLS_MIN};

/// What is known of the other replicas' use of a peer, and what they are to be told.
#[derive(Debug)]
pub(super) struct Shared {
    replica: Arc<str>,
    calls_per_second: u32,
    /// Calls that are reserved and not made, until when, and of which hour.
    reserved: u32,
    good_until: Timestamp,
    hour: Timestamp,
    /// No question about calls before this time.
    ask_from: Timestamp,
    /// Calls made of late: what was needed is needed again.
    made: u32,
    made_since: Timestamp,
    epoch: u64,
    /// Still to be told.
    told: Option<HourTold>,
    gate: Option<GateTold>,
    health: Option<HealthTold>,
}

/// What a pace needs from the store before a call.
#[derive(Debug)]
pub enum Need {
    /// Nothing: it may be asked again for a call.
    Nothing,
    /// Time: the budget is used up for so long.
    Time(Duration),
    /// An answer to this, which [`Pace::adopt`] takes.
    Answer(Box<Asked>),
}

/// A question, and when it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub ask: Ask,
    at: Timestamp,
}

impl Pace {
    /// From now on others call the same peer. Without their leave, nothing is sent.
    pub fn share(&mut self, replica: Arc<str>) {
        self.breaker.share();
        let calls_per_second = self.rate.per_second();
        self.shared.get_or_insert(Shared {
            replica,
            calls_per_second,
            reserved: 0,
            good_until: Timestamp::EPOCH,
            hour: Timestamp::EPOCH,
            ask_from: Timestamp::EPOCH,
            made: 0,
            made_since: Timestamp::EPOCH,
            epoch: 0,
            told: None,
            gate: None,
            health: None,
        });
    }

    /// What is needed so that one of so many waiting calls can begin.
    pub fn need(&mut self, clock: Timestamp, waiting: u32) -> Need {
        let now = self.steady.at(clock);
        let probe = self.breaker.wants_probe(now);
        let is_closed = self.gate.closed(now).is_some() || !(probe || self.breaker.lets_through());
        let Some(shared) = &self.shared else { return Need::Nothing };
        if is_closed || (!probe && shared.has_calls(now)) {
            return Need::Nothing;
        }
        if !probe && now < shared.ask_from {
            return Need::Time(shared.ask_from.since(now));
        }
        self.ask(now, waiting.max(1), probe)
    }

    /// What others should know at once, if there is anything.
    pub fn news(&mut self, clock: Timestamp) -> Need {
        let now = self.steady.at(clock);
        let has_news = self.shared.as_ref().is_some_and(|shared| shared.gate.is_some() || shared.health.is_some());
        if has_news { self.ask(now, 0, false) } else { Need::Nothing }
    }

    fn ask(&mut self, now: Timestamp, waiting: u32, probe: bool) -> Need {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 10 to 100")]
        let share = (self.gate.share(now) * 100.0) as u8;
        let hourly = self.hourly.standing().1;
        let is_chosen = self.breaker.is_chosen(now);
        let Some(shared) = &mut self.shared else { return Need::Nothing };
        let calls = if waiting == 0 { 0 } else { shared.wanted(now, waiting) };
        // What was reserved before and is over, or makes place for the next, goes back to the hour.
        let unused = if calls > 0 { std::mem::take(&mut shared.reserved) } else { 0 };
        let ask = Ask {
            replica: Arc::clone(&shared.replica),
            calls,
            interval: 1_000_000 / u64::from(shared.calls_per_second),
            share,
            hourly,
            unused: (unused, shared.hour),
            told: shared.told,
            gate: shared.gate.clone(),
            health: shared.health.clone(),
            probe,
            chosen: is_chosen.then_some(shared.epoch),
        };
        Need::Answer(Box::new(Asked { ask, at: now }))
    }

    /// Takes an answer; says whether the breaker turned. `luck` is a number in `0.0..1.0`.
    pub fn adopt(&mut self, clock: Timestamp, asked: &Asked, answer: &Answer, luck: f64) -> bool {
        let now = self.steady.at(clock);
        let Some(shared) = &mut self.shared else { return false };
        let Asked { ask, at } = asked;
        shared.was_told(ask);
        if ask.calls > 0 {
            shared.reserved = answer.calls;
            // Counted from the question: the answer may have taken its time.
            shared.good_until = at.plus(RESERVATION_LIFE);
            // Not all at the same beat, or one replica would always come first.
            let again = RESERVE_AGAIN.mul_f64(0.5 + luck.clamp(0.0, 1.0)).max(answer.again_in);
            shared.ask_from = if answer.calls < ask.calls { now.plus(again) } else { now };
        }
        shared.hour = answer.hour.ends;
        self.hourly.adopt(now.plus(answer.hour_ends_in), answer.hour, shared.reserved);
        if let Some(gone) = answer.released {
            self.gate.ramp_from(now.minus(gone));
        }
        if let Some(GateTold { wait, cause, reason }) = &answer.gate {
            let code = match cause {
                Cause::Throttled => THROTTLED,
                Cause::Crowded => CROWDED,
            };
            self.gate.close(Closed { until: now.plus(*wait), code, reason: reason.clone() }, true);
        }
        // What happened here while the question was on its way is newer than the answer.
        if shared.health.is_some() {
            return false;
        }
        shared.epoch = answer.epoch;
        let turned = self.breaker.adopt(now, at.plus(PROBE_SEND_MAX), answer);
        if turned && self.breaker.lets_through() {
            self.slots.restart(now);
        }
        turned
    }

    /// Whether a call may be made of what is reserved. If not, then [`Pace::need`] names something to wait for: whoever asks
    /// in vain would ask forever.
    pub(super) fn may_use(&self, now: Timestamp) -> Result<(), Halt> {
        let Some(shared) = &self.shared else { return Ok(()) };
        if !self.breaker.lets_through() {
            // It opened while this call waited for the rate.
            return Err(self.halt(self.breaker_closed(now, self.breaker.open_until())));
        }
        if shared.has_calls(now) { Ok(()) } else { Err(Halt::Ask) }
    }

    /// Until when the probe that was just let through is sent, or not at all; nobody else limits it where nothing is shared.
    pub fn probe_before(&self) -> Option<Timestamp> {
        let until = self.breaker.probe_before().filter(|until| *until != Timestamp::NEVER)?;
        Some(self.steady.shown(until))
    }
}

impl Shared {
    fn has_calls(&self, now: Timestamp) -> bool {
        self.reserved > 0 && now < self.good_until
    }

    /// A call is made of what is reserved.
    pub(super) fn pay(&mut self, now: Timestamp) {
        self.reserved = self.reserved.saturating_sub(1);
        if now.since(self.made_since) >= RESERVATION_LIFE {
            (self.made, self.made_since) = (0, now);
        }
        self.made = self.made.saturating_add(1);
    }

    /// What waits or was needed of late, doubled, so that a busy replica asks about once a second; and never more than half
    /// a second's worth, so that one replica does not empty the bucket for the others.
    fn wanted(&self, now: Timestamp, waiting: u32) -> u32 {
        let is_recent = now.since(self.made_since) < 2 * RESERVATION_LIFE;
        let again = if is_recent { self.made.saturating_mul(2) } else { 0 };
        waiting.max(again).max(RESERVE_CALLS_MIN).min(self.calls_per_second.div_ceil(2))
    }

    pub(super) fn limit_to(&mut self, calls_per_second: u32) {
        self.calls_per_second = calls_per_second.max(1);
    }

    pub(super) fn hour_was_told(&mut self, told: HourTold) {
        let known = self.told.unwrap_or(told);
        self.told = Some(HourTold { limit: told.limit.or(known.limit), ends_in: told.ends_in.or(known.ends_in) });
    }

    pub(super) fn gate_closed(&mut self, told: GateTold) {
        self.gate = Some(told);
    }

    pub(super) fn found(&mut self, found: Found) {
        self.health = Some(HealthTold { epoch: self.epoch, found });
    }

    /// What arrived need not be told again; what came up since must be.
    fn was_told(&mut self, ask: &Ask) {
        self.told.take_if(|told| Some(*told) == ask.told);
        self.gate.take_if(|gate| Some(&*gate) == ask.gate.as_ref());
        self.health.take_if(|health| Some(&*health) == ask.health.as_ref());
    }
}
