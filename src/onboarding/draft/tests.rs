//! Drafts compile without an error, and their cases pass, whatever the instance says about itself.

use super::*;
use crate::mapping::{Diagnostic, FindingSeverity, SourceFile, compile};

type Column<'t> = (&'t str, &'t str, usize, &'t [(&'t str, &'t str)]);

const LEVELS: &[(&str, &str)] = &[("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low")];

fn facts(table: &str, columns: &[Column<'_>]) -> TableFacts {
    let mut facts =
        TableFacts { table: table.to_owned(), source: "https://x.example".to_owned(), ..TableFacts::default() };
    for (name, kind, chars, choices) in columns {
        let column = ColumnFacts {
            label: (*name).replace('_', " "),
            kind: (*kind).to_owned(),
            chars: Some(*chars),
            reference: (*kind == "reference").then(|| "sys_user_group".to_owned()),
        };
        facts.columns.insert((*name).to_owned(), column);
        let choice = |(value, label): &(&str, &str)| ChoiceFacts { value: (*value).into(), label: (*label).into() };
        if !choices.is_empty() {
            facts.choices.insert((*name).to_owned(), choices.iter().map(choice).collect());
        }
    }
    facts
}

/// What the base system says of `incident`.
fn incident() -> TableFacts {
    let states =
        [("1", "New"), ("2", "In Progress"), ("3", "On Hold"), ("6", "Resolved"), ("7", "Closed"), ("8", "Canceled")];
    let codes =
        ["Duplicate", "Resolved by caller", "Solution provided", "No resolution provided"].map(|code| (code, code));
    let mut facts = facts(
        "incident",
        &[
            ("short_description", "string", 160, &[]),
            ("description", "string", 4_000, &[]),
            ("impact", "integer", 40, LEVELS),
            ("urgency", "integer", 40, LEVELS),
            ("state", "integer", 40, &states),
            ("hold_reason", "integer", 40, &[("1", "Awaiting Caller"), ("4", "Awaiting Vendor")]),
            ("close_code", "string", 40, &codes),
            ("close_notes", "string", 4_000, &[]),
            ("assignment_group", "reference", 32, &[]),
            ("assigned_to", "reference", 32, &[]),
            ("caller_id", "reference", 32, &[]),
            ("contact_type", "string", 40, &[("phone", "Phone"), ("monitoring", "Monitoring")]),
            ("category", "string", 40, &[("inquiry", "Inquiry / Help"), ("hardware", "Hardware")]),
            ("comments", "journal_input", 4_000, &[]),
            ("work_notes", "journal_input", 4_000, &[]),
        ],
    );
    facts.groups = vec!["Network".to_owned(), "AV Support".to_owned()];
    facts
}

/// Compiles a draft, which must have no finding, passes its cases, and gives its text.
fn check(facts: &TableFacts) -> String {
    let text = facts.draft("acme");
    let (mapping, findings) = compile(&SourceFile::new("draft.yaml", text.clone()));
    let rendered: Vec<String> = findings.iter().map(|finding: &Diagnostic| finding.render(false)).collect();
    assert!(findings.is_empty(), "{}\n{text}", rendered.join("\n"));
    assert!(findings.iter().all(|finding| finding.severity != FindingSeverity::Error));
    for case in mapping.expect("it compiles").run_cases() {
        assert!(case.passed(), "{}: {:#?}\n{text}", case.name, case.differences);
    }
    text
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|known| known.trim() == *line), "`{line}` is not in\n{text}");
    }
}

#[test]
fn an_incident_is_drafted_with_the_instances_own_values() {
    let text = check(&incident());
    has(
        &text,
        &[
            "short_description: {value: \"{{ incident.title }}\", max: 160, when: \"{{ incident.title is defined }}\"}",
            "impact: {critical: 1, high: 1, medium: 2, default: 3}",
            "cancelled: 8",
            "hold_reason: {provider_working: 4, awaiting_external: 4, default: \"\"}",
            "fixed_by_customer: Resolved by caller",
            "default: Solution provided",
            "# Network, AV Support",
            "assignment_group: {value: AV Support, lookup: {table: sys_user_group, by: name, missing: park}, on: create}",
            "contact_type: {value: monitoring, on: create}",
            "\"7\": closed    # Closed",
            "messages: {public: comments, internal: work_notes}",
        ],
    );
}

