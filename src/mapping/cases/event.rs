//! Cases of the way to the ticket: an event, what lookups find, and the fields that must be written.

use super::{Values, difference, shown};
use crate::domain::change::{Change, ChangeKind};
use crate::mapping::diagnostic::Notes;
use crate::mapping::draft::{Draft, Lookup, Lookups, MappingFault, Operation};
use crate::mapping::raw::Block;
use crate::mapping::raw::{Expected, Named, RawCase, RawExpect, Scalar};
use crate::mapping::{JournalField, Mapping};

/// A checked case of this way.
#[derive(Debug)]
pub(super) struct EventCase {
    change: Box<Change>,
    lookups: Box<[FoundRow]>,
    expect: Expect,
}

/// What a lookup finds: table, value, `sys_id`.
type FoundRow = (Box<str>, Box<str>, String);

#[derive(Debug, Default)]
struct Expect {
    create: Option<Values>,
    update: Option<Values>,
    parked: Option<Box<[Box<str>]>>,
    dropped: Option<Box<str>>,
}

impl EventCase {
    pub(super) fn compile(raw: &RawCase, notes: &mut Notes<'_>) -> Option<Self> {
        let change = change(raw, notes)?;
        let expect = Expect::compile(raw.expect.as_ref()?, notes)?;
        let tables = raw.lookups.iter().flat_map(|tables| &tables.entries);
        let lookups = tables.flat_map(|(table, found)| {
            let row = |(value, id): &(crate::mapping::yaml::Key, Scalar)| {
                (table.text.as_str().into(), value.text.as_str().into(), id.text.clone())
            };
            found.entries.iter().map(row).collect::<Vec<_>>()
        });
        Some(Self { change: Box::new(change), lookups: lookups.collect(), expect })
    }

    pub(super) fn run(&self, mapping: &Mapping) -> Vec<String> {
        let mut differences = Vec::new();
        for (operation, key, expected) in
            [(Operation::Create, "create", &self.expect.create), (Operation::Update, "update", &self.expect.update)]
        {
            let Some(expected) = expected else { continue };
            match self.draft(mapping, operation) {
                Ok(draft) => compare(key, expected, &draft, &mut differences),
                Err(fault) => differences.push(format!("{key}: cannot be mapped: {fault}")),
            }
        }
        if self.expect.parked.is_some() || self.expect.dropped.is_some() {
            let operation = match (&self.expect.create, &self.expect.update, self.change.kind) {
                (Some(_), None, _) | (None, None, ChangeKind::Opened) => Operation::Create,
                (_, _, _) => Operation::Update,
            };
            self.left_out(&self.draft(mapping, operation), &mut differences);
        }
        differences
    }

    /// The event, if a ticket is expected to be made of it.
    pub(super) fn creates(&self) -> Option<&Change> {
        (self.expect.create.is_some() && self.expect.parked.is_none()).then_some(&self.change)
    }

    fn left_out(&self, outcome: &Result<Draft, MappingFault>, differences: &mut Vec<String>) {
        if let Some(parked) = &self.expect.parked {
            let found: Vec<&str> = match outcome {
                Ok(_) => Vec::new(),
                Err(fault) => fault.problems.iter().map(|problem| &*problem.field).collect(),
            };
            let expected: Vec<&str> = parked.iter().map(|field| &**field).collect();
            if found != expected {
                differences.push(format!("parked: expected {}, found {}", shown(&expected), shown(&found)));
            }
        }
        if let (Some(expected), Ok(draft)) = (&self.expect.dropped, outcome) {
            let reasons: Vec<String> = draft.dropped.iter().map(|it| format!("{}: {}", it.what, it.reason)).collect();
            if !reasons.iter().any(|reason| reason.contains(&**expected)) {
                let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
                differences.push(format!("dropped: expected `{expected}`, found {}", shown(&reasons)));
            }
        }
    }

    fn draft(&self, mapping: &Mapping, operation: Operation) -> Result<Draft, MappingFault> {
        let found = |table: &str, value: &str| {
            let row = self.lookups.iter().find(|(own, key, _)| **own == *table && **key == *value);
            row.map_or(Lookup::Missing, |(_, _, id)| Lookup::Found(id.clone()))
        };
        let keys = mapping.plan(&self.change, operation);
        let lookups: Lookups = keys
            .into_iter()
            .map(|key| {
                let lookup = found(&key.table, &key.value);
                (key, lookup)
            })
            .collect();
        mapping.apply(&self.change, operation, &lookups)
    }
}

impl Expect {
    fn compile(raw: &RawExpect, notes: &mut Notes<'_>) -> Option<Self> {
        if let Some(at) = raw.of_the_ticket() {
            notes
                .error("M004", at, "a case with an `event` expects fields of the ticket")
                .hint("use `create:` and `update:`");
        }
        let parked = raw.parked.as_ref().map(|fields| fields.iter().map(|field| field.value.as_str().into()).collect());
        let dropped = raw.dropped.as_ref().map(|reason| reason.value.as_str().into());
        let expect = Self { create: values(raw.create.as_ref()), update: values(raw.update.as_ref()), parked, dropped };
        if matches!(expect, Self { create: None, update: None, parked: None, dropped: None }) {
            if !["create", "update", "parked", "dropped", "incident", "opens", "messages"]
                .iter()
                .any(|key| raw.tried(key))
            {
                notes
                    .error("M005", raw.at, "the case expects nothing")
                    .hint("add `create:`, `update:`, `parked:` or `dropped:`");
            }
            return None;
        }
        Some(expect)
    }
}

fn values(raw: Option<&Named<Expected>>) -> Option<Values> {
    let value = |expected: &Expected| expected.0.as_ref().map(|scalar| scalar.text.as_str().into());
    raw.map(|raw| raw.entries.iter().map(|(key, scalar)| (key.text.as_str().into(), value(scalar))).collect())
}

/// The event of a case; its faults stand where the pointer leads.
fn change(raw: &RawCase, notes: &mut Notes<'_>) -> Option<Change> {
    let event = raw.event.as_ref()?;
    let mut data = event.node.to_json();
    let said = data.as_object_mut().and_then(|map| map.shift_remove("type"));
    let Some(said) = said.as_ref().and_then(|said| said.as_str()) else {
        notes.error("M005", event.node.at, "the event's `type` is missing").hint("such as `type: incident.opened`");
        return None;
    };
    let Some(kind) = ChangeKind::parse(said) else {
        notes
            .error("M006", event.node.at_pointer("/type"), format!("`{said}` is not a kind of change"))
            .nearest(said, ChangeKind::WORDS);
        return None;
    };
    match Change::from_data(kind, data) {
        Ok(change) => Some(change),
        Err(faults) => {
            for fault in faults {
                let at = event.node.at_pointer(&fault.pointer);
                notes.error("M048", at, format!("no such event is accepted: {fault}"));
            }
            None
        }
    }
}

fn compare(operation: &str, expected: &Values, draft: &Draft, differences: &mut Vec<String>) {
    for (name, expected) in expected {
        let journal = JournalField::known(name).is_some();
        let noun = if journal { "entry" } else { "value" };
        differences.extend(difference(&format!("{operation}.{name}"), noun, expected.as_deref(), draft.value(name)));
    }
}
