//! What needs a person: why it is parked, what waits behind it, and how it goes on.

use reqwest::Method;
use snowgate::sim::switches::AbortRule;

use crate::support::gateway::parking;
use crate::support::mappings::{PLAIN, plain_with};
use crate::support::reply::text;
use crate::support::{Event, Gateway, Home, Instance, Tenant, eventually, faults};

/// Incidents beside the one that is held up.
const OTHERS: usize = 300;

async fn replay(gateway: &Gateway, delivery: &str) {
    gateway.ask(Method::POST, &format!("/v1/tenants/contoso/deliveries/{delivery}/replay")).await.expect(200);
}

fn rule(column: &str, contains: &str) -> AbortRule {
    AbortRule { column: column.to_owned(), contains: contains.to_owned(), name: "Guard the queue".to_owned() }
}

#[tokio::test]
async fn a_create_without_a_needed_value_keeps_its_lane_in_order_until_the_mapping_is_mended() {
    let instance = Instance::start();
    let demanding = plain_with(&[r#"location: {value: "{{ incident.affected[0].site }}", on: create}"#]);
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(&demanding)]);
    let mut gateway = home.start().await;
    let first = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    let record = gateway.record_once(&first, "parked").await;
    let (code, reason) = parking(&record);
    assert_eq!(code, "mapping_missing_value");
    assert!(reason.contains("location"), "names the field: {reason}");
    assert_eq!(record["ending"]["parking"]["owner"], "mapping");
    assert!(!text(&record, "/ending/parking/next_step").is_empty());
    gateway
        .post_all(&[
            Event::message("MTR-1", 1, "one"),
            Event::updated("MTR-1", 2, "low"),
            Event::message("MTR-1", 3, "two"),
        ])
        .await;
    let site = serde_json::json!([{"kind": "room", "name": "Berlin 4.12", "site": "BER"}]);
    gateway.post(&Event::opened("MTR-2").with("/data/incident/affected", site)).await.expect(202);
    gateway
        .record_once(&gateway.deliveries("").await.last().map(|last| text(last, "/id")).expect("MTR-2"), "delivered")
        .await;
    assert_eq!(gateway.deliveries("waiting").await.len(), 3, "what is behind it waits");
    assert!(instance.tickets_of("MTR-1").is_empty());
    gateway.leaves_parked(1);
    gateway.leaves_work();
    gateway.kill();
    drop(gateway);

    home.remap("contoso", PLAIN);
    let gateway = home.start().await;
    assert_eq!(gateway.deliveries("parked").await.len(), 1, "a restart forgets nothing");
    replay(&gateway, &first).await;
    let twice = gateway.ask(Method::POST, &format!("/v1/tenants/contoso/deliveries/{first}/replay")).await;
    assert_eq!(twice.expect(409).code(), "not_parked");
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    assert_eq!(
        (ticket.journal("comments"), ticket.field("impact").as_str()),
        (vec!["one".to_owned(), "two".to_owned()], "3")
    );
    let writes: Vec<_> = instance.calls().into_iter().filter(|call| call.verb != "GET").map(|call| call.verb).collect();
    assert_eq!(
        writes.first().map(String::as_str),
        Some("POST"),
        "MTR-2's; then MTR-1's before its updates: {writes:?}"
    );
}

#[tokio::test]
async fn a_parked_create_that_is_dropped_lets_the_next_event_open_the_ticket() {
    let instance = Instance::with(|switches| switches.abort_rule = Some(rule("short_description", "MTR-1")));
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let first = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    gateway.record_once(&first, "parked").await;
    gateway.post(&Event::message("MTR-1", 1, "Still dark.")).await.expect(202);
    instance.turn(|switches| switches.abort_rule = None);
    gateway.ask(Method::POST, &format!("/v1/tenants/contoso/deliveries/{first}/drop")).await.expect(200);
    gateway.quiet().await;
    assert_eq!(gateway.record(&first).await["state"], "dropped");
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["Still dark."]);
}

