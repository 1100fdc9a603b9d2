//! What came of the demo's story: the table of tickets, and whether every promise held.
//!
//! Owns: the checks at the end. Never: makes anything happen. Fails: by saying which one does not hold. Proved by: `tests/cli`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::print::Ink;
use super::stage::Stage;
use super::story;

/// Prints the table and the checks; `false` if one of them does not hold.
pub(super) async fn reckon(stage: &Stage) -> anyhow::Result<bool> {
    let printer = &stage.printer;
    let shown = stage.state();
    let tickets = shown["tickets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ours: Vec<&Value> = tickets.iter().filter(|ticket| is_ours(ticket)).collect();
    ours.sort_by_key(|ticket| text(ticket, "number").to_owned());
    printer.line(format_args!(
        "\n{:<12} {:<8} {:<7} {:<5} {}",
        "ticket", "state", "urgency", "notes", "short description"
    ));
    for ticket in &ours {
        printer.line(format_args!(
            "{:<12} {:<8} {:<7} {:<5} {}",
            text(ticket, "number"),
            state_word(text(ticket, "state")),
            text(ticket, "urgency"),
            journal(ticket).len(),
            text(ticket, "short_description")
        ));
    }
    let parked = stage.tenant().await?["parked"].as_u64().unwrap_or(1);
    let callbacks = stage.receiver.callbacks();
    let checks = forth(&ours, parked).into_iter().chain(back(&callbacks, stage.receiver.refused()));
    let checks: Vec<(bool, String)> = checks.collect();
    printer.line("");
    for (fine, what) in &checks {
        let (ink, word) = if *fine { (Ink::Good, "ok   ") } else { (Ink::Bad, "WRONG") };
        printer.line(format_args!("{} {what}", printer.ink(ink, word)));
    }
    let fine = checks.iter().all(|(fine, _)| *fine);
    if printer.is_json() {
        printer.document(&json!({"fine": fine, "tickets": ours, "callbacks": callbacks}));
    }
    Ok(fine)
}

/// Managed service → `ServiceNow`.
fn forth(tickets: &[&Value], parked: u64) -> [(bool, String); 3] {
    let entries: Vec<&str> =
        tickets.iter().flat_map(|ticket| journal(ticket)).map(|entry| text(entry, "text")).collect();
    let times = |message: &&str| entries.iter().filter(|entry| entry.contains(*message)).count();
    let once = story::MESSAGES.iter().filter(|message| times(message) == 1).count();
    [
        (
            tickets.len() == story::TICKETS,
            format!(
                "{} incidents, {} tickets: one goes on after its ticket was closed",
                story::INCIDENTS,
                tickets.len()
            ),
        ),
        (once == story::MESSAGES.len(), format!("{once} messages of the managed service, each on its ticket once")),
        (parked == 0, format!("{parked} deliveries need a person")),
    ]
}

/// `ServiceNow` → managed service.
fn back(callbacks: &[Value], refused: usize) -> [(bool, String); 4] {
    let ids: BTreeSet<&str> = callbacks.iter().map(|callback| text(callback, "id")).collect();
    let said: Vec<&str> =
        callbacks.iter().filter_map(|callback| callback["data"]["message"]["text"].as_str()).collect();
    let told = |comment: &&str| said.iter().filter(|said| *said == comment).count();
    let once = story::COMMENTS.iter().filter(|comment| told(comment) == 1).count();
    let quotes = |what: &str| callbacks.iter().any(|callback| callback.to_string().contains(what));
    let (private, echoes) = (quotes(story::PRIVATE), story::MESSAGES.iter().filter(|message| quotes(message)).count());
    [
        (
            refused == 0 && ids.len() == callbacks.len(),
            format!("{} callbacks, all signed, each with an id of its own", callbacks.len()),
        ),
        (once == story::COMMENTS.len(), format!("{once} comments of people, each told once, webhook or not")),
        (!private, format!("the private work note was {}", if private { "told" } else { "told to nobody" })),
        (echoes == 0, format!("{echoes} messages of the managed service came back to it")),
    ]
}

fn journal(ticket: &Value) -> &[Value] {
    ticket["journal"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_ours(ticket: &Value) -> bool {
    text(ticket, "correlation_id").starts_with("sg1-")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn state_word(state: &str) -> &str {
    match state {
        "1" => "New",
        "2" => "Working",
        "3" => "On hold",
        "6" => "Resolved",
        "7" => "Closed",
        "8" => "Canceled",
        other => other,
    }
}
