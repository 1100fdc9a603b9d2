//! The only place of the tests that waits: for a condition, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longer than anything takes on a busy machine, a settle time included; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What the probe gives, as soon as it gives something.
pub(crate) async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe).await
}

/// The same with a deadline of one's own, where the time is the promise.
pub(crate) async fn within<T>(patience: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        // Nothing tells us when another process changes its mind, so it is asked again and again.
        sleep(Duration::from_millis(25)).await;
    }
}
