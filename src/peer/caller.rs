//! One call to a peer, whatever it says: a permit, a pass, the call itself, and what is learned from it.
//!
//! Owns: the order of things around a call, and the one case in which it goes out twice: refused with `401` it was not
//! processed, and is sent once more with a newer token or the coming credentials of a rotation. Never: spells or judges a call (its caller brings both as one
//! function), retries, logs. Fails: with an [`Outcome`]; what was not sent at all teaches the pace nothing.
//! Proved by: `tests/servicenow.rs` and `tests/callback.rs`, for both kinds of peer.

use std::fmt;
use std::sync::Arc;

use super::message::{Answer, TransportFault};
use super::oauth::Credentials;
use super::oauth::grant::TokenEndpoint;
use super::oauth::keeper::{Keeper, KeeperNews, KeeperObserver, Pass};
use super::pace::{Closed, Limits, Pace, Purpose, Standing, Told};
use super::permit::{BreakerTurned, Exchange, Permit, Permits, Showing};
use super::transport::Transport;
use super::waits;
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::time::{SharedClock, Timestamp};
use crate::runtime::luck::Luck;

/// What a caller is made of.
pub struct CallerOptions {
    /// Who we are there; `None` where nothing but the call itself proves it.
    pub identity: Option<Identity>,
    /// What people call the peer, such as `the instance`.
    pub peer: &'static str,
    /// What may be used of the peer.
    pub limits: Limits,
    /// The way there.
    pub transport: Transport,
    /// Where "now" comes from.
    pub clock: SharedClock,
    /// Where luck begins; the same seed gives the same jitter.
    pub luck_seed: u64,
    /// Told of tokens, credentials and the breaker.
    pub observer: Option<CallerObserver>,
}

/// Something that happened around the calls, for metrics and logs.
#[derive(Debug)]
pub enum CallerNews<'a> {
    /// With tokens or credentials.
    Credentials(&'a KeeperNews<'a>),
    /// The breaker changed.
    Breaker(BreakerTurned),
}

/// Told of each piece of news.
pub type CallerObserver = Arc<dyn Fn(&CallerNews<'_>) + Send + Sync>;

/// Who we are to a peer.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What proves it.
    pub credentials: Credentials,
    /// Where tokens come from, for credentials that are exchanged for one.
    pub token_url: String,
    /// What the token is to be good for, if that must be said.
    pub scope: Option<String>,
    /// Whom the token is for, where one endpoint serves several.
    pub audience: Option<String>,
}

/// The calls of one tenant to one peer.
pub struct Caller {
    transport: Transport,
    clock: SharedClock,
    permits: Arc<Permits>,
    keeper: Option<Keeper>,
    luck: Luck,
    observer: Option<CallerObserver>,
    /// Which credentials of the peer's calls these are.
    shows: Showing,
}

/// One try of a call: what it came to, and what the answer told beside that.
#[derive(Debug)]
pub struct Attempt<T> {
    /// What it came to.
    pub result: Result<T, Outcome>,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// What the answer says about the limits.
    pub told: Told,
    /// Under which name the peer's own log has the call, if it says so.
    pub mark: Option<String>,
}

/// What came of a call that was made, for metrics and logs.
#[derive(Debug)]
pub struct Made<'a> {
    /// How it was judged; [`Class::Done`] for a success.
    pub outcome: &'a Outcome,
    /// How long it took, a token's fetch included.
    pub millis: u64,
    /// Under which name the peer's own log has the call.
    pub mark: Option<&'a str>,
}

impl<T> Attempt<T> {
    /// What a reply came to. The limits are read from its headers.
    pub fn of(now: Timestamp, reply: &Result<Answer, TransportFault>, result: Result<T, Outcome>) -> Self {
        let Ok(answer) = reply else { return Self::without_answer(result) };
        let told = Told {
            limit: answer.header("x-ratelimit-limit").and_then(|text| text.parse().ok()),
            window_ends: waits::window_ends(now, answer),
            probe: false,
        };
        Self { result, status: Some(answer.status), told, mark: None }
    }

    /// Nothing came back, or nothing was sent.
    pub fn without_answer(result: Result<T, Outcome>) -> Self {
        Self { result, status: None, told: Told::default(), mark: None }
    }
}

