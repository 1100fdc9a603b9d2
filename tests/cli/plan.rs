//! `snowgate plan`: what another mapping would make of the same events.

use insta::assert_snapshot;
use serde_json::json;

use crate::run::Run;
use crate::support::mappings::{PLAIN, plain_with};
use crate::support::{Event, Home, Instance, Tenant, event};

const PLAN: [&str; 7] = ["plan", "--config", "snowgate.yaml", "--tenant", "contoso", "--new", "new.yaml"];

/// The mapping as it is to be: low severities weigh more, comments go to the other journal, and a column is new.
fn changed() -> String {
    let more = r#"u_room: {value: "{{ incident.affected[0].name }}", when: "{{ incident.affected[0].name }}"}"#;
    plain_with(&[more])
        .replace("default: 3}\n  state", "default: 2}\n  state")
        .replace("public: comments", "public: work_notes")
}

fn home(instance: &str) -> Home {
    let home = Home::of(&[Tenant::named("contoso", instance).mapped_by(PLAIN)]);
    home.write("new.yaml", &changed());
    home
}

fn story() -> [Event; 3] {
    let room = json!([{"kind": "room", "name": "Berlin 4.12"}]);
    [
        Event::opened("MTR-1").with("/data/incident/severity", json!("low")).with("/data/incident/affected", room),
        Event::message("MTR-1", 1, "Please check the cable."),
        Event::opened("MTR-2"),
    ]
}

fn with(arguments: &[&'static str]) -> Vec<&'static str> {
    PLAN.iter().chain(arguments).copied().collect()
}

#[test]
fn differences_are_shown_per_ticket_and_field_with_the_calls_of_both() {
    let home = home("https://contoso.service-now.com");
    let lines: Vec<String> = story().iter().map(Event::body).collect();
    assert_snapshot!(Run::with_input(&home, &with(&["-"]), &lines.join("\n")).expect(0).whole());
}

#[test]
fn machines_get_the_same_as_json_and_files_may_hold_lists() {
    let home = home("https://contoso.service-now.com");
    let bodies: Vec<String> = story().iter().map(Event::body).collect();
    home.write("events.json", &format!("[{}]", bodies.join(",")));
    let plan = Run::of(&home, &with(&["events.json", "--json"])).expect(0).json();
    assert_eq!((plan["events"].as_u64(), plan["tickets_seen"].as_u64()), (Some(3), Some(2)));
    assert_eq!(plan["tickets"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["tickets"][0]["incident"], "MTR-1");
    assert_eq!(plan["calls"]["new"], plan["calls"]["old"]);
    let same = Run::of(&home, &with(&["--old", "new.yaml", "events.json", "--json"])).expect(0).json();
    assert_eq!(same["tickets"], json!([]));
}

#[test]
fn what_cannot_be_used_says_where_and_why() {
    let home = home("https://contoso.service-now.com");
    home.write("broken.json", "{\"type\":\n");
    let run = Run::of(&home, &with(&["broken.json"])).expect(1);
    assert!(run.err.contains("broken.json") && run.err.contains("line 1"), "{run:#?}");
    home.write("odd.json", &event("vanished", "e-1", &json!({"incident": {"id": "MTR-1"}})).body());
    let run = Run::of(&home, &with(&["odd.json"])).expect(1);
    assert!(run.err.contains("event 1") && run.err.contains("incident.vanished"), "{run:#?}");
    home.write("new.yaml", &changed().replace("incident.title", "incident.titel"));
    let run = Run::of(&home, &with(&["odd.json"])).expect(1);
    assert!(run.err.contains("new.yaml:") && run.err.contains("M022"), "{run:#?}");
    home.write("new.yaml", PLAIN);
    let run = Run::of(&home, &with(&["--admin", "http://127.0.0.1:9"])).expect(3);
    assert!(run.err.contains("is `snowgate serve` running?"), "{run:#?}");
}

#[tokio::test]
async fn the_last_events_of_a_running_gateway_are_played_in_their_order_and_nothing_is_sent() {
    let instance = Instance::start();
    let home = home(instance.url());
    let gateway = home.start().await;
    gateway.post_all(&story()).await;
    gateway.quiet().await;
    let calls = instance.calls().len();
    let admin = gateway.admin().to_owned();
    let arguments: Vec<&str> = PLAN.iter().copied().chain(["--admin", &admin, "--json"]).collect();
    let plan = Run::of(&home, &arguments).expect(0).json();
    assert_eq!(plan["events"], 3, "{plan:#}");
    assert_eq!(plan["tickets"][0]["fields"][0], json!({"field": "impact", "old": "3", "new": "2"}));
    assert_eq!(plan["calls"]["old"]["creates"], 2);
    assert_eq!(instance.calls().len(), calls, "nothing was asked of the instance");
    let last: Vec<&str> = arguments.iter().copied().chain(["--recent", "1"]).collect();
    assert_eq!(Run::of(&home, &last).expect(0).json()["events"], 1);
}
