//! What tickets say, for each feature of the way back.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use super::TicketPhase::{Final, Open, Resolved};
use super::*;
use crate::domain::incident::Origin;
use crate::mapping::{SourceFile, compile};
use serde_json::json;

fn mapping(to_incident: &str) -> Mapping {
    let text = format!(
        "version: 1\nname: t\ntarget: {{table: incident}}\ntables: {{t: {{\"1\": high, \"2\": low}}, loose: {{default: medium}}}}\n\
         to_ticket: {{fields: {{u_other: a}}}}\nto_incident:\n{to_incident}\n"
    );
    let (mapping, findings) = compile(&SourceFile::new("t.yaml", text));
    mapping.unwrap_or_else(|| panic!("{findings:#?}"))
}

/// `value` or `value/display` by column.
fn view(columns: &[(&str, &str)]) -> TicketView {
    let mut view = TicketView::default();
    for (column, cell) in columns {
        let (value, display) = cell.split_once('/').map_or((*cell, None), |(value, display)| (value, Some(display)));
        view.set(*column, value, display.map(str::to_owned));
    }
    view
}

/// What one field of the way back says, or why it says nothing.
fn check(path: &str, rule: &str, columns: &[(&str, &str)], expected: &str) {
    let mapping = mapping(&format!("  fields:\n    {path}: {rule}"));
    let found = match mapping.to_incident(&view(columns)) {
        Ok(draft) => draft.fields.get(path).cloned().unwrap_or_else(|| "not sent".to_owned()),
        Err(fault) => fault.to_string(),
    };
    assert_eq!(found, expected, "{rule}");
}

#[test]
fn columns_have_a_raw_and_a_display_value() {
    let assigned = [("assigned_to", "46d4/Abel Tuter")];
    check("assignee.name", "\"{{ ticket.assigned_to.display }}\"", &assigned, "Abel Tuter");
    check("assignee.id", "\"{{ ticket.assigned_to }}\"", &assigned, "46d4");
    check("assignee.name", "\"{{ ticket['assigned_to'].display | upper }}\"", &assigned, "ABEL TUTER");
    check("assignee.name", "\"{{ ticket.assigned_to.display }}\"", &[("assigned_to", "")], "");
    check("reporter.email", "\"{{ ticket.caller_id.email }}\"", &[("caller_id.email", "a@b")], "a@b");
    let missing = "field `assignee.name`: `ticket.assigned_to.display` did not come with the ticket; \
                   if it may be absent, say so with `default(…)` or `when:`";
    check("assignee.name", "\"{{ ticket.assigned_to.display }}\"", &[("assigned_to", "46d4")], missing);
    check("assignee.name", "\"{{ ticket.assigned_to.display }}\"", &[], missing);
    check("assignee.name", "\"{{ ticket.assigned_to.display | default('nobody') }}\"", &[], "nobody");
    let only_set = "{value: \"{{ ticket.assigned_to.display }}\", when: \"{{ ticket.assigned_to }}\", max: 4}";
    check("assignee.name", only_set, &assigned, "Abel");
    check("assignee.name", only_set, &[("assigned_to", "")], "not sent");
}

#[test]
fn values_take_the_form_of_their_field() {
    let raw = "\"{{ ticket.u_x }}\"";
    check("times.resolved_at", raw, &[("u_x", "2026-11-22 06:00:00")], "2026-11-22T06:00:00Z");
    check("times.resolved_at", raw, &[("u_x", "2026-11-22T07:00:00+01:00")], "2026-11-22T06:00:00Z");
    check("times.resolved_at", raw, &[("u_x", "")], "not sent");
    for wrong in ["22.11.2026 06:00:00", "2026-11-22", "soon"] {
        let fault = format!(
            "field `resolution.at`: `{wrong}` is not a time such as `2026-11-22 06:00:00`; display values are in somebody's zone"
        );
        check("resolution.at", raw, &[("u_x", wrong)], &fault);
    }
    check("severity", "{value: \"{{ ticket.u_x }}\", table: t}", &[("u_x", "1")], "high");
    check("severity", raw, &[("u_x", "High")], "high");
    check("severity", raw, &[("u_x", "")], "not sent");
    check(
        "severity",
        "{value: \"{{ ticket.u_x }}\", table: t}",
        &[("u_x", "3")],
        "field `severity`: table `t` has no row for `3` and no `default`",
    );
    check(
        "severity",
        raw,
        &[("u_x", "1 - High")],
        "field `severity`: `1 - High` is not one of `critical`, `high`, `medium`, `low`, `informational` and `unknown`; \
         a value table translates",
    );
    check("high_impact", raw, &[("u_x", "1")], "true");
    check("episode", raw, &[("u_x", "two")], "field `episode`: `two` is not a whole number");
}

