//! The database under the instance: records as text, with the few indexes that keep look-ups short.
//!
//! Owns: rows and their indexes, which never disagree. Never: checks values or permissions.
//! Fails: inserting an id that exists is an error value; nothing else can fail. Proved by: the tests below.

use std::collections::{BTreeMap, BTreeSet};

use super::dictionary::Dictionary;

/// Column to text. A column that is empty is absent: most of the seventy columns of an incident are.
pub(super) type Record = BTreeMap<String, String>;

/// The value of a column, empty if it is absent.
pub(super) fn value<'r>(record: &'r Record, column: &str) -> &'r str {
    record.get(column).map_or("", String::as_str)
}

/// Sets a column; the empty string removes it.
pub(super) fn set(record: &mut Record, column: &str, value: impl Into<String>) {
    let value = value.into();
    if value.is_empty() {
        record.remove(column);
    } else {
        record.insert(column.to_owned(), value);
    }
}

/// The row exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duplicate;

#[derive(Clone, Debug, Default)]
struct Rows {
    by_id: BTreeMap<String, Record>,
    indexed: &'static [&'static str],
    index: BTreeMap<(&'static str, String), BTreeSet<String>>,
}

impl Rows {
    fn index_of(&mut self, sys_id: &str, record: &Record, add: bool) {
        for column in self.indexed {
            let key = (*column, value(record, column).to_lowercase());
            let ids = self.index.entry(key.clone()).or_default();
            if add {
                ids.insert(sys_id.to_owned());
            } else {
                ids.remove(sys_id);
            }
            if ids.is_empty() {
                self.index.remove(&key);
            }
        }
    }
}

/// All rows of all tables.
#[derive(Clone, Debug)]
pub(super) struct Store(BTreeMap<String, Rows>);

impl Store {
    /// Empty tables, one per table of the dictionary.
    pub(super) fn empty(dictionary: &Dictionary) -> Self {
        let rows =
            dictionary.tables().map(|table| (table.name.clone(), Rows { indexed: table.indexed, ..Rows::default() }));
        Self(rows.collect())
    }

    pub(super) fn row(&self, table: &str, sys_id: &str) -> Option<&Record> {
        self.0.get(table)?.by_id.get(sys_id)
    }

    /// All rows in the order of their ids: an order, but one that means nothing, like an unordered list on the platform.
    pub(super) fn rows<'s>(&'s self, table: &str) -> impl Iterator<Item = (&'s String, &'s Record)> + use<'s> {
        self.0.get(table).into_iter().flat_map(|rows| rows.by_id.iter())
    }

    /// The ids with that value in an indexed column, ignoring case; `None` if the column has no index.
    pub(super) fn indexed(&self, table: &str, column: &str, value: &str) -> Option<Vec<&str>> {
        let rows = self.0.get(table)?;
        if column == "sys_id" {
            return Some(rows.by_id.get_key_value(value).map(|(id, _)| id.as_str()).into_iter().collect());
        }
        let column = rows.indexed.iter().find(|indexed| **indexed == column)?;
        let ids = rows.index.get(&(*column, value.to_lowercase()));
        Some(ids.into_iter().flatten().map(String::as_str).collect())
    }

    pub(super) fn insert(&mut self, table: &str, record: Record) -> Result<(), Duplicate> {
        let Some(rows) = self.0.get_mut(table) else { return Ok(()) };
        let sys_id = value(&record, "sys_id").to_owned();
        if rows.by_id.contains_key(&sys_id) {
            return Err(Duplicate);
        }
        rows.index_of(&sys_id, &record, true);
        rows.by_id.insert(sys_id, record);
        Ok(())
    }

    /// Puts a changed row in the place of the old one.
    pub(super) fn replace(&mut self, table: &str, record: Record) {
        let sys_id = value(&record, "sys_id").to_owned();
        self.remove(table, &sys_id);
        // Just removed, so it cannot be a duplicate.
        if self.insert(table, record).is_err() {
            debug_assert!(false, "a removed row is gone");
        }
    }

    /// Removes every row of a table.
    pub(super) fn clear(&mut self, table: &str) {
        if let Some(rows) = self.0.get_mut(table) {
            rows.by_id.clear();
            rows.index.clear();
        }
    }

    pub(super) fn remove(&mut self, table: &str, sys_id: &str) -> Option<Record> {
        let rows = self.0.get_mut(table)?;
        let record = rows.by_id.remove(sys_id)?;
        rows.index_of(sys_id, &record, false);
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sys_id: &str, correlation_id: &str) -> Record {
        let pairs = [("sys_id", sys_id), ("correlation_id", correlation_id)];
        pairs.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned())).collect()
    }

    fn check(store: &Store, correlation_id: &str, ids: &[&str]) {
        let found = store.indexed("incident", "correlation_id", correlation_id);
        assert_eq!(found.as_deref(), Some(ids), "{correlation_id}");
    }

    #[test]
    fn indexes_follow_every_change() {
        let mut store = Store::empty(&Dictionary::base(false));
        assert_eq!(store.insert("incident", record("a", "X-1")), Ok(()));
        assert_eq!(store.insert("incident", record("b", "x-1")), Ok(()));
        assert_eq!(store.insert("incident", record("a", "other")), Err(Duplicate));
        check(&store, "x-1", &["a", "b"]);
        store.replace("incident", record("a", "y"));
        check(&store, "X-1", &["b"]);
        check(&store, "y", &["a"]);
        store.remove("incident", "b");
        check(&store, "x-1", &[]);
        assert_eq!(store.indexed("incident", "description", "x"), None, "no index: scan");
    }
}
