//! What a delivery is, in which order deliveries go, and what an answer means for them: pure rules.
//!
//! Owns: states, folding, the retry schedule, the step from an [`outcome::Outcome`] to a [`verdict::Verdict`], and
//! what a lane remembers of its ticket. Never: reads a clock, a socket or a table; time and luck arrive as values.
//! Fails: it cannot. Proved by: the tables in each file, and `tests/simulation` for the rules together.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

pub mod connection_test;
pub mod identity;
pub mod kind;
pub mod lane;
pub mod marker;
pub mod outcome;
pub mod record;
pub mod seen;
pub mod sharing;
pub mod verdict;
