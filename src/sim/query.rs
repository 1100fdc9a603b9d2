//! Encoded queries: `active=true^stateIN1,2^ORpriority=1^NQnumber=INC1^ORDERBYDESCsys_updated_on`.
//!
//! Owns: reading the text and the meaning of each operator. Never: decides which rows a caller may see.
//! Fails: a part that means nothing is collected in [`Query::invalid`]; the caller's regime says what follows.
//! Proved by: the tables below.
//!
//! Operators and joins: "Table API" reference (`c_TableAPI.md`), facts/servicenow 1.2. `^^` is a literal `^`
//! (facts/servicenow 8.18, general knowledge). Text compares without case, as the usual database collation does.

use std::cmp::Ordering;

use super::dates;

/// A parsed query: any of `alternatives`, each all of its groups, each group any of its conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) alternatives: Vec<Vec<Vec<Condition>>>,
    /// Column path and whether it descends.
    pub(super) order: Vec<(String, bool)>,
    /// Parts that name no readable column, or use an operator or a script we do not know.
    pub(super) invalid: Vec<String>,
}

/// One comparison. Operands are lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) path: String,
    pub(super) operator: Operator,
    pub(super) operand: String,
}

/// What a condition asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Is,
    IsNot,
    Contains,
    ContainsNot,
    StartsWith,
    EndsWith,
    In,
    NotIn,
    Empty,
    NotEmpty,
    Over,
    OverOrIs,
    Under,
    UnderOrIs,
    Between,
    On,
}

impl Operator {
    /// `query_range` covers these and sorting, `query_match` the others (facts/servicenow 1.2).
    const fn is_range(self) -> bool {
        match self {
            Self::Contains
            | Self::ContainsNot
            | Self::StartsWith
            | Self::EndsWith
            | Self::Over
            | Self::OverOrIs
            | Self::Under
            | Self::UnderOrIs
            | Self::Between => true,
            Self::Is | Self::IsNot | Self::In | Self::NotIn | Self::Empty | Self::NotEmpty | Self::On => false,
        }
    }
}

/// Longest first, so that `NOT IN` is not read as a column `NOT` and `>=` not as `>`.
const OPERATORS: &[(&str, Operator)] = &[
    ("ISNOTEMPTY", Operator::NotEmpty),
    ("STARTSWITH", Operator::StartsWith),
    ("ENDSWITH", Operator::EndsWith),
    ("NOT LIKE", Operator::ContainsNot),
    ("NOTLIKE", Operator::ContainsNot),
    ("CONTAINS", Operator::Contains),
    ("ISEMPTY", Operator::Empty),
    ("BETWEEN", Operator::Between),
    ("NOT IN", Operator::NotIn),
    ("LIKE", Operator::Contains),
    ("IN", Operator::In),
    ("ON", Operator::On),
    ("!=", Operator::IsNot),
    (">=", Operator::OverOrIs),
    ("<=", Operator::UnderOrIs),
    (">", Operator::Over),
    ("<", Operator::Under),
    ("=", Operator::Is),
];

/// What the reader of a query may ask its surroundings.
pub(super) struct Surroundings<'a> {
    /// Whether a column path exists and may be read.
    pub(super) knows: &'a dyn Fn(&str) -> bool,
    /// The caller's zone, minutes east of UTC, in which scripts are evaluated (facts/servicenow 1.10).
    pub(super) zone_minutes: i64,
    /// The caller's `sys_id`, for `javascript:gs.getUserID()`.
    pub(super) user: &'a str,
}

impl Query {
    /// Reads a query; never fails, see [`Query::invalid`].
    pub(super) fn parse(text: &str, around: &Surroundings<'_>) -> Self {
        let mut query = Self { alternatives: vec![Vec::new()], ..Self::default() };
        for part in split(text) {
            query.take(&part, around);
        }
        // An alternative whose every part was dropped matches everything, as an empty query does.
        query
    }

    fn take(&mut self, part: &str, around: &Surroundings<'_>) {
        if part.is_empty() || part == "EQ" {
            return;
        }
        if let Some(path) = part.strip_prefix("ORDERBYDESC") {
            self.order_by(path, true, around);
        } else if let Some(path) = part.strip_prefix("ORDERBY") {
            self.order_by(path, false, around);
        } else if let Some(rest) = part.strip_prefix("NQ") {
            self.alternatives.push(Vec::new());
            self.take(rest, around);
        } else if let Some(rest) = part.strip_prefix("OR") {
            self.join(rest, true, around);
        } else {
            self.join(part, false, around);
        }
    }

