//! The whole day of a large estate on simulated time, with faults: nothing lost, nothing doubled, and what a life costs.
//!
//! The day itself is that of `tests/simulation/day.rs`, whose small one runs with every test; here it is as large as the
//! machine allows: `cargo bench --bench day -- --tenants 10000 --incidents 1000000 --seed 1`. Memory does not grow with it.
//! Owns: the size, and one line of figures. Fails: with the seeds of what was wrong.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is the report")]
#![allow(dead_code, reason = "the simulation has more than this bench looks at")]

#[path = "../tests/simulation/agreement.rs"]
mod agreement;
#[path = "../tests/simulation/checks.rs"]
mod checks;
#[path = "../tests/simulation/day.rs"]
mod day;
#[path = "../tests/simulation/events.rs"]
mod events;
#[path = "support/figures.rs"]
mod figures;
#[path = "../tests/simulation/judge.rs"]
mod judge;
#[path = "../tests/simulation/network.rs"]
mod network;
#[path = "../tests/simulation/people.rs"]
mod people;
#[path = "../tests/simulation/plan.rs"]
mod plan;
#[path = "../tests/simulation/run.rs"]
mod run;
#[path = "../tests/simulation/service.rs"]
mod service;
#[path = "../tests/simulation/stall.rs"]
mod stall;

use std::process::ExitCode;
use std::thread;

use day::{Day, Estate};
use figures::Figure;

/// The one the program itself runs with: half of a simulated day is small pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `scripts/bench.sh` plays: some minutes. The estate that is promised is 10,000 tenants with 1,000,000 incidents.
const TENANTS: u64 = 100;
const INCIDENTS: u64 = 10_000;
/// Violations that are printed; all are counted.
const SHOWN: usize = 60;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let said = |name: &str, default: u64| {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)).map_or(default, |word| word.parse().unwrap())
    };
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let estate = Estate {
        seed: said("--seed", 1),
        tenants: said("--tenants", TENANTS),
        incidents: said("--incidents", INCIDENTS),
        threads: said("--threads", threads),
    };
    println!("{estate:?}");
    let day = estate.play();
    println!("{day}");
    for figure in figures(&day) {
        println!("{}", figure.line());
    }
    for violation in day.violations.iter().take(SHOWN) {
        println!("{violation}");
    }
    if day.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn figures(day: &Day) -> Vec<Figure> {
    let wrong: u64 = day.found.iter().sum();
    let lives = u32::try_from(day.incidents.max(1)).unwrap();
    let life = day.took.as_secs_f64() * 1_000.0 / f64::from(lives);
    vec![
        Figure::plain("day: incidents, lost or doubled or astray", format!("{}, {wrong}", day.incidents))
            .target("0 wrong", wrong == 0),
        Figure::plain("day: all that is wrong, the way back as well", day.violations.len().to_string())
            .target("0", day.violations.is_empty()),
        Figure::plain("day: a life, all threads", format!("{life:.2} ms")),
        Figure::plain("day: the largest the process was", format!("{} MiB", memory_mib())),
    ]
}

/// The most memory this process ever held.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1_024
}
