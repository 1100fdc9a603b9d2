//! What travels between a replica and the row that all of them share: what one asks and tells, and what it is told.
//!
//! Lengths of time and no moments: clocks differ. The one moment, the end of the hour, is a name that comes back as it was.

use std::sync::Arc;
use std::time::Duration;

use super::{Cause, Hour};
use crate::domain::time::Timestamp;
#[cfg(doc)]
use crate::limits::RESERVATION_LIFE;

/// What a replica wants and tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Its name, for people.
    pub replica: Arc<str>,
    /// Calls it would make within [`RESERVATION_LIFE`]; 0 if it only tells.
    pub calls: u32,
    /// Between two calls of all replicas, in microseconds; as the tenant's file says.
    pub interval: u64,
    /// How much of the rate it would use at present, in percent: less right after a pause.
    pub share: u8,
    /// Calls an hour, as far as it knows.
    pub hourly: u64,
    /// Calls it reserved and did not make, of the hour that ends then.
    pub unused: (u32, Timestamp),
    /// What the peer told of its own count since the last exchange.
    pub told: Option<HourTold>,
    /// A time that the peer asked for.
    pub gate: Option<GateTold>,
    /// What it found out about the peer's health.
    pub health: Option<HealthTold>,
    /// Whether it has a call at hand that can find out whether the peer is back.
    pub probe: bool,
    /// The epoch in which it was chosen to find out, if it did not yet.
    pub chosen: Option<u64>,
}

/// What a peer told of its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourTold {
    /// Its limit.
    pub limit: Option<u64>,
    /// When its window ends, from now.
    pub ends_in: Option<Duration>,
}

/// A time that a peer asked for, from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateTold {
    /// How long.
    pub wait: Duration,
    /// Why.
    pub cause: Cause,
    /// Why, for people.
    pub reason: String,
}

/// A replica's finding, and the epoch it was made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTold {
    /// Of the breaker, as the replica knew it.
    pub epoch: u64,
    /// What it found.
    pub found: Found,
}

/// What a replica found out about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It fails as a whole, in ordinary calls or in a probe: to be left alone this long.
    Failing {
        /// How long.
        wait: Duration,
        /// The code of the failure.
        failure: String,
    },
    /// The probe got a good answer.
    Answering,
}

/// What a replica is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Calls it may make within [`RESERVATION_LIFE`] of its question.
    pub calls: u32,
    /// When the next call can be had, if fewer were given than wanted.
    pub again_in: Duration,
    /// The hour, with the calls just given counted in.
    pub hour: Hour,
    /// When that hour ends, from now.
    pub hour_ends_in: Duration,
    /// A time the peer asked for that is not over.
    pub gate: Option<GateTold>,
    /// How long ago the last one was over, while the rate is still coming back.
    pub released: Option<Duration>,
    /// How the breaker stands for this replica.
    pub passage: Passage,
    /// The breaker's epoch, for reports.
    pub epoch: u64,
    /// How often in a row it opened.
    pub rounds: u32,
    /// The code of the last failure.
    pub failure: String,
}

/// How the shared breaker stands for one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Calls go out.
    Free,
    /// None does for so long.
    Closed(Duration),
    /// Another replica finds out, or one could: worth asking again after so long.
    Probing(Duration),
    /// This one is chosen to find out.
    Probe,
}
