//! What was stored otherwise than asked, as findings; and what a refusal says that can be done. Pure.
//!
//! Owns: which finding a difference is. Never: compares by itself: that is [`crate::servicenow::differences`], as deliveries do.
//! Fails: it cannot. Proved by: the tests here and `tests/onboarding`.

use super::codes;
use super::dictionary::Dictionary;
use super::needs::Needs;
use super::report::{Findings, Severity, Spot};
use crate::delivery::outcome::Outcome;
use crate::delivery::record::Difference;
use crate::mapping::Mapping;
use crate::servicenow::differences::differences;
use crate::servicenow::wire::rows::Row;

/// What a comparison is made against.
pub(super) struct Compared<'a> {
    pub(super) needs: &'a Needs,
    pub(super) mapping: &'a Mapping,
    pub(super) dictionary: &'a Dictionary,
    /// How the message begins, such as `when it is resolved, `.
    pub(super) when: &'a str,
}

/// Reports every field that was stored otherwise.
pub(super) fn stored(about: &Compared<'_>, asked: &[(String, String)], row: &Row, findings: &mut Findings) {
    let Compared { needs, mapping, .. } = about;
    for difference in differences(asked, row) {
        let field = difference.field.as_str();
        let mapped = needs.written.iter().any(|need| need.name == field);
        if field == "sys_id" || !mapped {
            // Our own key has a finding of its own; a title that only the test writes is nobody's need.
            continue;
        }
        let wants = mapping.wants();
        let spot = wants.place_of(field).map(|place| Spot::new(&wants.file, place));
        let (severity, code) = code_of(&difference);
        let subject = format!("{}.{field}", needs.table);
        let message = format!("{}{}", about.when, in_words(&difference));
        let found = findings.add(severity, code, &subject, message).at(spot.as_ref());
        if code == codes::STORED_OTHERWISE {
            found.remedy(remedy(&difference, about.dictionary));
        }
    }
}

fn code_of(difference: &Difference) -> (Severity, &'static codes::Code) {
    let cut = difference.reason.starts_with("cut ");
    match difference.field.as_str() {
        _ if difference.stored.is_none() => (Severity::Error, codes::UNREADABLE),
        "correlation_id" => (Severity::Error, codes::CORRELATION_NOT_KEPT),
        "correlation_display" => (Severity::Warning, codes::MARK_NOT_KEPT),
        // Computed, as everybody knows; the rest of the ticket is right.
        "priority" => (Severity::Warning, codes::STORED_OTHERWISE),
        _ if cut => (Severity::Error, codes::TOO_SHORT),
        _ => (Severity::Error, codes::STORED_OTHERWISE),
    }
}

fn in_words(difference: &Difference) -> String {
    let Difference { field, asked, stored, reason } = difference;
    match stored {
        Some(stored) => format!("`{field}`: asked `{}`, stored `{}`: {reason}", short(asked), short(stored)),
        None => format!("`{field}`: asked `{}`, nothing came back: {reason}", short(asked)),
    }
}

fn short(text: &str) -> String {
    const CHARS: usize = 60;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// What to do, as far as the dictionary narrows it down.
fn remedy(difference: &Difference, dictionary: &Dictionary) -> String {
    let field = difference.field.as_str();
    let column = dictionary.columns.as_ref().and_then(|columns| columns.get(field));
    let choices = dictionary.choices.as_ref().and_then(|choices| choices.get(field));
    if field == "priority" {
        return "Leave `priority` out of the mapping: the instance computes it from impact and urgency.".to_owned();
    }
    if let Some(choices) = choices.filter(|choices| choices.iter().all(|choice| choice.value != difference.asked)) {
        let list: Vec<&str> =
            choices.iter().filter(|choice| choice.active).map(|choice| choice.value.as_str()).collect();
        return format!("Write one of `{}`, or add the choice.", list.join("`, `"));
    }
    match column {
        Some(column) if column.read_only => codes::READ_ONLY.remedy.to_owned(),
        Some(_) => format!(
            "Give the integration user write access to `{field}` (a field access rule is the likely cause), or stop the \
             rule that changes it."
        ),
        None => codes::STORED_OTHERWISE.remedy.to_owned(),
    }
}

/// What an administrator can do about a refusal, if its words tell.
pub(super) fn remedy_of_refusal(outcome: &Outcome, dictionary: &Dictionary) -> Option<String> {
    match outcome.code.as_str() {
        "http_403_data_policy" => Some(remedy_of_policy(&outcome.detail, dictionary)),
        "http_403_business_rule" => Some(
            "Open the business rule that the message names; let it pass tickets of the integration user, or map the \
             field that it wants."
                .to_owned(),
        ),
        "http_403_acl" => Some(
            "Give the integration user the right to make, read and change tickets: `sn_incident_write` for incidents."
                .to_owned(),
        ),
        _ => None,
    }
}

/// A data policy names labels; the dictionary knows their columns.
fn remedy_of_policy(detail: &str, dictionary: &Dictionary) -> String {
    let list = detail.rsplit_once("mandatory:").map(|(_, list)| list);
    let single = detail.rsplit_once("Exception:").and_then(|(_, rest)| rest.trim().strip_suffix("is mandatory"));
    let labels = list.or(single).unwrap_or_default();
    let column = |label: &str| {
        let columns = dictionary.columns.iter().flatten();
        columns.filter(|(_, column)| column.label.eq_ignore_ascii_case(label)).map(|(name, _)| name.clone()).next()
    };
    let named: Vec<String> = labels
        .split(',')
        .map(str::trim)
        .filter(|label| !label.is_empty())
        .map(|label| {
            column(label).map_or_else(|| format!("\u{201c}{label}\u{201d}"), |name| format!("`{name}` ({label})"))
        })
        .collect();
    if named.is_empty() {
        "Map the fields that the message names as mandatory.".to_owned()
    } else {
        format!("Map {} in the mapping.", named.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::dictionary::Column;
    use super::*;
    use crate::delivery::outcome::Class;

    #[test]
    fn a_data_policys_labels_become_columns() {
        let column = |label: &str| Column { label: label.to_owned(), ..Column::default() };
        let columns = [("close_code".to_owned(), column("Resolution code"))].into_iter().collect();
        let dictionary = Dictionary { columns: Some(columns), ..Dictionary::default() };
        let remedy = |detail: &str| {
            let outcome = Outcome::new(Class::Refused, "http_403_data_policy").with_detail(detail);
            remedy_of_refusal(&outcome, &dictionary).unwrap()
        };
        assert_eq!(
            remedy("Data Policy Exception: The following fields are mandatory: Resolution code, Close notes"),
            "Map `close_code` (Resolution code) and \u{201c}Close notes\u{201d} in the mapping."
        );
        assert_eq!(
            remedy("Data Policy Exception: Resolution code is mandatory"),
            "Map `close_code` (Resolution code) in the mapping."
        );
        assert_eq!(remedy("odd"), "Map the fields that the message names as mandatory.");
    }
}
