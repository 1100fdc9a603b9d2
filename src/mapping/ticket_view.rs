//! A ticket as somebody saw it: its columns, each as the raw value and, where it was sent, as people read it.
//!
//! Owns: what `ticket.state` and `ticket.assigned_to.display` mean. An empty reference has an empty display value; a display value that
//! was not sent is absent, never guessed from the raw one. Never: knows a column by name, a webhook or a read.
//! Fails: it cannot. Proved by: the tests of `back`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::path::{DISPLAY, TICKET};
use crate::domain::sighting::Sighting;
use crate::domain::wire::{Node, Record};

/// A ticket as a webhook, a sweep or a read saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TicketView {
    columns: BTreeMap<String, Cell>,
}

/// One column of a ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The raw value: a number of a choice, the `sys_id` of a reference, a time in UTC.
    pub value: String,
    /// What people see; `None` if it was not sent.
    pub display: Option<String>,
}

impl TicketView {
    /// The columns of a sighting; none of a bare hint.
    pub fn of(sighting: &Sighting) -> Self {
        let mut view = Self::default();
        for (column, cell) in sighting.fields.iter().flatten() {
            view.set(column.as_str(), cell.value.as_str(), cell.display.clone());
        }
        view
    }

    /// Says what a column holds, in place of what was said before.
    pub fn set(&mut self, column: impl Into<String>, value: impl Into<String>, display: Option<String>) {
        self.columns.insert(column.into(), Cell { value: value.into(), display });
    }

    /// The column, if it was sent.
    pub fn get(&self, column: &str) -> Option<&Cell> {
        self.columns.get(column)
    }

    /// Whether the column was sent.
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// Every column that was sent, by name.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Cell)> {
        self.columns.iter().map(|(column, cell)| (column.as_str(), cell))
    }
}

impl Cell {
    /// What people see, if that is known.
    pub fn shown(&self) -> Option<&str> {
        self.display.as_deref().or_else(|| self.value.is_empty().then_some(""))
    }
}

/// What an expression of the way back sees: one name, `ticket`.
pub(crate) struct TicketScope<'v>(pub(crate) &'v TicketView);

impl Record for TicketScope<'_> {
    fn get(&self, name: &str) -> Node<'_> {
        if name == TICKET { Node::Record(self.0) } else { Node::Absent }
    }

    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'static str, Node<'a>)) {
        visit(TICKET, Node::Record(self.0));
    }
}

impl Record for TicketView {
    fn get(&self, name: &str) -> Node<'_> {
        let found = match name.strip_suffix(DISPLAY) {
            Some(column) => self.columns.get(column).and_then(Cell::shown),
            None => self.columns.get(name).map(|cell| cell.value.as_str()),
        };
        found.map_or(Node::Absent, Node::Text)
    }

    /// Nothing: no expression can name a ticket as a whole (`lint` refuses it), and its names are not ours.
    fn each<'a>(&'a self, _: &mut dyn FnMut(&'static str, Node<'a>)) {}
}
