//! The HTTP face: the public listener takes events and webhooks, the admin listener shows and steers.
//!
//! Owns: credentials on the wire, media types, problem details, receipts. Never: calls ServiceNow or waits for it; with
//! `Prefer: wait` it waits for the delivery's record. Fails: every error is an [`error::ApiError`] with a stable code.
//! Proved by: `tests/it`.

pub mod admin;
mod cloudevents;
pub mod configuration;
mod deliveries;
pub mod error;
mod events;
mod extract;
mod health;
mod one_reading;
pub mod operators;
mod request;
mod sources;
pub mod standing;
mod webhooks;

use std::sync::Arc;

use actix_web::{HttpResponse, web};

use crate::domain::id::TenantId;
use crate::domain::time::SharedClock;
use crate::runtime::drain::Stop;
use crate::runtime::readiness::Readiness;
use crate::runtime::wake::Wake;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::tenants::Registry;

use error::{ApiError, Code};
pub use events::deliveries_of;
pub use one_reading::{meet, one_reading};
use operators::Operators;
pub use request::track;
pub use webhooks::delivery_of;

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
    /// Told when an operator ends a pause; handed in by the composition root, because this side knows no worker.
    pub resumed: Resumed,
    /// How a tenant's peers stand, handed in likewise.
    pub standing: Standings,
    /// The configuration that runs, and reading it anew, handed in likewise.
    pub configured: configuration::Configured,
}

/// How a tenant's peers and its sweep stand; `None` before the first delivery.
pub type Standings = Arc<dyn Fn(&TenantId) -> Option<standing::Standing> + Send + Sync>;

/// Told of a tenant whose pause an operator ended.
pub type Resumed = Arc<dyn Fn(&TenantId) + Send + Sync>;

/// Routes of the public listener.
pub fn public(face: Face) -> impl FnOnce(&mut web::ServiceConfig) {
    move |routes| {
        routes
            .app_data(web::Data::new(face))
            .service(resource("/v1/tenants/{tenant}/events", web::post().to(events::accept)))
            .service(resource("/v1/tenants/{tenant}/sources/{source}", web::post().to(sources::accept)))
            .service(resource("/v1/tenants/{tenant}/webhooks/servicenow", web::post().to(webhooks::servicenow)))
            .service(resource("/v1/tenants/{tenant}/deliveries/{id}", web::get().to(deliveries::receipt)))
            .service(resource("/livez", web::get().to(health::livez)))
            .service(resource("/readyz", web::get().to(health::readyz)))
            .default_service(web::to(nothing_here));
    }
}

/// A path with its one method; any other method is told that the path is right.
fn resource(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route).default_service(web::to(another_method))
}

async fn nothing_here() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(Code::NotFound, "docs/http.md says what is here"))
}

async fn another_method() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(Code::MethodNotAllowed, "docs/http.md says which method this path takes"))
}
