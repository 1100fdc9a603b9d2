//! Accepting changes: the hot path. A few cached statements per change, each one seek.

use rusqlite::{OptionalExtension, Row, params};

use super::fault::Fault;
use super::rows::{direction_number, receipt_bytes, receipt_of, signed, unsigned};
use super::session::Session;
use crate::domain::time::Timestamp;
use crate::store::admission::{Admission, Known, admit, store};
use crate::store::contract::{Accepted, NewDelivery, Receipt};

impl Session {
    pub(super) fn accept(&mut self, changes: &[NewDelivery]) -> Result<Vec<Accepted>, Fault> {
        let now = self.now();
        self.space.check(now).map_err(Fault::Declined)?;
        match admit(changes, |change| self.known(change))? {
            Admission::Refuse(answers) => Ok(answers),
            Admission::Store(places) => store(changes, places, |change| self.append(change, now)),
        }
    }

    /// What is known of a change before it is stored.
    fn known(&self, change: &NewDelivery) -> Result<Known, Fault> {
        let Some(tenant) = self.tenants.known_row(&change.tenant) else { return Ok(Known::New { waiting: 0 }) };
        let event = "SELECT d.receipt, d.sequence, d.body_hash, l.incident FROM delivery d \
                     JOIN lane l ON l.id = d.lane WHERE d.tenant = ?1 AND d.event = ?2";
        let before = self
            .connection
            .prepare_cached(event)?
            .query_row(params![tenant, change.event.as_str()], |row| {
                let receipt = Receipt { delivery: receipt_of(row.get(0)?), sequence: unsigned(row.get(1)?) };
                let same = row.get_ref(2)?.as_blob()? == change.body_hash.as_slice()
                    && row.get_ref(3)?.as_str()? == change.incident.as_str();
                Ok(Known::Before { receipt, same })
            })
            .optional()?;
        if let Some(before) = before {
            return Ok(before);
        }
        let lane = "SELECT tail + 1 - head FROM lane WHERE tenant = ?1 AND incident = ?2 AND direction = ?3";
        let row = params![tenant, change.incident.as_str(), direction_number(change.direction)];
        let waiting: Option<i64> = self.connection.prepare_cached(lane)?.query_row(row, |row| row.get(0)).optional()?;
        Ok(Known::New { waiting: usize::try_from(waiting.unwrap_or(0)).unwrap_or(0) })
    }

    /// Appends a change to its lane, which is made if it is the first.
    pub(super) fn append(&mut self, change: &NewDelivery, now: Timestamp) -> Result<Receipt, Fault> {
        let tenant = self.tenants.row(&self.connection, &change.tenant)?;
        self.append_for(tenant, change, now)
    }

    /// Appends what follows from a settlement to a lane of the same tenant, unless its event is known.
    pub(super) fn follow(&mut self, tenant: i64, change: &NewDelivery, now: Timestamp) -> Result<(), Fault> {
        let known = "SELECT 1 FROM delivery WHERE tenant = ?1 AND event = ?2";
        if !self.connection.prepare_cached(known)?.exists(params![tenant, change.event.as_str()])? {
            self.append_for(tenant, change, now)?;
        }
        Ok(())
    }

    fn append_for(&mut self, tenant: i64, change: &NewDelivery, now: Timestamp) -> Result<Receipt, Fault> {
        let rank = change.kind.urgency().rank();
        let (lane, sequence) = self.lengthen(tenant, change, rank, now)?;
        self.connection.prepare_cached("INSERT INTO body (text) VALUES (?1)")?.execute(params![change.body])?;
        let delivery = "INSERT INTO delivery (lane, sequence, tenant, receipt, event, kind, rank, accepted_at, body, \
                        body_hash, is_echo) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        self.connection.prepare_cached(delivery)?.execute(params![
            lane,
            sequence,
            tenant,
            receipt_bytes(&change.id),
            change.event.as_str(),
            change.kind.as_str(),
            rank,
            now.millis(),
            self.connection.last_insert_rowid(),
            change.body_hash.as_slice(),
            change.is_echo,
        ])?;
        self.tenants.wake(tenant, now);
        Ok(Receipt { delivery: change.id.clone(), sequence: unsigned(sequence) })
    }

    /// Gives the lane's next place, in a lane that is made if there is none; answers the lane's id and the place.
    ///
    /// Two statements instead of one upsert: `RETURNING` would build and drop a temporary table for each change.
    fn lengthen(&self, tenant: i64, change: &NewDelivery, rank: i64, now: Timestamp) -> Result<(i64, i64), Fault> {
        let key = params![tenant, change.incident.as_str(), direction_number(change.direction)];
        let find = "SELECT id, tail FROM lane WHERE tenant = ?1 AND incident = ?2 AND direction = ?3";
        let place = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(i64, i64)> = self.connection.prepare_cached(find)?.query_row(key, place).optional()?;
        if let Some((lane, tail)) = found {
            let lengthen = "UPDATE lane SET tail = tail + 1, \
                              rank = CASE WHEN head > tail THEN ?2 ELSE min(rank, ?2) END, \
                              due = CASE WHEN due IS NULL AND NOT parked THEN ?3 ELSE due END \
                            WHERE id = ?1";
            self.connection.prepare_cached(lengthen)?.execute(params![lane, rank, now.millis()])?;
            return Ok((lane, tail + 1));
        }
        let make = "INSERT INTO lane (tenant, incident, direction, tail, rank, due) VALUES (?1, ?2, ?3, 1, ?4, ?5)";
        self.connection.prepare_cached(make)?.execute(params![
            tenant,
            change.incident.as_str(),
            direction_number(change.direction),
            rank,
            now.millis(),
        ])?;
        Ok((self.connection.last_insert_rowid(), 1))
    }

    /// A change that was accepted before, to be appended once more.
    pub(super) fn stored_change(&self, lane: i64, sequence: u64) -> Result<NewDelivery, Fault> {
        let sql = "SELECT t.name, l.direction, l.incident, d.receipt, d.event, d.kind, d.body_hash, b.text, d.is_echo \
                   FROM delivery d JOIN lane l ON l.id = d.lane JOIN tenant t ON t.id = d.tenant \
                   JOIN body b ON b.id = d.body WHERE d.lane = ?1 AND d.sequence = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![lane, signed(sequence)])?;
        let Some(row) = rows.next()? else { return Err(Fault::nonsense("delivery", "a row is gone")) };
        super::rows::change(row)
    }
}
