//! A callback as it is stored and sent: one `CloudEvent` in structured mode, made once and never changed afterwards.
//!
//! Its id names what happened, not the try: the same comment has the same id whichever way it was noticed, after a
//! restart and after the loss of the store. `origin` and `cause` let the managed service break a loop at its side.
//! Never: sends. Fails: it cannot. Proved by: the tests here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delivery::kind::TicketKind;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;

/// What `origin` says on everything that comes from a ticket.
pub const ORIGIN: &str = "servicenow";

/// A callback as a `CloudEvent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    specversion: String,
    /// Names what happened; stable over retries, replicas and a lost store.
    pub id: String,
    /// Which tenant's instance it comes from.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The incident it concerns; absent for one that the managed service does not know yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened, RFC 3339, UTC.
    pub time: String,
    datacontenttype: String,
    /// Always [`ORIGIN`].
    pub origin: String,
    /// What led to it: the id of a webhook, of a sweep's sighting, or of the managed service's own event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What happened, in particular.
    pub data: Value,
}

impl Event {
    /// A callback about something that happened to a ticket.
    pub fn new(tenant: &TenantId, kind: TicketKind, id: impl Into<String>, at: Timestamp, data: Value) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: id.into(),
            source: format!("/tenants/{tenant}/servicenow"),
            kind: kind.as_str().to_owned(),
            subject: None,
            time: at.to_string(),
            datacontenttype: "application/json".to_owned(),
            origin: ORIGIN.to_owned(),
            cause: None,
            data,
        }
    }

    /// The incident it concerns.
    #[must_use]
    pub fn about(mut self, incident: impl Into<String>) -> Self {
        self.subject = Some(incident.into());
        self
    }

    /// What led to it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_callback_is_a_cloud_event_that_says_where_it_comes_from() {
        let tenant = TenantId::parse("contoso").unwrap();
        let event = Event::new(&tenant, TicketKind::Changed, "a.7", Timestamp::EPOCH, json!({"changes": {}}));
        let said = serde_json::to_value(event.about("MTR-1").caused_by("w-1")).unwrap();
        assert_eq!(
            said,
            json!({"specversion": "1.0", "id": "a.7", "source": "/tenants/contoso/servicenow", "type": "ticket.changed",
              "subject": "MTR-1", "time": "1970-01-01T00:00:00.000Z", "datacontenttype": "application/json",
              "origin": "servicenow", "cause": "w-1", "data": {"changes": {}}})
        );
    }
}
