//! The calls of a check: paid by the tenant's own pace, waited for within the check's own time, and counted.
//!
//! Owns: waiting for a permit a little longer than a delivery would. Never: sends anything twice; waits out what an
//! instance asked for. Fails: with an [`Outcome`]. Proved by: `tests/it/live_check.rs`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::delivery::outcome::{Class, Outcome};
use crate::domain::time::SharedClock;
use crate::limits::LIVE_CHECK_PERMIT_WAIT;
use crate::peer::permit::Permit;
use crate::servicenow::client::Client;

/// See the module's text.
pub(super) struct Desk<'a> {
    pub(super) client: &'a Client,
    clock: &'a SharedClock,
    calls: AtomicU32,
    progress: &'a (dyn Fn(&str) + Send + Sync),
}

impl<'a> Desk<'a> {
    pub(super) fn new(client: &'a Client, clock: &'a SharedClock, progress: &'a (dyn Fn(&str) + Send + Sync)) -> Self {
        Self { client, clock, calls: AtomicU32::new(0), progress }
    }

    /// The right to make one call, as soon as the tenant's pace has one.
    pub(super) async fn permit(&self) -> Result<Permit, Outcome> {
        let patience = self.clock.now().plus(LIVE_CHECK_PERMIT_WAIT);
        loop {
            let closed = match self.client.permit_to_read().await {
                Ok(permit) => {
                    self.calls.fetch_add(1, Ordering::Relaxed);
                    return Ok(permit);
                }
                Err(closed) => closed,
            };
            if closed.until > patience {
                let why = format!("{} (until {})", closed.reason, closed.until);
                return Err(Outcome::new(Class::Crowded, closed.code).with_detail(why));
            }
            let wait = closed.until.since(self.clock.now());
            tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
        }
    }

    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Says what is being done.
    pub(super) fn tell(&self, what: &str) {
        (self.progress)(what);
    }
}
