//! The fields of an event: from a place in the payload to the value its field holds.
//!
//! Owns: the steps (`when`, value, table, `max`), the form of each sort of field, what an entry of a list is, and lengths: a tool's text is
//! cut to what an incident holds, because one long log line is no reason to lose an alert. Never: refuses a word.
//! Fails: with a [`Reason`] per field. Proved by: the tests of `source`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::read::{Problems, elements};
use super::scope::{Place, Scope};
use crate::domain::wire::Shape;
use crate::limits::{
    INCIDENT_AFFECTED_COUNT_MAX, INCIDENT_LABELS_COUNT_MAX, INCIDENT_NAME_CHARS_MAX, INCIDENT_TEXT_CHARS_MAX,
    INCIDENT_TITLE_CHARS_MAX,
};
use crate::mapping::draft::Reason;
use crate::mapping::expression::Trouble;
use crate::mapping::filters;
use crate::mapping::incident_draft::put;
use crate::mapping::rule::FieldRule;
use crate::mapping::template::Template;

/// `incident`, `message`, `escalation` or `attachment`.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) root: &'static str,
    /// What it is called in messages: `incident`, or `also[0].message`.
    pub(super) key: Box<str>,
    pub(super) slots: Box<[Slot]>,
}

/// A field, or a list whose entries the file spells out.
#[derive(Debug)]
pub(super) enum Slot {
    One(Box<Field>),
    List { name: Box<str>, entries: Box<[Entry]> },
}

/// A field with the form of its values.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) rule: FieldRule,
    pub(super) shape: Shape,
    /// Where the tool's own word is kept when a table translates it: `severity_raw`.
    pub(super) raw: Option<Box<str>>,
}

/// One entry of a list, or one for each element.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) each: Option<Template>,
    pub(super) when: Option<Template>,
    pub(super) content: Content,
}

/// What an entry holds.
#[derive(Debug)]
pub(super) enum Content {
    Text(Box<Field>),
    Record(Box<[Field]>),
}

impl Part {
    /// The part as JSON. What cannot be evaluated is noted.
    pub(super) fn evaluate(&self, scope: &Scope<'_>, problems: &mut Problems) -> Map<String, Value> {
        let mut record = Map::new();
        for slot in &self.slots {
            match slot {
                Slot::One(field) => self.field(field, scope, &mut record, problems),
                Slot::List { name, entries } => {
                    let made = entries.iter().flat_map(|entry| self.entry(name, entry, scope, problems));
                    put_list(&mut record, name, made.collect());
                }
            }
        }
        record
    }

    /// The slot a fault of the finished event belongs to, by its dotted name.
    pub(super) fn slot(&self, dotted: &str) -> Option<&Slot> {
        let within =
            |name: &str| dotted.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.slots.iter().filter(|slot| within(slot.name())).max_by_key(|slot| slot.name().len())
    }

    fn field(&self, field: &Field, scope: &Scope<'_>, record: &mut Map<String, Value>, problems: &mut Problems) {
        match field.evaluate(scope) {
            Ok(Some(Evaluated { value, raw })) => {
                put(record, &field.rule.name, value);
                if let (Some(name), Some(raw)) = (&field.raw, raw) {
                    put(record, name, Value::String(raw));
                }
            }
            Ok(None) => {}
            Err(reason) => {
                let key = format!("{}.{}", self.key, field.rule.name);
                problems.note(key, scope.of_reason(&field.rule, &reason), &reason);
            }
        }
    }

    /// The entries one rule makes: one, one for each element, or none.
    fn entry(&self, name: &str, entry: &Entry, scope: &Scope<'_>, problems: &mut Problems) -> Vec<Value> {
        let key = |last: &str| format!("{}.{name}.{last}", self.key);
        let Some(each) = &entry.each else {
            return self.content(name, entry, scope, problems).into_iter().collect();
        };
        let elements = match elements(each, scope) {
            Ok(elements) => elements,
            Err(reason) => {
                problems.note(key("each"), scope.origin(each, missing(&reason)), &reason);
                return Vec::new();
            }
        };
        let made = elements.places().take(INCIDENT_AFFECTED_COUNT_MAX).filter_map(|place: Place<'_>| {
            let inner = Scope { entry: Some(place), ..scope.clone() };
            self.content(name, entry, &inner, problems)
        });
        made.collect()
    }

    fn content(&self, name: &str, entry: &Entry, scope: &Scope<'_>, problems: &mut Problems) -> Option<Value> {
        if let Some(when) = &entry.when {
            match when.holds(scope) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(trouble) => {
                    let reason = trouble.into();
                    problems.note(format!("{}.{name}.when", self.key), scope.origin(when, None), &reason);
                    return None;
                }
            }
        }
        let mut record = Map::new();
        let fields = match &entry.content {
            Content::Text(field) => std::slice::from_ref(&**field),
            Content::Record(fields) => fields,
        };
        for field in fields {
            self.field(field, scope, &mut record, problems);
        }
        match entry.content {
            Content::Text(_) => record.into_iter().next().map(|(_, value)| value),
            // An entry of which nothing is known is none.
            Content::Record(_) => (!record.is_empty()).then_some(Value::Object(record)),
        }
    }
}

impl Slot {
    /// The dotted name inside its part.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::One(field) => &field.rule.name,
            Self::List { name, .. } => name,
        }
    }

    /// The expression a fault of it is shown at.
    pub(super) fn template(&self) -> Option<&Template> {
        match self {
            Self::One(field) => Some(&field.rule.value),
            Self::List { entries, .. } => entries.iter().find_map(|entry| entry.each.as_ref()),
        }
    }
}

