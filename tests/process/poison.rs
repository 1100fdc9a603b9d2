//! A delivery that ends the process that touches it: put aside after three starts, and nobody else is held up.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;

use crate::support::gateway::parking;
use crate::support::{Event, Home, Instance, Reply, eventually, faults};

const POINT: &str = "worker.after_claim:1";
const SIGABRT: i32 = 6;

/// Starts a gateway that may die before anybody can ask it anything; gives the signal that ended it.
async fn dies(home: &Home) -> Option<i32> {
    let mut command = home.command(&["serve", "--config", "snowgate.yaml"]);
    command.env("SNOWGATE_CRASH_AT", POINT).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().expect("the binary was built");
    eventually("the process ends", async || process.try_wait().expect("our own child")).await.signal()
}

#[tokio::test]
async fn a_delivery_that_ends_the_process_three_times_is_put_aside() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let mut first = home.start_dying_at(POINT).await;
    // Whether the receipt arrives before the process dies is a matter of luck; that it was stored is not.
    drop(Reply::of(first.posting("contoso", &Event::opened("MTR-1"))).await);
    assert_eq!(first.ended(Duration::from_secs(40)).await.signal(), Some(SIGABRT));
    drop(first);
    for _ in 0..2 {
        assert_eq!(dies(&home).await, Some(SIGABRT));
    }

    // It still dies at the first delivery that it begins: this one is not begun any more.
    let mut armed = home.start_dying_at(POINT).await;
    let poison = armed.post(&Event::opened("MTR-1")).await.expect(200).delivery();
    let record = armed.record_once(&poison, "parked").await;
    let (code, reason) = parking(&record);
    assert_eq!(code, "worker_crash");
    assert!(reason.starts_with("3 starts"), "{reason}");
    armed.leaves_parked(1);
    armed.kill();
    drop(armed);

    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-2")).await.expect(202);
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-2"));
    assert!(instance.tickets_of("MTR-1").is_empty());
    gateway.ask(Method::POST, &format!("/v1/tenants/contoso/deliveries/{poison}/replay")).await.expect(200);
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
    faults::proven(
        "F27",
        "a_delivery_that_ends_the_process_three_times_is_put_aside",
        "3 aborts, then parked as worker_crash at the 4th start without being begun; the next incident was delivered, and a replay too",
    );
}
