//! Instances that are down, asleep, or send us elsewhere.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use snowgate::runtime::tasks;
use snowgate::sim::server::{Options, OutageKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::reply::text;
use crate::support::{Event, Home, Instance, eventually};

#[tokio::test]
async fn what_was_accepted_while_the_instance_was_down_arrives_in_order() {
    // The port is free again when the listener is dropped: nobody is there yet.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let home = Home::contoso(&format!("http://{address}"));
    let gateway = home.start().await;
    let said: Vec<String> = (1..=6).map(|number| format!("message {number}")).collect();
    let opened = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    for (number, said) in said.iter().enumerate() {
        gateway.post(&Event::message("MTR-1", number, said)).await.expect(202);
    }
    gateway.post_all(&[Event::updated("MTR-1", 90, "low"), Event::resolved("MTR-1", 91), Event::opened("MTR-2")]).await;
    let record = eventually("a try is on record", async || {
        let record = gateway.record(&opened).await;
        record["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty()).then_some(record)
    })
    .await;
    assert_eq!(record["state"], "waiting", "nothing can have been done: {record}");
    assert_eq!(text(&record, "/attempts/0/outcome/code"), "connect_failed");
    let instance = Instance::started(Options { listen: address, ..Options::default() });
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    assert_eq!(
        (ticket.journal("comments"), ticket.field("state").as_str(), ticket.field("impact").as_str()),
        (said, "6", "3")
    );
    drop(instance.ticket_of("MTR-2"));
}

#[tokio::test]
async fn a_sleeping_instance_that_answers_200_with_a_page_is_no_success() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    instance.fails(OutageKind::Html);
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    let record = eventually("a try is on record", async || {
        let record = gateway.record(&delivery).await;
        record["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty()).then_some(record)
    })
    .await;
    assert_eq!(text(&record, "/attempts/0/outcome/code"), "html_instead_of_json");
    assert!(text(&record, "/attempts/0/outcome/detail").contains("Hibernating"), "names the cause: {record}");
    assert_ne!(record["state"], "delivered");
    instance.recovers();
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn connections_that_break_lose_nothing_and_double_nothing() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-0")).await.expect(202);
    gateway.quiet().await;
    instance.fails(OutageKind::Connect);
    gateway
        .post_all(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "one"), Event::message("MTR-0", 1, "zero")])
        .await;
    eventually("both were tried", async || {
        (instance.calls().iter().filter(|call| call.status.is_none()).count() >= 2).then_some(())
    })
    .await;
    instance.recovers();
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-0").journal("comments"), ["zero"]);
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one"]);
}

/// Answers everything with these bytes, and counts who came. Lives as long as the test's runtime.
fn answering(answer: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let visitors = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visitors);
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4096];
            // Whatever they ask, and whether or not they stay for the answer.
            if stream.read(&mut request).await.is_ok() {
                drop(stream.write_all(answer.as_bytes()).await);
            }
        }
    };
    drop(tasks::spawn("peer", serve));
    (url, visitors)
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let (elsewhere, visitors) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned());
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {elsewhere}/login.do\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let (instance, asked) = answering(redirect);
    let home = Home::contoso(&instance);
    let gateway = home.start().await;
    gateway.leaves_work();
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let tenant = eventually("a person is asked", async || {
        let tenant = gateway.get("/v1/tenants/contoso").await;
        tenant.get("pause").is_some().then_some(tenant)
    })
    .await;
    assert!(text(&tenant, "/health").contains("redirected"), "{tenant}");
    assert!(asked.load(Ordering::Relaxed) >= 1);
    assert_eq!(visitors.load(Ordering::Relaxed), 0, "our credentials stay where they belong");
}

#[tokio::test]
async fn an_instance_that_does_not_speak_http_is_no_success() {
    let (instance, _asked) = answering("SSH-2.0-OpenSSH_9.2\r\n".to_owned());
    let home = Home::contoso(&instance);
    let gateway = home.start().await;
    gateway.leaves_work();
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    let record = eventually("a try is on record", async || {
        let record = gateway.record(&delivery).await;
        record["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty()).then_some(record)
    })
    .await;
    assert_eq!(record["state"], "waiting", "{record}");
}
