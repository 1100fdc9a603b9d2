//! Two replicas' paces over one shared row, without a store between them.

use super::shared::{Asked, Need};
use super::*;
use crate::delivery::sharing::SharedPace;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + millis)
}

fn replica(name: &str) -> Pace {
    let mut pace = Pace::new(Limits { calls_per_second: 10, calls_per_hour: 20_000, concurrency: 8 });
    pace.share(name.into());
    pace
}

fn question(pace: &mut Pace, millis: i64) -> Option<Asked> {
    match pace.need(at(millis), 1) {
        Need::Answer(asked) => Some(*asked),
        Need::Nothing | Need::Time(_) => None,
    }
}

/// Asks the row whatever is needed, as often as it is.
fn refresh(pace: &mut Pace, row: &mut SharedPace, millis: i64) {
    while let Some(asked) = question(pace, millis) {
        let answer = row.exchange(at(millis), &asked.ask);
        pace.adopt(at(millis), &asked, &answer, 0.5);
    }
}

fn tell(pace: &mut Pace, row: &mut SharedPace, millis: i64) -> bool {
    let Need::Answer(asked) = pace.news(at(millis)) else { return false };
    let answer = row.exchange(at(millis), &asked.ask);
    pace.adopt(at(millis), &asked, &answer, 0.5);
    true
}

/// One call as far as it may go: whether it was sent, and as a probe.
fn call(pace: &mut Pace, row: &mut SharedPace, millis: i64, outcome: &Outcome) -> Option<bool> {
    let now = at(millis);
    let entered = match pace.enter(now, Purpose::FirstTry) {
        Err(Halt::Ask) => {
            refresh(pace, row, millis);
            pace.enter(now, Purpose::FirstTry)
        }
        entered => entered,
    };
    let probe = entered.ok()?;
    let paid = match pace.pay(now, Purpose::FirstTry) {
        Err(Halt::Ask) => {
            refresh(pace, row, millis);
            pace.pay(now, Purpose::FirstTry)
        }
        paid => paid,
    };
    if paid.is_ok() {
        pace.learn(now, outcome, Told { probe, ..Told::default() }, 0.5);
        tell(pace, row, millis);
    }
    pace.leave(probe && paid.is_err());
    paid.ok().map(|()| probe)
}

fn done() -> Outcome {
    Outcome { status: Some(201), ..Outcome::new(Class::Done, "done") }
}

fn failed() -> Outcome {
    Outcome { status: Some(502), instance_fault: true, ..Outcome::new(Class::Unclear, "http_502") }
}

#[test]
fn nothing_is_sent_without_an_answer_and_a_reservation_is_void_after_a_second() {
    let (mut pace, mut row) = (replica("one"), SharedPace::default());
    assert_eq!(pace.enter(at(0), Purpose::FirstTry), Ok(false));
    assert_eq!(pace.pay(at(0), Purpose::FirstTry), Err(Halt::Ask));
    refresh(&mut pace, &mut row, 0);
    assert_eq!(pace.pay(at(0), Purpose::FirstTry), Ok(()));
    assert_eq!(pace.pay(at(999), Purpose::FirstTry), Ok(()), "two were reserved, as a delivery needs");
    refresh(&mut pace, &mut row, 999);
    assert_eq!(pace.pay(at(1_999), Purpose::FirstTry), Err(Halt::Ask), "a second is over");
}

#[test]
fn what_was_reserved_and_not_made_goes_back_to_the_hour() {
    let (mut pace, mut row) = (replica("one"), SharedPace::default());
    for second in 0..10 {
        assert_eq!(call(&mut pace, &mut row, second * 2_000, &done()), Some(false));
    }
    assert!(row.hour.used <= 11, "ten calls, and one that is reserved: {}", row.hour.used);
    assert_eq!(pace.standing(at(18_000)).hour_used, 10);
}

#[test]
fn what_one_replica_finds_out_stops_the_other_within_a_second() {
    let (mut one, mut other, mut row) = (replica("one"), replica("two"), SharedPace::default());
    assert_eq!(call(&mut other, &mut row, 0, &done()), Some(false));
    for number in 0..5 {
        assert_eq!(call(&mut one, &mut row, number, &failed()), Some(false));
    }
    assert_eq!(one.standing(at(5)).breaker, "open");
    assert_eq!(call(&mut other, &mut row, 1_000, &done()), None);
    assert_eq!(other.standing(at(1_000)).breaker, "open");
}

