//! What a tenant needs of its instance, derived from its mapping and settings alone. Pure.
//!
//! Owns: which columns are written, with which values, which are read, what is looked up, and by which verbs.
//! Never: asks an instance. Fails: it cannot. Proved by: the tests here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::report::Spot;
use crate::domain::change::ChangeKind;
use crate::domain::incident::Visibility;
use crate::limits::CORRELATION_DISPLAY_CHARS_MAX;
use crate::mapping::{FieldWant, JournalField, LookupWant, Mapping, Operation, Target, Wants};
use crate::settings::{CreateStrategy, TenantSettings};
use crate::tenants::Tenant;

/// Characters of our `correlation_id`s.
const CORRELATION_CHARS: usize = 44;

/// Everything a tenant needs of its instance.
#[derive(Debug)]
pub struct Needs {
    /// Where tickets live.
    pub table: String,
    /// Columns that are written, as often as the mapping names them; our own keys among them.
    pub written: Vec<FieldNeed>,
    /// Columns that are read.
    pub read: Vec<ColumnNeed>,
    /// Records that are looked up.
    pub lookups: Vec<LookupNeed>,
    /// Journals that are written or read.
    pub journals: Vec<JournalNeed>,
    /// What is done.
    pub verbs: BTreeSet<Verb>,
    /// Columns that are written when a ticket is made.
    pub to_open: BTreeSet<String>,
    /// Columns that are written until a ticket is resolved, those of its making included.
    pub to_resolve: BTreeSet<String>,
    /// Whether what happens in ServiceNow is told to anybody.
    pub goes_back: bool,
    /// Whether a create carries a `sys_id` chosen by us.
    pub sends_sys_id: bool,
}

/// A column that is written.
#[derive(Debug)]
pub struct FieldNeed {
    /// Its database name.
    pub name: String,
    /// Where the mapping says so; `None` for our own keys.
    pub(super) spot: Option<Spot>,
    /// The values that stand in the file, and where.
    pub(super) constants: Vec<(String, Spot)>,
    /// Whether it can have no other values.
    pub constant: bool,
    /// The longest value that is written.
    pub chars_max: Option<usize>,
    /// The table whose record's key is written.
    pub lookup: Option<String>,
}

/// A column that is read.
#[derive(Debug)]
pub struct ColumnNeed {
    /// Its database name.
    pub name: String,
    /// Where the mapping reads it; `None` for those we always read.
    pub(super) spot: Option<Spot>,
}

/// Records that are looked up by one column.
#[derive(Debug)]
pub struct LookupNeed {
    /// The table.
    pub table: String,
    /// The column.
    pub by: String,
    /// The values that stand in the file, where, and whether a missing one needs a person.
    pub(super) values: Vec<(String, Spot, bool)>,
    /// Where the mapping first says so.
    pub(super) spot: Spot,
}

/// A journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalNeed {
    /// Which.
    pub journal: JournalField,
    /// Whether we write to it.
    pub written: bool,
    /// Whether its entries leave the tenant.
    pub read: bool,
}

/// What is done to records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Tickets are made.
    Create,
    /// Tickets are read and searched.
    Read,
    /// Tickets are changed.
    Update,
    /// Files are added to tickets.
    Attach,
    /// Files of tickets are read.
    ReadFiles,
    /// The rows of journals are read.
    ReadJournals,
}

/// The columns we always read of a ticket.
const ALWAYS_READ: [&str; 8] = [
    "sys_id",
    "number",
    "correlation_id",
    "correlation_display",
    "sys_created_on",
    "sys_updated_on",
    "sys_created_by",
    "sys_mod_count",
];

impl Needs {
    /// What this tenant needs.
    pub fn of(tenant: &Tenant) -> Self {
        Self::derive(tenant.settings(), tenant.mapping())
    }

    fn derive(settings: &TenantSettings, mapping: &Mapping) -> Self {
        let goes_back = settings.callback.is_some() && mapping.has_way_back();
        let sends_sys_id = settings.servicenow.create == CreateStrategy::DerivedSysId;
        Self::of_mapping(mapping, goes_back, sends_sys_id)
    }

