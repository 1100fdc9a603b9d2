//! What ServiceNow tells us: who is believed, in which forms, and that every answer comes soon and means what it says.
//!
//! The tenant is paused, so that what was stored stays as it was stored and can be looked at.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::home::{hook_secret_of, key_of};
use crate::support::wire::{answer, connect, write};
use crate::support::{Event, Gateway, Home, Instance, Reply, Tenant, mappings};

const WEBHOOKS: &str = "/v1/tenants/contoso/webhooks/servicenow";
const TICKET: &str = "46c88ac1a9fe1981014de1c831fbcf6d";
const OTHER: &str = "9d385017c611228701d22104cc95c371";

/// Two secrets, as during a rotation, and hexadecimal signatures.
const WEBHOOK: &str = "webhook: {secrets: [{file: now.secret}, {file: coming.secret}], hex_signatures: true}\n";

/// A gateway for `contoso`, whose instance signs, and for `fabrikam`, whose instance does not call us. Both are paused.
async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let contoso = Tenant::named("contoso", instance.url()).and(WEBHOOK).mapped_by(&mappings::both_ways());
    let home = Home::of(&[contoso, Tenant::named("fabrikam", instance.url())]);
    home.write("now.secret", &hook_secret_of("now"));
    home.write("coming.secret", &hook_secret_of("coming"));
    let gateway = home.start().await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.leaves_work();
    (instance, home, gateway)
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A webhook, to be changed before it is sent.
#[derive(Clone)]
struct Hook {
    id: String,
    at: i64,
    body: Vec<u8>,
    secret: &'static str,
    hex: bool,
}

impl Hook {
    fn new(id: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { id: id.to_owned(), at: now(), body: body.into(), secret: "now", hex: false }
    }

    /// A hint about a ticket.
    fn hint(id: &str, sys_id: &str) -> Self {
        Self::new(id, json!({"table": "incident", "sys_id": sys_id}).to_string())
    }

