//! `GET /openapi.json`: what both listeners serve, made from the handlers' own descriptions.
//!
//! Owns: the two lists of handlers, the refusals each kind of route may answer with, and joining both listeners into one
//! document. Each operation says on which listener it is (`x-listeners`), which role it needs there (`x-role`: `read`,
//! `operate`, `admin`, or `none`) and who may call it on the public one (`x-caller`: `sender`, `instance`, `anyone`).
//! Never: decides who may; the extractors do, and `tests/it/matrix.rs` holds them to this document.
//! To add a route: describe the handler with `#[utoipa::path]`, name it below, and register it with a [`super::Served`].
//! Proved by: the tests below, which compare the lists with what is served, and the committed copy with the code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use serde_json::{Value, json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::error::{Code, Fault, Problem};
use super::operators::{Looks, Operator};
use super::{admin, audit, configuration, deliveries, events, health, sources, tenants, webhooks};

/// Handlers of the public listener.
#[derive(OpenApi)]
#[openapi(
    paths(events::accept, sources::accept, webhooks::servicenow, deliveries::receipt, health::livez, health::readyz),
    components(schemas(Problem<'_>, Fault)),
    modifiers(&Schemes)
)]
struct Public;

/// Handlers of the admin listener.
#[derive(OpenApi)]
#[openapi(
    paths(
        admin::metrics,
        health::livez,
        health::readyz,
        openapi,
        audit::rows,
        configuration::present,
        configuration::reload,
        tenants::tenants,
        tenants::tenant,
        tenants::check,
        tenants::pause,
        tenants::resume,
        tenants::enable,
        tenants::disable,
        admin::deliveries,
        admin::incident,
        admin::delivery,
        admin::replay,
        admin::drop_parked,
    ),
    components(schemas(Problem<'_>, Fault)),
    modifiers(&Schemes)
)]
struct Admin;

/// How callers show who they are.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |what: &str| {
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what)).build())
        };
        let signature = ApiKey::Header(ApiKeyValue::with_description(
            "webhook-signature",
            "Standard Webhooks: with `webhook-id` and `webhook-timestamp`, over the raw body",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "operator",
            bearer("An operator's token; on a loopback listener without operators, none"),
        );
        components.add_security_scheme("senderKey", bearer("An API key of one of the tenant's senders"));
        components.add_security_scheme("signature", SecurityScheme::ApiKey(signature));
    }
}

/// Names a set of refusals that some routes share.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $($code:ident)*;)*) => {
        $($(#[$doc])*
        pub(super) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                problems(&[$(Code::$code),*])
            }
        })*
    };
}

refusals! {
    /// Of whoever sends events.
    Sending: MalformedJson BadRequest Unauthorized RequestTimeout BodyTooLarge UnsupportedMediaType InvalidEvent EventConflict
        LaneFull TenantFull TenantBusy TooManyFailures Overloaded StoreUnavailable IssuerUnavailable Internal;
    /// Of a tool that sends its own payload. Some tools take another status than ours as "come again".
    Feeding: MalformedJson BadRequest Unauthorized NotFound RequestTimeout BodyTooLarge UnsupportedMediaType InvalidEvent
        EventConflict LaneFull TenantFull TenantBusy TooManyFailures Overloaded StoreUnavailable IssuerUnavailable Internal;
    /// Of an instance that calls.
    Calling: MalformedJson BadRequest Unauthorized RequestTimeout BodyTooLarge UnsupportedMediaType InvalidEvent EventConflict
        TicketLaneFull TenantFull TenantBusy TooManyFailures Overloaded StoreUnavailable Internal;
    /// Of whoever asks for what is theirs.
    Asking: Unauthorized NotFound TooManyFailures StoreUnavailable IssuerUnavailable Internal;
    /// Of an operator who looks at everything.
    Looking: Unauthorized Forbidden StoreUnavailable Internal;
    /// Of an operator who names something.
    Finding: BadRequest Unauthorized Forbidden NotFound StoreUnavailable Internal;
    /// Of an operator who decides about a parked delivery.
    Mending: Unauthorized Forbidden NotFound NotParked StoreUnavailable Internal;
    /// Of an operator who has an instance checked.
    Checks: BadRequest Unauthorized Forbidden NotFound CheckUnderWay StoreUnavailable Internal;
    /// Of an operator who has the files read.
    Reloading: Unauthorized Forbidden InvalidConfiguration StoreUnavailable Internal;
    /// Of an operator who decides whether a tenant is served.
    Enabling: BadRequest Unauthorized Forbidden NotFound NotTested FileDecides StoreUnavailable Internal;
}

/// One response for each status, with the codes that it may carry.
fn problems(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().as_u16().to_string()).or_default().push(*code);
    }
    let response = |codes: Vec<Code>| {
        let said: Vec<String> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
        let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let extensions = [("x-codes", json!(words))].into_iter().collect();
        let response = ResponseBuilder::new().description(said.join("; ")).content("application/problem+json", problem);
        RefOr::T(response.extensions(Some(extensions)).build())
    };
    by_status.into_iter().map(|(status, codes)| (status, response(codes))).collect()
}

/// The whole document; made once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = listener(&Public::openapi(), "public");
    join(&mut document, listener(&Admin::openapi(), "admin"));
    document["info"] = json!({
        "title": "Snowgate",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Keeps a managed service's incidents and its customers' ServiceNow tickets in step. Two listeners: the \
                        public one takes events and webhooks, the admin one is for operators. docs/http.md says more.",
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    sorted(document)
});

