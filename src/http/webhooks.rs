//! `POST /v1/tenants/{tenant}/webhooks/servicenow`: the instance says that a ticket changed. Verify, read, store, answer.
//!
//! Owns: what makes a webhook of ServiceNow recognisable, and an answer within two seconds whatever the store does: an
//! instance has four connections for us, and a slow answer stalls all its rules. Never: decides whether the ticket is
//! ours, what is new, or what is an echo; all of that needs the lane's memory and is the worker's.
//! Fails: with an [`ApiError`]. Most scripts never send again, so the sweep finds what was refused here.
//! Proved by: `tests/it/webhooks.rs`.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::error::{ApiError, Code, Fault};
use super::openapi::Calling;
use super::pressure::{self, Door};
use super::{Face, events, extract};
use crate::delivery::kind::{Kind, TicketKind};
use crate::delivery::record::Direction;
use crate::domain::id::{DeliveryId, EventKey, IncidentId, SysId, TenantId};
use crate::domain::sighting::{ReadSighting, Sighting, SightingFault};
use crate::limits::{WEBHOOK_BODY_BYTES_MAX, WEBHOOK_RETRY_AFTER, WEBHOOK_STORE_WAIT};
use crate::mapping::Mapping;
use crate::runtime::{entropy, failpoint};
use crate::store::{Accepted, NewDelivery, Receipt};
use crate::telemetry::events as told;
use crate::tenants::Tenant;

/// The `source` under which an instance's webhooks are remembered.
const SOURCE: &str = "servicenow";

/// What the instance is told of one webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TicketReceipt<'a> {
    #[schema(value_type = String)]
    delivery: DeliveryId,
    #[schema(value_type = String)]
    tenant: &'a TenantId,
    #[schema(value_type = String)]
    ticket: &'a SysId,
    sequence: u64,
    duplicate: bool,
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhooks/servicenow",
    tag = "instances",
    summary = "The tenant's own ServiceNow says that a ticket changed",
    params(("tenant" = String, Path, description = "The tenant's name")),
    request_body(content = Object, description = "How the ticket is, or only which one; any shape that names a ticket"),
    responses(
        (status = 200, description = "Known already", body = TicketReceipt<'_>),
        (status = 202, description = "On disk", body = TicketReceipt<'_>),
        Calling
    ),
    security(("signature" = [])),
    extensions(("x-caller" = json!("instance")))
)]
pub(super) async fn servicenow(
    face: Data<Face>,
    tenant: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    pressure::check_open(&face)?;
    extract::knock_as_instance(&face, &tenant, &request)?;
    let body = extract::body(&request, payload, WEBHOOK_BODY_BYTES_MAX).await?;
    let tenant = extract::authenticate_instance(&face, &tenant, &request, &body)?;
    let outcome = take(&face, &tenant, &request, &body).await;
    if let Err(refusal) = &outcome {
        events::tell_refused(&tenant, refusal);
    }
    outcome
}

async fn take(face: &Face, tenant: &Arc<Tenant>, request: &HttpRequest, body: &[u8]) -> Result<HttpResponse, ApiError> {
    events::check_taken(tenant, request.headers())?;
    let place = face.pressure.enter(tenant, Door::Webhooks)?;
    let content_type = extract::header(request, "content-type");
    let read = Sighting::read(body, content_type).map_err(|fault| unreadable(&fault))?;
    let ReadSighting { form, flaw, .. } = &read;
    told::WebhookRead { tenant: tenant.id(), form: form.as_str(), flaw: flaw.as_deref() }.emit();
    let event = event_key(extract::header(request, "webhook-id"), &read.sighting, body)?;
    let sys_id = read.sighting.sys_id.clone();
    let delivery = delivery_of(tenant.id(), tenant.mapping(), event, read, body);
    let lane = delivery.incident.clone();
    let (receipt, duplicate) = store(face, delivery).await?;
    place.stored(usize::from(!duplicate));
    face.accepted.one();
    let Receipt { delivery, sequence } = receipt;
    let direction = Direction::ToService.as_str();
    told::Accepted { tenant: tenant.id(), direction, incident: &lane, delivery: &delivery, duplicate }.emit();
    let receipt = TicketReceipt { delivery, tenant: tenant.id(), ticket: &sys_id, sequence, duplicate };
    Ok(if duplicate { HttpResponse::Ok().json(receipt) } else { HttpResponse::Accepted().json(receipt) })
}

