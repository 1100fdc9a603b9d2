//! What a replica keeps of each tenant in memory: its row number, its share, its turn, and when it may have work.
//!
//! Row numbers never change, so they are kept for good. Shares and turns are this replica's own. `next_due` is a hint:
//! what this replica accepts, gives back or resumes is known at once; what other replicas do is found when the hints are
//! read anew ([`refresh`](PostgresStore::refresh)). A hint may be too early, because a claim then looks and corrects it.
//! It is too late only for another replica's work, and only until the next reading.
//!
//! Claims and readings of the database take a moment, and meanwhile something may become due: whoever looked begins with
//! [`Tenants::mark`], and what was woken after the mark is not put to rest by what was seen before.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deadpool_postgres::GenericClient;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::tenant_of;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::contract::TenantShare;

/// One tenant as this replica sees it.
#[derive(Clone, Debug)]
struct Turn {
    id: TenantId,
    row: i64,
    lanes_max: Option<u32>,
    last_served: u64,
    next_due: Timestamp,
    /// The mark at which it was last woken.
    woken: u64,
}

/// All tenants that this replica met.
#[derive(Debug, Default)]
pub(super) struct Tenants(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    all: Vec<Turn>,
    by_id: HashMap<TenantId, usize>,
    by_row: HashMap<i64, usize>,
    served: u64,
    mark: u64,
}

/// A tenant that may be claimed now.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: TenantId,
    pub(super) row: i64,
    pub(super) lanes_max: u32,
}

impl PostgresStore {
    /// The tenant's row number; its row is made if there is none.
    pub(super) async fn row(&self, client: &impl GenericClient, id: &TenantId) -> Result<i64, Fault> {
        if let Some(row) = self.known_row(client, id).await? {
            return Ok(row);
        }
        let make = "INSERT INTO tenant (name) VALUES ($1) ON CONFLICT DO NOTHING";
        let make = client.prepare_cached(make).await?;
        client.execute(&make, &[&id.as_str()]).await?;
        let found = self.find_row(client, id).await?;
        found.ok_or_else(|| Fault::nonsense("tenant", "a row that was just made is gone"))
    }

    /// The tenant's row number, if it has one.
    pub(super) async fn known_row(&self, client: &impl GenericClient, id: &TenantId) -> Result<Option<i64>, Fault> {
        if let Some(row) = self.tenants.row_of(id) {
            return Ok(Some(row));
        }
        self.find_row(client, id).await
    }

    async fn find_row(&self, client: &impl GenericClient, id: &TenantId) -> Result<Option<i64>, Fault> {
        let find = client.prepare_cached("SELECT id FROM tenant WHERE name = $1").await?;
        let Some(row) = client.query_opt(&find, &[&id.as_str()]).await? else { return Ok(None) };
        Ok(Some(row.try_get(0)?))
    }

    pub(super) async fn serve(&self, shares: &[TenantShare]) -> Result<(), Fault> {
        let client = self.connection().await?;
        let mut names: Vec<&str> = shares.iter().map(|share| share.tenant.as_str()).collect();
        names.sort_unstable();
        let make = "INSERT INTO tenant (name) SELECT name FROM unnest($1::text[]) AS new(name) \
                    WHERE NOT EXISTS (SELECT FROM tenant WHERE tenant.name = new.name) ON CONFLICT DO NOTHING";
        let make = client.prepare_cached(make).await?;
        client.execute(&make, &[&names]).await?;
        let read = client.prepare_cached("SELECT id, name FROM tenant WHERE name = ANY($1::text[])").await?;
        for row in client.query(&read, &[&names]).await? {
            self.tenants.keep(&tenant_of(row.try_get(1)?)?, row.try_get(0)?);
        }
        self.tenants.serve(shares);
        Ok(())
    }
}

impl Tenants {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        // Plain numbers, each written whole: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row number, if this replica knows it.
    pub(super) fn row_of(&self, id: &TenantId) -> Option<i64> {
        let turns = self.turns();
        turns.by_id.get(id).map(|index| turns.all[*index].row)
    }

    /// Remembers a row number that was committed.
    pub(super) fn keep(&self, id: &TenantId, row: i64) {
        let mut turns = self.turns();
        if turns.by_id.contains_key(id) {
            return;
        }
        let index = turns.all.len();
        turns.by_id.insert(id.clone(), index);
        turns.by_row.insert(row, index);
        // Early is safe: somebody else may have given it work long ago.
        let (next_due, woken) = (Timestamp::EPOCH, turns.mark);
        turns.all.push(Turn { id: id.clone(), row, lanes_max: None, last_served: 0, next_due, woken });
    }

    fn serve(&self, shares: &[TenantShare]) {
        let mut turns = self.turns();
        turns.all.iter_mut().for_each(|turn| turn.lanes_max = None);
        for share in shares {
            if let Some(index) = turns.by_id.get(&share.tenant).copied() {
                turns.all[index].lanes_max = Some(share.lanes_max);
            }
        }
    }

    /// A lane of this tenant may be claimed at that time.
    pub(super) fn wake(&self, row: i64, due: Timestamp) {
        let mut turns = self.turns();
        turns.mark += 1;
        let mark = turns.mark;
        if let Some(turn) = turns.turn(row) {
            turn.next_due = turn.next_due.min(due);
            turn.woken = mark;
        }
    }

    /// Before looking into the database: what is woken from now on was perhaps not seen.
    pub(super) fn mark(&self) -> u64 {
        self.turns().mark
    }

    /// Nothing of this tenant can be claimed before that time, as far as was seen since the mark.
    pub(super) fn rest(&self, row: i64, until: Timestamp, mark: u64) {
        if let Some(turn) = self.turns().turn(row)
            && turn.woken <= mark
        {
            turn.next_due = until;
        }
    }

    /// Takes over what was read since the mark: when each tenant has work; those that are not named have none.
    pub(super) fn refreshed(&self, next: &HashMap<i64, Timestamp>, mark: u64) {
        for turn in &mut self.turns().all {
            let fresh = next.get(&turn.row).copied().unwrap_or(Timestamp::NEVER);
            turn.next_due = if turn.woken <= mark { fresh } else { fresh.min(turn.next_due) };
        }
    }

    /// A lane of this tenant was claimed: its next turn comes after everyone else's.
    pub(super) fn served(&self, row: i64) {
        let mut turns = self.turns();
        turns.served += 1;
        let served = turns.served;
        if let Some(turn) = turns.turn(row) {
            turn.last_served = served;
        }
    }

    /// Those that may be claimed now, least recently served first.
    pub(super) fn by_turn(&self, now: Timestamp) -> Vec<Candidate> {
        let turns = self.turns();
        let mut due: Vec<(&Turn, u32)> = turns
            .all
            .iter()
            .filter(|turn| turn.next_due <= now)
            .filter_map(|turn| Some((turn, turn.lanes_max?)))
            .collect();
        due.sort_by(|(one, _), (other, _)| (one.last_served, &one.id).cmp(&(other.last_served, &other.id)));
        due.into_iter().map(|(turn, lanes_max)| Candidate { id: turn.id.clone(), row: turn.row, lanes_max }).collect()
    }
}

impl Turns {
    fn turn(&mut self, row: i64) -> Option<&mut Turn> {
        self.by_row.get(&row).and_then(|index| self.all.get_mut(*index))
    }
}
