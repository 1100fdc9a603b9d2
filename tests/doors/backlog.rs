//! A hundred thousand parked deliveries, listed page by page: every one once, while events go on being taken.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use snowgate::limits::PAGE_MAX;
use tokio::time::Instant;

use crate::support::reply::text;
use crate::support::{Event, Gateway, Home, Instance, Tenant, mappings};

const PARKED: usize = 100_000;
/// What one page may take here, in a build without optimisation on a machine that others use; what is promised is 200 ms.
const PAGE_TIME: Duration = Duration::from_secs(2);

/// A home in which so many deliveries are parked: one by the gateway itself, the others as copies of its rows, each in a
/// lane of its own.
async fn home(instance: &Instance) -> Home {
    let lookup = "assignment_group: {value: nobody, lookup: {table: sys_user_group, by: name, missing: park}}";
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(&mappings::plain_with(&[lookup]))]);
    let mut gateway = home.start().await;
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    gateway.record_once(&delivery, "parked").await;
    gateway.kill();
    drop(gateway);
    let store = Connection::open(home.path().join("snowgate.db")).expect("the store");
    let copies = PARKED - 1;
    let selected = |table: &str, rewritten: &[(&str, &str)]| {
        let expression = |column: String| {
            let found = rewritten.iter().find(|(name, _)| *name == column);
            found.map_or(column, |(_, expression)| (*expression).to_owned())
        };
        columns(&store, table).into_iter().map(expression).collect::<Vec<_>>().join(", ")
    };
    let lane = selected("lane", &[("id", "lane.id + i"), ("incident", "'COPY-' || i")]);
    let delivery = selected(
        "delivery",
        &[("lane", "delivery.lane + i"), ("receipt", "unhex(printf('%032x', i))"), ("event", "event || i")],
    );
    store
        .execute_batch(&format!(
            "CREATE TEMP TABLE number AS WITH RECURSIVE n(i) AS
                 (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies}) SELECT i FROM n;
             CREATE TEMP TABLE first AS SELECT receipt AS it FROM delivery;
             BEGIN;
             INSERT INTO lane SELECT {lane} FROM number, lane WHERE incident = 'MTR-1';
             INSERT INTO delivery SELECT {delivery} FROM number, delivery, first WHERE receipt = it;
             COMMIT;"
        ))
        .expect("the schema is known");
    home
}

/// The columns of a table, whatever migrations added.
fn columns(store: &Connection, table: &str) -> Vec<String> {
    let mut names = store.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).expect("SQL");
    let names = names.query_map([], |row| row.get(0)).expect("rows");
    names.collect::<Result<_, _>>().expect("names")
}

async fn page(gateway: &Gateway, cursor: &str) -> (Value, Duration) {
    let begun = Instant::now();
    let path = format!("/v1/tenants/contoso/deliveries?state=parked&limit={PAGE_MAX}{cursor}");
    let page = gateway.ask(Method::GET, &path).await.expect(200).json();
    (page, begun.elapsed())
}

#[tokio::test]
async fn a_hundred_thousand_parked_deliveries_are_listed_page_by_page_while_events_are_taken() {
    let instance = Instance::start();
    let home = home(&instance).await;
    home.remap("contoso", mappings::PLAIN);
    let gateway = home.start().await;
    gateway.leaves_parked(u64::try_from(PARKED).expect("few"));
    let (mut seen, mut cursor, mut slowest, mut taken) = (BTreeSet::new(), String::new(), Duration::ZERO, 0);
    loop {
        let (page, took) = page(&gateway, &cursor).await;
        slowest = slowest.max(took);
        let deliveries = page["deliveries"].as_array().expect("a list");
        assert!((1..=PAGE_MAX).contains(&deliveries.len()), "a page of {}", deliveries.len());
        for delivery in deliveries {
            assert!(seen.insert(text(delivery, "/id")), "{delivery} is on two pages");
        }
        // No page holds a transaction open: between two of them, and however many were read, work goes on and is durable.
        if seen.len() % (PAGE_MAX * 50) == 0 {
            taken += 1;
            gateway.post(&Event::opened(&format!("MTR-new-{taken}"))).await.expect(202);
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), PARKED);
    assert!(slowest < PAGE_TIME, "the slowest page took {slowest:?}");
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), taken, "what came in meanwhile was delivered");
    let shown = gateway.get("/v1/tenants/contoso").await;
    assert_eq!(shown["parked"], json!(PARKED), "{shown}");
    assert_eq!(gateway.deliveries("parked").await.len(), PAGE_MAX, "a plain question is answered by one page");
    // A log that a long reader kept from being cut back would have grown with every event.
    let log = std::fs::metadata(home.path().join("snowgate.db-wal")).map(|file| file.len()).unwrap_or_default();
    assert!(log < 64 << 20, "the write-ahead log has {log} bytes");
}