fn unreadable(fault: &SightingFault) -> ApiError {
    if fault.is_malformed() {
        return ApiError::new(Code::MalformedJson, fault.to_string());
    }
    ApiError::invalid(vec![Fault { item: None, pointer: fault.pointer().to_owned(), message: fault.to_string() }])
}

/// What makes a repeat of this webhook recognisable.
///
/// A signed one has its own id. Without a signature only what surely differs from change to change can tell: an id made
/// for this one change, or the whole body if it holds the ticket's version. Two equal hints are two changes.
fn event_key(webhook_id: Option<&str>, sighting: &Sighting, body: &[u8]) -> Result<EventKey, ApiError> {
    let id = match webhook_id {
        Some(id) if id.eq_ignore_ascii_case(sighting.sys_id.as_str()) => {
            let detail = "`webhook-id` is the ticket's sys_id, which is the same for all of its changes: make one for each \
                          webhook, such as gs.generateGUID()";
            return Err(ApiError::new(Code::BadRequest, detail));
        }
        Some(id) => id.to_owned(),
        None => match &sighting.event {
            Some(event) if is_guid(event) && *event != *sighting.sys_id.as_str() => event.clone(),
            Some(_) | None if sighting.version.is_some() => STANDARD.encode(Sha256::digest(body)),
            Some(_) | None => entropy::new_word(),
        },
    };
    EventKey::new(SOURCE, &id).map_err(|invalid| ApiError::new(Code::BadRequest, format!("`webhook-id`: {invalid}")))
}

