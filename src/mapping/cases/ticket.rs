//! Cases of the way back: the columns of a ticket, and what they say about the incident.

use std::sync::Arc;

use super::{Values, difference, shown};
use crate::domain::incident::{Origin, Visibility, Word};
use crate::mapping::Mapping;
use crate::mapping::diagnostic::{At, Notes, nearest};
use crate::mapping::draft::{JournalField, MappingFault};
use crate::mapping::incident_draft::{IncidentDraft, STATE, shape_of};
use crate::mapping::raw::{Block, CaseOrigin, Named, RawCase, RawCell, RawExpect};
use crate::mapping::ticket_view::TicketView;
use crate::mapping::yaml::{Kind, Node};

/// A checked case of this way.
#[derive(Debug)]
pub(super) struct TicketCase {
    view: TicketView,
    origin: Origin,
    /// By dotted name.
    incident: Option<Values>,
    opens: Option<bool>,
    /// By journal field, the visibility.
    messages: Values,
    parked: Option<Box<[Box<str>]>>,
    dropped: Option<Box<str>>,
}

impl TicketCase {
    pub(super) fn compile(
        raw: &RawCase,
        ticket: &Named<RawCell>,
        columns: Option<&[Arc<str>]>,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let expect = raw.expect.as_ref()?;
        if let Some(at) = expect.of_the_event() {
            notes.error("M004", at, "a case with a `ticket` expects fields of the incident").hint("use `incident:`");
        }
        let Some(columns) = columns else {
            notes
                .error("M005", raw.start(), "the mapping has no way back")
                .hint("`to_incident` says what a ticket means");
            return None;
        };
        let view = view(ticket, columns, notes);
        let origin = match raw.origin.as_ref().map(|origin| origin.value) {
            Some(CaseOrigin::System) => Origin::System,
            Some(CaseOrigin::Customer) | None => Origin::Customer,
        };
        let words = |fields: &Vec<crate::mapping::raw::Said<String>>| {
            fields.iter().map(|it| it.value.as_str().into()).collect()
        };
        let case = Self {
            view,
            origin,
            incident: expect.incident.as_ref().map(|incident| expected_incident(&incident.node, notes)),
            opens: expect.opens.as_ref().map(|opens| opens.value),
            messages: expected_messages(expect, notes),
            parked: expect.parked.as_ref().map(words),
            dropped: expect.dropped.as_ref().map(|reason| reason.value.as_str().into()),
        };
        let nothing = matches!(&case, Self { incident: None, opens: None, parked: None, dropped: None, messages, .. } if messages.is_empty());
        if nothing && !["incident", "opens", "messages", "parked", "dropped"].iter().any(|key| expect.tried(key)) {
            notes
                .error("M005", expect.at, "the case expects nothing")
                .hint("add `incident:`, `opens:`, `messages:`, `parked:` or `dropped:`");
        }
        Some(case)
    }

    pub(super) fn run(&self, mapping: &Mapping) -> Vec<String> {
        let mut differences = Vec::new();
        let mut view = self.view.clone();
        // A ticket has every column; those the case does not name are empty.
        for column in mapping.ticket_columns() {
            if !view.has(column) {
                view.set(&**column, "", Some(String::new()));
            }
        }
        if let Some(expected) = self.opens {
            match mapping.opens(&view) {
                Ok(found) if found == expected => {}
                Ok(found) => differences.push(format!("opens: expected `{expected}`, found `{found}`")),
                Err(fault) => differences.push(format!("opens: {fault}")),
            }
        }
        for (journal, expected) in &self.messages {
            let found = JournalField::known(journal);
            let found = found.and_then(|journal| mapping.leaves_as(journal)).map(Visibility::as_str);
            differences.extend(difference(&format!("messages.{journal}"), "visibility", expected.as_deref(), found));
        }
        let draft =
            if self.opens == Some(true) { mapping.to_opened_incident(&view) } else { mapping.to_incident(&view) };
        self.compare(&draft.map(|draft| draft.for_origin(self.origin)), &mut differences);
        differences
    }

