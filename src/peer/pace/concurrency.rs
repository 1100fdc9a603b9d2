//! How many calls of a tenant run at once: additive increase, multiplicative decrease.
//!
//! A `429` without a time means that a node's queue is full: that is cured by fewer calls at once, not by fewer calls an
//! hour. After the breaker closed, calls come back as 1, 2, 4 … so that a waking instance is not flattened.

use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::limits::{CONCURRENCY_GROWTH_TIME, CROWDED_WAIT_MAX, CROWDED_WAIT_MIN};

/// The slots of one tenant.
#[derive(Debug)]
pub struct Concurrency {
    configured: u32,
    cap: u32,
    in_flight: u32,
    changed_at: Timestamp,
    /// While coming back after a failure: good answers still missing until the cap doubles.
    doubling: Option<u32>,
    crowded_in_a_row: u32,
    calm_at: Timestamp,
}

impl Concurrency {
    /// So many calls at once, at least one.
    pub fn new(configured: u16) -> Self {
        let cap = u32::from(configured.max(1));
        Self {
            configured: cap,
            cap,
            in_flight: 0,
            changed_at: Timestamp::EPOCH,
            doubling: None,
            crowded_in_a_row: 0,
            calm_at: Timestamp::EPOCH,
        }
    }

    /// Another number of calls at once, at least one. Room that was lost to crowding stays lost until it is earned back;
    /// calls under way above the new number finish in peace.
    pub fn limit_to(&mut self, configured: u16) {
        let configured = u32::from(configured.max(1));
        self.cap = if self.cap == self.configured { configured } else { self.cap.min(configured) };
        self.configured = configured;
    }

    /// Takes a slot, if one is free.
    pub fn enter(&mut self) -> bool {
        let free = self.in_flight < self.cap;
        self.in_flight += u32::from(free);
        free
    }

    /// Gives a slot back.
    pub fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Calls under way, and how many may be.
    pub const fn standing(&self) -> (u32, u32) {
        (self.in_flight, self.cap)
    }

    /// A good answer earns room, slowly.
    pub fn good(&mut self, now: Timestamp) {
        if self.cap >= self.configured {
            self.doubling = None;
        } else if let Some(missing) = self.doubling {
            if missing > 1 {
                self.doubling = Some(missing - 1);
            } else {
                self.set_cap(now, self.cap.saturating_mul(2));
                self.doubling = Some(self.cap);
            }
        } else if now.since(self.changed_at) >= CONCURRENCY_GROWTH_TIME {
            self.set_cap(now, self.cap + 1);
        }
    }

    /// The instance is crowded: half the room, and a pause that doubles while it stays so. Answers to calls that were
    /// under way together are one event.
    pub fn crowded(&mut self, now: Timestamp) -> Duration {
        if now.since(self.calm_at) >= CONCURRENCY_GROWTH_TIME {
            self.crowded_in_a_row = 0;
        }
        if now >= self.calm_at {
            let doubled = CROWDED_WAIT_MIN * 2_u32.saturating_pow(self.crowded_in_a_row.min(8));
            self.calm_at = now.plus(doubled.min(CROWDED_WAIT_MAX));
            self.crowded_in_a_row += 1;
            self.doubling = None;
            self.set_cap(now, self.cap / 2);
        }
        self.calm_at.since(now)
    }

    /// Starts over with one call at a time.
    pub fn restart(&mut self, now: Timestamp) {
        self.set_cap(now, 1);
        self.doubling = Some(1);
    }

    fn set_cap(&mut self, now: Timestamp, cap: u32) {
        self.cap = cap.clamp(1, self.configured);
        self.changed_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn cap(slots: &Concurrency) -> u32 {
        slots.standing().1
    }

    #[test]
    fn no_more_than_the_cap_run_at_once() {
        let mut slots = Concurrency::new(2);
        assert!(slots.enter() && slots.enter() && !slots.enter());
        slots.leave();
        assert!(slots.enter());
    }

    #[test]
    fn another_limit_counts_what_is_under_way_and_forgives_no_crowding() {
        let mut slots = Concurrency::new(4);
        assert!(slots.enter() && slots.enter());
        slots.limit_to(2);
        assert!(!slots.enter());
        slots.limit_to(3);
        assert!(slots.enter() && !slots.enter());
        let mut crowded = Concurrency::new(8);
        crowded.crowded(at(0));
        crowded.limit_to(16);
        assert_eq!(cap(&crowded), 4);
        crowded.limit_to(2);
        assert_eq!(cap(&crowded), 2);
    }

    #[test]
    fn crowding_halves_the_room_and_a_minute_of_success_earns_one_back() {
        let mut slots = Concurrency::new(8);
        assert_eq!(slots.crowded(at(0)), Duration::from_secs(5));
        assert_eq!(cap(&slots), 4);
        slots.good(at(59));
        assert_eq!(cap(&slots), 4);
        slots.good(at(60));
        slots.good(at(61));
        assert_eq!(cap(&slots), 5);
        slots.good(at(120));
        assert_eq!(cap(&slots), 6);
    }

    #[test]
    fn answers_to_calls_under_way_together_are_one_event() {
        let mut slots = Concurrency::new(8);
        slots.crowded(at(0));
        assert_eq!(slots.crowded(at(1)), Duration::from_secs(4));
        assert_eq!(cap(&slots), 4);
    }

    #[test]
    fn pauses_double_while_it_stays_crowded_and_start_over_after_a_calm_minute() {
        let mut slots = Concurrency::new(8);
        let mut now = 0;
        for pause in [5, 10, 20, 40, 60, 60] {
            assert_eq!(slots.crowded(at(now)).as_secs(), pause);
            now += i64::try_from(pause).unwrap();
        }
        assert_eq!(cap(&slots), 1);
        assert_eq!(slots.crowded(at(now + 60)).as_secs(), 5);
    }

    #[test]
    fn after_an_outage_calls_come_back_doubling() {
        let mut slots = Concurrency::new(8);
        slots.restart(at(0));
        let mut caps = vec![cap(&slots)];
        for _ in 0..8 {
            slots.good(at(1));
            caps.push(cap(&slots));
        }
        assert_eq!(caps, [1, 2, 2, 4, 4, 4, 4, 8, 8]);
    }

    #[test]
    fn calls_begun_under_a_larger_cap_finish_in_peace() {
        let mut slots = Concurrency::new(4);
        for _ in 0..4 {
            assert!(slots.enter());
        }
        slots.crowded(at(0));
        for _ in 0..2 {
            slots.leave();
            assert!(!slots.enter());
        }
        slots.leave();
        assert!(slots.enter());
    }
}
