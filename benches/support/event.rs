//! The request every candidate gets: one event that opens one incident, as a SOC tool would send it. And the one that only
//! the gateway gets: a webhook of ServiceNow of the same size, signed.
//!
//! Owns: its text. Every request is the same but for the digits that make it unique, which are patched in place, so
//! that making a request costs the load generator a copy and no formatting; a webhook costs it a signature besides, some
//! microseconds that count against the gateway. Never: knows who is being measured.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::upstream::{SENT, micros_now};

/// Stands in the text where the running number goes.
const NUMBER: &str = "NNNNNNNNNNNN";
/// Stands in the text where the tenant's number goes.
const TENANT: &str = "TTTT";

/// Stands in the text where the moment of sending goes, in microseconds.
const MOMENT: &str = "MMMMMMMMMMMMMMMM";

/// About 750 bytes; an incident with an affected room and a description.
const BODY: &str = r#"{"specversion":"1.0","id":"e-NNNNNNNNNNNN","source":"bench/soc","type":"incident.opened","time":"2026-11-22T06:00:00Z","data":{"incident":{"id":"MTR-NNNNNNNNNNNN","title":"Front display 1 not detected in Berlin 4.12","description":"The room's compute module reports no signal on HDMI ingest 1 since the last restart.","severity":"high","severity_raw":"Important","state":"needs_customer_action","state_raw":"Needs Action","category":"display","recommended_action":"Check the HDMI cable","affected":[{"kind":"room","id":"r-17","name":"Berlin 4.12","room_group":"Berlin","ring":"Executive","site":"BER","health":"unhealthy"}],"times":{"opened_at":"2026-11-22T05:58:41Z"}}}}"#;

/// Stands in the text where the signature goes: base64 of 32 bytes.
const SIGNATURE: &str = "SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS";

/// About as long as the event; the ticket's key holds the number, so that every webhook has a lane of its own as well.
const WEBHOOK_BODY: &str = r#"{"event":"e7c31b0f2d4e4f6f9a00NNNNNNNNNNNN","table":"incident","sys_id":"46c88ac1a9fe1981014dNNNNNNNNNNNN","number":"INC0010001","correlation_id":"sg1-4f7c2a90b1","operation":"update","sys_mod_count":"7","sys_updated_on":"2026-11-22 06:00:00","actor":"abel.tuter","instance":"bench","fields":{"state":"2","hold_reason":"","impact":"1","urgency":"2","assigned_to":{"value":"62826bf03710200044e0bfc8bcbe5df1","display":"Abel Tuter"},"assignment_group":{"value":"d625dccec0a8016700a222a0f7900d06","display":"AV Support"}},"journal":[{"sys_id":"a1b2c3d4e5f60718293aNNNNNNNNNNNN","element":"comments","value":"The cable was replaced.","created_on":"2026-11-22 06:00:00","created_by":"abel.tuter"}]}"#;

/// The secret with which the first tenant's instance signs.
const HOOK_SECRET: [u8; 32] = *b"bench-secret-of-nobody-in-truth!";

/// The secret as the tenant's file names it.
pub(crate) fn hook_secret() -> String {
    format!("whsec_{}", STANDARD.encode(HOOK_SECRET))
}

/// What callbacks are signed with.
pub(crate) fn callback_secret() -> String {
    format!("whsec_{}", STANDARD.encode(Sha256::digest("callbacks of nobody")))
}

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
    first: u64,
    next: AtomicU64,
    moments_at: Vec<usize>,
    signing: Option<Signing>,
}

