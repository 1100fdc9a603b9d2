//! Reading: shapes, queries, pages, journals.

use serde_json::{Value, json};

use super::super::switches::InvalidQuery;
use super::*;

#[test]
fn references_are_shown_in_the_documented_shapes() {
    let mut instance = instance(Switches::default());
    let abel = Instance::seeded("sys_user", "abel.tuter");
    let id = create(&mut instance, &json!({"caller_id": abel, "state": "2"}));
    let link = format!("https://example.service-now.com/api/now/table/sys_user/{abel}");
    for (parameters, caller, state, group) in [
        ("", json!({"link": link, "value": abel}), json!("2"), json!("")),
        ("sysparm_exclude_reference_link=true", json!(abel), json!("2"), json!("")),
        (
            "sysparm_display_value=true",
            json!({"display_value": "Abel Tuter", "link": link}),
            json!("In Progress"),
            json!(""),
        ),
        (
            "sysparm_display_value=true&sysparm_exclude_reference_link=true",
            json!("Abel Tuter"),
            json!("In Progress"),
            json!(""),
        ),
        (
            "sysparm_display_value=all",
            json!({"display_value": "Abel Tuter", "value": abel, "link": link}),
            json!({"display_value": "In Progress", "value": "2"}),
            json!({"display_value": "", "value": ""}),
        ),
        (
            "sysparm_display_value=all&sysparm_exclude_reference_link=true",
            json!({"display_value": "Abel Tuter", "value": abel}),
            json!({"display_value": "In Progress", "value": "2"}),
            json!({"display_value": "", "value": ""}),
        ),
    ] {
        check(
            &mut instance,
            ("GET", &format!("{TABLE}/{id}?{parameters}"), Value::Null),
            200,
            &[("/result/caller_id", caller), ("/result/state", state), ("/result/assignment_group", group)],
        );
    }
    let walked = format!("{TABLE}/{id}?sysparm_fields=number,caller_id.email,assigned_to.email,bogus,bogus.name");
    check(
        &mut instance,
        ("GET", &walked, Value::Null),
        200,
        &[(
            "/result",
            json!({"number": "INC0010001", "caller_id.email": "abel.tuter@example.com", "assigned_to.email": ""}),
        )],
    );
}

#[test]
fn journals_append_and_read_as_empty() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({"comments": "first"}));
    let one = format!("{TABLE}/{id}");
    for _ in 0..2 {
        check(
            &mut instance,
            ("PATCH", &one, json!({"work_notes": "again"})),
            200,
            &[("/result/work_notes", json!(""))],
        );
    }
    let history = "2026-11-22 06:00:00 - Snowgate Integration (Additional comments)\nfirst\n\n";
    check(
        &mut instance,
        ("GET", &format!("{one}?sysparm_display_value=all"), Value::Null),
        200,
        &[
            ("/result/comments", json!({"display_value": history, "value": ""})),
            ("/result/sys_mod_count/value", json!("2")),
        ],
    );
    let rows = format!(
        "/api/now/table/sys_journal_field?sysparm_query=element_id={id}^elementINcomments,work_notes^ORDERBYsys_created_on"
    );
    let response = send(&mut instance, "GET", &rows, &Value::Null).value().expect("json");
    let mut texts: Vec<&str> =
        response["result"].as_array().expect("rows").iter().filter_map(|row| row["value"].as_str()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["again", "again", "first"]);
    instance.switches_mut().journal_readable = false;
    check(&mut instance, ("GET", &rows, Value::Null), 200, &[("/result", json!([]))]);
}

#[test]
fn a_typo_in_a_query_returns_strangers_or_is_refused() {
    let mut instance = instance(Switches::default());
    create(&mut instance, &json!({"correlation_id": "c-1"}));
    create(&mut instance, &json!({"correlation_id": "c-2"}));
    let typo = format!("{TABLE}?sysparm_query=corelation_id=c-2");
    for (regime, status, rows) in
        [(InvalidQuery::Ignored, 200, 2), (InvalidQuery::NoRows, 200, 0), (InvalidQuery::Refused, 403, 0)]
    {
        instance.switches_mut().invalid_query = regime;
        let response = send(&mut instance, "GET", &typo, &Value::Null);
        let value = response.value().expect("json");
        assert_eq!(response.status, status, "{regime:?}");
        assert_eq!(value["result"].as_array().map_or(0, Vec::len), rows, "{regime:?}");
    }
    check(
        &mut instance,
        ("GET", &typo, Value::Null),
        403,
        &[("/error/message", json!("Insufficient rights to query records")), ("/result", Value::Null)],
    );
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?sysparm_query=correlation_id=C-2"), Value::Null),
        200,
        &[("/result/0/correlation_id", json!("c-2")), ("/result/1", Value::Null)],
    );
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?state=new&correlation_id=c-1"), Value::Null),
        200,
        &[("/result/0/correlation_id", json!("c-1")), ("/result/1", Value::Null)],
    );
}

