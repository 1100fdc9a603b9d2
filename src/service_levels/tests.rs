//! Business days and hours as tables over zones and years, and what must hold for every moment as properties.

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;

use super::*;

const WEEK: [WorkDay; 7] = [
    WorkDay::Monday,
    WorkDay::Tuesday,
    WorkDay::Wednesday,
    WorkDay::Thursday,
    WorkDay::Friday,
    WorkDay::Saturday,
    WorkDay::Sunday,
];

fn read<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// Monday to Friday, with two holidays of the turn of the year and one on a Saturday.
fn calendar(zone: &str) -> Calendar {
    let holidays = ["2026-12-25", "2026-12-26", "2027-01-01"];
    Calendar::new(read(zone), WorkDays::default(), holidays.map(read::<Holiday>))
}

fn every_day(zone: &str) -> Calendar {
    Calendar::new(read(zone), WorkDays::new(WEEK).unwrap(), [])
}

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

/// The moment at which clocks in the zone show this.
fn moment(name: &str, shown: &str) -> Timestamp {
    let shown: DateTime = shown.parse().unwrap();
    Timestamp::from_millis(shown.to_zoned(zone(name)).unwrap().timestamp().as_millisecond())
}

/// What clocks in the zone show at the moment, with their distance from UTC.
fn shown(name: &str, moment: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(moment.millis()).unwrap();
    instant.to_zoned(zone(name)).strftime("%Y-%m-%d %H:%M%:z").to_string()
}

fn check_days(name: &str, calendar: &Calendar, from: &str, days: u32, expected: &str) {
    let from = moment(name, from);
    let ends = calendar.plus_business_days(from, days);
    assert_eq!(shown(name, ends), expected, "{days} business days after {}", shown(name, from));
    assert_eq!(calendar.business_days_between(from, ends), days, "and counted back");
}

fn check_time(name: &str, calendar: &Calendar, from: &str, hours: u64, expected: &str) {
    let ends = calendar.plus_business_time(moment(name, from), Duration::from_hours(hours));
    assert_eq!(shown(name, ends), expected, "{hours} h of business time after {from}");
}

#[test]
fn a_business_day_ends_when_the_clocks_of_the_zone_say_so() {
    for (zone, from, days, expected) in [
        // a week-end, and three moments that come to the same
        ("Europe/Berlin", "2026-11-20 10:00", 1, "2026-11-24 00:00+01:00"),
        ("Europe/Berlin", "2026-11-20 00:00", 1, "2026-11-24 00:00+01:00"),
        ("Europe/Berlin", "2026-11-21 10:00", 1, "2026-11-24 00:00+01:00"),
        ("Europe/Berlin", "2026-11-22 23:59", 1, "2026-11-24 00:00+01:00"),
        ("Europe/Berlin", "2026-11-20 10:00", 0, "2026-11-21 00:00+01:00"),
        ("Europe/Berlin", "2026-11-02 08:00", 15, "2026-11-24 00:00+01:00"),
        // holidays, an activity on one, the turn of the year
        ("Europe/Berlin", "2026-12-22 15:10", 3, "2026-12-29 00:00+01:00"),
        ("Europe/Berlin", "2026-12-25 12:00", 1, "2026-12-29 00:00+01:00"),
        ("Europe/Berlin", "2026-12-26 12:00", 1, "2026-12-29 00:00+01:00"),
        ("Europe/Berlin", "2026-12-29 15:10", 3, "2027-01-05 00:00+01:00"),
        ("Europe/Berlin", "2026-12-31 23:59", 1, "2027-01-05 00:00+01:00"),
        // the clock goes forward, and back
        ("Europe/Berlin", "2026-03-27 12:00", 1, "2026-03-31 00:00+02:00"),
        ("Europe/Berlin", "2026-10-23 12:00", 1, "2026-10-27 00:00+01:00"),
        ("America/New_York", "2026-03-06 23:30", 1, "2026-03-10 00:00-04:00"),
        ("America/New_York", "2026-10-30 12:00", 1, "2026-11-03 00:00-05:00"),
        // it goes forward at midnight: Friday the 24th begins at one o'clock
        ("Africa/Cairo", "2026-04-22 12:00", 1, "2026-04-24 01:00+03:00"),
        // zones that never change it, one of them by half an hour
        ("Asia/Kolkata", "2026-11-20 23:59", 1, "2026-11-24 00:00+05:30"),
        ("Asia/Kolkata", "2026-03-27 00:10", 3, "2026-04-02 00:00+05:30"),
        ("Asia/Tokyo", "2026-12-31 12:00", 2, "2027-01-06 00:00+09:00"),
        ("UTC", "2026-02-26 12:00", 2, "2026-03-03 00:00+00:00"),
        ("UTC", "2028-02-28 12:00", 1, "2028-03-01 00:00+00:00"),
    ] {
        check_days(zone, &calendar(zone), from, days, expected);
    }
}

