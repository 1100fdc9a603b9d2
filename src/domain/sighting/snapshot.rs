//! From loose JSON to a sighting: which ticket, and how much of the rest can be believed.
//!
//! Owns: the names scripts use, and what a value must look like. A snapshot that breaks a rule or a bound anywhere is no
//! snapshot: what it says about the ticket is then read from the ticket, and nothing of it is lost. Never: turns a label
//! or a local time into a raw value. Fails: it cannot; [`Ticket`] says what was found.

use std::collections::BTreeMap;

use super::loose::Loose;
use super::{Cell, FileEntry, Form, JournalEntry, Operation, Sighting};
use crate::domain::id::SysId;
use crate::limits::{
    FIELD_NAME_CHARS_MAX, FIELD_VALUE_CHARS_MAX, SIGHTING_ENTRIES_COUNT_MAX, SIGHTING_FIELDS_COUNT_MAX,
    SIGHTING_WORD_CHARS_MAX,
};

/// The names under which scripts send the record's key, in lower case and without punctuation; the first ones first. What
/// is said of the record goes before a bare `sys_id`, which some products give to their subscription.
const SYS_ID_NAMES: [&str; 5] = ["recordsysid", "recordid", "sysid", "ticketid", "id"];
/// And its table.
const TABLE_NAMES: [&str; 5] = ["table", "tablename", "sysclassname", "recordtype", "recordtable"];
/// Everything else that may stand beside them in a hint.
const HEAD_NAMES: [&str; 12] = [
    "event",
    "eventid",
    "number",
    "correlationid",
    "correlationdisplay",
    "operation",
    "sysmodcount",
    "sysupdatedon",
    "actor",
    "instance",
    "instancename",
    "time",
];
/// What makes a snapshot of a hint.
const PARTS: [&str; 3] = ["fields", "journal", "attachments"];

/// Which ticket some JSON is about.
#[derive(Debug)]
pub(super) enum Ticket {
    /// It stands where it belongs.
    Named(SysId),
    /// It stands deeper.
    Inside(SysId),
    /// What stands there is no key.
    Wrong { pointer: String, said: String },
    /// There are several.
    Several,
    /// There is none.
    Absent,
}

/// Finds the ticket.
pub(super) fn ticket_of(json: &Loose<'_>) -> Ticket {
    let Loose::Object(members) = json else { return inside(json) };
    let mut wrong = None;
    for name in SYS_ID_NAMES {
        let mut found: Option<SysId> = None;
        for (key, value) in members.iter().filter(|(key, _)| is_named(key, name)) {
            let Some(said) = scalar(value).map(meant).filter(|said| !said.is_empty()) else { continue };
            match (sys_id(said), &found) {
                (Some(sys_id), Some(other)) if sys_id != *other => return Ticket::Several,
                (Some(sys_id), _) => found = Some(sys_id),
                (None, _) => {
                    wrong.get_or_insert_with(|| (format!("/{key}"), said.to_owned()));
                }
            }
        }
        if let Some(sys_id) = found {
            return Ticket::Named(sys_id);
        }
    }
    match (inside(json), wrong) {
        (Ticket::Absent, Some((pointer, said))) => Ticket::Wrong { pointer, said },
        (ticket, _) => ticket,
    }
}

/// The key of a record inside, such as `{"record": {"sys_id": …}}`: of the outermost level that has any, and only if it
/// is the only one there, because references to people and groups have keys as well.
fn inside(json: &Loose<'_>) -> Ticket {
    let mut level = vec![json];
    while !level.is_empty() {
        let mut found: Option<SysId> = None;
        let mut below = Vec::new();
        for value in level {
            match value {
                Loose::Object(members) => below.extend(members.iter().map(|(_, value)| value)),
                Loose::List(items) => below.extend(items),
                Loose::Null | Loose::Text(_) | Loose::Skipped => {}
            }
            let Some(sys_id) = value.named("sys_id").and_then(scalar).and_then(sys_id) else { continue };
            if found.replace(sys_id.clone()).is_some_and(|other| other != sys_id) {
                return Ticket::Several;
            }
        }
        if let Some(sys_id) = found {
            return Ticket::Inside(sys_id);
        }
        level = below;
    }
    Ticket::Absent
}

