//! Who calls: proven, held off after too many failures, and the keys by which tokens are proven.

use std::net::IpAddr;

use metrics::counter;
use tracing::{debug, info, warn};

use super::label;
use crate::domain::id::TenantId;
use crate::telemetry::catalogue::{AUTHENTICATED, FAILURE_BURSTS, ISSUER_KEYS, REFUSED};

/// A sender proved who it is.
#[derive(Debug)]
pub struct Authenticated<'a> {
    /// Whose sender.
    pub tenant: &'a TenantId,
    /// Its name in the tenant's file.
    pub sender: &'a str,
    /// The kind of credential, and which of a rotation, such as `api_key`, `api_key_2`, `secret_1`.
    pub credential: &'static str,
}

impl Authenticated<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, sender, credential } = self;
        counter!(AUTHENTICATED, "tenant" => label(tenant), "sender" => label(&sender), "credential" => credential)
            .increment(1);
        debug!(tenant.id = %tenant, sender, credential, "Authenticated {sender} of {tenant}");
    }
}

/// An address failed to prove itself too often.
#[derive(Debug)]
pub struct CallerHeldOff {
    /// Where it calls from; in the log alone, because anyone could make labels of it.
    pub address: IpAddr,
    /// Whether this is the failure that was one too many; what follows is only counted.
    pub first: bool,
}

impl CallerHeldOff {
    /// Tells it.
    pub fn emit(self) {
        let Self { address, first } = self;
        if first {
            counter!(FAILURE_BURSTS).increment(1);
            warn!(client.address = %address, "{address} fails to prove who it is, again and again; it is held off");
        } else {
            counter!(REFUSED, "tenant" => "", "code" => "too_many_failures").increment(1);
            debug!(client.address = %address, "Held off {address}");
        }
    }
}

/// An OAuth issuer was asked for its keys.
#[derive(Debug)]
pub struct IssuerKeysFetched<'a> {
    /// Its name in the settings, which bound the label.
    pub issuer: &'a str,
    /// `fetched` or `failed`.
    pub outcome: &'static str,
    /// How many keys of it serve now.
    pub keys: usize,
    /// What went wrong; empty if nothing did.
    pub detail: &'a str,
}

impl IssuerKeysFetched<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { issuer, outcome, keys, detail } = self;
        counter!(ISSUER_KEYS, "issuer" => label(&issuer), "outcome" => outcome).increment(1);
        if detail.is_empty() {
            info!(issuer, outcome, keys, "Fetched {keys} keys of {issuer}");
        } else if keys > 0 {
            warn!(issuer, outcome, keys, "Could not renew the keys of {issuer}, the old ones serve on: {detail}");
        } else {
            warn!(issuer, outcome, keys, "There are no keys of {issuer}, its callers are asked to wait: {detail}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_burst_is_counted_once_and_what_follows_as_refusals() {
        let address = IpAddr::from([203, 0, 113, 9]);
        let text = Metrics::local(|| {
            CallerHeldOff { address, first: true }.emit();
            CallerHeldOff { address, first: false }.emit();
            CallerHeldOff { address, first: false }.emit();
        })
        .unwrap();
        assert!(text.contains("snowgate_sender_failure_bursts_total 1"), "{text}");
        assert!(text.contains(r#"refused_total{tenant="",code="too_many_failures"} 2"#), "{text}");
        assert!(!text.contains("203.0.113.9"), "an address is no label: {text}");
    }

    #[test]
    fn fetches_of_keys_are_counted_by_issuer_and_outcome() {
        let text = Metrics::local(|| {
            IssuerKeysFetched { issuer: "https://login.example", outcome: "failed", keys: 0, detail: "down" }.emit();
        })
        .unwrap();
        let series = r#"snowgate_issuer_key_fetches_total{issuer="https://login.example",outcome="failed"} 1"#;
        assert!(text.contains(series), "{text}");
    }
}
