//! The Table API, spelled: [`calls`] and [`lists`] write the requests, [`rows`] reads the answers, [`query`] and [`text`] make
//! conditions and text safe in an address.
//!
//! Never: opens a socket, judges an answer, knows a tenant. Fails: a name or value that cannot be sent safely is refused
//! before anything is sent. Proved by: the tables in each file, and `tests/servicenow.rs` over a real socket.

pub mod calls;
pub mod lists;
pub mod query;
pub mod rows;
pub mod text;
