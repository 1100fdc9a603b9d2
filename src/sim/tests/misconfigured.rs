//! Every mistake can be made, is in the documentation, and shows as facts/servicenow says.

use serde_json::{Value, json};

use super::*;
use crate::sim::misconfiguration::Misconfiguration;

fn wrong(mistake: &str) -> Instance {
    let mut instance = instance(Switches::default());
    instance.misconfigure(&Misconfiguration::parse(mistake).expect("it is known")).expect("it can be made");
    instance
}

#[test]
fn every_mistake_can_be_made_and_is_documented() {
    let page = include_str!("../../../docs/simulator.md");
    for known in Misconfiguration::KNOWN.iter().copied().flatten() {
        assert_eq!(wrong(known.name).mistakes().len(), 1, "{}", known.name);
        let example = if known.example.is_empty() { String::new() } else { format!("`{}`", known.example) };
        let row = format!("| `{}` | {example} | {} |", known.name, known.says);
        assert!(page.contains(&row), "docs/simulator.md lacks:\n{row}");
    }
}

#[test]
fn what_cannot_be_meant_is_told() {
    for (mistake, why) in [
        ("colum_missing", "there is no `colum_missing`; there are: table_missing, "),
        ("journal_hidden=yes", "`journal_hidden` takes no value"),
    ] {
        let told = Misconfiguration::parse(mistake).expect_err(mistake);
        assert!(told.starts_with(why), "{told}");
    }
    for (mistake, why) in [
        ("column_missing=incident", "column_missing=incident: say `table.column`"),
        ("column_missing=incident.u_x", "column_missing=incident.u_x: incident has no column `u_x`"),
        ("table_refused=u_x", "table_refused=u_x: there is no table `u_x`"),
        ("column_short=incident.state:long", "column_short=incident.state:long: `long` is no number that fits"),
        ("choice_missing=incident.state:9", "choice_missing=incident.state:9: incident.state has no choice `9`"),
        ("record_missing=sys_user_group:X", "record_missing=sys_user_group:X: sys_user_group has no `X`"),
        ("time_zone=Berlin", "time_zone=Berlin: there is no time zone `Berlin`"),
    ] {
        let mut instance = instance(Switches::default());
        let told = instance.misconfigure(&Misconfiguration::parse(mistake).expect("it is known"));
        assert_eq!(told, Err(why.to_owned()));
        assert!(instance.mistakes().is_empty());
    }
}

