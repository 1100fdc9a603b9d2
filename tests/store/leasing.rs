//! Leases and the writes under them: fenced, and undone by nobody but their owner.

use std::time::Duration;

use snowgate::delivery::record::State;
use snowgate::domain::change::ChangeKind;
use snowgate::limits::ATTEMPT_RECORDS_MAX;
use snowgate::store::{Held, Postponement, Settlement};

use crate::harness::{LEASE, Subject, attempt, delivered, memory, postponed};

const MILLISECOND: Duration = Duration::from_millis(1);
const NEARLY_A_LEASE: Duration = Duration::from_millis(119_999);

pub(crate) async fn an_expired_lease_offers_the_lane_again(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    subject.update("MTR-1").await;
    let first = subject.claim_one().await;
    subject.pass(NEARLY_A_LEASE);
    assert!(subject.claim(1).await.is_empty());
    subject.pass(MILLISECOND);
    let second = subject.claim_one().await;
    assert_eq!((second.lease.fence, second.attempts), (first.lease.fence + 1, 2));
}

pub(crate) async fn an_expired_lease_holds_until_someone_else_claims(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.pass(2 * LEASE);
    subject.settle(&claim.lease, delivered(1)).await;
    assert_eq!(subject.state(&receipt).await, State::Delivered);
}

pub(crate) async fn a_renewed_lease_lasts(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    for _ in 0..3 {
        subject.pass(LEASE / 2);
        assert!(subject.store.renew(&claim.lease, LEASE).await.unwrap().is_yes());
        assert!(subject.claim(1).await.is_empty());
    }
    subject.pass(LEASE);
    assert_eq!(subject.claim(1).await.len(), 1);
}

pub(crate) async fn a_stale_owner_changes_nothing(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let stale = subject.claim_one().await;
    subject.pass(LEASE);
    let owner = subject.claim_one().await;
    assert_eq!(subject.store.intend(&stale.lease, 1, LEASE).await.unwrap(), Held::Lost);
    assert_eq!(subject.store.renew(&stale.lease, 9 * LEASE).await.unwrap(), Held::Lost);
    assert_eq!(subject.store.settle(&stale.lease, delivered(1)).await.unwrap(), Held::Lost);
    assert_eq!(subject.store.postpone(&stale.lease, postponed(stale.now)).await.unwrap(), Held::Lost);
    assert_eq!(subject.state(&receipt).await, State::Waiting);
    subject.settle(&owner.lease, delivered(1)).await;
    // The right ends with the lease, for its owner too.
    assert_eq!(subject.store.settle(&owner.lease, delivered(1)).await.unwrap(), Held::Lost);
    assert_eq!(subject.store.renew(&owner.lease, LEASE).await.unwrap(), Held::Lost);
}

pub(crate) async fn an_intention_marks_what_is_being_sent(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let receipts = [subject.update("MTR-1").await, subject.update("MTR-1").await, subject.update("MTR-1").await];
    let claim = subject.claim_one().await;
    subject.pass(LEASE / 2);
    let now = claim.now.plus(LEASE / 2);
    assert_eq!(subject.store.intend(&claim.lease, 2, LEASE).await.unwrap(), Held::Yes(now));
    for (receipt, expected) in receipts.iter().zip([State::Sending, State::Sending, State::Waiting]) {
        assert_eq!(subject.state(receipt).await, expected);
    }
    subject.pass(NEARLY_A_LEASE);
    assert!(subject.claim(1).await.is_empty(), "an intention renews the lease");
}

pub(crate) async fn a_sent_delivery_stays_marked_when_its_owner_dies(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    subject.pass(LEASE);
    let next = subject.claim_one().await;
    assert_eq!(next.waiting[0].sending_since, Some(claim.now));
    assert_eq!(next.attempts, 2);
}

pub(crate) async fn a_settled_delivery_ends_and_the_next_one_follows(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let (first, second) = (subject.update("MTR-1").await, subject.update("MTR-1").await);
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    subject.settle(&claim.lease, delivered(1)).await;
    assert_eq!([subject.state(&first).await, subject.state(&second).await], [State::Delivered, State::Waiting]);
    let next = subject.claim_one().await;
    assert_eq!((next.lease.head, next.attempts, next.waiting.len()), (2, 1, 1));
    subject.settle(&next.lease, delivered(2)).await;
    assert!(subject.claim(1).await.is_empty());
    subject.update("MTR-1").await;
    assert_eq!(subject.claim_one().await.lease.head, 3);
}

pub(crate) async fn a_fold_supersedes_all_but_the_last(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let receipts = [subject.update("MTR-1").await, subject.update("MTR-1").await, subject.update("MTR-1").await];
    let claim = subject.claim_one().await;
    subject.intend(&claim, 2).await;
    subject.settle(&claim.lease, delivered(2)).await;
    let folded = subject.delivery(&receipts[0].delivery).await;
    assert_eq!((folded.state, folded.ended_at), (State::Superseded, Some(claim.now)));
    assert_eq!(folded.ending.unwrap().superseded_by.as_ref(), Some(&receipts[1].delivery));
    assert_eq!(subject.state(&receipts[1]).await, State::Delivered);
    assert_eq!(subject.state(&receipts[2]).await, State::Waiting);
    assert_eq!(subject.claim_one().await.lease.head, 3);
}

