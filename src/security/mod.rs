//! Who may talk to us, and whom we may talk to: keys, signatures and targets, as pure functions of values.
//!
//! Owns: [`api_key`] (random keys, kept as hashes), [`signature`] (Standard Webhooks, both directions), [`pagerduty`] and
//! [`token`] (other ways to prove who calls), [`assertion`] and [`certificate`] (keys and certificates by which we prove who
//! we are), [`scope`] (what a caller may do), [`proxies`] (what a proxy may say of a caller), [`attempts`] (who failed too
//! often) and [`target`] (which URLs and addresses a tenant may point us at). Never: does I/O, reads a clock, draws
//! randomness, logs.
//! Fails: closed; every check says why to us and nothing to the caller. Comparisons take the same time whatever differs.
//! Proved by: the tests in each file; signatures against an independent implementation.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

pub mod address;
pub mod api_key;
pub mod assertion;
pub mod attempts;
pub mod certificate;
pub mod pagerduty;
pub mod proxies;
pub mod scope;
pub mod signature;
pub mod target;
pub mod token;
