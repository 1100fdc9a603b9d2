//! Moving house: everything that a store holds, from one engine to another, whole or not at all.
//!
//! Owns: the order of a copy, its proof, and what is told of it. Each engine reads and writes its own tables (`moving.rs` of
//! [`sqlite`](super::sqlite) and [`postgres`](super::postgres)); between them rows travel page by page, so that a copy of millions needs the memory of
//! one page.
//!
//! * **The source stands still**: its file is locked as a gateway locks it, or its tables are locked against writing, and
//!   it is refused while a gateway uses it. It is read only, so the way back is to use it again.
//! * **The target is empty, and stays empty until the end**: everything is written in one transaction (a file: under
//!   another name), read again, proved equal row by row with a digest per table, and only then committed. Whatever breaks
//!   off in the middle leaves nothing behind that a gateway could start on, and the copy is simply started again.
//! * **Nothing is lost**: what waits with its place, its tries and its fence; what was being sent, so that it is looked up
//!   and not sent twice; what is parked; the sweeps' cursors; pauses; the audit log with its chain.
//!
//! Never: changes the source, or mends what it finds there; a log that was tampered with is copied as it is, and told.
//! Fails: with a [`CopyError`]; the target is as it was. The side of the file blocks its thread: not for a server.
//! Proved by: `tests/store/copying.rs`.

mod row;
mod tables;

use std::path::PathBuf;

pub(super) use row::{Row, Value};
use row::{Sum, anchor, audit_row, key_of};
pub(super) use tables::{AUDIT, AUDIT_ANCHOR, Column, DELIVERY, Kind, TABLES, Table};

use super::audit::{AuditHead, Break, Checked, Hash};
use super::contract::StoreError;
use super::postgres::moving as postgres;
use super::sqlite::moving as sqlite;
use crate::domain::time::Timestamp;
use crate::limits::COPY_PAGE_ROWS;

/// A store by its place.
#[derive(Clone)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A database.
    Postgres {
        /// `postgres://user@host/database?…`.
        url: String,
        /// The password, if the URL has none and the server wants one.
        password: Option<String>,
    },
}

/// Why a copy or a comparison did not come to its end. The target is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two cannot be used, or stopped working.
    #[error("the {side} of the copy")]
    Store {
        /// `source` or `target`.
        side: &'static str,
        /// What it said.
        #[source]
        source: StoreError,
    },
    /// The two are of one engine, which has a better tool for that.
    #[error("both are {engine}: {instead}")]
    SameEngine {
        /// Which one.
        engine: &'static str,
        /// What to use.
        instead: &'static str,
    },
    /// What was written is not what was read; it was undone.
    #[error("what the target holds is not what the source holds; nothing was kept of it")]
    Differs(Report),
}

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

/// Every table and column that moves.
pub fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().flat_map(|table| table.columns.iter().map(|column| (table.name, column.name)))
}

/// One side of a copy.
enum Side {
    Sqlite(sqlite::Side),
    Postgres(Box<postgres::Side>),
}

/// Calls the same method on whichever engine this is.
macro_rules! on_side {
    ($side:expr, $method:ident($($argument:expr),*)) => {
        match $side {
            Side::Sqlite(side) => side.$method($($argument),*),
            Side::Postgres(side) => side.$method($($argument),*).await,
        }
    };
}

/// What a store holds, in rows; changes nothing, and a gateway may be at work meanwhile.
pub async fn contents(of: &Place) -> Result<Contents, CopyError> {
    contents_of(&mut Side::look_at(of).await?).await.map_err(at_source)
}

/// Whether a copy could begin: what there is to be copied. Changes nothing.
pub async fn rehearse(from: &Place, to: &Place, though_used: bool) -> Result<Contents, CopyError> {
    different_engines(from, to)?;
    let mut source = Side::hold(from, though_used).await.map_err(at_source)?;
    match to {
        Place::Sqlite(path) => sqlite::Side::is_free(path),
        Place::Postgres { url, password } => postgres::Side::is_free(url, password.as_deref()).await,
    }
    .map_err(at_target)?;
    contents_of(&mut source).await.map_err(at_source)
}

