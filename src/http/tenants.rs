//! Tenants on the admin listener: how each stands, and the levers a person has: pause and resume, enable and disable.
//!
//! Owns: the form of the answers, and health and stage in words. Never: checks an instance: that is handed in by the
//! composition root, and leaves its record in the store. Every lever leaves a row in the audit log.
//! Fails: with an [`ApiError`]. Proved by: `tests/it/operators.rs`, `tests/it/life_cycle.rs`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::error::{ApiError, Code};
use super::openapi::{Checks, Enabling, Finding, Looking};
use super::operators::{Concerning, Looks, Operator, Rules, Steers, unknown_tenant};
use super::serving::Turn;
use super::standing::{Ending, Standing};
use super::{Checking, Face};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::life_cycle::{Check, Release, Released, Stage};
use crate::store::{Backlog, Pause, TenantRecord};
use crate::telemetry::events as told;
use crate::tenants::{Enabled, Tenant};

/// How a tenant stands, with its health in words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantBody {
    #[schema(value_type = String)]
    tenant: TenantId,
    /// Whether anything is accepted and delivered for it.
    enabled: bool,
    /// It was served once, and no file describes it now; what waits for it stays.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    /// `draft`, `tested` (a check of exactly this passed) or `enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    stage: Option<Stage>,
    /// The last check of its instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<CheckBody>,
    /// By whose word it is enabled, where its file leaves it to an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<ReleaseBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<String>,
    /// In words.
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
    #[schema(value_type = Option<Object>)]
    credentials: Option<Ending>,
    /// Left out before the first delivery.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    standing: Option<Standing>,
}

/// Why nothing is delivered for it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PauseBody {
    until: String,
    code: String,
    reason: String,
}

/// A check of a tenant's instance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckBody {
    at: String,
    by: String,
    passed: bool,
    /// Whether instance, account or mapping are others now.
    changed_since: bool,
    /// What it found, in the form of `snowgate check --live --json`.
    #[schema(value_type = Vec<Object>)]
    findings: Vec<Value>,
}

/// An operator's word.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReleaseBody {
    at: String,
    by: String,
    /// Without a passed check.
    forced: bool,
}

/// Every tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantsBody {
    tenants: Vec<TenantBody>,
}

/// How long, and why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseRequest {
    /// Seconds; without it until resumed.
    seconds: Option<u64>,
    /// For whoever meets it.
    reason: Option<String>,
}

/// Whether to enable it without a passed check.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EnableRequest {
    force: bool,
}

/// What is to be checked; nothing is everything.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckRequest {
    /// Whether a test ticket may be made. Without one, a tenant does not become `tested`.
    ticket: bool,
}

impl Default for CheckRequest {
    fn default() -> Self {
        Self { ticket: true }
    }
}

#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "operators",
    summary = "Every tenant and how it stands",
    responses((status = 200, description = "By name", body = TenantsBody), Looking),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn tenants(Operator { face, .. }: Operator<Looks>) -> Result<HttpResponse, ApiError> {
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
    Ok(HttpResponse::Ok().json(TenantsBody { tenants: bodies }))
}

#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}",
    tag = "operators",
    summary = "How a tenant stands",
    params(("tenant" = String, Path, description = "A tenant's name")),
    responses((status = 200, description = "How it stands", body = TenantBody), Finding),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn tenant(Concerning { face, tenant, .. }: Concerning<Looks>) -> Result<HttpResponse, ApiError> {
    tenant_after(&face, &tenant).await
}

