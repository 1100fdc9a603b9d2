//! Mapping files of the tests: small ones, so that each call to the instance is one the test knows of.

/// The shipped one, with everything.
pub(crate) const TEAMS_ROOMS: &str = include_str!("../../mappings/teams-rooms.yaml");

/// Everything that can be said about an incident in four fields, and messages.
pub(crate) const PLAIN: &str = r#"
version: 1
name: plain
target: {table: incident}
tables:
  impact: {critical: 1, high: 1, medium: 2, default: 3}
  state: {new: 1, resolved: 6, closed: 6, cancelled: 8, merged: 8, default: 2}
to_ticket:
  fields:
    short_description: {value: "{{ incident.title }}", max: 160, when: "{{ incident.title is defined }}"}
    impact: {value: "{{ incident.severity }}", table: impact, when: "{{ incident.severity is defined }}"}
    state: {value: "{{ incident.state }}", table: state, when: "{{ incident.state is defined }}"}
    # MORE
    close_code: {value: Solution provided, when: "{{ incident.state in ['resolved', 'closed', 'cancelled', 'merged'] }}"}
    close_notes:
      value: "{{ incident.resolution.notes or 'Resolved.' }}"
      when: "{{ incident.state in ['resolved', 'closed', 'cancelled', 'merged'] }}"
  on:
    incident.message_added:
      description: {value: "{{ message.text }}", max: 4000, on: always}
  messages: {public: comments, internal: work_notes}
policy:
  closed_ticket: reopen_or_new
  recovery: resolve
  on_parked: {create: park, message: skip, change: skip}
cases:
  - name: an incident opens a ticket
    event: {type: incident.opened, incident: {id: M-1, title: Dark, severity: high}}
    expect: {create: {short_description: Dark, impact: 1, state: 1}}
  - name: a resolution resolves it
    event: {type: incident.resolved, incident: {id: M-1}}
    expect: {update: {state: 6, close_code: Solution provided}}
"#;

/// [`PLAIN`] with more fields, one `name: rule` a line.
pub(crate) fn plain_with(fields: &[&str]) -> String {
    PLAIN.replace("# MORE", &fields.join("\n    "))
}

/// [`PLAIN`] with a way back that reads a few columns.
pub(crate) fn both_ways() -> String {
    let back = r#"
to_incident:
  state: {"1": new, "2": investigating, "6": resolved, "7": closed, "8": cancelled}
  fields:
    title: "{{ ticket.short_description }}"
    recommended_action: {value: "{{ ticket.hold_reason }}", when: "{{ ticket.hold_reason }}"}
    assignee.name: "{{ ticket.assigned_to.display }}"
  messages: {comments: public}
policy:"#;
    PLAIN.replacen("\npolicy:", back, 1)
}
