//! A simulator of ServiceNow, faithful to what is publicly known of it, cruel on request.
//!
//! **What it is for.** A customer tries a mapping without an instance (`snowgate simulate`, `snowgate demo`); our tests
//! meet every answer a real instance gives, the misleading ones first: success without effect, refusal after effect,
//! silence, a web page with status 200.
//!
//! **Architecture.** A functional core and an imperative shell.
//! * [`instance::Instance`] is a value: a request and the time go in, a response comes out. It has no clock, no socket
//!   and no luck of its own (everything random comes from one seed), so a virtual-time simulation can own a hundred.
//! * [`faults::Faults`] is a value too: it rolls a [`faults::Fate`] for a request. [`faults::perform`] is the one place
//!   that knows what a fate means; the HTTP server and a simulation add only the waiting.
//! * [`server`] puts both behind real HTTP or HTTPS and adds what needs time: the four threads and the queue of a node,
//!   sessions that admit one call at a time, outages, a control face and a log of calls.
//!
//! **An island.** It shares no type with the client that talks to ServiceNow: a mistake made on both sides would cancel
//! itself out and every test would still pass. `tests/sim_clients.rs` holds it to clients we did not write, `ServiceNow`'s
//! own among them.
//!
//! **Sources.** Every behaviour names its public source in a comment; `facts/servicenow` is the project's compilation of
//! them. Where sources disagree or are silent, the behaviour is a field of [`switches::Switches`], with the reason of its
//! default.
//!
//! **What is not simulated:** XML bodies and answers, multipart uploads, import sets, the batch and aggregate APIs, MID
//! servers, domain separation.
//!
//! Modules, from the core outwards: `message` (request, response), `random`, `dates`, `errors`, `switches`;
//! `dictionary`, `columns`, `describe`, `store`, `seed` (what is there); `query`, `params`, `values`, `body` (reading);
//! `write`, `rules`, `policies`, `automation`, `journal`, `records`, `attachments`, `people`, `acts` (writing); `access`, `oauth`, `keyring`, `rate` (who may call, how often); `table_api`, `attachment_api`, `instance`;
//! `outbound` (calling others);
//! `fault_plan`, `faults`; `gate`, `call_log`, `shell`, `control`, `tls`, `server` (the shell).

mod access;
pub mod acts;
mod attachment_api;
mod attachments;
mod automation;
mod body;
mod call_log;
mod columns;
mod control;
mod control_outbound;
mod dates;
mod describe;
mod dictionary;
mod errors;
pub mod fault_plan;
pub mod faults;
mod gate;
pub mod instance;
mod journal;
pub mod keyring;
mod message;
pub mod misconfiguration;
mod oauth;
pub mod outbound;
mod params;
mod people;
mod policies;
mod query;
mod random;
mod rate;
mod records;
mod rules;
mod seed;
pub mod server;
mod shell;
mod store;
pub mod switches;
mod table_api;
#[cfg(test)]
mod tests;
mod tls;
mod values;
mod write;

pub use attachments::Upload;
pub use errors::Refusal;
pub use journal::JournalEntry;
pub use message::{Request, Response};
