//! The configuration changes while the gateway works: used whole or not at all, whatever the files go through meanwhile.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::home::{hash_of, key_of};
use crate::support::instance::PASSWORD;
use crate::support::reply::text;
use crate::support::{Event, Gateway, Home, Instance, Tenant, event, eventually, mappings, within};

/// A rotated secret is in use before this.
const ROTATION: Duration = Duration::from_secs(30);
/// What the log says of a refused reload.
const REFUSED: &str = "config_reload_failed";

fn names(diff: &Value, what: &str) -> Vec<String> {
    diff[what].as_array().expect("a list").iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
}

/// Asks for a reload that must be taken, and gives what it added, changed and removed.
async fn reloaded(gateway: &Gateway) -> [Vec<String>; 3] {
    let diff = gateway.ask(Method::POST, "/v1/reload").await.expect(200).json();
    ["added", "changed", "removed"].map(|what| names(&diff, what))
}

/// Asks for a reload that must be refused, and gives the places and codes of its errors.
async fn refused(gateway: &Gateway) -> Vec<String> {
    gateway.logs_error(REFUSED);
    let reply = gateway.ask(Method::POST, "/v1/reload").await.expect(422);
    assert_eq!(reply.code(), "invalid_configuration");
    errors(&reply.json()["findings"])
}

fn errors(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().expect("a list").iter().filter(|finding| finding["severity"] == "error");
    let place = |finding: &Value| format!("{}:{} {}", text(finding, "/file"), finding["line"], text(finding, "/code"));
    findings.map(place).collect()
}

/// A gateway that reads its files only when it is asked to.
fn home_of(tenants: &[Tenant]) -> Home {
    let home = Home::of(tenants);
    settings(&home, "off", "");
    home
}

/// One that looks at them often.
fn watched(tenants: &[Tenant]) -> Home {
    let home = Home::of(tenants);
    settings(&home, "100ms", "");
    home
}

fn settings(home: &Home, every: &str, more: &str) {
    home.write(
        "snowgate.yaml",
        &format!(
            "server: {{listen: \"127.0.0.1:0\", admin_listen: \"127.0.0.1:0\"}}\nstore: {{url: \"sqlite:snowgate.db\"}}\n\
             tenants: tenants\nmappings: mappings\negress: {{allow_private: [127.0.0.0/8]}}\n\
             reload: {{every: {every}}}\n{more}"
        ),
    );
}

/// The configuration, as soon as this is true of it.
async fn configuration(gateway: &Gateway, what: &str, is_true: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || Some(gateway.get("/v1/configuration").await).filter(|found| is_true(found))).await
}

fn is_refused(configuration: &Value) -> bool {
    configuration.get("last_failure").is_some()
}

#[tokio::test]
async fn files_with_errors_change_nothing_and_say_where() {
    let instance = Instance::start();
    let contoso = Tenant::named("contoso", instance.url());
    let home = home_of(std::slice::from_ref(&contoso));
    let file = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");
    let gateway = home.start().await;
    let cases = [
        ("tenants/contoso.yaml", "tenant: [".to_owned(), "tenants/contoso.yaml:1 S002"),
        ("tenants/contoso.yaml", format!("{file}sender: []\n"), "tenants/contoso.yaml:12 S003"),
        ("tenants/fabrikam.yaml", file.clone(), "tenants/fabrikam.yaml:1 S030"),
        (
            "tenants/contoso.yaml",
            file.replace("{env: SNOW_PASSWORD}", "{file: nowhere}"),
            "tenants/contoso.yaml:4 S012",
        ),
        (
            "mappings/contoso.yaml",
            mappings::PLAIN.replace("incident.title", "incident.titel"),
            "mappings/contoso.yaml:",
        ),
        ("snowgate.yaml", "tenants: [".to_owned(), "snowgate.yaml:1 S002"),
    ];
    for (name, broken, place) in cases {
        let before = fs::read_to_string(home.path().join(name)).ok();
        home.write(name, &broken);
        let found = refused(&gateway).await;
        assert!(found.iter().any(|one| one.starts_with(place)), "{name}: {found:?} instead of {place}");
        let said = gateway.get("/v1/configuration").await;
        assert!(errors(&said["last_failure"]["findings"]).iter().any(|one| one.starts_with(place)), "{said}");
        match before {
            Some(text) => home.write(name, &text),
            None => fs::remove_file(home.path().join(name)).expect("it was written"),
        }
        assert_eq!(reloaded(&gateway).await, [[""; 0]; 3]);
        assert!(gateway.get("/v1/configuration").await.get("last_failure").is_none());
    }
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    instance.ticket_of("MTR-1");
    assert_eq!(gateway.gauge("snowgate_settings_last_reload_successful").await, "1");
}

