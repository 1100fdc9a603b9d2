//! What comes of a payload: one small file after the tools it is made for, and everything a payload can do to it.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::change::{Change, ChangeKind};
use crate::mapping::SourceFile;

/// A file with everything in it: items, tables, entries, further events, and a key.
const TOOL: &str = r#"version: 1
source: tool
busy: 503
key: "{{ payload.routing_key }}"
tables:
  events: {firing: incident.opened, resolved: incident.resolved, silenced: ""}
  severity: {page: critical, warning: medium}
each: "{{ payload.alerts }}"
when: "{{ item.labels.test is undefined }}"
event: {value: "{{ item.status }}", table: events}
id: "{{ item.fingerprint }}"
dedup: "{{ item.fingerprint ~ '/' ~ item.startsAt }}"
incident:
  title: "{{ item.annotations.summary }}"
  severity: {value: "{{ item.labels.severity }}", table: severity, when: "{{ item.labels.severity is defined }}"}
  labels: "{{ item.labels }}"
  times.opened_at: "{{ item.startsAt }}"
  times.resolved_at: {value: "{{ item.endsAt }}", when: "{{ item.status == 'resolved' }}"}
  custom.alert: "{{ item.extra | default({}) }}"
  affected:
    - {kind: host, name: {value: "{{ item.labels.instance }}", when: "{{ item.labels.instance is defined }}"}}
    - {each: "{{ item.rooms | default([]) }}", when: "{{ entry.name != '' }}", kind: room, name: "{{ entry.name }}"}
  tags: ["{{ payload.receiver | default('none') }}", fixed]
also:
  - each: "{{ item.comments | default([]) }}"
    event: incident.message_added
    dedup: "{{ item.id }}"
    message: {text: "{{ item.html | html_to_text }}", visibility: internal, author.name: "{{ parent.owner | default('') }}"}
cases: []
"#;

fn tool() -> Source {
    source(TOOL)
}

fn source(text: &str) -> Source {
    let (source, findings) = compile(&SourceFile::new("tool.yaml", text));
    let said: String = findings.iter().map(|finding| finding.render(false) + "\n").collect();
    source.unwrap_or_else(|| panic!("{said}"))
}

fn alert(more: Value) -> Value {
    let mut alert = json!({"status": "firing", "fingerprint": "f1", "startsAt": "2026-11-22T06:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "labels": {"severity": "page"}, "annotations": {"summary": "Broken"}});
    let Value::Object(more) = more else { panic!("fields, not {more}") };
    alert.as_object_mut().unwrap().extend(more);
    alert
}

fn read(alerts: Vec<Value>) -> Result<Reading, SourceFault> {
    tool().read(&json!({"alerts": Value::Array(alerts)}))
}

fn one(more: Value) -> Value {
    let reading = read(vec![alert(more)]).unwrap();
    assert_eq!(reading.events.len(), 1);
    serde_json::to_value(&reading.events[0].change).unwrap()
}

/// What was wrong: the place in the payload and the key of the file.
fn faults(payload: &Value) -> Vec<(String, String)> {
    let fault = tool().read(payload).unwrap_err();
    fault.problems.into_iter().map(|problem| (problem.pointer, problem.key)).collect()
}

#[test]
fn an_item_becomes_an_event() {
    let found = one(json!({"rooms": [{"name": "Berlin"}, {"name": ""}, {"name": "Kiel"}], "extra": {"n": [1, 2.5]}}));
    let expected = json!({"type": "incident.opened", "incident": {
        "id": "f1", "title": "Broken", "severity": "critical", "severity_raw": "page", "state": "new",
        "affected": [{"kind": "host"}, {"kind": "room", "name": "Berlin"}, {"kind": "room", "name": "Kiel"}],
        "times": {"opened_at": "2026-11-22T06:00:00Z"}, "tags": ["none", "fixed"], "labels": {"severity": "page"},
        "custom": {"alert": {"n": [1, 2.5]}}
    }});
    assert_eq!(found, expected);
}

#[test]
fn a_word_without_a_row_is_kept_beside_unknown() {
    let found = one(json!({"labels": {"severity": "odd"}}));
    assert_eq!(
        (&found["incident"]["severity"], &found["incident"]["severity_raw"]),
        (&json!("unknown"), &json!("odd"))
    );
    let found = one(json!({"labels": {"severity": "High"}}));
    assert_eq!(found["incident"]["severity"], json!("high"), "our own word needs no row");
}

#[test]
fn what_says_nothing_is_skipped() {
    let silenced = alert(json!({"status": "silenced"}));
    let test = alert(json!({"labels": {"test": "1"}}));
    let reading = read(vec![silenced, test, alert(json!({}))]).unwrap();
    assert_eq!((reading.events.len(), reading.skipped), (1, 2));
    assert_eq!(read(vec![]).unwrap(), Reading::default());
}

#[test]
fn further_events_are_about_the_same_incident() {
    let comments = json!([{"id": "c1", "html": "<p>one &amp; two</p>"}, {"id": "c2", "html": "three"}]);
    let silent = alert(json!({"status": "silenced", "owner": "Op", "comments": comments}));
    let reading = read(vec![silent]).unwrap();
    assert_eq!(reading.skipped, 0);
    let texts: Vec<_> = reading
        .events
        .iter()
        .map(|event| {
            assert_eq!(event.change.kind, ChangeKind::MessageAdded);
            assert_eq!(
                event.change.incident.title.as_deref(),
                Some("Broken"),
                "it can open the ticket that is not there yet"
            );
            let message = event.change.message.as_ref().unwrap();
            (message.text.as_deref().unwrap(), message.author.as_ref().unwrap().name.as_deref().unwrap())
        })
        .collect();
    assert_eq!(texts, [("one & two", "Op"), ("three", "Op")]);
}

#[test]
fn everything_missing_is_told_with_its_place_and_its_key() {
    let mut broken = alert(json!({"labels": {}}));
    broken["annotations"] = json!({});
    let mut nameless = alert(json!({"comments": [{"id": "c"}]}));
    nameless.as_object_mut().unwrap().remove("fingerprint");
    let pairs = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(pointer, key)| ((*pointer).to_owned(), (*key).to_owned())).collect()
    };
    assert_eq!(
        faults(&json!({"alerts": [alert(json!({})), broken, nameless]})),
        pairs(&[
            ("/alerts/1/annotations/summary", "incident.title"),
            ("/alerts/2/fingerprint", "id"),
            ("/alerts/2/fingerprint", "dedup"),
            ("/alerts/2/comments/0/html", "also[0].message.text"),
        ])
    );
    assert_eq!(faults(&json!({})), pairs(&[("/alerts", "each")]));
    assert_eq!(faults(&json!({"alerts": {}})), pairs(&[("/alerts", "each")]));
    assert_eq!(faults(&json!([])), pairs(&[("/alerts", "each")]));
}

