//! Writing: defaults, chosen ids, values that vanish, switches.

use serde_json::{Value, json};

use super::super::switches::UnresolvedReference;
use super::*;

#[test]
fn a_new_incident_has_the_documented_defaults() {
    let mut instance = instance(Switches::default());
    let me = Instance::seeded("sys_user", "snowgate");
    check(
        &mut instance,
        ("POST", &format!("{TABLE}?sysparm_exclude_reference_link=true"), json!({"short_description": "Room dark"})),
        201,
        &[
            ("/result/number", json!("INC0010001")),
            ("/result/state", json!("1")),
            ("/result/incident_state", json!("1")),
            ("/result/category", json!("inquiry")),
            ("/result/impact", json!("3")),
            ("/result/urgency", json!("3")),
            ("/result/priority", json!("5")),
            ("/result/active", json!("true")),
            ("/result/made_sla", json!("true")),
            ("/result/approval", json!("not requested")),
            ("/result/upon_reject", json!("cancel")),
            ("/result/reopen_count", json!("0")),
            ("/result/sys_mod_count", json!("0")),
            ("/result/opened_at", json!("2026-11-22 06:00:00")),
            ("/result/opened_by", json!(me)),
            ("/result/sys_created_by", json!("snowgate")),
            ("/result/description", json!("")),
        ],
    );
}

#[test]
fn a_chosen_sys_id_is_kept_and_guards_against_a_second_ticket() {
    let mut instance = instance(Switches::default());
    let body = json!({"sys_id": CHOSEN, "short_description": "once"});
    let created = send(&mut instance, "POST", TABLE, &body);
    let location = format!("https://example.service-now.com{TABLE}/{CHOSEN}");
    assert_eq!((created.status, created.header("Location")), (201, Some(location.as_str())));
    check(
        &mut instance,
        ("POST", TABLE, body),
        403,
        &[
            ("/error/message", json!("Operation Failed")),
            ("/error/detail", json!("Error during insert of incident (INC0010002)")),
            ("/status", json!("failure")),
        ],
    );
    assert_eq!(instance.count("incident"), 1);
    create(&mut instance, &json!({}));
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?sysparm_query=number=INC0010003"), Value::Null),
        200,
        &[("/result/0/number", json!("INC0010003"))],
    );
}

#[test]
fn an_instance_may_choose_its_own_ids() {
    let mut instance = instance(Switches { sys_id_honoured: false, ..Switches::default() });
    assert_ne!(create(&mut instance, &json!({"sys_id": CHOSEN})), CHOSEN);
}

#[test]
fn values_that_do_not_fit_vanish_without_an_error() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({"short_description": "x", "correlation_id": "c-1"}));
    let one = format!("{TABLE}/{id}");
    for (sent, column, kept) in [
        (json!({"bunk_field": "x"}), "bunk_field", Value::Null),
        (json!({"state": "99"}), "state", json!("1")),
        (json!({"state": "In Progress"}), "state", json!("1")),
        (json!({"category": ""}), "category", json!("inquiry")),
        (json!({"reassignment_count": "many"}), "reassignment_count", json!("0")),
        (json!({"active": "perhaps"}), "active", json!("true")),
        (json!({"due_date": "tomorrow"}), "due_date", json!("")),
        (json!({"sys_created_on": "2020-01-01 00:00:00"}), "sys_created_on", json!("2026-11-22 06:00:00")),
        (json!({"sys_mod_count": "9"}), "sys_mod_count", json!("0")),
        (json!({"sys_id": CHOSEN}), "sys_id", json!(id)),
        (json!({"priority": "1"}), "priority", json!("5")),
        (json!({"short_description": "x"}), "sys_mod_count", json!("0")),
    ] {
        check(
            &mut instance,
            ("PATCH", &one, sent),
            200,
            &[(&format!("/result/{column}"), kept), ("/result/sys_mod_count", json!("0"))],
        );
    }
    check(
        &mut instance,
        ("PUT", &one, json!({"short_description": "é".repeat(200)})),
        200,
        &[
            ("/result/short_description", json!("é".repeat(160))),
            ("/result/sys_mod_count", json!("1")),
            ("/result/correlation_id", json!("c-1")),
        ],
    );
    check(
        &mut instance,
        ("PATCH", &one, json!({"correlation_id": "", "hold_reason": "", "state": 2})),
        200,
        &[("/result/correlation_id", json!("")), ("/result/state", json!("2")), ("/result/sys_mod_count", json!("2"))],
    );
}

#[test]
fn closed_tickets_take_journal_text_only() {
    let mut instance = instance(Switches { integration_user_is_itil_admin: true, ..Switches::default() });
    let closed = json!({"state": "7", "close_code": "Duplicate", "close_notes": "x", "short_description": "old"});
    let one = format!("{TABLE}/{}", create(&mut instance, &closed));
    instance.switches_mut().integration_user_is_itil_admin = false;
    let change = json!({"short_description": "new", "state": "2", "work_notes": "late"});
    let kept = [("/result/short_description", json!("old")), ("/result/state", json!("7"))];
    check(&mut instance, ("PATCH", &one, change.clone()), 200, &kept);
    assert_eq!(instance.count("sys_journal_field"), 1);
    instance.switches_mut().integration_user_is_itil_admin = true;
    let kept = [("/result/short_description", json!("new")), ("/result/state", json!("7"))];
    check(&mut instance, ("PATCH", &one, change), 200, &kept);
}

