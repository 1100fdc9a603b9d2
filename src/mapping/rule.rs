//! One ticket field: where its value comes from, and the way from an event to the text that is written.
//!
//! Owns: the order of the steps (`when`, value, table, `max`, lookup) and what absence means at each.
//! Never: fetches a lookup; it only asks what was found. Fails: with a [`Reason`]. Proved by: the tests of `apply`.

use std::borrow::Cow;
use std::sync::Arc;

use super::draft::{JournalField, Lookup, LookupKey, Lookups, Reason, Write};
use super::expression::Trouble;
use super::template::Template;
use crate::domain::wire::Record;
use crate::limits::FIELD_VALUE_CHARS_MAX;

/// A value table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: Arc<str>,
    pub(crate) rows: Box<[(Box<str>, Box<str>)]>,
    pub(crate) default: Option<Box<str>>,
}

impl Table {
    /// The row of a value, or the row for everything else.
    pub(crate) fn row(&self, value: &str) -> Option<&str> {
        let own = self.rows.iter().find(|(key, _)| **key == *value).map(|(_, row)| &**row);
        own.or(self.default.as_deref())
    }
}

/// What to do when a lookup finds nothing.
#[derive(Debug)]
pub(crate) enum Missing {
    Park,
    Skip,
    Use(Template),
}

/// Finds a record by a field of it.
#[derive(Debug)]
pub(crate) struct LookupRule {
    pub(crate) table: Arc<str>,
    pub(crate) by: Arc<str>,
    pub(crate) missing: Missing,
}

impl LookupRule {
    fn key(&self, value: &str) -> LookupKey {
        LookupKey { table: Arc::clone(&self.table), by: Arc::clone(&self.by), value: value.to_owned() }
    }

    /// What was found for a value, or what the mapping says for nothing.
    fn follow(&self, value: &str, given: Given<'_>, why: &mut Why<'_>) -> Result<Step<String>, Reason> {
        let nothing = value.is_empty().then_some(&Lookup::Missing);
        match (nothing.or_else(|| given.lookups.find(&self.table, &self.by, value)), &self.missing) {
            (None, _) => Err(Reason::NotLookedUp(self.key(value))),
            (Some(Lookup::Found(sys_id)), _) => {
                note(why, || format!("{} is {sys_id}", self.key(value)));
                Ok(Step::Value(sys_id.clone()))
            }
            (Some(Lookup::Missing), Missing::Park) => Err(Reason::NotFound(self.key(value))),
            (Some(Lookup::Missing), Missing::Skip) => Ok(Step::Skip(Skipped::NotFound(self.key(value)))),
            (Some(Lookup::Missing), Missing::Use(other)) => {
                note(why, || format!("there is no {}, so the other value is used", self.key(value)));
                let other = other.text(given.scope)?;
                Ok(other.map_or(Step::Skip(Skipped::Absent), |text| Step::Value(text.into_owned())))
            }
        }
    }
}

/// What a rule is given: the event, and what was looked up for it.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) scope: &'a dyn Record,
    pub(crate) lookups: &'a Lookups,
}

/// One ticket field.
#[derive(Debug)]
pub(crate) struct FieldRule {
    pub(crate) name: Arc<str>,
    /// The value as written in the file, for traces.
    pub(crate) written: Box<str>,
    pub(crate) value: Template,
    pub(crate) table: Option<Arc<Table>>,
    pub(crate) lookup: Option<LookupRule>,
    pub(crate) when: Option<Template>,
    pub(crate) write: Write,
    pub(crate) chars_max: Option<usize>,
}

/// A value on its way, or the reason why the field is not written.
#[derive(Debug)]
pub(crate) enum Step<T> {
    Value(T),
    Skip(Skipped),
}

/// Why a field is not written although nothing is wrong.
#[derive(Debug)]
pub(crate) enum Skipped {
    /// Its `when` does not hold.
    When,
    /// There is no value, and the mapping says that there may be none.
    Absent,
    /// The lookup found nothing, and the mapping says to leave the field out then.
    NotFound(LookupKey),
}

/// Notes for people; does nothing when nobody asked.
pub(crate) type Why<'w> = Option<&'w mut Vec<String>>;

fn note(why: &mut Why<'_>, text: impl FnOnce() -> String) {
    if let Some(why) = why {
        why.push(text());
    }
}

impl From<Trouble> for Reason {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Missing(path) => Self::Missing(path),
            Trouble::Failed(why) => Self::Failed(why),
        }
    }
}

