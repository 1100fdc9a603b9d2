//! What a mapping file asks of an instance, each with its place in the file: for checks against a real one.
//!
//! Owns: fields with every constant they can be given, what they look up, the columns and states the way back reads.
//! Never: asks an instance, or judges what it has. Fails: it cannot. Proved by: the tests here and of `onboarding`.

use std::sync::Arc;

use serde::Serialize;

use super::draft::Write;

/// Everything a mapping file asks of an instance.
#[derive(Debug)]
pub struct Wants {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Where the file names its table.
    pub target: Place,
    /// Where the way to the ticket begins.
    pub to_ticket: Place,
    /// Each field as often as the file writes it: for all changes, and for one kind of change.
    pub fields: Box<[FieldWant]>,
    /// The columns that the way back reads, and where.
    pub columns: Box<[(Arc<str>, Place)]>,
    /// The ticket states that the way back translates.
    pub states: Box<[Constant]>,
}

/// Where in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// A field as one place of the file writes it.
#[derive(Debug)]
pub struct FieldWant {
    /// Its database name.
    pub field: Arc<str>,
    /// Where the file names it.
    pub place: Place,
    /// When it is written.
    pub write: Write,
    /// The longest value; anything longer is cut by us.
    pub chars_max: Option<usize>,
    /// Every value it can have, if it can have no others.
    pub constants: Option<Box<[Constant]>>,
    /// What its value is looked up in.
    pub lookup: Option<LookupWant>,
}

/// A value that stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The value.
    pub value: Box<str>,
    /// Where.
    pub place: Place,
}

/// What a value is looked up in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupWant {
    /// The table.
    pub table: Arc<str>,
    /// The column that has the value.
    pub by: Arc<str>,
    /// Whether a value that is not found needs a person; otherwise the file says what to do without.
    pub parks: bool,
}

impl Wants {
    /// Where the file first names a field.
    pub fn place_of(&self, field: &str) -> Option<Place> {
        self.fields.iter().find(|want| &*want.field == field).map(|want| want.place)
    }

    /// Where the file first reads a column on the way back.
    pub fn place_of_column(&self, column: &str) -> Option<Place> {
        self.columns.iter().find(|(read, _)| **read == *column).map(|(_, place)| *place)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::mapping::{SourceFile, compile};

    #[test]
    fn every_constant_and_column_has_its_place_in_the_file() {
        let text = "\
version: 1
name: t
target: {table: incident}
tables:
  impact: {high: 1, default: 3}
to_ticket:
  fields:
    impact: {value: \"{{ incident.severity }}\", table: impact}
    category: inquiry
    short_description: {value: \"{{ incident.title }}\", max: 80}
    assignment_group: {value: AV, lookup: {table: sys_user_group, by: name, missing: skip}, on: create}
  on:
    incident.escalated: {category: network}
to_incident:
  state: {\"1\": new}
  fields: {assignee.name: \"{{ ticket.assigned_to.display }}\"}
";
        let (mapping, findings) = compile(&SourceFile::new("t.yaml", text));
        let mapping = mapping.unwrap_or_else(|| panic!("{findings:#?}"));
        let wants = mapping.wants();
        let said: Vec<String> = wants
            .fields
            .iter()
            .map(|want| {
                let constants = want.constants.iter().flatten();
                let constants: Vec<_> =
                    constants.map(|one| format!("{}@{}:{}", one.value, one.place.line, one.place.column)).collect();
                format!("{}@{} {}", want.field, want.place.line, constants.join(" ")).trim_end().to_owned()
            })
            .collect();
        assert_eq!(
            said,
            [
                "impact@8 1@5:18 3@5:30",
                "category@9 inquiry@9:15",
                "short_description@10",
                "assignment_group@11 AV@11:31",
                "category@13 network@13:36",
            ]
        );
        assert_eq!((wants.fields[2].chars_max, wants.fields[3].lookup.as_ref().unwrap().parks), (Some(80), false));
        assert_eq!((&*wants.states[0].value, wants.states[0].place.line), ("1", 15));
        assert_eq!(wants.place_of_column("assigned_to"), Some(Place { line: 16, column: 31 }));
        assert_eq!(wants.place_of_column("state"), Some(Place { line: 15, column: 3 }));
    }
}
