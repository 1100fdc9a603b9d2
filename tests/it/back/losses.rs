//! Webhooks that are lost, repeated and overtaken, or do not come at all: a sweep later both sides agree, and nothing was
//! told twice.

use std::collections::BTreeSet;

use serde_json::json;
use snowgate::sim::acts::Act;
use snowgate::sim::outbound::Wire;

use super::luck::Luck;
use crate::support::instance::Ticket;
use crate::support::{Bridged, Event, Sweeps};

/// So many edits by people, and the comments among them.
fn people_work(bridged: &Bridged, tickets: &[Ticket], edits: usize, seed: u64) -> BTreeSet<String> {
    let mut luck = Luck::of_seed(seed);
    let mut comments = BTreeSet::new();
    for edit in 0..edits {
        let (ticket, user) = (&tickets[luck.below(tickets.len())], luck.of(&["abel.tuter", "beth.anglin"]));
        let act = match luck.below(5) {
            0 | 1 => {
                let text = format!("comment {seed}.{edit}");
                comments.insert(text.clone());
                Act::Comment(text)
            }
            2 => Act::State { state: "3".into(), hold_reason: luck.of(&["1", "4"]).into() },
            3 => Act::State { state: "2".into(), hold_reason: String::new() },
            _ => Act::Assign { group: String::new(), person: luck.of(&["Abel Tuter", "Beth Anglin"]).into() },
        };
        bridged.acts(user, ticket, &act);
    }
    comments
}

/// What the managed service must believe of a ticket, from the ticket itself.
fn check_agreement(bridged: &Bridged, incident: &str, ticket: &Ticket) {
    let (ticket, believed) = (bridged.now(ticket), bridged.receiver.believes(incident));
    let state = match (ticket.field("state").as_str(), ticket.field("hold_reason").as_str()) {
        ("1", _) => "new",
        ("2", _) => "investigating",
        ("3", "1") => "needs_customer_action",
        ("3", _) => "awaiting_external",
        (other, _) => panic!("nobody writes state {other} here"),
    };
    // What was never changed was never told.
    let told = believed["state"].as_str().unwrap_or("new");
    assert_eq!(told, state, "{incident}: {believed}");
    let assigned = ticket.field("assigned_to");
    let name = ["abel.tuter", "beth.anglin"]
        .into_iter()
        .find(|user| crate::support::Instance::seeded("sys_user", user) == assigned)
        .map_or("", |user| if user == "abel.tuter" { "Abel Tuter" } else { "Beth Anglin" });
    assert_eq!(believed["assignee"]["name"].as_str().unwrap_or_default(), name, "{incident}: {believed}");
}

/// Every comment arrived, once, and under one id.
fn check_comments(bridged: &Bridged, written: &BTreeSet<String>) {
    let messages = bridged.receiver.messages();
    let distinct: BTreeSet<String> = messages.iter().cloned().collect();
    assert_eq!(&distinct, written);
    assert_eq!(messages.len(), distinct.len(), "no comment came under two ids: {messages:?}");
    let ids: BTreeSet<String> = bridged.receiver.taken().iter().map(|callback| callback.text("/id")).collect();
    assert_eq!(ids.len(), bridged.receiver.taken().len());
}

async fn three_tickets(bridged: &Bridged) -> Vec<(String, Ticket)> {
    let mut tickets = Vec::new();
    for number in 1..=3 {
        let incident = format!("MTR-{number}");
        tickets.push((incident.clone(), bridged.opened(&incident, "customer").await));
    }
    tickets
}

fn alone(tickets: &[(String, Ticket)]) -> Vec<Ticket> {
    tickets.iter().map(|(_, ticket)| ticket.clone()).collect()
}

