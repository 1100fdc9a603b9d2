//! Claiming: who may work on what, over all replicas. The cost depends on what is claimed, never on what waits.
//!
//! Owns: the one statement that leases. It locks the rows of the tenants whose turn it is, which makes the count of
//! their leased lanes exact over all replicas; then it takes due lanes from the front of `(tenant, rank, due)`, of a jam
//! from its other end too, as many as each has room for, in the order of [`order`](crate::store::order), which it repeats
//! in SQL. What another replica is looking at just now is skipped, not waited for.
//! Never: leases a lane twice: the lane's row is locked, seen as it is by then, and its fence grows.
//!
//! A statement sees what was committed when it began, and a row it waited for as it is. Where the two differ (a lane
//! that somebody worked on in between) what waits in the lane and what it remembers are read again, under the lease.
//!
//! Fails: with nothing leased; a row that cannot be read stays leased for a while, so that it holds up no other.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{direction_of, event_of, from_json, incident_of, kind_of, millis, receipt_of, signed, unsigned};
use super::tenants::Candidate;
use crate::delivery::record::Urgency;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::{AGING_STEP, POSTGRES_CLAIM_TENANTS_MAX, POSTGRES_HINTS_AGE_MAX, POSTGRES_HINTS_SHARE, URGENT_JAM};
use crate::store::contract::{Claim, ClaimRequest, Lease, Waiting};

/// One row per waiting delivery of each leased lane; and one, with nothing but a tenant and how many lanes it had room for,
/// for each that was looked at.
const CLAIM: &str = "
WITH clock AS MATERIALIZED (SELECT coalesce($1::bigint, store_now()) AS now),
free AS MATERIALIZED (
  SELECT t.id, t.learned, asked.lanes_max, asked.is_slow, asked.turn
  FROM unnest($2::bigint[], $3::bigint[], $8::boolean[]) WITH ORDINALITY AS asked(tenant, lanes_max, is_slow, turn)
  JOIN tenant t ON t.id = asked.tenant CROSS JOIN clock
  WHERE t.paused_until IS NULL OR t.paused_until <= clock.now
  FOR NO KEY UPDATE OF t SKIP LOCKED),
room AS MATERIALIZED (
  SELECT id, turn, is_slow, greatest(0, least($4::bigint, lanes_max - lanes_leased(id, clock.now))) AS room FROM free, clock),
oldest AS MATERIALIZED (
  SELECT room.turn, room.is_slow, room.room, lane.id, lane.rank, lane.due
  FROM room CROSS JOIN clock CROSS JOIN unnest($5::smallint[]) AS urgency(rank)
  CROSS JOIN LATERAL (
    SELECT id, rank, due FROM lane WHERE tenant = room.id AND rank = urgency.rank AND due <= clock.now
    ORDER BY due, id LIMIT room.room FOR NO KEY UPDATE SKIP LOCKED) AS lane),
jam AS MATERIALIZED (
  SELECT DISTINCT turn FROM oldest, clock
  WHERE $10::boolean AND rank = ($5::smallint[])[1] AND due < clock.now - $11::bigint),
newest AS MATERIALIZED (
  SELECT room.turn, room.is_slow, room.room, lane.id, lane.rank, lane.due
  FROM jam JOIN room ON room.turn = jam.turn CROSS JOIN clock
  CROSS JOIN LATERAL (
    SELECT id, rank, due FROM lane WHERE tenant = room.id AND rank = ($5::smallint[])[1] AND due <= clock.now
    ORDER BY due DESC, id DESC LIMIT room.room FOR NO KEY UPDATE SKIP LOCKED) AS lane),
classed AS (
  SELECT due.*, CASE WHEN jam.turn IS NOT NULL AND rank = ($5::smallint[])[1] THEN 0
    ELSE greatest(($5::smallint[])[1], rank - (clock.now - due) / $12::bigint) END AS class
  FROM (SELECT * FROM oldest UNION SELECT * FROM newest) AS due CROSS JOIN clock LEFT JOIN jam ON jam.turn = due.turn),
