//! Events through a mapping with nothing sent: what each ticket would hold, and how many calls that takes.
//!
//! Owns: playing changes in their order against tickets that exist only here, and comparing two such plays, the mapping as it
//! is and as it is to be. The rule for which fields an update writes is the worker's own ([`super::DraftField::is_due`]).
//! Never: asks an instance. A record that must be looked up is as if it had been found, so a group that does not exist shows
//! only with a real instance; a ticket's state there, and what people wrote, are not known.
//! Fails: it cannot; a change that would be parked is noted with its reason. Proved by: the tests here, `tests/cli`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::draft::{Draft, LookupKey, Lookups, Operation};
use super::{JournalField, Mapping};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::incident::Incident;

/// Tickets that exist only here.
#[derive(Debug)]
pub struct Rehearsal<'m> {
    mapping: &'m Mapping,
    tickets: BTreeMap<TicketName, Rehearsed>,
    lookups: BTreeSet<LookupKey>,
}

/// The incident, and which time it came back.
type TicketName = (String, u32);

/// One ticket as it would be.
#[derive(Debug, Default)]
struct Rehearsed {
    told: Option<Incident>,
    /// Ticket field and value, as last written.
    fields: BTreeMap<Arc<str>, String>,
    /// The print of what was last written.
    written: BTreeMap<Arc<str>, String>,
    entries: Vec<Entry>,
    parked: Vec<String>,
    left_out: Vec<String>,
    calls: Calls,
}

/// An entry in one of a ticket's journals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Which journal.
    pub journal: JournalField,
    /// What it says.
    pub text: String,
}

/// Calls to the instance. Files and tokens are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Tickets that are made.
    pub creates: usize,
    /// Tickets that are written again.
    pub updates: usize,
    /// Records that are looked up; each once, as the gateway remembers them for a while.
    pub lookups: usize,
    /// Changes that write nothing, because every field holds its value already.
    pub nothing_to_write: usize,
}

/// What one ticket would be otherwise.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct TicketDifference {
    /// The managed service's id.
    pub incident: String,
    /// Which time it came back.
    pub episode: u32,
    /// The fields that differ.
    pub fields: Vec<FieldDifference>,
    /// What only the old mapping writes to the journals, and only the new one.
    pub entries: Apart<Vec<Entry>>,
    /// What would need a person, and why.
    pub parked: Apart<Vec<String>>,
    /// What is left out, and why.
    pub left_out: Apart<Vec<String>>,
}

/// A field that differs; `None` where it is not written.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Its database name.
    pub field: Arc<str>,
    /// With the mapping as it is.
    pub old: Option<String>,
    /// With the mapping as it is to be.
    pub new: Option<String>,
}

/// Something of the old mapping beside something of the new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Apart<T> {
    /// The mapping as it is.
    pub old: T,
    /// The mapping as it is to be.
    pub new: T,
}

impl Calls {
    /// All that go to the instance.
    pub const fn total(&self) -> usize {
        self.creates + self.updates + self.lookups
    }
}

impl<'m> Rehearsal<'m> {
    /// No ticket yet.
    pub const fn new(mapping: &'m Mapping) -> Self {
        Self { mapping, tickets: BTreeMap::new(), lookups: BTreeSet::new() }
    }

    /// One more change. The first of an incident makes its ticket if it says that it opens or opens again; any other finds
    /// one of which nothing is known.
    pub fn play(&mut self, change: &Change) {
        let id = change.incident.id.to_string();
        let known =
            self.tickets.range((id.clone(), 0)..=(id.clone(), u32::MAX)).next_back().map(|((_, last), _)| *last);
        let episode = change.incident.episode.or(known).unwrap_or(1);
        let ticket = self.tickets.entry((id, episode)).or_default();
        let operation = match ticket.told {
            None if matches!(change.kind, ChangeKind::Opened) => Operation::Create,
            None if known.is_some() => Operation::Create,
            None | Some(_) => Operation::Update,
        };
        let change = ticket.told_of(change);
        let keys = self.mapping.plan(&change, operation);
        self.lookups.extend(keys.iter().cloned());
        match self.mapping.apply(&change, operation, &Lookups::as_if_found(keys)) {
            Ok(draft) => ticket.write(operation, draft),
            Err(fault) => ticket.parked.push(format!("{}: {fault}", change.kind)),
        }
    }

