//! The worker takes leased lanes to their end: from the head of a lane to a settled record.
//!
//! Owns: the order of steps that makes exactly one ticket (`architecture.md` section 6), and fairness of the slots.
//! Never: accepts anything, decides what an answer means (`delivery::verdict`) or knows a status code
//! (`servicenow::classify`). Fails: by giving the lane back; a worker that dies is replaced when its lease ends.
//!
//! * [`dispatcher`] claims lanes and runs each in a task of its own, bounded by [`slots`], of which slow tenants get a part;
//! * [`bridges`] holds what a tenant's deliveries need: its mapping, its client, its table; `credentials` is who it says it is there;
//! * `work` is the pure part: what the head of a lane asks for, and which fields are still to be written;
//! * `journey` is the protocol: look, map, intend, send, compare, settle;
//! * `crash` parks deliveries that kill whoever works on them;
//! * `stop` is how a journey that does not end delivered is recorded;
//! * `looking` reads what became of an earlier send and decides from that one read;
//! * `writing` sends, and decides what an answer means that was no success;
//! * [`sharing`] asks the store what all replicas together may call;
//! * `files` copies the managed service's files, by way of [`spool`];
//! * `there` knows how the ticket stands as far as it was seen;
//! * [`back`] is the other direction: sightings, callbacks and the sweep.
//!
//! Proved by: `tests/simulation` (seeds × faults on virtual time, with each protection switched off in turn) and
//! `tests/process` (the real binary, killed at every step).

pub mod back;
pub mod bridges;
mod crash;
mod credentials;
pub mod dispatcher;
mod files;
mod journey;
mod looking;
mod report;
pub mod sharing;
pub mod slots;
pub mod spool;
mod stop;
mod there;
mod work;
mod writing;

/// Protections that a simulation may switch off, one at a time, to prove that its checks notice.
///
/// The shipped program always runs with [`Protections::ALL`]; nothing reads these from a file or the environment.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is switched off on its own, and nothing else is asked of them")]
pub struct Protections {
    /// Wait until a write without an answer has surely landed or died before looking for it.
    pub settle_time: bool,
    /// Look for what an earlier send left behind before sending again.
    pub look_up: bool,
    /// Take the mark on the ticket as the proof that a write was applied.
    pub mark: bool,
    /// Do not send when the intent is older than [`crate::limits::SELF_FENCE`].
    pub self_fence: bool,
    /// Know our own writes by who made them, when that was said at the time (`facts/reliability.md` 2.5, rule 2).
    pub actor: bool,
    /// Know our own texts by the reference under them (rule 3).
    pub marker: bool,
    /// Send nothing back that the managed service did because of us (rule 4).
    pub origin: bool,
    /// Tell and write only what is not known already (rule 5).
    pub value: bool,
    /// Stop a lane in which two rules fight (rule 6).
    pub alternation: bool,
}

impl Protections {
    /// Everything on.
    pub const ALL: Self = Self {
        settle_time: true,
        look_up: true,
        mark: true,
        self_fence: true,
        actor: true,
        marker: true,
        origin: true,
        value: true,
        alternation: true,
    };
}
