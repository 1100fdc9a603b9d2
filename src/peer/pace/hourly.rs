//! The hourly budget: ServiceNow counts calls per user and clock hour, and so do we, a little ahead of it.
//!
//! The limit is the configured one or what the instance tells (`X-RateLimit-Limit`), of which we use 80 %: its nodes count
//! separately and agree only every 30 s. A tenth is kept for reading, so that a storm of writes cannot blind look-ups.

use crate::delivery::sharing::Hour;
use crate::domain::time::Timestamp;
use crate::limits::{HOURLY_READING_PERCENT, HOURLY_SHARE_PERCENT, HOURLY_WINDOW};

/// What is left of this hour.
#[derive(Debug)]
pub struct HourlyBudget {
    configured: u64,
    learned: Option<u64>,
    told: bool,
    used: u64,
    ends: Timestamp,
}

impl HourlyBudget {
    /// A budget of so many calls an hour.
    pub const fn new(calls_per_hour: u32) -> Self {
        Self { configured: calls_per_hour as u64, learned: None, told: false, used: 0, ends: Timestamp::EPOCH }
    }

    /// Another budget; what was used of this hour stays used.
    pub const fn limit_to(&mut self, calls_per_hour: u32) {
        self.configured = calls_per_hour as u64;
    }

    /// What an answer told of the instance's own rule: its limit, and when its window ends.
    pub fn learn(&mut self, limit: Option<u64>, ends: Option<Timestamp>) {
        if let Some(limit) = limit {
            self.learned = Some(limit);
            self.told = true;
        }
        if let Some(ends) = ends {
            if ends.since(self.ends) > HOURLY_WINDOW / 2 {
                // The instance is in its next window already; its clock counts.
                self.used = 0;
            }
            self.ends = ends;
        }
    }

    /// What all replicas used of this hour, but for the calls that are reserved for this one and not made yet.
    pub fn adopt(&mut self, ends: Timestamp, hour: Hour, not_made: u32) {
        let Hour { used, limit, told, .. } = hour;
        (self.ends, self.used) = (ends, used.saturating_sub(u64::from(not_made)));
        (self.learned, self.told) = (limit, told);
    }

    /// Whether the budget is spent: then until when, and of how many calls.
    pub fn spent(&mut self, now: Timestamp, reading: bool) -> Option<(Timestamp, u64)> {
        self.roll(now);
        let all = self.calls();
        let mine = if reading { all } else { all - all * HOURLY_READING_PERCENT / 100 };
        (self.used >= mine).then_some((self.ends, all))
    }

    /// Counts one call.
    pub fn pay(&mut self, now: Timestamp) {
        self.roll(now);
        self.used += 1;
    }

    /// Calls of this window, and how many were made.
    pub fn standing(&self) -> (u64, u64) {
        (self.used, self.calls())
    }

    fn calls(&self) -> u64 {
        let learned = self.learned.map_or(u64::MAX, |limit| limit.saturating_mul(HOURLY_SHARE_PERCENT) / 100);
        self.configured.min(learned).max(1)
    }

    /// A new window once the old one is over. A limit that was not told again in a whole window is forgotten.
    fn roll(&mut self, now: Timestamp) {
        if now >= self.ends {
            self.ends = now.plus(HOURLY_WINDOW);
            self.used = 0;
            if !self.told {
                self.learned = None;
            }
            self.told = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// Makes calls until the budget says no.
    fn calls(budget: &mut HourlyBudget, now: Timestamp, reading: bool) -> u64 {
        let mut made = 0;
        while budget.spent(now, reading).is_none() {
            budget.pay(now);
            made += 1;
        }
        made
    }

    #[test]
    fn writes_leave_a_tenth_for_reading() {
        let mut budget = HourlyBudget::new(100);
        assert_eq!(calls(&mut budget, at(10), false), 90);
        assert_eq!(budget.spent(at(10), false), Some((at(3_610), 100)));
        assert_eq!(calls(&mut budget, at(10), true), 10);
        assert_eq!(calls(&mut budget, at(3_609), true), 0);
        assert_eq!(calls(&mut budget, at(3_610), true), 100);
    }

    #[test]
    fn another_budget_counts_what_was_used_of_the_hour() {
        let mut budget = HourlyBudget::new(100);
        assert_eq!(calls(&mut budget, at(10), true), 100);
        budget.limit_to(150);
        assert_eq!(calls(&mut budget, at(20), true), 50);
        budget.limit_to(100);
        assert_eq!(calls(&mut budget, at(30), true), 0);
        assert_eq!(calls(&mut budget, at(3_610), true), 100);
    }

    #[test]
    fn four_fifths_of_a_learned_limit_are_used_and_its_window_is_kept() {
        let mut budget = HourlyBudget::new(20_000);
        budget.pay(at(0));
        budget.learn(Some(100), Some(at(600)));
        assert_eq!(calls(&mut budget, at(1), true), 79);
        assert_eq!(budget.spent(at(1), true), Some((at(600), 80)));
        assert_eq!(calls(&mut budget, at(600), true), 80);
    }

    #[test]
    fn a_window_that_the_instance_began_early_is_a_new_one() {
        let mut budget = HourlyBudget::new(100);
        assert_eq!(calls(&mut budget, at(10), true), 100);
        budget.learn(None, Some(at(7_200)));
        assert_eq!(calls(&mut budget, at(3_600), true), 100);
    }

    #[test]
    fn a_limit_that_is_not_told_again_is_forgotten() {
        let mut budget = HourlyBudget::new(1_000);
        budget.learn(Some(100), Some(at(600)));
        assert_eq!(calls(&mut budget, at(1), true), 80);
        assert_eq!(calls(&mut budget, at(600), true), 80);
        assert_eq!(calls(&mut budget, at(4_200), true), 1_000);
    }

    #[test]
    fn a_senseless_limit_still_lets_one_call_learn_better() {
        let mut budget = HourlyBudget::new(1_000);
        budget.learn(Some(0), None);
        assert_eq!(calls(&mut budget, at(1), true), 1);
    }
}
