//! The row that replicas share about a tenant's peer, and what was learned of a tenant: read, decided, written if nobody
//! else wrote meanwhile.
//!
//! Owns: the comparing write. The rule itself is the one of all engines, in plain code (`delivery::sharing`); the database's
//! clock says when. Never: holds a lock between reading and writing: a replica that is frozen there would stop the calls
//! of all others. What it reads may be old when it writes: then the version differs, and it reads again.
//! Fails: with nothing changed; under a crowd, after some tries, with [`Fault::Contested`]. An answer lost on its way has
//! reserved calls that nobody makes. Proved by: `tests/store/sharing.rs`.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::fault::Fault;
use super::rows::{from_json, json};
use super::together::{Joint, Outcome, in_their_places};
use crate::delivery::sharing::{Answer, Ask, SharedPace};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::SHARED_TRIES_MAX;
use crate::store::contract::{Learned, StoreError};
use crate::store::pace_row::PaceRow;

const READ: &str = "
SELECT coalesce($1::bigint, store_now()) AS now, p.* FROM (VALUES ($2::bigint, $3::text)) AS asked(of, about)
LEFT JOIN peer_pace p ON p.tenant = asked.of AND p.peer = asked.about";

const MAKE: &str = "
INSERT INTO peer_pace (tenant, peer, version, paid_until, hour_ends, hour_used, hour_limit, hour_told, gate_until,
  gate_cause, gate_reason, breaker, breaker_epoch, breaker_rounds, breaker_turned, breaker_until, breaker_good,
  breaker_failure, probe_owner, probe_until)
VALUES ($1, $2, $3::bigint + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT DO NOTHING";

const CHANGE: &str = "
UPDATE peer_pace SET version = version + 1, paid_until = $4, hour_ends = $5, hour_used = $6, hour_limit = $7,
  hour_told = $8, gate_until = $9, gate_cause = $10, gate_reason = $11, breaker = $12, breaker_epoch = $13,
  breaker_rounds = $14, breaker_turned = $15, breaker_until = $16, breaker_good = $17, breaker_failure = $18,
  probe_owner = $19, probe_until = $20
WHERE tenant = $1 AND peer = $2 AND version = $3::bigint";

/// The rows of a group, as far as there are any.
const READ_ALL: &str = "
SELECT asked.place, coalesce($1::bigint, store_now()) AS now, p.*
FROM unnest($2::bigint[], $3::text[]) WITH ORDINALITY AS asked(of, about, place)
JOIN peer_pace p ON p.tenant = asked.of AND p.peer = asked.about";

/// What an ordinary reservation changes, for a group. It waits for no row that somebody holds, and passes over it.
const RESERVE_ALL: &str = "
WITH free AS MATERIALIZED (
  SELECT asked.*
  FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS asked(place, about, of, known, paid, ends, used)
  CROSS JOIN LATERAL (
    SELECT FROM peer_pace WHERE tenant = asked.of AND peer = asked.about AND version = asked.known
    FOR NO KEY UPDATE SKIP LOCKED) AS held)
UPDATE peer_pace p SET version = version + 1, paid_until = free.paid, hour_ends = free.ends, hour_used = free.used
FROM free WHERE p.tenant = free.of AND p.peer = free.about AND p.version = free.known
RETURNING free.place";

/// One exchange about one peer.
pub(super) struct Exchange {
    tenant: i64,
    peer: String,
    ask: Ask,
}

impl Joint for Exchange {
    type Answer = Answer;
    type Row = (i64, String);

    fn row(&self) -> Self::Row {
        (self.tenant, self.peer.clone())
    }

    async fn together(engine: &PostgresStore, group: &[Self]) -> Result<Vec<Option<Answer>>, Fault> {
        let client = engine.connection().await?;
        let read = client.prepare_cached(READ_ALL).await?;
        let tenants: Vec<i64> = group.iter().map(|one| one.tenant).collect();
        let peers: Vec<&str> = group.iter().map(|one| one.peer.as_str()).collect();
        let rows = client.query(&read, &[&engine.given_time(), &tenants, &peers]).await?;
        let mut reservations = Reservations::default();
        let mut answers = HashMap::with_capacity(group.len());
        for row in &rows {
            let place: i64 = row.try_get("place")?;
            let one = usize::try_from(place - 1).ok().and_then(|index| group.get(index));
            let one = one.ok_or_else(|| Fault::nonsense("a row of a group", place))?;
            let present = pace_row(row)?;
            let mut shared = SharedPace::from(present.clone());
            let answer = shared.exchange(Timestamp::from_millis(row.try_get("now")?), &one.ask);
            if reservations.takes(place, one, row.try_get("version")?, (&present, PaceRow::from(shared))) {
                answers.insert(place, answer);
            }
        }
        let Reservations { places, peers, tenants, versions, paid, ends, used } = &reservations;
        let write = client.prepare_cached(RESERVE_ALL).await?;
        let written = client.query(&write, &[places, peers, tenants, versions, paid, ends, used]).await?;
        let written = written.iter().map(|row| {
            let place: i64 = row.try_get(0)?;
            let answer = answers.remove(&place);
            Ok((place, answer.ok_or_else(|| Fault::nonsense("a row that was written", place))?))
        });
        in_their_places(group.len(), written)
    }
}

/// The columns of [`RESERVE_ALL`].
#[derive(Default)]
struct Reservations<'a> {
    places: Vec<i64>,
    peers: Vec<&'a str>,
    tenants: Vec<i64>,
    versions: Vec<i64>,
    paid: Vec<i64>,
    ends: Vec<i64>,
    used: Vec<i64>,
}

