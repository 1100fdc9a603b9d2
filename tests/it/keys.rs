//! How a ticket is found again: our keys, instances that drop them, strangers, and tickets that are gone.

use serde_json::json;

use crate::support::faults;
use crate::support::reply::text;
use crate::support::{Event, Gateway, Home, Instance, event, eventually};

async fn running(instance: &Instance) -> (Home, Gateway) {
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    (home, gateway)
}

/// The pause of `contoso`, as soon as there is one.
async fn paused(gateway: &Gateway) -> (String, String) {
    eventually("contoso is paused", async || {
        let tenant = gateway.get("/v1/tenants/contoso").await;
        tenant.get("pause").map(|pause| (text(pause, "/code"), text(pause, "/reason")))
    })
    .await
}

#[tokio::test]
async fn a_lookup_that_returns_strangers_stops_the_tenant_and_touches_nobody() {
    // proves F41: paused as lookup_untrusted, 0 writes
    let instance = Instance::with(|switches| {
        switches.unreadable_columns.insert("incident.correlation_id".to_owned());
    });
    instance.create("beth.anglin", &[("short_description", "A stranger's ticket")]);
    let (_home, gateway) = running(&instance).await;
    gateway.leaves_work();
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let (code, reason) = paused(&gateway).await;
    assert_eq!(code, "lookup_untrusted", "{reason}");
    assert_eq!(instance.writes("POST") + instance.writes("PATCH"), 0, "{:#?}", instance.calls());
    assert_eq!(instance.tickets().len(), 1);
    faults::proven(
        "F41",
        "a_lookup_that_returns_strangers_stops_the_tenant_and_touches_nobody",
        "a look-up that ignores its condition: the tenant is paused as lookup_untrusted, 0 writes, the stranger's ticket is as it was",
    );
}

#[tokio::test]
async fn an_instance_that_keeps_neither_of_our_keys_gets_one_ticket_and_a_person() {
    // proves F43: its ticket is known, paused as correlation_not_kept, 1 ticket for 2 incidents
    let instance = Instance::with(|switches| {
        switches.sys_id_honoured = false;
        switches.unwritable_columns.insert("incident.correlation_id".to_owned());
    });
    let (_home, gateway) = running(&instance).await;
    gateway.leaves_work();
    let first = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    let (code, reason) = paused(&gateway).await;
    assert_eq!(code, "correlation_not_kept", "{reason}");
    assert_eq!(gateway.record(&first).await["state"], "delivered", "its ticket is known");
    gateway.post(&Event::opened("MTR-2")).await.expect(202);
    assert_eq!(instance.tickets().len(), 1);
    faults::proven(
        "F43",
        "an_instance_that_keeps_neither_of_our_keys_gets_one_ticket_and_a_person",
        "a create whose answer has none of our keys: delivered at its ticket, further creates paused as correlation_not_kept, 1 ticket",
    );
}

#[tokio::test]
async fn an_unclear_message_is_parked_where_our_mark_is_not_kept_and_never_written_twice() {
    let instance = Instance::with(|switches| {
        switches.unwritable_columns.insert("incident.correlation_display".to_owned());
    });
    let (_home, gateway) = running(&instance).await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    instance.plays("answer_lost=1000,budget=1,verbs=PATCH");
    let unclear = gateway.post(&Event::message("MTR-1", 1, "one")).await.expect(202).delivery();
    gateway.post(&Event::message("MTR-1", 2, "two")).await.expect(202);
    let record = gateway.record_once(&unclear, "parked").await;
    assert_eq!(text(&record, "/ending/parking/code"), "message_unproven", "{record}");
    gateway.leaves_parked(1);
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["one", "two"]);
}

#[tokio::test]
async fn an_update_of_a_deleted_ticket_is_parked_and_makes_no_other_one() {
    let instance = Instance::start();
    let (_home, gateway) = running(&instance).await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    instance.delete("admin", &instance.ticket_of("MTR-1").field("sys_id"));
    let lost = gateway.post(&Event::message("MTR-1", 1, "Hello?")).await.expect(202).delivery();
    let record = gateway.record_once(&lost, "parked").await;
    assert_eq!(text(&record, "/ending/parking/code"), "ticket_missing", "{record}");
    gateway.leaves_parked(1);
    assert!(instance.tickets().is_empty());
}

