//! What must be true of the way there at the end of every run: one ticket for each incident, nothing lost, doubled or
//! out of order.

use std::collections::BTreeMap;

use snowgate::delivery::record::{Delivery, Direction, State};
use snowgate::domain::ticket::Link;
use snowgate::sim::JournalEntry;

use super::run::World;
use super::service::View;

/// Everything that is wrong.
pub(crate) async fn of(world: &World) -> Vec<String> {
    let gone = of_tickets(world, |record| record.is_none()).await;
    let is_closed =
        |record: Option<Record>| record.is_some_and(|record| record.get("state").is_some_and(|state| state == "7"));
    let closed = of_tickets(world, is_closed).await;
    let mut violations: Vec<_> =
        world.ended.iter().filter_map(|delivery| not_delivered(delivery, &gone, &closed)).collect();
    let links = links(world).await;
    for (incident, view) in world.service.views() {
        let of_it: Vec<&Link> = links.iter().filter(|link| link.incident.as_str() == incident).collect();
        violations.extend(of_incident(world, &incident, &view, &of_it).await);
    }
    violations.extend(strangers(world, &links));
    violations
}

/// Where each linked ticket belongs.
pub(crate) async fn links(world: &World) -> Vec<Link> {
    world.store.links_page(&world.tenant, None, usize::MAX / 2).await.unwrap()
}

type Record = BTreeMap<String, String>;

/// Incidents with a ticket like that, and the ticket's own lane; one that somebody deleted has no record.
async fn of_tickets(world: &World, is_meant: impl Fn(Option<Record>) -> bool) -> Vec<String> {
    let links = links(world).await;
    let instance = world.network.instance.lock().unwrap();
    let meant = links.iter().filter(|link| is_meant(instance.record("incident", link.ticket.sys_id.as_str())));
    // What a sweep finds missing waits in the ticket's own lane.
    let lanes = |link: &Link| [link.incident.to_string(), format!("ticket:{}", link.ticket.sys_id)];
    meant.flat_map(lanes).collect()
}

/// Nothing needs a person but what a person did: no fault of the network is a person's.
fn not_delivered(delivery: &Delivery, gone: &[String], closed: &[String]) -> Option<String> {
    if matches!(delivery.state, State::Delivered | State::Superseded) {
        return None;
    }
    let parking = delivery.ending.as_ref().and_then(|ending| ending.parking.as_ref());
    let explained = match parking.map(|parking| parking.code.as_str()) {
        Some("ticket_missing") => gone.iter().any(|incident| incident == delivery.incident.as_str()),
        // What is refused at a closed ticket was not applied, whatever the fault says: a person closed it.
        Some("http_403_acl") => closed.iter().any(|incident| incident == delivery.incident.as_str()),
        Some(_) | None => false,
    };
    if explained {
        return None;
    }
    let tries: Vec<_> = delivery.attempts.iter().map(|attempt| attempt.outcome.code.as_str()).collect();
    let (lane, kind, sequence) = (&delivery.incident, delivery.kind, delivery.sequence);
    Some(format!("not delivered: {lane} {kind} #{sequence} is {} {parking:?} after {tries:?}", delivery.state.as_str()))
}

