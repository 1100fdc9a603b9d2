//! The values everyone speaks: tenants, incidents, changes, tickets, time and secrets.
//!
//! Owns: parsing text into types, once, at the edge. Never: does I/O, reads a clock, logs.
//! Fails: only while parsing, with a message a person can act on. Proved by: the tests in each file.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

pub mod change;
pub mod id;
pub mod incident;
pub mod print;
pub mod secret;
pub mod sighting;
pub mod ticket;
pub mod time;
pub mod wire;
pub mod words;
