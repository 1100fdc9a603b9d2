//! The HTTP face: the public listener takes events, the admin listener shows and steers.
//!
//! Owns: credentials on the wire, media types, problem details, receipts. Never: calls ServiceNow or waits for it; with
//! `Prefer: wait` it waits for the delivery's record. Fails: every error is an [`error::ApiError`] with a stable code.
//! Proved by: `tests/it`.

pub mod admin;
mod cloudevents;
mod deliveries;
pub mod error;
mod events;
mod extract;
mod health;
pub mod operators;
mod request;

use std::sync::Arc;

use actix_web::web;

use crate::domain::time::SharedClock;
use crate::runtime::drain::Stop;
use crate::runtime::readiness::Readiness;
use crate::runtime::wake::Wake;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::tenants::Registry;

use operators::Operators;
pub use request::track;

/// What handlers need; cheap to clone.
#[derive(Clone)]
pub struct Face {
    /// Where accepted work goes.
    pub store: Store,
    /// Who may send, and for which tenant.
    pub registry: Arc<Registry>,
    /// The time signatures are checked against.
    pub clock: SharedClock,
    /// Tells the worker to look for new work.
    pub accepted: Wake,
    /// Tells waiting requests that some delivery ended.
    pub settled: Wake,
    /// Whether the gateway is stopping.
    pub stop: Stop,
    /// Whether the gateway is ready, and if not, why.
    pub readiness: Readiness,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Who may use the admin listener.
    pub operators: Arc<Operators>,
}

/// Routes of the public listener.
pub fn public(face: Face) -> impl FnOnce(&mut web::ServiceConfig) {
    move |routes| {
        routes
            .app_data(web::Data::new(face))
            .route("/v1/tenants/{tenant}/events", web::post().to(events::accept))
            .route("/v1/tenants/{tenant}/deliveries/{id}", web::get().to(deliveries::receipt))
            .service(web::resource("/livez").route(web::get().to(health::livez)))
            .service(web::resource("/readyz").route(web::get().to(health::readyz)))
            .default_service(web::to(nothing_here));
    }
}

async fn nothing_here(request: actix_web::HttpRequest) -> Result<actix_web::HttpResponse, error::ApiError> {
    let known = ["/events", "/deliveries", "/livez", "/readyz"].iter().any(|part| request.path().contains(part));
    let code = if known { error::Code::MethodNotAllowed } else { error::Code::NotFound };
    Err(error::ApiError::new(code, "see docs/http.md for what is here"))
}
