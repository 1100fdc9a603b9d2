//! The HTTP face: the public listener takes events and webhooks, the admin listener shows and steers.
//!
//! Owns: credentials on the wire, media types, problem details, receipts. Never: calls ServiceNow or waits for it; with
//! `Prefer: wait` it waits for the delivery's record. Fails: every error is an [`error::ApiError`] with a stable code.
//! Proved by: `tests/it`.

pub mod admin;
pub mod attempts;
mod audit;
pub mod bursts;
mod cloudevents;
pub mod configuration;
mod credentials;
mod deliveries;
pub mod error;
mod events;
mod extract;
mod health;
mod keys_at_hand;
mod one_reading;
pub mod openapi;
pub mod operators;
pub mod pressure;
mod request;
mod routes;
pub mod serving;
mod sources;
pub mod standing;
mod tenants;
mod webhooks;

use std::sync::Arc;

use actix_web::web;

use crate::domain::id::TenantId;
use crate::domain::time::SharedClock;
use crate::issuers::Issuers;
use crate::runtime::drain::Stop;
use crate::runtime::readiness::Readiness;
use crate::runtime::wake::Wake;
use crate::security::proxies::TrustedProxies;
use crate::store::Store;
use crate::store::audit::Actor;
use crate::telemetry::metrics::Metrics;
use crate::tenants::Registry;

use attempts::FailedAttempts;
use bursts::Bursts;
pub use events::deliveries_of;
pub use one_reading::{meet, one_reading};
use operators::Operators;
use pressure::Pressure;
pub use request::track;
use routes::Served;
use serving::Serving;
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
    /// The keys of those whose tokens prove senders.
    pub issuers: Arc<Issuers>,
    /// Who failed to prove itself too often.
    pub attempts: Arc<FailedAttempts>,
    /// Whom to believe about callers.
    pub proxies: Arc<TrustedProxies>,
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
    /// The way to tell the store whom to serve: needed when an operator enables a tenant.
    pub serving: Arc<Serving>,
    /// Whether new work is taken just now.
    pub pressure: Arc<Pressure>,
    /// Counts refused credentials.
    pub bursts: Arc<Bursts>,
    /// Checks of a tenant's instance, handed in likewise.
    pub checks: LiveChecks,
}

/// How a tenant's peers and its sweep stand; `None` before the first delivery.
pub type Standings = Arc<dyn Fn(&TenantId) -> Option<standing::Standing> + Send + Sync>;

/// Begins a check of a tenant's instance, with or without a test ticket.
pub type LiveChecks = Arc<dyn Fn(&TenantId, bool, Actor) -> Checking + Send + Sync>;

/// What became of the order to check.
#[derive(Debug)]
pub enum Checking {
    /// It runs, to its end, whether or not anybody waits for it; its report comes as JSON.
    UnderWay(tokio::task::JoinHandle<serde_json::Value>),
    /// One of this tenant is under way already.
    Busy,
    /// There is no such tenant any more.
    Unknown,
}

/// Told of a tenant whose pause an operator ended.
pub type Resumed = Arc<dyn Fn(&TenantId) + Send + Sync>;

/// Routes of the public listener. A new one stands here and in the list of [`openapi`].
fn served() -> Vec<Served> {
    vec![
        Served::post("/v1/tenants/{tenant}/events", web::to(events::accept)),
        Served::post("/v1/tenants/{tenant}/sources/{source}", web::to(sources::accept)),
        Served::post("/v1/tenants/{tenant}/webhooks/servicenow", web::to(webhooks::servicenow)),
        Served::get("/v1/tenants/{tenant}/deliveries/{id}", web::to(deliveries::receipt)),
        Served::get("/livez", web::to(health::livez)),
        Served::get("/readyz", web::to(health::readyz)),
    ]
}

/// Everything of the public listener.
pub fn public(face: Face) -> impl FnOnce(&mut web::ServiceConfig) {
    routes::all(face, served())
}
