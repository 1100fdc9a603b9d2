//! A tenant's calendar: its time zone, the days and hours on which its people work, its holidays.
//!
//! Owns: every step from "three business days" to a moment, and back. Never: reads a clock or the machine's time zones;
//! the zone data is part of the program, so every replica on every machine counts alike.
//! A day begins at midnight of the zone, or when the clock has jumped over it, and has 23, 24 or 25 hours.
//! Fails: only when it is made from texts; a moment beyond the calendar's end (the year 9999) is [`Timestamp::NEVER`].
//! Proved by: `super::tests`, week-ends, holidays and changes of the clock as a table, and properties over all zones in it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::domain::time::Timestamp;

/// When the people of a tenant work. Days without work do not count down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    zone: Zone,
    work_days: WorkDays,
    hours: Option<Hours>,
    holidays: BTreeSet<Date>,
}

/// A time zone of the IANA database, such as `Europe/Berlin`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A day on which nobody works, such as `2026-12-25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holiday(Date);

/// The days of the week on which people work; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkDays([bool; 7]);

/// The hours of a working day, such as `09:00-17:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    opens: Time,
    /// `None` is the end of the day.
    closes: Option<Time>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkDay {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

/// Why a text is no part of a calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCalendar {
    /// Not in the IANA database.
    #[error("there is no time zone `{0}`; write a name of the IANA database, such as `Europe/Berlin`")]
    Zone(Arc<str>),
    /// Not a date.
    #[error("`{0}` is not a date such as `2026-12-25`")]
    Holiday(Arc<str>),
    /// Not hours.
    #[error("`{0}` are not hours such as `09:00-17:00`, which end after they begin, at `24:00` at the latest")]
    Hours(Arc<str>),
    /// A week without work.
    #[error("a week needs at least one working day")]
    NoWorkDay,
}

impl Calendar {
    /// A calendar on which whole working days count.
    pub fn new(zone: Zone, work_days: WorkDays, holidays: impl IntoIterator<Item = Holiday>) -> Self {
        Self { zone, work_days, hours: None, holidays: holidays.into_iter().map(|Holiday(date)| date).collect() }
    }

    /// The same with hours, of which alone business time consists.
    #[must_use]
    pub fn with_hours(self, hours: Hours) -> Self {
        Self { hours: Some(hours), ..self }
    }

    /// The end of the `days`-th business day after the day on which `from` lies; for 0, the end of that day itself. The
    /// day of `from` never counts, not even when `from` is its first moment. Costs one step per day.
    pub fn plus_business_days(&self, from: Timestamp, days: u32) -> Timestamp {
        self.business_day_after(self.date_of(from), days).map_or(Timestamp::NEVER, |date| self.end_of(date))
    }

    /// How many business days have begun and ended after the day of `from` when `to` comes. Undoes
    /// [`Self::plus_business_days`]. Costs the same for a day and a century.
    pub fn business_days_between(&self, from: Timestamp, to: Timestamp) -> u32 {
        let (after, last) = (self.date_of(from), self.date_of(to));
        // The day of `to` itself has not ended yet.
        let Ok(until) = last.yesterday() else { return 0 };
        self.business_days_in(after, until)
    }

    /// When so much business time has passed since `from`: the hours of business days, or whole business days if the
    /// calendar has no hours. Real time: an hour that the clock skips does not count. Costs one step per day.
    pub fn plus_business_time(&self, from: Timestamp, duration: Duration) -> Timestamp {
        let (mut date, mut remaining) = (self.date_of(from), duration);
        loop {
            let (starts, closes) = self.open_since(from, date);
            let open = closes.since(starts);
            if remaining <= open {
                return starts.plus(remaining);
            }
            remaining -= open;
            let Ok(tomorrow) = date.tomorrow() else { return Timestamp::NEVER };
            date = tomorrow;
        }
    }

    /// The moment at which work begins on the `days`-th business day after the day of `from`.
    pub(super) fn opening_after(&self, from: Timestamp, days: u32) -> Timestamp {
        self.business_day_after(self.date_of(from), days).map_or(Timestamp::NEVER, |date| self.window(date).0)
    }

    fn business_day_after(&self, date: Date, days: u32) -> Option<Date> {
        let (mut date, mut remaining) = (date, days);
        while remaining > 0 {
            date = date.tomorrow().ok()?;
            remaining -= u32::from(self.is_business_day(date));
        }
        Some(date)
    }

    fn is_business_day(&self, date: Date) -> bool {
        self.work_days.has(date.weekday()) && !self.holidays.contains(&date)
    }

