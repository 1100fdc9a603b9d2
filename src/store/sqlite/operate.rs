//! What people and configuration do: shares, pauses, what was learned, replays and drops.

use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::rows::{STATE_NUMBERS, from_json, json, receipt_bytes, signed, state_number, unsigned};
use super::session::Session;
use crate::delivery::record::{Ending, State};
use crate::domain::id::{DeliveryId, EventKey, TenantId};
use crate::domain::time::Timestamp;
use crate::store::audit::{Actor, Hash};
use crate::store::contract::{Learned, NewDelivery, Pause, REPLAY_SOURCE, Replayed};
use crate::store::deeds;

/// A parked delivery, and how its lane stands.
struct Found {
    tenant: i64,
    lane: i64,
    sequence: u64,
    parked: bool,
    /// Whether its lane waits for it.
    blocks: bool,
    body: Hash,
}

impl Session {
    pub(super) fn pause(&mut self, tenant: &TenantId, pause: &Pause) -> Result<(), Fault> {
        let row = self.tenants.row(&self.connection, tenant)?;
        let present = self.paused(tenant)?;
        let Some(Pause { until, code, reason }) = pause.clone().over(present.as_ref()) else { return Ok(()) };
        let sql = "UPDATE tenant SET paused_until = ?2, pause_code = ?3, pause_reason = ?4 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![row, until.millis(), code, reason])?;
        self.tenants.pause(row, Some(until));
        Ok(())
    }

    pub(super) fn resume_unless(&mut self, tenant: &TenantId, codes: &[String]) -> Result<Option<Pause>, Fault> {
        let pause = self.paused(tenant)?.filter(|pause| !codes.contains(&pause.code));
        if pause.is_some() {
            self.resume(tenant)?;
        }
        Ok(pause)
    }

    pub(super) fn resume(&mut self, tenant: &TenantId) -> Result<(), Fault> {
        let Some(row) = self.tenants.known_row(tenant) else { return Ok(()) };
        let sql = "UPDATE tenant SET paused_until = NULL, pause_code = NULL, pause_reason = NULL WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![row])?;
        // What waited for the end of the pause goes on now. A leased lane is somebody's; a parked one has no due.
        let now = self.now();
        let sql = "UPDATE lane SET due = ?2 WHERE tenant = ?1 AND due > ?2 AND leased_until IS NULL";
        self.connection.prepare_cached(sql)?.execute(params![row, now.millis()])?;
        self.tenants.pause(row, None);
        self.tenants.wake(row, now);
        Ok(())
    }

    pub(super) fn learn(&mut self, tenant: &TenantId, known: &Learned, learned: &Learned) -> Result<bool, Fault> {
        let row = self.tenants.row(&self.connection, tenant)?;
        if self.learned(row)? != *known {
            return Ok(false);
        }
        let sql = "UPDATE tenant SET learned = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![row, json(learned)?])?;
        Ok(true)
    }

    /// What was learned of a tenant's instance: a cache, so that what cannot be read is learned anew.
    pub(super) fn learned(&self, tenant: i64) -> Result<Learned, Fault> {
        let sql = "SELECT learned FROM tenant WHERE id = ?1";
        let text: Option<String> = self.connection.prepare_cached(sql)?.query_row(params![tenant], |row| row.get(0))?;
        Ok(from_json(text.as_deref()).unwrap_or_default())
    }

    pub(super) fn replay(
        &mut self,
        tenant: &TenantId,
        id: &DeliveryId,
        new: &DeliveryId,
        by: &Actor,
    ) -> Result<Replayed, Fault> {
        let now = self.now();
        let Some(found) = self.find(tenant, id)? else { return Ok(Replayed::Unknown) };
        if !found.parked {
            return Ok(Replayed::NotParked);
        }
        if found.blocks {
            self.set_state(&found, State::Waiting, None)?;
            self.give_back((found.tenant, found.lane), found.sequence, false, now)?;
            self.log_deed(now, &deeds::replayed(tenant, id, id, found.body, by.clone()))?;
            return Ok(Replayed::Done(id.clone()));
        }
        let Ok(event) = EventKey::new(REPLAY_SOURCE, id.as_str()) else { return Ok(Replayed::NotParked) };
        let change = self.stored_change(found.lane, found.sequence)?;
        let ending = Ending { superseded_by: Some(new.clone()), ..Ending::default() };
        self.set_state(&found, State::Superseded, Some((now, &ending)))?;
        self.append(&NewDelivery { id: new.clone(), event, ..change }, now)?;
        self.log_deed(now, &deeds::replayed(tenant, id, new, found.body, by.clone()))?;
        Ok(Replayed::Done(new.clone()))
    }

    pub(super) fn drop_parked(&mut self, tenant: &TenantId, id: &DeliveryId, by: &Actor) -> Result<Replayed, Fault> {
        let now = self.now();
        let Some(found) = self.find(tenant, id)? else { return Ok(Replayed::Unknown) };
        if !found.parked {
            return Ok(Replayed::NotParked);
        }
        let sql = "UPDATE delivery SET state = ?3 WHERE lane = ?1 AND sequence = ?2";
        let row = params![found.lane, signed(found.sequence), state_number(State::Dropped)];
        self.connection.prepare_cached(sql)?.execute(row)?;
        if found.blocks {
            self.give_back((found.tenant, found.lane), found.sequence + 1, false, now)?;
        }
        self.log_deed(now, &deeds::dropped(tenant, id, found.body, by.clone()))?;
        Ok(Replayed::Done(id.clone()))
    }

    fn find(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<Found>, Fault> {
        let Some(tenant) = self.tenants.known_row(tenant) else { return Ok(None) };
        let sql = "SELECT d.lane, d.sequence, l.parked AND l.head = d.sequence, d.body_hash FROM delivery d \
                   INDEXED BY delivery_state JOIN lane l ON l.id = d.lane \
                   WHERE d.tenant = ?1 AND d.state = ?2 AND d.receipt = ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        for state in STATE_NUMBERS {
            let found = |row: &rusqlite::Row<'_>| {
                Ok(Found {
                    tenant,
                    lane: row.get(0)?,
                    sequence: unsigned(row.get(1)?),
                    parked: state == state_number(State::Parked),
                    blocks: row.get(2)?,
                    body: row.get(3)?,
                })
            };
            let row = params![tenant, state, receipt_bytes(id)];
            if let Some(found) = statement.query_row(row, found).optional()? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn set_state(&self, found: &Found, state: State, ended: Option<(Timestamp, &Ending)>) -> Result<(), Fault> {
        let sql = "UPDATE delivery SET state = ?3, sending_since = NULL, ended_at = ?4, ending = ?5 \
                   WHERE lane = ?1 AND sequence = ?2";
        let at = ended.map(|(at, _)| at.millis());
        let ending = ended.map(|(_, ending)| json(ending)).transpose()?;
        let row = params![found.lane, signed(found.sequence), state_number(state), at, ending];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}
