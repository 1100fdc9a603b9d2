//! What came of a judgement: figures, and one line for each thing that is wrong.
//!
//! Owns: the words. Never: decides. Fails: it cannot. Proved by: `tests`.

use std::fmt;

use serde::Serialize;

use crate::domain::id::TenantId;
use crate::limits::HISTORY_VIOLATIONS_MAX;

/// What kind of wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Acknowledged, and neither there nor accounted for.
    Lost,
    /// There more often than it was accepted.
    Duplicated,
    /// Applied in another order than it was accepted in, or undone by something older.
    Reordered,
    /// There under our keys, and never accepted.
    Unexpected,
    /// One tenant's, at another one's.
    CrossTenant,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Lost, Self::Duplicated, Self::Reordered, Self::Unexpected, Self::CrossTenant];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::Unexpected => "unexpected",
            Self::CrossTenant => "cross-tenant",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What kind of wrong.
    pub verdict: Verdict,
    /// Whose.
    pub tenant: TenantId,
    /// The incident, or the lane of the way back; empty if nobody can say.
    pub incident: String,
    /// The event's source and id, and its delivery, if it is about one.
    pub event: String,
    /// What was expected, and what was found.
    pub found: String,
    /// Where to look.
    pub look: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict.as_str(), self.tenant)?;
        for name in [&self.incident, &self.event].into_iter().filter(|name| !name.is_empty()) {
            write!(f, " {name}")?;
        }
        write!(f, ": {}; look at {}", self.found, self.look)
    }
}

/// How much there was of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events that senders hold receipts for.
    pub acknowledged: u64,
    /// Events whose senders saw no answer, and that are on record …
    pub unclear_recorded: u64,
    /// … and that are not. Both are right.
    pub unclear_absent: u64,
    /// Deliveries on record, both ways.
    pub recorded: u64,
    /// Of these: applied.
    pub delivered: u64,
    /// Folded into a later one.
    pub superseded: u64,
    /// Waiting for a person.
    pub parked: u64,
    /// Given up by a person.
    pub dropped: u64,
    /// Waiting, or being sent.
    pub waiting: u64,
    /// Tickets of ours that the instances show.
    pub tickets: u64,
    /// Journal entries of ours that they show.
    pub texts: u64,
    /// What could not be judged: tickets that were deleted or lost their key, entries whose reference does not fit.
    pub unjudged: u64,
}

/// How a history was found.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// How much there was.
    pub counts: Counts,
    /// The first of what is wrong; [`Verdicts::count`] knows how much there is.
    pub violations: Vec<Violation>,
    found: [u64; Verdict::ALL.len()],
}

impl Verdicts {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.found.iter().all(|count| *count == 0)
    }

    /// How much of this kind is wrong.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.found.get(verdict as usize).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, violation: Violation) {
        if let Some(count) = self.found.get_mut(violation.verdict as usize) {
            *count += 1;
        }
        if self.violations.len() < HISTORY_VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }
}

/// One line of figures: what was found, then what there was.
impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            acknowledged,
            unclear_recorded,
            unclear_absent,
            recorded,
            delivered,
            superseded,
            parked,
            dropped,
            waiting,
            tickets,
            texts,
            unjudged,
        } = self.counts;
        for verdict in Verdict::ALL {
            write!(f, "{} {}, ", self.count(verdict), verdict.as_str())?;
        }
        write!(f, "of {recorded} on record ({delivered} delivered, {superseded} superseded, {parked} parked, ")?;
        write!(f, "{dropped} dropped, {waiting} waiting), {tickets} tickets, {texts} texts; ")?;
        let unclear = unclear_recorded + unclear_absent;
        write!(f, "{acknowledged} acknowledged, {unclear} unclear, {unjudged} not judged")
    }
}
