//! What must be true at the end of every run.

use std::collections::BTreeMap;

use snowgate::delivery::record::{Delivery, State};
use snowgate::sim::instance::Instance;

use super::events::Life;

/// Everything accepted reached an end, and none of them needs a person: no fault of the network is a person's.
pub(crate) fn deliveries(deliveries: &[Delivery], accepted: usize) -> Vec<String> {
    let mut violations = Vec::new();
    if deliveries.len() != accepted {
        violations.push(format!("{accepted} accepted, {} on record", deliveries.len()));
    }
    for delivery in deliveries.iter().filter(|delivery| !matches!(delivery.state, State::Delivered | State::Superseded))
    {
        let why = delivery.ending.as_ref().and_then(|ending| ending.parking.as_ref());
        let tries: Vec<_> = delivery.attempts.iter().map(|attempt| attempt.outcome.code.as_str()).collect();
        violations.push(format!(
            "not delivered: {} {} #{} is {} {why:?} after {tries:?}",
            delivery.incident,
            delivery.kind,
            delivery.sequence,
            delivery.state.as_str()
        ));
    }
    violations
}

/// One ticket for each life, with the last values and each note once, in order.
pub(crate) fn tickets(instance: &Instance, lives: &[Life]) -> Vec<String> {
    let state = instance.state();
    let mut by_title: BTreeMap<String, Vec<&serde_json::Value>> = BTreeMap::new();
    for ticket in state["tickets"].as_array().into_iter().flatten() {
        if ticket["correlation_id"].as_str().is_some_and(|id| id.starts_with("sg1-")) {
            let incident =
                ticket["short_description"].as_str().unwrap_or_default().split(' ').next().unwrap_or_default();
            by_title.entry(incident.to_owned()).or_default().push(ticket);
        }
    }
    let mut violations = Vec::new();
    for life in lives {
        match by_title.remove(&life.incident).unwrap_or_default().as_slice() {
            [] => violations.push(format!("lost: no ticket for {}", life.incident)),
            [ticket] => violations.extend(ticket_of(life, ticket)),
            many => violations.push(format!("doubled: {} tickets for {}", many.len(), life.incident)),
        }
    }
    violations
}

fn ticket_of(life: &Life, ticket: &serde_json::Value) -> Vec<String> {
    let mut violations = Vec::new();
    let urgency = match life.severity {
        "critical" => "1",
        "high" => "2",
        _ => "3",
    };
    let state = if life.resolved { "6" } else { "1" };
    for (column, expected) in [("short_description", life.title.as_str()), ("urgency", urgency), ("state", state)] {
        if ticket[column] != expected {
            violations.push(format!("order: {} has {column} {} in place of {expected}", life.incident, ticket[column]));
        }
    }
    for column in ["comments", "work_notes"] {
        let expected: Vec<_> =
            life.notes.iter().filter(|(at, _)| *at == column).map(|(_, text)| text.as_str()).collect();
        let written: Vec<_> =
            ticket["journal"].as_array().into_iter().flatten().filter(|entry| entry["element"] == column).collect();
        let written: Vec<_> = written.iter().filter_map(|entry| entry["text"].as_str()).collect();
        if written != expected {
            violations.push(format!("notes: {} has {column} {written:?} in place of {expected:?}", life.incident));
        }
    }
    violations
}
