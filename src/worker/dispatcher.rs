//! Claims due lanes and runs each in a task of its own, as many at once as there are slots.
//!
//! A wake-up says "look"; the store says what there is. When a stop is requested nothing more is claimed, lanes in
//! flight run on until the deadline, and what is still open then is left as it is: its intent is on disk, its lease runs
//! out, and the next owner looks before it sends.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use super::Protections;
use super::bridges::Bridges;
use super::crash::Suspicion;
use super::journey::Journey;
use super::slots::{Slot, Slots};
use crate::delivery::record::Direction;
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{CLAIM_POLL, FOLD_MAX, LEASE, SUSPECT_PAUSE, SUSPECT_REST};
use crate::runtime::drain::Stop;
use crate::runtime::wake::Wake;
use crate::runtime::{failpoint, tasks};
use crate::store::{Claim, ClaimRequest, Postponement, SlowShare, Store, StoreError};

/// How long to leave a store alone that just failed.
const STORE_REST: Duration = Duration::from_secs(1);

/// What a worker works with.
#[derive(Clone)]
pub struct Worker {
    /// Where the lanes are.
    pub store: Store,
    /// What each tenant's deliveries need.
    pub bridges: Arc<Bridges>,
    /// The time.
    pub clock: SharedClock,
    /// Rung when something was accepted, or put back to work.
    pub accepted: Wake,
    /// Rung when a delivery ended.
    pub settled: Wake,
    /// Names this worker in the store.
    pub owner: String,
    /// How many lanes it works on at once, and for whom.
    pub slots: Slots,
    /// Everything on, outside of simulations.
    pub protections: Protections,
}

impl Worker {
    /// Works until a stop is requested, then until the last lane is given back.
    pub async fn run(self, stop: Stop) {
        while !stop.is_requested() {
            let (free, slow) = self.slots.free();
            let claimed = if free == 0 { Ok(Vec::new()) } else { self.claim(free, slow).await };
            match claimed {
                Ok(claims) if claims.is_empty() => self.rest(&stop, CLAIM_POLL).await,
                Ok(claims) => claims.into_iter().for_each(|claim| self.start(claim, &stop)),
                Err(failed) => {
                    error!(error = %failed, "Cannot claim work: {failed}");
                    self.rest(&stop, STORE_REST).await;
                }
            }
        }
    }

    /// Claims lanes and works through them one after the other; for simulations that step a worker by hand.
    pub async fn turn(&self, lanes_max: usize) -> Result<usize, StoreError> {
        let claims = self.claim(lanes_max, self.slots.free().1).await?;
        let count = claims.len();
        for claim in claims {
            let _slot = self.slots.take(&claim.tenant);
            self.work_or_record_panic(&claim).await;
        }
        Ok(count)
    }

    async fn claim(&self, lanes_max: usize, slow: SlowShare) -> Result<Vec<Claim>, StoreError> {
        let request = ClaimRequest {
            owner: self.owner.clone(),
            lanes_max,
            lease_for: failpoint::lease(LEASE),
            waiting_max: FOLD_MAX,
            newest_first: self.slots.takes_newest_first(),
            slow,
        };
        self.store.claim(&request).await
    }

    fn start(&self, claim: Claim, stop: &Stop) {
        // As many were asked for as there were free slots, and only the dispatcher takes them.
        let slot: Slot = self.slots.take(&claim.tenant);
        let worker = self.clone();
        let listed = stop.in_flight("delivery");
        // Whoever stops the process waits for the list, not for the handle.
        drop(tasks::spawn("delivery", async move {
            worker.work_or_record_panic(&claim).await;
            // The slot is free before the dispatcher is woken, or it would look in vain.
            drop(slot);
            worker.accepted.one();
            drop(listed);
        }));
    }

    pub(super) async fn work(&self, claim: &Claim) {
        let begun = self.clock.now();
        failpoint::hit("worker.after_claim");
        let Some(bridge) = self.bridges.of(&claim.tenant) else {
            // The tenant was removed between the claim and now. Its work is due again as soon as it comes back.
            return self.give_back(claim, begun, Duration::ZERO).await;
        };
        // As it stood at the claim: nothing that another replica disproved before is acted on.
        let learned = bridge.of_this_instance(&claim.learned);
        let journey = Journey {
            bridge: &bridge,
            store: &self.store,
            clock: &self.clock,
            claim,
            begun,
            known: claim.learned.clone(),
            learned,
            protections: self.protections,
        };
        let ended = match journey.suspicion().await {
            Ok(Suspicion::Parked) => Ok(()),
            Ok(Suspicion::None) => Self::carry_out(journey).await,
            Ok(Suspicion::Suspected) => match self.slots.suspects_turn() {
                Some(_turn) => {
                    tokio::time::sleep(SUSPECT_PAUSE).await;
                    Self::carry_out(journey).await
                }
                None => return self.give_back(claim, begun, SUSPECT_REST).await,
            },
            Err(failed) => Err(failed),
        };
        if let Err(failed) = ended {
            error!(tenant.id = %claim.tenant, incident.id = %claim.incident, error = %failed,
                "Cannot record what became of a delivery of incident {}; its lease runs out and the next owner looks", claim.incident);
        }
        self.settled.all();
    }

    async fn carry_out(journey: Journey<'_>) -> Result<(), StoreError> {
        failpoint::hit_of("worker.working", journey.claim.incident.as_str());
        match journey.claim.direction {
            Direction::ToServicenow => Box::pin(journey.run()).await,
            Direction::ToService => Box::pin(journey.run_back()).await,
        }
    }

    /// Nobody works on it now, and this was no try of it.
    async fn give_back(&self, claim: &Claim, begun: Timestamp, rest: Duration) {
        // As the store counts: its clock may differ from ours.
        let at = claim.now.plus(self.clock.now().since(begun)).plus(rest);
        let postponement = Postponement { at, counted: false, not_processed: false, attempt: None };
        if let Err(failed) = self.store.postpone(&claim.lease, postponement).await {
            error!(tenant.id = %claim.tenant, error = %failed, "Cannot give a lane back; its lease runs out: {failed}");
        }
    }

    async fn rest(&self, stop: &Stop, most: Duration) {
        tokio::select! {
            () = stop.requested() => {}
            () = self.accepted.or_after(most) => {}
        }
    }
}
