//! The side of the people in `ServiceNow`: what tests and demos do there and look at, past HTTP.
//!
//! Owns: editing as a person, scheduled jobs, hiding rows, looking at records. Never: a shortcut around the rules; a person's
//! edit takes the same path as a REST call. Fails: with the refusal the person would see. Proved by: the tests below.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::access::Caller;
use super::columns;
use super::dates;
use super::describe;
use super::dictionary::{Dictionary, Kind};
use super::errors::Refusal;
use super::instance::{Change, Instance};
use super::journal::{self, JournalEntry};
use super::seed;
use super::store::{set, value};
use super::switches::Switches;

impl Instance {
    /// Creates a record as a person, with raw values, and gives its `sys_id`. Fails if the user is unknown (401), or as REST.
    pub fn create_as(&mut self, user: &str, table: &str, fields: &[(&str, &str)], now: i64) -> Result<String, Refusal> {
        let caller = self.person(user, now)?;
        self.insert(table, &body(fields), false, &caller)
    }

    /// Changes a record as a person, with raw values; journal columns append. Fails if the user is unknown (401), or as REST.
    #[expect(clippy::too_many_arguments, reason = "who, where, what and when; a struct would only rename them")]
    pub fn edit_as(
        &mut self,
        user: &str,
        table: &str,
        sys_id: &str,
        fields: &[(&str, &str)],
        now: i64,
    ) -> Result<(), Refusal> {
        let caller = self.person(user, now)?;
        self.update((table, sys_id), &body(fields), false, &caller)
    }

    /// Changes columns as a script with `setWorkflow(false)` and `autoSysFields(false)` does: no rule runs, nobody is called,
    /// and neither `sys_mod_count` nor `sys_updated_on` moves, so that no sweep can see it (facts/servicenow 1.9, 8.14).
    /// Gives whether there is such a record.
    pub fn edit_silently(&mut self, table: &str, sys_id: &str, fields: &[(&str, &str)]) -> bool {
        let Some(mut record) = self.store.row(table, sys_id).cloned() else { return false };
        for (column, text) in fields {
            set(&mut record, column, *text);
        }
        self.store.replace(table, record);
        true
    }

    /// Removes a record as a person.
    pub fn delete_as(&mut self, user: &str, table: &str, sys_id: &str, now: i64) -> Result<(), Refusal> {
        let caller = self.person(user, now)?;
        self.delete((table, sys_id), &caller)
    }

    pub(super) fn person(&self, user: &str, now: i64) -> Result<Caller, Refusal> {
        if user == "system" {
            return Ok(Caller::system(now));
        }
        self.caller(user, now).ok_or_else(|| Refusal::not_authenticated(false))
    }

    /// Runs the scheduled jobs due at `now`: closes incidents resolved long ago (`configure-incident-auto-close`).
    pub fn run_jobs(&mut self, now: i64) -> usize {
        let days = i64::from(self.switches.autoclose_days);
        if days == 0 {
            return 0;
        }
        let oldest = dates::text(now.saturating_sub(days.saturating_mul(86_400_000)));
        let due = self.store.rows("incident").filter(|(_, record)| {
            value(record, "state") == "6"
                && !value(record, "resolved_at").is_empty()
                && *value(record, "resolved_at") < *oldest
        });
        let due: Vec<String> = due.map(|(id, _)| id.clone()).collect();
        let user = self.switches.autoclose_user.clone();
        let job = self.person(&user, now).unwrap_or_else(|_| Caller::system(now));
        let closed = due.iter().filter(|id| {
            let body = body(&[("state", "7")]);
            self.update(("incident", id), &body, false, &job).is_ok()
        });
        closed.count()
    }

    /// The non-empty columns of a record, raw.
    pub fn record(&self, table: &str, sys_id: &str) -> Option<BTreeMap<String, String>> {
        self.store.row(table, sys_id).cloned()
    }

    /// The ids of the records with that raw value in that column, without regard to case.
    pub fn find(&self, table: &str, column: &str, text: &str) -> Vec<String> {
        if let Some(ids) = self.store.indexed(table, column, text) {
            return ids.into_iter().map(str::to_owned).collect();
        }
        let rows = self.store.rows(table).filter(|(_, record)| value(record, column).eq_ignore_ascii_case(text));
        rows.map(|(id, _)| id.clone()).collect()
    }

    /// How many records a table has.
    pub fn count(&self, table: &str) -> usize {
        self.store.rows(table).count()
    }

    /// The journal of a record, oldest first.
    pub fn journal(&self, sys_id: &str) -> Vec<JournalEntry> {
        journal::entries(&self.store, sys_id)
    }

    /// The changes after a sequence number, oldest first; 0 asks for all that are still kept.
    pub fn changes_after(&self, sequence: u64) -> impl Iterator<Item = &Change> {
        let from = self.changes.partition_point(|change| change.sequence <= sequence);
        self.changes.range(from..)
    }

    /// The `sys_id` of a seeded record: people by user name, groups, devices and places by name.
    pub fn seeded(table: &str, name: &str) -> String {
        seed::id(table, name)
    }

