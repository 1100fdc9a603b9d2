//! Neighbours: what is wrong with one tenant's instance is no other tenant's problem.

use std::time::Duration;

use snowgate::sim::server::OutageKind;

use crate::support::{Event, Home, Instance, Reply, Tenant, faults, within};

/// Events of a flood.
const FLOOD: usize = 20_000;
/// The promise; the machine that runs the tests is busy, so it is measured several times and most must hold.
const PROMISED: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_hanging_instance_delays_only_its_own_tenant() {
    let (hanging, well) = (Instance::start(), Instance::start());
    let home = Home::of(&[Tenant::named("contoso", hanging.url()), Tenant::named("fabrikam", well.url())]);
    let gateway = home.start().await;
    gateway.leaves_work();
    hanging.fails(OutageKind::Hang);
    let events: Vec<Event> = (0..300).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    gateway.post_batch(&events).await.expect(202);
    let mut in_time = 0;
    for number in 0..10 {
        let incident = format!("FAB-{number}");
        let begun = tokio::time::Instant::now();
        let waiting = gateway.posting("fabrikam", &Event::opened(&incident)).header("prefer", "wait=20");
        Reply::of(waiting).await.expect("an answer").expect(200);
        in_time += u32::from(begun.elapsed() < PROMISED);
        drop(well.ticket_of(&incident));
    }
    assert!(in_time >= 9, "only {in_time} of 10 events arrived within {PROMISED:?}");
    assert!(hanging.tickets().is_empty());
    let seen =
        format!("300 lanes of a hung instance due; {in_time} of 10 events of another tenant were delivered within 2 s");
    faults::proven("F47", "a_hanging_instance_delays_only_its_own_tenant", &seen);
}

#[tokio::test]
async fn a_flood_of_one_tenant_does_not_keep_the_other_waiting() {
    let (flooded, well) = (Instance::start(), Instance::start());
    let home = Home::of(&[Tenant::named("contoso", flooded.url()), Tenant::named("fabrikam", well.url())]);
    let gateway = home.start().await;
    let events: Vec<Event> = (0..FLOOD).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    for part in events.chunks(500) {
        gateway.post_batch(part).await.expect(202);
    }
    gateway.leaves_work();
    let mut slowest = Duration::ZERO;
    for number in 0..5 {
        let incident = format!("FAB-{number}");
        let begun = tokio::time::Instant::now();
        gateway.post_for("fabrikam", &Event::opened(&incident)).await.expect(202);
        within(Duration::from_secs(4), "the neighbour's event arrives", async || {
            (well.tickets_of(&incident).len() == 1).then_some(())
        })
        .await;
        slowest = slowest.max(begun.elapsed());
    }
    let waiting = gateway.get("/v1/tenants/contoso").await["waiting"].as_u64().expect("a number");
    assert!(waiting > 0, "the flood was over before it could harm anybody");
    let seen = format!(
        "{FLOOD} events of one tenant accepted at once; each of 5 events of another was delivered within {} ms while {waiting} still waited",
        slowest.as_millis()
    );
    faults::proven("F48", "a_flood_of_one_tenant_does_not_keep_the_other_waiting", &seen);
}

#[tokio::test]
async fn the_same_incident_id_of_two_tenants_is_two_incidents() {
    let (one, other) = (Instance::start(), Instance::start());
    let home = Home::of(&[Tenant::named("contoso", one.url()), Tenant::named("fabrikam", other.url())]);
    let gateway = home.start().await;
    let first = gateway.post_for("contoso", &Event::opened("MTR-1")).await.expect(202);
    let second = gateway.post_for("fabrikam", &Event::opened("MTR-1")).await.expect(202);
    assert_ne!(first.delivery(), second.delivery());
    gateway.quiet().await;
    let (ours, theirs) = (one.ticket_of("MTR-1"), other.ticket_of("MTR-1"));
    assert_ne!(ours.field("sys_id"), theirs.field("sys_id"));
    assert_ne!(ours.field("correlation_id"), theirs.field("correlation_id"));
}
