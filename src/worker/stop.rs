//! How a journey that does not end with a delivered ticket is recorded: the lane goes back, the tenant pauses, or a person
//! is asked. Whatever it is, it is written under the fence.

use super::journey::Journey;
use super::report;
use super::work::Work;
use crate::delivery::lane::LaneMemory;
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::{Attempt, Direction, Ending, Owner, Parking, State};
use crate::delivery::verdict::{self, Verdict};
use crate::domain::change::ChangeKind;
use crate::domain::id::DeliveryId;
use crate::domain::ticket::Ticket;
use crate::domain::time::Timestamp;
use crate::limits::{TOLD_TIMES_MAX, TOLD_WINDOW};
use crate::mapping::OnParked;
use crate::store::{Pause, Postponement, Settlement, StoreError, Waiting};

/// Why a journey ended before the delivery did.
#[derive(Debug)]
pub(super) enum Stop {
    /// The lane goes back and is looked at again later.
    Postpone(Postponement),
    /// The whole tenant waits, and the lane with it.
    Pause(Pause, Postponement),
    /// A person is needed.
    Park { code: String, reason: String, owner: Owner, next_step: String, outcome: Option<Outcome> },
    /// Two rules fight over this part of the incident: the lane stops until a person looks.
    Fight { path: String },
    /// Another owner has the lane; nothing more may be done here.
    Lost,
    /// The store failed; the lease runs out and the lane offers itself again.
    Store(StoreError),
}