    /// Spelled out, because the bytes of ISO-8859-1 are signed as well, and no library of senders takes them.
    fn signature(&self) -> String {
        let secret = hook_secret_of(self.secret);
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        mac.update(format!("{}.{}.", self.id, self.at).as_bytes());
        mac.update(&self.body);
        let mac = mac.finalize().into_bytes();
        if self.hex {
            return mac.iter().fold("v1,".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        }
        format!("v1,{}", STANDARD.encode(mac))
    }

    /// With its signature and another body, if one is given.
    fn request_with(&self, gateway: &Gateway, path: &str, body: &[u8]) -> RequestBuilder {
        let request = gateway.request(Method::POST, path).header("webhook-id", &self.id);
        let request = request.header("webhook-timestamp", self.at).header("webhook-signature", self.signature());
        request.body(body.to_vec())
    }

    fn request(&self, gateway: &Gateway) -> RequestBuilder {
        self.request_with(gateway, WEBHOOKS, &self.body)
    }

    async fn sent(&self, gateway: &Gateway) -> Reply {
        sent(self.request(gateway)).await
    }
}

async fn sent(request: RequestBuilder) -> Reply {
    Reply::of(request).await.expect("an answer")
}

async fn read_as(gateway: &Gateway, form: &str) -> f64 {
    gateway.metric("snowgate_webhooks_read_total", &format!("form=\"{form}\"")).await
}

#[tokio::test]
async fn a_signed_webhook_is_stored_in_the_lane_of_its_ticket() {
    let (_instance, _home, gateway) = gateway().await;
    let snapshot = json!({
        "table": "incident", "sys_id": TICKET, "number": "INC0010001", "sys_mod_count": "7", "actor": "abel.tuter",
        "fields": {"state": "2", "hold_reason": null, "assigned_to": {"value": "u1", "display_value": "Abel Tuter"}},
    });
    let receipt = Hook::new("msg_1", snapshot.to_string()).sent(&gateway).await.expect(202);
    let delivery = receipt.delivery();
    let expected =
        json!({"delivery": delivery, "tenant": "contoso", "ticket": TICKET, "sequence": 1, "duplicate": false});
    assert_eq!(receipt.json(), expected);
    let record = gateway.record(&delivery).await;
    assert_eq!(record["direction"], "to_service");
    assert_eq!(record["kind"], "ticket.seen");
    assert_eq!(record["incident"], format!("ticket:{TICKET}"));
    let stored = json!({
        "table": "incident", "sys_id": TICKET, "number": "INC0010001", "sys_mod_count": 7, "actor": "abel.tuter",
        "fields": {"state": {"value": "2"}, "hold_reason": {"value": ""},
                   "assigned_to": {"value": "u1", "display": "Abel Tuter"}},
    });
    assert_eq!(record["body"], stored);
    assert_eq!(Hook::hint("msg_2", TICKET).sent(&gateway).await.expect(202).json()["sequence"], 2);
    assert_eq!(Hook::hint("msg_3", OTHER).sent(&gateway).await.expect(202).json()["sequence"], 1);
    let accepted = gateway.metric("snowgate_changes_accepted_total", "direction=\"to_service\"").await;
    assert!((accepted - 3.0).abs() < 0.1, "{accepted}");
}

#[tokio::test]
async fn both_secrets_of_a_rotation_sign_in_base64_and_in_hexadecimal() {
    let (_instance, _home, gateway) = gateway().await;
    for (number, (secret, hex)) in
        [("now", false), ("now", true), ("coming", false), ("coming", true)].into_iter().enumerate()
    {
        let hook = Hook { secret, hex, ..Hook::hint(&format!("msg_{number}"), TICKET) };
        hook.sent(&gateway).await.expect(202);
    }
    for credential in ["secret_1", "secret_2"] {
        let labels = format!("sender=\"servicenow\",credential=\"{credential}\"");
        let seen = gateway.metric("snowgate_sender_credentials_total", &labels).await;
        assert!((seen - 2.0).abs() < 0.1, "{credential}: {seen}");
    }
    Hook { secret: "former", ..Hook::hint("msg_9", TICKET) }.sent(&gateway).await.expect(401);
}

#[tokio::test]
async fn whoever_is_not_the_instance_gets_one_answer_and_stores_nothing() {
    let (_instance, _home, gateway) = gateway().await;
    let hook = Hook::hint("msg_1", TICKET);
    let plain = || gateway.request(Method::POST, WEBHOOKS).body(hook.body.clone());
    let nobody = sent(plain()).await.expect(401);
    assert_eq!(nobody.code(), "unauthorized");
    let tampered = String::from_utf8(hook.body.clone()).expect("text").replace(TICKET, OTHER);
    let respaced = String::from_utf8(hook.body.clone()).expect("text").replace(':', ": ");
    let path = |tenant: &str| format!("/v1/tenants/{tenant}/webhooks/servicenow");
    let old = Hook { at: now() - 360, ..hook.clone() };
    let early = Hook { at: now() + 360, ..hook.clone() };
    for (what, request) in [
        ("a sender's key", plain().bearer_auth(key_of("contoso"))),
        ("a sender's signature", Hook { secret: "contoso", ..hook.clone() }.request(&gateway)),
        ("another ticket in the body", hook.request_with(&gateway, WEBHOOKS, tampered.as_bytes())),
        ("the same JSON in other bytes", hook.request_with(&gateway, WEBHOOKS, respaced.as_bytes())),
        ("a tenant whose instance does not call us", hook.request_with(&gateway, &path("fabrikam"), &hook.body)),
        ("an unknown tenant", hook.request_with(&gateway, &path("northwind"), &hook.body)),
        ("an id that stands twice", hook.request(&gateway).header("webhook-id", "msg_1")),
        ("too old", old.request(&gateway)),
        ("from the future", early.request(&gateway)),
    ] {
        let refused = sent(request).await;
        assert_eq!((refused.status, &refused.text), (401, &nobody.text), "{what}");
    }
    Hook { at: now() - 240, ..hook.clone() }.sent(&gateway).await.expect(202);
    // A secret of the instance is none of a sender's.
    let event = Event::opened("MTR-1").body();
    let as_sender = Hook::new("msg_2", event.clone());
    let request = as_sender.request_with(&gateway, "/v1/tenants/contoso/events", event.as_bytes());
    sent(request.header("content-type", "application/cloudevents+json")).await.expect(401);
    assert_eq!(gateway.deliveries("").await.len(), 1);
}

#[tokio::test]
async fn an_unsigned_body_is_refused_before_it_is_read() {
    let (_instance, _home, gateway) = gateway().await;
    let mut stream = connect(gateway.address()).await;
    let head = format!("POST {WEBHOOKS} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 200000\r\n\r\n");
    write(&mut stream, head.as_bytes()).await;
    let (status, text) = answer(&mut stream, Duration::from_secs(5)).await;
    assert_eq!(status, 401, "{text}");
}

#[tokio::test]
async fn a_webhook_that_is_sent_again_is_a_duplicate_and_its_id_serves_no_other() {
    let (_instance, _home, gateway) = gateway().await;
    let hook = Hook { at: now() - 5, ..Hook::hint("msg_1", TICKET) };
    let first = hook.sent(&gateway).await.expect(202);
    for again in [hook.clone(), Hook { at: now(), ..hook.clone() }, Hook { secret: "coming", ..hook.clone() }] {
        let again = again.sent(&gateway).await.expect(200);
        assert_eq!((again.receipt(), again.json()["duplicate"].as_bool()), (first.receipt(), Some(true)));
    }
    let other = Hook::hint("msg_1", OTHER).sent(&gateway).await.expect(422);
    assert_eq!(other.code(), "event_conflict");
    assert!(other.text.contains(&first.delivery()), "{}", other.text);
    let constant = Hook::hint(TICKET, TICKET).sent(&gateway).await.expect(400);
    assert!(constant.text.contains("gs.generateGUID()"), "{}", constant.text);
    let replies = join_all((0..20).map(|_| async { Hook::hint("msg_2", TICKET).sent(&gateway).await })).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 1);
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 202)));
    assert_eq!(gateway.deliveries("").await.len(), 2);
}

