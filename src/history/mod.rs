//! Whether the gateway's records and the customers' instances tell the same story.
//!
//! Owns: the verdicts of `facts/reliability.md` 7 in the words of Jepsen's checkers, and how each is reached: *lost* is what
//! was acknowledged and is neither applied nor superseded, dropped, parked or waiting; *duplicated* is a second ticket of one
//! incident and episode, or a second note; *reordered* is what was applied in another order than it was accepted in;
//! *unexpected* is what carries our keys and nobody sent; *cross-tenant* is one tenant's work at another one's. What nobody
//! can know (a sender that saw no answer, a delivery that is still being sent) is allowed either way and counted.
//!
//! Three sides are told, in any order: [`History::acknowledged`] what senders hold receipts for (may be left out),
//! [`History::recorded`] what the gateway has on record, and [`History::instance`] what an instance shows. Then
//! [`History::judge`]. Exports are read line by line ([`History::line`], [`Shown::line`]); what is kept of a record is its
//! names and a hash of its text, about 300 bytes, and of an entry as much. Texts are kept only while their ticket is unknown.
//! A history of one tenant at a time therefore needs memory for that tenant alone.
//!
//! Never: reads a file, a socket or a clock; knows a mapping. So it cannot say whether a field holds the right value, only
//! whether each write that counts as done left its trace: a ticket under the derived keys, a text under our reference, a
//! high-water mark that never goes back. Fails: it cannot; a line that cannot be read is the caller's to report.
//! Proved by: `tests` here, where each verdict is seeded, and `tests/simulation`, where it judges every run.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

mod attribution;
mod book;
mod effects;
mod lines;
mod records;
mod shown;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;

use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;

use attribution::Owners;
use book::Book;
pub use lines::BadLine;
pub use records::{Certainty, Receipt, Recorded};
pub use shown::{EntryRow, Shown, TicketRow};
pub use verdict::{Counts, Verdict, Verdicts, Violation};

/// Everything that was told of a history so far.
#[derive(Debug)]
pub struct History {
    deployment_key: String,
    since: Option<Timestamp>,
    books: BTreeMap<TenantId, Book>,
    instances: BTreeMap<Vec<TenantId>, Shown>,
}

impl History {
    /// Nothing told yet. `deployment_key` is the one the gateway ran with: all keys are derived from it.
    pub fn new(deployment_key: &str) -> Self {
        Self {
            deployment_key: deployment_key.to_owned(),
            since: None,
            books: BTreeMap::new(),
            instances: BTreeMap::new(),
        }
    }

    /// Everything since this moment is on record, so whatever carries our keys and is younger must be explained. Without
    /// it the records themselves say how far back they go: to the oldest of them, and never beyond what is kept.
    #[must_use]
    pub const fn complete_since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// What a sender holds, or does not know. Said of one event several times, the surest counts.
    pub fn acknowledged(&mut self, receipt: Receipt) {
        self.books.entry(receipt.tenant.clone()).or_default().acknowledge(receipt);
    }

    /// What the gateway has on record. Said of one delivery several times, the last counts.
    pub fn recorded(&mut self, record: impl Into<Recorded>) {
        let record = record.into();
        self.books.entry(record.tenant.clone()).or_default().record(record);
    }

    /// One line of the gateway's export.
    pub fn line(&mut self, line: &str) -> Result<(), BadLine> {
        lines::of_gateway(self, line)
    }

    /// The instance in which these tenants live, to be told what it shows; nobody else's work may be there.
    pub fn instance(&mut self, tenants: &[TenantId]) -> &mut Shown {
        let fresh = || Shown::of(tenants, &self.deployment_key);
        self.instances.entry(tenants.to_vec()).or_insert_with(fresh)
    }

    /// Which tenants were spoken of.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.books.keys()
    }

    /// What is wrong with all that.
    pub fn judge(&self) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let owners = Owners::of(self, &mut verdicts);
        for (tenant, book) in &self.books {
            let since = self.since.unwrap_or_else(|| book.reaches_back_to());
            book.judge(tenant, since, &mut verdicts);
            effects::judge(&effects::Scene { tenant, book, owners: &owners, since }, &mut verdicts);
        }
        verdicts
    }
}
