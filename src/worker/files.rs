//! A file of the managed service on its way to a ticket.
//!
//! The event that names it is settled without it; the file is a delivery of its own, in a lane of its ticket's files, so
//! that no word of the incident waits for it. It is fetched, checked against the mapping and the digest that the event
//! names, looked for on the ticket, and attached. One that is refused, by the mapping, by its address or by the
//! instance, is no loss: a note on the ticket says so.
//!
//! Never: twice on the ticket, whatever was repeated, replayed or lost; in memory. What was uploaded without a clear
//! answer is looked for when it must have landed, if it ever does.
//! Fails: by giving the lane back. Proved by: `tests/it/back/files.rs`.

use serde::{Deserialize, Serialize};

use super::back::outbox::Outbox;
use super::journey::Journey;
use super::spool::{Spooled, plain_name, refuses};
use super::stop::{Head, Stop};
use super::work::Work;
use crate::callback::client::Client;
use crate::callback::files::FileToFetch;
use crate::delivery::kind::TicketKind;
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::{Direction, Ending};
use crate::delivery::verdict;
use crate::domain::change::ChangeKind;
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::incident::{Attachment, Visibility, Word};
use crate::domain::ticket::Ticket;
use crate::limits::{ATTEMPTS_MAX, FILE_REST, FILE_TIMEOUT, LEASE};
use crate::mapping::AttachmentRule;
use crate::runtime::failpoint;
use crate::security::target::Extent;
use crate::servicenow::attachments::{FileToAttach, find_attached};
use crate::store::{Held, NewDelivery, Postponement, Settlement, StoreError, Waiting};

/// The body of a `ticket.attach`: a file, and where it belongs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) ticket: Ticket,
    pub(super) incident: IncidentId,
    pub(super) episode: u32,
    attachment: Attachment,
}

impl Errand {
    /// Which file it is, for whoever sent it.
    pub(super) fn named(&self) -> serde_json::Value {
        serde_json::json!({"id": self.attachment.id, "name": self.attachment.name})
    }
}

/// A file that stays where it is, and why.
struct Refused(String);

/// A file that lies here, checked.
struct Fetched {
    bytes: u64,
    sha256: String,
    media_type: String,
}

