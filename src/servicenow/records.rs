//! Reading records that are no tickets, such as the dictionary's, and removing one of our own: for checks of an instance.
//!
//! Owns: one page of any table, raw. Never: believes that rows fit a query: its caller knows what they must carry.
//! Fails: with an [`Outcome`]. Proved by: `tests/it/live_check.rs` and `tests/onboarding`.

use super::client::{Client, of_unsafe};
use super::wire::calls::Call;
use super::wire::lists::{Listed, Rows};
use super::wire::query::Query;
use super::wire::rows::Row;
use super::wire::text::UnsafeText;
use crate::delivery::outcome::Outcome;
use crate::domain::id::SysId;
use crate::peer::permit::Permit;

impl Client {
    /// Reads one page of a table, in no particular order: sorting needs a right of its own on newer instances.
    pub async fn records(
        &self,
        permit: Permit,
        (table, columns): (&str, &[&str]),
        query: Result<Query, UnsafeText>,
        rows_max: usize,
    ) -> Result<Vec<Row>, Outcome> {
        let query = query.map_err(|refusal| of_unsafe(&refusal))?;
        let rows = Rows { of: Listed::Records(table, columns), query: &query, rows_max, skip: 0, count: false };
        self.call(permit, &Call::Rows(rows)).await
    }

    /// Removes a record. Only ever called for a ticket that was made to try the way.
    pub async fn delete(&self, permit: Permit, table: &str, sys_id: &SysId) -> Result<(), Outcome> {
        self.call(permit, &Call::Delete { table, sys_id }).await.map(drop)
    }
}
