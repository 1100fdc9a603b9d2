//! From a change to a draft: first which records must be looked up, then, with what was found, what to write.
//!
//! Owns: which fields take part in which operation, the journal entry, attachments and the recovery policy.
//! Never: fetches, writes, reads a clock. The same change, operation and lookups always give the same draft.
//! Fails: with every field that cannot be mapped, so that one look repairs all. Proved by: the tests here.

use std::sync::Arc;

use super::Mapping;
use super::draft::{
    Draft, DraftField, Dropped, JournalField, LookupKey, Lookups, MappingFault, Operation, Problem, TraceLine, Write,
};
use super::raw::Recovery;
use super::rule::{FieldRule, Given, Skipped, Step};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::incident::{State, Visibility};

/// What says "it is over" on a ticket; left alone when recoveries must not resolve it.
const ENDING_FIELDS: [&str; 6] = ["state", "incident_state", "close_code", "close_notes", "resolved_at", "resolved_by"];

impl Mapping {
    /// The records to look up before [`Mapping::apply`], each once.
    pub fn plan(&self, change: &Change, operation: Operation) -> Vec<LookupKey> {
        let mut keys: Vec<LookupKey> = Vec::new();
        for rule in self.rules_for(change, operation).filter(|rule| rule.lookup.is_some()) {
            keys.extend(rule.lookup_key(change).filter(|key| !keys.contains(key)));
        }
        keys
    }

    /// What to write.
    pub fn apply(&self, change: &Change, operation: Operation, lookups: &Lookups) -> Result<Draft, MappingFault> {
        self.run(change, operation, lookups, false).map_err(|(fault, _)| fault)
    }

    /// The same as [`Mapping::apply`], with the reason of every value; slower. A fault comes with the lines so far.
    pub fn explain(
        &self,
        change: &Change,
        operation: Operation,
        lookups: &Lookups,
    ) -> Result<Draft, (MappingFault, Vec<TraceLine>)> {
        self.run(change, operation, lookups, true)
    }

    fn run(
        &self,
        change: &Change,
        operation: Operation,
        lookups: &Lookups,
        traced: bool,
    ) -> Result<Draft, (MappingFault, Vec<TraceLine>)> {
        let mut run = Run { change, lookups, traced, draft: Draft::default(), problems: Vec::new() };
        let quiet = self.recovery_is_quiet(change);
        if quiet && change.kind == ChangeKind::Resolved {
            self.quiet_recovery(operation, &mut run);
        } else {
            run.draft.fields.reserve(self.rules(change.kind).len());
            for rule in self.rules_for(change, operation) {
                run.field(rule);
            }
            if quiet {
                run.drop_what("recovery", || "the mapping's `recovery` leaves the ticket's state to people".to_owned());
            }
        }
        self.journal(&mut run);
        self.attachment(&mut run);
        if run.problems.is_empty() {
            Ok(run.draft)
        } else {
            Err((MappingFault { problems: run.problems }, run.draft.trace))
        }
    }

