//! The client of one tenant's instance: a permit, a call, an outcome.
//!
//! Owns: what is asked for and what is believed of the answer, for writes and look-ups; reading tickets is in
//! [`super::tickets`], files are in [`super::attachments`]. Never: retries, but for a call refused with `401`, which was
//! not processed and goes out once more with a newer token ([`Caller`]). Fails: with an [`Outcome`].
//! A client that is not used costs a kilobyte or two: connections and TLS belong to the shared transport.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::classify::classify;
use super::lookups::{Asked, Lookups};
use super::wire::calls::{Call, CallKind, Fields};
use super::wire::rows::Row;
use super::wire::text::UnsafeText;
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::id::SysId;
use crate::domain::time::SharedClock;
use crate::limits::{ANSWER_BYTES_MAX, CALL_TIMEOUT};
use crate::peer::caller::{Attempt, Caller, CallerObserver, CallerOptions, Identity, Made};
use crate::peer::message::{Answer, TransportFault};
use crate::peer::oauth::Credentials;
use crate::peer::oauth::keeper::Pass;
use crate::peer::pace::{Closed, Limits, Purpose, Standing};
use crate::peer::permit::{Exchange, Permit};
use crate::peer::transport::{Allowance, Transport};
use crate::peer::words;

/// One call and what came of it, for metrics and logs; lent to the observer.
#[derive(Clone, Copy, Debug)]
pub struct CallReport<'a> {
    /// What kind of call.
    pub call: CallKind,
    /// What it came to.
    pub class: Class,
    /// The stable code; `done` for a success.
    pub code: &'a str,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// How long it took, a token's fetch included.
    pub millis: u64,
    /// `X-Transaction-ID`: under this name an administrator finds the call in the instance's own log.
    pub transaction: Option<&'a str>,
}

/// Told of each call.
pub type Observer = Arc<dyn Fn(&CallReport<'_>) + Send + Sync>;

/// What a client is made of.
pub struct ClientOptions {
    /// Scheme and host of the instance, such as `https://contoso.service-now.com`.
    pub instance: String,
    /// Who we are there.
    pub credentials: Credentials,
    /// Where tokens come from, if not from `/oauth_token.do` of the instance.
    pub token_url: Option<String>,
    /// What the tenant may use.
    pub limits: Limits,
    /// The way there, shared by all tenants.
    pub transport: Transport,
    /// Where "now" comes from.
    pub clock: SharedClock,
    /// Where luck begins; the same seed gives the same jitter.
    pub luck_seed: u64,
    /// Told of each call.
    pub observer: Option<Observer>,
    /// Told of tokens, credentials and the breaker.
    pub news: Option<CallerObserver>,
}

/// What a client keeps of the one before it, beside what it owes the instance.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Its token, if the credentials are the same.
    pub token: bool,
    /// What its look-ups found.
    pub lookups: bool,
}

/// The client of one tenant's instance; cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    origin: Arc<str>,
    caller: Caller,
    lookups: Mutex<Lookups>,
    observer: Option<Observer>,
}

/// Rows, and how many there are in all, if that was asked for and told.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) rows: Vec<Row>,
    pub(super) total: Option<u64>,
}

impl Client {
    /// A client that knows nothing yet of its instance; nothing is sent before the first call.
    pub fn new(options: ClientOptions) -> Self {
        Self(Arc::new(Inner::new(options)))
    }

    /// A client in place of another one. If that called the same instance, budgets and waiting times count on.
    pub fn succeeding(options: ClientOptions, other: &Self, kept: Kept) -> Self {
        let limits = options.limits;
        let inner = Inner::new(options);
        if inner.origin != other.0.origin {
            return Self(Arc::new(inner));
        }
        let Inner { origin, caller, observer, .. } = inner;
        let caller = caller.succeeding(&other.0.caller, limits, kept.token);
        let lookups = if kept.lookups { other.lookups().clone() } else { Lookups::default() };
        Self(Arc::new(Inner { origin, caller, lookups: Mutex::new(lookups), observer }))
    }

