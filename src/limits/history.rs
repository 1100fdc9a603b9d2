//! Bounds of the history checker.

/// One line of an export. The longest is a page of the admin API: 200 records, most of them far below the largest body.
pub const HISTORY_LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Violations that are listed; all are counted. Whoever has more than this has one cause, and the first ones show it.
pub const HISTORY_VIOLATIONS_MAX: usize = 1_000;
/// Blank lines in a journal entry behind which an event's own text may begin: a mapping's note goes before it.
pub const HISTORY_PARAGRAPHS_MAX: usize = 8;
/// Tickets of one episode that are tried for a key without a readable mark.
pub const HISTORY_SUCCESSORS_TRIED: u32 = 4;
