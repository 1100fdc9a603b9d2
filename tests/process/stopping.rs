//! Signals: the first asks, with a deadline; the second insists.

use std::time::Duration;

use snowgate::sim::server::{Options, OutageKind};

use crate::support::{Event, Home, Instance, Tenant, eventually, faults, within};

/// The grace, the time for load balancers, and a busy machine.
const DEADLINE: Duration = Duration::from_secs(75);

#[tokio::test]
async fn sigterm_finishes_what_is_being_sent_and_exits_with_0() {
    let instance = Instance::started(Options { work_ms: 700, ..Options::default() });
    let home = Home::contoso(instance.url());
    let mut gateway = home.start().await;
    let incidents: Vec<String> = (0..8).map(|number| format!("MTR-{number}")).collect();
    for incident in &incidents {
        gateway.post(&Event::opened(incident)).await.expect(202);
    }
    eventually("something is being sent", async || (!instance.calls().is_empty()).then_some(())).await;
    gateway.signal("TERM");
    let status = gateway.ended(DEADLINE).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    assert!(gateway.log().contains("Stopping after SIGTERM"), "{}", gateway.log());
    assert!(gateway.log().contains("Stopped"), "it says how it ended: {}", gateway.log());
    drop(gateway);

    let gateway = home.start().await;
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), incidents.len());
    for incident in &incidents {
        drop(instance.ticket_of(incident));
    }
}

#[tokio::test]
async fn a_stopping_gateway_is_not_ready_and_still_takes_events_for_a_moment() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let mut gateway = home.start().await;
    gateway.signal("TERM");
    let (path, method) = ("/readyz", reqwest::Method::GET);
    let not_ready = within(Duration::from_secs(20), "it says that it stops", async || {
        let reply = gateway.ask(method.clone(), path).await;
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert!(not_ready.text.contains("stopping"), "{}", not_ready.text);
    let taken = gateway.post(&Event::opened("MTR-1")).await;
    assert!(taken.status == 202 || (taken.status == 503 && !taken.header("retry-after").is_empty()), "{}", taken.text);
    assert_eq!(gateway.ended(DEADLINE).await.code(), Some(0));
    drop(gateway);

    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await;
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn an_instance_that_hangs_does_not_keep_a_stopping_gateway_beyond_its_deadline() {
    let instance = Instance::start();
    let slow = Instance::started(Options { work_ms: 700, ..Options::default() });
    let home = Home::of(&[Tenant::named("contoso", instance.url()), Tenant::named("fabrikam", slow.url())]);
    let mut gateway = home.start().await;
    instance.fails(OutageKind::Hang);
    let hanging = ["MTR-1", "MTR-2", "MTR-3"];
    gateway.post_all(&hanging.map(Event::opened)).await;
    for number in 0..17 {
        gateway.post_for("fabrikam", &Event::opened(&format!("FAB-{number}"))).await.expect(202);
    }
    eventually("all calls are under way", async || {
        let is_called = |instance: &Instance| !instance.calls().is_empty();
        (is_called(&slow) && gateway.get("/v1/tenants/contoso").await["waiting"] == 3).then_some(())
    })
    .await;
    gateway.signal("TERM");
    let begun = tokio::time::Instant::now();
    let status = gateway.ended(DEADLINE).await;
    let took = begun.elapsed();
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    assert!(gateway.log().contains("Stopped"), "{}", gateway.log());
    assert!(took < Duration::from_mins(1), "{took:?}");
    let finished = slow.tickets().len();
    drop(gateway);

    instance.recovers();
    let gateway = home.start().await;
    gateway.quiet().await;
    for incident in hanging {
        drop(instance.ticket_of(incident));
    }
    assert_eq!(slow.tickets().len(), 17, "what was not begun is done after the start, each once");
    faults::proven(
        "F24",
        "an_instance_that_hangs_does_not_keep_a_stopping_gateway_beyond_its_deadline",
        &format!(
            "exit code 0 after {} s; {finished} of 17 creates of a slow instance done before, the others and the 3 of the hung one after the next start, each once",
            took.as_secs()
        ),
    );
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_the_next_start_finishes_the_work() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let mut gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    instance.fails(OutageKind::Hang);
    let sent = gateway.post(&Event::message("MTR-1", 1, "Are you there?")).await.expect(202).delivery();
    gateway.record_once(&sent, "sending").await;
    gateway.signal("TERM");
    eventually("the first signal is heard", async || gateway.log().contains("Stopping after").then_some(())).await;
    gateway.signal("INT");
    let status = gateway.ended(Duration::from_secs(4)).await;
    assert_ne!(status.code(), Some(0), "what was cut short is no success");
    assert!(status.code().is_some(), "it exits by itself: {status:?}");
    drop(gateway);

    instance.recovers();
    let gateway = home.start().await;
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["Are you there?"]);
}

#[tokio::test]
async fn a_signal_is_heeded_from_the_first_moment_on() {
    let instance = Instance::start();
    let started_and_stopped = async || {
        let home = Home::contoso(instance.url());
        // As early as anyone can know that it runs.
        let mut gateway = home.start().await;
        gateway.signal("TERM");
        let status = gateway.ended(DEADLINE).await;
        assert_eq!(status.code(), Some(0), "{status:?}: {}", gateway.log());
    };
    futures_util::future::join_all((0..4).map(|_| started_and_stopped())).await;
}
