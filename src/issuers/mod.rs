//! The keys of OAuth issuers, whose tokens prove callers.
//!
//! Owns: one memory for all tenants of which issuer publishes which keys, and when it is asked again: for a key that is
//! not known, or after an hour, one fetch at a time, and not within a minute after a look that was in vain. A caller waits for a fetch for seconds at
//! most, and no other caller waits with it. Keys that cannot be renewed serve for a day.
//! Never: follows a redirect or an address that the operator's egress policy forbids; verifies a token; knows a tenant.
//! Fails: by saying [`Keys::Later`]. A caller whose token cannot be judged is asked to come back; refused, it would give up.
//! Proved by: the tests below, and `tests/it/callers.rs` with a real OAuth server that rotates its keys.

mod fetch;
mod keeper;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use self::fetch::Way;
use self::keeper::Keeper;
use crate::domain::time::SharedClock;
use crate::limits::ISSUER_KEYS_KEPT;
use crate::peer::transport::Transport;
use crate::security::target::EgressPolicy;
use crate::security::token::{Issuer, KeySet};

/// The keys of every issuer that somebody showed a token of.
pub struct Issuers {
    way: ArcSwap<Way>,
    clock: SharedClock,
    known: Mutex<HashMap<Issuer, Arc<Keeper>>>,
}

/// What is needed to ask issuers.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The way for https.
    pub encrypted: Transport,
    /// The way for plain http, which dials only what the operator opened for it.
    pub plain: Transport,
    /// Where an issuer's document may point us.
    pub egress: Arc<EgressPolicy>,
    /// The time.
    pub clock: SharedClock,
}

/// Whether a token's key can be looked for.
#[derive(Clone, Debug)]
pub enum Keys {
    /// These are the issuer's keys. If the one that was asked for is not among them, there is none.
    Known(Arc<KeySet>),
    /// It cannot be said yet; ask again after this long.
    Later(Duration),
}

impl Issuers {
    /// Knows nothing yet: an issuer is asked when its first token comes.
    pub fn new(surroundings: Surroundings) -> Self {
        let Surroundings { encrypted, plain, egress, clock } = surroundings;
        let way = ArcSwap::from_pointee(Way { encrypted, plain, egress });
        Self { way, clock, known: Mutex::default() }
    }

    /// From now on issuers are asked over these ways, and only where this policy allows. A fetch under way ends as it began,
    /// and what is known is forgotten: it may have come from where nobody may go any more.
    pub fn surround(&self, encrypted: Transport, plain: Transport, egress: Arc<EgressPolicy>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.way.store(Arc::new(Way { encrypted, plain, egress }));
        known.clear();
    }

    /// The keys of this issuer, fetched if the key that is asked for is not among those that are known.
    pub async fn keys(&self, issuer: &Issuer, key_id: &str) -> Keys {
        let keeper = self.keeper(issuer);
        keeper.keys(key_id).await
    }

    fn keeper(&self, issuer: &Issuer) -> Arc<Keeper> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = known.get(issuer) {
            return Arc::clone(keeper);
        }
        // Who is asked for is in the settings, so only a reload can leave somebody behind here.
        let now = self.clock.now();
        known.retain(|_, keeper| now.since(keeper.used_at()) < ISSUER_KEYS_KEPT);
        let keeper = Arc::new(Keeper::new(issuer.clone(), self.way.load_full(), Arc::clone(&self.clock)));
        known.insert(issuer.clone(), Arc::clone(&keeper));
        keeper
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuers")
    }
}

#[cfg(test)]
mod tests;
