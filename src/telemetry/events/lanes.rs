//! What happens to deliveries: delivered, parked, retried, folded; fields ServiceNow dropped; how much waits.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, info, warn};

use super::label;
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::telemetry::catalogue::{
    BACKLOG, DELIVERED, DELIVERY_SECONDS, FIELDS_DROPPED, FOLDED, OLDEST_DUE, OLDEST_WAITING, PARKED, PARKED_NOW,
    RETRIED, SLOTS, SLOW_TENANTS,
};

/// A delivery reached the other side.
#[derive(Debug)]
pub struct Delivered<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `to_ticket` or `to_incident`.
    pub direction: &'static str,
    /// What it is about.
    pub incident: &'a IncidentId,
    /// Which.
    pub delivery: &'a DeliveryId,
    /// The ticket's number for people, if known.
    pub ticket: Option<&'a str>,
    /// How many attempts it took.
    pub attempts: u32,
    /// From acceptance until now.
    pub took: Duration,
}

impl Delivered<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, direction, incident, delivery, ticket, attempts, took } = self;
        counter!(DELIVERED, "tenant" => label(tenant), "direction" => direction).increment(1);
        histogram!(DELIVERY_SECONDS, "tenant" => label(tenant), "direction" => direction).record(took);
        let ticket = ticket.unwrap_or("");
        info!(tenant.id = %tenant, direction, incident.id = %incident, delivery.id = %delivery, ticket.number = ticket,
            attempts, took_secs = took.as_secs_f64(), "Delivered {delivery} of incident {incident}");
    }
}

/// A delivery was put aside for a person; its lane waits, no other does.
#[derive(Debug)]
pub struct Parked<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `to_ticket` or `to_incident`.
    pub direction: &'static str,
    /// What it is about.
    pub incident: &'a IncidentId,
    /// Which.
    pub delivery: &'a DeliveryId,
    /// The reason's stable name.
    pub reason: &'a str,
    /// The reason in words, with the next step; never a body.
    pub detail: &'a str,
}

impl Parked<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, direction, incident, delivery, reason, detail } = self;
        counter!(PARKED, "tenant" => label(tenant), "direction" => direction, "reason" => reason.to_owned())
            .increment(1);
        warn!(tenant.id = %tenant, direction, incident.id = %incident, delivery.id = %delivery, reason,
            "Parked {delivery} of incident {incident}: {detail}");
    }
}

/// An attempt failed and the lane will try again.
#[derive(Debug)]
pub struct Retried<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `to_ticket` or `to_incident`.
    pub direction: &'static str,
    /// What it is about.
    pub incident: &'a IncidentId,
    /// Which.
    pub delivery: &'a DeliveryId,
    /// The reason's stable name.
    pub reason: &'a str,
    /// Attempts so far.
    pub attempts: u32,
    /// Until the next one.
    pub wait: Duration,
}

impl Retried<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, direction, incident, delivery, reason, attempts, wait } = self;
        counter!(RETRIED, "tenant" => label(tenant), "direction" => direction, "reason" => reason.to_owned())
            .increment(1);
        info!(tenant.id = %tenant, direction, incident.id = %incident, delivery.id = %delivery, reason, attempts,
            wait_secs = wait.as_secs_f64(), "Will retry {delivery} of incident {incident} in {wait:.0?}: {reason}");
    }
}

/// Waiting field updates were carried by a later delivery in one call.
#[derive(Debug)]
pub struct Folded<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// What they are about.
    pub incident: &'a IncidentId,
    /// The delivery that carried them.
    pub into: &'a DeliveryId,
    /// How many earlier ones it replaced.
    pub superseded: u64,
}

impl Folded<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, incident, into, superseded } = self;
        counter!(FOLDED, "tenant" => label(tenant)).increment(superseded);
        debug!(tenant.id = %tenant, incident.id = %incident, delivery.id = %into, superseded,
            "Folded {superseded} waiting updates of incident {incident} into {into}");
    }
}

/// ServiceNow, or the mapping's limits, did not store a field as asked.
#[derive(Debug)]
pub struct FieldDropped<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// What it is about.
    pub incident: &'a IncidentId,
    /// Which delivery asked.
    pub delivery: &'a DeliveryId,
    /// The ticket's field.
    pub field: &'a str,
    /// The likely reason's stable name, such as `unknown_field`, `no_right` or `too_long`.
    pub reason: &'a str,
}

