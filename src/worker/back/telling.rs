//! Sends one callback and decides what its answer means.
//!
//! The managed service dedupes by id, so nothing is ever unclear: what may have been taken is sent again, under the same
//! id. A callback that it refuses is parked, and those behind it go on. An answer to `ticket.opened` names the incident
//! that the customer's ticket became: from then on the two are linked.
//! Never: pauses the tenant, whose deliveries to ServiceNow go on. Fails: by giving the lane back.

use super::super::journey::Journey;
use super::super::stop::Stop;
use super::outbox;
use super::reading::AFTER_OPENING;
use crate::callback::classify::Answered;
use crate::callback::event::Event;
use crate::delivery::kind::TicketKind;
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::{Ending, Owner};
use crate::delivery::verdict::{self, Verdict};
use crate::domain::id::SysId;
use crate::domain::sighting::Sighting;
use crate::domain::ticket::{Link, Ticket};
use crate::limits::LEASE;
use crate::runtime::failpoint;
use crate::store::{Held, Postponement, Settlement, Waiting};

/// What says that not a byte of a call left us (`peer::fault`).
const UNSENT: [&str; 7] = [
    "dns_failed",
    "connect_failed",
    "address_forbidden",
    "tls_broken",
    "timeout_before_sending",
    "connection_lost_before_sending",
    "egress_proxy_failed",
];

impl Journey<'_> {
    /// Sends the callback at the head of the lane.
    pub(super) async fn tell(&mut self, waiting: &Waiting, kind: TicketKind) -> Result<Settlement, Stop> {
        let event: Event = serde_json::from_str(&waiting.body).map_err(|error| Stop::unreadable(&error.to_string()))?;
        let Some(callback) = &self.bridge.callback else {
            return Ok(self.told(waiting, "no_callback"));
        };
        if kind == TicketKind::AttachmentAdded && event.data.get("refused").is_none() {
            return self.tell_file(waiting, callback, &event).await;
        }
        let permit = self.permit_to_tell(callback).await?;
        if kind == TicketKind::Opened {
            // Whoever creates tickets for this tenant waits for the answer: it may name the incident of this one.
            match self.store.intend(&self.claim.lease, waiting.sequence, failpoint::lease(LEASE)).await? {
                Held::Yes(_) => {}
                Held::Lost => return Err(Stop::Lost),
            }
        }
        match callback.send(permit, waiting.body.as_bytes(), &event.id).await {
            Ok(answered) if kind == TicketKind::Opened => Ok(self.opened(waiting, &event, &answered)),
            Ok(_) => Ok(self.told(waiting, "told")),
            Err(outcome) => Err(self.callback_failed(outcome)),
        }
    }

    pub(super) fn told(&self, waiting: &Waiting, how: &str) -> Settlement {
        let memory = self.claim.memory.clone();
        let ending = Ending { ticket: memory.ticket.clone(), how: how.to_owned(), ..Ending::default() };
        Settlement::delivered(waiting.sequence, ending, memory)
    }

    /// The managed service took a customer's ticket; if it says as which incident, both are linked from here on.
    fn opened(&self, waiting: &Waiting, event: &Event, answered: &Answered) -> Settlement {
        let mut settlement = self.told(waiting, "told");
        let ticket = event.data.get("ticket").and_then(|ticket| serde_json::from_value::<Ticket>(ticket.clone()).ok());
        let (Some(incident), Some(ticket)) = (answered.incident.clone(), ticket) else {
            settlement.ending.left_out.push("the answer names no incident: the ticket stays unlinked".to_owned());
            return settlement;
        };
        let again = format!("{}-after-opening", ticket.sys_id);
        let event = Some(AFTER_OPENING.to_owned());
        let sighting = Sighting { event, ..Sighting::hint(ticket.sys_id.clone()) };
        let link = Link { ticket, incident, episode: 1 };
        let (tenant, now) = (&self.claim.tenant, self.now());
        // What was said on the ticket while nobody knew whose it was is found by looking again.
        settlement.follows =
            vec![outbox::adoption(tenant, &link, now), outbox::look_again(tenant, &sighting, &again, now)];
        settlement.memory.ticket = Some(link.ticket.clone());
        settlement.ending.ticket = Some(link.ticket.clone());
        settlement.link = Some(link);
        settlement
    }

    /// A file on its way: fetched from the instance, then sent on, both as streams.
    async fn tell_file(
        &self,
        waiting: &Waiting,
        callback: &crate::callback::client::Client,
        event: &Event,
    ) -> Result<Settlement, Stop> {
        let attachment = event.data.get("attachment").and_then(|attachment| attachment.get("id"));
        let key = attachment.and_then(|id| id.as_str()).and_then(|id| SysId::parse(id).ok());
        let Some(key) = key else { return Err(Stop::unreadable("the file has no key")) };
        self.pass_on(waiting, callback, event, &key).await
    }

    /// What a callback's failure means for the lane.
    pub(in crate::worker) fn callback_failed(&self, outcome: Outcome) -> Stop {
        let class = match outcome.class {
            Class::Unclear | Class::Missing | Class::RefusedPerhapsDone => Class::NotProcessed,
            class => class,
        };
        let unanswered = outcome.status.is_none() && !UNSENT.contains(&outcome.code.as_str());
        // What an earlier try may have done, this answer does not undo.
        let may_be_taken = unanswered || self.claim.waiting.first().is_some_and(|head| head.sending_since.is_some());
        let outcome = self.in_store_time(Outcome { class, ..outcome });
        let situation = self.situation(false, self.now());
        let again = |at, counted, outcome: Outcome, next: String| {
            Stop::Postpone(Postponement {
                at,
                counted,
                // An opening that may have been taken is an incident already: whoever writes about it waits for its name.
                not_processed: !may_be_taken,
                attempt: Some(self.attempt(outcome, &next)),
            })
        };
        match verdict::decide(&situation, &outcome) {
            Verdict::SendAgain { at, counted } => {
                let well = self.bridge.callback.as_ref().is_none_or(|callback| callback.standing().breaker == "closed");
                again(at, counted && well, outcome, format!("send again at {at}"))
            }
            Verdict::PauseTenant { until } => {
                again(until, false, outcome, format!("this callback waits until {until}"))
            }
            Verdict::Park { .. } => Stop::Park {
                code: outcome.code.clone(),
                reason: outcome.detail.clone(),
                owner: Owner::Sender,
                next_step: "the managed service refuses this callback: mend its receiver, then replay".to_owned(),
                outcome: Some(outcome),
            },
            Verdict::Finish | Verdict::LookAt { .. } | Verdict::LookNow => {
                let at = self.now().plus(verdict::retry_wait(self.claim.attempts, situation.luck));
                again(at, true, outcome, format!("send again at {at}"))
            }
        }
    }
}
