//! Wake-ups that carry no data: "look", and the table says what there is to see.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// Wakes whoever waits; a wake-up while nobody waits is kept for the next one who does.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Wakes one waiter, now or as soon as there is one.
    pub fn one(&self) {
        self.0.notify_one();
    }

    /// Wakes everyone who waits now.
    pub fn all(&self) {
        self.0.notify_waiters();
    }

    /// Waits for a wake-up, at most this long.
    pub async fn or_after(&self, most: Duration) {
        // Whether it was the wake-up or the time makes no difference: both mean "look".
        drop(tokio::time::timeout(most, self.0.notified()).await);
    }
}
