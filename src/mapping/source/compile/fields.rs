//! Compiles the fields of an event: names, shapes, lists with their entries.
//!
//! Owns: what a dotted name of the model can be set to. Never: knows which event it is for. Fails: with findings.
//! Proved by: `tests/source_files.rs`.

use super::{RawRule, SourceCompiler, possible};
use crate::domain::change::Change;
use crate::domain::wire::{Field, Shape};
use crate::mapping::diagnostic::At;
use crate::mapping::raw::{Named, RawEntry, RawField, RawSlot, Scalar};
use crate::mapping::source::read::INCIDENT;
use crate::mapping::source::scope::ENTRY;
use crate::mapping::source::slots::{self, Content, Entry, Part, Slot};
use crate::mapping::yaml::Key;

impl SourceCompiler<'_, '_> {
    pub(super) fn part(&mut self, root: &'static str, raw: &Named<RawSlot>, rule: &RawRule<'_>) -> Part {
        let mut slots = Vec::new();
        for (key, slot) in &raw.entries {
            self.fields += 1;
            let above = raw
                .entries
                .iter()
                .find(|(other, _)| key.text.strip_prefix(&*other.text).is_some_and(|rest| rest.starts_with('.')));
            if let Some((above, _)) = above {
                let message = format!("`{}` is a value, so `{}` cannot be inside it", above.text, key.text);
                self.notes().error("M028", key.at, message);
            }
            slots.extend(self.slot(root, key, slot, &rule.roots));
        }
        Part { root, key: format!("{}{root}", rule.key).into(), slots: slots.into() }
    }

    fn slot(&mut self, root: &str, key: &Key, raw: &RawSlot, roots: &[Field]) -> Option<Slot> {
        if root == INCIDENT && key.text == "id" {
            self.notes()
                .error("M045", key.at, "`id` stands beside `incident`, not in it")
                .hint("`id: \"{{ item.fingerprint }}\"` names the incident of the event");
            return None;
        }
        let shape = self.shape(root_shape(root)?, root, key);
        match raw {
            RawSlot::Field(field) => {
                let field = self.field(key, field, shape, roots)?;
                let alone = field.rule.value.is_sole() || field.rule.table.is_some();
                if matches!(field.shape, Shape::Record(_) | Shape::List(_)) && !alone {
                    self.notes()
                        .error("M028", key.at, format!("`{}` holds more than a text", key.text))
                        .hint("one expression that gives it, a list of entries, or a field inside it");
                    return None;
                }
                Some(Slot::One(Box::new(field)))
            }
            RawSlot::List(entries) => {
                let item = match shape? {
                    Shape::List(item) => *item,
                    Shape::Free => Shape::Free,
                    Shape::Text | Shape::Words(_) | Shape::Number | Shape::Flag | Shape::Time | Shape::Record(_) => {
                        self.notes().error("M028", key.at, format!("`{}` is not a list", key.text));
                        return None;
                    }
                };
                let entries = entries.iter().filter_map(|entry| self.entry(key, entry, item, roots)).collect();
                Some(Slot::List { name: key.text.as_str().into(), entries })
            }
        }
    }

