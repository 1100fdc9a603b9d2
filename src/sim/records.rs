//! How a record comes to be, changes and goes: the one path for REST, for people and for scheduled jobs.
//!
//! Owns: system columns, numbers, ids, the order of rules, and the list of changes. Never: reads HTTP.
//! Fails: with the refusal a REST caller would get. Proved by: `tests` and the tests of `people`.
//! Source: facts/servicenow 1.5 (ids, ignored writes), 1.9 (`sys_mod_count`), 5.3 (defaults).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::access::Caller;
use super::attachments::TABLE;
use super::dictionary::Table;
use super::errors::Refusal;
use super::instance::{Change, Instance, Operation};
use super::journal::{self, JournalEntry};
use super::outbound::Origin;
use super::policies;
use super::rules;
use super::store::{Record, set, value};
use super::write::{self, Wanted};
use crate::limits::SIM_CHANGES_MAX;

/// Table and `sys_id`.
pub(super) type RecordName<'a> = (&'a str, &'a str);

/// The final state of an incident.
const CLOSED: &str = "7";

impl Instance {
    /// Creates a record and gives its id.
    pub(super) fn insert(
        &mut self,
        table: &str,
        body: &Map<String, Value>,
        input_display: bool,
        caller: &Caller,
    ) -> Result<String, Refusal> {
        let dictionary = Arc::clone(&self.dictionary);
        let table = dictionary.table(table).ok_or_else(|| Refusal::invalid_table(table))?;
        if table.read_only {
            return Err(Refusal::acl("Insert"));
        }
        let now_text = caller.now_text();
        let wanted = write::wanted(self.view(caller), table, body, input_display);
        let mut record = self.blank(table, body, caller, &now_text);
        for (column, text) in &wanted.values {
            set(&mut record, column, text.as_str());
        }
        policies::rewrite(&self.switches, table, &mut record);
        if table.name == "incident" {
            self.rules(None, &wanted, caller, &now_text).settle(&mut record)?;
        }
        policies::judge(&self.switches, table, Operation::Insert, &record)?;
        let (sys_id, display) = (value(&record, "sys_id").to_owned(), value(&record, table.display).to_owned());
        let columns = record.keys().cloned().chain(wanted.journal.iter().map(|(column, _)| column.clone())).collect();
        if self.store.insert(&table.name, record).is_err() {
            // A number drawn for it is lost, as on the platform: numbers have gaps (facts/servicenow 8.37).
            return Err(Refusal::insert_failed(self.switches.duplicate_status, &table.name, &display));
        }
        self.append((&table.name, &sys_id), &wanted, caller);
        self.note(Operation::Insert, (&table.name, &sys_id), caller, (columns, None));
        Ok(sys_id)
    }

    /// A record with its defaults and system columns.
    fn blank(&mut self, table: &Table, body: &Map<String, Value>, caller: &Caller, now: &str) -> Record {
        let mut record = Record::new();
        for column in &table.columns {
            set(&mut record, &column.name, column.default);
        }
        if let Some(prefix) = table.number_prefix {
            self.number = self.number.saturating_add(1);
            set(&mut record, "number", format!("{prefix}{:07}", self.number));
        }
        let sys_id = self.chosen_id(body).unwrap_or_else(|| self.ids.hex32());
        for (column, text) in [
            ("sys_id", sys_id.as_str()),
            ("sys_created_on", now),
            ("sys_updated_on", now),
            ("sys_created_by", &caller.user_name),
            ("sys_updated_by", &caller.user_name),
            ("sys_mod_count", "0"),
        ] {
            set(&mut record, column, text);
        }
        record
    }