#[tokio::test]
async fn a_broken_file_is_noticed_by_itself_and_so_is_its_repair() {
    let instance = Instance::start();
    let home = watched(&[Tenant::named("contoso", instance.url())]);
    let gateway = home.start().await;
    gateway.logs_error(REFUSED);
    let good = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");
    home.write("tenants/contoso.yaml", &format!("{good}webhok: {{}}\n"));
    let said = configuration(&gateway, "the error is noticed", is_refused).await;
    assert_eq!(errors(&said["last_failure"]["findings"]), ["tenants/contoso.yaml:12 S003"]);
    let line = gateway.log().lines().find(|line| line.contains(REFUSED)).expect("a line of the log").to_owned();
    assert!(line.contains("tenants/contoso.yaml:12:1 S003"), "{line}");
    assert_eq!(gateway.gauge("snowgate_settings_last_reload_successful").await, "0");
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    home.write("tenants/contoso.yaml", &format!("{good}enabled: false\n"));
    configuration(&gateway, "the repair is noticed", |found| !is_refused(found)).await;
    assert_eq!(gateway.gauge("snowgate_settings_last_reload_successful").await, "1");
    assert_eq!(gateway.get("/v1/tenants/contoso").await["enabled"], false);
}

#[tokio::test]
async fn a_file_that_is_written_in_pieces_is_read_when_it_is_whole() {
    let instance = Instance::start();
    let home = home_of(&[Tenant::named("contoso", instance.url())]);
    settings(&home, "1s", "");
    let gateway = home.start().await;
    let whole = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");
    let whole = format!("{whole}enabled: false\n");
    // Byte by byte, each after a round trip to the gateway: all of it takes longer than a look and one byte does not.
    // Hardly any of these beginnings is a valid file.
    for cut in 1..whole.len() {
        home.write("tenants/contoso.yaml", whole.get(..cut).expect("plain letters"));
        gateway.sent(gateway.request(Method::GET, "/livez")).await.expect(200);
    }
    home.write("tenants/contoso.yaml", &whole);
    eventually("the whole file is in use", async || {
        (gateway.get("/v1/tenants/contoso").await["enabled"] == false).then_some(())
    })
    .await;
    assert!(!gateway.log().contains(REFUSED), "no half of it was read: {}", gateway.log());
}

#[tokio::test]
async fn a_removed_tenants_work_waits_for_its_return() {
    let instance = Instance::start();
    let (contoso, fabrikam) = (Tenant::named("contoso", instance.url()), Tenant::named("fabrikam", instance.url()));
    let home = home_of(&[contoso.clone(), fabrikam]);
    let gateway = home.start().await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    fs::remove_file(home.path().join("tenants/contoso.yaml")).expect("it is there");
    assert_eq!(reloaded(&gateway).await, [vec![], vec![], vec!["contoso".to_owned()]]);

    gateway.post(&Event::opened("MTR-2")).await.expect(401);
    let listed = gateway.get("/v1/tenants").await;
    let listed: Vec<_> =
        listed["tenants"].as_array().expect("a list").iter().filter(|one| one["tenant"] == "contoso").collect();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["removed"], &listed[0]["waiting"]), (&json!(true), &json!(1)), "{listed:?}");
    gateway.ask(Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    assert_eq!(gateway.record(&delivery).await["state"], "waiting", "an operator still sees it");
    assert_eq!(gateway.deliveries("waiting").await.len(), 1);
    // Whatever the worker does in the meantime, it does for others.
    gateway.post_for("fabrikam", &Event::opened("MTR-9")).await.expect(202);
    eventually("the other tenant's ticket", async || instance.tickets_of("MTR-9").pop()).await;
    assert!(instance.tickets_of("MTR-1").is_empty());
    gateway.ask(Method::GET, "/v1/tenants/nobody").await.expect(404);

    home.rewrite(&contoso);
    assert_eq!(reloaded(&gateway).await, [vec!["contoso".to_owned()], vec![], vec![]]);
    gateway.quiet().await;
    instance.ticket_of("MTR-1");
    assert!(gateway.get("/v1/tenants/contoso").await.get("removed").is_none());
}

