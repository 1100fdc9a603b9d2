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