    /// The id the caller chose (`PySNC` `test_insert_custom_guid`). Text that is no id is ignored; no public source says.
    fn chosen_id(&self, body: &Map<String, Value>) -> Option<String> {
        let sent = body.get("sys_id").and_then(Value::as_str).filter(|_| self.switches.sys_id_honoured)?;
        let is_id = sent.len() == 32 && sent.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| sent.to_ascii_lowercase())
    }

    /// Changes a record; a write without effect succeeds and leaves no trace (facts/servicenow 8.43).
    pub(super) fn update(
        &mut self,
        (table, sys_id): RecordName<'_>,
        body: &Map<String, Value>,
        input_display: bool,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let dictionary = Arc::clone(&self.dictionary);
        let table = dictionary.table(table).ok_or_else(|| Refusal::invalid_table(table))?;
        let before = self.visible(&table.name, sys_id).ok_or_else(Refusal::no_record)?.clone();
        if table.read_only {
            return Err(Refusal::acl("Update"));
        }
        let now_text = caller.now_text();
        let mut wanted = write::wanted(self.view(caller), table, body, input_display);
        let is_incident = table.name == "incident";
        if is_incident && value(&before, "state") == CLOSED && !caller.itil_admin {
            // Closed records are read-only for most; journals still take text (`resolve-and-close-an-incident`).
            wanted.values.clear();
        }
        let mut after = before.clone();
        for (column, text) in &wanted.values {
            set(&mut after, column, text.as_str());
        }
        if after != before || !wanted.journal.is_empty() {
            policies::rewrite(&self.switches, table, &mut after);
            if is_incident {
                self.rules(Some(&before), &wanted, caller, &now_text).settle(&mut after)?;
            }
            policies::judge(&self.switches, table, Operation::Update, &after)?;
        }
        self.keep(table, (before, after), &wanted, caller);
        Ok(())
    }

    /// Stores the effective part of an update.
    fn keep(&mut self, table: &Table, (before, mut after): (Record, Record), wanted: &Wanted, caller: &Caller) {
        let changed = |column: &&String| value(&before, column) != value(&after, column);
        let mut columns: Vec<String> =
            table.columns.iter().map(|column| &column.name).filter(changed).cloned().collect();
        let counts = !columns.is_empty() || (!wanted.journal.is_empty() && self.switches.journal_counts_as_update);
        columns.extend(wanted.journal.iter().map(|(column, _)| column.clone()));
        if columns.is_empty() {
            return;
        }
        let sys_id = value(&after, "sys_id").to_owned();
        if counts {
            count_update(&mut after, caller);
            self.store.replace(&table.name, after);
        }
        self.append((&table.name, &sys_id), wanted, caller);
        self.note(Operation::Update, (&table.name, &sys_id), caller, (columns.clone(), None));
        self.automate((&table.name, &sys_id), &columns, caller);
    }

    /// Counts an update that changes no column.
    pub(super) fn touch(&mut self, (table, sys_id): RecordName<'_>, caller: &Caller) {
        if let Some(mut record) = self.store.row(table, sys_id).cloned() {
            count_update(&mut record, caller);
            self.store.replace(table, record);
        }
    }

    /// Removes a record.
    pub(super) fn delete(&mut self, (table, sys_id): RecordName<'_>, caller: &Caller) -> Result<(), Refusal> {
        let read_only = self.dictionary.table(table).ok_or_else(|| Refusal::invalid_table(table))?.read_only;
        if self.visible(table, sys_id).is_none() {
            return Err(Refusal::no_record());
        }
        if read_only {
            return Err(Refusal::acl("Delete"));
        }
        let gone = self.store.remove(table, sys_id);
        self.forget_files_of(sys_id);
        self.note(Operation::Delete, (table, sys_id), caller, (Vec::new(), gone.as_ref()));
        Ok(())
    }

    /// A row the integration may see.
    pub(super) fn visible(&self, table: &str, sys_id: &str) -> Option<&Record> {
        self.store.row(table, sys_id).filter(|_| !self.is_hidden(table, sys_id))
    }

    /// A record as the answer to its own write shows it: rules that hide rows from queries do not run for it.
    pub(super) fn written(&self, table: &str, sys_id: &str) -> Option<&Record> {
        let unreadable = self.switches.tickets_unreadable && self.is_ticket(table)
            || self.switches.unreadable_tables.contains_key(table);
        self.store.row(table, sys_id).filter(|_| !unreadable)
    }

    fn is_ticket(&self, table: &str) -> bool {
        self.dictionary.table(table).is_some_and(|table| table.extends == Some("task"))
    }

    /// Whether a rule of the instance keeps a row from whoever queries.
    fn is_ruled_out(&self, table: &str, sys_id: &str) -> bool {
        if self.switches.unreadable_tables.contains_key(table) {
            return true;
        }
        if !self.is_ticket(table) {
            return false;
        }
        let Some(rule) = &self.switches.query_rule else { return self.switches.tickets_unreadable };
        let fits =
            |record: &Record| self.dictionary.table(table).is_none_or(|table| policies::holds(rule, table, record));
        self.switches.tickets_unreadable || !self.store.row(table, sys_id).is_none_or(fits)
    }

    pub(super) fn is_hidden(&self, table: &str, sys_id: &str) -> bool {
        let journal_denied = table == "sys_journal_field" && !self.switches.journal_readable;
        let hidden = !self.hidden.is_empty() && self.hidden.contains(&(table.to_owned(), sys_id.to_owned()));
        journal_denied || hidden || self.is_ruled_out(table, sys_id) || (table == TABLE && self.is_file_hidden(sys_id))
    }

    /// A file is as visible as the record it belongs to.
    fn is_file_hidden(&self, sys_id: &str) -> bool {
        let owner = self.store.row(TABLE, sys_id);
        owner.is_some_and(|row| {
            let owner = (value(row, "table_name").to_owned(), value(row, "table_sys_id").to_owned());
            !self.hidden.is_empty() && self.hidden.contains(&owner)
        })
    }

    fn rules<'w>(
        &'w self,
        before: Option<&'w Record>,
        wanted: &'w Wanted,
        caller: &'w Caller,
        now: &'w str,
    ) -> rules::Write<'w> {
        rules::Write { before, journal: &wanted.journal, caller, now, switches: &self.switches }
    }

    fn append(&mut self, (table, sys_id): RecordName<'_>, wanted: &Wanted, caller: &Caller) {
        let at = caller.now_text();
        for (element, text) in &wanted.journal {
            self.journal_order = self.journal_order.saturating_add(1);
            let entry = JournalEntry {
                element: element.clone(),
                text: text.clone(),
                by: caller.user_name.clone(),
                at: at.clone(),
                sys_id: self.ids.hex32(),
            };
            let row = journal::row(&entry, table, sys_id, self.journal_order);
            // The id is fresh; were it not, the platform would lose the entry too.
            let appended = self.store.insert("sys_journal_field", row);
            debug_assert!(appended.is_ok(), "a drawn id is new");
        }
    }

    /// Remembers a change, the columns that changed or the record that is gone, and tells the rules that call somebody.
    pub(super) fn note(
        &mut self,
        operation: Operation,
        (table, sys_id): RecordName<'_>,
        caller: &Caller,
        (columns, gone): (Vec<String>, Option<&Record>),
    ) {
        self.change_sequence = self.change_sequence.saturating_add(1);
        if self.changes.len() >= SIM_CHANGES_MAX {
            self.changes.pop_front();
        }
        let change = Change {
            sequence: self.change_sequence,
            at: caller.now,
            table: table.to_owned(),
            sys_id: sys_id.to_owned(),
            operation,
            by: caller.user_name.clone(),
            columns,
        };
        self.outbound.notice(&change, Origin::Record { gone });
        self.changes.push_back(change);
    }
}

/// One more update, by that user, now.
fn count_update(record: &mut Record, caller: &Caller) {
    let count: u64 = value(record, "sys_mod_count").parse().unwrap_or(0);
    set(record, "sys_mod_count", count.saturating_add(1).to_string());
    set(record, "sys_updated_on", caller.now_text());
    set(record, "sys_updated_by", caller.user_name.as_str());
}
