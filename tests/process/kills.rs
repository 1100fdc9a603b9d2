//! Replicas killed at moments nobody chose, while senders tell of many incidents and the other replicas go on.
//!
//! In the ordinary suite some kills during some hundred events; `SNOWGATE_LONG=1` makes it thirty during ten thousand.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::faults::proven;
use crate::support::fleet::{Fleet, Stories};
use crate::support::{Home, Instance, Keeping, Tenant, eventually, within};

const REPLICAS: usize = 3;

/// Stories and kills.
fn size() -> (Stories, usize) {
    if std::env::var_os("SNOWGATE_LONG").is_some() {
        (Stories { incidents: 500, messages: 17 }, 30)
    } else {
        (Stories { incidents: 40, messages: 12 }, 8)
    }
}

/// Kills whichever replica luck names each time another share of the writes has reached the instance.
async fn kill_now_and_then(fleet: &Fleet<'_>, instance: &Instance, stories: Stories, kills: usize) {
    let luck = uuid::Uuid::now_v7().as_bytes().to_vec();
    for kill in 0..kills {
        let writes = (stories.events() * (kill + 1)) / (kills + 2);
        within(Duration::from_mins(20), "so much has been written", async || {
            (instance.writes("POST") + instance.writes("PATCH") >= writes).then_some(())
        })
        .await;
        let place = usize::from(luck[8 + kill % 8]).wrapping_add(kill) % REPLICAS;
        fleet.kill(place).await;
    }
}

#[tokio::test]
async fn random_kills_of_three_replicas_lose_double_and_reorder_nothing() {
    let (stories, kills) = size();
    let instance = Instance::start();
    let home = Home::kept(Keeping::Postgres, &[Tenant::named("contoso", instance.url())]);
    let fleet = Fleet::start(&home, REPLICAS).await;
    tokio::join!(fleet.tell(stories), kill_now_and_then(&fleet, &instance, stories, kills));
    let told = Instant::now();
    fleet.quiet().await;
    let drained = told.elapsed();
    let verdicts = fleet.judge(stories, &instance).await;
    let accepted = home.database().query("select count(*), count(distinct (tenant, event)) from delivery").unwrap();
    let (rows, distinct) = accepted.trim().split_once('|').unwrap();
    assert_eq!((rows, distinct), (stories.events().to_string().as_str(), rows), "each event once");
    assert!(drained < Duration::from_mins(5), "{drained:?}");
    proven(
        "F13",
        "random_kills_of_three_replicas_lose_double_and_reorder_nothing",
        &format!(
            "{kills} kills of 3 replicas during {} events of {} incidents: {}; {verdicts}; drained {} s after the \
             last event",
            stories.events(),
            stories.incidents,
            fleet.seen(),
            drained.as_secs()
        ),
    );
}

#[tokio::test]
async fn what_a_killed_replica_held_is_taken_over_when_its_lease_ends() {
    let instance = Instance::start();
    let home = Home::kept(Keeping::Postgres, &[Tenant::named("contoso", instance.url())]);
    let mut replicas = home.replicas(2).await;
    let mut dying = home.start_dying_at("worker.after_claim:1").await;
    // Only the one that dies may claim it.
    for replica in &replicas {
        replica.signal("STOP");
    }
    let posted = crate::support::Reply::of(dying.posting("contoso", &crate::support::Event::opened("MTR-1"))).await;
    dying.ended(crate::support::PATIENCE).await;
    let fence = || home.database().query("select fence, attempts from lane").unwrap().trim().to_owned();
    let before = fence();
    let died = Instant::now();
    for replica in &replicas {
        replica.signal("CONT");
    }
    eventually("it is taken over", async || (instance.writes("POST") == 1).then_some(())).await;
    let taken_over = died.elapsed();
    replicas[0].quiet().await;
    drop(instance.ticket_of("MTR-1"));
    assert_eq!((before.as_str(), posted.is_none_or(|reply| reply.status == 202)), ("1|1", true));
    assert_eq!(fence().split('|').next(), Some("2"), "the next owner's fence");
    // The lease of eight seconds, two to notice, and a busy machine.
    assert!(taken_over < Duration::from_secs(15), "{taken_over:?}");
    proven(
        "F03",
        "what_a_killed_replica_held_is_taken_over_when_its_lease_ends",
        &format!(
            "lease 8 s: another replica sent it {} ms after the death, fence 1 to 2, 1 ticket",
            taken_over.as_millis()
        ),
    );
    drop(replicas.pop());
}
