//! Side by side: the gateway beside the least that keeps the same promise, as separate processes on this machine.
//!
//! Owns: the command line, the order, the report. `cargo bench --bench gateway` runs everything in about two minutes;
//! `-- --quick` in half of one, with rounds too short to quote; `-- --only=PART` only `intake`, `end`, `idle`, `backlog`,
//! `files`, or `references`, which need no gateway. The references are this very program in another role, so each has a
//! process of its own like the gateway.
//! Never: judges absolute numbers of a shared machine; a ratio within one round is what counts.
//! Fails: when something could not be measured. A missed target is a result and not a failure.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program reads clocks, starts its own tasks and prints its report"
)]

#[expect(dead_code, reason = "each bench uses its part of it")]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use support::figures::print;
use support::runs::{Bench, Plan};
use support::{Failed, machine, roles};

/// What is worth quoting: about two minutes.
const FULL: Plan = Plan {
    rounds: 3,
    slice: Duration::from_secs(4),
    warm_up: Duration::from_millis(500),
    tickets: 10_000,
    backlog: 100_000,
    watch: Duration::from_secs(10),
};
/// Does everything once, for those who changed the harness: less than half a minute.
const QUICK: Plan = Plan {
    rounds: 1,
    slice: Duration::from_secs(1),
    warm_up: Duration::from_millis(250),
    tickets: 2_000,
    backlog: 10_000,
    watch: Duration::from_secs(1),
};

fn main() -> ExitCode {
    roles::run("gateway", |words| measure(words.contains(&"--quick"), words))
}

/// Runs the comparisons and prints their figures as they come.
fn measure(quick: bool, words: &[&str]) -> Result<(), Failed> {
    let scratch = machine::scratch()?;
    println!("machine: {}", machine::facts(&scratch)?);
    let bench = Bench { plan: if quick { QUICK } else { FULL }, scratch: &scratch };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::io("could not start the runtime", &error))?;
    runtime.block_on(async {
        let only = words.iter().find_map(|word| word.strip_prefix("--only="));
        if only == Some("references") {
            print(&bench.references().await?);
            return Ok(());
        }
        let wanted = |part: &str| only.is_none_or(|only| only == part);
        if wanted("intake") {
            print(&bench.intake().await?);
        }
        if wanted("end") {
            print(&bench.end_to_end().await?);
        }
        if wanted("idle") {
            print(&[bench.idle_memory().await?]);
        }
        if wanted("backlog") {
            print(&bench.backlog_memory().await?);
        }
        if wanted("files") {
            print(&bench.files().await?);
        }
        Ok(())
    })
}
