//! Whose work may be claimed, told to the store by one caller at a time.
//!
//! Three know of changes: an operator who enables or disables a tenant, a reload of the files, and the look at what other
//! replicas were told. Each changes something and then tells the store everything. Were the two not one step, an older
//! view could reach the store behind a newer one, and a tenant that was just disabled would be served until the next
//! look. So whoever changes takes its [`turn`](Serving::turn) first, and what is told is read within it.
//!
//! Never: decides who is served. Fails: as the store does; the turn ends with its holder. Proved by: the test below, and
//! `tests/it/life_cycle.rs`.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::store::{Store, StoreError, TenantShare};
use crate::tenants::Registry;

/// Divides what may be worked on at once among the tenants that are served.
pub type Shares = fn(&Registry) -> Vec<TenantShare>;

/// The way to tell the store whom to serve; shared by all who may.
pub struct Serving {
    store: Store,
    registry: Arc<Registry>,
    shares: Shares,
    turns: Mutex<()>,
}

/// Nobody else changes or tells anything while this is held.
#[must_use]
pub struct Turn<'a> {
    serving: &'a Serving,
    _guard: MutexGuard<'a, ()>,
}

impl Serving {
    /// Of these tenants, in this store.
    pub fn new(store: Store, registry: Arc<Registry>, shares: Shares) -> Self {
        Self { store, registry, shares, turns: Mutex::default() }
    }

    /// Waits until nobody else changes anything.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { serving: self, _guard: self.turns.lock().await }
    }
}

impl Turn<'_> {
    /// Tells the store who is served as of now.
    pub async fn tell(&self) -> Result<(), StoreError> {
        let Serving { store, registry, shares, .. } = self.serving;
        store.serve_tenants(shares(registry)).await
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock::SystemClock;
    use crate::runtime::tasks;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn nobody_tells_anything_while_another_one_changes() {
        let store = Store::Memory(Arc::new(MemoryStore::new(Arc::new(SystemClock))));
        let serving = Arc::new(Serving::new(store, Arc::default(), |_| Vec::new()));
        let turn = serving.turn().await;
        let other = Arc::clone(&serving);
        let telling = tasks::spawn("tell", async move { other.turn().await.tell().await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!telling.is_finished(), "it would have told what is being changed");
        drop(turn);
        assert!(telling.await.is_ok_and(|told| told.is_ok()));
    }
}
