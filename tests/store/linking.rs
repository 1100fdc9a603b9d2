//! Which ticket belongs to which incident, and how other lanes stand.

use snowgate::delivery::kind::TicketKind;
use snowgate::delivery::lane::LaneMemory;
use snowgate::delivery::record::Direction;
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{IncidentId, SysId, TenantId};
use snowgate::domain::ticket::Link;
use snowgate::store::{LaneView, NewDelivery, Postponement, Settlement};

use crate::harness::{CONTOSO, Subject, delivered, incident, link, memory, parked, postponed, tenant};

async fn keep(subject: &Subject, of: &str, link: &Link) {
    subject.accept(subject.change_of(of, "any")).await;
    let claim = subject.claim_one().await;
    let settlement = Settlement { link: Some(link.clone()), ..delivered(claim.lease.head) };
    subject.settle(&claim.lease, settlement).await;
}

async fn known(subject: &Subject, of: &str, ticket: u128) -> Option<Link> {
    subject.store.link(&tenant(of), &SysId::from_bits(ticket)).await.unwrap()
}

pub(crate) async fn a_ticket_finds_its_incident(subject: Subject) {
    subject.serve(&[(CONTOSO, 1), ("fabrikam", 1)]).await;
    keep(&subject, CONTOSO, &link(1, "MTR-1", 1)).await;
    keep(&subject, "fabrikam", &link(1, "MTR-9", 3)).await;
    assert_eq!(known(&subject, CONTOSO, 1).await, Some(link(1, "MTR-1", 1)));
    assert_eq!(known(&subject, "fabrikam", 1).await, Some(link(1, "MTR-9", 3)));
    assert_eq!([known(&subject, CONTOSO, 2).await, known(&subject, "nobody", 1).await], [None, None]);
}

pub(crate) async fn the_newest_word_about_a_ticket_counts(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    keep(&subject, CONTOSO, &link(1, "MTR-1", 1)).await;
    let mut moved = link(1, "MTR-2", 2);
    moved.ticket.number.clear();
    "sn_si_incident".clone_into(&mut moved.ticket.table);
    keep(&subject, CONTOSO, &moved).await;
    moved.ticket.number = link(1, "MTR-1", 1).ticket.number;
    assert_eq!(known(&subject, CONTOSO, 1).await.as_ref(), Some(&moved), "no number takes none away");
    "INC7".clone_into(&mut moved.ticket.number);
    keep(&subject, CONTOSO, &moved).await;
    assert_eq!(known(&subject, CONTOSO, 1).await, Some(moved));
    let of = |name: &str| (tenant(CONTOSO), incident(name));
    let links = async |(tenant, incident): (TenantId, IncidentId)| subject.store.links_of(&tenant, &incident).await;
    assert_eq!((links(of("MTR-1")).await.unwrap().len(), links(of("MTR-2")).await.unwrap().len()), (0, 1));
}

pub(crate) async fn an_incidents_tickets_are_newest_first(subject: Subject) {
    subject.serve(&[(CONTOSO, 1), ("fabrikam", 1)]).await;
    let early = link(9, "MTR-1", 1);
    for link in [&early, &link(3, "MTR-1", 2), &link(5, "MTR-2", 9), &link(1, "MTR-1", 1)] {
        keep(&subject, CONTOSO, link).await;
        subject.pass(std::time::Duration::from_secs(1));
    }
    keep(&subject, "fabrikam", &link(4, "MTR-1", 4)).await;
    // Known again is not found again.
    keep(&subject, CONTOSO, &early).await;
    let links = subject.store.links_of(&tenant(CONTOSO), &incident("MTR-1")).await.unwrap();
    assert_eq!(links, [link(3, "MTR-1", 2), link(1, "MTR-1", 1), early]);
    assert_eq!(subject.store.links_of(&tenant("nobody"), &incident("MTR-1")).await.unwrap(), []);
}

pub(crate) async fn links_are_walked_through_in_pages(subject: Subject) {
    subject.serve(&[(CONTOSO, 1), ("fabrikam", 1)]).await;
    for ticket in [4, 0, 3, 1] {
        keep(&subject, CONTOSO, &link(ticket, "MTR-1", 1)).await;
        keep(&subject, "fabrikam", &link(ticket + 1, "MTR-1", 1)).await;
    }
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = subject.store.links_page(&tenant(CONTOSO), after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.ticket.sys_id.clone());
        pages.push(page.into_iter().map(|link| link.ticket.sys_id).collect::<Vec<_>>());
    }
    assert_eq!(pages, [[0, 1].map(SysId::from_bits), [3, 4].map(SysId::from_bits)]);
    assert_eq!(subject.store.links_page(&tenant("nobody"), None, 2).await.unwrap(), []);
}

pub(crate) async fn a_lane_can_be_looked_at(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let looked = async |direction| subject.store.lane(&tenant(CONTOSO), direction, &incident("MTR-1")).await.unwrap();
    let seen = async || looked(Direction::ToServicenow).await.unwrap();
    let view = |memory, sending, waiting| LaneView { memory, sending, waiting };
    assert_eq!(looked(Direction::ToServicenow).await, None);
    for _ in 0..3 {
        subject.update("MTR-1").await;
    }
    assert_eq!(seen().await, view(LaneMemory::default(), false, 3));
    assert_eq!(looked(Direction::ToService).await, None);
    let claim = subject.claim_one().await;
    assert_eq!(seen().await, view(LaneMemory::default(), false, 3));
    subject.intend(&claim, 2).await;
    assert_eq!(seen().await, view(LaneMemory::default(), true, 3));
    subject.settle(&claim.lease, delivered(2)).await;
    assert_eq!(seen().await, view(memory("delivered"), false, 1));
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, parked(3, true)).await;
    assert_eq!(seen().await, view(memory("parked"), false, 0), "what is parked waits for a person");
    let stranger = subject.store.lane(&tenant("nobody"), Direction::ToServicenow, &incident("MTR-1")).await.unwrap();
    assert_eq!(stranger, None);
}

pub(crate) async fn an_opening_is_seen_while_it_may_be_under_way(subject: Subject) {
    subject.serve(&[(CONTOSO, 9), ("fabrikam", 1)]).await;
    let opening = async |of: &str| subject.store.opening(&tenant(of)).await.unwrap();
    let told = |subject: &Subject, kind: TicketKind| NewDelivery {
        direction: Direction::ToService,
        kind: kind.into(),
        ..subject.change("ticket:1", ChangeKind::Updated)
    };
    subject.accept(told(&subject, TicketKind::Linked)).await;
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    assert!(!opening(CONTOSO).await, "another kind opens nothing");
    subject.settle(&claim.lease, delivered(1)).await;
    subject.accept(told(&subject, TicketKind::Opened)).await;
    let claim = subject.claim_one().await;
    assert!(!opening(CONTOSO).await, "nothing was sent yet");
    subject.intend(&claim, 2).await;
    assert!(opening(CONTOSO).await);
    assert!(!opening("fabrikam").await && !opening("nobody").await);
    subject.postpone(&claim.lease, postponed(claim.now)).await;
    assert!(opening(CONTOSO).await, "it may have arrived");
    let claim = subject.claim_one().await;
    let refused = Postponement { not_processed: true, ..postponed(claim.now) };
    subject.postpone(&claim.lease, refused).await;
    assert!(!opening(CONTOSO).await, "it surely did not arrive");
    let claim = subject.claim_one().await;
    subject.intend(&claim, 2).await;
    subject.settle(&claim.lease, delivered(2)).await;
    assert!(!opening(CONTOSO).await);
}