#[test]
fn what_our_model_does_not_take_is_told_at_its_place() {
    assert_eq!(
        faults(&json!({"alerts": [alert(json!({"startsAt": "yesterday"}))]})),
        [("/alerts/0/startsAt".to_owned(), "incident.times.opened_at".to_owned())]
    );
    assert_eq!(
        faults(&json!({"alerts": [alert(json!({"annotations": {"summary": " "}}))]})),
        [("/alerts/0/annotations/summary".to_owned(), "incident.title".to_owned())]
    );
    assert_eq!(
        faults(&json!({"alerts": [alert(json!({"status": "new word"}))]})),
        [("/alerts/0/status".to_owned(), "event".to_owned())]
    );
    assert_eq!(
        faults(&json!({"alerts": [alert(json!({"fingerprint": ""}))]})),
        [("/alerts/0/fingerprint".to_owned(), "id".to_owned())]
    );
}

#[test]
fn long_texts_and_lists_are_cut_and_lose_nobody_an_alert() {
    let labels: serde_json::Map<String, Value> = (0..300).map(|place| (format!("l{place}"), json!(place))).collect();
    let rooms: Vec<Value> = (0..300).map(|place| json!({"name": format!("r{place}")})).collect();
    let found = one(json!({"annotations": {"summary": "é\u{0}".repeat(5_000)}, "labels": labels, "rooms": rooms,
        "fingerprint": "x".repeat(1_000)}));
    assert_eq!(found["incident"]["title"], json!("é".repeat(1_000)));
    assert_eq!(found["incident"]["labels"].as_object().unwrap().len(), 200);
    assert_eq!(found["incident"]["labels"]["l7"], json!("7"));
    assert_eq!(found["incident"]["affected"].as_array().unwrap().len(), 200);
}

