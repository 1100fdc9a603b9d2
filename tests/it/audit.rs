//! The audit log from outside: what operators did stands there, and nobody changes it unnoticed.

use std::process::Output;

use reqwest::Method;
use serde_json::Value;

use crate::support::mappings::plain_with;
use crate::support::reply::text;
use crate::support::{Event, Gateway, Home, Instance, Tenant};

/// A gateway whose mapping parks every create.
async fn gateway() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let demanding = plain_with(&[r#"location: {value: "{{ incident.affected[0].site }}", on: create}"#]);
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(&demanding)]);
    let gateway = home.start().await;
    (instance, home, gateway)
}

async fn parked(gateway: &Gateway, incident: &str) -> String {
    let id = gateway.post(&Event::opened(incident)).await.expect(202).delivery();
    gateway.record_once(&id, "parked").await;
    id
}

/// The log, oldest first.
async fn rows(gateway: &Gateway) -> Vec<Value> {
    gateway.get("/v1/audit?order=oldest&limit=200").await["rows"].as_array().expect("rows").clone()
}

fn audit(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        home.command(&[&["audit"], arguments].concat()).output().expect("the binary was built");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[tokio::test]
async fn what_an_operator_does_is_on_record_and_the_record_proves_itself() {
    let (_instance, home, mut gateway) = gateway().await;
    let (first, second) = (parked(&gateway, "MTR-1").await, parked(&gateway, "MTR-2").await);
    let path = |id: &str, action: &str| format!("/v1/tenants/contoso/deliveries/{id}/{action}");
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.ask(Method::POST, &path(&first, "replay")).await.expect(200);
    gateway.ask(Method::POST, &path(&second, "drop")).await.expect(200);
    gateway.ask(Method::POST, &path(&second, "drop")).await.expect(409);
    gateway.leaves_work();
    let rows = rows(&gateway).await;
    let told: Vec<_> = rows.iter().map(|row| (text(row, "/action"), text(row, "/target"))).collect();
    let expected = [("paused", ""), ("replayed", &first), ("dropped", &second)];
    assert_eq!(told, expected.map(|(action, target)| (action.to_owned(), target.to_owned())));
    assert!(rows.iter().all(|row| row["who"] == "loopback" && row["tenant"] == "contoso"), "{rows:?}");

    let admin = gateway.admin().to_owned();
    let (code, whole) = audit(&home, &["verify", "--admin", &admin]);
    let head = text(&rows[2], "/hash");
    assert!(code == Some(0) && whole.contains("3 rows") && whole.contains(&head), "{whole}");
    let (code, checkpoint) = audit(&home, &["verify", "--admin", &admin, "--expect", &text(&rows[1], "/hash")]);
    assert!(code == Some(0) && checkpoint.contains("row 2"), "{checkpoint}");
    let (code, cut) = audit(&home, &["verify", "--admin", &admin, "--expect", &"1".repeat(64)]);
    assert!(code == Some(1) && cut.contains("cut off"), "{cut}");
    let (code, list) = audit(&home, &["list", "--admin", &admin, "--tenant", "contoso"]);
    assert!(code == Some(0) && list.lines().count() == 3 && list.contains("replayed"), "{list}");
    let (code, export) = audit(&home, &["list", "--json", "--admin", &admin]);
    let exported: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    assert_eq!((code, &exported), (Some(0), &rows));

    gateway.kill();
    drop(gateway);
    let store = home.path().join("snowgate.db");
    let file = store.to_str().expect("a plain path");
    assert_eq!(audit(&home, &["verify", "--store", file]).0, Some(0));
    let spoiled = rusqlite::Connection::open(&store).expect("the file");
    spoiled
        .execute_batch("DROP TRIGGER audit_never_changes; UPDATE audit SET who = 'nobody' WHERE sequence = 2")
        .expect("whoever has the file can");
    let (code, broken) = audit(&home, &["verify", "--store", file]);
    assert!(code == Some(1) && broken.contains("row 2"), "{broken}");
}

#[tokio::test]
async fn two_replays_at_once_are_one_replay() {
    let (_instance, _home, gateway) = gateway().await;
    let id = parked(&gateway, "MTR-1").await;
    gateway.ask(Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.leaves_work();
    let path = format!("/v1/tenants/contoso/deliveries/{id}/replay");
    let (one, other) = tokio::join!(gateway.ask(Method::POST, &path), gateway.ask(Method::POST, &path));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.text, other.text);
    assert_eq!(rows(&gateway).await.iter().filter(|row| row["action"] == "replayed").count(), 1);
}

#[tokio::test]
async fn the_log_is_filtered_and_paged() {
    let (_instance, _home, gateway) = gateway().await;
    for _ in 0..5 {
        gateway.ask(Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/v1/audit?limit=2{cursor}")).await;
        seen.extend(page["rows"].as_array().expect("rows").iter().filter_map(|row| row["sequence"].as_u64()));
        assert_eq!((&page["anchor"]["sequence"], &page["head"]["sequence"]), (&0.into(), &5.into()));
        let Some(next) = page["next"].as_u64() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    for (query, count) in [
        ("tenant=contoso", 5),
        ("tenant=nobody", 0),
        ("since=2999-01-01T00:00:00Z", 0),
        ("since=2020-01-01T00:00:00Z", 5),
    ] {
        let page = gateway.get(&format!("/v1/audit?{query}")).await;
        assert_eq!(page["rows"].as_array().map(Vec::len), Some(count), "{query}");
    }
    for query in ["order=up", "since=yesterday", "tenant=A%20B", "cursor=x", "colour=red"] {
        let reply = gateway.ask(Method::GET, &format!("/v1/audit?{query}")).await.expect(400);
        assert_eq!(reply.code(), "bad_request", "{query}");
    }
}
