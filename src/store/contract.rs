//! What every engine takes and gives: the vocabulary of the store's contract, without an engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::life_cycle::{Check, Release};
use crate::delivery::kind::Kind;
use crate::delivery::lane::LaneMemory;
use crate::delivery::record::{Attempt, Delivery, Direction, Ending, State, Urgency};
use crate::domain::id::{DeliveryId, EventKey, IncidentId, SysId, TenantId};
use crate::domain::ticket::Link;
use crate::domain::time::Timestamp;

/// The `source` of deliveries that a replay appended; no sender may use it.
pub const REPLAY_SOURCE: &str = "snowgate:replay";

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was stored; the caller may try again after a moment.
    #[error("the store cannot take work just now: {0}")]
    Unavailable(String),
    /// The database says something that the code holds impossible.
    #[error("the store's content is damaged: {0}")]
    Damaged(String),
    /// The store could not be opened or is not safe to use; says why and what to do.
    #[error("the store cannot be opened: {0}")]
    Refused(String),
}

/// A change to be accepted.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// The id its receipt will carry.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which way it travels.
    pub direction: Direction,
    /// Its lane.
    pub incident: IncidentId,
    /// What makes a repeat recognisable, unique per tenant.
    pub event: EventKey,
    /// What happened.
    pub kind: Kind,
    /// The `data` of the event: JSON text, as sent.
    pub body: Arc<str>,
    /// SHA-256 over kind and body: a repeat with another body is a conflict.
    pub body_hash: [u8; 32],
    /// Whether its sender says that a callback of ours caused it: recorded, never sent back.
    pub is_echo: bool,
}

/// How one change of an `accept` stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored; this is its receipt.
    Stored(Receipt),
    /// The same event was accepted before; the same receipt as then.
    Repeat(Receipt),
    /// The same event id was accepted before with another body. Nothing of this call was stored. (Sequence 0: the
    /// other one stands in the same call.)
    Conflict(Receipt),
    /// The lane holds as much waiting work as it may. Nothing of this call was stored.
    LaneFull,
    /// Nothing speaks against this change, but another one of the call could not be stored.
    NotStored,
}

/// What a sender holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Names the delivery.
    pub delivery: DeliveryId,
    /// Its place in its lane, from 1.
    pub sequence: u64,
}

/// How much of a tenant may be worked on at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantShare {
    /// Whose share.
    pub tenant: TenantId,
    /// Lanes leased at the same time, over all replicas.
    pub lanes_max: u32,
}

/// Who wants work, and how much.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Names the worker in records; any text.
    pub owner: String,
    /// At most this many lanes.
    pub lanes_max: usize,
    /// How long the lease holds.
    pub lease_for: Duration,
    /// How many waiting deliveries of a lane are handed out with its head, for folding; at least 1.
    pub waiting_max: usize,
    /// Whether the urgent lanes of a tenant in which they jam go newest first (`store::order`).
    pub newest_first: bool,
    /// Whose instances are slow, and how many lanes these tenants may get together.
    pub slow: SlowShare,
}

/// Tenants that may only have so many lanes of a claim together.
#[derive(Clone, Debug, Default)]
pub struct SlowShare {
    /// These.
    pub tenants: Arc<BTreeSet<TenantId>>,
    /// Lanes of theirs, all counted.
    pub lanes_max: usize,
}

/// The right to work on one lane until it ends or is taken away; every later write proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The engine's name of the lane.
    pub lane: i64,
    /// Grows with every claim; a write with an older one changes nothing.
    pub fence: u64,
    /// The sequence the lane's head had when it was claimed.
    pub head: u64,
}

/// A leased lane and the work at its head.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The proof for every later write.
    pub lease: Lease,
    /// Whose lane.
    pub tenant: TenantId,
    /// Which way it goes.
    pub direction: Direction,
    /// Which incident.
    pub incident: IncidentId,
    /// Counted tries of the head so far, this one included: at least 1.
    pub attempts: u32,
    /// The store's time at the claim.
    pub now: Timestamp,
    /// What is remembered of the ticket.
    pub memory: LaneMemory,
    /// What was learned of the tenant's instance, as it stood at the claim: what another replica disproved before is known.
    pub learned: Learned,
    /// The head and what follows it, in order; never empty.
    pub waiting: Vec<Waiting>,
}

/// One delivery of a claim.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Names it.
    pub id: DeliveryId,
    /// The event's own name, as its sender gave it.
    pub event: EventKey,
    /// Its place in the lane.
    pub sequence: u64,
    /// What happened.
    pub kind: Kind,
    /// The `data` of the event.
    pub body: Arc<str>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When an earlier owner began to send it without recording an end.
    pub sending_since: Option<Timestamp>,
    /// Whether its sender says that a callback of ours caused it.
    pub is_echo: bool,
}

/// Whether a fenced write still had the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Held<T> {
    /// It was done.
    Yes(T),
    /// Another owner has the lane: nothing was changed; stop.
    Lost,
}

impl<T> Held<T> {
    /// Whether the write was done.
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Yes(_))
    }
}

/// The end of one or more deliveries at the head of a lane.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The last sequence that ends; the ones before it (of a fold) are superseded by it. Outside of what waits in
    /// the lane it changes nothing and the answer is [`Held::Lost`].
    pub upto: u64,
    /// `Delivered` or `Parked`.
    pub state: State,
    /// How it ended.
    pub ending: Ending,
    /// The last try, if one was made.
    pub attempt: Option<Attempt>,
    /// What the lane remembers from now on.
    pub memory: LaneMemory,
    /// What follows from it, appended in this order to lanes of the settled lane's tenant (whatever tenant they name)
    /// in the same commit: nothing is told that was not settled, and nothing is settled that is not told. What was
    /// accepted before under the same event is left out, also with another body, and no lane is too full for what
    /// follows.
    pub follows: Vec<NewDelivery>,
    /// A link that became known, stored in the same commit. An empty number leaves a known one as it is.
    pub link: Option<Link>,
}

