//! Keeps a tenant's token: one fetch at a time, shared by all calls; early renewal; failures shared for a moment.
//!
//! A token has a generation. A call that was refused names the generation it used: if a newer one is there already, it
//! is taken without asking. So a revoked token costs one fetch, however many calls met it at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::grant::{self, Granted, TokenEndpoint};
use super::{Credentials, header};
use crate::delivery::outcome::Outcome;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::limits::TOKEN_FAILURE_SHARED;
use crate::peer::message::{HeaderName, HeaderValue};

/// What a call shows to be let in.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The header to send.
    pub header: (HeaderName, HeaderValue),
    /// Which token it is; credentials sent as they are have none.
    pub generation: Option<u64>,
}

/// The keeper of one tenant's token.
#[derive(Debug)]
pub struct Keeper {
    credentials: Credentials,
    endpoint: TokenEndpoint,
    known: Arc<Mutex<Known>>,
    /// Held by the one who fetches.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

/// What is known at present.
#[derive(Debug, Default)]
struct Known {
    token: Option<Arc<Token>>,
    generation: u64,
    failure: Option<(Timestamp, Outcome)>,
    refresh: Option<Secret>,
}

#[derive(Debug)]
struct Token {
    text: Secret,
    generation: u64,
    renew_at: Timestamp,
    ends_at: Timestamp,
}

impl Keeper {
    /// Knows nothing yet; the first call fetches.
    pub fn new(credentials: Credentials, endpoint: TokenEndpoint) -> Self {
        Self { credentials, endpoint, known: Arc::default(), fetching: Arc::default() }
    }

    /// With the token of another keeper of the same credentials, in common with it from now on. A refresh token that was
    /// exchanged for a newer one would otherwise be lost, and the settings' own is not taken a second time.
    #[must_use]
    pub fn sharing(self, other: &Self) -> Self {
        let (known, fetching) = (Arc::clone(&other.known), Arc::clone(&other.fetching));
        Self { known, fetching, ..self }
    }

    /// A pass for a call. `luck` is a number in `0.0..1.0`.
    pub async fn pass(&self, luck: f64) -> Result<Pass, Outcome> {
        if let Some(fixed) = self.credentials.fixed_header() {
            return Ok(Pass { header: fixed?, generation: None });
        }
        let now = self.endpoint.clock.now();
        let Some(token) = self.known().token.clone().filter(|token| now < token.ends_at) else {
            return self.fetch_unless_newer_than(None, luck).await;
        };
        if now >= token.renew_at
            && let Ok(_fetching) = self.fetching.try_lock()
            && self.known().shared_failure(now).is_none()
        {
            // One call renews early, the others go on with the token that is still good; so does this one if it fails.
            if let Ok(pass) = self.fetch(luck).await {
                return Ok(pass);
            }
        }
        token.pass()
    }

    /// A newer pass than the one that was refused; fetched, unless another call has done so already.
    pub async fn newer_than(&self, refused: u64, luck: f64) -> Result<Pass, Outcome> {
        self.fetch_unless_newer_than(Some(refused), luck).await
    }

    /// Forgets a token that was refused although it was new, so that the next call does not show it again.
    pub fn forget(&self, refused: u64) {
        self.known().token.take_if(|token| token.generation == refused);
    }

    /// Somebody mended the credentials, or says so: a failure that is still shared is forgotten.
    pub fn trust_again(&self) {
        self.known().failure = None;
    }

    async fn fetch_unless_newer_than(&self, refused: Option<u64>, luck: f64) -> Result<Pass, Outcome> {
        let _fetching = self.fetching.lock().await;
        let now = self.endpoint.clock.now();
        {
            let known = self.known();
            let newer = |token: &&Arc<Token>| now < token.ends_at && refused.is_none_or(|old| token.generation > old);
            if let Some(token) = known.token.as_ref().filter(newer) {
                return token.pass();
            }
            if let Some(failure) = known.shared_failure(now) {
                return Err(failure);
            }
        }
        self.fetch(luck).await
    }

    /// Fetches; the caller holds `fetching`.
    async fn fetch(&self, luck: f64) -> Result<Pass, Outcome> {
        let refresh = self.known().refresh.clone();
        let asked_at = self.endpoint.clock.now();
        let granted = grant::ask(&self.endpoint, &self.credentials, refresh.as_ref()).await;
        let mut known = self.known();
        match granted {
            Ok(granted) => known.keep(granted, asked_at, luck).pass(),
            Err(outcome) => {
                known.failure = Some((self.endpoint.clock.now(), outcome.clone()));
                Err(outcome)
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, granted: Granted, asked_at: Timestamp, luck: f64) -> Arc<Token> {
        self.generation += 1;
        self.failure = None;
        self.refresh = granted.refresh.or_else(|| self.refresh.take());
        let token = Arc::new(Token {
            text: granted.access,
            generation: self.generation,
            renew_at: asked_at.plus(renewal(granted.life, luck)),
            ends_at: asked_at.plus(granted.life),
        });
        self.token = Some(Arc::clone(&token));
        token
    }

    /// A failure that is fresh enough to be everyone's. It is one event: the breaker has counted it already.
    fn shared_failure(&self, now: Timestamp) -> Option<Outcome> {
        let (at, outcome) = self.failure.as_ref()?;
        let fresh = now.since(*at) < TOKEN_FAILURE_SHARED && now >= *at;
        fresh.then(|| Outcome { instance_fault: false, status: None, ..outcome.clone() })
    }
}

impl Token {
    fn pass(&self) -> Result<Pass, Outcome> {
        let header = header(HeaderName::from_static("authorization"), &format!("Bearer {}", self.text.expose()))?;
        Ok(Pass { header, generation: Some(self.generation) })
    }
}

/// At four fifths of its life, a little earlier by luck, so that replicas do not renew together.
fn renewal(life: Duration, luck: f64) -> Duration {
    life.mul_f64(0.80 - 0.05 * luck.clamp(0.0, 1.0))
}
