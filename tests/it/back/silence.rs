//! What a tenant promises about time, on tickets that are as old as the test says: reminders, closing, late first answers.

use serde_json::json;

use crate::support::instance::Ticket;
use crate::support::{Bridged, Event, Sweeps, eventually};

const LEVELS: &str = "service_levels:\n  calendar: {time_zone: UTC, work_days: [mon, tue, wed, thu, fri, sat, sun]}\n  \
                      first_response: 4h\n  inactivity: {customer: 3, system: 15, remind: 1}\n";

async fn bridged() -> Bridged {
    Bridged::with(|setup| {
        LEVELS.clone_into(&mut setup.more);
        setup.sweeps = Sweeps::Always;
    })
    .await
}

/// A moment so many days ago, as the instance stores it.
fn days_ago(days: i64) -> String {
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    then.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A ticket that waits for the customer since so many days.
async fn waits_since(bridged: &Bridged, incident: &str, origin: &str, days: i64) -> Ticket {
    let state = json!("needs_customer_action");
    let event =
        Event::opened(incident).with("/data/incident/origin", json!(origin)).with("/data/incident/state", state);
    bridged.gateway().post(&event).await.expect(202);
    let ticket = eventually("its ticket", async || bridged.instance.tickets_of(incident).pop()).await;
    bridged.instance.edit_silently(&ticket.field("sys_id"), &[("opened_at", &days_ago(days))]);
    ticket
}

fn reminders(bridged: &Bridged, ticket: &Ticket) -> Vec<String> {
    let comments = bridged.now(ticket).journal("comments");
    comments.into_iter().filter(|comment| comment.starts_with("Reminder:")).collect()
}

#[tokio::test]
async fn a_silent_customer_is_reminded_once_and_closed_only_after_that_and_both_sides_are_told_once() {
    let bridged = bridged().await;
    let ticket = waits_since(&bridged, "MTR-1", "customer", 10).await;
    eventually("a reminder", async || (!reminders(&bridged, &ticket).is_empty()).then_some(())).await;
    bridged.sweep().await;
    bridged.sweep().await;
    assert_eq!(reminders(&bridged, &ticket).len(), 1);
    assert_eq!(bridged.now(&ticket).field("state"), "2", "nothing is closed without time to answer");
    // Five days later nobody has answered.
    let reminder = bridged.instance.entries(&ticket.field("sys_id")).pop().expect("the reminder");
    bridged.instance.backdate_entry(&reminder.sys_id, &days_ago(5));
    let changed = bridged.receiver.has(1, "changed").await;
    assert_eq!(changed.text("/data/changes/state"), "resolved");
    assert_eq!(changed.text("/data/changes/resolution/code"), "inactivity");
    eventually("the ticket is resolved", async || (bridged.now(&ticket).field("state") == "6").then_some(())).await;
    bridged.sweep().await;
    bridged.sweep().await;
    let ended = bridged.now(&ticket);
    assert_eq!((ended.field("state"), ended.field("close_code")), ("6".into(), "No resolution provided".into()));
    assert!(ended.field("close_notes").contains("nothing was heard"), "{ended:?}");
    assert_eq!(bridged.receiver.of_kind("changed").len(), 1, "told once: {:#?}", bridged.receiver.of_kind("changed"));
    assert_eq!(reminders(&bridged, &ticket).len(), 1);
}

#[tokio::test]
async fn whoever_answers_or_is_not_waited_for_is_left_in_peace() {
    let bridged = bridged().await;
    let system = waits_since(&bridged, "MTR-1", "system", 10).await;
    let answered = waits_since(&bridged, "MTR-2", "customer", 1).await;
    bridged.comments("abel.tuter", &answered, "We are looking for the cable.");
    bridged.instance.edit_silently(&answered.field("sys_id"), &[("opened_at", &days_ago(10))]);
    bridged.receiver.has(1, "message_added").await;
    let not_waiting = bridged.opened("MTR-3", "customer").await;
    bridged.instance.edit_silently(&not_waiting.field("sys_id"), &[("opened_at", &days_ago(10))]);
    bridged.sweep().await;
    bridged.sweep().await;
    for (what, ticket) in [("15 days for telemetry's", &system), ("answered", &answered), ("ours to act", &not_waiting)]
    {
        assert!(reminders(&bridged, ticket).is_empty(), "{what}: {:?}", bridged.now(ticket));
    }
}

#[tokio::test]
async fn a_late_first_answer_shows_in_the_metric_until_somebody_answers() {
    let bridged = bridged().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.instance.edit_silently(&ticket.field("sys_id"), &[("opened_at", &days_ago(1))]);
    let overdue = async || bridged.gateway().metric("snowgate_first_responses_overdue", "tenant=\"contoso\"").await;
    eventually("it is overdue", async || (overdue().await > 0.5).then_some(())).await;
    bridged.gateway().post(&Event::message("MTR-1", 1, "We look at it.")).await.expect(202);
    eventually("it is answered", async || (overdue().await < 0.5).then_some(())).await;
    bridged.quiet().await;
}

#[tokio::test]
async fn a_tenant_without_service_levels_reminds_nobody() {
    let bridged = Bridged::with(|setup| setup.sweeps = Sweeps::Always).await;
    let ticket = waits_since(&bridged, "MTR-1", "customer", 30).await;
    bridged.sweep().await;
    bridged.sweep().await;
    assert!(bridged.now(&ticket).journal("comments").is_empty());
}
