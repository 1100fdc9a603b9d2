//! One delivery's way into ServiceNow: look, map, intend, send, compare, settle.
//!
//! The order is the protocol that makes exactly one ticket (`facts/reliability.md` 2.3, O5 to O10). Straight-line code:
//! whatever ends it early is a [`Stop`], which says how the lane is given back. Dropping this future at any await point
//! is a crash, and must be survived like one.

use std::time::Duration;

use super::bridges::Bridge;
use super::looking::Standing;
use super::stop::Stop;
use super::work::{Fields, Unreadable, Work, fields_to_create, fields_to_update, remember_written};
use super::{Protections, report};
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::{Attempt, Ending, Owner, State};
use crate::delivery::verdict::{self, Situation, Verdict};
use crate::domain::id::SysId;
use crate::domain::ticket::Ticket;
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{ATTEMPTS_MAX, FOLD_MAX, LEASE, SELF_FENCE};
use crate::mapping::{Draft, Lookup, LookupKey, Lookups, MappingFault, Operation, Reason};
use crate::peer::permit::Permit;
use crate::runtime::{failpoint, luck};
use crate::servicenow::differences::differences;
use crate::servicenow::wire::rows::Row;
use crate::store::{Claim, Held, Learned, Pause, Postponement, Settlement, Store, StoreError};

/// One leased lane on its way.
pub(super) struct Journey<'a> {
    pub(super) bridge: &'a Bridge,
    pub(super) store: &'a Store,
    pub(super) clock: &'a SharedClock,
    pub(super) claim: &'a Claim,
    /// The machine's time when the claim was taken: the store's clock may differ from it.
    pub(super) begun: Timestamp,
    pub(super) learned: Learned,
    pub(super) protections: Protections,
}

/// A write that was begun.
#[derive(Clone, Copy, Debug)]
struct Sent {
    creating: bool,
    started: Timestamp,
}

