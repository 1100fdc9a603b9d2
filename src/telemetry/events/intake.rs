//! What happens at the door: accepted, refused, recognised as our own echo.

use metrics::counter;
use tracing::{debug, info, warn};

use super::label;
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::telemetry::catalogue::{ACCEPTED, DUPLICATES, ECHOES, REFUSED, SHED, WEBHOOKS_READ};

/// A change is durable and was acknowledged.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `to_servicenow` or `to_service`.
    pub direction: &'static str,
    /// What it is about.
    pub incident: &'a IncidentId,
    /// Its receipt.
    pub delivery: &'a DeliveryId,
    /// Whether it had been accepted before.
    pub duplicate: bool,
}

impl Accepted<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, direction, incident, delivery, duplicate } = self;
        let name = if duplicate { DUPLICATES } else { ACCEPTED };
        counter!(name, "tenant" => label(tenant), "direction" => direction).increment(1);
        let verb = if duplicate { "Recognised a repeat of" } else { "Accepted" };
        debug!(tenant.id = %tenant, direction, incident.id = %incident, delivery.id = %delivery, duplicate,
            "{verb} a change of incident {incident} as {delivery}");
    }
}

/// A request was answered with an error of ours.
#[derive(Debug)]
pub struct Refused<'a> {
    /// Whose, once the sender was authenticated; a name from the path alone would let anyone make labels.
    pub tenant: Option<&'a TenantId>,
    /// The stable code of the answer.
    pub code: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Why, for the operator; never a body, never a secret.
    pub reason: &'a str,
}

impl Refused<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, code, status, reason } = self;
        let tenant = tenant.map_or("", TenantId::as_str);
        counter!(REFUSED, "tenant" => label(&tenant), "code" => code).increment(1);
        info!(tenant.id = tenant, code, status, "Refused a request: {reason}");
    }
}

/// A request was refused before any work was done for it. Metrics only: the refusal itself is told as any other.
#[derive(Debug)]
pub struct Shed {
    /// `starting`, `store_slow`, `crowded`, `store_full`, `tenant_full` or `tenant_crowded`.
    pub reason: &'static str,
}

impl Shed {
    /// Tells it.
    pub fn emit(self) {
        counter!(SHED, "reason" => self.reason).increment(1);
    }
}

/// A webhook of ServiceNow was understood.
#[derive(Debug)]
pub struct WebhookRead<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `snapshot`, `hint`, `flat` or `salvaged`.
    pub form: &'static str,
    /// What is wrong with a body that was salvaged; never a part of it.
    pub flaw: Option<&'a str>,
}

impl WebhookRead<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, form, flaw } = self;
        counter!(WEBHOOKS_READ, "tenant" => label(tenant), "form" => form).increment(1);
        if let Some(flaw) = flaw {
            warn!(tenant.id = %tenant, form, flaw, "Saved only the sys_id of a broken webhook: {flaw}");
        } else {
            debug!(tenant.id = %tenant, form, "Read a webhook as a {form}");
        }
    }
}

/// A change was our own write coming back.
#[derive(Debug)]
pub struct EchoCut<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// What gave it away: `actor`, `marker`, `origin` or `value`.
    pub how: &'static str,
    /// The incident it would have gone to, if known by then.
    pub incident: Option<&'a IncidentId>,
}

impl EchoCut<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, how, incident } = self;
        counter!(ECHOES, "tenant" => label(tenant), "how" => how).increment(1);
        let incident = incident.map_or("", IncidentId::as_str);
        debug!(tenant.id = %tenant, how, incident.id = incident, "Cut an echo of our own write, known by its {how}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_refusal_before_authentication_makes_no_tenant_label() {
        let text = Metrics::local(|| {
            Refused { tenant: None, code: "unauthenticated", status: 401, reason: "no such key" }.emit();
        })
        .unwrap();
        assert!(text.contains(r#"snowgate_requests_refused_total{tenant="",code="unauthenticated"} 1"#), "{text}");
    }

    #[test]
    fn a_repeat_counts_as_a_duplicate_and_not_as_accepted() {
        let (tenant, incident) = (TenantId::parse("contoso").unwrap(), IncidentId::parse("MTR-1").unwrap());
        let delivery = DeliveryId::from_bits(1);
        let accepted = |duplicate| Accepted {
            tenant: &tenant,
            direction: "to_servicenow",
            incident: &incident,
            delivery: &delivery,
            duplicate,
        };
        let text = Metrics::local(|| {
            accepted(false).emit();
            accepted(true).emit();
            accepted(true).emit();
        })
        .unwrap();
        let labels = r#"{tenant="contoso",direction="to_servicenow"}"#;
        assert!(text.contains(&format!("snowgate_changes_accepted_total{labels} 1")), "{text}");
        assert!(text.contains(&format!("snowgate_changes_duplicate_total{labels} 2")), "{text}");
    }
}
