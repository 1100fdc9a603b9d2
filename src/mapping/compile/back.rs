//! Compiles the way from the ticket to the incident: states, fields, journals and what opens an incident.

use std::sync::Arc;

use super::Compiler;
use crate::domain::incident::{State, Visibility, Word};
use crate::domain::wire::{Field, Shape};
use crate::limits::MAPPING_FIELDS_COUNT_MAX;
use crate::mapping::back::{BackField, DESCRIPTION_COLUMN, STATE_COLUMN, StateRow, TITLE_COLUMN, WayBack};
use crate::mapping::diagnostic::At;
use crate::mapping::draft::JournalField;
use crate::mapping::incident_draft::{STATE, shape_of};
use crate::mapping::path::{Path, TICKET};
use crate::mapping::raw::{Block, Named, RawField, RawOpens, RawStateBack, RawToIncident, Said, Scalar};
use crate::mapping::rule::FieldRule;
use crate::mapping::template::Template;
use crate::mapping::yaml::Key;

/// What expressions of this direction can start with.
const ROOTS: &[Field] = &[Field { name: TICKET, shape: Shape::Free }];

impl Compiler<'_, '_> {
    pub(super) fn way_back(&mut self, raw: &RawToIncident) -> WayBack {
        let states = raw.state.as_ref().map_or(&[][..], |states| &states.entries);
        let states: Vec<StateRow> = states.iter().filter_map(|(key, state)| self.state_row(key, state)).collect();
        let fields = raw.fields.as_ref().map_or(&[][..], |fields| &fields.entries);
        let fields: Vec<BackField> = fields.iter().filter_map(|(key, field)| self.back_field(key, field)).collect();
        if states.len() + fields.len() > MAPPING_FIELDS_COUNT_MAX {
            let message = format!("there are more than {MAPPING_FIELDS_COUNT_MAX} states and fields");
            self.notes.error("M007", raw.at, message);
        }
        self.crossing_names(raw.fields.as_ref());
        self.titles(raw, &fields);
        let messages = self.messages_back(raw.messages.as_ref());
        let attachments = raw.attachments.as_ref().map(|attachments| self.attachments(attachments));
        let opens = raw.opens.as_ref().and_then(|opens| self.opens(opens));
        let mut columns = Columns::default();
        columns.add(STATE_COLUMN, false);
        for (_, when) in states.iter().flat_map(|row| &*row.choices) {
            columns.read(when.paths());
        }
        for field in &fields {
            columns.read(field.rule.value.paths());
            columns.read(field.rule.when.iter().flat_map(Template::paths));
        }
        if let Some(when) = &opens {
            columns.read(when.paths());
            columns.add(TITLE_COLUMN, false);
            columns.add(DESCRIPTION_COLUMN, false);
        }
        WayBack {
            states: states.into(),
            fields: fields.into(),
            messages,
            attachments,
            opens,
            columns: columns.all.into(),
            displays: columns.displays.into(),
        }
    }

    fn state_row(&mut self, key: &Key, state: &RawStateBack) -> Option<StateRow> {
        if key.text == "default" {
            self.notes
                .error("M004", key.at, "`default` is not a ticket state")
                .hint("a ticket state without a row says nothing about the incident");
            return None;
        }
        self.state_number(key);
        let (choices, otherwise) = match state {
            RawStateBack::Word(word) => (Vec::new(), self.state_word(&word.value, word.at)?),
            RawStateBack::Choice(at, choices) => self.state_choices(*at, choices)?,
        };
        let mut columns = Columns::default();
        columns.add(STATE_COLUMN, false);
        for (_, when) in &choices {
            columns.read(when.paths());
        }
        let columns = columns.all.into();
        Some(StateRow { ticket: key.text.as_str().into(), choices: choices.into(), otherwise, columns })
    }

    /// A state is a number; a text is most likely what people see of it.
    fn state_number(&mut self, key: &Key) {
        if key.text.parse::<i64>().is_err() {
            self.notes
                .warning("M055", key.at, format!("`{}` looks like a label, but ticket states are numbers", key.text))
                .hint("ServiceNow's own are 1 new, 2 in progress, 3 on hold, 6 resolved, 7 closed, 8 cancelled");
        }
    }

