//! The model of the store: plain collections under one lock, every rule readable in one place.
//!
//! It is not a mock: the contract suite holds the other engines to it, and the seeded simulation runs on it. It is
//! as durable as the value it lives in.

mod audit;
mod lane;
mod life_cycle;
mod links;
mod read;
mod sharing;
mod sweep;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::audit::Log;
use self::lane::{Event, Lane, waiting};
use self::links::Links;
use self::sweep::Sweep;
use super::admission::{Admission, Known, admit, store};
use super::audit::Actor;
use super::contract::{
    Accepted, Claim, ClaimRequest, Held, Learned, Lease, NewDelivery, Pause, Postponement, REPLAY_SOURCE, Receipt,
    Replayed, Settlement, TenantShare,
};
use super::deeds;
use super::life_cycle::{Check, Release};
use super::order::{self, Due};
use super::steady::SteadyClock;
use crate::delivery::record::{Direction, Ending, State};
use crate::delivery::sharing::SharedPace;
use crate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::EVENTS_REMEMBERED;

/// The in-memory engine.
#[derive(Debug)]
pub struct MemoryStore {
    clock: SteadyClock,
    state: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    lanes: Vec<Lane>,
    lane_of: HashMap<(TenantId, Direction, IncidentId), usize>,
    by_key: HashMap<(TenantId, EventKey), Place>,
    by_id: BTreeMap<DeliveryId, Place>,
    tenants: BTreeMap<TenantId, TenantRow>,
    links: Links,
    sweeps: HashMap<TenantId, Sweep>,
    paces: HashMap<(TenantId, String), SharedPace>,
    audit: Log,
    served: u64,
    /// Only for proving that a simulation notices what the fence prevents.
    unfenced: bool,
    /// The same of recognising repeats.
    forgetful: bool,
}

/// A lane's index and a sequence in it.
type Place = (usize, u64);

#[derive(Debug, Default)]
struct TenantRow {
    lanes_max: Option<u32>,
    pause: Option<Pause>,
    learned: Learned,
    check: Option<Check>,
    release: Option<Release>,
    last_served: u64,
}

