//! Writes under a lease: each proves its fence first, and changes nothing if the lane has another owner.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::rows::{from_json, json, receipt_of, signed, state_number, unsigned};
use super::session::Session;
use crate::delivery::record::{Attempt, Ending, State};
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;
use crate::limits::ATTEMPT_RECORDS_MAX;
use crate::store::contract::{Held, Lease, Postponement, Settlement};

/// What a held lane looks like before a write.
struct Holding {
    tenant: i64,
    tail: u64,
}

impl Session {
    pub(super) fn intend(&mut self, lease: &Lease, upto: u64, lease_for: Duration) -> Result<Held<Timestamp>, Fault> {
        let now = self.now();
        let Some(held) = self.extend(lease, now.plus(lease_for))? else { return Ok(Held::Lost) };
        let sql = "UPDATE delivery SET sending_since = ?4 WHERE lane = ?1 AND sequence BETWEEN ?2 AND ?3";
        let row = params![lease.lane, signed(lease.head), signed(upto), now.millis()];
        self.connection.prepare_cached(sql)?.execute(row)?;
        if upto < held.tail {
            // What was begun together with these and refused is begun anew.
            let sql = "UPDATE delivery SET sending_since = NULL WHERE lane = ?1 AND sequence > ?2 \
                       AND sending_since IS NOT NULL AND state = 0";
            self.connection.prepare_cached(sql)?.execute(params![lease.lane, signed(upto)])?;
        }
        Ok(Held::Yes(now))
    }

    pub(super) fn renew(&mut self, lease: &Lease, lease_for: Duration) -> Result<Held<()>, Fault> {
        let until = self.now().plus(lease_for);
        Ok(if self.extend(lease, until)?.is_some() { Held::Yes(()) } else { Held::Lost })
    }

    /// Extends the lease, if it held.
    fn extend(&mut self, lease: &Lease, until: Timestamp) -> Result<Option<Holding>, Fault> {
        let Some(held) = self.holding(lease)? else { return Ok(None) };
        let sql = "UPDATE lane SET leased_until = ?2, due = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![lease.lane, until.millis()])?;
        self.tenants.wake(held.tenant, until);
        Ok(Some(held))
    }

    fn holding(&self, lease: &Lease) -> Result<Option<Holding>, Fault> {
        let sql = "SELECT tenant, tail FROM lane \
                   WHERE id = ?1 AND fence = ?2 AND head = ?3 AND leased_until IS NOT NULL";
        let row = params![lease.lane, signed(lease.fence), signed(lease.head)];
        let holding = |row: &rusqlite::Row<'_>| Ok(Holding { tenant: row.get(0)?, tail: unsigned(row.get(1)?) });
        Ok(self.connection.prepare_cached(sql)?.query_row(row, holding).optional()?)
    }

    pub(super) fn settle(&mut self, lease: &Lease, settlement: &Settlement) -> Result<Held<()>, Fault> {
        let now = self.now();
        let waits = |lane: &Holding| (lease.head..=lane.tail).contains(&settlement.upto);
        let Some(lane) = self.holding(lease)?.filter(waits) else { return Ok(Held::Lost) };
        self.end(lease, settlement, now)?;
        let memory = "INSERT INTO lane_memory (lane, memory) VALUES (?1, ?2) \
                      ON CONFLICT (lane) DO UPDATE SET memory = excluded.memory";
        self.connection.prepare_cached(memory)?.execute(params![lease.lane, json(&settlement.memory)?])?;
        let blocks = settlement.ending.parking.as_ref().is_some_and(|parking| parking.blocks);
        let head = if blocks { settlement.upto } else { settlement.upto + 1 };
        self.give_back((lane.tenant, lease.lane), head, blocks, now)?;
        if let Some(link) = &settlement.link {
            self.keep_link(lane.tenant, link, now)?;
        }
        // After the lane is given back: what follows in the very same lane comes behind what waits there.
        for change in &settlement.follows {
            self.follow(lane.tenant, change, now)?;
        }
        Ok(Held::Yes(()))
    }

