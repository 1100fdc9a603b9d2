//! Bounds of the way back: what is remembered of a ticket, and how a sweep goes.

use std::time::Duration;

/// Journal entries and files remembered per ticket, the newest; a ticket with more has them told long ago, and some
/// kilobytes per lane are read and written with every sighting.
pub const SEEN_ENTRIES_MAX: usize = 100;
/// How far back tellings of one field are counted (`facts/reliability.md` 2.5, rule 6).
pub const TOLD_WINDOW: Duration = Duration::from_mins(10);
/// Tellings of one field within [`TOLD_WINDOW`] after which two rules are fighting, not people working (same place).
pub const TOLD_TIMES_MAX: usize = 6;
/// Entries that a business rule sends along (`docs/servicenow-admin.md`): if all of them are new, there may be more.
pub const JOURNAL_ENTRIES_SENT: usize = 10;
/// How long to leave a ticket alone whose own lane is just writing to it: a write takes about a second.
pub const WRITE_REST: Duration = Duration::from_secs(2);
/// How long a file waits for its turn: one takes seconds to minutes, and nobody waits for it.
pub const FILE_REST: Duration = Duration::from_secs(5);
/// How far an instance's clock and ours may be apart when a journal entry is to be told from an older one of the same
/// words: machines that keep time at all are within seconds, and a minute is still less than a settle time.
pub const CLOCKS_APART: Duration = Duration::from_mins(1);
/// `correlation_display` holds 100 characters on a stock instance (`facts/servicenow.md` 5.1).
pub const CORRELATION_DISPLAY_CHARS_MAX: usize = 100;
/// Rows of one page of a journal: with 4,000 characters each, a hundred stay below the cap of an answer almost always.
pub const JOURNAL_ROWS_MAX: usize = 100;
/// Rows of one page of a sweep: an answer of some hundred kilobytes, far below the cap of an answer.
pub const SWEEP_ROWS: usize = 200;
/// Rows below which a page is not made smaller: an answer with ten tickets that is still too large is no list.
pub const SWEEP_ROWS_MIN: usize = 10;
/// Pages of one sweep; what is left is for the next one, so that one busy tenant holds no other up.
pub const SWEEP_PAGES_MAX: usize = 50;
/// Tickets asked for by key at once: fifty keys of 32 digits fit well into an address (414 from 8 KB on).
pub const COMPARE_BATCH: usize = 50;
/// How far a sweep goes back behind the last one: `sys_updated_on` is given before a commit, in whole seconds, and a
/// transaction lasts a minute at most by the quota rule; ten minutes also cover nodes whose clocks differ.
pub const SWEEP_OVERLAP: Duration = Duration::from_mins(10);
/// Where the first sweep of a tenant begins: what happened before is found by the rotating compare.
pub const SWEEP_START: Duration = Duration::from_hours(7 * 24);
/// How long a sweep may be silent before another replica takes it over; a page takes seconds.
pub const SWEEP_LEASE: Duration = Duration::from_mins(3);
/// How often is looked which tenants are due; what is lost is found in minutes, so seconds do not count.
pub const SWEEP_POLL: Duration = Duration::from_secs(2);
/// Tenants swept at once: each waits for its own instance most of the time.
pub const SWEEPS_AT_ONCE: usize = 16;
/// How long a new incident waits for an opening of the same tenant that may have been taken: the opening is sent again
/// every few minutes by then, and a managed service that does not answer for so long raises little.
pub const OPENING_WAIT: Duration = Duration::from_mins(15);
/// Tickets that may follow one another for one episode: whoever closes ten in a row does not want this incident.
pub const SUCCESSORS_MAX: u32 = 10;
