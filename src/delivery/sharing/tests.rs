//! The shared row as a table of what replicas are told.

use super::*;

const SECOND: i64 = 1_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_795_327_200_000 + millis)
}

fn wanting(calls: u32) -> Ask {
    Ask { replica: "one".into(), calls, interval: 200_000, share: 100, hourly: 20_000, ..Ask::default() }
}

fn telling(epoch: u64, found: Found) -> Ask {
    Ask { health: Some(HealthTold { epoch, found }), ..wanting(0) }
}

fn failing() -> Found {
    Found::Failing { wait: Duration::from_secs(30), failure: "http_502".to_owned() }
}

fn throttled(secs: u64) -> GateTold {
    let reason = "the instance counted us out".to_owned();
    GateTold { wait: Duration::from_secs(secs), cause: Cause::Throttled, reason }
}

/// A row whose breaker opened at 0 for half a minute, in the epoch told.
fn opened() -> (SharedPace, u64) {
    let mut pace = SharedPace::default();
    let epoch = pace.exchange(at(0), &wanting(0)).epoch;
    let answer = pace.exchange(at(0), &telling(epoch, failing()));
    assert_eq!(answer.passage, Passage::Closed(Duration::from_secs(30)));
    (pace, answer.epoch)
}

fn probing(pace: &mut SharedPace, millis: i64) -> Answer {
    pace.exchange(at(millis), &Ask { probe: true, ..wanting(1) })
}

#[test]
fn a_second_is_reserved_at_most_and_then_one_call_at_a_time() {
    let mut pace = SharedPace::default();
    let first = pace.exchange(at(0), &wanting(50));
    assert_eq!((first.calls, first.again_in), (5, Duration::from_millis(200)));
    assert_eq!(pace.exchange(at(0), &wanting(1)).calls, 0);
    assert_eq!(pace.exchange(at(199), &wanting(1)).calls, 0);
    assert_eq!(pace.exchange(at(200), &wanting(3)).calls, 1);
    assert_eq!(pace.exchange(at(1_000), &wanting(3)).calls, 3);
    assert_eq!(pace.exchange(at(60_000), &wanting(50)).calls, 5, "nothing is saved up");
}

#[test]
fn a_rate_above_a_thousand_is_kept_too() {
    let mut pace = SharedPace::default();
    let ask = Ask { interval: 1_000_000 / 4_000, hourly: u64::MAX, ..wanting(10_000) };
    assert_eq!(pace.exchange(at(0), &ask).calls, 4_000);
    assert_eq!(pace.exchange(at(1), &ask).calls, 4);
}

#[test]
fn after_a_pause_the_rate_comes_back_over_a_minute_for_everybody() {
    let mut pace = SharedPace::default();
    let told = pace.exchange(at(0), &Ask { gate: Some(throttled(120)), ..wanting(5) });
    assert_eq!((told.calls, told.gate), (0, Some(throttled(120))));
    let other = pace.exchange(at(119 * SECOND), &wanting(5));
    assert_eq!((other.calls, other.gate.map(|gate| gate.wait)), (0, Some(Duration::from_secs(1))));
    let released = pace.exchange(at(120 * SECOND), &wanting(5));
    assert_eq!((released.calls, released.gate, released.released), (1, None, Some(Duration::ZERO)));
    assert_eq!(pace.exchange(at(121 * SECOND), &wanting(5)).calls, 0, "a tenth of five a second is one in two");
    assert_eq!(pace.exchange(at(122 * SECOND), &wanting(5)).calls, 1);
    assert_eq!(pace.exchange(at(190 * SECOND), &wanting(5)).calls, 5);
}

#[test]
fn a_shorter_time_opens_no_gate_early() {
    let mut pace = SharedPace::default();
    pace.exchange(at(0), &Ask { gate: Some(throttled(120)), ..wanting(0) });
    let answer = pace.exchange(at(0), &Ask { gate: Some(throttled(10)), ..wanting(0) });
    assert_eq!(answer.gate, Some(throttled(120)));
}

#[test]
fn the_hour_is_counted_once_for_all_and_what_was_not_made_goes_back() {
    let mut pace = SharedPace::default();
    let ask = Ask { hourly: 8, ..wanting(5) };
    let first = pace.exchange(at(0), &ask);
    assert_eq!((first.calls, first.hour.used), (5, 5));
    let second = pace.exchange(at(SECOND), &ask);
    assert_eq!((second.calls, second.hour.used), (3, 8), "another replica gets what is left");
    let back = pace.exchange(at(2 * SECOND), &Ask { unused: (2, first.hour.ends), ..ask.clone() });
    assert_eq!((back.calls, back.hour.used), (2, 8));
    let next = pace.exchange(at(3_600 * SECOND), &Ask { unused: (5, first.hour.ends), ..ask });
    assert_eq!((next.calls, next.hour.used), (5, 5), "calls of the hour before give nothing back to this one");
}

#[test]
fn what_a_peer_tells_of_its_limit_holds_for_all() {
    let mut pace = SharedPace::default();
    let told = HourTold { limit: Some(5), ends_in: Some(Duration::from_mins(10)) };
    pace.exchange(at(0), &Ask { told: Some(told), ..wanting(0) });
    let answer = pace.exchange(at(0), &wanting(5));
    assert_eq!((answer.calls, answer.hour.limit, answer.hour_ends_in), (4, Some(5), Duration::from_mins(10)));
    let kept = pace.exchange(at(600 * SECOND), &wanting(5));
    assert_eq!((kept.calls, kept.hour.limit), (4, Some(5)), "one window on");
    let forgotten = pace.exchange(at(4_200 * SECOND), &wanting(5));
    assert_eq!((forgotten.calls, forgotten.hour.limit), (5, None), "it was not told again in a whole window");
}

