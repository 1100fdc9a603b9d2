//! The queue of async jobs: what a change sets going, when it runs, what follows a failure.
//!
//! Owns: which rules a change fires, the jobs and their luck, the way through the wire, a flow's attempts.
//! Never: reads a record (that is [`super::Instance::due_calls`]). Fails: by losing a job when too many wait, and counting it.
//! Proved by: `tests/outbound`.

use std::collections::BTreeMap;

use super::super::instance::{Change, Operation};
use super::super::random::Random;
use super::super::store::Record;
use super::call::{CallEnd, CallState, OutboundCall, OutboundLog, OutboundRecord};
use super::rule::{Backoff, Retry, Subscription, WebhookRule};
use super::signing;
use super::wire::{Rolling, Wire};
use crate::limits::{SIM_FLOW_SECS_MAX, SIM_OUTBOUND_JOBS_MAX, SIM_OUTBOUND_OPEN_MAX};

/// What a change happened to.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) enum Origin<'r> {
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
pub(super) struct Trigger {
    pub(super) subscription: u32,
    pub(super) event: String,
    pub(super) table: String,
    pub(super) sys_id: String,
    pub(super) operation: Operation,
    pub(super) actor: String,
    pub(super) columns: Vec<String>,
    /// The record of a delete, as it was.
    pub(super) gone: Option<Record>,
}

/// A call whose body is written.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) subscription: u32,
    pub(super) event: String,
    pub(super) table: String,
    pub(super) sys_id: String,
    pub(super) body: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) user_agent: &'static str,
    pub(super) attempt: u32,
    /// When the first attempt was made.
    pub(super) first_at: i64,
    /// Held back once already.
    pub(super) held: bool,
    /// A copy made by the wire; nobody repeats it again.
    pub(super) repeated: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Job {
    Run(Trigger),
    Send(Prepared),
}

/// Subscriptions, jobs and the log of an instance.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Outbound {
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) last_subscription: u32,
    /// By the time they are due, then in the order they came.
    pub(super) jobs: BTreeMap<(i64, u64), Job>,
    job_sequence: u64,
    luck: Random,
    pub(super) wire: Rolling,
    pub(super) log: OutboundLog,
    calls: u64,
    /// Calls of flows whose end is awaited.
    open: BTreeMap<u64, Prepared>,
    /// Jobs lost because too many waited.
    pub(super) overflowed: u64,
    /// Nothing runs before: an upgrade, a stopped scheduler.
    pub(super) paused_until: i64,
}

impl Outbound {
    /// Its own luck: whether somebody listens must not move the ids of records.
    pub(in crate::sim) fn seeded(seed: u64) -> Self {
        Self {
            subscriptions: Vec::new(),
            last_subscription: 0,
            jobs: BTreeMap::new(),
            job_sequence: 0,
            luck: Random::seeded(seed ^ 0x0B0E_D0C5),
            wire: Rolling::of(Wire::default()),
            log: OutboundLog::default(),
            calls: 0,
            open: BTreeMap::new(),
            overflowed: 0,
            paused_until: i64::MIN,
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

    /// The same subscriptions and wire, and nothing of what happened: what a reset leaves.
    pub(in crate::sim) fn restarted(&self, seed: u64) -> Self {
        Self {
            subscriptions: self.subscriptions.clone(),
            last_subscription: self.last_subscription,
            wire: Rolling::of(self.wire.wire),
            ..Self::seeded(seed)
        }
    }

    /// Enqueues a job for every rule that the change fires.
    pub(in crate::sim) fn notice(&mut self, change: &Change, origin: Origin<'_>) {
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

    pub(super) fn take_due(&mut self, now: i64) -> Option<Job> {
        if now < self.paused_until {
            return None;
        }
        let first = self.jobs.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    pub(super) fn subscription(&self, id: u32) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.id == id)
    }

    /// What the wire lets through.
    pub(super) fn through_wire(&mut self, mut prepared: Prepared, now: i64) -> Option<OutboundCall> {
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
        self.log.push(OutboundRecord {
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

    pub(super) fn ended(&mut self, id: u64, end: CallEnd, now: i64) {
        let (state, retry_after_secs) = match end {
            CallEnd::Answered { status, retry_after_secs } => (CallState::Answered(status), retry_after_secs),
            CallEnd::Failed(why) => (CallState::Failed(why), None),
        };
        let again = match &state {
            CallState::Answered(status) => matches!(status, 408 | 429 | 500..=599),
            CallState::Sent | CallState::Failed(_) | CallState::Dropped => true,
        };
        self.log.end(id, state);
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
