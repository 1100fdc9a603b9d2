//! Outbound calls in virtual time: who is called, when, with what, and what is lost. Facts: facts/servicenow 7 and 8.

use serde_json::{Value, json};

use super::super::acts::Act;
use super::super::outbound::{
    Backoff, CallEnd, CallState, InvalidRule, OutboundCall, Payload, Retry, WebhookRule, Wire,
};
use super::super::switches::{FightingRule, Switches};
use super::*;

/// The secret of the standard's published vector.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const URL: &str = "http://127.0.0.1:9/hook";
const LATER: i64 = NOW + 3_600_000;

fn listening(rule: WebhookRule) -> Instance {
    let mut instance = instance(Switches::default());
    instance.subscribe(rule).expect("a rule");
    instance
}

fn rule() -> WebhookRule {
    WebhookRule::new(URL, SECRET)
}

/// An incident made by a person, its own call already out of the way.
fn ticket(instance: &mut Instance) -> String {
    let id = instance.create_as("joe.employee", "incident", &[("short_description", "Room dark")], NOW);
    instance.due_calls(LATER);
    id.expect("created")
}

fn edit(instance: &mut Instance, user: &str, id: &str, fields: &[(&str, &str)], now: i64) {
    instance.edit_as(user, "incident", id, fields, now).expect("edited");
}

fn body(call: &OutboundCall) -> Value {
    serde_json::from_slice(&call.body).expect("JSON")
}

fn header<'c>(call: &'c OutboundCall, name: &str) -> &'c str {
    let found = call.headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str()).expect("the header")
}

/// Runs everything that waits, in the order it is due.
fn all_calls(instance: &mut Instance) -> Vec<OutboundCall> {
    let mut calls = Vec::new();
    while let Some(due) = instance.next_call_at() {
        calls.extend(instance.due_calls(due));
    }
    calls
}