impl<'a> Reservations<'a> {
    /// Takes an exchange in if it changed nothing but what was paid for and counted; answers whether it did.
    fn takes(&mut self, place: i64, one: &'a Exchange, version: i64, (before, after): (&PaceRow, PaceRow)) -> bool {
        let PaceRow { paid_until, hour_ends, hour_used, .. } = after;
        let is_ordinary = PaceRow { paid_until, hour_ends, hour_used, ..before.clone() } == after;
        if is_ordinary {
            self.places.push(place);
            self.peers.push(&one.peer);
            self.tenants.push(one.tenant);
            self.versions.push(version);
            self.paid.push(paid_until);
            self.ends.push(hour_ends);
            self.used.push(hour_used);
        }
        is_ordinary
    }
}

impl PostgresStore {
    pub(in crate::store) async fn share_pace(
        &self,
        tenant: &TenantId,
        peer: &str,
        ask: &Ask,
    ) -> Result<Answer, StoreError> {
        self.ask(self.exchange(tenant, peer, ask)).await
    }

    async fn exchange(&self, tenant: &TenantId, peer: &str, ask: &Ask) -> Result<Answer, Fault> {
        let tenant = match self.tenants.row_of(tenant) {
            Some(row) => row,
            None => self.row(&self.connection().await?, tenant).await?,
        };
        let exchange = match self.exchanges.go(Exchange { tenant, peer: peer.to_owned(), ask: ask.clone() }).await? {
            Outcome::Done(answer) => return Ok(answer),
            Outcome::Alone(exchange) => exchange,
        };
        for _ in 0..SHARED_TRIES_MAX {
            if let Some(answer) = self.exchange_once(&exchange).await? {
                return Ok(answer);
            }
        }
        Err(crowded())
    }

    /// `None` if another replica wrote between reading and writing.
    async fn exchange_once(&self, Exchange { tenant, peer, ask }: &Exchange) -> Result<Option<Answer>, Fault> {
        let client = self.connection().await?;
        let read = client.prepare_cached(READ).await?;
        let row = client.query_one(&read, &[&self.given_time(), tenant, peer]).await?;
        let now = Timestamp::from_millis(row.try_get("now")?);
        let version: Option<i64> = row.try_get("version")?;
        let mut pace = if version.is_some() { SharedPace::from(pace_row(&row)?) } else { SharedPace::default() };
        let answer = pace.exchange(now, ask);
        let write = client.prepare_cached(if version.is_some() { CHANGE } else { MAKE }).await?;
        let next = PaceRow::from(pace);
        let whose: [&(dyn ToSql + Sync); 3] = [tenant, peer, &version.unwrap_or(0)];
        let written = client.execute(&write, &[whose.as_slice(), columns(&next).as_slice()].concat()).await?;
        Ok((written > 0).then_some(answer))
    }

