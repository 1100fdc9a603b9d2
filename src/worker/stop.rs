//! How a journey that does not end with a delivered ticket is recorded: the lane goes back, the tenant pauses, or a person
//! is asked. Whatever it is, it is written under the fence.

use super::journey::Journey;
use super::report;
use super::work::Work;
use crate::delivery::outcome::Outcome;
use crate::delivery::record::{Attempt, Ending, Owner, Parking, State};
use crate::domain::change::ChangeKind;
use crate::domain::time::Timestamp;
use crate::mapping::OnParked;
use crate::store::{Pause, Postponement, Settlement, StoreError};

/// Why a journey ended before the delivery did.
#[derive(Debug)]
pub(super) enum Stop {
    /// The lane goes back and is looked at again later.
    Postpone(Postponement),
    /// The whole tenant waits, and the lane with it.
    Pause(Pause, Postponement),
    /// A person is needed.
    Park { code: String, reason: String, owner: Owner, next_step: String, outcome: Option<Outcome> },
    /// Another owner has the lane; nothing more may be done here.
    Lost,
    /// The store failed; the lease runs out and the lane offers itself again.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Stop {
    /// Gives the lane back until a moment, as it is; not a try.
    pub(super) const fn wait_until(at: Timestamp) -> Self {
        Self::Postpone(Postponement { at, counted: false, not_processed: false, attempt: None })
    }

    pub(super) fn ticket_missing() -> Self {
        Self::Park {
            code: "ticket_missing".to_owned(),
            reason: "the ticket was deleted, or a rule hides it from the integration user".to_owned(),
            owner: Owner::Instance,
            next_step: "restore the ticket or give the integration user read access, then replay".to_owned(),
            outcome: None,
        }
    }

    /// A look-up returned a record that was not asked for: no answer of this instance's queries can be trusted.
    pub(super) fn stranger(number: &str) -> Self {
        let reason = format!(
            "a look-up by correlation_id returned {number}, which does not carry it: the instance ignored the query \
             (is correlation_id readable and queryable for the integration user?)"
        );
        Self::Pause(
            Pause { until: Timestamp::NEVER, code: "lookup_untrusted".to_owned(), reason },
            Postponement { at: Timestamp::EPOCH, counted: false, not_processed: false, attempt: None },
        )
    }

    pub(super) fn cannot_tell() -> Self {
        Self::Park {
            code: "message_unproven".to_owned(),
            reason: "the message was sent, no answer came, and the ticket does not keep our mark in \
                     correlation_display: it may or may not be there"
                .to_owned(),
            owner: Owner::Operator,
            next_step: "look at the ticket: drop this delivery if the message is there, replay it if not".to_owned(),
            outcome: None,
        }
    }
}

impl Journey<'_> {
    pub(super) async fn stop(&self, work: &Work, stop: Stop) -> Result<(), StoreError> {
        match stop {
            Stop::Postpone(postponement) => {
                report::postponed(self, work, &postponement);
                let held = self.store.postpone(&self.claim.lease, postponement).await?;
                report::held(self, held.is_yes());
            }
            Stop::Pause(pause, postponement) => {
                report::paused(self, &pause);
                self.store.pause_tenant(&self.claim.tenant, pause).await?;
                let held = self.store.postpone(&self.claim.lease, postponement).await?;
                report::held(self, held.is_yes());
            }
            Stop::Park { code, reason, owner, next_step, outcome } => {
                let blocks = self.blocks(work);
                let parking = Parking { code, reason, owner, next_step, blocks };
                let attempt = outcome.map(|outcome| self.attempt(outcome, "parked"));
                self.park(work, parking, attempt).await?;
            }
            Stop::Lost => report::held(self, false),
            Stop::Store(error) => return Err(error),
        }
        Ok(())
    }

    async fn park(&self, work: &Work, parking: Parking, attempt: Option<Attempt>) -> Result<(), StoreError> {
        report::parked(self, &work.delivery, &parking);
        let parking_blocks = parking.blocks;
        let ending = Ending { ticket: work.memory.ticket.clone(), parking: Some(parking), ..Ending::default() };
        // What waits behind a parked create is held back and needs what was told. What goes on without a parked change
        // must not carry it along, or each delivery behind it would be refused for it.
        let memory = if parking_blocks { work.memory.clone() } else { self.claim.memory.clone() };
        let settlement = Settlement {
            upto: work.upto,
            state: State::Parked,
            ending,
            attempt,
            memory,
            follows: Vec::new(),
            link: None,
        };
        let held = self.store.settle(&self.claim.lease, settlement).await?;
        report::held(self, held.is_yes());
        Ok(())
    }

    /// Whether what waits behind a parked delivery waits with it: the mapping's `on_parked`, by what was to be done.
    fn blocks(&self, work: &Work) -> bool {
        let policy = self.bridge.mapping.policy();
        let choice = if work.memory.ticket.is_none() {
            policy.on_parked_create
        } else if work.change.kind == ChangeKind::MessageAdded {
            policy.on_parked_message
        } else {
            policy.on_parked_change
        };
        choice == OnParked::Park
    }

    pub(super) async fn park_unreadable(&self, reason: &str) -> Result<(), StoreError> {
        let Some(first) = self.claim.waiting.first() else { return Ok(()) };
        let parking = Parking {
            code: "event_unreadable".to_owned(),
            reason: reason.to_owned(),
            owner: Owner::Operator,
            next_step: "a newer version may have stored it: upgrade and replay, or drop it".to_owned(),
            blocks: true,
        };
        report::parked(self, &first.id, &parking);
        let ending = Ending { parking: Some(parking), ..Ending::default() };
        let memory = self.claim.memory.clone();
        let settlement = Settlement {
            upto: first.sequence,
            state: State::Parked,
            ending,
            attempt: None,
            memory,
            follows: Vec::new(),
            link: None,
        };
        let held = self.store.settle(&self.claim.lease, settlement).await?;
        report::held(self, held.is_yes());
        Ok(())
    }
}
