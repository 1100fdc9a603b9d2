//! The receipt's state, for the sender that holds it, at once or after a wait for its end.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Code};
use super::openapi::Asking;
use super::{Face, extract};
use crate::delivery::record::{Delivery, Ending, State};
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::limits::PREFER_WAIT_MAX;
use crate::tenants::Tenant;

/// A delivery as its sender sees it: no bodies, no internals of the instance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryBody {
    #[schema(value_type = String)]
    delivery: DeliveryId,
    #[schema(value_type = String)]
    tenant: TenantId,
    #[schema(value_type = String)]
    incident: IncidentId,
    sequence: u64,
    /// `waiting`, `sending`, `delivered`, `superseded`, `parked` or `dropped`.
    #[schema(value_type = String)]
    state: State,
    accepted_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<TicketBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    superseded_by: Option<DeliveryId>,
    /// Why a person is needed, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Where the ticket is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TicketBody {
    number: String,
    sys_id: String,
    url: String,
}

#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/deliveries/{id}",
    tag = "senders",
    summary = "The state of a delivery, for the sender that holds its receipt",
    params(
        ("tenant" = String, Path, description = "The tenant's name"),
        ("id" = String, Path, description = "`dlv_…`")
    ),
    responses((status = 200, description = "Its state", body = DeliveryBody), Asking),
    security(("senderKey" = [])),
    extensions(("x-caller" = json!("sender")))
)]
pub(super) async fn receipt(
    face: Data<Face>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (tenant, id) = path.into_inner();
    let tenant = extract::authenticate(&face, &tenant, &request, b"")?;
    let unknown = || ApiError::new(Code::NotFound, "no such delivery of this tenant");
    let id = DeliveryId::parse(&id).map_err(|_| unknown())?;
    let delivery = face.store.delivery(tenant.id(), &id).await?.ok_or_else(unknown)?;
    Ok(HttpResponse::Ok().json(shown(&tenant, delivery)))
}

/// The delivery, as soon as it has ended, or nothing if that takes longer than the sender wants to wait.
pub(super) async fn ended_within(
    face: &Face,
    tenant: &Arc<Tenant>,
    id: &DeliveryId,
    wait: Duration,
) -> Result<Option<DeliveryBody>, ApiError> {
    let until = face.clock.now().plus(wait);
    loop {
        let delivery = face.store.delivery(tenant.id(), id).await?;
        match delivery {
            Some(delivery) if delivery.state.is_end() => return Ok(Some(shown(tenant, delivery))),
            Some(_) | None if face.clock.now() >= until || face.stop.is_requested() => return Ok(None),
            // Another replica may end it without a word to this one, so the record is read now and then anyway.
            Some(_) | None => {
                let look_again = until.since(face.clock.now()).min(Duration::from_millis(200));
                face.settled.or_after(look_again).await;
            }
        }
    }
}

/// `Prefer: wait=10` (RFC 7240): seconds to wait for the end, 30 at most; other preferences are ignored.
pub(super) fn prefer_wait(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let preferences = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    let wait = preferences.flat_map(|value| value.split(',')).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').to_owned())
    });
    let Some(wait) = wait else { return Ok(None) };
    let seconds: u64 = wait.parse().map_err(|_| {
        ApiError::new(Code::BadRequest, "`Prefer: wait=` takes whole seconds, such as `Prefer: wait=10`")
    })?;
    Ok(Some(Duration::from_secs(seconds).min(PREFER_WAIT_MAX)))
}

fn shown(tenant: &Tenant, delivery: Delivery) -> DeliveryBody {
    let Ending { ticket, parking, superseded_by, differences: _, left_out: _, how: _ } =
        delivery.ending.unwrap_or_default();
    DeliveryBody {
        delivery: delivery.id,
        tenant: delivery.tenant,
        incident: delivery.incident,
        sequence: delivery.sequence,
        state: delivery.state,
        accepted_at: delivery.accepted_at.to_string(),
        ended_at: delivery.ended_at.map(|at| at.to_string()),
        ticket: ticket.map(|ticket| TicketBody {
            url: ticket.url(&tenant.settings().servicenow.instance.origin()),
            number: ticket.number,
            sys_id: ticket.sys_id.to_string(),
        }),
        superseded_by,
        reason: parking.map(|parking| parking.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefer_wait_is_read_and_capped() {
        for (header, expected) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=5", Some(5)),
            ("Wait=\"7\"", Some(7)),
            ("wait=3600", Some(30)),
            ("respond-async", None),
        ] {
            let mut headers = HeaderMap::new();
            let value = actix_web::http::header::HeaderValue::from_static(header);
            headers.insert(actix_web::http::header::HeaderName::from_static("prefer"), value);
            assert_eq!(prefer_wait(&headers).unwrap().map(|wait| wait.as_secs()), expected, "{header}");
        }
    }
}
