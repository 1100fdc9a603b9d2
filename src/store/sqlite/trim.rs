//! Letting go of what ended long ago: looked for on a reader's connection, removed by the writer in small batches.
//!
//! Lanes, their memories and links stay, and so does what is parked. The file does not shrink; what was freed is used
//! again.

use rusqlite::params;

use super::fault::Fault;
use super::read::Reader;
use super::rows::state_number;
use super::session::Session;
use crate::delivery::record::State;
use crate::domain::time::Timestamp;
use crate::limits::EVENTS_REMEMBERED;

/// A delivery that may go, and where its body lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    lane: i64,
    sequence: i64,
    body: i64,
}

/// The ends that need no person any more.
const DONE: [State; 3] = [State::Delivered, State::Superseded, State::Dropped];

impl Reader {
    /// Some deliveries that ended before that time, and before any sender may still repeat them.
    pub(super) fn ended(&self, before: Timestamp, most: usize) -> Result<Vec<Ended>, Fault> {
        let before = before.min(self.clock.now().minus(EVENTS_REMEMBERED));
        let mut ended = Vec::new();
        let mut tenants = self.connection.prepare_cached("SELECT id FROM tenant ORDER BY id")?;
        let mut tenants = tenants.query([])?;
        while let Some(tenant) = tenants.next()? {
            for state in DONE {
                let most = most - ended.len();
                ended.extend(self.ended_as(tenant.get(0)?, state, before, most)?);
            }
        }
        Ok(ended)
    }

    fn ended_as(&self, tenant: i64, state: State, before: Timestamp, most: usize) -> Result<Vec<Ended>, Fault> {
        // Receipts sort by acceptance, and nothing ends before it was accepted: the first young one ends the search.
        let sql = "SELECT lane, sequence, body, accepted_at, ended_at FROM delivery INDEXED BY delivery_state \
                   WHERE tenant = ?1 AND state = ?2 ORDER BY receipt";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![tenant, state_number(state)])?;
        let mut ended = Vec::new();
        while ended.len() < most
            && let Some(row) = rows.next()?
        {
            if row.get::<_, i64>(3)? >= before.millis() {
                break;
            }
            if row.get::<_, Option<i64>>(4)?.is_some_and(|at| at < before.millis()) {
                ended.push(Ended { lane: row.get(0)?, sequence: row.get(1)?, body: row.get(2)? });
            }
        }
        Ok(ended)
    }
}

impl Session {
    /// Removes these; answers how many were still there.
    pub(super) fn trim(&self, ended: &[Ended]) -> Result<usize, Fault> {
        let delivery = "DELETE FROM delivery WHERE lane = ?1 AND sequence = ?2 AND body = ?3";
        let mut delivery = self.connection.prepare_cached(delivery)?;
        let mut body = self.connection.prepare_cached("DELETE FROM body WHERE id = ?1")?;
        let mut trimmed = 0;
        for Ended { lane, sequence, body: text } in ended {
            // Whoever else was here first removed both.
            if delivery.execute(params![lane, sequence, text])? == 1 {
                body.execute(params![text])?;
                trimmed += 1;
            }
        }
        Ok(trimmed)
    }
}
