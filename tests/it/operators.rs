//! The admin listener: what operators see and the levers they have.

use reqwest::Method;

use crate::support::home::hash_of;
use crate::support::reply::text;
use crate::support::{Bridged, Event, Gateway, Home, Instance, Reply, eventually};

const PAUSE: &str = "/v1/tenants/contoso/pause";
const RESUME: &str = "/v1/tenants/contoso/resume";

async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    (instance, home, gateway)
}

#[tokio::test]
async fn a_paused_tenant_keeps_its_work_until_it_is_resumed() {
    let (instance, _home, gateway) = gateway().await;
    let paused = gateway.ask(Method::POST, PAUSE).await.expect(200).json();
    assert!(text(&paused, "/health").starts_with("paused"), "{paused}");
    assert_eq!(paused["pause"]["code"], "operator");
    gateway
        .post_all(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "one"), Event::message("MTR-1", 2, "two")])
        .await;
    let tenant = gateway.get("/v1/tenants/contoso").await;
    assert_eq!(tenant["waiting"], 3, "{tenant}");
    assert!(instance.calls().is_empty(), "nothing is sent for a paused tenant");
    let resumed = gateway.ask(Method::POST, RESUME).await.expect(200).json();
    assert!(resumed.get("pause").is_none(), "{resumed}");
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one", "two"]);
}