/// The document, for whoever prints it.
pub fn document() -> &'static Value {
    &DOCUMENT
}

#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operators",
    summary = "This document",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), Looking),
    security(("operator" = [])),
    extensions(("x-role" = json!("read")))
)]
pub(super) async fn openapi(_: Operator<Looks>) -> HttpResponse {
    HttpResponse::Ok().json(document())
}

fn listener(document: &utoipa::openapi::OpenApi, name: &str) -> Value {
    // Every part of it is text, numbers, lists and maps with text for keys.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    for operation in operations(&mut document) {
        operation["x-listeners"] = json!([name]);
    }
    document
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut);
    paths.filter_map(Value::as_object_mut).flat_map(|path| {
        path.iter_mut().filter(|(method, _)| matches!(method.as_str(), "get" | "post")).map(|(_, operation)| operation)
    })
}

/// Adds another listener's document. What both serve under one name becomes one operation that says both.
fn join(into: &mut Value, mut other: Value) {
    for (path, item) in taken(&mut other["paths"]) {
        for (method, operation) in item.as_object().cloned().unwrap_or_default() {
            match &mut into["paths"][&path][&method] {
                known @ Value::Null => *known = operation,
                known => merge(known, operation),
            }
        }
    }
    for kind in ["schemas", "securitySchemes"] {
        for (name, component) in taken(&mut other["components"][kind]) {
            into["components"][kind][name] = component;
        }
    }
}

fn taken(object: &mut Value) -> serde_json::Map<String, Value> {
    object.as_object_mut().map(std::mem::take).unwrap_or_default()
}

/// One operation of two: who may call it on either listener, and what it answers there.
fn merge(known: &mut Value, mut other: Value) {
    if known["summary"] != other["summary"] {
        let both = format!(
            "On the public listener: {}. On the admin listener: {}.",
            known["summary"].as_str().unwrap_or_default(),
            other["summary"].as_str().unwrap_or_default()
        );
        known["description"] = both.into();
        let schema = |operation: &Value| operation["responses"]["200"]["content"]["application/json"]["schema"].clone();
        let either = json!({"anyOf": [schema(known), schema(&other)]});
        known["responses"]["200"]["content"]["application/json"]["schema"] = either;
    }
    for (status, response) in taken(&mut other["responses"]) {
        if known["responses"][&status].is_null() {
            known["responses"][status] = response;
        }
    }
    for list in ["security", "x-listeners"] {
        let more = other[list].as_array_mut().map(std::mem::take).unwrap_or_default();
        if let Some(all) = known[list].as_array_mut() {
            all.extend(more);
        }
    }
    known["x-role"] = other["x-role"].take();
}

/// With its keys in order, whatever order they were made in.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let ordered: BTreeMap<String, Value> =
                object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Served;
    use super::*;

    /// Method, path and description of every operation.
    fn described() -> Vec<(String, String, &'static Value)> {
        let paths = document()["paths"].as_object().unwrap();
        let of_path = |(path, item): (&'static String, &'static Value)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(|(method, operation)| (method.clone(), path.clone(), operation)).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect()
    }

    fn of_listener(name: &str) -> BTreeSet<(String, String)> {
        let served = described().into_iter().filter(|(_, _, operation)| is_on(operation, name));
        served.map(|(method, path, _)| (method, path)).collect()
    }

    fn is_on(operation: &Value, listener: &str) -> bool {
        operation["x-listeners"].as_array().unwrap().contains(&json!(listener))
    }

    fn of(served: Vec<Served>) -> BTreeSet<(String, String)> {
        served.into_iter().map(|route| (route.method.as_str().to_lowercase(), route.path.to_owned())).collect()
    }

    #[test]
    fn every_route_that_is_served_is_documented_and_no_other() {
        assert_eq!(of_listener("public"), of(super::super::served()));
        assert_eq!(of_listener("admin"), of(admin::served()));
    }

    #[test]
    fn every_operation_says_what_it_is_who_may_and_what_goes_wrong() {
        let mut codes = BTreeSet::new();
        for (method, path, operation) in described() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{name}");
            let (role, caller) = (operation["x-role"].as_str(), operation["x-caller"].as_str());
            let roles = [Some("none"), Some("read"), Some("operate"), Some("admin")];
            assert_eq!(is_on(operation, "admin"), roles.contains(&role), "{name}: {role:?}");
            let callers = [Some("anyone"), Some("sender"), Some("instance")];
            assert_eq!(is_on(operation, "public"), callers.contains(&caller), "{name}: {caller:?}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let named = |parameter: &Value| parameter["name"] == part && parameter["in"] == "path";
                assert!(parameters.iter().any(named), "{name} says what `{part}` is");
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
            let said = responses.values().filter_map(|response| response["x-codes"].as_array()).flatten();
            codes.extend(said.map(ToString::to_string));
        }
        // 405 belongs to no operation.
        assert_eq!(codes.len() + 1, Code::ALL.len(), "every code is promised somewhere: {codes:?}");
    }

    #[test]
    fn references_lead_somewhere() {
        let text = document().to_string();
        for rest in text.split("#/components/").skip(1) {
            let name = rest.split('"').next().unwrap();
            let found = document().pointer(&format!("/components/{name}"));
            assert!(found.is_some(), "{name}");
        }
    }

    #[test]
    fn the_committed_copy_is_this_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let committed: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default();
        assert!(committed == *document(), "write it anew: snowgate schema openapi > docs/openapi.json");
    }
}
