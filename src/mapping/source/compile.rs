//! From what a source file says to what it means; everything wrong is told at once.
//!
//! Owns: the names a source can set, which expressions see what, and the rule that only a file without an error becomes a [`Source`].
//! Never: reads a file. Fails: with findings. Proved by: `tests/source_files.rs`.

use std::path::Path;

use super::read::{INCIDENT, SKIP};
use super::scope::{ENTRY, ITEM, PARENT, PAYLOAD, RECEIVED};
use super::slots::{Content, Entry, Part, Slot};
use super::{Busy, EventRule, Source, cases, slots};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::wire::{Field, Shape};
use crate::limits::{MAPPING_FIELDS_COUNT_MAX, SOURCE_NAME_CHARS_MAX};
use crate::mapping::compile::Compiler;
use crate::mapping::diagnostic::{At, Diagnostic, Notes, SourceFile};
use crate::mapping::raw::{Block, FromYaml, Named, RawAlso, RawEntry, RawField, RawSlot, RawSource, Said, Scalar};
use crate::mapping::rule::FieldRule;
use crate::mapping::template::Template;
use crate::mapping::yaml::{self, Key};

/// Compiles a source file. The source is there unless a finding is an error.
pub fn compile(file: &SourceFile) -> (Option<Source>, Vec<Diagnostic>) {
    let mut notes = Notes::new(file);
    let source = yaml::read(&mut notes)
        .and_then(|tree| RawSource::from_yaml(&tree, &mut notes))
        .and_then(|raw| SourceCompiler { compiler: Compiler::new(&mut notes), fields: 0 }.source(&raw, file))
        .filter(|_| notes.usable());
    (source, notes.into_findings())
}

/// One event of a file, first or further.
struct RawRule<'r> {
    start: At,
    /// What stands before its keys in messages: nothing, or `also[0].`.
    key: String,
    each: Option<&'r Scalar>,
    when: Option<&'r Scalar>,
    event: Option<&'r RawField>,
    id: Option<&'r RawField>,
    dedup: Option<&'r RawField>,
    parts: [(&'static str, Option<&'r Named<RawSlot>>); 4],
    /// What the expressions of the event can start with.
    roots: Vec<Field>,
    /// What its `each` can start with.
    each_roots: Vec<Field>,
}

impl<'r> RawRule<'r> {
    fn first(raw: &'r RawSource) -> Self {
        Self {
            start: raw.start(),
            key: String::new(),
            each: raw.each.as_ref(),
            when: raw.when.as_ref(),
            event: raw.event.as_ref(),
            id: raw.id.as_ref(),
            dedup: raw.dedup.as_ref(),
            parts: [
                (INCIDENT, raw.incident.as_ref()),
                ("message", raw.message.as_ref()),
                ("escalation", raw.escalation.as_ref()),
                ("attachment", raw.attachment.as_ref()),
            ],
            roots: vec![PAYLOAD, ITEM, RECEIVED],
            each_roots: vec![PAYLOAD],
        }
    }

    fn further(raw: &'r RawAlso, place: usize) -> Self {
        Self {
            start: raw.start(),
            key: format!("also[{place}]."),
            each: raw.each.as_ref(),
            when: raw.when.as_ref(),
            event: raw.event.as_ref(),
            id: raw.id.as_ref(),
            dedup: raw.dedup.as_ref(),
            parts: [
                (INCIDENT, raw.incident.as_ref()),
                ("message", raw.message.as_ref()),
                ("escalation", raw.escalation.as_ref()),
                ("attachment", raw.attachment.as_ref()),
            ],
            roots: vec![PAYLOAD, ITEM, PARENT, RECEIVED],
            each_roots: vec![PAYLOAD, ITEM],
        }
    }

    fn has(&self, root: &str) -> bool {
        self.parts.iter().any(|(own, part)| *own == root && part.is_some())
    }

    fn sets(&self, root: &str, name: &str) -> bool {
        let part = self.parts.iter().find(|(own, _)| *own == root).and_then(|(_, part)| *part);
        part.is_some_and(|part| part.entries.iter().any(|(key, _)| key.text == name))
    }
}

struct SourceCompiler<'c, 'n> {
    compiler: Compiler<'c, 'n>,
    fields: usize,
}