impl Journey<'_> {
    /// Sends for the file of a change that is settled otherwise, or notes on the ticket why not.
    pub(super) fn send_for_file(&self, work: &Work, attachment: &Attachment, settlement: &mut Settlement) {
        let Some(rule) = self.bridge.mapping.attachments() else { return };
        let name = plain_name(attachment.name.as_deref());
        let left_out = &mut settlement.ending.left_out;
        // The draft says why a file is refused, but not which.
        left_out.retain(|line| !line.starts_with("attachment: "));
        let Some(ticket) = settlement.memory.ticket.clone() else {
            left_out.push(format!("attachment: {name} was not copied: the incident has no ticket"));
            return;
        };
        if let Some(why) = rule.refuses(attachment) {
            left_out.push(format!("attachment: {name} was not copied: {why}"));
            settlement.follows.push(self.note(&self.claim.incident, &work.delivery, &name, &why));
            return;
        }
        let lane = IncidentId::lane_of_files(&ticket.sys_id);
        let (incident, episode) = (self.claim.incident.clone(), work.subject.episode);
        let errand = Errand { ticket, incident, episode, attachment: attachment.clone() };
        let body = serde_json::to_string(&errand).expect("texts and numbers always serialise into memory");
        let outbox = Outbox { tenant: &self.claim.tenant, direction: Direction::ToServicenow, lane, now: self.now() };
        let errand = outbox.follow(TicketKind::Attach.into(), work.delivery.to_string().as_str(), body);
        left_out.push(format!("attachment: {name} follows as delivery {}", errand.id));
        settlement.follows.push(errand);
    }

    /// Attaches a file that was sent for.
    pub(super) async fn run_errand(&self, first: &Waiting) -> Result<(), StoreError> {
        let head =
            Head { delivery: first.id.clone(), upto: first.sequence, blocks: false, memory: self.claim.memory.clone() };
        let ended = match serde_json::from_str::<Errand>(&first.body) {
            Ok(errand) => Box::pin(self.carry(first, &errand)).await,
            Err(error) => Err(Stop::unreadable(&error.to_string())),
        };
        Box::pin(self.conclude(first, head, ended)).await
    }

    async fn carry(&self, first: &Waiting, errand: &Errand) -> Result<Settlement, Stop> {
        if let Some(since) = first.sending_since {
            // Its owner died at it: the whole of it may have left, and land as late as any write.
            let settled_at = since.plus(FILE_TIMEOUT).plus(self.full_settle_time());
            if self.now() < settled_at {
                return Err(Stop::wait_until(settled_at));
            }
        }
        // A few at once, so that the tenant's other lanes stay free.
        let Ok(_turn) = self.bridge.files_at_once.try_acquire() else {
            return Err(Stop::wait_until(self.now().plus(FILE_REST)));
        };
        let mut ending = Ending { ticket: Some(errand.ticket.clone()), ..Ending::default() };
        let mut follows = Vec::new();
        let name = plain_name(errand.attachment.name.as_deref());
        match self.attach(first, errand, &name).await? {
            Ok(how) => how.clone_into(&mut ending.how),
            Err(Refused(why)) => {
                "refused".clone_into(&mut ending.how);
                ending.left_out.push(format!("attachment: {name} was not copied: {why}"));
                follows.push(self.note(&errand.incident, &first.id, &name, &why));
            }
        }
        Ok(Settlement { follows, ..Settlement::delivered(first.sequence, ending, self.claim.memory.clone()) })
    }

    async fn attach(
        &self,
        first: &Waiting,
        errand: &Errand,
        name: &str,
    ) -> Result<Result<&'static str, Refused>, Stop> {
        let (attachment, ticket) = (&errand.attachment, &errand.ticket);
        let refused = |why: String| Err(Refused(why));
        let Some(rule) = self.bridge.mapping.attachments() else {
            return Ok(refused("the mapping copies no attachments any more".to_owned()));
        };
        let (Some(callback), Some(files)) = (&self.bridge.callback, &self.bridge.files) else {
            return Ok(refused("files are copied for tenants with a `callback` only".to_owned()));
        };
        let Some(url) = &attachment.url else { return Ok(refused("the event has no address for it".to_owned())) };
        let url = match files.egress.check(url, Extent::Path) {
            Ok(url) => url,
            Err(why) => return Ok(refused(format!("its address may not be called: {why}"))),
        };
        let spooled = Spooled::of(files, &self.claim.tenant, &first.id);
        let sha256 = attachment.sha256.as_deref().filter(|sha256| !sha256.is_empty());
        let way = files.ways.to(&url);
        let wanted = FileToFetch { url: &url, way: &way, into: spooled.path(), bytes_max: rule.bytes_max, sha256 };
        let come = match self.fetch(callback, &wanted, attachment, rule).await? {
            Ok(come) => come,
            Err(refused) => return Ok(Err(refused)),
        };
        match self.is_there(ticket, name, &come.sha256).await? {
            Ok(true) => return Ok(Ok("attached_before")),
            Ok(false) => {}
            Err(refused) => return Ok(Err(refused)),
        }
        let file = FileToAttach { name, media_type: &come.media_type, path: spooled.path(), bytes: come.bytes };
        self.upload(first, ticket, &file, &come.sha256).await
    }

    async fn fetch(
        &self,
        callback: &Client,
        wanted: &FileToFetch<'_>,
        attachment: &Attachment,
        rule: &AttachmentRule,
    ) -> Result<Result<Fetched, Refused>, Stop> {
        let permit = self.permit_to_tell(callback).await?;
        let come = match self.held(callback.fetch_file(permit, wanted)).await? {
            Ok(come) => come,
            Err(outcome) if outcome.class == Class::Refused => return Ok(Err(Refused(in_words(&outcome)))),
            Err(outcome) => return Err(self.callback_failed(outcome)),
        };
        Ok(match refuses(rule, attachment, &come) {
            Some(why) => Err(Refused(why)),
            None => Ok(Fetched {
                bytes: come.bytes,
                media_type: attachment.media_type.clone().or(come.media_type).unwrap_or_default(),
                sha256: come.sha256,
            }),
        })
    }

    /// Whether the ticket has this file already: by an earlier try, an earlier owner of the lane, or another event.
    async fn is_there(&self, ticket: &Ticket, name: &str, sha256: &str) -> Result<Result<bool, Refused>, Stop> {
        let permit = self.permit_to_read().await?;
        match self.bridge.client.attachments_of(permit, &ticket.table, &ticket.sys_id).await {
            Ok(there) => Ok(Ok(find_attached(&there, name, sha256).is_some())),
            // Without a look nobody knows whether it is there; a person who reads the note does.
            Err(outcome) if is_final(&outcome) => {
                Ok(Err(Refused(format!("the ticket's files cannot be listed: {}", in_words(&outcome)))))
            }
            Err(outcome) => Err(self.read_failed(outcome)),
        }
    }

    async fn upload(
        &self,
        first: &Waiting,
        ticket: &Ticket,
        file: &FileToAttach<'_>,
        sha256: &str,
    ) -> Result<Result<&'static str, Refused>, Stop> {
        let (permit, _) = self.intend_upto(first.sequence).await?;
        let upload = self.bridge.client.upload_file(permit, (&ticket.table, &ticket.sys_id), file);
        match self.held(upload).await? {
            Ok(_) => Ok(Ok("attached")),
            // What was refused may have happened all the same.
            Err(outcome) if outcome.class == Class::RefusedPerhapsDone => {
                let there = self.is_there(ticket, file.name, sha256).await?;
                Ok(if let Ok(true) = there { Ok("attached") } else { Err(Refused(in_words(&outcome))) })
            }
            Err(outcome) if is_final(&outcome) => Ok(Err(Refused(in_words(&outcome)))),
            Err(outcome) if outcome.class == Class::Unclear => Err(self.look_for_it_later(outcome)),
            Err(outcome) => Err(surely_not_done(self.read_failed(outcome))),
        }
    }

    /// An upload without a clear answer is looked for when it can land no more.
    fn look_for_it_later(&self, outcome: Outcome) -> Stop {
        if self.claim.attempts >= ATTEMPTS_MAX {
            return self.read_failed(outcome);
        }
        let outcome = self.in_store_time(outcome);
        let own = self.now().plus(self.full_settle_time().max(verdict::retry_wait(self.claim.attempts, 0.0)));
        let at = outcome.not_before.map_or(own, |given| own.max(given));
        let counted = self.bridge.client.standing().breaker == "closed";
        let attempt = Some(self.attempt(outcome, &format!("look for it at {at}")));
        // By then it is settled, so nothing of this try is left to wait for.
        Stop::Postpone(Postponement { at, counted, not_processed: true, attempt })
    }

    /// Makes a call with a file, and keeps the lane meanwhile: a refused token makes two calls of one, and two may
    /// take longer than a lease.
    pub(super) async fn held<T>(&self, call: impl Future<Output = T>) -> Result<T, Stop> {
        let mut call = std::pin::pin!(call);
        loop {
            self.hold().await?;
            tokio::select! {
                done = &mut call => return Ok(done),
                () = tokio::time::sleep(failpoint::lease(LEASE) / 2) => {}
            }
        }
    }

    async fn hold(&self) -> Result<(), Stop> {
        match self.store.renew(&self.claim.lease, failpoint::lease(LEASE)).await? {
            Held::Yes(()) => Ok(()),
            Held::Lost => Err(Stop::Lost),
        }
    }

    /// A word on the ticket about a file that did not come, for those who work on it.
    fn note(&self, lane: &IncidentId, delivery: &DeliveryId, name: &str, why: &str) -> NewDelivery {
        let internal = self.bridge.mapping.journal_of(Visibility::Internal).is_some();
        let visibility = if internal { Visibility::Internal } else { Visibility::Public };
        let data = serde_json::json!({
            "incident": {"id": lane},
            "message": {
                "text": format!("The file {name} was not copied: {why}."),
                "visibility": visibility.as_str(),
                "author": {"party": "automation"},
            },
        });
        let (lane, now) = (lane.clone(), self.now());
        let outbox = Outbox { tenant: &self.claim.tenant, direction: Direction::ToServicenow, lane, now };
        outbox.follow(ChangeKind::MessageAdded.into(), &format!("{delivery}-not-copied"), data.to_string())
    }
}

/// Whether a file will fare no better next time. What one user may not do with files is no reason to stop the tenant;
/// what stands in front of the whole instance is.
pub(super) fn is_final(outcome: &Outcome) -> bool {
    match outcome.class {
        Class::Refused | Class::RefusedPerhapsDone | Class::Missing | Class::Defect => true,
        Class::Misconfigured => matches!(outcome.code.as_str(), "http_403_api_acl" | "http_403_query"),
        Class::Done
        | Class::NotProcessed
        | Class::Unclear
        | Class::Throttled
        | Class::Crowded
        | Class::Unauthorized => false,
    }
}

/// A failure that proves that nothing was attached: there is no earlier byte to wait for.
fn surely_not_done(stop: Stop) -> Stop {
    match stop {
        Stop::Postpone(postponement) => Stop::Postpone(Postponement { not_processed: true, ..postponement }),
        Stop::Pause(pause, postponement) => Stop::Pause(pause, Postponement { not_processed: true, ..postponement }),
        stop => stop,
    }
}

pub(super) fn in_words(outcome: &Outcome) -> String {
    if outcome.detail.is_empty() { outcome.code.clone() } else { outcome.detail.clone() }
}
