//! The admin listener: what waits, why, and the levers a person has. Loopback unless the operator says otherwise.

use std::time::Duration;

use actix_web::web::{self, Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{ApiError, Code};
use super::operators::Role;
use super::{Face, health, nothing_here, resource};
use crate::delivery::record::{Delivery, Direction, State};
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::domain::time::Timestamp;
use crate::limits::PAGE_MAX;
use crate::runtime::entropy;
use crate::store::{Backlog, DeliveryQuery, Pause, Replayed};
use crate::telemetry::events as told;

/// The code of a pause that a person ordered.
const OPERATOR: &str = "operator";

/// Routes of the admin listener.
pub fn routes(face: Face) -> impl FnOnce(&mut web::ServiceConfig) {
    move |routes| {
        routes
            .app_data(Data::new(face))
            .service(resource("/metrics", web::get().to(metrics)))
            .service(resource("/livez", web::get().to(health::livez)))
            .service(resource("/readyz", web::get().to(health::readyz)))
            .service(resource("/v1/tenants", web::get().to(tenants)))
            .service(resource("/v1/tenants/{tenant}", web::get().to(tenant)))
            .service(resource("/v1/tenants/{tenant}/pause", web::post().to(pause)))
            .service(resource("/v1/tenants/{tenant}/resume", web::post().to(resume)))
            .service(resource("/v1/tenants/{tenant}/deliveries", web::get().to(deliveries)))
            .service(resource("/v1/tenants/{tenant}/deliveries/{id}", web::get().to(delivery)))
            .service(resource("/v1/tenants/{tenant}/deliveries/{id}/replay", web::post().to(replay)))
            .service(resource("/v1/tenants/{tenant}/deliveries/{id}/drop", web::post().to(drop_parked)))
            .default_service(web::to(nothing_here));
    }
}

/// How a tenant stands, with its health in words.
#[derive(Debug, Serialize)]
struct TenantBody {
    tenant: TenantId,
    enabled: bool,
    instance: String,
    mapping: String,
    health: String,
    waiting: u64,
    parked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<PauseBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    honours_sys_id: Option<bool>,
}

#[derive(Debug, Serialize)]
struct PauseBody {
    until: String,
    code: String,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<String>,
    incident: Option<String>,
    direction: Option<Direction>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseRequest {
    /// Seconds; without it until resumed.
    seconds: Option<u64>,
    reason: Option<String>,
}

async fn metrics(face: Data<Face>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    face.operators.check(&request, Role::Read)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(face.metrics.render()))
}

async fn tenants(face: Data<Face>, operator: HttpRequest) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Read)?;
    let backlog = face.store.backlog().await?;
    let mut bodies = Vec::new();
    for tenant in face.registry.all() {
        bodies.push(tenant_body(&face, tenant.id(), &backlog).await?);
    }
    Ok(HttpResponse::Ok().json(json!({"tenants": bodies})))
}

async fn tenant(face: Data<Face>, path: Path<String>, operator: HttpRequest) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Read)?;
    let id = known_tenant(&face, &path)?;
    let backlog = face.store.backlog().await?;
    let body = tenant_body(&face, &id, &backlog).await?;
    Ok(HttpResponse::Ok().json(body))
}

/// A tenant with what waits for it, both directions together.
async fn tenant_body(face: &Face, id: &TenantId, backlog: &[Backlog]) -> Result<TenantBody, ApiError> {
    let tenant = face.registry.find(id).ok_or_else(unknown_tenant)?;
    let record = face.store.tenant(id).await?;
    let of_tenant = || backlog.iter().filter(|waits| waits.tenant == *id);
    let (waiting, parked) = of_tenant().fold((0, 0), |(w, p), waits| (w + waits.waiting, p + waits.parked));
    let oldest = of_tenant().filter_map(|waits| waits.oldest).min();
    let oldest = oldest.map(|oldest| face.clock.now().since(oldest).as_secs());
    let health = match (&record.pause, parked, waiting) {
        (Some(pause), _, _) => format!("paused ({}): {}", pause.code, pause.reason),
        (None, 1.., _) => format!("{parked} parked, a person is needed: snowgate deliveries list --state parked"),
        (None, 0, 1..) => format!("working, {waiting} waiting"),
        (None, 0, 0) => "idle".to_owned(),
    };
    Ok(TenantBody {
        tenant: id.clone(),
        enabled: tenant.is_enabled(),
        instance: tenant.settings().servicenow.instance.origin(),
        mapping: tenant.settings().mapping.clone(),
        health,
        waiting,
        parked,
        oldest_waiting_seconds: oldest,
        pause: record.pause.map(|pause| PauseBody {
            until: pause.until.to_string(),
            code: pause.code,
            reason: pause.reason,
        }),
        honours_sys_id: record.learned.honours_sys_id,
    })
}

async fn pause(
    face: Data<Face>,
    path: Path<String>,
    body: Bytes,
    operator: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Operate)?;
    let id = known_tenant(&face, &path)?;
    let PauseRequest { seconds, reason } = pause_request(&body)?;
    let until = seconds.map_or(Timestamp::NEVER, |seconds| face.clock.now().plus(Duration::from_secs(seconds)));
    let reason = reason.unwrap_or_else(|| "paused by an operator".to_owned());
    told::TenantPaused { tenant: &id, reason: OPERATOR, detail: &reason }.emit();
    face.store.pause_tenant(&id, Pause { until, code: OPERATOR.to_owned(), reason }).await?;
    tenant_after(&face, &id).await
}