/// What an object says about this ticket.
pub(super) fn of(json: &Loose<'_>, sys_id: SysId) -> (Sighting, Form) {
    let Loose::Object(members) = json else { return (Sighting::hint(sys_id), Form::Hint) };
    let parts = PARTS.iter().any(|name| json.named(name).is_some_and(|part| *part != Loose::Null));
    let known = |key: &str| {
        let names = [&SYS_ID_NAMES[..], &TABLE_NAMES, &HEAD_NAMES, &PARTS];
        names.into_iter().flatten().any(|name| is_named(key, name))
    };
    if parts {
        if let Some(whole) = whole(json, sys_id.clone()) {
            return (whole, Form::Snapshot);
        }
    } else if members.iter().all(|(key, _)| known(key)) {
        return (head(json, sys_id), Form::Hint);
    }
    let Sighting { event, table, number, operation, actor, instance, .. } = head(json, sys_id.clone());
    (Sighting { event, table, number, operation, actor, instance, ..Sighting::hint(sys_id) }, Form::Flat)
}

/// Everything but the parts.
fn head(json: &Loose<'_>, sys_id: SysId) -> Sighting {
    let text = |name: &str| json.named(name).and_then(word);
    Sighting {
        event: text("event").or_else(|| text("event_id")),
        table: table(json),
        number: text("number"),
        correlation_id: text("correlation_id"),
        correlation_display: text("correlation_display"),
        operation: text("operation").and_then(|said| operation(&said)),
        version: text("sys_mod_count").and_then(|said| said.parse().ok()),
        updated_on: json.named("sys_updated_on").and_then(moment),
        actor: text("actor"),
        instance: text("instance").or_else(|| text("instance_name")),
        ..Sighting::hint(sys_id)
    }
}

/// A snapshot, if all of it is as it should be.
fn whole(json: &Loose<'_>, sys_id: SysId) -> Option<Sighting> {
    Some(Sighting {
        fields: part(json.named("fields"), fields)?,
        journal: part(json.named("journal"), |list| entries(list, journal_entry))?,
        attachments: part(json.named("attachments"), |list| entries(list, file_entry))?,
        ..head(json, sys_id)
    })
}

/// `None` if the part is wrong; a part that is not there is right.
#[expect(clippy::option_option, reason = "wrong, absent and there are three things")]
fn part<T>(said: Option<&Loose<'_>>, read: impl Fn(&Loose<'_>) -> Option<T>) -> Option<Option<T>> {
    match said {
        None | Some(Loose::Null) => Some(None),
        Some(said) => read(said).map(Some),
    }
}

fn fields(said: &Loose<'_>) -> Option<BTreeMap<String, Cell>> {
    let Loose::Object(members) = said else { return None };
    let mut fields = BTreeMap::new();
    // A name that is no column's names nothing of the ticket.
    for (name, value) in members.iter().filter(|(name, _)| is_column(name)) {
        let cell = cell(value)?;
        fields.entry(name.to_string()).or_insert(cell);
    }
    (fields.len() <= SIGHTING_FIELDS_COUNT_MAX).then_some(fields)
}

fn cell(said: &Loose<'_>) -> Option<Cell> {
    let cell = match said {
        Loose::Null => Cell::default(),
        Loose::Text(text) => Cell { value: meant(text).to_owned(), display: None },
        Loose::Object(_) => {
            let value = optional(said.named("value")?)?;
            let display = said.named("display").or_else(|| said.named("display_value"));
            let display = display.map_or(Some(""), optional)?;
            let display = Some(display).filter(|display| !display.is_empty() && *display != value);
            Cell { value: value.to_owned(), display: display.map(str::to_owned) }
        }
        Loose::List(_) | Loose::Skipped => return None,
    };
    let fits = |text: &str| text.len() <= FIELD_VALUE_CHARS_MAX || text.chars().count() <= FIELD_VALUE_CHARS_MAX;
    (fits(&cell.value) && cell.display.as_deref().is_none_or(fits)).then_some(cell)
}

/// A text that may be empty.
fn optional<'l>(said: &'l Loose<'_>) -> Option<&'l str> {
    match said {
        Loose::Null => Some(""),
        Loose::Text(text) => Some(meant(text)),
        Loose::List(_) | Loose::Object(_) | Loose::Skipped => None,
    }
}