impl MemoryStore {
    /// An empty store on this clock.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock: SteadyClock::new(clock, Timestamp::EPOCH), state: Mutex::default() }
    }

    /// A store that lets a stale owner write: a simulation must catch it, or its checks prove nothing.
    pub fn without_fence(clock: SharedClock) -> Self {
        let store = Self::new(clock);
        store.tables().unfenced = true;
        store
    }

    /// A store that takes every repeat for something new: likewise.
    pub fn without_repeats(clock: SharedClock) -> Self {
        let store = Self::new(clock);
        store.tables().forgetful = true;
        store
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic while the lock was held left whole statements behind, never half of one collection.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn accept(&self, changes: &[NewDelivery]) -> Vec<Accepted> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let known = |change: &NewDelivery| Ok::<_, Infallible>(tables.known(change));
        let Ok(admission) = admit(changes, known);
        let places = match admission {
            Admission::Refuse(answers) => return answers,
            Admission::Store(places) => places,
        };
        let append = |change: &NewDelivery| Ok::<_, Infallible>(tables.append(change.clone(), now));
        let Ok(answers) = store(changes, places, append);
        answers
    }

    pub(super) fn serve_tenants(&self, shares: Vec<TenantShare>) {
        let mut tables = self.tables();
        tables.tenants.values_mut().for_each(|row| row.lanes_max = None);
        for share in shares {
            tables.tenants.entry(share.tenant).or_default().lanes_max = Some(share.lanes_max);
        }
    }

    pub(super) fn claim(&self, request: &ClaimRequest) -> Vec<Claim> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let mut due = Vec::new();
        let mut slow_left = request.slow.lanes_max;
        for tenant in tables.tenants_by_turn(now) {
            let is_slow = request.slow.tenants.contains(&tenant);
            let left = request.lanes_max - due.len();
            let left = if is_slow { left.min(slow_left) } else { left };
            let lanes = tables.due_lanes(&tenant, now, left, request.newest_first);
            slow_left -= if is_slow { lanes.len() } else { 0 };
            due.extend(lanes);
        }
        due.into_iter().map(|index| tables.lease(index, now, request)).collect()
    }

    pub(super) fn intend(&self, lease: &Lease, upto: u64, lease_for: Duration) -> Held<Timestamp> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let Some(lane) = tables.held(lease) else { return Held::Lost };
        lane.lease_until(now.plus(lease_for));
        for event in lane.events_mut(lease.head, upto) {
            event.state = State::Sending;
            event.sending_since = Some(now);
        }
        // What was begun together with these and refused is begun anew.
        for event in lane.events_mut(upto + 1, u64::MAX).filter(|event| event.state == State::Sending) {
            event.state = State::Waiting;
            event.sending_since = None;
        }
        Held::Yes(now)
    }

    pub(super) fn renew(&self, lease: &Lease, lease_for: Duration) -> Held<()> {
        let until = self.clock.now().plus(lease_for);
        let mut tables = self.tables();
        let Some(lane) = tables.held(lease) else { return Held::Lost };
        lane.lease_until(until);
        Held::Yes(())
    }

    pub(super) fn settle(&self, lease: &Lease, settlement: Settlement) -> Held<()> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let Some(lane) = tables.held(lease) else { return Held::Lost };
        if !(lane.head..=lane.tail()).contains(&settlement.upto) {
            return Held::Lost;
        }
        let tenant = lane.tenant.clone();
        let (follows, link) = lane.settle(settlement, now);
        if let Some(link) = link {
            tables.links.keep(&tenant, link, now);
        }
        for change in follows {
            tables.follow(NewDelivery { tenant: tenant.clone(), ..change }, now);
        }
        Held::Yes(())
    }

    pub(super) fn trim(&self, before: Timestamp, most: usize) -> usize {
        let before = before.min(self.clock.now().minus(EVENTS_REMEMBERED));
        let mut tables = self.tables();
        let done = |event: &Event| event.state.is_end() && event.state != State::Parked;
        let ended = |(lane, sequence): &Place| {
            let event = tables.lanes[*lane].event(*sequence);
            event.is_some_and(|event| done(event) && event.ended_at.is_some_and(|at| at < before))
        };
        let gone: Vec<Place> = tables.by_id.values().copied().filter(ended).take(most).collect();
        for (lane, sequence) in &gone {
            let Some(event) = tables.lanes[*lane].event_mut(*sequence) else { continue };
            // Its place in the lane stays; nothing leads there any more.
            event.change.body = "".into();
            let key = (event.change.tenant.clone(), event.change.event.clone());
            let id = event.change.id.clone();
            tables.by_key.remove(&key);
            tables.by_id.remove(&id);
        }
        gone.len()
    }

    pub(super) fn postpone(&self, lease: &Lease, postponement: Postponement) -> Held<()> {
        let mut tables = self.tables();
        let Some(lane) = tables.held(lease) else { return Held::Lost };
        lane.leased_until = None;
        lane.due = Some(postponement.at);
        lane.attempts -= u32::from(!postponement.counted);
        if postponement.not_processed {
            for event in lane.events_mut(lease.head, u64::MAX).filter(|event| event.state == State::Sending) {
                event.state = State::Waiting;
                event.sending_since = None;
            }
        }
        if let (Some(attempt), Some(event)) = (postponement.attempt, lane.event_mut(lease.head)) {
            event.remember(attempt);
        }
        Held::Yes(())
    }

    pub(super) fn pause_tenant(&self, tenant: &TenantId, pause: Pause) {
        let now = self.clock.now();
        self.tables().pause(tenant, pause, now);
    }

    pub(super) fn resume_tenant(&self, tenant: &TenantId) {
        let now = self.clock.now();
        self.tables().resume(tenant, now);
    }

    pub(super) fn resume_unless(&self, tenant: &TenantId, codes: &[&str]) -> Option<Pause> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let pause = tables.paused(tenant, now).filter(|pause| !codes.contains(&pause.code.as_str()))?;
        tables.resume(tenant, now);
        Some(pause)
    }

    pub(super) fn learn(&self, tenant: &TenantId, known: &Learned, learned: Learned) -> bool {
        let mut tables = self.tables();
        let row = tables.tenants.entry(tenant.clone()).or_default();
        let agrees = row.learned == *known;
        if agrees {
            row.learned = learned;
        }
        agrees
    }

    pub(super) fn replay(&self, tenant: &TenantId, id: &DeliveryId, new: DeliveryId, by: Actor) -> Replayed {
        let now = self.clock.now();
        let mut tables = self.tables();
        let Some((index, sequence)) = tables.find(tenant, id) else { return Replayed::Unknown };
        let lane = &mut tables.lanes[index];
        let waits_for_it = lane.parked && lane.head == sequence;
        let Some(event) = lane.event_mut(sequence).filter(|event| event.state == State::Parked) else {
            return Replayed::NotParked;
        };
        let body = event.change.body_hash;
        if waits_for_it {
            event.wake();
            lane.unpark(now);
            tables.record(now, &deeds::replayed(tenant, id, id, body, by));
            return Replayed::Done(id.clone());
        }
        let Ok(key) = EventKey::new(REPLAY_SOURCE, id.as_str()) else { return Replayed::NotParked };
        event.end(State::Superseded, Ending { superseded_by: Some(new.clone()), ..Ending::default() }, now);
        let change = NewDelivery { id: new.clone(), event: key, ..event.change.clone() };
        tables.append(change, now);
        tables.record(now, &deeds::replayed(tenant, id, &new, body, by));
        Replayed::Done(new)
    }

    pub(super) fn drop_parked(&self, tenant: &TenantId, id: &DeliveryId, by: Actor) -> Replayed {
        let now = self.clock.now();
        let mut tables = self.tables();
        let Some((index, sequence)) = tables.find(tenant, id) else { return Replayed::Unknown };
        let lane = &mut tables.lanes[index];
        let waits_for_it = lane.parked && lane.head == sequence;
        let Some(event) = lane.event_mut(sequence).filter(|event| event.state == State::Parked) else {
            return Replayed::NotParked;
        };
        event.state = State::Dropped;
        let body = event.change.body_hash;
        if waits_for_it {
            lane.head += 1;
            lane.unpark(now);
        }
        tables.record(now, &deeds::dropped(tenant, id, body, by));
        Replayed::Done(id.clone())
    }
}

