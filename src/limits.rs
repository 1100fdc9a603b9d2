//! Every bound of the program, with its reason. Units are in the name: bytes, chars, secs, millis, max counts.
//!
//! Relations between bounds are checked while compiling, at the end of this file.

// ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

/// A tenant name is part of URLs, file names, metric labels and lane keys: short enough to read in all of them.
pub const TENANT_CHARS_MAX: usize = 40;
/// Long enough for any tracker's id or URL-shaped key; it is hashed before it reaches ServiceNow (100 characters there).
pub const INCIDENT_ID_CHARS_MAX: usize = 255;
/// CloudEvents sets no bound; `source` is often a URI, `id` a UUID. It is an indexed key, so it is kept short.
pub const EVENT_KEY_CHARS_MAX: usize = 512;

// ── intake ───────────────────────────────────────────────────────────────────────────────────────────────────

// ── canonical model and mapping ──────────────────────────────────────────────────────────────────────────────

// ── store ────────────────────────────────────────────────────────────────────────────────────────────────────

// ── calls to ServiceNow ──────────────────────────────────────────────────────────────────────────────────────

// ── worker ───────────────────────────────────────────────────────────────────────────────────────────────────

// ── settings and tenants ─────────────────────────────────────────────────────────────────────────────────────

// ── simulator ────────────────────────────────────────────────────────────────────────────────────────────────

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
/// Longest a stopping server waits for calls that still run, seconds; they belong to tests.
pub const SIM_STOP_SECS_MAX: u64 = 1;

// ── relations ────────────────────────────────────────────────────────────────────────────────────────────────
