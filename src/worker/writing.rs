//! The write itself: intend, send, compare, and what an answer that was no success means.
//!
//! After the intent is committed the first byte leaves within [`SELF_FENCE`] or not at all. A ticket that was closed for
//! good is never written to as if it were open: the mapping's `closed_ticket` decides ([`super::there`]).

use super::bridges::Bridge;
use super::journey::Journey;
use super::looking::Standing;
use super::stop::Stop;
use super::there::{Course, There};
use super::work::{Fields, Work, fields_to_create, fields_to_update, remember_ours, remember_written, set_beside};
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::{Ending, Owner};
use crate::delivery::verdict::{self, Situation, Verdict};
use crate::domain::ticket::Ticket;
use crate::domain::time::Timestamp;
use crate::limits::{ATTEMPTS_MAX, LEASE, SELF_FENCE, SUCCESSORS_MAX};
use crate::mapping::{Draft, JournalField, Operation, TicketPhase, Write};
use crate::peer::permit::Permit;
use crate::runtime::failpoint;
use crate::servicenow::differences::differences;
use crate::servicenow::wire::rows::Row;
use crate::store::{Held, Learned, Pause, Postponement, Settlement};

/// A write that was begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    creating: bool,
    started: Timestamp,
}

impl<'j> Journey<'j> {
    pub(super) async fn create(&mut self, work: &Work) -> Result<Settlement, Stop> {
        let draft = self.draft(work, Operation::Create).await?;
        self.create_from(work, draft).await
    }

    async fn create_from(&mut self, work: &Work, draft: Draft) -> Result<Settlement, Stop> {
        if draft.is_empty() {
            // The mapping opens no ticket for this, such as for a recovery that it keeps quiet about.
            return Ok(settled_without_ticket(work, &draft));
        }
        let fields = fields_to_create(work, &draft, &self.marker(work), self.bridge.sends_sys_id);
        let also = self.columns_to_ask_back();
        let (permit, started) = self.intend(work).await?;
        match self.bridge.client.create(permit, &self.bridge.table, &fields, &also).await {
            Ok(row) => {
                failpoint::hit("worker.after_answer");
                self.learn_from(work, &row).await?;
                let mut settlement = compared(self.settled(work, &draft, &row, "created"), &fields, &row);
                remember_ours(&mut settlement.memory, &also, &fields, &row, true);
                Ok(settlement)
            }
            Err(outcome) => self.failed(work, &draft, outcome, Sent { creating: true, started }).await,
        }
    }

    pub(super) async fn update(&mut self, work: &Work, ticket: &Ticket) -> Result<Settlement, Stop> {
        let mut draft = self.draft(work, Operation::Update).await?;
        let there = self.there(work, ticket).await?;
        match there.course(&self.bridge.mapping, work.says_open) {
            Course::Write if work.says_state && there.differs(&draft) => insist_on_state(&mut draft),
            Course::Write => {}
            Course::Reopen => insist_on_state(&mut draft),
            Course::CommentOnly => keep_journal_alone(&mut draft),
            Course::Succeed => return self.succeed(work, ticket).await,
            Course::Park => return Err(Stop::ticket_closed(ticket)),
        }
        self.update_with(work, ticket, draft, &there).await
    }

    async fn update_with(
        &mut self,
        work: &Work,
        ticket: &Ticket,
        draft: Draft,
        there: &There,
    ) -> Result<Settlement, Stop> {
        let holds = |column: &str, value: &str| self.protections.value && there.holds(column, value);
        let fields = fields_to_update(work, &draft, &self.marker(work), holds);
        if fields.is_empty() {
            return Ok(settled_at(work, &draft, ticket.clone(), "nothing_to_write"));
        }
        let columns = self.columns_to_ask_back();
        let beside = set_beside(&fields, &columns);
        let (permit, started) = self.intend(work).await?;
        match self.bridge.client.update(permit, (&self.bridge.table, &ticket.sys_id), &fields, &beside).await {
            Ok(row) => {
                failpoint::hit("worker.after_answer");
                if row.sys_id == work.identity.sys_id {
                    self.learn_user(row.get("sys_created_by")).await?;
                }
                if self.turned_out_closed(work, &draft, &row) {
                    return self.closed_unnoticed(work, ticket).await;
                }
                let mut settlement = compared(self.settled(work, &draft, &row, "updated"), &fields, &row);
                remember_ours(&mut settlement.memory, &columns, &fields, &row, false);
                Ok(settlement)
            }
            Err(outcome) => self.failed(work, &draft, outcome, Sent { creating: false, started }).await,
        }
    }

