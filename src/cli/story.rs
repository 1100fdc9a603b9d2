//! The story that `snowgate demo` plays: an evening in a meeting-room estate, as data.
//!
//! Owns: what happens and in which order. Never: sends anything.

use serde_json::{Value, json};

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
}

/// How many incidents the story opens: as many tickets must be there at the end.
pub(super) const INCIDENTS: usize = 4;
/// How many messages it sends: each must be on its ticket once.
pub(super) const MESSAGES: usize = 3;

/// The evening, from the first fault to the last resolution.
pub(super) fn evening() -> Vec<Scene> {
    let berlin = |id, kind, data| event(id, kind, "MTR-4101", data);
    let munich = |id, kind, data| event(id, kind, "MTR-4102", data);
    let opened = berlin("e-1", "incident.opened", display_fault());
    let mut evening = vec![
        Scene::Tell("18:02  A display in Berlin goes dark. The monitoring opens an incident."),
        Scene::Event(opened.clone()),
        Scene::Tell("18:02  The monitoring did not see the answer and sends the same event again."),
        Scene::Repeat(opened),
        Scene::Tell("18:05  A technician writes to the customer, and a note for colleagues."),
        Scene::Event(berlin(
            "e-2",
            "incident.message_added",
            message("m-1", "public", "Please check the HDMI cable of display 1."),
        )),
        Scene::Event(berlin(
            "e-3",
            "incident.message_added",
            message("m-2", "internal", "Same panel failed in March, see RMA 7781."),
        )),
        Scene::Tell("18:20  It is the panel itself: escalated to the manufacturer."),
        Scene::Event(berlin(
            "e-4",
            "incident.escalated",
            json!({"incident": {"state": "awaiting_external"}, "escalation": {"level": 2, "channel": "oem", "reason": "panel defect"}}),
        )),
        Scene::Tell("18:40  The customer's ServiceNow goes down for maintenance. Two more rooms fail meanwhile."),
        Scene::Outage(6),
        Scene::EventAndGoOn(munich(
            "e-5",
            "incident.opened",
            opened_as("Camera not detected", "medium", "Munich 1.07", "Munich"),
        )),
        Scene::EventAndGoOn(event(
            "e-6",
            "incident.opened",
            "MTR-4103",
            opened_as("Room is offline", "critical", "Paris 0.03", "Paris"),
        )),
        Scene::EventAndGoOn(munich("e-7", "incident.updated", json!({"incident": {"severity": "high"}}))),
        Scene::EventAndGoOn(munich(
            "e-8",
            "incident.updated",
            json!({"incident": {"severity": "critical", "high_impact": true}}),
        )),
        Scene::Tell("18:41  Everything is accepted and safe on disk. It goes out, in order, when ServiceNow is back."),
        Scene::Settle,
    ];
    evening.extend(night());
    evening
}

/// What is left of it once ServiceNow is back.
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
        Scene::Event(munich(
            "e-10",
            "incident.message_added",
            message("m-3", "public", "The camera is back after a firmware update."),
        )),
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
        let events = evening().into_iter().filter_map(|scene| match scene {
            Scene::Event(event) | Scene::EventAndGoOn(event) => Some(event),
            Scene::Tell(_) | Scene::Repeat(_) | Scene::Outage(_) | Scene::LoseNextAnswer | Scene::Settle => None,
        });
        let events: Vec<_> = events.collect();
        let incidents: BTreeSet<_> = events.iter().map(|event| event["subject"].to_string()).collect();
        let messages = events.iter().filter(|event| event["data"].get("message").is_some()).count();
        assert_eq!((incidents.len(), messages), (INCIDENTS, MESSAGES));
    }
}
