//! How stored text is shown: the value shapes of the Table API.
//!
//! Owns: raw, display and both, links of references, dot-walks. Never: changes a record or checks a right to a row.
//! Fails: an unknown or unreadable column is `None` and is left out of the answer, without an error.
//! Proved by: `tests`, `references_are_shown_in_the_documented_shapes`, and `tests/sim_clients.rs`. Source: "Table API" reference, samples (facts/servicenow 1.4);
//! the shapes `all` with link and the empty forms have no public source and follow what every client reads.

use serde_json::{Map, Value, json};

use super::dates;
use super::dictionary::{Column, Dictionary, Kind, Table};
use super::journal;
use super::params::{Display, Params};
use super::store::{Record, Store, value};
use super::switches::Switches;
use crate::limits::SIM_DOT_WALK_STEPS_MAX;

/// Everything that showing a value needs, borrowed from the instance.
#[derive(Clone, Copy)]
pub(super) struct View<'i> {
    pub(super) store: &'i Store,
    pub(super) dictionary: &'i Dictionary,
    pub(super) switches: &'i Switches,
    /// The instance's own URL: links use it, whatever host was asked (`glide.rest.replace_request_host_with_property`).
    pub(super) base_url: &'i str,
    /// The reader's zone, minutes east of UTC.
    pub(super) zone_minutes: i64,
    /// How the reader writes date-times.
    pub(super) format: &'i dates::Format,
}

impl<'i> View<'i> {
    /// Whether a path leads to a column that may be read.
    pub(super) fn knows(self, table: &Table, path: &str) -> bool {
        path.split('.').count() <= SIM_DOT_WALK_STEPS_MAX
            && self.dictionary.walk(table, path).is_some()
            && !self.switches.unreadable_columns.contains(&format!("{}.{path}", table.name))
    }

    /// The stored text at the end of a path, empty if the path breaks off.
    pub(super) fn text(self, table: &'i Table, record: &'i Record, path: &str) -> &'i str {
        self.end_of(table, record, path).map_or("", |(_, record, column)| match column.kind {
            // Journals live in their own table; the column itself holds nothing.
            Kind::Journal | Kind::JournalView => "",
            Kind::Text
            | Kind::Integer
            | Kind::Boolean
            | Kind::DateTime
            | Kind::Choice
            | Kind::Reference(_)
            | Kind::List => value(record, &column.name),
        })
    }

    /// The table, record and column where a dot-walked path ends.
    fn end_of(self, table: &'i Table, record: &'i Record, path: &str) -> Option<(&'i Table, &'i Record, &'i Column)> {
        let Some((first, rest)) = path.split_once('.') else {
            return table.column(path).map(|column| (table, record, column));
        };
        let (target, sys_id) = (self.target(table.column(first)?)?, value(record, first));
        self.end_of(target, self.store.row(&target.name, sys_id)?, rest)
    }

    fn target(self, column: &Column) -> Option<&'i Table> {
        if let Kind::Reference(target) = column.kind { self.dictionary.table(target) } else { None }
    }

    /// A whole record, or the fields asked for.
    pub(super) fn record(self, table: &'i Table, record: &'i Record, params: &Params) -> Value {
        let every = || table.columns.iter().map(|column| column.name.clone()).collect();
        let paths = params.fields.clone().unwrap_or_else(every);
        let mut shown = Map::with_capacity(paths.len());
        for path in paths {
            if let Some(value) = self.field(table, record, &path, params) {
                shown.insert(path, value);
            }
        }
        Value::Object(shown)
    }

    fn field(self, table: &'i Table, record: &'i Record, path: &str, params: &Params) -> Option<Value> {
        if !self.knows(table, path) {
            return None;
        }
        let Some((table, record, column)) = self.end_of(table, record, path) else {
            // The walk met an empty reference.
            return Some(if params.display == Display::Both {
                json!({"display_value": "", "value": ""})
            } else {
                json!("")
            });
        };
        let raw = self.text(table, record, &column.name);
        let link = self.target(column).filter(|_| !params.exclude_link && !raw.is_empty());
        let link = link.map(|target| {
            // Types and tables are referenced by name; their links ask for it.
            let by_name = if named(&target.name, raw) { "?name=" } else { "/" };
            format!("{}/api/now/table/{}{by_name}{raw}", self.base_url, target.name)
        });
        let shown = || self.shown(record, column, raw);
        Some(match (params.display, link) {
            (Display::Raw, None) => json!(raw),
            (Display::Raw, Some(link)) => json!({"link": link, "value": raw}),
            (Display::Shown, None) => json!(shown()),
            (Display::Shown, Some(link)) => json!({"display_value": shown(), "link": link}),
            (Display::Both, None) => json!({"display_value": shown(), "value": raw}),
            (Display::Both, Some(link)) => json!({"display_value": shown(), "value": raw, "link": link}),
        })
    }

    /// The display value of a column.
    fn shown(self, record: &'i Record, column: &Column, raw: &str) -> String {
        match &column.kind {
            Kind::Text | Kind::Integer | Kind::Boolean => raw.to_owned(),
            Kind::DateTime => self.format.show(raw, self.zone_minutes).unwrap_or_else(|| raw.to_owned()),
            Kind::Choice => column.label_of(raw).unwrap_or(raw).to_owned(),
            Kind::Reference(target) => self.name_of(target, raw).to_owned(),
            Kind::List => {
                let names = raw.split(',').map(|item| match self.name_of("sys_user", item) {
                    "" => item,
                    name => name,
                });
                names.collect::<Vec<_>>().join(", ")
            }
            Kind::Journal => journal::history(self, value(record, "sys_id"), &[column.name.as_str()]),
            Kind::JournalView => journal::history(self, value(record, "sys_id"), &["comments", "work_notes"]),
        }
    }

    /// The display value of a record; empty when the reference dangles.
    pub(super) fn name_of(self, table: &str, sys_id: &str) -> &'i str {
        if sys_id == "global" {
            return "global";
        }
        let row = if named(table, sys_id) {
            let ids = self.store.indexed(table, "name", sys_id).unwrap_or_default();
            ids.first().and_then(|id| self.store.row(table, id))
        } else {
            self.store.row(table, sys_id)
        };
        row.zip(self.dictionary.table(table)).map_or("", |(record, table)| value(record, table.display))
    }

    /// The id of the record whose display value is `name`; of two John Smiths the platform picks one, so do we.
    pub(super) fn id_of(self, table: &str, name: &str) -> Option<&'i str> {
        let display = self.dictionary.table(table)?.display;
        if let Some(ids) = self.store.indexed(table, display, name) {
            return ids.first().copied();
        }
        let mut named = self.store.rows(table).filter(|(_, record)| value(record, display).eq_ignore_ascii_case(name));
        named.next().map(|(id, _)| id.as_str())
    }
}

/// Whether a reference to one of these tables holds a name, as those of `sys_dictionary` do, and not an id.
fn named(table: &str, text: &str) -> bool {
    ["sys_glide_object", "sys_db_object"].contains(&table) && text.len() != 32
}
