//! From a ticket back to its incident: the same language, evaluated on the columns of the ticket.
//!
//! Owns: which columns the way back reads, what a ticket state means for us, values in the form the incident holds them (times in
//! RFC 3339, UTC), and what leaves the tenant at all: nothing that the mapping does not list.
//! Never: guesses a state from its label, fetches a column, decides what changed. Fails: with every output that has no value.
//! Proved by: the tests here, the cases of the shipped mappings, and `tests/mappings.rs`.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::draft::{Dropped, JournalField, Lookups, MappingFault, Problem, Reason, TraceLine};
use super::expression::Trouble;
use super::incident_draft::{IncidentDraft, STATE};
use super::rule::{FieldRule, Given, Skipped, Step, Why};
use super::template::Template;
use super::ticket_view::{Cell, TicketScope, TicketView};
use super::{AttachmentRule, Mapping};
use crate::domain::incident::{State, Visibility};
use crate::domain::wire::{Record, Shape};

/// The column of a ticket's state, on `task` and every table made of it.
pub(crate) const STATE_COLUMN: &str = "state";
/// What a customer's ticket is called, when the mapping does not say.
pub(crate) const TITLE_COLUMN: &str = "short_description";
/// What a customer's ticket is about, when the mapping does not say.
pub(crate) const DESCRIPTION_COLUMN: &str = "description";
/// ServiceNow's own numbers (`facts/servicenow.md` 5.2), for tickets whose state the mapping does not translate.
const RESOLVED: &str = "6";
/// Closed and cancelled.
pub(crate) const FINAL: [&str; 2] = ["7", "8"];

/// What a ticket state means for whoever writes to the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketPhase {
    /// People work on it.
    Open,
    /// Solved; may be reopened.
    Resolved,
    /// Closed or cancelled; never reopened.
    Final,
}

/// The compiled `to_incident`.
#[derive(Debug)]
pub(crate) struct WayBack {
    pub(crate) states: Box<[StateRow]>,
    pub(crate) fields: Box<[BackField]>,
    pub(crate) messages: Box<[(JournalField, Visibility)]>,
    pub(crate) attachments: Option<AttachmentRule>,
    pub(crate) opens: Option<Template>,
    /// Every column it reads.
    pub(crate) columns: Box<[Arc<str>]>,
    /// Those of which it reads the display value.
    pub(crate) displays: Box<[Arc<str>]>,
}

/// What one ticket state says.
#[derive(Debug)]
pub(crate) struct StateRow {
    /// The raw ticket state.
    pub(crate) ticket: Box<str>,
    /// The states whose condition may hold, in file order.
    pub(crate) choices: Box<[(State, Template)]>,
    /// The state when none does.
    pub(crate) otherwise: State,
    pub(crate) columns: Arc<[Arc<str>]>,
}

/// One incident field.
#[derive(Debug)]
pub(crate) struct BackField {
    /// Its name is the dotted path.
    pub(crate) rule: FieldRule,
    /// What the incident holds there.
    pub(crate) shape: Shape,
    pub(crate) columns: Arc<[Arc<str>]>,
}

impl Mapping {
    /// Whether the file has a way back at all.
    pub fn has_way_back(&self) -> bool {
        self.back.is_some()
    }

    /// The columns the way back reads, each once: what a webhook must carry, or a read must ask for.
    pub fn ticket_columns(&self) -> &[Arc<str>] {
        self.back.as_ref().map_or(&[], |back| &back.columns)
    }

    /// The columns of which the way back reads the display value, each once.
    pub fn ticket_displays(&self) -> &[Arc<str>] {
        self.back.as_ref().map_or(&[], |back| &back.displays)
    }

    /// Whether a view has everything the way back reads.
    pub fn covers(&self, view: &TicketView) -> bool {
        let shown = |column: &Arc<str>| view.get(column).and_then(Cell::shown).is_some();
        self.ticket_columns().iter().all(|column| view.has(column)) && self.ticket_displays().iter().all(shown)
    }

