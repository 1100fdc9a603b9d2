//! A file of the managed service on its way to a ticket.
//!
//! It goes after everything else of its delivery is settled with the ticket: fetched, checked against the mapping and
//! the digest that the event names, looked for on the ticket if an earlier try may have left it there, and attached.
//! One that is refused, by the mapping, by its address or by the instance, is no loss: a note on the ticket says so.
//! Never: twice on the ticket; in memory. Fails: by giving the lane back.

use super::back::outbox::Outbox;
use super::journey::Journey;
use super::spool::{Spooled, refuses};
use super::stop::Stop;
use super::work::Work;
use crate::callback::client::Client;
use crate::callback::files::FileToFetch;
use crate::delivery::outcome::{Class, Outcome};
use crate::delivery::record::Direction;
use crate::domain::change::ChangeKind;
use crate::domain::incident::{Attachment, Visibility, Word};
use crate::domain::ticket::Ticket;
use crate::limits::{FILE_LEASE, FILE_TRIES_MAX};
use crate::mapping::AttachmentRule;
use crate::security::target::Extent;
use crate::servicenow::attachments::{FileToAttach, find_attached};
use crate::store::{Held, NewDelivery, Postponement, Settlement};

/// A file that stays where it is, and why.
struct Refused(String);

impl Journey<'_> {
    /// Attaches the file of a delivery that is settled otherwise, or notes on the ticket why not.
    pub(super) async fn with_file(&self, work: &Work, mut settlement: Settlement) -> Result<Settlement, Stop> {
        let (Some(attachment), Some(ticket)) = (&work.change.attachment, settlement.memory.ticket.clone()) else {
            return Ok(settlement);
        };
        let Some(rule) = self.bridge.mapping.attachments() else { return Ok(settlement) };
        let name = attachment.name.as_deref().unwrap_or("unnamed");
        match self.attach(work, attachment, rule, &ticket).await? {
            Ok(how) => how.clone_into(&mut settlement.ending.how),
            Err(Refused(why)) => {
                settlement.ending.left_out.push(format!("attachment: {name} was not copied: {why}"));
                settlement.follows.push(self.note(work, &format!("The file {name} was not copied: {why}.")));
            }
        }
        Ok(settlement)
    }

    async fn attach(
        &self,
        work: &Work,
        attachment: &Attachment,
        rule: &AttachmentRule,
        ticket: &Ticket,
    ) -> Result<Result<&'static str, Refused>, Stop> {
        if let Some(why) = rule.refuses(attachment) {
            return Ok(Err(Refused(why)));
        }
        if self.claim.attempts > FILE_TRIES_MAX {
            return Ok(Err(Refused("it could not be had, and other news of the incident waits behind it".to_owned())));
        }
        let (Some(callback), Some(files)) = (&self.bridge.callback, &self.bridge.files) else {
            return Ok(Err(Refused("files are copied for tenants with a `callback` only".to_owned())));
        };
        let Some(url) = &attachment.url else { return Ok(Err(Refused("the event has no address for it".to_owned()))) };
        let url = match files.egress.check(url, Extent::Path) {
            Ok(url) => url,
            Err(why) => return Ok(Err(Refused(format!("its address may not be called: {why}")))),
        };
        let spooled = Spooled::of(files, &self.claim.tenant, &work.delivery);
        let sha256 = attachment.sha256.as_deref().filter(|sha256| !sha256.is_empty());
        let wanted = FileToFetch { url: &url, into: spooled.path(), bytes_max: rule.bytes_max, sha256 };
        match self.fetch(callback, &wanted, attachment, rule).await? {
            Ok((bytes, sha256, media_type)) => {
                let name = attachment.name.as_deref().unwrap_or("unnamed");
                let media_type = attachment.media_type.clone().or(media_type).unwrap_or_default();
                let file = FileToAttach { name, media_type: &media_type, path: spooled.path(), bytes };
                self.upload(ticket, &file, &sha256).await
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn fetch(
        &self,
        callback: &Client,
        wanted: &FileToFetch<'_>,
        attachment: &Attachment,
        rule: &AttachmentRule,
    ) -> Result<Result<(u64, String, Option<String>), Refused>, Stop> {
        self.hold().await?;
        let permit = callback.permit(self.claim.attempts > 1).await;
        let permit = permit.map_err(|closed| Stop::wait_until(self.on_store(closed.until)))?;
        let come = match callback.fetch_file(permit, wanted).await {
            Ok(come) => come,
            Err(outcome) if outcome.class == Class::Refused => return Ok(Err(Refused(in_words(&outcome)))),
            Err(outcome) => return Err(self.file_waits(outcome)),
        };
        Ok(match refuses(rule, attachment, &come) {
            Some(why) => Err(Refused(why)),
            None => Ok((come.bytes, come.sha256, come.media_type)),
        })
    }

    async fn upload(
        &self,
        ticket: &Ticket,
        file: &FileToAttach<'_>,
        sha256: &str,
    ) -> Result<Result<&'static str, Refused>, Stop> {
        let client = &self.bridge.client;
        // An earlier try, or an earlier owner of the lane, may have attached it without hearing so.
        let permit = self.permit_to_read().await?;
        let there = client.attachments_of(permit, &ticket.table, &ticket.sys_id).await;
        let there = there.map_err(|outcome| self.read_failed(outcome))?;
        if find_attached(&there, file.name, sha256).is_some() {
            return Ok(Ok("attached_before"));
        }
        self.hold().await?;
        let permit = self.permit().await?;
        match client.upload_file(permit, (&ticket.table, &ticket.sys_id), file).await {
            Ok(_) => Ok(Ok("attached")),
            Err(outcome) => match outcome.class {
                Class::Refused | Class::RefusedPerhapsDone | Class::Missing => Ok(Err(Refused(in_words(&outcome)))),
                // It may still land: nobody looks before it has.
                Class::Unclear => Err(Stop::Postpone(Postponement {
                    at: self.now().plus(self.full_settle_time()),
                    counted: true,
                    not_processed: false,
                    attempt: Some(self.attempt(outcome, "look whether it is attached")),
                })),
                Class::Done
                | Class::NotProcessed
                | Class::Throttled
                | Class::Crowded
                | Class::Unauthorized
                | Class::Misconfigured
                | Class::Defect => Err(self.read_failed(outcome)),
            },
        }
    }

    /// Keeps the lane while a file is on its way, which may take longer than a lease.
    pub(super) async fn hold(&self) -> Result<(), Stop> {
        match self.store.renew(&self.claim.lease, FILE_LEASE).await? {
            Held::Yes(()) => Ok(()),
            Held::Lost => Err(Stop::Lost),
        }
    }

    /// The managed service does not give the file now. What was written to the ticket before is not in doubt.
    fn file_waits(&self, outcome: Outcome) -> Stop {
        match self.callback_failed(outcome) {
            Stop::Postpone(postponement) => Stop::Postpone(Postponement { not_processed: false, ..postponement }),
            stop => stop,
        }
    }

    /// A word on the ticket about a file that did not come, for those who work on it.
    fn note(&self, work: &Work, text: &str) -> NewDelivery {
        let internal = self.bridge.mapping.journal_of(Visibility::Internal).is_some();
        let visibility = if internal { Visibility::Internal } else { Visibility::Public };
        let (lane, now) = (self.claim.incident.clone(), self.now());
        let data = serde_json::json!({
            "incident": {"id": lane},
            "message": {"text": text, "visibility": visibility.as_str(), "author": {"party": "automation"}},
        });
        let id = format!("{}-not-copied", work.delivery);
        let outbox = Outbox { tenant: &self.claim.tenant, direction: Direction::ToServicenow, lane, now };
        outbox.follow(ChangeKind::MessageAdded.into(), &id, data.to_string())
    }
}

fn in_words(outcome: &Outcome) -> String {
    if outcome.detail.is_empty() { outcome.code.clone() } else { outcome.detail.clone() }
}