#[tokio::test]
async fn a_lost_store_finds_the_same_tickets_again() {
    for keeps_sys_ids in [true, false] {
        let instance = Instance::with(|switches| switches.sys_id_honoured = keeps_sys_ids);
        let (home, mut gateway) = running(&instance).await;
        gateway.post_all(&[Event::opened("MTR-1"), Event::message("MTR-1", 1, "one")]).await;
        gateway.quiet().await;
        gateway.kill();
        drop(gateway);
        for suffix in ["", "-wal", "-shm"] {
            // The two beside it exist only while it is open, or after a crash.
            drop(std::fs::remove_file(home.path().join(format!("snowgate.db{suffix}"))));
        }
        let gateway = home.start().await;
        gateway.post_all(&[Event::message("MTR-1", 2, "two"), Event::resolved("MTR-1", 3)]).await;
        gateway.quiet().await;
        assert_eq!(instance.tickets().len(), 1, "keeps sys_ids: {keeps_sys_ids}");
        let ticket = instance.ticket_of("MTR-1");
        assert_eq!(
            (ticket.journal("comments"), ticket.field("state")),
            (vec!["one".to_owned(), "two".to_owned()], "6".to_owned())
        );
    }
}

#[tokio::test]
async fn an_incident_that_comes_back_as_a_new_episode_gets_a_ticket_of_its_own() {
    let instance = Instance::start();
    let (_home, gateway) = running(&instance).await;
    gateway.post_all(&[Event::opened("MTR-1"), Event::resolved("MTR-1", 1)]).await;
    let again = Event::opened("MTR-1").with("/id", "again".into()).with("/data/incident/episode", 2.into());
    let said = Event::message("MTR-1", 2, "Dark once more.").with("/data/incident/episode", 2.into());
    gateway.post_all(&[again, said]).await;
    gateway.quiet().await;
    let tickets = instance.tickets();
    let told: Vec<_> = tickets.iter().map(|ticket| (ticket.field("state"), ticket.journal("comments"))).collect();
    let expected = [("6".to_owned(), vec![]), ("1".to_owned(), vec!["Dark once more.".to_owned()])];
    assert_eq!(told, expected, "{tickets:#?}");
}

#[tokio::test]
async fn a_change_that_opens_the_ticket_because_the_first_event_was_lost_tells_everything() {
    let instance = Instance::start();
    let (_home, gateway) = running(&instance).await;
    let snapshot = Event::message("MTR-1", 1, "We are on it.").with("/data/incident/title", "Fault of MTR-1".into());
    gateway.post(&snapshot).await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.ticket_of("MTR-1").journal("comments"), ["We are on it."]);
    assert_eq!(instance.writes("POST"), 1);
}

#[tokio::test]
async fn what_a_closed_ticket_did_not_take_is_on_the_record() {
    let instance = Instance::start();
    let (_home, gateway) = running(&instance).await;
    gateway.post_all(&[Event::opened("MTR-1"), Event::resolved("MTR-1", 1)]).await;
    gateway.quiet().await;
    instance.edit("itil.manager", &instance.ticket_of("MTR-1").field("sys_id"), &[("state", "7")]);
    let update = gateway.post(&Event::updated("MTR-1", 2, "low")).await.expect(202).delivery();
    gateway.quiet().await;
    let record = gateway.record(&update).await;
    let told = record["state"] == "parked" || record["ending"]["differences"].to_string().contains("impact");
    assert!(told || instance.tickets().len() == 2, "it vanished: {record:#}");
}

#[tokio::test]
async fn an_attachment_that_is_not_copied_is_recorded_as_left_out() {
    let instance = Instance::start();
    let (_home, gateway) = running(&instance).await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let file = json!({"id": "a1", "name": "log.zip", "media_type": "application/zip", "size": 10, "url": "https://soc.example/a1"});
    let added = event("attachment_added", "file", &json!({"incident": {"id": "MTR-1"}, "attachment": file}));
    let delivery = gateway.post(&added).await.expect(202).delivery();
    let record = gateway.record_once(&delivery, "delivered").await;
    assert!(record["ending"]["left_out"].to_string().contains("attachment"), "{record:#}");
}
