//! Taking changes in: many calls per commit, and none of them fails its neighbours.
//!
//! Owns: the one task that accepts. It takes whatever waits, stores it with one statement in one commit, and answers
//! only after that. No call waits for company: while one group commits, the next one gathers by itself.
//!
//! * A group is plain: new events in lanes with room, and calls that are nothing but repeats. All else (a conflict, a
//!   repeat beside something new, two of one event, a full lane) goes the slow way, a transaction for each call, decided
//!   by [`admit`].
//! * Another replica may store the same event meanwhile. The group is then rolled back whole and run again, and finds it.
//! * The bound of a lane is exact in the slow way; in a group it counts what was committed when the group began, so that
//!   replicas together may go over it by a group.
//!
//! Fails: a commit whose answer was lost is unknown; every caller of the group is told to come again, and the repeat
//! gets the receipt of whatever was stored.

use std::collections::{HashMap, HashSet};
use std::sync::Weak;

use deadpool_postgres::{GenericClient, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::PostgresStore;
use super::accept::{Item, Standing};
use super::fault::Fault;
use super::rows::{direction_number, receipt_of, unsigned};
use crate::domain::id::{EventKey, TenantId};
use crate::domain::time::Timestamp;
use crate::limits::{LANE_WAITING_MAX, POSTGRES_GROUP_BYTES_MAX, POSTGRES_GROUP_CHANGES_MAX, POSTGRES_TRIES_MAX};
use crate::store::admission::{Admission, Known, Place, admit, store};
use crate::store::contract::{Accepted, NewDelivery, Receipt, StoreError};

/// One `accept` on its way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) changes: Vec<NewDelivery>,
    pub(super) reply: oneshot::Sender<Result<Vec<Accepted>, StoreError>>,
}

impl Call {
    fn answer(self, answer: Result<Vec<Accepted>, StoreError>) {
        // Whoever asked may have gone; what was stored stays stored.
        drop(self.reply.send(answer));
    }

    fn bytes(&self) -> usize {
        self.changes.iter().map(|change| change.body.len()).sum()
    }
}

/// Serves until the last sender is gone.
pub(super) async fn serve(engine: Weak<PostgresStore>, mut calls: mpsc::Receiver<Call>) {
    let mut waiting = Vec::with_capacity(POSTGRES_GROUP_CHANGES_MAX);
    while calls.recv_many(&mut waiting, POSTGRES_GROUP_CHANGES_MAX).await > 0 {
        let Some(engine) = engine.upgrade() else { return };
        let mut rest = waiting.drain(..).peekable();
        while rest.peek().is_some() {
            let (mut group, mut changes, mut bytes) = (Vec::new(), 0, 0);
            while let Some(call) = rest.next_if(|call| {
                group.is_empty()
                    || (changes + call.changes.len() <= POSTGRES_GROUP_CHANGES_MAX
                        && bytes + call.bytes() <= POSTGRES_GROUP_BYTES_MAX)
            }) {
                changes += call.changes.len();
                bytes += call.bytes();
                group.push(call);
            }
            engine.take_in(group).await;
        }
    }
}

impl PostgresStore {
    /// Stores a group and answers each of its calls.
    async fn take_in(&self, group: Vec<Call>) {
        let (plain, mut slow) = apart(group);
        let mut outcome = self.store_group(&plain).await;
        for _ in 1..POSTGRES_TRIES_MAX {
            if !matches!(outcome, Err(Fault::Contested(_))) {
                break;
            }
            outcome = self.store_group(&plain).await;
        }
        match outcome {
            Ok(answers) => {
                for (call, answer) in plain.into_iter().zip(answers) {
                    match answer {
                        Some(answer) => call.answer(Ok(answer)),
                        None => slow.push(call),
                    }
                }
            }
            Err(Fault::Failed(error @ StoreError::Unavailable(_))) => {
                for call in plain.into_iter().chain(slow) {
                    call.answer(Err(error.clone()));
                }
                return;
            }
            // One of them may be the reason: each alone.
            Err(Fault::Contested(_) | Fault::Unreadable(_) | Fault::Failed(_)) => slow.extend(plain),
        }
        for call in slow {
            let answer = self.take_in_alone(&call.changes).await;
            call.answer(answer);
        }
    }