    /// What the ticket says about its incident. A view that is not covered parks where a missing column is needed.
    pub fn to_incident(&self, view: &TicketView) -> Result<IncidentDraft, MappingFault> {
        self.run_back(view, false).map_err(|(fault, _)| fault)
    }

    /// The same as [`Mapping::to_incident`], with the reason of every value; slower. A fault comes with the lines so far.
    pub fn explain_back(&self, view: &TicketView) -> Result<IncidentDraft, (MappingFault, Vec<TraceLine>)> {
        self.run_back(view, true)
    }

    /// The same as [`Mapping::to_incident`], for a ticket that opens an incident: with a title and a description, taken from
    /// `short_description` and `description` where the mapping does not say otherwise. Without a title it parks.
    pub fn to_opened_incident(&self, view: &TicketView) -> Result<IncidentDraft, MappingFault> {
        let mut draft = self.to_incident(view)?;
        for (path, column) in [("title", TITLE_COLUMN), ("description", DESCRIPTION_COLUMN)] {
            if draft.fields.contains_key(path) {
                continue;
            }
            if let Some(cell) = view.get(column).filter(|cell| !cell.value.trim().is_empty()) {
                draft.fields.insert(path.into(), cell.value.clone());
                draft.sources.insert(path.into(), Arc::new([column.into()]));
            }
        }
        if draft.fields.get("title").is_some_and(|title| !title.trim().is_empty()) {
            return Ok(draft);
        }
        let reason = Reason::Missing(format!("ticket.{TITLE_COLUMN}"));
        Err(MappingFault { problems: vec![Problem { field: "title".into(), reason }] })
    }

    /// Whether any ticket of a customer may open an incident.
    pub fn has_opens(&self) -> bool {
        self.back.as_ref().is_some_and(|back| back.opens.is_some())
    }

    /// Whether a customer's ticket may open an incident.
    pub fn opens(&self, view: &TicketView) -> Result<bool, MappingFault> {
        let Some(when) = self.back.as_ref().and_then(|back| back.opens.as_ref()) else { return Ok(false) };
        when.holds(&TicketScope(view)).map_err(|trouble| MappingFault {
            problems: vec![Problem { field: "opens".into(), reason: trouble.into() }],
        })
    }

    /// Under which visibility an entry of this journal leaves the tenant; `None`: it stays private.
    pub fn leaves_as(&self, journal: JournalField) -> Option<Visibility> {
        let messages = &self.back.as_ref()?.messages;
        messages.iter().find(|(listed, _)| *listed == journal).map(|(_, visibility)| *visibility)
    }

    /// The same for an entry as an instance names it.
    pub fn entry_leaves_as(&self, element: &str) -> Option<Visibility> {
        self.leaves_as(JournalField::known(element)?)
    }

    /// Whether entries of any journal leave the tenant at all.
    pub fn tells_messages(&self) -> bool {
        JournalField::ALL.into_iter().any(|journal| self.leaves_as(journal).is_some())
    }

    /// Which files leave the tenant; `None`: none.
    pub fn attachments_back(&self) -> Option<&AttachmentRule> {
        self.back.as_ref()?.attachments.as_ref()
    }

    /// What a raw ticket state means for whoever writes to the ticket: by `to_incident.state`, else by ServiceNow's own numbers.
    /// Where the file chooses between several, the least final one counts: refused writes are seen, a second ticket is not undone.
    pub fn ticket_phase(&self, raw_state: &str) -> TicketPhase {
        let row = self.back.as_ref().and_then(|back| back.row(raw_state));
        match row {
            Some(row) => row.words().map(phase_of).min().unwrap_or(TicketPhase::Open),
            None if raw_state == RESOLVED => TicketPhase::Resolved,
            None if FINAL.contains(&raw_state) => TicketPhase::Final,
            None => TicketPhase::Open,
        }
    }

