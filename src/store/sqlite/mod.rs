//! The embedded engine: one SQLite file, one writer, durable before it answers.
//!
//! Owns: the file, its lock, one writing thread, two reading threads and one that copies the log back (a checkpoint).
//! Never: writes from two places, answers before the sync, or repairs a damaged file.
//!
//! * Writing: [`session`] gathers what waits into one transaction and answers after its commit.
//! * Reading: short statements on connections of their own; receipts have a thread that no list can hold up.
//! * Time: [`super::steady`], stored now and then, so that a clock set back cannot hold lanes.
//!
//! Fails: a full disk is [`StoreError::Unavailable`] until there is room again; a damaged file or a failed sync stops
//! the writer for good ([`StoreError::Damaged`]), and only a restart or a backup helps.
//! Proved by: `tests/store`, and `benches/store.rs` for the speed.

mod accept;
mod audit;
mod backlog;
mod checkpoint;
mod claim;
mod connection;
mod fault;
mod lease;
mod life_cycle;
mod links;
mod migrate;
pub(super) mod moving;
mod operate;
mod place;
mod read;
mod rows;
mod session;
mod sharing;
mod sweep;
mod tenants;
mod thread;
mod trim;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rusqlite::{Connection, params};

pub use self::audit::read_audit;
use self::checkpoint::Checkpointer;
use self::connection::Use;
pub use self::place::Room;
use self::place::{FreeSpace, Lock};
use self::read::Reader;
pub use self::session::{Batch, Observer};
use self::session::{Halt, Session};
use self::tenants::Tenants;
use self::thread::Desk;
use super::audit::{Actor, AuditEnds, AuditEntry, AuditHead, AuditPage, AuditQuery, Hash};
use super::contract::{
    Accepted, Backlog, Claim, ClaimRequest, DeliveryPage, DeliveryQuery, Held, LaneView, Learned, Lease, NewDelivery,
    OldestDue, Pause, Postponement, Replayed, Settlement, StoreError, SweepCursor, SweepLease, TenantRecord,
    TenantShare, TenantStanding,
};
use super::life_cycle::{CheckRecord, Released};
use super::steady::SteadyClock;
use crate::delivery::record::{Delivery, Direction};
use crate::delivery::sharing::{Answer, Ask};
use crate::domain::id::{DeliveryId, IncidentId, SysId, TenantId};
use crate::domain::ticket::Link;
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{STORE_QUEUE_MAX, STORE_READS_MAX};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the time comes from.
    pub clock: SharedClock,
    /// Whether a file system that may lose data is good enough.
    pub accept_data_loss: bool,
    /// The size the file may grow to; without it, the disk's.
    pub bytes_max: Option<u64>,
    /// Is told of every commit.
    pub observer: Option<Observer>,
}

impl Options {
    /// The usual ones on this clock.
    pub const fn new(clock: SharedClock) -> Self {
        Self { clock, accept_data_loss: false, bytes_max: None, observer: None }
    }
}

/// The embedded engine.
#[derive(Debug)]
pub struct SqliteStore {
    // The order of the fields is the order of their ends: readers, checkpoints, the writer, and last the lock.
    quick: Desk<Reader>,
    lists: Desk<Reader>,
    _checkpointer: Checkpointer,
    writer: Desk<Session>,
    _lock: Lock,
    warnings: Vec<String>,
    file: PathBuf,
}