#[tokio::test]
async fn what_a_business_rule_refuses_is_parked_with_the_instances_words() {
    let instance = Instance::with(|switches| switches.abort_rule = Some(rule("short_description", "MTR-1")));
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    gateway.post(&Event::opened("MTR-2")).await.expect(202);
    let (code, reason) = parking(&gateway.record_once(&delivery, "parked").await);
    assert_eq!(code, "http_403_business_rule");
    assert!(reason.contains("aborted by Business Rule 'Guard the queue"), "{reason}");
    assert!(gateway.metric("snowgate_deliveries_parked_total", "reason=\"http_403_business_rule\"").await > 0.5);
    assert!(gateway.log().contains(&format!("Parked {delivery}")), "{}", gateway.log());
    let tenant = gateway.get("/v1/tenants/contoso").await;
    assert!(text(&tenant, "/health").contains("1 parked"), "{tenant}");
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-2"));

    instance.turn(|switches| switches.abort_rule = None);
    replay(&gateway, &delivery).await;
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn what_a_data_policy_refuses_is_parked_and_goes_on_when_the_policy_is_mended() {
    let instance = Instance::with(|switches| switches.mandatory_columns = vec!["location".to_owned()]);
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    let record = gateway.record_once(&delivery, "parked").await;
    let (code, reason) = parking(&record);
    assert_eq!(code, "http_403_data_policy");
    assert!(reason.contains("The following fields are mandatory: Location"), "{reason}");
    assert_eq!(record["ending"]["parking"]["owner"], "instance");
    instance.turn(|switches| switches.mandatory_columns.clear());
    replay(&gateway, &delivery).await;
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
}

#[tokio::test]
async fn a_poisonous_message_is_skipped_recorded_and_can_be_replayed_later() {
    let instance = Instance::with(|switches| switches.abort_rule = Some(rule("description", "POISON")));
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.post_all(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "one")]).await;
    let poison = gateway.post(&Event::message("MTR-1", 2, "POISON")).await.expect(202).delivery();
    gateway.post(&Event::message("MTR-1", 3, "three")).await.expect(202);
    gateway.quiet().await;
    let record = gateway.record(&poison).await;
    assert_eq!(
        (record["state"].as_str(), record["ending"]["parking"]["blocks"].as_bool()),
        (Some("parked"), Some(false))
    );
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one", "three"]);
    instance.turn(|switches| switches.abort_rule = None);
    replay(&gateway, &poison).await;
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one", "three", "POISON"]);
    let seen = "1 note of 3 refused and skipped, the one behind it written; its replay came last under a new sequence";
    faults::proven("F50", "a_poisonous_message_is_skipped_recorded_and_can_be_replayed_later", seen);
}

#[tokio::test]
async fn behind_a_create_that_is_refused_for_good_fifty_updates_wait_in_order() {
    let instance = Instance::with(|switches| switches.abort_rule = Some(rule("short_description", "of POISON")));
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let first = gateway.post(&Event::opened("POISON")).await.expect(202).delivery();
    gateway.record_once(&first, "parked").await;
    let notes: Vec<String> = (1..=50).map(|number| format!("note {number}")).collect();
    let behind: Vec<Event> =
        notes.iter().zip(1..).map(|(note, number)| Event::message("POISON", number, note)).collect();
    gateway.post_batch(&behind).await.expect(202);
    let others: Vec<Event> = (0..OTHERS).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    gateway.post_batch(&others).await.expect(202);
    eventually("all others are delivered", async || (instance.tickets().len() == OTHERS).then_some(())).await;
    eventually("nothing but the lane waits", async || {
        (gateway.get("/v1/tenants/contoso").await["waiting"] == 50).then_some(())
    })
    .await;

    instance.turn(|switches| switches.abort_rule = None);
    replay(&gateway, &first).await;
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("POISON").journal("comments"), notes, "in order, each once");
    let seen = format!(
        "50 updates waited behind the parked create, {OTHERS} other lanes were delivered; after the replay all 51 were applied in order"
    );
    faults::proven("F49", "behind_a_create_that_is_refused_for_good_fifty_updates_wait_in_order", &seen);
}

#[tokio::test]
async fn an_update_that_is_refused_does_not_poison_the_messages_behind_it() {
    let instance = Instance::with(|switches| switches.abort_rule = Some(rule("short_description", "FORBIDDEN")));
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    let retitled = Event::updated("MTR-1", 1, "high").with("/data/incident/title", "FORBIDDEN".into());
    let refused = gateway.post(&retitled).await.expect(202).delivery();
    gateway.record_once(&refused, "parked").await;
    gateway.leaves_parked(1);
    let message = gateway.post(&Event::message("MTR-1", 2, "Still dark.")).await.expect(202).delivery();
    gateway.quiet().await;
    assert_eq!(gateway.record(&message).await["state"], "delivered");
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["Still dark."]);
}
