//! The JSON Schemas (draft 2020-12) of the settings and of a tenant's file, for editors and for our own check.
//!
//! Owns: making them from the types in [`super::raw`] and [`super::raw_tenant`]. Fails: it cannot.
//! Proved by: `tests/settings.rs`.

use std::sync::LazyLock;

use serde_json::Value;

use super::raw::RawSettings;
use super::raw_tenant::RawTenant;

static SETTINGS: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(RawSettings).to_value());
static TENANT: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(RawTenant).to_value());

/// What may stand in `snowgate.yaml`.
pub fn settings() -> &'static Value {
    &SETTINGS
}

/// What may stand in a tenant's file.
pub fn tenant() -> &'static Value {
    &TENANT
}
