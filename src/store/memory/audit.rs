//! The audit log as the model keeps it.

use std::time::Duration;

use super::{MemoryStore, Tables};
use crate::domain::time::Timestamp;
use crate::store::audit::{AuditEnds, AuditEntry, AuditHead, AuditPage, AuditQuery, AuditRow, Hash};
use crate::store::deeds;

/// Every row since the anchor, oldest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    anchor: AuditHead,
    rows: Vec<Written>,
}

#[derive(Debug)]
struct Written {
    at: Timestamp,
    row: AuditRow,
    hash: Hash,
}

impl Log {
    fn ends(&self) -> AuditEnds {
        let head = self.rows.last().map(|last| AuditHead { sequence: last.row.sequence, hash: last.hash });
        AuditEnds { anchor: self.anchor, head: head.unwrap_or(self.anchor) }
    }

    pub(super) fn append(&mut self, at: Timestamp, entry: &AuditEntry) -> AuditHead {
        let head = self.ends().head;
        let row = AuditRow::after(&head, at, entry);
        let hash = row.hash_after(&head.hash);
        self.rows.push(Written { at, row, hash });
        self.ends().head
    }
}

impl Tables {
    /// Records a deed with the change it is about.
    pub(super) fn record(&mut self, at: Timestamp, entry: &AuditEntry) {
        self.audit.append(at, entry);
    }
}

impl MemoryStore {
    pub(in crate::store) fn audit(&self, entry: &AuditEntry) -> AuditHead {
        let now = self.clock.now();
        self.tables().audit.append(now, entry)
    }

    pub(in crate::store) fn audit_ends(&self) -> AuditEnds {
        self.tables().audit.ends()
    }

    pub(in crate::store) fn audit_page(&self, query: &AuditQuery) -> AuditPage {
        let tables = self.tables();
        let wanted = |written: &&Written| {
            let Written { at, row, .. } = written;
            let beyond = match (query.beyond, query.oldest_first) {
                (None, _) => true,
                (Some(last), true) => row.sequence > last,
                (Some(last), false) => row.sequence < last,
            };
            let of_tenant = query.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == row.tenant);
            beyond && of_tenant && query.since.is_none_or(|since| *at >= since)
        };
        let mut rows: Vec<_> = tables.audit.rows.iter().filter(wanted).map(|written| written.row.clone()).collect();
        if !query.oldest_first {
            rows.reverse();
        }
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next = if more { rows.last().map(|last| last.sequence) } else { None };
        AuditPage { rows, next, ends: tables.audit.ends() }
    }

    pub(in crate::store) fn trim_audit(&self, keep: Duration, most: usize) -> usize {
        let now = self.clock.now();
        let (before, oldest) = deeds::trims(now, keep);
        let mut tables = self.tables();
        let log = &mut tables.audit;
        if log.rows.first().is_none_or(|first| first.at >= oldest) {
            return 0;
        }
        let gone = log.rows.iter().take(most).take_while(|written| written.at < before).count();
        let Some(last) = log.rows.get(gone.wrapping_sub(1)) else { return 0 };
        let anchor = AuditHead { sequence: last.row.sequence, hash: last.hash };
        log.append(now, &deeds::trimmed(&anchor, gone as u64));
        log.rows.drain(..gone);
        log.anchor = anchor;
        gone
    }
}
