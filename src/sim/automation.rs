//! What an instance does by itself after somebody's update: rules that copy, save again, or disagree.
//!
//! Owns: the rules that write a second time. Never: rules inside the write itself (that is `rules`).
//! Fails: quietly, as a business rule does: a refused follow-up leaves a line in the log and the first write stands.
//! Proved by: `tests/people`. Source: facts/servicenow 5.3 (`parent-child-state-sync`), 8.8, 8.33, 8.45.

use super::access::Caller;
use super::instance::Instance;
use super::people::body;
use super::records::RecordName;
use super::store::value;

/// States of a parent that its children take over: In Progress, On Hold, Resolved.
const PROPAGATED: [&str; 3] = ["2", "3", "6"];
/// States of a child that nothing moves any more: Closed, Canceled.
const FINAL: [&str; 2] = ["7", "8"];

impl Instance {
    /// Runs the rules that follow an update.
    pub(super) fn automate(&mut self, (table, sys_id): RecordName<'_>, columns: &[String], caller: &Caller) {
        if table != "incident" {
            return;
        }
        if self.switches.parent_state_to_children && columns.iter().any(|column| column == "state") {
            self.tell_children(sys_id, caller);
        }
        // Rules that answered their own writes would never come to rest.
        if caller.user_name == "system" {
            return;
        }
        self.set_back(sys_id, columns, caller);
        if self.switches.resaved_by_system {
            self.touch((table, sys_id), &Caller::system(caller.now));
        }
    }

    fn tell_children(&mut self, parent: &str, caller: &Caller) {
        let Some(record) = self.store.row("incident", parent) else { return };
        let state = value(record, "state").to_owned();
        if !PROPAGATED.contains(&state.as_str()) {
            return;
        }
        let copied = ["state", "hold_reason", "close_code", "close_notes"];
        let fields: Vec<(&str, String)> =
            copied.iter().map(|column| (*column, value(record, column).to_owned())).collect();
        let fields: Vec<(&str, &str)> =
            fields.iter().filter(|(_, text)| !text.is_empty()).map(|(column, text)| (*column, text.as_str())).collect();
        for child in self.find("incident", "parent_incident", parent) {
            let was = self.store.row("incident", &child).map_or("", |record| value(record, "state"));
            if was != state && !FINAL.contains(&was) {
                self.follow_up(&child, &fields, caller);
            }
        }
    }

    fn set_back(&mut self, sys_id: &str, columns: &[String], caller: &Caller) {
        let Some(rule) = self.switches.fighting_rule.clone() else { return };
        if columns.contains(&rule.column) {
            self.follow_up(sys_id, &[(&rule.column, &rule.value)], &Caller::system(caller.now));
        }
    }

    fn follow_up(&mut self, sys_id: &str, fields: &[(&str, &str)], caller: &Caller) {
        if let Err(refusal) = self.update(("incident", sys_id), &body(fields), false, caller) {
            tracing::debug!(sys_id, detail = refusal.detail, "A business rule could not write");
        }
    }
}
