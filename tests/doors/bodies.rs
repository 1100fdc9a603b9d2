//! Bodies that no parser likes, on every route that takes one: refused with fixed words, soon, and without any harm.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use snowgate::limits::BODY_BYTES_MAX;
use tokio::time::Instant;

use crate::support::home::{hook_secret_of, key_of};
use crate::support::{Bridged, Event, Gateway, Home, Instance, Reply, Tenant, mappings};

/// A gateway whose tenant takes events and webhooks. It is paused, so that nothing of what is taken goes on.
async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let hooks = "webhook: {secrets: [{file: webhook.secret}]}\n";
    let contoso = Tenant::named("contoso", instance.url()).and(hooks).mapped_by(&mappings::both_ways());
    let home = Home::of(&[contoso]);
    home.write("webhook.secret", &hook_secret_of("webhook"));
    let gateway = home.start().await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.leaves_work();
    (instance, home, gateway)
}

fn event_with(gateway: &Gateway, body: &[u8]) -> RequestBuilder {
    let request = gateway.request(Method::POST, "/v1/tenants/contoso/events").bearer_auth(key_of("contoso"));
    request.header("content-type", "application/cloudevents+json").body(body.to_vec())
}

fn webhook_with(gateway: &Gateway, id: usize, body: &[u8]) -> RequestBuilder {
    let request = gateway.request(Method::POST, "/v1/tenants/contoso/webhooks/servicenow");
    let at = jiff::Timestamp::now().as_second();
    let webhook = standardwebhooks::Webhook::new(&hook_secret_of("webhook")).expect("a secret");
    let request = match webhook.sign(&format!("msg-{id}"), at, body) {
        Ok(signature) => request.header("webhook-signature", signature),
        // Its signatures are over text; such a body stays without one.
        Err(_) => request,
    };
    let request = request.header("webhook-id", format!("msg-{id}")).header("webhook-timestamp", at);
    request.header("content-type", "application/json").body(body.to_vec())
}

