//! Talking to ServiceNow: one [`client`] per tenant over the one way to any peer ([`crate::peer`]), and rules that are pure.
//!
//! A call's way: a permit and a pass (from [`crate::peer::caller`]), the call spelled (by [`wire`]), sent once, judged
//! (by [`classify`]), compared (by [`differences`]). Reading has its own rules: [`tickets`], [`journal`],
//! [`attachments`], and the [`walk`] through rows that keep changing. [`records`] and [`sounding`] serve whoever tries the way.
//!
//! Owns: everything that is known about the Table API and its failures. Never: retries (the lane does), stores, maps,
//! logs, or sends anything without a permit. Fails: with a [`crate::delivery::outcome::Outcome`], never a panic.
//! Proved by: the tables beside each rule, and `tests/servicenow.rs` over real sockets.

pub mod attachments;
pub mod classify;
pub mod client;
pub mod differences;
pub mod journal;
pub mod lookups;
pub mod records;
pub mod sounding;
pub mod tickets;
mod walk;
pub mod wire;