#[test]
fn a_week_may_begin_on_any_day() {
    let days = [WorkDay::Sunday, WorkDay::Monday, WorkDay::Tuesday, WorkDay::Wednesday, WorkDay::Thursday];
    let riyadh = Calendar::new(read("Asia/Riyadh"), WorkDays::new(days).unwrap(), []);
    check_days("Asia/Riyadh", &riyadh, "2026-11-19 12:00", 1, "2026-11-23 00:00+03:00");
    let only_monday = Calendar::new(read("UTC"), WorkDays::new([WorkDay::Monday]).unwrap(), []);
    check_days("UTC", &only_monday, "2026-11-23 12:00", 2, "2026-12-08 00:00+00:00");
    assert_eq!(WorkDays::new([]), Err(InvalidCalendar::NoWorkDay));
}

#[test]
fn a_day_has_the_hours_that_the_zone_gives_it() {
    for (zone, from, hours) in [
        ("Europe/Berlin", "2026-03-28 12:00", 23),
        ("Europe/Berlin", "2026-10-24 12:00", 25),
        ("America/New_York", "2026-03-07 12:00", 23),
        ("America/New_York", "2026-10-31 12:00", 25),
        ("Asia/Kolkata", "2026-03-28 12:00", 24),
    ] {
        let (from, calendar) = (moment(zone, from), every_day(zone));
        let (ends, next) = (calendar.plus_business_days(from, 0), calendar.plus_business_days(from, 1));
        assert_eq!(next.since(ends), Duration::from_hours(hours), "{zone}, the day that ends {}", shown(zone, next));
    }
}

#[test]
fn business_time_is_the_hours_of_business_days() {
    let berlin = "Europe/Berlin";
    let office = calendar(berlin).with_hours(read("09:00-17:00"));
    for (from, hours, expected) in [
        ("2026-11-20 10:00", 4, "2026-11-20 14:00+01:00"),
        ("2026-11-20 07:00", 4, "2026-11-20 13:00+01:00"),
        ("2026-11-20 13:00", 4, "2026-11-20 17:00+01:00"),
        ("2026-11-20 16:00", 4, "2026-11-23 12:00+01:00"),
        ("2026-11-20 17:00", 4, "2026-11-23 13:00+01:00"),
        ("2026-11-20 23:00", 4, "2026-11-23 13:00+01:00"),
        ("2026-11-21 11:00", 4, "2026-11-23 13:00+01:00"),
        ("2026-11-23 09:00", 20, "2026-11-25 13:00+01:00"),
        ("2026-12-24 16:00", 2, "2026-12-28 10:00+01:00"),
        ("2026-12-31 16:00", 2, "2027-01-04 10:00+01:00"),
        ("2026-03-27 16:00", 2, "2026-03-30 10:00+02:00"),
        ("2026-10-23 16:00", 2, "2026-10-26 10:00+01:00"),
    ] {
        check_time(berlin, &office, from, hours, expected);
    }
    check_time(berlin, &calendar(berlin), "2026-11-20 22:00", 4, "2026-11-23 02:00+01:00");
}

