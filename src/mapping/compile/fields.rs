//! Compiles ticket fields: names, values, tables, lookups and conditions.

use std::sync::Arc;

use super::{Compiler, said_list, uncovered};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::wire::Field;
use crate::limits::MAPPING_FIELDS_COUNT_MAX;
use crate::mapping::diagnostic::At;
use crate::mapping::draft::Write;
use crate::mapping::raw::{
    Block, MissingWord, Named, RawField, RawFieldBody, RawLookup, RawMissing, RawToTicket, Scalar,
};
use crate::mapping::rule::{FieldRule, LookupRule, Missing};
use crate::mapping::template::Template;
use crate::mapping::yaml::Key;

/// The compiled fields, with the places the later checks point at.
pub(super) struct Rules {
    pub(super) by_kind: [Arc<[Arc<FieldRule>]>; ChangeKind::ALL.len()],
    pub(super) places: Vec<Place>,
}

/// A compiled field and where it stands.
pub(super) struct Place {
    pub(super) rule: Arc<FieldRule>,
    pub(super) key: At,
    pub(super) value: At,
}

/// Names the gateway keeps for itself: the link to the ticket lives in them.
const OWN_FIELDS: [&str; 4] = ["sys_id", "number", "correlation_id", "correlation_display"];

impl Compiler<'_, '_> {
    pub(super) fn rules(&mut self, raw: &RawToTicket) -> Rules {
        let mut places = Vec::new();
        let base = self.ticket_fields(raw.fields.as_ref(), &mut places);
        for place in places.iter().filter(|place| place.rule.note().is_some()) {
            self.notes
                .error("M047", place.key, format!("`{}` is a journal: each write adds an entry", place.rule.name))
                .hint("use `messages:`, `on: create` for one entry when the ticket is created, or an entry for one kind of change under `to_ticket.on`");
        }
        let shared: Arc<[Arc<FieldRule>]> = base.clone().into();
        let mut by_kind = ChangeKind::ALL.map(|_| Arc::clone(&shared));
        for (key, fields) in raw.on.as_ref().map_or(&[][..], |on| &on.entries) {
            let Some(kind) = ChangeKind::parse(&key.text) else {
                self.notes
                    .error("M006", key.at, format!("`{}` is not a kind of change", key.text))
                    .nearest(&key.text, ChangeKind::WORDS);
                continue;
            };
            let from = places.len();
            let own = self.ticket_fields(Some(fields), &mut places);
            self.notes_of(kind, places.get(from..).unwrap_or_default());
            let place = ChangeKind::ALL.iter().position(|known| *known == kind);
            if let Some(rules) = place.and_then(|place| by_kind.get_mut(place)) {
                *rules = laid_over(&base, own).into();
            }
        }
        if places.len() > MAPPING_FIELDS_COUNT_MAX {
            self.notes.error("M007", raw.at, format!("there are more than {MAPPING_FIELDS_COUNT_MAX} fields"));
        }
        Rules { by_kind, places }
    }

    fn ticket_fields(&mut self, raw: Option<&Named<RawField>>, places: &mut Vec<Place>) -> Vec<Arc<FieldRule>> {
        let mut rules = Vec::new();
        for (key, field) in raw.map_or(&[][..], |raw| &raw.entries) {
            self.name_at(&key.text, key.at, "field");
            let Some((rule, value)) = self.field(key, field, Change::ROOTS) else { continue };
            self.own_fields(key);
            let rule = Arc::new(rule);
            places.push(Place { rule: Arc::clone(&rule), key: key.at, value });
            rules.push(rule);
        }
        rules
    }

    fn own_fields(&mut self, key: &Key) {
        if OWN_FIELDS.contains(&key.text.as_str()) {
            self.notes
                .error(
                    "M045",
                    key.at,
                    format!("`{}` belongs to the gateway: the link to the ticket lives in it", key.text),
                )
                .hint("write to a field of your own, such as `u_external_id`");
        }
    }

    /// The entry that one kind of change adds to a journal: at most one, and never for what comes again and again.
    fn notes_of(&mut self, kind: ChangeKind, own: &[Place]) {
        let mut notes = own.iter().filter(|place| place.rule.note().is_some());
        let Some(first) = notes.next() else { return };
        let name = &first.rule.name;
        match kind {
            ChangeKind::Updated => {
                self.notes
                    .error("M047", first.key, format!("`{name}` is a journal, and updates come again and again"))
                    .hint("add the entry for a kind of change that happens once, such as `incident.escalated`");
            }
            ChangeKind::MessageAdded => {
                self.notes
                    .error("M047", first.key, format!("`{name}` is a journal, and a message is an entry already"))
                    .hint("`to_ticket.messages` says which journal messages go to");
            }
            ChangeKind::Opened
            | ChangeKind::Escalated
            | ChangeKind::Resolved
            | ChangeKind::Reopened
            | ChangeKind::Closed
            | ChangeKind::Cancelled
            | ChangeKind::AttachmentAdded => {}
        }
        if let Some(second) = notes.next() {
            self.notes
                .error("M047", second.key, format!("there is an entry for `{name}` already, and one call adds one"))
                .hint("keep one of them");
        }
        if let Some(lookup) = own.iter().find(|place| place.rule.note().is_some() && place.rule.lookup.is_some()) {
            self.notes.error("M047", lookup.key, "an entry of a journal is a text, so it has no `lookup`");
        }
    }

