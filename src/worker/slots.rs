//! The slots of one replica: how many lanes are worked on, for whom, and how long each one takes.
//!
//! Owns: the hard cap of lanes in memory, and the **slow pool**: at most one in four slots is held by tenants whose lanes
//! take long, so that instances which hang or crawl cannot take them all (`facts/reliability.md` 3.6). Never: asks the store,
//! or frees a slot that is in use.
//!
//! A tenant is slow when the 95th percentile of how long its latest 64 lanes held their slots lies above 10 s: more than one
//! in twenty took longer. A lane that is still held counts as soon as it has been held that long, so an instance that
//! accepts and never answers is slow after ten seconds, not after its first time-out. What is measured is the time in the
//! slot: the answers, and the two seconds at most that we wait for our own turn. What was given back at once made no call
//! and does not count, or an open breaker would make a dead instance look quick. A tenant whose latest lane was quick, and
//! that has had no slow one for five minutes, is not slow any more; one that is not heard of stays what it was.
//!
//! What is not known yet is not slow: tenants that begin to hang all at once may take every slot, once, for one call's time.
//!
//! Fails: it cannot; a panic of whoever holds a slot frees it. Proved by: the tests here, and `tests/simulation/fairness.rs`
//! with the pool and without.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::domain::id::TenantId;
use crate::limits::{
    JAM_OLDEST_EVERY, SLOW_AFTER, SLOW_ONE_IN, SLOW_REMEMBERED, SLOW_SAMPLE_MIN, SLOW_SAMPLES, SLOW_SLOTS_ONE_IN,
};
use crate::runtime::luck::Luck;
use crate::store::SlowShare;
use crate::telemetry::events::TenantSlow;

/// All slots of a replica. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    taken: Mutex<Taken>,
    draws: Luck,
    /// One place, for what may have killed processes.
    suspects: Semaphore,
}

/// One slot, held until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    number: u64,
}

/// How the slots are used just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Lanes that may be worked on at once.
    pub all: usize,
    /// Lanes that are.
    pub held: usize,
    /// Of these, lanes of slow tenants.
    pub slow: usize,
    /// Lanes of slow tenants that may be worked on at once.
    pub slow_max: usize,
    /// Tenants that are slow.
    pub slow_tenants: usize,
}

#[derive(Debug)]
struct Taken {
    all: usize,
    slow_max: usize,
    next: u64,
    /// Lanes that are worked on, by number.
    held: BTreeMap<u64, Held>,
    /// Lanes whose patience has not run out, in the order in which they began; ended ones stay until their time.
    patient: VecDeque<(Instant, u64)>,
    /// As many as tenants that ever had a lane here.
    records: HashMap<TenantId, Record>,
    slow: Arc<BTreeSet<TenantId>>,
    slow_held: usize,
}

#[derive(Debug)]
struct Held {
    tenant: TenantId,
    since: Instant,
    /// It was counted as slow while it was held.
    counted: bool,
}

/// How the latest lanes of one tenant went.
#[derive(Debug, Default)]
struct Record {
    /// One bit for each of the latest lanes: whether it was slow. The newest is the lowest.
    latest: u64,
    known: u32,
    last_slow: Option<Instant>,
    held: usize,
}

impl Slots {
    /// So many slots, all free.
    pub fn new(all: usize) -> Self {
        Self::with_slow_pool(all, all / SLOW_SLOTS_ONE_IN)
    }

    /// So many slots, of which slow tenants may take so many; all of them proves that a test notices what the pool prevents.
    pub fn with_slow_pool(all: usize, slow_max: usize) -> Self {
        let taken = Taken {
            all,
            slow_max,
            next: 0,
            held: BTreeMap::new(),
            patient: VecDeque::new(),
            records: HashMap::new(),
            slow: Arc::default(),
            slow_held: 0,
        };
        // Luck of its own: nobody else's depends on how often was claimed.
        let draws = Luck::seeded(0);
        Self(Arc::new(Shared { taken: Mutex::new(taken), draws, suspects: Semaphore::new(1) }))
    }