pub(crate) async fn settling_what_does_not_wait_changes_nothing(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    subject.update("MTR-1").await;
    let first = subject.claim_one().await;
    subject.settle(&first.lease, delivered(1)).await;
    let second = subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    for upto in [0, 1, 3] {
        assert_eq!(subject.store.settle(&claim.lease, delivered(upto)).await.unwrap(), Held::Lost, "{upto}");
    }
    assert_eq!(subject.state(&second).await, State::Waiting);
    subject.settle(&claim.lease, delivered(2)).await;
}

pub(crate) async fn a_lane_remembers_what_a_settlement_said(subject: Subject) {
    subject.serve(&[("contoso", 2)]).await;
    for _ in 0..3 {
        subject.update("MTR-1").await;
    }
    for (upto, word) in [(1, "one"), (2, "two")] {
        let claim = subject.claim_one().await;
        subject.settle(&claim.lease, Settlement { memory: memory(word), ..delivered(upto) }).await;
    }
    subject.update("MTR-2").await;
    let claims = subject.claim(2).await;
    let remembered = |incident: &str| claims.iter().find(|c| c.incident.as_str() == incident).unwrap().memory.clone();
    assert_eq!(remembered("MTR-1"), memory("two"));
    assert_eq!(remembered("MTR-2"), snowgate::delivery::lane::LaneMemory::default());
}

pub(crate) async fn a_counted_postponement_is_a_try_and_an_uncounted_is_not(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    subject.update("MTR-1").await;
    let mut tries = Vec::new();
    for counted in [true, false, false, true, true] {
        let claim = subject.claim_one().await;
        tries.push(claim.attempts);
        subject.postpone(&claim.lease, Postponement { counted, ..postponed(claim.now) }).await;
    }
    assert_eq!(tries, [1, 2, 2, 2, 3]);
}

pub(crate) async fn a_postponed_delivery_that_was_surely_not_processed_is_waiting_again(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let receipts = [subject.update("MTR-1").await, subject.update("MTR-1").await];
    let claim = subject.claim_one().await;
    subject.intend(&claim, 2).await;
    let refused = Postponement {
        not_processed: true,
        attempt: Some(attempt(claim.now, "http_503")),
        ..postponed(claim.now.plus(LEASE))
    };
    subject.postpone(&claim.lease, refused).await;
    for receipt in &receipts {
        assert_eq!(subject.state(receipt).await, State::Waiting);
    }
    let shown = subject.delivery(&receipts[0].delivery).await;
    assert_eq!(shown.due, Some(claim.now.plus(LEASE)));
    assert_eq!(shown.attempts, [attempt(claim.now, "http_503")]);
}

pub(crate) async fn a_postponed_delivery_that_may_be_processed_stays_being_sent(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    subject.pass(MILLISECOND);
    subject.postpone(&claim.lease, postponed(claim.now)).await;
    assert_eq!(subject.state(&receipt).await, State::Sending);
    assert_eq!(subject.claim_one().await.waiting[0].sending_since, Some(claim.now));
}

pub(crate) async fn only_the_newest_tries_are_kept(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let receipt = subject.accept(subject.change("MTR-1", ChangeKind::Opened)).await;
    for number in 0..ATTEMPT_RECORDS_MAX + 3 {
        let claim = subject.claim_one().await;
        let attempt = Some(attempt(claim.now, &format!("try-{number}")));
        subject.postpone(&claim.lease, Postponement { attempt, ..postponed(claim.now) }).await;
    }
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, Settlement { attempt: Some(attempt(claim.now, "last")), ..delivered(1) }).await;
    let attempts = subject.delivery(&receipt.delivery).await.attempts;
    assert_eq!(attempts.len(), ATTEMPT_RECORDS_MAX);
    assert_eq!(attempts[0].outcome.code, "try-4");
    assert_eq!(attempts.last().unwrap().outcome.code, "last");
}

pub(crate) async fn time_set_back_holds_no_lane(subject: Subject) {
    subject.serve(&[("contoso", 2)]).await;
    subject.update("MTR-1").await;
    let first = subject.claim_one().await;
    subject.clock.set_back(Duration::from_hours(2));
    subject.update("MTR-2").await;
    let second = subject.claim_one().await;
    assert!(second.now >= first.now, "the store's time does not go back");
    // While it waits for the wall clock, its time runs a tenth slower: a lease lasts a ninth longer at most.
    subject.pass(LEASE + LEASE / 8);
    assert_eq!(subject.claim(2).await.len(), 2);
}
