//! A delivery: an accepted change on its way to the other side, and the states it passes through.

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::outcome::Outcome;
use crate::domain::change::ChangeKind;
use crate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use crate::domain::ticket::Ticket;
use crate::domain::time::Timestamp;

/// Which way a change travels. Both directions share lanes, retries, parking and replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the managed service to the customer's ServiceNow.
    ToServicenow,
    /// From ServiceNow to the managed service.
    ToService,
}

impl Direction {
    /// The word used in lists and as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToServicenow => "to_servicenow",
            Self::ToService => "to_service",
        }
    }
}

/// Which lanes go first when several are due: lower is sooner (`facts/reliability.md` 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// New incidents, escalations and changes of state.
    High,
    /// Field updates and messages.
    Normal,
    /// Attachments and what a sweep found.
    Low,
}

impl Urgency {
    /// All of them, most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The number stored beside a lane; lower goes first.
    pub const fn rank(self) -> i64 {
        match self {
            Self::High => 1,
            Self::Normal => 5,
            Self::Low => 7,
        }
    }

    /// The urgency of a kind of change.
    pub const fn of(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Opened
            | ChangeKind::Escalated
            | ChangeKind::Resolved
            | ChangeKind::Reopened
            | ChangeKind::Closed
            | ChangeKind::Cancelled => Self::High,
            ChangeKind::Updated | ChangeKind::MessageAdded => Self::Normal,
            ChangeKind::AttachmentAdded => Self::Low,
        }
    }
}

/// Where a delivery is. Only the last four are ends; nothing expires silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted, on disk, not yet sent (or surely not processed by the peer).
    Waiting,
    /// Sending was begun: until its end is recorded, the peer may or may not have applied it.
    Sending,
    /// Applied at the other side.
    Delivered,
    /// Folded into a later update of the same ticket, which the record names.
    Superseded,
    /// Needs a person: the record says why and what to do.
    Parked,
    /// Given up by a person.
    Dropped,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Sending, Self::Delivered, Self::Superseded, Self::Parked, Self::Dropped];

    /// The word used in answers, SQL, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Superseded => "superseded",
            Self::Parked => "parked",
            Self::Dropped => "dropped",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more happens to it without a person.
    pub const fn is_end(self) -> bool {
        match self {
            Self::Waiting | Self::Sending => false,
            Self::Delivered | Self::Superseded | Self::Parked | Self::Dropped => true,
        }
    }
}

/// A field that ServiceNow stored otherwise than asked (it answers 200 and keeps silent about it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The column.
    pub field: String,
    /// What we sent.
    pub asked: String,
    /// What came back; `None` if the column did not come back at all.
    pub stored: Option<String>,
    /// The likely reason, in words.
    pub reason: String,
}

/// Why a delivery waits for a person, whose fault it is, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parking {
    /// A stable code such as `mapping_missing_value`.
    pub code: String,
    /// What happened, in words.
    pub reason: String,
    /// Whose turn it is.
    pub owner: Owner,
    /// What that person does next.
    pub next_step: String,
    /// Whether the deliveries behind it wait too (`on_parked: park`) or went on (`skip`).
    pub blocks: bool,
}

/// Whose turn it is to act on a parked delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The sender of the event.
    Sender,
    /// Whoever keeps the mapping file.
    Mapping,
    /// The customer's ServiceNow administrator.
    Instance,
    /// Whoever runs this gateway.
    Operator,
}

/// What is recorded when a delivery ends, and shown on its page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The ticket it ended at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// What ServiceNow stored otherwise than asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What the mapping left out on purpose, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How it was found to be done, such as `created`, `updated`, `adopted`, `already_applied`, `nothing_to_write`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// Why a person is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parking: Option<Parking>,
    /// The delivery that replaced this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<DeliveryId>,
}

/// One try and what came of it; the last few are kept with the delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the outcome was known.
    pub at: Timestamp,
    /// What the peer answered, classified.
    pub outcome: Outcome,
    /// What we decided next, in words.
    pub next: String,
}

/// A delivery as its page shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The receipt's id.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which way it travels.
    pub direction: Direction,
    /// The lane it waits in.
    pub incident: IncidentId,
    /// Its place in the lane, from 1, dense.
    pub sequence: u64,
    /// What makes a repeat recognisable.
    pub event: EventKey,
    /// What happened.
    pub kind: Kind,
    /// Where it is.
    pub state: State,
    /// When it was committed.
    pub accepted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// The last tries, oldest first.
    pub attempts: Vec<Attempt>,
    /// When its lane is looked at next; `None` when nothing will happen by itself.
    pub due: Option<Timestamp>,
    /// The `data` of the event, as accepted.
    pub body: Box<serde_json::value::RawValue>,
}
