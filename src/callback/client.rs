//! The client of one tenant's receiver at the managed service: a permit, an event, an outcome.
//!
//! Owns: the signature and the headers around an event. The event's id and its bytes never change; timestamp and
//! signature are made anew for each try, so that a receiver with a narrow window takes a late one. Never: retries, but
//! for a token refused with `401`; follows a redirect; changes a byte of the event. Fails: with an [`Outcome`].
//! Proved by: `tests/callback.rs` over real sockets, with the verification that receivers are told to use.

use std::fmt;
use std::sync::Arc;

use super::classify::{Answered, classify};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{CALLBACK_ANSWER_BYTES_MAX, CALLBACK_TIMEOUT};
use crate::peer::caller::{Attempt, Caller, CallerOptions, Identity, Made};
use crate::peer::message::{HeaderMap, HeaderValue, Method, Request};
use crate::peer::oauth::keeper::Pass;
use crate::peer::pace::{Closed, Limits, Purpose, Standing};
use crate::peer::permit::{Exchange, Permit};
use crate::peer::transport::{Allowance, Transport};
use crate::security::signature::{WebhookSecret, sign};
use crate::security::target::Target;

/// What we call ourselves.
pub(super) const USER_AGENT: &str = concat!("snowgate/", env!("CARGO_PKG_VERSION"));

/// What people read in the reasons for waiting.
const PEER: &str = "the managed service";

/// An event in structured mode (CloudEvents 1.0, HTTP binding).
const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";

/// Told of each call that was made.
pub type Observer = Arc<dyn Fn(&Made<'_>) + Send + Sync>;

/// What a client is made of.
pub struct CallbackOptions {
    /// Where events go.
    pub url: Target,
    /// What signs them: all of them, so that the receiver can change from one to the next.
    pub secrets: Vec<WebhookSecret>,
    /// Who we are beside the signature, if the receiver wants a token.
    pub oauth: Option<Identity>,
    /// What may be used of the receiver.
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

/// The client of one tenant's receiver; cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    origin: Arc<str>,
    path_and_query: String,
    secrets: Vec<WebhookSecret>,
    caller: Caller,
    observer: Option<Observer>,
}

impl Client {
    /// A client that knows nothing yet of its receiver; nothing is sent before the first call.
    pub fn new(options: CallbackOptions) -> Self {
        Self(Arc::new(Inner::new(options)))
    }

    /// A client in place of another one. If that called the same host, budgets and waiting times count on.
    pub fn succeeding(options: CallbackOptions, other: &Self) -> Self {
        let limits = options.limits;
        let inner = Inner::new(options);
        if inner.origin != other.0.origin {
            return Self(Arc::new(inner));
        }
        let Inner { origin, path_and_query, secrets, caller, observer } = inner;
        let caller = caller.succeeding(&other.0.caller, limits, false);
        Self(Arc::new(Inner { origin, path_and_query, secrets, caller, observer }))
    }

    /// The right to send one event. Waits about two seconds at most; otherwise says until when, and why.
    /// A `retry` is paid for by the retry budget.
    pub async fn permit(&self, retry: bool) -> Result<Permit, Closed> {
        self.0.caller.permit(if retry { Purpose::Retry } else { Purpose::FirstTry }).await
    }

    /// Sends an event: its bytes as they are stored, and the id they carry.
    pub async fn send(&self, permit: Permit, event: &[u8], id: &str) -> Result<Answered, Outcome> {
        let attempt = |pass| self.attempt(event, id, pass);
        self.0.caller.call(permit, attempt, |made| self.report(made)).await
    }

    /// Somebody mended the secret or the credentials, or says so: they are tried with the next call.
    pub fn trust_credentials_again(&self) {
        self.0.caller.trust_credentials_again();
    }

    /// From now on other replicas call the same receiver; said once. `replica` names this one.
    pub fn share(&self, replica: Arc<str>, exchange: Exchange) {
        self.0.caller.share(replica, exchange);
    }

    /// How the calls stand; for metrics and the console.
    pub fn standing(&self) -> Standing {
        self.0.caller.standing()
    }

    async fn attempt(&self, event: &[u8], id: &str, pass: Option<Pass>) -> Attempt<Answered> {
        let now = self.0.caller.now();
        let signatures: Vec<String> = self.0.secrets.iter().map(|secret| sign(id, now, event, secret)).collect();
        let Some(mut headers) = headers(id, now, &signatures.join(" "), pass) else {
            return Attempt::without_answer(Err(unusable_id()));
        };
        headers.insert("content-type", HeaderValue::from_static(STRUCTURED));
        let request = self.request(headers, event.to_vec());
        let allowance = Allowance { time: CALLBACK_TIMEOUT, body_bytes_max: CALLBACK_ANSWER_BYTES_MAX };
        let reply = self.0.caller.transport().send(request, allowance).await;
        let now = self.0.caller.now();
        Attempt::of(now, &reply, classify(now, &reply))
    }

    pub(super) fn request(&self, headers: HeaderMap, body: Vec<u8>) -> Request {
        let path_and_query = self.0.path_and_query.clone();
        Request { method: Method::Post, origin: Arc::clone(&self.0.origin), path_and_query, headers, body }
    }

    pub(super) fn report(&self, made: &Made<'_>) {
        if let Some(observer) = &self.0.observer {
            observer(made);
        }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    pub(super) fn secrets(&self) -> &[WebhookSecret] {
        &self.0.secrets
    }

    pub(crate) fn origin(&self) -> &Arc<str> {
        &self.0.origin
    }
}

impl Inner {
    fn new(options: CallbackOptions) -> Self {
        let CallbackOptions { url, secrets, oauth, limits, transport, clock, luck_seed, observer } = options;
        let path = url.url().path();
        let path_and_query = url.url().query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        Self {
            origin: url.origin().into(),
            path_and_query,
            secrets,
            caller: Caller::new(CallerOptions {
                identity: oauth,
                peer: PEER,
                limits,
                transport,
                clock,
                luck_seed,
                observer: None,
            }),
            observer,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.origin)
    }
}

/// The headers of Standard Webhooks, and a token if the receiver wants one; `None` for an id that no header can hold.
pub(super) fn headers(id: &str, now: Timestamp, signature: &str, pass: Option<Pass>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert("user-agent", HeaderValue::from_static(USER_AGENT));
    headers.insert("webhook-id", HeaderValue::from_str(id).ok()?);
    headers.insert("webhook-timestamp", HeaderValue::from(now.seconds()));
    headers.insert("webhook-signature", HeaderValue::from_str(signature).ok()?);
    if let Some(Pass { header: (name, value), .. }) = pass {
        headers.insert(name, value);
    }
    Some(headers)
}

/// Ids are of our own making and hold nothing that cannot stand in a header.
pub(super) fn unusable_id() -> Outcome {
    Outcome::new(Class::Defect, "event_id_unusable").with_detail("the event's id cannot stand in a header")
}
