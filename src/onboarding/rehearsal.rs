//! The incident of the test ticket, and what the mapping makes of its life: opened, changed, resolved, called off. Pure.
//!
//! Owns: an incident as the mapping's author thinks is usual (its first case that makes a ticket), else the smallest one.
//! Never: fetches what it needs looked up. Fails: what cannot be mapped is said once, and left out. Proved by: the tests here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::codes;
use super::report::{Findings, Spot};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, Severity, State};
use crate::mapping::{Draft, Lookup, LookupKey, Lookups, Mapping, Operation};

/// What a test ticket is called, in every instance.
pub const TEST_TITLE: &str = "Snowgate connection test, please ignore";

/// The incident's name; it never leaves the gateway.
const INCIDENT: &str = "snowgate-connection-test";

/// The life of the test incident, as events.
#[derive(Debug)]
pub(super) struct Rehearsal {
    pub(super) opened: Change,
    pub(super) updated: Change,
    pub(super) resolved: Change,
    pub(super) cancelled: Change,
    /// The values that the mapping writes to open the ticket, and to resolve it after that.
    pub(super) opening: BTreeMap<String, String>,
    pub(super) resolution: BTreeMap<String, String>,
}

impl Rehearsal {
    pub(super) fn of(mapping: &Mapping) -> Option<Self> {
        let incident = mapping.example().map_or_else(smallest, |example| Some(example.incident.clone()))?;
        let incident =
            Incident { id: IncidentId::parse(INCIDENT).ok()?, title: Some(TEST_TITLE.to_owned()), ..incident };
        let event = |kind, incident: &Incident| Change {
            kind,
            incident: incident.clone(),
            message: None,
            escalation: None,
            attachment: None,
        };
        let opened = event(ChangeKind::Opened, &incident);
        // Something that most mappings write differently: otherwise nothing would be seen of what a change does.
        let severity = if incident.severity == Some(Severity::Critical) { Severity::Low } else { Severity::Critical };
        let changed = Incident { severity: Some(severity), ..incident };
        let updated = event(ChangeKind::Updated, &changed);
        let mut over = changed;
        over.merge(&said(json!({"resolution": {"notes": "The connection test is over."}}))?);
        let ended = |kind, state| {
            let mut incident = over.clone();
            incident.enter(state);
            event(kind, &incident)
        };
        let mut rehearsal = Self {
            opened,
            updated,
            resolved: ended(ChangeKind::Resolved, State::Resolved),
            cancelled: ended(ChangeKind::Cancelled, State::Cancelled),
            opening: BTreeMap::new(),
            resolution: BTreeMap::new(),
        };
        rehearsal.opening = Self::values(mapping, &rehearsal.opened, Operation::Create);
        rehearsal.resolution = rehearsal.opening.clone();
        rehearsal.resolution.extend(Self::values(mapping, &rehearsal.resolved, Operation::Update));
        Some(rehearsal)
    }

