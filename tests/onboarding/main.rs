//! A customer connects an instance: what `check --live` says of one that is set up right, and of sixty that are not; and the
//! mapping that `mapping new` drafts from it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod customer;
mod drafts;
mod mistakes;
