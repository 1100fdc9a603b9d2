//! Outbound calls: the instance's business rules call somebody, late, out of order, and once.
//!
//! Owns: subscriptions, the queue of async jobs, calls, and what becomes of a failed one. Never: opens a socket or waits;
//! [`Instance::due_calls`] says what is to be sent now, whoever calls it sends it (`pump` over real HTTP, a simulation in
//! virtual time) and may tell how it ended.
//! Fails: a call that fails is lost and written down, unless the rule is a flow with a retry policy.
//! Proved by: `tests/outbound`, `tests/calling`. Source: facts/servicenow 7 ("Business rules", `c_BusinessRules.md`; `c_RESTMessageV2API.md`;
//! "Outbound REST authentication"; "Retry policy").
//!
//! The three facts that shape it: an async job runs some time after its change, in no order; it reads the record as it is
//! *then*, so that two quick updates tell the same newest story twice; and only the user of the change is remembered.

mod payload;
pub(super) mod pump;
mod rule;
pub(super) mod signing;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub(super) use payload::ascii;
pub use rule::{Backoff, InvalidRule, Payload, Retry, SignatureForm, WebhookRule};
pub use wire::{InvalidWire, Wire};

use self::payload::Occasion;
use self::rule::Subscription;
use self::wire::Rolling;
use super::access::Caller;
use super::instance::{Change, Instance, Operation};
use super::random::Random;
use super::store::Record;
use crate::limits::{
    SIM_FLOW_SECS_MAX, SIM_OUTBOUND_JOBS_MAX, SIM_OUTBOUND_LOG_MAX, SIM_OUTBOUND_OPEN_MAX, SIM_SUBSCRIPTIONS_MAX,
};

/// One HTTP POST that is to be sent now.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundCall {
    /// Names the call towards [`Instance::call_ended`] and in the log.
    pub id: u64,
    /// Host and port, what the limit of four connections counts.
    pub host: String,
    /// The whole URL.
    pub url: String,
    /// All headers, the signature among them.
    pub headers: Vec<(String, String)>,
    /// The body, as signed.
    pub body: Vec<u8>,
    /// 1, or more for the attempts of a flow.
    pub attempt: u32,
}

impl std::fmt::Debug for OutboundCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        f.debug_struct("OutboundCall")
            .field("id", &self.id)
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("body", &body)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// With an answer.
    Answered {
        /// The status.
        status: u16,
        /// Its `Retry-After`, in seconds.
        retry_after_secs: Option<u64>,
    },
    /// Without one; the text is for people.
    Failed(String),
}

/// What is known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Handed out; its end is not known.
    Sent,
    /// The receiver answered with this status.
    Answered(u16),
    /// There was no answer.
    Failed(String),
    /// The wire lost it.
    Dropped,
}

/// One call in the log; bodies are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRecord {
    /// [`OutboundCall::id`].
    pub id: u64,
    /// When it was sent, milliseconds since the epoch.
    pub at: i64,
    /// The subscription.
    pub subscription: u32,
    /// Where to.
    pub url: String,
    /// The record it speaks of.
    pub table: String,
    /// The record it speaks of.
    pub sys_id: String,
    /// `webhook-id`.
    pub event: String,
    /// Which attempt.
    pub attempt: u32,
    /// Whether the wire made it, as a copy of one sent before.
    pub repeated: bool,
    /// What became of it.
    pub state: CallState,
}

/// What a change happened to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'r> {
    /// The record itself; of a deleted one, what it was.
    Record {
        /// The deleted record.
        gone: Option<&'r Record>,
    },
    /// A file of the record: rules on `sys_attachment` know no columns of the ticket.
    File,
}

/// A change that fired a rule, waiting for its job to run.
#[derive(Clone, Debug)]
struct Trigger {
    subscription: u32,
    event: String,
    table: String,
    sys_id: String,
    operation: Operation,
    actor: String,
    columns: Vec<String>,
    /// The record of a delete, as it was.
    gone: Option<Record>,
}

/// A call whose body is written.
#[derive(Clone, Debug)]
struct Prepared {
    subscription: u32,
    event: String,
    table: String,
    sys_id: String,
    body: Vec<u8>,
    content_type: &'static str,
    user_agent: &'static str,
    attempt: u32,
    /// When the first attempt was made.
    first_at: i64,
    /// Held back once already.
    held: bool,
    /// A copy made by the wire; nobody repeats it again.
    repeated: bool,
}

