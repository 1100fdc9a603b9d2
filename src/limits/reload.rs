//! Bounds of noticing that files changed.

use std::time::Duration;

/// Looking at a thousand files costs a few milliseconds; more often than this would be felt, and helps only tests.
pub const RELOAD_EVERY_MIN: Duration = Duration::from_millis(100);
/// A rotated secret is to be picked up within half a minute, and it takes two looks and a load.
pub const RELOAD_EVERY_MAX: Duration = Duration::from_secs(10);
/// Entries of a watched directory that are looked at. Ten thousand tenants, and as many files that are not read.
pub const WATCHED_ENTRIES_MAX: usize = 20_000;
/// Findings of a refused reload that an answer repeats; the log has the first, `snowgate check` has all.
pub const FINDINGS_SHOWN_MAX: usize = 100;
/// Names of tenants in one line of the log.
pub const NAMES_TOLD_MAX: usize = 20;

const _: () = assert!(RELOAD_EVERY_MIN.as_millis() < RELOAD_EVERY_MAX.as_millis());
// Two looks that see the same, the wait for the first of them, and ten seconds for the load itself.
const _: () = assert!(RELOAD_EVERY_MAX.as_secs() * 2 + 10 <= 30);