    /// Hides a row from the integration user, as a row access rule or a move to another domain does.
    pub fn hide(&mut self, table: &str, sys_id: &str) {
        self.hidden.insert((table.to_owned(), sys_id.to_owned()));
    }

    /// Shows a hidden row again.
    pub fn unhide(&mut self, table: &str, sys_id: &str) {
        self.hidden.remove(&(table.to_owned(), sys_id.to_owned()));
    }

    /// Adds a customer's text column such as `u_external_id`; `max_length` in characters.
    pub fn add_column(&mut self, table: &str, name: &str, max_length: usize) {
        let mut column = columns::column(name, name, Kind::Text);
        column.max_length = max_length;
        self.change_dictionary(|dictionary| dictionary.add(table, column));
    }

    /// Changes tables or columns, and what is told of them.
    pub(super) fn change_dictionary<T>(&mut self, change: impl FnOnce(&mut Dictionary) -> T) -> T {
        let changed = change(Arc::make_mut(&mut self.dictionary));
        describe::tables(&mut self.store, &self.dictionary);
        changed
    }

    /// Describes what follows from switches, before it is read.
    pub(super) fn describe_settings(&mut self) {
        describe::settings(&mut self.store, &self.switches);
        let closes = self.switches.integration_user_is_itil_admin;
        let more = closes.then_some((self.credentials.username.as_str(), "itil_admin"));
        describe::people(&mut self.store, more);
    }

    /// The switches, to be turned while the instance lives (the resolution codes are fixed at its creation).
    pub const fn switches_mut(&mut self) -> &mut Switches {
        &mut self.switches
    }

    /// Forgets every access token; refresh tokens stay.
    pub fn drop_tokens(&mut self) {
        self.tokens.drop_access();
    }

    /// Where the instance says it is: the base of links and `Location`.
    pub fn set_base_url(&mut self, url: &str) {
        url.clone_into(&mut self.base_url);
    }

    /// Every incident with its journal, for people who want to see what happened.
    pub fn state(&self) -> Value {
        let ticket = |(id, record): (&String, &super::store::Record)| {
            let journal: Vec<Value> = self
                .journal(id)
                .iter()
                .map(|entry| json!({"element": entry.element, "text": entry.text, "by": entry.by, "at": entry.at}))
                .collect();
            let mut ticket: Map<String, Value> =
                record.iter().map(|(column, text)| (column.clone(), json!(text))).collect();
            ticket.insert("journal".to_owned(), Value::Array(journal));
            Value::Object(ticket)
        };
        json!({"tickets": self.store.rows("incident").map(ticket).collect::<Vec<_>>()})
    }
}

pub(super) fn body(fields: &[(&str, &str)]) -> Map<String, Value> {
    fields.iter().map(|(column, text)| ((*column).to_owned(), json!(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::instance::{Operation, Options};
    use super::*;

    const NOW: i64 = 1_795_327_200_000;
    const DAY: i64 = 86_400_000;

    #[test]
    fn people_edit_under_the_same_rules() {
        let mut instance = Instance::new(Options::default());
        let id =
            instance.create_as("beth.anglin", "incident", &[("short_description", "Room dark")], NOW).expect("created");
        instance
            .edit_as("abel.tuter", "incident", &id, &[("comments", "On my way"), ("state", "2")], NOW)
            .expect("edited");
        let refused = instance.edit_as("abel.tuter", "incident", &id, &[("state", "6")], NOW);
        assert_eq!(refused.map_err(|refusal| refusal.status), Err(403));
        assert_eq!(instance.edit_as("nobody", "incident", &id, &[], NOW).map_err(|refusal| refusal.status), Err(401));

        let record = instance.record("incident", &id).expect("it is there");
        assert_eq!(record.get("sys_updated_by").map(String::as_str), Some("abel.tuter"));
        assert_eq!(record.get("sys_mod_count").map(String::as_str), Some("1"));
        let journal = instance.journal(&id);
        assert_eq!(
            journal.iter().map(|entry| (&*entry.by, &*entry.text)).collect::<Vec<_>>(),
            [("abel.tuter", "On my way")]
        );
        let changes: Vec<Operation> = instance.changes_after(0).map(|change| change.operation).collect();
        assert_eq!(changes, [Operation::Insert, Operation::Update]);
        assert_eq!(instance.changes_after(1).count(), 1);
    }

    #[test]
    fn resolved_incidents_are_closed_after_a_week() {
        let mut instance = Instance::new(Options::default());
        let resolved = [("state", "6"), ("close_code", "Solution provided"), ("close_notes", "Restarted")];
        let id = instance.create_as("beth.anglin", "incident", &resolved, NOW).expect("created");
        assert_eq!(instance.run_jobs(NOW + 7 * DAY), 0, "exactly a week is not longer than a week");
        instance.switches_mut().autoclose_days = 0;
        assert_eq!(instance.run_jobs(NOW + 70 * DAY), 0, "0 is off");
        instance.switches_mut().autoclose_days = 7;
        assert_eq!(instance.run_jobs(NOW + 7 * DAY + 1_000), 1);
        let record = instance.record("incident", &id).expect("it is there");
        assert_eq!(record.get("state").map(String::as_str), Some("7"));
        assert_eq!(record.get("sys_updated_by").map(String::as_str), Some("admin"));
    }
}
