//! A clean history of two tenants, and every way in which it can stop being one.

#![expect(clippy::indexing_slicing, reason = "in a test a panic is the report")]

use serde_json::{Value, json};

use super::*;
use crate::delivery::identity::{Identity, Subject, derive, mark};
use crate::delivery::marker::Marker;
use crate::domain::id::{DeliveryId, IncidentId};

const KEY: &str = "prod";
/// When the first event was accepted.
const START: i64 = 1_795_327_200_000;

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn subject(incident: &str) -> Subject {
    Subject { incident: IncidentId::parse(incident).unwrap(), episode: 1, successor: 0 }
}

fn keys(tenant_name: &str, incident: &str) -> Identity {
    derive(KEY, &tenant(tenant_name), &subject(incident))
}

fn id(tenant_name: &str, sequence: u64) -> DeliveryId {
    DeliveryId::from_bits(u128::from(sequence) + if tenant_name == "contoso" { 100 } else { 200 })
}

fn raw(seconds: u64) -> String {
    Timestamp::from_millis(START).plus(std::time::Duration::from_secs(seconds)).raw_utc()
}

/// The exports of both sides, as lines that a test may change.
struct Exports {
    gateway: Vec<Value>,
    contoso: Vec<Value>,
    fabrikam: Vec<Value>,
}

/// Opened, a message, an update that is folded into the next, that next one, another message: at 0, 10, 20, 21 and 30 s.
fn of_tenant(name: &str, incident: &str) -> (Vec<Value>, Vec<Value>) {
    let Identity { sys_id, correlation_id } = keys(name, incident);
    let ticket = json!({"sys_id": sys_id, "number": format!("INC-{name}"), "table": "incident"});
    let steps = [
        (1, 0, "incident.opened", "delivered", "created", Value::Null),
        (2, 10, "incident.message_added", "delivered", "updated", json!("first words")),
        (3, 20, "incident.updated", "superseded", "", Value::Null),
        (4, 21, "incident.updated", "delivered", "updated", Value::Null),
        (5, 30, "incident.message_added", "delivered", "already_applied", json!("last words")),
    ];
    let mut gateway = Vec::new();
    for (sequence, seconds, kind, state, how, text) in steps {
        let at = START + seconds * 1_000;
        let mut ending = json!({"ticket": ticket, "how": how});
        if state == "superseded" {
            ending["superseded_by"] = json!(id(name, sequence + 1));
        }
        gateway.push(json!({
            "id": id(name, sequence), "tenant": name, "direction": "to_servicenow", "incident": incident, "sequence": sequence,
            "event": format!("soc\n{incident}-{sequence}"), "kind": kind, "state": state, "accepted_at": at, "ended_at": at + 1_000,
            "ending": ending, "attempts": [], "due": null, "body": {"incident": {"id": incident}, "message": {"text": text}},
        }));
        gateway.push(json!({
            "tenant": name, "incident": incident, "source": "soc", "event": format!("{incident}-{sequence}"),
            "certainty": "stored", "delivery": id(name, sequence),
        }));
    }
    let marker = Marker { deployment_key: KEY, tenant: &tenant(name), correlation_id: &correlation_id };
    let entry = |number: u32, seconds: u64, text: &str| {
        json!({"sys_id": format!("entry-{name}-{number}"), "element_id": sys_id, "element": "comments",
               "value": marker.mark(text), "sys_created_by": "snowgate", "sys_created_on": raw(seconds)})
    };
    let instance = vec![
        entry(1, 11, "first words"),
        json!({"sys_id": sys_id, "number": format!("INC-{name}"), "correlation_id": correlation_id,
               "correlation_display": mark(5, &id(name, 5), &subject(incident)), "active": "true",
               "sys_created_by": "snowgate", "sys_created_on": raw(1)}),
        entry(2, 31, "last\r\n words"),
        json!({"sys_id": "somebody-elses", "number": "INC1", "correlation_id": "", "sys_created_on": raw(2)}),
        json!({"sys_id": "comment", "element_id": sys_id, "value": "people say", "sys_created_on": raw(12)}),
    ];
    (gateway, instance)
}

fn clean() -> Exports {
    let ((mut gateway, contoso), (others, fabrikam)) = (of_tenant("contoso", "MTR-1"), of_tenant("fabrikam", "MTR-1"));
    gateway.extend(others);
    Exports { gateway, contoso, fabrikam }
}

impl Exports {
    fn judged(&self) -> Verdicts {
        let mut history = History::new(KEY).complete_since(Timestamp::EPOCH);
        self.gateway.iter().for_each(|line| history.line(&line.to_string()).unwrap());
        for (name, rows) in [("contoso", &self.contoso), ("fabrikam", &self.fabrikam)] {
            let shown = history.instance(&[tenant(name)]);
            for row in rows {
                shown.line(&row.to_string()).unwrap();
            }
        }
        history.judge()
    }

