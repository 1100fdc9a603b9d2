//! A process that is frozen for longer than its leases last, and wakes up believing that nothing happened.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::chaos::{Chaos, Deed, Trouble, Way, When};
use crate::support::faults::proven;
use crate::support::{Event, Home, Instance, Keeping, Start, Tenant, eventually};

/// Three of these are an age, and a call on a busy machine is still well within one.
const LEASE: &str = "4s";
const THREE_LEASES: Duration = Duration::from_secs(12);

fn home(url: &str) -> Home {
    Home::kept(Keeping::Postgres, &[Tenant::named("contoso", url)]).leasing(LEASE)
}

/// Whether the process is stopped, as the kernel says.
fn is_stopped(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains('T'))
}

#[tokio::test]
async fn a_worker_frozen_after_its_intent_sends_nothing_when_it_wakes() {
    let instance = Instance::with(|switches| switches.sys_id_honoured = false);
    let home = home(instance.url());
    let start = Start { crash_at: Some("worker.after_intent:1:stop"), ..Start::default() };
    let frozen = home.start_as(start).await;
    frozen.post(&Event::opened("MTR-1")).await.expect(202);
    eventually("it froze after its intent", async || is_stopped(frozen.pid()).then_some(())).await;
    let since = Instant::now();
    let other = home.start().await;
    other.quiet().await;
    eventually("three leases pass", async || (since.elapsed() > THREE_LEASES).then_some(())).await;
    frozen.signal("CONT");
    // It is awake, and done with what it was at, when it takes another event to its end.
    frozen.post(&Event::message("MTR-1", 1, "Good morning.")).await.expect(202);
    frozen.quiet().await;
    eventually("it says that it lost the lane", async || frozen.log().contains("Lost the lane").then_some(())).await;
    assert_eq!((instance.writes("POST"), instance.writes("PATCH")), (1, 1), "{:#?}", instance.calls());
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["Good morning."]);
    proven(
        "F11",
        "a_worker_frozen_after_its_intent_sends_nothing_when_it_wakes",
        "frozen for 3 leases: the other replica made the ticket, the frozen one sent 0 bytes and recorded nothing",
    );
}

#[tokio::test]
async fn a_worker_frozen_before_the_answer_cannot_finish_what_another_has_taken_over() {
    let instance = Instance::with(|switches| switches.sys_id_honoured = false);
    let chaos = Chaos::before_url(instance.url());
    let home = home(&chaos.url());
    let frozen = home.start().await;
    // The instance is done; its answer is on its way for as long as the worker is frozen.
    let held = Trouble { way: Way::Back, when: When::Seen(b"201 Created"), deed: Deed::Swallow, times: 1 };
    chaos.strikes(held);
    frozen.post(&Event::opened("MTR-1")).await.expect(202);
    eventually("the instance has done it", async || (instance.writes("POST") == 1).then_some(())).await;
    frozen.signal("STOP");
    let since = Instant::now();
    let other = home.start().await;
    other.quiet().await;
    let record = other.deliveries("").await.remove(0);
    assert_eq!(record["state"], "delivered");
    eventually("three leases pass", async || (since.elapsed() > THREE_LEASES).then_some(())).await;
    frozen.signal("CONT");
    chaos.resets();
    frozen.post(&Event::message("MTR-1", 1, "Good morning.")).await.expect(202);
    frozen.quiet().await;
    eventually("it says that it lost the lane", async || frozen.log().contains("Lost the lane").then_some(())).await;
    assert_eq!((instance.writes("POST"), instance.writes("PATCH")), (1, 1), "{:#?}", instance.calls());
    let after = other.deliveries("").await.remove(0);
    assert_eq!(after["state"], "delivered");
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["Good morning."]);
    proven(
        "F12",
        "a_worker_frozen_before_the_answer_cannot_finish_what_another_has_taken_over",
        "frozen for 3 leases: the other replica adopted the ticket, the late end was refused; 1 POST",
    );
}
