//! What expressions of the way back get wrong: names that are no columns, journals, and numbers where a ticket has texts.

use minijinja::machinery::ast::Expr;

use super::Lint;
use crate::limits::FIELD_NAME_CHARS_MAX;
use crate::mapping::draft::JournalField;
use crate::mapping::syntax::{FoundPath, path_of, span};

/// Whether a table or column can be called so.
pub(crate) fn is_database_name(name: &str) -> bool {
    name.len() <= FIELD_NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

impl Lint<'_, '_> {
    /// A ticket has columns with raw and display values, and its journals are not among them.
    pub(super) fn column(&mut self, found: &FoundPath<'_>) {
        let at = (found.start, found.end);
        let Some((column, _)) = found.path.column() else {
            self.error("M028", at, "this is not a column of the ticket".to_owned())
                .hint("`ticket.state` is the raw value, `ticket.assigned_to.display` what people see");
            return;
        };
        let journal = column == "comments_and_work_notes" || JournalField::known(column).is_some();
        if journal {
            self.error("M049", at, format!("`{column}` is a journal, which has entries and no value"))
                .hint("`to_incident.messages` says which entries leave the tenant");
        } else if !column.split('.').all(is_database_name) {
            self.error("M010", at, format!("`{column}` is not the database name of a column"))
                .hint("database names are lower case, such as `assigned_to`; labels do not work");
        }
    }

    /// Every value of a ticket is a text, so `ticket.state == 2` never holds.
    pub(super) fn text_and_number(&mut self, left: &Expr<'_>, right: &Expr<'_>) {
        for (one, other) in [(left, right), (right, left)] {
            let column = path_of(one).is_some_and(|found| found.path.column().is_some());
            let constant = other.as_const().filter(|_| column);
            let number = constant.is_some_and(|value| {
                let within = value.try_iter().is_ok_and(|mut items| items.any(|item| item.is_number()));
                value.is_number() || (value.as_str().is_none() && within)
            });
            if number {
                self.error("M056", span(other), "the values of a ticket are texts, so this never holds".to_owned())
                    .hint("put the number into quotes: `'2'`, or make the column a number: `ticket.priority | int`");
            }
        }
    }
}
