//! Notes what the file asks of an instance, with the places that only the compiler knows.

use std::sync::Arc;

use super::fields::{Place as Compiled, Rules};
use super::{Compiler, KnownTable};
use crate::mapping::back::WayBack;
use crate::mapping::diagnostic::At;
use crate::mapping::raw::{Block, RawMapping};
use crate::mapping::rule::{LookupRule, Missing, Table};
use crate::mapping::wants::{Constant, FieldWant, LookupWant, Place, Wants};

impl Compiler<'_, '_> {
    pub(super) fn wants(&self, raw: &RawMapping, rules: &Rules, back: Option<&WayBack>) -> Wants {
        let fields = rules.places.iter().map(|compiled| self.field_want(compiled));
        let states = raw.to_incident.iter().filter_map(|to_incident| to_incident.state.as_ref());
        let states = states.flat_map(|states| &states.entries);
        let states = states.map(|(key, _)| Constant { value: key.text.as_str().into(), place: self.place(key.at) });
        let start = raw.to_incident.as_ref().map_or_else(At::default, Block::start);
        let columns = back.iter().flat_map(|back| back.columns.iter());
        let columns = columns.map(|column| (Arc::clone(column), self.place(self.column_read(column, start))));
        Wants {
            file: self.notes.file().into(),
            target: self.place(raw.target.as_ref().map_or_else(At::default, Block::start)),
            to_ticket: self.place(raw.to_ticket.as_ref().map_or_else(At::default, Block::start)),
            fields: fields.collect(),
            columns: columns.collect(),
            states: states.collect(),
        }
    }

    fn field_want(&self, compiled: &Compiled) -> FieldWant {
        let rule = &compiled.rule;
        let constant = || {
            let value = rule.value.constant()?;
            Some([Constant { value: value.into(), place: self.place(compiled.value) }].into())
        };
        FieldWant {
            field: Arc::clone(&rule.name),
            place: self.place(compiled.key),
            write: rule.write,
            chars_max: rule.chars_max,
            constants: rule.table.as_ref().map_or_else(constant, |table| self.rows(table)),
            lookup: rule.lookup.as_ref().map(lookup_want),
        }
    }

    fn rows(&self, table: &Table) -> Option<Box<[Constant]>> {
        let known: &KnownTable = self.tables.iter().find(|known| known.table.name == table.name)?;
        let values = table.rows.iter().map(|(_, value)| value).chain(&table.default);
        let placed = values.zip(&known.value_places);
        Some(placed.map(|(value, at)| Constant { value: value.clone(), place: self.place(*at) }).collect())
    }

    /// Where the way back first reads a column: its first `ticket.<column>`, else where the way begins.
    fn column_read(&self, column: &str, start: At) -> At {
        let text = self.notes.text();
        let rest = text.get(start.start..).unwrap_or_default();
        let wanted = if column == "state" { "state:".to_owned() } else { format!("ticket.{column}") };
        let ends = |end: usize| {
            let next = rest.get(end..).and_then(|rest| rest.chars().next());
            !next.is_some_and(|next| next.is_ascii_alphanumeric() || next == '_')
        };
        let found = rest.match_indices(&wanted).find(|(at, _)| ends(at + wanted.len()));
        found.map_or(start, |(at, _)| At::new(start.start + at, start.start + at + wanted.len()))
    }

    fn place(&self, at: At) -> Place {
        let (line, column) = self.notes.line_and_column(at);
        Place { line, column }
    }
}

fn lookup_want(lookup: &LookupRule) -> LookupWant {
    LookupWant {
        table: Arc::clone(&lookup.table),
        by: Arc::clone(&lookup.by),
        parks: matches!(lookup.missing, Missing::Park),
    }
}
