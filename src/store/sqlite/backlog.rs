//! How much waits for whom, read every few seconds: counted from indexes alone, however long the backlog.
//!
//! The index of states counts both directions together; lanes to the managed service have an index of their own, and
//! what remains waits for ServiceNow.

use rusqlite::{OptionalExtension, Row, params};

use super::fault::Fault;
use super::read::Reader;
use super::rows::{OPEN, state_number, unsigned};
use crate::delivery::record::{Direction, State, Urgency};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::contract::{Backlog, OldestDue};

/// One tenant's counts.
struct Counts {
    tenant: i64,
    name: String,
    waiting: u64,
    parked: u64,
    waiting_back: u64,
    parked_back: u64,
}

impl Reader {
    pub(super) fn backlog(&self) -> Result<Vec<Backlog>, Fault> {
        // What is parked is looked at by people, so there is never too much of it to ask each one for its direction.
        let sql = "SELECT id, name, \
                     (SELECT count(*) FROM delivery INDEXED BY delivery_state WHERE tenant = t.id AND state = ?1), \
                     (SELECT count(*) FROM delivery INDEXED BY delivery_state WHERE tenant = t.id AND state = ?2), \
                     (SELECT coalesce(sum(tail + 1 - head - parked), 0) FROM lane INDEXED BY lane_back \
                        WHERE tenant = t.id AND direction = 1 AND head <= tail), \
                     (SELECT count(*) FROM delivery d INDEXED BY delivery_state CROSS JOIN lane l ON l.id = d.lane \
                        WHERE d.tenant = t.id AND d.state = ?2 AND l.direction = 1) \
                   FROM tenant t ORDER BY name";
        // All counts of one moment: their differences are told too.
        let transaction = self.connection.unchecked_transaction()?;
        let mut statement = transaction.prepare_cached(sql)?;
        let mut rows = statement.query(params![OPEN, state_number(State::Parked)])?;
        let mut backlogs = Vec::new();
        while let Some(row) = rows.next()? {
            let counts = Counts::read(row)?;
            for direction in [Direction::ToServicenow, Direction::ToService] {
                backlogs.extend(self.backlog_of(&counts, direction)?);
            }
        }
        Ok(backlogs)
    }

    /// One seek per tenant and rank: the index begins with the oldest.
    pub(super) fn oldest_due(&self) -> Result<Vec<OldestDue>, Fault> {
        let sql = "SELECT name, (SELECT min(due) FROM lane INDEXED BY lane_due \
                     WHERE tenant = t.id AND rank = ?1 AND due <= ?2) AS since \
                   FROM tenant t WHERE since IS NOT NULL ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let now = self.clock.now().millis();
        let mut oldest = Vec::new();
        for urgency in Urgency::ALL {
            let mut rows = statement.query(params![urgency.rank(), now])?;
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                let tenant = TenantId::parse(&name).map_err(|error| Fault::nonsense("tenant.name", error))?;
                oldest.push(OldestDue { tenant, urgency, since: Timestamp::from_millis(row.get(1)?) });
            }
        }
        Ok(oldest)
    }

    fn backlog_of(&self, counts: &Counts, direction: Direction) -> Result<Option<Backlog>, Fault> {
        let (waiting, parked) = counts.of(direction);
        if waiting + parked == 0 {
            return Ok(None);
        }
        let tenant = TenantId::parse(&counts.name).map_err(|error| Fault::nonsense("tenant.name", error))?;
        let oldest = if waiting > 0 { self.oldest(counts.tenant, direction)? } else { None };
        Ok(Some(Backlog { tenant, direction, waiting, parked, oldest }))
    }

    /// When the oldest of what waits was accepted.
    fn oldest(&self, tenant: i64, direction: Direction) -> Result<Option<Timestamp>, Fault> {
        let sql = match direction {
            Direction::ToServicenow => {
                "SELECT d.accepted_at FROM delivery d INDEXED BY delivery_state CROSS JOIN lane l ON l.id = d.lane \
                 WHERE d.tenant = ?1 AND d.state = ?2 AND l.direction = 0 ORDER BY d.receipt LIMIT 1"
            }
            // The oldest of a lane stands at its head, or right behind a parked head.
            Direction::ToService => {
                "SELECT min(d.accepted_at) FROM lane l INDEXED BY lane_back \
                 CROSS JOIN delivery d ON d.lane = l.id AND d.sequence = l.head + l.parked \
                 WHERE l.tenant = ?1 AND l.direction = 1 AND l.head <= l.tail AND d.state = ?2"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let oldest: Option<Option<i64>> = statement.query_row(params![tenant, OPEN], |row| row.get(0)).optional()?;
        Ok(oldest.flatten().map(Timestamp::from_millis))
    }
}

impl Counts {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            tenant: row.get(0)?,
            name: row.get(1)?,
            waiting: unsigned(row.get(2)?),
            parked: unsigned(row.get(3)?),
            waiting_back: unsigned(row.get(4)?),
            parked_back: unsigned(row.get(5)?),
        })
    }

    /// What waits and what is parked in one direction.
    const fn of(&self, direction: Direction) -> (u64, u64) {
        match direction {
            Direction::ToServicenow => {
                (self.waiting.saturating_sub(self.waiting_back), self.parked.saturating_sub(self.parked_back))
            }
            Direction::ToService => (self.waiting_back, self.parked_back),
        }
    }
}