#[test]
fn a_snapshot_has_the_shape_of_the_contract() {
    let mut instance = listening(rule());
    let id = ticket(&mut instance);
    let fields = [("state", "2"), ("assigned_to", &*Instance::seeded("sys_user", "abel.tuter"))];
    edit(&mut instance, "abel.tuter", &id, &fields, NOW);
    edit(&mut instance, "abel.tuter", &id, &[("comments", "Grüße für 5 $")], NOW);
    let file = Act::Attach { file_name: "a.txt".into(), content_type: "text/plain".into(), content: b"abc".to_vec() };
    instance.act_as("beth.anglin", &id, &file, NOW).expect("attached");
    let calls = all_calls(&mut instance);
    let call = calls.last().expect("calls");
    let snapshot = body(call);
    let keys: Vec<&String> = snapshot.as_object().expect("an object").keys().collect();
    let contract = [
        "event",
        "table",
        "sys_id",
        "number",
        "correlation_id",
        "operation",
        "sys_mod_count",
        "sys_updated_on",
        "actor",
        "instance",
        "fields",
        "journal",
        "attachments",
    ];
    assert_eq!(keys, contract);
    for (pointer, wanted) in [
        ("/table", json!("incident")),
        ("/sys_id", json!(id)),
        ("/operation", json!("update")),
        ("/sys_mod_count", json!("2")),
        ("/instance", json!("example")),
        ("/fields/state", json!("2")),
        ("/fields/hold_reason", json!("")),
        ("/fields/assigned_to/display", json!("Abel Tuter")),
        ("/fields/assignment_group", json!({"value": "", "display": ""})),
        ("/journal/0/value", json!("Grüße für 5 $")),
        ("/journal/0/created_by", json!("abel.tuter")),
        ("/journal/0/created_on", json!("2026-11-22 06:00:00")),
        ("/attachments/0/file_name", json!("a.txt")),
        ("/attachments/0/size_bytes", json!("3")),
        ("/attachments/0/hash", json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
        ("/attachments/0/created_by", json!("beth.anglin")),
    ] {
        assert_eq!(snapshot.pointer(pointer), Some(&wanted), "{pointer}: {snapshot}");
    }
    assert!(call.body.is_ascii() && !call.body.contains(&b'$'), "nothing a charset or a substitution could change");
    assert_eq!((header(call, "User-Agent"), header(call, "Content-Type")), ("ServiceNow/1.0", "application/json"));
    assert_eq!(header(call, "webhook-id"), snapshot["event"].as_str().expect("an id"));
}

#[test]
fn the_newest_ten_entries_are_sent_newest_first() {
    let mut instance = listening(rule());
    let id = ticket(&mut instance);
    for at in 0..12 {
        edit(&mut instance, "abel.tuter", &id, &[("work_notes", &format!("note {at}"))], NOW);
    }
    let snapshot = body(&all_calls(&mut instance)[0]);
    let texts: Vec<&str> =
        snapshot["journal"].as_array().expect("a journal").iter().filter_map(|one| one["value"].as_str()).collect();
    let expected: Vec<String> = (2..12).rev().map(|at| format!("note {at}")).collect();
    assert_eq!(texts, expected);
}

#[test]
fn the_standards_own_library_takes_the_signature() {
    let mut instance = listening(rule());
    ticket(&mut instance);
    instance.create_as("abel.tuter", "incident", &[], NOW).expect("created");
    let call = all_calls(&mut instance).remove(0);
    let verifier = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    let signed = (header(&call, "webhook-id"), header(&call, "webhook-timestamp").parse().expect("seconds"));
    let expected = verifier.sign(signed.0, signed.1, &call.body).expect("a signature");
    assert_eq!(header(&call, "webhook-signature"), expected);
}

#[test]
fn each_kind_of_change_fires_and_an_empty_one_does_not() {
    let check = |what: &str, act: &dyn Fn(&mut Instance, &str), expected: &[&str]| {
        let mut instance = listening(rule());
        let id = ticket(&mut instance);
        act(&mut instance, &id);
        let calls = all_calls(&mut instance);
        let operations: Vec<Value> = calls.iter().map(|call| body(call)["operation"].clone()).collect();
        assert_eq!(operations, expected, "{what}");
    };
    check("update", &|instance, id| edit(instance, "abel.tuter", id, &[("state", "2")], NOW), &["update"]);
    check("comment", &|instance, id| edit(instance, "abel.tuter", id, &[("comments", "x")], NOW), &["update"]);
    check("nothing new", &|instance, id| edit(instance, "abel.tuter", id, &[("state", "1")], NOW), &[]);
    check("unknown column", &|instance, id| edit(instance, "abel.tuter", id, &[("bunk", "1")], NOW), &[]);
    check("delete", &|instance, id| instance.delete_as("admin", "incident", id, NOW).expect("deleted"), &["delete"]);
    check(
        "insert",
        &|instance, _| drop(instance.create_as("abel.tuter", "incident", &[], NOW).expect("created")),
        &["insert"],
    );
    check(
        "another table",
        &|instance, _| drop(instance.create_as("abel.tuter", "problem", &[], NOW).expect("created")),
        &[],
    );
    check(
        "an update of a record that is gone when its job runs",
        &|instance, id| {
            edit(instance, "abel.tuter", id, &[("state", "2")], NOW);
            instance.delete_as("admin", "incident", id, NOW).expect("deleted");
        },
        &["delete"],
    );
}

#[test]
fn conditions_are_those_of_the_rule_at_the_time_of_the_change() {
    for (rule, user, fields, calls) in [
        (WebhookRule { skip_user: Some("snowgate".into()), ..rule() }, "snowgate", [("state", "2")], 0),
        (WebhookRule { skip_user: Some("snowgate".into()), ..rule() }, "abel.tuter", [("state", "2")], 1),
        (
            WebhookRule { columns: vec!["state".into(), "comments".into()], ..rule() },
            "abel.tuter",
            [("urgency", "1")],
            0,
        ),
        (
            WebhookRule { columns: vec!["state".into(), "comments".into()], ..rule() },
            "abel.tuter",
            [("comments", "x")],
            1,
        ),
    ] {
        let mut instance = listening(rule.clone());
        let id = ticket(&mut instance);
        edit(&mut instance, user, &id, &fields, NOW);
        assert_eq!(all_calls(&mut instance).len(), calls, "{rule:?} {user} {fields:?}");
    }
    // A person's change is told although the integration wrote before the job ran: `sys_updated_by` would have hidden it.
    let mut instance = listening(WebhookRule { skip_user: Some("snowgate".into()), ..rule() });
    let id = ticket(&mut instance);
    edit(&mut instance, "abel.tuter", &id, &[("state", "2")], NOW);
    edit(&mut instance, "snowgate", &id, &[("urgency", "1")], NOW);
    let calls = all_calls(&mut instance);
    assert_eq!((calls.len(), &body(&calls[0])["actor"]), (1, &json!("abel.tuter")));
}

#[test]
fn a_job_reads_the_record_as_it_is_when_it_runs() {
    let mut instance = listening(rule());
    let id = ticket(&mut instance);
    edit(&mut instance, "abel.tuter", &id, &[("state", "2")], NOW);
    edit(&mut instance, "beth.anglin", &id, &[("urgency", "1")], NOW);
    let seen: Vec<(Value, Value)> = instance
        .due_calls(LATER)
        .iter()
        .map(|call| (body(call)["sys_mod_count"].clone(), body(call)["fields"]["urgency"].clone()))
        .collect();
    assert_eq!(seen, [(json!("2"), json!("1")), (json!("2"), json!("1"))], "twice the same newest story");
}

#[test]
fn jobs_overtake_each_other_and_a_seed_repeats_the_order() {
    let run = |seed: u64| {
        let mut instance = Instance::new(Options { seed, ..Options::default() });
        instance.subscribe(rule()).expect("a rule");
        for at in 0..20 {
            let name = format!("{at:02}");
            instance.create_as("abel.tuter", "incident", &[("short_description", &name)], NOW).expect("created");
        }
        let calls = all_calls(&mut instance);
        calls.iter().map(|call| body(call)["fields"]["short_description"].to_string()).collect::<Vec<_>>()
    };
    let order = run(7);
    let mut sorted = order.clone();
    sorted.sort();
    assert_ne!(order, sorted, "async rules run in no order");
    assert_eq!((sorted.len(), &order), (20, &run(7)));
    assert_ne!(order, run(8));
    let mut prompt = listening(WebhookRule { delay_ms_max: 0, ..rule() });
    prompt.create_as("abel.tuter", "incident", &[], NOW).expect("created");
    assert_eq!(prompt.next_call_at(), Some(NOW), "no delay, no disorder");
}

#[test]
fn careless_rules_send_careless_bodies() {
    let of = |payload: Payload| {
        let mut instance = listening(WebhookRule { payload, ..rule() });
        let id = ticket(&mut instance);
        let fields = [("short_description", "Say \"x\""), ("state", "2")];
        edit(&mut instance, "abel.tuter", &id, &fields, NOW);
        (id, all_calls(&mut instance).remove(0))
    };
    let (id, hint) = of(Payload::Hint);
    assert_eq!(body(&hint), json!({"table": "incident", "sys_id": id}));
    let (id, flat) = of(Payload::Flat);
    let (flat_body, agent) = (body(&flat), header(&flat, "User-Agent"));
    assert_eq!(
        (&flat_body["record_id"], &flat_body["state"], agent),
        (&json!(id), &json!("In Progress"), "ServiceNow")
    );
    assert_eq!((&flat_body["priority"], &flat_body["record_type_name"]), (&json!("5 - Planning"), &json!("Incident")));
    let (_, pasted) = of(Payload::BadEscaping);
    assert!(serde_json::from_slice::<Value>(&pasted.body).is_err(), "a quote breaks it");
    assert!(header(&pasted, "webhook-signature").starts_with("v1,"), "but it is signed");
    let mut plain = listening(WebhookRule { payload: Payload::BadEscaping, ..rule() });
    let id = ticket(&mut plain);
    edit(&mut plain, "abel.tuter", &id, &[("state", "2")], NOW);
    assert_eq!(body(&all_calls(&mut plain)[0])["short_description"], json!("Room dark"), "without one it is JSON");
}

#[test]
fn a_failed_call_is_lost_unless_a_flow_repeats_it() {
    let failed = || CallEnd::Failed("connection refused".to_owned());
    let busy = |secs| CallEnd::Answered { status: 503, retry_after_secs: secs };
    let flow = |count, backoff| Retry::Flow { count, wait_secs: 10, backoff };
    for (retry, end, waits) in [
        (Retry::None, failed(), vec![]),
        (Retry::None, busy(Some(5)), vec![]),
        (flow(2, Backoff::Fixed), failed(), vec![10, 10]),
        (flow(3, Backoff::Exponential), failed(), vec![10, 20, 40]),
        (flow(1, Backoff::RetryAfter), busy(Some(77)), vec![77]),
        (flow(1, Backoff::RetryAfter), busy(None), vec![10]),
        (flow(5, Backoff::Fixed), CallEnd::Answered { status: 400, retry_after_secs: None }, vec![]),
        (flow(5, Backoff::Fixed), CallEnd::Answered { status: 202, retry_after_secs: None }, vec![]),
        (flow(5, Backoff::RetryAfter), busy(Some(86_401)), vec![]),
    ] {
        let mut instance = listening(WebhookRule { retry, delay_ms_max: 0, ..rule() });
        instance.create_as("abel.tuter", "incident", &[], NOW).expect("created");
        let (mut now, mut seen, mut first) = (NOW, Vec::new(), None);
        while let Some(due) = instance.next_call_at() {
            if first.is_some() {
                seen.push((due - now) / 1_000);
            }
            now = due;
            let call = instance.due_calls(now).remove(0);
            let (id, body) = first.get_or_insert_with(|| (header(&call, "webhook-id").to_owned(), call.body.clone()));
            assert_eq!((header(&call, "webhook-id"), &call.body), (id.as_str(), &*body), "the same message");
            assert_eq!(header(&call, "webhook-timestamp"), (now / 1_000).to_string(), "at a new time");
            instance.call_ended(call.id, end.clone(), now);
        }
        assert_eq!(seen, waits, "{retry:?} {end:?}");
    }
}

#[test]
fn the_log_tells_how_each_call_ended() {
    let mut instance = listening(rule());
    for _ in 0..3 {
        instance.create_as("abel.tuter", "incident", &[], NOW).expect("created");
    }
    let calls = all_calls(&mut instance);
    instance.call_ended(calls[0].id, CallEnd::Answered { status: 202, retry_after_secs: None }, LATER);
    instance.call_ended(calls[1].id, CallEnd::Failed("reset".to_owned()), LATER);
    let states: Vec<&CallState> = instance.outbound_calls().map(|call| &call.state).collect();
    assert_eq!(states, [&CallState::Answered(202), &CallState::Failed("reset".to_owned()), &CallState::Sent]);
}

#[test]
fn the_wire_loses_repeats_and_shuffles_as_its_seed_says() {
    let run = |wire: Wire| {
        let mut instance = listening(WebhookRule { delay_ms_max: 0, ..rule() });
        instance.set_wire(wire);
        for at in 0..200 {
            let name = format!("{at:03}");
            instance.create_as("abel.tuter", "incident", &[("short_description", &name)], NOW + at).expect("created");
        }
        let calls = all_calls(&mut instance);
        calls.iter().map(|call| body(call)["fields"]["short_description"].to_string()).collect::<Vec<_>>()
    };
    let distinct = |names: &[String]| names.iter().collect::<std::collections::BTreeSet<_>>().len();
    let quiet = run(Wire::default());
    assert!(quiet.is_sorted() && quiet.len() == 200, "nothing happens unless asked for");
    let lossy = run(Wire { drop_percent: 25, ..Wire::default() });
    assert!((120..180).contains(&lossy.len()) && lossy.is_sorted(), "{}", lossy.len());
    let repeated = run(Wire { repeat_percent: 25, ..Wire::default() });
    assert!((220..280).contains(&repeated.len()) && distinct(&repeated) == 200, "{}", repeated.len());
    let shuffled = run(Wire { reorder_percent: 25, ..Wire::default() });
    assert!(shuffled.len() == 200 && distinct(&shuffled) == 200 && !shuffled.is_sorted());
    assert!(run(Wire::silence()).is_empty());
    let all = Wire::parse("drop=10,repeat=10,reorder=10,hold_ms=500,seed=3").expect("a wire");
    assert_eq!(run(all), run(all));
    assert_ne!(run(all), run(Wire { seed: 4, ..all }));
    for wrong in ["drop=101", "loss=1", "silent=yes", "seed=x"] {
        assert!(Wire::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn paused_jobs_burst_out_with_the_newest_story() {
    let mut instance = listening(rule());
    let id = ticket(&mut instance);
    instance.pause_jobs_until(LATER);
    for state in ["2", "3", "2"] {
        edit(&mut instance, "abel.tuter", &id, &[("state", state)], NOW);
    }
    assert!(instance.due_calls(LATER - 1).is_empty());
    assert_eq!(instance.next_call_at(), Some(LATER));
    let counts: Vec<Value> = instance.due_calls(LATER).iter().map(|call| body(call)["sys_mod_count"].clone()).collect();
    assert_eq!(counts, [json!("3"), json!("3"), json!("3")]);
}

#[test]
fn a_silent_script_is_seen_by_nobody() {
    let mut instance = listening(rule());
    let id = ticket(&mut instance);
    assert!(instance.edit_silently("incident", &id, &[("state", "6")]));
    assert!(!instance.edit_silently("incident", "nothing", &[]));
    assert!(all_calls(&mut instance).is_empty());
    let moved = format!("{TABLE}?sysparm_query=sys_mod_count>0^ORsys_updated_on>2026-11-22 06:00:00");
    check(&mut instance, ("GET", &moved, Value::Null), 200, &[("/result", json!([]))]);
    check(&mut instance, ("GET", &format!("{TABLE}/{id}"), Value::Null), 200, &[("/result/state", json!("6"))]);
}

#[test]
fn a_repeated_call_is_the_same_bytes() {
    let mut instance = listening(rule());
    instance.set_wire(Wire { repeat_percent: 100, hold_ms_max: 900, ..Wire::default() });
    instance.create_as("abel.tuter", "incident", &[], NOW).expect("created");
    let calls = all_calls(&mut instance);
    assert_eq!(calls.len(), 2);
    assert_eq!((header(&calls[0], "webhook-id"), &calls[0].body), (header(&calls[1], "webhook-id"), &calls[1].body));
}

#[test]
fn a_clone_calls_production_with_its_secrets_under_its_own_name() {
    let mut production = listening(WebhookRule { instance_name: "contoso".into(), ..rule() });
    let id = ticket(&mut production);
    edit(&mut production, "abel.tuter", &id, &[("state", "2")], NOW);
    let mut clone = production.clone_as("contosotest", 99);
    assert_eq!((clone.jobs_waiting(), production.jobs_waiting()), (0, 1), "jobs of production are not run again");
    edit(&mut clone, "abel.tuter", &id, &[("urgency", "1")], NOW);
    let (ours, theirs) = (all_calls(&mut production).remove(0), all_calls(&mut clone).remove(0));
    assert_eq!((&body(&ours)["instance"], &body(&theirs)["instance"]), (&json!("contoso"), &json!("contosotest")));
    assert_eq!((&ours.url, &body(&ours)["sys_id"]), (&theirs.url, &body(&theirs)["sys_id"]));
    let verifier = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    let at = header(&theirs, "webhook-timestamp").parse().expect("seconds");
    let signature = verifier.sign(header(&theirs, "webhook-id"), at, &theirs.body).expect("a signature");
    assert_eq!(header(&theirs, "webhook-signature"), signature, "the secret is production's");
}

#[test]
fn rules_that_answer_are_told_as_system() {
    let mut instance = listening(WebhookRule { skip_user: Some("snowgate".into()), ..rule() });
    let id = ticket(&mut instance);
    let guard = FightingRule { column: "urgency".into(), value: "3".into() };
    instance.switches_mut().fighting_rule = Some(guard);
    edit(&mut instance, "snowgate", &id, &[("urgency", "1")], NOW);
    let calls = all_calls(&mut instance);
    let (actor, urgency) = (&body(&calls[0])["actor"], &body(&calls[0])["fields"]["urgency"]);
    assert_eq!((calls.len(), actor, urgency), (1, &json!("system"), &json!("3")), "our own write came back as theirs");
    instance.switches_mut().fighting_rule = None;
    instance.switches_mut().resaved_by_system = true;
    edit(&mut instance, "snowgate", &id, &[("urgency", "1")], NOW);
    assert!(all_calls(&mut instance).is_empty(), "saving again changes no column");
    let record = instance.record("incident", &id).expect("it is there");
    assert_eq!((&*record["sys_updated_by"], &*record["sys_mod_count"]), ("system", "4"));
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    for (url, secret, why) in [
        ("ftp://x/y", SECRET, InvalidRule::Url),
        ("/hook", SECRET, InvalidRule::Url),
        (URL, "secret", InvalidRule::Secret),
        (URL, "whsec_%%", InvalidRule::Secret),
        (URL, "whsec_", InvalidRule::Secret),
    ] {
        assert_eq!(instance(Switches::default()).subscribe(WebhookRule::new(url, secret)), Err(why), "{url} {secret}");
    }
    assert!(!format!("{:?}", rule()).contains("MfKQ"), "secrets are not shown");
}

#[test]
fn a_quiet_instance_draws_the_same_ids() {
    let ids = |listens: bool| {
        let mut instance = instance(Switches::default());
        if listens {
            instance.subscribe(rule()).expect("a rule");
        }
        (0..3).map(|_| ticket(&mut instance)).collect::<Vec<_>>()
    };
    assert_eq!(ids(true), ids(false), "whether somebody listens changes nothing else");
}
