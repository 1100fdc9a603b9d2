//! Bounds of the audit log and of the records of checks.

use std::time::Duration;

/// The service description's own log is kept this long; `migrations` hold the same number, so that no code can go below.
pub const AUDIT_KEPT_MIN: Duration = Duration::from_hours(180 * 24);
/// What is kept: a year, and time for a yearly audit to look at it.
pub const AUDIT_KEPT: Duration = Duration::from_hours(400 * 24);
/// One text of a row: a name, an address, a reason. A row is read in one line.
pub const AUDIT_TEXT_CHARS_MAX: usize = 300;
/// Rows removed in one commit: some milliseconds of the writer's time.
pub const AUDIT_TRIM_ROWS_MAX: usize = 1_000;
/// Rows are removed a week's worth at a time: each removal adds a row, and must not be most of what is in the log.
pub const AUDIT_TRIM_SLACK: Duration = Duration::from_hours(7 * 24);
/// Findings kept of one check; the first ones are the ones to mend.
pub const CHECK_FINDINGS_COUNT_MAX: usize = 200;
/// All findings kept of one check, as JSON: they are read with every look at the tenant.
pub const CHECK_FINDINGS_BYTES_MAX: usize = 64 * 1024;

/// Requests without valid credentials that make a burst: more than a sender with an old key makes before it backs off.
pub const AUTH_BURST_FAILURES: u32 = 20;
/// The time in which they are counted.
pub const AUTH_BURST_WINDOW: Duration = Duration::from_mins(1);
/// A burst that lasts is told again after this long, so that nobody fills the audit log from outside.
pub const AUTH_BURST_REST: Duration = Duration::from_mins(10);

const _: () = assert!(AUTH_BURST_WINDOW.as_millis() <= AUTH_BURST_REST.as_millis());
const _: () = assert!(AUDIT_KEPT_MIN.as_millis() == 15_552_000_000);
const _: () = assert!(AUDIT_KEPT_MIN.as_millis() <= AUDIT_KEPT.as_millis());
