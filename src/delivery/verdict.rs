//! From an outcome to what happens next: the policy, as one pure function.
//!
//! Only this layer retries (`facts/reliability.md` 4.3): the HTTP client never does. A wait is never shorter than the
//! time a peer asked for. What is not the delivery's own fault does not count as one of its tries.

use std::time::Duration;

use super::outcome::{Class, Outcome};
use super::record::Owner;
use crate::domain::time::Timestamp;
use crate::limits::{ATTEMPTS_MAX, AUTH_PAUSE, MISCONFIGURED_PAUSE, RETRY_WAITS};

/// What is known when an outcome arrives.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Now, on the store's clock.
    pub now: Timestamp,
    /// Counted tries of the head delivery, this one included; from 1.
    pub attempts: u32,
    /// Whether the call could have created a ticket.
    pub creating: bool,
    /// When sending began, and how long a write without an answer may still land.
    pub settled_at: Timestamp,
    /// A number in `0.0..1.0`: luck, as a value.
    pub luck: f64,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer proves that it is done.
    Finish,
    /// Surely not processed: send again at this time. A counted try brings parking nearer.
    SendAgain {
        /// Not before.
        at: Timestamp,
        /// Whether it was a try of the delivery's own.
        counted: bool,
    },
    /// It may have been processed: look at this time, and decide from that one read.
    LookAt {
        /// Not before.
        at: Timestamp,
    },
    /// Look now: what was refused may have happened all the same.
    LookNow,
    /// The whole tenant waits; the delivery stays as it is.
    PauseTenant {
        /// Until when.
        until: Timestamp,
    },
    /// A person is needed.
    Park {
        /// Whose turn it is.
        owner: Owner,
        /// What to do.
        next_step: &'static str,
    },
}

/// Decides what an outcome means for the delivery at the head of a lane.
pub fn decide(situation: &Situation, outcome: &Outcome) -> Verdict {
    let now = situation.now;
    match outcome.class {
        Class::Done => Verdict::Finish,
        Class::NotProcessed => again(situation, outcome),
        Class::Unclear => {
            // The peer may have asked for more time than the write needs to settle.
            let at = outcome.not_before.unwrap_or(now).max(situation.settled_at);
            Verdict::LookAt { at }
        }
        Class::Throttled => Verdict::PauseTenant { until: outcome.not_before.unwrap_or(now) },
        Class::Crowded => Verdict::SendAgain { at: outcome.not_before.unwrap_or(now), counted: false },
        Class::Unauthorized => {
            Verdict::PauseTenant { until: outcome.not_before.unwrap_or_else(|| now.plus(AUTH_PAUSE)) }
        }
        Class::Refused => Verdict::Park {
            owner: Owner::Instance,
            next_step: "mend the mapping or the instance's rule that the answer names, then replay this delivery",
        },
        Class::Missing if situation.creating => Verdict::PauseTenant { until: now.plus(MISCONFIGURED_PAUSE) },
        // What is missing may have moved; what was refused may be there all the same.
        Class::Missing | Class::RefusedPerhapsDone => Verdict::LookNow,
        Class::Misconfigured => Verdict::PauseTenant { until: now.plus(MISCONFIGURED_PAUSE) },
        Class::Defect => Verdict::Park {
            owner: Owner::Operator,
            next_step: "this is a defect of the gateway: report it with this record, then replay",
        },
    }
}

/// The next try after a failure that surely changed nothing; parks when the tries are used up.
fn again(situation: &Situation, outcome: &Outcome) -> Verdict {
    if situation.attempts >= ATTEMPTS_MAX {
        return Verdict::Park {
            owner: Owner::Operator,
            next_step: "find out why the peer keeps failing this delivery, then replay it",
        };
    }
    let own = situation.now.plus(retry_wait(situation.attempts, situation.luck));
    Verdict::SendAgain { at: outcome.not_before.map_or(own, |given| own.max(given)), counted: true }
}

/// How long to wait after the `attempts`-th try: half of the schedule's step, and luck for the other half.
pub fn retry_wait(attempts: u32, luck: f64) -> Duration {
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(RETRY_WAITS.len() - 1);
    let base = RETRY_WAITS.get(step).copied().unwrap_or(Duration::from_secs(5));
    base / 2 + (base / 2).mul_f64(luck.clamp(0.0, 1.0))
}