    /// The right to make one call. Waits about two seconds at most; otherwise says until when, and why.
    /// A `retry` is paid for by the retry budget.
    pub async fn permit(&self, retry: bool) -> Result<Permit, Closed> {
        self.0.caller.permit(if retry { Purpose::Retry } else { Purpose::FirstTry }).await
    }

    /// The same for a look-up or a sweep, which may also use the tenth of the hour that is kept for reading.
    pub async fn permit_to_read(&self) -> Result<Permit, Closed> {
        self.0.caller.permit(Purpose::Reading).await
    }

    /// Reads one record; `None` if it is not there, or hidden from us.
    pub async fn find_by_sys_id(
        &self,
        permit: Permit,
        table: &str,
        sys_id: &SysId,
        fields: &[&str],
    ) -> Result<Option<Row>, Outcome> {
        match self.call(permit, &Call::ReadOne { table, sys_id, fields }).await {
            Ok(rows) => Ok(rows.into_iter().next()),
            Err(outcome) if outcome.class == Class::Missing => Ok(None),
            Err(outcome) => Err(outcome),
        }
    }

    /// Looks for tickets by our key, the oldest first, at most three. ServiceNow drops a query it does not understand
    /// and returns strangers: the caller checks that each row carries the key.
    pub async fn find_by_correlation(
        &self,
        permit: Permit,
        table: &str,
        correlation_id: &str,
    ) -> Result<Vec<Row>, Outcome> {
        self.call(permit, &Call::Correlated { table, correlation_id }).await
    }

    /// What [`Self::lookup`] found lately, without a call: `Some(None)` means that it was missing.
    pub fn recall(&self, table: &str, by: &str, value: &str) -> Option<Option<SysId>> {
        self.lookups().recall(self.0.caller.now(), Asked { table, by, value })
    }

    /// Looks for the one record whose column `by` has this value, whatever the case. `None` if there is none.
    ///
    /// A row that does not carry the value is a stranger (`lookup_untrusted`, concerns the whole tenant); two rows that
    /// do are not guessed between (`lookup_ambiguous`, concerns this delivery).
    pub async fn lookup(&self, permit: Permit, table: &str, by: &str, value: &str) -> Result<Option<SysId>, Outcome> {
        if value.trim().is_empty() {
            return Ok(None);
        }
        let rows = self.call(permit, &Call::Reference { table, by, value }).await?;
        let wanted = value.trim().to_lowercase();
        let carries = |row: &Row| row.get(by).is_some_and(|found| found.trim().to_lowercase() == wanted);
        if !rows.iter().all(carries) {
            let why = format!("{table}.{by} was ignored in a query, or may not be read");
            return Err(Outcome::new(Class::Misconfigured, "lookup_untrusted").with_detail(why));
        }
        let found = match <[Row; 1]>::try_from(rows) {
            Ok([row]) => Some(row.sys_id),
            Err(rows) if rows.is_empty() => None,
            Err(_) => {
                let why = format!("more than one record of {table} has this {by}");
                return Err(Outcome::new(Class::Refused, "lookup_ambiguous").with_detail(why));
            }
        };
        self.lookups().remember(self.0.caller.now(), Asked { table, by, value }, found.clone());
        Ok(found)
    }

    /// Makes a record, and returns what was written as it is stored, with the columns named in `also`.
    pub async fn create(&self, permit: Permit, table: &str, fields: &Fields, also: &[&str]) -> Result<Row, Outcome> {
        self.call(permit, &Call::Create { table, fields, also }).await.and_then(only)
    }

    /// Changes the fields named in `change`, and no others; returns them as they are stored, with those in `also`.
    pub async fn update(
        &self,
        permit: Permit,
        (table, sys_id): (&str, &SysId),
        fields: &Fields,
        also: &[&str],
    ) -> Result<Row, Outcome> {
        self.call(permit, &Call::Update { table, sys_id, fields, also }).await.and_then(only)
    }

    /// Somebody mended the credentials, or says so: they are tried with the next call.
    pub fn trust_credentials_again(&self) {
        self.0.caller.trust_credentials_again();
    }

