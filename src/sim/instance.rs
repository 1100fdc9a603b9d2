//! The simulated instance, a pure value: requests and times in, responses out.
//!
//! Owns: the records, tokens and counters, and the route from a request to the part that answers it.
//! Never: reads a clock, opens a socket or draws luck that is not from its seed; the same calls give the same instance.
//! Fails: only towards the caller, with the refusals of `errors`.
//! Proved by: `tests`, `rules`, `oauth`; against foreign clients by `tests/sim_clients.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::json;

use super::access::Caller;
use super::attachment_api::{self, Place};
use super::attachments::Contents;
use super::dates;
use super::dictionary::Dictionary;
use super::errors::Refusal;
use super::faults;
use super::keyring::Keyring;
use super::message::{Request, Response};
use super::misconfiguration::Misconfiguration;
use super::oauth::{self, Tokens};
use super::outbound::Outbound;
use super::random::Random;
use super::rate::Rates;
use super::seed;
use super::store::Store;
use super::switches::{Front, Switches};
use super::table_api::{self, Target};
use super::values::View;

/// What an instance is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all luck comes from.
    pub seed: u64,
    /// The instance's own URL, used in links and `Location`; the server sets it to its address.
    pub base_url: String,
    /// The integration user's name …
    pub username: String,
    /// … and password.
    pub password: String,
    /// The OAuth client …
    pub client_id: String,
    /// … and its secret.
    pub client_secret: String,
    /// Calls per hour and user that a rate-limit rule admits; `None` is no rule, the state out of the box.
    pub rate_limit_per_hour: Option<u32>,
    /// How this instance differs from the base system.
    pub switches: Switches,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            base_url: "https://example.service-now.com".to_owned(),
            username: "snowgate".to_owned(),
            password: "snowgate".to_owned(),
            client_id: "snowgate-client".to_owned(),
            client_secret: "snowgate-secret".to_owned(),
            rate_limit_per_hour: None,
            switches: Switches::default(),
        }
    }
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It was created.
    Insert,
    /// It was changed, or journal text was added.
    Update,
    /// It was removed.
    Delete,
}

/// One effective change, for those who play business rules and outbound calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Grows by one with every change.
    pub sequence: u64,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The table.
    pub table: String,
    /// The record.
    pub sys_id: String,
    /// What happened.
    pub operation: Operation,
    /// The session user's name.
    pub by: String,
    /// The columns that changed, journal columns included.
    pub columns: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
}

/// Which API a path belongs to.
enum Api {
    Table(Target),
    Attachment(Place),
}

impl Api {
    fn of(path: &str) -> Option<Self> {
        Place::parse(path).map(Self::Attachment).or_else(|| Target::parse(path).map(Self::Table))
    }
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Instance {
    pub(super) switches: Switches,
    pub(super) credentials: Credentials,
    pub(super) base_url: String,
    pub(super) dictionary: Arc<Dictionary>,
    pub(super) store: Store,
    pub(super) tokens: Tokens,
    pub(super) keyring: Keyring,
    pub(super) failures: BTreeMap<String, u32>,
    pub(super) hidden: BTreeSet<(String, String)>,
    /// Luck for ids; apart from `noise`, so that record ids do not depend on how many calls were only read.
    pub(super) ids: Random,
    /// Luck for tokens and header decoration.
    pub(super) noise: Random,
    pub(super) rates: Rates,
    pub(super) number: u32,
    pub(super) journal_order: u64,
    pub(super) contents: Contents,
    pub(super) outbound: Outbound,
    pub(super) changes: VecDeque<Change>,
    pub(super) change_sequence: u64,
    /// What was set up wrongly on purpose.
    pub(super) mistakes: Vec<Misconfiguration>,
}

impl Instance {
    /// A fresh instance with its seeded people, groups and devices, and no tickets.
    pub fn new(options: Options) -> Self {
        let dictionary = Dictionary::base(options.switches.old_close_codes);
        let mut store = Store::empty(&dictionary);
        seed::fill(&mut store, &dictionary, &options.username);
        Self {
            switches: options.switches,
            credentials: Credentials {
                username: options.username,
                password: options.password,
                client_id: options.client_id,
                client_secret: options.client_secret,
            },
            base_url: options.base_url,
            dictionary: Arc::new(dictionary),
            store,
            tokens: Tokens::default(),
            keyring: Keyring::default(),
            failures: BTreeMap::new(),
            hidden: BTreeSet::new(),
            ids: Random::seeded(options.seed),
            noise: Random::seeded(options.seed ^ u64::MAX),
            rates: Rates::limited_to(options.rate_limit_per_hour),
            // The base system's first own number is INC0010001.
            number: 10_000,
            journal_order: 0,
            contents: Contents::default(),
            outbound: Outbound::seeded(options.seed),
            changes: VecDeque::new(),
            change_sequence: 0,
            mistakes: Vec::new(),
        }
    }