#[test]
fn opening_stops_everybody_and_one_probes_when_the_pause_is_over() {
    let (mut pace, _) = opened();
    let other = pace.exchange(at(29 * SECOND), &wanting(5));
    assert_eq!((other.calls, other.passage), (0, Passage::Closed(Duration::from_secs(1))));
    assert_eq!(pace.exchange(at(30 * SECOND), &wanting(5)).passage, Passage::Probing(Duration::ZERO), "it has no call");
    let chosen = probing(&mut pace, 30 * SECOND);
    assert_eq!((chosen.calls, chosen.passage), (1, Passage::Probe));
    let other = probing(&mut pace, 31 * SECOND);
    assert_eq!((other.calls, other.passage), (0, Passage::Probing(PROBE_LOOK)));
}

#[test]
fn three_good_answers_close_it_and_the_same_one_twice_is_one() {
    let (mut pace, _) = opened();
    let mut last = None;
    for good in 1..=BREAKER_GOOD_ANSWERS {
        let chosen = probing(&mut pace, 30 * SECOND + i64::from(good) * SECOND);
        assert_eq!(chosen.passage, Passage::Probe, "{good}");
        let told = telling(chosen.epoch, Found::Answering);
        for _ in 0..2 {
            last = Some(pace.exchange(at(40 * SECOND), &told).passage);
        }
        assert_eq!(last == Some(Passage::Free), good == BREAKER_GOOD_ANSWERS, "{good}");
    }
    assert_eq!(pace.exchange(at(41 * SECOND), &wanting(5)).calls, 5);
}

#[test]
fn a_dead_prober_is_replaced_and_its_late_word_is_nothing() {
    let (mut pace, _) = opened();
    let dead = probing(&mut pace, 30 * SECOND);
    let lease = i64::try_from(PROBE_LEASE.as_millis()).unwrap();
    assert_eq!(probing(&mut pace, 30 * SECOND + lease - 1).passage, Passage::Probing(Duration::from_millis(1)));
    let next = probing(&mut pace, 30 * SECOND + lease);
    assert_eq!(next.passage, Passage::Probe);
    for found in [Found::Answering, failing()] {
        let before = pace.clone();
        pace.exchange(at(30 * SECOND + lease), &telling(dead.epoch, found));
        assert_eq!(pace.breaker, before.breaker);
    }
}

#[test]
fn who_is_chosen_and_finds_no_call_left_gets_one_later() {
    let (mut pace, _) = opened();
    pace.paid_until = at(32 * SECOND).millis() * 1_000;
    let chosen = probing(&mut pace, 30 * SECOND);
    assert_eq!((chosen.calls, chosen.passage), (0, Passage::Probe));
    let again = Ask { chosen: Some(chosen.epoch), ..wanting(3) };
    let later = pace.exchange(at(32 * SECOND), &again);
    assert_eq!((later.calls, later.passage, later.epoch), (1, Passage::Probe, chosen.epoch));
    assert_eq!(pace.exchange(at(32 * SECOND), &wanting(3)).passage, Passage::Probing(PROBE_LOOK), "and no other");
}

#[test]
fn a_failed_probe_opens_it_again_and_counts_the_rounds_for_everybody() {
    let (mut pace, _) = opened();
    let chosen = probing(&mut pace, 30 * SECOND);
    assert_eq!(chosen.rounds, 1);
    let answer = pace.exchange(at(31 * SECOND), &telling(chosen.epoch, failing()));
    assert_eq!((answer.rounds, answer.failure.as_str()), (2, "http_502"));
    assert_eq!(answer.passage, Passage::Closed(Duration::from_secs(30)));
}

#[test]
fn failures_of_calls_from_before_a_turn_change_nothing() {
    let (mut pace, epoch) = opened();
    let before = pace.breaker.clone();
    pace.exchange(at(SECOND), &telling(0, failing()));
    pace.exchange(at(SECOND), &telling(epoch, failing()));
    assert_eq!(pace.breaker, before, "it is open already");
}

#[test]
fn nobody_probes_into_a_time_the_peer_asked_for() {
    let (mut pace, _) = opened();
    pace.exchange(at(0), &Ask { gate: Some(throttled(120)), ..wanting(0) });
    assert_eq!(probing(&mut pace, 60 * SECOND).passage, Passage::Probing(Duration::ZERO));
    assert_eq!(probing(&mut pace, 120 * SECOND).passage, Passage::Probe);
}

#[test]
fn a_clock_set_back_by_hours_holds_nobody_for_hours() {
    let (mut pace, _) = opened();
    pace.exchange(at(0), &wanting(5));
    let back = -7_200 * SECOND;
    assert_eq!(pace.exchange(at(back), &wanting(5)).passage, Passage::Closed(2 * BREAKER_OPEN_MAX));
    let chosen = probing(&mut pace, back + 1_200 * SECOND);
    assert_eq!((chosen.passage, chosen.calls), (Passage::Probe, 1));
    assert_eq!(probing(&mut pace, back).passage, Passage::Probing(PROBE_LOOK));
    assert_eq!(probing(&mut pace, back + 1_275 * SECOND).passage, Passage::Probe);
}