/// What a pause says; nothing is a pause without an end.
fn pause_request(body: &[u8]) -> Result<PauseRequest, ApiError> {
    if body.is_empty() {
        return Ok(PauseRequest::default());
    }
    serde_json::from_slice(body).map_err(|unreadable| {
        let what = format!("send nothing, or {{\"seconds\": 600, \"reason\": \"…\"}}: {unreadable}");
        ApiError::new(Code::BadRequest, what)
    })
}

async fn resume(face: Data<Face>, path: Path<String>, operator: HttpRequest) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Operate)?;
    let id = known_tenant(&face, &path)?;
    let pause = face.store.tenant(&id).await?.pause;
    face.store.resume_tenant(&id).await?;
    if let Some(pause) = pause {
        told::TenantResumed { tenant: &id, reason: &pause.code }.emit();
    }
    (face.resumed)(&id);
    face.accepted.one();
    tenant_after(&face, &id).await
}

async fn tenant_after(face: &Face, id: &TenantId) -> Result<HttpResponse, ApiError> {
    let backlog = face.store.backlog().await?;
    let body = tenant_body(face, id, &backlog).await?;
    Ok(HttpResponse::Ok().json(body))
}

async fn deliveries(
    face: Data<Face>,
    path: Path<String>,
    query: Result<Query<ListQuery>, actix_web::Error>,
    operator: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Read)?;
    let tenant = known_tenant(&face, &path)?;
    let wrong = |what: String| ApiError::new(Code::BadRequest, what);
    let query = query.map_err(|unreadable| wrong(unreadable.to_string()))?;
    let ListQuery { state, incident, direction, cursor, limit } = query.into_inner();
    let state = state.map(|word| {
        let states = State::ALL.map(State::as_str).join(", ");
        State::parse(&word).ok_or_else(|| wrong(format!("`state` is one of {states}")))
    });
    let query = DeliveryQuery {
        tenant,
        state: state.transpose()?,
        incidents: incident
            .into_iter()
            .map(|id| IncidentId::parse(&id).map_err(|error| wrong(error.to_string())))
            .collect::<Result<_, _>>()?,
        direction,
        before: cursor.map(|id| DeliveryId::parse(&id)).transpose().map_err(|error| wrong(error.to_string()))?,
        limit: limit.unwrap_or(50).clamp(1, PAGE_MAX),
    };
    let page = face.store.deliveries(&query).await?;
    Ok(HttpResponse::Ok().json(json!({"deliveries": page.deliveries, "next": page.next})))
}

async fn delivery(
    face: Data<Face>,
    path: Path<(String, String)>,
    operator: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Read)?;
    let (tenant, id) = known_delivery(&face, &path)?;
    let delivery: Delivery = face.store.delivery(&tenant, &id).await?.ok_or_else(unknown_delivery)?;
    Ok(HttpResponse::Ok().json(delivery))
}

async fn replay(
    face: Data<Face>,
    path: Path<(String, String)>,
    operator: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Operate)?;
    let (tenant, id) = known_delivery(&face, &path)?;
    let new = entropy::new_delivery_id();
    let done = after(face.store.replay(&tenant, &id, new).await?)?;
    face.accepted.one();
    Ok(HttpResponse::Ok().json(json!({"replayed": id, "delivery": done})))
}

async fn drop_parked(
    face: Data<Face>,
    path: Path<(String, String)>,
    operator: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    face.operators.check(&operator, Role::Operate)?;
    let (tenant, id) = known_delivery(&face, &path)?;
    let done = after(face.store.drop_parked(&tenant, &id).await?)?;
    face.accepted.one();
    Ok(HttpResponse::Ok().json(json!({"dropped": done})))
}

fn after(replayed: Replayed) -> Result<DeliveryId, ApiError> {
    match replayed {
        Replayed::Done(id) => Ok(id),
        Replayed::Unknown => Err(unknown_delivery()),
        Replayed::NotParked => Err(ApiError::new(Code::NotParked, "only a parked delivery can be replayed or dropped")),
    }
}

fn known_tenant(face: &Face, tenant: &str) -> Result<TenantId, ApiError> {
    let id = TenantId::parse(tenant).map_err(|_| unknown_tenant())?;
    face.registry.find(&id).map(|_| id).ok_or_else(unknown_tenant)
}

fn known_delivery(face: &Face, path: &(String, String)) -> Result<(TenantId, DeliveryId), ApiError> {
    let id = DeliveryId::parse(&path.1).map_err(|_| unknown_delivery())?;
    Ok((known_tenant(face, &path.0)?, id))
}

fn unknown_tenant() -> ApiError {
    ApiError::new(Code::NotFound, "no such tenant; `GET /v1/tenants` lists them")
}

fn unknown_delivery() -> ApiError {
    ApiError::new(Code::NotFound, "no such delivery of this tenant")
}