    fn entry(&mut self, key: &Key, raw: &RawEntry, shape: Shape, roots: &[Field]) -> Option<Entry> {
        self.fields += 1;
        match raw {
            RawEntry::Text(text) => {
                if let Shape::Record(fields) = shape {
                    let first = fields.first().map_or("", |field| field.name);
                    self.notes()
                        .error("M028", text.at, format!("an entry of `{}` has fields", key.text))
                        .hint(format!("such as `{{{first}: …}}`"));
                    return None;
                }
                let short = RawField::Short(text.clone());
                let field = self.field(&Key { at: text.at, text: "0".to_owned() }, &short, Some(shape), roots)?;
                Some(Entry { each: None, when: None, content: Content::Text(Box::new(field)) })
            }
            RawEntry::Fields(at, fields) => {
                let reserved = |name: &str| fields.entries.iter().find(|(key, _)| key.text == name);
                let each = reserved("each").and_then(|(key, field)| self.reserved(key, field));
                let each = each.map(|each| self.list(each, roots));
                let mut inner = roots.to_vec();
                if each.is_some() {
                    inner.push(ENTRY);
                }
                let when = reserved("when").and_then(|(key, field)| self.reserved(key, field));
                let when = when.map(|when| self.compiler.condition(when, &inner));
                let mut record = Vec::new();
                for (key, field) in fields.entries.iter().filter(|(key, _)| !["each", "when"].contains(&&*key.text)) {
                    self.fields += 1;
                    let shape = self.shape(shape, "an entry", key);
                    record.extend(self.field(key, field, shape, &inner));
                }
                if record.is_empty() && self.notes().usable() {
                    self.notes().error("M005", *at, "the entry has no field");
                }
                let content = match (shape, record.len()) {
                    // A list of texts made of another list: `{each: …, text: "{{ entry }}"}`.
                    (Shape::Text, 1) => Content::Text(Box::new(record.pop()?)),
                    _ => Content::Record(record.into()),
                };
                Some(Entry {
                    each: each.map_or(Some(None), |each| each.map(Some))?,
                    when: when.map_or(Some(None), |when| when.map(Some))?,
                    content,
                })
            }
        }
    }

    fn reserved<'r>(&mut self, key: &Key, field: &'r RawField) -> Option<&'r Scalar> {
        match field {
            RawField::Short(value) => Some(value),
            RawField::Long(_) => {
                self.notes().error("M004", key.at, format!("`{}` is an expression, not a block", key.text));
                None
            }
        }
    }

    fn field(&mut self, key: &Key, raw: &RawField, shape: Option<Shape>, roots: &[Field]) -> Option<slots::Field> {
        self.foreign_keys(raw);
        let (rule, _) = self.compiler.field(key, raw, roots)?;
        let shape = shape?;
        if let Shape::Words(words) = shape {
            for word in possible(&rule).filter(|word| !word.is_empty() && !words.contains(word)) {
                self.notes()
                    .error("M006", key.at, format!("`{word}` is not a word of `{}`", key.text))
                    .nearest(word, words.iter().copied());
            }
        }
        let raw = matches!(shape, Shape::Words(_)).then(|| format!("{}_raw", key.text).into());
        Some(slots::Field { rule, shape, raw })
    }

    /// What a dotted name holds.
    fn shape(&mut self, record: Shape, owner: &str, key: &Key) -> Option<Shape> {
        let mut shape = record;
        let mut so_far = owner.to_owned();
        for step in key.text.split('.') {
            shape = match shape {
                Shape::Free if !step.is_empty() => Shape::Free,
                Shape::Record(fields) => match fields.iter().find(|field| field.name == step) {
                    Some(field) => field.shape,
                    None => return self.no_field(&so_far, step, fields, key.at),
                },
                // An entry of a list of texts has no fields; what it says is called `text`.
                Shape::Text if key.text == "text" => Shape::Text,
                Shape::Text
                | Shape::Words(_)
                | Shape::Number
                | Shape::Flag
                | Shape::Time
                | Shape::List(_)
                | Shape::Free => {
                    self.notes().error("M028", key.at, format!("there are no fields below `{so_far}`"));
                    return None;
                }
            };
            so_far = format!("{so_far}.{step}");
        }
        Some(shape)
    }

    fn no_field(&mut self, record: &str, name: &str, fields: &[Field], at: At) -> Option<Shape> {
        self.notes()
            .error("M022", at, format!("`{record}` has no field `{name}`"))
            .nearest(name, fields.iter().map(|field| field.name));
        None
    }
}

fn root_shape(root: &str) -> Option<Shape> {
    Change::ROOTS.iter().find(|field| field.name == root).map(|field| field.shape)
}
