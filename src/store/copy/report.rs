//! What is told of a copy: how far it is, what was found on both sides, what a store holds.
//!
//! Never: says how to print it. Proved by: `tests/store/copying.rs`.

use crate::domain::time::Timestamp;
use crate::store::audit::{AuditHead, Hash};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Rows are written.
    Copying,
    /// What is there is read and summed up.
    Proving,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// In which table.
    pub table: &'static str,
    /// Rows of this table so far, and in all.
    pub rows: (u64, u64),
    /// Rows of all tables and both phases so far, and in all.
    pub steps: (u64, u64),
}

/// Is told how far it is, after each page.
pub type Watch<'a> = &'a mut dyn FnMut(Progress);

/// A table on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// Its name.
    pub table: &'static str,
    /// Rows in the source and in the target.
    pub rows: (u64, u64),
    /// SHA-256 over all values of all rows in the order of their key, in the source and in the target.
    pub digests: (Hash, Hash),
}

impl TableReport {
    /// Whether both sides hold the same.
    pub fn is_equal(&self) -> bool {
        self.rows.0 == self.rows.1 && self.digests.0 == self.digests.1
    }
}

/// How the chain of the audit log stands in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Each row follows from the one before.
    Whole(AuditHead),
    /// The first thing wrong with it.
    Broken(String),
}

/// What was found on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Every table.
    pub tables: Vec<TableReport>,
    /// The audit log of the target.
    pub chain: Chain,
}

impl Report {
    /// Whether both sides hold the same.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableReport::is_equal)
    }

    /// All rows of the source.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows.0).sum()
    }
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The number of its schema.
    pub schema: i64,
    /// Rows per table.
    pub tables: Vec<(&'static str, u64)>,
    /// Deliveries that wait or are being sent.
    pub open: u64,
    /// When the oldest of those was accepted.
    pub oldest: Option<Timestamp>,
}

impl Contents {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}
