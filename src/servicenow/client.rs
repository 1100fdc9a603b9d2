//! The client of one tenant's instance: a permit, a call, an outcome.
//!
//! Owns: the order of things around one call: pass, send, judge, learn, report. Never: retries, but for a call refused
//! with `401`, which was not processed and goes out once more with a newer token. Fails: with an [`Outcome`].
//! A client that is not used costs a kilobyte or two: connections and TLS belong to the shared transport.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
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
use crate::peer::message::{Answer, TransportFault};
use crate::peer::oauth::Credentials;
use crate::peer::oauth::grant::TokenEndpoint;
use crate::peer::oauth::keeper::{Keeper, Pass};
use crate::peer::pace::{Closed, Limits, Pace, Purpose, Standing, Told};
use crate::peer::permit::{Permit, Permits};
use crate::peer::transport::{Allowance, Transport};
use crate::peer::waits;

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
}

/// The client of one tenant's instance; cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    origin: Arc<str>,
    transport: Transport,
    clock: SharedClock,
    permits: Arc<Permits>,
    keeper: Keeper,
    lookups: Mutex<Lookups>,
    luck: AtomicU64,
    observer: Option<Observer>,
}

/// What an answer leaves behind beside its rows.
#[derive(Default)]
struct Trace {
    status: Option<u16>,
    told: Told,
    transaction: Option<String>,
}

impl Client {
    /// A client that knows nothing yet of its instance; nothing is sent before the first call.
    pub fn new(options: ClientOptions) -> Self {
        let ClientOptions { instance, credentials, token_url, limits, transport, clock, luck_seed, observer } = options;
        let origin = instance.trim_end_matches('/');
        let endpoint = TokenEndpoint {
            url: token_url.unwrap_or_else(|| format!("{origin}/oauth_token.do")),
            transport: transport.clone(),
            clock: Arc::clone(&clock),
        };
        Self(Arc::new(Inner {
            origin: origin.into(),
            transport,
            permits: Permits::new(Pace::new(limits), Arc::clone(&clock)),
            clock,
            keeper: Keeper::new(credentials, endpoint),
            lookups: Mutex::default(),
            luck: AtomicU64::new(luck_seed),
            observer,
        }))
    }

    /// The right to make one call. Waits about two seconds at most; otherwise says until when, and why.
    /// A `retry` is paid for by the retry budget.
    pub async fn permit(&self, retry: bool) -> Result<Permit, Closed> {
        self.0.permits.take(if retry { Purpose::Retry } else { Purpose::FirstTry }).await
    }

    /// The same for a look-up or a sweep, which may also use the tenth of the hour that is kept for reading.
    pub async fn permit_to_read(&self) -> Result<Permit, Closed> {
        self.0.permits.take(Purpose::Reading).await
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
        self.lookups().recall(self.0.clock.now(), Asked { table, by, value })
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
        self.lookups().remember(self.0.clock.now(), Asked { table, by, value }, found.clone());
        Ok(found)
    }

    /// Makes a record, and returns it as stored.
    pub async fn create(&self, permit: Permit, table: &str, fields: &Fields) -> Result<Row, Outcome> {
        self.call(permit, &Call::Create { table, fields }).await.and_then(only)
    }

    /// Changes the fields named, and no others; returns them as stored.
    pub async fn update(&self, permit: Permit, table: &str, sys_id: &SysId, fields: &Fields) -> Result<Row, Outcome> {
        self.call(permit, &Call::Update { table, sys_id, fields }).await.and_then(only)
    }

    /// Somebody mended the credentials, or says so: they are tried with the next call.
    pub fn trust_credentials_again(&self) {
        self.0.keeper.trust_again();
        self.0.permits.pace().trust_credentials_again();
    }

    /// How the tenant's calls stand; for metrics and the console.
    pub fn standing(&self) -> Standing {
        self.0.permits.pace().standing(self.0.clock.now())
    }

    async fn call(&self, mut permit: Permit, call: &Call<'_>) -> Result<Vec<Row>, Outcome> {
        let begun = self.0.clock.now();
        let mut trace = Trace::default();
        let (rows, mut outcome) = match self.attempt(&permit, call, &mut trace).await {
            Ok(rows) => (Ok(rows), Outcome { status: trace.status, ..Outcome::new(Class::Done, "done") }),
            Err(NotDone::Judged(outcome)) => (Err(()), outcome),
            Err(NotDone::NotSent(outcome)) => return Err(outcome),
        };
        permit.settle(&mut outcome, trace.told, self.luck());
        if let Some(observer) = &self.0.observer {
            observer(&CallReport {
                call: call.kind(),
                class: outcome.class,
                code: &outcome.code,
                status: outcome.status,
                millis: u64::try_from(self.0.clock.now().since(begun).as_millis()).unwrap_or(u64::MAX),
                transaction: trace.transaction.as_deref(),
            });
        }
        rows.map_err(|()| outcome)
    }