#[test]
fn a_state_is_translated_by_its_number_and_never_guessed() {
    let mapping = mapping(
        "  state: {\"2\": investigating, \"3\": {awaiting_external: \"{{ ticket.hold_reason == '4' }}\", default: needs_customer_action}}",
    );
    let state = |columns: &[(&str, &str)]| {
        let draft = mapping.explain_back(&view(columns)).unwrap();
        (draft.state, draft.dropped.len(), draft.trace.last().map(|line| line.why.clone()).unwrap_or_default())
    };
    assert_eq!(state(&[("state", "2")]), (Some(State::Investigating), 0, "ticket state `2`".into()));
    let held = "ticket state `3`, and its condition holds".to_owned();
    assert_eq!(state(&[("state", "3"), ("hold_reason", "4")]), (Some(State::AwaitingExternal), 0, held));
    let (waiting, ..) = state(&[("state", "3"), ("hold_reason", "1")]);
    assert_eq!(waiting, Some(State::NeedsCustomerAction));
    let none = |state: &str| format!("`to_incident.state` has no row for the ticket state `{state}`");
    assert_eq!(state(&[("state", "In Progress")]), (None, 1, none("In Progress")));
    assert_eq!(state(&[("state", "1/New")]), (None, 1, none("1")));
    assert!(mapping.to_incident(&view(&[])).unwrap_err().to_string().contains("`ticket.state` did not come"));
}

#[test]
fn the_columns_it_reads_are_known_and_asked_for() {
    let mapping = mapping(
        "  state: {\"3\": {awaiting_external: \"{{ ticket.hold_reason == '4' }}\", default: investigating}}\n  \
           fields: {assignee.name: \"{{ ticket.assigned_to.display }}\", severity: {value: \"{{ ticket.impact }}\", table: t, when: \"{{ ticket.u_vip }}\"}}\n  \
           opens: {when: \"{{ ticket.assignment_group.display == 'SOC' }}\"}",
    );
    assert_eq!(
        mapping.ticket_columns().iter().map(|column| &**column).collect::<Vec<_>>(),
        [
            "state",
            "hold_reason",
            "assigned_to",
            "impact",
            "u_vip",
            "assignment_group",
            "short_description",
            "description"
        ]
    );
    let mut columns = vec![
        ("state", "2"),
        ("hold_reason", ""),
        ("assigned_to", "46d4/Abel"),
        ("impact", "1"),
        ("u_vip", ""),
        ("assignment_group", ""),
        ("short_description", "Dark"),
        ("description", ""),
    ];
    assert!(mapping.covers(&view(&columns)));
    columns[2] = ("assigned_to", "46d4");
    assert!(!mapping.covers(&view(&columns)), "a display value is missing");
    columns[2] = ("assigned_to", "");
    assert!(mapping.covers(&view(&columns)), "an empty reference needs none");
    assert!(!mapping.covers(&view(&columns[1..])), "a column is missing");
}