    /// Ends the deliveries of a settlement: the last as it says, those before it superseded by it.
    fn end(&self, lease: &Lease, settlement: &Settlement, now: Timestamp) -> Result<(), Fault> {
        let (receipt, attempts) = self.record(lease.lane, settlement.upto)?;
        if settlement.upto > lease.head {
            let ending = Ending { superseded_by: Some(receipt), ..Ending::default() };
            let sql = "UPDATE delivery SET state = ?4, sending_since = NULL, ended_at = ?5, ending = ?6 \
                       WHERE lane = ?1 AND sequence BETWEEN ?2 AND ?3";
            self.connection.prepare_cached(sql)?.execute(params![
                lease.lane,
                signed(lease.head),
                signed(settlement.upto - 1),
                state_number(State::Superseded),
                now.millis(),
                json(&ending)?,
            ])?;
        }
        let sql = "UPDATE delivery SET state = ?3, sending_since = NULL, ended_at = ?4, ending = ?5, attempts = ?6 \
                   WHERE lane = ?1 AND sequence = ?2";
        self.connection.prepare_cached(sql)?.execute(params![
            lease.lane,
            signed(settlement.upto),
            state_number(settlement.state),
            now.millis(),
            json(&settlement.ending)?,
            remember(attempts, settlement.attempt.as_ref())?,
        ])?;
        Ok(())
    }

    /// A delivery's id and its recorded tries.
    fn record(&self, lane: i64, sequence: u64) -> Result<(DeliveryId, Option<String>), Fault> {
        let sql = "SELECT receipt, attempts FROM delivery WHERE lane = ?1 AND sequence = ?2";
        let record = |row: &rusqlite::Row<'_>| Ok((receipt_of(row.get(0)?), row.get(1)?));
        Ok(self.connection.prepare_cached(sql)?.query_row(params![lane, signed(sequence)], record)?)
    }

    /// Ends the lease of a lane whose head moved, was parked or was woken. What waits decides its rank and its due.
    pub(super) fn give_back(
        &mut self,
        (tenant, lane): (i64, i64),
        head: u64,
        parked: bool,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let sql = "UPDATE lane SET head = ?2, parked = ?3, attempts = 0, leased_until = NULL, \
                     rank = coalesce((SELECT min(rank) FROM delivery WHERE lane = ?1 AND sequence >= ?2), rank), \
                     due = CASE WHEN ?2 <= tail AND NOT ?3 THEN ?4 END \
                   WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![lane, signed(head), parked, now.millis()])?;
        self.tenants.wake(tenant, now);
        Ok(())
    }

    pub(super) fn postpone(&mut self, lease: &Lease, postponement: &Postponement) -> Result<Held<()>, Fault> {
        let Some(held) = self.holding(lease)? else { return Ok(Held::Lost) };
        let sql = "UPDATE lane SET leased_until = NULL, due = ?2, attempts = attempts - ?3 WHERE id = ?1";
        let row = params![lease.lane, postponement.at.millis(), u32::from(!postponement.counted)];
        self.connection.prepare_cached(sql)?.execute(row)?;
        if postponement.not_processed {
            let sql = "UPDATE delivery SET sending_since = NULL \
                       WHERE lane = ?1 AND sequence >= ?2 AND sending_since IS NOT NULL";
            self.connection.prepare_cached(sql)?.execute(params![lease.lane, signed(lease.head)])?;
        }
        if postponement.attempt.is_some() {
            let (_, attempts) = self.record(lease.lane, lease.head)?;
            let attempts = remember(attempts, postponement.attempt.as_ref())?;
            let sql = "UPDATE delivery SET attempts = ?3 WHERE lane = ?1 AND sequence = ?2";
            self.connection.prepare_cached(sql)?.execute(params![lease.lane, signed(lease.head), attempts])?;
        }
        self.tenants.wake(held.tenant, postponement.at);
        Ok(Held::Yes(()))
    }
}

/// Adds a try to those recorded; keeps the newest, an old one says nothing new.
fn remember(recorded: Option<String>, attempt: Option<&Attempt>) -> Result<Option<String>, Fault> {
    let Some(attempt) = attempt else { return Ok(recorded) };
    let mut attempts: Vec<Attempt> = from_json(recorded.as_deref())?;
    if attempts.len() >= ATTEMPT_RECORDS_MAX {
        attempts.remove(0);
    }
    attempts.push(attempt.clone());
    json(&attempts).map(Some)
}