/// Every call, on an instance with one mistake: its status, and the JSON at a pointer.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_mistake_shows_in_the_next_call() {
    let dictionary = "/api/now/table/sys_dictionary?sysparm_query=name=task^element=contact_type";
    let filter = "/api/now/table/incident?sysparm_query=sys_updated_on>2026-01-01";
    let group = "/api/now/table/sys_user_group?sysparm_query=name=AV Support";
    let get = |target: &'static str| ("GET", target, Value::Null);
    let post = |body: Value| ("POST", TABLE, body);
    let aborted = "Operation against file 'incident' was aborted by Business Rule 'No'";
    for (mistake, call, status, pointer, expected) in [
        ("table_missing", get(TABLE), 400, "/error/message", json!("Invalid table incident")),
        ("table_without_web_service", get(TABLE), 403, "/error/message", json!("User Not Authorized")),
        ("column_missing", get(dictionary), 200, "/result", json!([])),
        ("column_missing", post(json!({"contact_type": "phone"})), 201, "/result/contact_type", Value::Null),
        ("column_read_only", post(json!({"impact": "1"})), 201, "/result/impact", json!("3")),
        ("column_unwritable", post(json!({"urgency": "1"})), 201, "/result/urgency", json!("3")),
        ("column_unreadable", post(json!({"correlation_id": "x"})), 201, "/result/correlation_id", Value::Null),
        ("column_not_rangeable", get(filter), 403, "/error/message", json!("Insufficient rights to query records")),
        (
            "column_short=incident.close_notes:3",
            post(json!({"close_notes": "long"})),
            201,
            "/result/close_notes",
            json!("lon"),
        ),
        ("column_integer", post(json!({"correlation_display": "x"})), 201, "/result/correlation_display", json!("")),
        ("choice_missing=incident.state:2", post(json!({"state": "2"})), 201, "/result/state", json!("1")),
        ("choice_inactive=incident.state:2", post(json!({"state": "2"})), 201, "/result/state", json!("1")),
        (
            "mandatory_to_open",
            post(json!({})),
            403,
            "/error/detail",
            json!("Data Policy Exception: \n\tThe following fields are mandatory: Cost center"),
        ),
        ("mandatory_to_open", post(json!({"u_cost_center": "7"})), 201, "/result/u_cost_center", json!("7")),
        ("mandatory_sometimes", post(json!({"impact": "1"})), 403, "/error/message", json!("Operation Failed")),
        ("record_missing", get(group), 200, "/result", json!([])),
        ("record_inactive", get(group), 200, "/result/0/active", json!("false")),
        ("record_twice", get(group), 200, "/result/1/name", json!("AV Support")),
        ("table_refused", get("/api/now/table/sys_dictionary"), 403, "/error/detail", Value::Null),
        ("table_hidden", get(group), 200, "/result", json!([])),
        ("tickets_unreadable", post(json!({})), 403, "/status", json!("failure")),
        ("domain_hides", post(json!({})), 201, "/result/state", json!("1")),
        (
            "create_refused",
            post(json!({})),
            403,
            "/error/detail",
            json!("ACL Exception Insert Failed due to security constraints"),
        ),
        ("rule_aborts_create=No", post(json!({})), 403, "/error/message", json!("Operation Failed")),
        ("rule_rewrites", post(json!({"state": "1"})), 201, "/result/incident_state", json!("2")),
        (
            "rule_rewrites=incident.correlation_id:THEIRS",
            post(json!({"correlation_id": "x"})),
            201,
            "/result/correlation_id",
            json!("THEIRS"),
        ),
        (
            "caller_is_the_account",
            post(json!({})),
            201,
            "/result/caller_id/value",
            json!(Instance::seeded("sys_user", "snowgate")),
        ),
        (
            "sys_id_not_honoured",
            post(json!({"sys_id": CHOSEN, "number": CHOSEN})),
            201,
            "/result/number",
            json!(CHOSEN),
        ),
        ("password_changed", get(TABLE), 401, "/status", json!("failure")),
        ("user_locked", get(TABLE), 401, "/status", json!("failure")),
        ("user_inactive", get(TABLE), 401, "/status", json!("failure")),
        ("second_factor", get(TABLE), 401, "/status", json!("failure")),
        ("basic_auth_refused", get(TABLE), 401, "/status", json!("failure")),
        ("rest_role_missing", get(TABLE), 403, "/error/detail", json!("Failed API level ACL Validation")),
        ("rate_limit=0", get(TABLE), 429, "/error/message", json!("Rate limit exceeded")),
        ("clock_ahead", post(json!({})), 201, "/result/sys_created_on", json!("2026-11-22 06:10:00")),
        ("hibernating", get(TABLE), 200, "", Value::Null),
        ("other_product", get(TABLE), 200, "/name", json!("another product")),
        ("redirect", get(TABLE), 301, "", Value::Null),
    ] {
        let mut instance = wrong(mistake);
        check(&mut instance, call, status, &[(pointer, expected)]);
    }
    let detail = send(&mut wrong("rule_aborts_create=No"), "POST", TABLE, &json!({})).value().expect("json");
    assert!(
        detail["error"]["detail"].as_str().is_some_and(|detail| detail.starts_with(&aborted.replace("'No'", "'No^")))
    );
}

#[test]
fn some_mistakes_show_later() {
    let resolved = json!({"state": "6", "close_code": "Duplicate", "close_notes": "x"});
    for (mistake, change, status, pointer, expected) in [
        ("update_refused", json!({"impact": "1"}), 403, "/error/message", json!("Operation Failed")),
        ("rule_aborts_update", json!({"impact": "1"}), 403, "/error/message", json!("Operation Failed")),
        ("rule_aborts_resolve", json!({"impact": "1"}), 200, "/result/impact", json!("1")),
        ("rule_aborts_resolve", resolved.clone(), 403, "/error/message", json!("Operation Failed")),
        ("mandatory_to_resolve", resolved, 403, "/error/message", json!("Operation Failed")),
        ("domain_hides", json!({"impact": "1"}), 404, "/error/message", json!("No Record found")),
        ("query_rule", json!({"impact": "1"}), 404, "/error/message", json!("No Record found")),
        ("rule_sets_back=impact:3", json!({"impact": "1"}), 200, "/result/impact", json!("3")),
    ] {
        let mut instance = wrong(mistake);
        let id = create(&mut instance, &json!({}));
        check(&mut instance, ("PATCH", &format!("{TABLE}/{id}"), change), status, &[(pointer, expected)]);
    }
    let mut refused = wrong("tickets_unreadable");
    check(&mut refused, ("POST", TABLE, json!({})), 403, &[]);
    assert_eq!(refused.count("incident"), 1, "it is there all the same");
}

#[test]
fn an_account_with_too_many_rights_shows_in_its_roles() {
    let roles = "/api/now/table/sys_user_has_role?sysparm_query=user.user_name=snowgate^role.name=admin";
    let mut instance = wrong("user_is_admin");
    check(&mut instance, ("GET", roles, Value::Null), 200, &[("/result/0/inherited", json!("false"))]);
}