    /// What opens an incident needs a title.
    fn titles(&mut self, raw: &RawToIncident, fields: &[BackField]) {
        let title = fields.iter().find(|field| &*field.rule.name == "title").filter(|_| raw.opens.is_some());
        let Some(title) = title.filter(|title| title.rule.when.is_some() || title.columns.is_empty()) else { return };
        let keys = raw.fields.iter().flat_map(|fields| &fields.entries).map(|(key, _)| key);
        let at = keys.filter(|key| *key.text == *title.rule.name).map(|key| key.at).next().unwrap_or_default();
        self.notes
            .error("M053", at, "a ticket that opens an incident needs its own title, and this may give none")
            .hint(format!("leave `title` out, then it is `ticket.{TITLE_COLUMN}`; or take the `when` away"));
    }

    fn state_word(&mut self, word: &str, at: At) -> Option<State> {
        let known = State::known(word).filter(|state| *state != State::Unknown);
        if known.is_none() {
            let words = State::WORDS.iter().copied().filter(|word| *word != State::Unknown.as_str());
            self.notes.error("M006", at, format!("`{word}` is not a state of an incident")).nearest(word, words);
        }
        known
    }

    /// `{awaiting_external: "{{ … }}", default: needs_customer_action}`: the first whose condition holds.
    fn state_choices(&mut self, at: At, raw: &Named<Scalar>) -> Option<(Vec<(State, Template)>, State)> {
        let mut otherwise = None;
        let mut choices = Vec::new();
        for (key, value) in &raw.entries {
            if key.text == "default" {
                otherwise = Some(self.state_word(&value.text, value.at));
            } else {
                let state = self.state_word(&key.text, key.at);
                let when = self.condition(value, ROOTS);
                choices.extend(state.zip(when));
            }
        }
        if otherwise.is_none() {
            self.notes.error("M005", at, "`default` is missing").hint("the state when no condition holds");
        }
        Some((choices, otherwise??))
    }

    fn back_field(&mut self, key: &Key, raw: &RawField) -> Option<BackField> {
        let shape = self.incident_field(&key.text, key.at);
        if let RawField::Long(body) = raw {
            let unknown_here = [body.lookup.as_ref().map(Block::start), body.on.as_ref().map(|on| on.at)];
            for at in unknown_here.into_iter().flatten() {
                self.notes
                    .error("M050", at, "`lookup` and `on` belong to the way to the ticket")
                    .hint("`ticket.assigned_to.display` is what people see; an output is sent when one of its columns changed");
            }
        }
        let (rule, _) = self.field(key, raw, ROOTS)?;
        let shape = shape?;
        self.possible_words(key, &rule, shape);
        let mut columns = Columns::default();
        columns.read(rule.value.paths());
        columns.read(rule.when.iter().flat_map(Template::paths));
        Some(BackField { rule, shape, columns: columns.all.into() })
    }

    /// A constant, or what a table gives, must be one of the words of its field.
    fn possible_words(&mut self, key: &Key, rule: &FieldRule, shape: Shape) {
        let Shape::Words(words) = shape else { return };
        let constants: Vec<&str> = match &rule.table {
            Some(table) => table.rows.iter().map(|(_, row)| &**row).chain(table.default.as_deref()).collect(),
            None => rule.value.constant().into_iter().collect(),
        };
        for word in constants.into_iter().filter(|word| !word.is_empty() && !words.contains(word)) {
            self.notes
                .error("M006", key.at, format!("`{word}` is not a word of an incident's `{}`", key.text))
                .nearest(word, words.iter().copied());
        }
    }

    /// A dotted name of the incident, such as `assignee.name`, and what it holds.
    pub(super) fn incident_field(&mut self, name: &str, at: At) -> Option<Shape> {
        let hint = match name {
            "id" => "the link between ticket and incident is the gateway's own",
            STATE => "`to_incident.state` translates it",
            "messages" => "`to_incident.messages` says which entries leave the tenant",
            _ => "",
        };
        if !hint.is_empty() {
            self.notes.error("M045", at, format!("`{name}` is not a field that a ticket can set")).hint(hint);
            return None;
        }
        match shape_of(name) {
            Some(shape @ (Shape::Text | Shape::Words(_) | Shape::Number | Shape::Flag | Shape::Time)) => Some(shape),
            Some(Shape::Free) if name.contains('.') && !name.split('.').any(str::is_empty) => Some(Shape::Free),
            Some(Shape::Record(fields)) => {
                let hint = fields
                    .first()
                    .map_or_else(String::new, |first| format!("name a field, such as `{name}.{}`", first.name));
                self.notes.error("M028", at, format!("`{name}` is a record, not a value")).hint(hint);
                None
            }
            Some(Shape::List(_) | Shape::Free) => {
                self.notes.error("M028", at, format!("`{name}` is not a single value"));
                None
            }
            None => {
                self.no_incident_field(name, at);
                None
            }
        }
    }