/// 32 hexadecimal digits, with or without dashes: an id made for one thing, and no word such as `updated`.
fn is_guid(text: &str) -> bool {
    text.bytes().filter(|byte| *byte != b'-').count() == 32
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Only what the mapping reads is kept: a private note, or a column that nobody asked for, is not even stored.
fn stripped(mut read: ReadSighting, mapping: &Mapping) -> ReadSighting {
    if let Some(fields) = &mut read.sighting.fields {
        fields.retain(|column, _| mapping.ticket_columns().iter().any(|wanted| **wanted == **column));
    }
    if let Some(journal) = &mut read.sighting.journal {
        journal.retain(|entry| mapping.entry_leaves_as(&entry.element).is_some());
    }
    if mapping.attachments_back().is_none() {
        read.sighting.attachments = None;
    }
    read.body = read.sighting.to_stored();
    read
}

/// A verified webhook as it is accepted: without what the mapping does not read.
pub fn delivery_of(
    tenant: &TenantId,
    mapping: &Mapping,
    event: EventKey,
    read: ReadSighting,
    body: &[u8],
) -> NewDelivery {
    let read = stripped(read, mapping);
    let kind = Kind::from(TicketKind::Seen);
    // Over the bytes as they came: how they are read may change with a version, a repeat must stay one.
    let hash = Sha256::new().chain_update(kind.as_str()).chain_update([0]).chain_update(body).finalize();
    NewDelivery {
        id: entropy::new_delivery_id(),
        tenant: tenant.clone(),
        direction: Direction::ToService,
        incident: IncidentId::lane_of_ticket(&read.sighting.sys_id),
        event,
        kind,
        body: Arc::from(read.body),
        body_hash: hash.into(),
        // Whose doing it was is told by the actor and the lane's memory; the sender cannot know.
        is_echo: false,
    }
}

/// Commits it, and says whether it had been committed before.
async fn store(face: &Face, delivery: NewDelivery) -> Result<(Receipt, bool), ApiError> {
    failpoint::hit("accept.before_commit");
    // Given up here it may still be committed; the same webhook sent again is then a repeat.
    let stands = tokio::time::timeout(WEBHOOK_STORE_WAIT, face.store.accept(vec![delivery])).await;
    let stands = stands.map_err(|_| {
        let detail = "the store is slow: it is not known whether this was stored, send it again";
        ApiError::new(Code::StoreUnavailable, detail).retry_after(WEBHOOK_RETRY_AFTER)
    })??;
    failpoint::hit("accept.after_commit");
    match stands.into_iter().next() {
        Some(Accepted::Stored(receipt)) => Ok((receipt, false)),
        Some(Accepted::Repeat(receipt)) => Ok((receipt, true)),
        Some(Accepted::Conflict(receipt)) => {
            let message =
                format!("was used before with another body, as {}; make one for each change", receipt.delivery);
            let fault = Fault { item: None, pointer: String::new(), message: format!("the webhook's id {message}") };
            Err(ApiError::new(Code::EventConflict, "nothing was stored; see `faults`").with_faults(vec![fault]))
        }
        Some(Accepted::LaneFull) => {
            let detail = "webhooks of this ticket pile up; this one was not stored, send it again later";
            Err(ApiError::new(Code::TicketLaneFull, detail).retry_after(WEBHOOK_RETRY_AFTER))
        }
        Some(Accepted::NotStored) | None => Err(ApiError::new(Code::Internal, "no receipt")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYS_ID: &str = "46c88ac1a9fe1981014de1c831fbcf6d";

    fn id_of(webhook_id: Option<&str>, body: &str) -> String {
        let read = Sighting::read(body.as_bytes(), None).unwrap();
        event_key(webhook_id, &read.sighting, body.as_bytes()).unwrap().parts().1.to_owned()
    }

    #[test]
    fn a_signed_webhook_is_known_by_its_own_id() {
        let body = format!(r#"{{"sys_id":"{SYS_ID}"}}"#);
        assert_eq!(id_of(Some("msg_1"), &body), "msg_1");
        let read = Sighting::read(body.as_bytes(), None).unwrap();
        let same_for_all = event_key(Some(&SYS_ID.to_uppercase()), &read.sighting, body.as_bytes()).unwrap_err();
        assert!(same_for_all.detail().contains("gs.generateGUID()"), "{same_for_all}");
    }

    #[test]
    fn two_equal_hints_without_an_id_are_two_changes() {
        let hint = format!(r#"{{"table":"incident","sys_id":"{SYS_ID}"}}"#);
        assert_ne!(id_of(None, &hint), id_of(None, &hint));
        let word = format!(r#"{{"event":"updated","sys_id":"{SYS_ID}"}}"#);
        assert_ne!(id_of(None, &word), id_of(None, &word), "a word is the same for every change");
        let own = format!(r#"{{"event":"{SYS_ID}","sys_id":"{SYS_ID}"}}"#);
        assert_ne!(id_of(None, &own), id_of(None, &own), "the ticket's key as well");
    }

    #[test]
    fn without_a_signature_an_id_made_for_one_change_or_the_tickets_version_tells_a_repeat() {
        let guid = "0f2a6c1e-7d7b-4a34-9d3e-0a0b0c0d0e0f";
        assert_eq!(id_of(None, &format!(r#"{{"event":"{guid}","sys_id":"{SYS_ID}"}}"#)), guid);
        let versioned = |version: u32| format!(r#"{{"sys_id":"{SYS_ID}","sys_mod_count":"{version}"}}"#);
        assert_eq!(id_of(None, &versioned(7)), id_of(None, &versioned(7)));
        assert_ne!(id_of(None, &versioned(7)), id_of(None, &versioned(8)));
    }
}
