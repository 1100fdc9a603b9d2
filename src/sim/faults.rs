//! Faults: what can go wrong between a client and an instance, as a value.
//!
//! Owns: rolling a fate for a request, and what each fate means. Never: waits; [`perform`] says how long its caller must.
//! Both the HTTP server and a virtual-time simulation call [`perform`], so a fate means the same in both.
//! Fails: it cannot. Proved by: the tests below and `server`.
//!
//! How to play a fate, whatever the clock:
//! 1. wait [`Fate::wait_before_ms`];
//! 2. call [`perform`] once;
//! 3. if [`Performed::apply_later_ms`] is set, hand the same request to the instance that much later and drop its answer;
//! 4. wait [`Performed::wait_after_ms`];
//! 5. send [`Performed::answer`], or cut the connection if there is none.

use serde_json::{Value, json};

use super::errors::Refusal;
use super::fault_plan::FaultPlan;
use super::instance::Instance;
use super::message::{Request, Response};
use super::random::Random;
use crate::limits::SIM_TRANSACTION_MILLIS_MAX;

/// What happens to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Nothing special.
    #[default]
    Normal,
    /// The instance thinks for so long, then applies and answers. From 60 s on a quota rule cancels it instead, not applied
    /// (facts/servicenow 3.4).
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Applied; the connection breaks before the answer.
    AnswerLost,
    /// The connection breaks at once; the request is applied later, when the client may long have tried again.
    Zombie {
        /// Milliseconds until it is applied.
        ms: u64,
    },
    /// The connection breaks before the request is read: not applied.
    ResetBefore,
    /// `202` without a body: the session queue overflowed, not applied (KB0564204).
    NotExecuted202,
    /// `200` with the page of a hibernating instance, not applied (facts/servicenow 2.2); on the token endpoint too.
    HtmlOk,
    /// `200` (or `201`) with `result` and `error` in one body; writes are applied (KB0778443).
    PartialOk,
    /// Applied, but `403`: the answer could not be read back (KB0546297, KB2697679).
    ForbiddenAfterCommit,
    /// `429` from a rate-limit rule, with its headers; not applied.
    RateLimited {
        /// Seconds in `Retry-After`.
        retry_after_secs: u64,
    },
    /// `429` from a full semaphore queue, without headers; not applied (KB0564204).
    SemaphoreFull,
    /// `401`, and every access token is forgotten; not applied.
    Unauthorized,
    /// A `5xx`; whether it was applied only the instance knows.
    ServerError {
        /// 500 to 599; 502 to 504 come as a page from the load balancer.
        status: u16,
        /// Whether the request was applied first.
        applied: bool,
    },
    /// Applied at once; the answer takes its time.
    SlowAnswer {
        /// Milliseconds.
        ms: u64,
    },
}

impl Fate {
    /// The words of the text form, [`Fate::Normal`] aside.
    pub const WORDS: [&'static str; 13] = [
        "delay",
        "answer_lost",
        "zombie",
        "reset_before",
        "not_executed_202",
        "html_ok",
        "partial_ok",
        "forbidden_after_commit",
        "rate_limited",
        "semaphore_full",
        "unauthorized",
        "server_error",
        "slow_answer",
    ];

