//! One delivery's way into ServiceNow: look, map, intend, send, compare, settle.
//!
//! The order is the protocol that makes exactly one ticket (`facts/reliability.md` 2.3, O5 to O10). Straight-line code:
//! whatever ends it early is a [`Stop`], which says how the lane is given back. Dropping this future at any await point
//! is a crash, and must be survived like one.

use std::time::Duration;

use super::back::outbox;
use super::bridges::Bridge;
use super::looking::Standing;
use super::stop::{Head, Stop};
use super::work::{Unreadable, Work};
use super::{Protections, report};
use crate::callback;
use crate::delivery::kind::{Kind, TicketKind};
use crate::delivery::marker::Marker;
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::{Attempt, Direction, Ending, Owner, Parking};
use crate::delivery::verdict::Situation;
use crate::domain::change::Change;
use crate::domain::id::SysId;
use crate::domain::incident::{Incident, Sla};
use crate::domain::ticket::{Link, Ticket};
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::FOLD_MAX;
use crate::mapping::{Draft, Lookup, LookupKey, Lookups, MappingFault, Operation, Reason};
use crate::peer::permit::Permit;
use crate::runtime::{failpoint, luck};
use crate::servicenow::wire::rows::Row;
use crate::store::{Claim, Learned, NewDelivery, Settlement, Store, StoreError, Waiting};

/// One leased lane on its way.
pub(super) struct Journey<'a> {
    pub(super) bridge: &'a Bridge,
    pub(super) store: &'a Store,
    pub(super) clock: &'a SharedClock,
    pub(super) claim: &'a Claim,
    /// The machine's time when the claim was taken: the store's clock may differ from it.
    pub(super) begun: Timestamp,
    /// What was learned of the instance, if it was learned of this one.
    pub(super) learned: Learned,
    /// The same as the store has it, whatever it was learned of.
    pub(super) known: Learned,
    pub(super) protections: Protections,
}

