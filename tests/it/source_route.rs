//! A tool's own payload at its source: who may post, what is refused and where, what is one event, and the status a tool comes again after.

use std::io::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::home::{Tenant, key_of};
use crate::support::{Gateway, Home, Instance, Reply};

/// A tool with a key in its payload that gives up on everything below 500.
const ALARMS: &str = r#"version: 1
source: alarms
busy: 503
key: "{{ payload.token }}"
tables: {events: {raised: incident.opened, cleared: incident.resolved, test: skip}}
each: "{{ payload.alarms }}"
event: {value: "{{ item.kind }}", table: events}
id: "{{ item.number }}"
dedup: "{{ item.at }}"
incident: {title: "{{ item.text }}", severity: high}
also:
  - {each: "{{ item.remarks | default([]) }}", event: incident.message_added, dedup: "{{ item.id }}", message: {text: "{{ item.html | html_to_text }}", visibility: public}}
cases: [{name: nothing, payload: {alarms: []}, expect: {skipped: 0}}]
"#;

/// A tool without either, whose payload is the one item.
const PLAIN: &str = r#"version: 1
source: plain
event: incident.opened
id: "{{ item.number }}"
incident: {title: "{{ item.text }}"}
cases: [{name: one, payload: {number: A-1, text: x}, expect: {events: [{id: A-1}]}}]
"#;

fn home(instance: &str, more: &str) -> Home {
    let home = Home::of(&[Tenant::named("contoso", instance).and(more)]);
    std::fs::create_dir(home.path().join("mappings/sources")).expect("a new folder");
    home.write("mappings/sources/alarms.yaml", ALARMS);
    home.write("mappings/sources/plain.yaml", PLAIN);
    home
}

async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = home(instance.url(), "");
    let gateway = home.start().await;
    (instance, home, gateway)
}

fn request(gateway: &Gateway, source: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    let path = format!("/v1/tenants/contoso/sources/{source}");
    gateway.request(Method::POST, &path).header("content-type", "application/json").body(body)
}

async fn sent(request: reqwest::RequestBuilder) -> Reply {
    Reply::of(request).await.expect("an answer")
}

async fn post(gateway: &Gateway, source: &str, payload: &Value) -> Reply {
    sent(request(gateway, source, payload.to_string()).bearer_auth(key_of("contoso"))).await
}

fn alarm(number: &str, kind: &str, at: &str) -> Value {
    json!({"number": number, "kind": kind, "at": at, "text": format!("Fault of {number}")})
}

#[tokio::test]
async fn a_payload_becomes_tickets_and_its_repeat_nothing() {
    let (instance, _home, gateway) = gateway().await;
    let mut first = alarm("A-1", "raised", "6:00");
    first["remarks"] = json!([{"id": "r1", "html": "<p>Somebody <b>looks</b> &amp; waits</p>"}]);
    let payload = json!({"alarms": [first, alarm("A-2", "raised", "6:00"), alarm("A-3", "test", "6:00")]});
    let answer = post(&gateway, "alarms", &payload).await.expect(202).json();
    let incidents: Vec<&str> =
        answer["receipts"].as_array().unwrap().iter().map(|receipt| receipt["incident"].as_str().unwrap()).collect();
    assert_eq!((incidents, &answer["skipped"]), (vec!["A-1", "A-1", "A-2"], &json!(1)));
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("A-1").journal("comments"), ["Somebody looks & waits"]);
    drop(instance.ticket_of("A-2"));

    let again = post(&gateway, "alarms", &payload).await.expect(200).json();
    assert!(again["receipts"].as_array().unwrap().iter().all(|receipt| receipt["duplicate"] == true));
    assert_eq!(again["receipts"][0]["delivery"], answer["receipts"][0]["delivery"]);
    let mut reworded = alarm("A-1", "raised", "6:00");
    reworded["text"] = json!("Fault of A-1, for the second time");
    post(&gateway, "alarms", &json!({"alarms": [reworded]})).await.expect(200);

    let mixed = json!({"alarms": [alarm("A-2", "raised", "6:00"), alarm("A-2", "cleared", "7:00")]});
    let mixed = post(&gateway, "alarms", &mixed).await.expect(202).json();
    assert_eq!((&mixed["receipts"][0]["duplicate"], &mixed["receipts"][1]["duplicate"]), (&json!(true), &json!(false)));
    let twice = json!({"alarms": [alarm("A-4", "raised", "6:00"), alarm("A-4", "raised", "6:00")]});
    let twice = post(&gateway, "alarms", &twice).await.expect(202).json();
    assert_eq!(twice["receipts"][0]["delivery"], twice["receipts"][1]["delivery"], "one event, said twice at once");
    gateway.quiet().await;
}

#[tokio::test]
async fn nothing_to_say_is_no_fault() {
    let (_instance, _home, gateway) = gateway().await;
    let silent = json!({"alarms": [alarm("A-1", "test", "6:00")]});
    assert_eq!(post(&gateway, "alarms", &silent).await.expect(202).json(), json!({"receipts": [], "skipped": 1}));
    assert_eq!(post(&gateway, "alarms", &json!({"alarms": []})).await.expect(202).json()["skipped"], 0);
}

