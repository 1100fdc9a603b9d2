//! What comes in: the forms of an event, repeats, and everything that is refused with the place that is wrong.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::home::key_of;
use crate::support::wire::{answer, connect, head, write};
use crate::support::{Event, Gateway, Home, Instance, PATIENCE, Reply, event};

const EVENTS: &str = "/v1/tenants/contoso/events";

/// A gateway whose deliveries go nowhere in particular, and what it runs in.
async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    (instance, home, gateway)
}

/// A POST by `contoso` with any media type and body.
async fn post_as(gateway: &Gateway, media_type: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = gateway.request(Method::POST, EVENTS).bearer_auth(key_of("contoso"));
    Reply::of(request.header("content-type", media_type).body(body)).await.expect("an answer")
}

#[tokio::test]
async fn the_three_forms_of_an_event_become_tickets() {
    let (instance, _home, gateway) = gateway().await;
    let structured = gateway.post(&Event::opened("MTR-1")).await.expect(202);
    assert_eq!(structured.json()["tenant"], "contoso");
    assert_eq!(structured.json()["incident"], "MTR-1");
    assert_eq!(
        (structured.json()["sequence"].as_u64(), structured.json()["duplicate"].as_bool()),
        (Some(1), Some(false))
    );
    assert!(structured.delivery().starts_with("dlv_"), "{}", structured.text);

    let batch = gateway.post_batch(&[Event::opened("MTR-2"), Event::opened("MTR-3")]).await.expect(202);
    assert_eq!(batch.json()["receipts"][0]["incident"], "MTR-2");
    assert_eq!(batch.json()["receipts"][1]["incident"], "MTR-3");

    let request = gateway.request(Method::POST, EVENTS).bearer_auth(key_of("contoso"));
    let request = request
        .header("content-type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-id", "binary-1")
        .header("ce-source", "soc/tests")
        .header("ce-type", "incident.opened")
        .header("ce-subject", "MTR-4");
    let binary =
        Reply::of(request.body(r#"{"incident":{"title":"Fault of MTR-4"}}"#)).await.expect("an answer").expect(202);
    assert_eq!(binary.json()["incident"], "MTR-4");

    let plain = post_as(&gateway, "application/json", Event::opened("MTR-5").body()).await.expect(202);
    assert_eq!(plain.json()["incident"], "MTR-5");

    gateway.quiet().await;
    for incident in ["MTR-1", "MTR-2", "MTR-3", "MTR-4", "MTR-5"] {
        drop(instance.ticket_of(incident));
    }
}

#[tokio::test]
async fn a_repeat_has_one_effect_and_the_same_receipt_in_every_form() {
    let (instance, _home, gateway) = gateway().await;
    let first = gateway.post(&Event::opened("MTR-1")).await.expect(202);
    for _ in 0..3 {
        let again = gateway.post(&Event::opened("MTR-1")).await.expect(200);
        assert_eq!((again.receipt(), again.json()["duplicate"].as_bool()), (first.receipt(), Some(true)));
    }
    let batch = gateway.post_batch(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "Hello")]).await;
    let receipts = batch.json()["receipts"].clone();
    assert_eq!((&receipts[0]["duplicate"], &receipts[0]["delivery"]), (&json!(true), &json!(first.delivery())));
    assert_eq!((&receipts[1]["duplicate"], &receipts[1]["sequence"]), (&json!(false), &json!(2)));
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["Hello"]);
    gateway.post(&Event::message("MTR-1", 1, "Hello")).await.expect(200);
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["Hello"]);
}

#[tokio::test]
async fn the_same_id_from_another_source_is_another_event() {
    let (instance, _home, gateway) = gateway().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let elsewhere = Event::opened("MTR-1").with("/source", json!("another/source"));
    let other = gateway.post(&elsewhere).await.expect(202);
    assert_eq!(other.json()["sequence"], 2);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 1);
}

