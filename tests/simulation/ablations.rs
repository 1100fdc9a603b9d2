//! Each protection switched off in turn: these checks must notice, or they prove nothing.
//!
//! The table is the page: what is taken away, in which world, and (printed by the test) which seed noticed and by what. Not
//! in it, because it cannot be switched off in a simulation: a commit without a sync. A store that would run like that is
//! refused before it opens, so that without it nothing is green (`src/store/sqlite/connection.rs`,
//! `a_connection_that_would_not_sync_is_refused`; `tests/store/postgres_server.rs`, `a_server_that_may_forget_is_refused`),
//! and `tests/store/sync_order.rs` sees in the system's calls that the log is synced before a receipt is given. A decision
//! from two reads is not in it either: what a look finds without our mark is acted on only after the whole settle time, when
//! nothing can come in between two reads any more. The layers against echoes have their own worlds in `echoes`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::plan::Plan;
use super::run::play;

/// Seeds that a broken gateway gets to be caught in.
const SEEDS_TO_CATCH: u64 = 100;
/// Seeds that the whole gateway gets in a world that is only played here.
const SEEDS_TO_PASS: u64 = 6;

/// A protection, and the world in which it is missed.
struct Ablation {
    without: &'static str,
    /// What is wrong with a run of this seed, whole or broken.
    run: fn(seed: u64, broken: bool) -> Vec<String>,
}

const ABLATIONS: [Ablation; 9] = [
    Ablation {
        without: "settle time",
        run: |seed, broken| hard(seed, broken, |plan| plan.protections.settle_time = false),
    },
    Ablation {
        without: "settle time, but 30 s of it",
        run: |seed, broken| hard(seed, broken, |plan| plan.settle = Duration::from_secs(30)),
    },
    Ablation {
        without: "look-up before sending again",
        run: |seed, broken| hard(seed, broken, |plan| plan.protections.look_up = false),
    },
    Ablation {
        without: "high-water mark",
        run: |seed, broken| hard(seed, broken, |plan| plan.protections.mark = false),
    },
    Ablation { without: "fence on settle", run: |seed, broken| frozen(seed, broken, 0.03, |plan| plan.fenced = false) },
    Ablation {
        without: "self-fence",
        run: |seed, broken| frozen(seed, broken, 0.01, |plan| plan.protections.self_fence = false),
    },
    Ablation { without: "dedupe key", run: |seed, broken| hard(seed, broken, |plan| plan.knows_repeats = false) },
    Ablation { without: "actor at the time (last writer instead)", run: last_writer },
    Ablation { without: "sweeps", run: |seed, broken| hard(seed, broken, |plan| plan.sweeps = false) },
];

/// The instance that keeps no `sys_id` of ours, with every fault of the network.
fn hard(seed: u64, broken: bool, break_it: fn(&mut Plan)) -> Vec<String> {
    frozen(seed, broken, 0.0, break_it)
}

fn frozen(seed: u64, broken: bool, frozen: f64, break_it: fn(&mut Plan)) -> Vec<String> {
    let mut plan = Plan { frozen, ..Plan::without_kept_sys_ids(seed) };
    if broken {
        break_it(&mut plan);
    }
    play(&plan)
}

/// Webhooks alone, which take a while: the managed service writes between a person's change and its arrival.
fn last_writer(seed: u64, broken: bool) -> Vec<String> {
    let mut plan = Plan { sweeps: false, lives: 4, ..Plan::calm(seed) };
    plan.customs.acts = 48;
    plan.looks_every.1 = Duration::from_secs(20);
    plan.actor_is_last_writer = broken;
    play(&plan)
}

/// The first seed in which a run without it is noticed, and by what.
fn caught(ablation: &Ablation) -> Option<(u64, String)> {
    let first = |seed| (ablation.run)(seed, true).into_iter().next().map(|violation| (seed, violation));
    (0..SEEDS_TO_CATCH).find_map(first)
}

#[test]
fn every_protection_is_missed_where_it_is_switched_off() {
    let turn = AtomicU64::new(0);
    let works = || {
        let next = || ABLATIONS.get(usize::try_from(turn.fetch_add(1, Ordering::Relaxed)).unwrap());
        std::iter::from_fn(next).map(|ablation| (ablation.without, caught(ablation))).collect::<Vec<_>>()
    };
    let rows: Vec<_> = thread::scope(|threads| {
        let halves = [threads.spawn(works), threads.spawn(works)];
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    for ablation in &ABLATIONS {
        let found = rows.iter().find(|(without, _)| *without == ablation.without).and_then(|(_, found)| found.as_ref());
        let said =
            found.map_or_else(|| "NOT NOTICED".to_owned(), |(seed, violation)| format!("seed {seed}: {violation}"));
        println!("without {:<42} {}", ablation.without, said.chars().take(160).collect::<String>());
    }
    let missed: Vec<_> = rows.iter().filter(|(_, found)| found.is_none()).map(|(without, _)| *without).collect();
    assert!(missed.is_empty(), "{SEEDS_TO_CATCH} seeds each ran without these and nothing was noticed: {missed:?}");
}

#[test]
fn nothing_is_noticed_without_sweeps_where_the_actor_is_the_one_of_the_time() {
    for seed in 0..SEEDS_TO_PASS {
        let violations = last_writer(seed, false);
        assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
    }
}
