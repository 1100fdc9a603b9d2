//! Callbacks as they are written down: deliveries of the way back, with ids made of what happened.
//!
//! The same comment, found by a webhook, by a sweep or by a replica that started from an empty store, gets the same id.
//! Ids are of letters, digits, `-` and `_`: a dot would end them in what a signature covers.
//! Fails: it cannot. Proved by: the tests here and the simulation.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::callback::event::Event;
use crate::delivery::kind::{Kind, TicketKind};
use crate::delivery::record::{Direction, Parking};
use crate::domain::id::{DeliveryId, EventKey, IncidentId, SysId, TenantId};
use crate::domain::print::print;
use crate::domain::sighting::Sighting;
use crate::domain::ticket::{Link, Ticket};
use crate::domain::time::Timestamp;
use crate::store::{Claim, NewDelivery};
use crate::worker::files::Errand;
use crate::worker::stop::Head;
use crate::worker::work::Adoption;

/// The source of everything that follows from something else.
const SOURCE: &str = "snowgate:follow";

/// A lane, and the time at which something is put into it.
pub(in crate::worker) struct Outbox<'a> {
    pub(in crate::worker) tenant: &'a TenantId,
    pub(in crate::worker) direction: Direction,
    pub(in crate::worker) lane: IncidentId,
    pub(in crate::worker) now: Timestamp,
}

impl Outbox<'_> {
    /// A callback.
    pub(in crate::worker) fn callback(self, kind: TicketKind, event: &Event) -> NewDelivery {
        let body = serde_json::to_string(event).expect("texts and JSON values always serialise into memory");
        self.follow(kind.into(), &event.id, body)
    }

    /// What follows from a delivery: its id is made of its time and of what it is, so that a second try makes the same.
    pub(in crate::worker) fn follow(self, kind: Kind, id: &str, body: String) -> NewDelivery {
        let Self { tenant, direction, lane, now } = self;
        let event = EventKey::new(SOURCE, &format!("{kind} {id}")).or_else(|_| EventKey::new(SOURCE, &printed(id)));
        let event = event.expect("a source and 64 hexadecimal digits are an event's key");
        let hash =
            Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(event.as_str()).finalize();
        let tail = hash.iter().take(10).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let millis = u128::from(now.millis().unsigned_abs()) << 80;
        NewDelivery {
            id: DeliveryId::from_bits(millis | tail),
            tenant: tenant.clone(),
            direction,
            incident: lane,
            event,
            kind,
            body_hash: Sha256::digest(&body).into(),
            body: Arc::from(body),
            is_echo: false,
        }
    }
}

/// Into the lane of a ticket.
pub(super) fn into_ticket<'a>(tenant: &'a TenantId, ticket: &SysId, now: Timestamp) -> Outbox<'a> {
    Outbox { tenant, direction: Direction::ToService, lane: IncidentId::lane_of_ticket(ticket), now }
}

/// A ticket as callbacks show it.
pub(super) fn ticket_json(ticket: &Ticket, instance: &str, version: Option<u64>) -> Value {
    let mut shown = json!({
        "number": ticket.number, "sys_id": ticket.sys_id, "table": ticket.table, "url": ticket.url(instance),
    });
    if let (Some(version), Some(shown)) = (version, shown.as_object_mut()) {
        shown.insert("version".to_owned(), version.into());
    }
    shown
}

/// `ticket.linked`: an incident of the managed service has a ticket.
pub(in crate::worker) fn linked(
    tenant: &TenantId,
    instance: &str,
    link: &Link,
    (how, cause): (&str, Option<&str>),
    now: Timestamp,
) -> NewDelivery {
    let id = format!("{}-linked-{}", link.ticket.sys_id, print(link.incident.as_str()));
    let data = json!({
        "incident": {"id": link.incident, "episode": link.episode},
        "ticket": ticket_json(&link.ticket, instance, None),
        "how": how,
    });
    let event = Event::new(tenant, TicketKind::Linked, id, now, data).about(link.incident.as_str());
    let event = match cause {
        Some(cause) => event.caused_by(cause),
        None => event,
    };
    into_ticket(tenant, &link.ticket.sys_id, now).callback(TicketKind::Linked, &event)
}