#[tokio::test]
async fn a_used_id_with_another_body_is_refused_and_the_first_stays() {
    let (instance, _home, gateway) = gateway().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let other = Event::opened("MTR-1").with("/data/incident/severity", json!("low"));
    let refused = gateway.post(&other).await.expect(422);
    assert_eq!((refused.code().as_str(), refused.faults()), ("event_conflict", vec![(None, "/id".to_owned())]));
    let mixed = gateway.post_batch(&[Event::opened("MTR-2"), other]).await.expect(422);
    assert_eq!(mixed.faults(), [(Some(1), "/id".to_owned())]);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 1, "nothing of a batch with a conflict was stored");
    assert_eq!(instance.ticket_of("MTR-1").field("impact"), "1");
}

#[tokio::test]
async fn one_bad_item_refuses_a_batch_and_every_fault_is_named() {
    let (instance, _home, gateway) = gateway().await;
    let no_id = Event::opened("MTR-2").with("/id", json!(""));
    let wrong_type = Event::opened("MTR-3").with("/data/incident/title", json!(7));
    let strange = Event::opened("MTR-4").with("/type", json!("incident.exploded"));
    let refused = gateway.post_batch(&[Event::opened("MTR-1"), no_id, wrong_type, strange]).await.expect(422);
    assert_eq!(refused.code(), "invalid_event");
    let expected =
        [(Some(1), "/id".to_owned()), (Some(2), "/data/incident/title".to_owned()), (Some(3), "/type".to_owned())];
    assert_eq!(refused.faults(), expected, "{}", refused.text);
    gateway.quiet().await;
    assert!(gateway.deliveries("").await.is_empty() && instance.tickets().is_empty());
}

