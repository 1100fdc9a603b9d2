//! Rate-limit rules: a fixed hourly window per user, counted late.
//!
//! Owns: counting and the three headers. Never: waits or reads a clock. Fails: it cannot.
//! Proved by: the tests below. Source: "Inbound REST API rate limiting" (facts/servicenow 3.1).

use std::collections::BTreeMap;

use super::random::sys_id_of;

const HOUR_SECS: i64 = 3_600;

/// What the rule says about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) limit: u32,
    /// End of the window, seconds since the epoch.
    pub(super) reset_secs: i64,
    /// Seconds until then, if the call is refused.
    pub(super) refused: Option<i64>,
}

impl Admission {
    /// `X-RateLimit-Limit`, `-Reset`, `-Rule`, and `Retry-After` when refused. There is no `-Remaining`.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("X-RateLimit-Limit".to_owned(), self.limit.to_string()),
            ("X-RateLimit-Reset".to_owned(), self.reset_secs.to_string()),
            ("X-RateLimit-Rule".to_owned(), sys_id_of("sys_rate_limit_rules:table")),
        ];
        headers.extend(self.refused.map(|wait| ("Retry-After".to_owned(), wait.to_string())));
        headers
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    window: i64,
    /// Calls the whole instance knows of.
    committed: u32,
    /// Calls only this node knows of, and when it last told.
    pending: u32,
    committed_at: i64,
}

/// One rule on the Table API, counted per user.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    limit: Option<u32>,
    counts: BTreeMap<String, Count>,
}

impl Rates {
    pub(super) fn limited_to(limit: Option<u32>) -> Self {
        Self { limit, counts: BTreeMap::new() }
    }

    /// Counts a call at `now` (seconds); `None` without a rule, and then there are no headers at all.
    pub(super) fn admit(&mut self, user: &str, now: i64, lag: u32) -> Option<Admission> {
        let limit = self.limit?;
        let (window, lag) = (now.div_euclid(HOUR_SECS), i64::from(lag));
        let count = self.counts.entry(user.to_owned()).or_default();
        if count.window != window {
            *count = Count { window, committed_at: now, ..Count::default() };
        }
        if now.saturating_sub(count.committed_at) >= lag {
            count.committed = count.committed.saturating_add(count.pending);
            (count.pending, count.committed_at) = (0, now);
        }
        let reset_secs = window.saturating_add(1).saturating_mul(HOUR_SECS);
        let refused = (count.committed >= limit).then(|| reset_secs.saturating_sub(now));
        if refused.is_none() {
            count.pending = count.pending.saturating_add(1);
        }
        Some(Admission { limit, reset_secs, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rates: &mut Rates, now: i64, lag: u32, refused: Option<i64>) {
        let admission = rates.admit("snowgate", now, lag).expect("there is a rule");
        assert_eq!(admission.refused, refused, "at {now}");
    }

    #[test]
    fn the_window_is_a_fixed_hour() {
        let mut rates = Rates::limited_to(Some(2));
        check(&mut rates, 7_200, 0, None);
        check(&mut rates, 7_300, 0, None);
        check(&mut rates, 7_300, 0, Some(3_500));
        check(&mut rates, 10_799, 0, Some(1));
        check(&mut rates, 10_800, 0, None);
    }

    #[test]
    fn late_counters_admit_too_many() {
        let mut rates = Rates::limited_to(Some(1));
        for _ in 0..5 {
            check(&mut rates, 7_200, 30, None);
        }
        check(&mut rates, 7_229, 30, None);
        check(&mut rates, 7_230, 30, Some(3_570));
    }

    #[test]
    fn users_are_counted_apart_and_without_a_rule_nobody_is() {
        let mut rates = Rates::limited_to(Some(1));
        check(&mut rates, 7_200, 0, None);
        assert_eq!(rates.admit("other", 7_200, 0).and_then(|admission| admission.refused), None);
        assert_eq!(Rates::limited_to(None).admit("snowgate", 7_200, 0), None);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let mut rates = Rates::limited_to(Some(0));
        let headers = rates.admit("snowgate", 7_260, 0).expect("there is a rule").headers();
        let names: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(names.first(), Some(&("X-RateLimit-Limit", "0")));
        assert_eq!(names.get(1), Some(&("X-RateLimit-Reset", "10800")));
        assert_eq!(names.get(3), Some(&("Retry-After", "3540")));
    }
}