#[tokio::test]
async fn a_secret_is_rotated_under_load_and_no_request_fails() {
    let instance = Instance::start();
    let home = watched(&[Tenant::named("contoso", instance.url())]);
    let file = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");
    // As Kubernetes mounts a secret: a link through `..data`, which is swapped.
    for (version, password) in [("..v1", PASSWORD), ("..v2", "not-the-password-any-more")] {
        fs::create_dir_all(home.path().join("secrets").join(version)).expect("a folder");
        home.write(&format!("secrets/{version}/password"), password);
    }
    symlink("..v2", home.path().join("secrets/..data")).expect("a link");
    symlink("..data/password", home.path().join("secrets/password")).expect("a link");
    home.write("tenants/contoso.yaml", &file.replace("{env: SNOW_PASSWORD}", "{file: secrets/password}"));
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-0")).await.expect(202);
    eventually("the wrong password is refused", async || {
        gateway.get("/v1/tenants/contoso").await["pause"]["code"].as_str().map(str::to_owned)
    })
    .await;

    symlink("..v1", home.path().join("secrets/..next")).expect("a link");
    fs::rename(home.path().join("secrets/..next"), home.path().join("secrets/..data")).expect("a swap");
    let mut sent = 1;
    within(ROTATION, "the new password is in use", async || {
        gateway.post(&Event::opened(&format!("MTR-{sent}"))).await.expect(202);
        sent += 1;
        (!instance.tickets_of("MTR-0").is_empty()).then_some(())
    })
    .await;
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), sent, "every request was taken, and each became one ticket");
    assert!(gateway.get("/v1/tenants/contoso").await.get("pause").is_none());
}

async fn post_with(gateway: &Gateway, key: &str, incident: &str) -> u16 {
    let request = gateway.request(Method::POST, "/v1/tenants/contoso/events").bearer_auth(key);
    let request = request.header("content-type", "application/cloudevents+json");
    gateway.sent(request.body(Event::opened(incident).body())).await.status
}

#[tokio::test]
async fn a_senders_key_is_rotated_under_load_and_no_request_fails() {
    let instance = Instance::start();
    let home = watched(&[Tenant::named("contoso", instance.url())]);
    let gateway = home.start().await;
    let file = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");
    let (old, new) = (hash_of(&key_of("contoso")), hash_of("sgk_the-next-key"));
    let entry = format!("  - {{name: soc, api_key_sha256: \"{old}\"}}\n");
    let both = file.replace(&entry, &format!("{entry}{}", entry.replace(&old, &new)));
    home.write("tenants/contoso.yaml", &both);
    let mut sent = 0;
    within(ROTATION, "the new key is taken", async || {
        gateway.post(&Event::opened(&format!("MTR-{sent}"))).await.expect(202);
        sent += 1;
        (post_with(&gateway, "sgk_the-next-key", "MTR-new").await < 300).then_some(())
    })
    .await;
    home.write("tenants/contoso.yaml", &both.replace(&entry, ""));
    within(ROTATION, "the old key is gone", async || {
        (post_with(&gateway, &key_of("contoso"), "MTR-old").await == 401).then_some(())
    })
    .await;
    gateway.quiet().await;
}

