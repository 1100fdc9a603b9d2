//! The dictionary: which tables exist, which columns they have, what may be stored in them.
//!
//! Owns: types, lengths, choices, labels and defaults of the columns the simulator knows (facts/servicenow 5.1 and 5.2).
//! Never: rules that look at two columns (that is `rules`). Fails: it cannot; an unknown name is `None`.
//! Proved by: `tests` (unknown names are ignored; lengths, types, choices).
//!
//! The columns themselves are in `columns`; customers add their own `u_…` with [`Dictionary::add`].

use std::collections::BTreeMap;

use super::columns;

/// What a column holds, which decides what may be written to it and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    DateTime,
    /// Values and labels are in [`Column::choices`].
    Choice,
    /// A record of that table.
    Reference(&'static str),
    /// Comma-separated `sys_id`s or addresses.
    List,
    /// Append-only text; reads as empty.
    Journal,
    /// Both journals read together; never written.
    JournalView,
}

impl Kind {
    /// The dictionary's own word for the type, as `sys_dictionary.internal_type` shows it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Text | Self::Choice => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::DateTime => "glide_date_time",
            Self::Reference(_) => "reference",
            Self::List => "glide_list",
            Self::Journal => "journal_input",
            Self::JournalView => "journal_list",
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    /// Characters; longer text is cut without an error.
    pub(super) max_length: usize,
    pub(super) default: &'static str,
    /// Writes are ignored without an error.
    pub(super) read_only: bool,
    pub(super) choices: Vec<(String, String)>,
}

impl Column {
    /// The label of a stored choice value.
    pub(super) fn label_of(&self, value: &str) -> Option<&str> {
        self.choices.iter().find(|(stored, _)| stored == value).map(|(_, label)| label.as_str())
    }

    /// The choice that `text` means when labels are allowed: exact value, value without case, label, label without case,
    /// in that order (the order of ServiceNow's published `ChangeCommon` script; facts/servicenow 1.5).
    pub(super) fn choice_meant(&self, text: &str) -> Option<&str> {
        let tests: [fn(&str, &str, &str) -> bool; 4] = [
            |value, _, text| value == text,
            |value, _, text| value.eq_ignore_ascii_case(text),
            |_, label, text| label == text,
            |_, label, text| label.eq_ignore_ascii_case(text),
        ];
        let mut found =
            tests.iter().filter_map(|test| self.choices.iter().find(|(value, label)| test(value, label, text)));
        found.next().map(|(value, _)| value.as_str())
    }
}

/// One table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// The column whose value names a record.
    pub(super) display: &'static str,
    /// Prefix of the number generator, if the table has one.
    pub(super) number_prefix: Option<&'static str>,
    /// Nobody writes here over REST (`sys_dictionary`, `sys_choice`, `sys_journal_field`).
    pub(super) read_only: bool,
    /// Columns with an index: equality on them does not scan.
    pub(super) indexed: &'static [&'static str],
    pub(super) columns: Vec<Column>,
    by_name: BTreeMap<String, usize>,
}

impl Table {
    pub(super) fn new(name: &str, display: &'static str, columns: Vec<Column>) -> Self {
        let by_name = columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
        let name = name.to_owned();
        Self { name, display, number_prefix: None, read_only: false, indexed: &[], columns, by_name }
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.by_name.get(name).and_then(|at| self.columns.get(*at))
    }
}

/// All tables.
#[derive(Clone, Debug)]
pub(super) struct Dictionary(BTreeMap<String, Table>);

impl Dictionary {
    /// The base system, with the old or the current resolution codes.
    pub(super) fn base(old_close_codes: bool) -> Self {
        Self(columns::tables(old_close_codes).into_iter().map(|table| (table.name.clone(), table)).collect())
    }

    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.0.get(name)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.0.values()
    }

    /// Adds a customer's text column; does nothing if the table is unknown or has the column.
    pub(super) fn add(&mut self, table: &str, column: Column) {
        if let Some(table) = self.0.get_mut(table)
            && table.column(&column.name).is_none()
        {
            table.by_name.insert(column.name.clone(), table.columns.len());
            table.columns.push(column);
        }
    }

    /// The column at the end of a dot-walked path such as `caller_id.email`.
    pub(super) fn walk<'d>(&'d self, table: &'d Table, path: &str) -> Option<&'d Column> {
        match path.split_once('.') {
            None => table.column(path),
            Some((first, rest)) => match table.column(first)?.kind {
                Kind::Reference(target) => self.walk(self.table(target)?, rest),
                Kind::Text
                | Kind::Integer
                | Kind::Boolean
                | Kind::DateTime
                | Kind::Choice
                | Kind::List
                | Kind::Journal
                | Kind::JournalView => None,
            },
        }
    }
}