    /// The record of contoso's delivery with this place.
    fn record(&mut self, sequence: u64) -> &mut Value {
        let wanted = json!(id("contoso", sequence));
        self.gateway.iter_mut().find(|line| line["id"] == wanted).unwrap()
    }

    fn forget(&mut self, is_it: impl Fn(&Value) -> bool) {
        let before = self.gateway.len();
        self.gateway.retain(|line| !is_it(line));
        assert!(self.gateway.len() < before, "there was something to forget");
    }
}

/// Changes a clean history and compares what is then said with what should be: the verdict, and words of its line.
fn check(what: &str, change: impl FnOnce(&mut Exports), expected: &[(Verdict, &[&str])]) {
    let mut exports = clean();
    change(&mut exports);
    let verdicts = exports.judged();
    let lines: Vec<String> = verdicts.violations.iter().map(ToString::to_string).collect();
    let found: Vec<Verdict> = verdicts.violations.iter().map(|violation| violation.verdict).collect();
    let wanted: Vec<Verdict> = expected.iter().map(|(verdict, _)| *verdict).collect();
    assert_eq!(found, wanted, "{what}: {lines:#?}");
    for ((verdict, words), line) in expected.iter().zip(&lines) {
        assert_eq!(
            usize::try_from(verdicts.count(*verdict)).unwrap(),
            wanted.iter().filter(|wanted| *wanted == verdict).count()
        );
        assert!(words.iter().all(|word| line.contains(word)), "{what}: {line}");
    }
    assert_eq!(verdicts.is_clean(), expected.is_empty());
}

#[test]
fn a_clean_history_is_clean_and_counted() {
    let verdicts = clean().judged();
    assert!(verdicts.is_clean(), "{:#?}", verdicts.violations);
    let Counts { acknowledged, recorded, delivered, superseded, tickets, texts, unjudged, .. } = verdicts.counts;
    assert_eq!((acknowledged, recorded, delivered, superseded), (10, 10, 8, 2));
    assert_eq!((tickets, texts, unjudged), (2, 4, 0), "{verdicts}");
    assert!(verdicts.to_string().starts_with("0 lost, 0 duplicated, 0 reordered, 0 unexpected, 0 cross-tenant"));
}

#[test]
fn what_was_acknowledged_and_is_nowhere_is_lost() {
    let record_of = |sequence: u64| move |line: &Value| line["id"] == json!(id("contoso", sequence));
    let lost = Verdict::Lost;
    check(
        "a receipt without a record",
        |it| it.forget(record_of(5)),
        &[
            (lost, &["contoso", "MTR-1", "soc MTR-1-5", "receipt", "dlv_"]),
            (Verdict::Unexpected, &["INC-contoso", "mark of a write #5"]),
        ],
    );
    check(
        "a hole in the lane",
        |it| it.forget(|line| record_of(3)(line) || line["event"] == "MTR-1-3" && line["tenant"] == "contoso"),
        &[(lost, &["places #3 to #3"])],
    );
    check(
        "the ticket is not there",
        |it| it.contoso.retain(|row| row["number"] != "INC-contoso"),
        &[(lost, &["contoso MTR-1", "4 of its deliveries", "sys_audit_delete"])],
    );
    check(
        "a text is not there",
        |it| it.contoso.retain(|row| row["sys_id"] != "entry-contoso-1"),
        &[(lost, &["soc MTR-1-2", "#2", "journal does not have its text"])],
    );
    check(
        "superseded by nothing",
        |it| it.record(3)["ending"]["superseded_by"] = Value::Null,
        &[(lost, &["soc MTR-1-3", "superseded by nothing"])],
    );
}

