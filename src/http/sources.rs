//! `POST /v1/tenants/{tenant}/sources/{source}`: a tool's own payload. Verify, read, store, answer.
//!
//! Owns: the order of the checks, and the status a tool takes as "come again": what may be sent again is never answered with a status
//! after which its sender gives up. Never: knows a tool; its source file does. What is stored is an event as any other.
//! Fails: with an [`ApiError`]; nothing of a payload is stored unless all of it is. Proved by: `tests/it/source_route.rs`.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::{ApiError, Code, Fault};
use super::events::{self, ReceiptBody};
use super::openapi::Feeding;
use super::pressure::{self, Door};
use super::{Face, cloudevents, extract};
use crate::delivery::record::Direction;
use crate::domain::id::TenantId;
use crate::limits::{BODY_BYTES_MAX, SOURCE_RETRY_AFTER};
use crate::mapping::source::{Busy, Source, SourceEvent, SourceFault};
use crate::runtime::entropy;
use crate::store::NewDelivery;
use crate::tenants::Tenant;

/// What a tool is told of its payload.
#[derive(Serialize, ToSchema)]
pub(super) struct Fed {
    receipts: Vec<ReceiptBody>,
    /// Items that the source file says nothing of.
    skipped: usize,
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/sources/{source}",
    tag = "senders",
    summary = "Send a tool's own payload; a file in `mappings/sources` says what it means",
    params(
        ("tenant" = String, Path, description = "The tenant's name"),
        ("source" = String, Path, description = "The tool, such as `alertmanager`")
    ),
    request_body(description = "JSON, as the tool sends it", content((Object = "application/json"))),
    responses(
        (status = 200, description = "Everything in it is known already", body = Fed),
        (status = 202, description = "On disk, or nothing to say", body = Fed),
        Feeding
    ),
    security(("senderKey" = []), ("signature" = [])),
    extensions(("x-caller" = json!("sender")))
)]
pub(super) async fn accept(
    face: Data<Face>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (tenant, name) = path.into_inner();
    let source = face.registry.sources().find(&name);
    let outcome = receive(&face, (&tenant, &name), source.as_deref(), (&request, payload)).await;
    outcome.map_err(|refusal| match source {
        Some(source) => come_again(source.busy(), refusal),
        None => refusal,
    })
}

async fn receive(
    face: &Face,
    (tenant, name): (&str, &str),
    source: Option<&Source>,
    (request, payload): (&HttpRequest, Payload),
) -> Result<HttpResponse, ApiError> {
    pressure::check_open(face)?;
    let keyed = source.filter(|source| source.has_key());
    if keyed.is_none() || request.headers().contains_key("authorization") {
        extract::knock(face, tenant, request)?;
    } else {
        extract::knock_with_key_to_come(face, request)?;
    }
    let body = extract::body(request, payload, BODY_BYTES_MAX).await?;
    // Where the key is in the payload, the payload is read before anyone is known, within the same bounds.
    let early = keyed.map(|source| (source, json(&body)));
    let key = early.as_ref().and_then(|(source, payload)| source.key(payload.as_ref().ok()?));
    let tenant = extract::authenticate_with_key(face, tenant, request, &body, key.as_deref())?;
    let outcome = async {
        events::check_taken(&tenant, request.headers())?;
        let source = source.ok_or_else(|| unknown(face, name))?;
        check_media_type(request.headers())?;
        let payload = early.map_or_else(|| json(&body), |(_, payload)| payload)?;
        take(face, &tenant, source, &payload).await
    };
    let outcome = outcome.await;
    if let Err(refusal) = &outcome {
        events::tell_refused(&tenant, refusal);
    }
    outcome
}

async fn take(face: &Face, tenant: &Arc<Tenant>, source: &Source, payload: &Value) -> Result<HttpResponse, ApiError> {
    let place = face.pressure.enter(tenant, Door::Events)?;
    let reading = source.read_at(payload, face.clock.now()).map_err(refused)?;
    let skipped = reading.skipped;
    if reading.events.is_empty() {
        return Ok(HttpResponse::Accepted().json(Fed { receipts: Vec::new(), skipped }));
    }
    let deliveries = reading.events.into_iter().map(|event| delivery(tenant.id(), event)).collect();
    let receipts = events::commit(face, &place, deliveries, true).await?;
    face.accepted.one();
    let repeated = receipts.iter().all(|receipt| receipt.duplicate);
    let receipts = Fed { receipts, skipped };
    Ok(if repeated { HttpResponse::Ok().json(receipts) } else { HttpResponse::Accepted().json(receipts) })
}