    /// Compiles one field; gives it with the place of its value.
    pub(in crate::mapping) fn field(&mut self, key: &Key, raw: &RawField, roots: &[Field]) -> Option<(FieldRule, At)> {
        match raw {
            RawField::Short(value) => {
                let template = Template::compile(value, roots, self.notes)?;
                Some((Self::plain(key, value, template), value.at))
            }
            RawField::Long(body) => self.long_field(key, body, roots),
        }
    }

    fn plain(key: &Key, value: &Scalar, template: Template) -> FieldRule {
        FieldRule {
            name: key.text.as_str().into(),
            written: value.text.as_str().into(),
            value: template,
            table: None,
            lookup: None,
            when: None,
            write: Write::Change,
            chars_max: None,
        }
    }

    fn long_field(&mut self, key: &Key, body: &RawFieldBody, roots: &[Field]) -> Option<(FieldRule, At)> {
        let Some(value) = &body.value else {
            body.missing("value", "what to write: `value: \"{{ incident.title }}\"`", self.notes);
            return None;
        };
        let template = Template::compile(value, roots, self.notes);
        let words = template.as_ref().and_then(Template::words);
        let table = body.table.as_ref().and_then(|name| {
            let table = self.table(name, words)?;
            let left_out = words.map(|words| uncovered(&table, words)).unwrap_or_default();
            if !left_out.is_empty() {
                let message =
                    format!("table `{}` has no row for {} and no `default`", table.name, said_list(&left_out));
                self.notes.error("M012", name.at, message).hint("add the rows, or a `default`");
            }
            Some(table)
        });
        let lookup = body.lookup.as_ref().map(|lookup| self.lookup(lookup, roots));
        let when = body.when.as_ref().map(|when| self.condition(when, roots));
        if let Some(max) = body.max.as_ref().filter(|max| max.value == 0) {
            self.notes.error("M004", max.at, "`max` is at least 1");
        }
        let rule = FieldRule {
            table,
            lookup: lookup.map_or(Some(None), |lookup| lookup.map(Some))?,
            when: when.map_or(Some(None), |when| when.map(Some))?,
            write: body.on.as_ref().map_or(Write::Change, |on| on.value),
            chars_max: body.max.as_ref().map(|max| usize::try_from(max.value).unwrap_or(usize::MAX)),
            ..Self::plain(key, value, template?)
        };
        Some((rule, value.at))
    }

    fn lookup(&mut self, raw: &RawLookup, roots: &[Field]) -> Option<LookupRule> {
        let missing = match &raw.missing {
            None => Some(Missing::Park),
            Some(RawMissing::Word(word)) => Some(match word.value {
                MissingWord::Park => Missing::Park,
                MissingWord::Skip => Missing::Skip,
            }),
            Some(RawMissing::Block(block)) => {
                block.missing("use", "write `missing: {use: …}`, `park` or `skip`", self.notes);
                let value = block.value.as_ref();
                value.and_then(|value| Template::compile(value, roots, self.notes)).map(Missing::Use)
            }
        };
        let hint = "write `lookup: {table: sys_user_group, by: name}`";
        raw.missing("table", hint, self.notes);
        raw.missing("by", hint, self.notes);
        let (table, by) = (raw.table.as_ref()?, raw.by.as_ref()?);
        self.name(table, "table");
        self.name(by, "field");
        Some(LookupRule { table: table.value.as_str().into(), by: by.value.as_str().into(), missing: missing? })
    }

    /// A condition is an expression, not a text.
    pub(in crate::mapping) fn condition(&mut self, raw: &Scalar, roots: &[Field]) -> Option<Template> {
        let template = Template::compile(raw, roots, self.notes)?;
        if template.constant().is_some() {
            self.notes
                .error("M004", raw.at, "a condition needs an expression, this is always the same")
                .hint("write `\"{{ incident.severity == 'high' }}\"`");
            return None;
        }
        Some(template)
    }
}

/// Fields of one kind of change laid over the ones of all: same names replace, in their place; others follow.
fn laid_over(base: &[Arc<FieldRule>], mut own: Vec<Arc<FieldRule>>) -> Vec<Arc<FieldRule>> {
    let mut rules: Vec<Arc<FieldRule>> = Vec::with_capacity(base.len() + own.len());
    for rule in base {
        let replaced = own.iter().position(|candidate| candidate.name == rule.name);
        rules.push(replaced.map_or_else(|| Arc::clone(rule), |place| own.remove(place)));
    }
    rules.extend(own);
    rules
}
