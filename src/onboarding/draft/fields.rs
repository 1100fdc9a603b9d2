//! The fields of a drafted mapping: what is written to a ticket, with the instance's own lengths and choices.
//!
//! Owns: `to_ticket`, field by field. Never: a field the table does not have. Fails: it cannot. Proved by: `tests` beside it.

use std::fmt::Write as _;

use super::states::States;
use super::yaml::{self, comment};
use super::{ChoiceFacts, TableFacts, pick};

/// What a field holds until a person says what belongs there; part of the mark that people search for.
const MARK: &str = "FILL IN";
/// Written when a ticket of a finished incident is resolved.
const OVER: &str = "{{ incident.state in ['resolved', 'closed', 'cancelled', 'merged'] }}";
/// Columns that the draft writes by rules of its own, and never as a mandatory field that nobody knows.
const KNOWN: [&str; 11] = [
    "short_description",
    "description",
    "impact",
    "urgency",
    "state",
    "hold_reason",
    "close_code",
    "resolution_code",
    "close_notes",
    "assignment_group",
    "contact_type",
];

impl TableFacts {
    pub(super) fn to_ticket(&self, states: &States<'_>) -> String {
        let mut text = String::from(
            "# ── Managed service → ServiceNow ──\n\
             to_ticket:\n\
             \x20 # A field is written when the ticket is made, and later only when its own value changed. `on: create` leaves it to people afterwards.\n\
             \x20 # `max` is the column's length: ServiceNow cuts what is longer without a word.\n  fields:\n",
        );
        for part in [
            self.texts(),
            self.levels(),
            self.state_fields(states),
            self.ending(states),
            self.routing(),
            self.mandatory(&self.to_open, "", " in every ticket"),
            self.mandatory(&self.to_resolve, OVER, " to resolve"),
            self.conditional(),
        ] {
            text.push_str(&part);
        }
        text.push_str(&self.messages());
        text
    }

    fn texts(&self) -> String {
        let mut text = String::new();
        for (column, value, more) in [
            ("short_description", "{{ incident.title }}", ", when: \"{{ incident.title is defined }}\""),
            ("description", "{{ incident.description or incident.title or '' }}", ", on: create"),
        ] {
            if self.has(column) {
                let max = self.chars(column).map_or_else(String::new, |chars| format!(", max: {chars}"));
                line(&mut text, format_args!("    {column}: {{value: \"{value}\"{max}{more}}}"));
            }
        }
        text
    }

    fn levels(&self) -> String {
        let mut text = String::new();
        for column in ["impact", "urgency"].into_iter().filter(|column| !self.choices_of(column).is_empty()) {
            line(
                &mut text,
                format_args!(
                    "    {column}: {{value: \"{{{{ incident.severity }}}}\", table: {column}, when: \"{{{{ incident.severity is defined }}}}\"}}"
                ),
            );
        }
        text
    }

    fn state_fields(&self, states: &States<'_>) -> String {
        let mut text = String::new();
        let columns = [("state", states.resolved.is_some()), ("hold_reason", self.hold_reason(states).is_some())];
        for (column, _) in columns.iter().filter(|(_, written)| *written) {
            line(
                &mut text,
                format_args!(
                    "    {column}: {{value: \"{{{{ incident.state }}}}\", table: {column}, when: \"{{{{ incident.state is defined }}}}\"}}"
                ),
            );
        }
        text
    }

    /// Why a ticket waits: for somebody who is neither the caller nor us, if the instance has a word for it.
    pub(super) fn hold_reason(&self, states: &States<'_>) -> Option<&ChoiceFacts> {
        states.waiting?;
        let reasons = self.choices_of("hold_reason");
        pick(&reasons, &["vendor", "third", "supplier"]).or_else(|| reasons.first().copied())
    }

    fn ending(&self, states: &States<'_>) -> String {
        let mut text = String::new();
        if let Some((column, _)) = self.code_column() {
            let value = if self.void(states).is_some() {
                "{{ 'void' if incident.state in ['cancelled', 'merged'] else incident.resolution.code }}"
            } else {
                "{{ incident.resolution.code }}"
            };
            line(&mut text, format_args!("    {column}: {{value: \"{value}\", table: {column}, when: \"{OVER}\"}}"));
        }
        if self.has("close_notes") {
            let max = self.chars("close_notes").map_or_else(String::new, |chars| format!(", max: {chars}"));
            let value = "{{ incident.resolution.notes or 'Resolved by the managed service.' }}";
            line(&mut text, format_args!("    close_notes: {{value: \"{value}\"{max}, when: \"{OVER}\"}}"));
        }
        text
    }

    /// The code for a ticket that was none, on a table whose states cannot say so.
    pub(super) fn void(&self, states: &States<'_>) -> Option<&ChoiceFacts> {
        let (_, codes) = self.code_column()?;
        states.resolved.filter(|_| states.cancelled.is_none())?;
        pick(&codes, &["void", "cancel", "no resolution", "not solved"]).filter(|code| !code.value.contains('\''))
    }