    /// Stores all plain calls in one commit; `None` for those that must go the slow way.
    async fn store_group(&self, calls: &[Call]) -> Result<Vec<Option<Vec<Accepted>>>, Fault> {
        let work = async {
            let client = self.connection().await?;
            let rows = self.tenant_rows(&client, calls.iter().flat_map(|call| &call.changes)).await?;
            let items: Vec<Item<'_>> = (0..)
                .zip(calls)
                .flat_map(|(call, Call { changes, .. })| changes.iter().map(move |change| (call, change)))
                .filter_map(|(call, change)| Some(Item { call, tenant: *rows.get(&change.tenant)?, change }))
                .collect();
            let waiting_max = i64::try_from(LANE_WAITING_MAX).unwrap_or(i64::MAX);
            let standings = self.append_all(&client, &items, self.given_time(), waiting_max).await?;
            self.wake_stored(&items, &standings);
            Ok(standings)
        };
        let mut standings = self.timely(work).await?.into_iter();
        Ok(calls.iter().map(|call| plain_answer(standings.by_ref().take(call.changes.len()).collect())).collect())
    }

    /// Stores one call as [`admit`] says, in a transaction of its own.
    async fn take_in_alone(&self, changes: &[NewDelivery]) -> Result<Vec<Accepted>, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.timely(self.admit_alone(changes)).await {
                Err(Fault::Contested(_)) if tries < POSTGRES_TRIES_MAX => {}
                outcome => return outcome.map_err(Fault::into_error),
            }
        }
    }

    async fn admit_alone(&self, changes: &[NewDelivery]) -> Result<Vec<Accepted>, Fault> {
        let mut client = self.connection().await?;
        let rows = self.tenant_rows(&client, changes.iter()).await?;
        let transaction = client.transaction().await?;
        let now = self.now(&transaction).await?;
        let waiting = lock_lanes(&transaction, &rows, changes).await?;
        let mut before = known_events(&transaction, &rows, changes).await?;
        let known = |change: &NewDelivery| {
            Ok::<_, Fault>(before.remove(&(change.tenant.clone(), change.event.clone())).map_or_else(
                || Known::New { waiting: waiting.get(&lane_key(&rows, change)).copied().unwrap_or(0) },
                |(receipt, hash, incident)| Known::Before {
                    receipt,
                    same: hash == change.body_hash && incident == change.incident.as_str(),
                },
            ))
        };
        let places = match admit(changes, known)? {
            Admission::Refuse(answers) => return Ok(answers),
            Admission::Store(places) => places,
        };
        let new = places.iter().zip(changes).filter(|(place, _)| matches!(place, Place::Append));
        let items: Vec<Item<'_>> = (0..)
            .zip(new)
            .filter_map(|(call, (_, change))| Some(Item { call, tenant: *rows.get(&change.tenant)?, change }))
            .collect();
        let standings = self.append_all(&transaction, &items, Some(now.millis()), i64::MAX).await?;
        transaction.commit().await?;
        self.wake_stored(&items, &standings);
        let mut stored = standings.into_iter();
        store(changes, places, |_| match stored.next() {
            Some(Standing::Stored(receipt)) => Ok(receipt),
            Some(Standing::Known { .. } | Standing::LeftOut) | None => {
                Err(Fault::nonsense("delivery.event", "an event became known while its lane was locked"))
            }
        })
    }

    /// The row numbers of the tenants of some changes; rows are made where there are none.
    async fn tenant_rows<'a>(
        &self,
        client: &impl GenericClient,
        changes: impl Iterator<Item = &'a NewDelivery>,
    ) -> Result<HashMap<TenantId, i64>, Fault> {
        let mut rows: HashMap<TenantId, i64> = HashMap::new();
        for change in changes {
            if !rows.contains_key(&change.tenant) {
                let row = self.row(client, &change.tenant).await?;
                self.tenants.keep(&change.tenant, row);
                rows.insert(change.tenant.clone(), row);
            }
        }
        Ok(rows)
    }

    fn wake_stored(&self, items: &[Item<'_>], standings: &[Standing]) {
        let stored = items.iter().zip(standings).filter(|(_, standing)| matches!(standing, Standing::Stored(_)));
        let tenants: HashSet<i64> = stored.map(|(item, _)| item.tenant).collect();
        for tenant in tenants {
            // Due since a moment ago, by whatever clock.
            self.tenants.wake(tenant, Timestamp::EPOCH);
        }
    }
}

