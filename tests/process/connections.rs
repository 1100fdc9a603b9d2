//! Senders that break off: in the middle of a request, or before they read the answer.

use std::time::Duration;

use crate::support::wire::{connect, head, write};
use crate::support::{Event, Home, Instance, eventually};

#[tokio::test]
async fn half_a_request_stores_nothing() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let body = Event::opened("MTR-1").body();
    for part in [0, 1, body.len() / 2, body.len() - 1] {
        let mut stream = connect(gateway.address()).await;
        let head = head("contoso", &format!("Content-Length: {}\r\n", body.len()));
        write(&mut stream, head.as_bytes()).await;
        write(&mut stream, body.as_bytes().get(..part).expect("a part")).await;
        drop(stream);
    }
    // Taken after the cut ones, and handled by the same threads: when it is through, so are they.
    gateway.post(&Event::opened("MTR-2")).await.expect(202);
    gateway.quiet().await;
    assert_eq!(gateway.deliveries("").await.len(), 1);
    assert_eq!(instance.tickets().len(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_read_is_repeated_as_a_duplicate() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let event = Event::opened("MTR-1");
    let body = event.body();
    let mut stream = connect(gateway.address()).await;
    let head = head("contoso", &format!("Content-Length: {}\r\n", body.len()));
    write(&mut stream, format!("{head}{body}").as_bytes()).await;
    eventually("the event is stored", async || (gateway.deliveries("").await.len() == 1).then_some(())).await;
    drop(stream);
    let first = gateway.post(&event).await.expect(200);
    assert_eq!((first.json()["duplicate"].as_bool(), first.json()["sequence"].as_u64()), (Some(true), Some(1)));
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn a_sender_that_leaves_right_after_its_request_has_one_effect_when_it_repeats() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    for number in 0..20 {
        let event = Event::opened(&format!("MTR-{number}"));
        let body = event.body();
        let mut stream = connect(gateway.address()).await;
        let head = head("contoso", &format!("Content-Length: {}\r\n", body.len()));
        write(&mut stream, format!("{head}{body}").as_bytes()).await;
        drop(stream);
        let reply = gateway.post(&event).await;
        assert!(matches!(reply.status, 200 | 202), "{}", reply.text);
        assert_eq!(reply.json()["sequence"], 1);
    }
    gateway.quiet().await;
    assert_eq!(gateway.deliveries("").await.len(), 20);
    assert_eq!(instance.tickets().len(), 20);
}

#[tokio::test]
async fn a_sender_that_stops_waiting_for_the_end_loses_nothing() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    instance.plays("delay=1000:1500");
    let request = gateway.posting("contoso", &Event::opened("MTR-1")).header("prefer", "wait=20");
    let cut = request.timeout(Duration::from_millis(700)).send().await;
    assert!(cut.is_err(), "the sender gave up");
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
    gateway.post(&Event::opened("MTR-1")).await.expect(200);
}
