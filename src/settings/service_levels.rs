//! What a tenant's file promises about time, after the check.
//!
//! Owns: turning the part into [`ServiceLevels`], every mistake at its place. Never: counts a day.
//! Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::codes;
use super::raw_service_levels::{CountedTime, DayName, RawInactivity};
use super::reader::Reader;
use super::tenant::bounded;
use crate::limits::{FIRST_RESPONSE_SECS_MAX, FIRST_RESPONSE_SECS_MIN, HOLIDAYS_MAX};
use crate::service_levels::{
    Calendar, FirstResponse, Holiday, Hours, Inactivity, ServiceLevels, WorkDay, WorkDays, Zone,
};

/// `Some(None)` is a tenant that promises nothing, `None` one whose promises are wrong.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
pub(super) fn service_levels(reader: &mut Reader<'_>) -> Option<Option<Arc<ServiceLevels>>> {
    if reader.is_absent("service_levels") {
        return Some(None);
    }
    let calendar = calendar(reader);
    let first_response = first_response(reader);
    let inactivity = inactivity(reader);
    if matches!((&first_response, &inactivity), (Some(None), Some(None))) {
        let message = "nothing is promised: there is neither `first_response` nor `inactivity`";
        reader.warning(codes::NO_SERVICE_LEVEL, "service_levels", message);
    }
    Some(Some(Arc::new(ServiceLevels::new(calendar?, first_response?, inactivity?))))
}

fn calendar(reader: &mut Reader<'_>) -> Option<Calendar> {
    const ZONE: &str = "service_levels.calendar.time_zone";
    const DAYS: &str = "service_levels.calendar.work_days";
    let zone: Option<String> = reader.required(ZONE);
    let zone = zone.and_then(|text| reader.check(codes::CALENDAR, ZONE, text.parse::<Zone>()));
    let days: Option<Option<Vec<DayName>>> = reader.part(DAYS, || None);
    let days = days.and_then(|days| match days {
        Some(days) => reader.check(codes::CALENDAR, DAYS, WorkDays::new(days.into_iter().map(WorkDay::from))),
        None => Some(WorkDays::default()),
    });
    let hours = hours(reader);
    let holidays = holidays(reader);
    let calendar = Calendar::new(zone?, days?, holidays?);
    Some(match hours? {
        Some(hours) => calendar.with_hours(hours),
        None => calendar,
    })
}

/// `Some(None)`: days have no hours.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn hours(reader: &mut Reader<'_>) -> Option<Option<Hours>> {
    const PATH: &str = "service_levels.calendar.hours";
    match reader.part(PATH, || None::<String>)? {
        Some(text) => reader.check(codes::CALENDAR, PATH, text.parse()).map(Some),
        None => Some(None),
    }
}

fn holidays(reader: &mut Reader<'_>) -> Option<Vec<Holiday>> {
    const PATH: &str = "service_levels.calendar.holidays";
    let count = reader.count(PATH);
    if count > HOLIDAYS_MAX {
        reader.error(codes::TOO_MANY, PATH, format!("there are at most {HOLIDAYS_MAX} holidays, not {count}"));
        return None;
    }
    // One by one, so that a mistake in one does not hide those in the others.
    let holiday = |index| {
        let path = format!("{PATH}.{index}");
        let text: String = reader.required(&path)?;
        reader.check(codes::CALENDAR, &path, text.parse())
    };
    let holidays: Vec<Option<Holiday>> = (0..count).map(holiday).collect();
    reader.part(PATH, Vec::<serde_json::Value>::new)?;
    holidays.into_iter().collect()
}

/// `Some(None)`: a first response is not promised.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn first_response(reader: &mut Reader<'_>) -> Option<Option<FirstResponse>> {
    const PATH: &str = "service_levels.first_response";
    const IN: &str = "service_levels.first_response_in";
    let counted = reader.part(IN, CountedTime::default);
    let text: Option<String> = reader.part(PATH, || None)?;
    let Some(text) = text else {
        if counted.is_some() && !reader.is_absent(IN) {
            reader.error(
                codes::SERVICE_LEVELS,
                IN,
                "`first_response_in` says how `first_response` counts, which is not there",
            );
            return None;
        }
        return Some(None);
    };
    let within: Option<Duration> = bounded(reader, PATH, &text, FIRST_RESPONSE_SECS_MIN, FIRST_RESPONSE_SECS_MAX);
    let counted = counted?;
    if counted == CountedTime::Business && reader.is_absent("service_levels.calendar.hours") {
        reader.error(codes::SERVICE_LEVELS, IN, "business time needs the hours of a day: there is no `calendar.hours`");
        reader.hint("write `hours: \"09:00-17:00\"` under `calendar`");
        return None;
    }
    Some(Some(match counted {
        CountedTime::Clock => FirstResponse::Clock(within?),
        CountedTime::Business => FirstResponse::Business(within?),
    }))
}

/// `Some(None)`: silent tickets stay open.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
fn inactivity(reader: &mut Reader<'_>) -> Option<Option<Inactivity>> {
    const PATH: &str = "service_levels.inactivity";
    let Some(raw) = reader.part(PATH, || None::<RawInactivity>)? else { return Some(None) };
    let RawInactivity { customer, system, remind } = raw;
    let checked = Inactivity::new(customer, system, remind);
    reader.check(codes::SERVICE_LEVELS, &format!("{PATH}.remind"), checked).map(Some)
}
