//! What people and the instance's own rules do to a ticket. Facts: facts/servicenow 5.3, 8.8, 8.9, 8.33.

use serde_json::json;

use super::super::acts::Act;
use super::super::switches::{FightingRule, Switches};
use super::*;

const DAY: i64 = 86_400_000;

fn ticket(instance: &mut Instance, fields: &[(&str, &str)]) -> String {
    instance.create_as("beth.anglin", "incident", fields, NOW).expect("created")
}

fn act(instance: &mut Instance, user: &str, id: &str, act: &Act) {
    instance.act_as(user, id, act, NOW).expect("done");
}

/// The columns of a ticket after what happened to it.
fn holds(instance: &Instance, id: &str, expected: &[(&str, &str)]) {
    let record = instance.record("incident", id).expect("it is there");
    for (column, wanted) in expected {
        assert_eq!(record.get(*column).map_or("", String::as_str), *wanted, "{column}: {record:?}");
    }
}

fn resolved() -> Act {
    Act::Resolve { code: "Solution provided".into(), notes: "Cable".into() }
}

#[test]
fn each_act_writes_what_its_form_writes() {
    let mut instance = instance(Switches::default());
    let id = ticket(&mut instance, &[]);
    act(&mut instance, "abel.tuter", &id, &Act::Assign { group: "AV Support".into(), person: "Beth Anglin".into() });
    let group = Instance::seeded("sys_user_group", "AV Support");
    let beth = Instance::seeded("sys_user", "beth.anglin");
    holds(&instance, &id, &[("assignment_group", &group), ("assigned_to", &beth), ("sys_updated_by", "abel.tuter")]);
    act(&mut instance, "abel.tuter", &id, &Act::State { state: "3".into(), hold_reason: "1".into() });
    holds(&instance, &id, &[("state", "3"), ("hold_reason", "1")]);
    act(&mut instance, "abel.tuter", &id, &Act::Comment("Please look".into()));
    act(&mut instance, "abel.tuter", &id, &Act::WorkNote("Internal".into()));
    let journal: Vec<(String, String)> =
        instance.journal(&id).into_iter().map(|entry| (entry.element, entry.text)).collect();
    let pair = |element: &str, text: &str| (element.to_owned(), text.to_owned());
    assert_eq!(journal, [pair("comments", "Please look"), pair("work_notes", "Internal")]);
    act(&mut instance, "beth.anglin", &id, &resolved());
    holds(&instance, &id, &[("state", "6"), ("close_code", "Solution provided"), ("resolved_by", &beth)]);
    act(&mut instance, "admin", &id, &Act::Delete);
    assert_eq!(instance.count("incident"), 0);
    let refused = instance.act_as("nobody", &id, &Act::Delete, NOW);
    assert_eq!(refused.map_err(|refusal| refusal.status), Err(401));
}

#[test]
fn acts_are_read_from_json_or_refused_in_words() {
    for (body, expected) in [
        (json!({"act": "comment", "text": "x"}), Ok(Act::Comment("x".into()))),
        (json!({"act": "state", "state": "2"}), Ok(Act::State { state: "2".into(), hold_reason: String::new() })),
        (json!({"act": "comment"}), Err("`text` is a text")),
        (
            json!({"act": "dance"}),
            Err("`act` is comment, work_note, state, assign, resolve, attach, delete or copy_comment"),
        ),
        (
            json!({"act": "attach", "file_name": "a", "content_type": "b", "content_base64": "AQI="}),
            Ok(Act::Attach { file_name: "a".into(), content_type: "b".into(), content: vec![1, 2] }),
        ),
        (json!({"act": "attach", "file_name": "a", "content_type": "b"}), Err("either `content` or `content_base64`")),
    ] {
        assert_eq!(Act::from_json(&body), expected.map_err(str::to_owned), "{body}");
    }
}

#[test]
fn a_comment_of_the_caller_ends_on_hold_and_nobody_elses_does() {
    let mut instance = instance(Switches::default());
    let joe = Instance::seeded("sys_user", "joe.employee");
    let held = [("caller_id", &*joe), ("state", "3"), ("hold_reason", "1")];
    for (user, state, reason) in [("abel.tuter", "3", "1"), ("joe.employee", "2", "")] {
        let id = ticket(&mut instance, &held);
        act(&mut instance, user, &id, &Act::Comment("It works again".into()));
        holds(&instance, &id, &[("state", state), ("hold_reason", reason)]);
    }
}

