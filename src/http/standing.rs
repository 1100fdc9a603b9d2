//! How a tenant's peers and its sweep stand just now, as this process sees it, in numbers and in words.
//!
//! Owns: the form in which operators see it. Never: asks anybody; the composition root hands it in, because this side knows
//! no worker. Fails: it cannot. Proved by: `tests/it/operators.rs`.

use serde::Serialize;
use utoipa::ToSchema;

/// How a tenant stands; only what was used since the start can be known.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Standing {
    /// The customer's instance.
    pub servicenow: PeerStanding,
    /// The managed service's receiver, if the tenant has a callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<PeerStanding>,
    /// The last sweep, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepStanding>,
}

/// How the calls to one peer stand.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PeerStanding {
    /// All of it in one sentence.
    pub words: String,
    /// `closed` (calls go out), `open` or `half_open`.
    pub breaker: &'static str,
    /// Until when nothing is sent, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_until: Option<String>,
    /// Calls under way.
    pub in_flight: u32,
    /// Calls that may be under way at present; shrinks when the peer is crowded.
    pub concurrency: u32,
    /// Calls made in the present hour.
    pub hour_used: u64,
    /// Calls allowed in it.
    pub hour_calls: u64,
}

/// What the last sweep came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SweepStanding {
    /// All of it in one sentence.
    pub words: String,
    /// When it began, RFC 3339, UTC.
    pub began_at: String,
    /// Tickets it looked at.
    pub tickets: usize,
    /// Tickets of which no webhook had told everything.
    pub drifted: usize,
}

impl PeerStanding {
    /// With its sentence. `why` is why nothing is sent, and until when.
    #[must_use]
    pub fn said(self, why: Option<&str>) -> Self {
        let Self { in_flight, concurrency, hour_used, hour_calls, .. } = self;
        let usual =
            format!("{in_flight} of {concurrency} calls under way, {hour_used} of {hour_calls} of this hour used");
        let words = match (why, &self.closed_until) {
            (Some(why), Some(until)) => format!("nothing is sent until {until}: {why}"),
            (Some(why), None) => format!("nothing is sent: {why}"),
            (None, _) if self.breaker == "closed" => usual,
            (None, _) => format!("trying one call after failures; {usual}"),
        };
        Self { words, ..self }
    }
}

impl SweepStanding {
    /// With its sentence.
    #[must_use]
    pub fn of(began_at: String, tickets: usize, drifted: usize) -> Self {
        let words = match drifted {
            0 => format!("at {began_at}: looked at {tickets} tickets, nothing that was not known"),
            _ => format!("at {began_at}: looked at {tickets} tickets, {drifted} with something no webhook had told"),
        };
        Self { words, began_at, tickets, drifted }
    }
}
