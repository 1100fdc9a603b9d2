//! The retry budget: retries are paid for by first tries, so that an ailing instance never gets more load than a well one.
//!
//! `facts/reliability.md` 4.3. An empty budget postpones a retry; it is not a try.

use crate::domain::time::Timestamp;
use crate::limits::{RETRY_TOKEN_TIME, RETRY_TOKENS_MAX, RETRY_TOKENS_PER_CALL};

/// Retries saved up.
#[derive(Debug)]
pub struct RetryBudget {
    tokens: f64,
    counted_at: Timestamp,
}

impl RetryBudget {
    /// A full budget: after a start there is a backlog to try again, and nothing known against the instance.
    pub const fn full() -> Self {
        Self { tokens: RETRY_TOKENS_MAX, counted_at: Timestamp::EPOCH }
    }

    /// A first try pays in.
    pub fn first_try(&mut self, now: Timestamp) {
        self.trickle(now);
        self.tokens = (self.tokens + RETRY_TOKENS_PER_CALL).min(RETRY_TOKENS_MAX);
    }

    /// When a retry may be paid for: now, or the time at which it can be.
    pub fn payable_at(&mut self, now: Timestamp) -> Timestamp {
        self.trickle(now);
        let missing = (1.0 - self.tokens).max(0.0);
        now.plus(RETRY_TOKEN_TIME.mul_f64(missing))
    }

    /// Pays for a retry.
    pub fn pay(&mut self, now: Timestamp) {
        self.trickle(now);
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    fn trickle(&mut self, now: Timestamp) {
        let earned = now.since(self.counted_at).as_secs_f64() / RETRY_TOKEN_TIME.as_secs_f64();
        self.tokens = (self.tokens + earned).min(RETRY_TOKENS_MAX);
        self.counted_at = self.counted_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn spent() -> RetryBudget {
        let mut budget = RetryBudget::full();
        for _ in 0..20 {
            assert_eq!(budget.payable_at(at(0)), at(0));
            budget.pay(at(0));
        }
        budget
    }

    #[test]
    fn twenty_retries_are_saved_up_and_then_one_comes_every_fifteen_seconds() {
        let mut budget = spent();
        assert_eq!(budget.payable_at(at(0)), at(15));
        assert_eq!(budget.payable_at(at(10)), at(15));
        assert_eq!(budget.payable_at(at(15)), at(15));
    }

    #[test]
    fn five_first_tries_pay_for_one_retry() {
        let mut budget = spent();
        for _ in 0..4 {
            budget.first_try(at(0));
        }
        assert!(budget.payable_at(at(0)) > at(0));
        budget.first_try(at(0));
        assert!(budget.payable_at(at(0)).since(at(0)) < Duration::from_millis(2));
    }

    #[test]
    fn savings_are_bounded() {
        let mut budget = RetryBudget::full();
        for _ in 0..1_000 {
            budget.first_try(at(1_000));
        }
        for _ in 0..20 {
            budget.pay(at(1_000));
        }
        assert!(budget.payable_at(at(1_000)) > at(1_000));
    }
}
