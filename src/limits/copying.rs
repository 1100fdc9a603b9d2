//! Bounds of copying a store.

use std::time::Duration;

/// Rows on their way at once: with the largest bodies some sixty megabytes, with usual ones a few hundred kilobytes.
pub const COPY_PAGE_ROWS: usize = 250;
/// How long the copy waits for a lock in PostgreSQL: nobody should hold one, as nobody should be at work.
pub const COPY_LOCK_WAIT: Duration = Duration::from_secs(5);
/// What is copied and proved in a second, for a first guess: measured with bodies of a kilobyte on two busy processors
/// and an unoptimised build, so that it seldom takes longer than was said.
pub const COPY_ROWS_PER_SECOND: u64 = 3_000;
/// Before this nothing is said of the time left: the first pages say little about the others.
pub const PROGRESS_GUESS_AFTER: Duration = Duration::from_secs(2);
/// How often a line of progress is drawn anew on a terminal: more often than anybody reads.
pub const PROGRESS_REDRAW_EVERY: Duration = Duration::from_millis(200);
/// How often a line of progress goes where nothing can be drawn anew, such as a service's log.
pub const PROGRESS_LINE_EVERY: Duration = Duration::from_secs(5);
