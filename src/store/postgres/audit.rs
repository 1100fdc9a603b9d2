//! The audit log in the database: appended in the transaction of the deed, read by single statements.
//!
//! **One writer at a time.** A row proves the one before it, so whoever appends locks the anchor, the one row that every
//! writer shares, and only then looks for the head. At READ COMMITTED each statement sees what was committed before it
//! began: the lock is granted after the writer before has committed, so the look finds that writer's row. The lock ends
//! with the transaction; deeds are recorded last in theirs, so it is held for one insert and the commit, and whoever
//! waits for it holds nothing that its holder still needs.
//! Never: changes or removes a row but the oldest, which the schema's triggers see to as well.
//! Fails: like any statement, and then the deed is undone too. Proved by: `tests/store`, part `audit`.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::fault::Fault;
use super::operate::again;
use super::rows::{signed, unsigned};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::audit::{AuditEnds, AuditEntry, AuditHead, AuditPage, AuditQuery, AuditRow};
use crate::store::contract::StoreError;
use crate::store::deeds;

/// The columns that [`row`] reads.
const COLUMNS: &str = "sequence, at, who, role, tenant, action, target, before, after, source, request, note, hash";

/// Both ends, as one row of four columns; the newest row is missing in an empty log.
const ENDS: &str = "SELECT anchor.sequence, anchor.hash, newest.sequence AS newest, newest.hash AS newest_hash \
     FROM audit_anchor AS anchor \
     LEFT JOIN LATERAL (SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1) newest ON true";

/// Records a deed in the transaction of what it is about. To be called last in it: see the lock above.
pub(super) async fn log_deed(
    transaction: &Transaction<'_>,
    now: Timestamp,
    entry: &AuditEntry,
) -> Result<AuditHead, Fault> {
    lock(transaction).await?;
    append(transaction, now, entry).await
}

/// Keeps every other writer of the log out until the end of the transaction.
async fn lock(transaction: &Transaction<'_>) -> Result<(), Fault> {
    let lock = transaction.prepare_cached("SELECT FROM audit_anchor WHERE id = 1 FOR UPDATE").await?;
    transaction.query_one(&lock, &[]).await?;
    Ok(())
}

async fn append(transaction: &Transaction<'_>, now: Timestamp, entry: &AuditEntry) -> Result<AuditHead, Fault> {
    let head = ends(transaction).await?.head;
    let row = AuditRow::after(&head, now, entry);
    let hash = row.hash_after(&head.hash);
    let sql = format!("INSERT INTO audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)");
    let statement = transaction.prepare_cached(&sql).await?;
    let (before, after) =
        (entry.before.as_ref().map_or(&[][..], |hash| hash), entry.after.as_ref().map_or(&[][..], |hash| hash));
    let values: [&(dyn ToSql + Sync); 13] = [
        &signed(row.sequence),
        &now.millis(),
        &row.who,
        &row.role,
        &row.tenant,
        &row.action,
        &row.target,
        &before,
        &after,
        &row.source,
        &row.request,
        &row.note,
        &hash.as_slice(),
    ];
    transaction.execute(&statement, &values).await?;
    Ok(AuditHead { sequence: row.sequence, hash })
}

async fn ends(client: &impl deadpool_postgres::GenericClient) -> Result<AuditEnds, Fault> {
    let statement = client.prepare_cached(ENDS).await?;
    ends_of(&client.query_one(&statement, &[]).await?, 0)
}

impl PostgresStore {
    pub(in crate::store) async fn audit(&self, entry: &AuditEntry) -> Result<AuditHead, StoreError> {
        self.ask(async { again!(self.log(entry)) }).await
    }

