//! Reading: what a sender, an operator and the metrics see.

use std::time::Duration;

use snowgate::delivery::record::{Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::DeliveryId;
use snowgate::domain::time::Clock;
use snowgate::store::{Backlog, DeliveryQuery, NewDelivery, Settlement};

use crate::harness::{CONTOSO, Subject, attempt, by, delivered, incident, parked, tenant, ticket};

fn everything() -> DeliveryQuery {
    DeliveryQuery {
        tenant: tenant(CONTOSO),
        state: None,
        incidents: Vec::new(),
        direction: None,
        before: None,
        limit: 100,
    }
}

async fn listed(subject: &Subject, query: DeliveryQuery) -> Vec<DeliveryId> {
    subject.store.deliveries(&query).await.unwrap().deliveries.into_iter().map(|delivery| delivery.id).collect()
}

pub(crate) async fn a_delivery_shows_what_was_accepted(subject: Subject) {
    let change = subject.change("MTR-1", ChangeKind::Escalated);
    subject.accept(change.clone()).await;
    let shown = subject.delivery(&change.id).await;
    let now = subject.clock.now();
    assert_eq!((shown.id, shown.tenant, shown.incident), (change.id, change.tenant, change.incident));
    assert_eq!((shown.event, shown.kind, shown.direction), (change.event, change.kind, change.direction));
    assert_eq!((shown.sequence, shown.state), (1, State::Waiting));
    assert_eq!((shown.accepted_at, shown.due, shown.ended_at), (now, Some(now), None));
    assert_eq!(shown.body.get(), &*change.body);
    assert!(shown.attempts.is_empty() && shown.ending.is_none());
}

pub(crate) async fn a_strange_tenant_sees_nothing(subject: Subject) {
    let receipt = subject.update("MTR-1").await;
    subject.accept(subject.change_of("fabrikam", "MTR-1")).await;
    for stranger in ["fabrikam", "nobody"] {
        assert!(subject.store.delivery(&tenant(stranger), &receipt.delivery).await.unwrap().is_none());
        let theirs = DeliveryQuery { tenant: tenant(stranger), incidents: vec![incident("MTR-1")], ..everything() };
        assert!(!listed(&subject, theirs).await.contains(&receipt.delivery));
    }
    assert!(subject.store.delivery(&tenant(CONTOSO), &subject.next_id()).await.unwrap().is_none());
}

pub(crate) async fn lists_are_newest_first_and_paged(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let mut accepted = Vec::new();
    for number in 0..7 {
        accepted.push(subject.update(["MTR-1", "MTR-2"][number % 2]).await.delivery);
        subject.accept(subject.change_of("fabrikam", "MTR-1")).await;
    }
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(1)).await;
    accepted.reverse();
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let query = DeliveryQuery { limit: 3, before, ..everything() };
        let page = subject.store.deliveries(&query).await.unwrap();
        pages.push(page.deliveries.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>());
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(pages.concat(), accepted);
    let exactly = subject.store.deliveries(&DeliveryQuery { limit: 7, ..everything() }).await.unwrap();
    assert_eq!((exactly.deliveries.len(), exactly.next), (7, None), "no empty last page");
}