#[tokio::test]
async fn wrong_types_are_named_by_their_pointers() {
    let (_instance, _home, gateway) = gateway().await;
    for (pointer, value) in [
        ("/data/incident/title", json!(["a"])),
        ("/data/incident/severity", json!(5)),
        ("/data/incident/affected", json!("room")),
        ("/data/incident/high_impact", json!("perhaps")),
        ("/data/incident/times", json!([])),
        ("/data/incident/id", json!("")),
        ("/data/incident/id", json!("a\nb")),
    ] {
        let refused = gateway.post(&Event::opened("MTR-1").with(pointer, value.clone())).await.expect(422);
        assert_eq!(refused.faults(), [(None, pointer.to_owned())], "{value}: {}", refused.text);
    }
    let untitled = event("opened", "e-1", &json!({"incident": {"id": "MTR-1"}}));
    assert_eq!(gateway.post(&untitled).await.expect(422).faults(), [(None, "/data/incident/title".to_owned())]);
    let unnamed = event("updated", "e-1", &json!({"incident": {"severity": "low"}}));
    assert_eq!(gateway.post(&unnamed).await.expect(422).faults(), [(None, "/data/incident/id".to_owned())]);
    let mute = event("message_added", "e-1", &json!({"incident": {"id": "MTR-1"}}));
    assert_eq!(gateway.post(&mute).await.expect(422).faults(), [(None, "/data/message/text".to_owned())]);
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn what_is_no_json_is_refused_with_fixed_words() {
    let (_instance, _home, gateway) = gateway().await;
    let good = Event::opened("MTR-1").body();
    let half = good.get(..good.len() / 2).expect("half").as_bytes().to_vec();
    let deep_data = format!(r#"{{"specversion":"1.0","data":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut nul = good.clone().into_bytes();
    nul.insert(20, 0);
    let mut bad_byte = good.clone().into_bytes();
    bad_byte.insert(good.len() - 20, 0xff);
    for (what, body) in [
        ("nothing", Vec::new()),
        ("half of it", half),
        ("two of them", format!("{good}{good}").into_bytes()),
        ("deep nesting", deep_data.into_bytes()),
        ("UTF-16", utf16),
        ("a NUL byte", nul),
        ("a byte that is no UTF-8", bad_byte),
        ("a byte order mark", format!("\u{feff}{good}").into_bytes()),
    ] {
        let refused = post_as(&gateway, "application/cloudevents+json", body).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "malformed_json"), "{what}: {}", refused.text);
        assert_eq!(refused.header("content-type"), "application/problem+json", "{what}");
    }
    // The JSON is well formed and holds no text: whether that is 400 or 422 is a matter of taste.
    let surrogate = good.replace("Fault of", "\\ud800");
    let refused = post_as(&gateway, "application/cloudevents+json", surrogate).await;
    assert!(matches!(refused.status, 400 | 422), "{}", refused.text);
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn keys_that_stand_twice_are_refused_where_they_matter() {
    let (_instance, _home, gateway) = gateway().await;
    let good = Event::opened("MTR-1").body();
    for (once, twice) in [
        (r#""id":"MTR-1/open""#, r#""id":"MTR-1/open","id":"other""#),
        (r#""source":"soc/tests""#, r#""source":"soc/tests","source":"other""#),
        (r#""id":"MTR-1","#, r#""id":"MTR-1","id":"MTR-2","#),
        (r#""data":{"#, r#""data":{},"data":{"#),
    ] {
        assert!(good.contains(once), "{once} in {good}");
        let refused = post_as(&gateway, "application/cloudevents+json", good.replace(once, twice)).await;
        assert!(matches!(refused.status, 400 | 422), "{twice}: {} {}", refused.status, refused.text);
    }
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn strange_numbers_and_control_characters_do_no_harm() {
    let (instance, _home, gateway) = gateway().await;
    let huge = Event::opened("MTR-1").body().replace(r#""severity":"high""#, r#""custom":{"n":1e400}"#);
    let reply = post_as(&gateway, "application/cloudevents+json", huge).await;
    assert!(matches!(reply.status, 202 | 400 | 422), "{}", reply.text);
    let hostile = "Fault\r\n\u{1b}[31m of \u{202e} \"} MTR-2 \u{2028}";
    let reply = gateway.post(&Event::opened("MTR-2").with("/data/incident/title", json!(hostile))).await;
    assert!(matches!(reply.status, 202 | 422), "{}", reply.text);
    gateway.quiet().await;
    assert!(!gateway.log().contains(['\u{1b}', '\u{202e}', '\u{2028}']), "{}", gateway.log());
    assert!(instance.tickets().len() <= 2);
}

#[tokio::test]
async fn an_announced_huge_body_is_refused_before_it_is_read() {
    let (_instance, _home, gateway) = gateway().await;
    let mut stream = connect(gateway.address()).await;
    write(&mut stream, head("contoso", "Content-Length: 10485760\r\n").as_bytes()).await;
    // Not a byte of the body is sent: the answer cannot have waited for it.
    let (status, text) = answer(&mut stream, Duration::from_secs(5)).await;
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("body_too_large"), "{text}");
}

#[tokio::test]
async fn a_huge_body_in_pieces_is_refused_when_it_is_too_large() {
    let (_instance, _home, gateway) = gateway().await;
    let mut stream = connect(gateway.address()).await;
    write(&mut stream, head("contoso", "Transfer-Encoding: chunked\r\n").as_bytes()).await;
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..5 {
        if !write(&mut stream, piece.as_bytes()).await {
            break;
        }
    }
    let (status, text) = answer(&mut stream, PATIENCE).await;
    assert_eq!(status, 413, "{text}");
    let exact = format!("{{\"x\":\"{}\"}}", "y".repeat(256 * 1024 - 8));
    assert_eq!(post_as(&gateway, "application/json", exact.clone()).await.status, 422, "as large as allowed");
    assert_eq!(post_as(&gateway, "application/json", format!("{exact} ")).await.status, 413, "one byte more");
}

#[tokio::test]
async fn a_batch_of_too_many_events_is_refused() {
    let (_instance, _home, gateway) = gateway().await;
    let small =
        r#"{"specversion":"1.0","id":"e","source":"s","type":"incident.updated","data":{"incident":{"id":"x"}}}"#;
    let body = format!("[{}]", vec![small; 501].join(","));
    let refused = post_as(&gateway, "application/cloudevents-batch+json", body).await.expect(413);
    assert_eq!(refused.code(), "body_too_large");
    let none = post_as(&gateway, "application/cloudevents-batch+json", "[]").await;
    assert!(matches!(none.status, 202 | 400 | 422), "{}", none.text);
}

#[tokio::test]
async fn compressed_and_foreign_media_types_are_refused() {
    let (_instance, _home, gateway) = gateway().await;
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let request = gateway.posting("contoso", &Event::opened("MTR-1")).header("content-encoding", encoding);
        let refused = Reply::of(request).await.expect("an answer").expect(415);
        assert_eq!(refused.code(), "unsupported_media_type", "{encoding}");
    }
    for media_type in
        ["text/plain", "application/xml", "application/cloudevents+avro", "application/x-www-form-urlencoded"]
    {
        post_as(&gateway, media_type, Event::opened("MTR-1").body()).await.expect(415);
    }
    let bare = gateway.request(Method::POST, EVENTS).bearer_auth(key_of("contoso")).body(Event::opened("MTR-1").body());
    Reply::of(bare).await.expect("an answer").expect(415);
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let (_instance, _home, gateway) = gateway().await;
    let mut stream = connect(gateway.address()).await;
    write(&mut stream, format!("{}{{\"spec", head("contoso", "Content-Length: 200\r\n")).as_bytes()).await;
    let (status, text) = answer(&mut stream, Duration::from_secs(25)).await;
    assert_eq!(status, 408, "{text}");
    assert!(text.contains("request_timeout"), "{text}");
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_given_up() {
    let (_instance, _home, gateway) = gateway().await;
    let mut stream = connect(gateway.address()).await;
    write(&mut stream, b"POST /v1/tenants/contoso/events HTTP/1.1\r\nHost: ga").await;
    let (status, text) = answer(&mut stream, Duration::from_secs(20)).await;
    assert!(matches!(status, 0 | 408), "the connection ends: {text}");
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_apart() {
    let (_instance, _home, gateway) = gateway().await;
    for (method, path, status, code) in [
        (Method::GET, EVENTS, 405, "method_not_allowed"),
        (Method::PUT, EVENTS, 405, "method_not_allowed"),
        (Method::DELETE, "/v1/tenants/contoso/deliveries/dlv_1", 405, "method_not_allowed"),
        (Method::POST, "/livez", 405, "method_not_allowed"),
        (Method::POST, "/v1/tenants/contoso/nonsense", 404, "not_found"),
        (Method::POST, "/v1/tenants/contoso/eventsx", 404, "not_found"),
        (Method::GET, "/", 404, "not_found"),
        (Method::GET, "/v1/tenants", 404, "not_found"),
        (Method::GET, "/metrics", 404, "not_found"),
    ] {
        let request = gateway.request(method.clone(), path).bearer_auth(key_of("contoso"));
        let reply = Reply::of(request).await.expect("an answer");
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {path}: {}", reply.text);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{method} {path}");
        assert!(!reply.header("x-request-id").is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn the_same_event_sent_by_twenty_at_once_is_stored_once() {
    let (instance, _home, gateway) = gateway().await;
    let event = Event::opened("MTR-1");
    let replies = join_all((0..20).map(|_| gateway.post(&event))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 1);
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 202) && reply.receipt() == replies[0].receipt()));
    gateway.quiet().await;
    assert_eq!((gateway.deliveries("").await.len(), instance.tickets().len()), (1, 1));
}

#[tokio::test]
async fn messages_of_many_senders_arrive_in_the_order_of_their_receipts() {
    let (instance, _home, gateway) = gateway().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let events: Vec<Event> =
        (0..30).map(|number| Event::message("MTR-1", number, &format!("message {number}"))).collect();
    let replies = join_all(events.iter().map(|event| gateway.post(event))).await;
    let mut told: Vec<(u64, String)> = replies
        .iter()
        .enumerate()
        .map(|(number, reply)| (reply.json()["sequence"].as_u64().expect("a receipt"), format!("message {number}")))
        .collect();
    told.sort();
    assert_eq!(told.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), (2..=31).collect::<Vec<_>>(), "dense");
    gateway.quiet().await;
    assert_eq!(
        instance.ticket_of("MTR-1").journal("comments"),
        told.into_iter().map(|(_, said)| said).collect::<Vec<_>>()
    );
}