#[derive(Clone, Debug)]
enum Job {
    Run(Trigger),
    Send(Prepared),
}

/// Subscriptions, jobs and the log of an instance.
#[derive(Clone, Debug)]
pub(super) struct Outbound {
    subscriptions: Vec<Subscription>,
    last_subscription: u32,
    /// By the time they are due, then in the order they came.
    jobs: BTreeMap<(i64, u64), Job>,
    job_sequence: u64,
    luck: Random,
    wire: Rolling,
    log: VecDeque<OutboundRecord>,
    calls: u64,
    /// Calls of flows whose end is awaited.
    open: BTreeMap<u64, Prepared>,
    /// Jobs lost because too many waited.
    overflowed: u64,
}

impl Outbound {
    /// Its own luck: whether somebody listens must not move the ids of records.
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            subscriptions: Vec::new(),
            last_subscription: 0,
            jobs: BTreeMap::new(),
            job_sequence: 0,
            luck: Random::seeded(seed ^ 0x0B0E_D0C5),
            wire: Rolling::of(Wire::default()),
            log: VecDeque::new(),
            calls: 0,
            open: BTreeMap::new(),
            overflowed: 0,
        }
    }

    /// The same subscriptions under another instance's name, with an empty queue: what a clone of production wakes up with.
    pub(super) fn cloned(&self, instance_name: &str, seed: u64) -> Self {
        let mut subscriptions = self.subscriptions.clone();
        for subscription in &mut subscriptions {
            instance_name.clone_into(&mut subscription.rule.instance_name);
        }
        Self { subscriptions, last_subscription: self.last_subscription, ..Self::seeded(seed) }
    }

    /// Enqueues a job for every rule that the change fires.
    pub(super) fn notice(&mut self, change: &Change, origin: Origin<'_>) {
        let gone = match origin {
            Origin::Record { gone } => gone,
            Origin::File => None,
        };
        let fired: Vec<(u32, u64)> = self
            .subscriptions
            .iter()
            .filter(|subscription| fires(&subscription.rule, change, origin))
            .map(|subscription| (subscription.id, subscription.rule.delay_ms_max))
            .collect();
        for (subscription, delay_ms_max) in fired {
            let delay = self.luck.below(delay_ms_max.saturating_add(1));
            let trigger = Trigger {
                subscription,
                event: self.luck.hex32(),
                table: change.table.clone(),
                sys_id: change.sys_id.clone(),
                operation: change.operation,
                actor: change.by.clone(),
                columns: change.columns.clone(),
                gone: gone.cloned(),
            };
            self.enqueue(later(change.at, delay), Job::Run(trigger));
        }
    }

    fn enqueue(&mut self, due: i64, job: Job) {
        if self.jobs.len() >= SIM_OUTBOUND_JOBS_MAX {
            self.overflowed = self.overflowed.saturating_add(1);
            return;
        }
        self.job_sequence = self.job_sequence.saturating_add(1);
        self.jobs.insert((due, self.job_sequence), job);
    }

    fn take_due(&mut self, now: i64) -> Option<Job> {
        let first = self.jobs.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    fn subscription(&self, id: u32) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.id == id)
    }

    /// What the wire lets through.
    fn through_wire(&mut self, mut prepared: Prepared, now: i64) -> Option<OutboundCall> {
        let roll = self.wire.roll();
        if let Some(hold) = roll.held_for.filter(|_| !prepared.held) {
            prepared.held = true;
            self.enqueue(later(now, hold), Job::Send(prepared));
            return None;
        }
        if let Some(wait) = roll.repeated_after.filter(|_| !prepared.repeated) {
            let copy = Prepared { held: true, repeated: true, ..prepared.clone() };
            self.enqueue(later(now, wait), Job::Send(copy));
        }
        let call = self.call(&prepared, now)?;
        self.write_down(&prepared, call.id, now, if roll.dropped { CallState::Dropped } else { CallState::Sent });
        if roll.dropped {
            self.retry(prepared, None, now);
            return None;
        }
        if self.flows(&prepared) {
            self.open.insert(call.id, prepared);
            if self.open.len() > SIM_OUTBOUND_OPEN_MAX {
                self.open.pop_first();
            }
        }
        Some(call)
    }

    /// The bytes on the wire: the same id and body in every attempt, a fresh time and signature in each.
    fn call(&mut self, prepared: &Prepared, now: i64) -> Option<OutboundCall> {
        self.calls = self.calls.saturating_add(1);
        let id = self.calls;
        let subscription = self.subscription(prepared.subscription)?;
        let timestamp = now.div_euclid(1_000).to_string();
        let signed = (prepared.event.as_str(), timestamp.as_str());
        let form = subscription.rule.signature;
        let signature = signing::signature(&subscription.key, form, signed, &prepared.body);
        let headers = [
            ("Content-Type", prepared.content_type),
            ("User-Agent", prepared.user_agent),
            ("webhook-id", &prepared.event),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
        ];
        Some(OutboundCall {
            id,
            host: subscription.host.clone(),
            url: subscription.rule.url.clone(),
            headers: headers.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec(),
            body: prepared.body.clone(),
            attempt: prepared.attempt,
        })
    }

    fn write_down(&mut self, prepared: &Prepared, id: u64, at: i64, state: CallState) {
        let url = self.subscription(prepared.subscription).map_or_else(String::new, |one| one.rule.url.clone());
        if self.log.len() >= SIM_OUTBOUND_LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(OutboundRecord {
            id,
            at,
            subscription: prepared.subscription,
            url,
            table: prepared.table.clone(),
            sys_id: prepared.sys_id.clone(),
            event: prepared.event.clone(),
            attempt: prepared.attempt,
            repeated: prepared.repeated,
            state,
        });
    }

    fn flows(&self, prepared: &Prepared) -> bool {
        let retry = self.subscription(prepared.subscription).map(|subscription| subscription.rule.retry);
        !prepared.repeated && matches!(retry, Some(Retry::Flow { .. }))
    }

    /// Another attempt, if the rule is a flow that has one left.
    fn retry(&mut self, prepared: Prepared, retry_after_secs: Option<u64>, now: i64) {
        let Some(Retry::Flow { count, wait_secs, backoff }) =
            self.subscription(prepared.subscription).map(|subscription| subscription.rule.retry)
        else {
            return;
        };
        let doublings = prepared.attempt.saturating_sub(1).min(16);
        let wait_secs = match backoff {
            Backoff::Fixed => u64::from(wait_secs),
            Backoff::Exponential => u64::from(wait_secs).saturating_mul(1_u64 << doublings),
            Backoff::RetryAfter => retry_after_secs.unwrap_or_else(|| u64::from(wait_secs)),
        };
        let due = later(now, wait_secs.saturating_mul(1_000));
        let too_late = due.saturating_sub(prepared.first_at) > SIM_FLOW_SECS_MAX.saturating_mul(1_000);
        if prepared.repeated || prepared.attempt > count || too_late {
            return;
        }
        let again = Prepared { attempt: prepared.attempt.saturating_add(1), held: false, ..prepared };
        self.enqueue(due, Job::Send(again));
    }

    fn ended(&mut self, id: u64, end: CallEnd, now: i64) {
        let (state, retry_after_secs) = match end {
            CallEnd::Answered { status, retry_after_secs } => (CallState::Answered(status), retry_after_secs),
            CallEnd::Failed(why) => (CallState::Failed(why), None),
        };
        let again = match &state {
            CallState::Answered(status) => matches!(status, 408 | 429 | 500..=599),
            CallState::Sent | CallState::Failed(_) | CallState::Dropped => true,
        };
        // Ids grow along the log.
        let at = self.log.partition_point(|record| record.id < id);
        if let Some(record) = self.log.get_mut(at).filter(|record| record.id == id) {
            record.state = state;
        }
        if let Some(prepared) = self.open.remove(&id).filter(|_| again) {
            self.retry(prepared, retry_after_secs, now);
        }
    }
}

