//! Who we are to an instance, as operators see it: a secret that is replaced while work is going on, and an end that comes near.

use crate::support::{Event, Home, Instance, Tenant, eventually};

const ROTATING: &str = "{kind: client_credentials, client_id: snowgate-client, client_secret: {env: SNOW_CLIENT_SECRET}, \
                        client_secret_next: {env: SNOW_CLIENT_SECRET_NEXT}}";
const REFRESH: &str = "{kind: refresh_token, client_id: snowgate-client, client_secret: {env: SNOW_CLIENT_SECRET}, \
                       refresh_token: {env: SNOW_PASSWORD}, refresh_token_obtained: 2020-01-01}";

#[tokio::test]
async fn a_secret_replaced_under_load_fails_no_delivery() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).signing_in_with(ROTATING)]);
    let gateway = home.start().await;
    let events: Vec<Event> = (0..120).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    gateway.post_batch(&events).await.expect(202);
    eventually("some are delivered", async || (instance.tickets().len() >= 20).then_some(())).await;
    instance.rotates_the_client_secret();
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 120, "each incident has its ticket, and one");
    for (name, labels, times) in [
        ("snowgate_deliveries_delivered_total", "contoso", 120.0),
        ("snowgate_deliveries_retried_total", "contoso", 0.0),
        ("snowgate_credentials_turned_total", "key_version=\"next\"", 1.0),
        ("snowgate_token_fetches_total", "outcome=\"granted\",key_version=\"next\"", 1.0),
    ] {
        let counted = gateway.metric(name, labels).await;
        assert!((counted - times).abs() < 0.5, "{name} {labels}: {counted} instead of {times}");
    }
    assert!(gateway.log().contains("from now on the next one is used"), "and the log says so");
}

#[tokio::test]
async fn the_end_of_a_refresh_token_is_in_the_health_and_in_the_metrics() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).signing_in_with(REFRESH)]);
    let gateway = home.start().await;
    let tenant = gateway.get("/v1/tenants/contoso").await;
    assert_eq!(tenant["credentials"]["ends_at"], "2020-04-10T00:00:00.000Z");
    let words = tenant["credentials"]["words"].as_str().unwrap_or_default();
    assert!(words.starts_with("the refresh token ended at 2020-04-10"), "{words}");
    eventually("the gauge is there", async || {
        let page = gateway.ask(reqwest::Method::GET, "/metrics").await.expect(200).text;
        page.contains("snowgate_refresh_token_expires_seconds{tenant=\"contoso\"} 0").then_some(())
    })
    .await;
    assert!(gateway.log().contains("S063"), "every start warns of it");
}
