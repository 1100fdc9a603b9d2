//! The audit log in the file: appended by the writer in the transaction of the deed, read on the readers' connections.
//!
//! Fails: a row cannot be changed or removed, triggers of the schema see to that. Proved by: `tests/store`.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::fault::Fault;
use super::read::Reader;
use super::rows::{signed, unsigned};
use super::session::Session;
use crate::domain::time::Timestamp;
use crate::store::audit::{AuditEnds, AuditEntry, AuditHead, AuditPage, AuditQuery, AuditRow};
use crate::store::contract::StoreError;
use crate::store::deeds;

/// The columns that [`row`] reads.
const COLUMNS: &str = "sequence, at, who, role, tenant, action, target, before, after, source, request, note, hash";

impl Session {
    pub(super) fn audit(&self, entry: &AuditEntry) -> Result<AuditHead, Fault> {
        let now = self.now();
        self.log_deed(now, entry)
    }

    /// Records a deed in the transaction of what it is about.
    pub(super) fn log_deed(&self, now: Timestamp, entry: &AuditEntry) -> Result<AuditHead, Fault> {
        let head = ends(&self.connection)?.head;
        let row = AuditRow::after(&head, now, entry);
        let hash = row.hash_after(&head.hash);
        let sql =
            format!("INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
        self.connection.prepare_cached(&sql)?.execute(params![
            signed(row.sequence),
            now.millis(),
            row.who,
            row.role,
            row.tenant,
            row.action,
            row.target,
            entry.before.as_ref().map_or(&[][..], |hash| hash),
            entry.after.as_ref().map_or(&[][..], |hash| hash),
            row.source,
            row.request,
            row.note,
            hash.as_slice(),
        ])?;
        Ok(AuditHead { sequence: row.sequence, hash })
    }

    pub(super) fn trim_audit(&self, keep: Duration, most: usize) -> Result<usize, Fault> {
        let now = self.now();
        let (before, oldest) = deeds::trims(now, keep);
        let anchor = ends(&self.connection)?.anchor;
        let first = "SELECT at FROM audit ORDER BY sequence LIMIT 1";
        let first: Option<i64> = self.connection.prepare_cached(first)?.query_row([], |row| row.get(0)).optional()?;
        if first.is_none_or(|first| first >= oldest.millis()) {
            return Ok(0);
        }
        let last = "SELECT sequence, hash FROM audit WHERE sequence <= ?1 AND at < ?2 ORDER BY sequence DESC LIMIT 1";
        let most = signed(anchor.sequence).saturating_add(i64::try_from(most).unwrap_or(i64::MAX));
        let mut statement = self.connection.prepare_cached(last)?;
        let Some(last) = statement.query_row(params![most, before.millis()], head).optional()? else { return Ok(0) };
        self.log_deed(now, &deeds::trimmed(&last, last.sequence - anchor.sequence))?;
        let moved = "UPDATE audit_anchor SET sequence = ?1, hash = ?2 WHERE id = 1";
        self.connection.prepare_cached(moved)?.execute(params![signed(last.sequence), last.hash.as_slice()])?;
        let gone = "DELETE FROM audit WHERE sequence <= ?1";
        Ok(self.connection.prepare_cached(gone)?.execute(params![signed(last.sequence)])?)
    }
}

impl Reader {
    pub(super) fn audit_ends(&self) -> Result<AuditEnds, Fault> {
        Ok(ends(&self.connection)?)
    }

    pub(super) fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, Fault> {
        Ok(page(&self.connection, query)?)
    }
}

/// Reads the audit log of a file that no gateway needs to be running for; changes nothing in it.
pub fn read_audit(path: &Path, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let refused = |error: rusqlite::Error| StoreError::Refused(format!("{}: {error}", path.display()));
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(refused)?;
    page(&connection, query).map_err(refused)
}

fn page(connection: &Connection, query: &AuditQuery) -> rusqlite::Result<AuditPage> {
    let (order, from, until) = match (query.oldest_first, query.beyond) {
        (true, beyond) => ("ASC", beyond.map_or(0, signed), i64::MAX),
        (false, beyond) => ("DESC", 0, beyond.map_or(i64::MAX, signed)),
    };
    let of_tenant = if query.tenant.is_some() { "tenant = ?5" } else { "?5 IS NULL" };
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE {of_tenant} AND sequence > ?1 AND sequence < ?2 AND at >= ?3 \
         ORDER BY sequence {order} LIMIT ?4"
    );
    // One read transaction: the ends are of the same moment as the rows.
    let transaction = connection.unchecked_transaction()?;
    let limit = i64::try_from(query.limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
    let since = query.since.map_or(i64::MIN, Timestamp::millis);
    let tenant = query.tenant.as_ref().map(crate::domain::id::TenantId::as_str);
    let mut statement = transaction.prepare_cached(&sql)?;
    let found = statement.query_map(params![from, until, since, limit, tenant], row)?;
    let mut rows = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = if more { rows.last().map(|last| last.sequence) } else { None };
    Ok(AuditPage { rows, next, ends: ends(&transaction)? })
}

fn ends(connection: &Connection) -> rusqlite::Result<AuditEnds> {
    let anchor =
        connection.prepare_cached("SELECT sequence, hash FROM audit_anchor WHERE id = 1")?.query_row([], head)?;
    let newest = "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1";
    let newest = connection.prepare_cached(newest)?.query_row([], head).optional()?;
    Ok(AuditEnds { anchor, head: newest.unwrap_or(anchor) })
}

/// A hash of another length was not written by us: it verifies as none.
fn head(row: &Row<'_>) -> rusqlite::Result<AuditHead> {
    let hash: Vec<u8> = row.get(1)?;
    Ok(AuditHead { sequence: unsigned(row.get(0)?), hash: hash.try_into().unwrap_or_default() })
}

/// Reads a row of [`COLUMNS`].
fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let in_hex = |column: usize| {
        row.get::<_, Vec<u8>>(column)
            .map(|bytes| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
    };
    Ok(AuditRow {
        sequence: unsigned(row.get(0)?),
        at: Timestamp::from_millis(row.get(1)?).to_string(),
        who: row.get(2)?,
        role: row.get(3)?,
        tenant: row.get(4)?,
        action: row.get(5)?,
        target: row.get(6)?,
        before: in_hex(7)?,
        after: in_hex(8)?,
        source: row.get(9)?,
        request: row.get(10)?,
        note: row.get(11)?,
        hash: in_hex(12)?,
    })
}