/// `ticket.parked`: an event of the managed service needs a person.
pub(in crate::worker) fn parked(
    instance: &str,
    claim: &Claim,
    head: &Head,
    parking: &Parking,
    now: Timestamp,
) -> NewDelivery {
    let errand = claim.waiting.first().filter(|first| first.kind == Kind::Ticket(TicketKind::Attach));
    let errand = errand.and_then(|first| serde_json::from_str::<Errand>(&first.body).ok());
    let (tenant, delivery) = (&claim.tenant, &head.delivery);
    let told = head.memory.told.as_ref().and_then(|told| told.episode).unwrap_or(1);
    let (incident, episode, ticket) = match &errand {
        Some(errand) => (&errand.incident, errand.episode, Some(&errand.ticket)),
        None => (&claim.incident, told, head.memory.ticket.as_ref()),
    };
    let mut data = json!({
        "incident": {"id": incident, "episode": episode},
        "delivery": delivery,
        "parked": {"code": parking.code, "reason": parking.reason, "owner": parking.owner, "next_step": parking.next_step},
    });
    if let (Some(ticket), Some(data)) = (ticket, data.as_object_mut()) {
        data.insert("ticket".to_owned(), ticket_json(ticket, instance, None));
    }
    if let (Some(errand), Some(data)) = (&errand, data.as_object_mut()) {
        data.insert("attachment".to_owned(), errand.named());
    }
    let theirs = claim.waiting.iter().find(|waiting| waiting.id == *delivery);
    let theirs = theirs.and_then(|waiting| Some((waiting.kind, sent(&waiting.event)?)));
    if let (Some((kind, (source, id))), Some(data)) = (theirs, data.as_object_mut()) {
        data.insert("event".to_owned(), json!({"source": source, "id": id, "type": kind.as_str()}));
    }
    let event = Event::new(tenant, TicketKind::Parked, format!("{delivery}-parked"), now, data);
    let event = event.about(incident.as_str());
    let event = match theirs {
        Some((_, (_, id))) => event.caused_by(id),
        None => event,
    };
    let lane = ticket.map_or_else(|| incident.clone(), |ticket| IncidentId::lane_of_ticket(&ticket.sys_id));
    Outbox { tenant, direction: Direction::ToService, lane, now }.callback(TicketKind::Parked, &event)
}

/// The `source` and `id` of an event that the managed service sent; `None` for what follows from something of ours.
pub(in crate::worker) fn sent(event: &EventKey) -> Option<(&str, &str)> {
    Some(event.parts()).filter(|(source, _)| *source != SOURCE)
}

/// What the incident's own lane has to do for a ticket that opened it: give it the keys.
pub(super) fn adoption(tenant: &TenantId, link: &Link, now: Timestamp) -> NewDelivery {
    let body =
        serde_json::to_string(&Adoption { ticket: link.ticket.clone() }).expect("texts always serialise into memory");
    let (kind, id) = (Kind::Ticket(TicketKind::Adopt), link.ticket.sys_id.as_str());
    let outbox = Outbox { tenant, direction: Direction::ToServicenow, lane: link.incident.clone(), now };
    outbox.follow(kind, id, body)
}

/// A ticket to be looked at once more.
pub(super) fn look_again(tenant: &TenantId, sighting: &Sighting, id: &str, now: Timestamp) -> NewDelivery {
    into_ticket(tenant, &sighting.sys_id, now).follow(TicketKind::Seen.into(), id, sighting.to_stored())
}

fn printed(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_once_has_one_id_whenever_it_is_noticed() {
        let tenant = TenantId::parse("contoso").unwrap();
        let ticket = SysId::from_bits(1);
        let put = |event: &Event, now| into_ticket(&tenant, &ticket, now).callback(TicketKind::Changed, event);
        let event = |id: &str| Event::new(&tenant, TicketKind::Changed, id, Timestamp::EPOCH, json!({}));
        let early = put(&event("a-7"), Timestamp::EPOCH);
        let late = put(&event("a-7"), Timestamp::from_millis(86_400_000));
        assert_eq!((&early.event, &early.body), (&late.event, &late.body));
        assert!(early.id < late.id, "ids sort by time");
        let other = put(&event("a-8"), Timestamp::EPOCH);
        assert_ne!((&early.event, &early.id), (&other.event, &other.id));
        let endless = put(&event(&"x".repeat(5_000)), Timestamp::EPOCH);
        assert_ne!(endless.event, other.event);
    }
}