    fn of_mapping(mapping: &Mapping, goes_back: bool, sends_sys_id: bool) -> Self {
        let (Target::Table(table) | Target::ImportSet(table)) = mapping.target();
        let wants = mapping.wants();
        let names = |kind, operation| mapping.fields_written(kind, operation).into_iter().map(ToOwned::to_owned);
        let to_open: BTreeSet<String> = names(ChangeKind::Opened, Operation::Create).collect();
        let to_resolve = names(ChangeKind::Resolved, Operation::Update).chain(to_open.iter().cloned()).collect();
        Self {
            table: table.to_string(),
            written: wants.fields.iter().map(|want| field(wants, want)).chain(own_keys(sends_sys_id)).collect(),
            read: columns(mapping, wants, goes_back),
            lookups: lookups(wants),
            journals: journals(mapping, goes_back),
            verbs: verbs(mapping, goes_back),
            to_open,
            to_resolve,
            goes_back,
            sends_sys_id,
        }
    }
}

fn field(wants: &Wants, want: &FieldWant) -> FieldNeed {
    let spot = |place| Spot::new(&wants.file, place);
    let constants = want.constants.iter().flatten().filter(|_| want.lookup.is_none());
    FieldNeed {
        name: want.field.to_string(),
        spot: Some(spot(want.place)),
        constants: constants.map(|one| (one.value.to_string(), spot(one.place))).collect(),
        constant: want.constants.is_some() && want.lookup.is_none(),
        chars_max: want.chars_max,
        lookup: want.lookup.as_ref().map(|lookup| lookup.table.to_string()),
    }
}

/// The columns by which a ticket is found again. They are written whatever the mapping says.
fn own_keys(sends_sys_id: bool) -> impl Iterator<Item = FieldNeed> {
    let key = |name: &str, chars| FieldNeed {
        name: name.to_owned(),
        spot: None,
        constants: Vec::new(),
        constant: false,
        chars_max: Some(chars),
        lookup: None,
    };
    let sys_id = sends_sys_id.then(|| key("sys_id", 32));
    let others = [key("correlation_id", CORRELATION_CHARS), key("correlation_display", CORRELATION_DISPLAY_CHARS_MAX)];
    sys_id.into_iter().chain(others)
}

fn columns(mapping: &Mapping, wants: &Wants, goes_back: bool) -> Vec<ColumnNeed> {
    let always = ALWAYS_READ.iter().chain(&["state"]).map(|name| ColumnNeed { name: (*name).to_owned(), spot: None });
    let back = mapping.ticket_columns().iter().filter(|column| goes_back && !ALWAYS_READ.contains(&&***column));
    let back = back.map(|column| ColumnNeed {
        name: column.to_string(),
        spot: wants.place_of_column(column).map(|place| Spot::new(&wants.file, place)),
    });
    let mut columns: Vec<ColumnNeed> = back.collect();
    for column in always {
        if columns.iter().all(|known| known.name != column.name) {
            columns.push(column);
        }
    }
    columns
}

fn lookups(wants: &Wants) -> Vec<LookupNeed> {
    let mut needs: Vec<LookupNeed> = Vec::new();
    let looked_up = wants.fields.iter().filter_map(|want| want.lookup.as_ref().map(|lookup| (want, lookup)));
    for (want, lookup) in looked_up {
        let LookupWant { table, by, parks } = lookup;
        let spot = |place| Spot::new(&wants.file, place);
        let at = needs.iter().position(|need| *need.table == **table && *need.by == **by);
        let at = at.unwrap_or_else(|| {
            let (table, by) = (table.to_string(), by.to_string());
            needs.push(LookupNeed { table, by, values: Vec::new(), spot: spot(want.place) });
            needs.len() - 1
        });
        let values = want.constants.iter().flatten().filter(|constant| !constant.value.trim().is_empty());
        if let Some(need) = needs.get_mut(at) {
            need.values.extend(values.map(|one| (one.value.to_string(), spot(one.place), *parks)));
        }
    }
    needs
}

fn journals(mapping: &Mapping, goes_back: bool) -> Vec<JournalNeed> {
    let all = [Visibility::Public, Visibility::Internal];
    let need = |journal| JournalNeed {
        journal,
        written: all.iter().any(|visibility| mapping.journal_of(*visibility) == Some(journal)),
        read: goes_back && mapping.leaves_as(journal).is_some(),
    };
    JournalField::ALL.into_iter().map(need).filter(|need| need.written || need.read).collect()
}

