//! An instance that is set up wrongly: the mistakes of real set-ups, by name.
//!
//! Owns: the list of them ([`Misconfiguration::KNOWN`]), reading `name=value`, and doing it to an instance. Each is what an
//! administrator did or left undone; what follows from it is behaviour of the instance, and stands with that behaviour.
//! Never: undoes one; a right instance is a fresh one. Fails: with a sentence, if there is no such table, column or row.
//! Proved by: `tests/misconfigured`, which does every one of them, and `tests/onboarding`, where the check of a set-up has
//! to name them. Sources: facts/servicenow 1.5 to 1.8, 3.1, 4, 5 and 8; `docs/simulator.md` has the table.

mod access;
mod rows;
mod rules;
mod tables;

use std::fmt;

use super::instance::Instance;
use super::switches::Switches;

/// What a mistake is called, what it takes, and what it is.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// The value it has if none is given, which also shows the form; empty if it takes none.
    pub example: &'static str,
    /// What is wrong, in one sentence.
    pub says: &'static str,
    apply: Apply,
}

/// What making the mistake changes.
#[derive(Debug)]
enum Apply {
    /// A switch; the text is the mistake's value.
    Switch(fn(&mut Switches, &str)),
    /// Columns of the integration user's own record.
    Account(&'static [(&'static str, &'static str)]),
    /// Something that has to be there.
    Change(fn(&mut Instance, &str) -> Result<(), String>),
}

const fn known(name: &'static str, example: &'static str, says: &'static str, apply: Apply) -> Known {
    Known { name, example, says, apply }
}

/// One mistake, with its value.
#[derive(Clone, Debug)]
pub struct Misconfiguration {
    known: &'static Known,
    value: String,
}

impl Misconfiguration {
    /// Every mistake there is, by what it is about.
    pub const KNOWN: &'static [&'static [Known]] = &[tables::KNOWN, rows::KNOWN, rules::KNOWN, access::KNOWN];

    /// Reads `name` or `name=value`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.trim().split_once('=').map_or_else(|| (text.trim(), None), |(name, value)| (name, Some(value)));
        let known = Self::KNOWN.iter().copied().flatten().find(|known| known.name == name);
        let known = known.ok_or_else(|| format!("there is no `{name}`; there are: {}", Self::names()))?;
        match value {
            Some(_) if known.example.is_empty() => Err(format!("`{name}` takes no value")),
            Some(value) => Ok(Self { known, value: value.to_owned() }),
            None => Ok(Self { known, value: known.example.to_owned() }),
        }
    }

    /// What is wrong, in one sentence.
    pub const fn says(&self) -> &'static str {
        self.known.says
    }

    fn names() -> String {
        let names: Vec<&str> = Self::KNOWN.iter().copied().flatten().map(|known| known.name).collect();
        names.join(", ")
    }
}

impl fmt::Display for Misconfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => f.write_str(self.known.name),
            value => write!(f, "{}={value}", self.known.name),
        }
    }
}

impl Instance {
    /// Sets the instance up wrongly. Fails, and changes nothing, if it has no such table, column or row.
    pub fn misconfigure(&mut self, mistake: &Misconfiguration) -> Result<(), String> {
        let done = match mistake.known.apply {
            Apply::Switch(turn) => {
                turn(&mut self.switches, &mistake.value);
                Ok(())
            }
            Apply::Account(columns) => account(self, columns),
            Apply::Change(change) => change(self, &mistake.value),
        };
        done.map_err(|why| format!("{mistake}: {why}"))?;
        self.mistakes.push(mistake.clone());
        Ok(())
    }

    /// What was set up wrongly so far, in order.
    pub fn mistakes(&self) -> &[Misconfiguration] {
        &self.mistakes
    }
}

/// Changes the integration user's own record.
fn account(instance: &mut Instance, fields: &[(&str, &str)]) -> Result<(), String> {
    let name = instance.credentials.username.clone();
    let id = instance.find("sys_user", "user_name", &name).into_iter().next();
    let id = id.ok_or_else(|| format!("there is no user `{name}`"))?;
    instance.edit_silently("sys_user", &id, fields);
    Ok(())
}

/// `table.column`, which must be there.
fn column<'v>(instance: &Instance, value: &'v str) -> Result<(&'v str, &'v str), String> {
    let (table, column) = value.split_once('.').ok_or("say `table.column`")?;
    let found = instance.dictionary.table(table).ok_or_else(|| format!("there is no table `{table}`"))?;
    found.column(column).ok_or_else(|| format!("{table} has no column `{column}`"))?;
    Ok((table, column))
}

/// `table.column:rest`, whose column must be there.
fn column_and<'v>(instance: &Instance, value: &'v str) -> Result<((&'v str, &'v str), &'v str), String> {
    let (path, rest) = value.split_once(':').ok_or("say `table.column:value`")?;
    Ok((column(instance, path)?, rest))
}

/// A table, which must be there.
fn table<'v>(instance: &Instance, value: &'v str) -> Result<&'v str, String> {
    instance.dictionary.table(value).map(|_| value).ok_or_else(|| format!("there is no table `{value}`"))
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is no number that fits"))
}