impl Caller {
    /// A caller that knows nothing yet of its peer; nothing is sent before the first call.
    pub fn new(options: CallerOptions) -> Self {
        let CallerOptions { identity, peer, limits, transport, clock, luck_seed, observer } = options;
        let permits = Permits::new(Pace::new(limits).with(peer), Arc::clone(&clock));
        let keeper = identity.map(|Identity { credentials, token_url, scope, audience }| {
            let (transport, clock) = (transport.clone(), Arc::clone(&clock));
            let endpoint = TokenEndpoint { url: token_url, scope, audience, transport, clock };
            let told = observer.clone().map(|observer| -> KeeperObserver {
                Arc::new(move |news: &KeeperNews<'_>| observer(&CallerNews::Credentials(news)))
            });
            Keeper::new(credentials, endpoint, told)
        });
        let shows = permits.shown();
        Self { transport, clock, permits, keeper, luck: Luck::seeded(luck_seed), observer, shows }
    }

    /// In place of another caller of the same peer, whose budgets, calls under way and waiting times count on, within
    /// these limits. With the same credentials its token is ours as well; with others, what the peer thought of its own,
    /// or still says of a call on its way, is not held against ours.
    #[must_use]
    pub fn succeeding(self, other: &Self, limits: Limits, same_credentials: bool) -> Self {
        let permits = Arc::clone(&other.permits);
        permits.pace().limit_to(limits);
        permits.look_again();
        if !same_credentials {
            return Self { shows: permits.show_others(), permits, ..self };
        }
        let keeper = match (self.keeper, &other.keeper) {
            (Some(keeper), Some(theirs)) => Some(keeper.sharing(theirs)),
            (keeper, _) => keeper,
        };
        Self { shows: other.shows, permits, keeper, ..self }
    }

    /// From now on other replicas call the same peer, and one of all of them probes; said once. `replica` names this one.
    pub fn share(&self, replica: Arc<str>, exchange: Exchange) {
        self.permits.share(replica, exchange);
    }

    /// The right to make one call. Waits about two seconds at most; otherwise says until when, and why.
    pub async fn permit(&self, purpose: Purpose) -> Result<Permit, Closed> {
        self.permits.take(purpose).await
    }

    /// Makes one call. `attempt` sends it, once, and judges what came back; `report` is told what came of it.
    pub async fn call<T, A, F>(&self, permit: Permit, attempt: A, report: impl FnOnce(&Made<'_>)) -> Result<T, Outcome>
    where
        A: Fn(Option<Pass>) -> F,
        F: Future<Output = Attempt<T>>,
    {
        self.make(permit, self.keeper.as_ref(), attempt, report).await
    }

    /// The same for a call that shows no credentials, such as one to another host.
    pub async fn call_without_pass<T, A, F>(
        &self,
        permit: Permit,
        attempt: A,
        report: impl FnOnce(&Made<'_>),
    ) -> Result<T, Outcome>
    where
        A: Fn(Option<Pass>) -> F,
        F: Future<Output = Attempt<T>>,
    {
        self.make(permit, None, attempt, report).await
    }

    async fn make<T, A, F>(
        &self,
        mut permit: Permit,
        keeper: Option<&Keeper>,
        attempt: A,
        report: impl FnOnce(&Made<'_>),
    ) -> Result<T, Outcome>
    where
        A: Fn(Option<Pass>) -> F,
        F: Future<Output = Attempt<T>>,
    {
        let begun = self.clock.now();
        // A probe has half opened it.
        self.tell_of_breaker();
        let made = match self.attempts(&permit, keeper, &attempt).await {
            Ok(made) => made,
            Err(NotDone::Judged(outcome)) => Attempt::without_answer(Err(outcome)),
            Err(NotDone::NotSent(outcome)) => return Err(outcome),
        };
        let (result, mut outcome) = match made.result {
            Ok(found) => (Ok(found), Outcome { status: made.status, ..Outcome::new(Class::Done, "done") }),
            Err(outcome) => (Err(()), outcome),
        };
        permit.settle(&mut outcome, made.told, self.shows, self.luck.fraction());
        self.permits.tell_news().await;
        self.tell_of_breaker();
        let millis = u64::try_from(self.clock.now().since(begun).as_millis()).unwrap_or(u64::MAX);
        report(&Made { outcome: &outcome, millis, mark: made.mark.as_deref() });
        result.map_err(|()| outcome)
    }

    fn tell_of_breaker(&self) {
        if let (Some(turned), Some(observer)) = (self.permits.breaker_turned(), &self.observer) {
            observer(&CallerNews::Breaker(turned));
        }
    }

    /// Sends, and once more with something newer to show if the first was refused: a `401` was not processed.
    async fn attempts<T, A, F>(
        &self,
        permit: &Permit,
        keeper: Option<&Keeper>,
        attempt: &A,
    ) -> Result<Attempt<T>, NotDone>
    where
        A: Fn(Option<Pass>) -> F,
        F: Future<Output = Attempt<T>>,
    {
        still_allowed(permit)?;
        let Some(keeper) = keeper else { return Ok(attempt(None).await) };
        let pass = keeper.pass(self.luck.fraction()).await?;
        let shown = pass.shown;
        // A token may have taken its time.
        still_allowed(permit)?;
        let first = attempt(Some(pass)).await;
        if !first.is_unauthorized() {
            return Ok(first);
        }
        still_allowed(permit)?;
        let Some(better) = keeper.instead_of(shown, self.luck.fraction()).await else { return Ok(first) };
        let better = better?;
        let shown = better.shown;
        still_allowed(permit)?;
        let second = attempt(Some(better)).await;
        if second.is_unauthorized() {
            keeper.forget(shown);
        }
        Ok(second)
    }

    /// The way there.
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Somebody mended the credentials, or says so: they are tried with the next call.
    pub fn trust_credentials_again(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.trust_again();
        }
        self.permits.pace().trust_credentials_again();
    }

    /// How the calls stand; for metrics and the console.
    pub fn standing(&self) -> Standing {
        self.permits.pace().standing(self.clock.now())
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

impl<T> Attempt<T> {
    fn is_unauthorized(&self) -> bool {
        self.result.as_ref().is_err_and(|outcome| outcome.class == Class::Unauthorized)
    }
}

/// Why a call has nothing to show.
enum NotDone {
    /// Nothing was sent: the pace has nothing to learn from it.
    NotSent(Outcome),
    /// Its token was asked for, and this is what came of it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_unused_callers_are_small_change() {
        // The whole process may take 60 MiB with a thousand tenants; a caller's share stays far below one hundredth.
        assert!(size_of::<Caller>() + size_of::<Permits>() < 2_048, "{}", size_of::<Caller>() + size_of::<Permits>());
    }
}