#[test]
fn what_only_a_person_can_know_is_filled_and_marked() {
    let mut facts = incident();
    for (name, kind, chars) in [
        ("u_cost_center", "string", 12),
        ("u_site_group", "reference", 32),
        ("u_vip", "boolean", 40),
        ("u_floor", "integer", 40),
        ("u_due", "glide_date_time", 40),
        ("u_root_cause", "string", 100),
    ] {
        let reference = (kind == "reference").then(|| "sys_user_group".to_owned());
        let column = ColumnFacts { label: name.to_uppercase(), kind: kind.to_owned(), chars: Some(chars), reference };
        facts.columns.insert(name.to_owned(), column);
    }
    facts.to_open =
        ["u_cost_center", "u_site_group", "u_vip", "u_floor", "u_due", "category"].map(str::to_owned).into();
    facts.to_resolve = ["close_code", "close_notes", "u_root_cause"].map(str::to_owned).into();
    facts.sometimes = vec![("u_site_contact".to_owned(), "a data policy wants it while `impact=1`".to_owned())];
    facts.examples.insert("sys_user_group".to_owned(), ("name".to_owned(), "Network".to_owned()));
    let text = check(&facts);
    has(
        &text,
        &[
            "# FILL IN: a data policy wants `u_cost_center` (U_COST_CENTER) in every ticket.",
            "u_cost_center: {value: FILL IN U_CO, on: create}",
            "u_site_group: {value: Network, lookup: {table: sys_user_group, by: name, missing: park}, on: create}",
            "u_vip: {value: \"false\", on: create}",
            "# FILL IN: a data policy wants `u_root_cause` (U_ROOT_CAUSE) to resolve.",
            "# FILL IN: `u_site_contact`: a data policy wants it while `impact=1`. Write it if your tickets can get there.",
            "lookups: {sys_user_group: {AV Support: a1, Network: a1}}",
        ],
    );
}

#[test]
fn a_table_with_other_states_says_by_a_code_what_was_called_off() {
    let mut facts = incident();
    facts.table = "sn_customerservice_case".to_owned();
    for gone in ["close_code", "hold_reason", "caller_id", "category"] {
        facts.columns.remove(gone);
        facts.choices.remove(gone);
    }
    let choices = |pairs: &[(&str, &str)]| -> Vec<ChoiceFacts> {
        pairs.iter().map(|(value, label)| ChoiceFacts { value: (*value).into(), label: (*label).into() }).collect()
    };
    facts
        .columns
        .insert("resolution_code".to_owned(), ColumnFacts { kind: "integer".to_owned(), ..ColumnFacts::default() });
    let codes =
        choices(&[("1", "Solved - Fixed by Support"), ("3", "Solved - Fixed by Customer"), ("4", "Void/Cancelled")]);
    facts.choices.insert("resolution_code".to_owned(), codes);
    let states = choices(&[("1", "New"), ("10", "Open"), ("18", "Awaiting Info"), ("6", "Resolved"), ("3", "Closed")]);
    facts.choices.insert("state".to_owned(), states);
    let text = check(&facts);
    has(
        &text,
        &[
            "target: {table: sn_customerservice_case}",
            "investigating: 10",
            "provider_working: 18",
            "void: 4",
            "\"6\": {cancelled: \"{{ ticket.resolution_code == '4' }}\", default: resolved}    # Resolved",
        ],
    );
}

#[test]
fn an_instance_that_says_next_to_nothing_still_gives_a_file() {
    let bare = facts("u_ticket", &[("short_description", "string", 80, &[]), ("close_notes", "string", 80, &[])]);
    let text = bare.draft("bare");
    let (mapping, findings) = compile(&SourceFile::new("draft.yaml", text.clone()));
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == FindingSeverity::Error)
        .map(|finding| finding.render(false))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
    assert!(mapping.expect("it compiles").run_cases().iter().all(crate::mapping::CaseResult::passed));
}

#[test]
fn an_instance_cannot_put_expressions_into_the_file() {
    let mut facts = incident();
    let evil = |value: &str| ChoiceFacts { value: value.to_owned(), label: "x\ncases: []\n".to_owned() };
    facts.choices.insert("category".to_owned(), vec![evil("{{ incident.custom }}"), evil("a'b: [")]);
    facts.groups = vec!["{{ incident }}".to_owned(), "A: {b}\n".to_owned(), "Fine, \"quoted\"".to_owned()];
    facts.source = "https://x.example\nversion: 2".to_owned();
    let text = check(&facts);
    has(&text, &["category: {value: \"a'b: [\", on: create}"]);
    assert!(!text.contains("value: {{"), "{text}");
}
