//! The admin listener: what waits, why, and the levers a person has. Loopback unless the operator says otherwise.
//!
//! Owns: routes and the form of the answers. Never: lets anybody in by itself: a handler gets its face only through the
//! extractors of [`super::operators`]. Fails: with an [`ApiError`]. Proved by: `tests/it/operators.rs`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Data, Path, Query};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{ApiError, Code};
use super::operators::{Concerning, Looks, Operator, Steers};
use super::standing::{Ending, Standing};
use super::{Face, configuration, health, nothing_here, resource};
use crate::delivery::record::{Delivery, Direction, State};
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::domain::ticket::{Link, Ticket};
use crate::domain::time::Timestamp;
use crate::limits::PAGE_MAX;
use crate::runtime::entropy;
use crate::store::{Backlog, DeliveryQuery, Pause, Replayed};
use crate::telemetry::events as told;

/// How many deliveries a page holds if nobody says.
const PAGE_USUAL: usize = 50;
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
            .service(resource("/v1/configuration", web::get().to(configuration::present)))
            .service(resource("/v1/reload", web::post().to(configuration::reload)))
            .service(resource("/v1/tenants", web::get().to(tenants)))
            .service(resource("/v1/tenants/{tenant}", web::get().to(tenant)))
            .service(resource("/v1/tenants/{tenant}/pause", web::post().to(pause)))
            .service(resource("/v1/tenants/{tenant}/resume", web::post().to(resume)))
            .service(resource("/v1/tenants/{tenant}/deliveries", web::get().to(deliveries)))
            .service(resource("/v1/tenants/{tenant}/incidents/{id}", web::get().to(incident)))
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
    /// It was served once, and no file describes it now; what waits for it stays.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<String>,
    health: String,
    waiting: u64,
    parked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<PauseBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    honours_sys_id: Option<bool>,
    /// Only for a tenant with a credential whose end is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Ending>,
    /// Left out before the first delivery.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    standing: Option<Standing>,
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
struct Page {
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

async fn metrics(operator: Operator<Looks>) -> HttpResponse {
    let text = operator.face.metrics.render();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

async fn tenants(Operator { face, .. }: Operator<Looks>) -> Result<HttpResponse, ApiError> {
    let backlog = face.store.backlog().await?;
    let served = face.registry.all();
    let mut names: Vec<&TenantId> = served.iter().map(|tenant| tenant.id()).collect();
    // Those that were removed and have something left.
    names.extend(backlog.iter().filter(|left| left.waiting + left.parked > 0).map(|left| &left.tenant));
    names.sort();
    names.dedup();
    let mut bodies = Vec::new();
    for name in names {
        bodies.push(tenant_body(&face, name, &backlog).await?);
    }
    Ok(HttpResponse::Ok().json(json!({"tenants": bodies})))
}

async fn tenant(Concerning { face, tenant, .. }: Concerning<Looks>) -> Result<HttpResponse, ApiError> {
    tenant_after(&face, &tenant).await
}

/// A tenant with what waits for it, both directions together.
async fn tenant_body(face: &Face, id: &TenantId, backlog: &[Backlog]) -> Result<TenantBody, ApiError> {
    let tenant = face.registry.find(id);
    let settings = tenant.as_ref().map(|tenant| tenant.settings());
    let record = face.store.tenant(id).await?;
    let of_tenant = || backlog.iter().filter(|waits| waits.tenant == *id);
    let (waiting, parked) = of_tenant().fold((0, 0), |(w, p), waits| (w + waits.waiting, p + waits.parked));
    let oldest = of_tenant().filter_map(|waits| waits.oldest).min();
    let oldest = oldest.map(|oldest| face.clock.now().since(oldest).as_secs());
    let now = face.clock.now();
    let credentials = settings.and_then(|settings| {
        let certificate_ends = settings.servicenow.certificate.as_ref().map(|shown| shown.validity().ends);
        Ending::of(settings.servicenow.auth.refresh_token_ends(), certificate_ends, now)
    });
    let health = match (&record.pause, parked, waiting) {
        _ if tenant.is_none() => {
            format!("removed, {waiting} waiting, {parked} parked: they go on when its file is back")
        }
        (Some(pause), _, _) => format!("paused ({}): {}", pause.code, pause.reason),
        (None, 1.., _) => format!("{parked} parked, a person is needed: snowgate deliveries list --state parked"),
        (None, 0, 1..) => format!("working, {waiting} waiting"),
        (None, 0, 0) => "idle".to_owned(),
    };
    Ok(TenantBody {
        tenant: id.clone(),
        enabled: settings.is_some_and(|settings| settings.enabled),
        removed: settings.is_none(),
        instance: settings.map(|settings| settings.servicenow.instance.origin()),
        mapping: settings.map(|settings| settings.mapping.clone()),
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
        credentials,
        standing: (face.standing)(id),
    })
}

async fn pause(about: Concerning<Steers>, body: Bytes) -> Result<HttpResponse, ApiError> {
    let Concerning { face, tenant: id, .. } = about;
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

async fn resume(Concerning { face, tenant: id, .. }: Concerning<Steers>) -> Result<HttpResponse, ApiError> {
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
    Concerning { face, tenant, .. }: Concerning<Looks>,
    query: Result<Query<ListQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let ListQuery { state, incident, direction, cursor, limit } = read(query)?;
    let state = state.map(|word| {
        let states = State::ALL.map(State::as_str).join(", ");
        State::parse(&word).ok_or_else(|| wrong(&format!("`state` is one of {states}")))
    });
    let incidents = match incident {
        Some(id) => lanes_of(&incident_id(&id)?, &face.store.links_of(&tenant, &incident_id(&id)?).await?),
        None => Vec::new(),
    };
    let page = Page { cursor, limit };
    let query = page.of(DeliveryQuery { state: state.transpose()?, direction, ..all_of(tenant, incidents) })?;
    let page = face.store.deliveries(&query).await?;
    Ok(HttpResponse::Ok().json(json!({"deliveries": page.deliveries, "next": page.next})))
}

/// Both directions of one incident as one timeline, with the tickets it has or had.
async fn incident(
    Concerning { face, tenant, .. }: Concerning<Looks>,
    path: Path<(String, String)>,
    page: Result<Query<Page>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let id = incident_id(&path.1)?;
    let links = face.store.links_of(&tenant, &id).await?;
    let query = read(page)?.of(all_of(tenant.clone(), lanes_of(&id, &links)))?;
    let page = face.store.deliveries(&query).await?;
    if links.is_empty() && page.deliveries.is_empty() && query.before.is_none() {
        return Err(ApiError::new(Code::NotFound, "nothing is known here of that incident"));
    }
    // Of a removed tenant nobody knows where its instance was.
    let instance = face.registry.find(&tenant).map(|tenant| tenant.settings().servicenow.instance.origin());
    let link = |link: &Link| {
        let Link { ticket, episode, .. } = link;
        let Ticket { number, sys_id, table } = ticket;
        let url = instance.as_ref().map(|instance| ticket.url(instance));
        json!({"number": number, "sys_id": sys_id, "table": table, "url": url, "episode": episode})
    };
    let tickets: Vec<_> = links.iter().map(link).collect();
    let body = json!({
        "tenant": tenant, "incident": id, "tickets": tickets, "deliveries": page.deliveries, "next": page.next,
    });
    Ok(HttpResponse::Ok().json(body))
}

/// The lanes in which an incident's changes travel: its own, and two of each of its tickets, one of them for files.
fn lanes_of(incident: &IncidentId, links: &[Link]) -> Vec<IncidentId> {
    let of_ticket = |key| [IncidentId::lane_of_ticket(key), IncidentId::lane_of_files(key)];
    let tickets = links.iter().flat_map(|link| of_ticket(&link.ticket.sys_id));
    std::iter::once(incident.clone()).chain(tickets).collect()
}

fn all_of(tenant: TenantId, incidents: Vec<IncidentId>) -> DeliveryQuery {
    DeliveryQuery { tenant, state: None, incidents, direction: None, before: None, limit: PAGE_USUAL }
}

impl Page {
    fn of(self, query: DeliveryQuery) -> Result<DeliveryQuery, ApiError> {
        let before = self.cursor.map(|id| DeliveryId::parse(&id)).transpose();
        let before = before.map_err(|error| wrong(&error.to_string()))?;
        Ok(DeliveryQuery { before, limit: self.limit.unwrap_or(PAGE_USUAL).clamp(1, PAGE_MAX), ..query })
    }
}

fn read<T>(query: Result<Query<T>, actix_web::Error>) -> Result<T, ApiError> {
    query.map(Query::into_inner).map_err(|unreadable| wrong(&unreadable.to_string()))
}

fn incident_id(text: &str) -> Result<IncidentId, ApiError> {
    IncidentId::parse(text).map_err(|error| wrong(&error.to_string()))
}

fn wrong(what: &str) -> ApiError {
    ApiError::new(Code::BadRequest, what)
}

async fn delivery(
    Concerning { face, tenant, .. }: Concerning<Looks>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let id = delivery_id(&path.1)?;
    let delivery: Delivery = face.store.delivery(&tenant, &id).await?.ok_or_else(unknown_delivery)?;
    Ok(HttpResponse::Ok().json(delivery))
}

async fn replay(
    Concerning { face, tenant, .. }: Concerning<Steers>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let id = delivery_id(&path.1)?;
    let new = entropy::new_delivery_id();
    let done = after(face.store.replay(&tenant, &id, new).await?)?;
    face.accepted.one();
    Ok(HttpResponse::Ok().json(json!({"replayed": id, "delivery": done})))
}

async fn drop_parked(
    Concerning { face, tenant, .. }: Concerning<Steers>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let id = delivery_id(&path.1)?;
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

fn delivery_id(text: &str) -> Result<DeliveryId, ApiError> {
    DeliveryId::parse(text).map_err(|_| unknown_delivery())
}

fn unknown_delivery() -> ApiError {
    ApiError::new(Code::NotFound, "no such delivery of this tenant")
}
