//! A file of a ticket on its way to the managed service.
//!
//! Fetched from the instance, checked against the mapping and the digest that the instance names, and sent as the
//! content of its event, in a lane of its ticket's files, so that no comment waits for it. One that is refused is no
//! loss: the event then says why.
//! Never: in memory; without the mapping's word. Fails: by giving the lane back. Proved by: `tests/it/back/files.rs`.

use super::super::files::{in_words, is_final};
use super::super::journey::Journey;
use super::super::spool::{Spooled, plain_name, refuses};
use super::super::stop::Stop;
use crate::callback::client::Client;
use crate::callback::event::Event;
use crate::callback::files::FileToSend;
use crate::domain::id::SysId;
use crate::domain::incident::Attachment;
use crate::limits::FILE_REST;
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
        let said: Attachment = event
            .data
            .get("attachment")
            .and_then(|said| serde_json::from_value(said.clone()).ok())
            .ok_or_else(|| Stop::unreadable("the file is not described"))?;
        let Ok(_turn) = self.bridge.files_at_once.try_acquire() else {
            return Err(Stop::wait_until(self.now().plus(FILE_REST)));
        };
        let spooled = Spooled::of(files, &self.claim.tenant, &waiting.id);
        let permit = self.permit_to_read().await?;
        let download = self.bridge.client.download_file(permit, key, spooled.path(), rule.bytes_max);
        let come = match self.held(download).await? {
            Ok(come) => come,
            Err(outcome) if is_final(&outcome) => {
                return self.tell_refused(waiting, callback, event, &in_words(&outcome)).await;
            }
            Err(outcome) => return Err(self.read_failed(outcome)),
        };
        let differs = said.sha256.as_deref().is_some_and(|hash| !hash.eq_ignore_ascii_case(&come.sha256));
        let differs = differs.then(|| "its content is not the one that the instance lists".to_owned());
        if let Some(why) = differs.or_else(|| refuses(rule, &said, &come)) {
            return self.tell_refused(waiting, callback, event, &why).await;
        }
        let name = plain_name(said.name.as_deref());
        let ticket = |field: &str| event.data.pointer(&format!("/ticket/{field}")).and_then(|text| text.as_str());
        let attributes = [
            ("attachmentid", key.as_str()),
            ("attachmentname", &name),
            ("attachmentsha256", come.sha256.as_str()),
            ("ticketid", ticket("sys_id").unwrap_or_default()),
            ("ticketnumber", ticket("number").unwrap_or_default()),
        ];
        let media_type = said.media_type.as_deref().or(come.media_type.as_deref()).unwrap_or_default();
        let file = FileToSend { path: spooled.path(), bytes: come.bytes, media_type, attributes: &attributes };
        let permit = self.permit_to_tell(callback).await?;
        match self.held(callback.send_file(permit, event, &file)).await? {
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
        let permit = self.permit_to_tell(callback).await?;
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
