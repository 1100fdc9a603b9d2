//! Mistakes in the records a mapping looks up, and in the rows the user may see.
//!
//! Owns: see the table below. Fails: if there is no such table or record. Proved by: `tests/misconfigured`.

use super::super::instance::Instance;
use super::super::store::{set, value as cell};
use super::super::switches::{InvalidQuery, Unreadable};
use super::Apply::{Change, Switch};
use super::{Known, known, table};

pub(super) const KNOWN: &[Known] = &[
    known(
        "record_missing",
        "sys_user_group:AV Support",
        "the record of that name does not exist",
        Change(record_missing),
    ),
    known(
        "record_inactive",
        "sys_user_group:AV Support",
        "the record of that name is switched off",
        Change(record_inactive),
    ),
    known("record_twice", "sys_user_group:AV Support", "two records have that name", Change(record_twice)),
    known("table_refused", "sys_dictionary", "the user may not read the table and is told so", Change(table_refused)),
    known("table_hidden", "sys_user_group", "the user sees no row of the table", Change(table_hidden)),
    known(
        "journal_hidden",
        "",
        "the user sees no row of sys_journal_field",
        Switch(|switches, _| switches.journal_readable = false),
    ),
    known(
        "tickets_unreadable",
        "",
        "the user may write tickets and not read them; a create that succeeded answers 403",
        Switch(|switches, _| switches.tickets_unreadable = true),
    ),
    known(
        "domain_hides",
        "",
        "new tickets move to a domain that the user does not see",
        Switch(|switches, _| switches.new_tickets_move_away = true),
    ),
    known(
        "query_rule",
        "contact_type=phone",
        "a before-query rule hides the tickets that this does not match",
        Switch(|switches, value| switches.query_rule = Some(value.to_owned())),
    ),
    known(
        "queries_refused",
        "",
        "a query on a column that may not be read is refused, not ignored",
        Switch(|switches, _| switches.invalid_query = InvalidQuery::Refused),
    ),
    known(
        "queries_empty",
        "",
        "a query on a column that may not be read finds nothing (glide.invalid_query.returns_no_rows)",
        Switch(|switches, _| switches.invalid_query = InvalidQuery::NoRows),
    ),
];

/// Table and id of `table:name`.
fn record<'v>(instance: &Instance, value: &'v str) -> Result<(&'v str, String), String> {
    let (name, shown) = value.split_once(':').ok_or("say `table:name`")?;
    let name = table(instance, name)?;
    let display = instance.dictionary.table(name).map_or("name", |table| table.display);
    let found = instance.find(name, display, shown).into_iter().next();
    found.map(|id| (name, id)).ok_or_else(|| format!("{name} has no `{shown}`"))
}

fn record_missing(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (table, id) = record(instance, value)?;
    instance.store.remove(table, &id);
    Ok(())
}

fn record_inactive(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (table, id) = record(instance, value)?;
    if instance.dictionary.table(table).and_then(|table| table.column("active")).is_none() {
        return Err(format!("{table} has no column `active`"));
    }
    instance.edit_silently(table, &id, &[("active", "false")]);
    Ok(())
}

fn record_twice(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (table, id) = record(instance, value)?;
    let mut twin = instance.record(table, &id).unwrap_or_default();
    debug_assert_eq!(cell(&twin, "sys_id"), id, "it was just found");
    let fresh = instance.ids.hex32();
    set(&mut twin, "sys_id", fresh);
    // The id is fresh, so there is nothing it could collide with.
    let inserted = instance.store.insert(table, twin);
    debug_assert!(inserted.is_ok(), "a drawn id is new");
    Ok(())
}

fn table_refused(instance: &mut Instance, value: &str) -> Result<(), String> {
    unreadable(instance, value, Unreadable::Refused)
}

fn table_hidden(instance: &mut Instance, value: &str) -> Result<(), String> {
    unreadable(instance, value, Unreadable::Hidden)
}

fn unreadable(instance: &mut Instance, value: &str, how: Unreadable) -> Result<(), String> {
    let name = table(instance, value)?.to_owned();
    instance.switches.unreadable_tables.insert(name, how);
    Ok(())
}
