//! The row that replicas share about a tenant's peer: read, changed by the one rule, written.
//!
//! One process owns the file and shares with nobody: the contract suite calls this, and no worker does.

use rusqlite::{OptionalExtension, Row, named_params, params};

use super::fault::Fault;
use super::session::Session;
use crate::delivery::sharing::{Answer, Ask, SharedPace};
use crate::domain::id::TenantId;
use crate::store::pace_row::PaceRow;

impl Session {
    pub(super) fn share_pace(&mut self, tenant: &TenantId, peer: &str, ask: &Ask) -> Result<Answer, Fault> {
        let now = self.now();
        let row = self.tenants.row(&self.connection, tenant)?;
        let sql = "SELECT * FROM peer_pace WHERE tenant = ?1 AND peer = ?2";
        let known = self.connection.prepare_cached(sql)?.query_row(params![row, peer], pace_row).optional()?;
        let mut pace = known.map_or_else(SharedPace::default, SharedPace::from);
        let answer = pace.exchange(now, ask);
        self.keep_pace(row, peer, &pace.into())?;
        Ok(answer)
    }

    fn keep_pace(&self, tenant: i64, peer: &str, row: &PaceRow) -> Result<(), Fault> {
        let sql = "INSERT OR REPLACE INTO peer_pace (tenant, peer, version, paid_until, hour_ends, hour_used, \
                     hour_limit, hour_told, gate_until, gate_cause, gate_reason, breaker, breaker_epoch, \
                     breaker_rounds, breaker_turned, breaker_until, breaker_good, breaker_failure, probe_owner, \
                     probe_until) \
                   VALUES (:tenant, :peer, \
                     1 + coalesce((SELECT version FROM peer_pace WHERE tenant = :tenant AND peer = :peer), 0), \
                     :paid_until, :hour_ends, :hour_used, :hour_limit, :hour_told, :gate_until, :gate_cause, \
                     :gate_reason, :breaker, :epoch, :rounds, :turned, :until, :good, :failure, :probe_owner, \
                     :probe_until)";
        self.connection.prepare_cached(sql)?.execute(named_params! {
            ":tenant": tenant,
            ":peer": peer,
            ":paid_until": row.paid_until,
            ":hour_ends": row.hour_ends,
            ":hour_used": row.hour_used,
            ":hour_limit": row.hour_limit,
            ":hour_told": row.hour_told,
            ":gate_until": row.gate_until,
            ":gate_cause": row.gate_cause,
            ":gate_reason": row.gate_reason,
            ":breaker": row.breaker,
            ":epoch": row.breaker_epoch,
            ":rounds": row.breaker_rounds,
            ":turned": row.breaker_turned,
            ":until": row.breaker_until,
            ":good": row.breaker_good,
            ":failure": row.breaker_failure,
            ":probe_owner": row.probe_owner,
            ":probe_until": row.probe_until,
        })?;
        Ok(())
    }
}

fn pace_row(row: &Row<'_>) -> rusqlite::Result<PaceRow> {
    Ok(PaceRow {
        paid_until: row.get("paid_until")?,
        hour_ends: row.get("hour_ends")?,
        hour_used: row.get("hour_used")?,
        hour_limit: row.get("hour_limit")?,
        hour_told: row.get("hour_told")?,
        gate_until: row.get("gate_until")?,
        gate_cause: row.get("gate_cause")?,
        gate_reason: row.get("gate_reason")?,
        breaker: row.get("breaker")?,
        breaker_epoch: row.get("breaker_epoch")?,
        breaker_rounds: row.get("breaker_rounds")?,
        breaker_turned: row.get("breaker_turned")?,
        breaker_until: row.get("breaker_until")?,
        breaker_good: row.get("breaker_good")?,
        breaker_failure: row.get("breaker_failure")?,
        probe_owner: row.get("probe_owner")?,
        probe_until: row.get("probe_until")?,
    })
}
