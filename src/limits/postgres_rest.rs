//! Bounds of what is done to many rows of PostgreSQL at once.

use std::time::Duration;

/// Rows that one statement removes or wakes: some milliseconds of work, so that whoever meets its locks hardly notices.
pub const POSTGRES_BATCH_ROWS_MAX: usize = 500;
/// A receipt begins with the time of the machine that made it. One whose clock is wrong by more than this makes receipts
/// that are forgotten a little later, and nothing worse.
pub const RECEIPT_CLOCK_SLACK: Duration = Duration::from_hours(24);
