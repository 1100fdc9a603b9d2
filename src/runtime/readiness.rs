//! Ready means: every latch has been dropped. Until then each latch says, in words, what we are waiting for.
//!
//! Owns: the list of reasons. Never: checks anything itself; whoever is not ready holds the latch.
//! Fails: it cannot; a part that dies before dropping its latch drops it while unwinding, which is why a part that can
//! fail to start reports that through its own result and not through readiness.
//! Proved by: the tests below.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether the program can take work, and if not, why. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Latches>>);

/// Holds readiness back until dropped.
#[derive(Debug)]
#[must_use = "the program counts as ready as soon as this is dropped"]
pub struct Latch {
    readiness: Readiness,
    key: u64,
}

#[derive(Debug, Default)]
struct Latches {
    next_key: u64,
    reasons: BTreeMap<u64, String>,
}

impl Readiness {
    /// Holds readiness back for a reason a person can read, such as `the store is being opened`.
    pub fn latch(&self, reason: impl Into<String>) -> Latch {
        let mut latches = self.lock();
        let key = latches.next_key;
        latches.next_key += 1;
        latches.reasons.insert(key, reason.into());
        Latch { readiness: self.clone(), key }
    }

    /// Whether nothing holds readiness back.
    pub fn is_ready(&self) -> bool {
        self.lock().reasons.is_empty()
    }

    /// Why we are not ready, in the order in which the latches were set; empty when ready.
    pub fn reasons(&self) -> Vec<String> {
        self.lock().reasons.values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Latches> {
        // Every change is a single insert or remove, so a poisoned lock still holds a whole list.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latch {
    /// Says something newer about the same wait, such as `migration 3 of 7`.
    pub fn say(&self, reason: impl Into<String>) {
        self.readiness.lock().reasons.insert(self.key, reason.into());
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.readiness.lock().reasons.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_latch_is_dropped_and_the_reasons_are_words() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let store = readiness.latch("the store is being opened");
        let tenants = readiness.latch("the tenants are being loaded");
        assert_eq!(readiness.reasons(), ["the store is being opened", "the tenants are being loaded"]);
        store.say("migration 3 of 7");
        assert_eq!(readiness.reasons(), ["migration 3 of 7", "the tenants are being loaded"]);
        drop(store);
        assert!(!readiness.is_ready());
        drop(tenants);
        assert!(readiness.is_ready());
    }

    #[test]
    fn it_can_be_held_back_again_for_the_stop() {
        let readiness = Readiness::default();
        drop(readiness.latch("starting"));
        let _stopping = readiness.latch("stopping");
        assert_eq!(readiness.reasons(), ["stopping"]);
    }
}