    /// The word of the text form.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Delay { .. } => "delay",
            Self::AnswerLost => "answer_lost",
            Self::Zombie { .. } => "zombie",
            Self::ResetBefore => "reset_before",
            Self::NotExecuted202 => "not_executed_202",
            Self::HtmlOk => "html_ok",
            Self::PartialOk => "partial_ok",
            Self::ForbiddenAfterCommit => "forbidden_after_commit",
            Self::RateLimited { .. } => "rate_limited",
            Self::SemaphoreFull => "semaphore_full",
            Self::Unauthorized => "unauthorized",
            Self::ServerError { .. } => "server_error",
            Self::SlowAnswer { .. } => "slow_answer",
        }
    }

    /// How long the instance takes before it looks at the request, milliseconds.
    pub fn wait_before_ms(self) -> u64 {
        match self {
            Self::Delay { ms } => ms.min(SIM_TRANSACTION_MILLIS_MAX),
            Self::Normal
            | Self::AnswerLost
            | Self::Zombie { .. }
            | Self::ResetBefore
            | Self::NotExecuted202
            | Self::HtmlOk
            | Self::PartialOk
            | Self::ForbiddenAfterCommit
            | Self::RateLimited { .. }
            | Self::SemaphoreFull
            | Self::Unauthorized
            | Self::ServerError { .. }
            | Self::SlowAnswer { .. } => 0,
        }
    }

    /// The answer of a fate that answers without applying the request; `None` for all others.
    pub fn answer_without_applying(self, now: i64) -> Option<Response> {
        match self {
            Self::Delay { ms } if ms >= SIM_TRANSACTION_MILLIS_MAX => Some(Refusal::transaction_cancelled().response()),
            Self::NotExecuted202 => Some(Response::empty(202)),
            Self::HtmlOk => Some(hibernating()),
            Self::RateLimited { retry_after_secs } => Some(rate_limited(retry_after_secs, now)),
            Self::SemaphoreFull => Some(semaphore_full()),
            Self::Unauthorized => Some(
                Refusal::not_authenticated(false)
                    .response()
                    .with_header("WWW-Authenticate", "BASIC realm=\"Service-now\""),
            ),
            Self::ServerError { status, applied: false } => Some(server_error(status)),
            Self::Normal
            | Self::Delay { .. }
            | Self::AnswerLost
            | Self::Zombie { .. }
            | Self::ResetBefore
            | Self::PartialOk
            | Self::ForbiddenAfterCommit
            | Self::ServerError { applied: true, .. }
            | Self::SlowAnswer { .. } => None,
        }
    }

    /// What a fate makes of the real answer to a request.
    #[must_use]
    pub fn mangle(self, request: &Request, real: Response) -> Response {
        // A refusal has nothing to hide: only a success is turned into something misleading.
        if !(200..300).contains(&real.status) {
            return real;
        }
        match self {
            Self::PartialOk => partial(real),
            Self::ForbiddenAfterCommit => forbidden(request),
            Self::ServerError { status, applied: true } => server_error(status),
            Self::Normal
            | Self::Delay { .. }
            | Self::AnswerLost
            | Self::Zombie { .. }
            | Self::ResetBefore
            | Self::NotExecuted202
            | Self::HtmlOk
            | Self::RateLimited { .. }
            | Self::SemaphoreFull
            | Self::Unauthorized
            | Self::ServerError { applied: false, .. }
            | Self::SlowAnswer { .. } => real,
        }
    }
}

/// What became of a call; see the module's text for the order of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed {
    /// The answer; `None` means: cut the connection.
    pub answer: Option<Response>,
    /// Whether the instance has handled the request already (it may still have refused it).
    pub applied: bool,
    /// Hand the request to the instance this much later, milliseconds.
    pub apply_later_ms: Option<u64>,
    /// How long to hold the answer back, milliseconds.
    pub wait_after_ms: u64,
}

/// Plays a fate on an instance at `now`, milliseconds since the epoch.
pub fn perform(instance: &mut Instance, request: &Request, fate: Fate, now: i64) -> Performed {
    let nothing = Performed { answer: None, applied: false, apply_later_ms: None, wait_after_ms: 0 };
    if fate == Fate::Unauthorized {
        instance.drop_tokens();
    }
    if let Some(answer) = fate.answer_without_applying(now) {
        return Performed { answer: Some(answer), ..nothing };
    }
    match fate {
        Fate::ResetBefore => nothing,
        Fate::Zombie { ms } => Performed { apply_later_ms: Some(ms), ..nothing },
        Fate::AnswerLost => {
            instance.handle(request, now);
            Performed { applied: true, ..nothing }
        }
        Fate::SlowAnswer { ms } => {
            let answer = instance.handle(request, now);
            Performed { answer: Some(answer), applied: true, wait_after_ms: ms, ..nothing }
        }
        Fate::Normal
        | Fate::Delay { .. }
        | Fate::NotExecuted202
        | Fate::HtmlOk
        | Fate::PartialOk
        | Fate::ForbiddenAfterCommit
        | Fate::RateLimited { .. }
        | Fate::SemaphoreFull
        | Fate::Unauthorized
        | Fate::ServerError { .. } => {
            let real = instance.handle(request, now);
            Performed { answer: Some(fate.mangle(request, real)), applied: true, ..nothing }
        }
    }
}

/// A plan being played: the same plan and the same calls give the same fates.
#[derive(Clone, Debug)]
pub struct Faults {
    plan: FaultPlan,
    random: Random,
    seen: u64,
    struck: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(FaultPlan::default())
    }
}

