//! Bounds of the store in PostgreSQL: connections, waits, and how much shares a commit.

use std::time::Duration;

/// Connections of one replica. Its work is short statements, so a few keep a server of many cores busy; ten replicas
/// with this many stay within a server's usual few hundred.
pub const POSTGRES_CONNECTIONS_MAX: usize = 16;
/// A server that has not taken a connection by now is not there, or is behind something that drops packets.
pub const POSTGRES_CONNECT_WAIT: Duration = Duration::from_secs(5);
/// One operation, the wait for a connection included: a vanished server must become an answer, not a hanging request.
pub const POSTGRES_OPERATION_WAIT: Duration = Duration::from_secs(10);
/// One statement, as the server counts: every one of ours takes milliseconds, so this one went wrong.
pub const POSTGRES_STATEMENT_WAIT: Duration = Duration::from_secs(5);
/// One lock, as the server counts: nobody of ours holds one across a call, so this one is a stranger's.
pub const POSTGRES_LOCK_WAIT: Duration = Duration::from_secs(2);
/// A transaction left open, as the server counts: its replica is frozen, and others wait for its rows.
pub const POSTGRES_IDLE_WAIT: Duration = Duration::from_secs(10);
/// An idle connection is probed after this long, and given up after three probes: firewalls forget idle ones in minutes.
pub const POSTGRES_KEEPALIVE: Duration = Duration::from_secs(15);
/// What was sent and not acknowledged for this long: the connection is dead, whatever the operating system hopes.
pub const POSTGRES_UNHEARD_WAIT: Duration = Duration::from_secs(10);
/// How long a starting replica waits for another one's migration before it says so and gives up.
pub const POSTGRES_MIGRATION_WAIT: Duration = Duration::from_mins(10);
/// How long a migration waits for a table that others use, before it lets go of those that it has and begins anew. With three
/// tables this stays below the second after which PostgreSQL looks for circles of waiting (`deadlock_timeout`).
pub const POSTGRES_MIGRATION_LOCK_WAIT: Duration = Duration::from_millis(250);
/// How long it rests then, so that those who waited for it get on.
pub const POSTGRES_MIGRATION_REST: Duration = Duration::from_millis(250);
/// Changes that share one commit: more would make the first one wait for the last.
pub const POSTGRES_GROUP_CHANGES_MAX: usize = 512;
/// How often a transaction that met another replica's is tried before its callers are told to come again.
pub const POSTGRES_TRIES_MAX: usize = 3;
/// How old the knowledge may be of which tenants have work that other replicas accepted.
pub const POSTGRES_HINTS_AGE_MAX: Duration = Duration::from_secs(1);
/// Reading that knowledge anew may take one part in this many of the time.
pub const POSTGRES_HINTS_SHARE: u32 = 20;
/// Tenants that one claim statement looks at, at most: each costs a few index look-ups while its row is locked.
pub const POSTGRES_CLAIM_TENANTS_MAX: usize = 512;
/// Bodies that share one commit: some of the largest calls; more would fill memory twice over on both sides.
pub const POSTGRES_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Intentions, settlements and the like that share one commit.
pub const POSTGRES_GROUP_MEMBERS_MAX: usize = 256;
/// Groups of one kind under way at once: while one waits for the disk the next one is worked on.
pub const POSTGRES_GROUPS_AT_ONCE: usize = 2;
