//! `snowgate preview`: what would be sent, and why.

use insta::assert_snapshot;
use serde_json::json;

use crate::run::Run;
use crate::support::mappings::plain_with;
use crate::support::{Event, Home, Tenant};

const INSTANCE: &str = "https://contoso.service-now.com";
const PREVIEW: [&str; 6] = ["preview", "--config", "snowgate.yaml", "--tenant", "contoso", "-"];

fn home() -> Home {
    let looking = plain_with(&[
        r"assignment_group: {value: AV Support, lookup: {table: sys_user_group, by: name, missing: park}, on: create}",
    ]);
    Home::of(&[Tenant::named("contoso", INSTANCE).mapped_by(&looking)])
}

#[test]
fn each_field_has_its_value_and_its_reason() {
    assert_snapshot!(Run::with_input(&home(), &PREVIEW, &Event::opened("MTR-1").body()).expect(0).whole());
}

#[test]
fn a_message_shows_where_it_goes() {
    let run = Run::with_input(&home(), &PREVIEW, &Event::message("MTR-1", 1, "Please check the cable.").body());
    assert_snapshot!(run.expect(0).whole());
}

const TICKET: &str = r#"{"sys_id": "9d38", "operation": "update", "fields": {"state": "3", "hold_reason": "1", "impact": "2",
  "assigned_to": {"value": "46d4", "display": "Abel Tuter"}, "close_code": "", "close_notes": "", "resolved_by": "", "resolved_at": "",
  "assignment_group": {"value": "8a50", "display": "Teams Rooms SOC"}, "short_description": "Dark", "description": ""}}"#;
const BACK: [&str; 7] = ["preview", "--config", "snowgate.yaml", "--tenant", "contoso", "--ticket", "-"];

fn both_ways() -> Home {
    let shipped = std::fs::read_to_string("mappings/teams-rooms.yaml").expect("the file is part of the repository");
    Home::of(&[Tenant::named("contoso", INSTANCE).mapped_by(&shipped)])
}

#[test]
fn a_ticket_shows_what_would_be_told_of_it() {
    assert_snapshot!(Run::with_input(&both_ways(), &BACK, TICKET).expect(0).whole());
}

#[test]
fn a_ticket_without_a_needed_column_would_be_parked() {
    let run = Run::with_input(&both_ways(), &BACK, &TICKET.replace("\"impact\"", "\"u_impact\"")).expect(1);
    assert!(run.out.contains("`ticket.impact` did not come with the ticket"), "{run:#?}");
    let run = Run::with_input(&both_ways(), &BACK, &TICKET.replace(", \"display\": \"Abel Tuter\"", "")).expect(1);
    assert!(run.out.contains("parked:") && run.out.contains("ticket.assigned_to.display"), "{run:#?}");
    let one_way = Run::with_input(&home(), &BACK, TICKET);
    assert!(one_way.code == Some(1) && one_way.err.contains("to_incident"), "{one_way:#?}");
}

#[test]
fn a_file_is_read_and_machines_get_json() {
    let home = home();
    home.write("event.json", &Event::opened("MTR-1").body());
    let arguments = ["preview", "--config", "snowgate.yaml", "--tenant", "contoso", "event.json", "--json"];
    let json = Run::of(&home, &arguments).expect(0).json();
    assert_eq!(json["operation"], "create", "{json:#}");
}

#[test]
fn what_cannot_be_mapped_says_that_it_would_be_parked() {
    let demanding = plain_with(&[r#"location: "{{ incident.affected[0].site }}""#]);
    let home = Home::of(&[Tenant::named("contoso", INSTANCE).mapped_by(&demanding)]);
    let run = Run::with_input(&home, &PREVIEW, &Event::opened("MTR-1").body()).expect(1);
    assert!(run.out.contains("parked:") && run.out.contains("location"), "{run:#?}");
}

#[test]
fn mistakes_are_told_with_what_would_be_right() {
    let home = home();
    for (input, words) in [
        ("{", "not JSON"),
        (r#"{"type":"incident.exploded"}"#, "incident.opened"),
        (&json!({"type": "incident.opened", "data": {"incident": {"title": 5}}}).to_string(), "/incident/title"),
    ] {
        let run = Run::with_input(&home, &PREVIEW, input);
        assert!(run.code == Some(1) && run.err.contains(words), "{input}: {run:#?}");
    }
    let unknown = Run::with_input(&home, &["preview", "--config", "snowgate.yaml", "--tenant", "nobody", "-"], "{}");
    assert!(unknown.code != Some(0) && unknown.err.contains("nobody"), "{unknown:#?}");
    let missing = Run::of(&home, &["preview", "--config", "snowgate.yaml", "--tenant", "contoso", "no-such-file.json"]);
    assert!(missing.code != Some(0) && missing.err.contains("no-such-file.json"), "{missing:#?}");
}
