//! Points in time as milliseconds since the UNIX epoch, UTC; and the clock as a value.
//!
//! Owns: the arithmetic. Never: reads the machine's clock (that is `runtime::clock`).
//! Two clocks are real: the machine's, and the simulated one that the seeded simulation steps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. May be negative; never overflows (it saturates).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The epoch itself, also used as "long ago".
    pub const EPOCH: Self = Self(0);
    /// Later than anything: "not before a person acts".
    pub const NEVER: Self = Self(i64::MAX);

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This much later; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This much earlier; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` until `self`; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Timestamp {
    /// Reads RFC 3339, such as `2026-11-22T06:00:00Z`.
    pub fn parse(text: &str) -> Option<Self> {
        let stamp: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Self(stamp.as_millisecond()))
    }

    /// Reads a raw date-time of ServiceNow, such as `2026-11-22 06:00:00`, which is UTC.
    pub fn parse_utc(raw: &str) -> Option<Self> {
        let civil: jiff::civil::DateTime = raw.trim().parse().ok().filter(|_| raw.contains(':'))?;
        let stamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Self(stamp.as_millisecond()))
    }

    /// Writes it as ServiceNow does: UTC, whole seconds, no zone.
    pub fn raw_utc(self) -> String {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        jiff::tz::TimeZone::UTC.to_datetime(stamp).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// RFC 3339 in UTC with milliseconds, such as `2026-11-22T06:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => f.write_str("never"),
        }
    }
}

/// Where "now" comes from. Durations inside one process are differences of `now` of one clock.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// A clock that can be handed around.
pub type SharedClock = Arc<dyn Clock>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servicenows_own_times_are_read_and_written() {
        let raw = "2026-11-22 06:00:07";
        let moment = Timestamp::parse_utc(raw).unwrap();
        assert_eq!((moment.to_string().as_str(), moment.raw_utc().as_str()), ("2026-11-22T06:00:07.000Z", raw));
        for wrong in ["", "2026-11-22", "22.11.2026 06:00:07", "soon"] {
            assert_eq!(Timestamp::parse_utc(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Timestamp::NEVER.plus(Duration::from_secs(1)), Timestamp::NEVER);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::NEVER), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(-1).seconds(), -1);
    }

    #[test]
    fn it_prints_as_rfc_3339_utc() {
        assert_eq!(Timestamp::from_millis(1_795_327_200_000).to_string(), "2026-11-22T06:00:00.000Z");
        assert_eq!(Timestamp::NEVER.to_string(), "never");
    }
}