    /// A customer's own ticket gets the keys under which it is found again: from here on it is the incident's ticket.
    pub(super) async fn adopt(&mut self, work: &Work, ticket: &Ticket) -> Result<Settlement, Stop> {
        if let Some(other) = work.memory.ticket.as_ref().filter(|other| other.sys_id != ticket.sys_id) {
            // The managed service took the customer's ticket for an incident that has one. Both are linked; the keys stay
            // where they are, or the other ticket could not be found again.
            return Ok(settled_at(work, &Draft::default(), other.clone(), "linked_beside"));
        }
        // A second try changes nothing, but a first one that lands late would undo the mark of what follows.
        let settled_at = work.sending_since.map(|since| since.plus(self.full_settle_time()));
        if let Some(at) = settled_at.filter(|at| self.now() < *at) {
            return Err(Stop::wait_until(at));
        }
        let fields: Fields = vec![
            ("correlation_id".to_owned(), work.identity.correlation_id.clone()),
            ("correlation_display".to_owned(), work.mark()),
        ];
        let (permit, started) = self.intend(work).await?;
        match self.bridge.client.update(permit, (&self.bridge.table, &ticket.sys_id), &fields, &[]).await {
            Ok(row) => Ok(compared(self.settled(work, &Draft::default(), &row, "adopted"), &fields, &row)),
            Err(outcome) => self.failed(work, &Draft::default(), outcome, Sent { creating: false, started }).await,
        }
    }

    /// The incident goes on and its ticket was closed for good: the next ticket of the episode, which names the old one.
    async fn succeed(&mut self, work: &Work, closed: &Ticket) -> Result<Settlement, Stop> {
        if work.memory.successors >= SUCCESSORS_MAX {
            return Err(Stop::ticket_closed(closed));
        }
        let next = work.succeeding(&self.bridge.deployment_key, &self.claim.tenant);
        match Box::pin(self.standing(&next)).await? {
            Standing::Applied(row) => {
                let draft = self.draft_of_applied(&next, Operation::Create).await?;
                Ok(self.settled_as_found(&next, &draft, &row, "already_applied"))
            }
            Standing::CannotTell => Err(Stop::cannot_tell()),
            Standing::Known(ticket) => Box::pin(self.update(&next, &ticket)).await,
            Standing::New => {
                let mut draft = self.draft(&next, Operation::Create).await?;
                if draft.journal.is_none() {
                    let text = format!("Continues {}, which is closed.", closed.number);
                    draft.journal = Some((JournalField::WorkNotes, text));
                }
                self.create_from(&next, draft).await
            }
        }
    }

    /// Whether the answer shows a ticket that is over although the change wants it open.
    pub(super) fn turned_out_closed(&self, work: &Work, draft: &Draft, row: &Row) -> bool {
        let phase = |state: &str| self.bridge.mapping.ticket_phase(state);
        let wanted = draft.value("state").map_or(TicketPhase::Open, phase);
        let found = row.get("state").map(phase);
        work.says_open && wanted == TicketPhase::Open && found == Some(TicketPhase::Final)
    }

    pub(super) async fn closed_unnoticed(&mut self, work: &Work, ticket: &Ticket) -> Result<Settlement, Stop> {
        match There::closed().course(&self.bridge.mapping, work.says_open) {
            Course::Succeed => Box::pin(self.succeed(work, ticket)).await,
            Course::Park => Err(Stop::ticket_closed(ticket)),
            Course::Write | Course::Reopen | Course::CommentOnly => {
                Ok(settled_at(work, &Draft::default(), ticket.clone(), "ticket_closed"))
            }
        }
    }

    /// Records that sending begins. After this the first byte leaves within [`SELF_FENCE`] or not at all: a worker that
    /// was frozen meanwhile cannot be sure that nobody else took the lane.
    pub(super) async fn intend(&self, work: &Work) -> Result<(Permit, Timestamp), Stop> {
        self.intend_upto(work.upto).await
    }

    /// The same for whatever the lane's head up to this sequence is.
    pub(super) async fn intend_upto(&self, upto: u64) -> Result<(Permit, Timestamp), Stop> {
        let permit = self.permit().await?;
        failpoint::hit("worker.before_intent");
        let send_before = self.clock.now().plus(SELF_FENCE);
        let started = match self.store.intend(&self.claim.lease, upto, failpoint::lease(LEASE)).await? {
            Held::Yes(started) => started,
            Held::Lost => return Err(Stop::Lost),
        };
        failpoint::hit("worker.after_intent");
        let permit = if self.protections.self_fence { permit.send_before(send_before) } else { permit };
        failpoint::hit("worker.before_send");
        Ok((permit, started))
    }

