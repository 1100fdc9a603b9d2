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
use crate::domain::incident::{Message, State, Visibility};

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
        if let Some(message) = &change.message {
            self.journal(message, &mut run);
        }
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

    /// Whether a change of this kind adds an entry of the mapping's own to a journal.
    pub fn notes(&self, kind: ChangeKind) -> bool {
        self.rules(kind).iter().any(|rule| rule.note().is_some())
    }

    /// The journal entry of a message. A message that does not say who may read it is internal. One call adds one entry:
    /// with a note of the mapping for the same readers it becomes one text, otherwise people's words go first.
    fn journal(&self, message: &Message, run: &mut Run<'_>) {
        let visibility = message.visibility.unwrap_or(Visibility::Internal);
        let text = message.text.as_deref().unwrap_or_default();
        match self.journal_of(visibility) {
            Some(_) if text.trim().is_empty() => run.drop_what("message", || "the message has no text".to_owned()),
            Some(field) => {
                let text = match run.draft.journal.take() {
                    Some((noted, note)) if noted == field => format!("{note}\n\n{text}"),
                    Some((noted, _)) => {
                        run.drop_what(noted.as_str(), || format!("the message goes to `{}`", field.as_str()));
                        text.to_owned()
                    }
                    None => text.to_owned(),
                };
                let text = run.draft.journal.insert((field, text)).1.clone();
                run.trace(field.as_str(), Some(&text), || format!("`messages.{visibility}`"));
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
        match (value, rule.note()) {
            (Some(value), None) => {
                self.draft.fields.push(DraftField { name: Arc::clone(&rule.name), value, write: rule.write });
            }
            (Some(text), Some(journal)) if !text.trim().is_empty() => self.draft.journal = Some((journal, text)),
            (Some(_), Some(_)) | (None, _) => {}
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

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::mapping::{Lookup, SourceFile, compile};
    use serde_json::{Value, json};

    fn mapping(to_ticket: &str, more: &str) -> Mapping {
        let text = format!("version: 1\nname: t\ntarget: {{table: incident}}\n{more}\nto_ticket:\n{to_ticket}\n");
        let (mapping, findings) = compile(&SourceFile::new("t.yaml", text));
        mapping.unwrap_or_else(|| panic!("{findings:#?}"))
    }

    fn change(kind: &str, data: Value) -> Change {
        Change::from_data(ChangeKind::parse(kind).unwrap(), data).unwrap()
    }

    fn updated(incident: &Value) -> Change {
        let mut data = json!({"incident": {"id": "A-1"}});
        data["incident"].as_object_mut().unwrap().extend(incident.as_object().unwrap().clone());
        change("incident.updated", data)
    }

    /// The value of `u_x`, or the fault.
    fn check(rule: &str, incident: &Value, expected: &str) {
        let tables = "tables: {t: {high: 1, low: 3, default: 9}, strict: {high: 1}}";
        let mapping = mapping(&format!("  fields:\n    u_x: {rule}"), tables);
        let draft = mapping.apply(&updated(incident), Operation::Update, &Lookups::default());
        let found = match &draft {
            Ok(draft) => draft.value("u_x").unwrap_or("not written").to_owned(),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(found, expected, "{rule}");
    }

    #[test]
    fn values_become_raw_text() {
        check("\"{{ incident.title }}\"", &json!({"title": "a"}), "a");
        check("17", &json!({}), "17");
        check("0012", &json!({}), "0012");
        check("true", &json!({}), "true");
        check("\"{{ incident.high_impact }}\"", &json!({"high_impact": true}), "true");
        check("\"{{ incident.custom.n }}\"", &json!({"n": 3.0}), "3");
        check("\"{{ incident.custom.n }}\"", &json!({"n": 3.5}), "3.5");
        check("\"{{ incident.tags }}\"", &json!({"tags": ["a", "b"]}), "a,b");
        check("\"{{ incident.custom.l }}\"", &json!({"l": [1, "b"]}), "1,b");
        check(
            "\"{{ incident.times.opened_at }}\"",
            &json!({"times": {"opened_at": "2026-11-22T07:00:00+01:00"}}),
            "2026-11-22T06:00:00Z",
        );
        check(
            "\"{{ incident.times.opened_at | datetime }}\"",
            &json!({"times": {"opened_at": "2026-11-22T07:00:00+01:00"}}),
            "2026-11-22 06:00:00",
        );
        check("\"{{ 1795327200 | datetime }}\"", &json!({}), "2026-11-22 06:00:00");
        check("\"Room {{ incident.title }}!\"", &json!({"title": "a"}), "Room a!");
        check(
            "\"{{ incident.custom.o }}\"",
            &json!({"o": {"a": 1}}),
            "field `u_x`: `incident.custom.o`: this is an object, which has no text form",
        );
    }

    #[test]
    fn absence_parks_unless_the_mapping_thought_of_it() {
        let missing = "field `u_x`: `incident.title` is not in the event; if it may be absent, say so with `default(…)` or `when:`";
        check("\"{{ incident.title }}\"", &json!({}), missing);
        check("\"{{ incident.title | upper }}\"", &json!({}), missing);
        check("\"{{ incident.title ~ '!' }}\"", &json!({}), missing);
        check("\"Room {{ incident.title }}\"", &json!({}), missing);
        check("\"{{ incident.title | upper | default('none') }}\"", &json!({}), "none");
        check("\"{{ incident.title or incident.description }}\"", &json!({}), "not written");
        check("\"{{ incident.title or incident.description }}\"", &json!({"description": "d"}), "d");
        check("\"{{ incident.title if incident.title else 'no' }}\"", &json!({}), "no");
        check("\"{{ 'yes' if incident.title is defined else 'no' }}\"", &json!({}), "no");
        check(
            "{value: \"{{ incident.title }}\", when: \"{{ incident.severity == 'high' }}\"}",
            &json!({"severity": "high"}),
            "not written",
        );
        check(
            "{value: \"{{ incident.title }}\", when: \"{{ incident.severity == 'high' }}\"}",
            &json!({"title": "a"}),
            "not written",
        );
        check("\"{{ incident.title }}\"", &json!({"title": ""}), "");
        check("{value: a, when: \"{{ 'x' in incident.tags }}\"}", &json!({}), "not written");
        check("{value: a, when: \"{{ incident.episode > 1 }}\"}", &json!({}), "not written");
        check("{value: a, when: \"{{ incident.title is startingwith('x') }}\"}", &json!({}), "not written");
    }

    #[test]
    fn tables_translate_and_have_a_row_for_everything_else() {
        check("{value: \"{{ incident.severity }}\", table: t}", &json!({"severity": "high"}), "1");
        check("{value: \"{{ incident.severity }}\", table: t}", &json!({"severity": "odd"}), "9");
        check("{value: \"{{ incident.severity }}\", table: t}", &json!({}), "9");
        let free = "{value: \"{{ incident.custom.level }}\", table: strict}";
        check(free, &json!({"level": "high"}), "1");
        check(free, &json!({"level": "odd"}), "field `u_x`: table `strict` has no row for `odd` and no `default`");
    }

    #[test]
    fn long_values_are_cut_between_characters_and_the_trace_says_so() {
        check("{value: \"{{ incident.title }}\", max: 3}", &json!({"title": "äöüß"}), "äöü");
        check("{value: \"{{ incident.title }}\", max: 4}", &json!({"title": "äöüß"}), "äöüß");
        let mapping = mapping("  fields:\n    u_x: {value: \"{{ incident.title }}\", max: 3}", "");
        let draft =
            mapping.explain(&updated(&json!({"title": "abcd"})), Operation::Update, &Lookups::default()).unwrap();
        assert_eq!(draft.trace[0].why, "`{{ incident.title }}`; cut to 3 of 4 characters");
    }

    #[test]
    fn lookups_are_planned_once_and_followed() {
        let group = |field: &str, missing: &str| {
            format!(
                "    {field}: {{value: \"{{{{ incident.custom.g }}}}\", lookup: {{table: sys_user_group, by: name, missing: {missing}}}}}\n"
            )
        };
        let fields = format!("  fields:\n{}{}{}", group("a", "park"), group("b", "skip"), group("c", "{use: other}"));
        let mapping = mapping(&fields, "");
        let change = updated(&json!({"g": "AV"}));
        let keys = mapping.plan(&change, Operation::Update);
        assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["sys_user_group with name = `AV`"]);
        let found = |lookup: Lookup| -> Lookups { [(keys[0].clone(), lookup)].into_iter().collect() };
        let draft = mapping.apply(&change, Operation::Update, &found(Lookup::Found("id".into()))).unwrap();
        assert_eq!([draft.value("a"), draft.value("b"), draft.value("c")], [Some("id"); 3]);
        let fault = mapping.apply(&change, Operation::Update, &found(Lookup::Missing)).unwrap_err();
        assert_eq!(fault.to_string(), "field `a`: there is no sys_user_group with name = `AV`");
        let (fault, trace) = mapping.explain(&change, Operation::Update, &found(Lookup::Missing)).unwrap_err();
        assert_eq!(fault.problems.len(), 1);
        assert_eq!(trace[2].value.as_deref(), Some("other"));
        let unasked = mapping.apply(&change, Operation::Update, &Lookups::default()).unwrap_err();
        assert_eq!(unasked.problems.len(), 3);
        let nothing = updated(&json!({"g": ""}));
        assert!(mapping.plan(&nothing, Operation::Update).is_empty());
    }

    #[test]
    fn fields_of_one_kind_replace_in_place_and_others_follow() {
        let mapping = mapping(
            "  fields: {a: 1, b: {value: 2, on: create}}\n  on: {incident.escalated: {a: 3, c: {value: 4, on: always}}}",
            "",
        );
        let written = |kind: &str, operation| -> Vec<(String, String)> {
            let data = json!({"incident": {"id": "A-1", "title": "t"}, "escalation": {"channel": "oem"}});
            let draft = mapping.apply(&change(kind, data), operation, &Lookups::default()).unwrap();
            draft.fields.into_iter().map(|field| (field.name.to_string(), field.value)).collect()
        };
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>();
        assert_eq!(written("incident.opened", Operation::Create), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(written("incident.updated", Operation::Update), pairs(&[("a", "1")]));
        assert_eq!(written("incident.escalated", Operation::Update), pairs(&[("a", "3"), ("c", "4")]));
        assert_eq!(written("incident.escalated", Operation::Create), pairs(&[("a", "3"), ("b", "2"), ("c", "4")]));
    }

    #[test]
    fn messages_go_where_the_mapping_says_or_nowhere_and_that_is_recorded() {
        let mapping = mapping("  messages: {public: comments, internal: work_notes}", "");
        let journal = |message: Value| {
            let data = json!({"incident": {"id": "A-1"}, "message": message});
            let draft = mapping.apply(&change("incident.message_added", data), Operation::Update, &Lookups::default());
            let draft = draft.unwrap();
            (draft.journal.map(|(field, _)| field), draft.dropped.len())
        };
        assert_eq!(journal(json!({"text": "x", "visibility": "public"})), (Some(JournalField::Comments), 0));
        assert_eq!(journal(json!({"text": "x", "visibility": "internal"})), (Some(JournalField::WorkNotes), 0));
        assert_eq!(journal(json!({"text": "x"})), (Some(JournalField::WorkNotes), 0));
        assert_eq!(journal(json!({"text": "x", "visibility": "partners"})), (None, 1));
    }

    #[test]
    fn a_recovery_can_be_left_to_people() {
        let fields = "  fields: {state: {value: \"{{ incident.state }}\", table: s}, u_x: \"{{ incident.id }}\"}\n  messages: {public: comments}";
        let with = |recovery: &str| {
            mapping(fields, &format!("policy: {{recovery: {recovery}}}\ntables: {{s: {{resolved: 6, default: 2}}}}"))
        };
        let resolved =
            change("incident.resolved", json!({"incident": {"id": "A-1", "resolution": {"notes": "Fixed."}}}));
        let snapshot = updated(&json!({"state": "resolved"}));
        let draft = |recovery: &str, change: &Change, operation| {
            with(recovery).apply(change, operation, &Lookups::default()).unwrap()
        };
        assert_eq!(draft("resolve", &resolved, Operation::Update).value("state"), Some("6"));
        let quiet = draft("comment_only", &resolved, Operation::Update);
        assert_eq!((quiet.fields.len(), quiet.value("comments")), (0, Some("Fixed.")));
        assert!(draft("ignore", &resolved, Operation::Update).is_empty());
        assert!(draft("comment_only", &resolved, Operation::Create).is_empty());
        let quiet = draft("ignore", &snapshot, Operation::Update);
        assert_eq!((quiet.value("state"), quiet.value("u_x"), quiet.dropped.len()), (None, Some("A-1"), 1));
    }

    #[test]
    fn files_are_copied_by_size_and_type() {
        let mapping = mapping("  attachments: {max_bytes: 1KB, types: [\"image/*\", text/plain]}", "");
        let attach = |attachment: Value| {
            let data = json!({"incident": {"id": "A-1"}, "attachment": attachment});
            let change = change("incident.attachment_added", data);
            mapping.apply(&change, Operation::Update, &Lookups::default()).unwrap().attach
        };
        assert!(attach(json!({"media_type": "image/PNG", "size": 1024})));
        assert!(attach(json!({"media_type": "text/plain; charset=utf-8"})));
        assert!(!attach(json!({"media_type": "image/png", "size": 1025})));
        assert!(!attach(json!({"media_type": "text/html"})));
        // Of which type it is shows when it has come.
        assert!(attach(json!({"name": "x"})));
    }

    #[test]
    fn the_print_of_a_value_never_changes() {
        let field = DraftField { name: "a".into(), value: "6".into(), write: Write::Change };
        assert_eq!(field.hash(), "e7f6c011776e8db7");
    }
}
