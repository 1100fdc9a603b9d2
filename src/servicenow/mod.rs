//! Talking to ServiceNow: one [`client`] per tenant, one shared [`transport`], and rules that are pure.
//!
//! A call's way: a [`permit`] (from [`pace`], which knows every limit of the instance), a pass (from [`oauth`]), the call
//! spelled (by [`wire`]), sent once (by [`transport`]), judged (by [`classify`]), compared (by [`differences`]). What is
//! learned on the way goes back into the pace.
//!
//! Owns: everything that is known about the Table API and its failures. Never: retries (the lane does), stores, maps,
//! logs, or sends anything without a permit. Fails: with a [`crate::delivery::outcome::Outcome`], never a panic.
//! Proved by: the tables beside each rule, and `tests/servicenow.rs` over real sockets.

pub mod classify;
pub mod client;
pub mod differences;
pub mod lookups;
pub mod wire;