#[test]
fn a_word_that_is_no_kind_of_change_is_repeated_only_in_part() {
    let text = TOOL.replace(r#"{value: "{{ item.status }}", table: events}"#, r#""{{ item.status }}""#);
    let payload = json!({"alerts": [alert(json!({"status": format!("\u{1b}[2J{}", "x".repeat(10_000))}))]});
    let fault = source(&text).read(&payload).unwrap_err();
    let message = &fault.problems[0].message;
    assert!(message.chars().count() < 120 && !message.contains('\u{1b}'), "{message}");
}

#[test]
fn the_file_says_what_is_the_same_event() {
    let read = |more: Value| read(vec![alert(more)]).unwrap().events.remove(0);
    let first = read(json!({}));
    assert_eq!(first.event.parts(), ("source:tool", "incident.opened:f1:f1/2026-11-22T06:00:00Z"));
    let again = read(json!({"annotations": {"summary": "Broken, 93 %"}}));
    assert_eq!((&again.event, again.fingerprint), (&first.event, first.fingerprint), "another text is no other event");
    for other in [
        read(json!({"startsAt": "2026-11-22T07:00:00Z"})),
        read(json!({"fingerprint": "f2"})),
        read(json!({"status": "resolved"})),
    ] {
        assert_ne!(other.event, first.event);
        assert_ne!(other.fingerprint, first.fingerprint);
    }
    let by_content = source(&TOOL.replace("dedup: \"{{ item.fingerprint ~ '/' ~ item.startsAt }}\"\n", ""));
    let event = |more: Value| by_content.read(&json!({"alerts": [alert(more)]})).unwrap().events.remove(0).event;
    assert_eq!(event(json!({})), event(json!({})));
    assert_ne!(event(json!({})), event(json!({"anything": 1})));

    let by_moment = source(&TOOL.replace("\"{{ item.fingerprint ~ '/' ~ item.startsAt }}\"", "\"{{ received }}\""));
    let payload = json!({"alerts": [alert(json!({}))]});
    let at = |millis| by_moment.read_at(&payload, Timestamp::from_millis(millis)).unwrap().events.remove(0).event;
    assert_eq!(at(1), at(1));
    assert_ne!(at(1), at(2), "what comes back without a word about time is no repeat");
}

#[test]
fn a_payload_with_too_much_in_it_is_refused() {
    let alerts = |count: usize| {
        let alert = |place: usize| alert(json!({"fingerprint": format!("f{place}")}));
        json!({"alerts": (0..count).map(alert).collect::<Vec<_>>()})
    };
    assert_eq!(tool().read(&alerts(500)).unwrap().events.len(), 500);
    assert!(tool().read(&alerts(501)).unwrap_err().to_string().contains("more than 500 events"));
    let values = json!({"alerts": [], "more": vec![0; 50_000]});
    assert!(tool().read(&values).unwrap_err().to_string().contains("more than 50000 values"));
}

#[test]
fn the_key_of_a_sender_is_read_from_its_place() {
    let tool = tool();
    assert_eq!(tool.busy(), Busy::Unavailable);
    assert_eq!(tool.key(&json!({"routing_key": "k"})).as_deref(), Some("k"));
    for without in [json!({}), json!({"routing_key": ""}), json!({"routing_key": {"a": 1}}), json!(7)] {
        assert_eq!(tool.key(&without), None, "{without}");
    }
}

#[test]
fn a_condition_holds_for_what_is_there() {
    let file = TOOL.replace("item.labels.test is undefined", "item.labels");
    let alerts = json!({"alerts": [alert(json!({})), alert(json!({"labels": {}})), alert(json!({"labels": null}))]});
    assert_eq!(source(&file).read(&alerts).unwrap().skipped, 2);
}

static SHARED: std::sync::LazyLock<Source> = std::sync::LazyLock::new(tool);

fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "alerts",
        "status",
        "fingerprint",
        "startsAt",
        "endsAt",
        "labels",
        "severity",
        "annotations",
        "summary",
        "comments",
        "html",
        "rooms",
        "name",
        "id",
        "extra",
        "a/b~c",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "firing",
            "resolved",
            "page",
            "2026-11-22T06:00:00Z",
            "<b>x</b><table><td>&amp",
            "0"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn no_payload_breaks_a_source(payload in any_json(), more in any_json()) {
        let tool = &*SHARED;
        drop(tool.key(&payload));
        let strange = alert(json!({"labels": more, "comments": [more]}));
        let payloads = [json!({"alerts": [payload, more]}), json!({"alerts": [strange]}), payload];
        for payload in payloads {
            match tool.read(&payload) {
                Ok(reading) => for event in reading.events {
                    // What is stored is read again by the worker: it must come back as what it was.
                    let again = Change::from_slice(event.change.kind, None, event.data.as_bytes());
                    prop_assert_eq!(again, Ok(event.change));
                },
                Err(fault) => for problem in fault.problems {
                    prop_assert!(problem.pointer.is_empty() || problem.pointer.starts_with('/'));
                },
            }
        }
    }
}
