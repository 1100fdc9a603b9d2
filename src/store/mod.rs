//! The store: accepted work that is not done yet, in lanes, behind fences. One contract, several engines.
//!
//! Owns: acceptance (durable before it returns), leases, the record of what became of each delivery, how far a tenant's
//! instance was swept, the [`audit`] log, who is served by whose word ([`life_cycle`]), and three caches that can be rebuilt
//! from ServiceNow: what a lane remembers of its ticket, which ticket belongs to which incident, and what was learned of a
//! tenant.
//! Never: knows HTTP, a mapping or a verdict's reasons; holds a transaction while a socket is in use.
//!
//! How it works (`facts/reliability.md` section 3):
//! * A **lane** is (tenant, direction, incident): the unit of leasing, backing off and parking. Its sequence is given
//!   inside the accepting transaction, so it is dense and equals commit order.
//! * `due` alone drives a lane. Claiming sets it to the lease's end, so an expired lease offers itself again.
//! * **Every** write after a lease carries the fence; a stale owner changes nothing and is told so ([`Held::Lost`]).
//! * What follows from a settlement is appended in its commit, so that nothing is ever half told.
//!
//! Fails: with [`StoreError`], after which nothing was changed, or (a lost commit answer) it is unknown and the sender
//! repeats. Proved by: `tests/store`, one suite over every engine; [`memory`] is the model the others are held to.

mod admission;
pub mod audit;
mod contract;
pub mod copy;
mod deeds;
pub mod life_cycle;
pub mod memory;
mod numbers;
mod order;
mod pace_row;
pub mod postgres;
pub mod sqlite;
mod steady;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audit::{Actor, AuditEnds, AuditEntry, AuditHead, AuditPage, AuditQuery, Hash};
pub use contract::*;
use life_cycle::{CheckRecord, Released};

use crate::delivery::record::Direction;
use crate::delivery::sharing::{Answer, Ask};
use crate::domain::id::{DeliveryId, IncidentId, SysId, TenantId};
use crate::domain::ticket::Link;
use crate::domain::time::Timestamp;
#[cfg(doc)]
use crate::limits::{AUDIT_KEPT_MIN, EVENTS_REMEMBERED};

/// A store that can be handed around; a closed set of engines.
#[derive(Clone, Debug)]
pub enum Store {
    /// The model: everything in memory, for simulations and as the yardstick of the contract suite.
    Memory(Arc<memory::MemoryStore>),
    /// One SQLite file, for one process.
    Sqlite(Arc<sqlite::SqliteStore>),
    /// A PostgreSQL server, for several replicas.
    Postgres(Arc<postgres::PostgresStore>),
}

/// Calls the same method on whichever engine this is. The model answers at once, but yields before and after as a real
/// engine would, so that a simulation meets the same interleavings.
macro_rules! on_engine {
    ($store:expr, $method:ident($($argument:expr),*)) => {
        match $store {
            Store::Memory(engine) => {
                tokio::task::yield_now().await;
                let answer = engine.$method($($argument),*);
                tokio::task::yield_now().await;
                Ok(answer)
            }
            Store::Sqlite(engine) => engine.$method($($argument),*).await,
            Store::Postgres(engine) => engine.$method($($argument),*).await,
        }
    };
}

impl Store {
    /// Opens the store that a URL names: `sqlite:` and a path, relative to the working directory, or `postgres:`, whose
    /// time is the database's whatever the options say.
    pub async fn open(url: &str, options: sqlite::Options) -> Result<Self, StoreError> {
        let refused = |reason: String| Err(StoreError::Refused(reason));
        match url.split_once(':') {
            Some(("sqlite", path)) if path.is_empty() || path.starts_with(":memory:") || path.contains('?') => {
                refused(format!("`{url}` names no file: write `sqlite:data/snowgate.db`"))
            }
            Some(("sqlite", path)) => {
                // `sqlite:///var/lib/x.db` is how other programs write an absolute path.
                let path = path.strip_prefix("//").unwrap_or(path);
                sqlite::SqliteStore::open(Path::new(path), options).map(|store| Self::Sqlite(Arc::new(store)))
            }
            Some(("postgres" | "postgresql", _)) => {
                let sqlite::Options { accept_data_loss, observer, .. } = options;
                let options = postgres::Options { accept_data_loss, observer, ..postgres::Options::default() };
                postgres::PostgresStore::open(url, options).await.map(Self::Postgres)
            }
            // What stands there may hold a password, so it is not repeated.
            Some(_) | None => refused(
                "the URL names no store: write `sqlite:data/snowgate.db`, or `postgres://user@host/database`"
                    .to_owned(),
            ),
        }
    }

