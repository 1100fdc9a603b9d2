//! Signals: the first asks, with a deadline; the second insists.

use std::time::Duration;

use snowgate::sim::server::{Options, OutageKind};

use crate::support::{Event, Gateway, Home, Instance, Reply, Tenant, eventually, faults, within};

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

/// How many deliveries of these tenants are in this state.
async fn counted(gateway: &Gateway, tenants: &[&str], state: &str) -> usize {
    let mut count = 0;
    for tenant in tenants {
        let page = gateway.get(&format!("/v1/tenants/{tenant}/deliveries?limit=200&state={state}")).await;
        count += page["deliveries"].as_array().unwrap().len();
    }
    count
}

/// Incidents that a replica which stops is told of, again and again.
const TOLD_LATE: usize = 5;

/// What a replica that stops says to events, until nobody listens any more: so many were taken, and so many refused.
async fn accepts_while_it_drains(stopping: &Gateway) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    while let Some(reply) =
        Reply::of(stopping.posting("contoso", &Event::opened(&format!("DRN-{}", taken % TOLD_LATE)))).await
    {
        match reply.status {
            200 | 202 => taken += 1,
            status => {
                assert_eq!((status, reply.header("retry-after").is_empty()), (503, false), "{}", reply.text);
                refused += 1;
            }
        }
    }
    (taken, refused)
}

#[tokio::test]
async fn of_twenty_sends_of_a_stopping_replica_all_end_once_and_others_adopt_what_had_no_answer() {
    let well = Instance::started(Options { work_ms: 3_000, ..Options::default() });
    let mute = Instance::start();
    let tenant = |name: &str, instance: &Instance| Tenant::named(name, instance.url());
    let tenants = ["contoso", "adatum", "fabrikam"];
    let home = Home::of(&[tenant("contoso", &well), tenant("adatum", &well), tenant("fabrikam", &mute)])
        .in_database(crate::support::postgres::database())
        .leasing("60s");
    let mut stopping = home.start().await;
    // What there is to learn of an instance is learned with its first ticket; after that a create is one call.
    for (tenant, incident) in [("contoso", "CON-0"), ("adatum", "ADA-0"), ("fabrikam", "FAB-0")] {
        stopping.post_for(tenant, &Event::opened(incident)).await.expect(202);
    }
    stopping.quiet().await;
    // Committed, and answered when nobody waits any more.
    mute.plays("slow_answer=1000:60000");
    for (tenant, incident, count) in [("contoso", "CON", 9), ("adatum", "ADA", 8), ("fabrikam", "FAB", 3)] {
        for number in 1..=count {
            stopping.post_for(tenant, &Event::opened(&format!("{incident}-{number}"))).await.expect(202);
        }
    }
    let all_are_sent = async || (counted(&stopping, &tenants, "sending").await == 20).then_some(());
    eventually("twenty creates are under way", all_are_sent).await;
    eventually("three are committed", async || (mute.writes("POST") == 4).then_some(())).await;
    let others = home.replicas(2).await;
    stopping.signal("TERM");
    let begun = tokio::time::Instant::now();
    let (taken, refused) = accepts_while_it_drains(&stopping).await;
    let late = taken.min(TOLD_LATE);
    let status = stopping.ended(DEADLINE).await;
    let took = begun.elapsed();
    assert_eq!(status.code(), Some(0), "{}", stopping.log());
    assert!(took < Duration::from_mins(1), "{took:?}");
    assert!(stopping.log().contains("Stopped with unfinished work, which the next start looks after: 3 × delivery"));
    mute.plays("");
    // The stopped one's leases run out.
    within(Duration::from_mins(2), "the others have looked", async || {
        (counted(&others[0], &["fabrikam"], "delivered").await == 4).then_some(())
    })
    .await;
    others[0].quiet().await;
    assert_eq!(counted(&others[1], &tenants, "delivered").await, 23 + late);
    assert_eq!((well.writes("POST"), mute.writes("POST")), (19 + late, 4), "each was sent once");
    let fabrikam = others[0].get("/v1/tenants/fabrikam/deliveries?limit=200").await;
    let ends = fabrikam["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["ending"]["how"].clone());
    let found = ends.filter(|how| how == "already_applied").count();
    assert_eq!(found, 3, "{fabrikam:#}");
    faults::proven(
        "F24",
        "of_twenty_sends_of_a_stopping_replica_all_end_once_and_others_adopt_what_had_no_answer",
        &format!(
            "3 replicas, one with 20 creates under way gets SIGTERM: exit code 0 after {} s, 17 ended, 3 were beyond the \
             deadline and were adopted by the others, 20 POSTs; {taken} times an event was taken while it drained, {refused} times told to come again",
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
