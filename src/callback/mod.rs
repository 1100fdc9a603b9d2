//! Calling the managed service: signed CloudEvents that say what happened to its incidents' tickets.
//!
//! Owns: the shape of a callback ([`event`]). Never: knows a mapping or the store; retries (the lane does).
//! Fails: with an [`crate::delivery::outcome::Outcome`].

pub mod event;
