//! How the ticket stands as far as we have seen it, before we write to it: what it already holds, and whether it is over.
//!
//! Never a read of the instance: what webhooks and sweeps told is in the ticket's own lane. What that does not know yet
//! shows in the answer to the write.

use super::journey::Journey;
use super::stop::Stop;
use super::work::Work;
use crate::delivery::record::Direction;
use crate::delivery::seen::{Ours, Seen};
use crate::domain::id::IncidentId;
use crate::domain::print::print;
use crate::domain::ticket::Ticket;
use crate::mapping::{ClosedTicket, Draft, Mapping, TicketPhase};

/// How a ticket stands.
#[derive(Debug, Default)]
pub(super) struct There {
    seen: Option<Box<Seen>>,
    ours: std::collections::BTreeMap<String, Ours>,
    known_closed: bool,
}

/// What a change may do to the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Anything.
    Write,
    /// Anything, and its state is written even if we wrote the same before.
    Reopen,
    /// Nothing but a comment.
    CommentOnly,
    /// It is over: the incident's next ticket is made.
    Succeed,
    /// A person decides.
    Park,
}

impl There {
    /// A ticket that an answer just showed to be over.
    pub(super) fn closed() -> Self {
        Self { known_closed: true, ..Self::default() }
    }

    /// Whether a column was seen to hold this value after everything we wrote to it.
    pub(super) fn holds(&self, column: &str, value: &str) -> bool {
        let Some(seen) = &self.seen else { return false };
        let newer = self.ours.get(column).is_none_or(|ours| seen.version.is_some_and(|seen| seen >= ours.version));
        newer && seen.columns.get(column).is_some_and(|held| *held == print(value))
    }

    /// Whether the state was seen to be another one than a draft says, after everything we wrote to it.
    pub(super) fn differs(&self, draft: &Draft) -> bool {
        let Some(state) = draft.value("state") else { return false };
        let Some(seen) = self.seen.as_ref().and_then(|seen| seen.columns.get("state").zip(seen.version)) else {
            return false;
        };
        let (held, version) = seen;
        self.ours.get("state").is_none_or(|ours| version >= ours.version) && *held != print(state)
    }

    fn phase(&self, mapping: &Mapping) -> TicketPhase {
        if self.known_closed {
            return TicketPhase::Final;
        }
        let Some(seen) = self.seen.as_ref().filter(|seen| !seen.state.is_empty()) else { return TicketPhase::Open };
        let overtaken = self.ours.get("state").is_some_and(|ours| seen.version.is_none_or(|seen| seen < ours.version));
        if overtaken { TicketPhase::Open } else { mapping.ticket_phase(&seen.state) }
    }

    /// What a change may do, by the mapping's `closed_ticket`. `says_open`: the event itself says that the incident goes
    /// on; one that does not touches no finished ticket but with a comment.
    pub(super) fn course(&self, mapping: &Mapping, says_open: bool) -> Course {
        match (self.phase(mapping), says_open, mapping.policy().closed_ticket) {
            (TicketPhase::Open, _, _) | (TicketPhase::Resolved, false, _) => Course::Write,
            (TicketPhase::Final, false, _) | (_, true, ClosedTicket::CommentOnly) => Course::CommentOnly,
            (_, true, ClosedTicket::Park) => Course::Park,
            (TicketPhase::Resolved, true, ClosedTicket::ReopenOrNew) => Course::Reopen,
            (TicketPhase::Final, true, ClosedTicket::ReopenOrNew) => Course::Succeed,
        }
    }
}

impl Journey<'_> {
    /// How the ticket stands as far as it was seen.
    pub(super) async fn there(&self, work: &Work, ticket: &Ticket) -> Result<There, Stop> {
        if !self.bridge.goes_back() {
            return Ok(There::default());
        }
        let lane = IncidentId::lane_of_ticket(&ticket.sys_id);
        let view = self.store.lane(&self.claim.tenant, Direction::ToService, &lane).await?;
        Ok(There { seen: view.and_then(|view| view.memory.seen), ours: work.memory.ours.clone(), known_closed: false })
    }
}