#[test]
fn business_time_is_real_time_where_the_clock_changes() {
    let berlin = "Europe/Berlin";
    let around_the_clock = every_day(berlin).with_hours(read("00:00-24:00"));
    check_time(berlin, &around_the_clock, "2026-03-28 22:00", 4, "2026-03-29 03:00+02:00");
    check_time(berlin, &around_the_clock, "2026-10-24 22:00", 6, "2026-10-25 03:00+01:00");
    let early = every_day(berlin).with_hours(read("02:30-10:00"));
    check_time(berlin, &early, "2026-03-28 20:00", 1, "2026-03-29 04:30+02:00");
    check_time(berlin, &early, "2026-10-24 20:00", 1, "2026-10-25 02:30+01:00");
    let york = "America/New_York";
    check_time(york, &every_day(york), "2026-03-07 23:00", 24, "2026-03-09 00:00-04:00");
    check_time(york, &every_day(york), "2026-10-31 23:00", 24, "2026-11-01 22:00-05:00");
}

#[test]
fn moments_beyond_every_calendar_are_never_and_nothing_panics() {
    let calendar = calendar("Europe/Berlin");
    let edges = [i64::MIN, -1, 0, i64::MAX - 1, i64::MAX].map(Timestamp::from_millis);
    for from in edges {
        for to in edges {
            assert!(from < to || calendar.business_days_between(from, to) == 0);
        }
        assert!(calendar.plus_business_time(from, Duration::from_hours(720)) >= from);
    }
    assert_eq!(calendar.plus_business_days(Timestamp::NEVER, 1), Timestamp::NEVER);
    assert_eq!(calendar.plus_business_days(Timestamp::EPOCH, u32::MAX), Timestamp::NEVER);
    let long = calendar.business_days_between(Timestamp::EPOCH, Timestamp::NEVER);
    assert_eq!(
        calendar.business_days_between(Timestamp::EPOCH, calendar.plus_business_days(Timestamp::EPOCH, long)),
        long
    );
}

#[test]
fn what_is_no_calendar_is_refused_with_what_would_be_one() {
    for bad in ["", "Berlin", "Europe/Berlinn", "+01:00", "Etc/Unknown", "../etc/passwd", "Europe/Berlin\n"] {
        assert!(bad.parse::<Zone>().is_err(), "{bad}");
    }
    for bad in ["", "2026-02-30", "25.12.2026", "2026-12-25T00:00", "20261225", "2026-1-1", "+002026-12-25", "12-25"] {
        assert!(bad.parse::<Holiday>().is_err(), "{bad}");
    }
    for bad in
        ["", "9-17", "09:00", "17:00-09:00", "09:00-09:00", "09:00-24:01", "24:00-24:00", "09:60-17:00", "+9:00-17:00"]
    {
        assert!(bad.parse::<Hours>().is_err(), "{bad}");
    }
    assert_eq!(format!("{:?}", read::<Zone>("europe/berlin")), "Europe/Berlin");
}

/// The worked example of `docs/service-levels.md`.
fn levels() -> ServiceLevels {
    let first_response = FirstResponse::Clock(Duration::from_hours(4));
    ServiceLevels::new(calendar(BERLIN), Some(first_response), Some(Inactivity::new(3, 15, 1).unwrap()))
}

const BERLIN: &str = "Europe/Berlin";

fn berlin(shown: &str) -> Timestamp {
    moment(BERLIN, shown)
}

