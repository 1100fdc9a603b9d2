//! What the instance itself says about its tables: columns, choices, data policies, over the table's whole ancestry.
//!
//! Owns: reading them, each at most once, and what is believed of the answers. Never: judges (that is `judge`).
//! Fails: what may not be read is `None`, with a warning; a check goes on without. Proved by: `tests/onboarding`.

use std::collections::BTreeMap;

use super::codes;
use super::desk::Desk;
use super::report::Findings;
use super::way;
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::id::SysId;
use crate::limits::{CHECK_ROWS_MAX, TABLE_ANCESTORS_MAX};
use crate::servicenow::wire::query::Query;
use crate::servicenow::wire::rows::Row;
use crate::servicenow::wire::text::UnsafeText;

/// A column as the dictionary describes it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of the dictionary's own")]
pub(super) struct Column {
    pub(super) label: String,
    /// `string`, `integer`, `reference`, `journal_input`, …
    pub(super) kind: String,
    pub(super) chars: Option<usize>,
    pub(super) mandatory: bool,
    pub(super) read_only: bool,
    pub(super) active: bool,
    pub(super) reference: Option<String>,
    pub(super) default: bool,
    /// The column whose value decides which choices forms offer.
    pub(super) depends_on: Option<String>,
}

/// A choice of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) active: bool,
    /// The value of the other column with which forms offer it.
    pub(super) dependent: Option<String>,
}

/// A data policy that is switched on.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) condition: String,
    pub(super) mandatory: Vec<String>,
    pub(super) read_only: Vec<String>,
}

/// Everything that was read; `None` for what may not be.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The table, and those it is made of, the nearest first.
    pub(super) tables: Vec<String>,
    pub(super) columns: Option<BTreeMap<String, Column>>,
    pub(super) choices: Option<BTreeMap<String, Vec<Choice>>>,
    pub(super) policies: Option<Vec<Policy>>,
}

const DICTIONARY: &str = "sys_dictionary";
const DICTIONARY_COLUMNS: [&str; 12] = [
    "name",
    "element",
    "column_label",
    "internal_type",
    "max_length",
    "mandatory",
    "read_only",
    "active",
    "reference",
    "default_value",
    "virtual",
    "dependent_on_field",
];
const CHOICE: &str = "sys_choice";
const CHOICE_COLUMNS: [&str; 7] = ["name", "element", "value", "label", "language", "inactive", "dependent_value"];
const POLICY: &str = "sys_data_policy2";
const POLICY_COLUMNS: [&str; 5] = ["model_table", "active", "conditions", "inherit", "short_description"];
const POLICY_RULE: &str = "sys_data_policy_rule";
const POLICY_RULE_COLUMNS: [&str; 4] = ["sys_data_policy", "field", "mandatory", "disabled"];

/// The table whose columns every ticket table has, where the ancestry itself cannot be read.
const TASK: &str = "task";

/// Reads everything about a table. `choices_of` are the columns whose choices matter.
pub(super) async fn read(desk: &Desk<'_>, table: &str, choices_of: &[&str], findings: &mut Findings) -> Dictionary {
    let tables = match ancestry(desk, table).await {
        Ok(tables) => tables,
        Err(outcome) => {
            unreadable(&outcome, codes::NO_DICTIONARY, "sys_db_object", findings);
            vec![table.to_owned(), TASK.to_owned()]
        }
    };
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    let columns = match columns(desk, &names).await {
        Ok(columns) => columns,
        Err(outcome) => {
            unreadable(&outcome, codes::NO_DICTIONARY, DICTIONARY, findings);
            None
        }
    };
    if columns.is_none() && !findings.has(codes::NO_DICTIONARY, DICTIONARY) {
        findings.warning(codes::NO_DICTIONARY, DICTIONARY, format!("no column of {table} is described to us"));
    }
    let choices = match choices(desk, &names, choices_of).await {
        Ok(choices) => choices,
        Err(outcome) => {
            unreadable(&outcome, codes::NO_CHOICES, CHOICE, findings);
            None
        }
    };
    if choices.is_none() && !findings.has(codes::NO_CHOICES, CHOICE) {
        findings.warning(codes::NO_CHOICES, CHOICE, format!("no choice of {table} is shown to us"));
    }
    let policies = match policies(desk, &names).await {
        Ok(policies) => Some(policies),
        Err(outcome) => {
            unreadable(&outcome, codes::NO_POLICIES, POLICY, findings);
            None
        }
    };
    Dictionary { tables, columns, choices, policies }
}