impl Journey<'_> {
    /// Takes the head of the lane as far as it goes now, and records how far that was.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let (work, ended) = match self.attempt_head().await {
            Ok(attempted) => attempted,
            Err(unreadable) => return self.park_unreadable(&unreadable.to_string()).await,
        };
        match ended {
            Ok(settlement) => {
                report::delivered(&self, &work, &settlement);
                failpoint::hit("worker.before_settle");
                let held = self.store.settle(&self.claim.lease, settlement).await?;
                failpoint::hit("worker.after_settle");
                report::held(&self, held.is_yes());
                Ok(())
            }
            Err(stop) => self.stop(&work, stop).await,
        }
    }

    /// The head with everything that folds with it; if that is refused, the head alone, so that one bad update takes no
    /// good one with it.
    async fn attempt_head(&mut self) -> Result<(Work, Result<Settlement, Stop>), Unreadable> {
        let work = Work::of(self.claim, &self.bridge.deployment_key, FOLD_MAX)?;
        // Boxed: it is the largest future of the program, and a thousand of them wait at once.
        let ended = Box::pin(self.deliver(&work)).await;
        // Only a definite refusal: what may still land, or was asked to wait, is not sent again in another form.
        let refused = match &ended {
            Err(Stop::Park { outcome, .. }) => {
                outcome.as_ref().is_none_or(|outcome| outcome.class == Class::Refused && outcome.not_before.is_none())
            }
            Ok(_) | Err(_) => false,
        };
        if work.folded == 1 || !refused {
            return Ok((work, ended));
        }
        let alone = Work::of(self.claim, &self.bridge.deployment_key, 1)?;
        let ended = Box::pin(self.deliver(&alone)).await;
        Ok((alone, ended))
    }

    async fn deliver(&mut self, work: &Work) -> Result<Settlement, Stop> {
        match self.standing(work).await? {
            Standing::Applied(row) => {
                let operation = if work.memory.ticket.is_some() { Operation::Update } else { Operation::Create };
                // It is proved done: a mapping that was edited meanwhile must not park it, or a replay would write twice.
                let draft = match self.draft(work, operation).await {
                    Err(Stop::Park { .. }) => Draft::default(),
                    draft => draft?,
                };
                Ok(self.settled(work, &draft, &row, "already_applied"))
            }
            Standing::CannotTell => Err(Stop::cannot_tell()),
            Standing::Known(ticket) => self.update(work, &ticket).await,
            Standing::New => self.create(work).await,
        }
    }

    async fn create(&mut self, work: &Work) -> Result<Settlement, Stop> {
        let draft = self.draft(work, Operation::Create).await?;
        if draft.is_empty() {
            // The mapping opens no ticket for this, such as for a recovery that it keeps quiet about.
            return Ok(settled_without_ticket(work, &draft));
        }
        let fields = fields_to_create(work, &draft, self.bridge.sends_sys_id);
        let (permit, started) = self.intend(work).await?;
        match self.bridge.client.create(permit, &self.bridge.table, &fields, &[]).await {
            Ok(row) => {
                failpoint::hit("worker.after_answer");
                self.learn_from(work, &row).await?;
                Ok(compared(self.settled(work, &draft, &row, "created"), &fields, &row))
            }
            Err(outcome) => self.failed(work, &draft, outcome, Sent { creating: true, started }).await,
        }
    }

    async fn update(&mut self, work: &Work, ticket: &Ticket) -> Result<Settlement, Stop> {
        let draft = self.draft(work, Operation::Update).await?;
        let fields = fields_to_update(work, &draft);
        if fields.is_empty() {
            return Ok(settled_at(work, &draft, ticket.clone(), "nothing_to_write"));
        }
        let (permit, started) = self.intend(work).await?;
        match self.bridge.client.update(permit, (&self.bridge.table, &ticket.sys_id), &fields, &[]).await {
            Ok(row) => {
                failpoint::hit("worker.after_answer");
                Ok(compared(self.settled(work, &draft, &row, "updated"), &fields, &row))
            }
            Err(outcome) => self.failed(work, &draft, outcome, Sent { creating: false, started }).await,
        }
    }

    /// Asks the mapping what to write; fetches what it needs to look up first.
    async fn draft(&self, work: &Work, operation: Operation) -> Result<Draft, Stop> {
        let mut lookups = Lookups::default();
        for key in self.bridge.mapping.plan(&work.change, operation) {
            let found = match self.bridge.client.recall(&key.table, &key.by, &key.value) {
                Some(found) => found,
                None => self.look_up(&key).await?,
            };
            lookups.insert(key, found.map_or(Lookup::Missing, |sys_id| Lookup::Found(sys_id.to_string())));
        }
        self.bridge.mapping.apply(&work.change, operation, &lookups).map_err(|fault| Stop::Park {
            code: fault_code(&fault).to_owned(),
            reason: fault.to_string(),
            owner: Owner::Mapping,
            next_step: "mend the mapping (try it with `snowgate preview`), then replay this delivery".to_owned(),
            outcome: None,
        })
    }

    /// Looks for a record that the mapping refers to. A value that fits two records, or cannot be asked for, is missing:
    /// the mapping says what that means.
    async fn look_up(&self, key: &LookupKey) -> Result<Option<SysId>, Stop> {
        let permit = self.permit_to_read().await?;
        match self.bridge.client.lookup(permit, &key.table, &key.by, &key.value).await {
            Err(outcome) if outcome.class == Class::Refused => Ok(None),
            looked => looked.map_err(|outcome| self.read_failed(outcome)),
        }
    }

    /// Records that sending begins. After this the first byte leaves within [`SELF_FENCE`] or not at all: a worker that
    /// was frozen meanwhile cannot be sure that nobody else took the lane.
    async fn intend(&self, work: &Work) -> Result<(Permit, Timestamp), Stop> {
        let permit = self.permit().await?;
        failpoint::hit("worker.before_intent");
        let send_before = self.clock.now().plus(SELF_FENCE);
        let started = match self.store.intend(&self.claim.lease, work.upto, LEASE).await? {
            Held::Yes(started) => started,
            Held::Lost => return Err(Stop::Lost),
        };
        failpoint::hit("worker.after_intent");
        let permit = if self.protections.self_fence { permit.send_before(send_before) } else { permit };
        failpoint::hit("worker.before_send");
        Ok((permit, started))
    }

    /// What a failed write means. An unclear or refused create is looked up at once where one read can decide.
    async fn failed(&self, work: &Work, draft: &Draft, outcome: Outcome, sent: Sent) -> Result<Settlement, Stop> {
        let outcome = self.in_store_time(outcome);
        let settle = if sent.creating { self.settle_time(work) } else { self.full_settle_time() };
        let situation = self.situation(sent.creating, sent.started.plus(settle));
        // A peer that asked for time is not looked at before.
        let looks_now = settle.is_zero() && outcome.not_before.is_none() && self.protections.look_up;
        match verdict::decide(&situation, &outcome) {
            Verdict::LookNow => self.look_after_refusal(work, draft, outcome, sent).await,
            Verdict::LookAt { .. } if looks_now => match self.look(work).await? {
                Standing::Applied(row) => Ok(self.settled(work, draft, &row, "adopted")),
                Standing::New | Standing::Known(_) | Standing::CannotTell => {
                    Err(self.look_again_later(&situation, outcome, sent.started))
                }
            },
            Verdict::LookAt { at } => Err(self.look_again_later(&situation, outcome, at)),
            verdict => Err(self.carry_out(verdict, outcome)),
        }
    }

    /// A refused create may have happened all the same; a missing ticket may have moved.
    async fn look_after_refusal(
        &self,
        work: &Work,
        draft: &Draft,
        outcome: Outcome,
        sent: Sent,
    ) -> Result<Settlement, Stop> {
        match self.look(work).await? {
            Standing::Applied(row) => Ok(self.settled(work, draft, &row, "adopted")),
            Standing::Known(_) | Standing::CannotTell if sent.creating => {
                // The ticket is there but this work is not on it: next time it is an update.
                Err(Stop::Postpone(Postponement {
                    at: self.now(),
                    counted: true,
                    not_processed: false,
                    attempt: Some(self.attempt(outcome, "update the ticket that is already there")),
                }))
            }
            Standing::New | Standing::Known(_) | Standing::CannotTell => {
                let refused = Outcome { class: Class::Refused, ..outcome };
                let situation = self.situation(false, self.now());
                Err(self.carry_out(verdict::decide(&situation, &refused), refused))
            }
        }
    }

    /// The lane comes back when the earlier send has surely settled; the look comes first then. What one delivery meets
    /// again and again while the instance is otherwise well is its own fault, and ends with a person.
    fn look_again_later(&self, situation: &Situation, outcome: Outcome, at: Timestamp) -> Stop {
        if situation.attempts >= ATTEMPTS_MAX {
            return Stop::Park {
                code: outcome.code.clone(),
                reason: outcome.detail.clone(),
                owner: Owner::Instance,
                next_step: "look at the ticket and at what the instance says, then replay or drop".to_owned(),
                outcome: Some(outcome),
            };
        }
        let at = at.max(self.now().plus(verdict::retry_wait(situation.attempts, situation.luck)));
        let instance_is_down = self.bridge.client.standing().breaker != "closed";
        Stop::Postpone(Postponement {
            at,
            counted: !instance_is_down,
            not_processed: false,
            attempt: Some(self.attempt(outcome, &format!("look for it at {at}"))),
        })
    }

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

    fn carry_out(&self, verdict: Verdict, outcome: Outcome) -> Stop {
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

    /// What the answer to a create taught about the instance.
    async fn learn_from(&mut self, work: &Work, row: &Row) -> Result<(), Stop> {
        let honoured = row.sys_id == work.identity.sys_id;
        let kept = row.get("correlation_display").map(|mark| mark == work.mark());
        let learned = Learned {
            fingerprint: self.bridge.fingerprint.clone(),
            honours_sys_id: self.bridge.sends_sys_id.then_some(honoured),
            keeps_mark: kept.or(self.learned.keeps_mark),
        };
        if learned != self.learned {
            self.store.learn(&self.claim.tenant, learned.clone()).await?;
            self.bridge.note(learned.clone());
            self.learned = learned;
        }
        if row.get("correlation_id") != Some(work.identity.correlation_id.as_str()) && !honoured {
            // Neither key of ours was kept: this ticket is known to us, but a next one could not be found again.
            let reason = "the instance keeps neither our sys_id nor our correlation_id: give the integration user write \
                          access to correlation_id, then resume the tenant";
            let pause =
                Pause { until: Timestamp::NEVER, code: "correlation_not_kept".to_owned(), reason: reason.to_owned() };
            self.store.pause_tenant(&self.claim.tenant, pause).await?;
        }
        Ok(())
    }

    /// How long a write without an answer may still land. A create under a key that the instance keeps needs no
    /// waiting: the key refuses the second row. Updates always wait, because a late old PATCH would undo a newer one.
    pub(super) fn settle_time(&self, work: &Work) -> Duration {
        let keyed_create = work.memory.ticket.is_none() && self.honours_sys_id() == Some(true);
        if keyed_create { Duration::ZERO } else { self.full_settle_time() }
    }

    /// The settle time of an update, and of a create without a key.
    pub(super) fn full_settle_time(&self) -> Duration {
        if self.protections.settle_time { self.bridge.settle } else { Duration::ZERO }
    }

    /// What was learned of `sys_id`s, unless it was learned of another instance, table or deployment key.
    pub(super) fn honours_sys_id(&self) -> Option<bool> {
        let learned = self.learned.honours_sys_id.filter(|_| self.learned.fingerprint == self.bridge.fingerprint);
        if self.bridge.sends_sys_id { learned } else { Some(false) }
    }

    /// The right to make one call, or when to come back for it.
    pub(super) async fn permit(&self) -> Result<Permit, Stop> {
        let retry = self.claim.attempts > 1;
        self.bridge.client.permit(retry).await.map_err(|closed| Stop::wait_until(self.on_store(closed.until)))
    }

    /// The same for a call that only reads.
    pub(super) async fn permit_to_read(&self) -> Result<Permit, Stop> {
        self.bridge.client.permit_to_read().await.map_err(|closed| Stop::wait_until(self.on_store(closed.until)))
    }

    /// Now, as the store counts: its clock never goes back, the machine's may.
    pub(super) fn now(&self) -> Timestamp {
        self.on_store(self.clock.now())
    }

    /// A moment of the machine's clock, as the store counts.
    fn on_store(&self, moment: Timestamp) -> Timestamp {
        if moment == Timestamp::NEVER { moment } else { self.claim.now.plus(moment.since(self.begun)) }
    }

    /// What the client says of time is the machine's.
    fn in_store_time(&self, outcome: Outcome) -> Outcome {
        let not_before = outcome.not_before.map(|moment| self.on_store(moment));
        Outcome { not_before, ..outcome }
    }

    pub(super) fn ticket(&self, row: &Row) -> Ticket {
        Ticket { sys_id: row.sys_id.clone(), number: row.number.clone(), table: self.bridge.table.clone() }
    }

    fn situation(&self, creating: bool, settled_at: Timestamp) -> Situation {
        Situation { now: self.now(), attempts: self.claim.attempts, creating, settled_at, luck: luck::fraction() }
    }

    pub(super) fn attempt(&self, outcome: Outcome, next: &str) -> Attempt {
        Attempt { at: self.now(), outcome, next: next.to_owned() }
    }

    fn settled(&self, work: &Work, draft: &Draft, row: &Row, how: &str) -> Settlement {
        settled_at(work, draft, self.ticket(row), how)
    }
}

