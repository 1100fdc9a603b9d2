//! The two queues in front of a node: the threads of the pool, and the one call at a time of a session.
//!
//! Owns: who may run now, who waits, who is turned away. Never: decides what a call does.
//! Fails: by turning a call away, [`TurnedAway`]. Proved by: `server`.
//! Source: KB0564204, KB0635398 (facts/servicenow 3.2 and 3.3). Server only: a virtual-time simulation draws the same two
//! answers as fates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::limits::{
    SIM_API_QUEUE_MAX, SIM_API_THREADS, SIM_SESSION_QUEUE_MAX, SIM_SESSION_WAIT_SECS_MAX, SIM_SESSIONS_MAX,
};

/// Why a call does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// All threads busy and the queue full: `429`.
    QueueFull,
    /// Too many calls wait for the session, or one waited too long: `202`.
    SessionBusy,
}

/// The right to run; ends when dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _thread: OwnedSemaphorePermit,
    _turn: Option<OwnedMutexGuard<()>>,
}

#[derive(Debug, Default)]
struct Session {
    turn: Arc<Turn<()>>,
    waiting: AtomicUsize,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Gate {
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
    /// How long a call waits for its session.
    patience: Duration,
}

/// Counts one waiter for as long as it lives, also when the waiter gives up.
struct Waiter<'g>(&'g AtomicUsize);

impl<'g> Waiter<'g> {
    /// `None` if `max` wait already.
    fn join(waiting: &'g AtomicUsize, max: usize) -> Option<Self> {
        let waiter = Self(waiting);
        (waiting.fetch_add(1, Ordering::SeqCst) < max).then_some(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    /// An idle node.
    pub(super) fn open() -> Self {
        Self::with_patience(Duration::from_secs(SIM_SESSION_WAIT_SECS_MAX))
    }

    fn with_patience(patience: Duration) -> Self {
        Self {
            threads: Arc::new(Semaphore::new(SIM_API_THREADS)),
            waiting: AtomicUsize::new(0),
            sessions: Mutex::default(),
            patience,
        }
    }

    /// Waits for the session, if the call names one, then for a thread.
    pub(super) async fn enter(&self, session: Option<&str>) -> Result<Admitted, TurnedAway> {
        let turn = match session {
            Some(session) => Some(self.turn(session).await?),
            None => None,
        };
        if let Ok(thread) = Arc::clone(&self.threads).try_acquire_owned() {
            return Ok(Admitted { _thread: thread, _turn: turn });
        }
        let Some(waiter) = Waiter::join(&self.waiting, SIM_API_QUEUE_MAX) else { return Err(TurnedAway::QueueFull) };
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        drop(waiter);
        // The semaphore is never closed; were it, the node would be gone.
        thread.map(|thread| Admitted { _thread: thread, _turn: turn }).map_err(|_| TurnedAway::QueueFull)
    }

    /// How many threads do nothing.
    #[cfg(test)]
    pub(super) fn idle_threads(&self) -> usize {
        self.threads.available_permits()
    }

    async fn turn(&self, session: &str) -> Result<OwnedMutexGuard<()>, TurnedAway> {
        let session = self.session(session);
        let turn = Arc::clone(&session.turn);
        if let Ok(turn) = Arc::clone(&turn).try_lock_owned() {
            return Ok(turn);
        }
        let waiter = Waiter::join(&session.waiting, SIM_SESSION_QUEUE_MAX).ok_or(TurnedAway::SessionBusy)?;
        let turn = tokio::time::timeout(self.patience, turn.lock_owned()).await.map_err(|_| TurnedAway::SessionBusy);
        drop(waiter);
        turn
    }

    fn session(&self, name: &str) -> Arc<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SIM_SESSIONS_MAX {
            // Sessions nobody holds or waits for have one owner: this map.
            sessions.retain(|_, session| Arc::strong_count(session) > 1 || Arc::strong_count(&session.turn) > 1);
        }
        Arc::clone(sessions.entry(name.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That many calls at once, each in a task of its own.
    fn enter_often(
        gate: &Arc<Gate>,
        session: Option<&'static str>,
        calls: usize,
    ) -> tokio::task::JoinSet<Result<(), TurnedAway>> {
        let enter = |gate: Arc<Gate>| async move { gate.enter(session).await.map(drop) };
        (0..calls).map(|_| enter(Arc::clone(gate))).collect()
    }

    /// Fills a gate to the brim, is turned away, and lets everyone through again.
    async fn fill_and_drain(gate: &Arc<Gate>) {
        let mut running = Vec::new();
        for _ in 0..SIM_API_THREADS {
            running.push(gate.enter(None).await.expect("a free thread"));
        }
        let waiting = enter_often(gate, None, SIM_API_QUEUE_MAX);
        while gate.waiting.load(Ordering::SeqCst) < SIM_API_QUEUE_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.enter(None).await.map(drop), Err(TurnedAway::QueueFull));
        drop(running);
        assert!(waiting.join_all().await.iter().all(Result::is_ok), "all who waited ran");
        assert_eq!(gate.waiting.load(Ordering::SeqCst), 0, "and nobody waits any more");
    }

    #[tokio::test]
    async fn four_run_fifty_wait_and_the_next_is_turned_away() {
        let gate = Arc::new(Gate::open());
        for _ in 0..2 {
            fill_and_drain(&gate).await;
        }
    }

    #[tokio::test]
    async fn a_session_runs_one_call_keeps_ten_and_drops_the_rest() {
        let gate = Arc::new(Gate::with_patience(Duration::from_millis(200)));
        let running = gate.enter(Some("s")).await.expect("a free session");
        assert!(gate.enter(Some("other")).await.is_ok(), "sessions do not wait for each other");
        let waiting = enter_often(&gate, Some("s"), SIM_SESSION_QUEUE_MAX);
        while gate.session("s").waiting.load(Ordering::SeqCst) < SIM_SESSION_QUEUE_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.enter(Some("s")).await.map(drop), Err(TurnedAway::SessionBusy));
        // Nobody lets go until patience ends: everyone who waited is dropped.
        let dropped = waiting.join_all().await;
        assert!(dropped.iter().all(|outcome| *outcome == Err(TurnedAway::SessionBusy)), "{dropped:?}");
        drop(running);
        assert!(gate.enter(Some("s")).await.is_ok());
    }
}
