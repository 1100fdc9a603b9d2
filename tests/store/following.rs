//! What follows from a settlement: appended in its commit, once, and in nobody's way.

use snowgate::delivery::record::{Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::limits::TICKET_LANE_WAITING_MAX;
use snowgate::store::{Accepted, DeliveryQuery, Held, NewDelivery, Receipt, Settlement};

use crate::harness::{CONTOSO, LEASE, Subject, again, by, changed, delivered, incident, link, parked, tenant};

/// A settlement of the head at 1 from which these follow.
fn told(follows: &[&NewDelivery]) -> Settlement {
    Settlement { follows: follows.iter().map(|change| (*change).clone()).collect(), ..delivered(1) }
}

/// Something to be told to the managed service.
fn back(subject: &Subject, incident: &str) -> NewDelivery {
    NewDelivery { direction: Direction::ToService, ..subject.change(incident, ChangeKind::Updated) }
}

async fn is_there(subject: &Subject, change: &NewDelivery) -> bool {
    subject.store.delivery(&tenant(CONTOSO), &change.id).await.unwrap().is_some()
}

pub(crate) async fn what_follows_waits_in_its_own_lane_and_is_due_at_once(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    subject.update("MTR-1").await;
    let follow = NewDelivery { is_echo: true, ..back(&subject, "MTR-1") };
    let claim = subject.claim_one().await;
    assert!(subject.claim(9).await.is_empty(), "nothing else is due");
    subject.settle(&claim.lease, told(&[&follow])).await;
    let next = subject.claim_one().await;
    assert_eq!((&next.incident, next.direction), (&follow.incident, Direction::ToService));
    let waiting = &next.waiting[0];
    assert_eq!((&waiting.id, waiting.sequence, &waiting.body), (&follow.id, 1, &follow.body));
    assert_eq!((waiting.kind, waiting.accepted_at, waiting.is_echo), (follow.kind, claim.now, true));
    let repeat = subject.store.accept(vec![again(&follow, subject.next_id())]).await.unwrap();
    assert_eq!(repeat, [Accepted::Repeat(Receipt { delivery: follow.id, sequence: 1 })], "it is known like any other");
}

pub(crate) async fn what_follows_keeps_its_order(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    subject.update("MTR-1").await;
    let follows = [back(&subject, "MTR-1"), back(&subject, "MTR-2"), back(&subject, "MTR-1"), back(&subject, "MTR-1")];
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, told(&follows.each_ref())).await;
    let claims = subject.claim(9).await;
    let of = |name: &str| claims.iter().find(|claim| claim.incident == incident(name)).unwrap();
    let first: Vec<_> = of("MTR-1").waiting.iter().map(|waiting| (waiting.sequence, &waiting.id)).collect();
    assert_eq!(first, [(1, &follows[0].id), (2, &follows[2].id), (3, &follows[3].id)]);
    assert_eq!(of("MTR-2").waiting.len(), 1);
}

pub(crate) async fn what_follows_in_the_settled_lane_comes_behind_what_waits(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    subject.update("MTR-1").await;
    let second = subject.update("MTR-1").await;
    let follow = subject.change("MTR-1", ChangeKind::Opened);
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, told(&[&follow])).await;
    let next = subject.claim_one().await;
    assert_eq!(next.lease.head, 2);
    let waiting: Vec<_> = next.waiting.iter().map(|waiting| &waiting.id).collect();
    assert_eq!(waiting, [&second.delivery, &follow.id]);
}

pub(crate) async fn what_follows_wakes_the_settled_lane_when_nothing_else_waits(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    subject.update("MTR-1").await;
    let follow = subject.change("MTR-1", ChangeKind::Updated);
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, told(&[&follow])).await;
    assert_eq!(subject.claim_one().await.waiting[0].id, follow.id);
}

pub(crate) async fn what_follows_waits_behind_a_head_that_was_parked(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    let stuck = subject.update("MTR-1").await;
    let (same, other) = (subject.change("MTR-1", ChangeKind::Updated), back(&subject, "MTR-1"));
    let claim = subject.claim_one().await;
    let settlement = Settlement { follows: vec![same.clone(), other.clone()], ..parked(1, true) };
    subject.settle(&claim.lease, settlement).await;
    let next = subject.claim_one().await;
    assert_eq!(next.waiting[0].id, other.id, "the other direction goes on");
    subject.store.drop_parked(&tenant(CONTOSO), &stuck.delivery, by("ada")).await.unwrap();
    assert_eq!(subject.claim_one().await.waiting[0].id, same.id);
}

pub(crate) async fn a_known_event_follows_only_once(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    let known = back(&subject, "MTR-2");
    subject.accept(known.clone()).await;
    let (repeat, other) = (again(&known, subject.next_id()), changed(&known, subject.next_id()));
    let new = back(&subject, "MTR-2");
    let (twin, other_twin) = (again(&new, subject.next_id()), changed(&new, subject.next_id()));
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, told(&[&repeat, &other, &new, &twin, &other_twin])).await;
    for (change, expected) in [(&known, true), (&repeat, false), (&other, false), (&new, true), (&twin, false)] {
        assert_eq!(is_there(&subject, change).await, expected, "{change:?}");
    }
    assert_eq!(subject.delivery(&new.id).await.sequence, 2, "what is left out leaves no gap");
    assert_eq!(subject.accept(back(&subject, "MTR-2")).await.sequence, 3);
}

