//! `POST /v1/tenants/{tenant}/events`: verify, check, store, answer. Everything else happens later.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::cloudevents::{self, Envelope, Mode, Read};
use super::deliveries::{self, prefer_wait};
use super::error::{ApiError, Code, Fault};
use super::openapi::Sending;
use super::pressure::{self, Door, Place};
use super::{Face, extract};
use crate::delivery::record::Direction;
use crate::domain::change::Change;
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::limits::BODY_BYTES_MAX;
use crate::runtime::{entropy, failpoint};
use crate::store::{Accepted, NewDelivery, Receipt};
use crate::telemetry::events as told;
use crate::tenants::{Enabled, Tenant};

/// What a sender holds for one event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ReceiptBody {
    #[schema(value_type = String)]
    pub(super) delivery: DeliveryId,
    #[schema(value_type = String)]
    pub(super) tenant: TenantId,
    #[schema(value_type = String)]
    pub(super) incident: IncidentId,
    pub(super) sequence: u64,
    pub(super) duplicate: bool,
}

/// What `202` carries.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the two forms of an answer")]
enum Taken {
    One(ReceiptBody),
    Batch(Receipts),
}

/// Of a batch, in its order.
#[derive(Serialize, ToSchema)]
pub(super) struct Receipts {
    receipts: Vec<ReceiptBody>,
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/events",
    tag = "senders",
    summary = "Send events: CloudEvents 1.0, structured, binary or as a batch",
    params(
        ("tenant" = String, Path, description = "The tenant's name"),
        ("Prefer" = Option<String>, Header, description = "`wait=10`: answer when it is delivered, at most after so many seconds")
    ),
    request_body(
        description = "One event, a batch of them, or (with `ce-*` headers) the data of one",
        content(
            (Object = "application/cloudevents+json"),
            (Vec<Object> = "application/cloudevents-batch+json"),
            (Object = "application/json")
        )
    ),
    responses(
        (status = 200, description = "Known already, or delivered while it was waited for", body = ReceiptBody),
        (status = 202, description = "On disk; a batch has a list of receipts", body = inline(Taken)),
        Sending
    ),
    security(("senderKey" = []), ("signature" = [])),
    extensions(("x-caller" = json!("sender")))
)]
pub(super) async fn accept(
    face: Data<Face>,
    tenant: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    pressure::check_open(&face)?;
    extract::knock(&face, &tenant, &request)?;
    let body = extract::body(&request, payload, BODY_BYTES_MAX).await?;
    let tenant = extract::authenticate(&face, &tenant, &request, &body)?;
    let outcome = take(&face, &tenant, request.headers(), &body).await;
    if let Err(refusal) = &outcome {
        tell_refused(&tenant, refusal);
    }
    outcome
}

/// Tells that a tenant's own sender was refused.
pub(super) fn tell_refused(tenant: &Tenant, refusal: &ApiError) {
    let (code, status) = (refusal.code().as_str(), refusal.status().as_u16());
    told::Refused { tenant: Some(tenant.id()), code, status, reason: &refusal.in_short() }.emit();
}

/// Whether anything is taken for this tenant, in this encoding.
pub(super) fn check_taken(tenant: &Tenant, headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.get_all("content-encoding").any(|encoding| encoding.as_bytes() != b"identity") {
        return Err(ApiError::new(Code::UnsupportedMediaType, "compressed bodies are not accepted: send it as it is"));
    }
    if tenant.is_enabled() {
        return Ok(());
    }
    let missing = match tenant.settings().enabled {
        Enabled::AfterCheck => {
            "this tenant is not enabled yet: it needs a passed check of its instance, and an operator who enables it \
             (`snowgate tenants enable`)"
        }
        Enabled::No | Enabled::Yes => "this tenant is switched off (`enabled: false`)",
    };
    Err(ApiError::new(Code::StoreUnavailable, missing).retry_after(Duration::from_mins(1)))
}

async fn take(face: &Face, tenant: &Arc<Tenant>, headers: &HeaderMap, body: &[u8]) -> Result<HttpResponse, ApiError> {
    check_taken(tenant, headers)?;
    let mode = Mode::of(headers)?;
    let wait = prefer_wait(headers)?;
    let receipts = store(face, tenant, (headers, body), mode).await?;
    face.accepted.one();
    if mode == Mode::Batch {
        return Ok(HttpResponse::Accepted().json(Receipts { receipts }));
    }
    let receipt = receipts.into_iter().next().ok_or_else(|| ApiError::new(Code::Internal, "no receipt"))?;
    if let Some(wait) = wait
        // It is stored: a failure to read it back is no failure to take it.
        && let Ok(Some(ended)) = deliveries::ended_within(face, tenant, &receipt.delivery, wait).await
    {
        return Ok(HttpResponse::Ok().insert_header(("preference-applied", "wait")).json(ended));
    }
    Ok(if receipt.duplicate { HttpResponse::Ok().json(receipt) } else { HttpResponse::Accepted().json(receipt) })
}