#[tokio::test]
async fn one_bad_item_keeps_everything_out_and_is_named() {
    let (_instance, _home, gateway) = gateway().await;
    let nameless = json!({"kind": "raised", "number": "A-2", "at": "6:00"});
    let payload = json!({"alarms": [alarm("A-1", "raised", "6:00"), nameless, alarm("A-3", "new word", "6:00")]});
    let refused = post(&gateway, "alarms", &payload).await.expect(422).json();
    assert_eq!(refused["code"], "invalid_event");
    let faults: Vec<(&str, &str)> = refused["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            let key = fault["message"].as_str().unwrap().split('`').nth(1).unwrap();
            (fault["pointer"].as_str().unwrap(), key)
        })
        .collect();
    assert_eq!(faults, [("/alarms/1/text", "incident.title"), ("/alarms/2/kind", "event")]);
    assert_eq!(gateway.deliveries("").await, Vec::<Value>::new());
    for payload in [json!([]), json!({}), json!({"alarms": 7}), json!(null)] {
        let refused = post(&gateway, "alarms", &payload).await.expect(422).json();
        assert_eq!(refused["faults"][0]["pointer"], "/alarms", "{payload}");
    }
}

#[tokio::test]
async fn only_who_may_send_learns_which_sources_there_are() {
    let (_instance, _home, gateway) = gateway().await;
    let payload = json!({"number": "A-1", "text": "x"}).to_string();
    for source in ["plain", "alarms", "nothing"] {
        sent(request(&gateway, source, payload.clone())).await.expect(401);
        sent(request(&gateway, source, payload.clone()).bearer_auth("sgk_wrong")).await.expect(401);
    }
    let other = gateway.request(Method::POST, "/v1/tenants/fabrikam/sources/plain").bearer_auth(key_of("contoso"));
    sent(other.header("content-type", "application/json").body(payload.clone())).await.expect(401);
    let unknown = sent(request(&gateway, "nothing", payload).bearer_auth(key_of("contoso"))).await.expect(404);
    assert_eq!(unknown.json()["detail"], "there is no source `nothing`; known are alarms, plain");
    let path = "/v1/tenants/contoso/sources/plain";
    assert_eq!(sent(gateway.request(Method::GET, path)).await.expect(405).code(), "method_not_allowed");
}

#[tokio::test]
async fn a_key_in_the_payload_counts_where_the_file_says_so_and_nothing_else_is_shown() {
    let (_instance, _home, gateway) = gateway().await;
    let with = |token: &str| json!({"token": token, "alarms": [alarm("A-1", "test", "6:00")]}).to_string();
    sent(request(&gateway, "alarms", with(&key_of("contoso")))).await.expect(202);
    sent(request(&gateway, "alarms", with("sgk_wrong"))).await.expect(401);
    sent(request(&gateway, "alarms", with(""))).await.expect(401);
    sent(request(&gateway, "alarms", "{".to_owned())).await.expect(401);
    sent(request(&gateway, "alarms", with(&key_of("contoso"))).bearer_auth("sgk_wrong")).await.expect(401);
    let plain = json!({"token": key_of("contoso"), "number": "A-1", "text": "x"}).to_string();
    sent(request(&gateway, "plain", plain)).await.expect(401);
}

#[tokio::test]
async fn bodies_that_are_no_payload_are_refused_before_anything_is_read_of_them() {
    let (_instance, _home, gateway) = gateway().await;
    let by_us = |source: &str, body: Vec<u8>| request(&gateway, source, body).bearer_auth(key_of("contoso"));
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for (body, status, code) in [
        (b"{".to_vec(), 400, "malformed_json"),
        (b"".to_vec(), 400, "malformed_json"),
        (b"\xff".to_vec(), 400, "malformed_json"),
        (b"not json".to_vec(), 400, "malformed_json"),
        (deep.into_bytes(), 400, "malformed_json"),
        (vec![b' '; 256 * 1024 + 1], 413, "body_too_large"),
    ] {
        for source in ["alarms", "plain"] {
            assert_eq!(sent(by_us(source, body.clone())).await.expect(status).code(), code, "{source}");
        }
    }
    let many = format!("{{\"alarms\":[{}1]}}", "1,".repeat(60_000));
    assert_eq!(sent(by_us("alarms", many.into_bytes())).await.expect(422).code(), "invalid_event");
    let mut zipped = std::io::Cursor::new(Vec::new());
    zipped.write_all(&[0x1f, 0x8b, 8, 0]).unwrap();
    let compressed = by_us("alarms", zipped.into_inner()).header("content-encoding", "gzip");
    assert_eq!(sent(compressed).await.expect(415).code(), "unsupported_media_type");
    let path = "/v1/tenants/contoso/sources/plain";
    let as_text =
        gateway.request(Method::POST, path).bearer_auth(key_of("contoso")).header("content-type", "text/plain");
    assert_eq!(sent(as_text.body("{}")).await.expect(415).code(), "unsupported_media_type");
    let event = gateway.request(Method::POST, path).bearer_auth(key_of("contoso"));
    let event = event.header("content-type", "application/cloudevents+json; charset=utf-8");
    sent(event.body(r#"{"number":"A-9","text":"x"}"#)).await.expect(202);
    gateway.quiet().await;
}

#[tokio::test]
async fn a_tool_is_told_to_come_again_in_the_way_it_understands() {
    let instance = Instance::start();
    let home = home(instance.url(), "enabled: false\n");
    let gateway = home.start().await;
    let payload = json!({"alarms": [], "number": "A-1", "text": "x"});
    for (source, status) in [("alarms", 503), ("plain", 429)] {
        let refused = post(&gateway, source, &payload).await.expect(status);
        assert_eq!(
            (refused.code().as_str(), refused.json()["status"].as_u64()),
            ("store_unavailable", Some(status.into()))
        );
        assert_eq!(refused.header("retry-after"), "60");
    }
}
