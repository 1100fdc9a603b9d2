//! What a tenant needs, held against what the instance's dictionary says. Pure.
//!
//! Owns: the comparison of columns, lengths, types, choices, references and mandatory fields. Never: asks the instance.
//! Fails: it cannot; what the dictionary does not say is not judged. Proved by: the tests here, `tests/onboarding`.

use super::codes::{self, Code};
use super::conditions;
use super::dictionary::{Choice, Column, Dictionary, Policy};
use super::needs::{FieldNeed, Needs};
use super::rehearsal::Rehearsal;
use super::report::{Findings, Spot};
use crate::mapping::{FieldWant, Mapping};
use crate::settings::nearest;

/// Holds the needs against the dictionary.
pub(super) fn judge(needs: &Needs, dictionary: &Dictionary, ancestors: &Ancestors<'_>, findings: &mut Findings) {
    let Some(columns) = &dictionary.columns else { return };
    let find = |name: &str| columns.get(name).filter(|column| column.active);
    let missing = |name: &str, spot: Option<&Spot>, findings: &mut Findings| {
        let message = format!("{} has no column `{name}`", dictionary.tables.join(" and "));
        let found = findings.error(codes::NO_COLUMN, &subject(needs, name), message).at(spot);
        if let Some(near) = nearest(name, columns.keys().map(String::as_str)) {
            found.remedy(format!("Did you mean `{near}`? Otherwise create the column, or leave it out."));
        }
    };
    for need in &needs.written {
        match find(&need.name) {
            Some(column) => {
                Judged { needs, need, column, ancestors, choices: choices_of(dictionary, &need.name) }.judge(findings);
            }
            // Every table has a key, whether or not its dictionary says so.
            None if need.name == "sys_id" => {}
            None => missing(&need.name, need.spot.as_ref(), findings),
        }
    }
    for need in needs.read.iter().filter(|need| !need.name.contains('.')) {
        let written = needs.written.iter().any(|written| written.name == need.name);
        if find(&need.name).is_none() && !written && need.spot.is_some() {
            missing(&need.name, need.spot.as_ref(), findings);
        }
    }
    for journal in &needs.journals {
        let name = journal.journal.as_str();
        match find(name) {
            None => missing(name, None, findings),
            Some(column) if !column.kind.starts_with("journal") && !column.kind.is_empty() => {
                let message = format!("`{name}` is of type {}, not a journal", column.kind);
                findings.error(codes::WRONG_TYPE, &subject(needs, name), message);
            }
            Some(_) => {}
        }
    }
}

/// Which tables a table is made of, where that was asked.
pub(super) type Ancestors<'a> = dyn Fn(&str) -> Vec<String> + 'a;

/// One column that is written, and what the dictionary says of it.
struct Judged<'a> {
    needs: &'a Needs,
    need: &'a FieldNeed,
    column: &'a Column,
    choices: Option<&'a [Choice]>,
    ancestors: &'a Ancestors<'a>,
}

