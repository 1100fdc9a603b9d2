//! What a journey tells: one event per thing that happened, log and metric together.

use tracing::warn;

use super::journey::Journey;
use super::work::Work;
use crate::delivery::record::Parking;
use crate::domain::id::DeliveryId;
use crate::store::{Pause, Postponement, Settlement, Waiting};
use crate::telemetry::events::{Delivered, EchoCut, FieldDropped, Folded, Parked, Retried, TenantPaused};

/// The delivery is done, what it folded in, and what ServiceNow did not store as asked.
pub(super) fn delivered(journey: &Journey<'_>, work: &Work, settlement: &Settlement) {
    let (tenant, incident, delivery) = (&journey.claim.tenant, &journey.claim.incident, &work.delivery);
    let ticket = settlement.ending.ticket.as_ref().map(|ticket| ticket.number.as_str());
    let took = journey.now().since(work.accepted_at);
    let attempts = journey.claim.attempts;
    Delivered { tenant, direction: journey.claim.direction.as_str(), incident, delivery, ticket, attempts, took }
        .emit();
    if work.folded > 1 {
        Folded { tenant, incident, into: delivery, superseded: work.folded as u64 - 1 }.emit();
    }
    for difference in &settlement.ending.differences {
        FieldDropped { tenant, incident, delivery, field: &difference.field, reason: "stored_otherwise" }.emit();
    }
}

/// The lane goes back undone.
pub(super) fn postponed(journey: &Journey<'_>, delivery: &DeliveryId, postponement: &Postponement) {
    let Some(attempt) = &postponement.attempt else { return };
    let (tenant, incident) = (&journey.claim.tenant, &journey.claim.incident);
    let (reason, attempts) = (attempt.outcome.code.as_str(), journey.claim.attempts);
    let wait = postponement.at.since(journey.now());
    Retried { tenant, direction: journey.claim.direction.as_str(), incident, delivery, reason, attempts, wait }.emit();
}

/// A delivery of the way back is done.
pub(super) fn back_delivered(journey: &Journey<'_>, waiting: &Waiting, settlement: &Settlement) {
    let (tenant, incident, delivery) = (&journey.claim.tenant, &journey.claim.incident, &waiting.id);
    let ticket = settlement.ending.ticket.as_ref().map(|ticket| ticket.number.as_str());
    let (took, attempts) = (journey.now().since(waiting.accepted_at), journey.claim.attempts);
    Delivered { tenant, direction: journey.claim.direction.as_str(), incident, delivery, ticket, attempts, took }
        .emit();
}

/// Something of our own came back and went no further.
pub(super) fn echo(journey: &Journey<'_>, how: &'static str) {
    EchoCut { tenant: &journey.claim.tenant, how, incident: Some(&journey.claim.incident) }.emit();
}

/// The whole tenant waits.
pub(super) fn paused(journey: &Journey<'_>, pause: &Pause) {
    TenantPaused { tenant: &journey.claim.tenant, reason: &pause.code, detail: &pause.reason }.emit();
}

/// A person is needed.
pub(super) fn parked(journey: &Journey<'_>, delivery: &DeliveryId, parking: &Parking) {
    let (tenant, incident) = (&journey.claim.tenant, &journey.claim.incident);
    let detail = format!("{} Next: {}.", parking.reason, parking.next_step);
    Parked {
        tenant,
        direction: journey.claim.direction.as_str(),
        incident,
        delivery,
        reason: &parking.code,
        detail: &detail,
    }
    .emit();
}

/// Whether the last write still had the right; if not, another owner goes on and this one stops.
pub(super) fn held(journey: &Journey<'_>, held: bool) {
    if !held {
        warn!(tenant.id = %journey.claim.tenant, incident.id = %journey.claim.incident,
            "Lost the lane of incident {} to another owner, which goes on with it", journey.claim.incident);
    }
}