    /// From now on other replicas call the same instance; said once. `replica` names this one.
    pub fn share(&self, replica: Arc<str>, exchange: Exchange) {
        self.0.caller.share(replica, exchange);
    }

    /// How the tenant's calls stand; for metrics and the console.
    pub fn standing(&self) -> Standing {
        self.0.caller.standing()
    }

    pub(super) async fn call(&self, permit: Permit, call: &Call<'_>) -> Result<Vec<Row>, Outcome> {
        self.list(permit, call).await.map(|listing| listing.rows)
    }

    /// Makes a call, and says how many rows there are in all if the instance told.
    pub(super) async fn list(&self, permit: Permit, call: &Call<'_>) -> Result<Listing, Outcome> {
        self.0.caller.call(permit, |pass| self.attempt(call, pass), |made| self.report(call.kind(), made)).await
    }

    async fn attempt(&self, call: &Call<'_>, pass: Option<Pass>) -> Attempt<Listing> {
        let Some(pass) = pass else { return Attempt::without_answer(Err(no_pass())) };
        let request = match call.spell(&self.0.origin, pass.header) {
            Ok(request) => request,
            Err(refusal) => return Attempt::without_answer(Err(of_unsafe(&refusal))),
        };
        let allowance = Allowance { time: CALL_TIMEOUT, body_bytes_max: ANSWER_BYTES_MAX };
        let reply = self.0.caller.transport().send(request, allowance).await;
        self.judged(call.kind(), &reply)
    }

    /// What a reply came to, and under which name the instance's own log has the call.
    pub(super) fn judged(&self, kind: CallKind, reply: &Result<Answer, TransportFault>) -> Attempt<Listing> {
        let now = self.0.caller.now();
        let header = |name| reply.as_ref().ok().and_then(|answer| answer.header(name));
        let total = header("x-total-count").and_then(|text| text.parse().ok());
        let result = classify(kind, now, reply).map(|rows| Listing { rows, total });
        Attempt { mark: header("x-transaction-id").map(words::clean), ..Attempt::of(now, reply, result) }
    }

    pub(super) fn origin(&self) -> &Arc<str> {
        &self.0.origin
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    pub(super) fn report(&self, call: CallKind, made: &Made<'_>) {
        let Some(observer) = &self.0.observer else { return };
        let Made { outcome, millis, mark } = *made;
        observer(&CallReport {
            call,
            class: outcome.class,
            code: &outcome.code,
            status: outcome.status,
            millis,
            transaction: mark,
        });
    }

    fn lookups(&self) -> std::sync::MutexGuard<'_, Lookups> {
        self.0.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(options: ClientOptions) -> Self {
        let ClientOptions { instance, credentials, token_url, limits, transport, clock, luck_seed, observer, news } =
            options;
        let origin = instance.trim_end_matches('/');
        let token_url = token_url.unwrap_or_else(|| format!("{origin}/oauth_token.do"));
        let identity = Some(Identity { credentials, token_url, scope: None, audience: None });
        let peer = "the instance";
        Self {
            origin: origin.into(),
            caller: Caller::new(CallerOptions { identity, peer, limits, transport, clock, luck_seed, observer: news }),
            lookups: Mutex::default(),
            observer,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.origin)
    }
}

/// A write's single row, which [`classify`] has made sure of.
pub(super) fn only(rows: Vec<Row>) -> Result<Row, Outcome> {
    rows.into_iter().next().ok_or_else(|| Outcome::new(Class::Unclear, "no_sys_id"))
}

/// A call that would not have meant what it says, and was not sent.
pub(super) fn of_unsafe(refusal: &UnsafeText) -> Outcome {
    let (class, code) = match refusal {
        UnsafeText::Value => (Class::Refused, "lookup_value_refused"),
        UnsafeText::Name(_) | UnsafeText::Key | UnsafeText::Moment => (Class::Defect, "unsafe_name"),
    };
    Outcome::new(class, code).with_detail(refusal.to_string())
}

/// An instance is never called without credentials; their settings make sure of it.
pub(super) fn no_pass() -> Outcome {
    Outcome::new(Class::Defect, "no_credentials")
}