    /// Sends, and once more with a newer token if the first one was refused: a `401` was not processed.
    async fn attempt(&self, permit: &Permit, call: &Call<'_>, trace: &mut Trace) -> Result<Vec<Row>, NotDone> {
        still_allowed(permit)?;
        let pass = self.0.keeper.pass(self.luck()).await?;
        let first = self.send(permit, call, &pass, trace).await;
        let (Err(NotDone::Judged(refused)), Some(generation)) = (&first, pass.generation) else { return first };
        if refused.class != Class::Unauthorized {
            return first;
        }
        still_allowed(permit)?;
        let newer = self.0.keeper.newer_than(generation, self.luck()).await?;
        let second = self.send(permit, call, &newer, trace).await;
        if let (Err(NotDone::Judged(refused)), Some(generation)) = (&second, newer.generation)
            && refused.class == Class::Unauthorized
        {
            self.0.keeper.forget(generation);
        }
        second
    }

    async fn send(
        &self,
        permit: &Permit,
        call: &Call<'_>,
        pass: &Pass,
        trace: &mut Trace,
    ) -> Result<Vec<Row>, NotDone> {
        // A token may have taken its time.
        still_allowed(permit)?;
        let request = call.spell(&self.0.origin, pass.header.clone()).map_err(|refusal| of_unsafe(&refusal))?;
        let allowance = Allowance { time: CALL_TIMEOUT, body_bytes_max: ANSWER_BYTES_MAX };
        let reply = self.0.transport.send(request, allowance).await;
        *trace = self.trace(&reply);
        Ok(classify(call.kind(), self.0.clock.now(), &reply)?)
    }

    fn trace(&self, reply: &Result<Answer, TransportFault>) -> Trace {
        let Ok(answer) = reply else { return Trace::default() };
        let told = Told {
            limit: answer.header("x-ratelimit-limit").and_then(|text| text.parse().ok()),
            window_ends: waits::window_ends(self.0.clock.now(), answer),
            probe: false,
        };
        let transaction = answer.header("x-transaction-id").map(crate::peer::words::clean);
        Trace { status: Some(answer.status), told, transaction }
    }

    fn lookups(&self) -> std::sync::MutexGuard<'_, Lookups> {
        self.0.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number in `0.0..1.0` (`SplitMix64`): spreads load, decides nothing that must not be guessed.
    fn luck(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.0.luck.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / 4_294_967_296.0
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.origin)
    }
}

/// Why a call has no rows to show.
enum NotDone {
    /// Nothing was sent: the pace has nothing to learn from it.
    NotSent(Outcome),
    /// It was sent, or its token was asked for, and this is what came of it.
    Judged(Outcome),
}

impl From<Outcome> for NotDone {
    fn from(outcome: Outcome) -> Self {
        Self::Judged(outcome)
    }
}

/// Whether the permit still stands just before a byte leaves: the gate may have closed since it was taken, and the
/// moment it was limited to may have passed.
fn still_allowed(permit: &Permit) -> Result<(), NotDone> {
    if let Some(overtaken) = permit.overtaken() {
        return Err(NotDone::NotSent(overtaken));
    }
    if permit.is_late() {
        let why = "the permission to send ran out before everything was there to send; nothing was sent";
        return Err(NotDone::NotSent(Outcome::new(Class::NotProcessed, "too_late_to_send").with_detail(why)));
    }
    Ok(())
}

/// A write's single row, which [`classify`] has made sure of.
fn only(rows: Vec<Row>) -> Result<Row, Outcome> {
    rows.into_iter().next().ok_or_else(|| Outcome::new(Class::Unclear, "no_sys_id"))
}

/// A call that would not have meant what it says, and was not sent.
fn of_unsafe(refusal: &UnsafeText) -> Outcome {
    let (class, code) = match refusal {
        UnsafeText::Value => (Class::Refused, "lookup_value_refused"),
        UnsafeText::Name(_) | UnsafeText::Key => (Class::Defect, "unsafe_name"),
    };
    Outcome::new(class, code).with_detail(refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_unused_clients_are_small_change() {
        // The whole process may take 60 MiB with a thousand tenants; a client's share is to stay far below one hundredth.
        assert!(size_of::<Inner>() + size_of::<Permits>() < 2_048, "{}", size_of::<Inner>() + size_of::<Permits>());
    }
}
