//! Names that are paths, code or too long: none of them is a tenant, and none of them leaves a trace.

use std::net::Ipv4Addr;

use reqwest::Method;

use crate::raw::{SOON, exchange, exchange_from};
use crate::support::home::key_of;
use crate::support::{Event, Gateway, Home, Instance, Tenant};

const TICKET: &str = "46c88ac1a9fe1981014de1c831fbcf6d";

/// What people put where a name belongs; each as it stands in a request line.
fn tricks() -> Vec<String> {
    let mut tricks: Vec<String> = [
        "../x",
        "..%2fcontoso",
        "%2e%2e",
        "%2e%2e%2fcontoso",
        "contoso%2f..%2ffabrikam",
        "a/b",
        "a%00",
        "contoso%00",
        "Contoso",
        "CONTOSO",
        "%c3%a9",
        "cont%6fso%20",
        "contoso%0d%0aX-Evil:%201",
        "constructor",
        "__proto__",
        "toString",
        "contoso'--",
        "'%20or%201=1--",
        "contoso%22;drop%20table%20deliveries;--",
        "%25contoso",
        "contoso%",
        "contoso%zz",
        "%ff%fe",
        ".",
        "contoso.",
        "contoso;x=1",
        "${jndi:ldap://evil}",
        "{{7*7}}",
        "-",
        "%e2%80%aecontoso",
        "con\\toso",
    ]
    .map(str::to_owned)
    .to_vec();
    tricks.push("a".repeat(10_000));
    tricks
}

async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()), Tenant::named("fabrikam", instance.url())]);
    let gateway = home.start().await;
    (instance, home, gateway)
}

/// Names of everything in a folder.
fn files(home: &Home) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for folder in ["", "tenants", "mappings"] {
        let entries = std::fs::read_dir(home.path().join(folder)).expect("a folder");
        names.extend(
            entries.map(|entry| format!("{folder}/{}", entry.expect("an entry").file_name().to_string_lossy())),
        );
    }
    names.sort();
    names
}

/// Every public route of a tenant.
const ROUTES: [(&str, &str); 4] = [
    ("POST", "events"),
    ("POST", "sources/alertmanager"),
    ("POST", "webhooks/servicenow"),
    ("GET", "deliveries/dlv_00000000000070008000000000000000"),
];

/// What is no address at all is refused by the parser; everything else as if there were no such tenant or page.
async fn knock(gateway: &Gateway, source: Ipv4Addr, tenant: &str, (method, rest): (&str, &str)) {
    let body = if method == "POST" { Event::opened("MTR-1").body() } else { String::new() };
    let (key, length) = (key_of("contoso"), body.len());
    let request = format!(
        "{method} /v1/tenants/{tenant}/{rest} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/cloudevents+json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let said = exchange_from(source, gateway.address(), request.as_bytes(), SOON).await;
    assert!(matches!(said.statuses.as_slice(), [400 | 401 | 404]), "{tenant:.60} {rest}: {}", said.text);
    assert!(!said.text.contains("X-Evil"), "{tenant:.60}: {}", said.text);
}

#[tokio::test]
async fn a_tenant_that_is_a_path_or_code_is_nobody_on_every_route() {
    let (_instance, home, gateway) = gateway().await;
    let before = files(&home);
    for (trick, last) in tricks().into_iter().zip(1..) {
        for route in ROUTES {
            knock(&gateway, Ipv4Addr::new(127, 0, 1, last), &trick, route).await;
        }
    }
    assert!(gateway.deliveries("").await.is_empty());
    assert_eq!(files(&home), before, "no file came or went");
    let page = gateway.ask(Method::GET, "/metrics").await.expect(200).text;
    for label in page.lines().filter_map(|line| line.split_once("tenant=\"")?.1.split_once('"')) {
        assert!(["", "contoso", "fabrikam"].contains(&label.0), "a label of a stranger's making: {}", label.0);
    }
    assert!(!page.contains("constructor") && !page.contains(TICKET));
}

#[tokio::test]
async fn operators_are_told_the_same_of_every_name_that_is_none() {
    let (_instance, _home, gateway) = gateway().await;
    let admin = gateway.admin().trim_start_matches("http://");
    let nobody = |text: &str| text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    let get = async |name: &str| {
        let request = format!("GET /v1/tenants/{name} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        exchange(admin, request.as_bytes(), SOON).await
    };
    let unknown = get("northwind").await;
    assert_eq!(unknown.statuses, [404], "{}", unknown.text);
    for trick in tricks().into_iter().filter(|trick| !trick.contains('/')) {
        let said = get(&trick).await;
        let plain = matches!(said.statuses.as_slice(), [404]) && nobody(&said.text) == nobody(&unknown.text);
        assert!(plain || said.statuses == [400] || trick.starts_with('.'), "{trick:.60}: {}", said.text);
    }
}

#[tokio::test]
async fn ids_that_are_code_find_nothing_and_break_nothing() {
    let (_instance, _home, gateway) = gateway().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    for id in ["dlv_1'%20or%20'1'='1", "dlv_%00", "..%2f..%2fsnowgate.db", &"d".repeat(8_000)] {
        for path in [format!("deliveries/{id}"), format!("incidents/{id}"), format!("deliveries?cursor={id}")] {
            let reply = gateway.ask(Method::GET, &format!("/v1/tenants/contoso/{path}")).await;
            assert!(matches!(reply.status, 400 | 404), "{path:.80}: {} {}", reply.status, reply.text);
        }
    }
    let all = gateway.ask(Method::GET, "/v1/tenants/contoso/deliveries?incident=MTR-1'%20or%201=1--").await.expect(200);
    assert_eq!(all.json()["deliveries"].as_array().map(Vec::len), Some(0), "{}", all.text);
    assert_eq!(gateway.deliveries("").await.len(), 1);
}
