//! From what a file says to what it means; everything wrong is told at once.
//!
//! Owns: the order of the checks, and the rule that only a file without an error becomes a [`Mapping`].
//! Never: reads a file. Fails: with findings. Proved by: `tests/mappings.rs`.

use std::sync::Arc;

use super::diagnostic::{At, Diagnostic, Notes, SourceFile, list};
use super::draft::JournalField;
use super::lint::is_database_name;
use super::raw::{Block, FromYaml, Named, OnParked, RawAttachments, RawMapping, RawPolicy, RawTarget, Said, Scalar};
use super::rule::Table;
use super::{AttachmentRule, Mapping, Policy, Target, cases, yaml};
use crate::domain::incident::{Visibility, Word};

mod back;
mod checks;
mod fields;
mod round;
mod wants;

/// Compiles a mapping file. The mapping is there unless a finding is an error.
pub fn compile(source: &SourceFile) -> (Option<Mapping>, Vec<Diagnostic>) {
    let mut notes = Notes::new(source);
    let mapping = yaml::read(&mut notes)
        .and_then(|tree| RawMapping::from_yaml(&tree, &mut notes))
        .and_then(|raw| Compiler::new(&mut notes).mapping(&raw))
        .filter(|_| notes.usable());
    (mapping, notes.into_findings())
}

/// Bytes of a file when the mapping does not say: what ServiceNow's usual limit of attachments allows many times over.
const ATTACHMENT_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// A value table, where it stands, and who uses it.
struct KnownTable {
    table: Arc<Table>,
    at: At,
    row_places: Vec<At>,
    /// Of the rows' values, and of the default's.
    value_places: Vec<At>,
    /// The canonical words of the values that go through it; `None` for a value that can be anything.
    uses: Vec<Option<&'static [&'static str]>>,
}

/// Compiles one file; sources are compiled with the same tables, fields and conditions.
pub(in crate::mapping) struct Compiler<'c, 'n> {
    pub(in crate::mapping) notes: &'c mut Notes<'n>,
    tables: Vec<KnownTable>,
}

impl<'c, 'n> Compiler<'c, 'n> {
    /// For a file of which nothing was compiled yet.
    pub(in crate::mapping) fn new(notes: &'c mut Notes<'n>) -> Self {
        Self { notes, tables: Vec::new() }
    }

    fn mapping(mut self, raw: &RawMapping) -> Option<Mapping> {
        raw.missing("version", "write `version: 1`", self.notes);
        if let Some(version) = raw.version.as_ref().filter(|version| version.value != 1) {
            let message = format!("version {} is not known", version.value);
            self.notes.error("M006", version.at, message).hint("write `version: 1`");
        }
        raw.missing("name", "one word that says what is bridged", self.notes);
        if let Some(name) = raw.name.as_ref().filter(|name| name.value.trim().is_empty()) {
            self.notes.error("M004", name.at, "the name is empty");
        }
        raw.missing("target", "write `target: {table: incident}`", self.notes);
        raw.missing("to_ticket", "the way from the incident to the ticket", self.notes);
        let target = raw.target.as_ref().and_then(|target| self.target(target));
        self.read_tables(raw.tables.as_ref());
        let policy = policy(raw.policy.as_ref());
        let rules = raw.to_ticket.as_ref().map(|to_ticket| self.rules(to_ticket));
        let messages = raw.to_ticket.as_ref().and_then(|to_ticket| to_ticket.messages.as_ref());
        let messages = self.messages(messages);
        let attachments = raw.to_ticket.as_ref().and_then(|to_ticket| to_ticket.attachments.as_ref());
        let attachments = attachments.map(|raw| self.attachments(raw));
        let back = raw.to_incident.as_ref().map(|to_incident| self.way_back(to_incident));
        let cases = self.cases(raw, back.as_ref().map(|back| &*back.columns));
        let rules = rules?;
        self.check_rules(&rules);
        // What follows are guesses about the whole, which a broken part would only make noise of.
        if self.notes.usable() {
            self.check_whole(raw, &rules, policy, back.as_ref());
            self.check_tables();
        }
        let wants = self.wants(raw, &rules, back.as_ref());
        let name = raw.name.as_ref()?.value.as_str().into();
        Some(Mapping { name, target: target?, rules: rules.by_kind, messages, attachments, policy, back, cases, wants })
    }

