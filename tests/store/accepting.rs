//! Accepting: all or none, once per event, dense per lane.

use futures_util::future::join_all;
use snowgate::delivery::record::{Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::limits::LANE_WAITING_MAX;
use snowgate::store::{Accepted, NewDelivery, Receipt};

use crate::harness::{Subject, again, changed, delivered, tenant};

fn receipt(change: &NewDelivery, sequence: u64) -> Receipt {
    Receipt { delivery: change.id.clone(), sequence }
}

pub(crate) async fn a_change_gets_a_receipt_and_a_place(subject: Subject) {
    let change = subject.change("MTR-1", ChangeKind::Opened);
    let accepted = subject.store.accept(vec![change.clone()]).await.unwrap();
    assert_eq!(accepted, [Accepted::Stored(receipt(&change, 1))]);
    assert_eq!(subject.delivery(&change.id).await.state, State::Waiting);
}

pub(crate) async fn each_lane_counts_from_one_without_gaps(subject: Subject) {
    for expected in 1..=3 {
        assert_eq!(subject.update("MTR-1").await.sequence, expected);
        assert_eq!(subject.update("MTR-2").await.sequence, expected);
    }
    let back = NewDelivery { direction: Direction::ToService, ..subject.change("MTR-1", ChangeKind::Updated) };
    assert_eq!(subject.accept(back).await.sequence, 1);
}

pub(crate) async fn the_same_event_again_gets_the_same_receipt(subject: Subject) {
    let change = subject.change("MTR-1", ChangeKind::Opened);
    subject.accept(change.clone()).await;
    let repeat = subject.store.accept(vec![again(&change, subject.next_id())]).await.unwrap();
    assert_eq!(repeat, [Accepted::Repeat(receipt(&change, 1))]);
    assert_eq!(subject.update("MTR-1").await.sequence, 2, "a repeat takes no place");
}

pub(crate) async fn the_same_event_with_another_body_is_a_conflict_and_the_first_stays(subject: Subject) {
    let change = subject.change("MTR-1", ChangeKind::Opened);
    subject.accept(change.clone()).await;
    let elsewhere = NewDelivery { incident: crate::harness::incident("MTR-2"), ..again(&change, subject.next_id()) };
    for other in [changed(&change, subject.next_id()), elsewhere] {
        let answer = subject.store.accept(vec![other]).await.unwrap();
        assert_eq!(answer, [Accepted::Conflict(receipt(&change, 1))]);
    }
    assert_eq!(subject.delivery(&change.id).await.body.get(), &*change.body);
}

pub(crate) async fn the_same_event_of_another_tenant_is_another_event(subject: Subject) {
    let change = subject.change("MTR-1", ChangeKind::Opened);
    subject.accept(change.clone()).await;
    let other = NewDelivery { tenant: tenant("fabrikam"), ..changed(&change, subject.next_id()) };
    assert_eq!(subject.accept(other).await.sequence, 1);
}

pub(crate) async fn a_repeat_is_known_after_its_delivery_ended(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let change = subject.change("MTR-1", ChangeKind::Opened);
    subject.accept(change.clone()).await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(1)).await;
    let repeat = subject.store.accept(vec![again(&change, subject.next_id())]).await.unwrap();
    assert_eq!(repeat, [Accepted::Repeat(receipt(&change, 1))]);
    assert!(subject.claim(1).await.is_empty(), "a repeat wakes nobody");
}

pub(crate) async fn one_conflict_keeps_the_whole_call_out(subject: Subject) {
    let known = subject.change("MTR-1", ChangeKind::Opened);
    subject.accept(known.clone()).await;
    let fresh = subject.change("MTR-2", ChangeKind::Opened);
    let call = vec![again(&known, subject.next_id()), fresh.clone(), changed(&known, subject.next_id())];
    let answers = subject.store.accept(call).await.unwrap();
    // The conflict stands against the stored one, whatever else the call repeats of it.
    assert_eq!(answers[0], Accepted::Repeat(receipt(&known, 1)));
    assert_eq!(answers[1], Accepted::NotStored);
    assert!(matches!(answers[2], Accepted::Conflict(_)), "{answers:?}");
    assert!(subject.store.delivery(&tenant("contoso"), &fresh.id).await.unwrap().is_none());
    assert_eq!(subject.accept(fresh).await.sequence, 1, "it left no trace");
}

pub(crate) async fn a_repeat_inside_a_call_is_stored_once(subject: Subject) {
    let change = subject.change("MTR-1", ChangeKind::Opened);
    let next = subject.change("MTR-1", ChangeKind::Updated);
    let call = vec![change.clone(), again(&change, subject.next_id()), next.clone()];
    let answers = subject.store.accept(call).await.unwrap();
    let expected = [
        Accepted::Stored(receipt(&change, 1)),
        Accepted::Repeat(receipt(&change, 1)),
        Accepted::Stored(receipt(&next, 2)),
    ];
    assert_eq!(answers, expected);
}

pub(crate) async fn a_conflict_inside_a_call_stores_nothing(subject: Subject) {
    let change = subject.change("MTR-1", ChangeKind::Opened);
    let call = vec![change.clone(), changed(&change, subject.next_id())];
    let answers = subject.store.accept(call).await.unwrap();
    assert_eq!(answers, [Accepted::NotStored, Accepted::Conflict(receipt(&change, 0))]);
    assert!(subject.store.delivery(&tenant("contoso"), &change.id).await.unwrap().is_none());
}

pub(crate) async fn a_full_lane_takes_no_more_and_others_do(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let fill = (0..LANE_WAITING_MAX).map(|_| subject.change("MTR-1", ChangeKind::Updated)).collect();
    let answers = subject.store.accept(fill).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Accepted::Stored(_))));
    let over = vec![subject.change("MTR-2", ChangeKind::Updated), subject.change("MTR-1", ChangeKind::Updated)];
    assert_eq!(subject.store.accept(over).await.unwrap(), [Accepted::NotStored, Accepted::LaneFull]);
    subject.update("MTR-2").await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(1)).await;
    assert_eq!(subject.update("MTR-1").await.sequence, LANE_WAITING_MAX as u64 + 1, "there is room again");
}

pub(crate) async fn an_empty_call_is_answered(subject: Subject) {
    assert_eq!(subject.store.accept(Vec::new()).await.unwrap(), []);
}

pub(crate) async fn many_at_once_get_dense_sequences(subject: Subject) {
    let accepts = (0..200).map(|number| subject.update(["MTR-1", "MTR-2", "MTR-3"][number % 3]));
    let mut places: Vec<_> = join_all(accepts).await.into_iter().enumerate().collect();
    for lane in 0..3 {
        let mut sequences: Vec<_> =
            places.iter().filter(|(number, _)| number % 3 == lane).map(|(_, receipt)| receipt.sequence).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    }
    places.sort_by(|one, other| one.1.delivery.cmp(&other.1.delivery));
    places.dedup_by(|one, other| one.1.delivery == other.1.delivery);
    assert_eq!(places.len(), 200, "each has a receipt of its own");
}