/// Copies everything, proves it, and keeps it only if it is equal. `though_used` goes on where sessions and leases in a
/// PostgreSQL source look as if a gateway were at work.
pub async fn copy(from: &Place, to: &Place, though_used: bool, watch: Watch<'_>) -> Result<Report, CopyError> {
    different_engines(from, to)?;
    let mut source = Side::hold(from, though_used).await.map_err(at_source)?;
    let contents = contents_of(&mut source).await.map_err(at_source)?;
    let now = on_side!(&mut source, now()).map_err(at_source)?;
    let mut target = match to {
        Place::Sqlite(path) => sqlite::Side::fresh(path, now).map(Side::Sqlite),
        Place::Postgres { url, password } => {
            postgres::Side::fresh(url, password.as_deref()).await.map(|side| Side::Postgres(Box::new(side)))
        }
    }
    .map_err(at_target)?;
    let mut steps = Steps::new(&contents, 2, watch);
    let mut sums = Vec::with_capacity(TABLES.len());
    for (table, (_, rows)) in TABLES.iter().zip(&contents.tables) {
        let mut walk = Walk::default();
        loop {
            let page = walk.next(table, &mut source).await.map_err(at_source)?;
            if page.is_empty() {
                break;
            }
            on_side!(&mut target, write(table, &page)).map_err(at_target)?;
            steps.tell(Phase::Copying, table, (walk.sum_rows(), *rows), page.len());
        }
        sums.push(walk.sum.end());
    }
    let report = prove(sums, &mut target, &mut steps).await.map_err(at_target)?;
    if !report.is_equal() {
        return Err(CopyError::Differs(report));
    }
    match target {
        Side::Sqlite(side) => side.keep(),
        Side::Postgres(side) => side.keep().await,
    }
    .map_err(at_target)?;
    Ok(report)
}

/// Compares two stores that nobody uses, row by row; changes neither.
pub async fn compare(from: &Place, to: &Place, though_used: bool, watch: Watch<'_>) -> Result<Report, CopyError> {
    different_engines(from, to)?;
    let mut source = Side::hold(from, though_used).await.map_err(at_source)?;
    let mut target = Side::hold(to, though_used).await.map_err(at_target)?;
    let contents = contents_of(&mut source).await.map_err(at_source)?;
    let mut steps = Steps::new(&contents, 2, watch);
    let mut sums = Vec::with_capacity(TABLES.len());
    for (table, (_, rows)) in TABLES.iter().zip(&contents.tables) {
        let mut walk = Walk::default();
        loop {
            let page = walk.next(table, &mut source).await.map_err(at_source)?;
            if page.is_empty() {
                break;
            }
            steps.tell(Phase::Proving, table, (walk.sum_rows(), *rows), page.len());
        }
        sums.push(walk.sum.end());
    }
    prove(sums, &mut target, &mut steps).await.map_err(at_target)
}

/// Reads the target whole and holds it against the sums of the source.
async fn prove(sums: Vec<(u64, Hash)>, target: &mut Side, steps: &mut Steps<'_>) -> Result<Report, StoreError> {
    let mut tables = Vec::with_capacity(TABLES.len());
    let mut log = Log::default();
    for (table, source) in TABLES.iter().zip(sums) {
        let mut walk = Walk::default();
        loop {
            let page = walk.next(table, target).await?;
            if page.is_empty() {
                break;
            }
            log.follow(table, &page);
            steps.tell(Phase::Proving, table, (walk.sum_rows(), source.0), page.len());
        }
        let (rows, digest) = walk.sum.end();
        tables.push(TableReport { table: table.name, rows: (source.0, rows), digests: (source.1, digest) });
    }
    Ok(Report { tables, chain: log.end() })
}

async fn contents_of(side: &mut Side) -> Result<Contents, StoreError> {
    on_side!(side, contents())
}

