//! Reading the way a reconciliation sweep reads: cursors, ties, short pages, journals. Facts: facts/servicenow 1.2, 1.6, 1.10, 8.13 to 8.16.

use serde_json::{Value, json};

use super::super::switches::Switches;
use super::*;

const SECOND: i64 = 1_000;

/// The numbers a list answers, without their common part `INC001`.
fn numbers(instance: &mut Instance, table_and_query: &str) -> Vec<String> {
    let answer = send(instance, "GET", &format!("/api/now/table/{table_and_query}"), &Value::Null);
    let answer = answer.value().expect("json");
    let rows = answer["result"].as_array().expect("rows").clone();
    rows.iter().map(|row| row["number"].as_str().expect("a number").trim_start_matches("INC001").to_owned()).collect()
}

/// Five tickets, a second apart: 1 and 2 ours, 3 a stranger's, 4 ours and on hold, 5 ours and edited by a person later.
fn five() -> Instance {
    let mut instance = instance(Switches::default());
    for (at, correlation) in [(0, "sg-a"), (1, "sg-b"), (2, ""), (3, "sg-d"), (4, "sg-e")] {
        let fields = [("correlation_id", correlation)];
        instance.create_as("snowgate", "incident", &fields, NOW + at * SECOND).expect("created");
    }
    let fourth = instance.find("incident", "number", "INC0010004").remove(0);
    instance
        .edit_as("snowgate", "incident", &fourth, &[("state", "3"), ("hold_reason", "1")], NOW + 3_600 * SECOND)
        .expect("edited");
    let fifth = instance.find("incident", "number", "INC0010005").remove(0);
    instance.edit_as("abel.tuter", "incident", &fifth, &[("urgency", "1")], NOW + 7_200 * SECOND).expect("edited");
    instance
}

#[test]
fn conditions_mean_what_the_reference_says() {
    let mut instance = five();
    for (query, expected) in [
        ("sys_updated_on>=2026-11-22 06:00:01", &["0002", "0003", "0004", "0005"][..]),
        ("sys_updated_on>2026-11-22 06:00:01", &["0003", "0004", "0005"]),
        ("sys_updated_on<2026-11-22 06:00:01", &["0001"]),
        ("sys_updated_on<=2026-11-22 06:00:01", &["0001", "0002"]),
        ("sys_updated_on>=2026-11-22 06:00:01^sys_updated_on<2026-11-22 07:00:00", &["0002", "0003"]),
        ("sys_updated_on>=2026-11-23", &[]),
        ("sys_updated_on>=2026-11-22", &["0001", "0002", "0003", "0004", "0005"]),
        ("correlation_idSTARTSWITHsg-", &["0001", "0002", "0004", "0005"]),
        ("correlation_idISEMPTY", &["0003"]),
        ("correlation_idISNOTEMPTY^state!=3", &["0001", "0002", "0005"]),
        ("correlation_idINsg-a,sg-d", &["0001", "0004"]),
        ("number=INC0010001^ORnumber=INC0010002^sys_updated_by=snowgate", &["0001", "0002"]),
        ("number=INC0010001^NQsys_updated_by!=snowgate", &["0001", "0005"]),
        ("stateIN1,3^sys_mod_count>0", &["0004", "0005"]),
        ("sys_created_by=snowgate^sys_updated_by=abel.tuter", &["0005"]),
    ] {
        let query = format!("incident?sysparm_query={query}^ORDERBYnumber");
        assert_eq!(numbers(&mut instance, &query), expected, "{query}");
    }
}

#[test]
fn literal_times_are_utc_whatever_the_users_zone() {
    let mut instance = five();
    instance.switches_mut().zone_minutes = 330;
    let query = "incident?sysparm_query=sys_updated_on>=2026-11-22 07:00:00^ORDERBYnumber";
    assert_eq!(numbers(&mut instance, query), ["0004", "0005"]);
    let shown = format!("{TABLE}?sysparm_query=number=INC0010005&sysparm_display_value=all");
    let both = json!({"display_value": "2026-11-22 13:30:00", "value": "2026-11-22 08:00:00"});
    check(&mut instance, ("GET", &shown, Value::Null), 200, &[("/result/0/sys_updated_on", both)]);
}