#[test]
fn pages_are_cut_before_hidden_rows_are_taken_out() {
    let mut instance = instance(Switches::default());
    let ids: Vec<String> = (0..5).map(|_| create(&mut instance, &json!({}))).collect();
    instance.hide("incident", &ids[1]);
    let page = |offset: usize| format!("{TABLE}?sysparm_query=ORDERBYnumber&sysparm_limit=2&sysparm_offset={offset}");
    let response = send(&mut instance, "GET", &page(0), &Value::Null);
    assert_eq!(response.value().expect("json")["result"].as_array().map(Vec::len), Some(1), "one row is hidden");
    assert_eq!(response.header("X-Total-Count"), Some("5"));
    let base = "https://example.service-now.com/api/now/table/incident?sysparm_query=ORDERBYnumber&sysparm_limit=2";
    let link = |offset: usize, relation: &str| format!("<{base}&sysparm_offset={offset}>;rel=\"{relation}\"");
    assert_eq!(response.header("Link"), Some([link(0, "first"), link(2, "next"), link(4, "last")].join(",").as_str()));
    let middle = send(&mut instance, "GET", &page(2), &Value::Null);
    let links = [link(0, "first"), link(0, "prev"), link(4, "next"), link(4, "last")].join(",");
    assert_eq!(middle.header("Link"), Some(links.as_str()));
    let quiet = format!("{TABLE}?sysparm_suppress_pagination_header=true&sysparm_no_count=true");
    let quiet = send(&mut instance, "GET", &quiet, &Value::Null);
    assert_eq!((quiet.header("Link"), quiet.header("X-Total-Count")), (None, None));
    check(&mut instance, ("GET", &format!("{TABLE}/{}", ids[1]), Value::Null), 404, &[]);
    check(&mut instance, ("PATCH", &format!("{TABLE}/{}", ids[1]), json!({"state": "2"})), 404, &[]);
    check(&mut instance, ("GET", &format!("{TABLE}?sysparm_offset=-1"), Value::Null), 400, &[]);
}

#[test]
fn the_dictionary_and_the_choices_can_be_read() {
    let mut instance = instance(Switches::default());
    instance.add_column("incident", "u_external_id", 64);
    let column = "/api/now/table/sys_dictionary?sysparm_query=name=incident^element=u_external_id";
    check(&mut instance, ("GET", column, Value::Null), 200, &[("/result/0/max_length", json!("64"))]);
    let choice = "/api/now/table/sys_choice?sysparm_query=name=incident^element=state^value=6";
    check(&mut instance, ("GET", choice, Value::Null), 200, &[("/result/0/label", json!("Resolved"))]);
    check(&mut instance, ("POST", TABLE, json!({"u_external_id": "x"})), 201, &[("/result/u_external_id", json!("x"))]);
}

#[test]
fn ten_thousand_rows_are_no_burden() {
    let mut instance = instance(Switches::default());
    for at in 0..10_000 {
        let fields = [("correlation_id", &*format!("c-{at}")), ("short_description", "Room dark")];
        instance.create_as("snowgate", "incident", &fields, NOW).expect("created");
    }
    let sorted = format!("{TABLE}?sysparm_query=short_descriptionLIKEroom^ORDERBYDESCnumber&sysparm_limit=1");
    check(&mut instance, ("GET", &sorted, Value::Null), 200, &[("/result/0/number", json!("INC0020000"))]);
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?sysparm_query=correlation_id=c-7"), Value::Null),
        200,
        &[("/result/0/number", json!("INC0010008")), ("/result/1", Value::Null)],
    );
}
