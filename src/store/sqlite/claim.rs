//! Claiming: who may work on what. The cost depends on what is claimed, never on what waits.
//!
//! Tenants come from memory in the order of their turns. For each one, one short range of the index `(tenant, rank, due)`
//! is read per rank, and of a jam its other end too, as many entries as there is room for; [`order`]
//! chooses among them. Leased and backing-off lanes lie behind `now` in that index and parked ones are not in it at all, so
//! no backlog is ever walked through.

use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::rows::{direction_of, from_json, incident_of, kind_of, receipt_of, unsigned};
use super::session::Session;
use super::tenants::Candidate;
use crate::delivery::lane::LaneMemory;
use crate::delivery::record::Urgency;
use crate::domain::id::{EventKey, TenantId};
use crate::domain::time::Timestamp;
use crate::store::contract::{Claim, ClaimRequest, Learned, Lease, Waiting};
use crate::store::order::{self, Due};

/// Those that have been due longest.
const OLDEST: &str = "SELECT id, due FROM lane INDEXED BY lane_due WHERE tenant = ?1 AND rank = ?2 AND due <= ?3 \
                      ORDER BY due, id LIMIT ?4";
/// Those that became due last.
const NEWEST: &str = "SELECT id, due FROM lane INDEXED BY lane_due WHERE tenant = ?1 AND rank = ?2 AND due <= ?3 \
                      ORDER BY due DESC, id DESC LIMIT ?4";