    fn no_incident_field(&mut self, name: &str, at: At) {
        let (parent, last) = name.rsplit_once('.').map_or(("", name), |(parent, last)| (parent, last));
        let shape = if parent.is_empty() { shape_of_incident() } else { shape_of(parent) };
        let names: Vec<&str> = match shape {
            Some(Shape::Record(fields)) => fields.iter().map(|field| field.name).collect(),
            Some(
                Shape::Text
                | Shape::Words(_)
                | Shape::Number
                | Shape::Flag
                | Shape::Time
                | Shape::List(_)
                | Shape::Free,
            )
            | None => Vec::new(),
        };
        self.notes.error("M022", at, format!("an incident has no field `{name}`")).nearest(last, names);
    }

    /// `custom.a` and `custom.a.b` cannot both be there.
    fn crossing_names(&mut self, raw: Option<&Named<RawField>>) {
        let keys: Vec<&Key> = raw.map_or(&[][..], |raw| &raw.entries).iter().map(|(key, _)| key).collect();
        for key in &keys {
            let above =
                keys.iter().find(|other| key.text.strip_prefix(&other.text).is_some_and(|rest| rest.starts_with('.')));
            if let Some(above) = above {
                let message = format!("`{}` is a value, so `{}` cannot be inside it", above.text, key.text);
                self.notes.error("M028", key.at, message);
            }
        }
    }

    fn opens(&mut self, raw: &RawOpens) -> Option<Template> {
        let Some(when) = &raw.when else {
            raw.missing("when", "a condition on the ticket", self.notes);
            return None;
        };
        self.condition(when, ROOTS)
    }

    fn messages_back(&mut self, raw: Option<&Named<Said<String>>>) -> Box<[(JournalField, Visibility)]> {
        let mut messages = Vec::new();
        for (key, visibility) in raw.map_or(&[][..], |raw| &raw.entries) {
            let journal = JournalField::known(&key.text);
            if journal.is_none() {
                self.notes
                    .error("M006", key.at, format!("`{}` is not a journal field", key.text))
                    .nearest(&key.text, JournalField::ALL.map(JournalField::as_str));
            }
            let known = Visibility::known(&visibility.value).filter(|known| *known != Visibility::Unknown);
            match known {
                None => self
                    .notes
                    .error("M006", visibility.at, format!("`{}` is not a visibility", visibility.value))
                    .nearest(&visibility.value, ["public", "internal"]),
                Some(Visibility::Public) if journal == Some(JournalField::WorkNotes) => self
                    .notes
                    .warning("M043", visibility.at, "work notes become public messages of the managed service")
                    .hint("`internal` keeps them among those who work on it"),
                Some(Visibility::Public | Visibility::Internal | Visibility::Unknown) => {}
            }
            messages.extend(journal.zip(known));
        }
        messages.into()
    }
}

fn shape_of_incident() -> Option<Shape> {
    crate::domain::change::Change::ROOTS.iter().find(|root| root.name == "incident").map(|root| root.shape)
}

/// Columns, each once.
#[derive(Default)]
struct Columns {
    all: Vec<Arc<str>>,
    displays: Vec<Arc<str>>,
}

impl Columns {
    fn add(&mut self, column: &str, display: bool) {
        let known = self.all.iter().find(|known| ***known == *column).map(Arc::clone);
        let column = known.unwrap_or_else(|| {
            let column = Arc::from(column);
            self.all.push(Arc::clone(&column));
            column
        });
        if display && !self.displays.contains(&column) {
            self.displays.push(column);
        }
    }

    fn read<'p>(&mut self, paths: impl Iterator<Item = &'p Path>) {
        for (column, display) in paths.filter_map(Path::column) {
            self.add(column, display);
        }
    }
}
