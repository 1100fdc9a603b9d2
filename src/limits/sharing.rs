//! Bounds of what replicas share about a tenant's peer.

use std::time::Duration;

use super::{CALL_TIMEOUT, TOKEN_TIMEOUT};

/// Calls that a replica reserved are made within this time or not at all: what a replica that hangs has reserved is void
/// when it wakes, and what another replica learned is known here after this long at the latest.
pub const RESERVATION_LIFE: Duration = Duration::from_secs(1);
/// A replica whose reservation was cut short asks again after about this long: twice a second is often enough to use the
/// whole budget, and costs less than the claims that the calls are made for.
pub const RESERVE_AGAIN: Duration = Duration::from_millis(500);
/// Calls that are reserved at least, where the rate allows it: a delivery is a look and a write.
pub const RESERVE_CALLS_MIN: u32 = 2;
/// How long a replica may take to find out whether a peer is back: a token, a call, and ten seconds of the machine's own.
/// After that it counts as dead, and another one asks.
pub const PROBE_LEASE: Duration = Duration::from_secs(75);
/// A replica that was chosen to ask sends its call within this time, so that its answer is there before another is chosen.
pub const PROBE_SEND_MAX: Duration = Duration::from_secs(30);
/// When others look again while one replica finds out: most answers have come by then.
pub const PROBE_LOOK: Duration = Duration::from_secs(2);
/// How far ahead calls can be paid for: one a second, at a tenth of the rate. What lies further ahead was written before
/// the store's clock was set back.
pub const PAID_AHEAD_MAX: Duration = Duration::from_secs(10);
/// Tries to write a row that other replicas write too. Of those who try at once one gets through each time, so that this
/// many replicas may ask about one peer in the same millisecond.
pub const SHARED_TRIES_MAX: usize = 20;
/// Reasons and failures are told to people on one line.
pub const SHARED_REASON_CHARS_MAX: usize = 300;
/// Doublings after which a pause is at its longest whatever came before; more need not be counted.
pub const BREAKER_ROUNDS_MAX: u32 = 16;

const _: () = assert!(PROBE_SEND_MAX.as_secs() + CALL_TIMEOUT.as_secs() <= PROBE_LEASE.as_secs());
const _: () = assert!(TOKEN_TIMEOUT.as_secs() < PROBE_SEND_MAX.as_secs());