fn verbs(mapping: &Mapping, goes_back: bool) -> BTreeSet<Verb> {
    let mut verbs = BTreeSet::from([Verb::Create, Verb::Read, Verb::Update]);
    verbs.extend(mapping.attachments().map(|_| Verb::Attach));
    verbs.extend(mapping.attachments_back().filter(|_| goes_back).map(|_| Verb::ReadFiles));
    verbs.extend((goes_back && mapping.tells_messages()).then_some(Verb::ReadJournals));
    verbs
}

/// A place of the tenant's own file, as a spot.
pub(super) fn spot_of(file: &Arc<str>, place: crate::settings::Place) -> Spot {
    Spot::new(file, crate::mapping::Place { line: place.line, column: place.column })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{SourceFile, compile};

    const MAPPING: &str = "\
version: 1
name: t
target: {table: incident}
tables:
  groups: {Berlin: Berlin AV, default: AV}
  state: {new: 1, resolved: 6, default: 2}
to_ticket:
  fields:
    short_description: {value: \"{{ incident.title }}\", max: 160}
    state: {value: \"{{ incident.state }}\", table: state}
    assignment_group: {value: \"{{ incident.affected[0].room_group }}\", table: groups, lookup: {table: sys_user_group, by: name}, on: create}
    close_code: {value: Solution provided, when: \"{{ incident.state == 'resolved' }}\"}
  on:
    incident.resolved: {close_notes: Done}
    incident.escalated: {assignment_group: {value: Vendor, lookup: {table: sys_user_group, by: name, missing: skip}}}
  messages: {public: comments, internal: work_notes}
  attachments: {max_bytes: 1MB}
to_incident:
  state: {\"6\": resolved}
  fields: {severity: {value: \"{{ ticket.impact }}\", table: back}}
  messages: {comments: public}
";

    fn needs(goes_back: bool) -> Needs {
        let text = MAPPING.replace("tables:\n", "tables:\n  back: {\"1\": high, default: low}\n");
        let (mapping, findings) = compile(&SourceFile::new("t.yaml", text));
        Needs::of_mapping(&mapping.unwrap_or_else(|| panic!("{findings:#?}")), goes_back, true)
    }

    #[test]
    fn every_field_is_needed_with_its_values_and_our_keys_beside_them() {
        let needs = needs(true);
        let said: Vec<String> = needs
            .written
            .iter()
            .map(|need| {
                let constants: Vec<_> = need.constants.iter().map(|(value, _)| value.as_str()).collect();
                format!("{} [{}] {:?} {:?}", need.name, constants.join(","), need.chars_max, need.lookup.as_deref())
            })
            .collect();
        assert_eq!(
            said,
            [
                "short_description [] Some(160) None",
                "state [1,6,2] None None",
                "assignment_group [] None Some(\"sys_user_group\")",
                "close_code [Solution provided] None None",
                "close_notes [Done] None None",
                "assignment_group [] None Some(\"sys_user_group\")",
                "sys_id [] Some(32) None",
                "correlation_id [] Some(44) None",
                "correlation_display [] Some(100) None",
            ]
        );
    }

    #[test]
    fn what_opens_and_what_resolves_a_ticket_is_known() {
        let needs = needs(true);
        assert!(needs.to_open.contains("assignment_group") && !needs.to_open.contains("close_notes"));
        assert!(needs.to_resolve.contains("close_notes") && needs.to_resolve.contains("short_description"));
    }

    #[test]
    fn lookups_of_one_column_are_one_need_and_say_which_values_park() {
        let needs = needs(true);
        let values: Vec<_> = needs
            .lookups
            .iter()
            .flat_map(|need| &need.values)
            .map(|(value, _, parks)| (value.as_str(), *parks))
            .collect();
        assert_eq!((needs.lookups.len(), values), (1, vec![("Berlin AV", true), ("AV", true), ("Vendor", false)]));
    }

    #[test]
    fn without_a_way_back_nothing_of_it_is_needed() {
        let (with, without) = (needs(true), needs(false));
        let reads = |needs: &Needs, column: &str| needs.read.iter().any(|need| need.name == column);
        assert!(reads(&with, "impact") && !reads(&without, "impact") && reads(&without, "correlation_id"));
        assert!(with.verbs.contains(&Verb::ReadJournals) && !without.verbs.contains(&Verb::ReadJournals));
        assert!(with.verbs.contains(&Verb::Attach) && without.verbs.contains(&Verb::Attach));
        let comments = JournalNeed { journal: JournalField::Comments, written: true, read: true };
        assert_eq!(with.journals.first(), Some(&comments));
    }
}