    /// Closes the store as soon as nobody else holds it, at most this long from now: a file that is closed has its log
    /// written back. Without it nothing is lost either; the next start reads the log.
    pub async fn close(self, most: Duration) {
        let Self::Sqlite(mut held) = self else { return };
        let deadline = tokio::time::Instant::now() + most;
        while let Err(shared) = Arc::try_unwrap(held) {
            if tokio::time::Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            held = shared;
        }
    }

    /// How much room it takes, and has left, where it lies on a disk of ours.
    pub fn room(&self) -> Option<sqlite::Room> {
        let Self::Sqlite(engine) = self else { return None };
        engine.room()
    }

    /// Commits changes, all or none, and gives each its place in its lane. Durable when it returns.
    ///
    /// If any of them conflicts or finds its lane full, nothing is stored and every item says how it stands.
    pub async fn accept(&self, changes: Vec<NewDelivery>) -> Result<Vec<Accepted>, StoreError> {
        match self {
            Self::Memory(engine) => Ok(engine.accept(&changes)),
            Self::Sqlite(engine) => engine.accept(changes).await,
            Self::Postgres(engine) => engine.accept(changes).await,
        }
    }

    /// Says which tenants may be claimed and how many lanes of each at once. A tenant that is not named keeps its
    /// work and gets no claims.
    pub async fn serve_tenants(&self, shares: Vec<TenantShare>) -> Result<(), StoreError> {
        on_engine!(self, serve_tenants(shares))
    }