    /// Answers a request that arrives at `now`, milliseconds since the epoch.
    pub fn handle(&mut self, request: &Request, now: i64) -> Response {
        if let Some(stranger) = self.front() {
            return stranger;
        }
        let now = now.saturating_add(self.switches.clock_ahead_secs.saturating_mul(1_000));
        let answer = self.route(request, now).unwrap_or_else(|refusal| refusal.response());
        let mut answer = self.dress(answer, request);
        if self.switches.clock_ahead_secs != 0 {
            // The server that carries the answer would say its own time.
            answer = answer.with_header("Date", &dates::http(now));
        }
        if request.verb() == "HEAD" {
            answer.body.clear();
        }
        answer
    }

    /// The answer of what stands where the instance should be.
    fn front(&self) -> Option<Response> {
        match &self.switches.front {
            Front::Instance => None,
            Front::Hibernating => Some(faults::hibernating()),
            Front::OtherProduct => Some(Response::json(200, &json!({"name": "another product", "version": "7.1"}))),
            Front::Redirect(url) => Some(Response::empty(301).with_header("Location", url)),
        }
    }

    fn route(&mut self, request: &Request, now: i64) -> Result<Response, Refusal> {
        if request.path.len().saturating_add(request.query.len()) > self.switches.url_bytes_max {
            return Ok(Response::html(414, "<html><body><h1>414 Request-URI Too Large</h1></body></html>"));
        }
        match request.path.as_str() {
            "/oauth_token.do" => return Ok(oauth::token(self, request, now)),
            "/oauth_revoke_token.do" => return Ok(oauth::revoke(self, request)),
            // Pages send strangers to the login page; only /api answers 401 (facts/servicenow 2.2).
            path if !path.starts_with("/api/") => {
                let login = format!("{}/login.do", self.base_url);
                return Ok(Response::empty(302).with_header("Location", &login));
            }
            _ => {}
        }
        let caller = self.authenticate(request, now)?;
        if self.switches.rest_api_refused {
            return Err(Refusal::api_acl());
        }
        // Import sets, batch and aggregates would branch off here (facts/servicenow 6).
        let api = Api::of(&request.path).ok_or_else(Refusal::no_such_resource)?;
        let admission = self.rates.admit(&caller.user_name, now.div_euclid(1_000), self.switches.rate_lag_secs);
        let refused = admission.as_ref().filter(|admission| admission.refused.is_some());
        let mut answer = match refused {
            Some(admission) => Refusal::rate_limited(admission.limit).response(),
            None => match &api {
                Api::Table(target) => table_api::handle(self, request, target, &caller),
                Api::Attachment(place) => attachment_api::handle(self, request, place, &caller),
            }
            .unwrap_or_else(|refusal| refusal.response()),
        };
        answer.headers.extend(admission.into_iter().flat_map(|admission| admission.headers()));
        Ok(answer)
    }

    /// Adds what every answer carries (facts/servicenow 1.3; `c_RESTResponseV2API.md` prints the set).
    fn dress(&mut self, mut answer: Response, request: &Request) -> Response {
        let transaction: String = self.noise.hex32().chars().take(12).collect();
        let logged_in = if answer.status == 401 { "false" } else { "true" };
        for (name, text) in [
            ("X-Is-Logged-In", logged_in),
            ("X-Transaction-ID", &transaction),
            ("X-Content-Type-Options", "nosniff"),
            ("Pragma", "no-store,no-cache"),
            ("Cache-Control", "no-cache,no-store,must-revalidate,max-age=-1"),
            ("Expires", "0"),
            ("Server", "ServiceNow"),
            ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
            ("Server-Timing", "sem_wait;dur=0, sesh_wait;dur=0"),
        ] {
            answer.headers.push((name.to_owned(), text.to_owned()));
        }
        if answer.status == 401 {
            answer.headers.push(("WWW-Authenticate".to_owned(), "BASIC realm=\"Service-now\"".to_owned()));
        }
        if answer.status == 401 && self.switches.second_factor_asked {
            answer.headers.push(("X-MFA_TOKEN".to_owned(), "invalid".to_owned()));
        }
        if request.cookie("JSESSIONID").is_none() {
            let (session, route, store) = (self.noise.hex32(), self.noise.hex32(), self.noise.hex32());
            for cookie in [
                format!("JSESSIONID={}; Path=/; HttpOnly; SameSite=None; Secure", session.to_uppercase()),
                "glide_user=; Max-Age=0; Path=/".to_owned(),
                "glide_user_session=; Max-Age=0; Path=/".to_owned(),
                format!("glide_user_route=glide.{route}; Max-Age=2147483647; Path=/; HttpOnly"),
                format!("glide_session_store={}; Max-Age=1800; Path=/; HttpOnly", store.to_uppercase()),
            ] {
                answer.headers.push(("Set-Cookie".to_owned(), cookie));
            }
        }
        answer
    }

    pub(super) fn view<'i>(&'i self, caller: &'i Caller) -> View<'i> {
        View {
            store: &self.store,
            dictionary: &self.dictionary,
            switches: &self.switches,
            base_url: &self.base_url,
            zone_minutes: caller.zone_minutes,
            format: &caller.format,
        }
    }
}
