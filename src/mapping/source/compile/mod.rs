//! From what a source file says to what it means; everything wrong is told at once.
//!
//! Owns: the names a source can set, which expressions see what, and the rule that only a file without an error becomes a [`Source`].
//! Never: reads a file. Fails: with findings. Proved by: `tests/source_files.rs`.

use std::path::Path;

use super::read::{INCIDENT, SKIP};
use super::scope::{ITEM, PARENT, PAYLOAD, RECEIVED};
use super::{Busy, EventRule, Source, cases};
use crate::domain::change::ChangeKind;
use crate::domain::wire::Field;
use crate::limits::{MAPPING_FIELDS_COUNT_MAX, SOURCE_NAME_CHARS_MAX};
use crate::mapping::compile::Compiler;
use crate::mapping::diagnostic::{At, Diagnostic, Notes, SourceFile};
use crate::mapping::raw::{Block, FromYaml, Named, RawAlso, RawField, RawSlot, RawSource, Said, Scalar};
use crate::mapping::rule::FieldRule;
use crate::mapping::template::Template;
use crate::mapping::yaml::{self, Key};

mod fields;

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

/// What a first event and a further one say with the same keys.
macro_rules! rule {
    ($raw:expr, $key:expr, $roots:expr, $each_roots:expr $(,)?) => {
        RawRule {
            start: $raw.start(),
            key: $key,
            each: $raw.each.as_ref(),
            when: $raw.when.as_ref(),
            event: $raw.event.as_ref(),
            id: $raw.id.as_ref(),
            dedup: $raw.dedup.as_ref(),
            parts: [
                (INCIDENT, $raw.incident.as_ref()),
                ("message", $raw.message.as_ref()),
                ("escalation", $raw.escalation.as_ref()),
                ("attachment", $raw.attachment.as_ref()),
            ],
            roots: $roots,
            each_roots: $each_roots,
        }
    };
}

impl<'r> RawRule<'r> {
    fn first(raw: &'r RawSource) -> Self {
        rule!(raw, String::new(), vec![PAYLOAD, ITEM, RECEIVED], vec![PAYLOAD])
    }

    fn further(raw: &'r RawAlso, place: usize) -> Self {
        rule!(raw, format!("also[{place}]."), vec![PAYLOAD, ITEM, PARENT, RECEIVED], vec![PAYLOAD, ITEM])
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
                ChangeKind::Opened => {
                    (titled, "a title of its `incident`", "`incident: {title: …}`: a ticket is opened with it")
                }
                ChangeKind::MessageAdded => (raw.has("message"), "`message`", "`message: {text: …}`"),
                ChangeKind::Escalated => (raw.has("escalation"), "`escalation`", "`escalation: {channel: …}`"),
                ChangeKind::AttachmentAdded => {
                    (raw.has("attachment"), "`attachment`", "`attachment: {name: …, url: …}`")
                }
                ChangeKind::Updated
                | ChangeKind::Resolved
                | ChangeKind::Reopened
                | ChangeKind::Closed
                | ChangeKind::Cancelled => (true, "", ""),
            };
            if !there {
                self.notes().error("M005", raw.start, format!("`{kind}` needs {key}")).hint(hint);
            }
        }
    }
}

/// Every constant a value can be, by the file or by its table.
fn possible(rule: &FieldRule) -> impl Iterator<Item = &str> {
    let rows = rule.table.iter().flat_map(|table| table.rows.iter().map(|(_, row)| &**row));
    let default = rule.table.iter().filter_map(|table| table.default.as_deref());
    let constant = rule.value.constant().filter(|_| rule.table.is_none());
    rows.chain(default).chain(constant)
}