    /// Leases due lanes: least recently served tenant first, of each tenant in the order of `store::order`, never a lane
    /// twice, and of slow tenants no more than their share.
    pub async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        on_engine!(self, claim(request))
    }

    /// Records that the deliveries from the head to `upto` are about to be sent, and renews the lease. Only after
    /// this returns [`Held::Yes`] may the first byte leave.
    pub async fn intend(&self, lease: &Lease, upto: u64, lease_for: Duration) -> Result<Held<Timestamp>, StoreError> {
        on_engine!(self, intend(lease, upto, lease_for))
    }

    /// Renews a lease.
    pub async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Held<()>, StoreError> {
        on_engine!(self, renew(lease, lease_for))
    }

    /// Ends the deliveries from the head to `settlement.upto`, gives the lane back, appends what follows and keeps the
    /// link: all in one commit, or nothing.
    pub async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<Held<()>, StoreError> {
        on_engine!(self, settle(lease, settlement))
    }

    /// Gives the lane back with its head still to do.
    pub async fn postpone(&self, lease: &Lease, postponement: Postponement) -> Result<Held<()>, StoreError> {
        on_engine!(self, postpone(lease, postponement))
    }

    /// Keeps a tenant's lanes from being claimed until a time.
    pub async fn pause_tenant(&self, tenant: &TenantId, pause: Pause) -> Result<(), StoreError> {
        on_engine!(self, pause_tenant(tenant, pause))
    }

    /// The same by somebody's word, recorded in the same commit.
    pub async fn pause_by(&self, tenant: &TenantId, pause: Pause, by: Actor) -> Result<(), StoreError> {
        on_engine!(self, pause_by(tenant, pause, by))
    }

    /// Ends a pause now; what waited for its end, or for a next try, may be claimed at once.
    pub async fn resume_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        on_engine!(self, resume_tenant(tenant))
    }

    /// Ends a pause now, unless its code is one of these; answers which pause was ended.
    pub async fn resume_unless(&self, tenant: &TenantId, codes: &[&str]) -> Result<Option<Pause>, StoreError> {
        on_engine!(self, resume_unless(tenant, codes))
    }

    /// The same as [`resume_tenant`](Self::resume_tenant) by somebody's word, recorded in the same commit; answers which pause was ended.
    pub async fn resume_by(&self, tenant: &TenantId, by: Actor) -> Result<Option<Pause>, StoreError> {
        on_engine!(self, resume_by(tenant, by))
    }

    /// Records a check of a tenant against its instance, here and in the audit log.
    pub async fn record_check(&self, tenant: &TenantId, check: CheckRecord) -> Result<(), StoreError> {
        on_engine!(self, record_check(tenant, check))
    }

    /// Lets a tenant be served, if a check of exactly this configuration passed, or by force; recorded in the same commit.
    pub async fn release(
        &self,
        tenant: &TenantId,
        digest: Hash,
        force: bool,
        by: Actor,
    ) -> Result<Released, StoreError> {
        on_engine!(self, release(tenant, digest, force, by))
    }

    /// Takes that back, recorded in the same commit; answers whether there was anything to take back.
    pub async fn withdraw(&self, tenant: &TenantId, by: Actor) -> Result<bool, StoreError> {
        on_engine!(self, withdraw(tenant, by))
    }

    /// Appends to the audit log what was done outside of the store. What the store does for somebody it records itself.
    pub async fn audit(&self, entry: AuditEntry) -> Result<AuditHead, StoreError> {
        on_engine!(self, audit(&entry))
    }

    /// A page of the audit log, with both its ends.
    pub async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        on_engine!(self, audit_page(query))
    }

    /// Both ends of the audit log.
    pub async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
        on_engine!(self, audit_ends())
    }

    /// Removes the oldest rows of the audit log, those older than `keep` and at most this many, and answers how many went.
    /// A row of its own signs off where the log begins from then on. Never touches what is younger than
    /// [`AUDIT_KEPT_MIN`], whatever is asked.
    pub async fn trim_audit(&self, keep: Duration, most: usize) -> Result<usize, StoreError> {
        on_engine!(self, trim_audit(keep, most))
    }

    /// Remembers what an instance taught us, if what is known of it is still what the teaching was held against; answers
    /// whether it was. So a replica that knows less cannot take back what another one just found out.
    pub async fn learn(&self, tenant: &TenantId, known: &Learned, learned: Learned) -> Result<bool, StoreError> {
        on_engine!(self, learn(tenant, known, learned))
    }

    /// Whether other processes work on this store too: then what a tenant may use of its peers is shared with them
    /// through [`share_pace`](Self::share_pace).
    pub const fn is_shared(&self) -> bool {
        match self {
            Self::Memory(_) | Self::Sqlite(_) => false,
            Self::Postgres(_) => true,
        }
    }

    /// Tells and asks how a tenant's peer stands, and reserves calls of the budget that all replicas share, in one commit.
    /// `peer` names it, its address included: what is known of one address says nothing of another.
    pub async fn share_pace(&self, tenant: &TenantId, peer: &str, ask: &Ask) -> Result<Answer, StoreError> {
        on_engine!(self, share_pace(tenant, peer, ask))
    }

    /// How a tenant stands.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<TenantRecord, StoreError> {
        on_engine!(self, tenant(tenant))
    }

    /// Every tenant that is paused or released, by name and in one reading; the others are neither.
    pub async fn tenant_standings(&self) -> Result<Vec<TenantStanding>, StoreError> {
        on_engine!(self, tenant_standings())
    }

    /// Which incident a ticket belongs to, if that is known here; ServiceNow knows it too.
    pub async fn link(&self, tenant: &TenantId, ticket: &SysId) -> Result<Option<Link>, StoreError> {
        on_engine!(self, link(tenant, ticket))
    }

    /// The tickets of an incident, the newest first: the latest episode, and of one episode the last one found.
    pub async fn links_of(&self, tenant: &TenantId, incident: &IncidentId) -> Result<Vec<Link>, StoreError> {
        on_engine!(self, links_of(tenant, incident))
    }

    /// A page of a tenant's links in the order of their tickets' `sys_id`, from the one behind `after` on.
    pub async fn links_page(
        &self,
        tenant: &TenantId,
        after: Option<&SysId>,
        limit: usize,
    ) -> Result<Vec<Link>, StoreError> {
        on_engine!(self, links_page(tenant, after, limit))
    }

    /// How a lane stands, whoever holds it; `None` if nothing was ever accepted for it.
    pub async fn lane(
        &self,
        tenant: &TenantId,
        direction: Direction,
        incident: &IncidentId,
    ) -> Result<Option<LaneView>, StoreError> {
        on_engine!(self, lane(tenant, direction, incident))
    }

    /// Whether the managed service is being told of a ticket that opens an incident, or may have been: what it sends
    /// meanwhile may already be about that ticket.
    pub async fn opening(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        on_engine!(self, opening(tenant))
    }

    /// Takes the right to sweep a tenant, if its last finished sweep began at least `every` ago (or there is none) and
    /// nobody else holds the right. What is known of the tenant's sweep outlives the tenant's settings.
    pub async fn lease_sweep(
        &self,
        tenant: &TenantId,
        owner: &str,
        every: Duration,
        lease_for: Duration,
    ) -> Result<Option<SweepLease>, StoreError> {
        on_engine!(self, lease_sweep(tenant, owner, every, lease_for))
    }

    /// Notes how far a sweep came, and renews its lease.
    pub async fn save_sweep(
        &self,
        lease: &SweepLease,
        cursor: &SweepCursor,
        lease_for: Duration,
    ) -> Result<Held<()>, StoreError> {
        on_engine!(self, save_sweep(lease, cursor, lease_for))
    }

    /// Ends a sweep: the next one is due `every` after this one **began**.
    pub async fn finish_sweep(&self, lease: &SweepLease, cursor: &SweepCursor) -> Result<Held<()>, StoreError> {
        on_engine!(self, finish_sweep(lease, cursor))
    }

    /// What waits, per tenant and direction; where nothing waits and nothing is parked is left out.
    pub async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        on_engine!(self, backlog())
    }

    /// The longest waiting lane that may be claimed, per tenant and urgency; the age to watch.
    pub async fn oldest_due(&self) -> Result<Vec<OldestDue>, StoreError> {
        on_engine!(self, oldest_due())
    }

    /// One delivery of a tenant.
    pub async fn delivery(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
    ) -> Result<Option<crate::delivery::record::Delivery>, StoreError> {
        on_engine!(self, delivery(tenant, id))
    }

    /// A page of a tenant's deliveries, newest first.
    pub async fn deliveries(&self, query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        on_engine!(self, deliveries(query))
    }

    /// Puts a parked delivery back to work: in place if its lane waits for it, else as a new delivery at the tail. Recorded
    /// in the same commit.
    pub async fn replay(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        new: DeliveryId,
        by: Actor,
    ) -> Result<Replayed, StoreError> {
        on_engine!(self, replay(tenant, id, new, by))
    }

    /// Gives a parked delivery up; its lane goes on behind it. Recorded in the same commit.
    pub async fn drop_parked(&self, tenant: &TenantId, id: &DeliveryId, by: Actor) -> Result<Replayed, StoreError> {
        on_engine!(self, drop_parked(tenant, id, by))
    }

    /// Forgets deliveries that were delivered, superseded or dropped before that time, at most this many, and answers
    /// how many went; what is parked stays, and so do lanes with what they remember.
    ///
    /// A forgotten event is no longer known as a repeat, so none goes that ended within [`EVENTS_REMEMBERED`], whatever
    /// time is asked for. Which of them go first is the engine's choice; call again until fewer than `most` went.
    pub async fn trim(&self, before: Timestamp, most: usize) -> Result<usize, StoreError> {
        on_engine!(self, trim(before, most))
    }

    /// A cheap round trip through the engine, for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Sqlite(engine) => engine.ping().await,
            Self::Postgres(engine) => engine.ping().await,
        }
    }
}