impl Judged<'_> {
    fn judge(&self, findings: &mut Findings) {
        let Self { need, column, .. } = self;
        let subject = subject(self.needs, &need.name);
        let spot = need.spot.as_ref();
        if column.read_only && need.name != "sys_id" {
            let message = format!("`{}` ({}) is read-only", need.name, column.label);
            findings.error(codes::READ_ONLY, &subject, message).at(spot);
        }
        self.length(&subject, findings);
        self.reference(&subject, findings);
        for (value, spot) in &need.constants {
            self.constant(&subject, value, spot, findings);
        }
    }

    fn length(&self, subject: &str, findings: &mut Findings) {
        let Self { need, column, .. } = self;
        let Some(chars) = column.chars.filter(|_| is_text(column) && self.choices.is_none()) else { return };
        for (value, spot) in need.constants.iter().filter(|(value, _)| value.chars().count() > chars) {
            let message = format!("`{value}` has more than the column's {chars} characters");
            findings.error(codes::TOO_SHORT, subject, message).at(Some(spot));
        }
        let own = need.spot.is_none();
        match need.chars_max {
            Some(max) if max > chars && own && need.name == "correlation_id" => {
                let message =
                    format!("our keys have {max} characters, the column only {chars}: no ticket would be found again");
                findings.error(codes::TOO_SHORT, subject, message).remedy("Make the column 100 characters long again.");
            }
            Some(max) if max > chars && own => {
                let message = format!("our marks have up to {max} characters, the column only {chars}");
                findings
                    .warning(codes::TOO_SHORT, subject, message)
                    .remedy("Make the column 100 characters long again.");
            }
            Some(max) if max > chars => {
                let message = format!("the mapping writes up to {max} characters, the column has {chars}");
                findings
                    .error(codes::TOO_SHORT, subject, message)
                    .at(need.spot.as_ref())
                    .remedy(format!("Write `max: {chars}` at the field, or make the column {max} characters long."));
            }
            None if !need.constant && need.lookup.is_none() && !own => {
                let message = format!("nothing bounds what is written; the column cuts it after {chars} characters");
                findings.warning(codes::TOO_SHORT, subject, message).at(need.spot.as_ref()).remedy(format!(
                    "Write `max: {chars}` at the field, and put the whole text where there is room for it."
                ));
            }
            Some(_) | None => {}
        }
    }

    fn reference(&self, subject: &str, findings: &mut Findings) {
        let Self { need, column, .. } = self;
        let spot = need.spot.as_ref();
        let target = column.reference.as_deref().filter(|_| column.kind == "reference");
        match (target, need.lookup.as_deref()) {
            (Some(target), Some(table)) => {
                if table != target && !(self.ancestors)(table).iter().any(|ancestor| ancestor == target) {
                    let message =
                        format!("`{}` refers to {target}, and the lookup finds records of {table}", need.name);
                    findings.error(codes::WRONG_REFERENCE, subject, message).at(spot);
                }
            }
            (Some(target), None) => {
                for (value, spot) in need.constants.iter().filter(|(value, _)| !value.is_empty() && !is_key(value)) {
                    let message = format!("`{}` refers to {target}, and `{value}` is no sys_id", need.name);
                    findings.error(codes::NOT_LOOKED_UP, subject, message).at(Some(spot));
                }
                if !need.constant && need.spot.is_some() {
                    let message = format!("`{}` refers to {target}, and the mapping writes a text as it is", need.name);
                    findings.error(codes::NOT_LOOKED_UP, subject, message).at(spot).remedy(format!(
                        "Add `lookup: {{table: {target}, by: name}}` to the field, if the text is a name and no sys_id."
                    ));
                }
            }
            (None, Some(table))
                if !column.kind.is_empty() && !matches!(column.kind.as_str(), "glide_list" | "document_id") =>
            {
                let message =
                    format!("`{}` is no reference, and the key of a record of {table} is written to it", need.name);
                findings.warning(codes::WRONG_REFERENCE, subject, message).at(spot);
            }
            (None, _) => {}
        }
    }

    fn constant(&self, subject: &str, value: &str, spot: &Spot, findings: &mut Findings) {
        if value.is_empty() {
            return;
        }
        let Self { need, column, .. } = self;
        if let Some(choices) = self.choices {
            match choices.iter().find(|choice| choice.value == value) {
                Some(choice) if choice.active => self.dependent(subject, choice, spot, findings),
                Some(choice) => {
                    let message = format!("the choice `{value}` ({}) of `{}` is switched off", choice.label, need.name);
                    findings.warning(codes::INACTIVE_CHOICE, subject, message).at(Some(spot));
                }
                None => no_choice(subject, value, choices, findings, spot),
            }
            return;
        }
        let fits = match column.kind.as_str() {
            "integer" | "longint" | "order_index" => value.parse::<i64>().is_ok(),
            "decimal" | "float" | "percent_complete" => value.parse::<f64>().is_ok(),
            "boolean" => ["true", "false", "1", "0"].contains(&value),
            "glide_date_time" => crate::domain::time::Timestamp::parse_utc(value).is_some(),
            _ => true,
        };
        if !fits {
            let message = format!("`{value}` is no {}, which `{}` is", column.kind, need.name);
            findings.error(codes::WRONG_TYPE, subject, message).at(Some(spot));
        }
    }
}