/// Parts calls that share no event with any other from those that go the slow way.
fn apart(group: Vec<Call>) -> (Vec<Call>, Vec<Call>) {
    let mut events: HashSet<(TenantId, EventKey)> = HashSet::new();
    group.into_iter().partition(|call| {
        let mut own: HashSet<(TenantId, EventKey)> = HashSet::new();
        let is_plain = call.changes.iter().all(|change| {
            let key = (change.tenant.clone(), change.event.clone());
            !events.contains(&key) && own.insert(key)
        });
        if is_plain {
            events.extend(own);
        }
        is_plain
    })
}

/// The answer of a call that was stored whole, or was accepted whole before.
fn plain_answer(standings: Vec<Standing>) -> Option<Vec<Accepted>> {
    let answer = |standing| match standing {
        Standing::Stored(receipt) => Some(Accepted::Stored(receipt)),
        Standing::Known { receipt, same: true } => Some(Accepted::Repeat(receipt)),
        Standing::Known { same: false, .. } | Standing::LeftOut => None,
    };
    standings.into_iter().map(answer).collect()
}

type LaneKey = (i64, String, i16);

fn lane_key(rows: &HashMap<TenantId, i64>, change: &NewDelivery) -> LaneKey {
    let tenant = rows.get(&change.tenant).copied().unwrap_or(0);
    (tenant, change.incident.as_str().to_owned(), direction_number(change.direction))
}

/// Locks the lanes of these changes, in the order in which everybody locks lanes, and counts what waits in each.
async fn lock_lanes(
    transaction: &Transaction<'_>,
    rows: &HashMap<TenantId, i64>,
    changes: &[NewDelivery],
) -> Result<HashMap<LaneKey, usize>, Fault> {
    let lock = "SELECT l.tenant, l.incident, l.direction, l.tail + 1 - l.head FROM lane l \
                WHERE l.id IN (SELECT lane.id FROM unnest($1::bigint[], $2::text[], $3::smallint[]) \
                               AS asked(tenant, incident, direction) JOIN lane USING (tenant, incident, direction)) \
                ORDER BY l.tenant, l.incident, l.direction FOR NO KEY UPDATE";
    let keys: Vec<LaneKey> = changes.iter().map(|change| lane_key(rows, change)).collect();
    let tenants: Vec<i64> = keys.iter().map(|key| key.0).collect();
    let incidents: Vec<&str> = keys.iter().map(|key| key.1.as_str()).collect();
    let directions: Vec<i16> = keys.iter().map(|key| key.2).collect();
    let statement = transaction.prepare_cached(lock).await?;
    let rows = transaction.query(&statement, &[&tenants, &incidents, &directions]).await?;
    rows.iter()
        .map(|row| {
            let waiting: i64 = row.try_get(3)?;
            Ok(((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), usize::try_from(waiting).unwrap_or(0)))
        })
        .collect()
}

type KnownEvents = HashMap<(TenantId, EventKey), (Receipt, Vec<u8>, String)>;

/// Those of these events that were accepted before.
async fn known_events(
    transaction: &Transaction<'_>,
    rows: &HashMap<TenantId, i64>,
    changes: &[NewDelivery],
) -> Result<KnownEvents, Fault> {
    let find = "SELECT asked.place, d.receipt, d.sequence, d.body_hash, l.incident \
                FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS asked(tenant, event, place) \
                JOIN delivery d ON d.tenant = asked.tenant AND d.event = asked.event JOIN lane l ON l.id = d.lane";
    let tenants: Vec<i64> = changes.iter().filter_map(|change| rows.get(&change.tenant).copied()).collect();
    let events: Vec<&str> = changes.iter().map(|change| change.event.as_str()).collect();
    let statement = transaction.prepare_cached(find).await?;
    let mut known = KnownEvents::new();
    for row in transaction.query(&statement, &[&tenants, &events]).await? {
        let place: i64 = row.try_get(0)?;
        let change = usize::try_from(place - 1).ok().and_then(|index| changes.get(index));
        let change = change.ok_or_else(|| Fault::nonsense("a known event", place))?;
        let receipt = Receipt { delivery: receipt_of(row.try_get(1)?), sequence: unsigned(row.try_get(2)?) };
        let key = (change.tenant.clone(), change.event.clone());
        known.insert(key, (receipt, row.try_get(3)?, row.try_get(4)?));
    }
    Ok(known)
}