#[test]
fn what_is_there_twice_is_duplicated() {
    let duplicated = Verdict::Duplicated;
    let twin = |it: &mut Exports| {
        let mut twin = it.contoso.iter().find(|row| row["number"] == "INC-contoso").unwrap().clone();
        (twin["sys_id"], twin["number"]) = (json!("twin"), json!("INC-twin"));
        it.contoso.push(twin);
    };
    check("two tickets", twin, &[(duplicated, &["contoso MTR-1", "2 tickets for episode 1", "INC-twin by snowgate"])]);
    let again = |it: &mut Exports| {
        let mut again = it.contoso.iter().find(|row| row["sys_id"] == "entry-contoso-1").unwrap().clone();
        again["sys_id"] = json!("entry-again");
        it.contoso.push(again);
    };
    check(
        "a note twice",
        again,
        &[(duplicated, &["soc MTR-1-2", "accepted 1 times, and written 2 times", "entry-again"])],
    );
    check(
        "a note that a rule copied",
        |it| {
            again(it);
            it.contoso
                .iter_mut()
                .filter(|row| row["sys_id"] == "entry-again")
                .for_each(|row| row["sys_created_by"] = json!("system"));
        },
        &[],
    );
    let twice = |it: &mut Exports| {
        let mut record = it.record(4).clone();
        (record["id"], record["sequence"]) = (json!(id("contoso", 6)), json!(6));
        it.gateway.push(record);
    };
    check(
        "one event accepted twice",
        twice,
        &[
            (duplicated, &["soc MTR-1-4", "on record 2 times", "#4", "#6"]),
            (Verdict::Reordered, &["ended at"]),
            (Verdict::Reordered, &["mark of #5"]),
        ],
    );
}

#[test]
fn what_was_applied_in_another_order_is_reordered() {
    let reordered = Verdict::Reordered;
    check(
        "an older write landed last",
        |it| {
            let row = it.contoso.iter_mut().find(|row| row["number"] == "INC-contoso").unwrap();
            row["correlation_display"] = json!(mark(2, &id("contoso", 2), &subject("MTR-1")));
        },
        &[(reordered, &["soc MTR-1-5", "INC-contoso carries the mark of #2"])],
    );
    check(
        "the texts the other way round",
        |it| {
            it.contoso
                .iter_mut()
                .filter(|row| row["sys_id"] == "entry-contoso-1")
                .for_each(|row| row["sys_created_on"] = json!(raw(40)));
        },
        &[(reordered, &["soc MTR-1-5", "#2, which goes before it"])],
    );
    check(
        "the ends the other way round",
        |it| it.record(4)["ended_at"] = json!(START + 90_000),
        &[(reordered, &["soc MTR-1-5", "before #4"])],
    );
    check(
        "a closed ticket takes texts and keeps its mark",
        |it| {
            let row = it.contoso.iter_mut().find(|row| row["number"] == "INC-contoso").unwrap();
            row["correlation_display"] = json!(mark(2, &id("contoso", 2), &subject("MTR-1")));
            row["active"] = json!("false");
        },
        &[],
    );
}

#[test]
fn what_nobody_sent_is_unexpected() {
    let unexpected = Verdict::Unexpected;
    check(
        "an event without a receipt",
        |it| it.forget(|line| line["event"] == "MTR-1-4" && line["tenant"] == "contoso"),
        &[(unexpected, &["soc MTR-1-4", "no sender sent it"])],
    );
    check(
        "a refused event",
        |it| {
            let receipt =
                it.gateway.iter_mut().find(|line| line["event"] == "MTR-1-4" && line["tenant"] == "contoso").unwrap();
            receipt["certainty"] = json!("refused");
        },
        &[(unexpected, &["soc MTR-1-4", "it was refused, and is on record as delivered"])],
    );
    let nobodys = |it: &mut Exports| {
        let Identity { sys_id, correlation_id } = keys("contoso", "MTR-9");
        it.contoso.push(json!({"sys_id": sys_id, "number": "INC9", "correlation_id": correlation_id,
            "correlation_display": mark(1, &id("contoso", 1), &subject("MTR-9")), "sys_created_on": raw(5)}));
    };
    check(
        "a ticket of an unknown incident",
        nobodys,
        &[(unexpected, &["MTR-9", "INC9", "nothing of it was ever accepted"])],
    );
    check(
        "a key of another deployment",
        |it| {
            it.contoso
                .push(json!({"sys_id": "x", "number": "INC8", "correlation_id": "sg1-abc", "sys_created_on": raw(5)}));
        },
        &[(unexpected, &["INC8", "sg1-abc"])],
    );
}

#[test]
fn what_is_at_another_tenants_is_cross_tenant() {
    let astray = Verdict::CrossTenant;
    check(
        "a ticket",
        |it| {
            let Identity { sys_id, correlation_id } = keys("fabrikam", "MTR-1");
            it.contoso.push(
                json!({"sys_id": sys_id, "number": "INC7", "correlation_id": correlation_id, "sys_created_on": raw(5),
            "correlation_display": mark(5, &id("fabrikam", 5), &subject("MTR-1"))}),
            );
        },
        &[(astray, &["fabrikam MTR-1", "INC7", "the instance of contoso"])],
    );
    let text = |it: &mut Exports| {
        let mut entry = it.fabrikam.iter().find(|row| row["sys_id"] == "entry-fabrikam-1").unwrap().clone();
        entry["element_id"] = json!(keys("contoso", "MTR-1").sys_id);
        it.contoso.push(entry);
    };
    check("a text", text, &[(astray, &["fabrikam MTR-1", "INC-contoso", "entry-fabrikam-1"])]);
    check(
        "a text that people copied",
        |it| {
            text(it);
            it.contoso
                .iter_mut()
                .filter(|row| row["sys_id"] == "entry-fabrikam-1")
                .for_each(|row| row["sys_created_by"] = json!("abel"));
        },
        &[],
    );
}

