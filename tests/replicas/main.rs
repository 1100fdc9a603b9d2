//! Several replicas over one store, in one process and on virtual time: what the instance sees of all of them together.
//!
//! The judge is the network's log of calls with their times. Each promise is shown a second time without sharing, where it
//! must break, so that these tests can fail. (The same with processes over PostgreSQL is `tests/process`.)
#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "../support/faults.rs"]
mod faults;
#[expect(dead_code, reason = "shared with the seeded simulation, which uses the rest")]
#[path = "../simulation/network.rs"]
mod network;
mod world;

mod one_breaker;
mod one_budget;
mod one_gate;
