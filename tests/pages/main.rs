//! The pages for people on the other two sides, and the code in them, run as those people would run it.
//!
//! `rule` is the business rule that a customer pastes into ServiceNow, in a real Node process; `receivers` are the
//! programs that the managed service starts from, with webhook packages that are not ours; `alertmanager` is the real one, with
//! the configuration of its page; `documents` holds the pages themselves to the files and to the gateway. Never: skips; where Node,
//! Python or Alertmanager is missing the tests name the script that brings it.

#![expect(clippy::panic, reason = "in a test a panic is the report")]

#[path = "../support/mod.rs"]
mod support;

mod alertmanager;
mod documents;
mod receivers;
mod rule;
mod tools;
