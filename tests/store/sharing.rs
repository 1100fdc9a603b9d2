//! What replicas share about a tenant's peer, and about the tenant: on every engine the same, whoever asks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use snowgate::delivery::sharing::{Answer, Ask, Cause, Found, GateTold, HealthTold, HourTold, Passage};
use snowgate::domain::time::Timestamp;
use snowgate::limits::PROBE_LEASE;
use snowgate::store::{Learned, Pause};

use crate::harness::{CONTOSO, Subject, delivered, tenant};

const PEER: &str = "servicenow https://contoso.service-now.com";
/// Five calls a second.
const INTERVAL: u64 = 200_000;

fn wanting(calls: u32) -> Ask {
    Ask { replica: Arc::from("one"), calls, interval: INTERVAL, share: 100, hourly: 20_000, ..Ask::default() }
}

fn telling(epoch: u64, found: Found) -> Ask {
    Ask { health: Some(HealthTold { epoch, found }), ..wanting(0) }
}

fn failing() -> Found {
    Found::Failing { wait: Duration::from_secs(30), failure: "http_502".to_owned() }
}

async fn asked(subject: &Subject, ask: &Ask) -> Answer {
    subject.store.share_pace(&tenant(CONTOSO), PEER, ask).await.unwrap()
}

async fn probing(subject: &Subject) -> Answer {
    asked(subject, &Ask { probe: true, ..wanting(1) }).await
}

pub(crate) async fn a_second_is_reserved_at_most_whoever_asks(subject: Subject) {
    let first = asked(&subject, &wanting(3)).await;
    let second = asked(&subject, &Ask { replica: Arc::from("two"), ..wanting(50) }).await;
    assert_eq!((first.calls, second.calls, second.again_in), (3, 2, Duration::from_millis(200)));
    subject.pass(Duration::from_hours(1));
    assert_eq!(asked(&subject, &wanting(50)).await.calls, 5, "nothing is saved up");
}

pub(crate) async fn many_replicas_at_once_get_the_rate_and_no_more(subject: Subject) {
    // Milliseconds since the beginning, and calls given then.
    let mut given: Vec<(u64, u64)> = Vec::new();
    for step in 0..200_u64 {
        let ask = |replica: usize| Ask { replica: format!("{replica}").into(), ..wanting(3) };
        let asks: Vec<Ask> = (0..5).map(ask).collect();
        let answers = join_all(asks.iter().map(|ask| asked(&subject, ask))).await;
        given.push((step * 50, answers.iter().map(|answer| u64::from(answer.calls)).sum()));
        subject.pass(Duration::from_millis(50));
    }
    let total: u64 = given.iter().map(|(_, calls)| calls).sum();
    assert!((50..=55).contains(&total), "{total} calls in ten seconds at five a second and one second's burst");
    for (from, _) in &given {
        for window in [1_000, 2_000, 10_000] {
            let within = given.iter().filter(|(at, _)| (*from..from + window).contains(at));
            let calls: u64 = within.map(|(_, calls)| calls).sum();
            assert!(calls <= window / 200 + 5, "{calls} calls in {window} ms from {from}");
        }
    }
}

pub(crate) async fn an_hour_is_counted_once_for_all(subject: Subject) {
    let ask = Ask { hourly: 8, ..wanting(5) };
    let first = asked(&subject, &ask).await;
    subject.pass(Duration::from_secs(1));
    let second = asked(&subject, &Ask { replica: Arc::from("two"), ..ask.clone() }).await;
    assert_eq!((first.calls, second.calls, second.hour.used), (5, 3, 8));
    subject.pass(Duration::from_secs(1));
    let back = asked(&subject, &Ask { unused: (2, first.hour.ends), ..ask.clone() }).await;
    assert_eq!((back.calls, back.hour.used), (2, 8), "what was not made goes back");
    let told = HourTold { limit: Some(5), ends_in: None };
    subject.pass(Duration::from_hours(1));
    asked(&subject, &Ask { told: Some(told), ..wanting(0) }).await;
    let taught = asked(&subject, &Ask { replica: Arc::from("two"), ..ask }).await;
    assert_eq!((taught.calls, taught.hour.limit), (4, Some(5)), "four fifths of what one of them was told");
}

pub(crate) async fn a_time_that_was_asked_for_holds_for_all(subject: Subject) {
    let wait = Duration::from_mins(2);
    let gate = GateTold { wait, cause: Cause::Throttled, reason: "the instance counted us out".to_owned() };
    asked(&subject, &Ask { gate: Some(gate.clone()), ..wanting(0) }).await;
    let other = asked(&subject, &Ask { replica: Arc::from("two"), ..wanting(5) }).await;
    assert_eq!((other.calls, other.gate), (0, Some(gate.clone())));
    let shorter = GateTold { wait: Duration::from_secs(5), ..gate };
    asked(&subject, &Ask { gate: Some(shorter), ..wanting(0) }).await;
    subject.pass(Duration::from_millis(119_999));
    assert_eq!(asked(&subject, &wanting(5)).await.calls, 0);
    subject.pass(Duration::from_millis(1));
    let released = asked(&subject, &wanting(5)).await;
    assert_eq!((released.calls, released.released), (1, Some(Duration::ZERO)), "a tenth of the rate at first");
}

