//! What is over: resolved, closed, cancelled, deleted, merged; and what the mapping's policy makes of it.

use serde_json::{Value, json};
use snowgate::sim::acts::Act;

use crate::support::gateway::parking;
use crate::support::instance::Ticket;
use crate::support::mappings::TEAMS_ROOMS;
use crate::support::{Bridged, Event};

fn incident(data: &Value) -> Value {
    json!({"incident": data})
}

async fn resolve(bridged: &Bridged, ticket: &Ticket) {
    let before = bridged.receiver.taken().len();
    bridged.acts(
        "abel.tuter",
        ticket,
        &Act::Resolve { code: "Solution provided".into(), notes: "Works for me.".into() },
    );
    bridged.receiver.grown(before).await;
    bridged.quiet().await;
}

/// A manager closes a ticket that a person resolved.
async fn close(bridged: &Bridged, ticket: &Ticket) {
    resolve(bridged, ticket).await;
    let before = bridged.receiver.taken().len();
    bridged.acts("itil.manager", ticket, &Act::State { state: "7".into(), hold_reason: String::new() });
    bridged.receiver.grown(before).await;
    bridged.quiet().await;
}

fn with_policy(policy: &str) -> String {
    TEAMS_ROOMS.replace("closed_ticket: reopen_or_new", &format!("closed_ticket: {policy}"))
}

#[tokio::test]
async fn a_customers_incident_is_resolved_as_its_ticket_is_and_reopened_by_the_service() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    resolve(&bridged, &ticket).await;
    assert_eq!(bridged.receiver.believes("MTR-1")["state"], "resolved");
    bridged.says("reopened", "o-1", incident(&json!({"id": "MTR-1"}))).await;
    bridged.quiet().await;
    assert_eq!(bridged.now(&ticket).field("state"), "2");
    assert_eq!(bridged.instance.tickets().len(), 1);
    // Resolved a second time is told a second time.
    resolve(&bridged, &ticket).await;
    let states: Vec<Value> = bridged
        .receiver
        .of_kind("changed")
        .iter()
        .map(|changed| changed.0["data"]["changes"]["state"].clone())
        .collect();
    assert_eq!(states, ["resolved", "resolved"]);
}

#[tokio::test]
async fn what_telemetry_raised_is_not_ended_by_a_person_but_handed_back_with_a_message() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    resolve(&bridged, &ticket).await;
    let believed = bridged.receiver.believes("MTR-1");
    assert_eq!((&believed["state"], &believed["owner"]), (&Value::Null, &json!("provider")), "{believed}");
    let messages = bridged.receiver.messages();
    assert!(
        messages.len() == 1 && messages[0].contains("resolved") && messages[0].contains("Works for me."),
        "{messages:?}"
    );
    assert!(messages[0].contains(&ticket.field("number")), "{messages:?}");
    // The service says that the signal still fails.
    bridged.says("reopened", "o-1", incident(&json!({"id": "MTR-1"}))).await;
    bridged.quiet().await;
    assert_eq!(bridged.now(&ticket).field("state"), "2");
}

#[tokio::test]
async fn an_incident_that_goes_on_after_its_ticket_was_closed_gets_a_new_one_that_names_the_old() {
    let bridged = Bridged::start().await;
    let first = bridged.opened("MTR-1", "customer").await;
    close(&bridged, &first).await;
    assert_eq!(bridged.receiver.believes("MTR-1")["state"], "closed");
    bridged.says("reopened", "o-1", incident(&json!({"id": "MTR-1"}))).await;
    let linked = bridged.receiver.has(2, "linked").await;
    bridged.quiet().await;
    let tickets = bridged.instance.tickets_of("MTR-1");
    assert_eq!(tickets.len(), 2, "{tickets:#?}");
    let (old, new) = (bridged.now(&first), bridged.instance.ticket(&linked.text("/data/ticket/sys_id")));
    assert_eq!(old.field("state"), "7", "what is closed stays closed");
    assert_ne!(new.field("state"), "7");
    let texts = format!("{:?} {:?}", new.journal("work_notes"), new.journal("comments"));
    assert!(texts.contains(&old.field("number")), "{texts}");
    // The new one is the incident's ticket now, both ways.
    bridged.gateway().post(&Event::message("MTR-1", 9, "We are on it again.")).await.expect(202);
    bridged.comments("abel.tuter", &new, "So are we.");
    bridged.receiver.has_one("the comment", |callback| callback.text("/data/message/text") == "So are we.").await;
    bridged.quiet().await;
    let new = bridged.now(&new);
    assert!(new.journal("comments").iter().any(|comment| comment.starts_with("We are on it again.")), "{new:?}");
    assert!(!bridged.now(&old).journal("comments").iter().any(|comment| comment.contains("again")));
    assert_eq!(bridged.instance.tickets_of("MTR-1").len(), 2);
}

