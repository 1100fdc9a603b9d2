//! One breaker: when the instance fails as a whole, one call of all replicas finds out whether it is back.

use std::time::Duration;

use crate::network::Call;
use crate::world::{RATE, World, busiest, play};

/// After this much of the outage every breaker has noticed it.
const NOTICED: i64 = 5_000;
const OUTAGE: Duration = Duration::from_mins(5);

struct Seen {
    /// Calls during the outage, from when every replica had noticed.
    probes: Vec<i64>,
    /// The first calls after it.
    back: Vec<i64>,
    in_ten_seconds: usize,
    delivered: usize,
}

async fn an_outage(world: World) -> Seen {
    world.open_incidents(0, 200).await;
    world.pass(Duration::from_secs(4)).await;
    world.misbehaves("server_error=1000:503");
    let began = world.clock.now().millis();
    world.pass(OUTAGE).await;
    world.misbehaves("");
    let ended = world.clock.now().millis();
    world.open_incidents(200, 100).await;
    world.pass(Duration::from_mins(30)).await;
    let calls = world.calls();
    let from = |from: i64, to: i64| calls.iter().map(|(at, _)| *at).filter(move |at| (from..to).contains(at));
    let after: Vec<(i64, Call)> = calls.iter().filter(|(at, _)| *at >= ended).cloned().collect();
    Seen {
        probes: from(began + NOTICED, ended).collect(),
        back: from(ended, i64::MAX).take(4).collect(),
        in_ten_seconds: busiest(&after, Duration::from_secs(10)),
        delivered: world.delivered().await,
    }
}

/// Calls that were made while another had just been made: more than one was finding out.
fn together(probes: &[i64]) -> usize {
    probes.windows(2).filter(|pair| pair[1] - pair[0] < 10_000).count()
}

#[test]
fn one_call_of_all_replicas_finds_out_whether_an_instance_is_back() {
    let Seen { probes, back, in_ten_seconds, delivered } = play(true, an_outage);
    assert!((2..=5).contains(&probes.len()), "pauses of half a minute, one, two: {probes:?}");
    assert_eq!(together(&probes), 0, "one at a time, whoever makes it: {probes:?}");
    assert_eq!(back.len(), 4, "the instance is called again");
    assert!(in_ten_seconds <= 12 * RATE, "{in_ten_seconds} calls in ten seconds when it was back");
    assert_eq!(delivered, 300);
}

#[test]
fn without_sharing_each_replica_would_find_out_for_itself() {
    let Seen { probes, .. } = play(false, an_outage);
    assert!(together(&probes) > 0 || probes.len() > 5, "one call at a time: the test above could not fail: {probes:?}");
}
