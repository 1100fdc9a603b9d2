//! When a data policy applies: its condition, an encoded query, judged against the values that we would write. Pure.
//!
//! Owns: as much of the language as policies usually use. Never: guesses; what it does not know is `None`.
//! Fails: it cannot. Proved by: the table here.

/// Whether a condition holds; `None` if that cannot be told from the values that are known.
///
/// `^NQ` joins queries of which one must hold, `^` conditions that must all hold, `^OR` an alternative to the one before.
pub(super) fn holds<'v>(condition: &str, value: &dyn Fn(&str) -> Option<&'v str>) -> Option<bool> {
    let condition = condition.trim().trim_end_matches("^EQ");
    if condition.is_empty() {
        return Some(true);
    }
    any(condition.split("^NQ").map(|query| all(query, value)))
}

fn all<'v>(query: &str, value: &dyn Fn(&str) -> Option<&'v str>) -> Option<bool> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for part in query.split('^').filter(|part| !part.is_empty() && *part != "EQ") {
        match part.strip_prefix("OR").filter(|_| !part.starts_with("ORDERBY")) {
            Some(alternative) if !groups.is_empty() => {
                groups.last_mut().into_iter().for_each(|group| group.push(alternative));
            }
            Some(_) | None => groups.push(vec![part]),
        }
    }
    let mut unknown = false;
    for group in groups {
        match any(group.into_iter().map(|part| one(part, value))) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => unknown = true,
        }
    }
    if unknown { None } else { Some(true) }
}

/// Whether at least one holds; unknown only if none does and one is unknown.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    for part in parts {
        match part {
            Some(true) => return Some(true),
            Some(false) => {}
            None => unknown = true,
        }
    }
    if unknown { None } else { Some(false) }
}

fn one<'v>(part: &str, value: &dyn Fn(&str) -> Option<&'v str>) -> Option<bool> {
    let end = part.find(|letter: char| !(letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'))?;
    let (column, rest) = part.split_at_checked(end)?;
    let known = value(column);
    let in_list = |list: &str| known.map(|known| list.split(',').any(|one| one.trim() == known));
    if let Some(list) = rest.strip_prefix("NOT IN") {
        return in_list(list).map(|is| !is);
    }
    if let Some(list) = rest.strip_prefix("IN") {
        return in_list(list);
    }
    match rest {
        "ISEMPTY" => return known.map(str::is_empty),
        "ISNOTEMPTY" => return known.map(|known| !known.is_empty()),
        "ANYTHING" => return Some(true),
        _ => {}
    }
    if let Some(other) = rest.strip_prefix("!=") {
        return known.map(|known| known != other);
    }
    rest.strip_prefix('=').and_then(|other| known.map(|known| known == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: &str, expected: Option<bool>) {
        let value = |column: &str| match column {
            "state" => Some("6"),
            "close_code" => Some(""),
            _ => None,
        };
        assert_eq!(holds(condition, &value), expected, "{condition}");
    }

    #[test]
    fn what_can_be_told_is_told_and_nothing_is_guessed() {
        check("", Some(true));
        check("^EQ", Some(true));
        check("state=6", Some(true));
        check("state=6^ORstate=7^EQ", Some(true));
        check("state=7^ORstate=8", Some(false));
        check("stateIN6,7", Some(true));
        check("stateNOT IN6,7", Some(false));
        check("state!=6", Some(false));
        check("state=6^close_codeISEMPTY", Some(true));
        check("state=6^close_codeISNOTEMPTY", Some(false));
        check("state=6^category=network", None);
        check("state=7^category=network", Some(false));
        check("category=network^NQstate=6", Some(true));
        check("state=6^ORcategory=network", Some(true));
        check("stateSAMEASincident_state", None);
        check("stateANYTHING", Some(true));
        check("javascript:x", None);
    }
}
