//! Bodies of outbound calls, the careful one and the three careless ones.
//!
//! Owns: their shapes. Never: decides when one is sent. Fails: it cannot.
//! Proved by: `tests/outbound`. Source: facts/servicenow 7.5; facts/servicenow-app 4 for the snapshot and its escapes.

use serde_json::{Map, Value, json};

use super::super::dictionary::{Kind, Table};
use super::super::instance::Operation;
use super::super::journal;
use super::super::random::sys_id_of;
use super::super::store::{Record, value};
use super::super::values::View;
use super::rule::{Payload, WebhookRule};
use crate::limits::SIM_SNAPSHOT_JOURNAL_MAX;

/// The fields of a snapshot whose rule names none: a fixed list, because scripts in rules see past access control.
const FIELDS: &[&str] = &[
    "short_description",
    "description",
    "state",
    "hold_reason",
    "active",
    "impact",
    "urgency",
    "priority",
    "severity",
    "category",
    "subcategory",
    "contact_type",
    "caller_id",
    "opened_by",
    "assigned_to",
    "assignment_group",
    "cmdb_ci",
    "location",
    "company",
    "parent_incident",
    "correlation_display",
    "close_code",
    "close_notes",
    "opened_at",
    "resolved_at",
    "resolved_by",
    "closed_at",
    "closed_by",
    "reopen_count",
    "reassignment_count",
];

/// What a body says besides the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occasion<'o> {
    pub(super) event: &'o str,
    pub(super) operation: Operation,
    pub(super) actor: &'o str,
    /// The columns whose change fired the rule.
    pub(super) columns: &'o [String],
}

/// Body, `Content-Type` and `User-Agent`.
pub(super) fn write(
    rule: &WebhookRule,
    occasion: Occasion<'_>,
    view: View<'_>,
    table: &Table,
    record: &Record,
) -> (Vec<u8>, &'static str, &'static str) {
    const JSON: &str = "application/json";
    match rule.payload {
        Payload::Snapshot => {
            let body = snapshot(rule, occasion, view, table, record).to_string();
            (ascii(&body).into_bytes(), JSON, "ServiceNow/1.0")
        }
        Payload::Hint => {
            let body = json!({"table": table.name, "sys_id": value(record, "sys_id")});
            (body.to_string().into_bytes(), JSON, "ServiceNow/1.0")
        }
        Payload::Flat => (flat(rule, occasion, view, table, record).to_string().into_bytes(), JSON, "ServiceNow"),
        // The admin forgot the content type too (facts/servicenow 7.2).
        Payload::BadEscaping => {
            (pasted(view, table, record).into_bytes(), "text/plain;charset=UTF-8", "ServiceNow/1.0")
        }
    }
}

/// The word for an operation, `current.operation()`.
pub(super) const fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

fn snapshot(rule: &WebhookRule, occasion: Occasion<'_>, view: View<'_>, table: &Table, record: &Record) -> Value {
    let sys_id = value(record, "sys_id");
    let usual = || FIELDS.iter().map(|field| (*field).to_owned()).collect();
    let names: Vec<String> = if rule.fields.is_empty() { usual() } else { rule.fields.clone() };
    let fields: Map<String, Value> = names
        .into_iter()
        .filter_map(|name| {
            let column = table.column(&name)?;
            let raw = value(record, &name);
            let shown = match column.kind {
                Kind::Reference(target) => json!({"value": raw, "display": view.name_of(target, raw)}),
                Kind::Text
                | Kind::Integer
                | Kind::Boolean
                | Kind::DateTime
                | Kind::Choice
                | Kind::List
                | Kind::Journal
                | Kind::JournalView => json!(raw),
            };
            Some((name, shown))
        })
        .collect();
    json!({
        "event": occasion.event, "table": table.name, "sys_id": sys_id, "number": value(record, "number"),
        "correlation_id": value(record, "correlation_id"), "operation": word(occasion.operation),
        "sys_mod_count": value(record, "sys_mod_count"), "sys_updated_on": value(record, "sys_updated_on"),
        "actor": occasion.actor, "instance": rule.instance_name, "fields": fields,
        "journal": newest_entries(view, sys_id), "attachments": attachments(view, sys_id),
    })
}

