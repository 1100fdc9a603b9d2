//! Every shipped source, as a file: it compiles without a finding, its cases pass, and what becomes of each kept payload is on record.
//!
//! The payloads under `tests/fixtures/sources/<source>/` have the field names and shapes that the tools document, and values of ours. The
//! same files go through the whole gateway in `tests/it/sources.rs`.

#![expect(clippy::panic, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snowgate::mapping::SourceFile;
use snowgate::mapping::source::{Source, compile};

const SHIPPED: &str = "mappings/sources";
const PAYLOADS: &str = "tests/fixtures/sources";

/// The names in a folder, without the extension if one is asked for.
fn names(folder: &str, extension: Option<&str>) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|problem| panic!("{folder}: {problem}"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let wanted = paths.filter(|path| extension.is_none_or(|wanted| path.extension().is_some_and(|own| own == wanted)));
    wanted.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

fn source(name: &str) -> Source {
    let path = format!("{SHIPPED}/{name}.yaml");
    let text = fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{path}: {problem}"));
    let (source, findings) = compile(&SourceFile::new(&path, text));
    let findings: Vec<String> = findings.iter().map(|finding| finding.render(false)).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    source.expect("a file without findings")
}

fn payload(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

/// The payloads of a source, in the order of their names.
fn payloads(name: &str) -> Vec<(String, Value)> {
    let folder = format!("{PAYLOADS}/{name}");
    let path = |stem: &String| PathBuf::from(format!("{folder}/{stem}.json"));
    names(&folder, Some("json")).into_iter().map(|stem| (stem.clone(), payload(&path(&stem)))).collect()
}

/// The types of the events a payload becomes.
fn kinds(source: &Source, payload: &Value) -> Vec<String> {
    let reading = source.read(payload).unwrap_or_else(|fault| panic!("{}: {fault}", source.name()));
    reading.events.iter().map(|event| event.change.kind.to_string()).collect()
}

#[test]
fn every_shipped_source_compiles_without_a_finding_and_its_cases_pass() {
    let shipped = names(SHIPPED, Some("yaml"));
    assert!(shipped.len() >= 11, "{shipped:?}");
    for name in shipped {
        let no_files = |_: &str| Err("is not shipped with the source".to_owned());
        let cases = source(&name).run_cases(&no_files);
        assert!(cases.len() > 1, "{name} has {} cases", cases.len());
        for case in cases {
            assert!(case.passed(), "{name}:{}: {} differs: {:#?}", case.line, case.name, case.differences);
        }
    }
}

#[test]
fn the_example_of_the_page_compiles_and_its_case_passes() {
    let page = fs::read_to_string("docs/sources/README.md").expect("the index");
    let example = page.split("```yaml\nversion: 1\n").nth(1).and_then(|rest| rest.split("```").next());
    let text = format!("version: 1\n{}", example.expect("an example"));
    let (source, findings) = compile(&SourceFile::new("my-tool.yaml", text));
    assert!(findings.is_empty(), "{:?}", findings.iter().map(|finding| finding.render(false)).collect::<Vec<_>>());
    for case in source.expect("no findings").run_cases(&|_| Err("is not there".to_owned())) {
        assert!(case.passed(), "{:#?}", case.differences);
    }
}

#[test]
fn every_source_has_payloads_and_a_page_and_every_payload_a_source() {
    let shipped = names(SHIPPED, Some("yaml"));
    assert_eq!(names(PAYLOADS, None), shipped, "the folders of {PAYLOADS}");
    let index = fs::read_to_string("docs/sources/README.md").expect("the index");
    for name in &shipped {
        let page = if name == "alertmanager-group" { "alertmanager" } else { name };
        assert!(Path::new(&format!("docs/sources/{page}.md")).exists(), "no page for {name}");
        assert!(index.contains(&format!("`{name}`")), "the index does not name {name}");
    }
}

#[test]
fn what_becomes_of_each_payload_is_on_record() {
    for name in names(SHIPPED, Some("yaml")) {
        let source = source(&name);
        let mut record = String::new();
        for (stem, payload) in payloads(&name) {
            let reading = source.read(&payload).unwrap_or_else(|fault| panic!("{name}/{stem}: {fault}"));
            let events: Vec<Value> = reading.events.iter().map(event).collect();
            let told = serde_json::to_string_pretty(&events).expect("JSON");
            writeln!(record, "# {stem}: {} events, {} skipped\n{told}\n", events.len(), reading.skipped).expect("text");
        }
        insta::assert_snapshot!(name, record);
    }
}

fn event(event: &snowgate::mapping::source::SourceEvent) -> Value {
    let data: Value = serde_json::from_str(&event.data).expect("the data is JSON");
    json!({"type": event.change.kind, "dedup": event.event.parts().1, "data": data})
}

#[test]
fn the_same_payload_is_a_repeat_and_another_one_is_not() {
    for name in names(SHIPPED, Some("yaml")) {
        let source = source(&name);
        let mut seen = BTreeSet::new();
        for (stem, payload) in payloads(&name) {
            let keys = |payload: &Value| -> Vec<String> {
                let reading = source.read(payload).expect("it was read before");
                reading.events.iter().map(|event| event.event.parts().1.to_owned()).collect()
            };
            assert_eq!(keys(&payload), keys(&payload), "{name}/{stem}");
            // Payloads that carry all notes so far tell the known ones again.
            let fresh = keys(&payload).into_iter().filter(|key| !key.starts_with("incident.message_added"));
            seen.extend(fresh.map(|key| (key, stem.clone())));
        }
        // An alert that is told again with a later state of its neighbours is a repeat on purpose.
        if name != "alertmanager" {
            let keys: BTreeSet<&String> = seen.iter().map(|(key, _)| key).collect();
            assert_eq!(keys.len(), seen.len(), "{name}: two payloads make the same event: {seen:#?}");
        }
    }
}

#[test]
fn alertmanager_is_never_told_429() {
    // It gives a notification up for every status below 500; see docs/sources/alertmanager.md.
    let busy = |name: &str| source(name).busy();
    for name in ["alertmanager", "alertmanager-group", "grafana", "azure-monitor", "teams-admin-center"] {
        assert_eq!(busy(name), snowgate::mapping::source::Busy::Unavailable, "{name}");
    }
    assert_eq!(busy("pagerduty"), snowgate::mapping::source::Busy::TooManyRequests);
}

#[test]
fn only_events_v2_carries_its_key_in_the_payload() {
    for name in names(SHIPPED, Some("yaml")) {
        assert_eq!(source(&name).has_key(), name == "pagerduty-events", "{name}");
    }
    let (_, trigger) = payloads("pagerduty-events").pop().expect("a payload");
    assert_eq!(source("pagerduty-events").key(&trigger).as_deref(), Some("sgk_canary-key-of-contoso"));
}

#[test]
fn what_a_tool_leaves_out_is_missing_in_the_ticket_and_no_more() {
    // With any one key left out a payload is still read, unless what is left cannot name an incident: then it is refused. The record
    // says which keys those are; it must not grow by accident.
    let mut needed = BTreeSet::new();
    for name in names(SHIPPED, Some("yaml")) {
        let source = source(&name);
        for (stem, whole) in payloads(&name) {
            let pointers = pointers(&whole, "");
            let refused = pointers.iter().filter(|pointer| !is_read_without(&source, &whole, pointer));
            needed.extend(refused.map(|pointer| format!("{name}/{stem} {pointer}")));
        }
    }
    insta::assert_snapshot!("needed", needed.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Whether the payload is read without this key; whatever it becomes then has a name.
fn is_read_without(source: &Source, whole: &Value, pointer: &str) -> bool {
    let mut cut = whole.clone();
    remove(&mut cut, pointer);
    let Ok(reading) = source.read(&cut) else { return false };
    for event in reading.events {
        let id = event.change.incident.id.as_str();
        let own = id.strip_prefix("defender:alert:").or_else(|| id.strip_prefix(source.name())?.strip_prefix(':'));
        let is_named = own.is_some_and(|own| own.contains(char::is_alphanumeric));
        assert!(is_named, "{id} of {} without {pointer}", source.name());
    }
    true
}

/// The places of all values in objects.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| {
                let own = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                let inner = pointers(value, &own);
                std::iter::once(own).chain(inner).collect::<Vec<_>>()
            })
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(place, value)| pointers(value, &format!("{at}/{place}"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let key = key.replace("~1", "/").replace("~0", "~");
    value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(&key);
}

#[test]
fn every_tool_that_can_end_what_it_began_does() {
    for name in names(SHIPPED, Some("yaml")) {
        let source = source(&name);
        let all: BTreeSet<String> = payloads(&name).iter().flat_map(|(_, payload)| kinds(&source, payload)).collect();
        assert!(all.contains("incident.opened") || name == "defender", "{name} opens nothing: {all:?}");
        assert_eq!(all.contains("incident.resolved"), name != "teams-admin-center", "{name}: {all:?}");
    }
}
