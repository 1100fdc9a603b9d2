//! What the language of sources refuses, and where it says so; what cases compare; the schema for editors.
//!
//! What payloads do to a good file is in `mapping::source::tests`, the route in `it/source_route.rs`.

use snowgate::mapping::source::{Source, compile};
use snowgate::mapping::{Diagnostic, FindingSeverity, SourceFile, source_schema};

/// A small file without a finding; the rows below break it in one place each.
const GOOD: &str = r#"version: 1
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
  title: {value: "{{ item.summary }}", max: 160}
  severity: {value: "{{ item.severity }}", table: severity}
  labels: "{{ item.labels }}"
  affected:
    - {each: "{{ item.rooms }}", when: "{{ entry.name != '' }}", kind: room, name: "{{ entry.name }}"}
  tags: ["{{ item.tag }}"]
also:
  - each: "{{ item.comments }}"
    event: incident.message_added
    message: {text: "{{ item.html | html_to_text }}", author.name: "{{ parent.owner }}"}
cases:
  - name: opens
    payload: {alerts: [{status: firing, fingerprint: f, startsAt: s, summary: Broken, severity: page, labels: {}, rooms: [], tag: a, comments: []}]}
    expect: {events: [{type: incident.opened, id: f, incident: {severity: critical, affected: null}}], skipped: 0}
"#;

/// What is replaced, by what, and the code expected at `«`.
const BROKEN: &[(&str, &str, &str)] = &[
    // the file itself
    ("version: 1\n", "version: {«{ one }}\n", "M001"),
    ("busy: 503", "«bussy: 503", "M002"),
    ("    event: incident.message_added", "    «events: incident.message_added", "M002"),
    ("version: 1\n", "version: 1\n«version: 1\n", "M003"),
    ("version: 1\n", "version: «2\n", "M006"),
    ("version: 1\n", "«", "M005"),
    ("source: tool\n", "", "M005"),
    ("source: tool", "source: «Tool", "M004"),
    ("source: tool", "source: «other", "M060"),
    ("busy: 503", "busy: «500", "M006"),
    ("busy: 503", "busy: «soon", "M004"),
    ("key: \"{{ payload.routing_key }}\"", "key: «secret", "M004"),
    ("key: \"{{ payload.routing_key }}\"", "key: \"{{ «item.routing_key }}\"", "M022"),
    // items
    ("each: \"{{ payload.alerts }}\"", "each: «alerts", "M028"),
    ("each: \"{{ payload.alerts }}\"", "each: «\"all {{ payload.alerts }}\"", "M028"),
    ("each: \"{{ payload.alerts }}\"", "each: \"{{ «item.alerts }}\"", "M022"),
    ("when: \"{{ item.labels.test is undefined }}\"", "when: «always", "M004"),
    ("id: \"{{ item.fingerprint }}\"\n", "", "M005"),
    ("id: \"{{ item.fingerprint }}\"", "id: «everything", "M004"),
    ("id: \"{{ item.fingerprint }}\"", "id: \"{{ «itme.fingerprint }}\"", "M022"),
    ("id: \"{{ item.fingerprint }}\"", "id: \"{{ item.fingerprint | «uper }}\"", "M023"),
    ("id: \"{{ item.fingerprint }}\"", "id: \"{{ «parent.fingerprint }}\"", "M022"),
    ("dedup: \"{{ item.fingerprint ~ '/' ~ item.startsAt }}\"", "dedup: \"{{ item.fingerprint | «split }}\"", "M029"),
    // events
    ("event: {value: \"{{ item.status }}\", table: events}", "event: «incident.open", "M006"),
    ("{firing: incident.opened,", "{firing: opened,", "M006"),
    ("table: events}", "table: «event}", "M011"),
    ("tables:\n", "tables:\n  «spare: {a: b}\n", "M014"),
    ("    message: {text: \"{{ item.html | html_to_text }}\", author.name: \"{{ parent.owner }}\"}\n", "", "M005"),
    ("event: incident.message_added", "event: «incident.message_add", "M006"),
    // fields
    ("  title: {value", "  «titel: {value", "M022"),
    ("  title: {value", "  «id: {value", "M045"),
    ("  title: {value: \"{{ item.summary }}\", max: 160}", "  title: {value: \"{{ item.summary }}\", max: «0}", "M004"),
    ("max: 160}", "on: «create}", "M050"),
    ("max: 160}", "lookup: «{table: x, by: y}}", "M050"),
    ("{page: critical,", "{page: urgent,", "M006"),
    ("  severity: {value: \"{{ item.severity }}\", table: severity}", "  «severity: urgent", "M006"),
    ("  labels: \"{{ item.labels }}\"", "  labels: \"{{ item.labels }}\"\n  custom.a: x\n  «custom.a.b: y", "M028"),
    ("author.name:", "«author.nick:", "M022"),
    ("author.name:", "«visibility.name:", "M028"),
    // lists
    ("  tags: [\"{{ item.tag }}\"]", "  «tags: important", "M028"),
    ("  tags: [\"{{ item.tag }}\"]", "  «description: [\"{{ item.tag }}\"]", "M028"),
    ("kind: room,", "«nick: x,", "M022"),
    ("kind: room,", "«kind: rom,", "M006"),
    (
        "- {each: \"{{ item.rooms }}\", when: \"{{ entry.name != '' }}\", kind: room, name: \"{{ entry.name }}\"}",
        "- {kind: room, name: \"{{ «entry.name }}\"}",
        "M022",
    ),
    (
        "- {each: \"{{ item.rooms }}\", when: \"{{ entry.name != '' }}\", kind: room, name: \"{{ entry.name }}\"}",
        "- «room 7",
        "M028",
    ),
    ("{each: \"{{ item.rooms }}\", when", "{each: «rooms, when", "M028"),
    // cases
    ("    expect: {events", "    «expects: {events", "M002"),
    ("    payload: {", "    file: «x.json\n    payload: {", "M004"),
    (
        "expect: {events: [{type: incident.opened, id: f, incident: {severity: critical, affected: null}}], skipped: 0}",
        "expect: «{}",
        "M005",
    ),
    ("skipped: 0", "skipped: «none", "M004"),
];