#[test]
fn what_nobody_can_know_is_right_either_way() {
    check(
        "a sender that saw no answer, and was stored",
        |it| {
            let receipts = it.gateway.iter_mut().filter(|line| line["certainty"] == "stored");
            receipts.for_each(|receipt| receipt["certainty"] = json!("unclear"));
        },
        &[],
    );
    check(
        "and was not",
        |it| {
            it.gateway.push(json!({"tenant": "contoso", "incident": "MTR-7", "source": "soc", "event": "e", "certainty": "unclear"}));
        },
        &[],
    );
    check(
        "parked without a proof, and there",
        |it| {
            it.record(5)["state"] = json!("parked");
            it.record(5)["ending"]["how"] = json!("");
        },
        &[],
    );
    check(
        "being sent, and not there",
        |it| {
            (it.record(5)["state"], it.record(5)["ending"]) = (json!("sending"), Value::Null);
            it.contoso.retain(|row| row["sys_id"] != "entry-contoso-2");
            let row = it.contoso.iter_mut().find(|row| row["number"] == "INC-contoso").unwrap();
            row["correlation_display"] = json!(mark(4, &id("contoso", 4), &subject("MTR-1")));
        },
        &[],
    );
    check(
        "a ticket that people deleted",
        |it| {
            it.contoso.retain(|row| row["number"] != "INC-contoso");
            it.contoso.push(json!({"documentkey": keys("contoso", "MTR-1").sys_id, "tablename": "incident"}));
        },
        &[],
    );
}

#[test]
fn without_receipts_and_from_the_middle_on_only_what_is_on_record_counts() {
    let mut exports = clean();
    exports.gateway.retain(|line| line.get("certainty").is_none() && line["sequence"].as_u64() > Some(3));
    let mut history = History::new(KEY);
    exports.gateway.iter().for_each(|line| history.line(&line.to_string()).unwrap());
    exports.contoso.iter().for_each(|row| history.instance(&[tenant("contoso")]).line(&row.to_string()).unwrap());
    let verdicts = history.judge();
    assert!(verdicts.is_clean(), "{:#?}", verdicts.violations);
}

#[test]
fn a_mapping_may_say_a_text_in_its_own_words() {
    check(
        "with a note before it",
        |it| {
            let Identity { correlation_id, .. } = keys("contoso", "MTR-1");
            let marker = Marker { deployment_key: KEY, tenant: &tenant("contoso"), correlation_id: &correlation_id };
            let entry = it.contoso.iter_mut().find(|row| row["sys_id"] == "entry-contoso-1").unwrap();
            entry["value"] = json!(marker.mark("Rosa writes:\n\nfirst words"));
        },
        &[],
    );
    check(
        "and a note of its own beside them",
        |it| {
            let Identity { sys_id, correlation_id } = keys("contoso", "MTR-1");
            let marker = Marker { deployment_key: KEY, tenant: &tenant("contoso"), correlation_id: &correlation_id };
            it.contoso.push(json!({"sys_id": "note", "element_id": sys_id, "value": marker.mark("raised to level 2"),
            "sys_created_by": "snowgate", "sys_created_on": raw(22)}));
        },
        &[],
    );
}

#[test]
fn pages_answers_and_lines_are_told_apart_and_nonsense_is_refused() {
    let Exports { gateway, contoso, .. } = clean();
    let mut history = History::new(KEY);
    let records: Vec<_> =
        gateway.iter().filter(|line| line.get("id").is_some() && line["tenant"] == "contoso").collect();
    history.line(&json!({"deliveries": records, "next": null}).to_string()).unwrap();
    let shown = history.instance(&[tenant("contoso")]);
    shown.line(&json!({"result": contoso}).to_string()).unwrap();
    shown.line(&json!({"records": contoso}).to_string()).unwrap();
    shown.line("").unwrap();
    assert!(matches!(shown.line("{"), Err(BadLine::NotJson(_))));
    assert!(matches!(shown.line("{\"number\": \"INC1\"}"), Err(BadLine::NoRow)));
    assert!(matches!(history.line("{\"id\": \"dlv_1\"}"), Err(BadLine::NotThat { .. })));
    let verdicts = history.judge();
    assert_eq!((verdicts.counts.recorded, verdicts.counts.tickets), (5, 1));
}
