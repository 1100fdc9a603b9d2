//! What a store consists of, in words that every engine understands: tables, their columns, and their order.
//!
//! Owns: the list, which is all that moves. Left out are three columns that say who works on what at this moment, because
//! whoever that was is not there any more: `lane.leased_until`, `sweep.owner`, `sweep.leased_until`. A lane that was being
//! worked on keeps its `due`, the end of that lease; what was being sent keeps `sending_since`, and so is looked up in
//! ServiceNow before anything is sent again.
//! Never: reads or writes a table. Proved by: `tests/store/copying.rs`, which finds a column that both engines have and this
//! list has not.

/// How a value stands in a column, in each engine its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// A number, a moment in milliseconds.
    Long,
    /// A number of four bytes.
    Int,
    /// A number of two bytes.
    Short,
    /// Yes or no.
    Flag,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// The sixteen bytes of a receipt.
    Id,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Column {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) kind: Kind,
}

/// A table.
#[derive(Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// The first ones are its key, in whose order it is read, copied and proved.
    pub(in crate::store) columns: &'static [Column],
    pub(in crate::store) keys: usize,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

macro_rules! table {
    ($name:expr, $keys:literal: $($column:ident $kind:ident),*) => {
        Table { name: $name, columns: &[$(column(stringify!($column), Kind::$kind)),*], keys: $keys }
    };
}

/// Every table, each behind those that it refers to.
pub(in crate::store) const TABLES: [Table; 10] = [
    table!("tenant", 1: id Long, name Text, paused_until Long, pause_code Text, pause_reason Text, learned Text),
    table!("lane", 1: id Long, tenant Long, direction Short, incident Text, head Long, tail Long, rank Short, due Long,
        fence Long, attempts Int, parked Flag),
    table!("lane_memory", 1: lane Long, memory Text),
    table!(DELIVERY, 2: lane Long, sequence Long, tenant Long, receipt Id, event Text, kind Text, rank Short,
        state Short, is_echo Flag, accepted_at Long, sending_since Long, ended_at Long, body Text, body_hash Bytes,
        ending Text, attempts Text),
    table!("link", 2: tenant Long, sys_id Text, number Text, ticket_table Text, incident Text, episode Long,
        found_at Long),
    table!("sweep", 1: tenant Long, fence Long, began Long, last_began Long, cursor Text),
    table!("tenant_check", 1: tenant Long, checked_at Long, checked_by Text, digest Bytes, passed Flag, findings Text,
        released_at Long, released_by Text, released_digest Bytes, forced Flag),
    table!("peer_pace", 2: tenant Long, peer Text, version Long, paid_until Long, hour_ends Long, hour_used Long,
        hour_limit Long, hour_told Flag, gate_until Long, gate_cause Text, gate_reason Text, breaker Text,
        breaker_epoch Long, breaker_rounds Long, breaker_turned Long, breaker_until Long, breaker_good Long,
        breaker_failure Text, probe_owner Text, probe_until Long),
    table!(AUDIT_ANCHOR, 1: id Int, sequence Long, hash Bytes),
    table!(AUDIT, 1: sequence Long, at Long, who Text, role Text, tenant Text, action Text, target Text, before Bytes,
        after Bytes, source Text, request Text, note Text, hash Bytes),
];

/// The table whose bodies SQLite keeps apart.
pub(in crate::store) const DELIVERY: &str = "delivery";
/// The log, which both engines guard with triggers.
pub(in crate::store) const AUDIT: &str = "audit";
/// Where the log begins: its one row is there from the start.
pub(in crate::store) const AUDIT_ANCHOR: &str = "audit_anchor";

impl Table {
    /// The names of the key's columns.
    pub(in crate::store) fn key(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().take(self.keys).map(|column| column.name)
    }
}