pub(crate) async fn a_lost_lease_stores_neither_the_end_nor_what_follows(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let follow = back(&subject, "MTR-1");
    let known = link(1, "MTR-1", 1);
    let settlement = Settlement { link: Some(known.clone()), ..told(&[&follow]) };
    let stale = subject.claim_one().await;
    let beyond = Settlement { upto: 2, ..settlement.clone() };
    assert_eq!(subject.store.settle(&stale.lease, beyond).await.unwrap(), Held::Lost);
    subject.pass(LEASE);
    let owner = subject.claim_one().await;
    assert_eq!(subject.store.settle(&stale.lease, settlement.clone()).await.unwrap(), Held::Lost);
    assert_eq!(subject.state(&receipt).await, State::Waiting);
    assert!(!is_there(&subject, &follow).await);
    assert_eq!(subject.store.link(&tenant(CONTOSO), &known.ticket.sys_id).await.unwrap(), None);
    subject.settle(&owner.lease, settlement).await;
    assert_eq!(subject.state(&receipt).await, State::Delivered);
    assert!(is_there(&subject, &follow).await);
    assert_eq!(subject.store.link(&tenant(CONTOSO), &known.ticket.sys_id).await.unwrap(), Some(known));
}

pub(crate) async fn what_follows_disturbs_nobody_who_has_the_other_lane(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    subject.accept(back(&subject, "MTR-1")).await;
    let other = subject.claim_one().await;
    subject.update("MTR-1").await;
    let follow = back(&subject, "MTR-1");
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, told(&[&follow])).await;
    assert!(subject.claim(9).await.is_empty(), "the lane is still leased");
    assert!(subject.store.renew(&other.lease, LEASE).await.unwrap().is_yes());
    subject.settle(&other.lease, delivered(1)).await;
    let next = subject.claim_one().await;
    assert_eq!((next.lease.head, &next.waiting[0].id), (2, &follow.id));
}

pub(crate) async fn no_lane_is_too_full_for_what_follows(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    let full = (0..TICKET_LANE_WAITING_MAX).map(|_| back(&subject, "MTR-1")).collect();
    subject.store.accept(full).await.unwrap();
    let over = back(&subject, "MTR-1");
    assert_eq!(subject.store.accept(vec![over.clone()]).await.unwrap(), [Accepted::LaneFull]);
    subject.settle(&claim.lease, told(&[&over])).await;
    assert_eq!(subject.delivery(&over.id).await.sequence, TICKET_LANE_WAITING_MAX as u64 + 1);
}

pub(crate) async fn what_follows_stays_with_its_tenant(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    let astray = subject.change_of("fabrikam", "MTR-2");
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, told(&[&astray])).await;
    assert!(is_there(&subject, &astray).await);
    assert!(subject.store.delivery(&tenant("fabrikam"), &astray.id).await.unwrap().is_none());
}

pub(crate) async fn an_echo_stays_one_when_it_is_replayed(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let echo = NewDelivery { is_echo: true, ..subject.change("MTR-1", ChangeKind::Updated) };
    subject.accept(echo.clone()).await;
    subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    assert_eq!(claim.waiting.iter().map(|waiting| waiting.is_echo).collect::<Vec<_>>(), [true, false]);
    subject.settle(&claim.lease, parked(1, false)).await;
    subject.store.replay(&tenant(CONTOSO), &echo.id, subject.next_id(), by("ada")).await.unwrap();
    let claim = subject.claim_one().await;
    assert_eq!(claim.waiting.iter().map(|waiting| waiting.is_echo).collect::<Vec<_>>(), [false, true]);
}

pub(crate) async fn an_incident_and_its_tickets_are_one_list(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let one = subject.update("MTR-1").await.delivery;
    subject.update("MTR-2").await;
    let seen = subject.accept(back(&subject, "ticket:7")).await.delivery;
    let two = subject.accept(back(&subject, "MTR-1")).await.delivery;
    let query = DeliveryQuery {
        tenant: tenant(CONTOSO),
        state: None,
        incidents: ["MTR-1", "ticket:7", "MTR-1", "never"].map(incident).to_vec(),
        direction: None,
        before: None,
        limit: 2,
    };
    let page = subject.store.deliveries(&query).await.unwrap();
    let ids = |page: &snowgate::store::DeliveryPage| page.deliveries.iter().map(|d| d.id.clone()).collect::<Vec<_>>();
    assert_eq!((ids(&page), &page.next), (vec![two, seen.clone()], &Some(seen)));
    let rest = subject.store.deliveries(&DeliveryQuery { before: page.next, ..query }).await.unwrap();
    assert_eq!((ids(&rest), rest.next), (vec![one], None));
}