impl Faults {
    /// Starts a plan from its seed.
    pub const fn new(plan: FaultPlan) -> Self {
        let random = Random::seeded(plan.seed);
        Self { plan, random, seen: 0, struck: 0 }
    }

    /// The plan being played.
    pub const fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    /// How many faults have struck.
    pub const fn struck(&self) -> u64 {
        self.struck
    }

    /// The fate of the next call. One roll per call in scope, so that a rate does not shift the luck of another.
    pub fn decide(&mut self, request: &Request) -> Fate {
        if !self.in_scope(request) {
            return Fate::Normal;
        }
        self.seen = self.seen.saturating_add(1);
        let mut roll = self.random.below(1_000);
        let spent = self.plan.first.is_some_and(|first| self.seen > first)
            || self.plan.budget.is_some_and(|budget| self.struck >= budget);
        if spent {
            return Fate::Normal;
        }
        for rate in &self.plan.rates {
            let Some(rest) = roll.checked_sub(u64::from(rate.per_mille)) else {
                self.struck = self.struck.saturating_add(1);
                return rate.fate;
            };
            roll = rest;
        }
        Fate::Normal
    }

    fn in_scope(&self, request: &Request) -> bool {
        let verb = request.verb();
        let verb_fits = self.plan.verbs.is_empty() || self.plan.verbs.contains(&verb);
        verb_fits && request.path.contains(&self.plan.path)
    }
}

/// The page of a hibernating instance, with the marks real ones carry (facts/servicenow 2.2).
pub(super) fn hibernating() -> Response {
    Response::html(
        200,
        "<html><head><title>Instance Hibernating page</title></head><body class=\"instance-hibernating-page\">\
         <h1>Hibernating Instance</h1><p>Want to find out why instances hibernate?</p></body></html>",
    )
}

/// A load balancer without a node behind it; the real page has no public source.
pub(super) fn unavailable(status: u16) -> Response {
    Response::html(status, &format!("<html><body><h1>{status} Service Unavailable</h1></body></html>"))
}

/// `429` of layer two: no `Retry-After`, no `X-RateLimit-*`, no JSON (KB0564204, KB0635398; the body has no public source).
pub(super) fn semaphore_full() -> Response {
    Response::html(429, "<html><body>Too many requests</body></html>")
}

fn server_error(status: u16) -> Response {
    if status == 500 { Refusal::server_error(status).response() } else { unavailable(status) }
}

fn rate_limited(retry_after_secs: u64, now: i64) -> Response {
    let wait = i64::try_from(retry_after_secs).unwrap_or(i64::MAX);
    let reset = now.div_euclid(1_000).saturating_add(wait);
    Refusal::rate_limited(100)
        .response()
        .with_header("Retry-After", &wait.to_string())
        .with_header("X-RateLimit-Limit", "100")
        .with_header("X-RateLimit-Reset", &reset.to_string())
}

/// The refusal that follows a success, in the words of the operation.
fn forbidden(request: &Request) -> Response {
    let refusal = match request.verb().as_str() {
        "POST" => Refusal::acl("Insert"),
        "PUT" | "PATCH" => Refusal::acl("Update"),
        "DELETE" => Refusal::acl("Delete"),
        _ => Refusal::query_refused(),
    };
    refusal.response()
}

/// The success with an `error` beside its `result`, as a cancelled stream leaves it.
fn partial(mut real: Response) -> Response {
    let mut body = real.value().unwrap_or_else(|| json!({"result": {}}));
    if let (Value::Object(body), Value::Object(error)) = (&mut body, Refusal::transaction_cancelled().envelope()) {
        body.extend(error);
    }
    real.body = body.to_string().into_bytes();
    real
}

#[cfg(test)]
mod tests {
    use super::super::instance::Options;
    use super::*;

    const NOW: i64 = 1_795_327_200_000;

    fn post() -> Request {
        let request = Request::new("POST", "/api/now/table/incident");
        request.with_header("Authorization", "Basic c25vd2dhdGU6c25vd2dhdGU=").with_json(&json!({"state": "1"}))
    }

    /// Status (0 for a cut connection) and number of tickets after a fate.
    fn check(fate: Fate, status: u16, tickets: usize) -> Performed {
        let mut instance = Instance::new(Options::default());
        let performed = perform(&mut instance, &post(), fate, NOW);
        let answered = performed.answer.as_ref().map_or(0, |answer| answer.status);
        assert_eq!((answered, instance.count("incident")), (status, tickets), "{fate:?}");
        assert_eq!(performed.applied, tickets == 1, "{fate:?}");
        performed
    }

