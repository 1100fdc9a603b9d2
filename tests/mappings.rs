//! Every shipped mapping compiles without a finding and its cases pass; every broken one is told where and why.

use snowgate::mapping::{Diagnostic, FindingSeverity, Mapping, SourceFile, compile, schema};

fn compiled(name: &str) -> (Option<Mapping>, Vec<Diagnostic>) {
    let text = std::fs::read_to_string(name).expect("the file is part of the repository");
    compile(&SourceFile::new(name, text))
}

fn rendered(findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| finding.render(false) + "\n").collect()
}

fn cases_pass(mapping: &Mapping) {
    for case in mapping.run_cases() {
        assert!(case.passed(), "{}: {} differs: {:#?}", case.line, case.name, case.differences);
    }
}

#[test]
fn the_documented_example_compiles_and_passes() {
    let (mapping, findings) = compiled("tests/fixtures/mappings/contract.yaml");
    assert!(findings.iter().all(|finding| finding.severity == FindingSeverity::Warning), "{}", rendered(&findings));
    cases_pass(&mapping.unwrap());
}

#[test]
fn every_shipped_mapping_compiles_without_a_finding_and_its_cases_pass() {
    let mut count = 0;
    for entry in std::fs::read_dir("mappings").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let (mapping, findings) = compiled(path.to_str().unwrap());
        assert!(findings.is_empty(), "{}", rendered(&findings));
        cases_pass(&mapping.unwrap());
        count += 1;
    }
    assert!(count >= 2, "only {count} mappings were found");
}

/// A small file without a finding; the rows below break it in one place each.
const GOOD: &str = r#"version: 1
name: acme
target: {table: incident}
tables:
  impact: {high: 1, default: 3}
  state: {new: 1, resolved: 6, closed: 6, cancelled: 8, merged: 8, default: 2}
  severity_back: {"1": high, default: low}
to_ticket:
  fields:
    short_description: {value: "{{ incident.title }}", max: 160}
    impact: {value: "{{ incident.severity }}", table: impact}
    state: {value: "{{ incident.state }}", table: state}
    assignment_group: {value: AV Support, lookup: {table: sys_user_group, by: name, missing: skip}}
    u_extra: "x"
  on:
    incident.resolved: {close_code: Solution provided, close_notes: Done}
  messages: {public: comments, internal: work_notes}
  attachments: {max_bytes: 10MB, types: ["image/*"]}
to_incident:
  state: {"1": new, "2": investigating, "3": {awaiting_external: "{{ ticket.hold_reason == '4' }}", default: investigating}, "6": resolved, "8": cancelled}
  fields: {assignee.name: "{{ ticket.assigned_to.display }}", severity: {value: "{{ ticket.impact }}", table: severity_back}}
  messages: {comments: public}
  opens: {when: "{{ ticket.category == 'av' }}"}
policy: {closed_ticket: reopen_or_new, recovery: resolve, on_parked: {create: park}}
cases:
  - name: opens
    event: {type: incident.opened, incident: {id: A-1, title: Broken}}
    lookups: {sys_user_group: {AV Support: a1}}
    expect: {create: {short_description: Broken}}
  - name: resolves
    event: {type: incident.resolved, incident: {id: A-1, title: Broken}}
    expect: {update: {state: 6}}
  - name: comes back
    ticket: {state: 6, impact: 1, assigned_to: {value: 46d4, display: Abel}}
    expect: {incident: {state: resolved, assignee: {name: Abel}}, messages: {work_notes: null}}
"#;

