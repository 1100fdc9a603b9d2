//! Calling the managed service: signed `CloudEvents` that say what happened to its incidents' tickets.
//!
//! Owns: the shape of a callback ([`event`]), its way out ([`client`], and [`files`] for its content) and what an answer means ([`classify`]). Never:
//! knows ServiceNow, a mapping or the store; retries (the lane does). Fails: with an
//! [`crate::delivery::outcome::Outcome`]. Whoever receives recognises repeats by their id, so anything that is not
//! surely done is sent again without looking. Proved by: `tests/callback.rs` over real sockets.

pub mod classify;
pub mod client;
pub mod event;
pub mod files;
