//! A clock that never runs backwards, made of one that may.
//!
//! When the machine's clock is set back by two hours, a pause of thirty seconds must not become one of two hours. So a
//! backward step is taken out, and put back in where a time is shown to others.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Takes backward steps out of a clock.
#[derive(Debug, Default)]
pub struct Steady {
    last: Option<Timestamp>,
    lost: Duration,
}

impl Steady {
    /// The steady time at this reading of the clock.
    pub fn at(&mut self, reading: Timestamp) -> Timestamp {
        if let Some(last) = self.last {
            self.lost += last.since(reading);
        }
        self.last = Some(reading);
        reading.plus(self.lost)
    }

    /// What the clock will show at a steady time.
    pub fn shown(&self, steady: Timestamp) -> Timestamp {
        if steady == Timestamp::NEVER { steady } else { steady.minus(self.lost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backward_step_is_no_time_at_all() {
        let mut steady = Steady::default();
        let clock = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        assert_eq!(steady.at(clock(10_000)), clock(10_000));
        let pause_ends = clock(10_030);
        assert_eq!(steady.at(clock(2_800)), clock(10_000));
        assert_eq!(steady.shown(pause_ends), clock(2_830));
        assert_eq!(steady.at(clock(2_829)), clock(10_029));
        assert_eq!(steady.at(clock(2_830)), pause_ends);
    }
}
