//! The story that `snowgate demo` plays: an evening in a meeting-room estate and the morning after, as data.
//!
//! Owns: what happens and in which order, and what must have come of it. Never: sends anything. Fails: it cannot.
//! Proved by: the test below; that it holds, by `tests/cli`.

use serde_json::{Value, json};

use super::receiver::OPENED_BY_CUSTOMER;
use crate::sim::acts::Act;

/// One thing that happens.
pub(super) enum Scene {
    /// A line that says where we are.
    Tell(&'static str),
    /// The managed service sends an event, and waits for it to end before the story goes on.
    Event(Value),
    /// The managed service sends an event and goes on at once.
    EventAndGoOn(Value),
    /// The same event as before once more: a sender that did not see the answer.
    Repeat(Value),
    /// The customer's ServiceNow stops answering for this many seconds.
    Outage(u64),
    /// The next create is done by ServiceNow, but its answer never arrives.
    LoseNextAnswer,
    /// Wait until everything accepted has ended.
    Settle,
    /// A person does something to the ticket of an incident.
    Person(&'static str, &'static str, Act),
    /// A person at the customer opens a ticket for a group.
    CustomerOpens(&'static str, &'static [(&'static str, &'static str)], &'static str),
    /// Wait until the managed service heard a callback of this type whose line says this.
    Hear(&'static str, &'static str),
    /// Wait until a sweep that found something has ended.
    Swept,
    /// Whether the calls of the instance's business rules arrive.
    Webhooks(bool),
}

/// How many incidents the story has.
pub(super) const INCIDENTS: usize = 5;
/// How many tickets must be there at the end: one incident goes on after its ticket was closed for good.
pub(super) const TICKETS: usize = 6;
/// What the managed service writes: each must be on its ticket once, and never come back.
pub(super) const MESSAGES: [&str; 4] = [
    "Please check the HDMI cable of display 1.",
    "Same panel failed in March, see RMA 7781.",
    "The camera is back after a firmware update.",
    "We see it too: the speaker is muted by policy.",
];
/// What people write in ServiceNow for everybody: each must have been told once.
pub(super) const COMMENTS: [&str; 3] = [
    "The cable is fine, the panel stays dark.",
    "Spare panel is in the storeroom, 4th floor.",
    "Any news? The board meets at nine.",
];
/// What a person writes for colleagues alone: told to nobody.
pub(super) const PRIVATE: &str = "Warranty ended in June; do not tell the vendor yet.";
/// The customer's group whose tickets are for the managed service, as in the mapping's `opens`.
pub(super) const SOC: &str = "Teams Rooms SOC";
/// How a person resolved what only telemetry can resolve.
const RESTARTED: &str = "Restarted the switch, works for me.";

/// Everything, in order.
pub(super) fn whole() -> Vec<Scene> {
    let parts = [evening(), ticket_taken(), unnoticed(), outage(), night(), customer(), morning()];
    parts.into_iter().flatten().collect()
}

/// The first fault.
fn evening() -> Vec<Scene> {
    let berlin = |id, kind, data| event(id, kind, "MTR-4101", data);
    let opened = berlin("e-1", "incident.opened", display_fault());
    vec![
        Scene::Tell("18:02  A display in Berlin goes dark. The monitoring opens an incident."),
        Scene::Event(opened.clone()),
        Scene::Hear("ticket.linked", "MTR-4101"),
        Scene::Tell("18:02  The monitoring did not see the answer and sends the same event again."),
        Scene::Repeat(opened),
        Scene::Tell("18:05  A technician writes to the customer, and a note for colleagues."),
        Scene::Event(berlin("e-2", "incident.message_added", message("m-1", "public", MESSAGES[0]))),
        Scene::Event(berlin("e-3", "incident.message_added", message("m-2", "internal", MESSAGES[1]))),
        Scene::Settle,
        Scene::Tell(
            "       ServiceNow's business rule told us of all of this. It was our own writing: nothing goes back.",
        ),
    ]
}

/// What people do with a ticket reaches the managed service.
fn ticket_taken() -> Vec<Scene> {
    let assigned = Act::Assign { group: String::new(), person: "Abel Tuter".to_owned() };
    vec![
        Scene::Tell("18:10  Abel at the customer takes the ticket and answers."),
        Scene::Person("abel.tuter", "MTR-4101", assigned),
        Scene::Hear("ticket.changed", "assignee.name=Abel Tuter"),
        Scene::Person("abel.tuter", "MTR-4101", Act::Comment(COMMENTS[0].to_owned())),
        Scene::Hear("ticket.message_added", COMMENTS[0]),
        Scene::Tell("18:11  He writes a work note. It stays in the customer's house."),
        Scene::Person("abel.tuter", "MTR-4101", Act::WorkNote(PRIVATE.to_owned())),
        Scene::Settle,
        Scene::Tell("18:20  It is the panel itself: escalated to the manufacturer."),
        Scene::Event(event(
            "e-4",
            "incident.escalated",
            "MTR-4101",
            json!({"incident": {"state": "awaiting_external"}, "escalation": {"level": 2, "channel": "oem", "reason": "panel defect"}}),
        )),
        Scene::Settle,
    ]
}

/// Nobody tells us, so we ask.
fn unnoticed() -> Vec<Scene> {
    let taken = Act::Assign { group: String::new(), person: "Beth Anglin".to_owned() };
    vec![
        Scene::Tell("18:30  The customer's proxy swallows the webhooks. Beth takes over, and writes."),
        Scene::Webhooks(false),
        Scene::Person("beth.anglin", "MTR-4101", taken),
        Scene::Person("beth.anglin", "MTR-4101", Act::Comment(COMMENTS[1].to_owned())),
        Scene::Tell(
            "       Snowgate asks what changed (here every 10 s, usually every 5 min): a lost webhook costs only time.",
        ),
        Scene::Hear("ticket.changed", "assignee.name=Beth Anglin"),
        Scene::Hear("ticket.message_added", COMMENTS[1]),
        Scene::Swept,
        Scene::Webhooks(true),
    ]
}

/// ServiceNow goes away and comes back.
fn outage() -> Vec<Scene> {
    let munich = |id, kind, data| event(id, kind, "MTR-4102", data);
    let mut offline = opened_as("Room is offline", "critical", "Paris 0.03", "Paris");
    if let Some(incident) = offline.get_mut("incident").and_then(Value::as_object_mut) {
        incident.insert("origin".to_owned(), json!("system"));
    }
    vec![
        Scene::Tell("18:40  The customer's ServiceNow goes down for maintenance. Two more rooms fail meanwhile."),
        Scene::Outage(3),
        Scene::EventAndGoOn(munich(
            "e-5",
            "incident.opened",
            opened_as("Camera not detected", "medium", "Munich 1.07", "Munich"),
        )),
        Scene::EventAndGoOn(event("e-6", "incident.opened", "MTR-4103", offline)),
        Scene::EventAndGoOn(munich("e-7", "incident.updated", json!({"incident": {"severity": "high"}}))),
        Scene::EventAndGoOn(munich(
            "e-8",
            "incident.updated",
            json!({"incident": {"severity": "critical", "high_impact": true}}),
        )),
        Scene::Tell("18:41  Everything is accepted and safe on disk. It goes out, in order, when ServiceNow is back."),
        Scene::Settle,
    ]
}

/// What is left of the evening.
fn night() -> Vec<Scene> {
    let berlin = |id, kind, data| event(id, kind, "MTR-4101", data);
    let munich = |id, kind, data| event(id, kind, "MTR-4102", data);
    vec![
        Scene::Tell("19:10  A microphone in Berlin. ServiceNow makes the ticket, but its answer is lost on the way."),
        Scene::LoseNextAnswer,
        Scene::Event(event(
            "e-9",
            "incident.opened",
            "MTR-4104",
            opened_as("Microphone muted by hardware", "low", "Berlin 2.01", "Berlin"),
        )),
        Scene::Tell("19:30  Munich answers by itself again, with a last word to the customer."),
        Scene::Event(munich("e-10", "incident.message_added", message("m-3", "public", MESSAGES[2]))),
        Scene::Event(munich(
            "e-11",
            "incident.resolved",
            resolved("self_healed", "Firmware update restored the camera."),
        )),
        Scene::Tell("20:15  The manufacturer replaced the panel in Berlin."),
        Scene::Event(berlin(
            "e-12",
            "incident.resolved",
            resolved("fixed_by_provider", "Panel replaced under RMA 9020."),
        )),
        Scene::Settle,
    ]
}

/// A ticket that a person opens becomes an incident.
fn customer() -> Vec<Scene> {
    vec![
        Scene::Tell(
            "07:30  Joe has no sound in Berlin 4.12. He opens a ticket himself, for the group of the managed service.",
        ),
        Scene::CustomerOpens(
            "joe.employee",
            &[("short_description", "No sound in Berlin 4.12"), ("description", "Since this morning.")],
            SOC,
        ),
        Scene::Hear("ticket.opened", "No sound in Berlin 4.12"),
        Scene::Hear("ticket.linked", OPENED_BY_CUSTOMER),
        Scene::Tell("07:35  It is an incident now, and lives on as any other."),
        Scene::Event(event(
            "e-13",
            "incident.message_added",
            OPENED_BY_CUSTOMER,
            message("m-4", "public", MESSAGES[3]),
        )),
        Scene::Person("joe.employee", OPENED_BY_CUSTOMER, Act::Comment(COMMENTS[2].to_owned())),
        Scene::Hear("ticket.message_added", COMMENTS[2]),
    ]
}

/// Tickets that are over while their incidents are not.
fn morning() -> Vec<Scene> {
    let resolve = Act::Resolve { code: "Solution provided".to_owned(), notes: RESTARTED.to_owned() };
    let close = Act::State { state: "7".to_owned(), hold_reason: String::new() };
    vec![
        Scene::Tell(
            "08:10  Beth resolves the ticket of Paris. Only telemetry ends what telemetry raised: it is handed back, in words.",
        ),
        Scene::Person("beth.anglin", "MTR-4103", resolve),
        Scene::Hear("ticket.message_added", RESTARTED),
        Scene::Tell(
            "09:00  Munich's ticket is closed for good. An hour later the camera fails again: the next ticket, not a lost event.",
        ),
        Scene::Person("itil.manager", "MTR-4102", close),
        Scene::Hear("ticket.changed", "state=closed"),
        Scene::Event(event("e-14", "incident.reopened", "MTR-4102", json!({"incident": {"state": "new"}}))),
        Scene::Settle,
    ]
}

/// A `CloudEvent` with the incident's id put where it belongs.
fn event(id: &str, kind: &str, incident: &str, mut data: Value) -> Value {
    if let Some(snapshot) = data.get_mut("incident").and_then(Value::as_object_mut) {
        snapshot.insert("id".to_owned(), json!(incident));
    } else if let Some(data) = data.as_object_mut() {
        data.insert("incident".to_owned(), json!({"id": incident}));
    }
    json!({"specversion": "1.0", "id": id, "source": "soc/rooms", "type": kind, "subject": incident, "data": data})
}

fn display_fault() -> Value {
    json!({"incident": {
        "title": "Front display 1 not detected",
        "description": "The room lost its front display at 18:02.",
        "severity": "high", "severity_raw": "Important", "state": "needs_customer_action", "category": "display",
        "recommended_action": "Check the HDMI cable",
        "affected": [{"kind": "room", "id": "r-17", "name": "Berlin 4.12", "room_group": "Berlin", "site": "BER"}]
    }})
}

fn opened_as(title: &str, severity: &str, room: &str, group: &str) -> Value {
    json!({"incident": {
        "title": title, "severity": severity,
        "affected": [{"kind": "room", "name": room, "room_group": group}]
    }})
}

fn message(id: &str, visibility: &str, text: &str) -> Value {
    json!({"message": {"id": id, "visibility": visibility, "text": text}})
}

fn resolved(code: &str, notes: &str) -> Value {
    json!({"incident": {"state": "resolved", "resolution": {"code": code, "notes": notes}}})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_story_counts_its_own_incidents_and_messages() {
        let (mut incidents, mut messages, mut comments) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for scene in whole() {
            match scene {
                Scene::Event(event) | Scene::EventAndGoOn(event) => {
                    incidents.insert(event["subject"].as_str().unwrap().to_owned());
                    messages.extend(event["data"]["message"]["text"].as_str().map(str::to_owned));
                }
                Scene::Person(_, _, Act::Comment(text)) => {
                    comments.insert(text);
                }
                Scene::Person(..)
                | Scene::CustomerOpens(..)
                | Scene::Hear(..)
                | Scene::Webhooks(_)
                | Scene::Swept
                | Scene::Tell(_)
                | Scene::Repeat(_)
                | Scene::Outage(_)
                | Scene::LoseNextAnswer
                | Scene::Settle => {}
            }
        }
        assert_eq!(incidents.len(), INCIDENTS);
        assert_eq!(messages, MESSAGES.map(str::to_owned).into());
        assert_eq!(comments, COMMENTS.map(str::to_owned).into());
    }
}