placed AS (
  SELECT *, row_number() OVER (PARTITION BY turn ORDER BY class,
    CASE WHEN class = 0 THEN -due ELSE due END, CASE WHEN class = 0 THEN -id ELSE id END) AS nth FROM classed),
fitting AS (
  SELECT *, row_number() OVER (PARTITION BY is_slow ORDER BY turn, nth) AS among_slow FROM placed WHERE nth <= room),
chosen AS MATERIALIZED (
  SELECT id, row_number() OVER (ORDER BY turn, nth) AS place
  FROM fitting WHERE NOT is_slow OR among_slow <= $9::bigint ORDER BY turn, nth LIMIT $4),
leased AS (
  UPDATE lane SET fence = fence + 1, attempts = attempts + 1, leased_until = clock.now + $6::bigint, due = clock.now + $6
  FROM chosen, clock WHERE lane.id = chosen.id
  RETURNING chosen.place, lane.id, lane.tenant, lane.direction, lane.incident, lane.fence, lane.head, lane.attempts)
SELECT clock.now, leased.id, leased.fence, leased.head, leased.attempts, leased.direction, leased.incident, leased.tenant,
       seen.fence + 1 = leased.fence AND seen.head = leased.head AS is_current, m.memory,
       d.receipt, d.sequence, d.kind, d.body, d.accepted_at, d.sending_since, d.is_echo, d.event, leased.place, free.learned
FROM clock CROSS JOIN leased JOIN free ON free.id = leased.tenant JOIN lane seen ON seen.id = leased.id LEFT JOIN lane_memory m ON m.lane = leased.id
LEFT JOIN LATERAL (
  SELECT * FROM delivery d WHERE d.lane = leased.id AND d.sequence >= leased.head ORDER BY d.sequence LIMIT $7::bigint
) AS d ON true
UNION ALL
SELECT clock.now, NULL, NULL, NULL, least(room.room, 2147483647)::integer, NULL, NULL, room.id, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM clock LEFT JOIN room ON true
ORDER BY 19, 12";

/// The column of [`CLAIM`] that says, of a tenant that was looked at, how many lanes it had room for.
const ROOM: usize = 4;

/// The column of [`CLAIM`] that says what was learned of the tenant.
const LEARNED: usize = 19;

/// The column of [`CLAIM`] from which on there is a waiting delivery.
const WAITING_FROM: usize = 10;

const READ_AGAIN: &str = "
SELECT d.receipt, d.sequence, d.kind, d.body, d.accepted_at, d.sending_since, d.is_echo, d.event, m.memory
FROM delivery d LEFT JOIN lane_memory m ON m.lane = d.lane
WHERE d.lane = $1 AND d.sequence >= $2 ORDER BY d.sequence LIMIT $3::bigint";

/// When these tenants next have something to claim.
const NEXT_DUE: &str = "
SELECT asked.tenant, greatest(t.paused_until, (
  SELECT min(first.due) FROM unnest($2::smallint[]) AS urgency(rank) CROSS JOIN LATERAL (
    SELECT due FROM lane WHERE tenant = asked.tenant AND rank = urgency.rank AND due IS NOT NULL
    ORDER BY due LIMIT 1) AS first)) AS due, (SELECT coalesce($3::bigint, store_now()))
FROM unnest($1::bigint[]) AS asked(tenant) JOIN tenant t ON t.id = asked.tenant";

/// Every tenant with something to claim, now or later, by jumping from one to the next in the index.
const ALL_WITH_WORK: &str = "
WITH RECURSIVE busy(tenant) AS (
  (SELECT tenant FROM lane WHERE due IS NOT NULL ORDER BY tenant LIMIT 1)
  UNION ALL
  SELECT (SELECT tenant FROM lane WHERE due IS NOT NULL AND tenant > busy.tenant ORDER BY tenant LIMIT 1)
  FROM busy WHERE busy.tenant IS NOT NULL)