impl Settlement {
    /// The good end of what goes up to that sequence, from which nothing else follows.
    pub const fn delivered(upto: u64, ending: Ending, memory: LaneMemory) -> Self {
        Self { upto, state: State::Delivered, ending, attempt: None, memory, follows: Vec::new(), link: None }
    }
}

/// How a lane stands, as others of its tenant need to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaneView {
    /// What it remembers.
    pub memory: LaneMemory,
    /// Whether a delivery of it is being sent, or may have been.
    pub sending: bool,
    /// Deliveries waiting or being sent.
    pub waiting: u64,
}

/// How far a tenant's instance has been asked what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepCursor {
    /// The latest `sys_updated_on` of a page that was stored whole, raw as ServiceNow writes it; empty at the start.
    #[serde(default)]
    pub updated_on: String,
    /// The last ticket that the rotating full compare looked at; `None` between two rotations.
    #[serde(default)]
    pub compared: Option<SysId>,
}

/// The right to sweep one tenant until it ends or is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepLease {
    /// Whose instance.
    pub tenant: TenantId,
    /// Grows with every lease; a write with an older one changes nothing.
    pub fence: u64,
    /// How far the one before came.
    pub cursor: SweepCursor,
    /// The store's time at the lease.
    pub now: Timestamp,
}

/// Giving a lane back undone.
#[derive(Clone, Debug)]
pub struct Postponement {
    /// Not before; reckoned from a time that the store gave, whose clock may differ from the machine's.
    pub at: Timestamp,
    /// Whether this was a try of the delivery's own.
    pub counted: bool,
    /// Whether the peer surely did not process what was sent: then nothing is being sent any more.
    pub not_processed: bool,
    /// The try, for the record.
    pub attempt: Option<Attempt>,
}

/// A tenant held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Until when; [`Timestamp::NEVER`] until a person resumes.
    pub until: Timestamp,
    /// A stable code such as `throttled`, `unauthorized`, `misconfigured`, `operator`.
    pub code: String,
    /// Why, in words.
    pub reason: String,
}

impl Pause {
    /// The code of a pause that a person ordered.
    pub const OPERATOR: &str = "operator";

    /// What is stored when this one is ordered while another one holds; `None`: the other one stays as it is. A shorter pause
    /// never cuts a longer one. A person's is always stored, and until it ends none of the gateway's own takes its place:
    /// those are lifted by themselves, and would let out work that a person held back.
    pub(super) fn over(self, present: Option<&Self>) -> Option<Self> {
        let Some(present) = present else { return Some(self) };
        if self.code == Self::OPERATOR {
            let until = self.until.max(present.until);
            return Some(Self { until, ..self });
        }
        (present.code != Self::OPERATOR && present.until <= self.until).then_some(self)
    }
}

/// What an instance taught us; valid only for the configuration it was learned with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// A hash of instance, table and deployment key: with another one all of this is void.
    #[serde(default)]
    pub fingerprint: String,
    /// Whether the instance keeps a `sys_id` chosen by us.
    #[serde(default)]
    pub honours_sys_id: Option<bool>,
    /// Whether `correlation_display`, our high-water mark, is stored.
    #[serde(default)]
    pub keeps_mark: Option<bool>,
    /// The name of the user we are there: by it our own writes are known when they come back.
    #[serde(default)]
    pub user: Option<String>,
}

/// How a tenant stands in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantRecord {
    /// A pause that has not ended yet.
    pub pause: Option<Pause>,
    /// What was learned.
    pub learned: Learned,
    /// Its last check against its instance.
    pub check: Option<Check>,
    /// By whose word it is served, where its file leaves that to an operator.
    pub release: Option<Release>,
}

/// A tenant of which more is to be said than that it is served: it is paused, or an operator enabled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantStanding {
    /// Which one.
    pub tenant: TenantId,
    /// A pause that has not ended yet.
    pub pause: Option<Pause>,
    /// Whether it is served by an operator's word.
    pub is_released: bool,
}

/// What waits for one tenant in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Whose.
    pub tenant: TenantId,
    /// Which way it travels.
    pub direction: Direction,
    /// Deliveries waiting or being sent, those behind a parked head included.
    pub waiting: u64,
    /// Deliveries parked.
    pub parked: u64,
    /// When the oldest of the waiting was accepted.
    pub oldest: Option<Timestamp>,
}

/// The lane of one tenant and urgency that may be claimed and has waited longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldestDue {
    /// Whose.
    pub tenant: TenantId,
    /// How urgent its most urgent delivery is.
    pub urgency: Urgency,
    /// Since when it may be claimed.
    pub since: Timestamp,
}

/// Which deliveries to list.
#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// Whose.
    pub tenant: TenantId,
    /// Only in this state.
    pub state: Option<State>,
    /// Only of the lanes of these incidents; empty: of all. An incident's timeline names its tickets' lanes too.
    pub incidents: Vec<IncidentId>,
    /// Only this way.
    pub direction: Option<Direction>,
    /// Only older than this one (the cursor of the page before).
    pub before: Option<DeliveryId>,
    /// At most this many.
    pub limit: usize,
}

/// A page of deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliveryPage {
    /// Newest first.
    pub deliveries: Vec<Delivery>,
    /// Where the next page begins, if there is one.
    pub next: Option<DeliveryId>,
}

/// What came of a replay or a drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Done; the delivery that will run (or was given up).
    Done(DeliveryId),
    /// No such delivery of this tenant.
    Unknown,
    /// It is not parked, or was replayed already.
    NotParked,
}