    /// How many tickets there are.
    pub fn tickets(&self) -> usize {
        self.tickets.len()
    }

    /// The calls that all of it takes.
    pub fn calls(&self) -> Calls {
        let mut all = Calls { lookups: self.lookups.len(), ..Calls::default() };
        for Calls { creates, updates, lookups: _, nothing_to_write } in self.tickets.values().map(|ticket| ticket.calls)
        {
            all.creates += creates;
            all.updates += updates;
            all.nothing_to_write += nothing_to_write;
        }
        all
    }

    /// What differs after the same changes, ticket by ticket; tickets that do not differ are left out.
    pub fn differences(&self, new: &Rehearsal<'_>) -> Vec<TicketDifference> {
        let empty = Rehearsed::default();
        let names: BTreeSet<&TicketName> = self.tickets.keys().chain(new.tickets.keys()).collect();
        let compared = names.into_iter().map(|name| {
            let (old, new) = (self.tickets.get(name).unwrap_or(&empty), new.tickets.get(name).unwrap_or(&empty));
            TicketDifference {
                incident: name.0.clone(),
                episode: name.1,
                fields: fields_apart(old, new),
                entries: apart(&old.entries, &new.entries),
                parked: apart(&old.parked, &new.parked),
                left_out: apart(&old.left_out, &new.left_out),
            }
        });
        compared.filter(|difference| !difference.is_empty()).collect()
    }
}

impl Rehearsed {
    /// The change with everything that was told of the incident before.
    fn told_of(&mut self, change: &Change) -> Change {
        let mut whole = change.clone();
        if let Some(mut told) = self.told.take() {
            told.merge(&change.incident);
            whole.incident = told;
        }
        self.told = Some(whole.incident.clone());
        whole
    }

    fn write(&mut self, operation: Operation, draft: Draft) {
        let mut writes = draft.journal.is_some();
        for field in draft.fields {
            let due = match operation {
                Operation::Create => !field.value.is_empty(),
                Operation::Update => field.is_due(self.written.get(&field.name).map(String::as_str)),
            };
            if due {
                writes = true;
                self.written.insert(Arc::clone(&field.name), field.hash());
                self.fields.insert(field.name, field.value);
            }
        }
        self.entries.extend(draft.journal.map(|(journal, text)| Entry { journal, text }));
        self.left_out.extend(draft.dropped.iter().map(|dropped| format!("{}: {}", dropped.what, dropped.reason)));
        match operation {
            Operation::Create => self.calls.creates += 1,
            Operation::Update if writes => self.calls.updates += 1,
            Operation::Update => self.calls.nothing_to_write += 1,
        }
    }
}

impl TicketDifference {
    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.entries.is_empty() && self.parked.is_empty() && self.left_out.is_empty()
    }
}

impl<T> Apart<Vec<T>> {
    /// Whether neither has what the other has not.
    pub const fn is_empty(&self) -> bool {
        self.old.is_empty() && self.new.is_empty()
    }
}

fn fields_apart(old: &Rehearsed, new: &Rehearsed) -> Vec<FieldDifference> {
    let names: BTreeSet<&Arc<str>> = old.fields.keys().chain(new.fields.keys()).collect();
    let compared = names.into_iter().map(|name| FieldDifference {
        field: Arc::clone(name),
        old: old.fields.get(name).cloned(),
        new: new.fields.get(name).cloned(),
    });
    compared.filter(|field| field.old != field.new).collect()
}

