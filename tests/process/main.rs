//! The real binary, killed, stopped and started again: nothing accepted is lost, nothing is done twice.
//!
//! `crashes` dies at every step of the protocol, `power_cuts` at any moment, `stopping` covers signals and their
//! deadline, `hangups` the one that asks for the files to be read, `connections` covers senders that break off, `store_file` who may open which file.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod crashes;
mod hangups;
mod postgres;
mod power_cuts;
mod stopping;
mod store_file;
