//! What happens between us and an instance: calls, the breaker, pauses.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, info, warn};

use super::label;
use crate::domain::id::TenantId;
use crate::telemetry::catalogue::{
    BREAKER, CALL_SECONDS, CALLBACK_SECONDS, CALLBACKS, CALLS, DRIFT, FIRST_RESPONSES_OVERDUE, PAUSED, SWEEP_SECONDS,
    SWEPT,
};

/// A call to ServiceNow ended, one way or another.
#[derive(Debug)]
pub struct CallFinished<'a> {
    /// Whose instance.
    pub tenant: &'a TenantId,
    /// How the answer was classified, by its stable name.
    pub class: &'static str,
    /// What was called, in our words, such as `create ticket`; never a URL with a query.
    pub operation: &'static str,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

impl CallFinished<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, class, operation, status, took } = self;
        counter!(CALLS, "tenant" => label(tenant), "class" => class).increment(1);
        histogram!(CALL_SECONDS, "tenant" => label(tenant), "class" => class).record(took);
        debug!(tenant.id = %tenant, class, operation, status, took_secs = took.as_secs_f64(),
            "ServiceNow answered: {operation}, {class}");
    }
}

/// A call to the managed service ended, one way or another.
#[derive(Debug)]
pub struct CallbackFinished<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// How the answer was classified, by its stable name.
    pub class: &'static str,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

impl CallbackFinished<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, class, status, took } = self;
        counter!(CALLBACKS, "tenant" => label(tenant), "class" => class).increment(1);
        histogram!(CALLBACK_SECONDS, "tenant" => label(tenant), "class" => class).record(took);
        debug!(tenant.id = %tenant, class, status, took_secs = took.as_secs_f64(),
            "The managed service answered a callback: {class}");
    }
}

/// A sweep of an instance ended.
#[derive(Debug)]
pub struct Swept<'a> {
    /// Whose instance.
    pub tenant: &'a TenantId,
    /// Tickets looked at.
    pub tickets: usize,
    /// Tickets with something that no webhook had told.
    pub drifted: usize,
    /// How long it took.
    pub took: Duration,
}

impl Swept<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, tickets, drifted, took } = self;
        counter!(SWEPT, "tenant" => label(tenant)).increment(tickets as u64);
        counter!(DRIFT, "tenant" => label(tenant)).increment(drifted as u64);
        histogram!(SWEEP_SECONDS, "tenant" => label(tenant)).record(took);
        if drifted > 0 {
            info!(tenant.id = %tenant, tickets, drifted, took_secs = took.as_secs_f64(),
                "A sweep of {tickets} tickets found {drifted} with news that no webhook had told");
        } else {
            debug!(tenant.id = %tenant, tickets, took_secs = took.as_secs_f64(), "A sweep of {tickets} tickets found nothing new");
        }
    }
}

/// A batch of open tickets was looked at for late first answers.
#[derive(Debug)]
pub struct FirstResponses<'a> {
    /// Whose instance.
    pub tenant: &'a TenantId,
    /// Tickets looked at.
    pub looked_at: usize,
    /// Of those, tickets whose first answer is late.
    pub overdue: usize,
}

impl FirstResponses<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, looked_at, overdue } = self;
        let overdue_now = u32::try_from(overdue).unwrap_or(u32::MAX);
        gauge!(FIRST_RESPONSES_OVERDUE, "tenant" => label(tenant)).set(f64::from(overdue_now));
        if overdue > 0 {
            warn!(tenant.id = %tenant, looked_at, overdue, "{overdue} of {looked_at} open tickets wait too long for a first answer");
        }
    }
}

/// Where a circuit breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// One probe at a time goes through.
    HalfOpen,
    /// No call goes through.
    Open,
}

/// The tenant's circuit breaker changed.
#[derive(Debug)]
pub struct BreakerChanged<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// What it is now.
    pub now: BreakerState,
    /// Why, in words.
    pub reason: &'a str,
}

impl BreakerChanged<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, now, reason } = self;
        let value = match now {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        gauge!(BREAKER, "tenant" => label(tenant)).set(value);
        match now {
            BreakerState::Closed => info!(tenant.id = %tenant, "Calls to {tenant} flow again: {reason}"),
            BreakerState::HalfOpen => info!(tenant.id = %tenant, "Probing {tenant}: {reason}"),
            BreakerState::Open => warn!(tenant.id = %tenant, "Calls to {tenant} are held back: {reason}"),
        }
    }
}

/// Deliveries of a tenant are held back until a person, or a probe, says otherwise.
#[derive(Debug)]
pub struct TenantPaused<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// The reason's stable name, such as `operator` or `auth`.
    pub reason: &'a str,
    /// The reason in words, with the next step.
    pub detail: &'a str,
}

impl TenantPaused<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, reason, detail } = self;
        gauge!(PAUSED, "tenant" => label(tenant), "reason" => reason.to_owned()).set(1.0);
        warn!(tenant.id = %tenant, reason, "Paused {tenant}: {detail}");
    }
}

/// A pause ended.
#[derive(Debug)]
pub struct TenantResumed<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// The reason for which it had been paused.
    pub reason: &'a str,
}

impl TenantResumed<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, reason } = self;
        gauge!(PAUSED, "tenant" => label(tenant), "reason" => reason.to_owned()).set(0.0);
        info!(tenant.id = %tenant, reason, "Resumed {tenant}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_pause_is_a_gauge_that_goes_back_to_zero() {
        let tenant = TenantId::parse("contoso").unwrap();
        let paused = || TenantPaused { tenant: &tenant, reason: "auth", detail: "401 twice" }.emit();
        let series = r#"snowgate_tenant_paused{tenant="contoso",reason="auth"}"#;
        assert!(Metrics::local(paused).unwrap().contains(&format!("{series} 1")));
        let text = Metrics::local(|| {
            paused();
            TenantResumed { tenant: &tenant, reason: "auth" }.emit();
        })
        .unwrap();
        assert!(text.contains(&format!("{series} 0")), "{text}");
    }

    #[test]
    fn a_call_counts_once_by_class_with_its_duration() {
        let tenant = TenantId::parse("contoso").unwrap();
        let text = Metrics::local(|| {
            let took = Duration::from_millis(300);
            CallFinished { tenant: &tenant, class: "busy", operation: "create ticket", status: Some(429), took }.emit();
        })
        .unwrap();
        assert!(text.contains(r#"snowgate_servicenow_calls_total{tenant="contoso",class="busy"} 1"#), "{text}");
        assert!(text.contains(r#"_call_seconds_bucket{tenant="contoso",class="busy",le="0.25"} 0"#), "{text}");
        assert!(text.contains(r#"_call_seconds_bucket{tenant="contoso",class="busy",le="0.5"} 1"#), "{text}");
    }
}