#[tokio::test]
async fn a_pause_outlives_a_restart() {
    let (instance, home, mut gateway) = gateway().await;
    gateway.ask(Method::POST, PAUSE).await.expect(200);
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.kill();
    drop(gateway);
    let gateway = home.start().await;
    let tenant = gateway.get("/v1/tenants/contoso").await;
    assert!(text(&tenant, "/health").starts_with("paused") && tenant["waiting"] == 1, "{tenant}");
    assert!(instance.calls().is_empty());
    gateway.ask(Method::POST, RESUME).await.expect(200);
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let (_instance, _home, gateway) = gateway().await;
    let events: Vec<Event> = (0..5).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    gateway.post_all(&events).await;
    gateway.quiet().await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/v1/tenants/contoso/deliveries?limit=2{cursor}")).await;
        let deliveries = page["deliveries"].as_array().expect("a list");
        assert!((1..=2).contains(&deliveries.len()), "{page}");
        seen.extend(deliveries.iter().map(|delivery| text(delivery, "/incident")));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["MTR-4", "MTR-3", "MTR-2", "MTR-1", "MTR-0"], "newest first, each once");
    let one = gateway.get("/v1/tenants/contoso/deliveries?incident=MTR-3&state=delivered").await;
    assert_eq!(one["deliveries"].as_array().map(Vec::len), Some(1));
    let none = gateway.get("/v1/tenants/contoso/deliveries?incident=MTR-3&state=parked").await;
    assert_eq!(none["deliveries"].as_array().map(Vec::len), Some(0));
    for (query, words) in [("state=lost", "waiting"), ("cursor=x", ""), ("limit=many", ""), ("colour=red", "")] {
        let reply = gateway.ask(Method::GET, &format!("/v1/tenants/contoso/deliveries?{query}")).await.expect(400);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{query}: {}", reply.text);
        assert!(reply.text.contains(words), "{query}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_incident_is_one_timeline_of_both_directions_with_its_ticket() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.opened("MTR-2", "customer").await;
    bridged.comments("abel.tuter", &ticket, "The cable is fine.");
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;

    let gateway = bridged.gateway();
    let shown = gateway.get("/v1/tenants/contoso/incidents/MTR-1").await;
    assert_eq!(shown["incident"], "MTR-1");
    assert_eq!(shown["tickets"].as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!(text(&shown, "/tickets/0/number"), ticket.field("number"));
    assert!(text(&shown, "/tickets/0/url").starts_with(bridged.instance.url()), "{shown}");
    let whole = kinds(&shown);
    for kind in ["incident.opened", "ticket.linked", "ticket.seen", "ticket.message_added"] {
        assert!(whole.contains(&kind.to_owned()), "{kind} in {whole:?}");
    }
    assert_eq!(whole.first().map(String::as_str), Some("ticket.message_added"), "newest first: {whole:?}");
    assert!(!shown.to_string().contains("MTR-2"), "another incident's story");

    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = gateway.get(&format!("/v1/tenants/contoso/incidents/MTR-1?limit=2{cursor}")).await;
        pages.extend(kinds(&page));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, whole, "the same in pages");

    let list = async |query: &str| kinds(&gateway.get(&format!("/v1/tenants/contoso/deliveries?{query}")).await);
    assert_eq!(list("incident=MTR-1").await, whole);
    assert_eq!(list("incident=MTR-1&direction=to_servicenow").await, ["incident.opened"]);
    let back = list("incident=MTR-1&direction=to_service").await;
    assert_eq!(back.len() + 1, whole.len(), "{back:?}");

    for (path, status) in [("MTR-9", 404), ("MTR-1?cursor=x", 400), ("MTR-1?colour=red", 400)] {
        gateway.ask(Method::GET, &format!("/v1/tenants/contoso/incidents/{path}")).await.expect(status);
    }
    gateway.ask(Method::GET, "/v1/tenants/contoso/deliveries?direction=up").await.expect(400);
    gateway.ask(Method::GET, "/v1/tenants/nobody/incidents/MTR-1").await.expect(404);
}

fn kinds(page: &serde_json::Value) -> Vec<String> {
    page["deliveries"].as_array().expect("a list").iter().map(|delivery| text(delivery, "/kind")).collect()
}

#[tokio::test]
async fn a_tenant_shows_how_its_peers_and_its_sweep_stand() {
    let bridged = Bridged::start().await;
    bridged.opened("MTR-1", "customer").await;
    bridged.quiet().await;
    let tenant = bridged.gateway().get("/v1/tenants/contoso").await;
    for peer in ["servicenow", "callback"] {
        assert_eq!(tenant[peer]["breaker"], "closed", "{peer}: {tenant}");
        assert!(tenant[peer]["hour_used"].as_u64() >= Some(1), "{peer}: {tenant}");
        assert!(text(&tenant[peer], "/words").contains("of this hour used"), "{peer}: {tenant}");
    }
    assert_eq!((&tenant["sweep"]["drifted"], &tenant["sweep"]["tickets"]), (&0.into(), &0.into()), "{tenant}");
    assert!(text(&tenant["sweep"], "/words").contains("nothing that was not known"), "{tenant}");

    let (_instance, _home, forth_only) = gateway().await;
    forth_only.post(&Event::opened("MTR-1")).await.expect(202);
    forth_only.quiet().await;
    let tenant = forth_only.get("/v1/tenants/contoso").await;
    assert!(tenant.get("callback").is_none() && tenant.get("sweep").is_none(), "{tenant}");
}

#[tokio::test]
async fn a_record_tells_how_a_delivery_went() {
    let (_instance, _home, gateway) = gateway().await;
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    gateway.quiet().await;
    let record = gateway.record(&delivery).await;
    assert_eq!((&record["state"], &record["ending"]["how"]), (&"delivered".into(), &"created".into()), "{record}");
    assert_eq!(record["body"]["incident"]["id"], "MTR-1", "the event as it was sent");
    assert_eq!(record["kind"], "incident.opened");
    for path in ["replay", "drop"] {
        let refused = gateway.ask(Method::POST, &format!("/v1/tenants/contoso/deliveries/{delivery}/{path}")).await;
        assert_eq!(refused.expect(409).code(), "not_parked", "{path}");
    }
    for unknown in ["dlv_00000000-0000-7000-8000-000000000000", "nonsense"] {
        let path = format!("/v1/tenants/contoso/deliveries/{unknown}");
        assert_eq!(gateway.ask(Method::GET, &path).await.expect(404).code(), "not_found");
        assert_eq!(gateway.ask(Method::POST, &format!("{path}/replay")).await.expect(404).code(), "not_found");
    }
    gateway.ask(Method::GET, "/v1/tenants/nobody").await.expect(404);
    gateway.ask(Method::GET, "/v1/nonsense").await.expect(404);
}

#[tokio::test]
async fn the_promised_metrics_are_there() {
    let (_instance, _home, gateway) = gateway().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.post(&Event::opened("MTR-1")).await.expect(200);
    gateway.post(&Event::opened("MTR-1").with("/type", "nonsense".into())).await.expect(422);
    gateway.quiet().await;
    for (name, labels, least) in [
        ("snowgate_changes_accepted_total", "tenant=\"contoso\"", 1.0),
        ("snowgate_changes_duplicate_total", "tenant=\"contoso\"", 1.0),
        ("snowgate_requests_refused_total", "code=\"invalid_event\"", 1.0),
        ("snowgate_sender_credentials_total", "sender=\"soc\"", 3.0),
        ("snowgate_deliveries_delivered_total", "tenant=\"contoso\"", 1.0),
        ("snowgate_delivery_seconds_bucket", "le=\"+Inf\"", 1.0),
        ("snowgate_servicenow_calls_total", "class=\"done\"", 2.0),
        ("snowgate_servicenow_call_seconds_bucket", "le=\"+Inf\"", 1.0),
        ("snowgate_store_commit_seconds_bucket", "le=\"+Inf\"", 3.0),
        ("snowgate_store_commit_rows_bucket", "le=\"+Inf\"", 3.0),
    ] {
        let value = eventually(name, async || {
            let value = gateway.metric(name, labels).await;
            (value >= least).then_some(value)
        });
        assert!(value.await >= least, "{name}");
    }
    let page = gateway.ask(Method::GET, "/metrics").await.expect(200);
    assert!(page.header("content-type").starts_with("text/plain"), "{:?}", page.headers);
    for gauge in ["snowgate_oldest_waiting_seconds", "snowgate_backlog_deliveries"] {
        assert!(page.text.contains(&format!("{gauge}{{tenant=\"contoso\"")), "{gauge} in\n{}", page.text);
    }
    assert!(!page.text.contains("MTR-1"), "a record is no label");
}

#[tokio::test]
async fn a_pause_that_cannot_be_read_pauses_nothing() {
    let (instance, _home, gateway) = gateway().await;
    for body in [r#"{"seconds":"600"}"#, r#"{"second":600}"#, "{", r#"{"seconds":-1}"#] {
        let request = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client")
            .post(format!("{}{PAUSE}", gateway.admin()));
        let reply = Reply::of(request.header("content-type", "application/json").body(body)).await.expect("an answer");
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{body}");
    }
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn every_operator_is_known_by_token_and_may_do_what_the_role_says() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let lines = (0..20).map(|number| {
        let (role, hash) = (["read", "operate", "admin"][number % 3], hash_of(&format!("operator {number}")));
        format!("  - {{name: person-{number}, role: {role}, api_key_sha256: \"{hash}\"}}\n")
    });
    let lines: Vec<String> = lines.collect();
    let settings = std::fs::read_to_string(home.path().join("snowgate.yaml")).expect("the settings");
    home.write("snowgate.yaml", &format!("{settings}operators:\n{}", lines.concat()));
    let gateway = home.start().await;
    gateway.asks_for_tokens();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let as_person = async |number: usize, method: Method, path: &str| {
        let request = client.request(method, format!("{}{path}", gateway.admin()));
        Reply::of(request.bearer_auth(format!("operator {number}"))).await.expect("an answer").status
    };
    gateway.ask(Method::GET, "/v1/tenants").await.expect(401);
    gateway.ask(Method::GET, "/livez").await.expect(200);
    assert_eq!(as_person(99, Method::GET, "/v1/tenants").await, 401);
    for number in 0..20 {
        assert_eq!(as_person(number, Method::GET, "/v1/tenants").await, 200, "operator {number}");
        let pauses = as_person(number, Method::POST, PAUSE).await;
        assert_eq!(pauses, if number % 3 == 0 { 403 } else { 200 }, "operator {number}");
    }
}

#[tokio::test]
async fn a_trace_of_the_sender_goes_on_in_the_log() {
    let (_instance, _home, gateway) = gateway().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let event = Event::opened("MTR-1").with("/type", "nonsense".into());
    let request = gateway.posting("contoso", &event).header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    Reply::of(request).await.expect("an answer").expect(422);
    let line = eventually("the refusal is logged", async || {
        gateway.log().lines().find(|line| line.contains("Refused a request")).map(str::to_owned)
    })
    .await;
    assert!(line.contains(trace), "{line}");
    assert!(line.contains("/type"), "says what is wrong with it: {line}");
}

#[tokio::test]
async fn an_operators_pause_is_seen_by_alarms_until_it_is_over() {
    let (_instance, _home, gateway) = gateway().await;
    gateway.ask(Method::POST, PAUSE).await.expect(200);
    assert!(gateway.metric("snowgate_tenant_paused", "reason=\"operator\"").await > 0.5);
    gateway.ask(Method::POST, RESUME).await.expect(200);
    assert!(gateway.metric("snowgate_tenant_paused", "reason=\"operator\"").await < 0.5);
}