/// The same, of the tables an ancestry is made of, for a table that is only looked up in.
pub(super) async fn ancestry(desk: &Desk<'_>, table: &str) -> Result<Vec<String>, Outcome> {
    const COLUMNS: [&str; 2] = ["name", "super_class"];
    let mut tables = vec![table.to_owned()];
    let mut query = Query::new().is("name", table);
    for _ in 0..TABLE_ANCESTORS_MAX {
        let rows = desk.client.records(desk.permit().await?, ("sys_db_object", &COLUMNS), query, 2).await?;
        let Ok([row]) = <[Row; 1]>::try_from(rows) else { break };
        let Some(name) = row.get("name").filter(|name| !name.is_empty()) else { break };
        if tables.last().is_some_and(|last| last != name) {
            tables.push(name.to_owned());
        }
        let Some(parent) = row.get("super_class").filter(|parent| !parent.is_empty()) else { break };
        query = match SysId::parse(parent) {
            Ok(key) => Ok(Query::new().refers_to("sys_id", &[key])),
            Err(_) => Query::new().is("name", parent),
        };
    }
    // Whoever may not see its own table here sees nothing of the ancestry.
    if tables.len() == 1 && table != TASK {
        tables.push(TASK.to_owned());
    }
    Ok(tables)
}

async fn columns(desk: &Desk<'_>, tables: &[&str]) -> Result<Option<BTreeMap<String, Column>>, Outcome> {
    let query = Query::new().is_one_of("name", tables);
    let rows =
        desk.client.records(desk.permit().await?, (DICTIONARY, &DICTIONARY_COLUMNS), query, CHECK_ROWS_MAX).await?;
    let mut columns: BTreeMap<String, (usize, Column)> = BTreeMap::new();
    for row in &rows {
        let depth = row.get("name").and_then(|name| tables.iter().position(|table| *table == name));
        let element = row.get("element").filter(|element| !element.is_empty());
        let Some((depth, element)) = depth.zip(element) else { continue };
        // A child's own entry counts more than that of the table it is made of.
        if columns.get(element).is_none_or(|(known, _)| depth < *known) {
            columns.insert(element.to_owned(), (depth, column(row)));
        }
    }
    let columns: BTreeMap<_, _> = columns.into_iter().map(|(name, (_, column))| (name, column)).collect();
    Ok((!columns.is_empty()).then_some(columns))
}

fn column(row: &Row) -> Column {
    let text = |column| row.get(column).unwrap_or_default().to_owned();
    let flag = |column| row.get(column) == Some("true");
    Column {
        label: text("column_label"),
        kind: text("internal_type"),
        chars: row.get("max_length").and_then(|text| text.replace(',', "").parse().ok()),
        mandatory: flag("mandatory"),
        read_only: flag("read_only"),
        active: row.get("active") != Some("false"),
        reference: row.get("reference").filter(|table| !table.is_empty()).map(ToOwned::to_owned),
        default: row.get("default_value").is_some_and(|value| !value.is_empty()),
        depends_on: row.get("dependent_on_field").filter(|column| !column.is_empty()).map(ToOwned::to_owned),
    }
}