SELECT coalesce(array_agg(tenant), '{}') FROM busy WHERE tenant IS NOT NULL";

/// How current the hints are, and what the database's clock said when they were read.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    read_at: Option<Instant>,
    took: std::time::Duration,
    /// The database's time at a moment of ours.
    clock: Option<(Timestamp, Instant)>,
}

impl Freshness {
    /// Whether the hints may be read again: rarely enough that it costs a small part of the time.
    fn may_read(&self) -> bool {
        self.read_at.is_none_or(|at| at.elapsed() >= self.took * POSTGRES_HINTS_SHARE)
    }

    fn is_old(&self) -> bool {
        self.read_at.is_none_or(|at| at.elapsed() >= POSTGRES_HINTS_AGE_MAX)
    }

    /// The database's time, as far as it can be told without asking.
    fn now(&self) -> Timestamp {
        self.clock.map_or(Timestamp::NEVER, |(now, at)| now.plus(at.elapsed()))
    }
}

impl PostgresStore {
    pub(super) async fn claim_lanes(&self, request: &ClaimRequest) -> Result<Vec<Claim>, Fault> {
        let client = self.connection().await?;
        let is_read = self.refresh(&client, Freshness::is_old).await?;
        let claims = self.claim_by_hints(&client, request).await?;
        // Another replica may have accepted something since the hints were read.
        if claims.is_empty() && !is_read && self.refresh(&client, |_| true).await? {
            return self.claim_by_hints(&client, request).await;
        }
        Ok(claims)
    }

    /// Claims from tenants whose turn it is, some at a time, until enough was found.
    async fn claim_by_hints(&self, client: &impl GenericClient, request: &ClaimRequest) -> Result<Vec<Claim>, Fault> {
        let mut claims: Vec<Claim> = Vec::new();
        let mut candidates = self.tenants.by_turn(self.about_now());
        if request.slow.lanes_max == 0 {
            candidates.retain(|tenant| !request.slow.tenants.contains(&tenant.id));
        }
        let (mut rest, mut most) = (candidates.as_slice(), request.lanes_max);
        while claims.len() < request.lanes_max && !rest.is_empty() {
            let (now, later) = rest.split_at(most.clamp(1, POSTGRES_CLAIM_TENANTS_MAX).min(rest.len()));
            let of_slow = claims.iter().filter(|claim| request.slow.tenants.contains(&claim.tenant)).count();
            let left = (request.lanes_max - claims.len(), request.slow.lanes_max - of_slow);
            claims.extend(self.claim_from(client, now, request, left).await?);
            (rest, most) = (later, most * 2);
        }
        Ok(claims)
    }

    /// Claims from these tenants, in this order.
    async fn claim_from(
        &self,
        client: &impl GenericClient,
        tenants: &[Candidate],
        request: &ClaimRequest,
        (most, slow_most): (usize, usize),
    ) -> Result<Vec<Claim>, Fault> {
        let mark = self.tenants.mark();
        let rows: Vec<i64> = tenants.iter().map(|tenant| tenant.row).collect();
        let shares: Vec<i64> = tenants.iter().map(|tenant| i64::from(tenant.lanes_max)).collect();
        let is_slow: Vec<bool> = tenants.iter().map(|tenant| request.slow.tenants.contains(&tenant.id)).collect();
        let [most, slow_most, waiting_max] =
            [most, slow_most, request.waiting_max].map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let statement = client.prepare_cached(CLAIM).await?;
        let answer = client
            .query(
                &statement,
                &[
                    &self.given_time(),
                    &rows,
                    &shares,
                    &most,
                    &ranks(),
                    &millis(request.lease_for),
                    &waiting_max,
                    &is_slow,
                    &slow_most,
                    &request.newest_first,
                    &millis(URGENT_JAM),
                    &millis(AGING_STEP),
                ],
            )
            .await?;
        let mut found = Found { claims: Vec::new(), unreadable: 0, looked_at: Vec::new() };
        let names = tenants.iter().map(|tenant| (tenant.row, &tenant.id)).collect();
        let asked = Asked { names, waiting_max };
        for lane in answer.chunk_by(|one, other| lane_of(one).is_some() && lane_of(one) == lane_of(other)) {
            self.take(client, lane, &asked, &mut found).await?;
        }
        if found.unreadable > 0 {
            self.tell_unreadable(found.unreadable);
        }
        self.rest(client, &found.exhausted(), mark).await?;
        Ok(found.claims.into_iter().map(|(_, claim)| claim).collect())
    }