impl SqliteStore {
    /// Opens the file, which is made if it is not there, and takes it for this process alone.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let directory = place::directory_of(path)?;
        let mut warnings = Vec::new();
        warnings.extend(place::check_file_system(&directory, options.accept_data_loss)?);
        let lock = Lock::take(path)?;
        let mut connection = connection::open(path, Use::Write)?;
        warnings.extend(connection::quick_check(path, &connection)?);
        migrate::migrate(&mut connection, options.clock.now()).map_err(|error| at(path, error))?;
        if let Some(bytes_max) = options.bytes_max {
            limit_size(&connection, bytes_max).map_err(|error| connection::meaning(path, &error))?;
        }
        let floor = stored_time(&connection).map_err(|error| connection::meaning(path, &error))?;
        let clock = Arc::new(SteadyClock::new(options.clock, floor));
        release_leases(&connection, clock.now()).map_err(|error| connection::meaning(path, &error))?;
        let commits = Arc::new(AtomicU64::new(0));
        let checkpointer = Checkpointer::start(connection::open(path, Use::Checkpoint)?, Arc::clone(&commits))?;
        let halted = Halt::default();
        let reader = |name| {
            let (clock, halted) = (Arc::clone(&clock), Arc::clone(&halted));
            let reader = Reader { connection: connection::open(path, Use::Read)?, clock, halted };
            Desk::start(name, STORE_READS_MAX, move |jobs| reader.serve(jobs))
        };
        let (quick, lists) = (reader("store reader")?, reader("store lister")?);
        let session = Session {
            tenants: Tenants::read(&connection, &Tenants::default()).map_err(fault::Fault::into_error)?,
            connection,
            clock,
            space: FreeSpace::new(directory),
            time_stored: floor,
            commits,
            observer: options.observer,
            unreadable: 0,
            halted,
        };
        let writer = Desk::start("store writer", STORE_QUEUE_MAX, move |jobs| session.serve(jobs))?;
        Ok(Self { quick, lists, _checkpointer: checkpointer, writer, _lock: lock, warnings, file: path.to_owned() })
    }

    /// What an operator should know about where the file lives.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How much room it takes, and has left.
    pub(super) fn room(&self) -> Option<Room> {
        place::room(&self.file)
    }

    pub(super) async fn accept(&self, changes: Vec<NewDelivery>) -> Result<Vec<Accepted>, StoreError> {
        self.writer.ask_now(move |session| session.accept(&changes)).await
    }

    pub(super) async fn serve_tenants(&self, shares: Vec<TenantShare>) -> Result<(), StoreError> {
        self.writer.ask(move |session| session.tenants.serve(&session.connection, &shares)).await
    }

    pub(super) async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let request = request.clone();
        self.writer.ask(move |session| session.claim(&request)).await
    }

    pub(super) async fn intend(
        &self,
        lease: &Lease,
        upto: u64,
        lease_for: Duration,
    ) -> Result<Held<Timestamp>, StoreError> {
        let lease = lease.clone();
        self.writer.ask(move |session| session.intend(&lease, upto, lease_for)).await
    }

    pub(super) async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Held<()>, StoreError> {
        let lease = lease.clone();
        self.writer.ask(move |session| session.renew(&lease, lease_for)).await
    }

    pub(super) async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<Held<()>, StoreError> {
        let lease = lease.clone();
        self.writer.ask(move |session| session.settle(&lease, &settlement)).await
    }

    pub(super) async fn postpone(&self, lease: &Lease, postponement: Postponement) -> Result<Held<()>, StoreError> {
        let lease = lease.clone();
        self.writer.ask(move |session| session.postpone(&lease, &postponement)).await
    }

    pub(super) async fn pause_tenant(&self, tenant: &TenantId, pause: Pause) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.writer.ask(move |session| session.pause(&tenant, &pause)).await
    }

    pub(super) async fn resume_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.writer.ask(move |session| session.resume(&tenant)).await
    }

    pub(super) async fn resume_unless(&self, tenant: &TenantId, codes: &[&str]) -> Result<Option<Pause>, StoreError> {
        let tenant = tenant.clone();
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        self.writer.ask(move |session| session.resume_unless(&tenant, &codes)).await
    }

    pub(super) async fn pause_by(&self, tenant: &TenantId, pause: Pause, by: Actor) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.writer.ask(move |session| session.pause_by(&tenant, &pause, &by)).await
    }

    pub(super) async fn resume_by(&self, tenant: &TenantId, by: Actor) -> Result<Option<Pause>, StoreError> {
        let tenant = tenant.clone();
        self.writer.ask(move |session| session.resume_by(&tenant, &by)).await
    }

    pub(super) async fn record_check(&self, tenant: &TenantId, check: CheckRecord) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.writer.ask(move |session| session.record_check(&tenant, &check)).await
    }

    pub(super) async fn release(
        &self,
        tenant: &TenantId,
        digest: Hash,
        force: bool,
        by: Actor,
    ) -> Result<Released, StoreError> {
        let tenant = tenant.clone();
        self.writer.ask(move |session| session.release(&tenant, &digest, force, &by)).await
    }

    pub(super) async fn withdraw(&self, tenant: &TenantId, by: Actor) -> Result<bool, StoreError> {
        let tenant = tenant.clone();
        self.writer.ask(move |session| session.withdraw(&tenant, &by)).await
    }

    pub(super) async fn audit(&self, entry: &AuditEntry) -> Result<AuditHead, StoreError> {
        let entry = entry.clone();
        self.writer.ask(move |session| session.audit(&entry)).await
    }

    pub(super) async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let query = query.clone();
        self.lists.ask(move |reader| reader.audit_page(&query)).await
    }

    pub(super) async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
        self.lists.ask(|reader| reader.audit_ends()).await
    }

    pub(super) async fn trim_audit(&self, keep: Duration, most: usize) -> Result<usize, StoreError> {
        self.writer.ask(move |session| session.trim_audit(keep, most)).await
    }

    pub(super) async fn learn(&self, tenant: &TenantId, known: &Learned, learned: Learned) -> Result<bool, StoreError> {
        let (tenant, known) = (tenant.clone(), known.clone());
        self.writer.ask(move |session| session.learn(&tenant, &known, &learned)).await
    }

    pub(super) async fn share_pace(&self, tenant: &TenantId, peer: &str, ask: &Ask) -> Result<Answer, StoreError> {
        let (tenant, peer, ask) = (tenant.clone(), peer.to_owned(), ask.clone());
        self.writer.ask(move |session| session.share_pace(&tenant, &peer, &ask)).await
    }

    pub(super) async fn tenant(&self, tenant: &TenantId) -> Result<TenantRecord, StoreError> {
        let tenant = tenant.clone();
        self.quick.ask(move |reader| reader.tenant(&tenant)).await
    }

    pub(super) async fn tenant_standings(&self) -> Result<Vec<TenantStanding>, StoreError> {
        self.lists.ask(Reader::tenant_standings).await
    }

    pub(super) async fn link(&self, tenant: &TenantId, ticket: &SysId) -> Result<Option<Link>, StoreError> {
        let (tenant, ticket) = (tenant.clone(), ticket.clone());
        self.quick.ask(move |reader| reader.link(&tenant, &ticket)).await
    }

    pub(super) async fn links_of(&self, tenant: &TenantId, incident: &IncidentId) -> Result<Vec<Link>, StoreError> {
        let (tenant, incident) = (tenant.clone(), incident.clone());
        self.quick.ask(move |reader| reader.links_of(&tenant, &incident)).await
    }

    pub(super) async fn links_page(
        &self,
        tenant: &TenantId,
        after: Option<&SysId>,
        limit: usize,
    ) -> Result<Vec<Link>, StoreError> {
        let (tenant, after) = (tenant.clone(), after.cloned());
        self.lists.ask(move |reader| reader.links_page(&tenant, after.as_ref(), limit)).await
    }

    pub(super) async fn lane(
        &self,
        tenant: &TenantId,
        direction: Direction,
        incident: &IncidentId,
    ) -> Result<Option<LaneView>, StoreError> {
        let (tenant, incident) = (tenant.clone(), incident.clone());
        self.quick.ask(move |reader| reader.lane(&tenant, direction, &incident)).await
    }

    pub(super) async fn opening(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let tenant = tenant.clone();
        self.quick.ask(move |reader| reader.opening(&tenant)).await
    }

    pub(super) async fn lease_sweep(
        &self,
        tenant: &TenantId,
        owner: &str,
        every: Duration,
        lease_for: Duration,
    ) -> Result<Option<SweepLease>, StoreError> {
        let (tenant, owner) = (tenant.clone(), owner.to_owned());
        self.writer.ask(move |session| session.lease_sweep(&tenant, &owner, every, lease_for)).await
    }

    pub(super) async fn save_sweep(
        &self,
        lease: &SweepLease,
        cursor: &SweepCursor,
        lease_for: Duration,
    ) -> Result<Held<()>, StoreError> {
        let (lease, cursor) = (lease.clone(), cursor.clone());
        self.writer.ask(move |session| session.save_sweep(&lease, &cursor, lease_for)).await
    }

    pub(super) async fn finish_sweep(&self, lease: &SweepLease, cursor: &SweepCursor) -> Result<Held<()>, StoreError> {
        let (lease, cursor) = (lease.clone(), cursor.clone());
        self.writer.ask(move |session| session.finish_sweep(&lease, &cursor)).await
    }

    pub(super) async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.lists.ask(|reader| reader.backlog()).await
    }

    pub(super) async fn oldest_due(&self) -> Result<Vec<OldestDue>, StoreError> {
        self.lists.ask(|reader| reader.oldest_due()).await
    }

    pub(super) async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.quick.ask(move |reader| reader.delivery(&tenant, &id)).await
    }

    pub(super) async fn deliveries(&self, query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        let query = query.clone();
        self.lists.ask(move |reader| reader.deliveries(&query)).await
    }

    pub(super) async fn replay(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        new: DeliveryId,
        by: Actor,
    ) -> Result<Replayed, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.writer.ask(move |session| session.replay(&tenant, &id, &new, &by)).await
    }

    pub(super) async fn drop_parked(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        by: Actor,
    ) -> Result<Replayed, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.writer.ask(move |session| session.drop_parked(&tenant, &id, &by)).await
    }

    pub(super) async fn trim(&self, before: Timestamp, most: usize) -> Result<usize, StoreError> {
        let ended = self.lists.ask(move |reader| reader.ended(before, most)).await?;
        if ended.is_empty() {
            return Ok(0);
        }
        self.writer.ask(move |session| session.trim(&ended)).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.writer.ask(Session::prove).await
    }
}

fn at(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Refused(reason) => StoreError::Refused(format!("{}: {reason}", path.display())),
        StoreError::Damaged(_) | StoreError::Unavailable(_) => error,
    }
}

fn limit_size(connection: &Connection, bytes_max: u64) -> rusqlite::Result<()> {
    let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(bytes_max / u64::from(page.max(1))).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

fn stored_time(connection: &Connection) -> rusqlite::Result<Timestamp> {
    connection.query_row("SELECT now FROM store_time", [], |row| row.get(0)).map(Timestamp::from_millis)
}

/// The process that held these leases is dead: the lock says so. What it was sending stays marked as being sent.
fn release_leases(connection: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    connection.execute("UPDATE sweep SET leased_until = NULL, owner = NULL WHERE leased_until IS NOT NULL", [])?;
    let sql = "UPDATE lane INDEXED BY lane_leased SET leased_until = NULL, due = ?1 WHERE leased_until IS NOT NULL";
    connection.execute(sql, params![now.millis()])
}