fn settled_without_ticket(work: &Work, draft: &Draft) -> Settlement {
    let ending = Ending { left_out: left_out(draft), how: "nothing_to_write".to_owned(), ..Ending::default() };
    let memory = work.memory.clone();
    Settlement {
        upto: work.upto,
        state: State::Delivered,
        ending,
        attempt: None,
        memory,
        follows: Vec::new(),
        link: None,
    }
}

fn left_out(draft: &Draft) -> Vec<String> {
    let mut left_out: Vec<_> = draft.dropped.iter().map(|left| format!("{}: {}", left.what, left.reason)).collect();
    if draft.attach {
        left_out.push("attachment: files are not copied yet".to_owned());
    }
    left_out
}

fn settled_at(work: &Work, draft: &Draft, ticket: Ticket, how: &str) -> Settlement {
    let mut memory = work.memory.clone();
    memory.ticket = Some(ticket.clone());
    remember_written(&mut memory, draft);
    let ending = Ending { ticket: Some(ticket), left_out: left_out(draft), how: how.to_owned(), ..Ending::default() };
    Settlement {
        upto: work.upto,
        state: State::Delivered,
        ending,
        attempt: None,
        memory,
        follows: Vec::new(),
        link: None,
    }
}

/// Notes what ServiceNow stored otherwise than asked.
fn compared(mut settlement: Settlement, asked: &Fields, row: &Row) -> Settlement {
    settlement.ending.differences = differences(asked, row);
    settlement
}

/// A stable word for the first thing that kept a change from being mapped.
fn fault_code(fault: &MappingFault) -> &'static str {
    match fault.problems.first().map(|problem| &problem.reason) {
        Some(Reason::Missing(_)) => "mapping_missing_value",
        Some(Reason::NoRow { .. }) => "mapping_no_row",
        Some(Reason::NotFound(_) | Reason::NotLookedUp(_)) => "mapping_lookup_missing",
        Some(Reason::TooLong { .. }) => "mapping_limit",
        Some(Reason::Failed(_)) | None => "mapping_failed",
    }
}