    fn rules_for<'m>(&'m self, change: &Change, operation: Operation) -> impl Iterator<Item = &'m Arc<FieldRule>> {
        let quiet = self.recovery_is_quiet(change);
        let whole = quiet && change.kind == ChangeKind::Resolved;
        self.rules(change.kind).iter().filter(move |rule| {
            let taken_over = operation == Operation::Update && rule.write == Write::Create;
            let ending = quiet && (whole || ENDING_FIELDS.contains(&&*rule.name));
            !taken_over && !ending
        })
    }

    /// Whether this change says that the incident is resolved, and the mapping does not want the ticket resolved.
    fn recovery_is_quiet(&self, change: &Change) -> bool {
        self.policy().recovery != Recovery::Resolve && change.incident.state == Some(State::Resolved)
    }

    fn quiet_recovery(&self, operation: Operation, run: &mut Run<'_>) {
        let comment = self.policy().recovery == Recovery::CommentOnly && operation == Operation::Update;
        if comment && run.change.message.is_none() {
            let notes = run.change.incident.resolution.as_ref().and_then(|resolution| resolution.notes.as_deref());
            let text = notes.filter(|notes| !notes.trim().is_empty());
            let journal = self.journal_of(Visibility::Public).unwrap_or(JournalField::WorkNotes);
            let text = text.unwrap_or("The managed service reports that this is resolved.");
            run.draft.journal = Some((journal, text.to_owned()));
        }
        run.drop_what("recovery", || match operation {
            Operation::Create => "the mapping opens no ticket for what is already resolved".to_owned(),
            Operation::Update => "the mapping's `recovery` leaves the ticket's state to people".to_owned(),
        });
    }

    /// The journal entry of a message. A message that does not say who may read it is internal.
    fn journal(&self, run: &mut Run<'_>) {
        let Some(message) = &run.change.message else { return };
        let visibility = message.visibility.unwrap_or(Visibility::Internal);
        let text = message.text.as_deref().unwrap_or_default();
        match self.journal_of(visibility) {
            Some(_) if text.trim().is_empty() => run.drop_what("message", || "the message has no text".to_owned()),
            Some(field) => {
                run.draft.journal = Some((field, text.to_owned()));
                run.trace(field.as_str(), Some(text), || format!("`messages.{visibility}`"));
            }
            None => run.drop_what("message", || format!("the mapping does not list `messages.{visibility}`")),
        }
    }

    fn attachment(&self, run: &mut Run<'_>) {
        let Some(attachment) = &run.change.attachment else { return };
        match self.attachments() {
            None => run.drop_what("attachment", || "the mapping copies no attachments".to_owned()),
            Some(rule) => match rule.refuses(attachment) {
                Some(reason) => run.drop_what("attachment", || reason),
                None => run.draft.attach = true,
            },
        }
    }
}

struct Run<'c> {
    change: &'c Change,
    lookups: &'c Lookups,
    traced: bool,
    draft: Draft,
    problems: Vec<Problem>,
}

impl Run<'_> {
    fn field(&mut self, rule: &FieldRule) {
        let mut steps = Vec::new();
        let mut why = self.traced.then_some(&mut steps);
        let step = rule.evaluate(Given { scope: self.change, lookups: self.lookups }, &mut why);
        let (value, end) = match step {
            Ok(Step::Value(value)) => (Some(value), None),
            Ok(Step::Skip(Skipped::When)) => (None, Some("`when` does not hold".to_owned())),
            Ok(Step::Skip(Skipped::Absent)) => (None, Some("there is no value, which is allowed".to_owned())),
            Ok(Step::Skip(Skipped::NotFound(key))) => {
                let reason = format!("there is no {key}");
                self.draft.dropped.push(Dropped { what: Arc::clone(&rule.name), reason: reason.clone() });
                (None, Some(reason))
            }
            Err(reason) => {
                let why = reason.to_string();
                self.problems.push(Problem { field: Arc::clone(&rule.name), reason });
                (None, Some(why))
            }
        };
        if self.traced {
            steps.extend(end);
            let line = TraceLine { field: Arc::clone(&rule.name), value: value.clone(), why: steps.join("; ") };
            self.draft.trace.push(line);
        }
        if let Some(value) = value {
            self.draft.fields.push(DraftField { name: Arc::clone(&rule.name), value, write: rule.write });
        }
    }

    fn trace(&mut self, field: &str, value: Option<&str>, why: impl FnOnce() -> String) {
        if self.traced {
            self.draft.trace.push(TraceLine { field: field.into(), value: value.map(str::to_owned), why: why() });
        }
    }

    fn drop_what(&mut self, what: &str, reason: impl FnOnce() -> String) {
        let reason = reason();
        self.trace(what, None, || reason.clone());
        self.draft.dropped.push(Dropped { what: what.into(), reason });
    }
}
