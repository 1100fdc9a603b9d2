//! This engine's side of a copy: reading a file that stands still, or filling a new one.
//!
//! Owns: the lock that a gateway would hold, so neither can be there while the other is; and the new file, which has
//! another name until everything in it is proved and on the disk. Never: changes a file that is read.
//! Fails: with what is wrong and what to do; a new file that was not finished is removed by the next try.
//! Proved by: `tests/store/copying.rs`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSql, ToSqlOutput, Value as Stored, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::connection::{self, Use};
use super::migrate;
use super::place::{self, Lock, beside};
use super::rows::{OPEN, unsigned};
use crate::domain::time::Timestamp;
use crate::store::contract::StoreError;
use crate::store::copy::{AUDIT_ANCHOR, Column, Contents, DELIVERY, Kind, Row, TABLES, Table, Value};

/// What a file is called while it is filled.
const UNFINISHED: &str = ".copying";

/// One side of a copy.
pub(in crate::store) struct Side {
    connection: Connection,
    path: PathBuf,
    /// The triggers that guard the audit log, while they are down.
    guards: Vec<String>,
    // Last: a gateway may start once the connection is closed.
    _lock: Option<Lock>,
}

impl Side {
    /// Opens a file for reading and keeps gateways away from it.
    pub(in crate::store) fn hold(path: &Path) -> Result<Self, StoreError> {
        must_exist(path)?;
        let lock = Lock::take(path)?;
        let connection = connection::open(path, Use::Read)?;
        let side = Self { connection, path: path.to_owned(), guards: Vec::new(), _lock: Some(lock) };
        side.must_be_of_this_version()?;
        side.run("BEGIN")?;
        Ok(side)
    }

    /// Opens a file for a look; a gateway may be at work.
    pub(in crate::store) fn look_at(path: &Path) -> Result<Self, StoreError> {
        must_exist(path)?;
        let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = opened.map_err(|error| connection::meaning(path, &error))?;
        let side = Self { connection, path: path.to_owned(), guards: Vec::new(), _lock: None };
        side.run("BEGIN")?;
        Ok(side)
    }

    /// Whether a new file may be made there.
    pub(in crate::store) fn is_free(path: &Path) -> Result<(), StoreError> {
        if path.exists() {
            return Err(StoreError::Refused(format!(
                "{} exists already: name a file that does not, or move this one away with its -wal and -shm",
                path.display()
            )));
        }
        Ok(())
    }

