//! Journals: comments and work notes, append-only, in their own table.
//!
//! Owns: `sys_journal_field` rows and the history text. Never: edits or removes an entry; a retried write appends again.
//! Fails: it cannot. Proved by: `tests` and `tests/sim_clients.rs`.
//! Source: "Retrieving journal entries" (`retrieving-journal-entries.md`) for the columns, facts/servicenow 1.6.

use std::fmt::Write as _;

use super::store::{Record, Store, set, value};
use super::values::View;

/// Hidden column that keeps entries of the same second in order; it is in no dictionary, so nobody can ask for it.
const ORDER: &str = "#order";

/// One entry, as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// `comments` (the customer sees it) or `work_notes` (private).
    pub element: String,
    /// The text as written.
    pub text: String,
    /// The user name of the author.
    pub by: String,
    /// When, raw UTC text.
    pub at: String,
    /// The `sys_id` of the row in `sys_journal_field`.
    pub sys_id: String,
}

/// A new row for an entry; `order` grows with every entry of the instance.
pub(super) fn row(entry: &JournalEntry, table: &str, element_id: &str, order: u64) -> Record {
    let mut row = Record::new();
    for (column, text) in [
        ("sys_id", entry.sys_id.as_str()),
        ("element_id", element_id),
        ("element", &entry.element),
        ("name", table),
        ("value", &entry.text),
        ("sys_created_by", &entry.by),
        ("sys_created_on", &entry.at),
        ("sys_updated_by", &entry.by),
        ("sys_updated_on", &entry.at),
    ] {
        set(&mut row, column, text);
    }
    set(&mut row, "sys_mod_count", "0");
    set(&mut row, ORDER, format!("{order:020}"));
    row
}

/// The entries of one record, oldest first.
pub(super) fn entries(store: &Store, element_id: &str) -> Vec<JournalEntry> {
    let ids = store.indexed("sys_journal_field", "element_id", element_id).unwrap_or_default();
    let mut rows: Vec<&Record> = ids.iter().filter_map(|id| store.row("sys_journal_field", id)).collect();
    rows.sort_by_key(|row| value(row, ORDER));
    let entry = |row: &&Record| JournalEntry {
        element: value(row, "element").to_owned(),
        text: value(row, "value").to_owned(),
        by: value(row, "sys_created_by").to_owned(),
        at: value(row, "sys_created_on").to_owned(),
        sys_id: value(row, "sys_id").to_owned(),
    };
    rows.iter().map(entry).collect()
}

/// The display value of a journal column: the whole history, newest first, times in the reader's zone, authors by name.
pub(super) fn history(view: View<'_>, element_id: &str, elements: &[&str]) -> String {
    let mut text = String::new();
    for entry in entries(view.store, element_id).iter().rev().filter(|entry| elements.contains(&entry.element.as_str()))
    {
        let at = view.format.show(&entry.at, view.zone_minutes).unwrap_or_default();
        let label = if entry.element == "comments" { "Additional comments" } else { "Work notes" };
        let author = view.store.indexed("sys_user", "user_name", &entry.by).unwrap_or_default();
        let author = author.first().map_or(entry.by.as_str(), |id| view.name_of("sys_user", id));
        // Writing to a string cannot fail.
        if write!(text, "{at} - {author} ({label})\n{}\n\n", entry.text).is_err() {
            return text;
        }
    }
    text
}
