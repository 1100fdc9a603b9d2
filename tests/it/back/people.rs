//! What people do in their tickets is told once, in the mapping's words, with who did it; and what that costs in calls.

use serde_json::json;
use snowgate::sim::acts::Act;
use snowgate::sim::outbound::Payload;

use crate::support::reply::text;
use crate::support::{Bridged, Event};

fn assign(person: &str) -> Act {
    Act::Assign { group: String::new(), person: person.to_owned() }
}

fn state(state: &str, hold_reason: &str) -> Act {
    Act::State { state: state.to_owned(), hold_reason: hold_reason.to_owned() }
}

#[tokio::test]
async fn a_ticket_that_was_made_is_told_once() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    let linked = bridged.receiver.has(1, "linked").await;
    assert_eq!(linked.text("/subject"), "MTR-1");
    assert_eq!((linked.text("/data/how"), linked.text("/cause")), ("created".into(), "MTR-1/open".into()));
    assert_eq!(linked.text("/data/ticket/number"), ticket.field("number"));
    assert_eq!(linked.text("/data/ticket/sys_id"), ticket.field("sys_id"));
    assert!(linked.text("/data/ticket/url").starts_with(bridged.instance.url()), "{linked:?}");
    assert_eq!(
        (linked.text("/origin"), linked.text("/source")),
        ("servicenow".into(), "/tenants/contoso/servicenow".into())
    );
    bridged.gateway().post(&Event::message("MTR-1", 1, "Please look.")).await.expect(202);
    bridged.quiet().await;
    assert_eq!(bridged.receiver.taken().len(), 1, "our own writes are no news");
}

#[tokio::test]
async fn a_person_who_takes_a_ticket_is_told_by_name_and_the_state_in_the_services_words() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.acts("abel.tuter", &ticket, &assign("Abel Tuter"));
    let assigned = bridged.receiver.has(1, "changed").await;
    assert_eq!(assigned.0["data"]["changes"], json!({"assignee": {"name": "Abel Tuter"}}));
    assert_eq!(assigned.text("/data/actor/id"), "abel.tuter");
    assert_eq!((assigned.text("/subject"), assigned.text("/data/incident/id")), ("MTR-1".into(), "MTR-1".into()));

    bridged.acts("beth.anglin", &ticket, &state("3", "1"));
    let held = bridged.receiver.has(2, "changed").await;
    assert_eq!(held.0["data"]["changes"], json!({"state": "needs_customer_action"}));
    assert_eq!(held.text("/data/actor/id"), "beth.anglin");
    let version = |callback: &crate::support::Callback| callback.0["data"]["ticket"]["version"].as_u64();
    assert!(version(&held) > version(&assigned), "{held:?}");

    bridged.acts(
        "abel.tuter",
        &ticket,
        &Act::Resolve { code: "Resolved by caller".into(), notes: "Cable replaced.".into() },
    );
    let resolved = bridged.receiver.has(3, "changed").await;
    let changes = &resolved.0["data"]["changes"];
    assert_eq!(text(changes, "/state"), "resolved");
    assert_eq!(text(changes, "/resolution/code"), "fixed_by_customer");
    assert_eq!(text(changes, "/resolution/notes"), "Cable replaced.");
    assert_eq!(text(changes, "/resolution/by"), "Abel Tuter");
    assert!(text(changes, "/resolution/at").parse::<jiff::Timestamp>().is_ok(), "{changes}");
    bridged.quiet().await;
    assert_eq!(bridged.receiver.of_kind("changed").len(), 3);
    assert!(bridged.receiver.messages().is_empty());
}