    fn order_by(&mut self, path: &str, descends: bool, around: &Surroundings<'_>) {
        if (around.knows)(path) {
            self.order.push((path.to_owned(), descends));
        } else {
            self.invalid.push(path.to_owned());
        }
    }

    fn join(&mut self, part: &str, or: bool, around: &Surroundings<'_>) {
        let Some(condition) = Condition::parse(part, around) else {
            self.invalid.push(part.to_owned());
            return;
        };
        if self.alternatives.is_empty() {
            self.alternatives.push(Vec::new());
        }
        if let Some(groups) = self.alternatives.last_mut() {
            match groups.last_mut() {
                Some(group) if or => group.push(condition),
                Some(_) | None => groups.push(vec![condition]),
            }
        }
    }

    /// Whether a row matches; `text_of` gives the text of a column path.
    pub(super) fn matches(&self, text_of: &dyn Fn(&str) -> String) -> bool {
        let holds = |condition: &Condition| condition.holds(&text_of(&condition.path));
        self.alternatives.iter().any(|groups| groups.iter().all(|group| group.iter().any(holds)))
    }

    /// The columns it sorts by or compares, which need `query_range`.
    pub(super) fn ranges(&self) -> impl Iterator<Item = &str> {
        let compared = self.alternatives.iter().flatten().flatten().filter(|condition| condition.operator.is_range());
        self.order.iter().map(|(path, _)| path.as_str()).chain(compared.map(|condition| condition.path.as_str()))
    }

    /// A condition that every match fulfils by equality: the handle for an index.
    pub(super) fn equalities(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let only = if self.alternatives.len() == 1 { self.alternatives.first() } else { None };
        only.into_iter().flatten().filter_map(|group| match group.as_slice() {
            [condition] if condition.operator == Operator::Is => {
                Some((condition.path.as_str(), vec![condition.operand.as_str()]))
            }
            [condition] if condition.operator == Operator::In => {
                Some((condition.path.as_str(), condition.operand.split(',').collect()))
            }
            _ => None,
        })
    }
}

impl Condition {
    fn parse(part: &str, around: &Surroundings<'_>) -> Option<Self> {
        let is_name =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_' || letter == '.';
        let end = part.find(|letter| !is_name(letter))?;
        let (path, rest) = part.split_at(end);
        let (word, operator) = OPERATORS.iter().find(|(word, _)| rest.starts_with(word))?;
        let operand = rest.strip_prefix(word)?;
        if path.is_empty() || !(around.knows)(path) {
            return None;
        }
        let operand = match operand.strip_prefix("javascript:") {
            Some(script) => evaluate(script, around)?,
            None => operand.to_owned(),
        };
        Some(Self { path: path.to_owned(), operator: *operator, operand: operand.to_lowercase() })
    }

    fn holds(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let operand = self.operand.as_str();
        let listed = || operand.split(',').any(|item| item.trim() == text);
        match self.operator {
            Operator::Is => text == operand,
            Operator::IsNot => text != operand,
            Operator::Contains => text.contains(operand),
            Operator::ContainsNot => !text.contains(operand),
            Operator::StartsWith => text.starts_with(operand),
            Operator::EndsWith => text.ends_with(operand),
            Operator::In => listed(),
            Operator::NotIn => !listed(),
            Operator::Empty => text.is_empty(),
            Operator::NotEmpty => !text.is_empty(),
            // An empty column is NULL in the database, and NULL is neither over nor under anything.
            Operator::Over => !text.is_empty() && compare(&text, operand).is_gt(),
            Operator::OverOrIs => !text.is_empty() && compare(&text, operand).is_ge(),
            Operator::Under => !text.is_empty() && compare(&text, operand).is_lt(),
            Operator::UnderOrIs => !text.is_empty() && compare(&text, operand).is_le(),
            Operator::Between => operand.split_once('@').is_some_and(|(low, high)| {
                !text.is_empty() && compare(&text, low).is_ge() && compare(&text, high).is_le()
            }),
            Operator::On => operand.split('@').next().is_some_and(|day| !day.is_empty() && text.starts_with(day)),
        }
    }
}

