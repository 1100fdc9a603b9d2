//! Calling a peer over HTTP, whoever it is: the customer's instance or the managed service.
//!
//! Owns: one request out and one answer in ([`transport`], [`message`]), when the next call may begin ([`pace`],
//! [`permit`]), tokens ([`oauth`]), the order of these around one call ([`caller`]), the times a peer asks for
//! ([`waits`]) and what its words look like in a record ([`words`]). Never: knows what a call means, looks at a status code of an instance, retries, logs.
//! Fails: with a [`message::TransportFault`] or an outcome ([`fault`]), never a panic.
//! Proved by: the tests in each file, and `tests/servicenow.rs` over real sockets.

pub mod caller;
pub mod fault;
pub mod message;
pub mod oauth;
pub mod pace;
pub mod permit;
pub mod transport;
pub mod waits;
pub mod words;