pub(crate) async fn lists_are_filtered(subject: Subject) {
    subject.serve(&[(CONTOSO, 9)]).await;
    let done = subject.update("done").await.delivery;
    let stuck = subject.update("stuck").await.delivery;
    let sent = subject.update("sent").await.delivery;
    let folded = subject.update("folded").await.delivery;
    let last = subject.update("folded").await.delivery;
    let back = NewDelivery { direction: Direction::ToService, ..subject.change("sent", ChangeKind::Updated) };
    let back = subject.accept(back).await.delivery;
    for claim in subject.claim(9).await {
        match (claim.incident.as_str(), claim.direction) {
            ("done", _) => subject.settle(&claim.lease, delivered(1)).await,
            ("stuck", _) => subject.settle(&claim.lease, parked(1, false)).await,
            ("folded", _) => subject.settle(&claim.lease, delivered(2)).await,
            ("sent", Direction::ToServicenow) => subject.intend(&claim, 1).await,
            _ => {}
        }
    }
    let given_up = subject.update("given-up").await.delivery;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, parked(1, true)).await;
    let dropped = subject.store.drop_parked(&tenant(CONTOSO), &given_up, by("ada")).await.unwrap();
    assert_eq!(dropped, snowgate::store::Replayed::Done(given_up.clone()));
    for (state, expected) in [
        (State::Waiting, vec![&back]),
        (State::Sending, vec![&sent]),
        (State::Delivered, vec![&last, &done]),
        (State::Superseded, vec![&folded]),
        (State::Parked, vec![&stuck]),
        (State::Dropped, vec![&given_up]),
    ] {
        let query = DeliveryQuery { state: Some(state), ..everything() };
        assert_eq!(listed(&subject, query).await.iter().collect::<Vec<_>>(), expected, "{state:?}");
    }
    let of_incident = DeliveryQuery { incidents: vec![incident("sent")], ..everything() };
    assert_eq!(listed(&subject, of_incident.clone()).await, [back.clone(), sent.clone()]);
    let waiting = DeliveryQuery { state: Some(State::Waiting), ..of_incident.clone() };
    assert_eq!(listed(&subject, waiting).await, std::slice::from_ref(&back));
    let one_way = DeliveryQuery { direction: Some(Direction::ToServicenow), ..of_incident };
    assert_eq!(listed(&subject, one_way).await, [sent]);
    let other_way = DeliveryQuery { direction: Some(Direction::ToService), ..everything() };
    assert_eq!(listed(&subject, other_way).await, [back]);
}

pub(crate) async fn an_end_is_shown_with_its_tries(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    subject.pass(Duration::from_secs(1));
    let done_at = subject.clock.now();
    let settlement = Settlement { attempt: Some(attempt(done_at, "http_200")), ..delivered(1) };
    let ending = settlement.ending.clone();
    subject.settle(&claim.lease, settlement).await;
    let shown = subject.delivery(&receipt.delivery).await;
    assert_eq!((shown.state, shown.ended_at, shown.due), (State::Delivered, Some(done_at), None));
    assert_eq!(shown.ending.as_ref(), Some(&ending));
    assert_eq!(ending.ticket, Some(ticket()));
    assert_eq!(shown.attempts, [attempt(done_at, "http_200")]);
}

pub(crate) async fn the_backlog_counts_what_waits_and_what_is_parked(subject: Subject) {
    assert_eq!(subject.store.backlog().await.unwrap(), []);
    subject.serve(&[(CONTOSO, 9), ("fabrikam", 1)]).await;
    let start = subject.clock.now();
    for _ in 0..3 {
        subject.update("MTR-1").await;
        subject.pass(Duration::from_secs(1));
    }
    subject.accept(subject.change_of("fabrikam", "MTR-1")).await;
    let of = |name: &str, waiting, parked, seconds: Option<u64>| Backlog {
        tenant: tenant(name),
        direction: Direction::ToServicenow,
        waiting,
        parked,
        oldest: seconds.map(|seconds| start.plus(Duration::from_secs(seconds))),
    };
    assert_eq!(subject.store.backlog().await.unwrap(), [of(CONTOSO, 3, 0, Some(0)), of("fabrikam", 1, 0, Some(3))]);
    for claim in subject.claim(9).await {
        subject.intend(&claim, 1).await;
        subject
            .settle(&claim.lease, if claim.tenant == tenant(CONTOSO) { parked(1, true) } else { delivered(1) })
            .await;
    }
    assert_eq!(subject.store.backlog().await.unwrap(), [of(CONTOSO, 2, 1, Some(1))], "behind a parked head they wait");
    subject.pass(Duration::from_secs(1));
    let back = NewDelivery { direction: Direction::ToService, ..subject.change("MTR-1", ChangeKind::Updated) };
    subject.accept(back).await;
    let back = Backlog { direction: Direction::ToService, ..of(CONTOSO, 1, 0, Some(4)) };
    assert_eq!(subject.store.backlog().await.unwrap(), [of(CONTOSO, 2, 1, Some(1)), back], "each direction by itself");
}
