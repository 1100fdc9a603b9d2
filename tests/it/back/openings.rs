//! Tickets that customers open for the managed service, and how each becomes an incident, once.

use serde_json::json;
use snowgate::sim::acts::Act;

use crate::support::{Answer, Bridged, Event, Sweeps, event, eventually};

fn said(incident: &str, number: usize, text: &str) -> Event {
    Event::message(incident, number, text)
}

#[tokio::test]
async fn a_customers_ticket_becomes_an_incident_and_lives_on_as_any_other() {
    let bridged = Bridged::start().await;
    let ticket = bridged.customer_opens("No sound in Berlin 4.12");
    bridged.comments("joe.employee", &ticket, "The far end cannot hear us.");
    let opened = bridged.receiver.has(1, "opened").await;
    assert_eq!(opened.text("/data/incident/title"), "No sound in Berlin 4.12");
    assert_eq!(
        (opened.text("/data/incident/state"), opened.text("/data/incident/origin")),
        ("new".into(), "customer".into())
    );
    assert_eq!(opened.text("/subject"), ticket.field("number"));
    let incident = format!("SOC-{}", ticket.field("number"));
    let linked = bridged.receiver.has(1, "linked").await;
    assert_eq!((linked.text("/subject"), linked.text("/data/how")), (incident.clone(), "adopted".into()));
    let adopted = bridged.now(&ticket);
    assert!(adopted.field("correlation_id").starts_with("sg1-"), "{adopted:?}");
    // What was said while nobody knew whose it was is not lost.
    let told_at_once = opened.0["data"]["incident"]["messages"].to_string().contains("cannot hear us");
    if !told_at_once {
        bridged.receiver.has(1, "message_added").await;
    }
    // Both ways from here on.
    bridged.gateway().post(&said(&incident, 1, "We look at it.")).await.expect(202);
    bridged.comments("joe.employee", &ticket, "Thank you.");
    bridged
        .receiver
        .has_one("the second comment", |callback| callback.text("/data/message/text") == "Thank you.")
        .await;
    bridged.says("resolved", "r-1", json!({"incident": {"id": incident, "resolution": {"notes": "Unmuted."}}})).await;
    bridged.quiet().await;
    let ended = bridged.now(&ticket);
    assert_eq!((ended.field("state"), ended.field("close_notes")), ("6".into(), "Unmuted.".into()));
    assert!(ended.journal("comments").iter().any(|comment| comment.starts_with("We look at it.")), "{ended:?}");
    assert_eq!(bridged.instance.tickets().len(), 1, "no second ticket");
    assert_eq!(bridged.receiver.of_kind("opened").len(), 1);
}

#[tokio::test]
async fn an_event_for_the_new_incident_may_come_before_its_answer_has_arrived() {
    let bridged = Bridged::start().await;
    bridged.receiver.answers_next([Answer::TakeSlowly(std::time::Duration::from_secs(2))]);
    let ticket = bridged.customer_opens("Camera is dark");
    let incident = format!("SOC-{}", ticket.field("number"));
    // The receiver has it and has not answered yet; its own work on the incident is quicker.
    bridged.receiver.saw("ticket.opened").await;
    let opened = event(
        "opened",
        "early-1",
        &json!({"incident": {"id": incident, "title": "Camera is dark", "state": "investigating"}}),
    );
    bridged.gateway().post(&opened).await.expect(202);
    bridged.gateway().post(&said(&incident, 2, "We look at it.")).await.expect(202);
    bridged.receiver.has(1, "linked").await;
    bridged.quiet().await;
    assert_eq!(bridged.instance.tickets().len(), 1, "{:#?}", bridged.instance.tickets());
    let ticket = bridged.now(&ticket);
    assert!(ticket.journal("comments").iter().any(|comment| comment.starts_with("We look at it.")), "{ticket:?}");
    assert_eq!(ticket.field("state"), "2");
    assert_eq!(bridged.receiver.of_kind("linked").len(), 1);
}

#[tokio::test]
async fn an_answer_that_got_lost_asks_again_under_the_same_id_and_links_once() {
    let bridged = Bridged::start().await;
    // It was taken, and the answer said otherwise.
    bridged.receiver.answers_next([Answer::TakeSaying(502, json!({}))]);
    let ticket = bridged.customer_opens("Camera is dark");
    bridged.receiver.has(1, "linked").await;
    bridged.quiet().await;
    let asked: Vec<String> =
        bridged.receiver.arrivals().into_iter().filter(|one| one.kind == "ticket.opened").map(|one| one.id).collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
    assert!(bridged.now(&ticket).field("correlation_id").starts_with("sg1-"));
}

#[tokio::test]
async fn an_answer_without_an_id_links_nothing_and_is_on_record() {
    let bridged = Bridged::start().await;
    bridged.receiver.gives_ids(false);
    let ticket = bridged.customer_opens("Camera is dark");
    bridged.receiver.has(1, "opened").await;
    bridged.comments("joe.employee", &ticket, "Anybody?");
    bridged.quiet().await;
    let deliveries = bridged.gateway().deliveries("delivered").await;
    let opened = deliveries.iter().find(|delivery| delivery["kind"] == "ticket.opened").expect("it was told");
    let record = bridged.gateway().record(opened["id"].as_str().expect("an id")).await;
    assert!(record["ending"]["left_out"].to_string().contains("names no incident"), "{record}");
    assert_eq!(bridged.now(&ticket).field("correlation_id"), "");
    assert_eq!(bridged.receiver.taken().len(), 1, "asked once, and nothing else is told");
}

#[tokio::test]
async fn a_ticket_that_the_mapping_does_not_admit_stays_where_it_is() {
    let bridged = Bridged::with(|setup| setup.sweeps = Sweeps::Always).await;
    let group = bridged.instance.group("Network");
    bridged.instance.create("beth.anglin", &[("short_description", "Switch is down"), ("assignment_group", &group)]);
    let ticket = bridged.instance.tickets().pop().expect("it was opened");
    bridged.comments("joe.employee", &ticket, "Anybody?");
    bridged.quiet().await;
    bridged.sweep().await;
    assert!(bridged.receiver.taken().is_empty(), "{:?}", bridged.receiver.taken());
    // Until somebody gives it to the managed service.
    bridged.acts("beth.anglin", &ticket, &Act::Assign { group: "Teams Rooms SOC".into(), person: String::new() });
    bridged.receiver.has(1, "linked").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.of_kind("opened").len(), 1);
    let all = format!("{:?}", bridged.receiver.taken());
    assert!(all.contains("Anybody?"), "what was said before is told: {all}");
}

#[tokio::test]
async fn a_ticket_whose_webhook_was_lost_is_opened_by_the_sweep_once() {
    let bridged = Bridged::with(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.silences_webhooks();
    let ticket = bridged.customer_opens("No sound");
    bridged.receiver.has(1, "linked").await;
    bridged.sweep().await;
    assert_eq!(bridged.receiver.of_kind("opened").len(), 1);
    eventually("it has its key", async || {
        bridged.now(&ticket).field("correlation_id").starts_with("sg1-").then_some(())
    })
    .await;
}
