//! Bounds of the simulated instance, and the documented numbers it is held to.

/// Rows of a list without `sysparm_limit`: the documented default of the Table API.
pub const SIM_PAGE_ROWS_DEFAULT: usize = 10_000;
/// Largest request body the simulated instance reads: `glide.rest.max_content_length`, 10 MB by default (KB0747638).
pub const SIM_BODY_BYTES_MAX: usize = 10_485_760;
/// Largest body the server hands to the instance, which refuses what is over its own bound in its own words; the property
/// may be set to 25 MB at most.
pub const SIM_SOCKET_BODY_BYTES_MAX: usize = 26_214_400;
/// Threads of the `API_INT` pool of one node (KB0564204).
pub const SIM_API_THREADS: usize = 4;
/// Calls that may wait for a thread before the node answers `429` (KB0564204).
pub const SIM_API_QUEUE_MAX: usize = 50;
/// Calls that may wait for one session before the node answers `202` and drops the call (KB0564204).
pub const SIM_SESSION_QUEUE_MAX: usize = 10;
/// Longest a session may be held before its waiters are dropped with `202`, seconds (KB0564204).
pub const SIM_SESSION_WAIT_SECS_MAX: u64 = 120;
/// Sessions remembered at once; the oldest idle ones are forgotten, as they time out after a minute on the platform.
pub const SIM_SESSIONS_MAX: usize = 1_024;
/// Quota rule for REST Table API transactions, milliseconds ("Default quota rules").
pub const SIM_TRANSACTION_MILLIS_MAX: u64 = 60_000;
/// Lifetime of a refresh token, seconds: 100 days by default ("Manage tokens").
pub const SIM_REFRESH_TOKEN_SECS: i64 = 8_640_000;
/// Tokens of both kinds kept; far more than one integration user can hold, and expired ones go first.
pub const SIM_TOKENS_MAX: usize = 10_000;
/// Calls kept in the log a tester reads; at 1,000 calls a second that is the last ten seconds, and about 3 MB.
pub const SIM_LOG_CALLS_MAX: usize = 10_000;
/// Record changes kept for those who play the instance's business rules; older ones are forgotten.
pub const SIM_CHANGES_MAX: usize = 100_000;
/// Longest dot-walked path: the platform allows three steps; one more than that is generous.
pub const SIM_DOT_WALK_STEPS_MAX: usize = 4;
/// Longest time a fault may hold a call or a late write, milliseconds: ten minutes outlives every client's patience.
pub const SIM_FAULT_MILLIS_MAX: u64 = 600_000;
/// Outbound calls an instance opens at once, to all hosts together ("HTTP connection management properties").
pub const SIM_OUTBOUND_CALLS_MAX: usize = 20;
/// Outbound calls an instance opens at once to one host ("HTTP connection management properties").
pub const SIM_OUTBOUND_CALLS_PER_HOST_MAX: usize = 4;
/// `glide.http.connection_timeout`: ten seconds by default.
pub const SIM_OUTBOUND_CONNECT_SECS_MAX: u64 = 10;
/// `glide.http.timeout`: a whole outbound transaction, 175 seconds by default.
pub const SIM_OUTBOUND_CALL_SECS_MAX: u64 = 175;
/// A REST step fails on a longer answer; the rest of it is not read.
pub const SIM_OUTBOUND_ANSWER_BYTES_MAX: usize = 5_242_880;
/// How often the server looks for outbound jobs that have become due, milliseconds: finer than any delay a test sets.
pub const SIM_OUTBOUND_POLL_MILLIS: u64 = 10;
/// Outbound jobs that may wait; a burst beyond it is lost, as a full event queue loses it, and counted.
pub const SIM_OUTBOUND_JOBS_MAX: usize = 100_000;
/// Outbound calls kept in the log a tester reads, their bodies not among it.
pub const SIM_OUTBOUND_LOG_MAX: usize = 10_000;
/// Calls whose end is awaited for a flow's retry; twenty run at a time, the rest belongs to callers that never tell.
pub const SIM_OUTBOUND_OPEN_MAX: usize = 1_000;
/// Subscriptions of one instance; the admins of a real one have a handful.
pub const SIM_SUBSCRIPTIONS_MAX: usize = 100;
/// Longest a flow goes on trying, seconds: `glide.fdih.retry.max_time_in_seconds`, a day by default ("Retry policy").
pub const SIM_FLOW_SECS_MAX: i64 = 86_400;
/// Journal entries in a snapshot: the newest ten, more than people write between two snapshots.
pub const SIM_SNAPSHOT_JOURNAL_MAX: usize = 10;
/// Rows of an attachment list without `sysparm_limit` ("Attachment API" reference).
pub const SIM_ATTACHMENT_ROWS_DEFAULT: usize = 1_000;
/// `com.glide.attachment.max_size`: 1024 MB by default ("Attachment API" reference).
pub const SIM_ATTACHMENT_BYTES_MAX: u64 = 1_073_741_824;
/// Attachment content held in memory, all files together; beyond it only size and hash of a file are kept.
pub const SIM_ATTACHMENT_BYTES_KEPT_MAX: usize = 268_435_456;
/// Longest a stopping server waits for calls that still run, seconds; they belong to tests.
pub const SIM_STOP_SECS_MAX: u64 = 1;