    fn run_back(&self, view: &TicketView, traced: bool) -> Result<IncidentDraft, (MappingFault, Vec<TraceLine>)> {
        let Some(back) = &self.back else { return Ok(IncidentDraft::default()) };
        let mut run = Run { view, traced, draft: IncidentDraft::default(), problems: Vec::new() };
        if !back.states.is_empty() {
            run.state(back);
        }
        for field in &back.fields {
            run.field(field);
        }
        if run.problems.is_empty() {
            Ok(run.draft)
        } else {
            Err((MappingFault { problems: run.problems }, run.draft.trace))
        }
    }
}

impl WayBack {
    /// The incident state of a ticket, if there is a row for it.
    pub(crate) fn state_of(&self, view: &TicketView) -> Option<State> {
        let row = self.row(&view.get(STATE_COLUMN)?.value)?;
        row.choose(&TicketScope(view)).ok().map(|(state, _)| state)
    }

    pub(crate) fn row(&self, raw_state: &str) -> Option<&StateRow> {
        self.states.iter().find(|row| *row.ticket == *raw_state)
    }
}

impl BackField {
    /// What it says; `None` if it says nothing.
    pub(crate) fn value(&self, view: &TicketView, why: &mut Why<'_>) -> Result<Option<String>, Reason> {
        let (scope, lookups) = (TicketScope(view), Lookups::default());
        self.missing(&scope)?;
        match self.rule.evaluate(Given { scope: &scope, lookups: &lookups }, why)? {
            Step::Value(value) => in_the_incident(self.shape, value),
            Step::Skip(skipped) => {
                if let Some(why) = why {
                    why.push(match skipped {
                        Skipped::When => "`when` does not hold".to_owned(),
                        Skipped::Absent | Skipped::NotFound(_) => "there is no value, which is allowed".to_owned(),
                    });
                }
                Ok(None)
            }
        }
    }

    /// A column that did not come says nothing, and so it is not the case that a table's `default` or a `when` allows for: an event may
    /// be silent, but a ticket has every column. Only the value itself can say what to do then.
    fn missing(&self, scope: &dyn Record) -> Result<(), Reason> {
        let wanted = self.rule.when.as_ref().map_or(Ok(true), |when| when.holds(scope))?;
        match self.rule.value.text(scope) {
            Err(missing @ Trouble::Missing(_)) if wanted => Err(missing.into()),
            Ok(_) | Err(Trouble::Missing(_) | Trouble::Failed(_)) => Ok(()),
        }
    }
}

impl StateRow {
    /// Every state it can become.
    pub(crate) fn words(&self) -> impl Iterator<Item = State> {
        self.choices.iter().map(|(state, _)| *state).chain([self.otherwise])
    }

    /// The first whose condition holds; with the place of the choice, for traces.
    fn choose(&self, scope: &dyn Record) -> Result<(State, bool), Trouble> {
        for (state, when) in &self.choices {
            if when.holds(scope)? {
                return Ok((*state, true));
            }
        }
        Ok((self.otherwise, false))
    }
}

fn phase_of(state: State) -> TicketPhase {
    match state {
        State::Resolved => TicketPhase::Resolved,
        State::Closed | State::Cancelled | State::Merged => TicketPhase::Final,
        State::New
        | State::Investigating
        | State::NeedsCustomerAction
        | State::ProviderWorking
        | State::AwaitingExternal
        | State::Mitigated
        | State::Unknown => TicketPhase::Open,
    }
}

struct Run<'v> {
    view: &'v TicketView,
    traced: bool,
    draft: IncidentDraft,
    problems: Vec<Problem>,
}

