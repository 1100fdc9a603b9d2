//! The rest of a drafted mapping: its tables, its way back, and its cases.
//!
//! Owns: `tables`, `to_incident` and `cases`. What goes comes back: each state and level is translated both ways so that
//! neither side fights the other. Never: a value the instance does not have. Fails: it cannot. Proved by: `tests` beside it.

use super::fields::line;
use super::states::States;
use super::yaml::{self, comment};
use super::{ChoiceFacts, TableFacts, pick};

impl TableFacts {
    pub(super) fn tables(&self, states: &States<'_>) -> String {
        let mut text = String::from(
            "# ── Tables: the word of the managed service on the left, the instance's value on the right. `default` is for everything else. ──\ntables:\n",
        );
        for column in ["impact", "urgency"] {
            let choices = self.choices_of(column);
            let Some([high, medium, low]) = levels(&choices) else { continue };
            text.push_str(&meanings(&choices));
            line(
                &mut text,
                format_args!("  {column}: {{critical: {high}, high: {high}, medium: {medium}, default: {low}}}"),
            );
        }
        if self.has_way_back()
            && let Some([high, medium, _]) = levels(&self.choices_of("impact"))
        {
            let (high, medium) = (yaml::key(&high), yaml::key(&medium));
            // With two levels the middle is one of them, and a row may be there only once.
            let medium = if high == medium { String::new() } else { format!("{medium}: medium, ") };
            line(&mut text, format_args!("  severity_back: {{{high}: high, {medium}default: low}}"));
        }
        text.push_str(&state_table(states));
        if let Some(reason) = self.hold_reason(states) {
            let value = yaml::text(&reason.value);
            text.push_str(&meanings(&self.choices_of("hold_reason")));
            line(
                &mut text,
                format_args!("  hold_reason: {{provider_working: {value}, awaiting_external: {value}, default: \"\"}}"),
            );
        }
        text.push_str(&self.code_table(states));
        // Comments alone are no block.
        if text.lines().any(|line| line.starts_with("  ") && !line.trim_start().starts_with('#')) {
            text
        } else {
            String::new()
        }
    }

    fn has_way_back(&self) -> bool {
        !self.choices_of("state").is_empty()
    }

    fn code_table(&self, states: &States<'_>) -> String {
        let Some((column, codes)) = self.code_column() else { return String::new() };
        let solved = ["solution provided", "permanently", "fixed", "solved", "complete"];
        let Some(solved) = pick(&codes, &solved).or_else(|| codes.first().copied()) else { return String::new() };
        let mut text = meanings(&codes);
        line(&mut text, format_args!("  {column}:"));
        for (word, words) in [
            ("fixed_by_customer", &["by caller", "by customer", "caller", "customer", "user"][..]),
            ("fixed_by_provider", &["solution provided", "permanently", "by support"]),
            ("duplicate", &["duplicate"]),
            ("false_alarm", &["no resolution", "not reproducible", "void"]),
            ("inactivity", &["no resolution", "not reproducible", "void"]),
        ] {
            if let Some(code) = pick(&codes, words) {
                line(&mut text, format_args!("    {word}: {}", yaml::text(&code.value)));
            }
        }
        if let Some(void) = self.void(states) {
            text.push_str("    # This table has no state for what was called off; the code says it.\n");
            line(&mut text, format_args!("    void: {}", yaml::text(&void.value)));
        }
        line(&mut text, format_args!("    default: {}", yaml::text(&solved.value)));
        text
    }

    pub(super) fn to_incident(&self, states: &States<'_>) -> String {
        if !self.has_way_back() {
            return "# The instance tells no states of this table, so nothing comes back; see `to_incident` in docs/mapping.md.\n".to_owned();
        }
        let mut text = String::from(
            "# ── ServiceNow → managed service: only what is listed leaves the tenant. ──\nto_incident:\n  state:\n",
        );
        for state in &states.all {
            let (value, label) = (yaml::key(&state.value), comment(&state.label));
            let word = match (states.word(state), self.void(states), self.code_column()) {
                ("resolved", Some(void), Some((column, _))) => {
                    let void = &void.value;
                    format!("{{cancelled: \"{{{{ ticket.{column} == '{void}' }}}}\", default: resolved}}")
                }
                (word, ..) => word.to_owned(),
            };
            line(&mut text, format_args!("    {value}: {word}    # {label}"));
        }
        let mut fields = String::new();
        if self.has("assigned_to") {
            fields.push_str("    assignee.name: \"{{ ticket.assigned_to.display }}\"\n");
        }
        if levels(&self.choices_of("impact")).is_some() {
            fields.push_str("    severity: {value: \"{{ ticket.impact }}\", table: severity_back}\n");
        }
        if self.has("close_notes") {
            let over =
                states.all.iter().filter(|state| ["resolved", "closed", "cancelled"].contains(&states.word(state)));
            let over: Vec<String> = over.map(|state| format!("'{}'", state.value)).collect();
            let over = over.join(", ");
            line(
                &mut fields,
                format_args!(
                    "    resolution.notes: {{value: \"{{{{ ticket.close_notes }}}}\", when: \"{{{{ ticket.state in [{over}] }}}}\"}}"
                ),
            );
        }
        if !fields.is_empty() {
            text.push_str("  fields:\n");
            text.push_str(&fields);
        }
        if self.is_kind("comments", "journal") {
            text.push_str("  messages: {comments: public}    # work notes stay, as they are not listed\n");
        }
        text
    }

