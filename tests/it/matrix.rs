//! Every route × everybody who may knock, generated from the OpenAPI document: the statuses are those that it promises, and
//! nobody learns from an answer whether what they may not see is there.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use snowgate::limits::AUTH_BURST_FAILURES;

use crate::support::home::{hash_of, hook_secret_of, key_of};
use crate::support::reply::text;
use crate::support::{Bridged, Gateway, Home, Instance, Reply, Tenant, eventually, mappings};

const NOTHING: &str = "dlv_00000000000070008000000000000000";
const TICKET: &str = "46c88ac1a9fe1981014de1c831fbcf6d";
const ROLES: [&str; 3] = ["read", "operate", "admin"];

/// A gateway with two customers, and an operator of each role.
struct Site {
    _instance: Instance,
    _home: Home,
    gateway: Gateway,
    document: Value,
    client: reqwest::Client,
}

/// One operation of the document.
#[derive(Clone, Debug)]
struct Operation {
    method: Method,
    path: String,
    said: Value,
}

impl Site {
    async fn start() -> Self {
        let instance = Instance::start();
        let webhook = "webhook: {secrets: [{file: webhook.secret}]}\nenabled: after_check\n";
        let contoso = Tenant::named("contoso", instance.url()).and(webhook).mapped_by(&mappings::both_ways());
        let home = Home::of(&[contoso, Tenant::named("fabrikam", instance.url())]);
        home.write("webhook.secret", &hook_secret_of("webhook"));
        let operators: Vec<String> = ROLES
            .map(|role| format!("  - {{name: {role}, role: {role}, api_key_sha256: \"{}\"}}\n", hash_of(&token(role))))
            .into();
        let settings = std::fs::read_to_string(home.path().join("snowgate.yaml")).expect("the settings");
        home.write("snowgate.yaml", &format!("{settings}operators:\n{}", operators.concat()));
        let gateway = home.start().await;
        gateway.asks_for_tokens();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut site = Self { _instance: instance, _home: home, gateway, document: Value::Null, client };
        site.document = site.admin(Method::GET, "/openapi.json", "admin").await.expect(200).json();
        site.admin_with("/v1/tenants/contoso/enable", &json!({"force": true})).await.expect(200);
        // What is parked or waiting stays as it is while others look at it.
        site.admin(Method::POST, "/v1/tenants/contoso/pause", "admin").await.expect(200);
        site
    }

    async fn admin(&self, method: Method, path: &str, role: &str) -> Reply {
        let request = self.client.request(method, format!("{}{path}", self.gateway.admin()));
        Reply::of(request.bearer_auth(token(role))).await.expect("an answer")
    }

    async fn admin_with(&self, path: &str, body: &Value) -> Reply {
        let request = self.client.post(format!("{}{path}", self.gateway.admin())).bearer_auth(token("admin"));
        Reply::of(request.json(body)).await.expect("an answer")
    }

    fn operations(&self, listener: &str) -> Vec<Operation> {
        let paths = self.document["paths"].as_object().expect("paths");
        let of_path = |(path, item): (&String, &Value)| {
            let operation = |(method, said): (&String, &Value)| Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                said: said.clone(),
            };
            item.as_object().expect("operations").iter().map(operation).collect::<Vec<_>>()
        };
        let is_on = |operation: &Operation| {
            operation.said["x-listeners"].as_array().expect("a list").contains(&json!(listener))
        };
        let found: Vec<_> = paths.iter().flat_map(of_path).filter(is_on).collect();
        assert!(found.len() >= 5, "{listener}: {found:?}");
        found
    }

    /// The operation as somebody with this bearer token, or nobody, asks for it.
    async fn asked(&self, operation: &Operation, base: &str, tenant: &str, token: Option<&str>) -> Reply {
        let request = self.request(base, operation, tenant);
        let request = token.into_iter().fold(request, RequestBuilder::bearer_auth);
        let reply = Reply::of(request.body("{}")).await.expect("an answer");
        let who = format!("{} of {tenant} by {token:?}", operation.name());
        closed(&reply, &who);
        operation.promises(&reply, &who);
        reply
    }

    fn request(&self, base: &str, operation: &Operation, tenant: &str) -> RequestBuilder {
        let path =
            operation.path.replace("{tenant}", tenant).replace("{id}", NOTHING).replace("{source}", "alertmanager");
        assert!(!path.contains('{'), "{path}: say here what stands for it");
        let request = self.client.request(operation.method.clone(), format!("{base}{path}"));
        if operation.method == Method::GET { request } else { request.header("content-type", "application/json") }
    }
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The answer is one that the document promises, with one of the codes it names.
    fn promises(&self, reply: &Reply, who: &str) {
        let name = self.name();
        let response = &self.said["responses"][reply.status.to_string()];
        assert!(response.is_object(), "{name} by {who}: {} is not promised: {}", reply.status, reply.text);
        if reply.status >= 400 && response["x-codes"].is_array() {
            assert_eq!(reply.header("content-type"), "application/problem+json", "{name} by {who}");
            assert!(
                response["x-codes"].as_array().expect("a list").contains(&json!(reply.code())),
                "{name}: {}",
                reply.text
            );
        }
    }
}

