//! How a tenant's peers and its sweep stand just now, as this process sees it, in numbers and in words.
//!
//! Owns: the form in which operators see it. Never: asks anybody; the composition root hands it in, because this side knows
//! no worker. Fails: it cannot. Proved by: `tests/it/operators.rs`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::time::Timestamp;
use crate::limits::{CERTIFICATE_WARNING, REFRESH_TOKEN_WARNING};

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

/// Which of the credentials that we show the instance ends first, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Ending {
    /// All of it in one sentence.
    pub words: String,
    /// When it ends, RFC 3339, UTC.
    pub ends_at: String,
}

impl Ending {
    /// Of a refresh token and a client certificate, the one that ends first.
    pub fn of(refresh_token: Option<Timestamp>, certificate: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let refresh_token = refresh_token.map(|ends| (ends, "refresh token", REFRESH_TOKEN_WARNING));
        let certificate = certificate.map(|ends| (ends, "client certificate", CERTIFICATE_WARNING));
        let (ends, what, warning) = refresh_token.into_iter().chain(certificate).min_by_key(|(ends, _, _)| *ends)?;
        let ends_at = ends.to_string();
        let days = ends.since(now).as_secs() / 86_400;
        let words = if now >= ends {
            format!("the {what} ended at {ends_at}: no call to the instance can succeed until it is replaced")
        } else if ends.since(now) < warning {
            format!("the {what} ends in {days} days, at {ends_at}: replace it before")
        } else {
            format!("the {what} is good for {days} days")
        };
        Some(Self { words, ends_at })
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_ends_first_is_told_in_days() {
        const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);
        let of = |token: Option<u64>, certificate: Option<u64>| {
            let at = |days| NOW.plus(Duration::from_hours(24 * days));
            Ending::of(token.map(at), certificate.map(at), NOW).map(|ending| ending.words)
        };
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some(80), Some(300)).unwrap(), "the refresh token is good for 80 days");
        let words = of(Some(80), Some(29)).unwrap();
        assert_eq!(words, "the client certificate ends in 29 days, at 2026-12-21T06:00:00.000Z: replace it before");
        assert!(of(Some(0), None).unwrap().starts_with("the refresh token ended at 2026-11-22"));
    }
}
