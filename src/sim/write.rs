//! What becomes of the values of a write: kept, changed, cut, or silently ignored.
//!
//! Owns: the rules for one column at a time. Never: refuses; everything a column cannot hold vanishes without an error,
//! which is the platform's most expensive habit. Rules over several columns are in `rules`.
//! Fails: it cannot. Proved by: `tests`, `values_that_do_not_fit_vanish_without_an_error` and its neighbours.
//! Source: facts/servicenow 1.5 ("Table API" reference; KB0534905; `PySNC` `test_snc_api_write.py`).

use serde_json::{Map, Value};

use super::dates;
use super::dictionary::{Column, Kind, Table};
use super::switches::UnresolvedReference;
use super::values::View;

/// The effective part of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Column and text to store.
    pub(super) values: Vec<(String, String)>,
    /// Journal column and text to append.
    pub(super) journal: Vec<(String, String)>,
}

/// Sorts a body into what will be stored and what will be appended; the rest is ignored.
pub(super) fn wanted(view: View<'_>, table: &Table, body: &Map<String, Value>, input_display: bool) -> Wanted {
    let mut wanted = Wanted::default();
    for (name, sent) in body {
        // Unknown names are ignored (PySNC `test_crud` inserts `bunk_field` and expects success).
        let Some(column) = table.column(name) else { continue };
        let withheld = view.switches.unwritable_columns.contains(&format!("{}.{name}", table.name));
        let Some(text) = text_of(sent).filter(|_| !column.read_only && !withheld) else { continue };
        if column.kind == Kind::Journal {
            if !text.trim().is_empty() {
                wanted.journal.push((name.clone(), cut(&text, column.max_length)));
            }
        } else if let Some(kept) = kept(view, column, &text, input_display) {
            wanted.values.push((name.clone(), kept));
        }
    }
    wanted
}

/// JSON scalars are text; an object is one of our own answers sent back (`{"value":…}`); a list is ignored.
fn text_of(sent: &Value) -> Option<String> {
    match sent {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null => Some(String::new()),
        Value::Object(shape) => shape.get("value").and_then(Value::as_str).map(str::to_owned),
        Value::Array(_) => None,
    }
}

/// The text a column keeps, or `None` when it keeps what it had.
fn kept(view: View<'_>, column: &Column, text: &str, input_display: bool) -> Option<String> {
    match &column.kind {
        // Addresses and ids, comma-separated; cut like any text (KB0622075 on names that contain commas).
        Kind::Text | Kind::List => Some(cut(text, column.max_length)),
        // A word written to a number column reports success and stores nothing.
        Kind::Integer => (text.is_empty() || text.parse::<i64>().is_ok()).then(|| text.to_owned()),
        Kind::Boolean => boolean(text),
        Kind::DateTime => moment(view, text, input_display),
        Kind::Choice => choice(view, column, text, input_display),
        Kind::Reference(target) => Some(reference(view, target, text, input_display)),
        Kind::Journal | Kind::JournalView => None,
    }
}

fn cut(text: &str, max_length: usize) -> String {
    text.chars().take(max_length).collect()
}

fn boolean(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some("true".to_owned()),
        "false" | "0" | "" => Some("false".to_owned()),
        _ => None,
    }
}

/// Raw input is UTC, display input is in the caller's zone (KB0534905 Q2). Real systems may also store a wrong value for
/// text that does not parse; we ignore it.
fn moment(view: View<'_>, text: &str, input_display: bool) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    if input_display { view.format.read(text, view.zone_minutes) } else { dates::shift(text, 0) }
}

/// Choice columns cannot be cleared (KB0534905 Q16) unless "none" is one of their choices.
fn choice(view: View<'_>, column: &Column, text: &str, input_display: bool) -> Option<String> {
    let known = if input_display { column.choice_meant(text) } else { Some(text).filter(|text| column.takes(text)) };
    let stored = view.switches.unknown_choices_stored && !text.is_empty();
    known.map(str::to_owned).or_else(|| stored.then(|| cut(text, column.max_length)))
}

fn reference(view: View<'_>, target: &str, text: &str, input_display: bool) -> String {
    let resolves = input_display || view.switches.names_resolved_in_raw_mode;
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.is_empty() || is_id || !resolves {
        return text.to_owned();
    }
    match (view.id_of(target, text), view.switches.unresolved_reference) {
        (Some(id), UnresolvedReference::StoreRaw | UnresolvedReference::LeaveEmpty) => id.to_owned(),
        (None, UnresolvedReference::StoreRaw) => text.to_owned(),
        (None, UnresolvedReference::LeaveEmpty) => String::new(),
    }
}
