//! What a mapping makes of a change: the fields and the journal entry to write, what was left out and why, or why a person must look.
//!
//! Owns: the values that go between the mapping and whoever fetches and writes. Never: fetches or writes.
//! Fails: it cannot. Proved by: the tests of `apply`.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

pub use super::raw::Write;
use crate::domain::print::print;

/// What is about to happen to the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It is made.
    Create,
    /// It is there already.
    Update,
}

/// A record that must be found before the mapping can be applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct LookupKey {
    /// The table to look in, such as `sys_user_group`.
    pub table: Arc<str>,
    /// The field that has the value, such as `name`.
    pub by: Arc<str>,
    /// The value.
    pub value: String,
}

impl fmt::Display for LookupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} = `{}`", self.table, self.by, self.value)
    }
}

/// What a lookup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The record's `sys_id`.
    Found(String),
    /// There is none, or not exactly one.
    Missing,
}

/// Everything that was looked up for one change.
#[derive(Clone, Debug, Default)]
pub struct Lookups(Vec<(LookupKey, Lookup)>);

impl Lookups {
    /// Notes what a lookup came to.
    pub fn insert(&mut self, key: LookupKey, lookup: Lookup) {
        self.0.push((key, lookup));
    }

    /// What a lookup came to; `None` if nobody looked.
    pub fn find(&self, table: &str, by: &str, value: &str) -> Option<&Lookup> {
        let is_it = |key: &LookupKey| key.value == value && &*key.table == table && &*key.by == by;
        self.0.iter().find(|(key, _)| is_it(key)).map(|(_, lookup)| lookup)
    }
}

impl Lookups {
    /// Every record as if it had been found; what it stands for is shown in the place of its `sys_id`.
    pub fn as_if_found(keys: Vec<LookupKey>) -> Self {
        let shown = |key: &LookupKey| Lookup::Found(format!("<{} with {} {}>", key.table, key.by, key.value));
        keys.into_iter().map(|key| (key.clone(), shown(&key))).collect()
    }
}

impl FromIterator<(LookupKey, Lookup)> for Lookups {
    fn from_iter<I: IntoIterator<Item = (LookupKey, Lookup)>>(found: I) -> Self {
        Self(found.into_iter().collect())
    }
}

/// A field to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DraftField {
    /// Its database name.
    pub name: Arc<str>,
    /// The raw value.
    pub value: String,
    /// When it is written.
    pub write: Write,
}

impl DraftField {
    /// Whether an update writes it, where this print was the last that we wrote of it. Nothing is ever emptied that we
    /// did not fill.
    pub fn is_due(&self, written: Option<&str>) -> bool {
        match (self.write, written) {
            (Write::Always, _) => true,
            (Write::Create, _) => false,
            (Write::Change, Some(print)) => print != self.hash(),
            (Write::Change, None) => !self.value.is_empty(),
        }
    }

    /// A short print of the value, to see later whether it changed.
    pub fn hash(&self) -> String {
        print(&self.value)
    }
}

/// The two journals of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalField {
    /// Everyone reads it, and the caller gets a mail.
    Comments,
    /// Only those who work on the ticket read it.
    WorkNotes,
}

impl JournalField {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Comments, Self::WorkNotes];

    /// The journal of that database name.
    pub fn known(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|journal| journal.as_str() == name)
    }

    /// Its database name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Comments => "comments",
            Self::WorkNotes => "work_notes",
        }
    }
}

/// Something the mapping left out on purpose; recorded with the delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// What: `message`, `attachment`, `recovery`, or a field.
    pub what: Arc<str>,
    /// Why.
    pub reason: String,
}

/// Why a field has its value, or has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceLine {
    /// The field.
    pub field: Arc<str>,
    /// Its value; `None` if it is not written.
    pub value: Option<String>,
    /// How it came about.
    pub why: String,
}

/// What to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// The fields, in file order.
    pub fields: Vec<DraftField>,
    /// The one journal entry.
    pub journal: Option<(JournalField, String)>,
    /// Whether the change's attachment is to be copied.
    pub attach: bool,
    /// What was left out.
    pub dropped: Vec<Dropped>,
    /// Why each field has its value; only from `explain`.
    pub trace: Vec<TraceLine>,
}

impl Draft {
    /// Whether there is nothing to write at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.journal.is_none() && !self.attach
    }

    /// The value of a field or journal that is written.
    pub fn value(&self, name: &str) -> Option<&str> {
        let journal = self.journal.as_ref().filter(|(field, _)| field.as_str() == name).map(|(_, text)| text.as_str());
        journal.or_else(|| self.fields.iter().find(|field| &*field.name == name).map(|field| field.value.as_str()))
    }
}

/// Why a change cannot be mapped, so that a person must look: every field that has no value, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct MappingFault {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// One field that has no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("field `{field}`: {reason}")]
pub struct Problem {
    /// The field's database name, or `message`.
    pub field: Arc<str>,
    /// Why.
    pub reason: Reason,
}

/// Why a field has no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The event or the ticket does not say it, and the mapping does not say that it may be absent.
    #[error("`{path}` {place}; if it may be absent, say so with `default(…)` or `when:`", path = .0, place = missing_in(.0))]
    Missing(String),
    /// The value table has no row.
    #[error("table `{table}` has no row for `{value}` and no `default`")]
    NoRow {
        /// The value table.
        table: Arc<str>,
        /// The value.
        value: String,
    },
    /// The lookup found nothing.
    #[error("there is no {0}")]
    NotFound(LookupKey),
    /// The lookup was never made.
    #[error("{0} was not looked up")]
    NotLookedUp(LookupKey),
    /// An expression failed.
    #[error("{0}")]
    Failed(String),
    /// The value is unreasonably long.
    #[error("the value has more than {chars_max} characters")]
    TooLong {
        /// The bound.
        chars_max: usize,
    },
}

/// Where a value was looked for.
fn missing_in(path: &str) -> &'static str {
    if path.starts_with("ticket.") { "did not come with the ticket" } else { "is not in the event" }
}
