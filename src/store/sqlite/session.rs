//! The writer: one connection, one thread, many commands per commit.
//!
//! It takes whatever waits, runs it in one transaction, and answers only after the commit and its sync. No command
//! waits for company: while one batch syncs, the next one gathers by itself. A command that fails is rolled back with
//! its batch, and then each command of that batch runs in a transaction of its own, so that none fails its neighbours.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::mpsc;

use super::fault::Fault;
use super::place::FreeSpace;
use super::tenants::Tenants;
use super::thread::BoxedJob;
use crate::domain::time::Timestamp;
use crate::limits::{STORE_BATCH_MAX, TIME_STORED_EVERY};
use crate::store::contract::StoreError;
use crate::store::steady::SteadyClock;

/// What a commit held; for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Commands that shared the commit.
    pub commands: usize,
    /// Lanes that were due and could not be read: set aside for a lease, so that they hold up no other.
    pub unreadable: usize,
    /// How long it took, the sync included; to the millisecond.
    pub took: Duration,
}

/// Is told of every commit, on the writer's thread: it must be quick and must not call the store.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Batch) + Send + Sync>);

impl Observer {
    /// Wraps a function.
    pub fn new(observe: impl Fn(Batch) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    /// Tells it.
    pub(in crate::store) fn tell(&self, batch: Batch) {
        (self.0)(batch);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// Why the store stopped, once it has; shared by all threads that touch the file.
pub(super) type Halt = Arc<OnceLock<StoreError>>;

/// Stops the store. The first reason stays: what follows from it says less.
pub(super) fn halt(halted: &Halt, reason: &StoreError) {
    halted.get_or_init(|| reason.clone());
}

/// Everything the writer's thread owns.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) tenants: Tenants,
    pub(super) clock: Arc<SteadyClock>,
    pub(super) space: FreeSpace,
    pub(super) time_stored: Timestamp,
    /// Counts commits, so that the checkpoint thread knows when there is nothing new.
    pub(super) commits: Arc<AtomicU64>,
    pub(super) observer: Option<Observer>,
    /// Of the running transaction; see [`Batch`].
    pub(super) unreadable: usize,
    /// Why nothing is done any more; a reader may find the reason too.
    pub(super) halted: Halt,
}

impl Session {
    /// The store's time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the store can take work: there is room, and a small write goes through to the disk.
    pub(super) fn prove(&mut self) -> Result<(), Fault> {
        let now = self.now();
        self.space.check(now).map_err(Fault::Declined)?;
        self.time_stored = Timestamp::EPOCH;
        Ok(())
    }

    /// Serves until the last sender is gone.
    pub(super) fn serve(mut self, mut jobs: mpsc::Receiver<BoxedJob<Self>>) {
        let mut batch = Vec::with_capacity(STORE_BATCH_MAX);
        while jobs.blocking_recv_many(&mut batch, STORE_BATCH_MAX) > 0 {
            self.perform(&mut batch);
        }
    }

    /// Performs a batch and answers each of its jobs; leaves it empty.
    fn perform(&mut self, batch: &mut Vec<BoxedJob<Self>>) {
        let outcome = self.commit(batch);
        match outcome {
            Err(Fault::Failed(_) | Fault::Unreadable(_)) if batch.len() > 1 => {
                for job in batch.drain(..) {
                    let mut alone = [job];
                    let outcome = self.commit(&mut alone).map_err(Fault::into_error);
                    let [job] = alone;
                    job.answer(outcome);
                }
            }
            outcome => {
                let outcome = outcome.map_err(Fault::into_error);
                batch.drain(..).for_each(|job| job.answer(outcome.clone()));
            }
        }
    }

    /// Runs jobs in one transaction. Durable when it returns `Ok`; without a trace otherwise.
    fn commit(&mut self, jobs: &mut [BoxedJob<Self>]) -> Result<(), Fault> {
        if let Some(halted) = self.halted.get() {
            return Err(Fault::Everyone(halted.clone()));
        }
        self.unreadable = 0;
        let begun = self.clock.now();
        let done = self.transact(jobs);
        match &done {
            Ok(()) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                if let Some(Observer(observe)) = &self.observer {
                    let took = self.clock.now().since(begun);
                    observe(Batch { commands: jobs.len(), unreadable: self.unreadable, took });
                }
            }
            Err(fault) => self.undo(fault),
        }
        done
    }

    fn transact(&mut self, jobs: &mut [BoxedJob<Self>]) -> Result<(), Fault> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for job in jobs {
            job.run(self)?;
        }
        self.keep_time()?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Stores the time now and then, so that a restart does not begin before it.
    fn keep_time(&mut self) -> Result<(), Fault> {
        let now = self.now();
        if now.since(self.time_stored) >= TIME_STORED_EVERY {
            let sql = "UPDATE store_time SET now = ?1 WHERE id = 1";
            self.connection.prepare_cached(sql)?.execute(params![now.millis()])?;
            self.time_stored = now;
        }
        Ok(())
    }

    /// Rolls back, and forgets what memory learned from the rows that are gone.
    fn undo(&mut self, fault: &Fault) {
        // SQLite may have rolled back by itself, as it does when the disk is full.
        let undone = if self.connection.is_autocommit() { Ok(()) } else { self.connection.execute_batch("ROLLBACK") };
        self.time_stored = Timestamp::EPOCH;
        let before = std::mem::take(&mut self.tenants);
        let read = undone.map_err(Fault::from).and_then(|()| Tenants::read(&self.connection, &before));
        match (fault, read) {
            (Fault::Fatal(error), _) => halt(&self.halted, error),
            (_, Err(unreadable)) => halt(&self.halted, &unreadable.into_error()),
            (_, Ok(tenants)) => self.tenants = tenants,
        }
    }
}
