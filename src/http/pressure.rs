//! Whether new work is taken just now: the cheapest look first, and refused early what would only wait behind too much.
//!
//! Owns: who waits for a commit at present, how much waits for delivery as last counted, and the refusals that follow.
//! Never: touches what was accepted; asks the store. Operators and probes do not come by here.
//!
//! What is looked at, in this order (`facts/reliability.md` 3.6; who is told what stands in `docs/fairness.md`):
//! * before a byte of a body is read: is the gateway up, and does the oldest commit take too long;
//! * once the tenant is known: does too much of everybody wait, too much of this tenant, do too many requests stand in line,
//!   too many of this tenant's.
//!
//! A part of each bound is kept for ServiceNow's webhooks, because most instances never send one again. Everything is
//! counted in memory and per replica; what waits for delivery is counted by the store every ten seconds and what was
//! accepted since is added, so a quota may be overrun by what other replicas took in between, and frees itself as late.
//!
//! Fails: it cannot; a request that is given up leaves the line. Proved by: the tests here and `tests/it/pressure.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Face;
use super::error::{ApiError, Code};
use crate::domain::id::TenantId;
use crate::limits::{
    COME_AGAIN_MAX, COME_AGAIN_MIN, INTAKE_CROWDED, INTAKE_RESERVED_ONE_IN, INTAKE_SLOW, INTAKE_TENANT_ONE_IN,
    INTAKE_WAITING_MAX, RESERVED_ONE_IN, STORE_WAITING_MAX, TENANT_FULL_WAIT,
};
use crate::runtime::luck;
use crate::store::Backlog;
use crate::telemetry::events as told;
use crate::tenants::Tenant;

/// Which way somebody comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Events, and payloads of tools: whoever sends them sends them again.
    Events,
    /// Webhooks of ServiceNow: mostly sent once.
    Webhooks,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Pressure(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    next: u64,
    /// Requests that wait for their commit, by number, and since when.
    line: BTreeMap<u64, Instant>,
    in_line_of: HashMap<TenantId, usize>,
    waiting: u64,
    waiting_of: HashMap<TenantId, u64>,
}

/// A place in the line, held until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pressure: &'a Pressure,
    number: u64,
    tenant: TenantId,
}

/// Why somebody is to come again, in the words of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Starting,
    StoreSlow,
    StoreFull,
    TenantFull,
    Crowded,
    TenantCrowded,
}

/// Refuses whoever comes while nothing can be taken; costs next to nothing.
pub(super) fn check_open(face: &Face) -> Result<(), ApiError> {
    let refused =
        if face.readiness.is_ready() { face.pressure.known().slow(Instant::now()) } else { Some(Reason::Starting) };
    refused.map_or(Ok(()), |reason| Err(reason.refusal()))
}

/// When somebody who was refused may come again: soon, and not all of them at once.
pub(super) fn come_again() -> Duration {
    COME_AGAIN_MIN + COME_AGAIN_MAX.saturating_sub(COME_AGAIN_MIN).mul_f64(luck::fraction())
}

impl Pressure {
    /// What waits for delivery, as the store counted it just now.
    pub fn measured(&self, backlog: &[Backlog]) {
        let mut known = self.known();
        known.waiting = backlog.iter().map(|waits| waits.waiting).sum();
        known.waiting_of.clear();
        for waits in backlog {
            *known.waiting_of.entry(waits.tenant.clone()).or_default() += waits.waiting;
        }
    }

