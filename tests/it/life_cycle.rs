//! From a draft to being served: a tenant that waits for its check takes nothing, and one that was enabled stays so.

use std::process::Output;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use snowgate::runtime::clock::SystemClock;
use snowgate::settings::Environment;
use snowgate::store::Store;
use snowgate::store::audit::Actor;
use snowgate::store::life_cycle::CheckRecord;
use snowgate::store::sqlite::{Options, SqliteStore};

use crate::support::home::key_of;
use crate::support::mappings::{PLAIN, plain_with};
use crate::support::reply::text;
use crate::support::{Event, Gateway, Home, Instance, Reply, Tenant};

const ENABLE: &str = "/v1/tenants/contoso/enable";
const DISABLE: &str = "/v1/tenants/contoso/disable";

fn site() -> (Instance, Home) {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).and("enabled: after_check\n")]);
    (instance, home)
}

fn tenants(home: &Home, gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["tenants"], arguments, &["--admin", gateway.admin()]].concat();
    let Output { status, stdout, stderr } = home.command(&arguments).output().expect("the binary was built");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

async fn contoso(gateway: &Gateway) -> Value {
    gateway.get("/v1/tenants/contoso").await
}

/// What a live check leaves behind, for the configuration in this folder.
async fn checked(home: &Home, passed: bool) {
    let digest = {
        let command = home.command(&[]);
        let environment = command.get_envs().fold(Environment::empty_in(home.path()), |environment, (name, value)| {
            match (name.to_str(), value.and_then(std::ffi::OsStr::to_str)) {
                (Some(name), Some(value)) => environment.with(name, value),
                _ => environment,
            }
        });
        let loaded = snowgate::tenants::load(&home.path().join("snowgate.yaml"), &environment);
        *loaded.tenants.first().expect("a tenant without errors").check_digest()
    };
    let options = Options { accept_data_loss: true, ..Options::new(Arc::new(SystemClock)) };
    let store =
        Store::Sqlite(Arc::new(SqliteStore::open(&home.path().join("snowgate.db"), options).expect("the file")));
    let findings = vec![json!({"code": "L001", "message": "no such field"})];
    let check = CheckRecord { digest, passed, findings, by: Actor::gateway() };
    store.record_check(&"contoso".parse().expect("a name"), check).await.expect("a record");
    store.close(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_draft_takes_nothing_until_somebody_enables_it_by_force() {
    let (instance, home) = site();
    let gateway = home.start().await;
    let refused = gateway.post(&Event::opened("MTR-1")).await.expect(503);
    assert!(refused.text.contains("passed check") && !refused.header("retry-after").is_empty(), "{}", refused.text);
    let shown = contoso(&gateway).await;
    assert_eq!((&shown["stage"], &shown["enabled"]), (&json!("draft"), &json!(false)), "{shown}");
    assert_eq!(gateway.ask(Method::POST, ENABLE).await.expect(409).code(), "not_tested");
    let (code, said) = tenants(&home, &gateway, &["enable", "contoso"]);
    assert!(code == Some(1) && said.contains("never checked"), "{said}");
    let (code, said) = tenants(&home, &gateway, &["enable", "contoso", "--force"]);
    assert!(code == Some(0) && said.contains("without a passed check"), "{said}");
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
    let (code, list) = tenants(&home, &gateway, &["list"]);
    assert!(code == Some(0) && list.contains("enabled"), "{list}");
    let rows = gateway.get("/v1/audit").await;
    assert_eq!(text(&rows, "/rows/0/action"), "enabled_untested");
}

#[tokio::test]
async fn what_waits_for_a_disabled_tenant_waits_and_a_restart_changes_nothing() {
    let (instance, home) = site();
    let mut gateway = home.start().await;
    let force = async |gateway: &Gateway| {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("{}{ENABLE}", gateway.admin())).json(&json!({"force": true}));
        Reply::of(request).await.expect("an answer").expect(200)
    };
    force(&gateway).await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.ask(Method::POST, DISABLE).await.expect(200);
    gateway.ask(Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    gateway.kill();
    drop(gateway);
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-2")).await.expect(503);
    let shown = contoso(&gateway).await;
    assert_eq!((&shown["stage"], &shown["waiting"]), (&json!("draft"), &json!(1)), "{shown}");
    assert!(instance.calls().is_empty(), "nothing is sent");
    force(&gateway).await;
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn a_passed_check_of_exactly_this_enables_and_a_later_change_switches_nothing_off() {
    let (instance, home) = site();
    checked(&home, false).await;
    let mut gateway = home.start().await;
    let refused = gateway.ask(Method::POST, ENABLE).await.expect(409);
    assert_eq!(text(&refused.json(), "/findings/0/code"), "L001", "says what was found: {}", refused.text);
    gateway.kill();
    drop(gateway);

    checked(&home, true).await;
    let mut gateway = home.start().await;
    assert_eq!(contoso(&gateway).await["stage"], "tested");
    gateway.ask(Method::POST, ENABLE).await.expect(200);
    let shown = contoso(&gateway).await;
    assert_eq!(
        (&shown["stage"], &shown["released"]["forced"], &shown["health"]),
        (&json!("enabled"), &json!(false), &json!("idle")),
        "{shown}"
    );
    gateway.kill();
    drop(gateway);

    home.remap("contoso", &plain_with(&["contact_type: monitoring"]));
    let mut gateway = home.start().await;
    let shown = contoso(&gateway).await;
    assert_eq!((&shown["stage"], &shown["check"]["changed_since"]), (&json!("enabled"), &json!(true)), "{shown}");
    assert!(text(&shown, "/health").contains("changed since its test"), "{shown}");
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
    gateway.ask(Method::POST, DISABLE).await.expect(200);
    assert!(gateway.ask(Method::POST, ENABLE).await.expect(409).text.contains("changed since"), "another mapping");
    gateway.kill();
    drop(gateway);

    home.remap("contoso", PLAIN);
    let gateway = home.start().await;
    assert_eq!(contoso(&gateway).await["stage"], "tested", "its check speaks for it again");
    assert!(!gateway.log().contains(&key_of("contoso")));
}

#[tokio::test]
async fn where_the_file_decides_no_operator_does() {
    let instance = Instance::start();
    for (said, stage) in [("", "enabled"), ("enabled: false\n", "draft")] {
        let home = Home::of(&[Tenant::named("contoso", instance.url()).and(said)]);
        let gateway = home.start().await;
        assert_eq!(contoso(&gateway).await["stage"], stage);
        for path in [ENABLE, DISABLE] {
            let refused = gateway.ask(Method::POST, path).await.expect(409);
            assert_eq!(refused.code(), "file_decides", "{}", refused.text);
            assert!(refused.text.contains("after_check"));
        }
    }
}
