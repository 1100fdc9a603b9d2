//! Checks that need more than one part of the file: lengths, what resolving needs, cases, and states.

use super::fields::{Place, Rules};
use super::{Compiler, said_list};
use crate::domain::change::ChangeKind;
use crate::domain::incident::{State, Word};
use crate::mapping::Policy;
use crate::mapping::back::WayBack;
use crate::mapping::diagnostic::At;
use crate::mapping::raw::{Block, RawMapping, Recovery};
use crate::mapping::rule::Table;

/// The lengths of columns on instances nobody changed (ServiceNow's `task` and `incident` tables).
const KNOWN_LENGTHS: [(&str, usize); 9] = [
    ("short_description", 160),
    ("description", 4_000),
    ("close_notes", 4_000),
    ("close_code", 40),
    ("category", 40),
    ("subcategory", 40),
    ("contact_type", 40),
    ("comments", 4_000),
    ("work_notes", 4_000),
];

impl Compiler<'_, '_> {
    /// Each field on its own.
    pub(super) fn check_rules(&mut self, rules: &Rules) {
        for place in &rules.places {
            self.constant_length(place);
            self.computed(place);
        }
    }

    /// The file as a whole.
    pub(super) fn check_whole(&mut self, raw: &RawMapping, rules: &Rules, policy: Policy, back: Option<&WayBack>) {
        let start = raw.to_ticket.as_ref().map_or_else(At::default, Block::start);
        if policy.recovery == Recovery::Resolve {
            self.resolving(raw, rules, start);
        }
        self.wanted_cases(raw);
        if let Some(place) = rules.places.iter().find(|place| &*place.rule.name == "state")
            && let Some(table) = &place.rule.table
            && place.rule.value.words().is_some_and(|words| words == State::WORDS)
        {
            self.states(table);
        }
        self.closing(rules, back);
        if let (Some(to_incident), Some(back)) = (&raw.to_incident, back) {
            self.check_round(to_incident, rules, back, policy.recovery);
        }
    }

    fn constant_length(&mut self, place: &Place) {
        let Some((_, chars_max)) = KNOWN_LENGTHS.into_iter().find(|(name, _)| *name == &*place.rule.name) else {
            return;
        };
        let constant =
            place.rule.value.constant().filter(|_| place.rule.table.is_none() && place.rule.lookup.is_none());
        let length = constant.map_or(0, |text| text.chars().count());
        let cut = place.rule.chars_max.is_some_and(|max| max <= chars_max);
        if length > chars_max && !cut {
            let message = format!("`{}` takes {chars_max} characters, this has {length}", place.rule.name);
            self.notes.error("M040", place.value, message).hint(format!("shorten it, or add `max: {chars_max}`"));
        }
    }

    fn computed(&mut self, place: &Place) {
        let name = &*place.rule.name;
        if name == "priority" {
            self.notes
                .warning("M046", place.key, "ServiceNow computes `priority` from `impact` and `urgency`")
                .hint("map `impact` and `urgency`");
        } else if name.starts_with("sys_") && name != "sys_id" {
            self.notes.warning("M046", place.key, format!("ServiceNow sets `{name}` itself"));
        }
    }

    fn resolving(&mut self, raw: &RawMapping, rules: &Rules, start: At) {
        let kind = ChangeKind::ALL.iter().position(|kind| *kind == ChangeKind::Resolved);
        let Some(fields) = kind.and_then(|kind| rules.by_kind.get(kind)) else { return };
        let has = |name: &str| fields.iter().any(|rule| &*rule.name == name);
        // How other tables say that a ticket is over is their own affair; a live check asks their data policies.
        let table = raw.target.as_ref().and_then(|target| target.table.as_ref());
        let wanted: &[&str] = match table {
            Some(table) if table.value != "incident" => &["state"],
            Some(_) | None => &["state", "close_code", "close_notes"],
        };
        let missing: Vec<&str> = wanted.iter().copied().filter(|name| !has(name)).collect();
        if missing.is_empty() {
            return;
        }
        let on = raw.to_ticket.as_ref().and_then(|to_ticket| to_ticket.on.as_ref());
        let place = on.and_then(|on| on.entries.iter().find(|(key, _)| key.text == ChangeKind::Resolved.as_str()));
        let at = place.map_or(start, |(key, _)| key.at);
        let message =
            format!("`incident.resolved` does not write {}, which ServiceNow wants to resolve", said_list(&missing));
        self.notes
            .warning("M041", at, message)
            .hint("add them under `on: incident.resolved`, or set `policy: {recovery: comment_only}`");
    }

    fn wanted_cases(&mut self, raw: &RawMapping) {
        let cases = raw.cases.as_deref().unwrap_or_default();
        let creates = cases.iter().any(|case| case.expect.as_ref().is_some_and(|expect| expect.create.is_some()));
        let of_kind = |kind: ChangeKind| {
            cases.iter().any(|case| {
                let event = case.event.as_ref().map(|event| event.node.to_json());
                event.is_some_and(|event| event.get("type").is_some_and(|said| said == kind.as_str()))
            })
        };
        let mut wanted = Vec::new();
        if !creates {
            wanted.push("that creates a ticket");
        }
        if !of_kind(ChangeKind::Resolved) {
            wanted.push("that resolves one");
        }
        if !wanted.is_empty() {
            let at = cases.first().map_or_else(At::default, Block::start);
            self.notes
                .warning("M042", at, format!("there is no case {}", wanted.join(", and none ")))
                .hint("cases run with every `snowgate check`, so the mapping cannot change its meaning unseen");
        }
    }

    /// What is over must not reopen the ticket.
    fn states(&mut self, table: &Table) {
        let at =
            self.tables.iter().find(|known| known.table.name == table.name).map_or_else(At::default, |known| known.at);
        let over = |word: &str| State::known(word).is_some_and(State::is_finished);
        let open_rows: Vec<&str> =
            State::WORDS.iter().filter(|word| !over(word)).filter_map(|word| table.row(word)).collect();
        let reopening: Vec<&str> = State::WORDS
            .iter()
            .copied()
            .filter(|word| over(word) && table.row(word).is_some_and(|row| open_rows.contains(&row)))
            .collect();
        if !reopening.is_empty() {
            let message = format!("over for the managed service, but open in ServiceNow: {}", said_list(&reopening));
            self.notes.warning("M044", at, message).hint("give them rows of their own, such as `closed: 6`");
        }
    }
}
