//! Events that kill whoever works on them: a few tries, then a person; everybody else goes on.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use reqwest::Method;

use crate::support::faults::proven;
use crate::support::gateway::parking;
use crate::support::{Event, Home, Instance, Keeping, PATIENCE, Start, Tenant, eventually};

#[tokio::test]
async fn an_event_that_panics_its_worker_is_parked_and_the_others_go_on() {
    for keeping in [Keeping::Sqlite, Keeping::Postgres] {
        let instance = Instance::start();
        let home = Home::kept(keeping, &[Tenant::named("contoso", instance.url())]);
        let gateway = home.start_as(Start { crash_at: Some("worker.working/MTR-1:1:panic"), ..Start::default() }).await;
        gateway.panics();
        let poison = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
        for number in 2..=20 {
            gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
        }
        eventually("the others are through", async || (instance.tickets().len() == 19).then_some(())).await;
        let record = gateway.record_once(&poison, "parked").await;
        assert_eq!(parking(&record).0, "worker_crash");
        gateway.quiet().await;
        let page = gateway.ask(Method::GET, "/metrics").await.text;
        assert!(page.contains("snowgate_task_panics_total{task=\"delivery\"} 3"), "three tries: {page}");
        gateway.leaves_parked(1);
    }
    proven(
        "F27",
        "an_event_that_panics_its_worker_is_parked_and_the_others_go_on",
        "both stores: parked as worker_crash after 3 panics, 19 other incidents delivered by the same process",
    );
}

#[tokio::test]
async fn an_event_that_kills_the_process_is_parked_by_the_eleventh() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let start = Start { crash_at: Some("worker.working/MTR-1:1"), ..Start::default() };
    let mut first = home.start_as(start).await;
    let poison = first.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    let died = first.ended(PATIENCE).await;
    assert!(died.signal().is_some(), "{died:?}");
    for death in 2..=10 {
        // It may well die before anybody learns where it listens.
        let mut command = home.command(&["serve", "--config", "snowgate.yaml"]);
        command.env("SNOWGATE_CRASH_AT", "worker.working/MTR-1:1").stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let died = eventually("it dies", async || process.try_wait().unwrap()).await;
        assert!(died.signal().is_some(), "death {death}: {died:?}");
    }
    let gateway = home.start_as(start).await;
    gateway.post(&Event::opened("MTR-2")).await.expect(202);
    let record = gateway.record_once(&poison, "parked").await;
    assert_eq!(parking(&record).0, "worker_crash");
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-2"));
    gateway.leaves_parked(1);
    proven(
        "F27",
        "an_event_that_kills_the_process_is_parked_by_the_eleventh",
        "10 processes died of it; the eleventh parked it as worker_crash and delivered the next incident",
    );
}

#[tokio::test]
async fn what_was_claimed_beside_a_killer_is_delivered_and_not_parked_with_it() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let start = Start { crash_at: Some("worker.working/MTR-5:1"), ..Start::default() };
    let mut first = home.start_as(start).await;
    // All of them are claimed at once, so the first death counts for each.
    first.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    let mut poison = String::new();
    for number in 1..=9 {
        let delivery = first.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202).delivery();
        if number == 5 {
            poison = delivery;
        }
    }
    drop(first.asking(Method::POST, "/v1/tenants/contoso/resume").send().await);
    let mut deaths = 1;
    first.ended(PATIENCE).await;
    while deaths < 10 {
        let mut command = home.command(&["serve", "--config", "snowgate.yaml"]);
        command.env("SNOWGATE_CRASH_AT", "worker.working/MTR-5:1").stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        eventually("it dies", async || process.try_wait().unwrap()).await;
        deaths += 1;
    }
    let gateway = home.start_as(start).await;
    let record = gateway.record_once(&poison, "parked").await;
    assert_eq!(parking(&record).0, "worker_crash");
    gateway.quiet().await;
    for number in [1, 2, 3, 4, 6, 7, 8, 9] {
        drop(instance.ticket_of(&format!("MTR-{number}")));
    }
    assert_eq!(instance.writes("POST"), 8);
    gateway.leaves_parked(1);
    proven(
        "F27",
        "what_was_claimed_beside_a_killer_is_delivered_and_not_parked_with_it",
        "9 lanes claimed by each of the processes that died, one of them to blame: that one is parked, 8 tickets, 8 POSTs",
    );
}