impl Tables {
    fn pause(&mut self, tenant: &TenantId, pause: Pause, now: Timestamp) {
        let present = self.paused(tenant, now);
        let row = self.tenants.entry(tenant.clone()).or_default();
        if let Some(pause) = pause.over(present.as_ref()) {
            row.pause = Some(pause);
        }
    }

    fn resume(&mut self, tenant: &TenantId, now: Timestamp) {
        if let Some(row) = self.tenants.get_mut(tenant) {
            row.pause = None;
        }
        let waiting = self.lanes.iter_mut().filter(|lane| lane.tenant == *tenant && lane.leased_until.is_none());
        for lane in waiting {
            lane.due = lane.due.map(|due| due.min(now));
        }
    }

    /// A pause that has not ended yet.
    fn paused(&self, tenant: &TenantId, now: Timestamp) -> Option<Pause> {
        self.tenants.get(tenant)?.pause.clone().filter(|pause| pause.until > now)
    }

    /// What is known of a change before it is stored.
    fn known(&self, change: &NewDelivery) -> Known {
        let place = self.by_key.get(&(change.tenant.clone(), change.event.clone())).filter(|_| !self.forgetful);
        if let Some((sequence, event)) = place.and_then(|(lane, at)| Some((*at, self.lanes[*lane].event(*at)?))) {
            let receipt = Receipt { delivery: event.change.id.clone(), sequence };
            let same = event.change.body_hash == change.body_hash && event.change.incident == change.incident;
            return Known::Before { receipt, same };
        }
        let key = (change.tenant.clone(), change.direction, change.incident.clone());
        Known::New { waiting: self.lane_of.get(&key).map_or(0, |index| self.lanes[*index].waiting()) }
    }

