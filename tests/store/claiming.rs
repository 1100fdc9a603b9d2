//! Claiming: fair over tenants, urgent first, never a lane twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use snowgate::delivery::record::{Direction, Urgency};
use snowgate::domain::change::ChangeKind;
use snowgate::limits::{AGING_STEP, LANE_WAITING_MAX, URGENT_JAM};
use snowgate::store::{ClaimRequest, NewDelivery, OldestDue, SlowShare};

use crate::harness::{Subject, delivered, postponed, request, tenant};

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

pub(crate) async fn a_thousand_times_the_work_is_no_earlier_turn(subject: Subject) {
    // proves F48: with 20,000 due lanes of one tenant, the one lane of another is the first of the very next claim
    subject.serve(&[("flood", 1_000), ("quiet", 1)]).await;
    for thousand in 0..20 {
        let lanes = (0..1_000).map(|number| subject.change_of("flood", &format!("MTR-{thousand}-{number}")));
        subject.store.accept(lanes.collect()).await.unwrap();
    }
    for round in 0..20 {
        let flood = subject.claim(8).await;
        assert_eq!(flood.len(), 8, "round {round}");
        subject.accept(subject.change_of("quiet", &format!("MTR-{round}"))).await;
        let next = subject.claim(8).await;
        assert_eq!((next.len(), next[0].tenant.as_str()), (8, "quiet"), "round {round}");
        assert!(next[1..].iter().all(|claim| claim.tenant.as_str() == "flood"));
        subject.settle(&next[0].lease, delivered(next[0].lease.head)).await;
    }
}

