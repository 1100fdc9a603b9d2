//! A time that the instance asked for, of one replica, is kept by all of them.

use std::time::Duration;

use snowgate::peer::pace::Closed;

use crate::faults;
use crate::network::Call;
use crate::world::{RATE, World, play};

/// What replicas may still do after one of them was told: what is on its way, and what they reserved a second ahead.
const NOTICED: i64 = 1_500;
const ASKED: i64 = 120_000;

struct Seen {
    /// Calls inside of the window, from when all replicas had noticed.
    inside: Vec<(i64, Call)>,
    /// What each replica answers to whoever wants to read just then, look-ups and sweeps included.
    refused: Vec<Result<(), Closed>>,
    /// Calls in the ten seconds after the window.
    released: usize,
    delivered: usize,
}

async fn a_429_on_one(world: World) -> Seen {
    world.open_incidents(0, 60).await;
    world.pass(Duration::from_secs(4)).await;
    world.misbehaves("rate_limited=1000:120,budget=1");
    let told = world
        .until("one call is refused", || {
            world.calls().iter().find(|(_, call)| call.status == Some(429)).map(|(at, _)| *at)
        })
        .await;
    world.pass(Duration::from_secs(10)).await;
    let mut refused = Vec::new();
    for bridges in &world.replicas {
        let client = bridges.client_of(&world.tenant).unwrap();
        refused.push(client.permit_to_read().await.map(drop));
    }
    world.pass(Duration::from_mins(20)).await;
    let calls = world.calls();
    let within =
        |from: i64, to: i64| calls.iter().filter(move |(at, _)| (told + from..told + to).contains(at)).cloned();
    let (inside, released) = (within(NOTICED, ASKED).collect(), within(ASKED, ASKED + 10_000).count());
    let delivered = world.delivered().await;
    Seen { inside, refused, released, delivered }
}

#[test]
fn a_429_on_one_replica_silences_all_for_as_long_as_was_asked() {
    let Seen { inside, refused, released, delivered } = play(true, a_429_on_one);
    assert!(inside.is_empty(), "calls inside of the window: {inside:?}");
    for answer in &refused {
        let closed = answer.as_ref().expect_err("no replica may call, not even to read");
        assert_eq!(closed.code, "http_429_rate_limit", "{closed:?}");
    }
    assert!(released <= 10 * RATE / 2, "{released} calls in the first ten seconds: the release ramps up");
    assert_eq!(delivered, 60, "nothing was lost and nobody was blamed");
    faults::proven(
        "F30",
        "a_429_on_one_replica_silences_all_for_as_long_as_was_asked",
        &format!(
            "Retry-After 120 on one of 3 replicas: 0 calls of any from 1.5 s to 120 s after it, {released} in the first \
             10 s after the release, all 60 events delivered"
        ),
    );
}

#[test]
fn without_sharing_the_others_would_read_into_the_window() {
    let Seen { refused, .. } = play(false, a_429_on_one);
    let reads = refused.iter().filter(|answer| answer.is_ok()).count();
    assert!(reads > 0, "nobody would call: the test above could not fail");
}
