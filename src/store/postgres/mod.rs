//! The shared engine: PostgreSQL, for several replicas, each of which may die at any moment.
//!
//! Owns: connections, the schema, and one method per method of the contract. Never: holds a transaction across a call to
//! somebody else, uses LISTEN or session locks (a pooling proxy may stand between), or trusts a replica's clock.
//!
//! * Accepting: [`intake`] gathers what waits into one statement and answers after its commit.
//! * Sending and settling: [`together`] does the same for what workers record, where one lost lease loses only its own.
//! * Claiming: [`claim`] locks tenants, so that a share holds over all replicas; the fence guards every write after it.
//! * Time: [`clock`], the database's.
//! * A replica that starts leaves the leases of the others alone; those of a dead one run out.
//!
//! Fails: whatever the server or the way to it does is [`StoreError::Unavailable`] until it works again, without a
//! restart; content that nobody of ours wrote is [`StoreError::Damaged`].
//! Proved by: `tests/store`, the contract suite and what only this engine promises.

mod accept;
mod audit;
mod backlog;
mod claim;
mod clock;
mod connection;
mod fault;
mod intake;
mod lease;
mod life_cycle;
mod links;
mod migrate;
pub(super) mod moving;
mod operate;
mod pool;
mod read;
mod rows;
mod settle;
mod sharing;
mod sweep;
mod tenants;
mod together;
mod trim;
mod waits;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::sync::{mpsc, oneshot};

use self::claim::Freshness;
use self::fault::Fault;
use self::intake::Call;
use self::lease::Intent;
use self::settle::Settled;
use self::sharing::Exchange;
use self::tenants::Tenants;
use self::together::Gathering;
use super::contract::{
    Accepted, Claim, ClaimRequest, Held, Lease, NewDelivery, Postponement, Settlement, StoreError, TenantShare,
};
use super::sqlite::{Batch, Observer};
use super::steady::SteadyClock;
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{POSTGRES_OPERATION_WAIT, STORE_QUEUE_MAX};
use crate::runtime::tasks;

/// How to open a store.
#[derive(Clone, Default)]
pub struct Options {
    /// The password, if the URL has none and the server wants one.
    pub password: Option<String>,
    /// Where the time comes from; `None`, and it comes from the database, as it should.
    pub clock: Option<SharedClock>,
    /// Whether a server that may forget a commit is good enough.
    pub accept_data_loss: bool,
    /// Is told of every group that was accepted.
    pub observer: Option<Observer>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// The shared engine.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    clock: Option<SteadyClock>,
    tenants: Tenants,
    freshness: Mutex<Freshness>,
    intake: mpsc::Sender<Call>,
    intents: Gathering<Intent>,
    endings: Gathering<Settled>,
    exchanges: Gathering<Exchange>,
    observer: Option<Observer>,
    warnings: Vec<String>,
}

impl PostgresStore {
    /// Connects, examines the server, and brings the schema up to date; waits while another replica does.
    pub async fn open(url: &str, options: Options) -> Result<Arc<Self>, StoreError> {
        let place = connection::place(url, options.password.as_deref())?;
        let mut warnings = Vec::from_iter(place.warning.clone());
        let pool = pool::make(place, options.accept_data_loss)?;
        warnings.extend(pool::first(&pool, options.accept_data_loss).await?);
        migrate::migrate(&pool).await?;
        let (intake, calls) = mpsc::channel(STORE_QUEUE_MAX);
        let (intents, waiting_intents) = Gathering::new();
        let (endings, waiting_endings) = Gathering::new();
        let (exchanges, waiting_exchanges) = Gathering::new();
        let engine = Arc::new(Self {
            pool,
            clock: options.clock.map(|clock| SteadyClock::new(clock, Timestamp::EPOCH)),
            tenants: Tenants::default(),
            freshness: Mutex::default(),
            intake,
            intents,
            endings,
            exchanges,
            observer: options.observer,
            warnings,
        });
        drop(tasks::spawn("store intake", intake::serve(Arc::downgrade(&engine), calls)));
        waiting_intents.serve(&engine, "store intents");
        waiting_endings.serve(&engine, "store settlements");
        waiting_exchanges.serve(&engine, "store exchanges");
        Ok(engine)
    }

    /// What an operator should know about the way to the server.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A connection that was examined; goes back to the pool when it is dropped.
    async fn connection(&self) -> Result<Object, Fault> {
        Ok(self.pool.get().await?)
    }

    /// Gives an operation its time. One that takes too long may wait for a server that will never answer: the
    /// connections that lie idle are no better, and are made anew.
    async fn timely<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        // The work is dropped, and gives its connection back, before the idle ones are looked at.
        let done = { tokio::time::timeout(POSTGRES_OPERATION_WAIT, work).await };
        done.unwrap_or_else(|_| {
            drop(self.pool.retain(|_, _| false));
            Err(Fault::unavailable("PostgreSQL did not answer in time"))
        })
    }

    /// The same for a method of the contract. On the heap, because the statements' parameters make large futures, and
    /// callers hold them on top of their own.
    fn ask<'a, T>(
        &'a self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>> {
        Box::pin(async move { self.timely(work).await.map_err(Fault::into_error) })
    }

    fn freshness(&self) -> MutexGuard<'_, Freshness> {
        // Plain values, each written whole: a panic elsewhere leaves nothing half done.
        self.freshness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_unreadable(&self, unreadable: usize) {
        if let Some(observer) = &self.observer {
            observer.tell(Batch { commands: 0, unreadable, took: Duration::ZERO });
        }
    }

    pub(super) async fn accept(&self, changes: Vec<NewDelivery>) -> Result<Vec<Accepted>, StoreError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let full = |_| StoreError::Unavailable("too many calls wait for PostgreSQL".to_owned());
        self.intake.try_send(Call { changes, reply }).map_err(full)?;
        match tokio::time::timeout(POSTGRES_OPERATION_WAIT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::Unavailable("the store was closed".to_owned())),
            Err(_) => Err(StoreError::Unavailable("PostgreSQL did not answer in time".to_owned())),
        }
    }

    pub(super) async fn serve_tenants(&self, shares: Vec<TenantShare>) -> Result<(), StoreError> {
        self.ask(self.serve(&shares)).await
    }

    pub(super) async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        self.ask(self.claim_lanes(request)).await
    }

    pub(super) async fn intend(
        &self,
        lease: &Lease,
        upto: u64,
        lease_for: Duration,
    ) -> Result<Held<Timestamp>, StoreError> {
        self.ask(self.intend_to_send(lease, upto, lease_for)).await
    }

    pub(super) async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Held<()>, StoreError> {
        self.ask(self.renew_lease(lease, lease_for)).await
    }

    pub(super) async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<Held<()>, StoreError> {
        self.ask(self.settle_lane(lease, settlement)).await
    }

    pub(super) async fn postpone(&self, lease: &Lease, postponement: Postponement) -> Result<Held<()>, StoreError> {
        self.ask(self.postpone_lane(lease, &postponement)).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.ask(async {
            let client = self.connection().await?;
            let row = client.query_one("SELECT current_setting('transaction_read_only')::boolean", &[]).await?;
            if row.try_get(0)? {
                return Err(Fault::unavailable("the database only reads: it is a standby, or was made read-only"));
            }
            Ok(())
        })
        .await
    }
}
