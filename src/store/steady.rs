//! The store's time: the wall clock, made safe against steps backward.
//!
//! Leases, back-offs and pauses are moments on this clock. A wall clock that is set back by hours would hold every
//! lane for hours; so the store's time never goes back. After a backward step it goes on from where it was, a tenth
//! slower than the wall until both agree again: a lease lasts at most a ninth longer than asked, nothing stands still,
//! and the difference heals by itself. A step forward is taken at once: leases end early, and the fences hold.

use std::sync::{Mutex, PoisonError};

use crate::domain::time::{SharedClock, Timestamp};

/// A clock that never goes back.
#[derive(Debug)]
pub(super) struct SteadyClock {
    wall: SharedClock,
    state: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    wall: Timestamp,
    steady: Timestamp,
    /// Where wall and store parted, if they have not met again.
    parted: Option<(Timestamp, Timestamp)>,
}

impl SteadyClock {
    /// Starts now, but no earlier than `floor`, the last time known to have been used.
    pub(super) fn new(wall: SharedClock, floor: Timestamp) -> Self {
        let mut state = Progress { wall: floor, steady: floor, parted: None };
        state.advance(wall.now());
        Self { wall, state: Mutex::new(state) }
    }

    /// The present moment: never before an earlier answer.
    pub(super) fn now(&self) -> Timestamp {
        let wall = self.wall.now();
        // The three fields are plain numbers: a panic elsewhere cannot leave them half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner).advance(wall)
    }
}

impl Progress {
    fn advance(&mut self, wall: Timestamp) -> Timestamp {
        if wall < self.wall {
            self.parted = Some((wall, self.steady));
        }
        self.wall = wall;
        let slowed = self.parted.map(|(from, steady)| steady.plus(wall.since(from) * 9 / 10));
        let steady = slowed.map_or(wall, |slowed| slowed.max(wall)).max(self.steady);
        if steady == wall {
            self.parted = None;
        }
        self.steady = steady;
        steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks a wall clock through these seconds and tells the store's seconds.
    fn walk(floor: i64, seconds: &[i64]) -> Vec<i64> {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut progress = Progress { wall: at(floor), steady: at(floor), parted: None };
        seconds.iter().map(|wall| progress.advance(at(*wall)).seconds()).collect()
    }

    #[test]
    fn it_follows_a_good_clock() {
        assert_eq!(walk(0, &[10, 20, 20, 7_220]), [10, 20, 20, 7_220]);
    }

    #[test]
    fn after_a_step_back_it_goes_on_a_tenth_slower_until_both_agree() {
        assert_eq!(walk(0, &[7_200, 0, 100, 1_000, 72_000, 73_000]), [7_200, 7_200, 7_290, 8_100, 72_000, 73_000]);
    }

    #[test]
    fn a_second_step_back_is_borne_too() {
        assert_eq!(walk(0, &[100, 50, 60, 10, 20]), [100, 100, 109, 109, 118]);
    }

    #[test]
    fn it_starts_from_what_was_stored() {
        assert_eq!(walk(100, &[40, 50]), [100, 109]);
    }
}