/// Every entry that says something; `None` if one of them is wrong or there are too many.
fn entries<T>(said: &Loose<'_>, read: impl Fn(&Loose<'_>) -> Option<T>) -> Option<Vec<T>> {
    match said {
        Loose::List(items) if items.len() <= SIGHTING_ENTRIES_COUNT_MAX => items.iter().map(read).collect(),
        Loose::List(_) | Loose::Null | Loose::Text(_) | Loose::Object(_) | Loose::Skipped => None,
    }
}

fn journal_entry(said: &Loose<'_>) -> Option<JournalEntry> {
    // What a person wrote is kept to the letter, also if it is the word `null`.
    let value = said.named("value")?.text()?;
    if value.chars().count() > FIELD_VALUE_CHARS_MAX {
        return None;
    }
    Some(JournalEntry {
        sys_id: Some(said.named("sys_id").and_then(scalar).and_then(sys_id)?),
        element: said.named("element").and_then(word)?,
        value: value.to_owned(),
        created_on: said.named("created_on").and_then(moment),
        created_by: said.named("created_by").and_then(word),
    })
}

fn file_entry(said: &Loose<'_>) -> Option<FileEntry> {
    let text = |name: &str| said.named(name).and_then(word);
    Some(FileEntry {
        sys_id: said.named("sys_id").and_then(scalar).and_then(sys_id)?,
        file_name: text("file_name")?,
        content_type: text("content_type"),
        size_bytes: text("size_bytes").and_then(|said| said.parse().ok()),
        hash: text("hash"),
        created_on: said.named("created_on").and_then(moment),
        created_by: text("created_by"),
    })
}

fn table(json: &Loose<'_>) -> Option<String> {
    let Loose::Object(members) = json else { return None };
    let named = |name: &&str| members.iter().find(|(key, _)| is_named(key, name));
    TABLE_NAMES.iter().filter_map(named).find_map(|(_, value)| table_name(scalar(value)?))
}

/// The name of a table; labels such as `Change Request` name none.
pub(super) fn table_name(said: &str) -> Option<String> {
    let name = meant(said).to_ascii_lowercase();
    (is_column(&name) && !name.contains('.')).then_some(name)
}

fn operation(said: &str) -> Option<Operation> {
    match said.to_ascii_lowercase().as_str() {
        "insert" | "inserted" | "create" | "created" => Some(Operation::Insert),
        "update" | "updated" => Some(Operation::Update),
        "delete" | "deleted" => Some(Operation::Delete),
        _ => None,
    }
}

/// A raw time such as `2026-11-22 06:00:00`; the form alone cannot tell local times, so only snapshots are believed.
fn moment(said: &Loose<'_>) -> Option<String> {
    let text = scalar(said)?.trim();
    let shape = "dddd-dd-dd dd:dd:dd";
    let fits = |(byte, shape): (u8, u8)| if shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    (text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)).then(|| text.to_owned())
}

/// A short text that says something.
fn word(said: &Loose<'_>) -> Option<String> {
    let text = meant(scalar(said)?);
    let fits =
        !text.is_empty() && text.chars().count() <= SIGHTING_WORD_CHARS_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// The raw value: of a text itself, of a reference the key.
fn scalar<'l>(said: &'l Loose<'_>) -> Option<&'l str> {
    said.text().or_else(|| said.named("value")?.text())
}

/// Scripts print what is not there as words.
fn meant(text: &str) -> &str {
    match text.trim() {
        "null" | "undefined" | "" => "",
        _ => text,
    }
}

/// A key; tools that print in capitals mean the same one.
fn sys_id(said: &str) -> Option<SysId> {
    SysId::parse(&said.trim().to_ascii_lowercase()).ok()
}

/// `sys_id`, `sysId` and `SYS-ID` are one name.
fn is_named(key: &str, name: &str) -> bool {
    let plain = key.bytes().filter(|byte| !b"_-. ".contains(byte));
    key.len() <= FIELD_NAME_CHARS_MAX && plain.map(|byte| byte.to_ascii_lowercase()).eq(name.bytes())
}

/// A column, or a path of columns.
fn is_column(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    name.len() <= FIELD_NAME_CHARS_MAX
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}
