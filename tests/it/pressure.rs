//! Too much at once: who is refused and how, row by row of `docs/fairness.md`; what was accepted goes on all the same.
//!
//! The quota of webhooks and the lane of a ticket are in `webhooks`, the lane of an incident in `receipts`.

use std::time::Duration;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use snowgate::runtime::tasks;
use tokio::time::Instant;

use crate::support::home::key_of;
use crate::support::{Event, Gateway, Home, Instance, Reply, Tenant, eventually};

/// A tool that gives up on everything below 500.
const ALARMS: &str = r#"version: 1
source: alarms
busy: 503
event: incident.opened
id: "{{ item.number }}"
incident: {title: "{{ item.text }}"}
cases: [{name: one, payload: {number: A-1, text: x}, expect: {events: [{id: A-1}]}}]
"#;

fn seconds(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().expect("a Retry-After in seconds")
}

fn openings(from: usize, count: usize) -> Vec<Event> {
    (from..from + count).map(|number| Event::opened(&format!("MTR-{number}"))).collect()
}

async fn alarm(gateway: &Gateway) -> Reply {
    let request = gateway.request(Method::POST, "/v1/tenants/contoso/sources/alarms").bearer_auth(key_of("contoso"));
    let body = json!({"number": "A-1", "text": "It is dark."}).to_string();
    gateway.sent(request.header("content-type", "application/json").body(body)).await
}

#[tokio::test]
async fn a_tenant_with_too_much_waiting_is_refused_alone_and_taken_again_when_there_is_room() {
    let instance = Instance::start();
    let full = Tenant::named("contoso", instance.url()).and("waiting_max: 100\n");
    let home = Home::of(&[full, Tenant::named("fabrikam", instance.url())]);
    std::fs::create_dir(home.path().join("mappings/sources")).expect("a new folder");
    home.write("mappings/sources/alarms.yaml", ALARMS);
    let gateway = home.start().await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.post_batch(&openings(0, 99)).await.expect(202);
    gateway.post(&Event::opened("MTR-99")).await.expect(202);
    let refused = gateway.post(&Event::opened("MTR-100")).await.expect(429);
    assert_eq!((refused.code().as_str(), seconds(&refused)), ("tenant_full", 30));
    let tool = alarm(&gateway).await.expect(503);
    assert_eq!(
        (tool.code().as_str(), seconds(&tool)),
        ("tenant_full", 30),
        "the status after which this tool comes again"
    );
    gateway.post_for("fabrikam", &Event::opened("FAB-1")).await.expect(202);
    assert!(gateway.metric("snowgate_requests_shed_total", "reason=\"tenant_full\"").await > 1.5);

    gateway.ask(Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    gateway.quiet().await;
    eventually("there is room again", async || {
        (gateway.post(&Event::opened("MTR-100")).await.status == 202).then_some(())
    })
    .await;
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 102, "everything that was accepted, and nothing else");
}

/// What comes while the database is held by somebody else.
#[tokio::test]
async fn a_store_that_hangs_closes_the_door_early_and_opens_it_by_itself() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.post_all(&openings(0, 5)).await;
    gateway.logs_error("the store cannot take work");
    let other = Connection::open(home.path().join("snowgate.db")).expect("the file is there");
    other.execute_batch("BEGIN IMMEDIATE").expect("a moment between two commits");
    let stuck = gateway.posting("contoso", &Event::opened("MTR-5")).send();
    let stuck = tasks::spawn("a sender", stuck);

    let early = eventually("new work is refused early", async || {
        let begun = Instant::now();
        let request = gateway.posting("contoso", &Event::opened("MTR-6")).timeout(Duration::from_millis(500));
        Reply::of(request).await.map(|reply| (reply, begun.elapsed()))
    })
    .await;
    let (refused, took) = early;
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"), "{}", refused.text);
    assert!((2..=10).contains(&seconds(&refused)), "{}", refused.header("retry-after"));
    eventually("it is refused before anything else is looked at", async || {
        let unknown = gateway.request(Method::POST, "/v1/tenants/nobody/events").body("not even JSON");
        (gateway.sent(unknown).await.code() == "overloaded").then_some(())
    })
    .await;
    gateway.sent(gateway.request(Method::GET, "/livez")).await.expect(200);
    gateway.ask(Method::GET, "/v1/tenants").await.expect(200);
    assert!(gateway.metric("snowgate_requests_shed_total", "reason=\"store_slow\"").await > 0.5);

    other.execute_batch("ROLLBACK").expect("it goes on");
    drop(stuck.await.expect("it was not lost"));
    let taken = eventually("work is taken again", async || {
        let reply = gateway.post(&Event::opened("MTR-6")).await;
        matches!(reply.status, 200 | 202).then_some(reply)
    })
    .await;
    assert!(!taken.delivery().is_empty());
    gateway.quiet().await;
    for number in 0..5 {
        drop(instance.ticket_of(&format!("MTR-{number}")));
    }
    drop(instance.ticket_of("MTR-6"));
}
