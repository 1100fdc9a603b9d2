//! Bounds of fairness: who goes first, who waits, and when new work is refused (`facts/reliability.md` 3.6).

use std::time::Duration;

use super::{CALL_TIMEOUT, LANE_WAITING_MAX, LEASE, STORE_QUEUE_MAX, WORKER_LANES_MAX};

// ── between the lanes of one tenant ──

/// A lane that has been due this long counts as one class more urgent: with ranks 1, 5 and 7 the least urgent lane is the
/// equal of a new incident after an hour, and an update after forty minutes.
pub const AGING_STEP: Duration = Duration::from_mins(10);
/// Urgent lanes that have been due longer than this are a jam: a fresh escalation is then worth more than the oldest one,
/// about which somebody has called by now.
pub const URGENT_JAM: Duration = Duration::from_mins(5);
/// Of so many claims during a jam, one takes the oldest first, so that those still move.
pub const JAM_OLDEST_EVERY: u32 = 4;

// ── between tenants ──

/// A lane that holds its slot for longer has a slow instance behind it: a healthy call takes 0.1 to 2 s.
pub const SLOW_AFTER: Duration = Duration::from_secs(10);
/// A lane that held its slot for less made no call, because a gate was closed, and says nothing of the instance: the way
/// there and back alone takes longer.
pub const SLOW_SAMPLE_MIN: Duration = Duration::from_millis(20);
/// The latest lanes of a tenant by which it is judged: one word of bits, and a minute's work of a busy tenant.
pub const SLOW_SAMPLES: u32 = 64;
/// A tenant is slow when more than one in so many of its lanes was: its 95th percentile lies above [`SLOW_AFTER`].
pub const SLOW_ONE_IN: u32 = 20;
/// After this long without a slow lane a tenant whose latest lane was quick is no longer held to be slow, however few it had.
pub const SLOW_REMEMBERED: Duration = Duration::from_mins(5);
/// One in so many slots of a replica may be held by slow tenants: what hangs takes a quarter, the others keep three.
pub const SLOW_SLOTS_ONE_IN: usize = 4;

// ── at the door ──

/// Waiting webhooks of one ticket. They say how the ticket is now, and what waits is folded or compared in passing, so ten
/// times what an incident's lane holds is taken; beyond it a rule of the instance is going round.
pub const TICKET_LANE_WAITING_MAX: usize = 10_000;
/// Waiting deliveries of one tenant before its senders are told to wait, unless its file says otherwise: ten hours of an
/// instance's default budget of calls, and half a gigabyte of disk.
pub const TENANT_WAITING_MAX: u64 = 200_000;
/// The smallest number a tenant's file may ask for: less is a test, or a slip.
pub const TENANT_WAITING_LEAST: u64 = 100;
/// The largest number a tenant's file may ask for: the whole store.
pub const TENANT_WAITING_MOST: u64 = STORE_WAITING_MAX;
/// Waiting deliveries of one store before new work is refused: some five gigabytes, and an hour to count them all.
pub const STORE_WAITING_MAX: u64 = 2_000_000;
/// One part in so many is added for ServiceNow's webhooks: they are accepted while events are refused, because most
/// instances do not send again.
pub const RESERVED_ONE_IN: u64 = 10;
/// Requests that may wait for their commit at once. Half of what the writer's queue holds, so that leases and settlements
/// always find room in it: what was accepted goes on while new work is refused.
pub const INTAKE_WAITING_MAX: usize = STORE_QUEUE_MAX / 2;
/// From so many on it is a crowd, and each tenant is held to its part.
pub const INTAKE_CROWDED: usize = INTAKE_WAITING_MAX / 2;
/// Of these, one in so many is kept for webhooks.
pub const INTAKE_RESERVED_ONE_IN: usize = 8;
/// In a crowd, one tenant may have one in so many: a flood finds the door narrow, its neighbours find it open.
pub const INTAKE_TENANT_ONE_IN: usize = 4;
/// When the oldest commit has been waited for this long the store is slow: more work would only wait behind it. A commit
/// takes milliseconds, half a second on a sick disk.
pub const INTAKE_SLOW: Duration = Duration::from_secs(3);
/// When a refused sender may come again: soon, and not all at once.
pub const COME_AGAIN_MIN: Duration = Duration::from_secs(2);
/// See [`COME_AGAIN_MIN`].
pub const COME_AGAIN_MAX: Duration = Duration::from_secs(10);
/// When the sender of a tenant with too much waiting may come again: what waits is counted anew every ten seconds, and goes
/// at the pace of an instance.
pub const TENANT_FULL_WAIT: Duration = Duration::from_secs(30);
/// How long readiness waits for the store: probes are given a few seconds, and "slow" is an answer too.
pub const READINESS_WAIT: Duration = Duration::from_secs(2);

const _: () = assert!(SLOW_SAMPLES == u64::BITS);
const _: () =
    assert!(SLOW_AFTER.as_millis() < CALL_TIMEOUT.as_millis() && CALL_TIMEOUT.as_millis() < LEASE.as_millis());
const _: () = assert!(WORKER_LANES_MAX.is_multiple_of(SLOW_SLOTS_ONE_IN));
const _: () = assert!(TICKET_LANE_WAITING_MAX > LANE_WAITING_MAX);
const _: () = assert!(TENANT_WAITING_MAX <= STORE_WAITING_MAX);
const _: () = assert!(INTAKE_WAITING_MAX < STORE_QUEUE_MAX);
const _: () = assert!(COME_AGAIN_MIN.as_millis() < COME_AGAIN_MAX.as_millis());
