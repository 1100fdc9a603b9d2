//! Two replicas on one database: what one of them does to a tenant is in force for the other.

use std::time::Duration;

use futures_util::future::{join, join_all};
use snowgate::delivery::sharing::{Ask, Found, HealthTold, Passage};
use snowgate::domain::time::Timestamp;
use snowgate::store::{Held, Learned, Pause};

use crate::harness::{CONTOSO, LEASE, Subject, tenant};
use crate::sweeping::{cursor, leased};

const PEER: &str = "servicenow https://contoso.service-now.com";

fn wanting(calls: u32) -> Ask {
    Ask { calls, interval: 200_000, share: 100, hourly: 20_000, ..Ask::default() }
}

/// What three questions at once are given, of three calls each.
async fn given_at_once(subject: &Subject) -> u32 {
    let (contoso, ask) = (tenant(CONTOSO), wanting(3));
    let answers = join_all((0..3).map(|_| subject.store.share_pace(&contoso, PEER, &ask))).await;
    answers.into_iter().map(|answer| answer.unwrap().calls).sum()
}

#[tokio::test]
async fn calls_reserved_by_both_at_once_are_those_of_one_rate() {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    let mut given = 0;
    for _ in 0..20 {
        let (ours, theirs) = join(given_at_once(&one), given_at_once(&other)).await;
        given += ours + theirs;
        one.pass(Duration::from_millis(200));
    }
    assert_eq!(given, 5 + 19, "one second's worth at first, and one each fifth of a second");
}

#[tokio::test]
async fn an_outage_that_one_met_is_probed_by_one_of_both() {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    let contoso = tenant(CONTOSO);
    let epoch = one.store.share_pace(&contoso, PEER, &wanting(1)).await.unwrap().epoch;
    let found = Found::Failing { wait: Duration::from_secs(30), failure: "timeout".to_owned() };
    let telling = Ask { health: Some(HealthTold { epoch, found }), ..wanting(0) };
    one.store.share_pace(&contoso, PEER, &telling).await.unwrap();
    let stopped = other.store.share_pace(&contoso, PEER, &wanting(3)).await.unwrap();
    assert_eq!((stopped.calls, stopped.passage), (0, Passage::Closed(Duration::from_secs(30))));
    one.pass(Duration::from_secs(30));
    let probing = Ask { probe: true, ..wanting(1) };
    let (ours, theirs) =
        join(one.store.share_pace(&contoso, PEER, &probing), other.store.share_pace(&contoso, PEER, &probing)).await;
    let chosen = [ours.unwrap(), theirs.unwrap()].into_iter().filter(|answer| answer.passage == Passage::Probe);
    assert_eq!(chosen.count(), 1);
}

#[tokio::test]
async fn a_pause_ordered_on_one_is_in_force_for_the_next_claim_of_the_other() {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    for subject in [&one, &other] {
        subject.serve(&[(CONTOSO, 4)]).await;
    }
    one.update("MTR-1").await;
    let pause = Pause { until: Timestamp::NEVER, code: "operator".to_owned(), reason: "a change window".to_owned() };
    one.store.pause_tenant(&tenant(CONTOSO), pause).await.unwrap();
    assert!(other.claim(4).await.is_empty());
    one.store.resume_tenant(&tenant(CONTOSO)).await.unwrap();
    // What another replica changed is noticed within about a second: it is not asked for with every claim.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let claimed = loop {
        let claimed = other.claim_incidents(4).await;
        if !claimed.is_empty() || tokio::time::Instant::now() > deadline {
            break claimed;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    };
    assert_eq!(claimed, ["MTR-1"]);
}

#[tokio::test]
async fn a_sweeper_that_hangs_is_followed_by_the_other_and_then_changes_nothing() {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    let hung = leased(&one, CONTOSO, "one").await.unwrap();
    assert!(one.store.save_sweep(&hung, &cursor("a"), LEASE).await.unwrap().is_yes());
    assert_eq!(leased(&other, CONTOSO, "two").await, None);
    one.pass(LEASE);
    let next = leased(&other, CONTOSO, "two").await.unwrap();
    assert_eq!((next.fence, &next.cursor), (hung.fence + 1, &cursor("a")));
    assert_eq!(one.store.save_sweep(&hung, &cursor("z"), LEASE).await.unwrap(), Held::Lost);
    assert!(other.store.finish_sweep(&next, &cursor("b")).await.unwrap().is_yes());
}

#[tokio::test]
async fn while_files_are_rolled_out_nobody_starves_and_shares_do_not_add_up() {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    other.serve(&[(CONTOSO, 2), ("fabrikam", 1)]).await;
    // The older files: one tenant is not there yet, and the other may have more lanes.
    one.serve(&[(CONTOSO, 3)]).await;
    for incident in ["MTR-1", "MTR-2", "MTR-3", "MTR-4", "MTR-5"] {
        one.update(incident).await;
    }
    one.accept(one.change_of("fabrikam", "FAB-1")).await;
    let mut claims = other.claim(10).await;
    assert_eq!(
        claims.iter().filter(|claim| claim.tenant == tenant("fabrikam")).count(),
        1,
        "it is served all the same"
    );
    claims.extend(one.claim(10).await);
    let lanes = claims.iter().filter(|claim| claim.tenant == tenant(CONTOSO)).count();
    assert_eq!(lanes, 3, "the larger of the two shares, not their sum");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_at_once_hold_no_more_lanes_of_a_tenant_than_its_share() {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    for subject in [&one, &other] {
        subject.serve(&[(CONTOSO, 3)]).await;
    }
    let updates = (0..40).map(|number| one.change_of(CONTOSO, &format!("MTR-{number}"))).collect();
    one.store.accept(updates).await.unwrap();
    for round in 0..20 {
        let at_once = (0..6).map(|at| if at % 2 == 0 { one.claim(2) } else { other.claim(2) });
        let held = join_all(at_once).await.concat();
        assert!((1..=3).contains(&held.len()), "round {round}: {} lanes are held", held.len());
        // They die with what they held.
        one.pass(LEASE);
    }
}

#[tokio::test]
async fn what_one_disproved_is_with_the_next_claim_of_the_other() {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    let learned =
        |honours| Learned { fingerprint: "f".to_owned(), honours_sys_id: Some(honours), ..Learned::default() };
    let contoso = tenant(CONTOSO);
    assert!(one.store.learn(&contoso, &Learned::default(), learned(true)).await.unwrap());
    other.serve(&[(CONTOSO, 4)]).await;
    one.update("MTR-1").await;
    assert_eq!(other.claim_one().await.learned, learned(true));
    assert!(one.store.learn(&contoso, &learned(true), learned(false)).await.unwrap());
    one.update("MTR-2").await;
    assert_eq!(other.claim_one().await.learned, learned(false));
    assert!(!other.store.learn(&contoso, &Learned::default(), learned(true)).await.unwrap(), "it is not taken back");
}