    /// Every record that must be looked up for any of it, each once.
    pub(super) fn lookups(&self, mapping: &Mapping) -> Vec<LookupKey> {
        let changes = [
            (&self.opened, Operation::Create),
            (&self.updated, Operation::Update),
            (&self.resolved, Operation::Update),
            (&self.cancelled, Operation::Update),
        ];
        let mut keys: Vec<LookupKey> = Vec::new();
        for (change, operation) in changes {
            keys.extend(mapping.plan(change, operation));
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// The values of a change as far as they need no look-up.
    fn values(mapping: &Mapping, change: &Change, operation: Operation) -> BTreeMap<String, String> {
        let found = mapping.plan(change, operation).into_iter().map(|key| (key, Lookup::Found("0".repeat(32))));
        let draft = mapping.apply(change, operation, &found.collect()).unwrap_or_default();
        draft.fields.into_iter().map(|field| (field.name.to_string(), field.value)).collect()
    }
}

/// What the mapping makes of a change. A record that is not there was reported where it was looked up: its field is left
/// out here. Anything else that cannot be mapped is reported, once.
pub(super) fn draft(
    mapping: &Mapping,
    change: &Change,
    operation: Operation,
    found: &Found,
    findings: &mut Findings,
) -> Draft {
    let lookups: Lookups = mapping
        .plan(change, operation)
        .into_iter()
        .map(|key| {
            let sys_id = found.get(&key).cloned().flatten();
            // Empty values are not written; the mapping's own word for a missing record is used where it has one.
            let lookup = match sys_id {
                Some(sys_id) => Lookup::Found(sys_id),
                None if parks(mapping, &key) => Lookup::Found(String::new()),
                None => Lookup::Missing,
            };
            (key, lookup)
        })
        .collect();
    match mapping.apply(change, operation, &lookups) {
        Ok(draft) => draft,
        Err(fault) => {
            let wants = mapping.wants();
            for problem in &fault.problems {
                let spot = wants.place_of(&problem.field).map(|place| Spot::new(&wants.file, place));
                let message = format!("{} cannot be mapped: {}", change.kind.as_str(), problem.reason);
                findings.error(codes::CANNOT_MAP, &problem.field, message).at(spot.as_ref());
            }
            Draft::default()
        }
    }
}

/// What was looked up: the key of the record, `None` if there is none.
pub(super) type Found = BTreeMap<LookupKey, Option<String>>;

fn parks(mapping: &Mapping, key: &LookupKey) -> bool {
    let lookups = mapping.wants().fields.iter().filter_map(|want| want.lookup.as_ref());
    lookups.filter(|lookup| lookup.table == key.table && lookup.by == key.by).any(|lookup| lookup.parks)
}

/// The least that opens a ticket.
fn smallest() -> Option<Incident> {
    said(json!({"severity": "low", "state": "new"}))
}

/// The test incident, as far as this says.
fn said(mut incident: Value) -> Option<Incident> {
    let fields = incident.as_object_mut()?;
    fields.insert("id".to_owned(), INCIDENT.into());
    fields.insert("title".to_owned(), TEST_TITLE.into());
    Change::from_data(ChangeKind::Opened, json!({"incident": incident})).ok().map(|change| change.incident)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{SourceFile, compile};

    fn mapping(cases: &str) -> Mapping {
        let text = format!(
            "version: 1\nname: t\ntarget: {{table: incident}}\ntables:\n  s: {{resolved: 6, cancelled: 8, default: 2}}\n\
             to_ticket:\n  fields:\n    short_description: \"{{{{ incident.title }}}}\"\n    \
             category: \"{{{{ incident.category | default('inquiry') }}}}\"\n    \
             state: {{value: \"{{{{ incident.state }}}}\", table: s}}\n    \
             close_code: {{value: Done, when: \"{{{{ incident.state == 'resolved' }}}}\"}}\n    \
             assignment_group: {{value: AV, lookup: {{table: sys_user_group, by: name}}, on: create}}\n{cases}"
        );
        let (mapping, findings) = compile(&SourceFile::new("t.yaml", text));
        mapping.unwrap_or_else(|| panic!("{findings:#?}"))
    }

    const CASE: &str = "cases:\n  - name: a\n    event: {type: incident.opened, incident: {id: A-1, title: Real, category: audio}}\n    \
                        lookups: {sys_user_group: {AV: a1}}\n    expect: {create: {short_description: Real}}\n";

    #[test]
    fn it_is_the_authors_own_example_under_our_title() {
        let rehearsal = Rehearsal::of(&mapping(CASE)).unwrap();
        assert_eq!(rehearsal.opening["short_description"], TEST_TITLE);
        assert_eq!((&*rehearsal.opening["category"], &*rehearsal.resolution["close_code"]), ("audio", "Done"));
        assert_eq!((&*rehearsal.resolution["state"], rehearsal.opened.incident.id.as_str()), ("6", INCIDENT));
        let smallest = Rehearsal::of(&mapping("")).unwrap();
        assert_eq!(smallest.opening["category"], "inquiry");
    }

    #[test]
    fn a_record_that_is_not_there_leaves_its_field_out_and_nothing_else() {
        let mapping = mapping("");
        let rehearsal = Rehearsal::of(&mapping).unwrap();
        let keys = rehearsal.lookups(&mapping);
        assert_eq!(keys.len(), 1);
        let found: Found = keys.into_iter().map(|key| (key, None)).collect();
        let mut findings = Findings::default();
        let draft = draft(&mapping, &rehearsal.opened, Operation::Create, &found, &mut findings);
        assert_eq!((draft.value("short_description"), draft.value("assignment_group")), (Some(TEST_TITLE), Some("")));
        assert!(findings.sorted().is_empty());
    }
}