/// A server-given time, only ever rounded up: spread over the wait's tenth (at least a second), so that not all
/// tenants of one peer come back in the same instant.
pub fn rounded_up(now: Timestamp, given: Timestamp, luck: f64) -> Timestamp {
    let tenth = given.since(now) / 10;
    given.plus(tenth.max(Duration::from_secs(1)).mul_f64(luck.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn situation(creating: bool, attempts: u32) -> Situation {
        let settled_at = NOW.plus(Duration::from_secs(150));
        Situation { now: NOW, attempts, creating, settled_at, luck: 0.0 }
    }

    fn check(creating: bool, attempts: u32, outcome: &Outcome, expected: &str) {
        let said = match decide(&situation(creating, attempts), outcome) {
            Verdict::Finish => "finish".to_owned(),
            Verdict::SendAgain { at, counted } => {
                format!("again at {:?}{}", at.since(NOW), if counted { "" } else { " uncounted" })
            }
            Verdict::LookAt { at } => format!("look at {:?}", at.since(NOW)),
            Verdict::LookNow => "look now".to_owned(),
            Verdict::PauseTenant { until } => format!("pause {:?}", until.since(NOW)),
            Verdict::Park { owner, .. } => format!("park for {owner:?}"),
        };
        assert_eq!(said, expected, "{outcome:?}");
    }

    fn of(class: Class) -> Outcome {
        Outcome::new(class, "test")
    }

    fn given(class: Class, seconds: u64) -> Outcome {
        Outcome { not_before: Some(NOW.plus(Duration::from_secs(seconds))), ..of(class) }
    }

    #[test]
    fn each_class_has_its_consequence() {
        check(true, 1, &of(Class::Done), "finish");
        check(true, 1, &of(Class::NotProcessed), "again at 2.5s");
        check(true, 1, &of(Class::Unclear), "look at 150s");
        check(true, 1, &of(Class::Refused), "park for Instance");
        check(true, 1, &of(Class::Defect), "park for Operator");
    }

    #[test]
    fn a_refused_write_that_may_be_there_is_looked_up_before_it_is_given_up() {
        check(true, 1, &of(Class::RefusedPerhapsDone), "look now");
        check(false, 1, &of(Class::RefusedPerhapsDone), "look now");
        check(false, 1, &of(Class::Missing), "look now");
    }

    #[test]
    fn a_busy_instance_is_given_the_time_it_asks_for() {
        check(true, 1, &given(Class::Throttled, 20), "pause 20s");
        check(true, 1, &given(Class::NotProcessed, 20), "again at 20s");
        check(true, 1, &given(Class::Crowded, 5), "again at 5s uncounted");
        check(true, 1, &given(Class::Unclear, 600), "look at 600s");
    }

    #[test]
    fn tries_run_out_only_for_the_deliverys_own_failures() {
        check(true, ATTEMPTS_MAX, &of(Class::NotProcessed), "park for Operator");
        check(true, ATTEMPTS_MAX, &given(Class::Throttled, 20), "pause 20s");
        check(true, ATTEMPTS_MAX, &of(Class::Unclear), "look at 150s");
    }

    #[test]
    fn waits_grow_and_keep_within_their_step() {
        for attempts in 1..40 {
            let (least, most) = (retry_wait(attempts, 0.0), retry_wait(attempts, 1.0));
            assert!(least * 2 == most && most <= Duration::from_hours(6), "{attempts}: {least:?} {most:?}");
            assert!(retry_wait(attempts + 1, 0.0) >= least);
        }
    }

    #[test]
    fn a_given_time_is_never_shortened() {
        let asked = NOW.plus(Duration::from_secs(100));
        assert_eq!(rounded_up(NOW, asked, 0.0), asked);
        assert_eq!(rounded_up(NOW, asked, 1.0), asked.plus(Duration::from_secs(10)));
        assert_eq!(rounded_up(NOW, NOW, 1.0), NOW.plus(Duration::from_secs(1)));
    }
}
