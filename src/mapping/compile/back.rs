//! Checks the way from the ticket to the incident: names, words and expressions.

use super::Compiler;
use crate::domain::change::Change;
use crate::domain::incident::{State, Visibility, Word};
use crate::domain::wire::{Field, Shape};
use crate::mapping::diagnostic::At;
use crate::mapping::draft::JournalField;
use crate::mapping::raw::{Block, Named, RawStateBack, RawToIncident, Said, Scalar};

/// What expressions of this direction can start with.
const ROOTS: &[Field] = &[Field { name: "ticket", shape: Shape::Free }];

impl Compiler<'_, '_> {
    pub(super) fn check_back(&mut self, raw: &RawToIncident) {
        for (_, state) in raw.state.as_ref().map_or(&[][..], |states| &states.entries) {
            match state {
                RawStateBack::Word(word) => self.state_word(&word.value, word.at),
                RawStateBack::Choice(at, choices) => self.state_choices(*at, choices),
            }
        }
        for (key, field) in raw.fields.as_ref().map_or(&[][..], |fields| &fields.entries) {
            self.incident_field(&key.text, key.at);
            drop(self.field(key, field, ROOTS));
        }
        self.messages_back(raw.messages.as_ref());
        if let Some(attachments) = &raw.attachments {
            drop(self.attachments(attachments));
        }
        if let Some(opens) = &raw.opens {
            match &opens.when {
                Some(when) => drop(self.condition(when, ROOTS)),
                None => opens.missing("when", "a condition on the ticket", self.notes),
            }
        }
    }

    fn state_word(&mut self, word: &str, at: At) {
        if State::known(word).is_none() {
            self.notes
                .error("M006", at, format!("`{word}` is not a state of an incident"))
                .nearest(word, State::WORDS.iter().copied());
        }
    }

    /// `{awaiting_external: "{{ … }}", default: needs_customer_action}`: the first whose condition holds.
    fn state_choices(&mut self, at: At, choices: &Named<Scalar>) {
        let mut default = false;
        for (key, value) in &choices.entries {
            if key.text == "default" {
                default = true;
                self.state_word(&value.text, value.at);
            } else {
                self.state_word(&key.text, key.at);
                drop(self.condition(value, ROOTS));
            }
        }
        if !default {
            self.notes.error("M005", at, "`default` is missing").hint("the state when no condition holds");
        }
    }

    /// A dotted name of the incident, such as `assignee.name`.
    fn incident_field(&mut self, name: &str, at: At) {
        let incident = Change::ROOTS.iter().find(|root| root.name == "incident");
        let mut shape = incident.map_or(Shape::Free, |root| root.shape);
        for step in name.split('.') {
            let fields = match shape {
                Shape::Record(fields) => fields,
                Shape::Free => return,
                Shape::Text | Shape::Words(_) | Shape::Number | Shape::Flag | Shape::Time | Shape::List(_) => &[],
            };
            let Some(field) = fields.iter().find(|field| field.name == step) else {
                let names = fields.iter().map(|field| field.name);
                self.notes.error("M022", at, format!("an incident has no field `{name}`")).nearest(step, names);
                return;
            };
            shape = field.shape;
        }
    }

    fn messages_back(&mut self, raw: Option<&Named<Said<String>>>) {
        for (key, visibility) in raw.map_or(&[][..], |raw| &raw.entries) {
            if !JournalField::ALL.iter().any(|journal| journal.as_str() == key.text) {
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
                Some(Visibility::Public) if key.text == JournalField::WorkNotes.as_str() => self
                    .notes
                    .warning("M043", visibility.at, "work notes become public messages of the managed service")
                    .hint("`internal` keeps them among those who work on it"),
                Some(Visibility::Public | Visibility::Internal | Visibility::Unknown) => {}
            }
        }
    }
}
