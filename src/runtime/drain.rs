//! Stopping is a value handed down: who holds a [`Stop`] can wait for it; who holds the [`Stopper`] asks for it.
//!
//! Owns: the request to stop, its deadline, and the list of what is still running, by name. Never: aborts anything;
//! what has not finished at the deadline is listed, and the composition root ends the process.
//! Fails: it cannot. Proved by: the tests below.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Makes the two ends: one asks for the stop, the other is handed down to everything that must heed it.
pub fn channel() -> (Stopper, Stop) {
    let shared = Arc::new(Shared {
        deadline: watch::Sender::new(None),
        running: Mutex::new(BTreeMap::new()),
        changed: watch::Sender::new(()),
    });
    (Stopper(Arc::clone(&shared)), Stop(shared))
}

/// Asks for the stop and waits until everything has ended.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Shared>);

/// Heeds the stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Shared>);

/// Keeps a name on the list of what is still running until it is dropped.
#[derive(Debug)]
#[must_use = "the work is listed only as long as this guard lives"]
pub struct InFlight {
    shared: Arc<Shared>,
    name: &'static str,
}

/// What had not ended at the deadline, with how many of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillRunning(pub BTreeMap<&'static str, usize>);

#[derive(Debug)]
struct Shared {
    /// `None` until the stop is requested; then the moment at which patience ends.
    deadline: watch::Sender<Option<Instant>>,
    running: Mutex<BTreeMap<&'static str, usize>>,
    /// Carries no data: it only says "look at `running` again".
    changed: watch::Sender<()>,
}

impl Stopper {
    /// Asks everything to stop within `grace`. The first request counts; a later one changes nothing.
    pub fn request(&self, grace: Duration) {
        self.0.deadline.send_if_modified(|deadline| {
            let first = deadline.is_none();
            deadline.get_or_insert_with(|| Instant::now() + grace);
            first
        });
    }

    /// Another handle to be handed down.
    pub fn stop(&self) -> Stop {
        Stop(Arc::clone(&self.0))
    }

    /// Waits until the stop is requested and nothing is in flight any more, or until the deadline.
    pub async fn drained(&self) -> Result<(), StillRunning> {
        let stop = self.stop();
        stop.requested().await;
        let deadline = stop.deadline().unwrap_or_else(Instant::now);
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let running = stop.running();
            if running.is_empty() {
                return Ok(());
            }
            // The sender lives in `self.0`, so `changed` cannot be closed here; only time can end the wait.
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Err(StillRunning(running));
            }
        }
    }
}

impl Stop {
    /// A stop that nobody will ever request; for tests and one-shot commands.
    pub fn never() -> Self {
        channel().1
    }

    /// Returns once the stop has been requested; at once if it was already.
    pub async fn requested(&self) {
        let mut deadline = self.0.deadline.subscribe();
        // It fails only when the sender is gone, and `self` holds the sender.
        let seen = deadline.wait_for(Option::is_some).await;
        debug_assert!(seen.is_ok(), "the sender lives as long as `self`");
    }

    /// Whether the stop has been requested.
    pub fn is_requested(&self) -> bool {
        self.0.deadline.borrow().is_some()
    }

    /// When patience ends; `None` while no stop is requested.
    pub fn deadline(&self) -> Option<Instant> {
        *self.0.deadline.borrow()
    }

    /// Puts `name` on the list of what is running, until the guard is dropped.
    pub fn in_flight(&self, name: &'static str) -> InFlight {
        *self.0.lock().entry(name).or_default() += 1;
        InFlight { shared: Arc::clone(&self.0), name }
    }

    /// What is running now, with how many of each name.
    pub fn running(&self) -> BTreeMap<&'static str, usize> {
        self.0.lock().clone()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut running = self.shared.lock();
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
        drop(running);
        self.shared.changed.send_replace(());
    }
}

impl Shared {
    /// A panic while counting leaves the counts right, so a poisoned lock is as good as a healthy one.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} × {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tasks;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn everyone_who_holds_the_stop_hears_it_however_late_they_listen() {
        let (stopper, stop) = channel();
        let listener = stop.clone();
        let early = tasks::spawn("early", async move { listener.requested().await });
        assert!(!stop.is_requested());
        stopper.request(PATIENCE);
        tokio::time::timeout(PATIENCE, early).await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, stop.requested()).await.unwrap();
        assert!(stop.is_requested());
    }

    #[tokio::test]
    async fn a_second_request_does_not_move_the_deadline() {
        let (stopper, stop) = channel();
        stopper.request(Duration::from_secs(5));
        let first = stop.deadline();
        stopper.request(Duration::from_secs(500));
        assert_eq!(stop.deadline(), first);
    }

    #[tokio::test]
    async fn draining_waits_for_the_last_guard() {
        let (stopper, stop) = channel();
        let guards = [stop.in_flight("delivery"), stop.in_flight("delivery"), stop.in_flight("request")];
        stopper.request(PATIENCE);
        let drained = tasks::spawn("drains", async move { stopper.drained().await });
        tokio::task::yield_now().await;
        assert!(!drained.is_finished());
        drop(guards);
        assert_eq!(drained.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn at_the_deadline_it_says_what_is_still_running() {
        let (stopper, stop) = channel();
        let _one = stop.in_flight("delivery");
        let _two = stop.in_flight("delivery");
        let _three = stop.in_flight("request");
        stopper.request(Duration::from_millis(5));
        let left = stopper.drained().await.unwrap_err();
        assert_eq!(left.to_string(), "2 × delivery, 1 × request");
    }

    #[tokio::test]
    async fn nothing_drains_before_the_stop_is_requested() {
        let (stopper, _stop) = channel();
        let waited = tokio::time::timeout(Duration::from_millis(5), stopper.drained()).await;
        assert!(waited.is_err(), "an idle program is not a stopping one");
    }
}