fn delivery(tenant: &TenantId, event: SourceEvent) -> NewDelivery {
    let SourceEvent { change, event, fingerprint, data } = event;
    NewDelivery {
        id: entropy::new_delivery_id(),
        tenant: tenant.clone(),
        direction: Direction::ToServicenow,
        incident: change.incident.id,
        event,
        kind: change.kind.into(),
        body: Arc::from(data),
        // Of what the file calls the same, not of the bytes: an alert that is repeated with another number in its text is a repeat.
        body_hash: fingerprint,
        is_echo: false,
    }
}

fn json(body: &[u8]) -> Result<Value, ApiError> {
    cloudevents::parse(cloudevents::plain(body)?)
}

/// Any sort of JSON; tools that say nothing mean it.
fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(said) = headers.get("content-type") else { return Ok(()) };
    let essence = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json");
    if is_json {
        Ok(())
    } else {
        Err(ApiError::new(Code::UnsupportedMediaType, "send the payload as application/json"))
    }
}

/// Only told to whoever may send: what is installed is nobody else's business.
fn unknown(face: &Face, name: &str) -> ApiError {
    let sources = face.registry.sources();
    let known: Vec<&str> = sources.all().map(|source| source.name()).collect();
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(SHOWN_CHARS_MAX).collect();
    let known = if known.is_empty() { "there are none".to_owned() } else { format!("known are {}", known.join(", ")) };
    ApiError::new(Code::NotFound, format!("there is no source `{name}`; {known}"))
}

/// What of a wrong name is repeated to whoever sent it.
const SHOWN_CHARS_MAX: usize = 60;

/// The caller reads what is wrong, which may repeat a word of its payload; the log only where.
fn refused(fault: SourceFault) -> ApiError {
    let first = fault.problems.iter().take(3).map(|problem| format!("`{}` at `{}`", problem.key, problem.pointer));
    let logged = format!("the source cannot read the payload: {}", first.collect::<Vec<_>>().join("; "));
    let places = fault.problems.into_iter().map(|problem| Fault {
        item: None,
        pointer: problem.pointer,
        message: format!("`{}` of the source: {}", problem.key, problem.message),
    });
    ApiError::invalid(places.collect()).logged_as(logged)
}

/// Gives what may be sent again the status after which this tool does so. Who failed to prove itself too often is not asked
/// to come again: it would come with the same credential.
fn come_again(busy: Busy, refusal: ApiError) -> ApiError {
    if refusal.code() == Code::TooManyFailures {
        return refusal;
    }
    let status = refusal.status();
    let passes = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if !passes.contains(&status) {
        return refusal;
    }
    let status = match busy {
        Busy::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Busy::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    refusal.sent_as(status, SOURCE_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::source::SourceProblem;
    use actix_web::ResponseError as _;
    use std::time::Duration;

    #[test]
    fn the_log_is_told_where_and_the_caller_what() {
        let message = "`secret word` is not a kind of change".to_owned();
        let problem = SourceProblem { pointer: "/alarms/0".to_owned(), key: "event".to_owned(), message };
        let refusal = refused(SourceFault { problems: vec![problem] });
        assert!(refusal.faults()[0].message.contains("secret word"));
        assert_eq!(refusal.in_short(), "the source cannot read the payload: `event` at `/alarms/0`");
    }

    #[test]
    fn what_passes_has_the_status_after_which_the_tool_comes_again() {
        for (busy, expected) in [(Busy::TooManyRequests, 429), (Busy::Unavailable, 503)] {
            for code in [
                Code::LaneFull,
                Code::TenantFull,
                Code::TenantBusy,
                Code::Overloaded,
                Code::StoreUnavailable,
                Code::RequestTimeout,
                Code::Internal,
            ] {
                let answer = come_again(busy, ApiError::new(code, "")).error_response();
                assert_eq!(answer.status().as_u16(), expected, "{code:?}");
                assert!(answer.headers().contains_key("retry-after"), "{code:?}");
            }
            for code in
                [Code::Unauthorized, Code::TooManyFailures, Code::InvalidEvent, Code::MalformedJson, Code::BodyTooLarge]
            {
                let answer = come_again(busy, ApiError::new(code, "")).error_response();
                assert_eq!(answer.status(), code.status(), "{code:?}");
            }
        }
        let soon = ApiError::new(Code::StoreUnavailable, "").retry_after(Duration::from_secs(2));
        let answer = come_again(Busy::TooManyRequests, soon).error_response();
        assert_eq!(answer.headers().get("retry-after").unwrap(), "2", "who knows better is believed");
    }
}
