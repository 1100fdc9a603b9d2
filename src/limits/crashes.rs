//! Bounds for deliveries that kill whoever works on them.

use std::time::Duration;

/// Panics of a worker on the same delivery, after which a person looks at it: a panic is a defect of ours, and the same
/// event meets it again.
pub const PANICS_MAX: usize = 3;
/// Tries in a row of which nothing was recorded: the process died, was killed, or could not reach its store. Only the
/// first can be the delivery's doing, and a bad day has several of the others, so there are many more of them than of panics.
pub const VANISHED_TRIES_MAX: usize = 10;
/// How long a delivery rests after a panic: no peer is to blame, so waiting longer would mend nothing.
pub const PANIC_REST: Duration = Duration::from_secs(2);
