//! What an instance says about a table, gathered for a starting mapping.
//!
//! Owns: which of its data policies concern a ticket that is opened, or resolved, and examples of records that mandatory
//! columns refer to. Never: writes to the instance; takes a name for a column that could be none. Fails: with findings, if
//! the instance cannot be reached or does not describe its columns. Proved by: `tests/onboarding`.

use super::codes;
use super::conditions;
use super::desk::Desk;
use super::dictionary::{self, Choice, Column, Dictionary};
use super::draft::{ChoiceFacts, ColumnFacts, TableFacts};
use super::report::{Findings, LiveFinding};
use super::way;
use crate::domain::time::SharedClock;
use crate::limits::DRAFT_EXAMPLES_MAX;
use crate::servicenow::client::Client;
use crate::servicenow::wire::query::Query;
use crate::tenants::Tenant;

/// Columns whose choices a draft uses; those of mandatory columns are read besides.
const CHOICES_OF: [&str; 8] =
    ["state", "impact", "urgency", "hold_reason", "close_code", "resolution_code", "contact_type", "category"];
const GROUPS: &str = "sys_user_group";

/// Reads everything a draft needs. The findings are warnings beside facts, and contain an error instead of them.
pub async fn gather(
    client: &Client,
    tenant: &Tenant,
    table: &str,
    clock: &SharedClock,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> (Option<TableFacts>, Vec<LiveFinding>) {
    let desk = Desk::new(client, clock, progress);
    let mut findings = Findings::default();
    let facts = read(&desk, tenant, table, &mut findings).await;
    let facts = facts.map(|facts| {
        let day: String = clock.now().to_string().chars().take(10).collect();
        TableFacts { source: format!("{} on {day}", tenant.settings().servicenow.instance.origin()), ..facts }
    });
    (facts, findings.sorted())
}

async fn read(desk: &Desk<'_>, tenant: &Tenant, table: &str, findings: &mut Findings) -> Option<TableFacts> {
    if !way::reach(desk, tenant, table, findings).await {
        return None;
    }
    desk.tell("reading its dictionary, choices and data policies");
    let dictionary = dictionary::read(desk, table, &CHOICES_OF, findings).await;
    let Some(columns) = &dictionary.columns else {
        findings.error(codes::NO_DICTIONARY, table, "without the dictionary there is nothing to draft from");
        return None;
    };
    let mut facts = TableFacts { table: table.to_owned(), ..TableFacts::default() };
    let known = columns.iter().filter(|(name, column)| column.active && is_name(name));
    facts.columns = known.map(|(name, column)| (name.clone(), column_facts(column))).collect();
    facts.choices = choices(dictionary.choices.iter().flatten());
    mandatory(&mut facts, &dictionary);
    more_choices(desk, &dictionary, &mut facts).await;
    desk.tell("looking for groups and examples");
    facts.groups = names(desk, GROUPS, "name", true).await;
    examples(desk, &mut facts).await;
    Some(facts)
}

fn column_facts(column: &Column) -> ColumnFacts {
    let Column { label, kind, chars, reference, .. } = column.clone();
    ColumnFacts { label, kind, chars, reference: reference.filter(|table| is_name(table)) }
}

/// Choices that are switched on. They come in no order; numbers have one of their own, labels that of the alphabet.
fn choices<'c>(
    read: impl Iterator<Item = (&'c String, &'c Vec<Choice>)>,
) -> std::collections::BTreeMap<String, Vec<ChoiceFacts>> {
    let sorted = |choices: &Vec<Choice>| {
        let active = choices.iter().filter(|choice| choice.active && !choice.value.is_empty());
        let mut choices: Vec<ChoiceFacts> =
            active.map(|choice| ChoiceFacts { value: choice.value.clone(), label: choice.label.clone() }).collect();
        choices.sort_by_key(|choice| (choice.value.parse::<i64>().unwrap_or(i64::MAX), choice.label.clone()));
        choices
    };
    read.map(|(column, choices)| (column.clone(), sorted(choices))).collect()
}

/// Sorts what data policies ask for by when they ask.
fn mandatory(facts: &mut TableFacts, dictionary: &Dictionary) {
    let (opened, resolved) = facts.landmarks();
    let holds = |condition: &str, state: &Option<String>| {
        let value = |column: &str| match column {
            "state" => state.as_deref(),
            "active" => Some("true"),
            _ => None,
        };
        conditions::holds(condition, &value)
    };
    for policy in dictionary.policies.iter().flatten() {
        for name in &policy.mandatory {
            let supplied =
                dictionary.columns.as_ref().and_then(|columns| columns.get(name)).is_none_or(|column| column.default);
            if supplied || !facts.columns.contains_key(name) {
                continue;
            }
            match (holds(&policy.condition, &opened), holds(&policy.condition, &resolved)) {
                (Some(true), _) => add(&mut facts.to_open, name),
                (Some(false), Some(true)) => add(&mut facts.to_resolve, name),
                (Some(false), Some(false)) => {}
                (None, _) | (_, None) => {
                    let why = format!("a data policy wants it while `{}`", policy.condition);
                    facts.sometimes.push((name.clone(), why));
                }
            }
        }
    }
    for (name, column) in dictionary.columns.iter().flatten() {
        let own = name.starts_with("sys_") || name == "number";
        if column.mandatory && !column.default && !own && !facts.to_open.contains(name) && is_name(name) {
            facts.sometimes.push((name.clone(), "forms insist on it".to_owned()));
        }
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// The choices of mandatory columns that are not among the usual ones. What cannot be read is filled by hand.
async fn more_choices(desk: &Desk<'_>, dictionary: &Dictionary, facts: &mut TableFacts) {
    let unread = |name: &&String| !CHOICES_OF.contains(&name.as_str());
    let columns: Vec<&str> = facts.to_open.iter().chain(&facts.to_resolve).filter(unread).map(String::as_str).collect();
    let tables: Vec<&str> = dictionary.tables.iter().map(String::as_str).collect();
    if !columns.is_empty()
        && let Ok(Some(read)) = dictionary::choices(desk, &tables, &columns).await
    {
        facts.choices.extend(choices(read.iter()));
    }
}

/// One record of each table that a mandatory column refers to.
async fn examples(desk: &Desk<'_>, facts: &mut TableFacts) {
    let wanted = facts.to_open.iter().chain(&facts.to_resolve).filter_map(|name| facts.columns.get(name));
    let mut tables: Vec<String> = wanted.filter_map(|column| column.reference.clone()).collect();
    tables.sort();
    tables.dedup();
    for table in tables {
        let by = if table == "sys_user" { "user_name" } else { "name" };
        let known = if table == GROUPS { facts.groups.clone() } else { names(desk, &table, by, false).await };
        if let Some(example) = known.into_iter().next() {
            facts.examples.insert(table, (by.to_owned(), example));
        }
    }
}

/// Some names; none if they may not be read.
async fn names(desk: &Desk<'_>, table: &str, by: &str, active: bool) -> Vec<String> {
    let query = if active { Query::new().is("active", "true") } else { Ok(Query::new()) };
    let Ok(permit) = desk.permit().await else { return Vec::new() };
    let rows = desk.client.records(permit, (table, &[by]), query, DRAFT_EXAMPLES_MAX).await.unwrap_or_default();
    let mut names: Vec<String> =
        rows.iter().filter_map(|row| row.get(by).filter(|name| !name.is_empty()).map(ToOwned::to_owned)).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether a name of the instance can be one of a table or column: it goes into a file as it is.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}
