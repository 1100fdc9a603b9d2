//! The incident table's own rules: defaults that depend on each other, the priority look-up, the state model.
//!
//! Owns: what the platform's business rules do to an incident before it is stored.
//! Never: stores, looks at one column alone (that is `write`), or asks data policies (that is `policies`). Fails: with the refusal a real system answers.
//! Proved by: the tables below. Source: facts/servicenow 5.2 and 5.3 (incident management documentation:
//! `def-prio-lookup-rules`, `c_IncidentManagementStateModel`, `resolve-and-close-an-incident`, `reopening-incident`,
//! `create-an-incident`) and 1.7 for refusals.

use super::access::Caller;
use super::errors::Refusal;
use super::store::{Record, set, value};
use super::switches::{CloseWithoutRole, Switches};

const ON_HOLD: &str = "3";
const RESOLVED: &str = "6";
const CLOSED: &str = "7";
const CANCELED: &str = "8";

/// One write of an incident, before it is stored.
pub(super) struct Write<'w> {
    /// The stored record; `None` on insert.
    pub(super) before: Option<&'w Record>,
    /// Journal column and text that come with the write.
    pub(super) journal: &'w [(String, String)],
    pub(super) caller: &'w Caller,
    /// Now, as raw text.
    pub(super) now: &'w str,
    pub(super) switches: &'w Switches,
}

impl Write<'_> {
    /// Applies every rule to the record about to be stored.
    pub(super) fn settle(&self, after: &mut Record) -> Result<(), Refusal> {
        self.opened(after);
        self.closing(after)?;
        self.hold(after);
        self.state_stamps(after);
        self.assignment(after);
        prioritise(after);
        Ok(())
    }

    fn was<'r>(&'r self, column: &str) -> &'r str {
        self.before.map_or("", |before| value(before, column))
    }

    fn opened(&self, after: &mut Record) {
        if self.before.is_some() {
            return;
        }
        for (column, text) in [("opened_at", self.now), ("opened_by", self.caller.sys_id.as_str())] {
            if value(after, column).is_empty() {
                set(after, column, text);
            }
        }
        if self.switches.caller_is_session_user && value(after, "caller_id").is_empty() {
            set(after, "caller_id", self.caller.sys_id.as_str());
        }
        let number = value(after, "number").to_owned();
        set(after, "task_effective_number", number);
    }

    /// Closed is final, and not everyone may close.
    fn closing(&self, after: &mut Record) -> Result<(), Refusal> {
        let was = self.was("state");
        let operation = if self.before.is_some() { "Update" } else { "Insert" };
        if was == CLOSED {
            set(after, "state", CLOSED);
        } else if value(after, "state") == CLOSED && !self.caller.itil_admin {
            match self.switches.close_without_role {
                CloseWithoutRole::Refused => return Err(Refusal::acl(operation)),
                CloseWithoutRole::Ignored => set(after, "state", if was.is_empty() { "1" } else { was }),
                CloseWithoutRole::Allowed => {}
            }
        }
        Ok(())
    }

    /// A comment of the caller ends On Hold; a bridge that is also the caller triggers it (facts/servicenow 8.9).
    fn hold(&self, after: &mut Record) {
        let commented = self.journal.iter().any(|(element, _)| element == "comments");
        let by_caller = !self.caller.sys_id.is_empty() && self.caller.sys_id == value(after, "caller_id");
        let ends = by_caller || self.switches.comments_end_hold;
        if commented && ends && self.was("state") == ON_HOLD && value(after, "state") == ON_HOLD {
            set(after, "state", "2");
        }
        if value(after, "state") != ON_HOLD {
            set(after, "hold_reason", "");
        }
    }

    /// Times, names and flags that follow from a change of state; `incident_state` mirrors `state`.
    fn state_stamps(&self, after: &mut Record) {
        let (was, is) = (self.was("state").to_owned(), value(after, "state").to_owned());
        set(after, "incident_state", is.as_str());
        if was == is {
            return;
        }
        set(after, "active", if is == CLOSED || is == CANCELED { "false" } else { "true" });
        match is.as_str() {
            RESOLVED => self.stamp(after, "resolved_at", "resolved_by"),
            CLOSED => self.stamp(after, "closed_at", "closed_by"),
            CANCELED => {}
            _ if was == RESOLVED => {
                count_up(after, "reopen_count");
                self.stamp(after, "reopened_time", "reopened_by");
            }
            _ => {}
        }
    }

    fn stamp(&self, after: &mut Record, at: &str, by: &str) {
        set(after, at, self.now);
        set(after, by, self.caller.sys_id.as_str());
    }

    /// A new group takes the ticket from its assignee. (That the counter moves has no public source.)
    fn assignment(&self, after: &mut Record) {
        if self.before.is_none() || self.was("assignment_group") == value(after, "assignment_group") {
            return;
        }
        if self.was("assigned_to") == value(after, "assigned_to") {
            set(after, "assigned_to", "");
        }
        if !self.was("assignment_group").is_empty() {
            count_up(after, "reassignment_count");
        }
    }
}

fn count_up(after: &mut Record, column: &str) {
    let count: u64 = value(after, column).parse().unwrap_or(0);
    set(after, column, count.saturating_add(1).to_string());
}

