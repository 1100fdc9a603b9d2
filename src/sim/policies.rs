//! Data policies, and the customer's rules that run before a record is stored.
//!
//! Owns: which columns must be filled when, rules that set a column, and the rule that refuses. They run for REST, for every
//! table; UI policies do not. Never: the incident's own rules (that is `rules`). Fails: with the refusal of facts/servicenow 1.7.
//! Proved by: the tests below. Source: facts/servicenow 1.7 ("Data policy", KB0813377) and 5.3.

use super::dictionary::Table;
use super::errors::Refusal;
use super::instance::Operation;
use super::query::{Query, Surroundings};
use super::random::sys_id_of;
use super::store::{Record, set, value};
use super::switches::{DataPolicy, Switches};

/// The policies of an instance: the base system's own, then the customer's.
pub(super) fn of(switches: &Switches) -> Vec<DataPolicy> {
    let mut policies = vec![DataPolicy {
        table: "incident".to_owned(),
        name: "Resolution information is mandatory".to_owned(),
        conditions: "stateIN6,7".to_owned(),
        mandatory: vec!["close_code".to_owned(), "close_notes".to_owned()],
        active: switches.resolve_data_policy,
    }];
    if !switches.mandatory_columns.is_empty() {
        policies.push(DataPolicy {
            table: "incident".to_owned(),
            name: "Always mandatory".to_owned(),
            conditions: String::new(),
            mandatory: switches.mandatory_columns.clone(),
            active: true,
        });
    }
    policies.extend(switches.data_policies.iter().cloned());
    policies
}

/// Lets the customer's "before" rules set what they insist on.
pub(super) fn rewrite(switches: &Switches, table: &Table, after: &mut Record) {
    for rule in
        switches.rewriting_rules.iter().filter(|rule| table.column(&rule.column).is_some() && rule.table == table.name)
    {
        set(after, &rule.column, rule.value.as_str());
    }
}

/// Asks every policy and the rule that refuses.
pub(super) fn judge(switches: &Switches, table: &Table, operation: Operation, after: &Record) -> Result<(), Refusal> {
    let missing = missing(switches, table, after);
    if !missing.is_empty() {
        return Err(Refusal::data_policy(&missing.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    match &switches.abort_rule {
        Some(rule)
            if table.name == "incident"
                && switches.abort_rule_on.is_none_or(|only| only == operation)
                && value(after, &rule.column).contains(&rule.contains) =>
        {
            Err(Refusal::aborted_by_rule(&table.name, &rule.name, &sys_id_of(&rule.name)))
        }
        Some(_) | None => Ok(()),
    }
}

/// The labels of the columns that are empty and must not be, each once.
fn missing(switches: &Switches, table: &Table, after: &Record) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for policy in of(switches).iter().filter(|policy| policy.active && policy.table == table.name) {
        if !holds(&policy.conditions, table, after) {
            continue;
        }
        for column in policy.mandatory.iter().filter_map(|name| table.column(name)) {
            if value(after, &column.name).is_empty() && !missing.contains(&column.label) {
                missing.push(column.label.clone());
            }
        }
    }
    missing
}

/// Whether a record matches an encoded query on columns of its own.
pub(super) fn holds(conditions: &str, table: &Table, record: &Record) -> bool {
    let knows = |path: &str| table.column(path).is_some();
    let around = Surroundings { knows: &knows, zone_minutes: 0, user: "" };
    Query::parse(conditions, &around).matches(&|path| value(record, path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::dictionary::Dictionary;
    use super::super::switches::{AbortRule, RewritingRule};
    use super::*;

    fn record(fields: &[(&str, &str)]) -> Record {
        fields.iter().map(|(column, text)| ((*column).to_owned(), (*text).to_owned())).collect()
    }

    /// The detail of the refusal, if there is one.
    fn check(switches: &Switches, operation: Operation, fields: &[(&str, &str)], expected: Option<&str>) {
        let dictionary = Dictionary::base(false);
        let table = dictionary.table("incident").expect("it is there");
        let judged = judge(switches, table, operation, &record(fields));
        assert_eq!(judged.err().and_then(|refusal| refusal.detail).as_deref(), expected, "{fields:?}");
    }

    #[test]
    fn resolving_needs_a_code_and_notes() {
        let detail = |labels: &str| format!("Data Policy Exception: \n\tThe following fields are mandatory: {labels}");
        let (both, notes) = (detail("Resolution code, Close notes"), detail("Close notes"));
        let base = Switches::default();
        check(&base, Operation::Update, &[("state", "6")], Some(&both));
        check(&base, Operation::Update, &[("state", "6"), ("close_code", "Duplicate")], Some(&notes));
        check(&base, Operation::Insert, &[("state", "2")], None);
        let older = Switches { resolve_data_policy: false, ..Switches::default() };
        check(&older, Operation::Update, &[("state", "6")], None);
    }

    #[test]
    fn a_customers_policy_names_labels_and_asks_while_its_conditions_hold() {
        let policy = DataPolicy {
            table: "incident".to_owned(),
            name: "Place and caller".to_owned(),
            conditions: "impact=1".to_owned(),
            mandatory: vec!["location".to_owned(), "caller_id".to_owned(), "u_gone".to_owned()],
            active: true,
        };
        let switches = Switches { data_policies: vec![policy], ..Switches::default() };
        let detail = "Data Policy Exception: \n\tThe following fields are mandatory: Location, Caller";
        check(&switches, Operation::Insert, &[("impact", "1")], Some(detail));
        check(&switches, Operation::Insert, &[("impact", "2")], None);
    }

    #[test]
    fn a_customers_rule_names_only_itself() {
        let rule = AbortRule {
            column: "short_description".to_owned(),
            contains: "TEST".to_owned(),
            name: "No tests here".to_owned(),
        };
        let mut switches = Switches { abort_rule: Some(rule), ..Switches::default() };
        let detail = format!(
            "Operation against file 'incident' was aborted by Business Rule 'No tests here^{}'. Business Rule Stack:No tests here",
            sys_id_of("No tests here")
        );
        check(&switches, Operation::Insert, &[("short_description", "a TEST")], Some(&detail));
        check(&switches, Operation::Insert, &[("short_description", "fine")], None);
        switches.abort_rule_on = Some(Operation::Update);
        check(&switches, Operation::Insert, &[("short_description", "a TEST")], None);
        check(&switches, Operation::Update, &[("short_description", "a TEST")], Some(&detail));
    }

    #[test]
    fn a_rule_that_rewrites_wins_over_what_was_sent() {
        let rule = |table: &str, column: &str| RewritingRule {
            table: table.to_owned(),
            column: column.to_owned(),
            value: "2".to_owned(),
        };
        let rewriting_rules = vec![rule("incident", "state"), rule("problem", "impact"), rule("incident", "u_gone")];
        let switches = Switches { rewriting_rules, ..Switches::default() };
        let mut after = record(&[("state", "1"), ("impact", "1")]);
        let dictionary = Dictionary::base(false);
        rewrite(&switches, dictionary.table("incident").expect("it is there"), &mut after);
        assert_eq!(after, record(&[("state", "2"), ("impact", "1")]));
    }
}
