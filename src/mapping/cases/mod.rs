//! Examples inside a mapping file, run by `snowgate check`: an event or a ticket, and what must come of it.
//!
//! Owns: running and comparing. Only what a case names is compared. Never: touches an instance.
//! Fails: it cannot; a case that differs says how. Proved by: the cases of the shipped mappings, and `a_case_that_differs_says_how` in
//! `tests/mappings.rs`.

use std::sync::Arc;

use serde::Serialize;

use super::Mapping;
use super::diagnostic::Notes;
use super::raw::{Block, RawCase};
use crate::domain::change::Change;

mod event;
mod ticket;

use event::EventCase;
use ticket::TicketCase;

/// A checked case.
#[derive(Debug)]
pub(crate) struct Case {
    name: Box<str>,
    line: usize,
    way: Way,
}

/// Which way it goes.
#[derive(Debug)]
enum Way {
    ToTicket(EventCase),
    ToIncident(TicketCase),
}

/// Field and value; `None` for a field that must not be there.
type Values = Box<[(Box<str>, Option<Box<str>>)]>;

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// What the case shows.
    pub name: String,
    /// The line it starts at in its file, from 1.
    pub line: usize,
    /// What differs; nothing if it passed.
    pub differences: Vec<String>,
}

impl CaseResult {
    /// Whether everything came as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Case {
    /// Checks a case; `columns` are those the way back reads, if there is one.
    pub(crate) fn compile(raw: &RawCase, columns: Option<&[Arc<str>]>, notes: &mut Notes<'_>) -> Option<Self> {
        raw.missing("name", "what the case shows", notes);
        raw.missing("expect", "such as `expect: {create: {short_description: Broken}}`", notes);
        if !raw.tried("ticket") {
            raw.missing("event", "such as `event: {type: incident.opened, incident: {id: A-1, title: Broken}}`", notes);
        }
        let way = match (&raw.event, &raw.ticket) {
            (Some(event), Some(_)) => {
                notes
                    .error("M004", event.node.at, "a case has an `event` or a `ticket`, not both")
                    .hint("make two cases of it");
                return None;
            }
            (None, Some(ticket)) => Way::ToIncident(TicketCase::compile(raw, ticket, columns, notes)?),
            (_, None) => Way::ToTicket(EventCase::compile(raw, notes)?),
        };
        let line = notes.text().get(..raw.at.start).unwrap_or_default().matches('\n').count() + 1;
        Some(Self { name: raw.name.as_ref()?.value.as_str().into(), line, way })
    }
}

impl Case {
    /// The event, if the case shows a ticket being made of it.
    pub(crate) fn creates(&self) -> Option<&Change> {
        match &self.way {
            Way::ToTicket(event) => event.creates(),
            Way::ToIncident(_) => None,
        }
    }
}

fn shown(words: &[&str]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { super::diagnostic::list(words) }
}

/// What was expected and what was found, if they differ.
fn difference(what: &str, noun: &str, expected: Option<&str>, found: Option<&str>) -> Option<String> {
    let shown = |value: Option<&str>| value.map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"));
    (expected != found).then(|| format!("{what}: expected {noun} {}, found {}", shown(expected), shown(found)))
}

impl Mapping {
    /// Runs the cases of the file.
    pub fn run_cases(&self) -> Vec<CaseResult> {
        let result = |case: &Case| {
            let differences = match &case.way {
                Way::ToTicket(event) => event.run(self),
                Way::ToIncident(ticket) => ticket.run(self),
            };
            CaseResult { name: case.name.to_string(), line: case.line, differences }
        };
        self.cases.iter().map(result).collect()
    }
}