fn compiled(text: impl Into<String>) -> (Option<Source>, Vec<Diagnostic>) {
    compile(&SourceFile::new("mappings/sources/tool.yaml", text))
}

fn rendered(findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| finding.render(false) + "\n").collect()
}

/// The differences of a file's only case.
fn differences(text: impl Into<String>) -> Vec<String> {
    let (source, findings) = compiled(text);
    assert!(source.is_some(), "{}", rendered(&findings));
    let source = source.expect("just checked");
    let file = |name: &str| {
        if name == "good.json" { Ok("{\"alerts\": []}".to_owned()) } else { Err("is not there".to_owned()) }
    };
    source.run_cases(&file).into_iter().flat_map(|case| case.differences).collect()
}

#[test]
fn the_good_file_is_good() {
    let (source, findings) = compiled(GOOD);
    assert!(source.is_some() && findings.is_empty(), "{}", rendered(&findings));
    assert_eq!(differences(GOOD), Vec::<String>::new());
}

#[test]
fn every_slip_is_told_at_its_place() {
    let mut wrong = Vec::new();
    for (needle, replacement, code) in BROKEN {
        assert_eq!(GOOD.matches(needle).count(), 1, "`{needle}` must be in the good file once");
        let marked = GOOD.replace(needle, replacement);
        let place = marked.find('«').map(|byte| {
            let before = marked.get(..byte).unwrap();
            (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap().chars().count() + 1)
        });
        let (source, findings) = compiled(marked.replace('«', ""));
        let told = findings.iter().find(|finding| finding.code == *code);
        let right = told.is_some_and(|told| place.is_none_or(|place| (told.line, told.column) == place));
        let is_error = findings.iter().any(|finding| finding.severity == FindingSeverity::Error);
        if !right || findings.len() > 1 || source.is_none() != is_error {
            wrong.push(format!("{replacement}\nexpected {code} at {place:?}, found:\n{}", rendered(&findings)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_without_a_case_is_asked_for_one() {
    let (start, _) = GOOD.split_once("cases:").unwrap();
    let (source, findings) = compiled(start);
    assert!(source.is_some());
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["M061"]);
}

#[test]
fn a_case_that_differs_says_how() {
    for (from, to, expected) in [
        (
            "severity: critical,",
            "severity: high,",
            "events[0].incident.severity: expected \"high\", found \"critical\"",
        ),
        ("affected: null", "title: null", "events[0].incident.title: expected null, found \"Broken\""),
        ("id: f, incident", "id: g, incident", "events[0].id: expected \"g\", found \"f\""),
        ("skipped: 0", "skipped: 2", "skipped: expected 2, found 0"),
        ("expect: {events: [", "expect: {events: [{}, ", "events: expected 2, found 1 (incident.opened)"),
        (
            "expect: {events:",
            "expect: {refused: \"no\", events:",
            "refused: expected a refusal, found 1 (incident.opened)",
        ),
        (
            "status: firing,",
            "",
            "refused: /alerts/0/status: `event` of the source: `item.status` is not there; if it may be absent, \
          the source file says so with `default(…)` or `when:`",
        ),
    ] {
        assert_eq!(GOOD.matches(from).count(), 1, "{from}");
        assert_eq!(differences(GOOD.replace(from, to)), [expected]);
    }
    let (start, _) = GOOD.split_once("    payload:").unwrap();
    let with_file = |name: &str| format!("{start}    file: {name}\n    expect: {{events: []}}\n");
    assert_eq!(differences(with_file("good.json")), Vec::<String>::new());
    assert_eq!(differences(with_file("gone.json")), ["file `gone.json` is not there"]);
    let (_, expect) = GOOD.split_once("expect: ").unwrap();
    let refused = GOOD.replace(expect, "{refused: \"/alerts/0/status\"}\n").replace("status: firing,", "");
    assert_eq!(differences(refused), Vec::<String>::new());
}

#[test]
fn every_code_is_documented() {
    let page = std::fs::read_to_string("docs/mapping.md").expect("the page is part of the repository");
    for code in BROKEN.iter().map(|(_, _, code)| *code).chain(["M061"]) {
        assert!(page.contains(&format!("| {code} |")), "{code} is not in docs/mapping.md");
    }
}

#[test]
fn every_filter_of_the_language_is_documented() {
    let page = std::fs::read_to_string("docs/mapping.md").expect("the page is part of the repository");
    for filter in ["html_to_text", "lines", "selectattr", "split", "time"] {
        assert!(page.contains(&format!("`{filter}")), "{filter} is not in docs/mapping.md");
    }
}

#[test]
fn the_schema_for_editors_is_up_to_date() {
    let shipped = std::fs::read_to_string("mappings/source.schema.json").unwrap_or_default();
    let present = serde_json::to_string_pretty(&source_schema()).unwrap() + "\n";
    assert!(shipped == present, "write it again with `snowgate schema source > mappings/source.schema.json`");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, cases: 400, ..Default::default() })]
    #[test]
    fn no_text_brings_the_compiler_down(
        start in 0_usize..1_600,
        length in 0_usize..40,
        put in "(\\{\\{|\\}\\}|[\\[\\]{}:'\"|&*!%#@,\\-\\n\\t é0a.]){0,12}",
    ) {
        let letters: Vec<char> = GOOD.chars().collect();
        let (start, end) = (start.min(letters.len()), (start + length).min(letters.len()));
        let text: String = letters[..start].iter().copied().chain(put.chars()).chain(letters[end..].iter().copied()).collect();
        let (source, findings) = compiled(text);
        if let Some(source) = source {
            source.run_cases(&|_| Err("is not there".to_owned()));
        } else {
            proptest::prop_assert!(!findings.is_empty());
        }
    }
}
