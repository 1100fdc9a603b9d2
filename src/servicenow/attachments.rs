//! Files of tickets: what is there, and their content.
//!
//! Owns: the lists of the Attachment API (`facts/servicenow.md` 6.2). Never: keeps a file in memory.
//! Fails: with an [`Outcome`]; a file of a ticket that was not asked for is `lookup_untrusted`.
//! Proved by: `tests/servicenow.rs`.

use super::client::Client;
use super::journal::BEGINNING;
use super::walk::{Walk, untrusted};
use super::wire::calls::Listed;
use super::wire::query::Query;
use super::wire::rows::Row;
use super::wire::text::UnsafeText;
use crate::delivery::outcome::Outcome;
use crate::domain::id::SysId;
use crate::domain::sighting::FileEntry;
use crate::limits::ATTACHMENT_ROWS_MAX;
use crate::peer::permit::Permit;

/// When a file was attached.
const ATTACHED: &str = "sys_created_on";

impl Client {
    /// The files of one ticket, the oldest first.
    pub async fn attachments_of(&self, permit: Permit, table: &str, ticket: &SysId) -> Result<Vec<FileEntry>, Outcome> {
        let walk = Walk { of: Listed::Attachments, by: ATTACHED, since: BEGINNING, rows_max: ATTACHMENT_ROWS_MAX };
        let one = std::slice::from_ref(ticket);
        let query = || Ok(of_table(table)?.refers_to("table_sys_id", one));
        let rows = self.walk(permit, walk, &query).await?;
        let files = of_rows(rows, table)?;
        if files.iter().any(|(owner, _)| owner != ticket) {
            return Err(untrusted("files of other tickets came back"));
        }
        Ok(files.into_iter().map(|(_, file)| file).collect())
    }

    /// The files attached to tickets of a table since a moment (raw, in UTC), the oldest first, in pages of `rows_max`.
    pub async fn attachments_since(
        &self,
        permit: Permit,
        table: &str,
        since: &str,
        rows_max: usize,
    ) -> Result<Vec<(SysId, FileEntry)>, Outcome> {
        let walk = Walk { of: Listed::Attachments, by: ATTACHED, since, rows_max };
        let rows = self.walk(permit, walk, &|| of_table(table)).await?;
        of_rows(rows, table)
    }
}

fn of_table(table: &str) -> Result<Query, UnsafeText> {
    Query::new().is("table_name", table)
}

fn of_rows(rows: Vec<Row>, table: &str) -> Result<Vec<(SysId, FileEntry)>, Outcome> {
    let file = |row: Row| {
        let ticket = row.key("table_sys_id").filter(|_| row.get("table_name") == Some(table))?;
        Some((ticket, file(row)))
    };
    rows.into_iter().map(file).collect::<Option<_>>().ok_or_else(|| untrusted("files of other tables came back"))
}

/// What is known of a file. ServiceNow says numbers as text.
fn file(row: Row) -> FileEntry {
    let told = |field: &str| row.get(field).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    FileEntry {
        file_name: told("file_name").unwrap_or_default(),
        content_type: told("content_type"),
        size_bytes: told("size_bytes").and_then(|text| text.parse().ok()),
        hash: told("hash"),
        created_on: told(ATTACHED),
        created_by: told("sys_created_by"),
        sys_id: row.sys_id,
    }
}