#[tokio::test]
async fn another_mapping_writes_what_it_says_and_nothing_else_again() {
    let instance = Instance::start();
    let home = home_of(&[Tenant::named("contoso", instance.url()).with_oauth()]);
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    let key = instance.ticket_of("MTR-1").field("sys_id");
    instance.edit("beth.anglin", &key, &[("short_description", "What a person wrote"), ("impact", "3")]);

    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.post(&Event::opened("MTR-1").with("/id", json!("again"))).await.expect(202);
    home.remap("contoso", &mappings::plain_with(&["category: hardware"]));
    assert_eq!(reloaded(&gateway).await[1], ["contoso"]);
    gateway.ask(Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    gateway.quiet().await;
    let ticket = instance.ticket(&key);
    assert_eq!(ticket.field("category"), "hardware", "the waiting change went by the new mapping");
    assert_eq!(ticket.field("short_description"), "What a person wrote", "an unchanged field was not written again");
    assert_eq!(ticket.field("impact"), "3");
    assert_eq!(instance.token_fetches(), 1, "the credentials are the same, and so is the token");
}

#[tokio::test]
async fn a_change_that_needs_a_restart_is_refused_with_everything_beside_it() {
    let instance = Instance::start();
    let contoso = Tenant::named("contoso", instance.url());
    let home = home_of(std::slice::from_ref(&contoso));
    let gateway = home.start().await;
    let text = fs::read_to_string(home.path().join("snowgate.yaml")).expect("its file");
    home.write("snowgate.yaml", &text.replace("{listen: \"127.0.0.1:0\"", "{listen: \"127.0.0.1:18080\""));
    home.rewrite(&contoso.clone().and("enabled: false\n"));
    assert_eq!(refused(&gateway).await, ["snowgate.yaml:1 S070"]);
    assert_eq!(gateway.get("/v1/tenants/contoso").await["enabled"], true, "whole or not at all");
    home.write("snowgate.yaml", &text);
    assert_eq!(reloaded(&gateway).await[1], ["contoso"]);
    assert_eq!(gateway.get("/v1/tenants/contoso").await["enabled"], false);
}

#[tokio::test]
async fn narrowed_egress_is_refused_while_a_tenant_needs_more() {
    let instance = Instance::start();
    let home = home_of(&[Tenant::named("contoso", instance.url())]);
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    let text = fs::read_to_string(home.path().join("snowgate.yaml")).expect("its file");
    home.write("snowgate.yaml", &text.replace("[127.0.0.0/8]", "[]"));
    let found = refused(&gateway).await;
    assert!(found.iter().any(|one| one.starts_with("tenants/contoso.yaml:3")), "{found:?}");
    gateway.post(&Event::updated("MTR-1", 2, "low")).await.expect(202);
    gateway.quiet().await;
    // Other addresses stay open, this instance's does not.
    home.write("snowgate.yaml", &text.replace("[127.0.0.0/8]", "[127.0.0.2/32]"));
    let found = refused(&gateway).await;
    assert!(found.iter().any(|one| one.starts_with("tenants/contoso.yaml:3")), "{found:?}");
    home.write("snowgate.yaml", &text);
    reloaded(&gateway).await;
}

#[tokio::test]
async fn credentials_that_were_mended_are_tried_at_once() {
    let instance = Instance::start();
    let contoso = Tenant::named("contoso", instance.url());
    let home = watched(&[contoso]);
    let right = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");
    home.write("tenants/contoso.yaml", &right.replace("username: snowgate", "username: nobody"));
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    eventually("the pause", async || gateway.get("/v1/tenants/contoso").await.get("pause").map(drop)).await;
    home.write("tenants/contoso.yaml", &right);
    gateway.quiet().await;
    instance.ticket_of("MTR-1");
}

#[tokio::test]
async fn a_smaller_budget_counts_what_was_used() {
    let instance = Instance::start();
    let home = home_of(&[Tenant::named("contoso", instance.url())]);
    let gateway = home.start().await;
    for number in 0..30 {
        gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
    }
    gateway.quiet().await;
    let used = gateway.get("/v1/tenants/contoso").await["servicenow"]["hour_used"].as_u64().expect("a number");
    assert!(used >= 30, "{used}");
    let file = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");
    home.write("tenants/contoso.yaml", &file.replace("calls_per_hour: 360000", "calls_per_hour: 60"));
    assert_eq!(reloaded(&gateway).await[1], ["contoso"]);
    for number in 30..100 {
        gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
    }
    let standing = eventually("the hour is spent", async || {
        let standing = gateway.get("/v1/tenants/contoso").await["servicenow"].clone();
        (standing["hour_calls"] == 60 && text(&standing, "/words").contains("used")).then_some(standing)
    })
    .await;
    assert!(standing["hour_used"].as_u64() >= Some(used), "{standing}");
    eventually("no more calls", async || {
        let waiting = gateway.get("/v1/tenants/contoso").await["waiting"].as_u64();
        (instance.tickets().len() >= 40 && waiting > Some(0)).then_some(())
    })
    .await;
    assert!(instance.calls().len() <= 62, "{} calls", instance.calls().len());
    gateway.leaves_work();
}

#[tokio::test]
async fn five_hundred_tenants_are_read_again_in_bounded_time() {
    let instance = Instance::start();
    let mut tenants: Vec<Tenant> = (0..499).map(|n| Tenant::named(&format!("t{n:03}"), instance.url())).collect();
    let contoso = Tenant::named("contoso", instance.url());
    tenants.push(contoso.clone());
    let home = watched(&tenants);
    let gateway = home.start().await;
    home.rewrite(&contoso.and("enabled: false\n"));
    within(Duration::from_secs(30), "one of many changes", async || {
        (gateway.get("/v1/tenants/contoso").await["enabled"] == false).then_some(())
    })
    .await;
    let said = gateway.get("/v1/configuration").await;
    assert_eq!((said["tenants"].as_u64(), said["changes"].as_u64()), (Some(500), Some(1)), "{said}");
}

#[tokio::test]
async fn the_command_line_says_what_a_reload_changed_and_what_is_wrong() {
    let instance = Instance::start();
    let contoso = Tenant::named("contoso", instance.url());
    let home = home_of(std::slice::from_ref(&contoso));
    let gateway = home.start().await;
    gateway.logs_error(REFUSED);
    let run = |more: &[&str]| {
        let arguments = [&["reload", "--config", "snowgate.yaml", "--admin", gateway.admin()], more].concat();
        let output = home.command(&arguments).output().expect("the binary was built");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{out}{err}"))
    };
    let (code, said) = run(&[]);
    assert!(code == Some(0) && said.starts_with("no tenant changed"), "{said}");
    home.rewrite(&contoso.clone().and("enabled: false\n"));
    let (code, said) = run(&["--json"]);
    let said: Value = serde_json::from_str(&said).expect("one document");
    assert_eq!((code, names(&said, "changed")), (Some(0), vec!["contoso".to_owned()]));
    home.rewrite(&contoso.and("sender: []\n"));
    let (code, said) = run(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("tenants/contoso.yaml:12:1 S003"), "{said}");
    let (code, said) = run(&["--json"]);
    let said: Value = serde_json::from_str(&said).expect("one document");
    assert_eq!((code, text(&said, "/code").as_str()), (Some(1), "invalid_configuration"));
}

#[tokio::test]
async fn operators_are_replaced_and_only_an_admin_may_reload() {
    let instance = Instance::start();
    let home = home_of(&[Tenant::named("contoso", instance.url())]);
    let operator =
        |role: &str| format!("operators: [{{name: ada, role: {role}, api_key_sha256: \"{}\"}}]\n", hash_of("sgk_ada"));
    settings(&home, "100ms", &operator("operate"));
    let gateway = home.start().await;
    gateway.asks_for_tokens();
    let ask = async |key: &str| gateway.sent(gateway.asking(Method::POST, "/v1/reload").bearer_auth(key)).await;
    ask("sgk_ada").await.expect(403);
    ask("sgk_other").await.expect(401);
    settings(&home, "100ms", &operator("admin"));
    eventually("the new role", async || Some(ask("sgk_ada").await).filter(|reply| reply.status == 200)).await;
}

#[tokio::test]
async fn mappings_change_under_load_and_every_event_is_delivered_once() {
    let instance = Instance::start();
    let home = home_of(&[Tenant::named("contoso", instance.url())]);
    let gateway = home.start().await;
    for round in 0..5 {
        let field = format!(r#"description: {{value: "round {round}", on: create}}"#);
        home.remap("contoso", &mappings::plain_with(&[&field]));
        for number in 0..10 {
            gateway.post(&Event::opened(&format!("MTR-{round}-{number}"))).await.expect(202);
        }
        reloaded(&gateway).await;
    }
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 50);
    let data = json!({"incident": {"id": "MTR-last", "title": "Fault of MTR-last"}});
    gateway.post(&event("opened", "last", &data)).await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-last").field("description"), "round 4");
}