/// The choices of these columns; `None` if no choice of any is shown.
pub(super) async fn choices(
    desk: &Desk<'_>,
    tables: &[&str],
    elements: &[&str],
) -> Result<Option<BTreeMap<String, Vec<Choice>>>, Outcome> {
    let wanted = || Query::new().is_one_of("name", tables)?.is_one_of("element", elements);
    let english = || wanted()?.is("language", "en");
    let read = async |query: Result<Query, UnsafeText>| {
        desk.client.records(desk.permit().await?, (CHOICE, &CHOICE_COLUMNS), query, CHECK_ROWS_MAX).await
    };
    let mut rows = read(english()).await?;
    if rows.is_empty() {
        // An instance without English: values are the same in every language.
        rows = read(wanted()).await?;
    }
    let mut found: BTreeMap<String, BTreeMap<usize, Vec<Choice>>> = BTreeMap::new();
    for row in &rows {
        let depth = row.get("name").and_then(|name| tables.iter().position(|table| *table == name));
        let element = row.get("element").filter(|element| elements.contains(element));
        let Some((depth, element)) = depth.zip(element) else { continue };
        let text = |column| row.get(column).unwrap_or_default().to_owned();
        let choice = Choice {
            value: text("value"),
            label: text("label"),
            active: row.get("inactive") != Some("true"),
            dependent: row.get("dependent_value").filter(|value| !value.is_empty()).map(ToOwned::to_owned),
        };
        let of_table = found.entry(element.to_owned()).or_default().entry(depth).or_default();
        if of_table.iter().all(|known| known.value != choice.value) {
            of_table.push(choice);
        }
    }
    // A table with choices of its own for a column takes none over.
    let nearest = |by_depth: BTreeMap<usize, Vec<Choice>>| by_depth.into_values().next().unwrap_or_default();
    let choices: BTreeMap<_, _> = found.into_iter().map(|(element, by_depth)| (element, nearest(by_depth))).collect();
    Ok((!choices.is_empty()).then_some(choices))
}

async fn policies(desk: &Desk<'_>, tables: &[&str]) -> Result<Vec<Policy>, Outcome> {
    let query = Query::new().is_one_of("model_table", tables);
    let rows = desk.client.records(desk.permit().await?, (POLICY, &POLICY_COLUMNS), query, CHECK_ROWS_MAX).await?;
    let applies = |row: &&Row| {
        let depth = row.get("model_table").and_then(|name| tables.iter().position(|table| *table == name));
        let inherited = row.get("inherit") == Some("true");
        row.get("active") != Some("false") && depth.is_some_and(|depth| depth == 0 || inherited)
    };
    let rows: Vec<&Row> = rows.iter().filter(applies).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<SysId> = rows.iter().map(|row| row.sys_id.clone()).collect();
    let query = Ok(Query::new().refers_to("sys_data_policy", &keys));
    let permit = desk.permit().await?;
    let rules = desk.client.records(permit, (POLICY_RULE, &POLICY_RULE_COLUMNS), query, CHECK_ROWS_MAX).await?;
    let fields = |policy: &Row, flag: &str| -> Vec<String> {
        let own = rules.iter().filter(|rule| rule.key("sys_data_policy").as_ref() == Some(&policy.sys_id));
        let on = own.filter(|rule| rule.get(flag) == Some("true"));
        on.filter_map(|rule| rule.get("field").map(ToOwned::to_owned)).collect()
    };
    let policy = |row: &Row| Policy {
        name: row.get("short_description").unwrap_or_default().to_owned(),
        condition: row.get("conditions").unwrap_or_default().to_owned(),
        mandatory: fields(row, "mandatory"),
        read_only: fields(row, "disabled"),
    };
    Ok(rows.into_iter().map(policy).collect())
}

/// What may not be read is a warning, whatever else goes wrong an error of the way.
fn unreadable(outcome: &Outcome, code: &'static codes::Code, table: &str, findings: &mut Findings) {
    let denied = outcome.status.is_some_and(|status| (400..500).contains(&status))
        && !matches!(outcome.class, Class::Unauthorized | Class::Throttled | Class::Crowded);
    if denied {
        let said = way::said(outcome);
        findings.warning(code, table, format!("{table} may not be read: {said}"));
    } else {
        way::failed(outcome, table, findings);
    }
}
