//! Waiting updates of one ticket go as one call; messages never do.

use snowgate::sim::server::OutageKind;

use crate::support::{Event, Home, Instance, eventually};

#[tokio::test]
async fn many_updates_during_an_outage_become_few_calls_and_messages_stay_apart() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    instance.fails(OutageKind::Http503);
    let mut number = 0;
    for said in ["first", "second"] {
        for severity in ["low", "medium", "high", "critical", "low", "medium", "high", "critical", "low", "medium"] {
            number += 1;
            gateway.post(&Event::updated("MTR-1", number, severity)).await.expect(202);
        }
        number += 1;
        gateway.post(&Event::message("MTR-1", number, said)).await.expect(202);
    }
    gateway.post(&Event::updated("MTR-1", 99, "low")).await.expect(202);
    eventually("a try failed", async || instance.calls().iter().any(|call| call.status == Some(503)).then_some(()))
        .await;
    instance.recovers();
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    assert_eq!(
        (ticket.journal("comments"), ticket.field("impact").as_str()),
        (vec!["first".to_owned(), "second".to_owned()], "3")
    );
    // Two runs of updates, the first of which may have lost its head to the outage, two messages, and the last update.
    let patches = instance.writes("PATCH");
    assert!((4..=6).contains(&patches), "{patches} PATCHes for 23 events: {:#?}", instance.calls());
    let superseded = gateway.deliveries("superseded").await;
    assert!(superseded.len() >= 17, "{}", superseded.len());
    assert!(superseded.iter().all(|delivery| delivery["ending"]["superseded_by"].is_string()), "{superseded:#?}");
    assert!(superseded.iter().all(|delivery| delivery["kind"] == "incident.updated"), "{superseded:#?}");
}