/// A tenant with what waits for it, both directions together.
async fn tenant_body(face: &Face, id: &TenantId, backlog: &[Backlog]) -> Result<TenantBody, ApiError> {
    let tenant = face.registry.find(id);
    let record = face.store.tenant(id).await?;
    let of_tenant = || backlog.iter().filter(|waits| waits.tenant == *id);
    let (waiting, parked) = of_tenant().fold((0, 0), |(w, p), waits| (w + waits.waiting, p + waits.parked));
    let oldest = of_tenant().filter_map(|waits| waits.oldest).min();
    let oldest = oldest.map(|oldest| face.clock.now().since(oldest).as_secs());
    let health = match &tenant {
        Some(tenant) => health(tenant, &record, waiting, parked),
        None => format!("removed, {waiting} waiting, {parked} parked: they go on when its file is back"),
    };
    let digest = tenant.as_ref().map(|tenant| *tenant.check_digest());
    let check = record.check.as_ref().map(|check| CheckBody {
        at: check.at.to_string(),
        by: check.by.clone(),
        passed: check.passed,
        changed_since: digest != Some(check.digest),
        findings: check.findings.clone(),
    });
    let settings = tenant.as_ref().map(|tenant| tenant.settings());
    Ok(TenantBody {
        tenant: id.clone(),
        enabled: tenant.as_ref().is_some_and(|tenant| tenant.is_enabled()),
        removed: tenant.is_none(),
        stage: tenant.as_ref().map(|tenant| stage(tenant, &record)),
        check,
        released: record.release.map(|Release { at, by, forced, .. }| ReleaseBody { at: at.to_string(), by, forced }),
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
        credentials: settings.and_then(|settings| {
            let certificate_ends = settings.servicenow.certificate.as_ref().map(|shown| shown.validity().ends);
            Ending::of(settings.servicenow.auth.refresh_token_ends(), certificate_ends, face.clock.now())
        }),
        standing: (face.standing)(id),
    })
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/pause",
    tag = "operators",
    summary = "Hold a tenant's deliveries back; events are still accepted",
    params(("tenant" = String, Path, description = "A tenant's name")),
    request_body(content = PauseRequest, description = "Nothing, or how long and why"),
    responses((status = 200, description = "How it stands now", body = TenantBody), Finding),
    security(("operator" = [])),
    extensions(("x-role" = json!("operate")))
)]
pub(super) async fn pause(about: Concerning<Steers>, body: Bytes) -> Result<HttpResponse, ApiError> {
    let Concerning { face, tenant: id, by, .. } = about;
    let PauseRequest { seconds, reason } = said(&body, r#"{"seconds": 600, "reason": "…"}"#)?;
    let until = seconds.map_or(Timestamp::NEVER, |seconds| face.clock.now().plus(Duration::from_secs(seconds)));
    let reason = reason.unwrap_or_else(|| "paused by an operator".to_owned());
    told::TenantPaused { tenant: &id, reason: Pause::OPERATOR, detail: &reason }.emit();
    face.store.pause_by(&id, Pause { until, code: Pause::OPERATOR.to_owned(), reason }, by).await?;
    tenant_after(&face, &id).await
}

/// What a body says; nothing says nothing.
fn said<T: Default + DeserializeOwned>(body: &[u8], instead: &str) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body)
        .map_err(|unreadable| ApiError::new(Code::BadRequest, format!("send nothing, or {instead}: {unreadable}")))
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/resume",
    tag = "operators",
    summary = "End a pause now",
    params(("tenant" = String, Path, description = "A tenant's name")),
    responses((status = 200, description = "How it stands now", body = TenantBody), Finding),
    security(("operator" = [])),
    extensions(("x-role" = json!("operate")))
)]
pub(super) async fn resume(
    Concerning { face, tenant: id, by, .. }: Concerning<Steers>,
) -> Result<HttpResponse, ApiError> {
    if let Some(pause) = face.store.resume_by(&id, by).await? {
        told::TenantResumed { tenant: &id, reason: &pause.code }.emit();
    }
    (face.resumed)(&id);
    face.accepted.one();
    tenant_after(&face, &id).await
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/check",
    tag = "operators",
    summary = "Check a tenant against its instance, as far as a test ticket; takes up to two minutes",
    params(("tenant" = String, Path, description = "A tenant's name")),
    request_body(content = CheckRequest, description = "Nothing, or whether a test ticket may be made"),
    responses((status = 200, description = "What was found, as `snowgate check --live --json` prints it", body = Object), Checks),
    security(("operator" = [])),
    extensions(("x-role" = json!("operate")))
)]
pub(super) async fn check(about: Concerning<Steers>, body: Bytes) -> Result<HttpResponse, ApiError> {
    let Concerning { face, tenant, by, .. } = about;
    let CheckRequest { ticket } = said(&body, r#"{"ticket": false}"#)?;
    match (face.checks)(&tenant, ticket, by) {
        Checking::UnderWay(task) => {
            let report = task.await.map_err(|_| ApiError::new(Code::Internal, "the check broke off; see the log"))?;
            Ok(HttpResponse::Ok().json(report))
        }
        Checking::Busy => Err(ApiError::new(Code::CheckUnderWay, "wait for its end; it takes two minutes at most")),
        Checking::Unknown => Err(unknown_tenant()),
    }
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/enable",
    tag = "operators",
    summary = "Let a tenant be served whose file says `enabled: after_check`",
    params(("tenant" = String, Path, description = "A tenant's name")),
    request_body(content = EnableRequest, description = "Nothing, or whether to do it without a passed check"),
    responses((status = 200, description = "How it stands now", body = TenantBody), Enabling),
    security(("operator" = [])),
    extensions(("x-role" = json!("admin")))
)]
pub(super) async fn enable(about: Concerning<Rules>, body: Bytes) -> Result<HttpResponse, ApiError> {
    let Concerning { face, tenant: id, by, .. } = about;
    let EnableRequest { force } = said(&body, r#"{"force": true}"#)?;
    let tenant = face.registry.find(&id).ok_or_else(unknown_tenant)?;
    left_to_operators(&tenant)?;
    let turn = face.serving.turn().await;
    match face.store.release(&id, *tenant.check_digest(), force, by).await? {
        Released::Done { .. } => {}
        Released::Untested(check) => return Err(untested(&tenant, check)),
    }
    serve_anew(&face, turn, &tenant, true).await?;
    tenant_after(&face, &id).await
}

#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/disable",
    tag = "operators",
    summary = "Take that back: nothing is accepted or delivered; what waits stays",
    params(("tenant" = String, Path, description = "A tenant's name")),
    responses((status = 200, description = "How it stands now", body = TenantBody), Enabling),
    security(("operator" = [])),
    extensions(("x-role" = json!("admin")))
)]
pub(super) async fn disable(
    Concerning { face, tenant: id, by, .. }: Concerning<Rules>,
) -> Result<HttpResponse, ApiError> {
    let tenant = face.registry.find(&id).ok_or_else(unknown_tenant)?;
    left_to_operators(&tenant)?;
    let turn = face.serving.turn().await;
    face.store.withdraw(&id, by).await?;
    serve_anew(&face, turn, &tenant, false).await?;
    tenant_after(&face, &id).await
}