async fn of_incident(world: &World, incident: &str, view: &View, links: &[&Link]) -> Vec<String> {
    let lane = world.store.lane(&world.tenant, Direction::ToServicenow, &links_lane(incident)).await.unwrap();
    let memory = lane.unwrap_or_default().memory;
    let instance = world.network.instance.lock().unwrap();
    let mut tickets: BTreeMap<u32, &Link> = BTreeMap::new();
    for link in links {
        tickets.insert(u32::try_from(tickets.len()).unwrap(), link);
    }
    let expected = usize::try_from(memory.successors).unwrap() + 1;
    if links.is_empty() {
        return vec![format!("lost: no ticket for {incident}")];
    }
    // A ticket that was deleted before an unanswered create was looked for is made again.
    let is_gone = |link: &&&Link| instance.record("incident", link.ticket.sys_id.as_str()).is_none();
    if links.len() != expected + links.iter().filter(is_gone).count() && links.len() != expected {
        return vec![format!("doubled: {} tickets for {incident} in place of {expected}", links.len())];
    }
    let current = memory.ticket.map(|ticket| ticket.sys_id.to_string()).unwrap_or_default();
    let Some(record) = instance.record("incident", &current) else { return Vec::new() };
    let at = |column: &str| record.get(column).cloned().unwrap_or_default();
    let mut violations = Vec::new();
    let left = left_to_a_person(world, incident);
    let urgency = match view.severity {
        Some("critical") => "1",
        Some("high") => "2",
        Some(_) | None => "3",
    };
    let is_over = ["7", "8"].contains(&at("state").as_str());
    for (column, expected) in [("short_description", view.title.as_deref()), ("urgency", Some(urgency))] {
        if expected.is_some_and(|expected| at(column) != expected) && !is_over {
            violations.push(format!("order: {incident} has {column} {} in place of {expected:?}", at(column)));
        }
    }
    // Numbers are given in order: a ticket that follows another one has the greater.
    let mut links = links.to_vec();
    links.sort_by(|one, other| one.ticket.number.cmp(&other.ticket.number));
    let journal: Vec<JournalEntry> =
        links.iter().flat_map(|link| instance.journal(link.ticket.sys_id.as_str())).collect();
    for column in ["comments", "work_notes"] {
        let expected =
            view.notes.iter().filter(|(at, text)| *at == column && !left.contains(text)).map(|(_, text)| text.as_str());
        let expected: Vec<_> = expected.collect();
        let ours = journal.iter().filter(|entry| entry.element == column && entry.by == "snowgate");
        let ours: Vec<_> = ours.map(|entry| unmarked(&entry.text)).filter(|text| !is_notice(text)).collect();
        if ours != expected {
            violations.push(format!("notes: {incident} has {column} {ours:?} in place of {expected:?}"));
        }
    }
    violations
}

/// The texts that wait for a person, because their ticket was deleted before the incident had another: which deliveries may
/// wait so is judged with all the others.
fn left_to_a_person(world: &World, incident: &str) -> Vec<String> {
    let parked = world.ended.iter().filter(|delivery| {
        let code = delivery.ending.as_ref().and_then(|ending| Some(ending.parking.as_ref()?.code.as_str()));
        delivery.incident.as_str() == incident && code == Some("ticket_missing")
    });
    let text = |delivery: &Delivery| {
        let body: serde_json::Value = serde_json::from_str(delivery.body.get()).unwrap_or_default();
        body["message"]["text"].as_str().map(str::to_owned)
    };
    parked.filter_map(text).collect()
}

fn links_lane(incident: &str) -> snowgate::domain::id::IncidentId {
    snowgate::domain::id::IncidentId::parse(incident).unwrap()
}

/// A text of ours without the reference under it.
fn unmarked(text: &str) -> &str {
    text.rsplit_once("\n[sg ").map_or(text, |(text, _)| text)
}

/// What the gateway writes of its own accord.
fn is_notice(text: &str) -> bool {
    text.starts_with("Continues ")
}

/// Tickets that carry a key of ours and belong to nothing.
fn strangers(world: &World, links: &[Link]) -> Vec<String> {
    let instance = world.network.instance.lock().unwrap();
    let tickets = super::people::tickets(&instance);
    let keyed = tickets.into_iter().filter(|ticket| {
        let record = instance.record("incident", ticket).unwrap_or_default();
        record.get("correlation_id").is_some_and(|id| id.starts_with("sg1-"))
    });
    let strangers = keyed.filter(|ticket| !links.iter().any(|link| link.ticket.sys_id.as_str() == *ticket));
    strangers.map(|ticket| format!("doubled: {ticket} carries a key of ours and belongs to nothing")).collect()
}
