//! The real binary, killed, stopped and started again: nothing accepted is lost, nothing is done twice.
//!
//! `crashes` dies at every step of the protocol, `answers` while an answer is on its way, `power_cuts` at any moment; `frozen` wakes
//! up after its leases ended, `poison` dies of what it works on, `disk` is full, `database` is
//! PostgreSQL in trouble; `kills` and `rolling` end replicas under load; `stopping` covers signals and their
//! deadline, `hangups` the one that asks for the files to be read, `connections` covers senders that break off, `store_file`
//! who may open which file. `reaching` is about addresses that lead nowhere. `postgres` and `chaos` try out the tests' own tools.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod chaos;
mod connections;
mod crashes;
mod database;
mod disk;
mod frozen;
mod hangups;
mod kills;
mod poison;
mod postgres;
mod power_cuts;
mod reaching;
mod rolling;
mod stopping;
mod store_file;