/// A customer's ticket that was answered and waits for the customer, who wrote last on a Tuesday before Christmas.
fn waiting() -> Activity {
    Activity {
        opened_at: berlin("2026-12-21 09:00"),
        last_customer_activity: berlin("2026-12-22 15:10"),
        waits_since: None,
        reminded_at: None,
        first_response_at: Some(berlin("2026-12-21 10:00")),
        origin: Some(Origin::Customer),
        waits_for_customer: true,
        is_open: true,
    }
}

/// What is due, in words.
fn told(levels: &ServiceLevels, activity: &Activity, now: Timestamp) -> String {
    let words = levels.judge(activity, now).into_iter().map(|due| match due {
        Due::Remind { since, closes_at } => {
            format!("remind of {}, closes {}", shown(BERLIN, since), shown(BERLIN, closes_at))
        }
        Due::Close { since } => format!("close, silent since {}", shown(BERLIN, since)),
        Due::FirstResponse { due, overdue: false } => format!("answer by {}", shown(BERLIN, due)),
        Due::FirstResponse { due, overdue: true } => format!("answer was due {}", shown(BERLIN, due)),
    });
    words.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_silent_customer_is_reminded_and_then_the_ticket_is_due_to_close() {
    let remind = "remind of 2026-12-22 15:10+01:00, closes 2026-12-29 00:00+01:00";
    let close = "close, silent since 2026-12-22 15:10+01:00";
    let reminded = Activity { reminded_at: Some(berlin("2026-12-24 00:03")), ..waiting() };
    for (activity, now, expected) in [
        (waiting(), "2026-12-22 16:00", ""),
        (waiting(), "2026-12-23 23:59", ""),
        (waiting(), "2026-12-24 00:00", remind),
        (waiting(), "2026-12-24 23:59", remind),
        (reminded, "2026-12-24 00:03", ""),
        (reminded, "2026-12-28 23:59", ""),
        (reminded, "2026-12-29 00:00", close),
        (reminded, "2027-02-01 00:00", close),
    ] {
        assert_eq!(told(&levels(), &activity, berlin(now)), expected, "{now}");
    }
}

#[test]
fn a_late_reminder_puts_the_close_off() {
    let late = "2027-01-12 10:00";
    let expected = "remind of 2026-12-22 15:10+01:00, closes 2027-01-14 00:00+01:00";
    assert_eq!(told(&levels(), &waiting(), berlin(late)), expected);
    let reminded = Activity { reminded_at: Some(berlin(late)), ..waiting() };
    assert_eq!(told(&levels(), &reminded, berlin("2027-01-13 23:59")), "");
    assert_eq!(told(&levels(), &reminded, berlin("2027-01-14 00:00")), "close, silent since 2026-12-22 15:10+01:00");
}

#[test]
fn a_reminder_comes_when_people_begin_to_work() {
    let calendar = calendar(BERLIN).with_hours(read("09:00-17:00"));
    let levels = ServiceLevels::new(calendar, None, Some(Inactivity::new(3, 15, 1).unwrap()));
    assert_eq!(told(&levels, &waiting(), berlin("2026-12-24 08:59")), "");
    assert!(told(&levels, &waiting(), berlin("2026-12-24 09:00")).starts_with("remind of"));
}

#[test]
fn whatever_happens_begins_the_count_anew() {
    let much_later = berlin("2027-03-01 12:00");
    let written = Activity {
        last_customer_activity: berlin("2027-02-26 12:00"),
        reminded_at: Some(berlin("2026-12-24 00:03")),
        ..waiting()
    };
    assert_eq!(told(&levels(), &written, much_later), "");
    let days_later = told(&levels(), &written, berlin("2027-03-08 12:00"));
    assert!(days_later.starts_with("remind of 2027-02-26"), "an old reminder is none of a new silence: {days_later}");
    let asked = Activity { waits_since: Some(berlin("2027-02-26 12:00")), ..waiting() };
    assert_eq!(told(&levels(), &asked, much_later), "", "nobody is silent about what they were not asked");
    let opened = Activity { last_customer_activity: Timestamp::EPOCH, opened_at: much_later, ..waiting() };
    assert_eq!(told(&levels(), &opened, much_later), "", "a customer who never did anything");
}

#[test]
fn who_raised_it_decides_how_long_silence_is_tolerated() {
    for (origin, expected) in [
        (Some(Origin::Customer), "2026-12-29 00:00+01:00"),
        (Some(Origin::Partner), "2026-12-29 00:00+01:00"),
        (Some(Origin::System), "2027-01-15 00:00+01:00"),
        (Some(Origin::Provider), "2027-01-15 00:00+01:00"),
        (Some(Origin::Tool), "2027-01-15 00:00+01:00"),
        (Some(Origin::Unknown), "2027-01-15 00:00+01:00"),
        (None, "2027-01-15 00:00+01:00"),
    ] {
        let reminded = Activity { origin, reminded_at: Some(waiting().last_customer_activity), ..waiting() };
        let closes = berlin(expected.get(..16).unwrap());
        assert_eq!(told(&levels(), &reminded, Timestamp::from_millis(closes.millis() - 1)), "", "{origin:?}");
        assert!(told(&levels(), &reminded, closes).starts_with("close"), "{origin:?}");
    }
}

#[test]
fn only_open_tickets_that_wait_for_the_customer_count_down() {
    let never = Timestamp::NEVER;
    let with = |waits_for_customer, is_open| Activity { waits_for_customer, is_open, ..waiting() };
    assert!(!levels().judge(&with(true, true), never).is_empty());
    for activity in [with(false, true), with(true, false), with(false, false)] {
        assert_eq!(levels().judge(&activity, never), [], "{activity:?}");
    }
    let silent = ServiceLevels::new(calendar(BERLIN), None, None);
    assert_eq!(silent.judge(&waiting(), never), []);
    assert!(levels().closes_silent_tickets() && !silent.closes_silent_tickets());
}

#[test]
fn a_first_response_is_owed_until_somebody_answers() {
    let unanswered = Activity { first_response_at: None, waits_for_customer: false, ..waiting() };
    assert_eq!(told(&levels(), &unanswered, berlin("2026-12-21 13:00")), "answer by 2026-12-21 13:00+01:00");
    let past = berlin("2026-12-21 13:01");
    assert_eq!(told(&levels(), &unanswered, past), "answer was due 2026-12-21 13:00+01:00");
    assert_eq!(told(&levels(), &Activity { is_open: false, ..unanswered }, past), "");
    assert_eq!(told(&levels(), &Activity { first_response_at: Some(past), ..unanswered }, past), "");
    let office = calendar(BERLIN).with_hours(read("09:00-17:00"));
    let levels = ServiceLevels::new(office, Some(FirstResponse::Business(Duration::from_hours(4))), None);
    let due = levels.first_response_due(berlin("2026-11-20 16:00")).unwrap();
    assert_eq!(shown(BERLIN, due), "2026-11-23 12:00+01:00", "a Friday's last hour and a Monday's first three");
    assert_eq!(ServiceLevels::new(calendar(BERLIN), None, None).first_response_due(past), None);
}

#[test]
fn a_reminder_without_a_day_before_the_close_is_refused() {
    for (customer, system, remind) in [(1, 15, 1), (3, 15, 3), (15, 3, 5), (3, 15, 20), (1, 1, 0)] {
        assert!(Inactivity::new(customer, system, remind).is_err(), "{customer} {system} {remind}");
    }
    assert!(Inactivity::new(2, 2, 1).is_ok());
}

const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "UTC",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Pacific/Kiritimati",
];

