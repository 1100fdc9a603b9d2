//! Where a way back is easily lost or doubled: journals that nobody may read, tickets that are opened again, tickets that
//! are nobody's business, and two tickets for one incident.

use serde_json::json;
use snowgate::sim::acts::Act;

use crate::support::bridged::SOC_GROUP;
use crate::support::instance::Ticket;
use crate::support::{Answer, Bridged, Event, Sweeps, eventually};

const SOLVED: &str = "Solution provided";

#[tokio::test]
async fn a_comment_in_a_hidden_journal_is_found_by_the_sweep_alone_and_told_once() {
    let bridged = Bridged::with(|setup| {
        setup.switches.journal_readable = false;
        setup.sweeps = Sweeps::Always;
    })
    .await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.silences_webhooks();
    bridged.gateway().post(&Event::message("MTR-1", 1, "We look at it.")).await.expect(202);
    bridged.gateway().quiet().await;

    bridged.comments("abel.tuter", &ticket, "It is dark again.");
    bridged.receiver.has(1, "message_added").await;
    bridged.sweep().await;
    assert_eq!(bridged.receiver.messages(), ["It is dark again."]);

    // The same words again are another comment, which only their number shows.
    bridged.comments("abel.tuter", &ticket, "It is dark again.");
    bridged.comments("joe.employee", &ticket, "Here as well.");
    bridged.receiver.has(3, "message_added").await;
    bridged.sweep().await;
    let mut messages = bridged.receiver.messages();
    messages.sort();
    assert_eq!(messages, ["Here as well.", "It is dark again.", "It is dark again."], "ours is not among them");
}

/// Every state that was told, oldest first.
fn told_states(bridged: &Bridged) -> Vec<String> {
    let states = bridged.receiver.of_kind("changed").into_iter().map(|changed| changed.text("/data/changes/state"));
    states.filter(|state| !state.is_empty()).collect()
}

#[tokio::test]
async fn a_ticket_that_was_handed_back_in_words_and_is_opened_again_is_told_as_open() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    // What the managed service itself said last is what the ticket comes back to.
    bridged.says("updated", "u-1", json!({"incident": {"id": "MTR-1", "state": "investigating"}})).await;
    assert_eq!(bridged.now(&ticket).field("state"), "2");

    for round in 1..=2 {
        let notes = format!("Cable replaced, try {round}.");
        bridged.acts("abel.tuter", &ticket, &Act::Resolve { code: SOLVED.into(), notes: notes.clone() });
        let words = bridged.receiver.has(round, "message_added").await;
        assert!(words.text("/data/message/text").ends_with(&notes), "{words:?}");

        bridged.acts("abel.tuter", &ticket, &Act::State { state: "2".into(), hold_reason: String::new() });
        eventually("it is told as open", async || (told_states(&bridged).len() >= round).then_some(())).await;
    }
    bridged.quiet().await;
    assert_eq!(told_states(&bridged), ["investigating", "investigating"], "no person's word ends it");
    assert_eq!(bridged.receiver.messages().len(), 2);
}

/// Two tickets of the managed service's group that are not for it: one is over, one is another tool's.
fn opens_what_is_not_ours(bridged: &Bridged) -> [Ticket; 2] {
    let group = bridged.instance.group(SOC_GROUP);
    let closed = [("state", "7"), ("close_code", SOLVED), ("close_notes", "Long ago.")];
    let foreign = [("correlation_id", "PD-4711"), ("correlation_display", "Another tool")];
    [("Over and done", &closed[..]), ("Another tool's", &foreign[..])].map(|(title, more)| {
        let of_the_group = [("short_description", title), ("assignment_group", &*group)];
        bridged.instance.create("admin", &[&of_the_group[..], more].concat());
        let tickets = bridged.instance.tickets();
        tickets.into_iter().find(|ticket| ticket.field("short_description") == title).expect("it was opened")
    })
}

