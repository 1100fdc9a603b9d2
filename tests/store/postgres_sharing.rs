//! Two replicas that do the same at the same moment: what operators, sweeps and upkeep do happens once, and in order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use snowgate::delivery::record::State;
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::DeliveryId;
use snowgate::domain::time::Clock as _;
use snowgate::limits::EVENTS_REMEMBERED;
use snowgate::store::audit::{Actor, AuditAction, AuditEntry};
use snowgate::store::{Pause, Replayed, SweepCursor};

use crate::audit::{verify, whole};
use crate::harness::{CONTOSO, LEASE, Subject, by, delivered, parked, postponed, tenant};

const QUARTER: Duration = Duration::from_mins(15);

async fn two() -> [Subject; 2] {
    let one = Subject::postgres().await;
    let other = one.replica().await;
    [one, other]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_one_chain_whoever_writes() {
    let replicas = two().await;
    let stores: Vec<_> = (0..60).map(|at| replicas[at % 2].store.clone()).collect();
    let writing = stores.iter().enumerate().map(|(at, store)| async move {
        if at % 3 == 0 {
            let pause = Pause {
                until: snowgate::domain::time::Timestamp::NEVER,
                code: Pause::OPERATOR.to_owned(),
                reason: format!("{at}"),
            };
            store.pause_by(&tenant(CONTOSO), pause, by("ada")).await.unwrap();
        } else {
            store
                .audit(AuditEntry::new(Actor::gateway(), AuditAction::SettingsApplied).to(format!("{at}")))
                .await
                .unwrap();
        }
    });
    join_all(writing).await;
    let log = whole(&replicas[1].store, 100).await;
    assert_eq!((verify(&log).map(|head| head.sequence), log.rows.len()), (Ok(60), 60));
    // Each pause says what was before it: so they came one after the other.
    let pauses: Vec<_> = log.rows.iter().filter(|row| row.action == "paused").collect();
    assert!(pauses.windows(2).all(|pair| pair[0].after == pair[1].before), "{pauses:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_delivery_is_replayed_or_dropped_once() {
    let replicas = two().await;
    let one = &replicas[0];
    one.serve(&[(CONTOSO, 9)]).await;
    // Whoever begins mostly wins: so a drop begins, and then a replay.
    let rounds = [(true, 0), (true, 1), (false, 0), (false, 1)];
    for (round, (blocks, begins)) in rounds.into_iter().enumerate() {
        let receipt = one.update(&format!("MTR-{round}")).await;
        // The lane of the round before is due as well if a replay won it.
        let claims = one.claim(9).await;
        let claim = claims.iter().find(|claim| claim.waiting[0].id == receipt.delivery).unwrap();
        one.settle(&claim.lease, parked(1, blocks)).await;
        let done = join_all((0..12).map(|at| replay_or_drop(&replicas[at % 2], begins + at, &receipt.delivery))).await;
        let went = done.iter().filter(|done| matches!(done, Replayed::Done(_))).count();
        assert_eq!((went, done.iter().filter(|done| **done == Replayed::NotParked).count()), (1, 11), "{done:?}");
        assert_ne!(one.state(&receipt).await, State::Parked);
    }
    assert_eq!(whole(&one.store, 100).await.rows.len(), rounds.len());
}

async fn replay_or_drop(subject: &Subject, at: usize, id: &DeliveryId) -> Replayed {
    if at.is_multiple_of(3) {
        return subject.store.drop_parked(&tenant(CONTOSO), id, by("bob")).await.unwrap();
    }
    subject.store.replay(&tenant(CONTOSO), id, subject.next_id(), by("ada")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_them_sweeps() {
    let replicas = two().await;
    let contoso = tenant(CONTOSO);
    for round in 1..=3 {
        let ask = |at: usize| replicas[at % 2].store.lease_sweep(&contoso, "worker", QUARTER, LEASE);
        let leases: Vec<_> = join_all((0..10).map(ask)).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(leases.len(), 1, "{leases:?}");
        assert_eq!(leases[0].fence, round);
        assert!(replicas[1].store.finish_sweep(&leases[0], &SweepCursor::default()).await.unwrap().is_yes());
        replicas[0].pass(QUARTER);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_may_forget_at_once_and_count_each_row_once() {
    let replicas = two().await;
    let one = &replicas[0];
    one.serve(&[(CONTOSO, 99)]).await;
    let changes: Vec<_> = (0..60).map(|at| one.change(&format!("MTR-{at}"), ChangeKind::Updated)).collect();
    one.store.accept(changes).await.unwrap();
    for claim in one.claim(60).await {
        one.settle(&claim.lease, delivered(1)).await;
    }
    one.pass(EVENTS_REMEMBERED + Duration::from_secs(1));
    let now = one.clock.now();
    let trimming = (0..8).map(|at| {
        let store = replicas[at % 2].store.clone();
        async move { store.trim(now, 10).await.unwrap() }
    });
    let mut gone: usize = join_all(trimming).await.into_iter().sum();
    while gone < 60 {
        let went = one.store.trim(now, 10).await.unwrap();
        assert!(went > 0, "{gone} went");
        gone += went;
    }
    assert_eq!((gone, one.store.trim(now, 10).await.unwrap()), (60, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_tenant_goes_on_while_others_append_to_its_lanes() {
    let replicas = two().await;
    let one = &replicas[0];
    one.serve(&[(CONTOSO, 999)]).await;
    let open = |kind| (0..300).map(move |at| one.change(&format!("MTR-{at}"), kind)).collect::<Vec<_>>();
    one.store.accept(open(ChangeKind::Opened)).await.unwrap();
    let later = one.clock.now().plus(QUARTER);
    for claim in one.claim(300).await {
        one.postpone(&claim.lease, postponed(later)).await;
    }
    let batches: Vec<_> = (0..6)
        .map(|at| {
            let store = replicas[at % 2].store.clone();
            let changes = open(ChangeKind::Updated).into_iter().rev().collect();
            async move { drop(store.accept(changes).await.unwrap()) }
        })
        .collect();
    let resuming = join_all((0..4).map(|at| {
        let store = Arc::new(replicas[at % 2].store.clone());
        async move { store.resume_tenant(&tenant(CONTOSO)).await.unwrap() }
    }));
    tokio::join!(join_all(batches), resuming);
    assert_eq!(one.claim(999).await.len(), 300, "all are due now");
}