/// A value, and the tool's own word if a table changed it.
struct Evaluated {
    value: Value,
    raw: Option<String>,
}

impl Field {
    fn evaluate(&self, scope: &Scope<'_>) -> Result<Option<Evaluated>, Reason> {
        if let Some(when) = &self.rule.when
            && !when.holds(scope)?
        {
            return Ok(None);
        }
        let value = match self.said(scope) {
            Ok(value) => value.filter(|value| !value.is_null()),
            Err(Trouble::Missing(path)) => {
                let thought_of =
                    self.rule.when.is_some() || self.rule.table.as_ref().is_some_and(|table| table.default.is_some());
                if !thought_of {
                    return Err(Reason::Missing(path));
                }
                None
            }
            Err(failed @ Trouble::Failed(_)) => return Err(failed.into()),
        };
        let (value, raw) = self.through_table(value)?;
        let Some(value) = value else { return Ok(None) };
        Ok(self.formed(value)?.map(|value| Evaluated { value, raw }))
    }

    /// The value before its table: as JSON where the field can hold more than a text.
    fn said(&self, scope: &Scope<'_>) -> Result<Option<Value>, Trouble> {
        if self.rule.table.is_none() && !matches!(self.shape, Shape::Text | Shape::Words(_) | Shape::Time) {
            return self.rule.value.json(scope);
        }
        Ok(self.rule.value.text(scope)?.map(|text| Value::String(text.into_owned())))
    }

    fn through_table(&self, value: Option<Value>) -> Result<(Option<Value>, Option<String>), Reason> {
        let Some(table) = &self.rule.table else { return Ok((value, None)) };
        let Some(Value::String(said)) = value else {
            return Ok((table.default.as_deref().map(Value::from), None));
        };
        match table.row(&said) {
            Some(row) => {
                let raw = (!row.eq_ignore_ascii_case(&said) && !said.is_empty()).then_some(said);
                Ok((Some(Value::from(row)), raw))
            }
            // The model keeps a word it does not know beside `unknown`.
            None if matches!(self.shape, Shape::Words(_)) => Ok((Some(Value::String(said)), None)),
            None => Err(Reason::NoRow { table: Arc::clone(&table.name), value: said }),
        }
    }

    /// The value in the form of its field; `None` if an empty text means that it is not said.
    fn formed(&self, value: Value) -> Result<Option<Value>, Reason> {
        let Value::String(text) = value else {
            let labels = &*self.rule.name == "labels";
            return Ok(Some(if labels { labelled(value) } else { shortened(value) }));
        };
        let last = self.rule.name.rsplit('.').next().unwrap_or_default();
        Ok(match self.shape {
            Shape::Text | Shape::Words(_) | Shape::Free => {
                let chars_max = self.rule.chars_max.unwrap_or(usize::MAX).min(chars_max(last));
                Some(Value::String(cut(text, chars_max)))
            }
            Shape::Time => {
                filters::moment(&text).map_err(Reason::Failed)?.map(|stamp| Value::String(stamp.to_string()))
            }
            Shape::Number | Shape::Flag | Shape::Record(_) | Shape::List(_) if text.is_empty() => None,
            Shape::Number => Some(text.trim().parse::<u64>().map_or(Value::String(text), Value::from)),
            Shape::Flag => Some(text.trim().parse::<bool>().map_or(Value::String(text), Value::from)),
            Shape::Record(_) | Shape::List(_) => Some(Value::String(text)),
        })
    }
}

impl Scope<'_> {
    /// Where the reason for a field is.
    pub(super) fn of_reason(&self, rule: &FieldRule, reason: &Reason) -> String {
        self.origin(&rule.value, missing(reason))
    }
}

/// A list in which nothing is known is not said: it would take away what was told before.
fn put_list(record: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        put(record, name, shortened(list.into()));
    }
}

/// The path that a reason says is missing.
pub(super) fn missing(reason: &Reason) -> Option<&str> {
    if let Reason::Missing(path) = reason { Some(path) } else { None }
}

/// The longest text of a field, by the last part of its name.
fn chars_max(name: &str) -> usize {
    match name {
        "title" => INCIDENT_TITLE_CHARS_MAX,
        "description" | "recommended_action" | "text" | "notes" | "reason" => INCIDENT_TEXT_CHARS_MAX,
        _ => INCIDENT_NAME_CHARS_MAX,
    }
}

fn cut(mut text: String, chars_max: usize) -> String {
    // Databases and browsers end a text there; it says nothing.
    text.retain(|letter| letter != '\0');
    if text.len() > chars_max
        && let Some((end, _)) = text.char_indices().nth(chars_max)
    {
        text.truncate(end);
    }
    text
}

/// Texts and lists no longer than an incident holds, all the way down; names without a value are left out.
fn shortened(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let entry = |(name, value): (String, Value)| {
                let value = if let Value::String(text) = value {
                    Value::String(cut(text, chars_max(&name)))
                } else {
                    shortened(value)
                };
                (name, value)
            };
            map.into_iter().filter(|(_, value)| !value.is_null()).map(entry).collect()
        }
        Value::Array(items) => items.into_iter().take(INCIDENT_AFFECTED_COUNT_MAX).map(shortened).collect(),
        Value::String(text) => Value::String(cut(text, INCIDENT_NAME_CHARS_MAX)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// Labels are texts; what a tool says in another form is written as JSON.
fn labelled(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let said = map.into_iter().filter(|(_, value)| !value.is_null()).take(INCIDENT_LABELS_COUNT_MAX);
    said.map(|(name, value)| (name, Value::String(cut(text(value), INCIDENT_NAME_CHARS_MAX)))).collect()
}
