//! A file of a ticket on its way to the managed service.
//!
//! Fetched from the instance, checked against the mapping, and sent as the content of its event. One that is refused is
//! no loss: the event then says why. Never: in memory; without the mapping's word. Fails: by giving the lane back.

use super::super::journey::Journey;
use super::super::spool::{Spooled, refuses};
use super::super::stop::Stop;
use crate::callback::client::Client;
use crate::callback::event::Event;
use crate::callback::files::FileToSend;
use crate::delivery::outcome::Class;
use crate::domain::id::SysId;
use crate::domain::incident::Attachment;
use crate::limits::FILE_TRIES_MAX;
use crate::store::{Settlement, Waiting};

impl Journey<'_> {
    /// Sends the file of an event on, or the event with the reason why not.
    pub(super) async fn pass_on(
        &self,
        waiting: &Waiting,
        callback: &Client,
        event: &Event,
        key: &SysId,
    ) -> Result<Settlement, Stop> {
        let (Some(files), Some(rule)) = (&self.bridge.files, self.bridge.mapping.attachments_back()) else {
            return self.tell_refused(waiting, callback, event, "the mapping lists no files any more").await;
        };
        if self.claim.attempts > FILE_TRIES_MAX {
            let why = "it could not be passed on, and other news of the ticket waits behind it";
            return self.tell_refused(waiting, callback, event, why).await;
        }
        let said: Attachment = event
            .data
            .get("attachment")
            .and_then(|said| serde_json::from_value(said.clone()).ok())
            .ok_or_else(|| Stop::unreadable("the file is not described"))?;
        let spooled = Spooled::of(files, &self.claim.tenant, &waiting.id);
        self.hold().await?;
        let permit = self.permit_to_read().await?;
        let come = match self.bridge.client.download_file(permit, key, spooled.path(), rule.bytes_max).await {
            Ok(come) => come,
            Err(outcome) if matches!(outcome.class, Class::Missing | Class::Refused) => {
                let why = if outcome.detail.is_empty() { &outcome.code } else { &outcome.detail };
                return self.tell_refused(waiting, callback, event, why).await;
            }
            Err(outcome) => return Err(self.read_failed(outcome)),
        };
        if let Some(why) = refuses(rule, &said, &come) {
            return self.tell_refused(waiting, callback, event, &why).await;
        }
        self.hold().await?;
        let ticket = |field: &str| event.data.pointer(&format!("/ticket/{field}")).and_then(|text| text.as_str());
        let attributes = [
            ("attachmentid", key.as_str()),
            ("attachmentname", said.name.as_deref().unwrap_or("unnamed")),
            ("attachmentsha256", come.sha256.as_str()),
            ("ticketid", ticket("sys_id").unwrap_or_default()),
            ("ticketnumber", ticket("number").unwrap_or_default()),
        ];
        let media_type = said.media_type.as_deref().or(come.media_type.as_deref()).unwrap_or_default();
        let file = FileToSend { path: spooled.path(), bytes: come.bytes, media_type, attributes: &attributes };
        let permit = callback.permit(self.claim.attempts > 1).await;
        let permit = permit.map_err(|closed| Stop::wait_until(self.on_store(closed.until)))?;
        match callback.send_file(permit, event, &file).await {
            Ok(_) => Ok(self.told(waiting, "told")),
            Err(outcome) => Err(self.callback_failed(outcome)),
        }
    }

    async fn tell_refused(
        &self,
        waiting: &Waiting,
        callback: &Client,
        event: &Event,
        why: &str,
    ) -> Result<Settlement, Stop> {
        let mut event = event.clone();
        if let Some(data) = event.data.as_object_mut() {
            data.insert("refused".to_owned(), why.into());
        }
        let body = serde_json::to_vec(&event).map_err(|error| Stop::unreadable(&error.to_string()))?;
        let permit = callback.permit(self.claim.attempts > 1).await;
        let permit = permit.map_err(|closed| Stop::wait_until(self.on_store(closed.until)))?;
        match callback.send(permit, &body, &event.id).await {
            Ok(_) => {
                let mut settlement = self.told(waiting, "told");
                settlement.ending.left_out.push(format!("attachment: not copied: {why}"));
                Ok(settlement)
            }
            Err(outcome) => Err(self.callback_failed(outcome)),
        }
    }
}