/// The priority look-up: what was sent as `priority` is overwritten (`def-prio-lookup-rules`).
fn prioritise(after: &mut Record) {
    for column in ["impact", "urgency"] {
        if value(after, column).is_empty() {
            set(after, column, "3");
        }
    }
    let levels = [value(after, "impact"), value(after, "urgency")].map(|level| level.parse::<u32>().unwrap_or(3));
    // The nine rows of the look-up table happen to be impact + urgency - 1.
    let priority = levels.iter().sum::<u32>().saturating_sub(1).clamp(1, 5);
    set(after, "priority", priority.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "11111111111111111111111111111111";

    fn record(fields: &[(&str, &str)]) -> Record {
        fields.iter().map(|(column, text)| ((*column).to_owned(), (*text).to_owned())).collect()
    }

    /// Settles `before` changed by `change`, with an optional comment; `expected` columns, or the detail of the refusal.
    fn check_with(
        switches: &Switches,
        before: &[(&str, &str)],
        change: &[(&str, &str)],
        comment: bool,
        expected: Result<&[(&str, &str)], &str>,
    ) {
        let stored = record(before);
        let mut after = stored.clone();
        for (column, text) in change {
            set(&mut after, column, *text);
        }
        let journal = if comment { vec![("comments".to_owned(), "hello".to_owned())] } else { Vec::new() };
        let caller = Caller { sys_id: ME.to_owned(), user_name: "snowgate".to_owned(), ..Caller::default() };
        let write = Write {
            before: (!before.is_empty()).then_some(&stored),
            journal: &journal,
            caller: &caller,
            now: "2026-11-22 06:00:00",
            switches,
        };
        let settled = write.settle(&mut after).map_err(|refusal| refusal.detail.unwrap_or_default());
        match expected {
            Ok(columns) => {
                assert_eq!(settled, Ok(()));
                for (column, text) in columns {
                    assert_eq!(value(&after, column), *text, "{column} after {change:?}");
                }
            }
            Err(detail) => assert_eq!(settled, Err(detail.to_owned())),
        }
    }

    fn check(before: &[(&str, &str)], change: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>) {
        check_with(&Switches::default(), before, change, false, expected);
    }

    #[test]
    fn priority_follows_impact_and_urgency_only() {
        for (impact, urgency, priority) in [
            ("1", "1", "1"),
            ("1", "2", "2"),
            ("1", "3", "3"),
            ("2", "1", "2"),
            ("2", "2", "3"),
            ("2", "3", "4"),
            ("3", "1", "3"),
            ("3", "2", "4"),
            ("3", "3", "5"),
        ] {
            check(&[], &[("impact", impact), ("urgency", urgency), ("priority", "1")], Ok(&[("priority", priority)]));
        }
    }

    #[test]
    fn resolving_is_stamped() {
        let complete = [("state", "6"), ("close_code", "Duplicate"), ("close_notes", "see other")];
        let stamps =
            [("resolved_at", "2026-11-22 06:00:00"), ("resolved_by", ME), ("incident_state", "6"), ("active", "true")];
        check(&[("state", "2")], &complete, Ok(&stamps));
    }

    #[test]
    fn only_an_itil_admin_closes() {
        let (before, change) = ([("state", "6"), ("close_code", "x"), ("close_notes", "y")], [("state", "7")]);
        check(&before, &change, Err("ACL Exception Update Failed due to security constraints"));
        let ignored = Switches { close_without_role: CloseWithoutRole::Ignored, ..Switches::default() };
        check_with(&ignored, &before, &change, false, Ok(&[("state", "6")]));
        let allowed = Switches { close_without_role: CloseWithoutRole::Allowed, ..Switches::default() };
        check_with(&allowed, &before, &change, false, Ok(&[("state", "7"), ("active", "false"), ("closed_by", ME)]));
    }

    #[test]
    fn closed_is_final_and_resolved_can_be_reopened() {
        let closed = [("state", "7"), ("close_code", "x"), ("close_notes", "y")];
        check(&closed, &[("state", "2")], Ok(&[("state", "7")]));
        check(
            &[("state", "6")],
            &[("state", "2")],
            Ok(&[("reopen_count", "1"), ("reopened_by", ME), ("active", "true")]),
        );
        check(&[("state", "2")], &[("state", "8")], Ok(&[("active", "false")]));
    }

    #[test]
    fn a_comment_by_the_caller_ends_on_hold() {
        let before = [("state", "3"), ("hold_reason", "1"), ("caller_id", ME)];
        check_with(&Switches::default(), &before, &[], true, Ok(&[("state", "2"), ("hold_reason", "")]));
        let other = [("state", "3"), ("hold_reason", "1"), ("caller_id", "someone")];
        check_with(&Switches::default(), &other, &[], true, Ok(&[("state", "3"), ("hold_reason", "1")]));
    }

    #[test]
    fn a_new_group_takes_the_ticket_from_its_assignee() {
        let before = [("state", "2"), ("assignment_group", "a"), ("assigned_to", "abel")];
        check(&before, &[("assignment_group", "b")], Ok(&[("assigned_to", ""), ("reassignment_count", "1")]));
        check(&before, &[("assignment_group", "b"), ("assigned_to", "beth")], Ok(&[("assigned_to", "beth")]));
    }
}