fn different_engines(from: &Place, to: &Place) -> Result<(), CopyError> {
    match (from, to) {
        (Place::Sqlite(_), Place::Sqlite(_)) => Err(CopyError::SameEngine {
            engine: "SQLite",
            instead: "use `sqlite3 OLD.db \"VACUUM INTO 'NEW.db'\"`, which needs no stop",
        }),
        (Place::Postgres { .. }, Place::Postgres { .. }) => Err(CopyError::SameEngine {
            engine: "PostgreSQL",
            instead: "use `pg_dump --format=custom` and `pg_restore`, or the server's replication",
        }),
        (Place::Sqlite(_), Place::Postgres { .. }) | (Place::Postgres { .. }, Place::Sqlite(_)) => Ok(()),
    }
}

fn at_source(source: StoreError) -> CopyError {
    CopyError::Store { side: "source", source }
}

fn at_target(source: StoreError) -> CopyError {
    CopyError::Store { side: "target", source }
}

impl Side {
    /// For reading, with everybody else kept from changing it.
    async fn hold(place: &Place, though_used: bool) -> Result<Self, StoreError> {
        match place {
            Place::Sqlite(path) => sqlite::Side::hold(path).map(Self::Sqlite),
            Place::Postgres { url, password } => postgres::Side::hold(url, password.as_deref(), though_used)
                .await
                .map(|side| Self::Postgres(Box::new(side))),
        }
    }

    /// For a look, whoever works with it.
    async fn look_at(place: &Place) -> Result<Self, CopyError> {
        match place {
            Place::Sqlite(path) => sqlite::Side::look_at(path).map(Self::Sqlite),
            Place::Postgres { url, password } => {
                let side = postgres::Side::look_at(url, password.as_deref()).await;
                side.map(|side| Self::Postgres(Box::new(side)))
            }
        }
        .map_err(at_source)
    }
}

/// A way through a table, page by page in the order of its key.
#[derive(Default)]
struct Walk {
    sum: Sum,
    last: Option<Row>,
}

impl Walk {
    /// The next page; empty at the end.
    async fn next(&mut self, table: &Table, side: &mut Side) -> Result<Vec<Row>, StoreError> {
        let page = on_side!(side, page(table, self.last.as_deref(), COPY_PAGE_ROWS))?;
        for row in &page {
            self.sum.add(row);
        }
        if let Some(last) = page.last() {
            self.last = Some(key_of(table, last));
        }
        Ok(page)
    }

    const fn sum_rows(&self) -> u64 {
        self.sum.rows()
    }
}

/// Counts what was done and tells of it.
struct Steps<'a> {
    done: u64,
    all: u64,
    watch: Watch<'a>,
}

impl<'a> Steps<'a> {
    fn new(contents: &Contents, times: u64, watch: Watch<'a>) -> Self {
        Self { done: 0, all: contents.rows() * times, watch }
    }

    fn tell(&mut self, phase: Phase, table: &Table, rows: (u64, u64), page: usize) {
        self.done += page as u64;
        (self.watch)(Progress { phase, table: table.name, rows, steps: (self.done, self.all) });
    }
}

/// The audit log on its way past.
#[derive(Default)]
struct Log {
    checked: Option<Checked>,
    broken: Option<String>,
}

impl Log {
    fn follow(&mut self, table: &Table, page: &[Row]) {
        if table.name == AUDIT_ANCHOR {
            self.checked = page.first().and_then(|row| anchor(row)).map(Checked::from);
        } else if table.name == AUDIT && self.broken.is_none() {
            let rows = page.iter().map(|row| audit_row(row).ok_or_else(|| "a row holds no text".to_owned()));
            let told = |broken: Break| broken.to_string();
            self.broken = match &mut self.checked {
                Some(checked) => {
                    rows.map(|row| row.and_then(|row| checked.follow(&row).map_err(told))).find_map(Result::err)
                }
                None => Some("nothing says where it begins".to_owned()),
            };
        }
    }

    fn end(self) -> Chain {
        match (self.broken, self.checked) {
            (Some(broken), _) => Chain::Broken(broken),
            (None, None) => Chain::Broken("nothing says where it begins".to_owned()),
            (None, Some(checked)) => {
                let reached = checked.reached();
                match checked.end(reached) {
                    Ok((head, _)) => Chain::Whole(head),
                    Err(broken) => Chain::Broken(broken.to_string()),
                }
            }
        }
    }
}