    fn target(&mut self, raw: &RawTarget) -> Option<Target> {
        match (&raw.table, &raw.import_set) {
            (Some(table), None) => self.name(table, "table").then(|| Target::Table(table.value.as_str().into())),
            (None, Some(table)) => self.name(table, "table").then(|| Target::ImportSet(table.value.as_str().into())),
            (Some(_), Some(import_set)) => {
                self.notes.error("M006", import_set.at, "a target is a `table` or an `import_set`, not both");
                None
            }
            (None, None) => {
                raw.missing("table", "write `target: {table: incident}`", self.notes);
                None
            }
        }
    }

    /// Checks a database name.
    fn name(&mut self, name: &Said<String>, what: &str) -> bool {
        self.name_at(&name.value, name.at, what)
    }

    fn name_at(&mut self, name: &str, at: At, what: &str) -> bool {
        let good = is_database_name(name);
        if !good {
            let lower = name.trim().to_lowercase().replace([' ', '-'], "_");
            let hint = format!("database names are lower case, such as `{lower}`; labels do not work");
            self.notes.error("M010", at, format!("`{name}` is not the database name of a {what}")).hint(hint);
        }
        good
    }

    pub(in crate::mapping) fn read_tables(&mut self, raw: Option<&Named<Named<Scalar>>>) {
        for (key, rows) in raw.map_or(&[][..], |raw| &raw.entries) {
            for (_, value) in rows.entries.iter().filter(|(_, value)| value.text.contains("{{")) {
                let hint = "compute the value in the field, before the table";
                self.notes.error("M021", value.at, "a table has constants only").hint(hint);
            }
            let (defaults, own): (Vec<_>, Vec<_>) = rows.entries.iter().partition(|(row, _)| row.text == "default");
            let row_places = own.iter().map(|(row, _)| row.at).collect();
            let default_place = defaults.last().map(|(_, value)| value.at);
            let value_places = own.iter().map(|(_, value)| value.at).chain(default_place).collect();
            let rows = own.iter().map(|(row, value)| (row.text.as_str().into(), value.text.as_str().into())).collect();
            let default = defaults.last().map(|(_, value)| value.text.as_str().into());
            let table = Arc::new(Table { name: key.text.as_str().into(), rows, default });
            self.tables.push(KnownTable { table, at: key.at, row_places, value_places, uses: Vec::new() });
        }
    }

