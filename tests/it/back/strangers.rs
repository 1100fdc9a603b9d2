//! Who calls without being the tenant's instance: a clone with valid secrets, and rules that cannot sign.

use reqwest::Method;
use serde_json::json;
use snowgate::sim::acts::Act;

use crate::support::gateway::parking;
use crate::support::{Bridged, Home, Instance, Reply, Tenant, eventually};

#[tokio::test]
async fn a_clone_of_production_is_held_and_told_and_nothing_it_says_gets_through() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.quiet().await;
    let clone = bridged.instance.clone_as("contosotest");
    let sys_id = ticket.field("sys_id");
    clone.act("abel.tuter", &sys_id, &Act::Comment("Only a test".to_owned()));
    clone.act("abel.tuter", &sys_id, &Act::State { state: "3".into(), hold_reason: "1".into() });
    eventually("they are held", async || (bridged.gateway().deliveries("parked").await.len() == 2).then_some(())).await;
    let parked = bridged.gateway().deliveries("parked").await;
    let (code, reason) = parking(&bridged.gateway().record(parked[0]["id"].as_str().expect("an id")).await);
    assert_eq!(code, "foreign_instance");
    assert!(reason.contains("contosotest"), "{reason}");
    let log = bridged.gateway().log();
    let alarm = log.lines().find(|line| line.contains("foreign_instance")).expect("it is told");
    assert!(alarm.contains("\"level\":\"WARN\"") || alarm.contains("\"level\":\"ERROR\""), "{alarm}");
    bridged.gateway().leaves_parked(2);
    // Production goes on with the same ticket.
    bridged.comments("abel.tuter", &ticket, "This is production");
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.messages(), ["This is production"]);
    assert!(bridged.receiver.of_kind("changed").is_empty());
    assert!(clone.calls().is_empty(), "nothing is asked of a clone");
}

/// A gateway that takes calls that show something they know.
async fn unsigned(how: &str) -> (Instance, Home, crate::support::Gateway) {
    let instance = Instance::start();
    let file = format!("webhook: {{unsigned: {how}}}\n");
    let home =
        Home::of(&[Tenant::named("contoso", instance.url()).and(&file), Tenant::named("fabrikam", instance.url())]);
    home.write("unsigned.secret", "canary-unsigned-password-1");
    let gateway = home.start().await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.leaves_work();
    (instance, home, gateway)
}

const HINT: &str = r#"{"table":"incident","sys_id":"46c88ac1a9fe1981014de1c831fbcf6d"}"#;

fn hint(gateway: &crate::support::Gateway, tenant: &str) -> reqwest::RequestBuilder {
    gateway.request(Method::POST, &format!("/v1/tenants/{tenant}/webhooks/servicenow")).body(HINT)
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    Reply::of(request).await.expect("an answer").status
}

#[tokio::test]
async fn a_password_opens_the_webhook_only_where_the_tenants_file_says_so() {
    let (_instance, _home, gateway) = unsigned("{basic: {username: snow, password: {file: unsigned.secret}}}").await;
    let password = Some("canary-unsigned-password-1");
    assert_eq!(status(hint(&gateway, "contoso").basic_auth("snow", password)).await, 202);
    assert_eq!(status(hint(&gateway, "contoso").basic_auth("snow", Some("canary-unsigned-password-2"))).await, 401);
    assert_eq!(status(hint(&gateway, "contoso").basic_auth("other", password)).await, 401);
    assert_eq!(status(hint(&gateway, "contoso")).await, 401);
    assert_eq!(status(hint(&gateway, "fabrikam").basic_auth("snow", password)).await, 401);
    let log = gateway.log();
    let warned = |line: &str| line.contains("WARN") && line.contains("S043");
    assert!(log.lines().any(warned), "every start warns of it, in the log itself: {log}");
    assert!(!log.contains("canary-unsigned-password"), "{log}");
}

#[tokio::test]
async fn a_fixed_header_opens_the_webhook_only_where_the_tenants_file_says_so() {
    let how = "{header: {name: x-snowgate-token, value: {file: unsigned.secret}}}";
    let (_instance, _home, gateway) = unsigned(how).await;
    let token = "canary-unsigned-password-1";
    assert_eq!(status(hint(&gateway, "contoso").header("x-snowgate-token", token)).await, 202);
    assert_eq!(status(hint(&gateway, "contoso").header("x-snowgate-token", "canary-unsigned-password-2")).await, 401);
    assert_eq!(status(hint(&gateway, "contoso").header("x-other", token)).await, 401);
    assert_eq!(status(hint(&gateway, "fabrikam").header("x-snowgate-token", token)).await, 401);
}

#[tokio::test]
async fn a_signed_tenant_takes_no_password_at_all() {
    let bridged = Bridged::start().await;
    let path = "/v1/tenants/contoso/webhooks/servicenow";
    let body = json!({"table": "incident", "sys_id": "46c88ac1a9fe1981014de1c831fbcf6d"}).to_string();
    let plain = || bridged.gateway().request(Method::POST, path).body(body.clone());
    assert_eq!(status(plain().basic_auth("snow", Some("anything"))).await, 401);
    assert_eq!(status(plain()).await, 401);
}
