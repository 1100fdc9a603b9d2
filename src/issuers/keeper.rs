//! The keys of one issuer: when they are fetched, who waits for that, and how long they serve.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::Keys;
use super::fetch::{FetchError, Way};
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{ISSUER_CALLER_WAIT, ISSUER_FAILURE_GAP, ISSUER_FETCH_GAP, ISSUER_KEYS_FRESH, ISSUER_KEYS_KEPT};
use crate::runtime::tasks;
use crate::security::token::{Issuer, KeySet};
use crate::telemetry::events::IssuerKeysFetched;

/// Keeps one issuer's keys.
pub(super) struct Keeper {
    issuer: Issuer,
    way: Arc<Way>,
    clock: SharedClock,
    state: Mutex<State>,
    /// Moves whenever a fetch ends.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    fetched_at: Timestamp,
    /// No fetch begins before this.
    next_at: Timestamp,
    is_fetching: bool,
    used_at: Timestamp,
}

/// What is known without asking anybody.
enum Look {
    /// The key is here.
    Here(Arc<KeySet>),
    /// The key is not here, and the issuer may be asked.
    Ask,
    /// The issuer is being asked.
    Asking,
    /// The issuer was asked just now.
    Later(Duration),
}

impl Keeper {
    pub(super) fn new(issuer: Issuer, way: Arc<Way>, clock: SharedClock) -> Self {
        let state = State { used_at: clock.now(), ..State::default() };
        Self { issuer, way, clock, state: Mutex::new(state), ended: watch::Sender::new(0) }
    }

    /// When somebody last asked for keys.
    pub(super) fn used_at(&self) -> Timestamp {
        self.state().used_at
    }

    /// See [`super::Issuers::keys`].
    pub(super) async fn keys(self: &Arc<Self>, key_id: &str) -> Keys {
        let mut ended = self.ended.subscribe();
        let asked_at = self.clock.now();
        match self.look(key_id) {
            Look::Here(keys) => return Keys::Known(keys),
            Look::Later(wait) => return Keys::Later(wait),
            Look::Ask => self.begin(Some(key_id)),
            Look::Asking => {}
        }
        if timeout(ISSUER_CALLER_WAIT, ended.changed()).await.is_err() {
            return Keys::Later(ISSUER_CALLER_WAIT);
        }
        let now = self.clock.now();
        let state = self.state();
        match state.usable(now) {
            // Fetched for this: a key that is not among them does not exist. Older ones only serve those they have.
            Some(keys) if keys.has(key_id) || state.fetched_at >= asked_at => Keys::Known(Arc::clone(keys)),
            Some(_) | None => Keys::Later(state.next_at.since(now).max(ISSUER_CALLER_WAIT)),
        }
    }

    /// What is known now. Keys that are old are renewed on the side.
    fn look(self: &Arc<Self>, key_id: &str) -> Look {
        let now = self.clock.now();
        let mut state = self.state();
        state.used_at = now;
        let may_ask = !state.is_fetching && now >= state.next_at;
        let here = state.usable(now).filter(|keys| keys.has(key_id)).cloned();
        match here {
            Some(keys) => {
                let is_old = now.since(state.fetched_at) >= ISSUER_KEYS_FRESH;
                drop(state);
                if is_old && may_ask {
                    self.begin(None);
                }
                Look::Here(keys)
            }
            None if state.is_fetching => Look::Asking,
            None if may_ask => Look::Ask,
            None => Look::Later(state.next_at.since(now)),
        }
    }

    /// Begins to fetch, unless somebody else has just begun.
    fn begin(self: &Arc<Self>, key_id: Option<&str>) {
        {
            let mut state = self.state();
            if state.is_fetching {
                return;
            }
            state.is_fetching = true;
        }
        let fetching = Fetching { keeper: Arc::clone(self), key_id: key_id.map(str::to_owned), fetched: None };
        // On its own: it goes on when the caller that wanted it hangs up.
        drop(tasks::spawn("issuer keys", fetching.run()));
    }

    fn end(&self, key_id: Option<&str>, fetched: Option<Result<KeySet, FetchError>>) {
        match fetched {
            Some(Ok(keys)) => self.take(keys, key_id),
            Some(Err(error)) => self.do_without(Some(&error)),
            // The process is stopping, or the task panicked, which was told.
            None => self.do_without(None),
        }
        self.ended.send_modify(|ended| *ended += 1);
    }

    fn take(&self, keys: KeySet, key_id: Option<&str>) {
        let now = self.clock.now();
        IssuerKeysFetched { issuer: &self.issuer.name, outcome: "fetched", keys: keys.len(), detail: "" }.emit();
        // Whoever makes up keys waits for the pause to end; a key that was there deserved the look.
        let in_vain = key_id.is_some_and(|id| !keys.has(id));
        let pause = if in_vain { ISSUER_FETCH_GAP } else { Duration::ZERO };
        let mut state = self.state();
        state.is_fetching = false;
        state.next_at = now.plus(pause);
        state.fetched_at = now;
        state.keys = Some(Arc::new(keys));
    }

    fn do_without(&self, error: Option<&FetchError>) {
        let now = self.clock.now();
        let keys = {
            let mut state = self.state();
            state.is_fetching = false;
            state.next_at = now.plus(ISSUER_FAILURE_GAP);
            state.usable(now).map_or(0, |keys| keys.len())
        };
        if let Some(error) = error {
            let detail = &error.to_string();
            IssuerKeysFetched { issuer: &self.issuer.name, outcome: "failed", keys, detail }.emit();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usable(&self, now: Timestamp) -> Option<&Arc<KeySet>> {
        self.keys.as_ref().filter(|_| now.since(self.fetched_at) < ISSUER_KEYS_KEPT)
    }
}

/// A fetch under way; however it ends, those who wait for it are told.
struct Fetching {
    keeper: Arc<Keeper>,
    /// The key it is for; a renewal is for none.
    key_id: Option<String>,
    fetched: Option<Result<KeySet, FetchError>>,
}

impl Fetching {
    async fn run(mut self) {
        self.fetched = Some(self.keeper.way.fetch(&self.keeper.issuer).await);
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.keeper.end(self.key_id.as_deref(), self.fetched.take());
    }
}