    fn routing(&self) -> String {
        let mut text = String::new();
        if let Some(group) = self.group() {
            text.push_str("    # FILL IN: the group that works on these tickets. Some of the instance's groups:\n");
            text.push_str(&yaml::listed("    ", self.groups.iter().map(String::as_str), 110));
            let group = yaml::text(group);
            line(
                &mut text,
                format_args!(
                    "    assignment_group: {{value: {group}, lookup: {{table: sys_user_group, by: name, missing: park}}, on: create}}"
                ),
            );
        }
        let channels = self.choices_of("contact_type");
        if let Some(channel) = pick(&channels, &["monitoring", "event", "web"]).or_else(|| channels.first().copied()) {
            line(&mut text, format_args!("    contact_type: {{value: {}, on: create}}", yaml::text(&channel.value)));
        }
        let categories = self.choices_of("category");
        if let Some(category) = pick(&categories, &["hardware"]).or_else(|| categories.first().copied()) {
            text.push_str("    # FILL IN: the category of these tickets. The instance has:\n");
            text.push_str(&yaml::listed("    ", categories.iter().map(|choice| choice.value.as_str()), 110));
            line(&mut text, format_args!("    category: {{value: {}, on: create}}", yaml::text(&category.value)));
        }
        if self.has("caller_id") {
            text.push_str(
                "    # FILL IN: whose tickets they are, if your forms want a caller: a resource account, and never Snowgate's own, or each of our comments\n\
                 \x20   # would end On Hold.\n\
                 \x20   # caller_id: {value: conference.rooms, lookup: {table: sys_user, by: user_name, missing: park}, on: create}\n",
            );
        }
        text
    }

    /// Columns that a data policy asks for and that we know nothing about.
    fn mandatory(&self, columns: &[String], when: &str, asked: &str) -> String {
        let mut text = String::new();
        let unknown = |column: &&String| !KNOWN.contains(&column.as_str()) && **column != "category";
        for name in columns.iter().filter(unknown).filter(|name| self.has(name)) {
            let label = comment(self.label(name));
            line(&mut text, format_args!("    # {MARK}: a data policy wants `{name}` ({label}){asked}."));
            let on = if when.is_empty() { ", on: create".to_owned() } else { format!(", when: \"{when}\"") };
            match self.filler(name) {
                Some(value) => line(&mut text, format_args!("    {name}: {{value: {value}{on}}}")),
                None => line(&mut text, format_args!("    # {name}: {{value: …{on}}}")),
            }
        }
        text
    }

    /// Something the column takes, for a file that works until a person has looked: the first choice, an example, or the mark itself.
    fn filler(&self, name: &str) -> Option<String> {
        let column = self.columns.get(name)?;
        if let Some(choice) = self.choices_of(name).first() {
            return Some(yaml::text(&choice.value));
        }
        Some(match column.kind.as_str() {
            "reference" => {
                let target = column.reference.as_deref()?;
                let (by, example) = self.examples.get(target).filter(|(_, example)| yaml::is_plain(example))?;
                format!("{}, lookup: {{table: {target}, by: {by}, missing: park}}", yaml::text(example))
            }
            "boolean" => "\"false\"".to_owned(),
            "integer" | "longint" | "decimal" | "float" => "0".to_owned(),
            "glide_date_time" | "due_date" => {
                "\"{{ incident.times.opened_at | datetime | default('2030-01-01 00:00:00') }}\"".to_owned()
            }
            "glide_date" => "\"{{ incident.times.opened_at | date | default('2030-01-01') }}\"".to_owned(),
            _ => {
                let filler = format!("{MARK} {}", comment(self.label(name)));
                yaml::text(&filler.chars().take(column.chars.unwrap_or(40)).collect::<String>())
            }
        })
    }

    fn conditional(&self) -> String {
        let mut text = String::new();
        for (name, why) in &self.sometimes {
            let (name, why) = (comment(name), comment(why));
            line(&mut text, format_args!("    # {MARK}: `{name}`: {why}. Write it if your tickets can get there."));
        }
        text
    }

    fn messages(&self) -> String {
        let (public, internal) = (self.is_kind("comments", "journal"), self.is_kind("work_notes", "journal"));
        let mut text = String::new();
        if public || internal {
            let written = [("public", "comments", public), ("internal", "work_notes", internal)];
            let written: Vec<String> = written
                .iter()
                .filter(|(.., there)| *there)
                .map(|(visibility, column, _)| format!("{visibility}: {column}"))
                .collect();
            text.push_str(
                "  # Public messages are for the caller; internal ones stay among those who work on the ticket.\n",
            );
            line(&mut text, format_args!("  messages: {{{}}}", written.join(", ")));
        }
        text
    }
}

pub(super) fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    if writeln!(text, "{line}").is_err() {
        debug_assert!(false, "a text takes what is written to it");
    }
}
