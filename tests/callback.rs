//! The client of the managed service over real sockets: what receivers do to it, and what it does then.
//!
//! Events and their signatures (`events`), files both ways (`files`). The receivers are servers of a few lines, shared
//! with the tests of the other client.

#[path = "callback/events.rs"]
mod events;
#[path = "callback/files.rs"]
mod files;
#[expect(dead_code, reason = "shared with the tests of the other client, which use the rest")]
#[path = "servicenow/harness.rs"]
mod harness;
#[path = "callback/receiver.rs"]
mod receiver;