pub(crate) async fn one_of_all_probes_and_good_answers_close_it_for_all(subject: Subject) {
    let epoch = asked(&subject, &wanting(1)).await.epoch;
    asked(&subject, &telling(epoch, failing())).await;
    let other = asked(&subject, &wanting(5)).await;
    assert_eq!((other.calls, other.passage), (0, Passage::Closed(Duration::from_secs(30))));
    for good in 1..=3 {
        subject.pass(Duration::from_secs(30));
        let ask = Ask { probe: true, ..wanting(1) };
        let answers = join_all((0..8).map(|_| asked(&subject, &ask))).await;
        let chosen: Vec<&Answer> = answers.iter().filter(|answer| answer.passage == Passage::Probe).collect();
        assert_eq!((chosen.len(), answers.iter().map(|answer| answer.calls).sum::<u32>()), (1, 1), "{good}");
        let told = asked(&subject, &telling(chosen[0].epoch, Found::Answering)).await;
        assert_eq!(told.passage == Passage::Free, good == 3);
    }
    assert_eq!(asked(&subject, &wanting(3)).await.calls, 3);
}

pub(crate) async fn a_dead_prober_is_replaced_and_its_late_word_changes_nothing(subject: Subject) {
    let epoch = asked(&subject, &wanting(1)).await.epoch;
    asked(&subject, &telling(epoch, failing())).await;
    subject.pass(Duration::from_secs(30));
    let dead = probing(&subject).await;
    assert_eq!(dead.passage, Passage::Probe);
    subject.pass(PROBE_LEASE.saturating_sub(Duration::from_millis(1)));
    assert_eq!(probing(&subject).await.passage, Passage::Probing(Duration::from_millis(1)));
    subject.pass(Duration::from_millis(1));
    let next = probing(&subject).await;
    assert_eq!((next.passage, next.calls), (Passage::Probe, 1));
    for found in [failing(), Found::Answering] {
        let late = asked(&subject, &telling(dead.epoch, found)).await;
        assert_eq!((late.passage, late.epoch), (Passage::Probing(Duration::from_secs(2)), next.epoch));
    }
    let failed = asked(&subject, &telling(next.epoch, failing())).await;
    assert_eq!((failed.passage, failed.rounds), (Passage::Closed(Duration::from_secs(30)), 2));
}

pub(crate) async fn tenants_and_addresses_do_not_share(subject: Subject) {
    let epoch = asked(&subject, &wanting(5)).await.epoch;
    asked(&subject, &telling(epoch, failing())).await;
    for (of, peer) in [("fabrikam", PEER), (CONTOSO, "servicenow https://new.service-now.com"), (CONTOSO, "callback x")]
    {
        let answer = subject.store.share_pace(&tenant(of), peer, &wanting(5)).await.unwrap();
        assert_eq!((answer.calls, answer.passage), (5, Passage::Free), "{of} {peer}");
    }
}

fn learned(fingerprint: &str, honours: bool) -> Learned {
    Learned { fingerprint: fingerprint.to_owned(), honours_sys_id: Some(honours), keeps_mark: None, user: None }
}

pub(crate) async fn what_another_replica_disproved_is_known_at_the_next_claim(subject: Subject) {
    subject.serve(&[(CONTOSO, 2)]).await;
    let learn = async |known: &Learned, next: &Learned| {
        subject.store.learn(&tenant(CONTOSO), known, next.clone()).await.unwrap()
    };
    for incident in ["MTR-1", "MTR-2"] {
        subject.update(incident).await;
    }
    let (yes, no) = (learned("f", true), learned("f", false));
    assert!(learn(&Learned::default(), &yes).await);
    let (one, other) = (subject.claim_one().await, subject.claim_one().await);
    assert_eq!((&one.learned, &other.learned), (&yes, &yes));
    assert!(learn(&one.learned, &no).await, "one of them sees that it does not hold");
    assert!(!learn(&other.learned, &Learned { user: Some("snowgate".to_owned()), ..yes.clone() }).await);
    subject.settle(&one.lease, delivered(1)).await;
    subject.update("MTR-1").await;
    assert_eq!(subject.claim_one().await.learned, no, "what was disproved is acted on nowhere");
    assert!(learn(&no, &yes).await, "who knows of it may teach otherwise");
}

pub(crate) async fn replicas_with_other_files_teach_each_other_nothing(subject: Subject) {
    // During a roll-out one calls the old instance, the other the new one. Each finds the other's word void, and unknown is
    // safe: it looks before it sends.
    let (old, new) = (learned("old", true), learned("new", false));
    for (known, next) in [(&Learned::default(), &old), (&old, &new), (&new, &old)] {
        assert!(subject.store.learn(&tenant(CONTOSO), known, next.clone()).await.unwrap());
        assert_eq!(subject.store.tenant(&tenant(CONTOSO)).await.unwrap().learned, *next);
    }
    assert!(!subject.store.learn(&tenant(CONTOSO), &new, learned("new", true)).await.unwrap(), "its word is gone");
}

pub(crate) async fn a_pause_is_seen_by_the_next_claim_of_any_replica(subject: Subject) {
    subject.serve(&[(CONTOSO, 4)]).await;
    for incident in ["MTR-1", "MTR-2"] {
        subject.update(incident).await;
    }
    drop(subject.claim_one().await);
    let pause = Pause { until: Timestamp::NEVER, code: "operator".to_owned(), reason: "a change window".to_owned() };
    subject.store.pause_tenant(&tenant(CONTOSO), pause).await.unwrap();
    assert!(subject.claim(4).await.is_empty());
    subject.store.resume_tenant(&tenant(CONTOSO)).await.unwrap();
    assert_eq!(subject.claim_incidents(4).await, ["MTR-2"]);
}