    /// The only place for a delivery that may have killed processes, if it is free.
    pub(super) fn suspects_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.suspects.try_acquire().ok()
    }

    /// Whether the next claim takes the newest first where urgent lanes jam: three of four do. Drawn, not counted: a count would
    /// keep step with the turns of the tenants, and meet some of them always.
    pub fn takes_newest_first(&self) -> bool {
        self.0.draws.fraction() * f64::from(JAM_OLDEST_EVERY) >= 1.0
    }

    /// How many slots are free, and what slow tenants may have of them.
    pub fn free(&self) -> (usize, SlowShare) {
        let mut taken = self.taken();
        taken.look(Instant::now());
        let lanes_max = taken.slow_max.saturating_sub(taken.slow_held);
        let share = SlowShare { tenants: Arc::clone(&taken.slow), lanes_max };
        (taken.all.saturating_sub(taken.held.len()), share)
    }

    /// Takes a slot for a lane that was claimed. Whoever claims asks for no more lanes than are [`free`](Self::free).
    pub fn take(&self, tenant: &TenantId) -> Slot {
        let mut taken = self.taken();
        let (number, since) = (taken.next, Instant::now());
        taken.next += 1;
        taken.held.insert(number, Held { tenant: tenant.clone(), since, counted: false });
        taken.patient.push_back((since, number));
        taken.records.entry(tenant.clone()).or_default().held += 1;
        taken.slow_held += usize::from(taken.slow.contains(tenant));
        Slot { slots: self.clone(), number }
    }

    /// How they are used just now.
    pub fn in_use(&self) -> Use {
        let mut taken = self.taken();
        taken.look(Instant::now());
        let Taken { all, slow_max, ref held, ref slow, slow_held, .. } = *taken;
        Use { all, held: held.len(), slow: slow_held, slow_max, slow_tenants: slow.len() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Counting cannot panic half way.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken().give_back(self.number, Instant::now());
    }
}

impl Taken {
    /// Counts what has been held for too long by now, and forgets who was slow long ago.
    fn look(&mut self, now: Instant) {
        while let Some((since, number)) = self.patient.front().copied() {
            if now.duration_since(since) <= SLOW_AFTER && self.held.contains_key(&number) {
                break;
            }
            self.patient.pop_front();
            if let Some(held) = self.held.get_mut(&number) {
                held.counted = true;
                let tenant = held.tenant.clone();
                self.note(&tenant, true, now);
            }
        }
        let records = &self.records;
        let is_over = |tenant: &&TenantId| records.get(*tenant).is_none_or(|record| !record.is_slow(now));
        let over: Vec<TenantId> = self.slow.iter().filter(is_over).cloned().collect();
        for tenant in over {
            if let Some(record) = self.records.get_mut(&tenant) {
                (record.latest, record.known) = (0, 0);
            }
            self.judge(&tenant, now);
        }
    }

    fn give_back(&mut self, number: u64, now: Instant) {
        let Some(Held { tenant, since, counted }) = self.held.remove(&number) else { return };
        if let Some(record) = self.records.get_mut(&tenant) {
            record.held -= 1;
        }
        self.slow_held -= usize::from(self.slow.contains(&tenant));
        let took = now.duration_since(since);
        if !counted && took >= SLOW_SAMPLE_MIN {
            self.note(&tenant, took > SLOW_AFTER, now);
        }
    }

    /// One more lane of a tenant was slow, or was not.
    fn note(&mut self, tenant: &TenantId, slow: bool, now: Instant) {
        let record = self.records.entry(tenant.clone()).or_default();
        record.latest = record.latest << 1 | u64::from(slow);
        record.known = (record.known + 1).min(SLOW_SAMPLES);
        if slow {
            record.last_slow = Some(now);
        }
        self.judge(tenant, now);
    }

    fn judge(&mut self, tenant: &TenantId, now: Instant) {
        let Some(record) = self.records.get(tenant) else { return };
        let (is_slow, held) = (record.is_slow(now), record.held);
        if is_slow == self.slow.contains(tenant) {
            return;
        }
        let slow = Arc::make_mut(&mut self.slow);
        if is_slow {
            slow.insert(tenant.clone());
            self.slow_held += held;
        } else {
            slow.remove(tenant);
            self.slow_held -= held;
        }
        TenantSlow { tenant, slow: is_slow }.emit();
    }
}