impl<'n> SourceCompiler<'_, 'n> {
    fn notes(&mut self) -> &mut Notes<'n> {
        self.compiler.notes
    }

    fn source(mut self, raw: &RawSource, file: &SourceFile) -> Option<Source> {
        raw.missing("version", "write `version: 1`", self.notes());
        if let Some(version) = raw.version.as_ref().filter(|version| version.value != 1) {
            let message = format!("version {} is not known", version.value);
            self.notes().error("M006", version.at, message).hint("write `version: 1`");
        }
        raw.missing("source", "the name of the file without `.yaml`", self.notes());
        let name = raw.source.as_ref().map(|name| self.name(name, file));
        let busy = self.busy(raw.busy.as_ref());
        let key = raw.key.as_ref().and_then(|key| self.key(key));
        self.compiler.read_tables(raw.tables.as_ref());
        raw.missing("event", "the event type, such as `event: incident.opened`", self.notes());
        raw.missing("id", "what names the incident, such as `id: \"{{ item.fingerprint }}\"`", self.notes());
        let first = RawRule::first(raw);
        let rule = self.rule(&first);
        if first.id.is_some() {
            self.needed_parts(&first, None);
        }
        let mut also = Vec::new();
        for (place, further) in raw.also.iter().flatten().enumerate() {
            further.missing("event", "the event type, such as `event: incident.message_added`", self.notes());
            let further = RawRule::further(further, place);
            also.extend(self.rule(&further));
            self.needed_parts(&further, Some(&first));
        }
        if self.fields > MAPPING_FIELDS_COUNT_MAX {
            self.notes().error("M007", raw.at, format!("there are more than {MAPPING_FIELDS_COUNT_MAX} fields"));
        }
        let raw_cases = raw.cases.iter().flatten();
        let cases: Vec<_> = raw_cases.filter_map(|case| cases::Case::compile(case, self.notes())).collect();
        if self.notes().usable() {
            if raw.cases.as_ref().is_none_or(Vec::is_empty) {
                let hint = "a payload of the tool and the events that must come of it, under `cases`";
                self.notes().warning("M061", raw.start(), "no case shows what this source does").hint(hint);
            }
            self.compiler.check_tables();
        }
        Some(Source { name: name?, busy, key, rule: rule?, also: also.into(), cases: cases.into() })
    }

    /// The name is part of a path and of what is stored, so it is plain, and the file's own.
    fn name(&mut self, name: &Said<String>, file: &SourceFile) -> Box<str> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=SOURCE_NAME_CHARS_MAX).contains(&name.value.len());
        if !fits || !name.value.bytes().all(plain) || name.value.starts_with('-') {
            let message = format!(
                "`{}` is not the name of a source: use 1 to {SOURCE_NAME_CHARS_MAX} of a-z, 0-9 and `-`",
                name.value
            );
            self.notes().error("M004", name.at, message);
        } else if let Some(stem) = Path::new(&file.name).file_stem().and_then(|stem| stem.to_str())
            && stem != name.value
        {
            self.notes()
                .error("M060", name.at, format!("the source is called `{}`, but its file `{stem}`", name.value))
                .hint("both are the last part of the path tools post to: give both one name");
        }
        name.value.as_str().into()
    }

    fn busy(&mut self, raw: Option<&Said<u64>>) -> Busy {
        match raw.map(|said| (said.value, said.at)) {
            None | Some((429, _)) => Busy::TooManyRequests,
            Some((503, _)) => Busy::Unavailable,
            Some((other, at)) => {
                self.notes()
                    .error("M006", at, format!("`{other}` is not a status for \"come again\""))
                    .hint("429, or 503 for tools that give up on everything below 500");
                Busy::TooManyRequests
            }
        }
    }

    fn key(&mut self, raw: &Scalar) -> Option<Template> {
        let template = Template::compile(raw, &[PAYLOAD], self.notes())?;
        if template.constant().is_some() {
            self.notes().error("M004", raw.at, "a key is read from the payload, this is always the same").hint(
                "write `\"{{ payload.routing_key }}\"`; the key itself stands in the tenant's `senders`, as a hash",
            );
            return None;
        }
        Some(template)
    }

    fn rule(&mut self, raw: &RawRule<'_>) -> Option<EventRule> {
        let each = raw.each.map(|each| self.list(each, &raw.each_roots));
        let when = raw.when.map(|when| self.compiler.condition(when, &raw.roots));
        let event = raw.event.and_then(|event| self.text("event", event, &raw.roots, raw.start));
        if let Some(event) = &event {
            self.kinds(event, raw);
        }
        let id = raw.id.map(|id| self.text("id", id, &raw.roots, raw.start));
        let dedup = raw.dedup.map(|dedup| self.text("dedup", dedup, &raw.roots, raw.start));
        let mut parts = Vec::new();
        for (root, part) in raw.parts {
            parts.extend(part.map(|part| self.part(root, part, raw)));
        }
        let given = |optional: Option<Option<FieldRule>>| optional.map_or(Some(None), |inner| inner.map(Some));
        Some(EventRule {
            each: each.map_or(Some(None), |each| each.map(Some))?,
            when: when.map_or(Some(None), |when| when.map(Some))?,
            event: event?,
            id: given(id)?,
            dedup: given(dedup)?,
            parts: parts.into(),
        })
    }

    /// An expression that gives a list.
    fn list(&mut self, raw: &Scalar, roots: &[Field]) -> Option<Template> {
        let template = Template::compile(raw, roots, self.notes())?;
        if !template.is_sole() {
            self.notes()
                .error("M028", raw.at, "`each` needs a list, this is a text")
                .hint("one expression and nothing around it: `\"{{ payload.alerts }}\"`");
            return None;
        }
        Some(template)
    }

    /// A value that is a text: event type, incident, identity.
    fn text(&mut self, name: &str, raw: &RawField, roots: &[Field], start: At) -> Option<FieldRule> {
        self.foreign_keys(raw);
        let at = if let RawField::Short(value) = raw { value.at } else { start };
        let (rule, _) = self.compiler.field(&Key { at, text: name.to_owned() }, raw, roots)?;
        if name != "event" && rule.value.constant().is_some() && rule.table.is_none() {
            self.notes()
                .error("M004", at, format!("`{name}` is the same for everything"))
                .hint("name what tells one from another, such as `\"{{ item.fingerprint }}\"`");
        }
        Some(rule)
    }

    /// `lookup` and `on` need an instance.
    fn foreign_keys(&mut self, raw: &RawField) {
        let RawField::Long(body) = raw else { return };
        for at in [body.lookup.as_ref().map(Block::start), body.on.as_ref().map(|on| on.at)].into_iter().flatten() {
            self.notes()
                .error("M050", at, "`lookup` and `on` belong to the way to the ticket")
                .hint("a source only says what happened; the tenant's mapping decides what is written");
        }
    }

    /// Every type an event can have must be one we know.
    fn kinds(&mut self, event: &FieldRule, raw: &RawRule<'_>) {
        let at = match raw.event {
            Some(RawField::Short(value)) => value.at,
            Some(RawField::Long(body)) => body.start(),
            None => raw.start,
        };
        for word in possible(event) {
            if !word.is_empty() && word != SKIP && ChangeKind::parse(word).is_none() {
                self.notes()
                    .error("M006", at, format!("`{word}` is not a kind of change"))
                    .nearest(word, ChangeKind::WORDS);
            }
        }
    }

    /// What each kind of event cannot do without.
    fn needed_parts(&mut self, raw: &RawRule<'_>, first: Option<&RawRule<'_>>) {
        let mut known = Vec::new();
        match raw.event {
            Some(RawField::Short(value)) => known.extend(ChangeKind::parse(&value.text)),
            Some(RawField::Long(body)) => {
                known.extend(body.value.as_ref().and_then(|value| ChangeKind::parse(&value.text)));
            }
            None => {}
        }
        let titled = raw.sets(INCIDENT, "title")
            || (!raw.has(INCIDENT) && first.is_some_and(|first| first.sets(INCIDENT, "title")));
        for kind in known {
            let (there, key, hint) = match kind {
                ChangeKind::Opened => (titled, "incident", "`incident: {title: …}`: a ticket is opened with it"),
                ChangeKind::MessageAdded => (raw.has("message"), "message", "`message: {text: …}`"),
                ChangeKind::Escalated => (raw.has("escalation"), "escalation", "`escalation: {channel: …}`"),
                ChangeKind::AttachmentAdded => (raw.has("attachment"), "attachment", "`attachment: {name: …, url: …}`"),
                ChangeKind::Updated
                | ChangeKind::Resolved
                | ChangeKind::Reopened
                | ChangeKind::Closed
                | ChangeKind::Cancelled => (true, "", ""),
            };
            if !there {
                let what = if key == INCIDENT { "a title of its `incident`" } else { key };
                self.notes().error("M005", raw.start, format!("`{kind}` needs {what}")).hint(hint);
            }
        }
    }

    fn part(&mut self, root: &'static str, raw: &Named<RawSlot>, rule: &RawRule<'_>) -> Part {
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
                Some(Slot::One(field))
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
                Some(Entry { each: None, when: None, content: Content::Text(field) })
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
                    (Shape::Text, 1) => Content::Text(record.pop()?),
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
            for word in possible(&rule).filter(|word| !word.is_empty()) {
                if !words.contains(&word) {
                    self.notes()
                        .error("M006", key.at, format!("`{word}` is not a word of `{}`", key.text))
                        .nearest(word, words.iter().copied());
                }
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
                Shape::Record(fields) => {
                    let Some(field) = fields.iter().find(|field| field.name == step) else {
                        self.notes()
                            .error("M022", key.at, format!("`{so_far}` has no field `{step}`"))
                            .nearest(step, fields.iter().map(|field| field.name));
                        return None;
                    };
                    field.shape
                }
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
}

/// Every constant a value can be, by the file or by its table.
fn possible(rule: &FieldRule) -> impl Iterator<Item = &str> {
    let rows = rule.table.iter().flat_map(|table| table.rows.iter().map(|(_, row)| &**row));
    let default = rule.table.iter().filter_map(|table| table.default.as_deref());
    let constant = rule.value.constant().filter(|_| rule.table.is_none());
    rows.chain(default).chain(constant)
}

fn root_shape(root: &str) -> Option<Shape> {
    Change::ROOTS.iter().find(|field| field.name == root).map(|field| field.shape)
}