    pub(in crate::store) async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.ask(self.page_of_log(query)).await
    }

    pub(in crate::store) async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
        self.ask(self.ends_of_log()).await
    }

    pub(in crate::store) async fn trim_audit(&self, keep: Duration, most: usize) -> Result<usize, StoreError> {
        self.ask(async { again!(self.trim_log(keep, most)) }).await
    }

    async fn log(&self, entry: &AuditEntry) -> Result<AuditHead, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        // The lock first, then the time: rows follow each other in time as they do in the chain.
        lock(&transaction).await?;
        let now = self.now(&transaction).await?;
        let head = append(&transaction, now, entry).await?;
        transaction.commit().await?;
        Ok(head)
    }

    async fn ends_of_log(&self) -> Result<AuditEnds, Fault> {
        ends(&self.connection().await?).await
    }

    async fn page_of_log(&self, query: &AuditQuery) -> Result<AuditPage, Fault> {
        let (order, from, until) = match (query.oldest_first, query.beyond) {
            (true, beyond) => ("ASC", beyond.map_or(0, signed), i64::MAX),
            (false, beyond) => ("DESC", 0, beyond.map_or(i64::MAX, signed)),
        };
        let of_tenant = if query.tenant.is_some() { "tenant = $5" } else { "$5::text IS NULL" };
        // One statement: the ends are of the same moment as the rows, and are told if there are none.
        let sql = format!(
            "SELECT rows.*, ends.* FROM ({ENDS}) ends LEFT JOIN LATERAL (SELECT {COLUMNS} FROM audit \
               WHERE {of_tenant} AND sequence > $1 AND sequence < $2 AND at >= $3 ORDER BY sequence {order} LIMIT $4) rows \
             ON true ORDER BY rows.sequence {order}"
        );
        let limit = i64::try_from(query.limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
        let since = query.since.map_or(i64::MIN, Timestamp::millis);
        let tenant = query.tenant.as_ref().map(TenantId::as_str);
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(&sql).await?;
        let found = connection.query(&statement, &[&from, &until, &since, &limit, &tenant]).await?;
        let Some(first) = found.first() else { return Err(Fault::nonsense("audit_anchor", "its row is gone")) };
        let ends = ends_of(first, 13)?;
        let is_row = |row: &&Row| row.try_get::<_, Option<i64>>(0).is_ok_and(|sequence| sequence.is_some());
        let mut rows = found.iter().filter(is_row).map(row).collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next = if more { rows.last().map(|last| last.sequence) } else { None };
        Ok(AuditPage { rows, next, ends })
    }

    /// Removes the oldest rows. Two replicas that do it at once come one after the other, and the second finds its own
    /// share or nothing.
    async fn trim_log(&self, keep: Duration, most: usize) -> Result<usize, Fault> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let now = self.now(&transaction).await?;
        let (before, oldest) = deeds::trims(now, keep);
        let first = transaction.prepare_cached("SELECT at FROM audit ORDER BY sequence LIMIT 1").await?;
        let first = transaction.query_opt(&first, &[]).await?.map(|row| row.try_get::<_, i64>(0)).transpose()?;
        // Looked at without the lock, because nearly always there is nothing to do.
        if first.is_none_or(|first| first >= oldest.millis()) {
            return Ok(0);
        }
        lock(&transaction).await?;
        let anchor = ends(&transaction).await?.anchor;
        let last = "SELECT sequence, hash FROM audit WHERE sequence <= $1 AND at < $2 ORDER BY sequence DESC LIMIT 1";
        let last = transaction.prepare_cached(last).await?;
        let most = signed(anchor.sequence).saturating_add(i64::try_from(most).unwrap_or(i64::MAX));
        let Some(last) = transaction.query_opt(&last, &[&most, &before.millis()]).await? else { return Ok(0) };
        let last = head(&last, 0)?;
        append(&transaction, now, &deeds::trimmed(&last, last.sequence - anchor.sequence)).await?;
        let moved = transaction.prepare_cached("UPDATE audit_anchor SET sequence = $1, hash = $2 WHERE id = 1").await?;
        transaction.execute(&moved, &[&signed(last.sequence), &last.hash.as_slice()]).await?;
        let gone = transaction.prepare_cached("DELETE FROM audit WHERE sequence <= $1").await?;
        let gone = transaction.execute(&gone, &[&signed(last.sequence)]).await?;
        transaction.commit().await?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }
}

/// Reads the columns of [`ENDS`] from that column on.
fn ends_of(row: &Row, from: usize) -> Result<AuditEnds, Fault> {
    let anchor = head(row, from)?;
    let is_empty = row.try_get::<_, Option<i64>>(from + 2)?.is_none();
    Ok(AuditEnds { anchor, head: if is_empty { anchor } else { head(row, from + 2)? } })
}

/// A hash of another length was not written by us: it verifies as none.
fn head(row: &Row, from: usize) -> Result<AuditHead, Fault> {
    let hash: &[u8] = row.try_get(from + 1)?;
    Ok(AuditHead { sequence: unsigned(row.try_get(from)?), hash: hash.try_into().unwrap_or_default() })
}

/// Reads a row of [`COLUMNS`].
fn row(row: &Row) -> Result<AuditRow, Fault> {
    let in_hex = |column: usize| -> Result<String, Fault> {
        let bytes: &[u8] = row.try_get(column)?;
        Ok(bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
    };
    Ok(AuditRow {
        sequence: unsigned(row.try_get(0)?),
        at: Timestamp::from_millis(row.try_get(1)?).to_string(),
        who: row.try_get(2)?,
        role: row.try_get(3)?,
        tenant: row.try_get(4)?,
        action: row.try_get(5)?,
        target: row.try_get(6)?,
        before: in_hex(7)?,
        after: in_hex(8)?,
        source: row.try_get(9)?,
        request: row.try_get(10)?,
        note: row.try_get(11)?,
        hash: in_hex(12)?,
    })
}
