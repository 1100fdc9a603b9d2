//! What ServiceNow stored otherwise than asked. It answers `200` to all of it and keeps silent.
//!
//! Unknown columns, columns without write access, values that are no choice, too long text: each is a column of the answer
//! that is missing or says something else (`facts/servicenow.md` 1.5). The reason given is the likely one, in words for
//! whoever keeps the mapping.

use super::wire::calls::Fields;
use super::wire::rows::Row;
use crate::delivery::record::Difference;

/// They always read back empty: what they hold is a journal, elsewhere.
const JOURNAL_FIELDS: [&str; 3] = ["comments", "work_notes", "comments_and_work_notes"];

/// Compares what was asked with the row that came back.
pub fn differences(asked: &Fields, stored: &Row) -> Vec<Difference> {
    asked
        .iter()
        .filter(|(field, _)| !JOURNAL_FIELDS.contains(&field.as_str()))
        .filter_map(|(field, wanted)| {
            let found = stored.get(field);
            if found.is_some_and(|found| same(wanted, found)) {
                return None;
            }
            Some(Difference {
                field: field.clone(),
                asked: wanted.clone(),
                stored: found.map(ToOwned::to_owned),
                reason: reason(field, wanted, found),
            })
        })
        .collect()
}

/// Whether two spellings are one value: line ends and outer white space are the instance's to choose, and a boolean may
/// be sent as a number.
fn same(wanted: &str, found: &str) -> bool {
    let lines = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
    let boolean = matches!((wanted, found), ("1", "true") | ("0", "false"));
    wanted == found || boolean || lines(wanted) == lines(found)
}

/// Whether what is stored is what was asked, in the instance's own spelling or cut to the column's length.
pub fn respelled(wanted: &str, stored: &str) -> bool {
    same(wanted, stored) || (!stored.is_empty() && wanted.trim_start().starts_with(stored.trim()))
}

fn reason(field: &str, wanted: &str, found: Option<&str>) -> String {
    let Some(found) = found else {
        return "the table has no such column, or the integration user may not read it".to_owned();
    };
    let cut = !found.is_empty() && wanted.trim_start().starts_with(found.trim());
    match field {
        "sys_id" => "the instance gives records keys of its own".to_owned(),
        "correlation_id" | "correlation_display" if found.is_empty() => {
            "the integration user may not write it: the ticket cannot be found again by its key".to_owned()
        }
        "priority" => "the instance computes it from impact and urgency".to_owned(),
        _ if cut => format!("cut to the column's {} characters", found.chars().count()),
        _ if wanted.is_empty() => "a choice cannot be cleared, or a rule fills it".to_owned(),
        _ if found.is_empty() => {
            "not accepted: no write access, not one of the choices, or not of the column's type".to_owned()
        }
        _ => "kept or given another value: no write access, not one of the choices, or a rule changed it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::id::SysId;

    fn row(pairs: &[(&str, &str)]) -> Row {
        let fields: BTreeMap<_, _> =
            pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
        Row { sys_id: SysId::from_bits(7), number: String::new(), fields, displays: BTreeMap::new() }
    }

    fn check(field: &str, wanted: &str, found: Option<&str>, expected: Option<&str>) {
        let stored = found.map_or_else(|| row(&[]), |found| row(&[(field, found)]));
        let told = differences(&[(field.to_owned(), wanted.to_owned())], &stored);
        let reasons: Vec<_> = told.iter().map(|difference| difference.reason.as_str()).collect();
        match expected {
            None => assert!(reasons.is_empty(), "{field}: {reasons:?}"),
            Some(expected) => assert!(reasons.len() == 1 && reasons[0].contains(expected), "{field}: {reasons:?}"),
        }
    }

    #[test]
    fn each_silent_loss_has_its_likely_reason() {
        check("state", "2", Some("2"), None);
        check("u_typo", "x", None, Some("no such column"));
        check("short_description", "a long text", Some("a long"), Some("cut to the column's 6 characters"));
        check("category", "rooms", Some("inquiry"), Some("not one of the choices"));
        check("category", "rooms", Some(""), Some("not accepted"));
        check("category", "", Some("inquiry"), Some("cannot be cleared"));
        check("priority", "1", Some("3"), Some("computes it"));
        check("correlation_id", "sg1-x", Some(""), Some("cannot be found again"));
        check("sys_id", "a", Some("b"), Some("keys of its own"));
    }

    #[test]
    fn another_spelling_of_the_same_value_is_no_difference() {
        check("description", "a\nb\n", Some("a\r\nb"), None);
        check("active", "1", Some("true"), None);
        check("knowledge", "0", Some("false"), None);
        check("close_notes", "", Some(""), None);
    }

    #[test]
    fn journal_fields_always_read_back_empty() {
        for field in JOURNAL_FIELDS {
            check(field, "a comment", Some(""), None);
            check(field, "a comment", None, None);
        }
    }

    #[test]
    fn what_was_asked_and_stored_is_told_as_it_was() {
        let asked = [("impact".to_owned(), "1".to_owned()), ("urgency".to_owned(), "1".to_owned())];
        let told = differences(&asked, &row(&[("impact", "1"), ("urgency", "2")]));
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].field.as_str(), told[0].asked.as_str(), told[0].stored.as_deref()),
            ("urgency", "1", Some("2"))
        );
    }
}
