//! Claiming: fair over tenants, urgent first, never a lane twice.

use std::collections::BTreeSet;
use std::time::Duration;

use snowgate::delivery::record::Direction;
use snowgate::domain::change::ChangeKind;
use snowgate::store::{ClaimRequest, NewDelivery};

use crate::harness::{Subject, delivered, postponed, request};

pub(crate) async fn nothing_is_claimed_before_a_tenant_is_served(subject: Subject) {
    subject.update("MTR-1").await;
    assert!(subject.claim(10).await.is_empty());
    subject.serve(&[("contoso", 1)]).await;
    assert_eq!(subject.claim(10).await.len(), 1);
}

pub(crate) async fn a_claim_hands_out_the_head_and_what_follows(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    let change = subject.change("MTR-1", ChangeKind::Opened);
    subject.accept(change.clone()).await;
    for _ in 0..4 {
        subject.update("MTR-1").await;
    }
    let some = ClaimRequest { waiting_max: 3, ..request(1) };
    let claim = subject.store.claim(&some).await.unwrap().remove(0);
    assert_eq!((claim.tenant.as_str(), claim.incident.as_str()), ("contoso", "MTR-1"));
    assert_eq!(claim.direction, Direction::ToServicenow);
    assert_eq!((claim.attempts, claim.lease.head), (1, 1));
    assert_eq!(claim.waiting.iter().map(|waiting| waiting.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    let head = &claim.waiting[0];
    assert_eq!((&head.id, head.kind, &head.body), (&change.id, ChangeKind::Opened.into(), &change.body));
    assert_eq!((head.accepted_at, head.sending_since), (claim.now, None));
}

pub(crate) async fn no_lane_is_claimed_twice(subject: Subject) {
    subject.serve(&[("contoso", 100)]).await;
    for number in 0..20 {
        subject.update(&format!("MTR-{number}")).await;
    }
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        for incident in subject.claim_incidents(4).await {
            assert!(seen.insert(incident), "a lane was handed out twice");
        }
    }
    assert_eq!(seen.len(), 20);
    assert!(subject.claim(100).await.is_empty());
}

pub(crate) async fn a_tenant_never_has_more_lanes_than_its_share(subject: Subject) {
    subject.serve(&[("contoso", 3)]).await;
    for number in 0..10 {
        subject.update(&format!("MTR-{number}")).await;
    }
    let first = subject.claim(2).await;
    assert_eq!(first.len(), 2);
    assert_eq!(subject.claim(10).await.len(), 1);
    assert!(subject.claim(10).await.is_empty());
    subject.settle(&first[0].lease, delivered(1)).await;
    assert_eq!(subject.claim(10).await.len(), 1, "a lane given back makes room");
    subject.serve(&[("contoso", 5)]).await;
    assert_eq!(subject.claim(10).await.len(), 2, "a larger share counts at once");
}

pub(crate) async fn the_least_recently_served_tenant_goes_first(subject: Subject) {
    subject.serve(&[("a", 9), ("b", 9), ("c", 9)]).await;
    for number in 0..3 {
        for tenant in ["a", "b", "c"] {
            subject.accept(subject.change_of(tenant, &format!("MTR-{number}"))).await;
        }
    }
    let mut order = Vec::new();
    for _ in 0..9 {
        order.push(subject.claim_one().await.tenant.to_string());
    }
    assert_eq!(order, ["a", "b", "c", "a", "b", "c", "a", "b", "c"]);
}

pub(crate) async fn a_flooding_tenant_delays_another_by_one_round(subject: Subject) {
    subject.serve(&[("flood", 100), ("quiet", 1)]).await;
    for thousand in 0..10 {
        let lanes = (0..1_000).map(|number| subject.change_of("flood", &format!("MTR-{thousand}-{number}")));
        subject.store.accept(lanes.collect()).await.unwrap();
    }
    assert_eq!(subject.claim(8).await.len(), 8);
    subject.accept(subject.change_of("quiet", "MTR-1")).await;
    let next = subject.claim(8).await;
    assert_eq!((next.len(), next[0].tenant.as_str()), (8, "quiet"));
}

pub(crate) async fn urgent_lanes_go_first_then_the_longest_waiting(subject: Subject) {
    subject.serve(&[("contoso", 10)]).await;
    let order = [
        ("late-update", ChangeKind::Updated),
        ("file", ChangeKind::AttachmentAdded),
        ("later-update", ChangeKind::MessageAdded),
        ("opened", ChangeKind::Opened),
        ("escalated", ChangeKind::Escalated),
    ];
    for (incident, kind) in order {
        subject.accept(subject.change(incident, kind)).await;
        subject.pass(Duration::from_millis(1));
    }
    assert_eq!(subject.claim_incidents(10).await, ["opened", "escalated", "late-update", "later-update", "file"]);
}

pub(crate) async fn a_lane_is_as_urgent_as_the_most_urgent_of_what_waits(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    subject.accept(subject.change("busy", ChangeKind::Updated)).await;
    subject.accept(subject.change("busy", ChangeKind::Resolved)).await;
    subject.accept(subject.change("busy", ChangeKind::AttachmentAdded)).await;
    subject.accept(subject.change("calm", ChangeKind::Updated)).await;
    for (expected, upto) in [("busy", 1), ("busy", 2), ("calm", 1), ("busy", 3)] {
        let claim = subject.claim_one().await;
        assert_eq!((claim.incident.as_str(), claim.lease.head), (expected, upto));
        subject.settle(&claim.lease, delivered(upto)).await;
    }
    // The lane ran empty: what it held before says nothing about what comes.
    subject.accept(subject.change("busy", ChangeKind::AttachmentAdded)).await;
    subject.accept(subject.change("calm", ChangeKind::Updated)).await;
    assert_eq!(subject.claim_incidents(1).await, ["calm"]);
}

pub(crate) async fn a_lane_that_backs_off_is_not_claimed_before_its_time(subject: Subject) {
    subject.serve(&[("contoso", 10)]).await;
    subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.postpone(&claim.lease, postponed(claim.now.plus(Duration::from_secs(30)))).await;
    subject.update("MTR-1").await;
    subject.pass(Duration::from_millis(29_999));
    assert!(subject.claim(10).await.is_empty(), "what comes behind does not shorten the wait");
    subject.pass(Duration::from_millis(1));
    assert_eq!(subject.claim_one().await.waiting.len(), 2);
}

pub(crate) async fn a_tenant_no_longer_served_keeps_its_work(subject: Subject) {
    subject.serve(&[("contoso", 10)]).await;
    subject.update("MTR-1").await;
    subject.serve(&[("fabrikam", 10)]).await;
    let kept = subject.update("MTR-1").await;
    assert_eq!(kept.sequence, 2);
    assert!(subject.claim(10).await.is_empty());
    subject.serve(&[("contoso", 10), ("fabrikam", 10)]).await;
    assert_eq!(subject.claim_one().await.waiting.len(), 2);
}

pub(crate) async fn the_directions_of_an_incident_are_lanes_of_their_own(subject: Subject) {
    subject.serve(&[("contoso", 10)]).await;
    subject.update("MTR-1").await;
    let back = NewDelivery { direction: Direction::ToService, ..subject.change("MTR-1", ChangeKind::Updated) };
    subject.accept(back).await;
    let directions: Vec<_> = subject.claim(10).await.iter().map(|claim| claim.direction).collect();
    assert_eq!(directions, [Direction::ToServicenow, Direction::ToService]);
}
