//! Many requests in a short time that could not say who they are: one row in the audit log, not one for each.
//!
//! Owns: counting, over all callers and both kinds of credentials. Never: refuses anybody, or keeps addresses: what it costs
//! does not depend on how many callers there are. Fails: a row that cannot be written is a warning in the log.
//! Proved by: the tests here and `tests/it/matrix.rs`.

use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::{Face, request};
use crate::domain::time::Timestamp;
use crate::limits::{AUTH_BURST_FAILURES, AUTH_BURST_REST, AUTH_BURST_WINDOW};
use crate::runtime::tasks;
use crate::store::audit::{Actor, AuditAction, AuditEntry};

/// What has been counted so far.
#[derive(Debug, Default)]
pub struct Bursts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    since: Timestamp,
    failures: u32,
    /// Before this moment nothing more is told.
    quiet_until: Timestamp,
}

impl Bursts {
    /// Counts one; answers whether it makes a burst that nobody was told of.
    fn count(&self, now: Timestamp) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(counted.since) >= AUTH_BURST_WINDOW {
            counted.since = now;
            counted.failures = 0;
        }
        counted.failures = counted.failures.saturating_add(1);
        let is_burst = counted.failures >= AUTH_BURST_FAILURES && now >= counted.quiet_until;
        if is_burst {
            counted.quiet_until = now.plus(AUTH_BURST_REST);
        }
        is_burst
    }
}

/// Notes a request that was answered with 401.
pub(super) fn note(refused: &HttpRequest) {
    let Some(face) = refused.app_data::<Data<Face>>() else { return };
    if !face.bursts.count(face.clock.now()) {
        return;
    }
    // The source and the id are those of the request that made it a burst: where to begin looking.
    let by = Actor { source: request::source_of(refused), request: request::id_of(refused), ..Actor::gateway() };
    let seconds = AUTH_BURST_WINDOW.as_secs();
    let note = format!("{AUTH_BURST_FAILURES} requests within {seconds} s had no valid credentials");
    let entry = AuditEntry::new(by, AuditAction::AuthBurst).noting(note);
    let store = face.store.clone();
    drop(tasks::spawn("audit a burst", async move {
        if let Err(failed) = store.audit(entry).await {
            tracing::warn!(error = %failed, "Cannot record a burst of refused credentials: {failed}");
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_once_and_a_trickle_never() {
        let bursts = Bursts::default();
        let start = Timestamp::from_millis(1_800_000_000_000);
        let told = |from: Timestamp, count: u32| (0..count).filter(|_| bursts.count(from)).count();
        assert_eq!(told(start, AUTH_BURST_FAILURES - 1), 0);
        let next = start.plus(AUTH_BURST_WINDOW);
        assert_eq!(told(next, AUTH_BURST_FAILURES - 1), 0, "a new window counts from zero");
        assert_eq!(told(next, 1_000), 1);
        assert_eq!(told(next.plus(AUTH_BURST_WINDOW), 1_000), 0, "it still lasts");
        assert_eq!(told(next.plus(AUTH_BURST_REST), 1_000), 1);
    }
}