/// Where a webhook keeps what its signature covers, and the signature itself.
#[derive(Debug)]
struct Signing {
    key: Hmac<Sha256>,
    id: Range<usize>,
    timestamp: Range<usize>,
    body: Range<usize>,
    signature: Range<usize>,
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
        Self::of(text, tenants, None)
    }

    /// Requests for so many tenants from this one on, that say when they were sent.
    pub(crate) fn timed(first: usize, tenants: usize) -> Self {
        let plain = Self::for_tenants(tenants);
        let text = String::from_utf8(plain.template).expect("it was a text");
        let sentence = "since the last restart.";
        let timed = format!("{sentence} {SENT}{MOMENT}");
        let body_bytes = BODY.len();
        let text = text.replace(sentence, &timed).replace(
            &format!("content-length: {body_bytes}"),
            &format!("content-length: {}", body_bytes + timed.len() - sentence.len()),
        );
        Self { first: u64::try_from(first).expect("a handful of tenants"), ..Self::of(text, tenants, None) }
    }

    /// Webhooks of the first tenant's instance. They are of this moment, so they serve for five minutes.
    pub(crate) fn webhooks() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock that is set");
        let timestamp = now.as_secs().to_string();
        let text = format!(
            "POST /v1/tenants/{}/webhooks/servicenow HTTP/1.1\r\nhost: snowgate.bench\r\nwebhook-id: msg_{NUMBER}\r\n\
             webhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{SIGNATURE}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{WEBHOOK_BODY}",
            tenant_name(0),
            WEBHOOK_BODY.len()
        );
        let place = |what: &str| text.find(what).map(|at| at..at + what.len()).expect("it was just written");
        let signing = Signing {
            key: Hmac::new_from_slice(&HOOK_SECRET).expect("HMAC takes any key length"),
            id: place(&format!("msg_{NUMBER}")),
            timestamp: place(&timestamp),
            body: place(WEBHOOK_BODY),
            signature: place(SIGNATURE),
        };
        Self::of(text, 1, Some(signing))
    }

    fn of(text: String, tenants: usize, signing: Option<Signing>) -> Self {
        Self {
            numbers_at: text.match_indices(NUMBER).map(|(at, _)| at).collect(),
            tenants_at: text.match_indices(TENANT).map(|(at, _)| at).collect(),
            moments_at: text.match_indices(MOMENT).map(|(at, _)| at).collect(),
            template: text.into_bytes(),
            first: 0,
            tenants: u64::try_from(tenants).expect("a handful of tenants"),
            next: AtomicU64::new(0),
            signing,
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
            write_digits(&mut request[at..at + TENANT.len()], self.first + number % self.tenants);
        }
        for &at in &self.moments_at {
            write_digits(&mut request[at..at + MOMENT.len()], micros_now());
        }
        if let Some(signing) = &self.signing {
            signing.sign(request);
        }
    }
}

impl Signing {
    fn sign(&self, request: &mut [u8]) {
        let mut mac = self.key.clone();
        mac.update(&request[self.id.clone()]);
        mac.update(b".");
        mac.update(&request[self.timestamp.clone()]);
        mac.update(b".");
        mac.update(&request[self.body.clone()]);
        let written = STANDARD.encode_slice(mac.finalize().into_bytes(), &mut request[self.signature.clone()]);
        assert_eq!(written.ok(), Some(SIGNATURE.len()), "base64 of 32 bytes");
    }
}

/// The request that names a file to be fetched, each time under an id of its own.
pub(crate) fn with_file(url: &str) -> String {
    let body = format!(
        r#"{{"specversion":"1.0","id":"{}","source":"bench/soc","type":"incident.attachment_added","data":{{"incident":{{"id":"MTR-1","title":"Dark","severity":"high","state":"new"}},"attachment":{{"name":"room.zip","media_type":"application/zip","url":"{url}"}}}}}}"#,
        STANDARD.encode(Sha256::digest(url))
    );
    format!(
        "POST /v1/tenants/{}/events HTTP/1.1\r\nhost: snowgate.bench\r\nauthorization: Bearer {}\r\n\
         content-type: application/cloudevents+json\r\ncontent-length: {}\r\n\r\n{body}",
        tenant_name(0),
        api_key(0),
        body.len()
    )
}

/// The webhook that names a file of a ticket.
pub(crate) fn of_file(ticket: &str, attachment: &str) -> String {
    let body = format!(
        r#"{{"event":"{attachment}","table":"incident","sys_id":"{ticket}","operation":"update","sys_mod_count":"0","instance":"bench","actor":"abel.tuter","fields":{{"state":"1"}},"attachments":[{{"sys_id":"{attachment}","file_name":"room.zip","content_type":"application/zip"}}]}}"#
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock that is set");
    let (id, timestamp) = (format!("msg_{attachment}"), now.as_secs());
    let mut mac = Hmac::<Sha256>::new_from_slice(&HOOK_SECRET).expect("HMAC takes any key length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!(
        "POST /v1/tenants/{}/webhooks/servicenow HTTP/1.1\r\nhost: snowgate.bench\r\nwebhook-id: {id}\r\n\
         webhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        tenant_name(0),
        STANDARD.encode(mac.finalize().into_bytes()),
        body.len()
    )
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("below ten");
        number /= 10;
    }
}
