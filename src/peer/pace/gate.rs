//! The gate: nothing passes before a time that the instance asked for, or that refused credentials call for.
//!
//! A gate is only ever closed for longer, never reopened early. After it opens, the rate ramps up over a minute: whoever
//! waited for the same hour to end comes back at the same second.

use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::limits::RELEASE_RAMP;

/// Why and until when nothing may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Not before.
    pub until: Timestamp,
    /// A stable code such as `http_429_rate_limit` or `breaker_open`.
    pub code: &'static str,
    /// Why, in words, for the console and the log.
    pub reason: String,
}

/// The state of the gate.
#[derive(Debug, Default)]
pub struct Gate {
    closed: Option<Closed>,
    ramp_from: Option<Timestamp>,
}

impl Gate {
    /// Closes it, unless it is closed for longer already. `ramps` says whether the release is spread.
    pub fn close(&mut self, closed: Closed, ramps: bool) {
        if self.closed.as_ref().is_some_and(|present| present.until >= closed.until) {
            return;
        }
        if ramps {
            self.ramp_from = Some(closed.until);
        }
        self.closed = Some(closed);
    }

    /// Opens it if it is closed for this reason: a person knows better.
    pub fn reopen(&mut self, code: &str) {
        self.closed.take_if(|closed| closed.code == code);
    }

    /// Why nothing may pass now, if so.
    pub fn closed(&self, now: Timestamp) -> Option<&Closed> {
        self.closed.as_ref().filter(|closed| now < closed.until)
    }

    /// Begins a release at a time, for a window that ended by itself.
    pub fn ramp_from(&mut self, start: Timestamp) {
        self.ramp_from = Some(start);
    }

    /// The share of the rate that may be used now: a tenth right after the release, all of it a minute later.
    pub fn share(&self, now: Timestamp) -> f64 {
        let Some(start) = self.ramp_from else { return 1.0 };
        let gone = now.since(start).as_secs_f64() / RELEASE_RAMP.as_secs_f64();
        (0.1 + 0.9 * gone).clamp(0.1, 1.0)
    }
}

/// A pause in words.
pub fn in_words(wait: Duration) -> String {
    let seconds = wait.as_millis().div_ceil(1_000);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn until(seconds: i64, code: &'static str) -> Closed {
        Closed { until: at(seconds), code, reason: String::new() }
    }

    #[test]
    fn nothing_passes_before_the_time_and_everything_after() {
        let mut gate = Gate::default();
        assert_eq!(gate.closed(at(0)), None);
        gate.close(until(120, "a"), true);
        assert_eq!(gate.closed(at(119)).map(|closed| closed.code), Some("a"));
        assert_eq!(gate.closed(at(120)), None);
    }

    #[test]
    fn a_shorter_time_never_opens_it_early() {
        let mut gate = Gate::default();
        gate.close(until(120, "long"), true);
        gate.close(until(10, "short"), true);
        assert_eq!(gate.closed(at(60)).map(|closed| closed.code), Some("long"));
        gate.close(until(200, "longer"), true);
        assert_eq!(gate.closed(at(150)).map(|closed| closed.code), Some("longer"));
    }

    #[test]
    fn a_release_is_spread_over_a_minute() {
        let mut gate = Gate::default();
        assert!((gate.share(at(0)) - 1.0).abs() < 1e-9);
        gate.close(until(100, "a"), true);
        for (seconds, share) in [(100, 0.1), (130, 0.55), (160, 1.0), (1_000, 1.0)] {
            assert!((gate.share(at(seconds)) - share).abs() < 1e-9, "{seconds}");
        }
    }

    #[test]
    fn a_pause_reads_well() {
        for (millis, words) in [(0, "0 s"), (1, "1 s"), (119_000, "119 s"), (120_001, "3 min"), (3_600_000, "60 min")] {
            assert_eq!(in_words(Duration::from_millis(millis)), words);
        }
    }
}