#[tokio::test]
async fn a_policy_may_leave_a_finished_ticket_as_it_is_but_for_comments() {
    let bridged = Bridged::with(|setup| setup.mapping = with_policy("comment_only")).await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    close(&bridged, &ticket).await;
    bridged.gateway().post(&Event::message("MTR-1", 1, "It fails again.")).await.expect(202);
    let delivery = bridged.says("reopened", "o-1", incident(&json!({"id": "MTR-1"}))).await;
    bridged.quiet().await;
    let now = bridged.now(&ticket);
    assert_eq!(now.field("state"), "7");
    assert!(now.journal("comments").iter().any(|comment| comment.starts_with("It fails again.")), "{now:?}");
    assert_eq!(bridged.instance.tickets().len(), 1);
    let record = bridged.gateway().record_once(&delivery, "delivered").await;
    assert!(record["ending"]["left_out"].to_string().contains("state"), "what was not done is on record: {record}");
}

#[tokio::test]
async fn a_policy_may_ask_a_person_and_goes_on_when_the_ticket_was_reopened() {
    let bridged = Bridged::with(|setup| setup.mapping = with_policy("park")).await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    resolve(&bridged, &ticket).await;
    let reopened = Event(crate::support::event("reopened", "o-1", &incident(&json!({"id": "MTR-1"}))).0);
    let delivery = bridged.gateway().post(&reopened).await.expect(202).delivery();
    let record = bridged.gateway().record_once(&delivery, "parked").await;
    let (code, reason) = parking(&record);
    assert_eq!(code, "ticket_closed");
    assert!(reason.contains(&ticket.field("number")), "{reason}");
    let parked = bridged.receiver.has(1, "parked").await;
    assert_eq!(
        (parked.text("/data/delivery"), parked.text("/data/parked/code")),
        (delivery.clone(), "ticket_closed".into())
    );
    assert_eq!(bridged.now(&ticket).field("state"), "6");
    bridged.acts("abel.tuter", &ticket, &Act::State { state: "2".into(), hold_reason: String::new() });
    bridged.quiet().await;
    let replayed = bridged.gateway().replay(&delivery).await;
    bridged.gateway().record_once(&replayed, "delivered").await;
    bridged.quiet().await;
}

#[tokio::test]
async fn a_cancelled_ticket_cancels_a_customers_incident() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.instance.edit(
        "abel.tuter",
        &ticket.field("sys_id"),
        &[("state", "8"), ("close_code", "No resolution provided"), ("close_notes", "A mistake.")],
    );
    let changed = bridged.receiver.has(1, "changed").await;
    assert_eq!(changed.text("/data/changes/state"), "cancelled");
    assert_eq!(changed.text("/data/changes/resolution/code"), "false_alarm");
    bridged.quiet().await;
}

#[tokio::test]
async fn a_ticket_that_is_marked_as_a_duplicate_is_told_as_merged() {
    let bridged = Bridged::start().await;
    let (one, other) = (bridged.opened("MTR-1", "customer").await, bridged.opened("MTR-2", "customer").await);
    let fields = [
        ("state", "8"),
        ("close_code", "Duplicate"),
        ("close_notes", "See the other."),
        ("parent_incident", &other.field("sys_id")),
    ];
    bridged.instance.edit("abel.tuter", &one.field("sys_id"), &fields);
    let changed = bridged.receiver.has(1, "changed").await;
    assert_eq!((changed.text("/subject"), changed.text("/data/changes/state")), ("MTR-1".into(), "merged".into()));
    bridged.comments("abel.tuter", &other, "Both rooms are dark.");
    let message = bridged.receiver.has(1, "message_added").await;
    assert_eq!(message.text("/subject"), "MTR-2", "the one that stays is untouched by it");
    bridged.quiet().await;
}

#[tokio::test]
async fn a_deleted_ticket_is_told_once_and_what_it_means_depends_on_who_raised_it() {
    let bridged = Bridged::start().await;
    for (incident, origin) in [("MTR-1", "customer"), ("MTR-2", "system")] {
        let ticket = bridged.opened(incident, origin).await;
        bridged.acts("admin", &ticket, &Act::Delete);
    }
    bridged.receiver.has(2, "changed").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.believes("MTR-1"), json!({"state": "cancelled"}));
    assert_eq!(bridged.receiver.believes("MTR-2"), json!({"owner": "provider"}));
    assert!(bridged.receiver.of_kind("changed").iter().all(|changed| changed.0["data"]["deleted"] == true));
}

#[tokio::test]
async fn whatever_ends_at_the_service_is_resolved_and_never_closed() {
    let bridged = Bridged::start().await;
    for (number, kind) in ["resolved", "closed"].into_iter().enumerate() {
        let incident_id = format!("MTR-{number}");
        let ticket = bridged.opened(&incident_id, "system").await;
        bridged.says(kind, &format!("{kind}-1"), incident(&json!({"id": incident_id, "state": kind}))).await;
        assert_eq!(bridged.now(&ticket).field("state"), "6", "{kind}");
    }
    bridged.quiet().await;
    assert_eq!(bridged.receiver.of_kind("changed").len(), 0);
    // The instance's own job closes them a week later; for what telemetry raised that says nothing new.
    for ticket in bridged.instance.tickets() {
        bridged.instance.edit_silently(&ticket.field("sys_id"), &[("resolved_at", "2026-01-01 00:00:00")]);
    }
    assert_eq!(bridged.instance.runs_jobs(), 2);
    bridged.quiet().await;
    assert!(bridged.instance.tickets().iter().all(|ticket| ticket.field("state") == "7"));
    assert!(bridged.receiver.of_kind("changed").iter().all(|changed| changed.0["data"]["changes"]["state"].is_null()));
}
