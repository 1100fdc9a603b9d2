//! Bounds for deliveries that kill whoever works on them.

use std::time::Duration;

/// Panics of a worker on the same delivery, after which a person looks at it: a panic is a defect of ours, and the same
/// event meets it again.
pub const PANICS_MAX: usize = 3;
/// Tries in a row of which nothing was recorded: the process died, was killed, or could not reach its store.
///
/// Not three, as for panics. A panic names its delivery; the death of a process does not, and it counts for all lanes that
/// the process had claimed, a thousand at most. Three deaths are an ordinary bad day (a machine without memory, a
/// roll-out that goes back and forth), and would park whatever was under way each time without any fault of its own. Ten in
/// a row, with nothing finished and nothing recorded in between, are hardly chance; until then a delivery that does kill costs
/// ten restarts, which supervisors space out by themselves.
pub const VANISHED_TRIES_MAX: usize = 10;
/// From so many such tries on a delivery is suspected, and works alone: of all that a process had claimed when it died, nobody
/// knows which was to blame, so from here on only one suspect at a time may be, and the others' tries are not counted. Half of
/// the tries, because what is suspected goes at a slow pace.
pub const SUSPECTED_AFTER_TRIES: usize = VANISHED_TRIES_MAX / 2;
/// How long a suspect waits before it begins, while the others that were claimed with it are given back.
pub const SUSPECT_PAUSE: Duration = Duration::from_millis(300);
/// When the others come again: about the time that one suspect takes.
pub const SUSPECT_REST: Duration = Duration::from_secs(1);
/// How long a delivery rests after a panic: no peer is to blame, so waiting longer would mend nothing.
pub const PANIC_REST: Duration = Duration::from_secs(2);

const _: () = assert!(SUSPECTED_AFTER_TRIES > PANICS_MAX && SUSPECTED_AFTER_TRIES < VANISHED_TRIES_MAX);
