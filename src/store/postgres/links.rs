//! Which ticket belongs to which incident: written with the settlement that found it, read by single statements.
//!
//! Never: decides which of two links is right; the newest word about a ticket counts. Two settlements that tell of one
//! ticket at the same time wait for each other at its row, and the later commit is the newer word.
//! Fails: like any statement. Proved by: `tests/store`, part `linking`.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{incident_of, plain};
use crate::domain::id::{IncidentId, SysId, TenantId};
use crate::domain::ticket::{Link, Ticket};
use crate::domain::time::Timestamp;
use crate::store::contract::StoreError;

/// The columns that [`link`] reads.
const LINK_COLUMNS: &str = "sys_id, number, ticket_table, incident, episode";

/// Keeps a link; one that says nothing new writes nothing.
pub(super) async fn keep_link(
    transaction: &Transaction<'_>,
    tenant: i64,
    link: &Link,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO link (tenant, sys_id, number, ticket_table, incident, episode, found_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) \
               ON CONFLICT (tenant, sys_id) DO UPDATE SET \
                 number = CASE WHEN excluded.number = '' THEN link.number ELSE excluded.number END, \
                 ticket_table = excluded.ticket_table, incident = excluded.incident, episode = excluded.episode \
               WHERE excluded.number NOT IN ('', link.number) OR link.ticket_table <> excluded.ticket_table \
                 OR link.incident <> excluded.incident OR link.episode <> excluded.episode";
    let Link { ticket, incident, episode } = link;
    let (number, table) = (plain(&ticket.number), plain(&ticket.table));
    let statement = transaction.prepare_cached(sql).await?;
    let row: [&(dyn ToSql + Sync); 7] =
        [&tenant, &ticket.sys_id.as_str(), &number, &table, &incident.as_str(), &i64::from(*episode), &now.millis()];
    transaction.execute(&statement, &row).await?;
    Ok(())
}

impl PostgresStore {
    pub(in crate::store) async fn link(&self, tenant: &TenantId, ticket: &SysId) -> Result<Option<Link>, StoreError> {
        let sql = format!(
            "SELECT {LINK_COLUMNS} FROM link WHERE tenant = (SELECT id FROM tenant WHERE name = $1) AND sys_id = $2"
        );
        Ok(self.ask(self.links_by(&sql, &[&tenant.as_str(), &ticket.as_str()])).await?.pop())
    }

    pub(in crate::store) async fn links_of(
        &self,
        tenant: &TenantId,
        incident: &IncidentId,
    ) -> Result<Vec<Link>, StoreError> {
        let sql = format!(
            "SELECT {LINK_COLUMNS} FROM link WHERE tenant = (SELECT id FROM tenant WHERE name = $1) AND incident = $2 \
             ORDER BY episode DESC, found_at DESC, sys_id DESC"
        );
        self.ask(self.links_by(&sql, &[&tenant.as_str(), &incident.as_str()])).await
    }

    pub(in crate::store) async fn links_page(
        &self,
        tenant: &TenantId,
        after: Option<&SysId>,
        limit: usize,
    ) -> Result<Vec<Link>, StoreError> {
        let sql = format!(
            "SELECT {LINK_COLUMNS} FROM link WHERE tenant = (SELECT id FROM tenant WHERE name = $1) AND sys_id > $2 \
             ORDER BY sys_id LIMIT $3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.ask(self.links_by(&sql, &[&tenant.as_str(), &after.map_or("", SysId::as_str), &limit])).await
    }

    async fn links_by(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Link>, Fault> {
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(sql).await?;
        connection.query(&statement, values).await?.iter().map(link).collect()
    }
}

/// Reads a row of [`LINK_COLUMNS`].
fn link(row: &Row) -> Result<Link, Fault> {
    let sys_id = SysId::parse(row.try_get(0)?).map_err(|error| Fault::nonsense("link.sys_id", error))?;
    let episode: i64 = row.try_get(4)?;
    let ticket = Ticket { sys_id, number: row.try_get(1)?, table: row.try_get(2)? };
    let episode = u32::try_from(episode).map_err(|error| Fault::nonsense("link.episode", error))?;
    Ok(Link { ticket, incident: incident_of(row.try_get(3)?)?, episode })
}