    /// Begins a new file, to be filled.
    pub(in crate::store) fn fresh(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let directory = place::directory_of(path)?;
        place::check_file_system(&directory, false)?;
        let lock = Lock::take(path)?;
        Self::is_free(path)?;
        let unfinished = beside(path, UNFINISHED);
        for leftover in [unfinished.clone(), beside(&unfinished, "-wal"), beside(&unfinished, "-shm")] {
            match fs::remove_file(&leftover) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&leftover, &error)),
                Ok(()) | Err(_) => {}
            }
        }
        let mut connection = connection::open(&unfinished, Use::Write)?;
        migrate::migrate(&mut connection, now)?;
        let mut side = Self { connection, path: path.to_owned(), guards: Vec::new(), _lock: Some(lock) };
        side.run("BEGIN IMMEDIATE")?;
        side.take_guards_down().map_err(|error| side.meaning(&error))?;
        let moved = "UPDATE store_time SET now = ?1 WHERE id = 1";
        side.connection.execute(moved, [now.millis()]).map_err(|error| side.meaning(&error))?;
        Ok(side)
    }

    /// The log comes as it is, from wherever it begins: for that its guards stand aside until it is there.
    fn take_guards_down(&mut self) -> rusqlite::Result<()> {
        let all = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name";
        let guards = self
            .connection
            .prepare(all)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(String, String)>, _>>()?;
        for (name, sql) in guards {
            self.connection.execute_batch(&format!("DROP TRIGGER {name}"))?;
            self.guards.push(sql);
        }
        self.connection.execute_batch(&format!("DELETE FROM {AUDIT_ANCHOR}"))
    }

    /// Puts the guards up again, commits, and gives the file its name once it is on the disk.
    pub(in crate::store) fn keep(self) -> Result<(), StoreError> {
        for guard in &self.guards {
            self.run(guard)?;
        }
        self.run("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
        let Self { connection, path, guards: _, _lock } = self;
        connection.close().map_err(|(_, error)| connection::meaning(&path, &error))?;
        let unfinished = beside(&path, UNFINISHED);
        let synced = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        synced(&unfinished).map_err(|error| failed(&unfinished, &error))?;
        fs::rename(&unfinished, &path).map_err(|error| failed(&path, &error))?;
        let directory = place::directory_of(&path)?;
        synced(&directory).map_err(|error| failed(&directory, &error))
    }

    /// The latest time that was in use here.
    pub(in crate::store) fn now(&self) -> Result<Timestamp, StoreError> {
        let now = self.connection.query_row("SELECT now FROM store_time", [], |row| row.get(0));
        now.map(Timestamp::from_millis).map_err(|error| self.meaning(&error))
    }

    /// What is in it.
    pub(in crate::store) fn contents(&self) -> Result<Contents, StoreError> {
        let number = |sql: &str| -> Result<i64, StoreError> {
            self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| self.meaning(&error))
        };
        let mut tables = Vec::with_capacity(TABLES.len());
        for table in &TABLES {
            tables.push((table.name, unsigned(number(&format!("SELECT count(*) FROM {}", table.name))?)));
        }
        let oldest = format!("SELECT min(accepted_at) FROM {DELIVERY} WHERE state = {OPEN}");
        let oldest = self.connection.query_row(&oldest, [], |row| row.get::<_, Option<i64>>(0));
        Ok(Contents {
            schema: number("SELECT max(version) FROM migration")?,
            tables,
            open: unsigned(number(&format!("SELECT count(*) FROM {DELIVERY} WHERE state = {OPEN}"))?),
            oldest: oldest.map_err(|error| self.meaning(&error))?.map(Timestamp::from_millis),
        })
    }

    /// A page of a table in the order of its key.
    pub(in crate::store) fn page(
        &self,
        table: &Table,
        after: Option<&[Value]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let list = |of: &mut dyn Iterator<Item = &'static str>| of.map(|name| format!("t.{name}")).collect::<Vec<_>>();
        let columns = table.columns.iter().map(|column| match (table.name, column.name) {
            (DELIVERY, "body") => "b.text".to_owned(),
            (_, name) => format!("t.{name}"),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let with_body = if table.name == DELIVERY { "CROSS JOIN body b ON b.id = t.body" } else { "" };
        let key = list(&mut table.key()).join(", ");
        let beyond = match after {
            Some(after) => format!("WHERE ({key}) > ({})", vec!["?"; after.len()].join(", ")),
            None => String::new(),
        };
        let sql = format!("SELECT {columns} FROM {} t {with_body} {beyond} ORDER BY {key} LIMIT {most}", table.name);
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut found = statement.query(params_from_iter(after.unwrap_or_default()))?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                let values = table.columns.iter().enumerate();
                rows.push(values.map(|(at, column)| value(row.get_ref(at)?, at, column)).collect::<Result<_, _>>()?);
            }
            Ok(rows)
        };
        read().map_err(|error| {
            let StoreError::Refused(said) = self.meaning(&error) else { return self.meaning(&error) };
            StoreError::Damaged(format!("table {}: {said}", table.name))
        })
    }

    /// Writes a page.
    pub(in crate::store) fn write(&self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        let names = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        let places = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({names}) VALUES ({places})", table.name);
        let body = table.columns.iter().position(|column| table.name == DELIVERY && column.name == "body");
        let write = || -> rusqlite::Result<()> {
            let mut insert = self.connection.prepare_cached(&sql)?;
            for row in rows {
                match body {
                    Some(body) => insert.execute(params_from_iter(self.body_apart(row, body)?))?,
                    None => insert.execute(params_from_iter(row))?,
                };
            }
            Ok(())
        };
        write().map_err(|error| self.meaning(&error))
    }

    /// The row with its body's number in place of the body: bodies lie apart here.
    fn body_apart(&self, row: &[Value], body: usize) -> rusqlite::Result<Row> {
        let mut apart: Row = row.iter().take(body).cloned().collect();
        self.connection.prepare_cached("INSERT INTO body (text) VALUES (?1)")?.execute([row.get(body)])?;
        apart.push(Value::Number(self.connection.last_insert_rowid()));
        apart.extend(row.iter().skip(body + 1).cloned());
        Ok(apart)
    }

    fn must_be_of_this_version(&self) -> Result<(), StoreError> {
        let newest = "SELECT coalesce(max(version), 0) FROM migration";
        let newest: i64 = self.connection.query_row(newest, [], |row| row.get(0)).map_err(|error| {
            StoreError::Refused(format!("{} is no store of Snowgate ({error})", self.path.display()))
        })?;
        let known = migrate::known_schema();
        if newest == known {
            return Ok(());
        }
        let path = self.path.display();
        Err(StoreError::Refused(if newest < known {
            format!(
                "{path} has schema {newest}, this version {known}: start and stop this version's gateway on it once"
            )
        } else {
            format!(
                "{path} was written by a newer Snowgate (schema {newest}, this one knows {known}): use that version"
            )
        }))
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(|error| self.meaning(&error))
    }

    fn meaning(&self, error: &rusqlite::Error) -> StoreError {
        connection::meaning(&self.path, error)
    }
}

fn must_exist(path: &Path) -> Result<(), StoreError> {
    if path.is_file() { Ok(()) } else { Err(StoreError::Refused(format!("there is no file {}", path.display()))) }
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Refused(format!("{}: {error}", path.display()))
}

/// Reads a value as its column should have it. A NUL in a text says nothing to a reader, and PostgreSQL holds none.
fn value(stored: ValueRef<'_>, at: usize, column: &Column) -> rusqlite::Result<Value> {
    match (stored, column.kind) {
        (ValueRef::Null, _) => Ok(Value::Null),
        (ValueRef::Integer(number @ (0 | 1)), Kind::Flag) => Ok(Value::Flag(number == 1)),
        (ValueRef::Integer(number), Kind::Long | Kind::Int | Kind::Short) => Ok(Value::Number(number)),
        (ValueRef::Text(_), Kind::Text) => Ok(Value::Text(stored.as_str()?.replace('\0', ""))),
        (ValueRef::Blob(bytes), Kind::Bytes) => Ok(Value::Bytes(bytes.to_owned())),
        (ValueRef::Blob(bytes), Kind::Id) if bytes.len() == 16 => {
            Ok(Value::Id(bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte))))
        }
        (other, _) => Err(rusqlite::Error::InvalidColumnType(at, column.name.to_owned(), other.data_type())),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Stored::Null),
            Self::Number(number) => ToSqlOutput::Owned(Stored::Integer(*number)),
            Self::Flag(flag) => ToSqlOutput::Owned(Stored::Integer(i64::from(*flag))),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Id(id) => ToSqlOutput::Owned(Stored::Blob(id.to_be_bytes().to_vec())),
        })
    }
}