impl Judged<'_> {
    /// A choice that forms offer only with another value than the one the mapping writes beside it.
    fn dependent(&self, subject: &str, choice: &Choice, spot: &Spot, findings: &mut Findings) {
        let Some((on, value)) = self.column.depends_on.as_ref().zip(choice.dependent.as_ref()) else { return };
        let beside = self.needs.written.iter().filter(|need| need.name == *on).flat_map(|need| &need.constants);
        let beside: Vec<&str> = beside.map(|(constant, _)| constant.as_str()).collect();
        if beside.is_empty() || beside.contains(&value.as_str()) {
            return;
        }
        let message = format!(
            "`{}` belongs to {on} `{value}`, and the mapping writes {on} `{}`",
            choice.value,
            beside.join("`, `")
        );
        findings
            .warning(codes::DEPENDENT_CHOICE, subject, message)
            .at(Some(spot))
            .remedy(format!("Write a choice that belongs to the mapping's own {on}, or write {on} `{value}`."));
    }
}

fn no_choice(subject: &str, value: &str, choices: &[Choice], findings: &mut Findings, spot: &Spot) {
    let found = findings.error(codes::NO_CHOICE, subject, format!("`{value}` is none of the choices")).at(Some(spot));
    let by_label = choices.iter().find(|choice| choice.label.eq_ignore_ascii_case(value));
    let active = || choices.iter().filter(|choice| choice.active);
    let list: Vec<String> = active().map(shown).take(24).collect();
    match by_label {
        Some(choice) => {
            found.remedy(format!("`{value}` is what people see; write its value `{}`.", choice.value));
        }
        None => found.remedy(format!("Write one of {}, or add the choice.", list.join(", "))),
    }
}

fn shown(choice: &Choice) -> String {
    if choice.label.is_empty() || choice.label == choice.value {
        format!("`{}`", choice.value)
    } else {
        format!("`{}` ({})", choice.value, choice.label)
    }
}

/// What must be filled to make a ticket, and to resolve it, held against what the mapping writes.
pub(super) fn mandatory(
    needs: &Needs,
    dictionary: &Dictionary,
    rehearsal: &Rehearsal,
    mapping: &Mapping,
    findings: &mut Findings,
) {
    let wants = mapping.wants();
    let spot = Spot::new(&wants.file, wants.to_ticket);
    for policy in dictionary.policies.iter().flatten() {
        let opening = (&rehearsal.opening, &needs.to_open, codes::MANDATORY_TO_OPEN);
        let resolution = (&rehearsal.resolution, &needs.to_resolve, codes::MANDATORY_TO_RESOLVE);
        for (values, written, code) in [opening, resolution] {
            let value = |column: &str| values.get(column).map(String::as_str);
            let applies = conditions::holds(&policy.condition, &value);
            let unwritten =
                policy.mandatory.iter().filter(|field| !written.contains(*field) && !supplied(dictionary, field));
            for field in unwritten {
                wanted(&Wanted { needs, dictionary, policy, field, applies, code }, &spot, findings);
            }
        }
        read_only(needs, policy, &rehearsal.opening, findings);
    }
    for (name, column) in dictionary.columns.iter().flatten() {
        let own = name.starts_with("sys_") || name == "number";
        if column.mandatory && column.active && !column.default && !own && !needs.to_open.contains(name) {
            let message = format!(
                "`{name}`{} is mandatory in its dictionary entry, which forms insist on",
                label_of(dictionary, name)
            );
            findings.warning(codes::PERHAPS_MANDATORY, &subject(needs, name), message).at(Some(&spot));
        }
    }
}

/// A field that a data policy wants, and the mapping does not write.
struct Wanted<'a> {
    needs: &'a Needs,
    dictionary: &'a Dictionary,
    policy: &'a Policy,
    field: &'a str,
    /// Whether the policy applies then; `None` if that cannot be told.
    applies: Option<bool>,
    code: &'static Code,
}

