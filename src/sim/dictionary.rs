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

/// One choice of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    /// The value of [`Column::depends_on`] under which a form offers it; empty is every value.
    pub(super) dependent: String,
    /// Kept for old records: shown, but not taken any more.
    pub(super) inactive: bool,
}

impl Choice {
    pub(super) fn of(value: &str, label: &str, dependent: &str) -> Self {
        let [value, label, dependent] = [value, label, dependent].map(str::to_owned);
        Self { value, label, dependent, inactive: false }
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
    /// Asked of people by forms; REST may leave it empty (facts/servicenow 1.7: UI policies do not run).
    pub(super) mandatory: bool,
    /// The column whose value decides which choices a form offers; empty if none.
    pub(super) depends_on: String,
    /// The table that defines it: this one, or one it extends.
    pub(super) home: String,
    /// The table whose choices count: this one, if it has any of its own, or one it extends.
    pub(super) choices_home: String,
    pub(super) choices: Vec<Choice>,
}

impl Column {
    /// The label of a stored choice value.
    pub(super) fn label_of(&self, value: &str) -> Option<&str> {
        self.choices.iter().find(|choice| choice.value == value).map(|choice| choice.label.as_str())
    }

    /// Whether a value may be stored. Whether the server takes an inactive choice has no public source; here it does not,
    /// as a choice that is not there.
    pub(super) fn takes(&self, value: &str) -> bool {
        self.choices.iter().any(|choice| choice.value == value && !choice.inactive)
    }

    /// The dictionary's word for its type; choices with numbers are integers.
    pub(super) fn type_word(&self) -> &'static str {
        let is_number = |choice: &Choice| choice.value.is_empty() || choice.value.parse::<i64>().is_ok();
        match &self.kind {
            Kind::Choice if !self.choices.is_empty() && self.choices.iter().all(is_number) => "integer",
            kind => kind.word(),
        }
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
        let active = || self.choices.iter().filter(|choice| !choice.inactive);
        let mut found =
            tests.iter().filter_map(|test| active().find(|choice| test(&choice.value, &choice.label, text)));
        found.next().map(|choice| choice.value.as_str())
    }
}

/// One table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) label: String,
    /// The table whose columns it has besides its own.
    pub(super) extends: Option<&'static str>,
    /// "Allow access to this table via web services" (facts/servicenow 1.8).
    pub(super) web_service: bool,
    /// The column whose value names a record.
    pub(super) display: &'static str,
    /// Prefix of the number generator, if the table has one.
    pub(super) number_prefix: Option<&'static str>,
    /// Nobody writes here over REST: journals, and the tables that describe others.
    pub(super) read_only: bool,
    /// Columns with an index: equality on them does not scan.
    pub(super) indexed: &'static [&'static str],
    pub(super) columns: Vec<Column>,
    pub(super) by_name: BTreeMap<String, usize>,
}

impl Table {
    pub(super) fn new((name, label): (&str, &str), display: &'static str, mut columns: Vec<Column>) -> Self {
        for home in columns.iter_mut().flat_map(|column| [&mut column.home, &mut column.choices_home]) {
            if home.is_empty() {
                name.clone_into(home);
            }
        }
        let mut table = Self {
            name: name.to_owned(),
            label: label.to_owned(),
            extends: None,
            web_service: true,
            display,
            number_prefix: None,
            read_only: false,
            indexed: &[],
            columns,
            by_name: BTreeMap::new(),
        };
        table.index();
        table
    }

    fn index(&mut self) {
        self.by_name = self.columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
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

    /// Adds a customer's column; does nothing if the table is unknown or has the column.
    pub(super) fn add(&mut self, table: &str, mut column: Column) {
        if let Some(table) = self.0.get_mut(table)
            && table.column(&column.name).is_none()
        {
            for home in [&mut column.home, &mut column.choices_home] {
                table.name.clone_into(home);
            }
            table.columns.push(column);
            table.index();
        }
    }

    /// Takes a column away from the table that defines it, and so from every table that extends that one.
    pub(super) fn remove_column(&mut self, table: &str, name: &str) {
        let Some(home) = self.table(table).and_then(|table| table.column(name)).map(|column| column.home.clone())
        else {
            return;
        };
        for table in self.0.values_mut() {
            table.columns.retain(|column| column.name != name || column.home != home);
            table.index();
        }
    }

    pub(super) fn remove_table(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.0.get_mut(name)
    }

    /// Sets a column up differently, for every table that shares its definition. Gives whether there is such a column.
    pub(super) fn change(&mut self, table: &str, name: &str, change: impl Fn(&mut Column)) -> bool {
        self.change_shared((table, name), |column| &column.home, change)
    }

    /// The same for its choices, which an extending table may have of its own.
    pub(super) fn change_choices(&mut self, table: &str, name: &str, change: impl Fn(&mut Vec<Choice>)) -> bool {
        self.change_shared((table, name), |column| &column.choices_home, |column| change(&mut column.choices))
    }

    fn change_shared(
        &mut self,
        (table, name): (&str, &str),
        home: fn(&Column) -> &String,
        change: impl Fn(&mut Column),
    ) -> bool {
        let Some(at) = self.table(table).and_then(|table| table.column(name)).map(|column| home(column).clone()) else {
            return false;
        };
        let columns = self.0.values_mut().flat_map(|table| table.columns.iter_mut());
        columns.filter(|column| column.name == name && *home(column) == at).for_each(change);
        true
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
