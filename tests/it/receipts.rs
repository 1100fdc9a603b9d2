//! What senders are told: receipts, waiting for the end, request ids, how full a lane is.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use snowgate::sim::server::OutageKind;

use crate::support::home::key_of;
use crate::support::{Event, Home, Instance, Reply, Tenant};

#[tokio::test]
async fn a_sender_that_waits_is_told_the_ticket() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let waiting = gateway.posting("contoso", &Event::opened("MTR-1")).header("prefer", "wait=30");
    let ended = Reply::of(waiting).await.expect("an answer").expect(200);
    let ticket = instance.ticket_of("MTR-1");
    let told = ended.json()["ticket"].clone();
    assert_eq!(
        (told["number"].as_str(), told["sys_id"].as_str()),
        (Some(&*ticket.field("number")), Some(&*ticket.field("sys_id")))
    );
    let url = told["url"].as_str().expect("a URL");
    assert!(url.starts_with(instance.url()) && url.contains(&ticket.field("sys_id")), "{url}");
    assert_eq!(ended.json()["state"], "delivered");
    assert!(ended.header("preference-applied").starts_with("wait"), "{:?}", ended.headers);

    let path = format!("/v1/tenants/contoso/deliveries/{}", ended.delivery());
    let later = Reply::of(gateway.request(Method::GET, &path).bearer_auth(key_of("contoso"))).await.expect("an answer");
    assert_eq!(later.expect(200).json(), ended.json(), "the receipt's state is the same later");
}

#[tokio::test]
async fn a_sender_that_waits_longer_than_it_takes_gets_the_plain_receipt() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    instance.fails(OutageKind::Http503);
    let waiting = gateway.posting("contoso", &Event::opened("MTR-1")).header("prefer", "respond-async, wait=1");
    let receipt = Reply::of(waiting).await.expect("an answer").expect(202);
    assert_eq!(receipt.json()["duplicate"], false);
    instance.recovers();
    let again = gateway.posting("contoso", &Event::opened("MTR-1")).header("prefer", "wait=30");
    let ended = Reply::of(again).await.expect("an answer").expect(200);
    assert_eq!((ended.delivery(), &ended.json()["state"]), (receipt.delivery(), &Value::from("delivered")));
    let nonsense = gateway.posting("contoso", &Event::opened("MTR-2")).header("prefer", "wait=soon");
    assert_eq!(Reply::of(nonsense).await.expect("an answer").expect(400).code(), "bad_request");
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 1);
}

#[tokio::test]
async fn a_full_lane_asks_its_sender_to_come_back_and_nobody_else() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let updates: Vec<Event> = (1..1_000).map(|number| Event::updated("MTR-1", number, "low")).collect();
    for part in updates.chunks(333) {
        gateway.post_batch(part).await.expect(202);
    }
    let full = gateway.post(&Event::updated("MTR-1", 1_000, "critical")).await.expect(429);
    assert_eq!(full.code(), "lane_full");
    assert!(full.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{:?}", full.headers);
    let batch = [Event::opened("MTR-2"), Event::updated("MTR-1", 1_000, "critical")];
    assert_eq!(gateway.post_batch(&batch).await.expect(429).code(), "lane_full");
    gateway.post(&Event::updated("MTR-1", 7, "low")).await.expect(200);
    gateway.post(&Event::opened("MTR-3")).await.expect(202);

    gateway.ask(Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    gateway.quiet().await;
    gateway.post(&Event::updated("MTR-1", 1_000, "critical")).await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").field("impact"), "1");
    assert_eq!(instance.tickets().len(), 2, "MTR-2 was refused together with its batch");
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_plain_one_of_the_sender_is_kept() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let with = async |id: &str| {
        let request = gateway.posting("contoso", &Event::opened("MTR-1")).header("x-request-id", id);
        Reply::of(request).await.expect("an answer").header("x-request-id")
    };
    assert_eq!(with("trace-7.a_B").await, "trace-7.a_B");
    for strange in ["a b", "<script>", "a\"b", &"x".repeat(65)] {
        let id = with(strange).await;
        assert!(!id.is_empty() && id != strange, "{strange} became {id}");
    }
    let (first, second) = (gateway.ask(Method::GET, "/livez").await, gateway.ask(Method::GET, "/livez").await);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    gateway.quiet().await;
}

#[tokio::test]
async fn liveness_and_readiness_answer_on_both_listeners() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    for path in ["/livez", "/readyz"] {
        let public = Reply::of(gateway.request(Method::GET, path)).await.expect("an answer").expect(200);
        assert_eq!(public.json(), gateway.ask(Method::GET, path).await.expect(200).json());
    }
    instance.fails(OutageKind::Connect);
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    // A customer's outage is no reason to take the gateway out of a load balancer.
    gateway.ask(Method::GET, "/readyz").await.expect(200);
    instance.recovers();
    gateway.quiet().await;
    let request = gateway.posting("contoso", &Event::opened("MTR-9")).timeout(Duration::from_secs(40));
    Reply::of(request).await.expect("an answer").expect(202);
    gateway.quiet().await;
}

#[tokio::test]
async fn a_tenant_that_is_switched_off_takes_nothing_and_says_when_to_come_back() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).and("enabled: false\n")]);
    let gateway = home.start().await;
    let refused = gateway.post(&Event::opened("MTR-1")).await.expect(503);
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{:?}", refused.headers);
    assert!(gateway.deliveries("").await.is_empty());
}