#[test]
fn one_of_two_probes_and_both_come_back_slowly() {
    let (mut one, mut other, mut row) = (replica("one"), replica("two"), SharedPace::default());
    for number in 0..5 {
        assert_eq!(call(&mut one, &mut row, number, &failed()), Some(false));
    }
    assert_eq!(call(&mut other, &mut row, 10, &done()), None);
    assert_eq!(other.enter(at(40_000), Purpose::FirstTry), Err(Halt::Ask));
    refresh(&mut other, &mut row, 40_000);
    assert_eq!(other.enter(at(40_000), Purpose::FirstTry), Ok(true));
    assert_eq!(call(&mut one, &mut row, 40_000, &done()), None, "the other one finds out");
    assert_eq!(other.pay(at(40_000), Purpose::FirstTry), Ok(()));
    other.learn(at(40_100), &done(), Told { probe: true, ..Told::default() }, 0.5);
    assert!(tell(&mut other, &mut row, 40_100));
    other.leave(false);
    for (pace, millis) in [(&mut one, 43_000), (&mut other, 46_000)] {
        assert_eq!(call(pace, &mut row, millis, &done()), Some(true), "{millis}");
    }
    assert_eq!(call(&mut one, &mut row, 49_000, &done()), Some(false), "three good answers closed it for all");
    assert_eq!((one.standing(at(49_000)).breaker, one.standing(at(49_000)).concurrency), ("closed", 2));
    assert_eq!(other.standing(at(49_000)).concurrency, 1);
}

#[test]
fn what_cannot_be_told_is_told_with_the_next_question() {
    let (mut one, mut other, mut row) = (replica("one"), replica("two"), SharedPace::default());
    assert_eq!(call(&mut one, &mut row, 0, &done()), Some(false));
    let throttled = Outcome { not_before: Some(at(60_000)), ..Outcome::new(Class::Throttled, "http_429_rate_limit") };
    one.learn(at(10), &throttled, Told::default(), 0.5);
    let Need::Answer(lost) = one.news(at(10)) else { panic!("it has news") };
    assert_eq!(call(&mut other, &mut row, 20, &done()), Some(false), "the message was lost on its way");
    assert!(lost.ask.gate.is_some());
    assert!(tell(&mut one, &mut row, 30), "it is told again");
    assert!(!tell(&mut one, &mut row, 40), "and only once more");
    assert_eq!(call(&mut other, &mut row, 1_100, &done()), None);
    assert_eq!(other.standing(at(1_100)).closed.map(|closed| closed.code), Some(THROTTLED));
}

#[test]
fn an_answer_that_is_older_than_what_happened_here_changes_nothing() {
    let (mut pace, mut row) = (replica("one"), SharedPace::default());
    let asked = question(&mut pace, 0).unwrap();
    let answer = row.exchange(at(0), &asked.ask);
    for number in 0..5 {
        pace.learn(at(number), &failed(), Told::default(), 0.5);
    }
    assert!(!pace.adopt(at(10), &asked, &answer, 0.5));
    assert_eq!(pace.standing(at(10)).breaker, "open");
    assert!(tell(&mut pace, &mut row, 20));
    assert_eq!(pace.standing(at(20)).breaker, "open");
}

#[test]
fn a_call_that_waits_for_the_rate_when_the_breaker_opens_is_told_so() {
    let (mut pace, mut row) = (replica("one"), SharedPace::default());
    assert_eq!(pace.enter(at(0), Purpose::FirstTry), Ok(false));
    for number in 0..5 {
        pace.learn(at(number), &failed(), Told::default(), 0.5);
    }
    assert!(tell(&mut pace, &mut row, 10));
    let Err(Halt::Closed(closed)) = pace.pay(at(10), Purpose::FirstTry) else { panic!("it asks in vain, forever") };
    assert_eq!(closed.code, "breaker_open");
}
