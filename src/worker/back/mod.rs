//! The way back: from a ticket that was seen to callbacks that the managed service took.
//!
//! Two steps, each a delivery of the ticket's own lane. A *sighting* is compared with what is known, and what is new is
//! settled together with the callbacks it leads to, in one commit: so no callback exists twice under two ids, whatever
//! webhooks and sweeps repeat, lose or reorder. A *callback* is then sent, in order, until the managed service takes it.
//!
//! * [`reading`] completes a sighting that is only a hint;
//! * [`news`] compares it, pure;
//! * [`outbox`] writes callbacks down; [`telling`] sends them;
//! * [`levels`] carries out what the tenant promised about time;
//! * [`sweep`] asks the instance what the webhooks did not tell.
//!
//! Never: decides who changed something by the record's later `sys_updated_by`; sends what the mapping does not list.
//! Fails: by giving the lane back. Proved by: `tests/simulation`, `tests/it/back`.

mod files;
mod levels;
mod news;
pub(super) mod outbox;
mod reading;
mod rotation;
pub mod sweep;
mod telling;

use self::news::{Comparison, Linked, News, Trouble, Turn};
use super::journey::Journey;
use super::report;
use super::stop::{Head, Stop};
use crate::callback::event::Event;
use crate::delivery::identity::{self, Subject};
use crate::delivery::kind::{Kind, TicketKind};
use crate::delivery::lane::LaneMemory;
use crate::delivery::record::{Direction, Ending, Owner};
use crate::domain::id::IncidentId;
use crate::domain::sighting::Sighting;
use crate::domain::ticket::{Link, Ticket};
use crate::limits::WRITE_REST;
use crate::runtime::failpoint;
use crate::store::{NewDelivery, Settlement, StoreError, Waiting};