fn wanted(wanted: &Wanted<'_>, spot: &Spot, findings: &mut Findings) {
    let Wanted { needs, dictionary, policy, field, applies, code } = *wanted;
    let (subject, label) = (subject(needs, field), label_of(dictionary, field));
    let rule = if policy.name.is_empty() { String::new() } else { format!(" \u{201c}{}\u{201d}", policy.name) };
    let makes = format!("the data policy{rule} makes `{field}`{label} mandatory");
    match applies {
        // What is missing from the beginning is missing at the end as well.
        Some(true) if findings.has(codes::MANDATORY_TO_OPEN, &subject) => {}
        Some(true) => {
            findings.error(code, &subject, format!("{makes}, and the mapping does not write it then")).at(Some(spot));
        }
        None => {
            let message = format!("{makes} when `{}`", policy.condition);
            findings.warning(codes::PERHAPS_MANDATORY, &subject, message).at(Some(spot));
        }
        Some(false) => {}
    }
}

/// Fields that a policy makes read-only.
fn read_only(
    needs: &Needs,
    policy: &Policy,
    opening: &std::collections::BTreeMap<String, String>,
    findings: &mut Findings,
) {
    let value = |column: &str| opening.get(column).map(String::as_str);
    let applies = conditions::holds(&policy.condition, &value) == Some(true);
    for need in needs.written.iter().filter(|need| applies && policy.read_only.contains(&need.name)) {
        let message = format!("the data policy \u{201c}{}\u{201d} makes `{}` read-only", policy.name, need.name);
        findings.error(codes::READ_ONLY, &subject(needs, &need.name), message).at(need.spot.as_ref());
    }
}

/// Whether the instance fills the column by itself when nobody else does.
fn supplied(dictionary: &Dictionary, field: &str) -> bool {
    dictionary.columns.as_ref().and_then(|columns| columns.get(field)).is_some_and(|column| column.default)
}

fn label_of(dictionary: &Dictionary, field: &str) -> String {
    let column = dictionary.columns.as_ref().and_then(|columns| columns.get(field));
    column.filter(|column| !column.label.is_empty()).map_or(String::new(), |column| format!(" ({})", column.label))
}

/// The states of the way back, held against the choices of the instance.
pub(super) fn states(needs: &Needs, dictionary: &Dictionary, mapping: &Mapping, findings: &mut Findings) {
    let Some(choices) = choices_of(dictionary, "state").filter(|_| needs.goes_back) else { return };
    let wants = mapping.wants();
    let subject = subject(needs, "state");
    for state in &wants.states {
        if choices.iter().all(|choice| *choice.value != *state.value) {
            let message =
                format!("`to_incident.state` translates `{}`, which is no state of the instance", state.value);
            findings.warning(codes::UNKNOWN_STATE, &subject, message).at(Some(&Spot::new(&wants.file, state.place)));
        }
    }
    let spot = wants.place_of_column("state").map(|place| Spot::new(&wants.file, place));
    for choice in choices.iter().filter(|choice| choice.active) {
        if !wants.states.is_empty() && wants.states.iter().all(|state| *state.value != *choice.value) {
            let message = format!("`to_incident.state` has no row for {}", shown(choice));
            findings.warning(codes::UNKNOWN_STATE, &subject, message).at(spot.as_ref());
        }
    }
}

/// The columns whose choices matter: those that are given values from the file, and the state.
pub(super) fn choice_columns(fields: &[FieldWant]) -> Vec<&str> {
    let constant = fields.iter().filter(|want| want.constants.is_some() && want.lookup.is_none());
    let mut columns: Vec<&str> = constant.map(|want| &*want.field).chain(["state"]).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn choices_of<'d>(dictionary: &'d Dictionary, column: &str) -> Option<&'d [Choice]> {
    dictionary.choices.as_ref()?.get(column).map(Vec::as_slice)
}

fn subject(needs: &Needs, column: &str) -> String {
    format!("{}.{column}", needs.table)
}

fn is_text(column: &Column) -> bool {
    matches!(
        column.kind.as_str(),
        "string" | "translated_text" | "html" | "multi_line_small_text" | "email" | "url" | "phone_number_e164"
    )
}

fn is_key(value: &str) -> bool {
    crate::domain::id::SysId::parse(value).is_ok()
}
