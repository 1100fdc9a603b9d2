//! Snowgate keeps a managed service's incidents and its customers' ServiceNow tickets in step.
//!
//! The map of the program, by ring; a module may use the rings below it (see `ARCHITECTURE.md`):
//!
//! * ring 0: [`domain`] (values) and [`limits`] (every bound, with its reason)
//! * ring 1: [`mapping`], [`delivery`], [`security`], [`service_levels`], [`history`]: pure decisions, no I/O, no clock
//! * ring 2: [`store`], [`peer`] with [`servicenow`], [`callback`] and [`issuers`] above it, [`tenants`], [`settings`], [`telemetry`],
//!   [`runtime`]: the edges
//! * ring 3: [`http`], [`worker`]: the flows
//! * ring 4: [`app`] and [`cli`]: composition and commands; [`sim`] is an island that plays ServiceNow

pub mod app;
pub mod callback;
pub mod cli;
pub mod delivery;
pub mod domain;
pub mod history;
pub mod http;
pub mod issuers;
pub mod limits;
pub mod mapping;
pub mod onboarding;
pub mod peer;
pub mod runtime;
pub mod security;
pub mod service_levels;
pub mod servicenow;
pub mod settings;
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod tenants;
pub mod worker;
