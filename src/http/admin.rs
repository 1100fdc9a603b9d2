//! The admin listener: what waits, why, and the levers a person has. Loopback unless the operator says otherwise.
//!
//! Owns: the list of routes, and what is shown and done about deliveries; tenants are in [`super::tenants`]. Never: lets anybody in by itself: a handler gets its face only through the
//! extractors of [`super::operators`]. Fails: with an [`ApiError`]. Proved by: `tests/it/operators.rs`.

use actix_web::HttpResponse;
use actix_web::web::{self, Path, Query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Code};
use super::openapi::{Finding, Looking, Mending};
use super::operators::{Concerning, Looks, Operator, Steers};
use super::routes::{self, Served};
use super::{Face, audit, configuration, health, openapi, tenants};
use crate::delivery::record::{Delivery, Direction, State};
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::domain::ticket::{Link, Ticket};
use crate::limits::PAGE_MAX;
use crate::runtime::entropy;
use crate::store::{DeliveryQuery, Replayed};

/// How many deliveries a page holds if nobody says.
const PAGE_USUAL: usize = 50;

/// Routes of the admin listener. A new one stands here and in the list of [`super::openapi`].
pub(super) fn served() -> Vec<Served> {
    vec![
        Served::get("/metrics", web::to(metrics)),
        Served::get("/livez", web::to(health::livez)),
        Served::get("/readyz", web::to(health::readyz)),
        Served::get("/openapi.json", web::to(openapi::openapi)),
        Served::get("/v1/audit", web::to(audit::rows)),
        Served::get("/v1/configuration", web::to(configuration::present)),
        Served::post("/v1/reload", web::to(configuration::reload)),
        Served::get("/v1/tenants", web::to(tenants::tenants)),
        Served::get("/v1/tenants/{tenant}", web::to(tenants::tenant)),
        Served::post("/v1/tenants/{tenant}/check", web::to(tenants::check)),
        Served::post("/v1/tenants/{tenant}/pause", web::to(tenants::pause)),
        Served::post("/v1/tenants/{tenant}/resume", web::to(tenants::resume)),
        Served::post("/v1/tenants/{tenant}/enable", web::to(tenants::enable)),
        Served::post("/v1/tenants/{tenant}/disable", web::to(tenants::disable)),
        Served::get("/v1/tenants/{tenant}/deliveries", web::to(deliveries)),
        Served::get("/v1/tenants/{tenant}/incidents/{id}", web::to(incident)),
        Served::get("/v1/tenants/{tenant}/deliveries/{id}", web::to(delivery)),
        Served::post("/v1/tenants/{tenant}/deliveries/{id}/replay", web::to(replay)),
        Served::post("/v1/tenants/{tenant}/deliveries/{id}/drop", web::to(drop_parked)),
    ]
}

/// Everything of the admin listener.
pub fn routes(face: Face) -> impl FnOnce(&mut web::ServiceConfig) {
    routes::all(face, served())
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only in this state: `waiting`, `sending`, `delivered`, `superseded`, `parked` or `dropped`.
    state: Option<String>,
    /// Only of this incident and its tickets.
    incident: Option<String>,
    /// Only this way: `to_servicenow` or `to_service`.
    #[param(value_type = Option<String>)]
    direction: Option<Direction>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many; 50 if nothing is said, 200 at most.
    limit: Option<usize>,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many; 50 if nothing is said, 200 at most.
    limit: Option<usize>,
}

/// A page of deliveries, newest first, each with everything on record about it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveriesBody {
    #[schema(value_type = Vec<Object>)]
    deliveries: Vec<Delivery>,
    /// The cursor of the next page, if there is one.
    #[schema(value_type = Option<String>)]
    next: Option<DeliveryId>,
}

/// Both directions of one incident as one timeline.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IncidentBody {
    #[schema(value_type = String)]
    tenant: TenantId,
    #[schema(value_type = String)]
    incident: IncidentId,
    /// The newest first.
    tickets: Vec<LinkedTicket>,
    #[schema(value_type = Vec<Object>)]
    deliveries: Vec<Delivery>,
    /// The cursor of the next page, if there is one.
    #[schema(value_type = Option<String>)]
    next: Option<DeliveryId>,
}