/// Whether a rule's conditions hold for a change, at the time of the change.
fn fires(rule: &WebhookRule, change: &Change, origin: Origin<'_>) -> bool {
    let touched = match origin {
        Origin::File => rule.attachments,
        Origin::Record { .. } => {
            change.operation != Operation::Update
                || rule.columns.is_empty()
                || change.columns.iter().any(|column| rule.columns.contains(column))
        }
    };
    rule.table == change.table && rule.skip_user.as_deref() != Some(&change.by) && touched
}

fn later(at: i64, millis: u64) -> i64 {
    at.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX))
}

impl Instance {
    /// Adds a business rule that calls a URL, and gives its number.
    pub fn subscribe(&mut self, rule: WebhookRule) -> Result<u32, InvalidRule> {
        if self.outbound.subscriptions.len() >= SIM_SUBSCRIPTIONS_MAX {
            return Err(InvalidRule::TooMany);
        }
        let id = self.outbound.last_subscription.saturating_add(1);
        self.outbound.subscriptions.push(Subscription::read(id, rule)?);
        self.outbound.last_subscription = id;
        Ok(id)
    }

    /// The rules that call somebody, with their numbers.
    pub fn subscriptions(&self) -> impl Iterator<Item = (u32, &WebhookRule)> {
        self.outbound.subscriptions.iter().map(|subscription| (subscription.id, &subscription.rule))
    }

