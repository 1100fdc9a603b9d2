//! Parked deliveries: what they hold back, and what a person can do about them.

use std::time::Duration;

use snowgate::delivery::record::State;
use snowgate::domain::id::DeliveryId;
use snowgate::store::{Receipt, Replayed};

use crate::harness::{CONTOSO, Subject, by, delivered, parked, tenant};

async fn replay(subject: &Subject, receipt: &Receipt) -> (Replayed, DeliveryId) {
    let new = subject.next_id();
    (subject.store.replay(&tenant(CONTOSO), &receipt.delivery, new.clone(), by("ada")).await.unwrap(), new)
}

async fn give_up(subject: &Subject, receipt: &Receipt) -> Replayed {
    subject.store.drop_parked(&tenant(CONTOSO), &receipt.delivery, by("ada")).await.unwrap()
}

/// A lane of three whose head is parked.
async fn parked_lane(subject: &Subject, blocks: bool) -> [Receipt; 3] {
    subject.serve(&[(CONTOSO, 1)]).await;
    let receipts = [subject.update("MTR-1").await, subject.update("MTR-1").await, subject.update("MTR-1").await];
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    subject.settle(&claim.lease, parked(1, blocks)).await;
    assert_eq!(subject.state(&receipts[0]).await, State::Parked);
    receipts
}

/// Delivers everything that is due, one by one, and tells the sequences in order.
async fn drain(subject: &Subject) -> Vec<u64> {
    let mut order = Vec::new();
    while let Some(claim) = subject.claim(1).await.pop() {
        order.push(claim.lease.head);
        subject.settle(&claim.lease, delivered(claim.lease.head)).await;
    }
    order
}

pub(crate) async fn a_blocking_head_holds_its_lane_in_order(subject: Subject) {
    let receipts = parked_lane(&subject, true).await;
    subject.pass(Duration::from_hours(1_000));
    assert_eq!(subject.update("MTR-1").await.sequence, 4);
    subject.update("MTR-2").await;
    assert_eq!(subject.claim_incidents(10).await, ["MTR-2"], "no other lane waits");
    let shown = subject.delivery(&receipts[0].delivery).await;
    assert_eq!(shown.due, None);
    assert!(shown.ending.unwrap().parking.unwrap().blocks);
    assert_eq!(subject.delivery(&receipts[1].delivery).await.due, None, "nothing happens by itself");
}

pub(crate) async fn a_skipped_delivery_lets_the_lane_go_on(subject: Subject) {
    parked_lane(&subject, false).await;
    assert_eq!(drain(&subject).await, [2, 3]);
}

pub(crate) async fn a_blocking_head_is_replayed_in_place(subject: Subject) {
    let receipts = parked_lane(&subject, true).await;
    assert_eq!(replay(&subject, &receipts[0]).await.0, Replayed::Done(receipts[0].delivery.clone()));
    let shown = subject.delivery(&receipts[0].delivery).await;
    assert_eq!((shown.state, shown.ended_at, shown.ending), (State::Waiting, None, None));
    let claim = subject.claim_one().await;
    assert_eq!((claim.attempts, claim.waiting[0].sending_since), (1, None));
    subject.settle(&claim.lease, delivered(1)).await;
    assert_eq!(drain(&subject).await, [2, 3]);
}

pub(crate) async fn a_skipped_delivery_is_replayed_at_the_tail(subject: Subject) {
    let receipts = parked_lane(&subject, false).await;
    let (done, new) = replay(&subject, &receipts[0]).await;
    assert_eq!(done, Replayed::Done(new.clone()));
    let old = subject.delivery(&receipts[0].delivery).await;
    assert_eq!(old.state, State::Superseded);
    assert_eq!(old.ending.unwrap().superseded_by.as_ref(), Some(&new));
    let appended = subject.delivery(&new).await;
    assert_eq!((appended.sequence, appended.state), (4, State::Waiting));
    assert_eq!((appended.kind, appended.body.get()), (old.kind, old.body.get()));
    assert_eq!(drain(&subject).await, [2, 3, 4]);
}

pub(crate) async fn nothing_is_replayed_twice(subject: Subject) {
    let receipts = parked_lane(&subject, false).await;
    assert!(matches!(replay(&subject, &receipts[0]).await.0, Replayed::Done(_)));
    assert_eq!(replay(&subject, &receipts[0]).await.0, Replayed::NotParked);
    assert_eq!(replay(&subject, &receipts[1]).await.0, Replayed::NotParked);
    assert_eq!(give_up(&subject, &receipts[0]).await, Replayed::NotParked);
    assert_eq!(drain(&subject).await, [2, 3, 4]);
}

pub(crate) async fn a_dropped_head_lets_the_lane_go_on(subject: Subject) {
    let receipts = parked_lane(&subject, true).await;
    assert_eq!(give_up(&subject, &receipts[0]).await, Replayed::Done(receipts[0].delivery.clone()));
    let shown = subject.delivery(&receipts[0].delivery).await;
    assert_eq!(shown.state, State::Dropped);
    assert!(shown.ending.unwrap().parking.is_some(), "the record still says why");
    assert_eq!(drain(&subject).await, [2, 3]);
    assert_eq!(give_up(&subject, &receipts[0]).await, Replayed::NotParked);
}

pub(crate) async fn a_dropped_skipped_delivery_changes_no_lane(subject: Subject) {
    let receipts = parked_lane(&subject, false).await;
    let claim = subject.claim_one().await;
    assert!(matches!(give_up(&subject, &receipts[0]).await, Replayed::Done(_)));
    subject.settle(&claim.lease, delivered(2)).await;
    assert_eq!(drain(&subject).await, [3]);
}

pub(crate) async fn only_the_tenants_own_parked_deliveries_are_touched(subject: Subject) {
    let receipts = parked_lane(&subject, true).await;
    let id = &receipts[0].delivery;
    let new = subject.next_id();
    for stranger in ["fabrikam", "nobody"] {
        subject.accept(subject.change_of("fabrikam", &format!("MTR-{stranger}"))).await;
        assert_eq!(
            subject.store.replay(&tenant(stranger), id, new.clone(), by("ada")).await.unwrap(),
            Replayed::Unknown
        );
        assert_eq!(subject.store.drop_parked(&tenant(stranger), id, by("ada")).await.unwrap(), Replayed::Unknown);
    }
    assert_eq!(subject.store.replay(&tenant(CONTOSO), &new, id.clone(), by("ada")).await.unwrap(), Replayed::Unknown);
    assert_eq!(subject.state(&receipts[0]).await, State::Parked);
}

pub(crate) async fn a_replay_behind_a_blocking_head_waits_for_it(subject: Subject) {
    let receipts = parked_lane(&subject, false).await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, parked(2, true)).await;
    let (done, new) = replay(&subject, &receipts[0]).await;
    assert_eq!(done, Replayed::Done(new));
    assert!(subject.claim(1).await.is_empty());
    assert_eq!(replay(&subject, &receipts[1]).await.0, Replayed::Done(receipts[1].delivery.clone()));
    assert_eq!(drain(&subject).await, [2, 3, 4]);
}
