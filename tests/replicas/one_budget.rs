//! One budget of calls, however many replicas use it.

use std::time::Duration;

use crate::faults;
use crate::world::{RATE, World, busiest, play};

const WINDOW: Duration = Duration::from_secs(10);
/// The rate, and the burst of two seconds' worth that a quiet time allows.
const ALLOWED: usize = 10 * RATE + 2 * RATE;

/// Two minutes with more work than the rate allows: the busiest ten seconds, the busiest one, and calls in all.
async fn two_busy_minutes(world: World) -> (usize, usize, usize) {
    world.open_incidents(0, 2_000).await;
    world.pass(Duration::from_mins(2)).await;
    let calls = world.calls();
    (busiest(&calls, WINDOW), busiest(&calls, Duration::from_secs(1)), calls.len())
}

#[test]
fn three_replicas_keep_the_rate_of_one() {
    let (ten_seconds, one_second, all) = play(true, two_busy_minutes);
    assert!(ten_seconds <= ALLOWED, "{ten_seconds} calls in ten seconds");
    assert!(one_second <= 3 * RATE, "{one_second} calls in a second");
    assert!(all >= 120 * RATE * 4 / 5, "{all} calls in two minutes: most of the budget is used");
    faults::proven(
        "F32",
        "three_replicas_keep_the_rate_of_one",
        &format!(
            "3 replicas at 5/s: at most {ten_seconds} calls in any 10 s (allowed {ALLOWED}), {one_second} in any \
             second, {all} in two minutes"
        ),
    );
}

#[test]
fn without_sharing_three_replicas_call_three_times_as_often() {
    let (ten_seconds, _, _) = play(false, two_busy_minutes);
    assert!(ten_seconds > ALLOWED, "{ten_seconds} calls in ten seconds: the test above could not fail");
}

#[test]
fn a_dead_replica_leaves_its_share_to_the_others() {
    let all = play(true, async |world: World| {
        world.open_incidents(0, 2_000).await;
        world.pass(Duration::from_secs(30)).await;
        let before = world.calls().len();
        // It claims nothing any more, and what it had reserved is void a second later.
        world.kill(0);
        world.pass(Duration::from_secs(30)).await;
        world.calls().len() - before
    });
    assert!(all >= 30 * RATE * 4 / 5, "{all} calls in half a minute by the two that live");
}
