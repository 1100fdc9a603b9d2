//! Values and rows on their way, and the digest that proves them.
//!
//! Owns: one form for the values of all engines, and a SHA-256 over rows in the order of their key. The same rows give
//! the same digest whichever engine holds them. Never: changes a value; what an engine cannot hold is refused by it.
//! Proved by: the tests below, and `tests/store/copying.rs`.

use sha2::{Digest as _, Sha256};

use super::tables::Table;
use crate::domain::time::Timestamp;
use crate::store::audit::{AuditHead, AuditRow, Hash};

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Value {
    /// Nothing.
    Null,
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A receipt.
    Id(u128),
}

/// One row, in the order of its table's columns.
pub(in crate::store) type Row = Vec<Value>;

/// A digest that grows row by row.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    rows: u64,
    hash: Sha256,
}

impl Sum {
    pub(super) fn add(&mut self, row: &[Value]) {
        self.rows += 1;
        for value in row {
            match value {
                Value::Null => self.hash.update(b"-"),
                Value::Number(number) => self.part(b'n', &number.to_be_bytes()),
                Value::Flag(flag) => self.part(b'f', &[u8::from(*flag)]),
                Value::Text(text) => self.part(b't', text.as_bytes()),
                Value::Bytes(bytes) => self.part(b'b', bytes),
                Value::Id(id) => self.part(b'i', &id.to_be_bytes()),
            }
        }
    }

    /// With its length, so that nothing can move from one value to its neighbour.
    fn part(&mut self, tag: u8, bytes: &[u8]) {
        self.hash.update([tag]);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// How many rows there were, and what they come to.
    pub(super) fn end(self) -> (u64, Hash) {
        (self.rows, self.hash.finalize().into())
    }
}

/// The key of a row.
pub(super) fn key_of(table: &Table, row: &[Value]) -> Row {
    row.iter().take(table.keys).cloned().collect()
}

/// The last row that retention removed, from the table's one row.
pub(super) fn anchor(row: &[Value]) -> Option<AuditHead> {
    match row {
        [_, Value::Number(sequence), Value::Bytes(hash)] => {
            Some(AuditHead { sequence: u64::try_from(*sequence).ok()?, hash: hash.as_slice().try_into().ok()? })
        }
        _ => None,
    }
}

/// A row of the log as it is verified.
pub(super) fn audit_row(row: &[Value]) -> Option<AuditRow> {
    let mut values = row.iter();
    let mut number = || match values.next() {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    let (sequence, at) = (number()?, number()?);
    let mut text = || match values.next() {
        Some(Value::Text(text)) => Some(text.clone()),
        Some(Value::Bytes(bytes)) => Some(bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))),
        _ => None,
    };
    Some(AuditRow {
        sequence: u64::try_from(sequence).ok()?,
        at: Timestamp::from_millis(at).to_string(),
        who: text()?,
        role: text()?,
        tenant: text()?,
        action: text()?,
        target: text()?,
        before: text()?,
        after: text()?,
        source: text()?,
        request: text()?,
        note: text()?,
        hash: text()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[Row]) -> (u64, Hash) {
        let mut sum = Sum::default();
        for row in rows {
            sum.add(row);
        }
        sum.end()
    }

    #[test]
    fn every_value_its_kind_and_its_place_count() {
        let text = |text: &str| Value::Text(text.to_owned());
        let rows = [
            vec![text("ab"), text("c")],
            vec![text("a"), text("bc")],
            vec![text("c"), text("ab")],
            vec![text("ab"), Value::Bytes(b"c".to_vec())],
            vec![text("ab"), Value::Null],
            vec![Value::Null, text("ab")],
            vec![Value::Number(1), text("c")],
            vec![Value::Flag(true), text("c")],
            vec![Value::Id(1), text("c")],
        ];
        let sums: std::collections::HashSet<_> = rows.iter().map(|row| sum(std::slice::from_ref(row))).collect();
        assert_eq!(sums.len(), rows.len());
        assert_ne!(sum(&rows[..2]).1, sum(&[rows[1].clone(), rows[0].clone()]).1, "the order counts");
    }
}
