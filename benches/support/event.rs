//! The request every candidate gets: one event that opens one incident, as a SOC tool would send it.
//!
//! Owns: its text. Every request is the same but for the digits that make it unique, which are patched in place, so
//! that making a request costs the load generator a copy and no formatting. Never: knows who is being measured.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

/// Stands in the text where the running number goes.
const NUMBER: &str = "NNNNNNNNNNNN";
/// Stands in the text where the tenant's number goes.
const TENANT: &str = "TTTT";

/// About 750 bytes; an incident with an affected room and a description.
const BODY: &str = r#"{"specversion":"1.0","id":"e-NNNNNNNNNNNN","source":"bench/soc","type":"incident.opened","time":"2026-11-22T06:00:00Z","data":{"incident":{"id":"MTR-NNNNNNNNNNNN","title":"Front display 1 not detected in Berlin 4.12","description":"The room's compute module reports no signal on HDMI ingest 1 since the last restart.","severity":"high","severity_raw":"Important","state":"needs_customer_action","state_raw":"Needs Action","category":"display","recommended_action":"Check the HDMI cable","affected":[{"kind":"room","id":"r-17","name":"Berlin 4.12","room_group":"Berlin","ring":"Executive","site":"BER","health":"unhealthy"}],"times":{"opened_at":"2026-11-22T05:58:41Z"}}}}"#;

/// The API key of a tenant, as its sender holds it.
pub(crate) fn api_key(tenant: usize) -> String {
    format!("bench-key-{tenant:04}-no-secret")
}

/// The hash of it, as the tenant's file names it.
pub(crate) fn api_key_sha256(tenant: usize) -> String {
    use std::fmt::Write as _;
    Sha256::digest(api_key(tenant)).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}

/// The name of a tenant.
pub(crate) fn tenant_name(tenant: usize) -> String {
    format!("bench-{tenant:04}")
}

/// Makes requests that are all alike and all different: incident after incident, tenants in turn.
#[derive(Debug)]
pub(crate) struct Requests {
    template: Vec<u8>,
    numbers_at: Vec<usize>,
    tenants_at: Vec<usize>,
    tenants: u64,
    next: AtomicU64,
}

impl Requests {
    /// Requests for so many tenants, from number 0 on.
    pub(crate) fn for_tenants(tenants: usize) -> Self {
        let key = api_key(0).replacen("0000", TENANT, 1);
        let name = tenant_name(0).replacen("0000", TENANT, 1);
        let text = format!(
            "POST /v1/tenants/{name}/events HTTP/1.1\r\nhost: snowgate.bench\r\nauthorization: Bearer {key}\r\n\
             content-type: application/cloudevents+json\r\ncontent-length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        Self {
            numbers_at: text.match_indices(NUMBER).map(|(at, _)| at).collect(),
            tenants_at: text.match_indices(TENANT).map(|(at, _)| at).collect(),
            template: text.into_bytes(),
            tenants: u64::try_from(tenants).expect("a handful of tenants"),
            next: AtomicU64::new(0),
        }
    }

    /// Replaces the content of `request` with the next one.
    pub(crate) fn write_next(&self, request: &mut Vec<u8>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        request.clear();
        request.extend_from_slice(&self.template);
        for &at in &self.numbers_at {
            write_digits(&mut request[at..at + NUMBER.len()], number);
        }
        for &at in &self.tenants_at {
            write_digits(&mut request[at..at + TENANT.len()], number % self.tenants);
        }
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("below ten");
        number /= 10;
    }
}
