//! Files on their way back.
use super::super::journey::Journey;
use super::super::stop::Stop;
use crate::callback::client::Client;
use crate::callback::event::Event;
use crate::domain::id::SysId;
use crate::store::{Settlement, Waiting};
impl Journey<'_> {
    pub(super) async fn pass_on(
        &self,
        waiting: &Waiting,
        _callback: &Client,
        _event: &Event,
        _key: &SysId,
    ) -> Result<Settlement, Stop> {
        Ok(self.told(waiting, "not_yet"))
    }
}
