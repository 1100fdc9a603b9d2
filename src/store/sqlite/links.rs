//! Which ticket belongs to which incident: written with the settlement that found it, read on the readers' connections.
//!
//! Never: decides which of two links is right; the newest word about a ticket counts.

use rusqlite::{OptionalExtension, Row, params};

use super::fault::Fault;
use super::read::Reader;
use super::rows::incident_of;
use super::session::Session;
use crate::domain::id::{IncidentId, SysId, TenantId};
use crate::domain::ticket::{Link, Ticket};
use crate::domain::time::Timestamp;

/// The columns that [`link`] reads.
const LINK_COLUMNS: &str = "sys_id, number, ticket_table, incident, episode";

impl Session {
    /// Keeps a link; one that says nothing new writes nothing.
    pub(super) fn keep_link(&self, tenant: i64, link: &Link, now: Timestamp) -> Result<(), Fault> {
        let sql = "INSERT INTO link (tenant, sys_id, number, ticket_table, incident, episode, found_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                   ON CONFLICT (tenant, sys_id) DO UPDATE SET \
                     number = CASE WHEN excluded.number = '' THEN number ELSE excluded.number END, \
                     ticket_table = excluded.ticket_table, incident = excluded.incident, episode = excluded.episode \
                   WHERE (excluded.number NOT IN ('', number)) OR ticket_table <> excluded.ticket_table \
                     OR incident <> excluded.incident OR episode <> excluded.episode";
        let Link { ticket, incident, episode } = link;
        self.connection.prepare_cached(sql)?.execute(params![
            tenant,
            ticket.sys_id.as_str(),
            ticket.number,
            ticket.table,
            incident.as_str(),
            episode,
            now.millis(),
        ])?;
        Ok(())
    }
}

impl Reader {
    pub(super) fn link(&self, tenant: &TenantId, ticket: &SysId) -> Result<Option<Link>, Fault> {
        let sql = format!(
            "SELECT {LINK_COLUMNS} FROM link WHERE tenant = (SELECT id FROM tenant WHERE name = ?1) AND sys_id = ?2"
        );
        let row = params![tenant.as_str(), ticket.as_str()];
        self.connection.prepare_cached(&sql)?.query_row(row, |row| Ok(link(row))).optional()?.transpose()
    }

    pub(super) fn links_of(&self, tenant: &TenantId, incident: &IncidentId) -> Result<Vec<Link>, Fault> {
        let sql = format!(
            "SELECT {LINK_COLUMNS} FROM link WHERE tenant = (SELECT id FROM tenant WHERE name = ?1) AND incident = ?2 \
             ORDER BY episode DESC, found_at DESC, sys_id DESC"
        );
        self.links(&sql, params![tenant.as_str(), incident.as_str()])
    }

    pub(super) fn links_page(
        &self,
        tenant: &TenantId,
        after: Option<&SysId>,
        limit: usize,
    ) -> Result<Vec<Link>, Fault> {
        let sql = format!(
            "SELECT {LINK_COLUMNS} FROM link WHERE tenant = (SELECT id FROM tenant WHERE name = ?1) AND sys_id > ?2 \
             ORDER BY sys_id LIMIT ?3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.links(&sql, params![tenant.as_str(), after.map_or("", SysId::as_str), limit])
    }

    fn links(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Link>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut links = Vec::new();
        while let Some(row) = rows.next()? {
            links.push(link(row)?);
        }
        Ok(links)
    }
}

/// Reads a row of [`LINK_COLUMNS`].
fn link(row: &Row<'_>) -> Result<Link, Fault> {
    let (sys_id, incident): (String, String) = (row.get(0)?, row.get(3)?);
    let sys_id = SysId::parse(&sys_id).map_err(|error| Fault::nonsense("link.sys_id", error))?;
    let ticket = Ticket { sys_id, number: row.get(1)?, table: row.get(2)? };
    Ok(Link { ticket, incident: incident_of(&incident)?, episode: row.get(4)? })
}