/// The head of a lane as far as it must be known to record that it did not end delivered.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) delivery: DeliveryId,
    /// The last sequence it covers.
    pub(super) upto: u64,
    /// Whether what waits behind it waits with it, if it is parked.
    pub(super) blocks: bool,
    /// What the lane would remember.
    pub(super) memory: LaneMemory,
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

    /// A stored record that cannot be read back: damaged, or from a newer program.
    pub(super) fn unreadable(why: &str) -> Self {
        Self::Park {
            code: "event_unreadable".to_owned(),
            reason: format!("the stored record cannot be read: {why}"),
            owner: Owner::Operator,
            next_step: "a newer version may have stored it: upgrade and replay, or drop it".to_owned(),
            outcome: None,
        }
    }

    fn fight(path: &str) -> Self {
        Self::Park {
            code: "rules_fight".to_owned(),
            reason: format!(
                "`{path}` went back and forth more than {TOLD_TIMES_MAX} times in {} min",
                TOLD_WINDOW.as_secs() / 60
            ),
            owner: Owner::Instance,
            next_step: "find the business rule or the automation at the managed service that sets it back, then replay"
                .to_owned(),
            outcome: None,
        }
    }

    pub(super) fn ticket_closed(ticket: &Ticket) -> Self {
        Self::Park {
            code: "ticket_closed".to_owned(),
            reason: format!("the incident goes on, and {} is over", ticket.number),
            owner: Owner::Operator,
            next_step:
                "reopen the ticket or drop this delivery; `policy.closed_ticket` in the mapping decides such cases"
                    .to_owned(),
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
    /// A failed read changed nothing: whatever was unclear about it, it can be made again.
    pub(super) fn read_failed(&self, outcome: Outcome) -> Stop {
        let class = match outcome.class {
            Class::Unclear => Class::NotProcessed,
            Class::Missing | Class::RefusedPerhapsDone => Class::Misconfigured,
            class => class,
        };
        let outcome = self.in_store_time(Outcome { class, ..outcome });
        let situation = self.situation(false, self.now());
        match self.carry_out(verdict::decide(&situation, &outcome), outcome) {
            // What an earlier send did is still unknown: only the read was surely not processed.
            Stop::Postpone(postponement) => Stop::Postpone(Postponement { not_processed: false, ..postponement }),
            Stop::Pause(pause, postponement) => {
                Stop::Pause(pause, Postponement { not_processed: false, ..postponement })
            }
            stop => stop,
        }
    }

    pub(super) fn carry_out(&self, verdict: Verdict, outcome: Outcome) -> Stop {
        match verdict {
            Verdict::SendAgain { at, counted } => Stop::Postpone(Postponement {
                at,
                counted: counted && self.bridge.client.standing().breaker == "closed",
                not_processed: true,
                attempt: Some(self.attempt(outcome, &format!("send again at {at}"))),
            }),
            Verdict::PauseTenant { until } => {
                let pause = Pause {
                    until,
                    code: outcome.class.as_str().to_owned(),
                    reason: format!("{}: {}", outcome.code, outcome.detail),
                };
                let next = format!("the tenant waits until {until}");
                // A redirect or a rejected certificate says nothing of an earlier byte; a 429 or a 401 does.
                let not_processed = matches!(outcome.class, Class::Throttled | Class::Unauthorized);
                let attempt = Some(self.attempt(outcome, &next));
                Stop::Pause(pause, Postponement { at: until, counted: false, not_processed, attempt })
            }
            Verdict::Park { owner, next_step } => Stop::Park {
                code: outcome.code.clone(),
                reason: outcome.detail.clone(),
                owner,
                next_step: next_step.to_owned(),
                outcome: Some(outcome),
            },
            // These three belong to writes and are handled where the write was made.
            Verdict::Finish | Verdict::LookAt { .. } | Verdict::LookNow => Stop::Postpone(Postponement {
                at: self.now().plus(verdict::retry_wait(self.claim.attempts, 0.0)),
                counted: true,
                not_processed: false,
                attempt: Some(self.attempt(outcome, "look again")),
            }),
        }
    }

    pub(super) async fn stop(&self, head: Head, stop: Stop) -> Result<(), StoreError> {
        match stop {
            Stop::Postpone(postponement) => {
                report::postponed(self, &head.delivery, &postponement);
                let written = self.store.postpone(&self.claim.lease, postponement).await?;
                report::held(self, written.is_yes());
            }
            Stop::Pause(pause, postponement) => {
                report::paused(self, &pause);
                self.store.pause_tenant(&self.claim.tenant, pause).await?;
                let written = self.store.postpone(&self.claim.lease, postponement).await?;
                report::held(self, written.is_yes());
            }
            Stop::Park { code, reason, owner, next_step, outcome } => {
                let parking = Parking { code, reason, owner, next_step, blocks: head.blocks };
                let attempt = outcome.map(|outcome| self.attempt(outcome, "parked"));
                self.park(head, parking, attempt).await?;
            }
            Stop::Fight { path } => Box::pin(self.stop(Head { blocks: true, ..head }, Stop::fight(&path))).await?,
            Stop::Lost => report::held(self, false),
            Stop::Store(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) async fn park(&self, head: Head, parking: Parking, attempt: Option<Attempt>) -> Result<(), StoreError> {
        report::parked(self, &head.delivery, &parking);
        let follows = self.told_parked(&head, &parking);
        let Head { upto, memory, blocks, .. } = head;
        let ending = Ending { ticket: memory.ticket.clone(), parking: Some(parking), ..Ending::default() };
        // What waits behind a parked create is held back and needs what was told. What goes on without a parked change
        // must not carry it along, or each delivery behind it would be refused for it.
        let memory = if blocks { memory } else { self.claim.memory.clone() };
        let settlement = Settlement { upto, state: State::Parked, ending, attempt, memory, follows, link: None };
        let written = self.store.settle(&self.claim.lease, settlement).await?;
        report::held(self, written.is_yes());
        Ok(())
    }

    /// The head of the lane as it is recorded when it does not end delivered.
    pub(super) fn head_of(&self, work: &Work) -> Head {
        let (delivery, upto) = (work.delivery.clone(), work.upto);
        Head { delivery, upto, blocks: self.blocks(work), memory: work.memory.clone() }
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

    /// The mapping's `on_parked` for a head whose body nobody looks at.
    pub(super) fn blocks_unseen(&self, first: &Waiting) -> bool {
        let policy = self.bridge.mapping.policy();
        let choice = match (self.claim.direction, first.kind.change()) {
            // What a ticket says does not wait for what it said before.
            (Direction::ToService, _) => return false,
            (Direction::ToServicenow, _) if self.claim.memory.ticket.is_none() => policy.on_parked_create,
            (Direction::ToServicenow, Some(ChangeKind::MessageAdded)) => policy.on_parked_message,
            (Direction::ToServicenow, _) => policy.on_parked_change,
        };
        choice == OnParked::Park
    }

    pub(super) async fn park_unreadable(&self, reason: &str) -> Result<(), StoreError> {
        let Some(first) = self.claim.waiting.first() else { return Ok(()) };
        let (delivery, upto, memory) = (first.id.clone(), first.sequence, self.claim.memory.clone());
        let parking = Parking {
            code: "event_unreadable".to_owned(),
            reason: reason.to_owned(),
            owner: Owner::Operator,
            next_step: "a newer version may have stored it: upgrade and replay, or drop it".to_owned(),
            blocks: true,
        };
        self.park(Head { delivery, upto, blocks: true, memory }, parking, None).await
    }
}