#[test]
fn a_customer_may_withhold_columns() {
    let withheld = ["incident.correlation_id".to_owned()].into();
    let mut instance = instance(Switches { unwritable_columns: withheld, ..Switches::default() });
    check(
        &mut instance,
        ("POST", TABLE, json!({"correlation_id": "c-1"})),
        201,
        &[("/result/correlation_id", json!(""))],
    );
    instance.switches_mut().unreadable_columns = ["incident.priority".to_owned()].into();
    check(&mut instance, ("GET", TABLE, Value::Null), 200, &[("/result/0/priority", Value::Null)]);
}

#[test]
fn display_input_resolves_names_labels_and_local_times() {
    let mut instance = instance(Switches { zone_minutes: 60, ..Switches::default() });
    let target = format!("{TABLE}?sysparm_input_display_value=true&sysparm_exclude_reference_link=true");
    let body = json!({"caller_id": "Abel Tuter", "state": "in progress", "assignment_group": "No Such Group",
        "due_date": "2026-11-23 00:30:00"});
    let abel = Instance::seeded("sys_user", "abel.tuter");
    check(
        &mut instance,
        ("POST", &target, body.clone()),
        201,
        &[
            ("/result/caller_id", json!(abel)),
            ("/result/state", json!("2")),
            ("/result/assignment_group", json!("No Such Group")),
            ("/result/due_date", json!("2026-11-22 23:30:00")),
        ],
    );
    instance.switches_mut().unresolved_reference = UnresolvedReference::LeaveEmpty;
    check(&mut instance, ("POST", &target, body), 201, &[("/result/assignment_group", json!(""))]);
}

#[test]
fn each_switch_does_what_it_says() {
    let default = Switches::default;
    let chosen = || json!({"sys_id": CHOSEN});
    let twice = |instance: &mut Instance| {
        send(instance, "POST", TABLE, &chosen());
        send(instance, "POST", TABLE, &chosen()).status
    };
    assert_eq!(twice(&mut instance(Switches { duplicate_status: 500, ..default() })), 500);

    let abel = Instance::seeded("sys_user", "abel.tuter");
    let bare = format!("{TABLE}?sysparm_exclude_reference_link=true");
    let resolved = json!({"state": "6", "close_code": "Solved (Permanently)", "close_notes": "x"});
    for (switches, sent, column, kept) in [
        (Switches { unknown_choices_stored: true, ..default() }, json!({"state": "99"}), "state", "99"),
        (default(), json!({"caller_id": "Abel Tuter"}), "caller_id", "Abel Tuter"),
        (
            Switches { names_resolved_in_raw_mode: true, ..default() },
            json!({"caller_id": "Abel Tuter"}),
            "caller_id",
            &abel,
        ),
        (Switches { old_close_codes: true, ..default() }, resolved.clone(), "close_code", "Solved (Permanently)"),
    ] {
        check(&mut instance(switches), ("POST", &bare, sent), 201, &[(&format!("/result/{column}"), json!(kept))]);
    }
    check(&mut instance(default()), ("POST", TABLE, resolved), 403, &[]);
    let mandatory = Switches { mandatory_columns: vec!["caller_id".to_owned()], ..default() };
    check(&mut instance(mandatory), ("POST", TABLE, json!({})), 403, &[]);
    let closed = json!({"state": "7", "close_code": "Duplicate", "close_notes": "x"});
    let admin = Switches { integration_user_is_itil_admin: true, ..default() };
    check(&mut instance(admin), ("POST", TABLE, closed.clone()), 201, &[("/result/active", json!("false"))]);
    check(&mut instance(default()), ("POST", TABLE, closed), 403, &[]);

    for (counts, mod_count) in [(true, "1"), (false, "0")] {
        let mut instance = instance(Switches { journal_counts_as_update: counts, ..default() });
        let one = format!("{TABLE}/{}", create(&mut instance, &json!({})));
        check(
            &mut instance,
            ("PATCH", &one, json!({"comments": "x"})),
            200,
            &[("/result/sys_mod_count", json!(mod_count))],
        );
    }
    for (kept, header) in [(true, Some("1")), (false, None)] {
        let mut instance = instance(Switches { total_count_despite_no_count: kept, ..default() });
        create(&mut instance, &json!({}));
        let list = send(&mut instance, "GET", &format!("{TABLE}?sysparm_no_count=true"), &Value::Null);
        assert_eq!(list.header("X-Total-Count"), header);
    }
    let mut short = instance(Switches { url_bytes_max: 40, ..default() });
    check(&mut short, ("GET", &format!("{TABLE}?sysparm_query=active=true"), Value::Null), 414, &[]);
}