#[test]
fn closed_stays_closed_whoever_asks() {
    let mut instance = instance(Switches::default());
    let id = ticket(&mut instance, &[]);
    act(&mut instance, "beth.anglin", &id, &resolved());
    assert_eq!(instance.run_jobs(NOW + 7 * DAY + 1_000), 1);
    holds(&instance, &id, &[("state", "7"), ("active", "false"), ("sys_updated_by", "admin")]);
    holds(&instance, &id, &[("closed_at", "2026-11-29 06:00:01"), ("sys_updated_on", "2026-11-29 06:00:01")]);
    for user in ["admin", "abel.tuter", "snowgate"] {
        act(&mut instance, user, &id, &Act::State { state: "2".into(), hold_reason: String::new() });
        holds(&instance, &id, &[("state", "7"), ("reopen_count", "0")]);
    }
}

#[test]
fn comments_cross_between_parent_and_child_as_system() {
    let mut instance = instance(Switches::default());
    let parent = ticket(&mut instance, &[]);
    let child = ticket(&mut instance, &[("parent_incident", &parent)]);
    act(&mut instance, "abel.tuter", &parent, &Act::Comment("Known, wait".into()));
    act(&mut instance, "system", &parent, &Act::CopyComment { to: child.clone() });
    let copied = instance.journal(&child).remove(0);
    assert_eq!((&*copied.text, &*copied.by), ("Known, wait", "system"));
    let nothing = instance.act_as("system", &child, &Act::CopyComment { to: "x".into() }, NOW);
    assert_eq!(nothing.map_err(|refusal| refusal.status), Err(404));
}

#[test]
fn children_follow_their_parent_through_three_states() {
    let mut instance = instance(Switches::default());
    let parent = ticket(&mut instance, &[]);
    let child = ticket(&mut instance, &[("parent_incident", &parent)]);
    let canceled = ticket(&mut instance, &[("parent_incident", &parent)]);
    act(&mut instance, "admin", &canceled, &Act::State { state: "8".into(), hold_reason: String::new() });
    let hold = Act::State { state: "3".into(), hold_reason: "4".into() };
    act(&mut instance, "abel.tuter", &parent, &hold);
    holds(&instance, &child, &[("state", "3"), ("hold_reason", "4"), ("sys_updated_by", "abel.tuter")]);
    act(&mut instance, "abel.tuter", &parent, &resolved());
    holds(&instance, &child, &[("state", "6"), ("close_code", "Solution provided"), ("close_notes", "Cable")]);
    holds(&instance, &canceled, &[("state", "8")]);
    instance.switches_mut().parent_state_to_children = false;
    act(&mut instance, "abel.tuter", &parent, &Act::State { state: "2".into(), hold_reason: String::new() });
    holds(&instance, &child, &[("state", "6")]);
}

#[test]
fn rules_save_again_or_disagree_as_system() {
    let mut instance = instance(Switches { resaved_by_system: true, ..Switches::default() });
    let id = ticket(&mut instance, &[]);
    holds(&instance, &id, &[("sys_mod_count", "0")]);
    act(&mut instance, "abel.tuter", &id, &Act::State { state: "2".into(), hold_reason: String::new() });
    holds(&instance, &id, &[("state", "2"), ("sys_mod_count", "2"), ("sys_updated_by", "system")]);
    instance.switches_mut().resaved_by_system = false;
    let rule = FightingRule { column: "state".into(), value: "1".into() };
    instance.switches_mut().fighting_rule = Some(rule);
    act(&mut instance, "snowgate", &id, &Act::State { state: "3".into(), hold_reason: "1".into() });
    holds(&instance, &id, &[("state", "1"), ("sys_mod_count", "4"), ("sys_updated_by", "system")]);
    act(&mut instance, "snowgate", &id, &Act::Comment("still here".into()));
    holds(&instance, &id, &[("sys_mod_count", "5"), ("sys_updated_by", "snowgate")]);
}