/// What is replaced, by what, and the code expected at `«`.
const BROKEN: &[(&str, &str, &str)] = &[
    // the file itself
    ("name: acme", "name: {«{ acme }}", "M001"),
    ("name: acme", "name: \"acme", "M001"),
    ("target: {table: incident}", "«taget: {table: incident}", "M002"),
    ("value: \"{{ incident.title }}\", max: 160", "value: \"{{ incident.title }}\", «maxx: 160", "M002"),
    ("by: name, missing", "«bye: name, missing", "M002"),
    ("recovery: resolve", "«recover: resolve", "M002"),
    ("    expect: {update: {state: 6}}", "    «expected: {update: {state: 6}}", "M002"),
    ("name: acme\n", "name: acme\n«name: acme\n", "M003"),
    ("    u_extra: \"x\"", "    u_extra: x\n    «u_extra: y", "M003"),
    ("version: 1", "version: «one", "M004"),
    ("max: 160", "max: «long", "M004"),
    ("max: 160", "max: «0", "M004"),
    ("u_extra: \"x\"", "u_extra: «[x]", "M004"),
    ("types: [\"image/*\"]", "types: «image/*", "M004"),
    ("types: [\"image/*\"]", "types: [«image]", "M004"),
    ("max_bytes: 10MB", "max_bytes: «ten", "M004"),
    ("when: \"{{ ticket.category == 'av' }}\"", "when: «always", "M004"),
    ("version: 1\nname: acme\n", "«version: 1\n", "M005"),
    ("{value: AV Support, lookup", "«{lookup", "M005"),
    ("{table: sys_user_group, by: name, missing: skip", "«{table: sys_user_group, missing: skip", "M005"),
    ("version: 1", "version: «2", "M006"),
    ("incident.resolved: {close", "«incident.resolve: {close", "M006"),
    ("recovery: resolve", "recovery: «reslove", "M006"),
    ("missing: skip", "missing: «ignore", "M006"),
    ("{public: comments,", "{«everyone: comments,", "M006"),
    ("{public: comments,", "{public: «comment,", "M006"),
    ("\"2\": investigating,", "\"2\": «investigate,", "M006"),
    // names
    ("    u_extra: \"x\"", "    «Short description: \"x\"", "M010"),
    ("    u_extra: \"x\"", "    «u-extra: \"x\"", "M010"),
    ("table: sys_user_group", "table: «User Group", "M010"),
    ("table: impact}", "table: «impacts}", "M011"),
    ("impact: {high: 1, default: 3}", "impact: {high: 1}", "M012"),
    ("impact: {high: 1, default: 3}", "impact: {high: 1, «hihg: 1, default: 3}", "M013"),
    ("  impact: {high: 1, default: 3}", "  impact: {high: 1, default: 3}\n  «spare: {a: b}", "M014"),
    // expressions
    ("u_extra: \"x\"", "u_extra: \"{{ incident.title «}}\"", "none"),
    ("u_extra: \"x\"", "u_extra: \"{{ incident.title «| }}\"", "M020"),
    ("u_extra: \"x\"", "u_extra: \"«{{ incident.title\"", "M020"),
    ("u_extra: \"x\"", "u_extra: \"«{% if incident.title %}x{% endif %}\"", "M021"),
    ("u_extra: \"x\"", "u_extra: \"{{«- incident.title -}}\"", "M021"),
    ("u_extra: \"x\"", "u_extra: \"{{ «incidnt.title }}\"", "M022"),
    ("u_extra: \"x\"", "u_extra: \"{{ incident.«titel }}\"", "M022"),
    ("u_extra: \"x\"", "u_extra: \"a {{ incident.title }} b {{ incident.affected[0].«nmae or 'x' }}\"", "M022"),
    ("u_extra: \"x\"", "u_extra: >-\n      folded text and\n      {{ incident.«titel }}", "M022"),
    ("assignee.name:", "«assignee.nick:", "M022"),
    ("u_extra: \"x\"", "u_extra: \"{{ incident.title | «trimm }}\"", "M023"),
    ("u_extra: \"x\"", "u_extra: '{{ incident.title | upper | «format(\"x\") }}'", "M023"),
    ("u_extra: \"x\"", "u_extra: \"{{ 'a' if incident.title is «difined else 'b' }}\"", "M024"),
    ("u_extra: \"x\"", "u_extra: \"{{ «range(10) }}\"", "M025"),
    ("u_extra: \"x\"", "u_extra: \"{{ «incident.title.upper() }}\"", "M025"),
    ("u_extra: \"x\"", "u_extra: \"{{ «'x' * 1000 }}\"", "M027"),
    ("u_extra: \"x\"", "u_extra: \"{{ «incident.affected[0] }}\"", "M028"),
    ("u_extra: \"x\"", "u_extra: \"{{ incident.affected.«name }}\"", "M028"),
    ("u_extra: \"x\"", "u_extra: \"{{ incident.title.«first }}\"", "M028"),
    ("u_extra: \"x\"", "u_extra: \"{{ incident.title | «cut }}\"", "M029"),
    ("u_extra: \"x\"", "u_extra: \"{{ «'a' if incident.title }}\"", "M030"),
    // meaning
    ("category == 'av'", "category == 'av", "M020"),
    ("impact: {high: 1, default: 3}", "impact: {high: «\"{{ incident.title }}\", default: 3}", "M021"),
    ("close_notes: Done}", "close_notes: Done, «correlation_id: x}", "M045"),
    ("    u_extra: \"x\"", "    «priority: 1", "M046"),
    ("    u_extra: \"x\"", "    «work_notes: seen", "M047"),
    ("close_notes: Done}", "close_notes: Done}\n    incident.updated: {«work_notes: seen}", "M047"),
    ("close_notes: Done}", "close_notes: Done}\n    incident.message_added: {«comments: seen}", "M047"),
    ("close_notes: Done}", "close_notes: Done, work_notes: over, «comments: over}", "M047"),
    ("close_notes: Done}", "close_notes: Done, work_notes: over}", "none"),
    ("incident: {id: A-1, title: Broken}}\n    lookups", "incident: {id: A-1, title: «[Broken]}}\n    lookups", "M048"),
    ("incident: {id: A-1, title: Broken}}\n    lookups", "incident: «{title: Broken}}\n    lookups", "M048"),
    ("internal: work_notes}", "internal: «comments}", "M043"),
    ("messages: {comments: public}", "messages: {work_notes: «public}", "M043"),
    (
        "    incident.resolved: {close_code: Solution provided, close_notes: Done}",
        "    «incident.resolved: {close_code: Solution provided}",
        "M041",
    ),
    ("closed: 6, cancelled", "cancelled", "M044"),
    ("\"8\": cancelled}", "«\"8\": investigating}", "M044"),
    ("type: incident.resolved", "type: incident.updated", "M042"),
    // the way back
    ("\"1\": new", "«default: new", "M004"),
    ("\"2\": investigating,", "\"2\": «unknown,", "M006"),
    ("\"1\": new", "«In Progress: new", "M055"),
    ("\"1\": new", "«\"1\": resolved", "M044"),
    ("\"6\": resolved", "«\"6\": cancelled", "M051"),
    ("\"1\": new, \"2\": investigating", "«\"1\": investigating, \"2\": new", "M052"),
    ("\"1\": high, default: low", "\"1\": low, default: high", "M052"),
    ("\"1\": high, default: low", "\"1\": high", "M057"),
    ("\"1\": high, default: low", "\"1\": hihg, default: low", "M006"),
    ("new: 1, resolved: 6, closed: 6", "new: 1, resolved: 6, «closed: 7", "M054"),
    ("ticket.assigned_to.display", "«ticket.comments", "M049"),
    ("ticket.assigned_to.display", "«ticket.work_notes.display", "M049"),
    ("ticket.assigned_to.display", "«ticket.Assigned", "M010"),
    ("ticket.assigned_to.display", "«ticket", "M028"),
    ("ticket.assigned_to.display", "«ticket.assigned_to[0]", "M028"),
    ("ticket.assigned_to.display", "«incident.title", "M022"),
    ("ticket.category == 'av'", "ticket.state == «2", "M056"),
    ("ticket.category == 'av'", "ticket.state in «[1, 2]", "M056"),
    ("assignee.name:", "«assignee:", "M028"),
    ("assignee.name:", "«tags:", "M028"),
    ("assignee.name:", "«custom.:", "M028"),
    ("assignee.name:", "«id:", "M045"),
    ("assignee.name:", "«state:", "M045"),
    ("assignee.name:", "custom.a: x, «custom.a.b:", "M028"),
    (
        "assignee.name: \"{{ ticket.assigned_to.display }}\"",
        "assignee.name: {value: \"{{ ticket.assigned_to }}\", on: «always}",
        "M050",
    ),
    (
        "assignee.name: \"{{ ticket.assigned_to.display }}\"",
        "assignee.name: {value: \"{{ ticket.assigned_to }}\", lookup: «{table: sys_user, by: sys_id}}",
        "M050",
    ),
    (
        "assignee.name: \"{{ ticket.assigned_to.display }}\"",
        "assignee.name: x, «title: {value: \"{{ ticket.short_description }}\", when: \"{{ ticket.u_public }}\"}",
        "M053",
    ),
    // its cases
    ("ticket: {state: 6, impact: 1,", "ticket: {state: 6, «imapct: 1,", "M022"),
    ("assignee: {name: Abel}}", "assignee: {«nmae: Abel}}", "M022"),
    ("ticket: {state: 6, impact: 1,", "origin: «nobody\n    ticket: {state: 6, impact: 1,", "M006"),
    ("messages: {work_notes: null}", "messages: {«work_note: null}", "M006"),
    ("messages: {work_notes: null}", "opens: «maybe", "M004"),
    ("expect: {update: {state: 6}}", "expect: {update: {state: 6}, incident: «{state: resolved}}", "M004"),
    ("messages: {work_notes: null}", "create: {state: 6}", "M004"),
    (
        "    ticket: {state: 6,",
        "    event: «{type: incident.opened, incident: {id: A-2, title: B}}\n    ticket: {state: 6,",
        "M004",
    ),
];

