//! What an instance tells about itself: tables, columns, choices, policies, roles, properties; and who may read it.

use serde_json::{Value, json};

use super::*;
use crate::sim::switches::{DataPolicy, Unreadable};

/// The rows of a query, as bare values.
fn rows(instance: &mut Instance, table: &str, query: &str, fields: &str) -> Vec<Vec<String>> {
    let target = format!(
        "/api/now/table/{table}?sysparm_exclude_reference_link=true&sysparm_query={query}&sysparm_fields={fields}"
    );
    let answer = send(instance, "GET", &target, &Value::Null);
    assert_eq!(answer.status, 200, "{target}");
    let answer = answer.value().expect("json");
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("(none)").to_owned();
    let row = |row: &Value| fields.split(',').map(|field| text(row, field)).collect();
    answer["result"].as_array().expect("rows").iter().map(row).collect()
}

fn check_rows(instance: &mut Instance, asked: [&str; 3], expected: &[&[&str]]) {
    let [table, query, fields] = asked;
    assert_eq!(rows(instance, table, query, fields), expected, "{table} {query}");
}

#[test]
fn inherited_columns_and_choices_stand_at_the_table_that_defines_them() {
    let mut instance = instance(Switches::default());
    for (table, query, fields, expected) in [
        ("sys_db_object", "name=incident", "label,super_class.name,ws_access", &["Incident", "task", "true"][..]),
        ("sys_db_object", "name=task", "label,super_class", &["Task", ""]),
        (
            "sys_dictionary",
            "nameINincident,task^element=short_description",
            "name,internal_type,max_length,mandatory,read_only",
            &["task", "string", "160", "false", "false"],
        ),
        (
            "sys_dictionary",
            "nameINincident,task^element=caller_id",
            "name,internal_type,reference,column_label",
            &["incident", "reference", "sys_user", "Caller"],
        ),
        ("sys_dictionary", "nameINincident,task^element=state", "name,internal_type", &["task", "integer"]),
        ("sys_dictionary", "name=incident^elementISEMPTY", "internal_type", &["collection"]),
        ("sys_dictionary", "name=incident^element=subcategory", "dependent_on_field", &["category"]),
        ("sys_choice", "name=incident^element=state^value=6", "label,inactive,language", &["Resolved", "false", "en"]),
        ("sys_choice", "name=task^element=state^value=3", "label", &["Closed Complete"]),
        ("sys_choice", "name=sn_customerservice_case^element=state^value=3", "label", &["Closed"]),
        ("sys_choice", "name=incident^element=subcategory^value=vpn", "dependent_value", &["network"]),
        ("sys_choice", "nameINincident,task^element=impact^value=1", "name,label", &["task", "1 - High"]),
    ] {
        check_rows(&mut instance, [table, query, fields], &[expected]);
    }
}

#[test]
fn types_and_tables_are_referenced_by_name() {
    let mut instance = instance(Switches::default());
    let row = "/api/now/table/sys_dictionary?sysparm_query=name=task^element=assignment_group";
    let link = "https://example.service-now.com/api/now/table/sys_db_object?name=sys_user_group";
    check(
        &mut instance,
        ("GET", row, Value::Null),
        200,
        &[("/result/0/reference", json!({"link": link, "value": "sys_user_group"}))],
    );
    let shown = format!("{row}&sysparm_display_value=true&sysparm_exclude_reference_link=true");
    let wanted = [("/result/0/reference", json!("Group")), ("/result/0/internal_type", json!("Reference"))];
    check(&mut instance, ("GET", &shown, Value::Null), 200, &wanted);
}

#[test]
fn a_case_of_customer_service_has_states_of_its_own() {
    let mut instance = instance(Switches::default());
    let case = "/api/now/table/sn_customerservice_case";
    let kept = [
        ("/result/state", json!("18")),
        ("/result/priority", json!("4")),
        ("/result/sys_class_name", json!("sn_customerservice_case")),
    ];
    check(&mut instance, ("POST", case, json!({"state": "18"})), 201, &kept);
    check(&mut instance, ("POST", case, json!({"state": "8"})), 201, &[("/result/state", json!("1"))]);
}