impl Journey<'_> {
    /// Takes the head of the lane as far as it goes now, and records how far that was.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        if let Some(first) = self.claim.waiting.first().filter(|first| first.is_echo && self.protections.origin) {
            return self.settle_echo(first).await;
        }
        if let Some(first) = self.claim.waiting.first().filter(|first| first.kind == Kind::Ticket(TicketKind::Attach)) {
            return Box::pin(self.run_errand(first)).await;
        }
        let (work, ended) = match self.attempt_head().await {
            Ok(attempted) => attempted,
            Err(unreadable) => return self.park_unreadable(&unreadable.to_string()).await,
        };
        match ended {
            Ok(mut settlement) => {
                self.follow(&work, &mut settlement);
                report::delivered(&self, &work, &settlement);
                failpoint::hit("worker.before_settle");
                let held = self.store.settle(&self.claim.lease, settlement).await?;
                failpoint::hit("worker.after_settle");
                report::held(&self, held.is_yes());
                Ok(())
            }
            Err(stop) => Box::pin(self.stop(self.head_of(&work), stop)).await,
        }
    }

    /// The head with everything that folds with it; if that is refused, the head alone, so that one bad update takes no
    /// good one with it.
    async fn attempt_head(&mut self) -> Result<(Work, Result<Settlement, Stop>), Unreadable> {
        let mut work = Work::of(self.claim, &self.bridge.deployment_key, FOLD_MAX)?;
        if let Err(stop) = self.place(&mut work).await {
            return Ok((work, Err(stop)));
        }
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
        let mut alone = Work::of(self.claim, &self.bridge.deployment_key, 1)?;
        alone.memory.ticket.clone_from(&work.memory.ticket);
        let ended = Box::pin(self.deliver(&alone)).await;
        Ok((alone, ended))
    }

    async fn deliver(&mut self, work: &Work) -> Result<Settlement, Stop> {
        let mut settlement = self.write(work).await?;
        if let Some(attachment) = &work.change.attachment {
            self.send_for_file(work, attachment, &mut settlement);
        }
        Ok(settlement)
    }

    async fn write(&mut self, work: &Work) -> Result<Settlement, Stop> {
        if let Some(ticket) = &work.adopts {
            return self.adopt(work, ticket).await;
        }
        match self.standing(work).await? {
            Standing::Applied(row) => {
                let operation = if work.memory.ticket.is_some() { Operation::Update } else { Operation::Create };
                let draft = self.draft_of_applied(work, operation).await?;
                match &work.memory.ticket {
                    Some(ticket) if self.turned_out_closed(work, &draft, &row) => {
                        self.closed_unnoticed(work, &ticket.clone()).await
                    }
                    Some(_) | None => Ok(self.settled_as_found(work, &draft, &row, "already_applied")),
                }
            }
            Standing::CannotTell => Err(Stop::cannot_tell()),
            Standing::Known(ticket) => self.update(work, &ticket).await,
            Standing::New => self.create(work).await,
        }
    }

    /// What the managed service did because of us is remembered as its word, and sent nowhere.
    async fn settle_echo(&self, first: &Waiting) -> Result<(), StoreError> {
        report::echo(self, "origin");
        let mut memory = self.claim.memory.clone();
        let change = first
            .kind
            .change()
            .map(|kind| Change::from_slice(kind, Some(self.claim.incident.clone()), first.body.as_bytes()));
        if let Some(Ok(change)) = change {
            memory.told = Some(memory.told_with(&change.incident));
        }
        let ending = Ending { ticket: memory.ticket.clone(), how: "echo".to_owned(), ..Ending::default() };
        let settlement = Settlement::delivered(first.sequence, ending, memory);
        let held = self.store.settle(&self.claim.lease, settlement).await?;
        report::held(self, held.is_yes());
        Ok(())
    }

    /// What follows from a settled delivery: a ticket that became known is linked, and the managed service is told.
    fn follow(&self, work: &Work, settlement: &mut Settlement) {
        let known = self.claim.memory.ticket.as_ref().map(|ticket| &ticket.sys_id);
        let Some(ticket) = settlement.memory.ticket.as_ref().filter(|_| self.bridge.goes_back()) else { return };
        // A ticket from before there was a way back is linked with the first write that knows of one.
        if known == Some(&ticket.sys_id) && !self.claim.memory.ours.is_empty() {
            return;
        }
        let (incident, episode) = (self.claim.incident.clone(), work.subject.episode);
        let link = Link { ticket: ticket.clone(), incident, episode };
        let how = match settlement.ending.how.as_str() {
            "created" | "already_applied" => "created",
            "adopted" if work.adopts.is_some() => "adopted",
            _ => "found",
        };
        let cause = self.claim.waiting.iter().find(|waiting| waiting.id == work.delivery);
        let cause = cause.and_then(|waiting| outbox::sent(&waiting.event)).map(|(_, id)| id);
        let (tenant, origin) = (&self.claim.tenant, &self.bridge.origin);
        settlement.follows.push(outbox::linked(tenant, origin, &link, (how, cause), self.now()));
        settlement.link = Some(link);
    }

    /// An event of the managed service that needs a person is told to the managed service as well.
    pub(super) fn told_parked(&self, head: &Head, parking: &Parking) -> Vec<NewDelivery> {
        if self.claim.direction != Direction::ToServicenow || !self.bridge.goes_back() {
            return Vec::new();
        }
        vec![outbox::parked(&self.bridge.origin, self.claim, head, parking, self.now())]
    }

    /// What marks our texts on the ticket of this work.
    pub(super) fn marker<'w>(&'w self, work: &'w Work) -> Marker<'w> {
        Marker {
            deployment_key: &self.bridge.deployment_key,
            tenant: &self.claim.tenant,
            correlation_id: &work.identity.correlation_id,
        }
    }

    /// Asks the mapping what to write; fetches what it needs to look up first.
    pub(super) async fn draft(&self, work: &Work, operation: Operation) -> Result<Draft, Stop> {
        let promised = self.with_promise(work, operation);
        let change = promised.as_ref().unwrap_or(&work.change);
        let mut lookups = Lookups::default();
        for key in self.bridge.mapping.plan(change, operation) {
            let found = match self.bridge.client.recall(&key.table, &key.by, &key.value) {
                Some(found) => found,
                None => self.look_up(&key).await?,
            };
            lookups.insert(key, found.map_or(Lookup::Missing, |sys_id| Lookup::Found(sys_id.to_string())));
        }
        self.bridge.mapping.apply(change, operation, &lookups).map_err(|fault| Stop::Park {
            code: fault_code(&fault).to_owned(),
            reason: fault.to_string(),
            owner: Owner::Mapping,
            next_step: "mend the mapping (try it with `snowgate preview`), then replay this delivery".to_owned(),
            outcome: None,
        })
    }

    /// A new incident as the mapping sees it: with the time by which the tenant promised a first answer, unless the
    /// managed service said one.
    fn with_promise(&self, work: &Work, operation: Operation) -> Option<Change> {
        let levels = self.bridge.service_levels.as_ref().filter(|_| operation == Operation::Create)?;
        let incident = &work.change.incident;
        let said = incident.sla.as_ref().and_then(|sla| sla.first_response_due);
        let opened = incident.times.as_ref().and_then(|times| times.opened_at).unwrap_or(work.accepted_at);
        let due = levels.first_response_due(opened).filter(|_| said.is_none())?;
        let mut change = work.change.clone();
        let mut newer = Incident::new(incident.id.clone());
        newer.sla = Some(Sla { first_response_due: Some(due), custom: serde_json::Map::new() });
        change.incident.merge(&newer);
        Some(change)
    }

    /// What a write that is proved done can have written: a mapping that was edited meanwhile must not park it, or a replay
    /// would write twice.
    pub(super) async fn draft_of_applied(&self, work: &Work, operation: Operation) -> Result<Draft, Stop> {
        match self.draft(work, operation).await {
            Err(Stop::Park { .. }) => Ok(Draft::default()),
            draft => draft,
        }
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

    /// The same for a call to the managed service.
    pub(super) async fn permit_to_tell(&self, callback: &callback::client::Client) -> Result<Permit, Stop> {
        let retry = self.claim.attempts > 1;
        callback.permit(retry).await.map_err(|closed| Stop::wait_until(self.on_store(closed.until)))
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
    pub(super) fn on_store(&self, moment: Timestamp) -> Timestamp {
        if moment == Timestamp::NEVER { moment } else { self.claim.now.plus(moment.since(self.begun)) }
    }

    /// What the client says of time is the machine's.
    pub(super) fn in_store_time(&self, outcome: Outcome) -> Outcome {
        let not_before = outcome.not_before.map(|moment| self.on_store(moment));
        Outcome { not_before, ..outcome }
    }

    pub(super) fn ticket(&self, row: &Row) -> Ticket {
        Ticket { sys_id: row.sys_id.clone(), number: row.number.clone(), table: self.bridge.table.clone() }
    }

    pub(super) fn situation(&self, creating: bool, settled_at: Timestamp) -> Situation {
        Situation { now: self.now(), attempts: self.claim.attempts, creating, settled_at, luck: luck::fraction() }
    }

    pub(super) fn attempt(&self, outcome: Outcome, next: &str) -> Attempt {
        Attempt { at: self.now(), outcome, next: next.to_owned() }
    }
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
