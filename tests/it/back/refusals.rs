//! A managed service that is not well: what waits, what is asked again, what needs a person, and that nothing else stops.

use reqwest::Method;
use serde_json::json;
use std::time::Duration;

use crate::support::instance::Ticket;
use crate::support::{Answer, Bridged, Event, eventually};

/// Says so many things on a ticket, one after the other.
fn says(bridged: &Bridged, ticket: &Ticket, numbers: std::ops::Range<usize>) -> Vec<String> {
    let texts: Vec<String> = numbers.map(|number| format!("comment {number}")).collect();
    for text in &texts {
        bridged.comments("abel.tuter", ticket, text);
    }
    texts
}

#[tokio::test]
async fn a_service_that_fails_is_asked_again_under_the_same_ids_and_the_order_is_kept() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.receiver.answers_next([Answer::Refuse(500), Answer::Refuse(502)]);
    let mut said = says(&bridged, &ticket, 0..2);
    bridged.instance.quiet().await;
    // The other direction does not wait for it.
    bridged.gateway().post(&Event::message("MTR-1", 1, "We look at it.")).await.expect(202);
    eventually("our comment is there", async || {
        bridged.now(&ticket).journal("comments").iter().any(|one| one.starts_with("We look at it.")).then_some(())
    })
    .await;
    said.extend(says(&bridged, &ticket, 2..4));
    bridged.receiver.has(4, "message_added").await;
    bridged.quiet().await;
    let mut messages = bridged.receiver.messages();
    assert_eq!(messages.len(), 4);
    // Comments of one second have no order at the instance either.
    messages.sort();
    assert_eq!(messages, said);
    let refused: Vec<_> = bridged.receiver.arrivals().into_iter().filter(|one| one.status >= 500).collect();
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0].id, refused[1].id, "nothing overtakes the one that failed");
}

#[tokio::test]
async fn a_service_that_asks_for_time_gets_it() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.receiver.answers_next([Answer::Busy { status: 503, retry_after: 3 }]);
    bridged.comments("abel.tuter", &ticket, "Hello");
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    let arrivals: Vec<_> =
        bridged.receiver.arrivals().into_iter().filter(|one| one.kind == "ticket.message_added").collect();
    assert_eq!(arrivals.iter().map(|one| one.status).collect::<Vec<_>>(), [503, 202]);
    let waited = arrivals[1].at.duration_since(arrivals[0].at).unsigned_abs();
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
    assert_eq!(arrivals[0].id, arrivals[1].id);
}

#[tokio::test]
async fn a_callback_that_is_refused_is_parked_shown_and_replayed_under_its_id() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.receiver.answers_next([Answer::Refuse(400)]);
    bridged.comments("abel.tuter", &ticket, "Not liked");
    let parked =
        eventually("it is parked", async || bridged.gateway().deliveries("parked").await.into_iter().next()).await;
    let id = parked["id"].as_str().expect("an id").to_owned();
    let record = bridged.gateway().record(&id).await;
    assert_eq!(
        (record["direction"].as_str(), record["kind"].as_str()),
        (Some("to_service"), Some("ticket.message_added"))
    );
    assert_eq!(record["ending"]["parking"]["code"], "http_400");
    assert_eq!(record["ending"]["parking"]["owner"], "sender");
    // What is behind it goes on.
    bridged.comments("abel.tuter", &ticket, "Liked");
    bridged.receiver.has(1, "message_added").await;
    assert_eq!(bridged.receiver.messages(), ["Liked"]);
    bridged.gateway().replay(&id).await;
    bridged.receiver.has(2, "message_added").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.messages(), ["Liked", "Not liked"]);
    let of_it: Vec<_> = bridged.receiver.arrivals().into_iter().filter(|one| one.id == record["body"]["id"]).collect();
    assert_eq!(of_it.iter().map(|one| one.status).collect::<Vec<_>>(), [400, 202], "the same id both times");
}

#[tokio::test]
async fn an_answer_that_says_duplicate_is_as_good_as_any() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.receiver.answers_next([Answer::TakeSaying(409, json!({"error": "duplicate"}))]);
    bridged.comments("abel.tuter", &ticket, "Hello");
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.arrivals().len(), 2, "linked, and the comment once");
}

#[tokio::test]
async fn a_service_that_is_gone_is_left_alone_until_a_person_says_otherwise_and_the_tickets_go_on() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.receiver.answers(Answer::Refuse(410));
    let said = says(&bridged, &ticket, 0..3);
    eventually("it was refused", async || {
        bridged.receiver.arrivals().iter().any(|one| one.status == 410).then_some(())
    })
    .await;
    bridged.gateway().post(&Event::message("MTR-1", 1, "We look at it.")).await.expect(202);
    eventually("our comment is there", async || {
        bridged.now(&ticket).journal("comments").iter().any(|one| one.starts_with("We look at it.")).then_some(())
    })
    .await;
    bridged.opened_quietly("MTR-2").await;
    let refused = bridged.receiver.arrivals().iter().filter(|one| one.status == 410).count();
    assert!(refused <= 2, "it is left alone: {refused} calls");
    let health = bridged.gateway().get("/v1/tenants/contoso").await.to_string();
    assert!(health.contains("callback"), "an operator sees why: {health}");

    bridged.receiver.answers(Answer::Take);
    bridged.gateway().ask(Method::POST, "/v1/tenants/contoso/resume").await.expect(200);
    bridged.receiver.has(3, "message_added").await;
    bridged.receiver.has(2, "linked").await;
    bridged.quiet().await;
    let mut messages = bridged.receiver.messages();
    messages.sort();
    assert_eq!(messages, said);
}

#[tokio::test]
async fn a_slow_service_delays_its_own_ticket_alone() {
    let bridged = Bridged::start().await;
    let (one, other) = (bridged.opened("MTR-1", "system").await, bridged.opened("MTR-2", "system").await);
    bridged.receiver.answers_next([Answer::TakeSlowly(Duration::from_secs(5))]);
    bridged.comments("abel.tuter", &one, "Slow");
    bridged.receiver.saw("ticket.message_added").await;
    bridged.comments("abel.tuter", &one, "Behind it");
    bridged.comments("abel.tuter", &other, "Quick");
    bridged.receiver.has(3, "message_added").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.messages(), ["Quick", "Slow", "Behind it"]);
}

#[tokio::test]
async fn callbacks_survive_the_end_of_the_process() {
    let mut bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.receiver.answers(Answer::Refuse(500));
    let said = says(&bridged, &ticket, 0..3);
    bridged.instance.quiet().await;
    eventually("it was refused", async || {
        bridged.receiver.arrivals().iter().any(|one| one.status == 500).then_some(())
    })
    .await;
    bridged.killed_and_restarted().await;
    bridged.receiver.answers(Answer::Take);
    bridged.receiver.has(3, "message_added").await;
    bridged.quiet().await;
    let mut messages = bridged.receiver.messages();
    messages.sort();
    assert_eq!(messages, said);
}
