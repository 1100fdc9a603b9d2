//! Limits of the instance and of its tokens: respected, and only by the tenant they concern.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::{Event, Home, Instance, Tenant, eventually, faults, within};

#[tokio::test]
async fn a_retry_after_is_kept_to_the_millisecond_and_the_neighbour_goes_on() {
    let (busy, calm) = (Instance::start(), Instance::start());
    let home = Home::of(&[Tenant::named("contoso", busy.url()), Tenant::named("fabrikam", calm.url())]);
    let gateway = home.start().await;
    busy.plays("rate_limited=1000:8,budget=1");
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    eventually("the instance says 429", async || (busy.calls().len() == 1).then_some(())).await;
    gateway.post(&Event::opened("MTR-2")).await.expect(202);
    gateway.post_for("fabrikam", &Event::opened("FAB-1")).await.expect(202);
    within(Duration::from_secs(4), "the neighbour's event arrives", async || {
        (calm.tickets_of("FAB-1").len() == 1).then_some(())
    })
    .await;
    gateway.quiet().await;
    let calls = busy.calls();
    let refused = calls.first().expect("the 429");
    assert_eq!(refused.status, Some(429));
    let silence = calls.get(1).map(|next| next.at - refused.at).expect("it came back");
    assert!(silence >= 8_000, "the next call came after {silence} ms");
    assert_eq!(busy.tickets().len(), 2);
    let first = gateway.deliveries("").await.first().cloned().expect("MTR-1");
    assert_eq!(first["state"], "delivered", "a throttled try is nobody's fault: {first}");
    let seen = format!(
        "asked for 8 s of silence, the next call came after {silence} ms; another tenant's event was delivered meanwhile"
    );
    faults::proven("F30", "a_retry_after_is_kept_to_the_millisecond_and_the_neighbour_goes_on", &seen);
}

#[tokio::test]
async fn a_full_node_is_left_alone_for_a_moment_without_pausing_the_tenant_for_long() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    instance.plays("semaphore_full=1000,budget=1");
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn revoked_tokens_cost_one_fetch_and_no_event() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).with_oauth()]);
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-0")).await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.token_fetches(), 1);
    instance.plays("unauthorized=1000,budget=1,path=/table/incident");
    let events: Vec<Event> = (1..=30).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    join_all(events.iter().map(|event| gateway.post(event))).await;
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 31);
    assert_eq!(instance.token_fetches(), 2, "all of them shared one new token");
}

#[tokio::test]
async fn wrong_credentials_pause_the_tenant_in_words_and_ask_rarely() {
    // proves F34: paused in words, at most 2 requests for a token, the neighbour goes on, and after the repair all is delivered
    let instance = Instance::start();
    let home =
        Home::of(&[Tenant::named("contoso", instance.url()).with_oauth(), Tenant::named("fabrikam", instance.url())]);
    instance.turn(|switches| switches.client_credentials_enabled = false);
    let gateway = home.start().await;
    gateway.post_all(&[Event::opened("MTR-1"), Event::opened("MTR-2")]).await;
    let health = eventually("contoso is paused", async || {
        let tenant = gateway.get("/v1/tenants/contoso").await;
        tenant.get("pause").is_some().then_some(tenant)
    })
    .await;
    assert!(health["health"].as_str().is_some_and(|words| words.contains("unauthorized")), "{health}");
    gateway.post_for("fabrikam", &Event::opened("FAB-1")).await.expect(202);
    eventually("fabrikam goes on", async || (instance.tickets_of("FAB-1").len() == 1).then_some(())).await;
    assert!(instance.token_fetches() <= 2, "a wrong secret locks accounts when it is tried again and again");

    assert!(gateway.metric("snowgate_tenant_paused", "contoso").await > 0.5, "an alarm can see it");
    instance.turn(|switches| switches.client_credentials_enabled = true);
    gateway.ask(reqwest::Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 3);
    assert!(gateway.metric("snowgate_tenant_paused", "contoso").await < 0.5, "and that it is over");
}

#[tokio::test]
async fn a_restart_after_the_credentials_were_mended_tries_them_at_once() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).with_oauth()]);
    instance.turn(|switches| switches.client_credentials_enabled = false);
    let mut gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    eventually("contoso is paused", async || {
        gateway.get("/v1/tenants/contoso").await.get("pause").is_some().then_some(())
    })
    .await;
    gateway.kill();
    drop(gateway);
    let file = std::fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("the tenant");
    let other = "auth: {kind: basic, username: snowgate, password: {env: SNOW_PASSWORD}}";
    let mended: Vec<&str> =
        file.lines().map(|line| if line.trim().starts_with("auth:") { other } else { line }).collect();
    home.write("tenants/contoso.yaml", &mended.join("\n").replace(other, &format!("  {other}")));
    let gateway = home.start().await;
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}