    /// The table of that name, and the note that a value with these words goes through it.
    fn table(&mut self, name: &Said<String>, words: Option<&'static [&'static str]>) -> Option<Arc<Table>> {
        if let Some(known) = self.tables.iter_mut().find(|known| *known.table.name == *name.value) {
            known.uses.push(words);
            return Some(Arc::clone(&known.table));
        }
        let names: Vec<&str> = self.tables.iter().map(|known| &*known.table.name).collect();
        self.notes
            .error("M011", name.at, format!("there is no table `{}` under `tables`", name.value))
            .nearest(&name.value, names);
        None
    }

    fn messages(&mut self, raw: Option<&Named<Said<String>>>) -> Box<[(Visibility, JournalField)]> {
        let mut messages = Vec::new();
        for (key, field) in raw.map_or(&[][..], |raw| &raw.entries) {
            let Some(visibility) = Visibility::known(&key.text) else {
                self.notes
                    .error("M006", key.at, format!("`{}` is not a visibility", key.text))
                    .nearest(&key.text, Visibility::WORDS.iter().copied());
                continue;
            };
            let Some(journal) = JournalField::known(&field.value) else {
                self.notes
                    .error("M006", field.at, format!("`{}` is not a journal field", field.value))
                    .nearest(&field.value, JournalField::ALL.map(JournalField::as_str));
                continue;
            };
            if visibility != Visibility::Public && journal == JournalField::Comments {
                self.notes
                    .warning(
                        "M043",
                        field.at,
                        format!("`{visibility}` messages become comments, which the caller reads"),
                    )
                    .hint("`work_notes` are read only by those who work on the ticket");
            }
            messages.push((visibility, journal));
        }
        messages.into()
    }

    fn attachments(&mut self, raw: &RawAttachments) -> AttachmentRule {
        let mut bytes_max = ATTACHMENT_BYTES_MAX;
        if let Some(size) = &raw.max_bytes {
            match bytes(&size.text) {
                Some(bytes) => bytes_max = bytes,
                None => self
                    .notes
                    .error("M004", size.at, format!("`{}` is not a size", size.text))
                    .hint("write `10MB`, `500KB` or a number of bytes"),
            }
        }
        let mut types = Vec::new();
        for said in raw.types.iter().flatten() {
            let plain = said.value.split_once('/').is_some_and(|(kind, rest)| {
                !kind.is_empty() && !kind.contains('*') && (rest == "*" || (!rest.is_empty() && !rest.contains('*')))
            });
            if !plain {
                self.notes
                    .error("M004", said.at, format!("`{}` is not a media type", said.value))
                    .hint("write `image/png` or `image/*`");
            }
            types.push(said.value.as_str().into());
        }
        AttachmentRule { bytes_max, types: types.into() }
    }

    fn cases(&mut self, raw: &RawMapping, columns: Option<&[Arc<str>]>) -> Box<[cases::Case]> {
        let raw_cases = raw.cases.iter().flatten();
        raw_cases.filter_map(|case| cases::Case::compile(case, columns, self.notes)).collect()
    }

    pub(in crate::mapping) fn check_tables(&mut self) {
        for known in &self.tables {
            if known.uses.is_empty() {
                self.notes.warning("M014", known.at, format!("no field uses the table `{}`", known.table.name));
            }
            let only_words: Option<Vec<&[&str]>> = known.uses.iter().copied().collect();
            let Some(words) = only_words.filter(|words| !words.is_empty()) else { continue };
            let words: Vec<&str> = words.into_iter().flatten().copied().collect();
            let rows = known.table.rows.iter().zip(&known.row_places);
            for ((row, _), at) in rows.filter(|((row, _), _)| !words.contains(&&**row)) {
                self.notes
                    .warning("M013", *at, format!("no value is ever `{row}`, so this row is never used"))
                    .nearest(row, words.iter().copied());
            }
        }
    }
}

fn policy(raw: Option<&RawPolicy>) -> Policy {
    let mut policy = Policy::default();
    let Some(raw) = raw else { return policy };
    if let Some(closed_ticket) = &raw.closed_ticket {
        policy.closed_ticket = closed_ticket.value;
    }
    if let Some(recovery) = &raw.recovery {
        policy.recovery = recovery.value;
    }
    if let Some(on_parked) = &raw.on_parked {
        let said = |word: &Option<Said<OnParked>>, otherwise| word.as_ref().map_or(otherwise, |word| word.value);
        policy.on_parked_create = said(&on_parked.create, policy.on_parked_create);
        policy.on_parked_message = said(&on_parked.message, policy.on_parked_message);
        policy.on_parked_change = said(&on_parked.change, policy.on_parked_change);
    }
    policy
}

/// A size such as `10MB`: decimal letters, binary steps, as file managers show it.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?.to_ascii_lowercase();
    let factor: u64 = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// The canonical words a table leaves out.
fn uncovered(table: &Table, words: &[&'static str]) -> Vec<&'static str> {
    words.iter().copied().filter(|word| table.row(word).is_none()).collect()
}

/// `a`, `b` and `c`, for messages.
fn said_list(words: &[&str]) -> String {
    list(words)
}
