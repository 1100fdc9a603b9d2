//! What must be true of the way back at the end of every run: each comment arrived once, nothing of ours came back, no
//! callback was sent twice under two ids, and both sides say the same.

use std::collections::{BTreeMap, BTreeSet};

use snowgate::delivery::identity::{self, Subject};
use snowgate::delivery::kind::{Kind, TicketKind};
use snowgate::delivery::marker::Marker;
use snowgate::delivery::record::{Delivery, Direction, State};
use snowgate::domain::id::IncidentId;
use snowgate::domain::ticket::Link;
use snowgate::domain::time::Timestamp;
use snowgate::sim::JournalEntry;

use super::checks;
use super::run::{DEPLOYMENT_KEY, World};
use super::service::{Told, View};

/// Everything that is wrong.
pub(crate) async fn of(world: &World) -> Vec<String> {
    let links = checks::links(world).await;
    let told = world.service.told();
    let mut violations = world.service.violations();
    violations.extend(comments(world, &links, &told));
    violations.extend(doubled(&told));
    violations.extend(out_of_order(world, &told));
    violations.extend(echoes(world, &told));
    for (incident, view) in world.service.views() {
        violations.extend(disagreement(world, &incident, &view, &links).await);
    }
    violations
}

/// Each comment that people wrote on a linked ticket is told once, and none of ours.
fn comments(world: &World, links: &[Link], told: &[Told]) -> Vec<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for told in told {
        let opening = told.event["data"]["incident"]["messages"].as_array().into_iter().flatten();
        for message in opening.chain([&told.event["data"]["message"]]) {
            let id = message["id"].as_str().unwrap_or_default();
            if !id.is_empty() && !id.ends_with("-handed-back") && !is_gone(world, &told.ticket) {
                *times.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
    let instance = world.network.instance.lock().unwrap();
    let mut violations = Vec::new();
    for link in links {
        let ticket = link.ticket.sys_id.as_str();
        let Some(record) = instance.record("incident", ticket) else { continue };
        // A ticket that never got our key takes our texts all the same; they are marked with the key it was to get.
        let subject = Subject { incident: link.incident.clone(), episode: link.episode, successor: 0 };
        let meant = identity::derive(DEPLOYMENT_KEY, &world.tenant, &subject).correlation_id;
        let correlation_id = record.get("correlation_id").filter(|key| identity::is_ours(key)).unwrap_or(&meant);
        let marker = Marker { deployment_key: DEPLOYMENT_KEY, tenant: &world.tenant, correlation_id };
        for entry in instance.journal(ticket) {
            let expected = usize::from(is_for_the_service(&entry, marker));
            let found = times.remove(&entry.sys_id).unwrap_or_default();
            if found != expected {
                let JournalEntry { text, by, at, .. } = &entry;
                let incident = &link.incident;
                violations.push(format!(
                    "comments: {incident} {text:?} by {by} at {at} was told {found} times in place of {expected}"
                ));
            }
        }
    }
    violations.extend(times.into_keys().map(|id| format!("comments: {id} was told, and nobody wrote it")));
    violations
}

fn is_for_the_service(entry: &JournalEntry, marker: Marker<'_>) -> bool {
    entry.element == "comments" && entry.by != "snowgate" && !marker.is_ours(&entry.text)
}

fn is_gone(world: &World, ticket: &str) -> bool {
    world.network.instance.lock().unwrap().record("incident", ticket).is_none()
}

/// Nobody there ever touches the severity, so whatever tells it is our own word. But what a closed ticket refused to take
/// is told, because the two sides then differ.
fn echoes(world: &World, told: &[Told]) -> Vec<String> {
    let instance = world.network.instance.lock().unwrap();
    let is_closed = |ticket: &str| {
        instance.record("incident", ticket).is_none_or(|record| record.get("state").is_some_and(|state| state == "7"))
    };
    let ours = told.iter().filter(|told| told.event["data"]["changes"]["severity"].is_string());
    let ours = ours.filter(|told| !is_closed(&told.ticket));
    ours.map(|told| {
        format!("echo: nobody there touched the severity, but {} tells it: {}", told.id, told.event["data"])
    })
    .collect()
}

/// Callbacks with the same content under two ids.
fn doubled(told: &[Told]) -> Vec<String> {
    let mut known = BTreeSet::new();
    let twice = told.iter().filter(|told| {
        let data = &told.event["data"];
        let what = format!("{} {} {} {}", told.kind, told.ticket, data["ticket"]["version"], data["changes"]);
        let what = format!("{what} {} {} {} {}", data["message"], data["parked"], data["delivery"], data["deleted"]);
        !known.insert(what)
    });
    twice.map(|told| format!("doubled: {} was told before under another id: {}", told.id, told.event)).collect()
}

/// Callbacks of one ticket arrive in the order in which they were written down.
fn out_of_order(world: &World, told: &[Told]) -> Vec<String> {
    let arrival: BTreeMap<&str, usize> = told.iter().enumerate().map(|(at, told)| (told.id.as_str(), at)).collect();
    let is_callback = |delivery: &&Delivery| {
        delivery.direction == Direction::ToService
            && delivery.state == State::Delivered
            && delivery.kind != Kind::Ticket(TicketKind::Seen)
    };
    let mut last: BTreeMap<&IncidentId, usize> = BTreeMap::new();
    let mut violations = Vec::new();
    for delivery in world.ended.iter().filter(is_callback) {
        let event: serde_json::Value = serde_json::from_str(delivery.body.get()).unwrap_or_default();
        let id = event["id"].as_str().unwrap_or_default();
        let Some(at) = arrival.get(id) else {
            violations.push(format!("lost: callback {id} is on record as delivered and never arrived"));
            continue;
        };
        if last.insert(&delivery.incident, *at).is_some_and(|before| before > *at) {
            violations.push(format!(
                "order: callback {id} of {} arrived before one that was written earlier",
                delivery.incident
            ));
        }
    }
    violations
}

/// Whether both sides say the same of an incident.
async fn disagreement(world: &World, incident: &str, view: &View, links: &[Link]) -> Option<String> {
    let id = IncidentId::parse(incident).unwrap();
    let lane = world.store.lane(&world.tenant, Direction::ToServicenow, &id).await.unwrap();
    let current = lane?.memory.ticket?.sys_id;
    let link = links.iter().find(|link| link.ticket.sys_id == current)?;
    let record = world.network.instance.lock().unwrap().record("incident", link.ticket.sys_id.as_str())?;
    let at = |column: &str| record.get(column).cloned().unwrap_or_default();
    let assignee = match at("assigned_to") {
        none if none.is_empty() => String::new(),
        person => name_of(world, &person),
    };
    if assignee != view.assignee {
        return Some(format!("apart: {incident} is with {assignee:?}, the managed service says {:?}", view.assignee));
    }
    let said = match view.state.as_str() {
        "new" => "1",
        "investigating" => "2",
        "needs_customer_action" => "3",
        "resolved" => "6",
        "closed" => "7",
        _ => "8",
    };
    let state = at("state");
    let both_over = ["6", "7", "8"].contains(&said) && ["7", "8"].contains(&state.as_str());
    let handed_back = view.system_raised && ["6", "7", "8"].contains(&state.as_str());
    let apart = state != said && !both_over && !handed_back && !crossed(world, incident, view);
    apart.then(|| format!("apart: {incident} is in state {state}, the managed service says {}", view.state))
}

fn name_of(world: &World, person: &str) -> String {
    let instance = world.network.instance.lock().unwrap();
    let record = instance.record("sys_user", person).unwrap_or_default();
    record.get("name").cloned().unwrap_or_default()
}

/// Whether the last word of each side was on its way at the same time: then nobody can say which is newer.
fn crossed(world: &World, incident: &str, view: &View) -> bool {
    let (Some((said_at, event)), Some((seen_at, told_at))) = (view.said_state.last(), view.told_state.last()) else {
        return false;
    };
    let of_event = |delivery: &&Delivery| delivery.incident.as_str() == incident && delivery.event.parts().1 == event;
    let written_at = world.ended.iter().find(of_event).and_then(|delivery| delivery.ended_at);
    let written_at = written_at.unwrap_or(Timestamp::NEVER);
    said_at <= told_at && *seen_at <= written_at
}

/// What happened, in words, for whoever looks into a seed.
pub(crate) fn history(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for told in world.service.told() {
        lines.push((told.at, format!("told {} {} {}", told.kind, told.id, told.event["data"])));
    }
    for delivery in &world.ended {
        let how = delivery.ending.as_ref().map_or("", |ending| ending.how.as_str());
        let (lane, sequence, kind, state) =
            (&delivery.incident, delivery.sequence, delivery.kind, delivery.state.as_str());
        let when = format!("{} to {:?}", delivery.accepted_at, delivery.ended_at.map(|at| at.to_string()));
        let text = format!("{lane} #{sequence} {kind} {state} {how} {when} {}", delivery.body.get());
        lines.push((delivery.accepted_at, text));
    }
    for call in world.network.log.lock().unwrap().iter() {
        lines.push((call.at, format!("call {} {} {:?}", call.what, call.fate, call.status)));
    }
    let instance = world.network.instance.lock().unwrap();
    for change in instance.changes_after(0).filter(|change| change.table == "incident") {
        let at = Timestamp::from_millis(change.at);
        lines.push((at, format!("{} {:?} {} {:?}", change.sys_id, change.operation, change.by, change.columns)));
    }
    lines.sort();
    let lines = lines.into_iter().map(|(at, line)| format!("  {at} {line}"));
    std::iter::once("history:".to_owned()).chain(lines).collect()
}