    /// Business days after one date, until another included.
    fn business_days_in(&self, after: Date, until: Date) -> u32 {
        let Ok(days) = u32::try_from((until - after).get_days()) else { return 0 };
        let begun = std::iter::successors(after.tomorrow().ok(), |date| date.tomorrow().ok());
        let rest = begun.take(7).take((days % 7) as usize).filter(|date| self.work_days.has(date.weekday())).count();
        let weeks = days / 7 * self.work_days.count();
        // Both dates lie between the years -9999 and 9999, so no sum of days comes near the bound of its type.
        let rest = u32::try_from(rest).unwrap_or(u32::MAX);
        let free = || {
            let range = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(until));
            self.holidays.range(range).filter(|holiday| self.work_days.has(holiday.weekday())).count()
        };
        // An empty range may not be asked for.
        let free = if after < until { free() } else { 0 };
        (weeks + rest).saturating_sub(u32::try_from(free).unwrap_or(u32::MAX))
    }

    /// What of a day's hours lies after `from`; nothing of a day without work.
    fn open_since(&self, from: Timestamp, date: Date) -> (Timestamp, Timestamp) {
        if !self.is_business_day(date) {
            return (from, from);
        }
        let (opens, closes) = self.window(date);
        (opens.max(from), closes)
    }

    /// When work begins and ends on a day.
    fn window(&self, date: Date) -> (Timestamp, Timestamp) {
        let Some(Hours { opens, closes }) = self.hours else { return (self.start_of(date), self.end_of(date)) };
        let closes = closes.map_or_else(|| self.end_of(date), |closes| self.at(date, closes));
        (self.at(date, opens), closes)
    }

    fn date_of(&self, moment: Timestamp) -> Date {
        self.zone.0.to_datetime(instant(moment)).date()
    }

    /// Midnight; one o'clock where the clock goes forward at midnight.
    fn start_of(&self, date: Date) -> Timestamp {
        self.at(date, Time::midnight())
    }

    /// The first moment of the next day.
    fn end_of(&self, date: Date) -> Timestamp {
        date.tomorrow().map_or(Timestamp::NEVER, |tomorrow| self.start_of(tomorrow))
    }

    /// A time of day that the clock skips is as long after its jump as it would have been after the moment before; one
    /// that the clock shows twice is the first of the two.
    fn at(&self, date: Date, time: Time) -> Timestamp {
        let zoned = date.to_datetime(time).to_zoned(self.zone.0.clone());
        zoned.map_or(Timestamp::NEVER, |zoned| moment(zoned.timestamp()))
    }
}

/// Times beyond the calendar are its first or last moment.
fn instant(moment: Timestamp) -> jiff::Timestamp {
    let edge = if moment < Timestamp::EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(moment.millis()).unwrap_or(edge)
}

fn moment(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(instant.as_millisecond())
}

impl WorkDays {
    /// These days, of which there must be one.
    pub fn new(days: impl IntoIterator<Item = WorkDay>) -> Result<Self, InvalidCalendar> {
        let mut week = [false; 7];
        for day in days {
            if let Some(works) = week.get_mut(day as usize) {
                *works = true;
            }
        }
        if week.contains(&true) { Ok(Self(week)) } else { Err(InvalidCalendar::NoWorkDay) }
    }

    fn has(self, day: Weekday) -> bool {
        let index = usize::try_from(day.to_monday_zero_offset()).ok();
        index.and_then(|index| self.0.get(index)).copied().unwrap_or(false)
    }

    fn count(self) -> u32 {
        self.0.iter().map(|works| u32::from(*works)).sum()
    }
}

/// Monday to Friday: what "business day" means where nobody says otherwise.
impl Default for WorkDays {
    fn default() -> Self {
        Self([true, true, true, true, true, false, false])
    }
}

impl FromStr for Zone {
    type Err = InvalidCalendar;

    fn from_str(text: &str) -> Result<Self, InvalidCalendar> {
        // `Etc/Unknown` is in the database, and stands for a zone that nobody knows.
        let known = TimeZoneDatabase::bundled().get(text).ok().filter(|zone| !zone.is_unknown());
        known.map(Self).ok_or_else(|| InvalidCalendar::Zone(shortened(text)))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("?"))
    }
}

impl FromStr for Holiday {
    type Err = InvalidCalendar;

    /// Year, month, day with hyphens: no other spelling of a date, since a misread holiday is noticed too late.
    fn from_str(text: &str) -> Result<Self, InvalidCalendar> {
        let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date = text.parse().ok().filter(|_| is_plain);
        date.map(Self).ok_or_else(|| InvalidCalendar::Holiday(shortened(text)))
    }
}

impl FromStr for Hours {
    type Err = InvalidCalendar;

    fn from_str(text: &str) -> Result<Self, InvalidCalendar> {
        let invalid = || InvalidCalendar::Hours(shortened(text));
        let (opens, closes) = text.split_once('-').ok_or_else(invalid)?;
        let opens = time_of_day(opens.trim()).ok_or_else(invalid)?;
        let closes = match closes.trim() {
            "24:00" => None,
            closes => Some(time_of_day(closes).filter(|closes| *closes > opens).ok_or_else(invalid)?),
        };
        Ok(Self { opens, closes })
    }
}

/// Hours and minutes, two digits each.
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i8>().ok().filter(|_| is_plain)
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// What is quoted in a message.
fn shortened(text: &str) -> Arc<str> {
    text.chars().filter(|character| !character.is_control()).take(40).collect::<String>().into()
}