    fn compare(&self, outcome: &Result<IncidentDraft, MappingFault>, differences: &mut Vec<String>) {
        if let Some(parked) = &self.parked {
            let problems = outcome.as_ref().err().map(|fault| &fault.problems);
            let found: Vec<&str> = problems.into_iter().flatten().map(|problem| &*problem.field).collect();
            let expected: Vec<&str> = parked.iter().map(|field| &**field).collect();
            if found != expected {
                differences.push(format!("parked: expected {}, found {}", shown(&expected), shown(&found)));
            }
        }
        match (outcome, &self.incident) {
            (Ok(draft), Some(expected)) => {
                for (path, expected) in expected {
                    let found = draft.outputs().find(|output| output.path == &**path).map(|output| output.value);
                    differences.extend(difference(&format!("incident.{path}"), "value", expected.as_deref(), found));
                }
            }
            (Err(fault), Some(_)) => differences.push(format!("incident: cannot be mapped: {fault}")),
            (Err(fault), None) if self.parked.is_none() => differences.push(format!("cannot be mapped: {fault}")),
            (Ok(_) | Err(_), None) => {}
        }
        if let (Some(expected), Ok(draft)) = (&self.dropped, outcome) {
            let reasons: Vec<String> = draft.dropped.iter().map(|it| format!("{}: {}", it.what, it.reason)).collect();
            if !reasons.iter().any(|reason| reason.contains(&**expected)) {
                let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
                differences.push(format!("dropped: expected `{expected}`, found {}", shown(&reasons)));
            }
        }
    }
}

/// The columns of the case. One that nobody reads is fine; one that is nearly read is a slip.
fn view(ticket: &Named<RawCell>, columns: &[Arc<str>], notes: &mut Notes<'_>) -> TicketView {
    let mut view = TicketView::default();
    for (key, cell) in &ticket.entries {
        let known = columns.iter().any(|column| **column == *key.text);
        let near = nearest(&key.text, columns.iter().map(|column| &**column)).filter(|_| !known);
        if let Some(near) = near {
            notes
                .error("M022", key.at, format!("the way back does not read `{}`", key.text))
                .hint(format!("did you mean `{near}`?"));
        }
        match cell {
            RawCell::Raw(value) => view.set(key.text.as_str(), value.text.as_str(), None),
            RawCell::Both(both) => {
                let text = |said: &Option<crate::mapping::raw::Scalar>| said.as_ref().map(|said| said.text.clone());
                view.set(key.text.as_str(), text(&both.value).unwrap_or_default(), text(&both.display));
            }
        }
    }
    view
}

/// `{state: resolved, assignee: {name: Abel}}` as dotted names.
fn expected_incident(node: &Node, notes: &mut Notes<'_>) -> Values {
    let mut values = Vec::new();
    flatten("", node, &mut values, notes);
    values.into()
}

fn flatten(path: &str, node: &Node, values: &mut Vec<(Box<str>, Option<Box<str>>)>, notes: &mut Notes<'_>) {
    let value = match &node.kind {
        Kind::Map(entries) => {
            for (key, inner) in entries {
                let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
                if path == STATE || shape_of(&path).is_some() {
                    flatten(&path, inner, values, notes);
                } else {
                    unknown_name(&path, key.at, notes);
                }
            }
            return;
        }
        Kind::Null => None,
        Kind::Flag(flag) => Some(flag.to_string()),
        Kind::Number(text) | Kind::Text(text) => Some(text.clone()),
        Kind::List(_) => {
            notes.error("M004", node.at, "a ticket sets single values, and no lists");
            return;
        }
    };
    values.push((path.into(), value.map(Into::into)));
}

fn unknown_name(path: &str, at: At, notes: &mut Notes<'_>) {
    notes.error("M022", at, format!("an incident has no field `{path}`"));
}

fn expected_messages(expect: &RawExpect, notes: &mut Notes<'_>) -> Values {
    let mut messages = Vec::new();
    for (key, expected) in expect.messages.iter().flat_map(|messages| &messages.entries) {
        if JournalField::known(&key.text).is_none() {
            notes
                .error("M006", key.at, format!("`{}` is not a journal field", key.text))
                .nearest(&key.text, JournalField::ALL.map(JournalField::as_str));
        }
        let visibility = expected.0.as_ref().map(|scalar| scalar.text.as_str().into());
        messages.push((key.text.as_str().into(), visibility));
    }
    messages.into()
}
