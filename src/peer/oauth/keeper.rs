//! Keeps a tenant's token: one fetch at a time, shared by all calls; early renewal; failures shared for a moment.
//!
//! Of two versions of the credentials, the one that was accepted last is used until it is refused itself: then the other
//! one is tried before the call is given up, so that a rotation on either side loses no call.
//!
//! A token has a generation. A call that was refused names the generation it used: if a newer one is there already, it
//! is taken without asking. So a revoked token costs one fetch, however many calls met it at once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::assertion::Skew;
use super::grant::{self, Asked, Asking, Granted, TokenEndpoint};
use super::{Credentials, KeyVersion, header};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::limits::TOKEN_FAILURE_SHARED;
use crate::peer::message::{HeaderName, HeaderValue};

/// What a call shows to be let in.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The header to send.
    pub header: (HeaderName, HeaderValue),
    /// What a better one must differ from, should this one be refused.
    pub shown: Shown,
}

/// What a pass is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A token of this generation.
    Token(u64),
    /// This version of credentials that are sent as they are.
    Fixed(KeyVersion),
}

/// Something a keeper did that others may want to know.
#[derive(Debug)]
pub enum KeeperNews<'a> {
    /// A token was asked for; `None` is a success.
    Asked(KeyVersion, Option<&'a Outcome>),
    /// From now on the other version of the credentials is used.
    Turned(KeyVersion),
}

/// Told of each piece of news.
pub type KeeperObserver = Arc<dyn Fn(&KeeperNews<'_>) + Send + Sync>;

/// The keeper of one tenant's token.
pub struct Keeper {
    current: Credentials,
    /// The coming credentials, during a rotation.
    next: Option<Credentials>,
    endpoint: TokenEndpoint,
    observer: Option<KeeperObserver>,
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
    /// Which credentials were accepted last.
    version: KeyVersion,
    /// How far the endpoint's clock is from ours.
    skew: Skew,
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
    pub fn new(credentials: Credentials, endpoint: TokenEndpoint, observer: Option<KeeperObserver>) -> Self {
        let (current, next) = match credentials {
            Credentials::Rotating { current, next } => (*current, Some(*next)),
            one => (one, None),
        };
        Self { current, next, endpoint, observer, known: Arc::default(), fetching: Arc::default() }
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
        let version = self.known().version;
        if let Some(pass) = self.fixed(version) {
            return pass;
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

    /// What to show instead of what was refused: a newer token, fetched unless another call has done so already, or the
    /// other version of credentials that are sent as they are. `None` if there is nothing else to show.
    pub async fn instead_of(&self, refused: Shown, luck: f64) -> Option<Result<Pass, Outcome>> {
        match refused {
            Shown::Token(generation) => Some(self.fetch_unless_newer_than(Some(generation), luck).await),
            Shown::Fixed(version) => {
                self.next.as_ref()?;
                // Unless another call, refused like this one, has turned already.
                if self.known().version == version {
                    self.turn_to(version.other());
                }
                self.fixed(version.other())
            }
        }
    }

    /// Forgets a token that was refused although it was new, so that the next call does not show it again.
    pub fn forget(&self, refused: Shown) {
        if let Shown::Token(generation) = refused {
            self.known().token.take_if(|token| token.generation == generation);
        }
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
        let version = self.known().version;
        let asked_at = self.endpoint.clock.now();
        let mut granted = self.ask(version).await;
        if self.next.is_some() && is_refused(&granted) {
            let other = self.ask(version.other()).await;
            if other.is_ok() {
                self.turn_to(version.other());
                granted = other;
            }
        }
        let mut known = self.known();
        match granted {
            Ok(granted) => known.keep(granted, asked_at, luck).pass(),
            Err(outcome) => {
                known.failure = Some((self.endpoint.clock.now(), outcome.clone()));
                Err(outcome)
            }
        }
    }

    /// Asks with one version; an assertion once more if the answer shows that it was told by the wrong clock.
    async fn ask(&self, version: KeyVersion) -> Result<Granted, Outcome> {
        let credentials = self.credentials(version);
        let before = self.known().skew;
        let mut asked = self.ask_once(credentials).await;
        let skew = self.known().skew;
        if matches!(credentials, Credentials::JwtBearer(_)) && is_refused(&asked.result) && skew.differs(before) {
            asked = self.ask_once(credentials).await;
        }
        let result = asked.result.map_err(|outcome| with_remedy(outcome, credentials, skew));
        self.tell(&KeeperNews::Asked(version, result.as_ref().err()));
        result
    }

    async fn ask_once(&self, credentials: &Credentials) -> Asked {
        let (refresh, skew) = {
            let known = self.known();
            (known.refresh.clone(), known.skew)
        };
        let now = skew.applied(self.endpoint.clock.now());
        let asked = grant::ask(&self.endpoint, credentials, Asking { refresh: refresh.as_ref(), now }).await;
        let learned = asked.there.and_then(|there| Skew::between(self.endpoint.clock.now(), there));
        self.known().skew = learned.unwrap_or(skew);
        asked
    }

    fn credentials(&self, version: KeyVersion) -> &Credentials {
        match version {
            KeyVersion::Current => &self.current,
            KeyVersion::Next => self.next.as_ref().unwrap_or(&self.current),
        }
    }

    /// The pass of credentials that are sent as they are.
    fn fixed(&self, version: KeyVersion) -> Option<Result<Pass, Outcome>> {
        let header = self.credentials(version).fixed_header()?;
        Some(header.map(|header| Pass { header, shown: Shown::Fixed(version) }))
    }

    fn turn_to(&self, version: KeyVersion) {
        self.known().version = version;
        self.tell(&KeeperNews::Turned(version));
    }

    fn tell(&self, news: &KeeperNews<'_>) {
        if let Some(observer) = &self.observer {
            observer(news);
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
        Ok(Pass { header, shown: Shown::Token(self.generation) })
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// Whether the endpoint answered and did not accept who we are.
fn is_refused(granted: &Result<Granted, Outcome>) -> bool {
    granted.as_ref().is_err_and(|outcome| outcome.class == Class::Unauthorized)
}

/// The endpoint's words, and what to do about them: nearly every mistake is answered alike.
fn with_remedy(outcome: Outcome, credentials: &Credentials, skew: Skew) -> Outcome {
    let remedy = credentials.remedy();
    if outcome.class != Class::Unauthorized || remedy.is_empty() {
        return outcome;
    }
    let clock = skew.in_words().filter(|_| matches!(credentials, Credentials::JwtBearer(_)));
    let said = Some(outcome.detail.as_str()).filter(|said| !said.is_empty());
    let parts: Vec<&str> = said.into_iter().chain([remedy]).chain(clock.as_deref()).collect();
    let detail = parts.join("; ");
    outcome.with_detail(detail)
}

/// At four fifths of its life, a little earlier by luck, so that replicas do not renew together.
fn renewal(life: Duration, luck: f64) -> Duration {
    life.mul_f64(0.80 - 0.05 * luck.clamp(0.0, 1.0))
}