/// What only one of both has, with as many of each as the other lacks.
fn apart<T: Clone + PartialEq>(old: &[T], new: &[T]) -> Apart<Vec<T>> {
    let only = |these: &[T], those: &[T]| {
        let mut others = those.to_vec();
        let mut only = Vec::new();
        for one in these {
            match others.iter().position(|other| other == one) {
                Some(at) => {
                    others.swap_remove(at);
                }
                None => only.push(one.clone()),
            }
        }
        only
    };
    Apart { old: only(old, new), new: only(new, old) }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::mapping::{SourceFile, compile};
    use serde_json::{Value, json};

    const OLD: &str = "version: 1\nname: t\ntarget: {table: incident}\ntables: {i: {high: 1, default: 3}}\nto_ticket:\n  fields:\n    \
        short_description: \"{{ incident.title or '' }}\"\n    impact: {value: \"{{ incident.severity }}\", table: i, when: \"{{ incident.severity is defined }}\"}\n    \
        assignment_group: {value: AV, lookup: {table: sys_user_group, by: name}, on: create}\n  messages: {public: comments}\n";

    fn mapping(text: &str) -> Mapping {
        let (mapping, findings) = compile(&SourceFile::new("t.yaml", text.to_owned()));
        mapping.unwrap_or_else(|| panic!("{findings:#?}"))
    }

    fn change(kind: &str, data: Value) -> Change {
        Change::from_data(ChangeKind::parse(kind).unwrap(), data).unwrap()
    }

    fn story() -> Vec<Change> {
        vec![
            change("incident.opened", json!({"incident": {"id": "A-1", "title": "Dark", "severity": "high"}})),
            change("incident.updated", json!({"incident": {"id": "A-1", "severity": "high"}})),
            change("incident.updated", json!({"incident": {"id": "A-1", "severity": "low"}})),
            change(
                "incident.message_added",
                json!({"incident": {"id": "A-1"}, "message": {"text": "x", "visibility": "public"}}),
            ),
            change("incident.updated", json!({"incident": {"id": "B-1", "severity": "low"}})),
        ]
    }

    fn played<'m>(mapping: &'m Mapping, story: &[Change]) -> Rehearsal<'m> {
        let mut rehearsal = Rehearsal::new(mapping);
        for change in story {
            rehearsal.play(change);
        }
        rehearsal
    }

    #[test]
    fn calls_are_counted_as_the_gateway_would_make_them() {
        let mapping = mapping(OLD);
        let calls = played(&mapping, &story()).calls();
        // made, the equal severity is nothing, the other one and the message are a call each; B-1 is written once.
        assert_eq!(calls, Calls { creates: 1, updates: 3, lookups: 1, nothing_to_write: 1 });
        assert_eq!(calls.total(), 5);
    }

    #[test]
    fn the_same_mapping_differs_in_nothing() {
        let mapping = mapping(OLD);
        assert_eq!(played(&mapping, &story()).differences(&played(&mapping, &story())), []);
    }

    #[test]
    fn a_change_of_the_mapping_is_told_per_ticket_and_field() {
        let (old, new) = (
            mapping(OLD),
            mapping(&OLD.replace("default: 3", "default: 2").replace("public: comments", "public: work_notes")),
        );
        let differences = played(&old, &story()).differences(&played(&new, &story()));
        assert_eq!(differences.iter().map(|ticket| ticket.incident.as_str()).collect::<Vec<_>>(), ["A-1", "B-1"]);
        let of = |value: &str| Some(value.to_owned());
        assert_eq!(differences[0].fields, [FieldDifference { field: "impact".into(), old: of("3"), new: of("2") }]);
        assert_eq!(differences[0].entries.old[0].journal, JournalField::Comments);
        assert_eq!(differences[0].entries.new[0].journal, JournalField::WorkNotes);
        assert!(differences[1].entries.is_empty());
    }

    #[test]
    fn what_would_need_a_person_is_told_with_its_reason() {
        let (old, new) = (mapping(OLD), mapping(&OLD.replace("incident.title or ''", "incident.description")));
        let differences = played(&old, &story()).differences(&played(&new, &story()));
        assert!(differences[0].parked.new[0].contains("incident.description"), "{differences:#?}");
        assert!(differences[0].parked.old.is_empty());
    }

    #[test]
    fn a_new_episode_is_a_new_ticket() {
        let mapping = mapping(OLD);
        let mut story = story();
        story
            .push(change("incident.reopened", json!({"incident": {"id": "A-1", "episode": 2, "title": "Dark again"}})));
        let rehearsal = played(&mapping, &story);
        assert_eq!((rehearsal.tickets(), rehearsal.calls().creates), (3, 2));
    }
}