    /// What a failed write means. An unclear or refused create is looked up at once where one read can decide.
    pub(super) async fn failed(
        &self,
        work: &Work,
        draft: &Draft,
        outcome: Outcome,
        sent: Sent,
    ) -> Result<Settlement, Stop> {
        let outcome = self.in_store_time(outcome);
        let settle = if sent.creating { self.settle_time(work) } else { self.full_settle_time() };
        let situation = self.situation(sent.creating, sent.started.plus(settle));
        // A peer that asked for time is not looked at before.
        let looks_now = settle.is_zero() && outcome.not_before.is_none() && self.protections.look_up;
        match verdict::decide(&situation, &outcome) {
            Verdict::LookNow => self.look_after_refusal(work, draft, outcome, sent).await,
            Verdict::LookAt { .. } if looks_now => match self.look(work).await? {
                Standing::Applied(row) => Ok(self.settled_as_found(work, draft, &row, "adopted")),
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
            Standing::Applied(row) => Ok(self.settled_as_found(work, draft, &row, "adopted")),
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

    /// What the answer to a create taught about the instance.
    async fn learn_from(&mut self, work: &Work, row: &Row) -> Result<(), Stop> {
        let honoured = row.sys_id == work.identity.sys_id;
        let kept = row.get("correlation_display").map(|mark| mark == work.mark());
        let learned = Learned {
            fingerprint: self.bridge.fingerprint.clone(),
            honours_sys_id: self.bridge.sends_sys_id.then_some(honoured),
            keeps_mark: kept.or(self.learned.keeps_mark),
            user: row.get("sys_created_by").map(str::to_owned).or_else(|| self.learned.user.clone()),
        };
        self.learn(learned).await?;
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

    /// Who we are there: what comes back by this name is our own. Taught by a ticket that we surely made: who wrote to one
    /// last may be a rule that saved it again.
    async fn learn_user(&mut self, user: Option<&str>) -> Result<(), Stop> {
        let Some(user) = user.filter(|user| !user.is_empty() && self.learned.user.is_none()) else { return Ok(()) };
        let learned = Learned { user: Some(user.to_owned()), ..self.learned.clone() };
        self.learn(learned).await
    }

    async fn learn(&mut self, learned: Learned) -> Result<(), Stop> {
        if learned == self.learned {
            return Ok(());
        }
        if self.store.learn(&self.claim.tenant, &self.known, learned.clone()).await? {
            self.known = learned.clone();
        }
        // Another replica learned something meanwhile: its word stays until a claim has shown it to who teaches next.
        self.learned = learned;
        Ok(())
    }

    /// The columns that the way back reads, if there is one: what our own write leaves in them is no news.
    fn columns_to_ask_back(&self) -> Vec<&'j str> {
        let bridge: &'j Bridge = self.bridge;
        if bridge.goes_back() {
            bridge.mapping.ticket_columns().iter().map(AsRef::as_ref).collect()
        } else {
            Vec::new()
        }
    }

    pub(super) fn settled(&self, work: &Work, draft: &Draft, row: &Row, how: &str) -> Settlement {
        settled_at(work, draft, self.ticket(row), how)
    }

    /// A write that was found applied. Ours is what it can have sent and nothing else: the row was read later, and what
    /// people did to its other columns meanwhile is still to be told.
    pub(super) fn settled_as_found(&self, work: &Work, draft: &Draft, row: &Row, how: &str) -> Settlement {
        let mut settlement = self.settled(work, draft, row, how);
        let marker = self.marker(work);
        let sent = match &work.memory.ticket {
            Some(_) => fields_to_update(work, draft, &marker, |_, _| false),
            None => fields_to_create(work, draft, &marker, false),
        };
        remember_ours(&mut settlement.memory, &self.columns_to_ask_back(), &sent, row, false);
        settlement
    }
}

fn insist_on_state(draft: &mut Draft) {
    for field in draft.fields.iter_mut().filter(|field| &*field.name == "state") {
        field.write = Write::Always;
    }
}

fn keep_journal_alone(draft: &mut Draft) {
    let reason = "the ticket is over, and `closed_ticket` leaves it as it is".to_owned();
    let left_out =
        |field: crate::mapping::DraftField| crate::mapping::Dropped { what: field.name, reason: reason.clone() };
    draft.dropped.extend(draft.fields.drain(..).map(left_out));
}

fn settled_without_ticket(work: &Work, draft: &Draft) -> Settlement {
    let ending = Ending { left_out: left_out(draft), how: "nothing_to_write".to_owned(), ..Ending::default() };
    let memory = work.memory.clone();
    Settlement::delivered(work.upto, ending, memory)
}

fn left_out(draft: &Draft) -> Vec<String> {
    draft.dropped.iter().map(|left| format!("{}: {}", left.what, left.reason)).collect()
}

pub(super) fn settled_at(work: &Work, draft: &Draft, ticket: Ticket, how: &str) -> Settlement {
    let mut memory = work.memory.clone();
    memory.ticket = Some(ticket.clone());
    remember_written(&mut memory, draft);
    let ending = Ending { ticket: Some(ticket), left_out: left_out(draft), how: how.to_owned(), ..Ending::default() };
    Settlement::delivered(work.upto, ending, memory)
}

/// Notes what ServiceNow stored otherwise than asked.
fn compared(mut settlement: Settlement, asked: &Fields, row: &Row) -> Settlement {
    settlement.ending.differences = differences(asked, row);
    settlement
}