#[test]
fn several_orders_apply_one_after_the_other() {
    let mut instance = five();
    for (order, expected) in [
        ("ORDERBYsys_updated_on^ORDERBYsys_id", ["0001", "0002", "0003", "0004", "0005"]),
        ("ORDERBYDESCsys_mod_count^ORDERBYnumber", ["0004", "0005", "0001", "0002", "0003"]),
        ("ORDERBYstate^ORDERBYDESCnumber", ["0005", "0003", "0002", "0001", "0004"]),
    ] {
        assert_eq!(numbers(&mut instance, &format!("incident?sysparm_query={order}")), expected, "{order}");
    }
}

#[test]
fn a_keyset_of_time_and_id_meets_each_ticket_of_one_second_once() {
    let mut instance = instance(Switches::default());
    for _ in 0..25 {
        create(&mut instance, &json!({"correlation_id": "sg-x"}));
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let after = format!("sys_updated_on=2026-11-22 06:00:00^sys_id>{cursor}");
        let target = format!("{TABLE}?sysparm_query={after}^ORDERBYsys_updated_on^ORDERBYsys_id&sysparm_limit=10");
        let answer = send(&mut instance, "GET", &target, &Value::Null).value().expect("json");
        let ids: Vec<String> = answer["result"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["sys_id"].as_str().expect("an id").to_owned())
            .collect();
        let Some(last) = ids.last() else { break };
        cursor.clone_from(last);
        seen.extend(ids);
    }
    let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (25, 25));
}

#[test]
fn a_hidden_page_is_empty_though_more_follows() {
    let mut instance = five();
    for number in ["INC0010001", "INC0010002", "INC0010003"] {
        let id = instance.find("incident", "number", number).remove(0);
        instance.hide("incident", &id);
    }
    let page = |offset: usize| format!("incident?sysparm_query=ORDERBYnumber&sysparm_limit=2&sysparm_offset={offset}");
    assert!(numbers(&mut instance, &page(0)).is_empty(), "an empty page is not the end");
    assert_eq!(numbers(&mut instance, &page(2)), ["0004"]);
    assert_eq!(numbers(&mut instance, &page(4)), ["0005"]);
    let counted = send(&mut instance, "GET", &format!("/api/now/table/{}", page(0)), &Value::Null);
    assert_eq!(counted.header("X-Total-Count"), Some("5"), "counted before access rules");
}

#[test]
fn journals_are_found_by_their_tickets_and_time_and_survive_in_the_display_text() {
    let mut instance = five();
    let ids: Vec<String> = ["INC0010001", "INC0010002"]
        .iter()
        .map(|number| instance.find("incident", "number", number).remove(0))
        .collect();
    for (at, id, text) in [(10, &ids[0], "early"), (20, &ids[1], "other"), (30, &ids[0], "late")] {
        instance.edit_as("abel.tuter", "incident", id, &[("comments", text)], NOW + at * SECOND).expect("edited");
    }
    let rows = |after: &str| {
        format!(
            "/api/now/table/sys_journal_field?sysparm_query=element_idIN{},{}^elementINcomments,work_notes\
             ^sys_created_on>=2026-11-22 06:00:{after}^ORDERBYsys_created_on",
            ids[0], ids[1]
        )
    };
    let texts = |instance: &mut Instance, after: &str| {
        let answer = send(instance, "GET", &rows(after), &Value::Null).value().expect("json");
        answer["result"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["value"].as_str().expect("a text").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(&mut instance, "00"), ["early", "other", "late"]);
    assert_eq!(texts(&mut instance, "20"), ["other", "late"]);
    check(
        &mut instance,
        ("GET", &rows("30"), Value::Null),
        200,
        &[
            ("/result/0/element_id", json!(ids[0])),
            ("/result/0/element", json!("comments")),
            ("/result/0/name", json!("incident")),
            ("/result/0/sys_created_by", json!("abel.tuter")),
        ],
    );
    instance.switches_mut().journal_readable = false;
    assert!(texts(&mut instance, "00").is_empty(), "denied without an error");
    let late = "2026-11-22 06:00:30 - Abel Tuter (Additional comments)\nlate\n\n";
    let early = "2026-11-22 06:00:10 - Abel Tuter (Additional comments)\nearly\n\n";
    let shown = json!(format!("{late}{early}"));
    check(
        &mut instance,
        ("GET", &format!("{TABLE}/{}?sysparm_display_value=true", ids[0]), Value::Null),
        200,
        &[
            ("/result/comments", shown.clone()),
            ("/result/comments_and_work_notes", shown),
            ("/result/work_notes", json!("")),
        ],
    );
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?sysparm_query=number=INC0010001&sysparm_display_value=false"), Value::Null),
        200,
        &[("/result/0/comments", json!("")), ("/result/0/comments_and_work_notes", json!(""))],
    );
}