/// Newest first.
fn newest_entries(view: View<'_>, sys_id: &str) -> Vec<Value> {
    let entries = journal::entries(view.store, sys_id);
    let newest = entries.iter().rev().take(SIM_SNAPSHOT_JOURNAL_MAX);
    newest
        .map(|entry| {
            json!({
                "sys_id": entry.sys_id, "element": entry.element, "value": entry.text,
                "created_on": entry.at, "created_by": entry.by,
            })
        })
        .collect()
}

fn attachments(view: View<'_>, sys_id: &str) -> Vec<Value> {
    let ids = view.store.indexed("sys_attachment", "table_sys_id", sys_id).unwrap_or_default();
    let mut rows: Vec<&Record> = ids.iter().filter_map(|id| view.store.row("sys_attachment", id)).collect();
    rows.sort_by_key(|row| value(row, "sys_created_on"));
    let shown = |row: &&Record| {
        json!({
            "sys_id": value(row, "sys_id"), "file_name": value(row, "file_name"),
            "content_type": value(row, "content_type"), "size_bytes": value(row, "size_bytes"),
            "hash": value(row, "hash"), "created_on": value(row, "sys_created_on"),
            "created_by": value(row, "sys_created_by"),
        })
    };
    rows.iter().map(shown).collect()
}

/// Display values under raw names, and the first changed column as the event. `sys_id` names the subscription there, which
/// is the trap of that form.
fn flat(rule: &WebhookRule, occasion: Occasion<'_>, view: View<'_>, table: &Table, record: &Record) -> Value {
    let shown = |name: &str| {
        let raw = value(record, name);
        match table.column(name).map(|column| (&column.kind, column)) {
            Some((Kind::Reference(target), _)) => view.name_of(target, raw).to_owned(),
            Some((_, column)) => column.label_of(raw).unwrap_or(raw).to_owned(),
            None => String::new(),
        }
    };
    let sys_id = value(record, "sys_id");
    let occurred = match occasion.operation {
        Operation::Insert => "created",
        Operation::Update => occasion.columns.first().map_or("updated", String::as_str),
        Operation::Delete => "deleted",
    };
    json!({
        "sys_id": sys_id_of(&rule.url), "record_id": sys_id, "number": value(record, "number"),
        "short_description": value(record, "short_description"), "state": shown("state"),
        "priority": shown("priority"), "assigned_to": shown("assigned_to"),
        "assignment_group": shown("assignment_group"), "record_type": table.name,
        "record_type_name": capitalised(&table.name), "event_occurred": occurred,
    })
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A template with `${…NoEscape}`: whatever people typed stands there as they typed it.
fn pasted(view: View<'_>, table: &Table, record: &Record) -> String {
    let sys_id = value(record, "sys_id");
    let entries = journal::entries(view.store, sys_id);
    let comment = entries.iter().rev().find(|entry| entry.element == "comments").map_or("", |entry| &entry.text);
    format!(
        "{{\"table\":\"{}\",\"sys_id\":\"{sys_id}\",\"number\":\"{}\",\"state\":\"{}\",\"short_description\":\"{}\",\"description\":\"{}\",\"comments\":\"{comment}\"}}",
        table.name,
        value(record, "number"),
        value(record, "state"),
        value(record, "short_description"),
        value(record, "description"),
    )
}

/// Everything outside visible ASCII as `\uXXXX`, and `$` too: then no charset and no `${…}` substitution can change the
/// signed bytes (facts/servicenow-app 4). In JSON such characters stand in strings only.
pub(in crate::sim) fn ascii(json: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if matches!(letter, ' '..='~') && letter != '$' {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let written = write!(escaped, "\\u{unit:04x}");
            debug_assert!(written.is_ok(), "a string takes what is written");
        }
    }
    escaped
}
