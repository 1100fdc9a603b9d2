//! A starting mapping for one table of one instance: what `snowgate mapping new` writes. Pure.
//!
//! Owns: the choice of states, codes and defaults from what the instance says about itself ([`TableFacts`]), and the text with
//! its comments. What only a person can know is marked `FILL IN` and filled so that the file works until then.
//! Never: asks the instance (that is `facts`); writes a file (that is `cli`). Fails: it cannot; what is not known is left
//! out, or commented out. Proved by: the tests here, and `tests/onboarding`, where the drafts compile, pass their cases and
//! the check of the instance they were made from.

mod fields;
mod sections;
mod states;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;

use states::States;
use yaml::comment;

/// What an instance says about one of its tables.
#[derive(Clone, Debug, Default)]
pub struct TableFacts {
    /// Its database name.
    pub table: String,
    /// Where and when it was read, for the file's first lines.
    pub source: String,
    /// Its columns by database name.
    pub columns: BTreeMap<String, ColumnFacts>,
    /// The choices of a column that are switched on, in the order people see them.
    pub choices: BTreeMap<String, Vec<ChoiceFacts>>,
    /// Columns that a data policy wants in every ticket.
    pub to_open: Vec<String>,
    /// Columns that a data policy wants in a resolved ticket.
    pub to_resolve: Vec<String>,
    /// Columns that are wanted under a condition, and by whom.
    pub sometimes: Vec<(String, String)>,
    /// Names of some assignment groups.
    pub groups: Vec<String>,
    /// For tables that mandatory columns refer to: the column that names a record, and the name of one.
    pub examples: BTreeMap<String, (String, String)>,
}

/// A column.
#[derive(Clone, Debug, Default)]
pub struct ColumnFacts {
    /// What people call it.
    pub label: String,
    /// `string`, `integer`, `reference`, `journal_input`, …
    pub kind: String,
    /// The longest text, in characters.
    pub chars: Option<usize>,
    /// The table it refers to.
    pub reference: Option<String>,
}

/// A choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceFacts {
    /// What is stored.
    pub value: String,
    /// What people see.
    pub label: String,
}

impl TableFacts {
    /// The text of a mapping file called `name`.
    pub fn draft(&self, name: &str) -> String {
        let states = States::of(self);
        let mut text = self.head(name);
        for section in [
            self.tables(&states),
            self.to_ticket(&states),
            self.to_incident(&states),
            "policy:\n  recovery: resolve\n".to_owned(),
            self.cases(&states),
        ]
        .iter()
        .filter(|section| !section.is_empty())
        {
            text.push('\n');
            text.push_str(section);
        }
        text
    }

    /// The value of a fresh ticket's state, and of a resolved one's.
    pub(super) fn landmarks(&self) -> (Option<String>, Option<String>) {
        let states = States::of(self);
        let value = |state: Option<&ChoiceFacts>| state.map(|state| state.value.clone());
        (value(states.new), value(states.resolved))
    }

    fn head(&self, name: &str) -> String {
        format!(
            "# yaml-language-server: $schema=./mapping.schema.json\n#\n\
             # A starting mapping for {}, drafted from {}.\n#\n\
             # Everything that stands here was read there: its columns and their lengths, its choices, its data policies. What only you can know\n\
             # is marked FILL IN. The language is one page, docs/mapping.md; `snowgate check` runs the cases at the end, `snowgate preview` shows what\n\
             # one event would write, and `snowgate check --live` tries it all with a ticket of its own.\n\
             version: 1\nname: {}\ntarget: {{table: {}}}\n",
            comment(&self.table),
            comment(&self.source),
            yaml::text(name),
            yaml::text(&self.table),
        )
    }

    fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    fn is_kind(&self, column: &str, start: &str) -> bool {
        self.columns.get(column).is_some_and(|column| column.kind.starts_with(start))
    }

    fn chars(&self, column: &str) -> Option<usize> {
        self.columns.get(column).and_then(|column| column.chars)
    }

    fn label<'f>(&'f self, column: &'f str) -> &'f str {
        let label = self.columns.get(column).map(|column| column.label.as_str());
        label.filter(|label| !label.is_empty()).unwrap_or(column)
    }

    /// Choices with a value that can stand in a file: an expression in one would be ours to carry out.
    fn choices_of(&self, column: &str) -> Vec<&ChoiceFacts> {
        let choices = self.choices.get(column).map_or(&[][..], Vec::as_slice);
        choices.iter().filter(|choice| yaml::is_plain(&choice.value)).collect()
    }

    /// The column that says how a ticket ended, and its choices.
    fn code_column(&self) -> Option<(&'static str, Vec<&ChoiceFacts>)> {
        let known = ["close_code", "resolution_code"].into_iter().filter(|column| self.has(column));
        known.map(|column| (column, self.choices_of(column))).find(|(_, choices)| !choices.is_empty())
    }

    /// The group that tickets go to until somebody says otherwise.
    fn group(&self) -> Option<&str> {
        let known = || self.groups.iter().filter(|name| yaml::is_plain(name));
        let likely = ["av", "room", "desk", "support"];
        let rank = |name: &&String| {
            let words = name.to_lowercase();
            likely.iter().position(|word| words.split(' ').any(|part| part == *word)).unwrap_or(likely.len())
        };
        known().min_by_key(rank).map(String::as_str).filter(|_| self.has("assignment_group"))
    }
}

/// The first choice whose label or value has one of these words, the earlier words first. Only whole words begin one:
/// `No resolution provided` is no `solution provided`.
fn pick<'c>(choices: &[&'c ChoiceFacts], words: &[&str]) -> Option<&'c ChoiceFacts> {
    words.iter().find_map(|word| {
        let has = |text: &str| {
            let text = text.to_lowercase();
            text.match_indices(word)
                .any(|(at, _)| text.get(..at).is_some_and(|before| !before.ends_with(char::is_alphanumeric)))
        };
        choices.iter().find(|choice| has(&choice.label) || has(&choice.value)).copied()
    })
}