#[tokio::test]
async fn every_form_that_names_a_ticket_is_taken_and_counted() {
    let (_instance, _home, gateway) = gateway().await;
    let latin =
        [format!("{{\"sys_id\":\"{TICKET}\",\"fields\":{{\"short_description\":\"R").as_bytes(), b"\xe4ume\"}}"]
            .concat();
    let wide: serde_json::Map<String, Value> = (0..10_000).map(|at| (format!("k{at}"), json!(at))).collect();
    let wide = Value::from(wide).to_string().replacen('{', &format!("{{\"sys_id\":\"{TICKET}\","), 1);
    let deep = format!("{{\"sys_id\":\"{TICKET}\",\"x\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let labels =
        json!({"sys_id": TICKET, "record_type": "incident", "state": "In Progress", "priority": "3 - Moderate"});
    let template = format!("{{\"table\":\"incident\",\"sys_id\":\"{TICKET}\",\"short_description\":\"a \"b\"\nc\",}}");
    for (number, (form, media_type, body)) in [
        ("hint", "", json!({"sysId": TICKET, "table_name": "incident"}).to_string().into_bytes()),
        ("hint", "text/plain", json!({"table": "incident", "sys_id": TICKET}).to_string().into_bytes()),
        ("snapshot", "application/json; charset=ISO-8859-1", latin),
        ("flat", "application/json", labels.to_string().into_bytes()),
        ("flat", "", wide.into_bytes()),
        ("flat", "", deep.into_bytes()),
        ("salvaged", "application/json", template.into_bytes()),
        ("salvaged", "application/x-www-form-urlencoded", format!("table=incident&sys_id={TICKET}").into_bytes()),
        ("salvaged", "text/xml", format!("<sys_id>{TICKET}</sys_id>").into_bytes()),
    ]
    .into_iter()
    .enumerate()
    {
        let before = read_as(&gateway, form).await;
        let request = Hook::new(&format!("msg_{number}"), body).request(&gateway);
        let request = if media_type.is_empty() { request } else { request.header("content-type", media_type) };
        let taken = sent(request).await.expect(202);
        assert_eq!(taken.json()["ticket"], TICKET);
        let counted = read_as(&gateway, form).await - before;
        assert!((counted - 1.0).abs() < 0.1, "{number} counts as {form}");
    }
    assert!(gateway.log().contains("Saved only the sys_id"), "{}", gateway.log());
    let stored = gateway.deliveries("").await;
    assert!(stored.iter().any(|one| one["body"]["fields"]["short_description"]["value"] == "Räume"), "{stored:?}");
}

#[tokio::test]
async fn what_names_no_ticket_is_refused_with_the_next_step() {
    let (_instance, _home, gateway) = gateway().await;
    let large = format!("{{\"sys_id\":\"{TICKET}\",\"x\":\"{}\"}}", "y".repeat(1024 * 1024));
    for (body, status, code, said) in [
        ("", 400, "malformed_json", "the body is empty"),
        ("{\"number\":\"INC1\"", 400, "malformed_json", "line 1 column"),
        ("<ticket/>", 400, "malformed_json", "names no ticket"),
        ("{\"number\":\"INC1\"}", 422, "invalid_event", "/sys_id"),
        ("{\"sys_id\":\"${sys_id}\"}", 422, "invalid_event", "was not replaced"),
        (&large, 413, "body_too_large", "262144"),
    ] {
        let refused = Hook::new("msg_1", body).sent(&gateway).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{}", refused.text);
        assert!(refused.text.contains(said), "{said}: {}", refused.text);
        assert!(status == 413 || refused.text.contains("JSON.stringify"), "{}", refused.text);
    }
    let compressed = Hook::hint("msg_1", TICKET).request(&gateway).header("content-encoding", "gzip");
    assert_eq!(sent(compressed).await.expect(415).code(), "unsupported_media_type");
    let method = sent(gateway.request(Method::GET, WEBHOOKS)).await.expect(405);
    assert_eq!(method.code(), "method_not_allowed");
    assert!(gateway.deliveries("").await.is_empty());
    let refused = gateway.metric("snowgate_requests_refused_total", "tenant=\"contoso\",code=\"malformed_json\"").await;
    assert!((refused - 3.0).abs() < 0.1, "{refused}");
}

#[tokio::test]
async fn a_tenant_that_is_switched_off_takes_no_webhooks_now() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).and(&format!("enabled: false\n{WEBHOOK}"))]);
    home.write("now.secret", &hook_secret_of("now"));
    home.write("coming.secret", &hook_secret_of("coming"));
    let gateway = home.start().await;
    let refused = Hook::hint("msg_1", TICKET).sent(&gateway).await.expect(503);
    assert_eq!((refused.code().as_str(), refused.header("retry-after").as_str()), ("store_unavailable", "60"));
}