    /// Removes every such rule; their waiting jobs find nothing to do.
    pub fn unsubscribe_all(&mut self) {
        self.outbound.subscriptions.clear();
    }

    /// Replaces what the wire does to calls; its luck starts again from its seed.
    pub fn set_wire(&mut self, wire: Wire) {
        self.outbound.wire = Rolling::of(wire);
    }

    /// What the wire does to calls.
    pub const fn wire(&self) -> Wire {
        self.outbound.wire.wire
    }

    /// When the next job is due, milliseconds since the epoch; `None` if none waits.
    pub fn next_call_at(&self) -> Option<i64> {
        self.outbound.jobs.first_key_value().map(|((due, _), _)| *due)
    }

    /// Jobs that wait.
    pub fn jobs_waiting(&self) -> usize {
        self.outbound.jobs.len()
    }

    /// Runs the jobs due at `now` and gives the calls to be sent.
    pub fn due_calls(&mut self, now: i64) -> Vec<OutboundCall> {
        self.due_calls_up_to(usize::MAX, now)
    }

    /// As [`Instance::due_calls`], but at most so many: a job that finds no free thread reads its record later.
    pub fn due_calls_up_to(&mut self, max: usize, now: i64) -> Vec<OutboundCall> {
        let mut calls = Vec::new();
        while calls.len() < max
            && let Some(job) = self.outbound.take_due(now)
        {
            let prepared = match job {
                Job::Run(trigger) => self.prepare(trigger, now),
                Job::Send(prepared) => Some(prepared),
            };
            calls.extend(prepared.and_then(|prepared| self.outbound.through_wire(prepared, now)));
        }
        calls
    }

    /// Tells how a call ended; only flows care, everyone else just writes it down.
    pub fn call_ended(&mut self, id: u64, end: CallEnd, now: i64) {
        self.outbound.ended(id, end, now);
    }

    /// The last calls, oldest first.
    pub fn outbound_calls(&self) -> impl Iterator<Item = &OutboundRecord> {
        self.outbound.log.iter()
    }

    /// Jobs lost because too many waited.
    pub const fn jobs_overflowed(&self) -> u64 {
        self.outbound.overflowed
    }

    /// A clone of this instance as a test instance: the same records, users and passwords, and the same rules with the same
    /// URLs and secrets, which now call production's receiver under another name (facts/servicenow 8.26).
    #[must_use]
    pub fn clone_as(&self, instance_name: &str, seed: u64) -> Self {
        let mut clone = self.clone();
        clone.outbound = self.outbound.cloned(instance_name, seed);
        clone.base_url = format!("https://{instance_name}.service-now.com");
        clone.ids = Random::seeded(seed);
        clone
    }

    /// Writes the body, from the record as it is now. The record of an update may be gone; then there is nothing to say.
    fn prepare(&mut self, trigger: Trigger, now: i64) -> Option<Prepared> {
        let dictionary = Arc::clone(&self.dictionary);
        let table = dictionary.table(&trigger.table)?;
        let record = match &trigger.gone {
            Some(record) => record,
            None => self.store.row(&trigger.table, &trigger.sys_id)?,
        };
        let rule = &self.outbound.subscription(trigger.subscription)?.rule;
        let occasion = Occasion {
            event: &trigger.event,
            operation: trigger.operation,
            actor: &trigger.actor,
            columns: &trigger.columns,
        };
        let view = self.view(&Caller::system(now));
        let (body, content_type, user_agent) = payload::write(rule, occasion, view, table, record);
        Some(Prepared {
            subscription: trigger.subscription,
            event: trigger.event,
            table: trigger.table,
            sys_id: trigger.sys_id,
            body,
            content_type,
            user_agent,
            attempt: 1,
            first_at: now,
            held: false,
            repeated: false,
        })
    }
}