    /// A place in the line of those whose work is about to be stored.
    pub(super) fn enter(&self, tenant: &Tenant, door: Door) -> Result<Place<'_>, ApiError> {
        self.enter_at(tenant.id(), tenant.settings().waiting_max, door, Instant::now()).map_err(Reason::refusal)
    }

    fn enter_at(&self, tenant: &TenantId, waiting_max: u64, door: Door, now: Instant) -> Result<Place<'_>, Reason> {
        let mut known = self.known();
        if let Some(reason) = known.refuses(tenant, waiting_max, door, now) {
            return Err(reason);
        }
        let number = known.next;
        known.next += 1;
        known.line.insert(number, now);
        *known.in_line_of.entry(tenant.clone()).or_default() += 1;
        Ok(Place { pressure: self, number, tenant: tenant.clone() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Counting cannot panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn slow(&self, now: Instant) -> Option<Reason> {
        let oldest = self.line.first_key_value();
        oldest.is_some_and(|(_, since)| now.duration_since(*since) > INTAKE_SLOW).then_some(Reason::StoreSlow)
    }

    fn refuses(&self, tenant: &TenantId, waiting_max: u64, door: Door, now: Instant) -> Option<Reason> {
        let quota = |most: u64| match door {
            Door::Events => most,
            Door::Webhooks => most + most / RESERVED_ONE_IN,
        };
        let line_max = match door {
            Door::Events => INTAKE_WAITING_MAX - INTAKE_WAITING_MAX / INTAKE_RESERVED_ONE_IN,
            Door::Webhooks => INTAKE_WAITING_MAX,
        };
        let waiting = self.waiting_of.get(tenant).copied().unwrap_or(0);
        let in_line = self.in_line_of.get(tenant).copied().unwrap_or(0);
        if let Some(slow) = self.slow(now) {
            Some(slow)
        } else if self.waiting >= quota(STORE_WAITING_MAX) {
            Some(Reason::StoreFull)
        } else if waiting >= quota(waiting_max) {
            Some(Reason::TenantFull)
        } else if self.line.len() >= line_max {
            Some(Reason::Crowded)
        } else if self.line.len() >= INTAKE_CROWDED && in_line >= INTAKE_WAITING_MAX / INTAKE_TENANT_ONE_IN {
            Some(Reason::TenantCrowded)
        } else {
            None
        }
    }
}

impl Place<'_> {
    /// Whose work it is.
    pub(super) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// So many changes were stored.
    pub(super) fn stored(&self, changes: usize) {
        let changes = u64::try_from(changes).unwrap_or(u64::MAX);
        let mut known = self.pressure.known();
        known.waiting += changes;
        *known.waiting_of.entry(self.tenant.clone()).or_default() += changes;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut known = self.pressure.known();
        known.line.remove(&self.number);
        if let Some(in_line) = known.in_line_of.get_mut(&self.tenant) {
            *in_line -= 1;
            if *in_line == 0 {
                known.in_line_of.remove(&self.tenant);
            }
        }
    }
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::StoreSlow => "store_slow",
            Self::StoreFull => "store_full",
            Self::TenantFull => "tenant_full",
            Self::Crowded => "crowded",
            Self::TenantCrowded => "tenant_crowded",
        }
    }

    /// Counts it, and says it.
    fn refusal(self) -> ApiError {
        told::Shed { reason: self.as_str() }.emit();
        let (code, words, wait) = match self {
            Self::Starting => (Code::Overloaded, "the gateway is starting", come_again()),
            Self::StoreSlow => (Code::Overloaded, "the store is slow just now", come_again()),
            Self::StoreFull => (Code::Overloaded, "too much work waits in this gateway", TENANT_FULL_WAIT),
            Self::Crowded => (Code::Overloaded, "too many requests wait for the store", come_again()),
            Self::TenantFull => (Code::TenantFull, "too much work of this tenant waits", TENANT_FULL_WAIT),
            Self::TenantCrowded => (Code::TenantBusy, "too many requests of this tenant wait", come_again()),
        };
        ApiError::new(code, format!("{words}; nothing was stored, send it again later")).retry_after(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::record::Direction;

    const QUOTA: u64 = 1_000;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn enter<'a>(pressure: &'a Pressure, name: &str, door: Door) -> Result<Place<'a>, Reason> {
        pressure.enter_at(&tenant(name), QUOTA, door, Instant::now())
    }

    fn waits(name: &str, waiting: u64) -> Backlog {
        let direction = Direction::ToServicenow;
        Backlog { tenant: tenant(name), direction, waiting, parked: 0, oldest: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_takes_too_long_closes_the_door_until_it_ends() {
        let pressure = Pressure::default();
        let stuck = enter(&pressure, "a", Door::Events).unwrap();
        tokio::time::advance(INTAKE_SLOW).await;
        assert!(enter(&pressure, "b", Door::Events).is_ok(), "as long as it may take");
        tokio::time::advance(Duration::from_millis(1)).await;
        for door in [Door::Events, Door::Webhooks] {
            assert_eq!(enter(&pressure, "b", door).unwrap_err(), Reason::StoreSlow);
        }
        drop(stuck);
        assert!(enter(&pressure, "b", Door::Events).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_tenant_is_refused_and_its_webhooks_have_a_reserve() {
        let pressure = Pressure::default();
        pressure.measured(&[waits("full", QUOTA - 1), waits("well", 1)]);
        enter(&pressure, "full", Door::Events).unwrap().stored(1);
        assert_eq!(
            enter(&pressure, "full", Door::Events).unwrap_err(),
            Reason::TenantFull,
            "what was stored since counts"
        );
        assert!(enter(&pressure, "well", Door::Events).is_ok());
        enter(&pressure, "full", Door::Webhooks).unwrap().stored(100);
        assert_eq!(enter(&pressure, "full", Door::Webhooks).unwrap_err(), Reason::TenantFull, "the reserve has an end");
        pressure.measured(&[waits("full", QUOTA - 1)]);
        assert!(enter(&pressure, "full", Door::Events).is_ok(), "it was counted anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_refuses_everybody_and_webhooks_last() {
        let pressure = Pressure::default();
        pressure.measured(&[waits("a", STORE_WAITING_MAX - 1), waits("b", 1)]);
        assert_eq!(enter(&pressure, "c", Door::Events).unwrap_err(), Reason::StoreFull);
        assert!(enter(&pressure, "c", Door::Webhooks).is_ok());
        pressure.measured(&[waits("a", STORE_WAITING_MAX + STORE_WAITING_MAX / RESERVED_ONE_IN)]);
        assert_eq!(enter(&pressure, "c", Door::Webhooks).unwrap_err(), Reason::StoreFull);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_one_tenant_leaves_room_for_others_and_events_leave_some_for_webhooks() {
        let pressure = Pressure::default();
        let crowd: Vec<_> = (0..INTAKE_CROWDED).map(|_| enter(&pressure, "crowd", Door::Events).unwrap()).collect();
        assert_eq!(enter(&pressure, "crowd", Door::Events).unwrap_err(), Reason::TenantCrowded);
        let mut others = Vec::new();
        while let Ok(place) = enter(&pressure, &format!("other-{}", others.len() % 10), Door::Events) {
            others.push(place);
        }
        let reserved = INTAKE_WAITING_MAX / INTAKE_RESERVED_ONE_IN;
        assert_eq!(crowd.len() + others.len(), INTAKE_WAITING_MAX - reserved);
        assert_eq!(enter(&pressure, "late", Door::Events).unwrap_err(), Reason::Crowded);
        let webhooks: Vec<_> = (0..reserved).map(|_| enter(&pressure, "hook", Door::Webhooks).unwrap()).collect();
        assert_eq!(enter(&pressure, "hook", Door::Webhooks).unwrap_err(), Reason::Crowded);
        drop((crowd, webhooks, others));
        assert!(pressure.known().line.is_empty() && pressure.known().in_line_of.is_empty(), "everybody left");
    }

    #[test]
    fn who_is_refused_is_told_when_to_come_again_and_not_all_at_once() {
        let waits: Vec<Duration> = (0..100).map(|_| come_again()).collect();
        assert!(waits.iter().all(|wait| (COME_AGAIN_MIN..=COME_AGAIN_MAX).contains(wait)));
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(most.saturating_sub(*least) > COME_AGAIN_MIN, "{least:?} to {most:?}");
    }
}