/// A ticket that an incident has or had.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinkedTicket {
    number: String,
    sys_id: String,
    table: String,
    /// Left out for a removed tenant, of whose instance nothing is known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    episode: u32,
}

/// What came of a replay.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayedBody {
    /// The one that was parked.
    #[schema(value_type = String)]
    replayed: DeliveryId,
    /// The one that runs: the same, or a new one at the end of its lane.
    #[schema(value_type = String)]
    delivery: DeliveryId,
}

/// What was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DroppedBody {
    #[schema(value_type = String)]
    dropped: DeliveryId,
}

#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operators",
    summary = "Metrics for Prometheus",
    responses((status = 200, description = "In Prometheus's text format", body = String, content_type = "text/plain"), Looking),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn metrics(operator: Operator<Looks>) -> HttpResponse {
    let text = operator.face.metrics.render();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/deliveries",
    tag = "operators",
    summary = "Deliveries of a tenant, newest first",
    params(("tenant" = String, Path, description = "A tenant's name"), ListQuery),
    responses((status = 200, description = "A page", body = DeliveriesBody), Finding),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn deliveries(
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
    Ok(HttpResponse::Ok().json(DeliveriesBody { deliveries: page.deliveries, next: page.next }))
}

#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/incidents/{id}",
    tag = "operators",
    summary = "Both directions of one incident as one timeline, with its tickets",
    params(("tenant" = String, Path, description = "A tenant's name"),
        ("id" = String, Path, description = "The managed service's id of the incident"),
        Page),
    responses((status = 200, description = "A page", body = IncidentBody), Finding),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn incident(
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
        let url = instance.as_ref().map(|instance| ticket.url(instance));
        let Ticket { number, sys_id, table } = ticket.clone();
        LinkedTicket { number, sys_id: sys_id.to_string(), table, url, episode: *episode }
    };
    let tickets = links.iter().map(link).collect();
    let body = IncidentBody { tenant, incident: id, tickets, deliveries: page.deliveries, next: page.next };
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

pub(super) fn read<T>(query: Result<Query<T>, actix_web::Error>) -> Result<T, ApiError> {
    query.map(Query::into_inner).map_err(|unreadable| wrong(&unreadable.to_string()))
}

fn incident_id(text: &str) -> Result<IncidentId, ApiError> {
    IncidentId::parse(text).map_err(|error| wrong(&error.to_string()))
}

pub(super) fn wrong(what: &str) -> ApiError {
    ApiError::new(Code::BadRequest, what)
}

#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/deliveries/{id}",
    tag = "operators",
    summary = "Everything on record about a delivery",
    params(("tenant" = String, Path, description = "A tenant's name"),
        ("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "The record", body = Object), Finding),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn delivery(
    Concerning { face, tenant, .. }: Concerning<Looks>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let id = delivery_id(&path.1)?;
    let delivery: Delivery = face.store.delivery(&tenant, &id).await?.ok_or_else(unknown_delivery)?;
    Ok(HttpResponse::Ok().json(delivery))
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/deliveries/{id}/replay",
    tag = "operators",
    summary = "Put a parked delivery back to work",
    params(("tenant" = String, Path, description = "A tenant's name"),
        ("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "It waits for its turn", body = ReplayedBody), Mending),
    security(("operator" = [])),
    extensions(("x-role" = json!("operate")))
)]
pub(super) async fn replay(
    Concerning { face, tenant, by, .. }: Concerning<Steers>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let id = delivery_id(&path.1)?;
    let new = entropy::new_delivery_id();
    let done = after(face.store.replay(&tenant, &id, new, by).await?)?;
    face.accepted.one();
    Ok(HttpResponse::Ok().json(ReplayedBody { replayed: id, delivery: done }))
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/deliveries/{id}/drop",
    tag = "operators",
    summary = "Give a parked delivery up; what waits behind it goes on",
    params(("tenant" = String, Path, description = "A tenant's name"),
        ("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "It is given up", body = DroppedBody), Mending),
    security(("operator" = [])),
    extensions(("x-role" = json!("operate")))
)]
pub(super) async fn drop_parked(
    Concerning { face, tenant, by, .. }: Concerning<Steers>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let id = delivery_id(&path.1)?;
    let done = after(face.store.drop_parked(&tenant, &id, by).await?)?;
    face.accepted.one();
    Ok(HttpResponse::Ok().json(DroppedBody { dropped: done }))
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
