//! Liveness never touches the store; readiness does.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use super::Face;

pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

pub(super) async fn readyz(face: Data<Face>) -> HttpResponse {
    let mut reasons = face.readiness.reasons();
    if face.stop.is_requested() {
        reasons.push("the gateway is stopping".to_owned());
    }
    if let Err(error) = face.store.ping().await {
        reasons.push(error.to_string());
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({"status": "ready"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "not ready", "reasons": reasons}))
    }
}