    #[test]
    fn each_fate_answers_and_applies_as_its_name_says() {
        check(Fate::Normal, 201, 1);
        check(Fate::Delay { ms: 500 }, 201, 1);
        check(Fate::Delay { ms: 60_000 }, 500, 0);
        check(Fate::AnswerLost, 0, 1);
        check(Fate::ResetBefore, 0, 0);
        check(Fate::NotExecuted202, 202, 0);
        check(Fate::HtmlOk, 200, 0);
        check(Fate::ForbiddenAfterCommit, 403, 1);
        check(Fate::SemaphoreFull, 429, 0);
        check(Fate::Unauthorized, 401, 0);
        check(Fate::ServerError { status: 503, applied: false }, 503, 0);
        check(Fate::ServerError { status: 500, applied: true }, 500, 1);
        assert_eq!(check(Fate::Zombie { ms: 8_000 }, 0, 0).apply_later_ms, Some(8_000));
        assert_eq!(check(Fate::SlowAnswer { ms: 30 }, 201, 1).wait_after_ms, 30);
        let partial = check(Fate::PartialOk, 201, 1).answer.and_then(|answer| answer.value()).expect("json");
        assert!(partial["result"]["number"].is_string() && partial["error"]["message"].is_string(), "{partial}");
        let limited = check(Fate::RateLimited { retry_after_secs: 20 }, 429, 0).answer.expect("an answer");
        assert_eq!(limited.header("Retry-After"), Some("20"));
    }

    #[test]
    fn a_refusal_is_never_dressed_up() {
        let mut instance = Instance::new(Options::default());
        let stranger = Request::new("POST", "/api/now/table/incident");
        for fate in [Fate::PartialOk, Fate::ForbiddenAfterCommit, Fate::ServerError { status: 500, applied: true }] {
            let answer = perform(&mut instance, &stranger, fate, NOW).answer.expect("an answer");
            assert_eq!(answer.status, 401, "{fate:?}");
        }
    }

    fn fates(plan: &str, calls: usize) -> Vec<Fate> {
        let mut faults = Faults::new(FaultPlan::parse(plan).expect("a plan"));
        (0..calls).map(|_| faults.decide(&post())).collect()
    }

    #[test]
    fn the_same_seed_strikes_the_same_calls_at_about_the_rate() {
        let plan = "seed=3,answer_lost=100,html_ok=50";
        assert_eq!(fates(plan, 1_000), fates(plan, 1_000));
        assert_ne!(fates(plan, 1_000), fates("seed=4,answer_lost=100,html_ok=50", 1_000));
        let lost = fates(plan, 10_000).iter().filter(|fate| **fate == Fate::AnswerLost).count();
        assert!((900..1_100).contains(&lost), "{lost} of 10000 at 100 per mille");
    }

    #[test]
    fn a_chosen_id_survives_a_zombie_in_virtual_time() {
        let body = json!({"sys_id": "0123456789abcdef0123456789abcdef"});
        for (request, tickets) in [(post(), 2), (Request { body: body.to_string().into_bytes(), ..post() }, 1)] {
            let mut instance = Instance::new(Options::default());
            let zombie = perform(&mut instance, &request, Fate::Zombie { ms: 50_000 }, NOW);
            let retry = perform(&mut instance, &request, Fate::Normal, NOW + 30_000);
            assert_eq!(retry.answer.map(|answer| answer.status), Some(201));
            let later = i64::try_from(zombie.apply_later_ms.expect("it comes back")).expect("small");
            instance.handle(&request, NOW + later);
            assert_eq!(instance.count("incident"), tickets);
        }
    }

    #[test]
    fn scope_and_budget_end_the_trouble() {
        let struck = |plan: &str| fates(plan, 100).iter().filter(|fate| **fate != Fate::Normal).count();
        assert_eq!(struck("html_ok=1000"), 100);
        assert_eq!(struck("html_ok=1000,budget=3"), 3);
        assert_eq!(struck("html_ok=1000,first=7"), 7);
        assert_eq!(struck("html_ok=1000,verbs=GET+PATCH"), 0);
        assert_eq!(struck("html_ok=1000,path=/oauth_token.do"), 0);
    }
}