pub(crate) async fn slow_tenants_get_no_more_than_their_share_together(subject: Subject) {
    subject.serve(&[("crawls", 9), ("hangs", 9), ("well", 9)]).await;
    for number in 0..5 {
        for tenant in ["crawls", "hangs", "well"] {
            subject.accept(subject.change_of(tenant, &format!("MTR-{number}"))).await;
        }
    }
    let slow = |lanes_max| SlowShare { tenants: Arc::new([tenant("crawls"), tenant("hangs")].into()), lanes_max };
    let claim = async |lanes_max, share| {
        let request = ClaimRequest { slow: slow(share), ..request(lanes_max) };
        let claims = subject.store.claim(&request).await.unwrap();
        claims.iter().map(|claim| claim.tenant.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(claim(4, 3).await, ["crawls", "crawls", "crawls", "well"]);
    assert_eq!(claim(4, 0).await, ["well", "well", "well", "well"], "their turn passes without them");
    assert_eq!(claim(4, 0).await, [""; 0], "and what is left waits");
    assert_eq!(claim(1, 9).await, ["hangs"], "who was left out has the first turn");
}

pub(crate) async fn a_lane_rises_by_one_class_in_ten_minutes(subject: Subject) {
    subject.serve(&[("contoso", 10)]).await;
    subject.accept(subject.change("file", ChangeKind::AttachmentAdded)).await;
    subject.pass(AGING_STEP * 2);
    subject.accept(subject.change("update", ChangeKind::Updated)).await;
    assert_eq!(subject.claim_incidents(1).await, ["file"], "7 - 2 is 5, and it has been due longer");
    subject.pass((AGING_STEP * 4).saturating_sub(Duration::from_millis(1)));
    subject.accept(subject.change("opened", ChangeKind::Opened)).await;
    assert_eq!(subject.claim_incidents(1).await, ["opened"], "5 - 3 is 2");
    subject.accept(subject.change("opened-too", ChangeKind::Opened)).await;
    subject.pass(Duration::from_millis(1));
    assert_eq!(subject.claim_incidents(10).await[..2], ["update", "opened-too"], "nothing is more than urgent");
}

pub(crate) async fn the_lowest_class_goes_on_under_a_stream_of_urgent_lanes(subject: Subject) {
    // proves F48: a file's lane is served within the hour while two urgent lanes come for each one that is served
    subject.serve(&[("contoso", 1)]).await;
    subject.accept(subject.change("file", ChangeKind::AttachmentAdded)).await;
    for turn in 0..80 {
        subject.accept(subject.change(&format!("a-{turn}"), ChangeKind::Opened)).await;
        subject.accept(subject.change(&format!("b-{turn}"), ChangeKind::Escalated)).await;
        subject.pass(Duration::from_mins(1));
        let request = ClaimRequest { newest_first: turn % 4 != 3, ..request(1) };
        let claim = subject.store.claim(&request).await.unwrap().remove(0);
        subject.settle(&claim.lease, delivered(1)).await;
        if claim.incident.as_str() == "file" {
            assert!((58..=64).contains(&turn), "after an hour, not at {turn} minutes");
            return;
        }
    }
    panic!("the lowest class starved");
}

pub(crate) async fn in_a_jam_of_urgent_lanes_the_newest_go_first_when_asked_for(subject: Subject) {
    subject.serve(&[("contoso", 3)]).await;
    for number in 0..10 {
        subject.accept(subject.change(&format!("MTR-{number}"), ChangeKind::Opened)).await;
        subject.pass(Duration::from_secs(30));
    }
    let newest = ClaimRequest { newest_first: true, ..request(1) };
    let claim = async |request: &ClaimRequest| subject.store.claim(request).await.unwrap().remove(0);
    assert_eq!(subject.clock.passed(), URGENT_JAM, "as old as a jam, not older");
    assert_eq!(claim(&newest).await.incident.as_str(), "MTR-0", "it is no jam yet");
    subject.accept(subject.change("update", ChangeKind::Updated)).await;
    subject.pass(Duration::from_secs(91));
    assert_eq!(claim(&newest).await.incident.as_str(), "MTR-9");
    let oldest = claim(&request(1)).await;
    assert_eq!(oldest.incident.as_str(), "MTR-1", "those that are not asked for go in turn");
    subject.settle(&oldest.lease, delivered(1)).await;
    assert_eq!(claim(&newest).await.incident.as_str(), "MTR-8");
}

pub(crate) async fn no_order_of_lanes_changes_the_order_inside_one(subject: Subject) {
    subject.serve(&[("contoso", 1)]).await;
    for kind in [ChangeKind::AttachmentAdded, ChangeKind::Updated, ChangeKind::Escalated] {
        subject.accept(subject.change("MTR-1", kind)).await;
        subject.pass(AGING_STEP);
    }
    for place in 1..=3 {
        let newest = ClaimRequest { newest_first: true, ..request(1) };
        let claim = subject.store.claim(&newest).await.unwrap().remove(0);
        assert_eq!(claim.waiting[0].sequence, place);
        subject.settle(&claim.lease, delivered(place)).await;
    }
}

pub(crate) async fn a_tickets_lane_takes_more_than_an_incidents(subject: Subject) {
    let back = |number| NewDelivery {
        direction: Direction::ToService,
        ..subject.change_of("contoso", if number == 0 { "first" } else { "MTR-1" })
    };
    subject.store.accept((1..=LANE_WAITING_MAX).map(back).collect()).await.unwrap();
    let over = subject.accept(back(1)).await;
    assert_eq!(over.sequence, LANE_WAITING_MAX as u64 + 1);
}

pub(crate) async fn the_longest_due_lane_is_told_by_class(subject: Subject) {
    subject.serve(&[("contoso", 1), ("fabrikam", 1)]).await;
    assert_eq!(subject.store.oldest_due().await.unwrap(), []);
    let begun = subject.now();
    subject.accept(subject.change("MTR-1", ChangeKind::Updated)).await;
    subject.pass(Duration::from_secs(5));
    subject.accept(subject.change("MTR-2", ChangeKind::Updated)).await;
    subject.accept(subject.change("MTR-3", ChangeKind::Opened)).await;
    subject.accept(subject.change_of("fabrikam", "FAB-1")).await;
    let later = subject.now();
    let of = |name: &str, urgency, since| OldestDue { tenant: tenant(name), urgency, since };
    let all = [
        of("contoso", Urgency::High, later),
        of("contoso", Urgency::Normal, begun),
        of("fabrikam", Urgency::Normal, later),
    ];
    assert_eq!(subject.store.oldest_due().await.unwrap(), all);
    subject.claim(10).await;
    assert_eq!(
        subject.store.oldest_due().await.unwrap(),
        [of("contoso", Urgency::Normal, begun)],
        "what is leased is not due"
    );
}