impl Session {
    pub(super) fn claim(&mut self, request: &ClaimRequest) -> Result<Vec<Claim>, Fault> {
        let now = self.now();
        let mut claims = Vec::new();
        let mut slow_left = request.slow.lanes_max;
        for place in self.tenants.by_turn(now) {
            let left = request.lanes_max - claims.len();
            if left == 0 {
                break;
            }
            let Some(candidate) = self.tenants.candidate(place) else { continue };
            let is_slow = request.slow.tenants.contains(&candidate.id);
            let left = if is_slow { left.min(slow_left) } else { left };
            let lanes = self.due_lanes(&candidate, now, left, request.newest_first)?;
            slow_left -= if is_slow { lanes.len() } else { 0 };
            let learned = if lanes.is_empty() { Learned::default() } else { self.learned(candidate.row)? };
            for lane in lanes {
                self.tenants.served(candidate.row);
                match self.lease(lane, (&candidate.id, &learned), now, request) {
                    Ok(claim) => claims.push(claim),
                    // It stays leased, so the next claim does not meet it again at once.
                    Err(Fault::Unreadable(_)) => self.unreadable += 1,
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(claims)
    }

    /// The tenant's due lanes that go next, as many as its share has room for.
    fn due_lanes(
        &mut self,
        candidate: &Candidate,
        now: Timestamp,
        left: usize,
        newest_first: bool,
    ) -> Result<Vec<i64>, Fault> {
        if left == 0 {
            return Ok(Vec::new());
        }
        let leased = "SELECT count(*) FROM lane INDEXED BY lane_leased WHERE tenant = ?1 AND leased_until > ?2";
        let row = params![candidate.row, now.millis()];
        let leased: u32 = self.connection.prepare_cached(leased)?.query_row(row, |row| row.get(0))?;
        let room = left.min(candidate.lanes_max.saturating_sub(leased) as usize);
        if room == 0 {
            return Ok(Vec::new());
        }
        let mut due = Vec::new();
        for urgency in Urgency::ALL {
            due.extend(self.end_of_range((OLDEST, urgency), candidate.row, now, room)?);
        }
        let urgent = due.first().filter(|lane| lane.urgency == Urgency::High);
        if newest_first && urgent.is_some_and(|oldest| order::is_jam(oldest.since, now)) {
            due.extend(self.end_of_range((NEWEST, Urgency::High), candidate.row, now, room)?);
        }
        if due.is_empty() {
            let next = self.next_due(candidate.row)?;
            self.tenants.rest(candidate.row, next);
        }
        Ok(order::choose(due, now, newest_first, room))
    }

    /// Lanes of one rank that are due, from one end of their range.
    fn end_of_range(
        &self,
        (end, urgency): (&str, Urgency),
        tenant: i64,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<Due<i64>>, Fault> {
        let mut statement = self.connection.prepare_cached(end)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![tenant, urgency.rank(), now.millis(), most])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            due.push(Due { lane: row.get(0)?, urgency, since: Timestamp::from_millis(row.get(1)?) });
        }
        Ok(due)
    }

    fn next_due(&self, tenant: i64) -> Result<Timestamp, Fault> {
        let sql = "SELECT min(due) FROM lane INDEXED BY lane_due WHERE tenant = ?1 AND rank = ?2 AND due IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut next = Timestamp::NEVER;
        for urgency in Urgency::ALL {
            let due: Option<i64> = statement.query_row(params![tenant, urgency.rank()], |row| row.get(0))?;
            next = due.map_or(next, |due| next.min(Timestamp::from_millis(due)));
        }
        Ok(next)
    }

    fn lease(
        &self,
        lane: i64,
        (tenant, learned): (&TenantId, &Learned),
        now: Timestamp,
        request: &ClaimRequest,
    ) -> Result<Claim, Fault> {
        let find = "SELECT fence, head, attempts, direction, incident FROM lane WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(find)?;
        let mut rows = statement.query(params![lane])?;
        let Some(row) = rows.next()? else { return Err(Fault::nonsense("lane", "a due lane is gone")) };
        let incident: String = row.get(4)?;
        let (fence, attempts): (i64, u32) = (row.get(0)?, row.get(2)?);
        let direction: i64 = row.get(3)?;
        let lease = Lease { lane, fence: unsigned(fence) + 1, head: unsigned(row.get(1)?) };
        let take = "UPDATE lane SET fence = fence + 1, attempts = attempts + 1, leased_until = ?2, due = ?2 \
                    WHERE id = ?1";
        self.connection.prepare_cached(take)?.execute(params![lane, now.plus(request.lease_for).millis()])?;
        Ok(Claim {
            waiting: self.waiting(&lease, request.waiting_max)?,
            memory: self.memory(lane)?,
            learned: learned.clone(),
            lease,
            tenant: tenant.clone(),
            direction: direction_of(direction)?,
            incident: incident_of(&incident)?,
            attempts: attempts + 1,
            now,
        })
    }

    fn memory(&self, lane: i64) -> Result<LaneMemory, Fault> {
        let sql = "SELECT memory FROM lane_memory WHERE lane = ?1";
        let text: Option<String> =
            self.connection.prepare_cached(sql)?.query_row(params![lane], |row| row.get(0)).optional()?;
        // A cache: what cannot be read is found again in ServiceNow.
        Ok(from_json(text.as_deref()).unwrap_or_default())
    }

    fn waiting(&self, lease: &Lease, waiting_max: usize) -> Result<Vec<Waiting>, Fault> {
        let sql = "SELECT d.receipt, d.sequence, d.kind, b.text, d.accepted_at, d.sending_since, d.is_echo, d.event \
                   FROM delivery d CROSS JOIN body b ON b.id = d.body \
                   WHERE d.lane = ?1 AND d.sequence >= ?2 ORDER BY d.sequence LIMIT ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let most = i64::try_from(waiting_max).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![lease.lane, super::rows::signed(lease.head), most])?;
        let mut waiting = Vec::new();
        while let Some(row) = rows.next()? {
            let event = row.get_ref(7)?.as_str().map_err(|error| Fault::nonsense("delivery.event", error))?;
            waiting.push(Waiting {
                id: receipt_of(row.get(0)?),
                event: EventKey::parse(event).map_err(|error| Fault::nonsense("delivery.event", error))?,
                sequence: unsigned(row.get(1)?),
                kind: kind_of(row.get_ref(2)?.as_str().map_err(|error| Fault::nonsense("delivery.kind", error))?)?,
                body: row.get(3)?,
                accepted_at: Timestamp::from_millis(row.get(4)?),
                sending_since: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
                is_echo: row.get(6)?,
            });
        }
        Ok(waiting)
    }
}