#[test]
fn only_what_depends_on_a_changed_column_is_sent() {
    let mapping = mapping(
        "  state: {\"2\": investigating, \"3\": {awaiting_external: \"{{ ticket.hold_reason == '4' }}\", default: investigating}}\n  \
           fields: {assignee.name: \"{{ ticket.assigned_to.display }}\", assignee.id: \"{{ ticket.assigned_to }}\", severity: {value: \"{{ ticket.impact }}\", table: t}, category: av, high_impact: \"{{ ticket.u_vip }}\"}",
    );
    let columns =
        [("state", "3"), ("hold_reason", "4"), ("assigned_to", "46d4/Abel"), ("impact", "1"), ("u_vip", "true")];
    let draft = mapping.to_incident(&view(&columns)).unwrap();
    let changed = |names: &'static [&'static str]| {
        draft.to_json(&move |output| output.depends_on(&|column: &str| names.contains(&column)))
    };
    assert_eq!(changed(&["assigned_to"]), json!({"assignee": {"id": "46d4", "name": "Abel"}}));
    assert_eq!(changed(&["hold_reason"]), json!({"state": "awaiting_external"}));
    assert_eq!(changed(&["impact", "u_vip", "other"]), json!({"severity": "high", "high_impact": true}));
    assert_eq!(changed(&[]), json!({}));
    assert_eq!(
        draft.changes_since(&|column| column == "impact").map(|output| output.path).collect::<Vec<_>>(),
        ["severity"]
    );
    assert_eq!(draft.to_json(&|_| true)["category"], "av");
    let working = mapping.to_incident(&view(&[
        ("state", "2"),
        ("hold_reason", ""),
        ("assigned_to", ""),
        ("impact", "1"),
        ("u_vip", ""),
    ]));
    let by_reason = |column: &str| column == "hold_reason";
    assert_eq!(working.unwrap().changes_since(&by_reason).count(), 0, "a hold reason says nothing while work goes on");
}

#[test]
fn a_customers_ticket_opens_with_its_title() {
    let mapping = mapping("  opens: {when: \"{{ ticket.assignment_group.display == 'SOC' }}\"}");
    assert!(mapping.opens(&view(&[("assignment_group", "9/SOC")])).unwrap());
    assert!(!mapping.opens(&view(&[("assignment_group", "")])).unwrap());
    assert!(!mapping.opens(&view(&[])).unwrap());
    let ticket = view(&[("short_description", "Dark"), ("description", "")]);
    assert_eq!(mapping.to_opened_incident(&ticket).unwrap().to_json(&|_| true), json!({"title": "Dark"}));
    assert!(mapping.to_opened_incident(&view(&[("short_description", " ")])).is_err());
}

#[test]
fn what_is_not_listed_stays_private() {
    let nothing = mapping("  state: {\"2\": investigating}");
    assert_eq!(JournalField::ALL.map(|journal| nothing.leaves_as(journal)), [None, None]);
    assert!(nothing.attachments_back().is_none() && !nothing.opens(&view(&[])).unwrap());
    let some = mapping("  messages: {comments: public}\n  attachments: {types: [image/png]}");
    assert_eq!(JournalField::ALL.map(|journal| some.leaves_as(journal)), [Some(Visibility::Public), None]);
    assert!(some.attachments_back().is_some_and(|rule| rule.takes("image/png") && !rule.takes("text/html")));
}

#[test]
fn a_phase_comes_from_the_file_or_from_the_base_numbers() {
    let base = mapping("  messages: {comments: public}");
    let phases = |mapping: &Mapping| ["1", "3", "6", "7", "8"].map(|state| mapping.ticket_phase(state));
    assert_eq!(phases(&base), [Open, Open, Resolved, Final, Final]);
    let own = mapping(
        "  state: {\"3\": resolved, \"6\": investigating, \"8\": {merged: \"{{ ticket.close_code == 'Duplicate' }}\", default: cancelled}}",
    );
    assert_eq!(phases(&own), [Open, Resolved, Open, Final, Final]);
}

#[test]
fn what_telemetry_raised_is_handed_back_and_not_ended() {
    let mapping = mapping("  state: {\"2\": investigating, \"6\": resolved}");
    let draft = |state: &str, origin| mapping.to_incident(&view(&[("state", state)])).unwrap().for_origin(origin);
    assert_eq!(draft("6", Origin::Customer).to_json(&|_| true), json!({"state": "resolved"}));
    let ended = draft("6", Origin::System);
    assert_eq!((ended.handed_back, ended.dropped.len()), (Some(State::Resolved), 1));
    assert_eq!(ended.to_json(&|output| output.depends_on(&|column| column == "state")), json!({"owner": "provider"}));
    assert_eq!(draft("2", Origin::System).state, Some(State::Investigating));
}