/// Nothing was told of them, and they are as they were, while a ticket like them became an incident.
fn check_left_alone(bridged: &Bridged, tickets: &[Ticket; 2], ours: &Ticket) {
    let opened: Vec<String> =
        bridged.receiver.of_kind("opened").iter().map(|opened| opened.text("/data/ticket/number")).collect();
    assert_eq!(opened, [ours.field("number")]);
    assert!(bridged.receiver.messages().is_empty(), "{:?}", bridged.receiver.messages());
    let keys = tickets.each_ref().map(|ticket| bridged.now(ticket).field("correlation_id"));
    assert_eq!(keys, ["", "PD-4711"]);
}

#[tokio::test]
async fn neither_a_closed_ticket_nor_another_tools_opens_an_incident_by_webhook() {
    let bridged = Bridged::start().await;
    let tickets = opens_what_is_not_ours(&bridged);
    for ticket in &tickets {
        bridged.comments("admin", ticket, "For the record.");
    }
    let ours = bridged.customer_opens("No sound");
    bridged.receiver.has(1, "linked").await;
    bridged.quiet().await;
    check_left_alone(&bridged, &tickets, &ours);
}

#[tokio::test]
async fn neither_a_closed_ticket_nor_another_tools_opens_an_incident_by_sweep() {
    let bridged = Bridged::with(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.silences_webhooks();
    let tickets = opens_what_is_not_ours(&bridged);
    for ticket in &tickets {
        bridged.comments("admin", ticket, "For the record.");
    }
    let ours = bridged.customer_opens("No sound");
    bridged.receiver.has(1, "linked").await;
    bridged.sweep().await;
    check_left_alone(&bridged, &tickets, &ours);
}

#[tokio::test]
async fn a_second_ticket_of_one_incident_is_linked_beside_the_first_which_stays_the_incidents() {
    let bridged = Bridged::start().await;
    let first = bridged.opened("MTR-1", "customer").await;
    bridged.quiet().await;
    bridged.receiver.answers_next([Answer::TakeSaying(200, json!({"incident": {"id": "MTR-1"}}))]);
    let second = bridged.customer_opens("It is still dark");
    bridged.receiver.has(1, "opened").await;
    bridged.quiet().await;
    let key = first.field("correlation_id");
    assert!(key.starts_with("sg1-"), "{first:?}");
    assert_eq!(
        (bridged.now(&first).field("correlation_id"), bridged.now(&second).field("correlation_id")),
        (key, String::new())
    );

    // What the managed service does is done in the first one.
    bridged.gateway().post(&Event::message("MTR-1", 1, "We look at it.")).await.expect(202);
    bridged.says("updated", "u-1", json!({"incident": {"id": "MTR-1", "state": "investigating"}})).await;
    let (one, other) = (bridged.now(&first), bridged.now(&second));
    assert_eq!((one.field("state"), other.field("state")), ("2".into(), "1".into()));
    assert_eq!((one.journal("comments").len(), other.journal("comments").len()), (1, 0));

    // The state of the first one is the incident's; people are heard in both.
    bridged.acts("abel.tuter", &second, &Act::State { state: "3".into(), hold_reason: "1".into() });
    bridged.comments("abel.tuter", &second, "In the second.");
    bridged.comments("abel.tuter", &first, "In the first.");
    bridged.acts("abel.tuter", &first, &Act::State { state: "3".into(), hold_reason: "4".into() });
    bridged.receiver.has(2, "message_added").await;
    bridged.receiver.has(1, "changed").await;
    bridged.quiet().await;
    let mut messages: Vec<(String, String)> = bridged
        .receiver
        .of_kind("message_added")
        .iter()
        .map(|message| (message.text("/data/message/text"), message.text("/subject")))
        .collect();
    messages.sort();
    assert_eq!(messages, ["In the first.", "In the second."].map(|text| (text.to_owned(), "MTR-1".to_owned())));
    assert_eq!(bridged.receiver.believes("MTR-1"), json!({"state": "awaiting_external"}));
    assert_eq!(bridged.receiver.of_kind("changed").len(), 1);
}
