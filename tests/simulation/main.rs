//! Seeds × faults on virtual time: the real worker, the real client, the model of the store, the simulated instance.
//!
//! Nothing here is a mock. Only three things differ from a gateway in the field: the store lives in memory, time is
//! tokio's paused time, and bytes go from the client's transport straight into the simulated instance, through a network
//! that loses answers, delivers late, resets, refuses and lies. Workers are frozen in the middle of a step and processes
//! are killed. One seed is one run, again and again: `SEED=17 cargo nextest run --test simulation one_seed`.
//!
//! What may be looked at (and nothing else): the store's records, the instance's tables and journals, and the network's
//! own log of calls.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod agreement;
mod checks;
mod echoes;
mod events;
mod judge;
mod network;
mod people;
mod plan;
mod run;
mod service;
mod stall;

use std::thread;

use plan::Plan;
use run::play;
use snowgate::worker::Protections;

/// Seeds of the ordinary run; each is a life of several incidents with some hundred calls.
const SEEDS: u64 = 200;
/// Seeds that a broken gateway gets to be caught in.
const SEEDS_TO_CATCH: u64 = 100;

#[test]
fn nothing_is_lost_doubled_or_reordered_whatever_the_network_does() {
    // Luck belongs to a thread, so each plays its own seeds.
    let failed: Vec<String> = thread::scope(|threads| {
        let halves =
            [0, 1].map(|half| threads.spawn(move || (half..SEEDS).step_by(2).filter_map(failure_of).collect()));
        halves.into_iter().flat_map(|half| half.join().unwrap_or_else(|_| vec!["a run panicked".to_owned()])).collect()
    });
    assert!(failed.is_empty(), "{} of {SEEDS} seeds failed:\n{}", failed.len(), failed.join("\n"));
}

/// What was wrong with a seed; its history comes with `one_seed`.
fn failure_of(seed: u64) -> Option<String> {
    let violations = play(&Plan::everything(seed));
    let said: Vec<_> = violations.iter().take_while(|line| *line != "history:").map(String::as_str).collect();
    (!said.is_empty()).then(|| format!("seed {seed}:\n{}", said.join("\n")))
}

#[test]
fn one_seed() {
    let seed = std::env::vars().find(|(name, _)| name == "SEED").and_then(|(_, seed)| seed.parse().ok()).unwrap_or(17);
    let violations = play(&Plan::everything(seed));
    assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
}

#[test]
fn the_same_seed_plays_the_same_run() {
    assert_eq!(run::transcript(&Plan::everything(5)), run::transcript(&Plan::everything(5)));
}

/// A gateway without one of its protections must be caught, or these checks prove nothing.
fn is_caught(what: &str, break_it: impl Fn(&mut Plan)) {
    let caught = (0..SEEDS_TO_CATCH).find_map(|seed| {
        let mut plan = Plan::without_kept_sys_ids(seed);
        break_it(&mut plan);
        play(&plan).into_iter().next().map(|violation| (seed, violation))
    });
    assert!(caught.is_some(), "{SEEDS_TO_CATCH} seeds ran without {what} and nothing was noticed");
}

#[test]
fn a_gateway_that_does_not_wait_for_a_send_to_settle_is_caught() {
    is_caught("settle time", |plan| plan.protections = Protections { settle_time: false, ..Protections::ALL });
}

#[test]
fn a_gateway_that_does_not_look_before_it_sends_again_is_caught() {
    is_caught("look-up", |plan| plan.protections = Protections { look_up: false, ..Protections::ALL });
}

#[test]
fn a_gateway_that_does_not_trust_the_mark_is_caught() {
    is_caught("high-water mark", |plan| plan.protections = Protections { mark: false, ..Protections::ALL });
}

#[test]
fn a_gateway_that_sends_on_an_old_intent_is_caught() {
    is_caught("self-fence", |plan| {
        plan.protections = Protections { self_fence: false, ..Protections::ALL };
        plan.frozen = 0.01;
    });
}

#[test]
fn a_store_that_does_not_check_the_fence_is_caught() {
    is_caught("fence", |plan| {
        plan.fenced = false;
        plan.frozen = 0.03;
    });
}

#[test]
fn a_gateway_that_never_sweeps_is_caught() {
    is_caught("sweeps", |plan| plan.sweeps = false);
}
