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

/// The same as HTTP's `Date` header writes it.
pub(super) fn http(millis: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(stamp).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Raw text as milliseconds since the epoch; a bare date is its midnight.
pub(super) fn millis(text: &str) -> Option<i64> {
    let moment = DateTime::strptime(FORMAT, text)
        .or_else(|_| Date::strptime("%Y-%m-%d", text).map(|date| date.at(0, 0, 0, 0)))
        .ok()?;
    TimeZone::UTC.to_timestamp(moment).ok().map(jiff::Timestamp::as_millisecond)
}

/// How a user reads and writes date-times: a date format and a time format of the platform, in Java's letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(String);

impl Default for Format {
    fn default() -> Self {
        Self(FORMAT.to_owned())
    }
}

impl Format {
    /// `dd.MM.yyyy` and `HH:mm:ss`; letters of other meanings stand for themselves.
    pub(super) fn of(date: &str, time: &str) -> Self {
        // Longest first, so that `MMM` is not read as `MM` and a letter.
        const LETTERS: [(&str, &str); 10] = [
            ("yyyy", "%Y"),
            ("MMM", "%b"),
            ("MM", "%m"),
            ("dd", "%d"),
            ("HH", "%H"),
            ("hh", "%I"),
            ("mm", "%M"),
            ("ss", "%S"),
            ("a", "%p"),
            ("z", ""),
        ];
        let java = format!("{date} {time}");
        let (mut rest, mut format) = (java.trim(), String::new());
        while let Some(first) = rest.chars().next() {
            let meant = LETTERS.iter().find_map(|(letters, mark)| Some((mark, rest.strip_prefix(letters)?)));
            if let Some((mark, after)) = meant {
                format.push_str(mark);
                rest = after;
            } else {
                format.push(first);
                rest = rest.strip_prefix(first).unwrap_or_default();
            }
        }
        Self(format)
    }

    /// Raw text as the user sees it.
    pub(super) fn show(&self, raw: &str, zone_minutes: i64) -> Option<String> {
        let at = millis(raw)?.saturating_add(zone_minutes.saturating_mul(60_000));
        let stamp = jiff::Timestamp::from_millisecond(at).ok()?;
        Some(TimeZone::UTC.to_datetime(stamp).strftime(&self.0).to_string())
    }

    /// Raw text of what the user typed; the platform's own format is understood whatever the user's is.
    pub(super) fn read(&self, typed: &str, zone_minutes: i64) -> Option<String> {
        let raw = DateTime::strptime(&self.0, typed).map(|moment| moment.strftime(FORMAT).to_string());
        shift(raw.as_deref().unwrap_or(typed), -zone_minutes)
    }
}

/// The minutes east of UTC of a zone such as `Europe/Berlin` at a time; `None` if there is no such zone.
pub(super) fn minutes_east(zone: &str, millis: i64) -> Option<i64> {
    if ["GMT", "UTC"].contains(&zone) {
        return Some(0);
    }
    let stamp = jiff::Timestamp::from_millisecond(millis).ok()?;
    let zone = TimeZone::get(zone).ok()?;
    Some(i64::from(zone.to_offset(stamp).seconds()).div_euclid(60))
}

/// Moves raw text by whole minutes: plus to show UTC in a user's zone, minus to read it from there.
pub(super) fn shift(raw: &str, minutes: i64) -> Option<String> {
    millis(raw).map(|at| text(at.saturating_add(minutes.saturating_mul(60_000))))
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
        assert_eq!(minutes_east("Europe/Berlin", 1_795_327_200_000), Some(60));
        assert_eq!(minutes_east("US/Pacific", 1_795_327_200_000), Some(-480));
        assert_eq!(minutes_east("Nowhere", 0), None);
    }

    #[test]
    fn a_user_sees_and_types_dates_in_their_format() {
        for (date, time, shown) in [
            ("yyyy-MM-dd", "HH:mm:ss", "2026-11-22 14:05:09"),
            ("dd.MM.yyyy", "HH:mm:ss", "22.11.2026 14:05:09"),
            ("MM/dd/yyyy", "hh:mm:ss a", "11/22/2026 02:05:09 PM"),
            ("dd-MMM-yyyy", "HH.mm.ss", "22-Nov-2026 14.05.09"),
        ] {
            let format = Format::of(date, time);
            assert_eq!(format.show("2026-11-22 13:05:09", 60).as_deref(), Some(shown));
            assert_eq!(format.read(shown, 60).as_deref(), Some("2026-11-22 13:05:09"), "{shown}");
        }
        assert_eq!(Format::default().read("2026-11-22 13:05:09", 0).as_deref(), Some("2026-11-22 13:05:09"));
    }
}