#[tokio::test]
async fn a_comment_is_told_with_its_author_its_time_and_its_own_key() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    let said = "I reseated it; \"no\" change.\nGrüße 🖥️ ${x} \\";
    bridged.comments("abel.tuter", &ticket, said);
    let message = bridged.receiver.has(1, "message_added").await;
    let entry = bridged.instance.entries(&ticket.field("sys_id")).pop().expect("written");
    assert_eq!(message.text("/data/message/id"), entry.sys_id);
    assert_eq!(message.text("/data/message/text"), said);
    assert_eq!(message.text("/data/message/visibility"), "public");
    assert_eq!(message.text("/data/message/author/name"), "abel.tuter");
    assert_eq!(message.text("/data/message/author/party"), "customer");
    let at: jiff::Timestamp = message.text("/data/message/at").parse().expect("RFC 3339");
    assert_eq!(at.strftime("%Y-%m-%d %H:%M:%S").to_string(), entry.at, "UTC, as the instance stores it");

    // Two equal comments are two comments.
    for _ in 0..2 {
        bridged.comments("joe.employee", &ticket, "ok");
    }
    bridged.receiver.has(3, "message_added").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.messages(), [said, "ok", "ok"]);
}

#[tokio::test]
async fn an_event_that_needs_a_person_is_told_to_the_service_as_well() {
    let bridged = Bridged::start().await;
    let open =
        Event::opened("MTR-1").with("/data/incident/affected", json!([{"kind": "room", "room_group": "Berlin"}]));
    bridged.instance.remove_group("Berlin AV Support");
    let delivery = bridged.gateway().post(&open).await.expect(202).delivery();
    let parked = bridged.receiver.has(1, "parked").await;
    assert_eq!((parked.text("/subject"), parked.text("/data/delivery")), ("MTR-1".into(), delivery));
    assert_eq!(parked.text("/data/parked/code"), "mapping_lookup_missing");
    assert_eq!(parked.text("/data/parked/owner"), "mapping");
    assert!(parked.text("/data/parked/reason").contains("Berlin AV Support"), "{parked:?}");
    assert!(!parked.text("/data/parked/next_step").is_empty());
    assert_eq!(parked.text("/cause"), "MTR-1/open");
    assert_eq!(
        parked.0["data"]["event"],
        json!({"source": "soc/tests", "id": "MTR-1/open", "type": "incident.opened"})
    );
    bridged.gateway().leaves_parked(1);
}

/// How many calls the instance got since, for one change of each kind: a field, then a comment.
async fn calls_per_change(bridged: &Bridged) -> (usize, usize) {
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.quiet().await;
    let before = bridged.instance.calls().len();
    bridged.acts("abel.tuter", &ticket, &assign("Abel Tuter"));
    bridged.receiver.has(1, "changed").await;
    bridged.quiet().await;
    let between = bridged.instance.calls().len();
    bridged.comments("abel.tuter", &ticket, "On my way.");
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    (between - before, bridged.instance.calls().len() - between)
}

#[tokio::test]
async fn a_snapshot_costs_no_call() {
    let bridged = Bridged::start().await;
    assert_eq!(calls_per_change(&bridged).await, (0, 0));
}

#[tokio::test]
async fn a_hint_costs_one_call_and_a_second_for_the_key_of_a_comment() {
    let bridged = Bridged::with(|setup| setup.payload = Payload::Hint).await;
    assert_eq!(calls_per_change(&bridged).await, (1, 2));
}

#[tokio::test]
async fn what_careless_rules_send_is_understood_as_well() {
    for payload in [Payload::Flat, Payload::BadEscaping] {
        let bridged = Bridged::with(|setup| setup.payload = payload).await;
        let ticket = bridged.opened("MTR-1", "customer").await;
        bridged.acts("abel.tuter", &ticket, &state("3", "1"));
        bridged.comments("abel.tuter", &ticket, "A \"quoted\"\nword.");
        let changed = bridged.receiver.has(1, "changed").await;
        assert_eq!(changed.0["data"]["changes"], json!({"state": "needs_customer_action"}), "{payload:?}");
        bridged.receiver.has(1, "message_added").await;
        bridged.quiet().await;
        assert_eq!(bridged.receiver.messages(), ["A \"quoted\"\nword."], "{payload:?}");
        assert_eq!(bridged.receiver.of_kind("changed").len(), 1, "{payload:?}");
    }
}