/// `data` of a whole event replaced by this text.
fn with_data(data: &str) -> Vec<u8> {
    format!(r#"{{"specversion":"1.0","id":"e","source":"s","type":"incident.opened","data":{data}}}"#).into_bytes()
}

/// As many different keys as fit into the largest body.
fn many_keys() -> String {
    let keys = (0..(BODY_BYTES_MAX - 300) / 11).map(|number| format!(r#""{number:x}":1"#));
    let keys = keys.scan(0, |bytes, key| {
        *bytes += key.len() + 1;
        (*bytes < BODY_BYTES_MAX - 300).then_some(key)
    });
    keys.collect::<Vec<_>>().join(",")
}

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let keys = many_keys();
    let utf16: Vec<u8> = Event::opened("MTR-1").body().encode_utf16().flat_map(u16::to_be_bytes).collect();
    vec![
        ("arrays in arrays", vec![b'['; BODY_BYTES_MAX]),
        ("objects in objects", r#"{"a":"#.repeat(BODY_BYTES_MAX / 5).into_bytes()),
        ("deep data", with_data(&format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)))),
        ("deep objects", with_data(&format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000)))),
        ("brackets in a text, and deep behind it", with_data(&format!(r#"["]]]]\"",{}"#, "[".repeat(1_000)))),
        ("UTF-16", utf16),
        ("UTF-16 with its mark", [vec![0xfe, 0xff], b"\0{\0}".to_vec()].concat()),
        ("a byte order mark", [vec![0xef, 0xbb, 0xbf], Event::opened("MTR-1").body().into_bytes()].concat()),
        ("an overlong slash", with_data("{\"incident\":{\"id\":\"\u{0}\"}}")),
        ("bytes that are no UTF-8", [with_data("{\"incident\":{\"id\":\"").as_slice(), &[0xc0, 0xaf, b'"']].concat()),
        ("half a surrogate", with_data(r#"{"incident":{"id":"\ud800"}}"#)),
        ("the other half", with_data(r#"{"incident":{"id":"\udc00x"}}"#)),
        ("a number beyond all", with_data(r#"{"incident":{"id":1e400}}"#)),
        ("a number of 200,000 digits", with_data(&format!(r#"{{"incident":{{"id":{}}}}}"#, "9".repeat(200_000)))),
        ("an identity that stands twice", with_data(r#"{"incident":{"id":"A","id":"B"}}"#)),
        ("data that stands twice", br#"{"specversion":"1.0","id":"e","source":"s","type":"incident.opened","data":{"incident":{"id":"A"}},"data":{"incident":{"id":"B"}}}"#.to_vec()),
        ("an id that stands twice", br#"{"specversion":"1.0","id":"e","id":"f","source":"s","type":"incident.opened","data":{"incident":{"id":"A"}}}"#.to_vec()),
        ("keys without end", format!("{{{keys}}}").into_bytes()),
        ("keys without end in the data", with_data(&format!("{{{keys}}}"))),
        ("a text that never ends", with_data(&format!("\"{}", "\\\"".repeat(100_000)))),
        ("nothing but quotes", vec![b'"'; BODY_BYTES_MAX]),
        ("nothing but backslashes", [b"\"".to_vec(), vec![b'\\'; BODY_BYTES_MAX - 1]].concat()),
        ("comments and trailing commas", br#"{"specversion":"1.0",/**/}"#.to_vec()),
        ("infinity", with_data(r#"{"incident":{"id":Infinity}}"#)),
        ("nothing at all", Vec::new()),
        ("a NUL", vec![0]),
        ("null", b"null".to_vec()),
    ]
}

/// What an answer may take on a busy machine; a parser that has gone astray takes minutes.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn hostile_json_is_refused_with_fixed_words_by_every_route() {
    let (_instance, _home, gateway) = gateway().await;
    for (number, (what, body)) in hostile().into_iter().enumerate() {
        for (route, request) in
            [("events", event_with(&gateway, &body)), ("webhooks", webhook_with(&gateway, number, &body))]
        {
            let begun = Instant::now();
            let reply = Reply::of(request).await.unwrap_or_else(|| panic!("{route}: {what}: no answer"));
            // A signature over text cannot be made over some of these bytes, and a webhook is saved by what it holds.
            let refused = matches!(reply.status, 400 | 401 | 422);
            assert!(refused, "{route}: {what}: {} {}", reply.status, reply.text);
            assert_eq!(reply.header("content-type"), "application/problem+json", "{route}: {what}");
            assert!(reply.text.len() < 20_000, "{route}: {what}: an answer of {} bytes", reply.text.len());
            assert!(begun.elapsed() < SOON, "{route}: {what} took {:?}", begun.elapsed());
        }
    }
    assert!(gateway.deliveries("").await.is_empty());
    gateway.request(Method::GET, "/readyz").send().await.expect("an answer").error_for_status().expect("ready");
}

#[tokio::test]
async fn a_million_keys_are_too_large_before_anything_reads_them() {
    let (_instance, _home, gateway) = gateway().await;
    let keys: Vec<String> = (0..1_000_000).map(|number| format!("\"{number}\":1")).collect();
    let body = with_data(&format!("{{{}}}", keys.join(",")));
    // The answer may come while the body is still being sent, and end the connection; either way nothing is taken.
    if let Some(refused) = Reply::of(event_with(&gateway, &body)).await {
        assert_eq!(refused.status, 413, "{}", refused.text);
    }
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn a_compressed_body_is_never_unpacked() {
    let (_instance, _home, gateway) = gateway().await;
    // A gzip head, and what would become a gigabyte; nobody gets as far as to find out that it is no real one.
    let bomb: Vec<u8> = [vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], vec![0; 100_000]].concat();
    for encodings in
        [&["gzip"][..], &["br"], &["x-gzip"], &["gzip, gzip"], &["GZIP"], &["identity", "gzip"], &["aws-chunked"]]
    {
        for request in [event_with(&gateway, &bomb), event_with(&gateway, Event::opened("MTR-1").body().as_bytes())] {
            let request =
                encodings.iter().fold(request, |request, encoding| request.header("content-encoding", *encoding));
            let refused = Reply::of(request).await.expect("an answer").expect(415);
            assert_eq!(refused.code(), "unsupported_media_type", "{encodings:?}");
        }
    }
    let hook = json!({"sys_id": "46c88ac1a9fe1981014de1c831fbcf6d"}).to_string();
    let zipped = webhook_with(&gateway, 1, hook.as_bytes()).header("content-encoding", "gzip");
    Reply::of(zipped).await.expect("an answer").expect(415);
    // What is packed and does not say so is no text.
    Reply::of(event_with(&gateway, &bomb)).await.expect("an answer").expect(400);
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn no_answer_is_compressed_where_a_secret_could_be_guessed_by_its_size() {
    let bridged = Bridged::start().await;
    let gateway = bridged.gateway();
    for request in [gateway.request(Method::GET, "/livez"), gateway.asking(Method::GET, "/metrics")] {
        let reply = gateway.sent(request.header("accept-encoding", "gzip, br, zstd, deflate")).await.expect(200);
        assert_eq!(reply.header("content-encoding"), "");
    }
}
