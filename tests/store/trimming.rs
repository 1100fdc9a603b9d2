//! Forgetting what ended long ago: nothing that somebody may still ask for, repeat or work on.

use std::time::Duration;

use snowgate::delivery::record::State;
use snowgate::domain::change::ChangeKind;
use snowgate::domain::time::{Clock, Timestamp};
use snowgate::limits::EVENTS_REMEMBERED;
use snowgate::store::{Accepted, DeliveryQuery, NewDelivery, Replayed};

use crate::harness::{CONTOSO, Subject, again, by, delivered, incident, memory, parked, tenant};

const SECOND: Duration = Duration::from_secs(1);

/// Trims what ended before this moment.
async fn trim(subject: &Subject) -> usize {
    subject.store.trim(subject.clock.now(), 100).await.unwrap()
}

/// Accepts an update of this incident and delivers it.
async fn done(subject: &Subject, incident: &str) -> NewDelivery {
    let change = subject.change(incident, ChangeKind::Updated);
    subject.accept(change.clone()).await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(claim.lease.head)).await;
    change
}

async fn is_there(subject: &Subject, change: &NewDelivery) -> bool {
    subject.store.delivery(&tenant(CONTOSO), &change.id).await.unwrap().is_some()
}

pub(crate) async fn what_ended_long_ago_goes_and_its_lane_goes_on(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let old = done(&subject, "MTR-1").await;
    subject.pass(EVENTS_REMEMBERED + SECOND);
    let young = done(&subject, "MTR-1").await;
    assert_eq!(subject.store.trim(Timestamp::EPOCH, 100).await.unwrap(), 0, "none is older than asked");
    assert_eq!((trim(&subject).await, trim(&subject).await), (1, 0));
    assert_eq!((is_there(&subject, &old).await, is_there(&subject, &young).await), (false, true));
    let query = DeliveryQuery {
        tenant: tenant(CONTOSO),
        state: None,
        incidents: vec![incident("MTR-1")],
        direction: None,
        before: None,
        limit: 9,
    };
    assert_eq!(subject.store.deliveries(&query).await.unwrap().deliveries.len(), 1);
    assert_eq!(subject.update("MTR-1").await.sequence, 3, "the lane counts on");
    assert_eq!(subject.claim_one().await.memory, memory("delivered"), "and remembers");
}

pub(crate) async fn what_is_not_done_stays(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    let stuck = subject.change("MTR-1", ChangeKind::Updated);
    subject.accept(stuck.clone()).await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, parked(1, true)).await;
    let (sent, waiting) = (subject.change("MTR-2", ChangeKind::Updated), subject.change("MTR-2", ChangeKind::Updated));
    subject.accept(sent.clone()).await;
    subject.accept(waiting.clone()).await;
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    subject.pass(2 * EVENTS_REMEMBERED);
    assert_eq!(trim(&subject).await, 0);
    for (change, state) in [(&stuck, State::Parked), (&sent, State::Sending), (&waiting, State::Waiting)] {
        assert_eq!(subject.delivery(&change.id).await.state, state);
    }
    // It waited for longer than that, but it ends only now.
    subject.settle(&claim.lease, delivered(1)).await;
    let replayed = subject.store.replay(&tenant(CONTOSO), &stuck.id, subject.next_id(), by("ada")).await.unwrap();
    assert_eq!(replayed, Replayed::Done(stuck.id));
    assert_eq!(trim(&subject).await, 0);
}

pub(crate) async fn a_repeat_is_known_for_a_month_whatever_is_asked(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let change = done(&subject, "MTR-1").await;
    let again = async || subject.store.accept(vec![again(&change, subject.next_id())]).await.unwrap().remove(0);
    subject.pass(EVENTS_REMEMBERED);
    assert_eq!(subject.store.trim(Timestamp::NEVER, 100).await.unwrap(), 0);
    assert!(matches!(again().await, Accepted::Repeat(_)));
    subject.pass(SECOND);
    assert_eq!(subject.store.trim(Timestamp::NEVER, 100).await.unwrap(), 1);
    assert!(matches!(again().await, Accepted::Stored(receipt) if receipt.sequence == 2));
}

pub(crate) async fn no_more_go_at_once_than_asked(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    for number in 0..5 {
        done(&subject, ["MTR-1", "MTR-2"][number % 2]).await;
    }
    subject.pass(EVENTS_REMEMBERED + SECOND);
    let mut went = Vec::new();
    for _ in 0..4 {
        went.push(subject.store.trim(subject.clock.now(), 2).await.unwrap());
    }
    assert_eq!(went, [2, 2, 1, 0]);
}