fn token(role: &str) -> String {
    format!("canary-token-of-{role}")
}

fn closed(reply: &Reply, name: &str) {
    assert_eq!(
        (reply.header("x-content-type-options").as_str(), reply.header("cache-control").as_str()),
        ("nosniff", "no-store"),
        "{name}"
    );
    assert!(reply.header("content-security-policy").starts_with("default-src 'none'"), "{name}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "{name}");
    assert!(reply.headers.get("server").is_none() && !reply.header("x-request-id").is_empty(), "{name}");
}

#[tokio::test]
async fn operators_may_what_their_role_says_and_senders_are_nobody_there() {
    let site = Site::start().await;
    for operation in site.operations("admin") {
        of_operators(&site, &operation).await;
    }
}

async fn of_operators(site: &Site, operation: &Operation) {
    let (admin, name) = (site.gateway.admin(), operation.name());
    let needed = text(&operation.said, "/x-role");
    let least = ROLES.iter().position(|role| *role == needed);
    let expected = |status: u16| if least.is_some() { status } else { 200 };
    assert!(least.is_some() || needed == "none", "{name}: {needed}");
    for stranger in [None, Some("wrong"), Some(&key_of("contoso")), Some(&key_of("fabrikam"))] {
        let reply = site.asked(operation, admin, "contoso", stranger).await;
        assert_eq!(reply.status, expected(401), "{name} by {stranger:?}: {}", reply.text);
    }
    for (held, role) in ROLES.into_iter().enumerate() {
        let reply = site.asked(operation, admin, "contoso", Some(&token(role))).await;
        match least {
            Some(least) if held < least => assert_eq!(reply.status, 403, "{name} as {role}: {}", reply.text),
            Some(_) | None => assert!(![401, 403, 405].contains(&reply.status), "{name} as {role}: {}", reply.text),
        }
    }
    if operation.path.contains("{tenant}") {
        for tenant in ["nobody", "Not%20A%20Name"] {
            site.asked(operation, admin, tenant, Some(&token("admin"))).await.expect(404);
        }
    }
}

#[tokio::test]
async fn a_sender_is_somebody_at_its_own_tenant_and_nobody_anywhere_else() {
    let operations = Site::start().await.operations("public");
    for operation in operations {
        // A gateway each: whoever fails too often is held off, which is another test's matter.
        of_senders(&Site::start().await, &operation).await;
    }
}

async fn of_senders(site: &Site, operation: &Operation) {
    let (public, name) = (site.gateway.public(), operation.name());
    let caller = text(&operation.said, "/x-caller");
    let mut refusals = BTreeSet::new();
    for (tenant, credential) in [
        ("contoso", None),
        ("contoso", Some("wrong")),
        ("contoso", Some(key_of("fabrikam").as_str())),
        ("contoso", Some(token("admin").as_str())),
        ("nobody", None),
        ("nobody", Some(key_of("contoso").as_str())),
        ("fabrikam", Some(key_of("contoso").as_str())),
        ("Not%20A%20Name", Some(key_of("contoso").as_str())),
    ] {
        let reply = site.asked(operation, public, tenant, credential).await;
        let status = if caller == "anyone" { 200 } else { 401 };
        assert_eq!(reply.status, status, "{name} of {tenant} by {credential:?}: {}", reply.text);
        let mut headers: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
        headers.sort();
        refusals.insert((reply.text, headers));
    }
    assert_eq!(refusals.len(), 1, "{name}: unknown and forbidden are one and the same: {refusals:?}");
    let body = json!({"table": "incident", "sys_id": TICKET}).to_string();
    let own = site.request(public, operation, "contoso").body(body.clone());
    let own = match caller.as_str() {
        "instance" => Bridged::signs(own, "msg-1", &body),
        _ => own.bearer_auth(key_of("contoso")),
    };
    let reply = Reply::of(own).await.expect("an answer");
    operation.promises(&reply, "its own sender");
    assert!(![401, 403, 405].contains(&reply.status), "{name}: {}", reply.text);
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_a_row_of_the_audit_log() {
    let site = Site::start().await;
    let head = async || {
        let page = site.admin(Method::GET, "/v1/audit?limit=1", "read").await.expect(200).json();
        (page["head"]["sequence"].as_u64().expect("a number"), page["rows"][0].clone())
    };
    let changing: Vec<_> = site.operations("admin").into_iter().filter(|one| one.method != Method::GET).collect();
    assert!(changing.len() >= 6, "{changing:?}");
    for operation in changing {
        // What is done to a parked delivery is held to the same in `audit.rs`, with one that is parked.
        if operation.path.contains("{id}") {
            continue;
        }
        let (before, _) = head().await;
        let path = operation.path.replace("{tenant}", "contoso");
        let body = if path.ends_with("/enable") { json!({"force": true}) } else { json!({}) };
        let reply = site.admin_with(&path, &body).await;
        assert!(reply.status < 300, "{path}: say here how it is done: {}", reply.text);
        let (after, row) = head().await;
        assert!(after > before, "{path} left no row");
        let tenant = if operation.path.contains("{tenant}") { json!("contoso") } else { json!(null) };
        assert_eq!((&row["who"], &row["role"], &row["tenant"]), (&json!("admin"), &json!("admin"), &tenant), "{path}");
        assert_eq!(
            (&row["source"], &row["request"]),
            (&json!("127.0.0.1"), &json!(reply.header("x-request-id"))),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_burst_of_refused_credentials_is_one_row() {
    let site = Site::start().await;
    for _ in 0..3 * AUTH_BURST_FAILURES {
        let request = site.client.get(format!("{}/v1/tenants", site.gateway.admin())).bearer_auth("wrong");
        Reply::of(request).await.expect("an answer").expect(401);
    }
    let bursts = async || {
        let page = site.admin(Method::GET, "/v1/audit?limit=200", "read").await.expect(200).json();
        let rows = page["rows"].as_array().expect("rows").clone();
        rows.into_iter().filter(|row| row["action"] == "auth_burst").collect::<Vec<_>>()
    };
    let rows = eventually("the burst is recorded", async || Some(bursts().await).filter(|rows| !rows.is_empty())).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["who"], &rows[0]["source"]), (&json!("gateway"), &json!("127.0.0.1")));
}

#[tokio::test]
async fn names_from_outside_never_become_labels() {
    let site = Site::start().await;
    for number in 0..50 {
        for path in [format!("/v1/tenants/made-up-{number}/events"), format!("/made-up-{number}")] {
            let request = site.gateway.request(Method::POST, &path).bearer_auth(format!("made-up-{number}"));
            Reply::of(request.body("{}")).await.expect("an answer");
        }
        site.admin(Method::GET, &format!("/v1/tenants/made-up-{number}"), "read").await.expect(404);
    }
    let page = site.admin(Method::GET, "/metrics", "read").await.expect(200).text;
    assert!(!page.contains("made-up"), "{page}");
    let tenants: BTreeSet<&str> = page.split("tenant=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(tenants.is_subset(&BTreeSet::from(["", "contoso", "fabrikam"])), "{tenants:?}");
}
