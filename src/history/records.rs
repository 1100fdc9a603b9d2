//! What senders hold and what the gateway has on record, as exports and tests tell it.
//!
//! Owns: the shape of both. Never: keeps a body. Fails: with serde's words, for a line that is neither.
//! Proved by: `tests`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delivery::kind::Kind;
use crate::delivery::record::{Delivery, Direction, Ending, State};
use crate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use crate::domain::time::Timestamp;

/// How sure a sender is that its event was accepted (Jepsen's `ok`, `info` and `fail`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It was refused by an answer that says so: it must not be there.
    Refused,
    /// No answer came, or one that leaves it open: it may be there or not.
    Unclear,
    /// There is a receipt: it must be there.
    Stored,
}

/// What a sender knows of one of its events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Whose.
    pub tenant: TenantId,
    /// The incident, as sent.
    pub incident: IncidentId,
    /// The event's `source` …
    pub source: String,
    /// … and `id`.
    pub event: String,
    /// How sure it is.
    pub certainty: Certainty,
    /// The delivery that its receipt names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
}

impl Receipt {
    /// The key under which the gateway knows the event; `None` if no gateway can have accepted it.
    pub(super) fn key(&self) -> Option<EventKey> {
        EventKey::new(&self.source, &self.event).ok()
    }
}

/// A delivery as the admin API shows it, and the store keeps it.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// Names it.
    pub id: DeliveryId,
    /// Whose.
    pub tenant: TenantId,
    /// Which way it goes.
    pub direction: Direction,
    /// Its lane.
    pub incident: IncidentId,
    /// Its place there.
    pub sequence: u64,
    /// The event.
    pub event: EventKey,
    /// What happened.
    pub kind: Kind,
    /// Where it is.
    pub state: State,
    /// When it was committed.
    pub accepted_at: Timestamp,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default)]
    pub ending: Option<Ending>,
    /// What was accepted; only its text and its episode are looked at.
    #[serde(default)]
    pub body: Value,
}

impl From<&Delivery> for Recorded {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id.clone(),
            tenant: delivery.tenant.clone(),
            direction: delivery.direction,
            incident: delivery.incident.clone(),
            sequence: delivery.sequence,
            event: delivery.event.clone(),
            kind: delivery.kind,
            state: delivery.state,
            accepted_at: delivery.accepted_at,
            ended_at: delivery.ended_at,
            ending: delivery.ending.clone(),
            body: serde_json::from_str(delivery.body.get()).unwrap_or_default(),
        }
    }
}
