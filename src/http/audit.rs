//! `GET /v1/audit`: who did what, as the store recorded it.
//!
//! Owns: the form of a page. Never: writes a row: each deed does that where it is done. Proved by: `tests/it/audit.rs`.

use actix_web::HttpResponse;
use actix_web::web::Query;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::{read, wrong};
use super::error::ApiError;
use super::openapi::Finding;
use super::operators::{Looks, Operator};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::PAGE_MAX;
use crate::store::audit::{AuditEnds, AuditHead, AuditPage, AuditQuery, AuditRow};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RowsQuery {
    /// Only of this tenant. Rows of one tenant alone cannot be verified as a chain.
    tenant: Option<String>,
    /// Only from this moment on: RFC 3339, such as `2026-11-22T06:00:00Z`.
    since: Option<String>,
    /// `newest` first, as without it, or `oldest`.
    order: Option<String>,
    /// `next` of the page before.
    cursor: Option<u64>,
    /// How many; 50 if nothing is said, 200 at most.
    limit: Option<usize>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RowsBody {
    /// `docs/audit.md` says what stands in a row, and how its hash is made.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<AuditRow>,
    /// The cursor of the next page, if there is one.
    next: Option<u64>,
    /// The row before the first one that is there.
    #[schema(value_type = Object)]
    anchor: AuditHead,
    /// The newest row: note its hash elsewhere, and compare later.
    #[schema(value_type = Object)]
    head: AuditHead,
}

#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "operators",
    summary = "The audit log: who did what",
    params(RowsQuery),
    responses((status = 200, description = "A page", body = RowsBody), Finding),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn rows(
    operator: Operator<Looks>,
    query: Result<Query<RowsQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let RowsQuery { tenant, since, order, cursor, limit } = read(query)?;
    let oldest_first = match order.as_deref() {
        None | Some("newest") => false,
        Some("oldest") => true,
        Some(_) => return Err(wrong("`order` is `newest` or `oldest`")),
    };
    let tenant = tenant.map(|name| TenantId::parse(&name)).transpose().map_err(|error| wrong(&error.to_string()))?;
    let since = since
        .map(|text| Timestamp::parse(&text).ok_or_else(|| wrong("`since` is a time such as 2026-11-22T06:00:00Z")));
    let limit = limit.unwrap_or(PAGE_MAX / 4).clamp(1, PAGE_MAX);
    let query = AuditQuery { tenant, since: since.transpose()?, oldest_first, beyond: cursor, limit };
    let AuditPage { rows, next, ends: AuditEnds { anchor, head } } = operator.face.store.audit_page(&query).await?;
    Ok(HttpResponse::Ok().json(RowsBody { rows, next, anchor, head }))
}