impl Record {
    fn is_slow(&self, now: Instant) -> bool {
        let is_over = |at: Instant| self.latest & 1 == 0 && now.duration_since(at) >= SLOW_REMEMBERED;
        let too_many = self.latest.count_ones() * SLOW_ONE_IN > self.known;
        too_many && !self.last_slow.is_none_or(is_over)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    /// A lane of this tenant that takes so long.
    async fn lane(slots: &Slots, name: &str, took: Duration) {
        let slot = slots.take(&tenant(name));
        tokio::time::advance(took).await;
        drop(slot);
    }

    fn is_slow(slots: &Slots, name: &str) -> bool {
        slots.free().1.tenants.contains(&tenant(name))
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_counted_and_come_back() {
        let slots = Slots::new(8);
        let held = [slots.take(&tenant("a")), slots.take(&tenant("b"))];
        assert_eq!(slots.free().0, 6);
        drop(held);
        assert_eq!(slots.in_use(), Use { all: 8, held: 0, slow: 0, slow_max: 2, slow_tenants: 0 });
    }

    #[test]
    fn one_of_four_claims_takes_everything_in_turn() {
        let slots = Slots::new(8);
        let in_turn = (0..4_000).filter(|_| !slots.takes_newest_first()).count();
        assert!((900..1_100).contains(&in_turn), "{in_turn} of 4000");
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_slow_before_it_ends() {
        let slots = Slots::new(8);
        let held = [slots.take(&tenant("hangs")), slots.take(&tenant("hangs"))];
        tokio::time::advance(SLOW_AFTER).await;
        assert!(!is_slow(&slots, "hangs"));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(is_slow(&slots, "hangs"));
        assert_eq!(slots.free().1.lanes_max, 0, "it holds what slow tenants may have");
        drop(held);
        assert_eq!(slots.free().1.lanes_max, 2);
        assert!(is_slow(&slots, "hangs"), "what is free again does not make it fast");
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_more_than_one_in_twenty() {
        let slots = Slots::new(8);
        for _ in 0..SLOW_SAMPLES {
            lane(&slots, "busy", Duration::from_millis(100)).await;
        }
        for _ in 0..3 {
            lane(&slots, "busy", SLOW_AFTER * 2).await;
        }
        assert!(!is_slow(&slots, "busy"), "3 of 64 are less than 5 %");
        lane(&slots, "busy", SLOW_AFTER * 2).await;
        assert!(is_slow(&slots, "busy"));
        for _ in 0..SLOW_SAMPLES - 3 {
            lane(&slots, "busy", Duration::from_millis(100)).await;
        }
        assert!(!is_slow(&slots, "busy"), "it is well again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_made_no_call_makes_nobody_quick() {
        let slots = Slots::new(8);
        lane(&slots, "dead", SLOW_AFTER * 2).await;
        for _ in 0..2 * SLOW_SAMPLES {
            lane(&slots, "dead", Duration::from_millis(1)).await;
        }
        assert!(is_slow(&slots, "dead"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_slow_long_ago_is_not_slow() {
        let slots = Slots::new(8);
        lane(&slots, "once", SLOW_AFTER * 2).await;
        tokio::time::advance(SLOW_REMEMBERED * 2).await;
        assert!(is_slow(&slots, "once"), "nobody knows better");
        lane(&slots, "once", Duration::from_millis(100)).await;
        assert!(!is_slow(&slots, "once"));
        lane(&slots, "once", SLOW_AFTER * 2).await;
        lane(&slots, "once", Duration::from_millis(100)).await;
        assert!(is_slow(&slots, "once"), "a moment ago is not long ago");
        tokio::time::advance(SLOW_REMEMBERED).await;
        assert!(!is_slow(&slots, "once"));
        assert_eq!(slots.in_use().slow_tenants, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_count_of_slow_slots_follows_who_is_slow() {
        let slots = Slots::new(16);
        let hanging = slots.take(&tenant("a"));
        tokio::time::advance(SLOW_AFTER * 2).await;
        assert_eq!(slots.in_use().slow, 1);
        let more = slots.take(&tenant("a"));
        assert_eq!(slots.in_use().slow, 2);
        drop((hanging, more));
        assert_eq!(slots.in_use().slow, 0);
        let late = slots.take(&tenant("a"));
        tokio::time::advance(SLOW_REMEMBERED).await;
        assert_eq!(slots.in_use().slow, 1, "a lane that is still held is slow now");
        drop(late);
        assert_eq!(slots.in_use(), Use { all: 16, held: 0, slow: 0, slow_max: 4, slow_tenants: 1 });
    }
}