    pub(super) fn cases(&self, states: &States<'_>) -> String {
        let mut text = String::from(
            "# ── Examples, run by every `snowgate check` ──\ncases:\n  - name: an incident opens a ticket\n",
        );
        text.push_str("    event: {type: incident.opened, incident: {id: A-1, title: Front display 1 not detected, severity: high, state: new}}\n");
        text.push_str(&self.found());
        let mut created = Vec::new();
        if self.has("short_description") {
            created.push("short_description: Front display 1 not detected".to_owned());
        }
        if let (Some(new), Some(_)) = (states.new, states.resolved) {
            created.push(format!("state: {}", yaml::text(&new.value)));
        }
        if let Some([high, ..]) = levels(&self.choices_of("impact")) {
            created.push(format!("impact: {high}"));
        }
        line(&mut text, format_args!("    expect: {{create: {{{}}}}}", created.join(", ")));
        text.push_str("\n  - name: a resolution resolves it\n");
        text.push_str("    event: {type: incident.resolved, incident: {id: A-1, state: resolved, resolution: {notes: Cable replaced.}}}\n");
        let mut resolved = Vec::new();
        if let Some(state) = states.resolved {
            resolved.push(format!("state: {}", yaml::text(&state.value)));
        }
        if self.has("close_notes") {
            resolved.push("close_notes: Cable replaced.".to_owned());
        }
        line(&mut text, format_args!("    expect: {{update: {{{}}}}}", resolved.join(", ")));
        if let Some(state) = states.resolved.filter(|_| self.has_way_back()) {
            text.push_str("\n  - name: a ticket that people resolved says so\n");
            line(&mut text, format_args!("    ticket: {{state: {}}}", yaml::text(&state.value)));
            text.push_str("    expect: {incident: {state: resolved}}\n");
        }
        text
    }

    /// What the case's look-ups find: every record that the fields name.
    fn found(&self) -> String {
        let mut found: Vec<(String, String)> = Vec::new();
        if let Some(group) = self.group() {
            found.push(("sys_user_group".to_owned(), group.to_owned()));
        }
        for name in &self.to_open {
            let target = self.columns.get(name).and_then(|column| column.reference.as_ref());
            let example = target.and_then(|target| Some((target, self.examples.get(target)?)));
            if let Some((target, (_, example))) = example
                && !found.contains(&(target.clone(), example.clone()))
            {
                found.push((target.clone(), example.clone()));
            }
        }
        let mut tables: Vec<&String> = found.iter().map(|(table, _)| table).collect();
        tables.dedup();
        if tables.is_empty() {
            return String::new();
        }
        let rows = |table: &String| {
            let names = found.iter().filter(|(known, _)| known == table);
            let names: Vec<String> = names.map(|(_, name)| format!("{}: a1", yaml::text(name))).collect();
            format!("{table}: {{{}}}", names.join(", "))
        };
        let tables: Vec<String> = tables.into_iter().map(rows).collect();
        format!("    lookups: {{{}}}\n", tables.join(", "))
    }
}

/// The values for high, medium and low, if the column has at least two, the highest first.
fn levels(choices: &[&ChoiceFacts]) -> Option<[String; 3]> {
    let (first, rest) = choices.split_first()?;
    let last = rest.last()?;
    let middle = choices.get(choices.len() / 2).filter(|_| choices.len() > 2).unwrap_or(last);
    Some([first, middle, last].map(|choice| yaml::text(&choice.value)))
}

/// A comment that says what the values mean.
fn meanings(choices: &[&ChoiceFacts]) -> String {
    let said: Vec<String> = choices
        .iter()
        .map(|choice| {
            if choice.label.starts_with(&choice.value) {
                choice.label.clone()
            } else {
                format!("{} {}", choice.value, choice.label)
            }
        })
        .collect();
    yaml::listed("  ", said.iter().map(String::as_str), 130)
}

fn state_table(states: &States<'_>) -> String {
    let (Some(new), Some(working), Some(resolved)) = (states.new, states.working, states.resolved) else {
        return String::new();
    };
    let mut text = meanings(&states.all);
    let waiting = states.waiting.unwrap_or(working);
    let cancelled = states.cancelled.unwrap_or(resolved);
    if !states.closed.is_empty() {
        text.push_str("  # Nothing becomes closed: closing needs more rights, and the instance closes resolved tickets by itself.\n");
    }
    text.push_str("  state:\n");
    let mut rows = vec![("new", new), ("investigating", working), ("needs_customer_action", working)];
    if states.waiting.is_some() {
        rows.extend([("provider_working", waiting), ("awaiting_external", waiting)]);
    }
    rows.extend([("mitigated", working), ("resolved", resolved), ("closed", resolved)]);
    rows.extend([("cancelled", cancelled), ("merged", cancelled), ("default", working)]);
    for (word, state) in rows {
        line(&mut text, format_args!("    {word}: {}", yaml::text(&state.value)));
    }
    text
}
