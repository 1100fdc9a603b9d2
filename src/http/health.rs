//! Liveness never touches the store; readiness does, and does not wait long for it.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use super::Face;
use crate::limits::READINESS_WAIT;

#[utoipa::path(
    get,
    path = "/livez",
    tag = "probes",
    summary = "Whether the process answers; never touches the store",
    responses((status = 200, description = "It does", body = Object)),
    security(()),
    extensions(("x-role" = json!("none")), ("x-caller" = json!("anyone")))
)]
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

#[utoipa::path(
    get,
    path = "/readyz",
    tag = "probes",
    summary = "Whether work can be taken",
    responses(
        (status = 200, description = "It can", body = Object),
        (status = 503, description = "Not now; `reasons` says what is missing", body = Object)
    ),
    security(()),
    extensions(("x-role" = json!("none")), ("x-caller" = json!("anyone")))
)]
pub(super) async fn readyz(face: Data<Face>) -> HttpResponse {
    let mut reasons = face.readiness.reasons();
    if face.stop.is_requested() {
        reasons.push("the gateway is stopping".to_owned());
    }
    match tokio::time::timeout(READINESS_WAIT, face.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => reasons.push(error.to_string()),
        Err(_) => reasons.push(format!("the store did not answer within {} s", READINESS_WAIT.as_secs())),
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({"status": "ready"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "not ready", "reasons": reasons}))
    }
}
