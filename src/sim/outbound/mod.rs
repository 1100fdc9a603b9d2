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

mod call;
mod payload;
pub(super) mod pump;
mod queue;
mod rule;
pub(super) mod signing;
mod wire;

use std::sync::Arc;

pub use call::{CallEnd, CallState, OutboundCall, OutboundRecord};
pub(super) use payload::ascii;
pub(super) use queue::{Origin, Outbound};
pub use rule::{Backoff, InvalidRule, Payload, Retry, SignatureForm, WebhookRule};
pub use wire::{InvalidWire, Wire};

use self::payload::Occasion;
use self::queue::{Job, Prepared, Trigger};
use self::rule::Subscription;
use self::wire::Rolling;
use super::access::Caller;
use super::instance::Instance;
use super::random::Random;
use crate::limits::SIM_SUBSCRIPTIONS_MAX;

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
        self.outbound.jobs.first_key_value().map(|((due, _), _)| (*due).max(self.outbound.paused_until))
    }

    /// Lets no job run before that time; then all that waited run at once, as after an upgrade (facts/servicenow 8.35).
    pub const fn pause_jobs_until(&mut self, at: i64) {
        self.outbound.paused_until = at;
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
        self.outbound.log.records()
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
        let system = Caller::system(now);
        let view = self.view(&system);
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