/// Checks every event, commits them together, and gives each its receipt.
async fn store(
    face: &Face,
    tenant: &Tenant,
    (headers, body): (&HeaderMap, &[u8]),
    mode: Mode,
) -> Result<Vec<ReceiptBody>, ApiError> {
    let place = face.pressure.enter(tenant, Door::Events)?;
    let batch = mode == Mode::Batch;
    let items: Vec<Read<'_>> = cloudevents::read(mode, headers, body)?;
    let mut changes = Vec::with_capacity(items.len());
    let mut faults = Vec::new();
    for (item, read) in items.into_iter().enumerate() {
        match read.and_then(|envelope| new_delivery(tenant.id(), envelope)) {
            Ok(change) => changes.push(change),
            Err(wrong) => faults.extend(wrong.into_iter().map(|fault| Fault { item: batch.then_some(item), ..fault })),
        }
    }
    if !faults.is_empty() {
        return Err(ApiError::invalid(faults));
    }
    commit(face, &place, changes, batch).await
}

/// Commits deliveries together, all or none, and gives each its receipt.
pub(super) async fn commit(
    face: &Face,
    place: &Place<'_>,
    changes: Vec<NewDelivery>,
    batch: bool,
) -> Result<Vec<ReceiptBody>, ApiError> {
    let incidents: Vec<_> = changes.iter().map(|change| change.incident.clone()).collect();
    failpoint::hit("accept.before_commit");
    let stands = face.store.accept(changes).await?;
    failpoint::hit("accept.after_commit");
    place.stored(stands.iter().filter(|stand| matches!(stand, Accepted::Stored(_))).count());
    receipts(place.tenant(), incidents, stands, batch)
}

/// What becomes of a body, item by item, before anything is stored; for whoever has a body and no request.
pub fn deliveries_of(
    tenant: &TenantId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<Result<NewDelivery, Vec<Fault>>>, ApiError> {
    let items = cloudevents::read(Mode::of(headers)?, headers, body)?;
    Ok(items.into_iter().map(|read| read.and_then(|envelope| new_delivery(tenant, envelope))).collect())
}

fn new_delivery(tenant: &TenantId, envelope: Envelope<'_>) -> Result<NewDelivery, Vec<Fault>> {
    let Envelope { event, kind, subject, data, is_echo } = envelope;
    let change = Change::from_slice(kind, subject, data.as_bytes()).map_err(|faults| {
        let fault = |fault: crate::domain::change::Fault| Fault {
            item: None,
            pointer: format!("/data{}", fault.pointer),
            message: fault.message,
        };
        faults.into_iter().map(fault).collect::<Vec<_>>()
    })?;
    let mut hash = Sha256::new();
    hash.update(kind.as_str());
    hash.update([0]);
    hash.update(data);
    Ok(NewDelivery {
        id: entropy::new_delivery_id(),
        tenant: tenant.clone(),
        direction: Direction::ToServicenow,
        incident: change.incident.id,
        event,
        kind: kind.into(),
        body: Arc::from(data),
        body_hash: hash.finalize().into(),
        is_echo,
    })
}

/// Receipts in order; if anything conflicts nothing was stored, and each conflict is named.
fn receipts(
    tenant: &TenantId,
    incidents: Vec<IncidentId>,
    stands: Vec<Accepted>,
    batch: bool,
) -> Result<Vec<ReceiptBody>, ApiError> {
    let mut receipts = Vec::with_capacity(stands.len());
    let mut conflicts = Vec::new();
    let mut full = false;
    for (item, (incident, stand)) in incidents.into_iter().zip(stands).enumerate() {
        match stand {
            Accepted::Stored(receipt) => receipts.push(body(tenant, incident, receipt, false)),
            Accepted::Repeat(receipt) => receipts.push(body(tenant, incident, receipt, true)),
            Accepted::LaneFull => full = true,
            // Another item of the call speaks against it, and is named.
            Accepted::NotStored => {}
            Accepted::Conflict(receipt) => conflicts.push(Fault {
                item: batch.then_some(item),
                pointer: "/id".to_owned(),
                message: format!(
                    "was used before with another body, as {}; a new event needs a new id",
                    receipt.delivery
                ),
            }),
        }
    }
    if !conflicts.is_empty() {
        return Err(ApiError::new(Code::EventConflict, "nothing was stored; see `faults`").with_faults(conflicts));
    }
    if full {
        let detail = "deliveries of this incident pile up; nothing was stored, send it again later";
        return Err(ApiError::new(Code::LaneFull, detail).retry_after(Duration::from_secs(30)));
    }
    Ok(receipts)
}

fn body(tenant: &TenantId, incident: IncidentId, receipt: Receipt, duplicate: bool) -> ReceiptBody {
    let Receipt { delivery, sequence } = receipt;
    told::Accepted {
        tenant,
        direction: Direction::ToServicenow.as_str(),
        incident: &incident,
        delivery: &delivery,
        duplicate,
    }
    .emit();
    ReceiptBody { delivery, tenant: tenant.clone(), incident, sequence, duplicate }
}