impl Journey<'_> {
    /// Takes the head of a lane of the way back as far as it goes now.
    pub(super) async fn run_back(mut self) -> Result<(), StoreError> {
        let Some(first) = self.claim.waiting.first() else { return Ok(()) };
        let head = Head {
            delivery: first.id.clone(),
            upto: self.last_hint(first),
            blocks: false,
            memory: self.claim.memory.clone(),
        };
        let ended = match first.kind {
            Kind::Ticket(TicketKind::Seen) => Box::pin(self.compare(head.upto)).await,
            Kind::Ticket(TicketKind::Adopt | TicketKind::Attach) | Kind::Incident(_) => {
                return self.park_unreadable(&format!("`{}` goes the other way", first.kind)).await;
            }
            Kind::Ticket(kind) => Box::pin(self.tell(first, kind)).await,
        };
        Box::pin(self.conclude(first, head, ended)).await
    }

    /// Records how a delivery ended that is no change of an incident.
    pub(super) async fn conclude(
        &self,
        first: &Waiting,
        head: Head,
        ended: Result<Settlement, Stop>,
    ) -> Result<(), StoreError> {
        match ended {
            Ok(settlement) => {
                report::back_delivered(self, first, &settlement);
                failpoint::hit("worker.before_settle");
                let written = self.store.settle(&self.claim.lease, settlement).await?;
                failpoint::hit("worker.after_settle");
                report::held(self, written.is_yes());
                Ok(())
            }
            Err(stop) => Box::pin(self.stop(head, stop)).await,
        }
    }

    /// Hints that wait one behind the other say no more than the last of them.
    fn last_hint(&self, first: &Waiting) -> u64 {
        let is_hint = |waiting: &&Waiting| {
            waiting.kind == Kind::Ticket(TicketKind::Seen)
                && Sighting::from_stored(&waiting.body).is_ok_and(|seen| seen.is_hint())
        };
        self.claim.waiting.iter().take_while(is_hint).last().map_or(first.sequence, |last| last.sequence)
    }

    /// Compares a sighting with what is known, and writes down what the managed service is to be told.
    async fn compare(&mut self, upto: u64) -> Result<Settlement, Stop> {
        let Some(waiting) = self.claim.waiting.iter().find(|waiting| waiting.sequence == upto) else {
            return Err(Stop::Lost);
        };
        let sighting = Sighting::from_stored(&waiting.body).map_err(|fault| Stop::unreadable(&fault.to_string()))?;
        if let Some(stop) = self.foreign(&sighting) {
            return Err(stop);
        }
        if !self.bridge.goes_back() {
            return Ok(Self::ended(upto, self.claim.memory.clone(), "no_callback"));
        }
        if self.protections.actor && news::same_user(self.user(), sighting.actor.as_deref()) {
            report::echo(self, "actor");
            return Ok(Self::ended(upto, self.claim.memory.clone(), "echo"));
        }
        let seen = self.claim.memory.seen.as_deref().cloned().unwrap_or_default();
        // A hint is read now; what came whole is as old as its acceptance.
        let seen_at = if sighting.fields.is_some() { waiting.accepted_at } else { self.now() };
        let was_missing = sighting.event.as_deref() == Some("missing");
        let mut link = self.link_of(&sighting).await?;
        let Some(sighting) = self.complete(sighting, &seen, link.is_none()).await? else {
            // Missing or hidden cannot be told apart. Of a linked ticket a person hears, once.
            let first_time = link.is_some() && !self.claim.memory.seen.as_ref().is_some_and(|seen| seen.gone);
            if first_time && was_missing {
                return Err(Stop::ticket_missing());
            }
            return Ok(Self::ended(upto, self.claim.memory.clone(), "ticket_unreadable"));
        };
        if link.is_none() {
            link = self.link_of(&sighting).await?;
        }
        let linked = match &link {
            Some(link) => Some(self.linked(link, &sighting).await?),
            None => None,
        };
        let comparison = Comparison {
            tenant: &self.claim.tenant,
            mapping: &self.bridge.mapping,
            deployment_key: &self.bridge.deployment_key,
            instance: &self.bridge.origin,
            table: &self.bridge.table,
            sighting: &sighting,
            linked: linked.as_ref(),
            user: self.user(),
            cause: waiting.id.as_str(),
            seen_at,
            now: self.now(),
            protections: self.protections,
        };
        match comparison.compare(seen) {
            Ok(news) => Ok(self.settled_news(upto, link, news)),
            // Our own write is on its way: what it leaves is not to be taken for somebody's change.
            Err(Trouble::Writing) => Err(Stop::wait_until(self.now().plus(WRITE_REST))),
            Err(Trouble::Fight { path }) => Err(Stop::Fight { path }),
            Err(Trouble::Mapping(fault)) => Err(Stop::Park {
                code: "mapping_back_failed".to_owned(),
                reason: fault.to_string(),
                owner: Owner::Mapping,
                next_step: "mend `to_incident` in the mapping, then replay this delivery".to_owned(),
                outcome: None,
            }),
        }
    }

    fn settled_news(&self, upto: u64, link: Option<Link>, news: News) -> Settlement {
        let News { seen, events, left_out, echoes, how } = news;
        for how in echoes {
            report::echo(self, how);
        }
        let ticket = link.as_ref().map(|link| link.ticket.clone());
        let memory = LaneMemory { ticket: ticket.clone(), seen: Some(Box::new(seen)), ..LaneMemory::default() };
        let follows = events.into_iter().map(|(kind, event)| self.callback(kind, &event, ticket.as_ref())).collect();
        let ending = Ending { ticket, left_out, how: how.to_owned(), ..Ending::default() };
        Settlement { follows, link, ..Settlement::delivered(upto, ending, memory) }
    }

    /// A sighting that ends without a word.
    fn ended(upto: u64, memory: LaneMemory, how: &str) -> Settlement {
        let ending = Ending { ticket: memory.ticket.clone(), how: how.to_owned(), ..Ending::default() };
        Settlement::delivered(upto, ending, memory)
    }

    /// A clone of production calls with production's secrets. What it says is about other tickets.
    fn foreign(&self, sighting: &Sighting) -> Option<Stop> {
        let (said, ours) = (sighting.instance.as_deref()?, self.bridge.instance_name.as_deref()?);
        (!said.eq_ignore_ascii_case(ours)).then(|| Stop::Park {
            code: "foreign_instance".to_owned(),
            reason: format!("instance `{said}` called with this tenant's secret; the tenant's own is `{ours}`"),
            owner: Owner::Instance,
            next_step: "a clone? clear the webhook's address or secret there, then drop this delivery; \
                        `webhook.instance` names the right one"
                .to_owned(),
            outcome: None,
        })
    }

    /// Which incident a ticket belongs to: as stored, or as the ticket itself says if its keys prove it.
    async fn link_of(&self, sighting: &Sighting) -> Result<Option<Link>, Stop> {
        if let Some(link) = self.store.link(&self.claim.tenant, &sighting.sys_id).await? {
            return Ok(Some(link));
        }
        let said = sighting.correlation_display.as_deref().and_then(identity::subject_of);
        let Some(subject) = said else { return Ok(None) };
        let proved = identity::derive(&self.bridge.deployment_key, &self.claim.tenant, &subject).correlation_id;
        if sighting.correlation_id.as_deref() != Some(proved.as_str()) {
            return Ok(None);
        }
        let ticket = Ticket {
            sys_id: sighting.sys_id.clone(),
            number: sighting.number.clone().unwrap_or_default(),
            table: self.bridge.table.clone(),
        };
        Ok(Some(Link { ticket, incident: subject.incident, episode: subject.episode }))
    }

    /// What the incident's own lane knows: what it was told, what it wrote, whether it is writing just now.
    async fn linked(&self, link: &Link, sighting: &Sighting) -> Result<Linked, Stop> {
        let view = self.store.lane(&self.claim.tenant, Direction::ToServicenow, &link.incident).await?;
        let view = view.unwrap_or_default();
        let turn = self.turn_of(link, sighting, &view.memory);
        let ours = if turn == Turn::Present { view.memory.ours } else { std::collections::BTreeMap::new() };
        Ok(Linked { link: link.clone(), told: view.memory.told, ours, turn, sending: view.sending })
    }

    /// Which of the incident's tickets one is, as far as its lane has settled.
    fn turn_of(&self, link: &Link, sighting: &Sighting, memory: &LaneMemory) -> Turn {
        if memory.ticket.as_ref().is_none_or(|ticket| ticket.sys_id == link.ticket.sys_id) {
            return Turn::Present;
        }
        let episode = memory.told.as_ref().and_then(|told| told.episode).unwrap_or(1);
        let next = Subject { incident: link.incident.clone(), episode, successor: memory.successors + 1 };
        let next = identity::derive(&self.bridge.deployment_key, &self.claim.tenant, &next).correlation_id;
        let is_next = link.episode > episode || sighting.correlation_id.as_deref() == Some(next.as_str());
        if is_next { Turn::Coming } else { Turn::Past }
    }

    /// Who we are there, as configured or as the instance taught us.
    pub(super) fn user(&self) -> Option<&str> {
        self.bridge.user.as_deref().or(self.learned.user.as_deref())
    }

    /// A callback as a delivery of the present lane; nothing waits for files, which go in a lane of their own.
    fn callback(&self, kind: TicketKind, event: &Event, ticket: Option<&Ticket>) -> NewDelivery {
        let lane = match ticket {
            Some(ticket) if kind == TicketKind::AttachmentAdded => IncidentId::lane_of_files(&ticket.sys_id),
            Some(_) | None => self.claim.incident.clone(),
        };
        let now = self.now();
        outbox::Outbox { tenant: &self.claim.tenant, direction: Direction::ToService, lane, now }.callback(kind, event)
    }
}