impl FieldDropped<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, incident, delivery, field, reason } = self;
        counter!(FIELDS_DROPPED, "tenant" => label(tenant), "reason" => reason.to_owned()).increment(1);
        warn!(tenant.id = %tenant, incident.id = %incident, delivery.id = %delivery, field, reason,
            "Field {field} was not stored as asked: {reason}");
    }
}

/// How much waits for one tenant in one direction, measured now and then. Metrics only: nothing happened.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `to_ticket` or `to_incident`.
    pub direction: &'static str,
    /// How many deliveries wait.
    pub backlog: u64,
    /// The age of the oldest of them; zero when none waits.
    pub oldest: Duration,
    /// How many are parked.
    pub parked: u64,
}

impl Waiting<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, direction, backlog, oldest, parked } = self;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact up to 2^53 deliveries")]
        let (backlog, parked) = (backlog as f64, parked as f64);
        gauge!(BACKLOG, "tenant" => label(tenant), "direction" => direction).set(backlog);
        gauge!(PARKED_NOW, "tenant" => label(tenant), "direction" => direction).set(parked);
        gauge!(OLDEST_WAITING, "tenant" => label(tenant), "direction" => direction).set(oldest);
    }
}

/// How long the longest waiting lane of a tenant and class has been due, measured now and then. Metrics only.
#[derive(Debug)]
pub struct OldestDue<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `high`, `normal` or `low`.
    pub class: &'static str,
    /// For how long; zero when none is due.
    pub age: Duration,
}

impl OldestDue<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, class, age } = self;
        gauge!(OLDEST_DUE, "tenant" => label(tenant), "class" => class).set(age);
    }
}

/// How the worker's slots are used, measured now and then. Metrics only.
#[derive(Debug)]
pub struct SlotsInUse {
    /// Lanes that may be worked on at once.
    pub all: usize,
    /// Lanes that are.
    pub held: usize,
    /// Of these, lanes of slow tenants.
    pub slow: usize,
    /// Lanes of slow tenants that may be worked on at once.
    pub slow_max: usize,
    /// Tenants that are slow.
    pub slow_tenants: usize,
}

impl SlotsInUse {
    /// Tells it.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact far beyond any number of slots")]
    pub fn emit(self) {
        let Self { all, held, slow, slow_max, slow_tenants } = self;
        for (word, count) in [("all", all), ("held", held), ("slow", slow), ("slow_max", slow_max)] {
            gauge!(SLOTS, "use" => word).set(count as f64);
        }
        gauge!(SLOW_TENANTS).set(slow_tenants as f64);
    }
}

/// A tenant's lanes began to take long, or no longer do.
#[derive(Debug)]
pub struct TenantSlow<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Which of the two.
    pub slow: bool,
}

impl TenantSlow<'_> {
    /// Tells it. The gauge is set with those of the slots.
    pub fn emit(self) {
        let Self { tenant, slow } = self;
        if slow {
            info!(tenant.id = %tenant, "{tenant} is slow: its lanes share a quarter of the slots with those of other slow tenants");
        } else {
            info!(tenant.id = %tenant, "{tenant} is no longer slow");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_waits_is_told_in_seconds_and_pieces() {
        let tenant = TenantId::parse("contoso").unwrap();
        let text = Metrics::local(|| {
            let oldest = Duration::from_millis(1_500);
            Waiting { tenant: &tenant, direction: "to_ticket", backlog: 7, oldest, parked: 2 }.emit();
        })
        .unwrap();
        let labels = r#"{tenant="contoso",direction="to_ticket"}"#;
        assert!(text.contains(&format!("snowgate_oldest_waiting_seconds{labels} 1.5")), "{text}");
        assert!(text.contains(&format!("snowgate_backlog_deliveries{labels} 7")), "{text}");
        assert!(text.contains(&format!("snowgate_parked_deliveries{labels} 2")), "{text}");
    }

    #[test]
    fn folding_counts_every_delivery_it_replaced() {
        let (tenant, incident) = (TenantId::parse("contoso").unwrap(), IncidentId::parse("MTR-1").unwrap());
        let into = DeliveryId::from_bits(1);
        let text = Metrics::local(|| {
            Folded { tenant: &tenant, incident: &incident, into: &into, superseded: 3 }.emit();
        })
        .unwrap();
        assert!(text.contains(r#"snowgate_deliveries_folded_total{tenant="contoso"} 3"#), "{text}");
    }
}
