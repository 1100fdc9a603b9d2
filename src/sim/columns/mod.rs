//! The tables and columns of the base system, as data.
//!
//! Owns: names, labels, types, lengths, choices and insert defaults; [`task`] the records people work on, [`platform`] what
//! describes and surrounds them. Never: behaviour. Fails: it cannot. Proved by: `tests`.
//!
//! Names and defaults: the samples of the Table API reference (`c_TableAPI.md`) and "Create an incident"; lengths:
//! `case-api.md` and `change-management-api.md` (facts/servicenow 5.1). Choices: facts/servicenow 5.2. Where no public
//! source gives a raw value (channel, subcategory, 40-character lengths) the usual base-system value is used.

mod platform;
mod task;

use super::dictionary::{Choice, Column, Kind, Table};

/// Every table of the base system.
pub(super) fn tables(old_close_codes: bool) -> Vec<Table> {
    let mut tables = task::tables(old_close_codes);
    tables.extend(platform::tables());
    tables
}

/// A column with the lengths and defaults most columns have; the chained calls below say what differs.
pub(super) fn column(name: &str, label: &str, kind: Kind) -> Column {
    let max_length = match kind {
        Kind::Reference(_) => 32,
        Kind::Journal | Kind::JournalView | Kind::List => 4_000,
        Kind::Text | Kind::Choice | Kind::Integer | Kind::Boolean | Kind::DateTime => 40,
    };
    Column {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        max_length,
        default: "",
        read_only: false,
        mandatory: false,
        depends_on: String::new(),
        home: String::new(),
        choices_home: String::new(),
        choices: Vec::new(),
    }
}

impl Column {
    const fn long(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn fixed(mut self) -> Self {
        self.read_only = true;
        self
    }

    fn of(mut self, choices: &[(&str, &str)]) -> Self {
        self.choices = choices.iter().map(|(value, label)| Choice::of(value, label, "")).collect();
        self
    }

    /// The table of the tree that defines the column, or overrides its choices.
    fn at(mut self, table: &str) -> Self {
        table.clone_into(&mut self.home);
        table.clone_into(&mut self.choices_home);
        self
    }
}

fn text(name: &str, label: &str, max_length: usize) -> Column {
    column(name, label, Kind::Text).long(max_length)
}

fn reference(name: &str, label: &str, table: &'static str) -> Column {
    column(name, label, Kind::Reference(table))
}

fn moment(name: &str, label: &str) -> Column {
    column(name, label, Kind::DateTime)
}

fn choices(name: &str, label: &str, of: &[(&str, &str)]) -> Column {
    column(name, label, Kind::Choice).of(of)
}

fn count(name: &str, label: &str) -> Column {
    column(name, label, Kind::Integer).or("0")
}

/// The columns every table has; writes to them are ignored ("typically cannot be updated", Table API reference).
fn system() -> Vec<Column> {
    vec![
        text("sys_id", "Sys ID", 32).fixed(),
        moment("sys_created_on", "Created").fixed(),
        text("sys_created_by", "Created by", 40).fixed(),
        moment("sys_updated_on", "Updated").fixed(),
        text("sys_updated_by", "Updated by", 40).fixed(),
        count("sys_mod_count", "Updates").fixed(),
        text("sys_tags", "Tags", 40).fixed(),
    ]
}

fn table(name: &str, label: &str, display: &'static str, own: Vec<Column>) -> Table {
    let mut columns = system();
    columns.extend(own);
    Table::new((name, label), display, columns)
}

fn simple((name, label): (&str, &str), display: &'static str, own: &[&str]) -> Table {
    table(name, label, display, own.iter().map(|column| text(column, column, 255)).collect())
}