/// Numbers by size, everything else (raw date-times among it) by text.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => left.cmp(right),
    }
}

/// Splits at `^`, reading `^^` as a literal one.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '^' && letters.next_if_eq(&'^').is_none() {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

/// The two script expressions integrations send; any other is an invalid part.
fn evaluate(script: &str, around: &Surroundings<'_>) -> Option<String> {
    if script.trim_end_matches(';') == "gs.getUserID()" {
        return Some(around.user.to_owned());
    }
    let arguments = script.strip_prefix("gs.dateGenerate(")?.strip_suffix(')')?;
    let (day, time) = arguments.split_once(',')?;
    let bare = |text: &str| text.trim().trim_matches(['\'', '"']).to_owned();
    // Evaluated in the session user's zone, compared in UTC.
    dates::shift(&format!("{} {}", bare(day), bare(time)), -around.zone_minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &[(&str, &str)] = &[
        ("number", "INC0010001"),
        ("state", "2"),
        ("priority", "10"),
        ("short_description", "Room A^B is Offline"),
        ("sys_updated_on", "2026-11-22 06:00:00"),
        ("caller_id.email", "abel@example.com"),
        ("close_code", ""),
    ];

    fn parse(text: &str) -> Query {
        let knows = |path: &str| ROW.iter().any(|(column, _)| *column == path);
        Query::parse(text, &Surroundings { knows: &knows, zone_minutes: 60, user: "me" })
    }

    fn check(text: &str, expected: bool) {
        let text_of = |path: &str| {
            ROW.iter().find(|(column, _)| *column == path).map_or(String::new(), |(_, value)| (*value).to_owned())
        };
        assert_eq!(parse(text).matches(&text_of), expected, "{text}");
    }

    #[test]
    fn each_operator_holds_and_fails() {
        for (text, expected) in [
            ("state=2", true),
            ("state=3", false),
            ("number=inc0010001", true),
            ("state!=2", false),
            ("short_descriptionLIKEoffline", true),
            ("short_descriptionNOT LIKEoffline", false),
            ("numberSTARTSWITHINC", true),
            ("numberENDSWITH0002", false),
            ("priority>9", true),
            ("priority>=10", true),
            ("priority<10", false),
            ("priority<=10", true),
            ("stateIN1,2,3", true),
            ("stateNOT IN1,2", false),
            ("close_codeISEMPTY", true),
            ("close_codeISNOTEMPTY", false),
            ("close_code<5", false),
            ("priorityBETWEEN5@15", true),
            ("sys_updated_onON2026-11-22@start@end", true),
            ("sys_updated_on>2026-11-22 05:59:59", true),
            ("caller_id.email=abel@example.com", true),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn or_binds_to_the_condition_before_and_nq_starts_anew() {
        check("state=3^ORstate=2^priority=10", true);
        check("state=3^ORstate=4^priority=10", false);
        check("state=3^NQnumber=INC0010001", true);
        check("", true);
        check("state=2^EQ", true);
    }

    #[test]
    fn a_doubled_caret_is_a_caret() {
        check("short_description=Room A^^B is Offline", true);
        check("short_description=Room A^B is Offline", false);
    }

    #[test]
    fn scripts_are_read_in_the_users_zone() {
        check("sys_updated_on>=javascript:gs.dateGenerate('2026-11-22','07:00:00')", true);
        check("sys_updated_on>javascript:gs.dateGenerate('2026-11-22','07:00:00')", false);
    }

    #[test]
    fn parts_without_meaning_are_listed() {
        let query = parse("bogus=1^state=2^numberRESEMBLESx^ORDERBYnothing^state=javascript:evil()");
        assert_eq!(query.invalid, ["bogus=1", "numberRESEMBLESx", "nothing", "state=javascript:evil()"]);
        check("bogus=1", true);
    }

    #[test]
    fn order_is_kept_in_sequence() {
        let order = parse("ORDERBYstate^ORDERBYDESCnumber").order;
        assert_eq!(order, [("state".to_owned(), false), ("number".to_owned(), true)]);
    }
}
