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

mod report;
mod row;
mod tables;
mod walk;

use std::path::PathBuf;

pub use report::{Chain, Contents, Phase, Progress, Report, TableReport, Watch};
pub(super) use row::{Row, Value};
pub(super) use tables::{AUDIT, AUDIT_ANCHOR, Column, DELIVERY, Kind, TABLES, Table};

use super::audit::Hash;
use super::contract::StoreError;
use super::postgres::moving as postgres;
use super::sqlite::moving as sqlite;
use crate::limits::COPY_PAGE_ROWS;
use walk::{Log, Steps, Walk};

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
    let sums = read_whole(&mut source, Some(&mut target), &contents, &mut steps).await?;
    let report = prove(sums, &mut target, &mut steps).await.map_err(at_target)?;
    source.let_go().await;
    if !report.is_equal() {
        target.let_go().await;
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
    let sums = read_whole(&mut source, None, &contents, &mut steps).await?;
    let report = prove(sums, &mut target, &mut steps).await.map_err(at_target)?;
    source.let_go().await;
    target.let_go().await;
    Ok(report)
}

/// Reads the source whole, writes it to the target if there is one to be filled, and sums every table up.
async fn read_whole(
    source: &mut Side,
    mut target: Option<&mut Side>,
    contents: &Contents,
    steps: &mut Steps<'_>,
) -> Result<Vec<(u64, Hash)>, CopyError> {
    let mut sums = Vec::with_capacity(TABLES.len());
    for (table, (_, rows)) in TABLES.iter().zip(&contents.tables) {
        let mut walk = Walk::default();
        loop {
            let page = walk.next(table, source).await.map_err(at_source)?;
            if page.is_empty() {
                break;
            }
            let phase = match target.as_deref_mut() {
                Some(target) => {
                    on_side!(target, write(table, &page)).map_err(at_target)?;
                    Phase::Copying
                }
                None => Phase::Proving,
            };
            steps.tell(phase, table, (walk.rows(), *rows), page.len());
        }
        sums.push(walk.sum.end());
    }
    Ok(sums)
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
            steps.tell(Phase::Proving, table, (walk.rows(), source.0), page.len());
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

    /// A page of a table in the order of its key.
    async fn page(&mut self, table: &Table, after: Option<&[Value]>) -> Result<Vec<Row>, StoreError> {
        on_side!(self, page(table, after, COPY_PAGE_ROWS))
    }

    /// Ends what it holds now instead of when the server notices that the connection is gone; undoes what was not kept.
    async fn let_go(self) {
        match self {
            Self::Sqlite(side) => drop(side),
            Self::Postgres(side) => side.let_go().await,
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
