//! `snowgate verify-history`, on files and against a running gateway, clean and not.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::run::Run;
use crate::support::history::{instance_lines, receipt};
use crate::support::{Event, Home, Instance};

#[tokio::test]
async fn a_day_of_a_gateway_is_clean_and_what_is_taken_away_or_doubled_is_named() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let events = [Event::opened("MTR-1"), Event::message("MTR-1", 1, "first words"), Event::updated("MTR-1", 2, "low")];
    let mut receipts = Vec::new();
    for event in &events {
        let reply = gateway.post(event).await.expect(202);
        receipts.push(json!(receipt("contoso", event, Some(&reply))));
    }
    gateway.quiet().await;
    let file = |name: &str, text: &str| fs::write(home.path().join(name), text).expect("a file");
    file("receipts.jsonl", &lines(&receipts));
    let rows = instance_lines(&instance);
    file("contoso.jsonl", &lines(&rows));
    let asked = async |words: &[&str]| {
        tokio::task::yield_now().await;
        let since = ["--complete-since", "2020-01-01T00:00:00Z", "--deployment-key", "snowgate"];
        let common = [&["verify-history", "--admin", gateway.admin()], &since[..]].concat();
        Run::of(&home, &[&common[..], words].concat())
    };
    let clean = asked(&["--receipts", "receipts.jsonl", "--instance", "contoso=contoso.jsonl"]).await.expect(0);
    assert!(
        clean.out.starts_with("clean: 0 lost, 0 duplicated, 0 reordered, 0 unexpected, 0 cross-tenant, of 3 "),
        "{clean:#?}"
    );

    let page = asked_page(&home, gateway.admin());
    file("records.jsonl", &page);
    let without_text = rows.iter().filter(|row| row.get("element_id").is_none());
    file("contoso.jsonl", &lines(&without_text.cloned().collect::<Vec<_>>()));
    let lost = asked(&["--records", "records.jsonl", "--instance", "contoso=contoso.jsonl"]).await.expect(1);
    assert!(lost.out.starts_with("lost: contoso MTR-1 soc/tests MTR-1/1 (#2, dlv_"), "{lost:#?}");
    assert!(lost.out.contains("not clean: 1 lost, 0 duplicated"), "{lost:#?}");

    let twin = rows.iter().filter(|row| row.get("element_id").is_none()).map(|row| {
        let mut twin = row.clone();
        twin["sys_id"] = json!("twin");
        twin
    });
    let doubled: Vec<Value> = rows.iter().cloned().chain(twin).collect();
    file("contoso.jsonl", &json!({"result": doubled}).to_string());
    let found =
        asked(&["--json", "--records", "records.jsonl", "--instance", "contoso=contoso.jsonl"]).await.expect(1).json();
    assert_eq!((&found["clean"], &found["verdicts"]["duplicated"]), (&json!(false), &json!(1)), "{found:#}");
    assert_eq!(found["violations"][0]["verdict"], "duplicated", "{found:#}");
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn asked_page(home: &Home, admin: &str) -> String {
    let arguments = ["deliveries", "list", "--tenant", "contoso", "--limit", "200", "--json", "--admin", admin];
    Run::of(home, &arguments).expect(0).out
}

#[test]
fn what_cannot_be_read_is_named_with_its_line() {
    let home = Home::of(&[]);
    fs::write(home.path().join("records.jsonl"), "\n{\"id\": 1}\n").expect("a file");
    fs::write(home.path().join("contoso.jsonl"), "{\"sys_id\": \"a\"}\nnonsense\n").expect("a file");
    let common = ["verify-history", "--deployment-key", "prod", "--records"];
    let records = Run::of(&home, &[&common[..], &["records.jsonl", "--instance", "contoso=contoso.jsonl"]].concat());
    assert_snapshot!("a-bad-record", records.whole());
    fs::write(home.path().join("records.jsonl"), "").expect("a file");
    let rows = Run::of(&home, &[&common[..], &["records.jsonl", "--instance", "contoso=contoso.jsonl"]].concat());
    assert_snapshot!("a-bad-row", rows.whole());
    let wrong = Run::of(&home, &[&common[..], &["records.jsonl", "--instance", "contoso.jsonl"]].concat()).expect(2);
    assert!(wrong.err.contains("write it as TENANT=FILE"), "{wrong:#?}");
}