/// Whether an operator has a say in this.
fn left_to_operators(tenant: &Tenant) -> Result<(), ApiError> {
    let said = match tenant.settings().enabled {
        Enabled::AfterCheck => return Ok(()),
        Enabled::Yes => "true",
        Enabled::No => "false",
    };
    let detail = format!("its file says `enabled: {said}`; write `enabled: after_check` to leave it to operators");
    Err(ApiError::new(Code::FileDecides, detail))
}

fn untested(tenant: &Tenant, check: Option<Check>) -> ApiError {
    let how = format!("`snowgate tenants check {}`", tenant.id());
    let (detail, findings) = match check {
        None => (format!("it was never checked: {how}"), Vec::new()),
        Some(check) if check.passed => {
            (format!("instance, account or mapping changed since its check: {how}"), Vec::new())
        }
        Some(check) => (format!("its last check failed; mend what it found, then {how}"), check.findings),
    };
    ApiError::new(Code::NotTested, detail).with_findings(findings)
}

/// Tells the store whose work may be claimed from now on. Other replicas read the store now and then.
async fn serve_anew(face: &Face, turn: Turn<'_>, tenant: &Tenant, released: bool) -> Result<(), ApiError> {
    tenant.set_released(released);
    turn.tell().await?;
    face.accepted.one();
    Ok(())
}

/// How far a tenant is: a later change of what was checked takes `tested` away, but switches nothing off.
fn stage(tenant: &Tenant, record: &TenantRecord) -> Stage {
    let tested = record.check.as_ref().is_some_and(|check| check.speaks_for(tenant.check_digest()));
    match (tenant.is_enabled(), tested) {
        (true, _) => Stage::Enabled,
        (false, true) => Stage::Tested,
        (false, false) => Stage::Draft,
    }
}

/// Health in words; what a person has to do comes first.
fn health(tenant: &Tenant, record: &TenantRecord, waiting: u64, parked: u64) -> String {
    let changed = record.check.as_ref().is_some_and(|check| check.digest != *tenant.check_digest());
    let since = if changed && tenant.is_enabled() { ", changed since its test" } else { "" };
    match (stage(tenant, record), &record.pause, parked, waiting) {
        (Stage::Draft, _, _, _) if tenant.settings().enabled == Enabled::No => "switched off".to_owned(),
        (Stage::Draft, _, _, _) => format!("draft, not served: snowgate tenants check {}", tenant.id()),
        (Stage::Tested, _, _, _) => format!("tested, not served: snowgate tenants enable {}", tenant.id()),
        (Stage::Enabled, Some(pause), _, _) => format!("paused ({}): {}{since}", pause.code, pause.reason),
        (Stage::Enabled, None, 1.., _) => {
            format!(
                "{parked} parked, a person is needed: snowgate deliveries list --tenant {} --state parked{since}",
                tenant.id()
            )
        }
        (Stage::Enabled, None, 0, 1..) => format!("working, {waiting} waiting{since}"),
        (Stage::Enabled, None, 0, 0) => format!("idle{since}"),
    }
}

async fn tenant_after(face: &Face, id: &TenantId) -> Result<HttpResponse, ApiError> {
    let backlog = face.store.backlog().await?;
    let body = tenant_body(face, id, &backlog).await?;
    Ok(HttpResponse::Ok().json(body))
}
