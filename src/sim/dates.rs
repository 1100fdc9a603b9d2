//! Date-times the way the platform writes them: `2026-11-22 06:00:00`, UTC, no zone mark, whole seconds.
//!
//! Owns: text to milliseconds and back, and the shift into a user's zone. Never: reads a clock.
//! Fails: text that is not a date-time is `None`; the caller then ignores the write (facts/servicenow 1.5).
//! Proved by: the tests below.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

const FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// Milliseconds since the epoch as raw text (facts/servicenow 1.10).
pub(super) fn text(millis: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(stamp).strftime(FORMAT).to_string()
}

/// Raw text as milliseconds since the epoch; a bare date is its midnight.
pub(super) fn millis(text: &str) -> Option<i64> {
    let moment = DateTime::strptime(FORMAT, text)
        .or_else(|_| Date::strptime("%Y-%m-%d", text).map(|date| date.at(0, 0, 0, 0)))
        .ok()?;
    TimeZone::UTC.to_timestamp(moment).ok().map(jiff::Timestamp::as_millisecond)
}

/// Moves raw text by whole minutes: plus to show UTC in a user's zone, minus to read it from there.
pub(super) fn shift(raw: &str, minutes: i64) -> Option<String> {
    millis(raw).map(|at| text(at.saturating_add(minutes.saturating_mul(60_000))))
}

/// As a `Date` header tells it: `Sun, 22 Nov 2026 06:00:00 GMT`.
pub(super) fn http(millis: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, at: Option<i64>) {
        assert_eq!(millis(raw), at, "{raw}");
    }

    #[test]
    fn raw_text_is_utc() {
        check("1970-01-01 00:00:01", Some(1_000));
        check("2026-11-22 06:00:00", Some(1_795_327_200_000));
        check("2026-11-22", Some(1_795_305_600_000));
        check("22.11.2026", None);
        check("", None);
        assert_eq!(text(1_795_327_200_999), "2026-11-22 06:00:00", "whole seconds, cut");
    }

    #[test]
    fn a_user_sees_the_time_of_their_zone() {
        assert_eq!(shift("2026-11-22 23:30:00", 60).as_deref(), Some("2026-11-23 00:30:00"));
    }
}