    /// Appends what follows from a settlement, unless its event is known.
    fn follow(&mut self, change: NewDelivery, now: Timestamp) {
        if !self.by_key.contains_key(&(change.tenant.clone(), change.event.clone())) {
            self.append(change, now);
        }
    }

    fn append(&mut self, change: NewDelivery, now: Timestamp) -> Receipt {
        let key = (change.tenant.clone(), change.direction, change.incident.clone());
        let lanes = &mut self.lanes;
        let index = *self.lane_of.entry(key).or_insert_with(|| {
            lanes.push(Lane::new(&change));
            lanes.len() - 1
        });
        let lane = &mut lanes[index];
        let sequence = lane.tail() + 1;
        if lane.due.is_none() && !lane.parked {
            lane.due = Some(now);
        }
        self.by_key.insert((change.tenant.clone(), change.event.clone()), (index, sequence));
        self.by_id.insert(change.id.clone(), (index, sequence));
        let receipt = Receipt { delivery: change.id.clone(), sequence };
        lane.events.push(Event::new(change, now));
        receipt
    }

    /// Tenants that may be claimed now, least recently served first.
    fn tenants_by_turn(&self, now: Timestamp) -> Vec<TenantId> {
        let mut turn: Vec<_> = self
            .tenants
            .iter()
            .filter(|(_, row)| row.lanes_max.is_some() && row.pause.as_ref().is_none_or(|pause| pause.until <= now))
            .map(|(tenant, row)| (row.last_served, tenant.clone()))
            .collect();
        turn.sort();
        turn.into_iter().map(|(_, tenant)| tenant).collect()
    }

    /// The tenant's due lanes that go next, as many as its share has room for.
    fn due_lanes(&self, tenant: &TenantId, now: Timestamp, left: usize, newest_first: bool) -> Vec<usize> {
        let of_tenant = || self.lanes.iter().enumerate().filter(|(_, lane)| lane.tenant == *tenant);
        let leased = of_tenant().filter(|(_, lane)| lane.leased_until.is_some_and(|until| until > now)).count();
        let share = self.tenants.get(tenant).and_then(|row| row.lanes_max).unwrap_or(0) as usize;
        let due = of_tenant().filter_map(|(index, lane)| {
            let since = lane.due.filter(|due| *due <= now)?;
            Some(Due { lane: index, urgency: lane.urgency(), since })
        });
        order::choose(due.collect(), now, newest_first, left.min(share.saturating_sub(leased)))
    }

    fn lease(&mut self, index: usize, now: Timestamp, request: &ClaimRequest) -> Claim {
        self.served += 1;
        let lane = &mut self.lanes[index];
        lane.fence += 1;
        lane.attempts += 1;
        lane.lease_until(now.plus(request.lease_for));
        let row = self.tenants.entry(lane.tenant.clone()).or_default();
        row.last_served = self.served;
        let from = usize::try_from(lane.head - 1).unwrap_or(usize::MAX);
        Claim {
            lease: Lease { lane: i64::try_from(index).unwrap_or(i64::MAX), fence: lane.fence, head: lane.head },
            tenant: lane.tenant.clone(),
            direction: lane.direction,
            incident: lane.incident.clone(),
            attempts: lane.attempts,
            now,
            memory: lane.memory.clone(),
            learned: row.learned.clone(),
            waiting: (lane.head..).zip(lane.events.iter().skip(from).take(request.waiting_max)).map(waiting).collect(),
        }
    }

    /// The lane, if the lease still holds it.
    fn held(&mut self, lease: &Lease) -> Option<&mut Lane> {
        let lane = self.lanes.get_mut(usize::try_from(lease.lane).ok()?)?;
        let fenced = lane.fence == lease.fence && lane.leased_until.is_some();
        ((fenced || self.unfenced) && lane.head == lease.head).then_some(lane)
    }

    fn find(&self, tenant: &TenantId, id: &DeliveryId) -> Option<Place> {
        self.by_id.get(id).copied().filter(|(lane, _)| self.lanes[*lane].tenant == *tenant)
    }
}