#[tokio::test]
async fn lost_repeated_and_reordered_webhooks_and_a_sweep_lead_to_the_same_as_good_ones() {
    let mut bridged = Bridged::with(|setup| setup.delay_ms_max = 300).await;
    let tickets = three_tickets(&bridged).await;
    bridged.quiet().await;
    let wire =
        Wire { drop_percent: 10, repeat_percent: 10, reorder_percent: 10, hold_ms_max: 500, seed: 3, silent: false };
    bridged.instance.wire(wire);
    let comments = people_work(&bridged, &alone(&tickets), 60, 11);
    bridged.quiet().await;
    bridged.restarted(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.swept(1).await;
    bridged.quiet().await;
    check_comments(&bridged, &comments);
    for (incident, ticket) in &tickets {
        check_agreement(&bridged, incident, ticket);
    }
    // Nothing more follows, however often it is looked at.
    let told = bridged.receiver.taken().len();
    bridged.sweep().await;
    assert_eq!(bridged.receiver.taken().len(), told);
}

#[tokio::test]
async fn without_any_webhook_one_sweep_finds_everything_and_counts_it() {
    let mut bridged = Bridged::start().await;
    let tickets = three_tickets(&bridged).await;
    bridged.quiet().await;
    bridged.silences_webhooks();
    let comments = people_work(&bridged, &alone(&tickets), 40, 23);
    bridged.quiet().await;
    assert_eq!(bridged.receiver.taken().len(), 3, "nobody told anything");
    bridged.restarted(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.swept(1).await;
    bridged.quiet().await;
    check_comments(&bridged, &comments);
    for (incident, ticket) in &tickets {
        check_agreement(&bridged, incident, ticket);
    }
    let drift = bridged.gateway().metric("snowgate_sweep_drift_total", "tenant=\"contoso\"").await;
    assert!((drift - 3.0).abs() < 0.1, "each of the three tickets had news: {drift}");
    // An author is known from the journal's row; who moved a column nobody can know any more.
    let message = bridged.receiver.has(1, "message_added").await;
    assert!(["abel.tuter", "beth.anglin"].contains(&message.text("/data/message/author/name").as_str()));
    assert!(bridged.receiver.of_kind("changed").iter().all(|changed| changed.text("/data/actor/id").is_empty()));
}

#[tokio::test]
async fn while_webhooks_work_a_sweep_finds_nothing() {
    let mut bridged = Bridged::start().await;
    let tickets = three_tickets(&bridged).await;
    let comments = people_work(&bridged, &alone(&tickets), 30, 5);
    bridged.quiet().await;
    // What we write, no webhook tells, and none has to.
    bridged.gateway().post(&Event::message("MTR-1", 1, "We are on it.")).await.expect(202);
    bridged.opened("MTR-4", "customer").await;
    bridged.restarted(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.sweep().await;
    let ours = json!({"incident": {"id": "MTR-2", "severity": "low", "state": "provider_working"}});
    bridged.says("updated", "u-1", ours).await;
    bridged.sweep().await;
    check_comments(&bridged, &comments);
    let of_contoso = "tenant=\"contoso\"";
    assert!(bridged.gateway().metric("snowgate_sweep_tickets_total", of_contoso).await > 2.5, "it looked at them");
    assert!(bridged.gateway().metric("snowgate_sweep_drift_total", of_contoso).await < 0.1);
}

#[tokio::test]
async fn what_a_script_changed_without_a_trace_is_told_with_the_next_change() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.quiet().await;
    // No rule ran, and neither the time nor the number of changes moved: a repair script.
    bridged.instance.edit_silently(&ticket.field("sys_id"), &[("impact", "3")]);
    bridged.acts("abel.tuter", &ticket, &Act::Comment("Hello".to_owned()));
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.believes("MTR-1")["severity"], "low");
}

#[tokio::test]
async fn an_instance_that_hides_its_journal_rows_still_has_its_comments_told() {
    let mut bridged = Bridged::with(|setup| setup.switches.journal_readable = false).await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.comments("abel.tuter", &ticket, "By webhook");
    bridged.receiver.has(1, "message_added").await;
    bridged.silences_webhooks();
    bridged.comments("abel.tuter", &ticket, "By sweep");
    bridged.restarted(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.sweep().await;
    // The rows cannot be read; the sweep told the text alone, and the next webhook brings the key of it along.
    bridged.instance.wire(Wire::default());
    bridged.comments("abel.tuter", &ticket, "By webhook again");
    bridged.receiver.has(3, "message_added").await;
    bridged.quiet().await;
    let mut messages = bridged.receiver.messages();
    messages.sort();
    assert_eq!(messages, ["By sweep", "By webhook", "By webhook again"]);
}