    /// Takes the rows of one lane, or of one tenant that was looked at.
    async fn take(
        &self,
        client: &impl GenericClient,
        rows: &[Row],
        asked: &Asked<'_>,
        found: &mut Found,
    ) -> Result<(), Fault> {
        let Some(row) = rows.first() else { return Ok(()) };
        self.set_clock(Timestamp::from_millis(row.try_get(0)?));
        let Some(tenant) = row.try_get::<_, Option<i64>>(7)? else { return Ok(()) };
        if lane_of(row).is_none() {
            found.looked_at.push((tenant, row.try_get::<_, i32>(ROOM)?));
            return Ok(());
        }
        self.tenants.served(tenant);
        let Some(name) = asked.names.get(&tenant) else { return Err(Fault::nonsense("lane.tenant", tenant)) };
        match self.claim_of(client, rows, name, asked.waiting_max).await {
            Ok(claim) => found.claims.push((tenant, claim)),
            // It stays leased, so the next claim does not meet it again at once.
            Err(Fault::Unreadable(_)) => found.unreadable += 1,
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    async fn claim_of(
        &self,
        client: &impl GenericClient,
        rows: &[Row],
        tenant: &TenantId,
        waiting_max: i64,
    ) -> Result<Claim, Fault> {
        let row = rows.first().ok_or_else(|| Fault::nonsense("lane", "a leased lane is gone"))?;
        let lease = Lease { lane: row.try_get(1)?, fence: unsigned(row.try_get(2)?), head: unsigned(row.try_get(3)?) };
        let (mut memory, mut waiting): (Option<String>, Vec<Waiting>) = (row.try_get(9)?, Vec::new());
        let has_head = row.try_get::<_, Option<i64>>(WAITING_FROM + 1)? == Some(signed(lease.head));
        if row.try_get::<_, bool>(8)? && has_head {
            for row in rows {
                waiting.push(waiting_of(row, WAITING_FROM)?);
            }
        } else {
            let statement = client.prepare_cached(READ_AGAIN).await?;
            for row in client.query(&statement, &[&lease.lane, &signed(lease.head), &waiting_max]).await? {
                memory = row.try_get(8)?;
                waiting.push(waiting_of(&row, 0)?);
            }
        }
        if waiting.is_empty() {
            return Err(Fault::nonsense("lane", "a due lane has nothing to do"));
        }
        let attempts: i32 = row.try_get(4)?;
        Ok(Claim {
            lease,
            tenant: tenant.clone(),
            direction: direction_of(row.try_get(5)?)?,
            incident: incident_of(row.try_get(6)?)?,
            attempts: u32::try_from(attempts).unwrap_or(1),
            now: Timestamp::from_millis(row.try_get(0)?),
            // A cache: what cannot be read is found again in ServiceNow.
            memory: from_json(memory.as_deref()).unwrap_or_default(),
            learned: from_json(row.try_get(LEARNED)?).unwrap_or_default(),
            waiting,
        })
    }

    /// Tenants that have nothing rest until they have something.
    async fn rest(&self, client: &impl GenericClient, tenants: &[i64], mark: u64) -> Result<(), Fault> {
        if tenants.is_empty() {
            return Ok(());
        }
        for (tenant, due, _) in self.next_due(client, tenants).await? {
            self.tenants.rest(tenant, due, mark);
        }
        Ok(())
    }

    async fn next_due(
        &self,
        client: &impl GenericClient,
        tenants: &[i64],
    ) -> Result<Vec<(i64, Timestamp, Timestamp)>, Fault> {
        let statement = client.prepare_cached(NEXT_DUE).await?;
        let rows = client.query(&statement, &[&tenants, &ranks(), &self.given_time()]).await?;
        rows.iter()
            .map(|row| {
                let due: Option<i64> = row.try_get(1)?;
                let due = due.map_or(Timestamp::NEVER, Timestamp::from_millis);
                Ok((row.try_get(0)?, due, Timestamp::from_millis(row.try_get(2)?)))
            })
            .collect()
    }

    /// Reads anew which tenants have work, if that is wanted and not too dear; answers whether it did.
    async fn refresh(
        &self,
        client: &impl GenericClient,
        is_wanted: impl FnOnce(&Freshness) -> bool,
    ) -> Result<bool, Fault> {
        {
            let mut freshness = self.freshness();
            if !freshness.may_read() || !is_wanted(&freshness) {
                return Ok(false);
            }
            // Others that claim meanwhile need not read it as well.
            freshness.read_at = Some(Instant::now());
        }
        let (began, mark) = (Instant::now(), self.tenants.mark());
        let statement = client.prepare_cached(ALL_WITH_WORK).await?;
        let busy: Vec<i64> = client.query_one(&statement, &[]).await?.try_get(0)?;
        let mut next = HashMap::with_capacity(busy.len());
        for (tenant, due, now) in self.next_due(client, &busy).await? {
            next.insert(tenant, due);
            self.set_clock(now);
        }
        self.tenants.refreshed(&next, mark);
        let mut freshness = self.freshness();
        (freshness.read_at, freshness.took) = (Some(Instant::now()), began.elapsed());
        Ok(true)
    }

    /// The given time, or the database's as far as it can be told without asking.
    fn about_now(&self) -> Timestamp {
        self.given_time().map_or_else(|| self.freshness().now(), Timestamp::from_millis)
    }

    fn set_clock(&self, now: Timestamp) {
        self.freshness().clock = Some((now, Instant::now()));
    }
}

/// Whose lanes were asked for, and how much of each.
struct Asked<'a> {
    names: HashMap<i64, &'a TenantId>,
    waiting_max: i64,
}

/// What one statement gave.
struct Found {
    claims: Vec<(i64, Claim)>,
    unreadable: usize,
    looked_at: Vec<(i64, i32)>,
}

impl Found {
    /// Those that gave less than they had room for: they may have no more, and need not be looked at again before they do.
    fn exhausted(&self) -> Vec<i64> {
        let mut given: HashMap<i64, i32> = HashMap::new();
        for (tenant, _) in &self.claims {
            *given.entry(*tenant).or_default() += 1;
        }
        let gave = |tenant: &i64| given.get(tenant).copied().unwrap_or(0);
        let is_exhausted = |(tenant, room): &&(i64, i32)| gave(tenant) == 0 || gave(tenant) < *room;
        self.looked_at.iter().filter(is_exhausted).map(|(tenant, _)| *tenant).collect()
    }
}

fn lane_of(row: &Row) -> Option<i64> {
    row.try_get(1).ok().flatten()
}

fn ranks() -> Vec<i16> {
    Urgency::ALL.iter().map(|urgency| i16::try_from(urgency.rank()).unwrap_or(i16::MAX)).collect()
}

/// Reads a waiting delivery from this column on.
fn waiting_of(row: &Row, from: usize) -> Result<Waiting, Fault> {
    let body: &str = row.try_get(from + 3)?;
    Ok(Waiting {
        id: receipt_of(row.try_get(from)?),
        event: event_of(row.try_get(from + 7)?)?,
        sequence: unsigned(row.try_get(from + 1)?),
        kind: kind_of(row.try_get(from + 2)?)?,
        body: body.into(),
        accepted_at: Timestamp::from_millis(row.try_get(from + 4)?),
        sending_since: row.try_get::<_, Option<i64>>(from + 5)?.map(Timestamp::from_millis),
        is_echo: row.try_get(from + 6)?,
    })
}
