//! The row that replicas share about a tenant's peer, and what was learned of a tenant: read, decided, written if nobody
//! else wrote meanwhile.
//!
//! Owns: the comparing write. The rule itself is the one of all engines, in plain code (`delivery::sharing`); the database's
//! clock says when. Never: holds a lock between reading and writing: a replica that is frozen there would stop the calls
//! of all others. What it reads may be old when it writes: then the version differs, and it reads again.
//! Fails: with nothing changed; under a crowd, after some tries, with [`Fault::Contested`]. An answer lost on its way has
//! reserved calls that nobody makes. Proved by: `tests/store/sharing.rs`.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{from_json, json};
use crate::delivery::sharing::{Answer, Ask, SharedPace};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::SHARED_TRIES_MAX;
use crate::store::contract::{Learned, StoreError};
use crate::store::pace_row::PaceRow;

const READ: &str = "
SELECT coalesce($1::bigint, store_now()) AS now, p.* FROM (VALUES ($2::bigint, $3::text)) AS asked(of, about)
LEFT JOIN peer_pace p ON p.tenant = asked.of AND p.peer = asked.about";

const MAKE: &str = "
INSERT INTO peer_pace (tenant, peer, version, paid_until, hour_ends, hour_used, hour_limit, hour_told, gate_until,
  gate_cause, gate_reason, breaker, breaker_epoch, breaker_rounds, breaker_turned, breaker_until, breaker_good,
  breaker_failure, probe_owner, probe_until)
VALUES ($1, $2, $3::bigint + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT DO NOTHING";

const CHANGE: &str = "
UPDATE peer_pace SET version = version + 1, paid_until = $4, hour_ends = $5, hour_used = $6, hour_limit = $7,
  hour_told = $8, gate_until = $9, gate_cause = $10, gate_reason = $11, breaker = $12, breaker_epoch = $13,
  breaker_rounds = $14, breaker_turned = $15, breaker_until = $16, breaker_good = $17, breaker_failure = $18,
  probe_owner = $19, probe_until = $20
WHERE tenant = $1 AND peer = $2 AND version = $3::bigint";

impl PostgresStore {
    pub(in crate::store) async fn share_pace(
        &self,
        tenant: &TenantId,
        peer: &str,
        ask: &Ask,
    ) -> Result<Answer, StoreError> {
        self.ask(self.exchange(tenant, peer, ask)).await
    }

    async fn exchange(&self, tenant: &TenantId, peer: &str, ask: &Ask) -> Result<Answer, Fault> {
        for _ in 0..SHARED_TRIES_MAX {
            if let Some(answer) = self.exchange_once(tenant, peer, ask).await? {
                return Ok(answer);
            }
        }
        Err(crowded())
    }

    /// `None` if another replica wrote between reading and writing.
    async fn exchange_once(&self, tenant: &TenantId, peer: &str, ask: &Ask) -> Result<Option<Answer>, Fault> {
        let client = self.connection().await?;
        let tenant = self.row(&client, tenant).await?;
        let read = client.prepare_cached(READ).await?;
        let row = client.query_one(&read, &[&self.given_time(), &tenant, &peer]).await?;
        let now = Timestamp::from_millis(row.try_get("now")?);
        let version: Option<i64> = row.try_get("version")?;
        let mut pace = if version.is_some() { SharedPace::from(pace_row(&row)?) } else { SharedPace::default() };
        let answer = pace.exchange(now, ask);
        let write = client.prepare_cached(if version.is_some() { CHANGE } else { MAKE }).await?;
        let next = PaceRow::from(pace);
        let whose: [&(dyn ToSql + Sync); 3] = [&tenant, &peer, &version.unwrap_or(0)];
        let written = client.execute(&write, &[whose.as_slice(), columns(&next).as_slice()].concat()).await?;
        Ok((written > 0).then_some(answer))
    }

    pub(in crate::store) async fn learn(
        &self,
        tenant: &TenantId,
        known: &Learned,
        learned: Learned,
    ) -> Result<bool, StoreError> {
        self.ask(self.learn_over(tenant, known, &learned)).await
    }

    async fn learn_over(&self, tenant: &TenantId, known: &Learned, learned: &Learned) -> Result<bool, Fault> {
        for _ in 0..SHARED_TRIES_MAX {
            if let Some(agrees) = self.learn_once(tenant, known, learned).await? {
                return Ok(agrees);
            }
        }
        Err(crowded())
    }

    /// `None` if another replica wrote between reading and writing. The text is compared as it stands and what it means as
    /// it is read, so that replicas of two versions understand each other.
    async fn learn_once(&self, tenant: &TenantId, known: &Learned, learned: &Learned) -> Result<Option<bool>, Fault> {
        let client = self.connection().await?;
        let row = self.row(&client, tenant).await?;
        let read = client.prepare_cached("SELECT learned FROM tenant WHERE id = $1").await?;
        let present: Option<String> = client.query_one(&read, &[&row]).await?.try_get(0)?;
        // A cache: what cannot be read is learned anew.
        if from_json::<Learned>(present.as_deref()).unwrap_or_default() != *known {
            return Ok(Some(false));
        }
        let write = "UPDATE tenant SET learned = $2 WHERE id = $1 AND learned IS NOT DISTINCT FROM $3";
        let write = client.prepare_cached(write).await?;
        let written = client.execute(&write, &[&row, &json(learned)?, &present]).await?;
        Ok((written > 0).then_some(true))
    }
}

fn crowded() -> Fault {
    Fault::Contested(StoreError::Unavailable("many replicas wrote to the same row at once".to_owned()))
}

fn pace_row(row: &Row) -> Result<PaceRow, Fault> {
    Ok(PaceRow {
        paid_until: row.try_get("paid_until")?,
        hour_ends: row.try_get("hour_ends")?,
        hour_used: row.try_get("hour_used")?,
        hour_limit: row.try_get("hour_limit")?,
        hour_told: row.try_get("hour_told")?,
        gate_until: row.try_get("gate_until")?,
        gate_cause: row.try_get("gate_cause")?,
        gate_reason: row.try_get("gate_reason")?,
        breaker: row.try_get("breaker")?,
        breaker_epoch: row.try_get("breaker_epoch")?,
        breaker_rounds: row.try_get("breaker_rounds")?,
        breaker_turned: row.try_get("breaker_turned")?,
        breaker_until: row.try_get("breaker_until")?,
        breaker_good: row.try_get("breaker_good")?,
        breaker_failure: row.try_get("breaker_failure")?,
        probe_owner: row.try_get("probe_owner")?,
        probe_until: row.try_get("probe_until")?,
    })
}

/// In the order of [`MAKE`] and [`CHANGE`], from the fourth on.
fn columns(row: &PaceRow) -> [&(dyn ToSql + Sync); 17] {
    [
        &row.paid_until,
        &row.hour_ends,
        &row.hour_used,
        &row.hour_limit,
        &row.hour_told,
        &row.gate_until,
        &row.gate_cause,
        &row.gate_reason,
        &row.breaker,
        &row.breaker_epoch,
        &row.breaker_rounds,
        &row.breaker_turned,
        &row.breaker_until,
        &row.breaker_good,
        &row.breaker_failure,
        &row.probe_owner,
        &row.probe_until,
    ]
}
