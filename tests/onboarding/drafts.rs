//! Drafts from simulated instances: they compile, pass their cases, and pass the check of the instance they came from.

use std::sync::Arc;

use snowgate::domain::time::SharedClock;
use snowgate::mapping::{SourceFile, compile};
use snowgate::onboarding::facts;
use snowgate::onboarding::report::Severity;
use snowgate::runtime::clock::SystemClock;

use super::customer::{CALLBACK_SECRET, Customer, Login, MAPPING, complaints};

/// Drafts, compiles, runs the cases and checks on the same kind of instance; gives the text.
async fn check(mistakes: &[&str], table: &str) -> String {
    let customer = Customer::with(mistakes, MAPPING, Login::Password);
    let clock: SharedClock = Arc::new(SystemClock);
    let (client, tenant) = (customer.client(), customer.tenant());
    let (facts, findings) = facts::gather(&client, &tenant, table, &clock, &|_| ()).await;
    let text = facts.unwrap_or_else(|| panic!("{findings:#?}")).draft("contoso");
    let (mapping, found) = compile(&SourceFile::new("contoso.yaml", text.clone()));
    let rendered: Vec<String> = found.iter().map(|finding| finding.render(false)).collect();
    assert!(found.is_empty(), "{}\n{text}", rendered.join("\n"));
    for case in mapping.unwrap().run_cases() {
        assert!(case.passed(), "{}: {:#?}\n{text}", case.name, case.differences);
    }
    let report = Customer::with(mistakes, &text, Login::Password).check().await;
    assert!(report.passed, "{}\n{text}", complaints(&report));
    assert_eq!(report.count(Severity::Warning), 0, "{}\n{text}", complaints(&report));
    text
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|known| known.trim() == *line), "`{line}` is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_incident_table_gives_a_mapping_that_works_at_once() {
    let text = Box::pin(check(&[], "incident")).await;
    has(&text, &["target: {table: incident}", "resolved: 6", "default: Solution provided"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mandatory_columns_of_the_customers_own_are_filled_and_marked() {
    let mistakes = [
        "mandatory_to_open",
        "mandatory_to_resolve",
        "mandatory_to_open=incident.location",
        "choice_missing=incident.close_code:Solution provided",
    ];
    let text = Box::pin(check(&mistakes, "incident")).await;
    has(
        &text,
        &[
            "# FILL IN: a data policy wants `u_cost_center` (Cost center) in every ticket.",
            "u_cost_center: {value: FILL IN Cost center, on: create}",
            "location: {value: Berlin, lookup: {table: cmn_location, by: name, missing: park}, on: create}",
            "# FILL IN: a data policy wants `u_root_cause` (Root cause) to resolve.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_table_with_other_states_gives_its_own_values() {
    let text = Box::pin(check(&[], "sn_customerservice_case")).await;
    has(&text, &["target: {table: sn_customerservice_case}", "new: 1", "investigating: 10", "provider_working: 18"]);
}

/// Exit code, standard output, and what was said beside it.
fn snowgate(customer: &Customer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_snowgate"));
    command.args(["--config", "snowgate.yaml"]).args(arguments).current_dir(customer.path());
    command.env("NO_COLOR", "1").env("SNOW_PASSWORD", "snowgate").env("CALLBACK_SECRET", CALLBACK_SECRET);
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_command_drafts_for_a_tenant_without_a_mapping_and_writes_over_nothing() {
    let customer = Customer::with(&["mandatory_to_open"], MAPPING, Login::Password);
    let out = customer.path().join("mappings/contoso.yaml");
    std::fs::remove_file(&out).unwrap();
    let new = ["mapping", "new", "--from", "contoso", "--out", "mappings/contoso.yaml"];
    let (code, said, beside) = snowgate(&customer, &new);
    assert_eq!(code, Some(0), "{said}{beside}");
    assert!(said.contains("a mapping for incident, 3 of 3 cases pass, 0 errors, 4 marked FILL IN"), "{said}");
    let drafted = std::fs::read_to_string(&out).unwrap();
    let (code, said, beside) = snowgate(&customer, &["check"]);
    assert_eq!(code, Some(0), "{said}{beside}");

    std::fs::write(&out, "ours").unwrap();
    let (code, _, beside) = snowgate(&customer, &new);
    assert_eq!(code, Some(1));
    assert!(beside.contains("mappings/contoso.yaml exists"), "{beside}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "ours");
    let (code, ..) = snowgate(&customer, &[&new[..], &["--force"]].concat());
    assert_eq!((code, std::fs::read_to_string(&out).unwrap()), (Some(0), drafted));

    let (code, _, beside) = snowgate(&customer, &["mapping", "new", "--from", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(beside.contains("there is no tenant `nobody` without errors"), "{beside}");
    let (code, said, _) = snowgate(&customer, &["mapping", "new", "--from", "contoso", "--table", "u_none"]);
    assert_eq!((code, said.as_str()), (Some(1), ""), "nothing is drafted for a table that is not there");
}

#[tokio::test]
async fn an_instance_that_does_not_describe_its_columns_gives_none_and_says_why() {
    let customer = Customer::with(&["table_hidden=sys_dictionary"], MAPPING, Login::Password);
    let clock: SharedClock = Arc::new(SystemClock);
    let (client, tenant) = (customer.client(), customer.tenant());
    let (facts, findings) = facts::gather(&client, &tenant, "incident", &clock, &|_| ()).await;
    assert!(facts.is_none());
    let error = findings.iter().find(|finding| finding.severity == Severity::Error).expect("an error");
    assert_eq!(error.code, "L011");
    assert!(error.remedy.contains("sys_dictionary"), "{}", error.remedy);
}
