//! How long a peer asks us to wait (`facts/reliability.md` 4.2).
//!
//! A time is believed or ignored, never shortened. The peer's own `Date` stands for "now" where it sent one, so that a
//! wrong clock on either side neither stretches nor cuts the wait.

use std::time::Duration;

use super::message::Answer;
use crate::domain::time::Timestamp;
use crate::limits::{ASKED_WAIT_INSTEAD, ASKED_WAIT_MAX, RATE_RESET_WAIT_MAX, THROTTLED_WAIT, THROTTLED_WAIT_MIN};

/// Until when a counted `429` closes the gate: the later of what its headers say, and never at once.
pub fn throttled_until(now: Timestamp, answer: &Answer) -> Timestamp {
    let there = peer_now(now, answer);
    let asked = answer.header("retry-after").and_then(|text| wait_of(text, there));
    let reset = answer.header("x-ratelimit-reset").and_then(|text| reset_wait(text, there));
    let wait = asked.max(reset).unwrap_or(THROTTLED_WAIT);
    now.plus(wait.max(THROTTLED_WAIT_MIN))
}

/// What `Retry-After` asks for, if it is there and makes sense.
pub fn retry_after(now: Timestamp, answer: &Answer) -> Option<Timestamp> {
    let there = peer_now(now, answer);
    answer.header("retry-after").and_then(|text| wait_of(text, there)).map(|wait| now.plus(wait))
}

/// The wait until the hourly window ends, as any answer may tell it; `None` if it makes no sense or has passed.
pub fn window_ends(now: Timestamp, answer: &Answer) -> Option<Timestamp> {
    let there = peer_now(now, answer);
    let wait = answer.header("x-ratelimit-reset").and_then(|text| reset_wait(text, there))?;
    (!wait.is_zero()).then(|| now.plus(wait))
}

/// Now, by the peer's clock. A `Date` more than a day away is a broken clock, not a skew.
fn peer_now(now: Timestamp, answer: &Answer) -> Timestamp {
    let near = |there: &Timestamp| there.since(now).max(now.since(*there)) < ASKED_WAIT_MAX;
    date(answer).filter(near).unwrap_or(now)
}

/// What time it is by the peer's clock, if its answer says so.
pub fn date(answer: &Answer) -> Option<Timestamp> {
    answer.header("date").and_then(http_date)
}

/// Seconds, whole or with decimals, or an HTTP date.
fn wait_of(text: &str, there: Timestamp) -> Option<Duration> {
    let wait = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        }
        Ok(_) => return None,
        Err(_) => http_date(text)?.since(there),
    };
    Some(if wait > ASKED_WAIT_MAX { ASKED_WAIT_INSTEAD } else { wait })
}

/// A UNIX time in seconds, as documented; small numbers are a wait, huge ones milliseconds.
fn reset_wait(text: &str, there: Timestamp) -> Option<Duration> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
    let wait = if number < 1e9 {
        Duration::try_from_secs_f64(number).ok()?
    } else {
        let since_epoch = if number > 1e12 { number / 1e3 } else { number };
        let at = Timestamp::EPOCH.plus(Duration::try_from_secs_f64(since_epoch).ok()?);
        at.since(there)
    };
    (wait <= RATE_RESET_WAIT_MAX).then_some(wait)
}

/// `Sun, 22 Nov 2026 06:00:00 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::super::message::{HeaderMap, HeaderName, HeaderValue};
    use super::*;

    /// 2026-11-22T06:00:00Z.
    const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);

    fn answer(headers: &[(&'static str, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Answer { status: 429, headers: map, ..Answer::default() }
    }

    #[test]
    fn a_counted_refusal_waits_for_the_later_of_its_times() {
        // proves F31: 25 forms, each with its wait
        for (retry_after, reset, seconds) in [
            ("120", "", 120.0),
            ("0.5", "", 5.0),
            ("17.25", "", 17.25),
            ("Sun, 22 Nov 2026 06:02:00 GMT", "", 120.0),
            ("Sun, 22 Nov 2026 05:00:00 GMT", "", 5.0),
            ("86400", "", 86_400.0),
            ("86401", "", 3_600.0),
            ("1e300", "", 3_600.0),
            ("-1", "", 60.0),
            ("NaN", "", 60.0),
            ("inf", "", 60.0),
            ("soon", "", 60.0),
            ("", "1795327260", 60.0),
            ("", "90", 90.0),
            ("", "1795327290000", 90.0),
            ("", "1795327140", 5.0),
            ("", "1795334400", 7_200.0),
            ("", "1795334401", 60.0),
            ("", "9999999999", 60.0),
            ("", "-5", 60.0),
            ("", "garbage", 60.0),
            ("", "1e400", 60.0),
            ("10", "1795327260", 60.0),
            ("100", "1795327260", 100.0),
            ("100", "garbage", 100.0),
        ] {
            let headers = [("retry-after", retry_after), ("x-ratelimit-reset", reset)];
            let sent: Vec<_> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            let wait = throttled_until(NOW, &answer(&sent)).since(NOW);
            assert_eq!(wait, Duration::from_secs_f64(seconds), "retry-after {retry_after:?}, reset {reset:?}");
        }
    }

    #[test]
    fn the_peers_clock_decides_what_its_times_mean() {
        let late = ("date", "Sun, 22 Nov 2026 07:00:00 GMT");
        for header in [("retry-after", "Sun, 22 Nov 2026 07:02:00 GMT"), ("x-ratelimit-reset", "1795330920")] {
            assert_eq!(throttled_until(NOW, &answer(&[header, late])).since(NOW), Duration::from_mins(2), "{header:?}");
        }
        let broken = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
        let soon = ("x-ratelimit-reset", "1795327260");
        assert_eq!(throttled_until(NOW, &answer(&[soon, broken])).since(NOW), Duration::from_mins(1));
    }

    #[test]
    fn no_wait_is_invented_where_none_was_asked_for() {
        assert_eq!(retry_after(NOW, &answer(&[])), None);
        assert_eq!(retry_after(NOW, &answer(&[("retry-after", "x")])), None);
        assert_eq!(retry_after(NOW, &answer(&[("retry-after", "3")])), Some(NOW.plus(Duration::from_secs(3))));
        assert_eq!(window_ends(NOW, &answer(&[("x-ratelimit-reset", "1795327140")])), None);
    }

    proptest::proptest! {
        /// Whatever the headers say, the gate opens again, and never at once.
        #[test]
        fn a_wait_is_always_between_five_seconds_and_a_day(
            asked in "(-?[0-9]{1,20}(\\.[0-9]{1,5})?|[ -~]{0,30})",
            reset in "(-?[0-9]{1,20}|[ -~]{0,30})",
            date in "(Sun, 22 Nov 2026 [01][0-9]:00:00 GMT|[ -~]{0,30})",
        ) {
            // proves F31: whatever the headers say, between five seconds and a day
            let answer = answer(&[("retry-after", &asked), ("x-ratelimit-reset", &reset), ("date", &date)]);
            let wait = throttled_until(NOW, &answer).since(NOW);
            proptest::prop_assert!((THROTTLED_WAIT_MIN..=ASKED_WAIT_MAX).contains(&wait), "{:?}", wait);
        }
    }
}
