//! Calls per second, counted by `governor`, on a clock that is told the time.
//!
//! The limiter asks its clock by itself; ours is a hand that is set just before it is asked, so that this file too is a
//! function of `now`, and a simulated hour costs no hour.

use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::domain::time::Timestamp;

/// The rate of one tenant.
#[derive(Debug)]
pub struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, Hand, NoOpMiddleware<Moment>>,
    hand: Hand,
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Rate {
    /// So many calls a second, at least one; twice as many at once after a quiet time.
    pub fn new(calls_per_second: u32) -> Self {
        let rate = NonZeroU32::new(calls_per_second).unwrap_or(NonZeroU32::MIN);
        let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(1));
        let hand = Hand::default();
        let quota = Quota::per_second(rate).allow_burst(burst);
        Self { limiter: RateLimiter::direct_with_clock(quota, hand.clone()), hand, per_second: rate, burst }
    }

    /// Calls a second.
    pub const fn per_second(&self) -> u32 {
        self.per_second.get()
    }

    /// Another rate. It begins without a burst, as if the old one were used up: a second is what that costs at most, and
    /// no second ever sees both bursts.
    pub fn limit_to(&mut self, calls_per_second: u32) {
        let mut other = Self::new(calls_per_second);
        if other.per_second == self.per_second {
            return;
        }
        other.hand.0.store(self.hand.now().0, Ordering::Relaxed);
        // A cost equal to the burst is always within it, so the only answer is yes.
        let spent = other.limiter.check_n(other.burst).is_ok_and(|taken| taken.is_ok());
        debug_assert!(spent);
        std::mem::swap(self, &mut other);
    }

    /// Takes a call's worth, or says how long until it can be had. While a release ramps up, `share` of the rate is used:
    /// each call then costs correspondingly more.
    pub fn take(&self, now: Timestamp, share: f64) -> Result<(), Duration> {
        self.hand.set(now);
        match self.limiter.check_n(self.cost(share)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(later)) => Err(later.wait_time_from(self.hand.now())),
            // Cannot be: the cost is never above the burst. If it were, a call's own worth is what is asked for.
            Err(_) => self.limiter.check().map_err(|later| later.wait_time_from(self.hand.now())),
        }
    }

    fn cost(&self, share: f64) -> NonZeroU32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 1 to 10")]
        let cost = (1.0 / share.clamp(0.1, 1.0)).round() as u32;
        NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN).min(self.burst)
    }
}

/// The time as it was last told, in nanoseconds since the epoch.
#[derive(Clone, Debug, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn set(&self, now: Timestamp) {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        self.0.store(millis.saturating_mul(1_000_000), Ordering::Relaxed);
    }
}

impl Clock for Hand {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

/// A reading of the hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, later: Nanos) -> Self {
        Self(self.0.saturating_add(later.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.as_u64()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls begin in each second, when as many as possible are made.
    fn calls(rate: &Rate, seconds: i64, share: f64) -> Vec<usize> {
        let in_second = |second: i64| {
            (0..1_000).filter(|milli| rate.take(Timestamp::from_millis(second * 1_000 + milli), share).is_ok()).count()
        };
        (1..=seconds).map(in_second).collect()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        assert_eq!(calls(&Rate::new(5), 4, 1.0), [14, 5, 5, 5]);
    }

    #[test]
    fn another_rate_brings_no_second_burst() {
        let mut rate = Rate::new(5);
        assert_eq!(calls(&rate, 1, 1.0), [14]);
        rate.limit_to(5);
        rate.limit_to(10);
        assert_eq!(rate.take(Timestamp::from_millis(1_999), 1.0), Err(Duration::from_millis(100)));
        assert!(calls(&rate, 4, 1.0).ends_with(&[10, 10]));
    }

    #[test]
    fn a_refused_call_is_told_when_to_come_back() {
        let rate = Rate::new(5);
        let now = Timestamp::from_millis(1_000);
        for _ in 0..10 {
            assert_eq!(rate.take(now, 1.0), Ok(()));
        }
        assert_eq!(rate.take(now, 1.0), Err(Duration::from_millis(200)));
        assert_eq!(rate.take(Timestamp::from_millis(1_200), 1.0), Ok(()));
    }

    #[test]
    fn a_tenth_of_the_rate_is_a_tenth_of_the_calls() {
        let total: usize = calls(&Rate::new(10), 20, 0.1).iter().sum();
        assert!((20..=22).contains(&total), "{total}");
    }

    #[test]
    fn even_the_slowest_rate_lets_calls_through() {
        assert!(Rate::new(0).take(Timestamp::from_millis(1_000), 0.1).is_ok());
    }
}