#[tokio::test]
async fn a_tickets_lane_takes_more_than_a_thousand_webhooks() {
    let (_instance, _home, gateway) = gateway().await;
    let post = async |number: usize| Hook::hint(&format!("msg_{number}"), TICKET).sent(&gateway).await;
    for round in 0..10 {
        let replies = join_all((0..100).map(|number| post(round * 100 + number))).await;
        assert!(replies.iter().all(|reply| reply.status == 202));
    }
    Hook::hint("msg_over", TICKET).sent(&gateway).await.expect(202);
    Hook::hint("msg_other", OTHER).sent(&gateway).await.expect(202);
    Hook::hint("msg_0", TICKET).sent(&gateway).await.expect(200);
}

#[tokio::test]
async fn webhooks_have_a_reserve_when_the_tenant_is_full() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).and(&format!("waiting_max: 100\n{WEBHOOK}"))]);
    home.write("now.secret", &hook_secret_of("now"));
    home.write("coming.secret", &hook_secret_of("coming"));
    let gateway = home.start().await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.leaves_work();
    let events: Vec<Event> = (0..100).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    gateway.post_batch(&events).await.expect(202);
    assert_eq!(gateway.post(&Event::opened("MTR-100")).await.expect(429).code(), "tenant_full");
    for number in 0..10 {
        Hook::hint(&format!("msg_{number}"), TICKET).sent(&gateway).await.expect(202);
    }
    let full = Hook::hint("msg_full", TICKET).sent(&gateway).await.expect(429);
    assert_eq!((full.code().as_str(), full.header("retry-after").as_str()), ("tenant_full", "30"));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_within_two_seconds() {
    let (_instance, home, gateway) = gateway().await;
    Hook::hint("msg_1", TICKET).sent(&gateway).await.expect(202);
    let other = rusqlite::Connection::open(home.path().join("snowgate.db")).expect("the store");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes just now");
    let begun = tokio::time::Instant::now();
    let slow = Hook::hint("msg_2", TICKET).sent(&gateway).await;
    let took = begun.elapsed();
    other.execute_batch("ROLLBACK").expect("our own transaction");
    drop(other);
    assert_eq!((slow.status, slow.code().as_str()), (503, "store_unavailable"), "{}", slow.text);
    assert!(!slow.header("retry-after").is_empty());
    assert!(took < Duration::from_secs(2), "{took:?}");
    let again = Hook::hint("msg_2", TICKET).sent(&gateway).await;
    assert!(matches!(again.status, 200 | 202), "{}", again.text);
    assert_eq!(again.json()["sequence"], 2, "stored once, whichever of the two did it");
}

#[tokio::test]
async fn an_event_that_came_from_servicenow_gets_its_receipt_and_a_wrong_trail_its_fault() {
    let (_instance, _home, gateway) = gateway().await;
    let from_there = Event::opened("MTR-1").with("/origin", json!("servicenow")).with("/hops", json!(1));
    gateway.post(&from_there).await.expect(202);
    let faulty = Event::opened("MTR-2").with("/origin", json!(7)).with("/hops", json!("many"));
    let expected = vec![(None, "/origin".to_owned()), (None, "/hops".to_owned())];
    assert_eq!(gateway.post(&faulty).await.expect(422).faults(), expected);
    let batch = gateway.post_batch(&[Event::opened("MTR-3"), faulty]).await.expect(422);
    assert_eq!(batch.faults(), [(Some(1), "/origin".to_owned()), (Some(1), "/hops".to_owned())]);
    assert_eq!(gateway.deliveries("").await.len(), 1);
}
