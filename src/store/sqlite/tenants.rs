//! What the writer keeps of each tenant in memory: its row number, its share, its turn, and when it may have work.
//!
//! A cache with two kinds of content. Row numbers and pauses mirror the table and are read again after a rollback.
//! Shares, turns and `next_due` exist only here: one process owns the file, `serve_tenants` tells the shares after a
//! start, and `next_due` may always be too early (a claim then looks and corrects it) but never too late.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::fault::Fault;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::contract::TenantShare;

/// One tenant as the writer sees it.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) id: TenantId,
    pub(super) row: i64,
    lanes_max: Option<u32>,
    paused_until: Option<Timestamp>,
    last_served: u64,
    next_due: Timestamp,
}

/// All tenants that ever had work, a pause or a share.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    turns: Vec<Turn>,
    by_id: HashMap<TenantId, usize>,
    by_row: HashMap<i64, usize>,
    served: u64,
}

/// A tenant that may be claimed now.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: TenantId,
    pub(super) row: i64,
    pub(super) lanes_max: u32,
}

impl Tenants {
    /// Mirrors the table; what only memory knows is kept for tenants that are still there.
    pub(super) fn read(connection: &Connection, before: &Self) -> Result<Self, Fault> {
        let mut statement = connection.prepare_cached("SELECT name, id, paused_until FROM tenant")?;
        let mut rows = statement.query([])?;
        let mut tenants = Self { served: before.served, ..Self::default() };
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let id = TenantId::parse(&name).map_err(|error| Fault::nonsense("tenant.name", error))?;
            let known = before.by_id.get(&id).and_then(|index| before.turns.get(*index));
            tenants.insert(Turn {
                id,
                row: row.get(1)?,
                lanes_max: known.and_then(|turn| turn.lanes_max),
                paused_until: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
                last_served: known.map_or(0, |turn| turn.last_served),
                // Early is safe.
                next_due: Timestamp::EPOCH,
            });
        }
        Ok(tenants)
    }

    fn insert(&mut self, turn: Turn) -> usize {
        let index = self.turns.len();
        self.by_id.insert(turn.id.clone(), index);
        self.by_row.insert(turn.row, index);
        self.turns.push(turn);
        index
    }

    /// The tenant's row number; its row is made if there is none.
    pub(super) fn row(&mut self, connection: &Connection, id: &TenantId) -> Result<i64, Fault> {
        let index = self.index(connection, id)?;
        Ok(self.turns[index].row)
    }

    fn index(&mut self, connection: &Connection, id: &TenantId) -> Result<usize, Fault> {
        if let Some(index) = self.by_id.get(id) {
            return Ok(*index);
        }
        connection.prepare_cached("INSERT INTO tenant (name) VALUES (?1)")?.execute(params![id.as_str()])?;
        Ok(self.insert(Turn {
            id: id.clone(),
            row: connection.last_insert_rowid(),
            lanes_max: None,
            paused_until: None,
            last_served: 0,
            next_due: Timestamp::NEVER,
        }))
    }

    /// The tenant's row number, if it has one.
    pub(super) fn known_row(&self, id: &TenantId) -> Option<i64> {
        self.by_id.get(id).map(|index| self.turns[*index].row)
    }

    pub(super) fn serve(&mut self, connection: &Connection, shares: &[TenantShare]) -> Result<(), Fault> {
        self.turns.iter_mut().for_each(|turn| turn.lanes_max = None);
        for share in shares {
            let index = self.index(connection, &share.tenant)?;
            self.turns[index].lanes_max = Some(share.lanes_max);
        }
        Ok(())
    }

    pub(super) fn pause(&mut self, row: i64, until: Option<Timestamp>) {
        if let Some(turn) = self.turn(row) {
            turn.paused_until = until;
        }
    }

    /// A lane of this tenant may be claimed at that time.
    pub(super) fn wake(&mut self, row: i64, due: Timestamp) {
        if let Some(turn) = self.turn(row) {
            turn.next_due = turn.next_due.min(due);
        }
    }

    /// Nothing of this tenant can be claimed before that time.
    pub(super) fn rest(&mut self, row: i64, until: Timestamp) {
        if let Some(turn) = self.turn(row) {
            turn.next_due = until;
        }
    }

    /// A lane of this tenant was claimed: its next turn comes after everyone else's.
    pub(super) fn served(&mut self, row: i64) {
        self.served += 1;
        let served = self.served;
        if let Some(turn) = self.turn(row) {
            turn.last_served = served;
        }
    }

    fn turn(&mut self, row: i64) -> Option<&mut Turn> {
        self.by_row.get(&row).and_then(|index| self.turns.get_mut(*index))
    }

    /// The places of those that may be claimed now, least recently served first. Only places: most claims look at a few of
    /// thousands.
    pub(super) fn by_turn(&self, now: Timestamp) -> Vec<usize> {
        let may = |turn: &Turn| turn.next_due <= now && turn.paused_until.is_none_or(|until| until <= now);
        let is_due = |(_, turn): &(usize, &Turn)| turn.lanes_max.is_some() && may(turn);
        let mut due: Vec<(usize, &Turn)> = self.turns.iter().enumerate().filter(is_due).collect();
        due.sort_unstable_by(|(_, one), (_, other)| (one.last_served, &one.id).cmp(&(other.last_served, &other.id)));
        due.into_iter().map(|(place, _)| place).collect()
    }

    /// Whoever has this place in the order of [`Self::by_turn`], if it is served.
    pub(super) fn candidate(&self, place: usize) -> Option<Candidate> {
        let turn = self.turns.get(place)?;
        Some(Candidate { id: turn.id.clone(), row: turn.row, lanes_max: turn.lanes_max? })
    }
}
