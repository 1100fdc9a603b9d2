//! Tools' own payloads, from the tool's request to the ticket: the shipped sources through the real binary, with the shipped mapping.
//!
//! Each payload is a file under `tests/fixtures/sources`; what it becomes before it is a ticket is held in `tests/sources.rs`.

use reqwest::Method;
use serde_json::json;

use crate::support::home::key_of;
use crate::support::instance::Ticket;
use crate::support::mappings::TEAMS_ROOMS;
use crate::support::{Gateway, Home, Instance, Reply, Tenant};

/// What a ticket must show: the column and its value, or `comments` and `work_notes` and one of their entries.
type Shown = &'static [(&'static str, &'static str)];

/// A payload, and what the ticket shows when it has arrived.
struct Step {
    payload: &'static str,
    shows: Shown,
}

const fn step(payload: &'static str, shows: Shown) -> Step {
    Step { payload, shows }
}

fn payload(source: &str, name: &str) -> String {
    let path = format!("{}/tests/fixtures/sources/{source}/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a kept payload")
}

async fn post(gateway: &Gateway, source: &str, body: String) -> Reply {
    let request = gateway.request(Method::POST, &format!("/v1/tenants/contoso/sources/{source}"));
    let request = request.bearer_auth(key_of("contoso")).header("content-type", "application/json");
    Reply::of(request.body(body)).await.expect("the gateway answers")
}

/// An instance, and a gateway with the shipped sources and the shipped mapping.
async fn bridge() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(TEAMS_ROOMS)]);
    home.add_sources();
    let gateway = home.start().await;
    (instance, home, gateway)
}

fn check(ticket: &Ticket, shows: Shown, what: &str) {
    for (column, expected) in shows {
        if matches!(*column, "comments" | "work_notes") {
            let entries = ticket.journal(column);
            assert!(entries.iter().any(|entry| entry == expected), "{column} after {what}: {entries:#?}");
        } else {
            assert_eq!(ticket.field(column), *expected, "{column} after {what}");
        }
    }
}

/// Sends each payload, and again; there is one ticket in the end, and it shows what it must after each.
async fn tells(source: &str, steps: &[Step]) {
    // Nothing in a request of Events v2 tells a repeat from the next time.
    let repeated = if source == "pagerduty-events" { 202 } else { 200 };
    let (instance, _home, gateway) = bridge().await;
    for Step { payload: name, shows } in steps {
        let body = payload(source, name);
        post(&gateway, source, body.clone()).await.expect(202);
        gateway.quiet().await;
        let tickets = instance.tickets();
        assert_eq!(tickets.len(), 1, "tickets after {source}/{name}: {tickets:#?}");
        check(&tickets[0], shows, &format!("{source}/{name}"));
        let writes = || instance.writes("POST") + instance.writes("PATCH");
        let before = writes();
        post(&gateway, source, body).await.expect(repeated);
        gateway.quiet().await;
        assert_eq!(writes(), before, "{source}/{name} again writes to the instance");
    }
}

#[tokio::test]
async fn alertmanager_opens_a_ticket_for_each_alert_and_ends_each_by_itself() {
    let (instance, _home, gateway) = bridge().await;
    let of = |room: &str| {
        let found = instance.tickets_named(&format!("{room} does not answer"));
        assert_eq!(found.len(), 1, "tickets of {room}");
        found.into_iter().next().expect("counted")
    };
    post(&gateway, "alertmanager", payload("alertmanager", "firing")).await.expect(202);
    post(&gateway, "alertmanager", payload("alertmanager", "firing")).await.expect(200);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 2);
    let group = instance.group("Berlin AV Support");
    let shows = [
        ("state", "1"),
        ("impact", "1"),
        ("urgency", "1"),
        ("assignment_group", group.as_str()),
        ("contact_type", "monitoring"),
    ];
    for (column, expected) in shows {
        assert_eq!(of("Berlin 4.11").field(column), expected, "{column}");
    }
    assert!(of("Berlin 4.11").field("description").contains("Recommended action: Runbook: https://wiki.example"));

    post(&gateway, "alertmanager", payload("alertmanager", "one-of-two-resolved")).await.expect(202);
    gateway.quiet().await;
    let over: Shown = &[("state", "6"), ("close_code", "Solution provided"), ("close_notes", "The alert is over.")];
    check(&of("Berlin 4.11"), over, "one-of-two-resolved");
    assert_eq!(of("Berlin 4.12").field("state"), "1");

    post(&gateway, "alertmanager", payload("alertmanager", "resolved")).await.expect(202);
    gateway.quiet().await;
    check(&of("Berlin 4.12"), over, "resolved");
    assert_eq!(instance.tickets().len(), 2);
}

