//! What the instance does with values: it answers 200 and stores something else, and that is on the record.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::mappings::{PLAIN, plain_with};
use crate::support::reply::text;
use snowgate::sim::instance::Instance as Records;

use crate::support::{Event, Home, Instance, Tenant, eventually};

#[tokio::test]
async fn what_is_stored_otherwise_is_on_the_record_with_the_likely_reason() {
    let instance = Instance::start();
    let careless = plain_with(&[
        r#"u_no_such_column: {value: "x", on: create}"#,
        r#"category: {value: "nonsense", on: create}"#,
        r#"contact_type: {value: "{{ incident.title }}", max: 4000, on: create}"#,
    ])
    .replace("max: 160", "max: 1000");
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(&careless)]);
    let gateway = home.start().await;
    let long = "A display fault with a very long story. ".repeat(10);
    let opened = Event::opened("MTR-1").with("/data/incident/title", long.trim().into());
    let delivery = gateway.post(&opened).await.expect(202).delivery();
    let record = gateway.record_once(&delivery, "delivered").await;
    let differences = record["ending"]["differences"].as_array().cloned().unwrap_or_default();
    let reasons: BTreeMap<String, String> =
        differences.iter().map(|difference| (text(difference, "/field"), text(difference, "/reason"))).collect();
    for (field, reason) in [
        ("u_no_such_column", "no such column"),
        ("category", "not one of the choices"),
        ("short_description", "cut to"),
    ] {
        assert!(reasons.get(field).is_some_and(|said| said.contains(reason)), "{field}: {reasons:#?}");
    }
    assert!(!reasons.contains_key("impact") && !reasons.contains_key("correlation_id"), "{reasons:#?}");
    let dropped = gateway.metric("snowgate_fields_dropped_total", "tenant=\"contoso\"").await;
    assert!(dropped >= 3.0, "{dropped}");
}

#[tokio::test]
async fn an_unrelated_change_does_not_overwrite_what_a_person_edited() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    instance.edit("abel.tuter", &ticket.field("sys_id"), &[("impact", "2")]);
    gateway.post(&Event::message("MTR-1", 1, "On our way.")).await.expect(202);
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    assert_eq!((ticket.field("impact").as_str(), ticket.journal("comments")), ("2", vec!["On our way.".to_owned()]));
    gateway.post(&Event::updated("MTR-1", 2, "low")).await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").field("impact"), "3", "a change of the value itself is written");
}

#[tokio::test]
async fn internal_messages_become_work_notes_and_public_ones_comments() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(PLAIN)]);
    let gateway = home.start().await;
    let internal = Event::message("MTR-1", 2, "RMA 7781").with("/data/message/visibility", "internal".into());
    gateway.post_all(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "Please wait."), internal]).await;
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    assert_eq!(
        (ticket.journal("comments"), ticket.journal("work_notes")),
        (vec!["Please wait.".to_owned()], vec!["RMA 7781".to_owned()])
    );
}

#[tokio::test]
async fn an_instance_that_ignores_our_key_gets_one_ticket_all_the_same() {
    let instance = Instance::with(|switches| switches.sys_id_honoured = false);
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    instance.plays("answer_lost=1000,budget=1,verbs=POST,path=/table/incident");
    gateway.post_all(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "one")]).await;
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one"]);
    assert_eq!(instance.writes("POST"), 1, "it looked before it would have sent again");
}

#[tokio::test]
async fn a_create_that_lands_late_is_waited_for_where_our_key_is_ignored() {
    let instance = Instance::with(|switches| switches.sys_id_honoured = false);
    let home = Home::of(&[Tenant::named("contoso", instance.url()).settling("10s")]);
    let gateway = home.start().await;
    // Later than any retry would come, and within the settle time of the tests' tenants.
    instance.plays("zombie=1000:7000,budget=1,verbs=POST,path=/table/incident");
    gateway.post_all(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "one")]).await;
    gateway.quiet().await;
    landed(&instance).await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one"]);
}

/// Waits for the write that was still on its way when its connection was gone.
async fn landed(instance: &Instance) {
    eventually("the late write lands", async || instance.calls().iter().any(|call| call.late).then_some(())).await;
}

#[tokio::test]
async fn misleading_answers_make_neither_a_second_ticket_nor_a_second_note() {
    let plans = [
        "forbidden_after_commit=1000,budget=2,verbs=POST+PATCH",
        "server_error=1000:500:applied,budget=2,verbs=POST+PATCH",
        "partial_ok=1000,budget=2,verbs=POST+PATCH",
        "answer_lost=1000,budget=2,verbs=POST+PATCH",
        "zombie=1000:7000,budget=1,verbs=PATCH",
        "not_executed_202=1000,budget=2,verbs=POST+PATCH",
    ];
    // Each waits out the settle time more than once, so they wait together.
    join_all(plans.map(misled_by)).await;
}

async fn misled_by(plan: &str) {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).settling("10s")]);
    let gateway = home.start().await;
    // A first ticket teaches the gateway that this instance keeps our keys; the trouble begins after it.
    gateway.post(&Event::opened("MTR-0")).await.expect(202);
    gateway.quiet().await;
    instance.plays(plan);
    let (one, two) = (Event::message("MTR-1", 1, "one"), Event::message("MTR-1", 2, "two"));
    gateway.post_all(&[Event::opened("MTR-1"), one, two]).await;
    gateway.quiet().await;
    if plan.starts_with("zombie") {
        landed(&instance).await;
    }
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one", "two"], "{plan}: {:#?}", instance.calls());
    assert_eq!(instance.tickets().len(), 2, "{plan}: {:#?}", instance.calls());
}

#[tokio::test]
async fn the_shipped_mapping_fills_the_form_and_finds_the_rooms_group() {
    let instance = Instance::start();
    let shipped = include_str!("../../mappings/teams-rooms.yaml");
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(shipped)]);
    let gateway = home.start().await;
    let room = json!([{"kind": "room", "name": "Berlin 4.12", "room_group": "Berlin", "serial": "5CG1234ABC"}]);
    gateway.post(&Event::opened("MTR-1").with("/data/incident/affected", room)).await.expect(202);
    gateway.post(&Event::message("MTR-1", 1, "Please check the cable.")).await.expect(202);
    gateway.post(&Event::resolved("MTR-1", 2)).await.expect(202);
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    for (field, expected) in [
        ("assignment_group", Records::seeded("sys_user_group", "Berlin AV Support").as_str()),
        ("cmdb_ci", Records::seeded("cmdb_ci_computer", "MTR-BER-01").as_str()),
        ("impact", "1"),
        ("state", "6"),
        ("close_code", "Solution provided"),
        ("close_notes", "It is back."),
        ("contact_type", "monitoring"),
    ] {
        assert_eq!(ticket.field(field), expected, "{field}: {ticket:#?}");
    }
    assert_eq!(ticket.journal("comments"), ["Please check the cable."]);
    let differences: Vec<_> =
        gateway.deliveries("").await.iter().map(|one| one["ending"]["differences"].clone()).collect();
    assert!(differences.iter().all(serde_json::Value::is_null), "all of it was stored as asked: {differences:#?}");
}
