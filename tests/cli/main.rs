//! The command line as people and scripts meet it: words, exit codes, and what is printed where.
//!
//! What is printed is kept in `snapshots`; run with `INSTA_UPDATE=always` to write them anew, then read them.

#[path = "../support/mod.rs"]
mod support;

mod check;
mod deliveries;
mod demo;
mod health;
mod help;
mod keys;
mod plan;
mod preview;
mod run;
mod store;
mod verify_history;
