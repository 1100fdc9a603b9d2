//! How much waits for whom, read every few seconds: counted from indexes alone, however long the backlog.
//!
//! One statement, so all counts are of one moment: their differences are told too. The index of states counts both
//! directions together; lanes to the managed service have an index of their own, and what remains waits for ServiceNow.
//! A tenant with nothing open and nothing parked costs two look-ups.
//! Never: takes a lock. Fails: like any statement. Proved by: `tests/store`, part `reading`.

use tokio_postgres::Row;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{OPEN, moment, state_number, tenant_of, unsigned};
use crate::delivery::record::{Direction, State};
use crate::domain::time::Timestamp;
use crate::store::contract::{Backlog, StoreError};

/// Counts per tenant: open and parked in both directions, then of these the ones to the managed service, and when the
/// oldest open one of each direction was accepted.
///
/// What is parked is looked at by people, so there is never too much of it to ask each one for its direction. The oldest
/// of a lane to the managed service stands at its head, or right behind a parked head.
const COUNTS: &str = "\
    SELECT t.name, total.open, total.parked, back.open, back.parked, ahead.oldest, back.oldest \
    FROM tenant t \
    CROSS JOIN LATERAL (SELECT \
        (SELECT count(*) FROM delivery WHERE tenant = t.id AND state = $1) AS open, \
        (SELECT count(*) FROM delivery WHERE tenant = t.id AND state = $2) AS parked OFFSET 0) total \
    CROSS JOIN LATERAL (SELECT coalesce(sum(l.tail + 1 - l.head - l.parked::int), 0)::bigint AS open, \
        (SELECT count(*) FROM delivery d \
           WHERE d.tenant = t.id AND d.state = $2 AND (SELECT direction FROM lane WHERE id = d.lane) = 1) AS parked, \
        min((SELECT d.accepted_at FROM delivery d \
           WHERE d.lane = l.id AND d.sequence = l.head + l.parked::int AND d.state + 0 = $1)) AS oldest \
      FROM lane l WHERE l.tenant = t.id AND l.direction = 1 AND l.head <= l.tail) back \
    CROSS JOIN LATERAL (SELECT CASE WHEN total.open > back.open THEN (SELECT d.accepted_at FROM delivery d \
        WHERE d.tenant = t.id AND d.state = $1 AND (SELECT direction FROM lane WHERE id = d.lane) = 0 \
        ORDER BY d.receipt LIMIT 1) END AS oldest) ahead \
    WHERE total.open + total.parked > 0 \
    ORDER BY t.name";

impl PostgresStore {
    pub(in crate::store) async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.ask(self.backlogs()).await
    }

    async fn backlogs(&self) -> Result<Vec<Backlog>, Fault> {
        let connection = self.connection().await?;
        let statement = connection.prepare_cached(COUNTS).await?;
        let rows = connection.query(&statement, &[&OPEN, &state_number(State::Parked)]).await?;
        let mut backlogs = Vec::with_capacity(rows.len());
        for row in &rows {
            let counts = Counts::read(row)?;
            let tenant = tenant_of(row.try_get(0)?)?;
            backlogs.extend([Direction::ToServicenow, Direction::ToService].into_iter().filter_map(|direction| {
                let Standing { waiting, parked, oldest } = counts.of(direction);
                let oldest = oldest.filter(|_| waiting > 0);
                (waiting + parked > 0).then(|| Backlog { tenant: tenant.clone(), direction, waiting, parked, oldest })
            }));
        }
        Ok(backlogs)
    }
}

/// One direction of one tenant.
#[derive(Clone, Copy)]
struct Standing {
    waiting: u64,
    parked: u64,
    oldest: Option<Timestamp>,
}

/// One tenant's counts.
struct Counts {
    total: (u64, u64),
    back: Standing,
    oldest_ahead: Option<Timestamp>,
}

impl Counts {
    fn read(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            total: (unsigned(row.try_get(1)?), unsigned(row.try_get(2)?)),
            back: Standing {
                waiting: unsigned(row.try_get(3)?),
                parked: unsigned(row.try_get(4)?),
                oldest: moment(row.try_get(6)?),
            },
            oldest_ahead: moment(row.try_get(5)?),
        })
    }

    /// How one direction stands.
    const fn of(&self, direction: Direction) -> Standing {
        match direction {
            Direction::ToServicenow => Standing {
                waiting: self.total.0.saturating_sub(self.back.waiting),
                parked: self.total.1.saturating_sub(self.back.parked),
                oldest: self.oldest_ahead,
            },
            Direction::ToService => self.back,
        }
    }
}