prop_compose! {
    fn any_calendar()(
        zone in proptest::sample::select(&ZONES[..]),
        week in proptest::collection::vec(proptest::sample::select(&WEEK[..]), 1..7),
        holidays in proptest::collection::vec((2024_i16..2030, 1_i8..13, 1_i8..29), 0..60),
    ) -> Calendar {
        let date = |(year, month, day)| read(&format!("{year:04}-{month:02}-{day:02}"));
        Calendar::new(read(zone), WorkDays::new(week).unwrap(), holidays.into_iter().map(date))
    }
}

fn any_moment() -> impl Strategy<Value = Timestamp> {
    // 2024 to 2030
    (1_704_067_200_000_i64..1_893_456_000_000).prop_map(Timestamp::from_millis)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adding_business_days_never_goes_back_and_counting_undoes_it(
        calendar in any_calendar(), from in any_moment(), later in any_moment(), days in 0_u32..300,
    ) {
        let ends = calendar.plus_business_days(from, days);
        prop_assert!(ends > from);
        prop_assert!(ends < calendar.plus_business_days(from, days + 1));
        if from <= later {
            prop_assert!(ends <= calendar.plus_business_days(later, days));
        }
        prop_assert_eq!(calendar.business_days_between(from, ends), days);
        let just_before = Timestamp::from_millis(ends.millis() - 1);
        prop_assert_eq!(calendar.business_days_between(from, just_before), days.saturating_sub(1));
    }

    #[test]
    fn counting_finds_the_last_day_that_has_ended(calendar in any_calendar(), from in any_moment(), to in any_moment()) {
        let days = calendar.business_days_between(from, to);
        prop_assert!(to < calendar.plus_business_days(from, days + 1));
        prop_assert!(days == 0 || calendar.plus_business_days(from, days) <= to);
    }

    #[test]
    fn business_time_adds_up(
        calendar in any_calendar(), from in any_moment(), first in 1_u64..500_000, second in 1_u64..500_000,
    ) {
        let (first, second) = (Duration::from_secs(first), Duration::from_secs(second));
        for calendar in [calendar.clone(), calendar.with_hours(read("09:00-17:30"))] {
            let (halfway, ends) =
                (calendar.plus_business_time(from, first), calendar.plus_business_time(from, first + second));
            prop_assert!(halfway >= from.plus(first) && ends > halfway);
            prop_assert_eq!(calendar.plus_business_time(halfway, second), ends);
        }
    }

    /// Somebody looks at the ticket now and then, at whatever times, and does what is due.
    #[test]
    fn nothing_is_closed_without_a_reminder_in_good_time(
        calendar in any_calendar(),
        since in any_moment(),
        (days, remind) in (2_u32..20).prop_flat_map(|days| (Just(days), 1..days)),
        steps_secs in proptest::collection::vec(60_u64..1_000_000, 1..60),
    ) {
        let levels = ServiceLevels::new(calendar.clone(), None, Some(Inactivity::new(days, days, remind).unwrap()));
        let mut ticket = Activity { opened_at: since, last_customer_activity: since, ..waiting() };
        let (mut now, mut promised) = (since, None);
        for step_secs in steps_secs {
            now = now.plus(Duration::from_secs(step_secs));
            match levels.judge(&ticket, now).first() {
                Some(Due::Remind { closes_at, .. }) => {
                    prop_assert!(promised.is_none(), "one reminder is enough");
                    prop_assert!(now < *closes_at);
                    (ticket.reminded_at, promised) = (Some(now), Some(*closes_at));
                }
                Some(Due::Close { .. }) => {
                    let reminded = ticket.reminded_at.unwrap();
                    prop_assert!(promised.is_some_and(|promised| promised <= now), "not before it was said");
                    prop_assert!(calendar.business_days_between(reminded, now) >= remind);
                    prop_assert!(calendar.business_days_between(since, now) >= days);
                    return Ok(());
                }
                Some(Due::FirstResponse { .. }) | None => {
                    let due = promised.unwrap_or_else(|| calendar.plus_business_days(since, days - remind));
                    prop_assert!(now < due, "nothing is forgotten");
                }
            }
        }
    }
}