impl Run<'_> {
    fn state(&mut self, back: &WayBack) {
        let Some(cell) = self.view.get(STATE_COLUMN) else {
            return self.refuse(STATE, Reason::Missing(format!("ticket.{STATE_COLUMN}")), Vec::new());
        };
        let Some(row) = back.row(&cell.value) else {
            let reason = format!("`to_incident.state` has no row for the ticket state `{}`", cell.value);
            self.draft.dropped.push(Dropped { what: STATE.into(), reason: reason.clone() });
            return self.trace(STATE, None, || reason);
        };
        match row.choose(&TicketScope(self.view)) {
            Ok((state, chosen)) => {
                self.draft.state = Some(state);
                self.draft.sources.insert(STATE.into(), Arc::clone(&row.columns));
                self.trace(STATE, Some(&state.to_string()), || match (chosen, row.choices.is_empty()) {
                    (true, _) => format!("ticket state `{}`, and its condition holds", row.ticket),
                    (false, true) => format!("ticket state `{}`", row.ticket),
                    (false, false) => format!("ticket state `{}`, and no condition holds", row.ticket),
                });
            }
            Err(trouble) => self.refuse(STATE, trouble.into(), Vec::new()),
        }
    }

    fn field(&mut self, field: &BackField) {
        let mut steps = Vec::new();
        let mut why = self.traced.then_some(&mut steps);
        let value = field.value(self.view, &mut why);
        let path: &str = &field.rule.name;
        match value {
            Ok(value) => {
                self.trace(path, value.as_deref(), || steps.join("; "));
                if let Some(value) = value {
                    self.draft.fields.insert(path.into(), value);
                    self.draft.sources.insert(path.into(), Arc::clone(&field.columns));
                }
            }
            Err(reason) => self.refuse(path, reason, steps),
        }
    }

    fn refuse(&mut self, output: &str, reason: Reason, mut steps: Vec<String>) {
        steps.push(reason.to_string());
        self.trace(output, None, || steps.join("; "));
        self.problems.push(Problem { field: output.into(), reason });
    }

    fn trace(&mut self, output: &str, value: Option<&str>, why: impl FnOnce() -> String) {
        if self.traced {
            self.draft.trace.push(TraceLine { field: output.into(), value: value.map(str::to_owned), why: why() });
        }
    }
}

/// A value as the incident holds it; `None` for an empty column where the incident cannot hold an empty text.
fn in_the_incident(shape: Shape, value: String) -> Result<Option<String>, Reason> {
    let text = value.trim();
    match shape {
        Shape::Text | Shape::Free | Shape::Record(_) | Shape::List(_) => Ok(Some(value)),
        Shape::Words(_) | Shape::Time | Shape::Number | Shape::Flag if text.is_empty() => Ok(None),
        Shape::Words(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            Some(word) => Ok(Some((*word).to_owned())),
            None => Err(Reason::Failed(format!(
                "`{text}` is not one of {}; a value table translates",
                super::diagnostic::list(words)
            ))),
        },
        Shape::Time => utc(text).map(Some),
        Shape::Number => match text.parse::<u64>() {
            Ok(number) => Ok(Some(number.to_string())),
            Err(_) => Err(Reason::Failed(format!("`{text}` is not a whole number"))),
        },
        Shape::Flag => match text {
            "true" | "1" => Ok(Some("true".to_owned())),
            "false" | "0" => Ok(Some("false".to_owned())),
            _ => Err(Reason::Failed(format!("`{text}` is neither `true` nor `false`"))),
        },
    }
}

/// A raw date-time of ServiceNow, which is UTC, or one that says its zone.
fn utc(text: &str) -> Result<String, Reason> {
    let plain = || {
        // A day alone would become its midnight somewhere, which nobody meant.
        let moment = text.contains(':').then(|| text.parse::<DateTime>().ok()).flatten()?;
        moment.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(plain);
    stamp.map(|stamp| stamp.to_string()).ok_or_else(|| {
        Reason::Failed(format!(
            "`{text}` is not a time such as `2026-11-22 06:00:00`; display values are in somebody's zone"
        ))
    })
}

#[cfg(test)]
mod tests;
