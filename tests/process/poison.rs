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
