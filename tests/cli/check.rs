//! `snowgate check`: every finding with its place, all at once, and the cases of every mapping.

use insta::assert_snapshot;

use crate::run::Run;
use crate::support::{Home, Tenant};

const INSTANCE: &str = "https://contoso.service-now.com";
const CHECK: [&str; 3] = ["check", "--config", "snowgate.yaml"];

#[test]
fn files_in_order_are_counted_and_the_exit_code_is_0() {
    let run = Run::of(&Home::contoso(INSTANCE), &CHECK).expect(0);
    assert_snapshot!(run.whole());
}

#[test]
fn everything_wrong_is_told_at_once_with_file_line_and_column() {
    let home = Home::contoso(INSTANCE);
    home.write("snowgate.yaml", "server: {lissten: \"127.0.0.1:0\"}\ntenants: tenants\nmappings: mappings\n");
    home.write(
        "tenants/contoso.yaml",
        "tenant: contoso\nservicenow:\n  instance: http://contoso.service-now.com\n  auth: {kind: basic, username: snowgate, \
         password: hunter2}\n  settle: 500ms\nmapping: contoso.yaml\nsenders:\n  - {name: soc, api_key_sha256: \"12\"}\n",
    );
    home.write("mappings/other.yaml", "version: 1\nname: other\ntarget: {table: incident}\nto_ticket:\n  fields:\n    state: {value: \"{{ incident.stat }}\"}\n");
    let run = Run::of(&home, &CHECK).expect(1);
    assert!(!run.whole().contains("hunter2"), "a secret that stands in a file is not shown: {}", run.whole());
    for place in
        ["snowgate.yaml:1:10", "tenants/contoso.yaml:3:13", "tenants/contoso.yaml:5:11", "mappings/other.yaml:6:"]
    {
        assert!(run.out.contains(place), "{place} in\n{}", run.out);
    }
    assert_snapshot!(run.whole());
}

#[test]
fn a_case_that_fails_is_an_error_and_shows_the_difference() {
    let home = Home::contoso(INSTANCE);
    home.remap("contoso", &crate::support::mappings::PLAIN.replace("impact: 1, state: 1", "impact: 2, state: 1"));
    let run = Run::of(&home, &CHECK).expect(1);
    assert!(run.out.contains("1 failed cases") && run.out.contains("impact"), "{}", run.out);
    let json = Run::of(&home, &["check", "--config", "snowgate.yaml", "--json"]).expect(1).json();
    assert_eq!((json["failed_cases"].as_u64(), json["errors"].as_u64()), (Some(1), Some(0)), "{json}");
}

#[test]
fn findings_for_machines_carry_file_line_and_code() {
    let home = Home::of(&[Tenant::named("contoso", "http://elsewhere.example")]);
    let json = Run::of(&home, &["check", "--config", "snowgate.yaml", "--json"]).expect(1).json();
    let finding = json["findings"].as_array().and_then(|all| all.iter().find(|one| one["code"] == "S020")).cloned();
    let finding = finding.unwrap_or_else(|| panic!("no finding about the target: {json:#}"));
    assert!(finding["file"].as_str().is_some_and(|file| file.ends_with("tenants/contoso.yaml")), "{finding:#}");
    assert_eq!(
        finding.pointer("/place/line").or_else(|| finding.get("line")).and_then(serde_json::Value::as_u64),
        Some(3),
        "{finding:#}"
    );
}

#[test]
fn a_missing_settings_file_is_told_with_the_absolute_path_that_was_tried() {
    let home = Home::of(&[]);
    for arguments in
        [&["check", "--config", "nowhere/snowgate.yaml"][..], &["serve", "--config", "nowhere/snowgate.yaml"]]
    {
        let run = Run::of(&home, arguments).expect(1);
        assert!(run.whole().contains("[folder]/nowhere/snowgate.yaml"), "{run:#?}");
    }
    let run = Run::of(&home, &["check"]);
    assert!(run.whole().contains("[folder]/config/snowgate.yaml"), "the default is told the same way: {run:#?}");
}

#[test]
fn serving_wrong_files_is_refused_before_anything_is_served() {
    let home = Home::contoso(INSTANCE);
    home.write("tenants/contoso.yaml", "tenant: contoso\n");
    let run = Run::of(&home, &["serve", "--config", "snowgate.yaml"]).expect(1);
    assert!(run.err.contains("tenants/contoso.yaml") && run.err.contains("servicenow"), "{run:#?}");
    assert!(!home.path().join("snowgate.db").exists(), "not even the store was made");
}