#[test]
fn policies_properties_and_roles_follow_the_switches() {
    let policy = DataPolicy {
        table: "incident".to_owned(),
        name: "Cost centre".to_owned(),
        conditions: "impact=1".to_owned(),
        mandatory: vec!["location".to_owned()],
        active: true,
    };
    let switches = Switches { resolve_data_policy: false, data_policies: vec![policy], ..Switches::default() };
    let mut instance = instance(switches);
    let policies =
        ["sys_data_policy2", "model_table=incident^ORDERBYshort_description", "short_description,conditions,active"];
    let base = ["Resolution information is mandatory", "stateIN6,7", "false"];
    check_rows(&mut instance, policies, &[&["Cost centre", "impact=1", "true"], &base]);
    let rule =
        ["sys_data_policy_rule", "sys_data_policy.short_description=Cost centre", "table,field,mandatory,disabled"];
    check_rows(&mut instance, rule, &[&["incident", "location", "true", "ignore"]]);
    let zone = ["sys_properties", "name=glide.sys.default.tz", "value"];
    check_rows(&mut instance, zone, &[&["GMT"]]);
    let roles = ["sys_user_has_role", "user.user_name=snowgate^ORDERBYrole", "role.name,inherited"];
    let plain: &[&[&str]] = &[
        &["itil", "false"],
        &["sn_incident_read", "true"],
        &["sn_incident_write", "true"],
        &["snc_platform_rest_api_access", "true"],
    ];
    check_rows(&mut instance, roles, plain);
    instance.switches_mut().resolve_data_policy = true;
    instance.switches_mut().integration_user_is_itil_admin = true;
    instance.switches_mut().system_time_zone = "US/Pacific".to_owned();
    check_rows(&mut instance, zone, &[&["US/Pacific"]]);
    assert_eq!(rows(&mut instance, "sys_data_policy2", "active=true", "active").len(), 2);
    let closes = ["sys_user_has_role", "user.user_name=snowgate^role.name=itil_admin", "inherited"];
    check_rows(&mut instance, closes, &[&["false"]]);
    let me = ["sys_user", "user_name=snowgate", "time_zone,date_format,web_service_access_only,active,locked_out"];
    check_rows(&mut instance, me, &[&["GMT", "", "true", "true", "false"]]);
}

#[test]
fn a_table_may_refuse_to_be_read_or_keep_its_rows_to_itself() {
    let mut instance = instance(Switches::default());
    let dictionary = "/api/now/table/sys_dictionary?sysparm_query=name=task";
    let tables = &mut instance.switches_mut().unreadable_tables;
    tables.insert("sys_dictionary".to_owned(), Unreadable::Refused);
    tables.insert("sys_choice".to_owned(), Unreadable::Hidden);
    let refused = [("/error/message", json!("Insufficient rights to query records")), ("/error/detail", Value::Null)];
    check(&mut instance, ("GET", dictionary, Value::Null), 403, &refused);
    check(&mut instance, ("GET", "/api/now/table/sys_choice", Value::Null), 200, &[("/result", json!([]))]);
    for table in ["sys_dictionary", "sys_choice", "sys_db_object", "sys_properties", "sys_data_policy2"] {
        let target = format!("/api/now/table/{table}");
        check(&mut instance, ("POST", &target, json!({"name": "x"})), 403, &[]);
    }
}

#[test]
fn dates_are_shown_and_read_in_the_users_zone_and_format() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({}));
    let me = Instance::seeded("sys_user", "snowgate");
    let own = [("time_zone", "Europe/Berlin"), ("date_format", "dd.MM.yyyy")];
    assert!(instance.edit_silently("sys_user", &me, &own));
    let shown = format!("{TABLE}/{id}?sysparm_display_value=all");
    let opened = json!({"display_value": "22.11.2026 07:00:00", "value": "2026-11-22 06:00:00"});
    check(&mut instance, ("GET", &shown, Value::Null), 200, &[("/result/opened_at", opened)]);
    let typed = format!("{TABLE}/{id}?sysparm_input_display_value=true");
    let due = json!({"due_date": "24.12.2026 18:00:00"});
    check(&mut instance, ("PATCH", &typed, due), 200, &[("/result/due_date", json!("2026-12-24 17:00:00"))]);
}
