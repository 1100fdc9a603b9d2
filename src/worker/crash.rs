//! Deliveries that kill whoever works on them: they get a few tries, and then a person.
//!
//! A panic ends the work on one lane and nothing else: it is recorded as a try. When the whole process died there is no
//! record, only a try that was counted when the lane was claimed. So an event that meets a defect of ours can neither stop
//! the other lanes nor go round for ever.
//!
//! A death names nobody: it counts for every lane that the process had claimed. So what has seen half of the deaths that are
//! forgiven is a **suspect**, and suspects work one at a time in each process. The others are given back before it begins,
//! and their tries do not count; so the deaths that follow are counted against the one that was at work, and its neighbours
//! are done as soon as it is not among them any more, or has had its turn and lived.
//!
//! Owns: how many tries that are. Never: looks at what the delivery is about, since that may be what kills.
//! Fails: as the store does. Proved by: `tests/process/poison.rs`.

use tracing::error;

use super::dispatcher::Worker;
use super::journey::Journey;
use super::stop::Head;
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::{Attempt, Owner, Parking};
use crate::limits::{ATTEMPT_RECORDS_MAX, PANIC_REST, PANICS_MAX, SUSPECTED_AFTER_TRIES, VANISHED_TRIES_MAX};
use crate::runtime::tasks;
use crate::store::{Claim, Postponement, StoreError, Waiting};

/// The code of such a try, and of such a parking.
const WORKER_CRASH: &str = "worker_crash";

impl Worker {
    /// Works on a lane; a panic is recorded as a try of its head.
    pub(super) async fn work_or_record_panic(&self, claim: &Claim) {
        let begun = self.clock.now();
        if tasks::caught("delivery", Box::pin(self.work(claim))).await.is_ok() {
            return;
        }
        // As the store counts: its clock may differ from ours.
        let now = claim.now.plus(self.clock.now().since(begun));
        let at = now.plus(PANIC_REST);
        let detail = "the worker panicked; the log has the place".to_owned();
        let outcome = Outcome { detail, ..Outcome::new(Class::Unclear, WORKER_CRASH) };
        let attempt = Attempt { at: now, outcome, next: format!("try again at {at}") };
        let postponement = Postponement { at, counted: true, not_processed: false, attempt: Some(attempt) };
        if let Err(failed) = self.store.postpone(&claim.lease, postponement).await {
            error!(tenant.id = %claim.tenant, error = %failed, "Cannot record a panic; the lease runs out: {failed}");
        }
    }
}

/// What the tries of a lane's head say of it.
pub(super) enum Suspicion {
    /// Nothing.
    None,
    /// It may have killed processes, as may everything they had claimed.
    Suspected,
    /// It was parked.
    Parked,
}

impl Journey<'_> {
    /// Whether the head of the lane has killed so many workers that it gets no further one, or perhaps has.
    pub(super) async fn suspicion(&self) -> Result<Suspicion, StoreError> {
        let Some(first) = self.claim.waiting.first() else { return Ok(Suspicion::None) };
        let tries = usize::try_from(self.claim.attempts).unwrap_or(usize::MAX).saturating_sub(1);
        if tries < PANICS_MAX.min(SUSPECTED_AFTER_TRIES) {
            return Ok(Suspicion::None);
        }
        let Some(record) = self.store.delivery(&self.claim.tenant, &first.id).await? else {
            return Ok(Suspicion::None);
        };
        let panics = record.attempts.iter().rev().take_while(|attempt| attempt.outcome.code == WORKER_CRASH).count();
        // Only the newest tries are kept: with all places taken nobody knows how many there were.
        let is_known = record.attempts.len() < ATTEMPT_RECORDS_MAX;
        let vanished = if is_known { tries.saturating_sub(record.attempts.len()) } else { 0 };
        let reason = if panics >= PANICS_MAX {
            format!("the worker panicked {panics} times in a row on this delivery")
        } else if vanished >= VANISHED_TRIES_MAX {
            format!("{vanished} tries ended without a record: each time the process died or lost its store")
        } else if vanished >= SUSPECTED_AFTER_TRIES {
            return Ok(Suspicion::Suspected);
        } else {
            return Ok(Suspicion::None);
        };
        self.park_killer(first, reason).await?;
        Ok(Suspicion::Parked)
    }

    async fn park_killer(&self, first: &Waiting, reason: String) -> Result<(), StoreError> {
        let parking = Parking {
            code: WORKER_CRASH.to_owned(),
            reason,
            owner: Owner::Operator,
            next_step: "report it with the log of the crash; replay it after an upgrade, or drop it".to_owned(),
            blocks: self.blocks_unseen(first),
        };
        let head = Head {
            delivery: first.id.clone(),
            upto: first.sequence,
            blocks: parking.blocks,
            memory: self.claim.memory.clone(),
        };
        self.park(head, parking, None).await
    }
}
