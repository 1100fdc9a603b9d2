//! What may stand under `service_levels` in a tenant's file.
//!
//! Owns: names, defaults and documentation of the keys; see [`super::raw`] for how these types are used. Never: judges
//! values; that is [`super::service_levels`]. Fails: it cannot. Proved by: `tests/settings.rs`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::limits::INACTIVITY_DAYS_MAX;
use crate::service_levels::WorkDay;

/// What is promised about time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServiceLevels")]
#[expect(dead_code, reason = "describes the file for the schema; the parts are read one by one")]
pub(super) struct RawServiceLevels {
    /// When the tenant's people work.
    calendar: RawCalendar,
    /// How soon a new ticket is answered: `1m` to `30d`.
    first_response: Option<String>,
    /// Whether day and night count for `first_response`, or the calendar's hours alone.
    #[serde(default)]
    first_response_in: CountedTime,
    /// Closing tickets that wait for a silent customer.
    inactivity: Option<RawInactivity>,
}

/// When the tenant's people work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Calendar")]
#[expect(dead_code, reason = "describes the file for the schema; the parts are read one by one")]
pub(super) struct RawCalendar {
    /// A name of the IANA database, such as `Europe/Berlin`.
    time_zone: String,
    /// The days of the week on which people work; Monday to Friday by default.
    work_days: Option<Vec<DayName>>,
    /// The hours of a working day, such as `09:00-17:00`; only `first_response_in: business` looks at them.
    hours: Option<String>,
    /// Days on which nobody works, such as `2026-12-25`.
    #[serde(default)]
    holidays: Vec<String>,
}

/// Which time counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CountedTime {
    /// Day and night, every day.
    #[default]
    Clock,
    /// The calendar's hours on its business days.
    Business,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DayName {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Closing tickets that wait for a silent customer. All three in business days.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Inactivity")]
pub(super) struct RawInactivity {
    /// For tickets that the customer or a partner raised.
    #[schemars(range(min = 2, max = INACTIVITY_DAYS_MAX))]
    pub(super) customer: u32,
    /// For all others.
    #[schemars(range(min = 2, max = INACTIVITY_DAYS_MAX))]
    pub(super) system: u32,
    /// How long before the close the customer is reminded; less than both.
    #[serde(default = "a_day")]
    #[schemars(range(min = 1, max = INACTIVITY_DAYS_MAX))]
    pub(super) remind: u32,
}

const fn a_day() -> u32 {
    1
}

impl From<DayName> for WorkDay {
    fn from(name: DayName) -> Self {
        match name {
            DayName::Mon => Self::Monday,
            DayName::Tue => Self::Tuesday,
            DayName::Wed => Self::Wednesday,
            DayName::Thu => Self::Thursday,
            DayName::Fri => Self::Friday,
            DayName::Sat => Self::Saturday,
            DayName::Sun => Self::Sunday,
        }
    }
}