#[test]
fn the_file_that_the_rows_break_is_good() {
    let (mapping, findings) = compile(&SourceFile::new("good.yaml", GOOD));
    assert!(findings.is_empty(), "{}", rendered(&findings));
    cases_pass(&mapping.unwrap());
}

#[test]
fn every_broken_file_is_told_where_and_why() {
    let placed = BROKEN.iter().filter(|(_, replacement, code)| replacement.contains('«') && *code != "none").count();
    assert!(placed >= 90, "only {placed} broken files say where they are broken");
    let mut wrong = Vec::new();
    for (needle, replacement, code) in BROKEN {
        assert_eq!(GOOD.matches(needle).count(), 1, "`{needle}` must be in the good file once");
        let marked = GOOD.replace(needle, replacement);
        let text = marked.replace('«', "");
        let place = marked.find('«').map(|byte| {
            let before = marked.get(..byte).unwrap();
            (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap().chars().count() + 1)
        });
        let (mapping, findings) = compile(&SourceFile::new("broken.yaml", text));
        let told = findings.iter().find(|finding| finding.code == *code);
        let right = match (told, place) {
            (Some(told), Some(place)) => (told.line, told.column) == place,
            (Some(_), None) => true,
            (None, _) => *code == "none" && findings.is_empty(),
        };
        let is_error = findings.iter().any(|finding| finding.severity == FindingSeverity::Error);
        if !right || findings.len() > 1 || mapping.is_none() != is_error {
            wrong.push(format!("{replacement}\nexpected {code} at {place:?}, found:\n{}", rendered(&findings)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn everything_wrong_is_told_in_one_go() {
    let mut text = GOOD.replace("incident.title }}", "incident.titel }}").replace("table: impact}", "table: impakt}");
    text = text
        .replace("recovery: resolve", "recovery: never")
        .replace("{id: A-1, title: Broken}}\n    lookups", "{title: 3}}\n    lookups");
    let (mapping, findings) = compile(&SourceFile::new("broken.yaml", text));
    assert!(mapping.is_none());
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["M022", "M011", "M006", "M048", "M048"], "{}", rendered(&findings));
}

#[test]
fn what_is_too_long_is_told() {
    let long = |text: String| GOOD.replace("u_extra: \"x\"", &text);
    for (text, code) in [
        (long(format!("u_extra: \"{{{{ '{}' }}}}\"", "x".repeat(5_000))), "M026"),
        (long(format!("description: {}", "x".repeat(4_001))), "M040"),
        (long(format!("u_extra: \"x\" # {}", "x".repeat(300_000))), "M007"),
        (long((0..501).fold(String::new(), |text, field| text + &format!("u_{field}: x\n    "))), "M007"),
        (
            GOOD.replace(
                "\"1\": new,",
                &(100..601).fold("\"1\": new,".to_owned(), |text, state| text + &format!("\"{state}\": new,")),
            ),
            "M007",
        ),
    ] {
        let (mapping, findings) = compile(&SourceFile::new("long.yaml", text));
        assert!(mapping.is_none());
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [code]);
    }
}

#[test]
fn every_code_is_documented() {
    let page = std::fs::read_to_string("docs/mapping.md").expect("the page is part of the repository");
    let used = BROKEN.iter().map(|(_, _, code)| *code).chain(["M007", "M026", "M040"]);
    for code in used.filter(|code| *code != "none") {
        assert!(page.contains(&format!("| {code} |")), "{code} is not in docs/mapping.md");
    }
}

#[test]
fn the_schema_for_editors_is_up_to_date() {
    let shipped = std::fs::read_to_string("mappings/mapping.schema.json").unwrap_or_default();
    let present = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(shipped == present, "write it again with `snowgate schema mapping > mappings/mapping.schema.json`");
}

#[test]
fn the_schema_takes_the_shipped_files_and_refuses_unknown_keys() {
    let schema = schema();
    let properties = schema["properties"].as_object().unwrap();
    for key in ["version", "name", "target", "tables", "to_ticket", "to_incident", "policy", "cases"] {
        assert!(properties.contains_key(key), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["version", "name", "target", "to_ticket"]));
}

#[test]
fn a_case_that_differs_says_how() {
    let text = GOOD
        .replace(
            "expect: {create: {short_description: Broken}}",
            "expect: {create: {short_description: Other, category: x}}",
        )
        .replace("expect: {update: {state: 6}}", "expect: {update: {state: null}, dropped: message}");
    let (mapping, _) = compile(&SourceFile::new("differs.yaml", text));
    let results = mapping.unwrap().run_cases();
    let differences: Vec<&String> = results.iter().flat_map(|result| &result.differences).collect();
    assert_eq!(
        differences,
        [
            "create.short_description: expected value `Other`, found `Broken`",
            "create.category: expected value `x`, found nothing",
            "update.state: expected value nothing, found `6`",
            "dropped: expected `message`, found `assignment_group: there is no sys_user_group with name = `AV Support``"
        ]
    );
    assert_eq!(results.iter().map(|result| result.line).collect::<Vec<_>>(), [26, 30, 33]);
}

#[test]
fn a_case_of_the_way_back_that_differs_says_how() {
    let text = GOOD.replace(
        "expect: {incident: {state: resolved, assignee: {name: Abel}}, messages: {work_notes: null}}",
        "expect: {incident: {state: closed, severity: null, assignee: {name: Bow}}, opens: true, messages: {comments: internal}, dropped: x}",
    );
    let (mapping, findings) = compile(&SourceFile::new(
        "differs.yaml",
        text.replace("assigned_to: {", "short_description: Dark, assigned_to: {"),
    ));
    let results = mapping.unwrap_or_else(|| panic!("{}", rendered(&findings))).run_cases();
    let differences: Vec<&String> = results.iter().flat_map(|result| &result.differences).collect();
    assert_eq!(
        differences,
        [
            "opens: expected `true`, found `false`",
            "messages.comments: expected visibility `internal`, found `public`",
            "incident.state: expected value `closed`, found `resolved`",
            "incident.severity: expected value nothing, found `high`",
            "incident.assignee.name: expected value `Bow`, found `Abel`",
            "dropped: expected `x`, found nothing",
        ]
    );
}

#[test]
fn a_fight_between_the_two_sides_is_shown_step_by_step() {
    for (back, picture) in [
        ("\"1\": investigating, \"2\": new", "`new` → 1 → `investigating` → 2 → `new`"),
        (
            "\"1\": resolved, \"2\": new, \"6\": investigating",
            "`new` → 1 → `resolved` → 6 → `investigating` → 2 → `new`",
        ),
    ] {
        let text = GOOD.replace("\"1\": new, \"2\": investigating", back);
        let text = if back.contains("\"6\"") { text.replace(", \"6\": resolved, \"8\"", ", \"8\"") } else { text };
        let (mapping, findings) = compile(&SourceFile::new("fight.yaml", text));
        let told: Vec<&Diagnostic> = findings.iter().filter(|finding| finding.code == "M052").collect();
        assert!(mapping.is_none() && told.len() == 1, "{}", rendered(&findings));
        assert!(told.iter().all(|finding| finding.message.contains(picture)), "{}", rendered(&findings));
    }
}

#[test]
fn the_columns_beside_the_state_count_on_the_way_there_and_back() {
    let shipped = std::fs::read_to_string("mappings/teams-rooms.yaml").expect("the file is part of the repository");
    let swapped = shipped.replace("awaiting_external: 4, default", "awaiting_external: 1, default");
    let (_, findings) = compile(&SourceFile::new("x.yaml", swapped));
    let told: Vec<String> = findings.iter().map(|finding| format!("{} {}", finding.code, finding.message)).collect();
    assert_eq!(
        told,
        [
            "M052 `state` does not settle between the two sides: `provider_working` → 3 → `awaiting_external` → 3 → `needs_customer_action` → 2 → `investigating`",
            "M051 what leaves as `awaiting_external` comes back as `needs_customer_action`",
        ]
    );
}

/// The states somebody can say, and a few ticket states.
const STATES: [&str; 10] = [
    "new",
    "investigating",
    "needs_customer_action",
    "provider_working",
    "awaiting_external",
    "mitigated",
    "resolved",
    "closed",
    "cancelled",
    "merged",
];
const TICKET_STATES: [&str; 5] = ["1", "2", "3", "6", "8"];

/// A state map of both directions: the ticket state by state, and the state by ticket state, if it has a row.
fn two_ways(there: &[usize], back: &[Option<usize>]) -> String {
    let rows = STATES.iter().zip(there).map(|(state, ticket)| format!("{state}: {}", TICKET_STATES[*ticket]));
    let back = TICKET_STATES
        .iter()
        .zip(back)
        .filter_map(|(ticket, state)| state.map(|state| format!("\"{ticket}\": {}", STATES[state])));
    format!(
        "version: 1\nname: t\ntarget: {{table: incident}}\ntables: {{s: {{{}, default: 2}}}}\nto_ticket:\n  fields: {{state: {{value: \"{{{{ incident.state }}}}\", table: s}}}}\nto_incident:\n  state: {{{}}}\n",
        rows.collect::<Vec<_>>().join(", "),
        back.collect::<Vec<_>>().join(", ")
    )
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, cases: 300, ..Default::default() })]
    #[test]
    fn a_file_is_refused_exactly_when_a_state_does_not_settle(
        there in proptest::collection::vec(0..TICKET_STATES.len(), STATES.len()),
        back in proptest::collection::vec(proptest::option::weighted(0.9, 0..STATES.len()), TICKET_STATES.len()),
    ) {
        let round = |state: usize| back[there[state]];
        // A word we do not know takes the `default` row, 2.
        let starts = (0..STATES.len()).filter_map(round).chain(back[1]);
        let unsettled = starts.into_iter().any(|once| round(once).is_some_and(|twice| twice != once));
        let (mapping, findings) = compile(&SourceFile::new("both.yaml", two_ways(&there, &back)));
        proptest::prop_assert_eq!(mapping.is_none(), unsettled, "{}", rendered(&findings));
        proptest::prop_assert_eq!(findings.iter().any(|finding| finding.code == "M052"), unsettled);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, cases: 400, ..Default::default() })]
    #[test]
    fn no_text_brings_the_compiler_down(
        start in 0_usize..2_000,
        length in 0_usize..40,
        put in "(\\{\\{|\\}\\}|[\\[\\]{}:'\"|&*!%#@,\\-\\n\\t é0a.]){0,12}",
    ) {
        let letters: Vec<char> = GOOD.chars().collect();
        let (start, end) = (start.min(letters.len()), (start + length).min(letters.len()));
        let text: String = letters[..start].iter().copied().chain(put.chars()).chain(letters[end..].iter().copied()).collect();
        let (mapping, findings) = compile(&SourceFile::new("fuzzed.yaml", text));
        if let Some(mapping) = mapping {
            mapping.run_cases();
        } else {
            proptest::prop_assert!(!findings.is_empty());
        }
        for finding in &findings {
            proptest::prop_assert!(finding.render(true).contains(finding.code));
        }
    }
}
