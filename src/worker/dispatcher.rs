//! Claims due lanes and runs each in a task of its own, as many at once as there are slots.
//!
//! A wake-up says "look"; the store says what there is. When a stop is requested nothing more is claimed, lanes in
//! flight run on until the deadline, and what is still open then is left as it is: its intent is on disk, its lease runs
//! out, and the next owner looks before it sends.
//!
//! A delivery that ends its worker, by a panic or with the whole process, leaves its lane leased. The store counts that when
//! the lane is claimed again; the third time, the delivery is put aside before anything of it is looked at.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use super::Protections;
use super::bridges::Bridges;
use super::journey::Journey;
use super::slots::{Slot, Slots};
use crate::delivery::record::Direction;
use crate::domain::time::SharedClock;
use crate::limits::{ABANDONED_MAX, CLAIM_POLL, FOLD_MAX, JAM_OLDEST_EVERY, LEASE};
use crate::runtime::drain::Stop;
use crate::runtime::wake::Wake;
use crate::runtime::{failpoint, luck, tasks};
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
            Box::pin(self.work(claim)).await;
        }
        Ok(count)
    }

    async fn claim(&self, lanes_max: usize, slow: SlowShare) -> Result<Vec<Claim>, StoreError> {
        // Drawn, not counted: a count would keep step with the turns of the tenants, and meet some of them always.
        let newest_first = luck::fraction() * f64::from(JAM_OLDEST_EVERY) >= 1.0;
        let owner = self.owner.clone();
        let request = ClaimRequest { owner, lanes_max, lease_for: LEASE, waiting_max: FOLD_MAX, newest_first, slow };
        self.store.claim(&request).await
    }

    fn start(&self, claim: Claim, stop: &Stop) {
        // As many were asked for as there were free slots, and only the dispatcher takes them.
        let slot: Slot = self.slots.take(&claim.tenant);
        let worker = self.clone();
        let listed = stop.in_flight("delivery");
        // Whoever stops the process waits for the list, not for the handle.
        drop(tasks::spawn("delivery", async move {
            Box::pin(worker.work(claim)).await;
            // The slot is free before the dispatcher is woken, or it would look in vain.
            drop(slot);
            worker.accepted.one();
            drop(listed);
        }));
    }

    async fn work(&self, claim: Claim) {
        let begun = self.clock.now();
        let Some(bridge) = self.bridges.of(&claim.tenant) else {
            return self.give_back(&claim).await;
        };
        let learned = match bridge.learned(&self.store).await {
            Ok(learned) => learned,
            Err(failed) => {
                error!(tenant.id = %claim.tenant, error = %failed, "Cannot read what is known of the tenant: {failed}");
                return;
            }
        };
        let journey = Journey {
            bridge: &bridge,
            store: &self.store,
            clock: &self.clock,
            claim: &claim,
            begun,
            learned,
            protections: self.protections,
        };
        if claim.abandoned >= ABANDONED_MAX {
            return self.end(&claim, Box::pin(journey.park_abandoned()).await);
        }
        failpoint::hit("worker.after_claim");
        let ended = match claim.direction {
            Direction::ToServicenow => Box::pin(journey.run()).await,
            Direction::ToService => Box::pin(journey.run_back()).await,
        };
        self.end(&claim, ended);
    }

    fn end(&self, claim: &Claim, ended: Result<(), StoreError>) {
        if let Err(failed) = ended {
            error!(tenant.id = %claim.tenant, incident.id = %claim.incident, error = %failed,
                "Cannot record what became of a delivery of incident {}; its lease runs out and the next owner looks", claim.incident);
        }
        self.settled.all();
    }

    /// The tenant was removed between the claim and now. Its work stays, and is due again as soon as it comes back.
    async fn give_back(&self, claim: &Claim) {
        let at = self.clock.now();
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