impl FieldRule {
    /// The journal it adds an entry to with every change of its kind. One that is written at creation alone is a column
    /// like any other.
    pub(crate) fn note(&self) -> Option<JournalField> {
        JournalField::known(&self.name).filter(|_| self.write != Write::Create)
    }

    /// The lookup this field needs, if it gets that far.
    pub(crate) fn lookup_key(&self, scope: &dyn Record) -> Option<LookupKey> {
        let lookup = self.lookup.as_ref()?;
        match self.mapped(scope, &mut None) {
            Ok(Step::Value(value)) if !value.is_empty() => Some(lookup.key(&value)),
            Ok(Step::Value(_) | Step::Skip(_)) | Err(_) => None,
        }
    }

    /// The text to write.
    pub(crate) fn evaluate(&self, given: Given<'_>, why: &mut Why<'_>) -> Result<Step<String>, Reason> {
        let value = match self.mapped(given.scope, why)? {
            Step::Value(value) => value,
            Step::Skip(skipped) => return Ok(Step::Skip(skipped)),
        };
        if let Some(lookup) = &self.lookup {
            return lookup.follow(&value, given, why);
        }
        // Bytes are at least as many as characters, so most values need no counting.
        if value.len() > FIELD_VALUE_CHARS_MAX && value.chars().count() > FIELD_VALUE_CHARS_MAX {
            return Err(Reason::TooLong { chars_max: FIELD_VALUE_CHARS_MAX });
        }
        Ok(Step::Value(value.into_owned()))
    }

    /// `when`, value, table and `max`: everything that needs no lookup.
    fn mapped<'a>(&'a self, scope: &'a dyn Record, why: &mut Why<'_>) -> Result<Step<Cow<'a, str>>, Reason> {
        if let Some(when) = &self.when
            && !when.holds(scope)?
        {
            return Ok(Step::Skip(Skipped::When));
        }
        note(why, || format!("`{}`", self.written));
        let text = match self.value.text(scope) {
            Ok(text) => text,
            Err(Trouble::Missing(path)) => {
                if !self.may_be_absent() {
                    return Err(Reason::Missing(path));
                }
                note(why, || format!("`{path}` is not in the event"));
                None
            }
            Err(failed @ Trouble::Failed(_)) => return Err(failed.into()),
        };
        let Some(text) = self.through_table(text, why)? else { return Ok(Step::Skip(Skipped::Absent)) };
        Ok(Step::Value(self.cut(text, why)))
    }

    /// Whether absence was thought of: a row for everything else, a condition, or a lookup that need not find anything.
    fn may_be_absent(&self) -> bool {
        let default_row = self.table.as_ref().is_some_and(|table| table.default.is_some());
        let need_not_find = self.lookup.as_ref().is_some_and(|lookup| !matches!(lookup.missing, Missing::Park));
        default_row || need_not_find || self.when.is_some()
    }

    fn through_table<'a>(
        &'a self,
        text: Option<Cow<'a, str>>,
        why: &mut Why<'_>,
    ) -> Result<Option<Cow<'a, str>>, Reason> {
        let Some(table) = &self.table else {
            // A lookup for nothing finds nothing, and may have a value for that.
            let nothing = self.lookup.as_ref().filter(|lookup| matches!(lookup.missing, Missing::Use(_)));
            return Ok(text.or_else(|| nothing.map(|_| Cow::Borrowed(""))));
        };
        let row = match &text {
            Some(text) => table.row(text),
            None => table.default.as_deref(),
        };
        match (row, text) {
            (Some(row), text) => {
                note(why, || match &text {
                    Some(text) => format!("table `{}`: `{text}` is `{row}`", table.name),
                    None => format!("table `{}`: everything else is `{row}`", table.name),
                });
                Ok(Some(Cow::Borrowed(row)))
            }
            (None, None) => Ok(None),
            (None, Some(text)) => Err(Reason::NoRow { table: Arc::clone(&table.name), value: text.into_owned() }),
        }
    }

    fn cut<'a>(&self, text: Cow<'a, str>, why: &mut Why<'_>) -> Cow<'a, str> {
        let Some(chars_max) = self.chars_max.filter(|chars_max| text.len() > *chars_max) else { return text };
        let Some((end, _)) = text.char_indices().nth(chars_max) else { return text };
        note(why, || format!("cut to {chars_max} of {} characters", text.chars().count()));
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or(text)),
            Cow::Owned(mut text) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        }
    }
}