#[tokio::test]
async fn an_alert_that_fires_again_opens_its_ticket_again() {
    let (instance, _home, gateway) = bridge().await;
    for name in ["truncated", "resolved"] {
        post(&gateway, "alertmanager", payload("alertmanager", name)).await.expect(202);
        gateway.quiet().await;
    }
    let first = instance.tickets_named("Berlin 4.11 does not answer");
    assert!(first[0].field("description").contains("left 37 more alerts of this group out"));
    assert_eq!(first[0].field("state"), "6");
    let anew = payload("alertmanager", "truncated").replace("T06:01:12.581Z", "T08:00:00.000Z");
    post(&gateway, "alertmanager", anew).await.expect(202);
    gateway.quiet().await;
    let again = instance.tickets_named("Berlin 4.11 does not answer");
    assert_eq!((again.len(), again[0].field("state").as_str()), (1, "1"));
}

#[tokio::test]
async fn alertmanager_s_group_is_one_ticket_with_a_note_on_each_change() {
    tells(
        "alertmanager-group",
        &[
            step(
                "firing",
                &[
                    ("short_description", "MtrDown"),
                    ("state", "1"),
                    ("impact", "1"),
                    ("work_notes", "2 firing:\nBerlin 4.11 does not answer\nBerlin 4.12 does not answer"),
                ],
            ),
            step(
                "one-of-two-resolved",
                &[
                    ("state", "1"),
                    ("work_notes", "1 firing:\nBerlin 4.12 does not answer\n\nOver:\nBerlin 4.11 does not answer"),
                ],
            ),
            step("resolved", &[("state", "6"), ("close_notes", "All alerts of the group are over.")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn grafana_opens_and_resolves() {
    tells(
        "grafana",
        &[
            step("firing", &[("short_description", "Berlin 4.12 is too hot"), ("state", "1"), ("impact", "1")]),
            step("resolved", &[("state", "6"), ("close_code", "Solution provided")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn azure_monitor_opens_and_resolves() {
    tells(
        "azure-monitor",
        &[
            step(
                "log-fired",
                &[("short_description", "mtr-heartbeat-lost on mtr-berlin-01"), ("impact", "1"), ("urgency", "2")],
            ),
            step("log-resolved", &[("state", "6")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn sentinel_opens_is_updated_with_its_comments_and_is_closed() {
    tells(
        "sentinel",
        &[
            step(
                "created",
                &[("short_description", "Suspicious sign-in from two countries"), ("state", "1"), ("impact", "1")],
            ),
            step(
                "updated",
                &[("state", "2"), ("work_notes", "Checked with the user:\n* not travelling\n* token revoked")],
            ),
            step(
                "closed",
                &[
                    ("state", "6"),
                    ("close_notes", "Account secured.\nClassification: TruePositive, SuspiciousActivity"),
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn defender_opens_and_a_merged_incident_is_closed_as_a_duplicate() {
    tells(
        "defender",
        &[
            step(
                "incident-active",
                &[
                    ("short_description", "Multi-stage incident on one endpoint"),
                    ("state", "2"),
                    ("impact", "2"),
                    ("work_notes", "Asked the owner of the device."),
                ],
            ),
            step(
                "incident-redirected",
                &[("state", "6"), ("close_code", "Duplicate"), ("close_notes", "Merged into incident 2972401.")],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn pagerduty_tells_a_whole_life() {
    tells(
        "pagerduty",
        &[
            step(
                "triggered",
                &[
                    ("short_description", "Front display of Berlin 4.12 lost"),
                    ("state", "1"),
                    ("impact", "1"),
                    ("urgency", "2"),
                ],
            ),
            step("acknowledged", &[("state", "2")]),
            step("priority-updated", &[("impact", "1"), ("urgency", "1")]),
            step("annotated", &[("work_notes", "A new cable is on its way."), ("state", "2")]),
            step("status-update", &[("comments", "A technician arrives at 9. […]")]),
            step("escalated", &[("urgency", "1")]),
            step("resolved", &[("state", "6"), ("close_notes", "Resolved in PagerDuty by O. Perator.")]),
            step("reopened", &[("state", "1")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn events_v2_opens_acknowledges_and_resolves() {
    tells(
        "pagerduty-events",
        &[
            step("trigger", &[("short_description", "Front display of Berlin 4.12 lost"), ("impact", "1")]),
            step("acknowledge", &[("state", "2")]),
            step("resolve", &[("state", "6"), ("close_notes", "Resolved by the sending tool.")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_comes_back_without_a_word_about_time_is_no_repeat() {
    let (instance, _home, gateway) = bridge().await;
    for (name, state) in [("trigger", "1"), ("resolve", "6"), ("trigger", "1"), ("resolve", "6")] {
        // The same but for the time, which most senders leave out.
        let body = payload("pagerduty-events", name).replace("2026-11-22T06:00:00.000+0000", "");
        post(&gateway, "pagerduty-events", body).await.expect(202);
        gateway.quiet().await;
        let tickets = instance.tickets();
        assert_eq!((tickets.len(), tickets[0].field("state").as_str()), (1, state), "after {name}");
    }
}

#[tokio::test]
async fn opsgenie_opens_notes_escalates_and_closes() {
    tells(
        "opsgenie",
        &[
            step(
                "create",
                &[("short_description", "Front display of Berlin 4.12 lost"), ("impact", "1"), ("urgency", "2")],
            ),
            step("acknowledge", &[("state", "2")]),
            step("update-priority", &[("urgency", "1")]),
            step("note", &[("work_notes", "A new cable is on its way.")]),
            step("escalate", &[("urgency", "1")]),
            step("close", &[("state", "6"), ("close_notes", "Closed in Opsgenie.")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_teams_admin_center_finds_its_ticket_again_and_leaves_the_end_to_people() {
    let (instance, _home, gateway) = bridge().await;
    for name in ["offline", "offline-again"] {
        post(&gateway, "teams-admin-center", payload("teams-admin-center", name)).await.expect(202);
        post(&gateway, "teams-admin-center", payload("teams-admin-center", name)).await.expect(200);
        gateway.quiet().await;
        let tickets = instance.tickets();
        assert_eq!(tickets.len(), 1, "{name}");
        assert_eq!(tickets[0].field("short_description"), "Room-1 of Conf A has become offline");
        assert_eq!(tickets[0].field("state"), "1");
    }
}

#[tokio::test]
async fn cloudevents_of_others_open_note_escalate_and_resolve() {
    tells(
        "cloudevents",
        &[
            step("created", &[("short_description", "Front display of Berlin 4.12 lost"), ("impact", "1")]),
            step(
                "batch",
                &[
                    ("work_notes", "A new cable is on its way."),
                    ("work_notes", "Escalated to level 2 (oem): Broken panel"),
                    ("impact", "1"),
                    ("urgency", "1"),
                ],
            ),
            step("resolved", &[("state", "6"), ("close_notes", "Panel replaced.")]),
        ],
    )
    .await;
}

#[tokio::test]
async fn test_buttons_and_what_means_nothing_are_taken_and_open_nothing() {
    let (instance, _home, gateway) = bridge().await;
    for (source, name) in [
        ("grafana", "test-button"),
        ("pagerduty", "test-button"),
        ("pagerduty", "responder-added"),
        ("cloudevents", "something-else"),
    ] {
        let reply = post(&gateway, source, payload(source, name)).await;
        assert!((200..300).contains(&reply.status), "{source}/{name}: {} {}", reply.status, reply.text);
    }
    gateway.quiet().await;
    assert!(instance.tickets().is_empty() && gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn every_kept_payload_is_taken_through_the_real_route() {
    let (_instance, _home, gateway) = bridge().await;
    let folder = format!("{}/tests/fixtures/sources", env!("CARGO_MANIFEST_DIR"));
    let names = |path: &str| -> Vec<String> {
        let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
    };
    for source in names(&folder) {
        for name in names(&format!("{folder}/{source}")) {
            let reply = post(&gateway, &source, payload(&source, &name)).await;
            assert!((200..300).contains(&reply.status), "{source}/{name}: {} {}", reply.status, reply.text);
        }
    }
    gateway.quiet().await;
}

#[tokio::test]
async fn another_tool_needs_a_yaml_file_and_nothing_else() {
    let (instance, home, gateway) = bridge().await;
    drop(gateway);
    let shipped = include_str!("../../mappings/sources/alertmanager.yaml");
    home.write("mappings/sources/our-monitor.yaml", &shipped.replace("alertmanager", "our-monitor"));
    let gateway = home.start().await;
    post(&gateway, "our-monitor", payload("alertmanager", "truncated")).await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 1);
    let reply = post(&gateway, "our-monitor", json!({"alerts": [{"status": "firing"}]}).to_string()).await;
    assert!((200..300).contains(&reply.status) || reply.status == 422, "{}", reply.text);
    gateway.quiet().await;
}