    pub(in crate::store) async fn learn(
        &self,
        tenant: &TenantId,
        known: &Learned,
        learned: Learned,
    ) -> Result<bool, StoreError> {
        self.ask(self.learn_over(tenant, known, &learned)).await
    }

    async fn learn_over(&self, tenant: &TenantId, known: &Learned, learned: &Learned) -> Result<bool, Fault> {
        for _ in 0..SHARED_TRIES_MAX {
            if let Some(agrees) = self.learn_once(tenant, known, learned).await? {
                return Ok(agrees);
            }
        }
        Err(crowded())
    }

    /// `None` if another replica wrote between reading and writing. The text is compared as it stands and what it means as
    /// it is read, so that replicas of two versions understand each other.
    async fn learn_once(&self, tenant: &TenantId, known: &Learned, learned: &Learned) -> Result<Option<bool>, Fault> {
        let client = self.connection().await?;
        let row = self.row(&client, tenant).await?;
        let read = client.prepare_cached("SELECT learned FROM tenant WHERE id = $1").await?;
        let present: Option<String> = client.query_one(&read, &[&row]).await?.try_get(0)?;
        // A cache: what cannot be read is learned anew.
        if from_json::<Learned>(present.as_deref()).unwrap_or_default() != *known {
            return Ok(Some(false));
        }
        let write = "UPDATE tenant SET learned = $2 WHERE id = $1 AND learned IS NOT DISTINCT FROM $3";
        let write = client.prepare_cached(write).await?;
        let written = client.execute(&write, &[&row, &json(learned)?, &present]).await?;
        Ok((written > 0).then_some(true))
    }
}

fn crowded() -> Fault {
    Fault::Contested(StoreError::Unavailable("many replicas wrote to the same row at once".to_owned()))
}

fn pace_row(row: &Row) -> Result<PaceRow, Fault> {
    Ok(PaceRow {
        paid_until: row.try_get("paid_until")?,
        hour_ends: row.try_get("hour_ends")?,
        hour_used: row.try_get("hour_used")?,
        hour_limit: row.try_get("hour_limit")?,
        hour_told: row.try_get("hour_told")?,
        gate_until: row.try_get("gate_until")?,
        gate_cause: row.try_get("gate_cause")?,
        gate_reason: row.try_get("gate_reason")?,
        breaker: row.try_get("breaker")?,
        breaker_epoch: row.try_get("breaker_epoch")?,
        breaker_rounds: row.try_get("breaker_rounds")?,
        breaker_turned: row.try_get("breaker_turned")?,
        breaker_until: row.try_get("breaker_until")?,
        breaker_good: row.try_get("breaker_good")?,
        breaker_failure: row.try_get("breaker_failure")?,
        probe_owner: row.try_get("probe_owner")?,
        probe_until: row.try_get("probe_until")?,
    })
}

/// In the order of [`MAKE`] and [`CHANGE`], from the fourth on.
fn columns(row: &PaceRow) -> [&(dyn ToSql + Sync); 17] {
    [
        &row.paid_until,
        &row.hour_ends,
        &row.hour_used,
        &row.hour_limit,
        &row.hour_told,
        &row.gate_until,
        &row.gate_cause,
        &row.gate_reason,
        &row.breaker,
        &row.breaker_epoch,
        &row.breaker_rounds,
        &row.breaker_turned,
        &row.breaker_until,
        &row.breaker_good,
        &row.breaker_failure,
        &row.probe_owner,
        &row.probe_until,
    ]
}
