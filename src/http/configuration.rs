//! The configuration that runs, and reading its files anew.
//!
//! Owns: `GET /v1/configuration` and `POST /v1/reload` of the admin listener, and the form of their answers. Never: reads a
//! file itself: the composition root hands both in as values; shows a secret. Fails: with the findings, and nothing changed.
//! Proved by: `tests/it/reload`.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpResponse;
use futures_util::future::BoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Code};
use super::openapi::{Looking, Reloading};
use super::operators::{Looks, Operator, Rules};
use crate::domain::id::TenantId;
use crate::limits::FINDINGS_SHOWN_MAX;
use crate::store::StoreError;
use crate::store::audit::Actor;
use crate::tenants::{Diff, Finding};

/// What the composition root hands in.
#[derive(Clone)]
pub struct Configured {
    /// What runs.
    pub present: Arc<dyn Fn() -> Configuration + Send + Sync>,
    /// Reads the files and uses them, whole or not at all.
    pub reload: Arc<dyn Fn(Actor) -> BoxFuture<'static, Result<Reloaded, NotReloaded>> + Send + Sync>,
}

/// The configuration that runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Configuration {
    /// The settings file, as it was named.
    pub file: String,
    /// When what runs was read, RFC 3339, UTC.
    pub loaded_at: String,
    /// How often the configuration changed since the start.
    pub changes: u64,
    /// Tenants that are served.
    pub tenants: usize,
    /// Files and directories that are watched, secrets among them.
    pub files: usize,
    /// How often they are looked at; `off` is only when asked.
    pub looked_at_every: String,
    /// The last try to read them, if it failed: what runs is not what the files say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
}

/// A reload that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Failure {
    /// When, RFC 3339, UTC.
    pub at: String,
    /// How many errors there were.
    pub errors: usize,
    /// What was found, the first hundred.
    #[schema(value_type = Vec<Object>)]
    pub findings: Vec<Finding>,
}

/// What a reload changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reloaded {
    /// Tenants that are new.
    #[schema(value_type = Vec<String>)]
    pub added: Vec<TenantId>,
    /// Tenants whose settings, secrets or mapping changed.
    #[schema(value_type = Vec<String>)]
    pub changed: Vec<TenantId>,
    /// Tenants that are gone; what waits for them stays.
    #[schema(value_type = Vec<String>)]
    pub removed: Vec<TenantId>,
    /// What somebody should look at.
    #[schema(value_type = Vec<Object>)]
    pub warnings: Vec<Finding>,
}

/// Why nothing was changed.
#[derive(Debug)]
pub enum NotReloaded {
    /// The files have errors.
    Findings(Vec<Finding>),
    /// The store did not answer.
    Store(StoreError),
    /// A defect of ours.
    Defect,
}

impl Reloaded {
    /// From what is different, and the warnings.
    pub fn of(diff: Diff, warnings: Vec<Finding>) -> Self {
        let Diff { added, changed, removed } = diff;
        Self { added, changed, removed, warnings }
    }
}

impl Failure {
    /// At this time, with these findings.
    pub fn of(at: String, findings: &[Finding]) -> Self {
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        Self { at, errors, findings: shown(findings.iter().cloned()) }
    }
}

/// Errors first, and not more than anybody reads.
fn shown(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = findings.into_iter().collect();
    findings.sort_by_key(|finding| !finding.is_error());
    findings.truncate(FINDINGS_SHOWN_MAX);
    findings
}

#[utoipa::path(
    get,
    path = "/v1/configuration",
    tag = "operators",
    summary = "The configuration that runs, and whether it is the one on disk",
    responses((status = 200, description = "Without any secret", body = Configuration), Looking),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn present(operator: Operator<Looks>) -> HttpResponse {
    HttpResponse::Ok().json((operator.face.configured.present)())
}

#[utoipa::path(
    post,
    path = "/v1/reload",
    tag = "operators",
    summary = "Read the files now, and use them, whole or not at all",
    responses((status = 200, description = "What changed", body = Reloaded), Reloading),
    security(("operator" = [])),
    extensions(("x-role" = json!("admin")))
)]
pub(super) async fn reload(Operator { face, by, .. }: Operator<Rules>) -> Result<HttpResponse, ApiError> {
    match (face.configured.reload)(by).await {
        Ok(reloaded) => Ok(HttpResponse::Ok().json(reloaded)),
        Err(NotReloaded::Findings(findings)) => Err(ApiError::invalid_configuration(&shown(findings))),
        Err(NotReloaded::Store(failed)) => Err(failed.into()),
        Err(NotReloaded::Defect) => Err(ApiError::new(Code::Internal, "the files could not be read; see the log")),
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Configured")
    }
}
