//! Somebody else has to act: an escalation reassigns, raises, and says why on the ticket, and what people make of it there
//! goes back to the managed service.

use serde_json::{Value, json};
use snowgate::sim::acts::Act;

use crate::support::Bridged;

/// The managed service says that somebody else has to act.
async fn escalated(bridged: &Bridged, incident: &str, mut data: Value) {
    data["incident"]["id"] = json!(incident);
    bridged.says("escalated", &format!("{incident}/escalated"), data).await;
    bridged.quiet().await;
}

fn group(name: &str) -> Act {
    Act::Assign { group: name.to_owned(), person: String::new() }
}

#[tokio::test]
async fn an_escalation_reassigns_raises_the_priority_and_notes_why_for_those_who_work_on_it() {
    let bridged = Bridged::start().await;
    bridged.instance.add_group("Room Hardware Vendors");
    let ticket = bridged.opened("MTR-1", "system").await;
    let escalation = json!({
        "incident": {"state": "awaiting_external"},
        "escalation": {"level": 2, "channel": "oem", "reason": "The panel is broken", "due": "2026-11-24T06:00:00Z", "external_ref": "RMA 77"},
    });
    escalated(&bridged, "MTR-1", escalation).await;
    let now = bridged.now(&ticket);
    assert_eq!(now.field("assignment_group"), bridged.instance.group("Room Hardware Vendors"));
    assert_eq!(
        (now.field("urgency"), now.field("state"), now.field("hold_reason")),
        ("1".into(), "3".into(), "4".into())
    );
    assert_eq!(now.field("due_date"), "2026-11-24 06:00:00");
    let notes = now.journal("work_notes");
    assert_eq!(notes, ["Escalated to level 2 (oem): The panel is broken\n\nTheir reference: RMA 77"]);
    assert!(now.journal("comments").is_empty(), "the caller reads nothing of it");
    assert!(bridged.receiver.of_kind("changed").is_empty(), "what we wrote is no news");
}

#[tokio::test]
async fn an_area_that_the_service_does_not_support_finds_its_group_by_the_table() {
    let bridged = Bridged::start().await;
    bridged.instance.add_group("Microsoft Support Desk");
    let ticket = bridged.opened("MTR-1", "system").await;
    escalated(&bridged, "MTR-1", json!({"escalation": {"area": "meeting_experience", "reason": "Packet loss"}})).await;
    assert_eq!(bridged.now(&ticket).field("assignment_group"), bridged.instance.group("Microsoft Support Desk"));
}

#[tokio::test]
async fn a_group_that_is_not_there_leaves_the_ticket_where_it_is_and_the_note_says_where_it_should_be() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    let before = ticket.field("assignment_group");
    escalated(&bridged, "MTR-1", json!({"escalation": {"channel": "auth_provider", "reason": "Sign-in fails"}})).await;
    let now = bridged.now(&ticket);
    assert_eq!(now.field("assignment_group"), before);
    assert_eq!(now.journal("work_notes"), ["Escalated (auth_provider): Sign-in fails"]);
}

#[tokio::test]
async fn the_note_is_written_once_although_the_answer_to_it_was_lost() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.instance.plays("answer_lost=1000,budget=1,verbs=PATCH");
    escalated(&bridged, "MTR-1", json!({"escalation": {"level": 3, "reason": "No answer for a day"}})).await;
    assert_eq!(bridged.now(&ticket).journal("work_notes"), ["Escalated to level 3: No answer for a day"]);
}

#[tokio::test]
async fn an_escalation_with_a_message_for_the_same_readers_is_one_entry() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    let escalation =
        json!({"escalation": {"level": 2}, "message": {"text": "Call Rosa first.", "visibility": "internal"}});
    escalated(&bridged, "MTR-1", escalation).await;
    assert_eq!(bridged.now(&ticket).journal("work_notes"), ["Escalated to level 2.\n\nCall Rosa first."]);
}

#[tokio::test]
async fn an_escalation_of_an_incident_that_has_no_ticket_opens_one_with_its_note() {
    let bridged = Bridged::start().await;
    bridged.instance.add_group("Room Hardware Vendors");
    let escalation = json!({"incident": {"title": "No picture"}, "escalation": {"channel": "oem", "reason": "Panel"}});
    escalated(&bridged, "MTR-9", escalation).await;
    let ticket = bridged.instance.tickets().pop().expect("one was opened");
    assert_eq!(ticket.field("assignment_group"), bridged.instance.group("Room Hardware Vendors"));
    assert_eq!(ticket.journal("work_notes"), ["Escalated (oem): Panel"]);
}

#[tokio::test]
async fn a_person_who_passes_the_ticket_on_is_told_as_whose_turn_it_is() {
    let bridged = Bridged::start().await;
    bridged.instance.add_group("Room Hardware Vendors");
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.acts("abel.tuter", &ticket, &group("Room Hardware Vendors"));
    let passed = bridged.receiver.has(1, "changed").await;
    assert_eq!(passed.0["data"]["changes"]["owner"], "oem", "{passed:?}");
    bridged.acts("abel.tuter", &ticket, &group("Teams Rooms SOC"));
    let returned = bridged.receiver.has(2, "changed").await;
    assert_eq!(returned.0["data"]["changes"]["owner"], "provider", "{returned:?}");
    assert_eq!(returned.text("/data/actor/id"), "abel.tuter");
    bridged.quiet().await;
}
