//! The limits together: what a dispatcher notices of them.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + seconds * 1_000)
}

fn done() -> Outcome {
    Outcome { status: Some(201), ..Outcome::new(Class::Done, "done") }
}

fn failed() -> Outcome {
    Outcome { status: Some(502), instance_fault: true, ..Outcome::new(Class::Unclear, "http_502") }
}

fn pace() -> Pace {
    Pace::new(Limits { calls_per_second: 1_000, calls_per_hour: 100_000, concurrency: 8 })
}

/// One whole call: `sent`, or the code that closed.
fn call(pace: &mut Pace, seconds: i64, purpose: Purpose, outcome: &Outcome) -> String {
    let now = at(seconds);
    let probe = match pace.enter(now, purpose) {
        Ok(probe) => probe,
        Err(Halt::Closed(closed)) => return format!("{} until {}", closed.code, closed.until.since(at(0)).as_secs()),
        Err(halt) => return format!("{halt:?}"),
    };
    let paid = pace.pay(now, purpose);
    if paid.is_ok() {
        pace.learn(now, outcome, Told { probe, ..Told::default() }, 0.0);
    }
    pace.leave(probe && paid.is_err());
    if paid.is_ok() { "sent".to_owned() } else { format!("{paid:?}") }
}

#[test]
fn no_call_begins_inside_the_window_an_instance_asked_for() {
    let mut pace = pace();
    let throttled = Outcome { not_before: Some(at(120)), ..Outcome::new(Class::Throttled, "http_429_rate_limit") };
    assert_eq!(call(&mut pace, 0, Purpose::FirstTry, &throttled), "sent");
    for second in [0, 60, 119] {
        assert_eq!(call(&mut pace, second, Purpose::Reading, &done()), "http_429_rate_limit until 120");
    }
    assert_eq!(call(&mut pace, 120, Purpose::FirstTry, &done()), "sent");
}

#[test]
fn a_clock_set_back_lengthens_no_pause() {
    let mut pace = pace();
    for _ in 0..5 {
        assert_eq!(call(&mut pace, 7_200, Purpose::FirstTry, &failed()), "sent");
    }
    assert_eq!(call(&mut pace, 0, Purpose::FirstTry, &done()), "breaker_open until 24");
    assert_eq!(call(&mut pace, 24, Purpose::FirstTry, &done()), "sent");
}

#[test]
fn a_failing_instance_is_left_alone_then_probed_then_trusted_slowly() {
    let mut pace = pace();
    for _ in 0..5 {
        call(&mut pace, 0, Purpose::FirstTry, &failed());
    }
    assert_eq!(call(&mut pace, 10, Purpose::FirstTry, &done()), "breaker_open until 24");
    let standing = pace.standing(at(10));
    assert_eq!((standing.breaker, standing.closed.map(|closed| closed.code)), ("open", Some("breaker_open")));
    for _ in 0..3 {
        assert_eq!(call(&mut pace, 30, Purpose::FirstTry, &done()), "sent");
    }
    assert_eq!((pace.standing(at(30)).breaker, pace.standing(at(30)).concurrency), ("closed", 1));
    for _ in 0..7 {
        call(&mut pace, 31, Purpose::FirstTry, &done());
    }
    assert_eq!(pace.standing(at(31)).concurrency, 8);
}

#[test]
fn refusals_of_payloads_never_open_the_breaker() {
    let mut pace = pace();
    let refused = Outcome { status: Some(403), ..Outcome::new(Class::Refused, "http_403_acl") };
    for _ in 0..50 {
        assert_eq!(call(&mut pace, 0, Purpose::FirstTry, &refused), "sent");
    }
}

#[test]
fn refused_credentials_are_tried_ever_more_rarely() {
    let mut pace = pace();
    let refused = Outcome { status: Some(401), ..Outcome::new(Class::Unauthorized, "http_401") };
    let mut now = 0;
    for minutes in [1, 5, 15, 30, 30] {
        assert_eq!(call(&mut pace, now, Purpose::FirstTry, &refused), "sent");
        let until = now + minutes * 60;
        assert_eq!(
            call(&mut pace, until - 1, Purpose::FirstTry, &done()),
            format!("credentials_refused until {until}")
        );
        now = until;
    }
    assert_eq!(call(&mut pace, now, Purpose::FirstTry, &done()), "sent");
    assert_eq!(call(&mut pace, now, Purpose::FirstTry, &refused), "sent");
    assert_eq!(call(&mut pace, now, Purpose::FirstTry, &done()), format!("credentials_refused until {}", now + 60));
}

#[test]
fn retries_end_before_first_tries_do() {
    let mut pace = pace();
    let refused = Outcome { status: Some(423), ..Outcome::new(Class::NotProcessed, "http_423") };
    for _ in 0..20 {
        assert_eq!(call(&mut pace, 0, Purpose::Retry, &refused), "sent");
    }
    assert_eq!(call(&mut pace, 0, Purpose::Retry, &refused), "retry_budget_spent until 15");
    assert_eq!(call(&mut pace, 0, Purpose::FirstTry, &refused), "sent");
}

#[test]
fn a_spent_hour_ends_and_is_followed_by_a_slow_release() {
    let mut pace = Pace::new(Limits { calls_per_second: 10, calls_per_hour: 20, concurrency: 8 });
    for second in 0..18 {
        assert_eq!(call(&mut pace, second, Purpose::FirstTry, &done()), "sent");
    }
    assert_eq!(call(&mut pace, 18, Purpose::FirstTry, &done()), "hourly_budget_spent until 3600");
    assert_eq!(call(&mut pace, 18, Purpose::Reading, &done()), "sent");
    let sent = (0..40).filter(|_| call(&mut pace, 3_600, Purpose::FirstTry, &done()) == "sent").count();
    assert_eq!(sent, 2, "a burst of twenty at a tenth");
}

#[test]
fn a_probe_whose_answer_says_nothing_is_followed_by_another() {
    let mut pace = pace();
    for _ in 0..5 {
        call(&mut pace, 0, Purpose::FirstTry, &failed());
    }
    let proxy = Outcome::new(Class::NotProcessed, "egress_proxy_failed");
    assert_eq!(call(&mut pace, 30, Purpose::FirstTry, &proxy), "sent");
    assert_eq!(call(&mut pace, 30, Purpose::FirstTry, &done()), "sent");
}
