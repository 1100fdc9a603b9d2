//! The store's time: the database's clock, which all replicas share.
//!
//! Owns: where "now" comes from. Every statement takes a *given time* as a parameter and uses
//! `coalesce($1::bigint, store_now())` once, in a materialized expression, so that all of it happens at one moment. In
//! production the given time is NULL; a test gives its own clock's, made steady as SQLite's is.
//! Never: compares a replica's clock with a stored moment. Fails: with the statement that asked.

use deadpool_postgres::Transaction;

use super::PostgresStore;
use super::fault::Fault;
use crate::domain::time::Timestamp;

impl PostgresStore {
    /// The time to give to a statement: `None`, and the database's own counts.
    pub(super) fn given_time(&self) -> Option<i64> {
        self.clock.as_ref().map(|clock| clock.now().millis())
    }

    /// The present moment, for a transaction of several statements: read once, at its beginning.
    pub(super) async fn now(&self, transaction: &Transaction<'_>) -> Result<Timestamp, Fault> {
        if let Some(given) = self.given_time() {
            return Ok(Timestamp::from_millis(given));
        }
        let statement = transaction.prepare_cached("SELECT store_now()").await?;
        Ok(Timestamp::from_millis(transaction.query_one(&statement, &[]).await?.try_get(0)?))
    }
}
