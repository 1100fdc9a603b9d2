//! The columns of what replicas share about a peer: one spelling for all engines that have a table.

use crate::delivery::sharing::{Breaker, Cause, Gate, Hour, SharedPace, State};
use crate::domain::time::Timestamp;
use crate::store::numbers::{signed, unsigned};

/// A row of `peer_pace`, but for whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PaceRow {
    pub(super) paid_until: i64,
    pub(super) hour_ends: i64,
    pub(super) hour_used: i64,
    pub(super) hour_limit: Option<i64>,
    pub(super) hour_told: bool,
    pub(super) gate_until: Option<i64>,
    pub(super) gate_cause: Option<String>,
    pub(super) gate_reason: Option<String>,
    pub(super) breaker: String,
    pub(super) breaker_epoch: i64,
    pub(super) breaker_rounds: i64,
    pub(super) breaker_turned: i64,
    pub(super) breaker_until: Option<i64>,
    pub(super) breaker_good: i64,
    pub(super) breaker_failure: String,
    pub(super) probe_owner: Option<String>,
    pub(super) probe_until: Option<i64>,
}

const CLOSED: &str = "closed";
const OPEN: &str = "open";
const HALF_OPEN: &str = "half_open";

impl From<SharedPace> for PaceRow {
    fn from(pace: SharedPace) -> Self {
        let SharedPace { paid_until, hour, gate, breaker } = pace;
        let Breaker { state, epoch, rounds, turned_at, failure } = breaker;
        let (word, until, good, probe) = match state {
            State::Closed => (CLOSED, None, 0, None),
            State::Open { until } => (OPEN, Some(until.millis()), 0, None),
            State::HalfOpen { good, probe } => (HALF_OPEN, None, good, probe),
        };
        let (probe_owner, probe_until) = probe.map(|(owner, until)| (owner, until.millis())).unzip();
        Self {
            paid_until,
            hour_ends: hour.ends.millis(),
            hour_used: signed(hour.used),
            hour_limit: hour.limit.map(signed),
            hour_told: hour.told,
            gate_until: gate.as_ref().map(|gate| gate.until.millis()),
            gate_cause: gate.as_ref().map(|gate| gate.cause.as_str().to_owned()),
            gate_reason: gate.map(|gate| gate.reason),
            breaker: word.to_owned(),
            breaker_epoch: signed(epoch),
            breaker_rounds: rounds.into(),
            breaker_turned: turned_at.millis(),
            breaker_until: until,
            breaker_good: good.into(),
            breaker_failure: failure,
            probe_owner,
            probe_until,
        }
    }
}

impl From<PaceRow> for SharedPace {
    fn from(row: PaceRow) -> Self {
        let at = Timestamp::from_millis;
        let gate = row.gate_until.map(|until| Gate {
            until: at(until),
            cause: Cause::of(row.gate_cause.as_deref().unwrap_or_default()),
            reason: row.gate_reason.unwrap_or_default(),
        });
        let good = u32::try_from(row.breaker_good).unwrap_or(0);
        let probe = row.probe_owner.zip(row.probe_until.map(at));
        let state = match (row.breaker.as_str(), row.breaker_until) {
            (OPEN, Some(until)) => State::Open { until: at(until) },
            (CLOSED, _) => State::Closed,
            // What a newer program means by its word is found out by one call, as after an outage.
            (_, _) => State::HalfOpen { good, probe },
        };
        Self {
            paid_until: row.paid_until,
            hour: Hour {
                ends: at(row.hour_ends),
                used: unsigned(row.hour_used),
                limit: row.hour_limit.map(unsigned),
                told: row.hour_told,
            },
            gate,
            breaker: Breaker {
                state,
                epoch: unsigned(row.breaker_epoch),
                rounds: u32::try_from(row.breaker_rounds).unwrap_or(0),
                turned_at: at(row.breaker_turned),
                failure: row.breaker_failure,
            },
        }
    }
}
