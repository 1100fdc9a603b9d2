//! Both ways of one file laid behind each other: what leaves for a ticket must come back with the same meaning, and settle.
//!
//! Owns: the groups of states that mean the same to the other side, and the search for values that go back and forth.
//! Each word is carried through the file itself, conditions and tables included, so nothing is judged by its looks.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fields::Rules;
use super::{Compiler, said_list};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::incident::{State, Word};
use crate::domain::wire::Shape;
use crate::mapping::back::{FINAL, STATE_COLUMN, WayBack};
use crate::mapping::diagnostic::At;
use crate::mapping::draft::Lookups;
use crate::mapping::raw::{RawToIncident, Recovery, Write};
use crate::mapping::rule::{FieldRule, Given, Step};
use crate::mapping::ticket_view::TicketView;

/// States that mean the same to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Somebody on the ticket's side is to act.
    Working,
    /// The ticket's side waits for the provider or for whom the provider waits for.
    Waiting,
    /// Solved.
    Solved,
    /// Was not one, or goes on elsewhere.
    Withdrawn,
}

impl Meaning {
    fn of(state: State) -> Self {
        match state {
            State::New | State::Investigating | State::NeedsCustomerAction | State::Mitigated | State::Unknown => {
                Self::Working
            }
            State::ProviderWorking | State::AwaitingExternal => Self::Waiting,
            State::Resolved | State::Closed => Self::Solved,
            State::Cancelled | State::Merged => Self::Withdrawn,
        }
    }
}

/// Every state that somebody can say.
fn states() -> impl Iterator<Item = State> {
    State::WORDS.iter().filter_map(|word| State::known(word)).filter(|state| *state != State::Unknown)
}

/// The kind of change that says a state.
fn kind_of(state: State) -> ChangeKind {
    match state {
        State::Resolved => ChangeKind::Resolved,
        State::Closed => ChangeKind::Closed,
        State::Cancelled => ChangeKind::Cancelled,
        State::New
        | State::Investigating
        | State::NeedsCustomerAction
        | State::ProviderWorking
        | State::AwaitingExternal
        | State::Mitigated
        | State::Merged
        | State::Unknown => ChangeKind::Updated,
    }
}

/// A word, what it becomes on the ticket, and what that says when it comes back.
struct Leg {
    ticket: String,
    back: String,
}

impl Compiler<'_, '_> {
    pub(super) fn check_round(&mut self, raw: &RawToIncident, rules: &Rules, back: &WayBack, recovery: Recovery) {
        let keys = raw.state.as_ref().map_or(&[][..], |states| &states.entries);
        let at = |ticket: &str| keys.iter().find(|(key, _)| key.text == ticket).map(|(key, _)| key.at);
        self.meanings(rules, back, &at);
        let first = keys.first().map_or_else(At::default, |(key, _)| key.at);
        let leg = |word: &str| {
            // A recovery that is left to people never reaches the ticket.
            let state =
                State::known(word).filter(|state| *state != State::Resolved || recovery == Recovery::Resolve)?;
            let view = on_the_ticket(rules, kind_of(state), "state", word, &state_columns(back))?;
            let ticket = view.get(STATE_COLUMN)?.value.clone();
            Some(Leg { ticket, back: back.state_of(&view)?.to_string() })
        };
        self.settles("state", State::WORDS, first, &leg);
        for (key, _) in raw.fields.as_ref().map_or(&[][..], |fields| &fields.entries) {
            let Some(field) = back.fields.iter().find(|field| *field.rule.name == *key.text) else { continue };
            let Shape::Words(words) = field.shape else { continue };
            // How it ended is written when it ended.
            let ended = key.text.starts_with("resolution.").then_some(ChangeKind::Resolved);
            let kind = ended.unwrap_or(ChangeKind::Updated);
            let leg = |word: &str| {
                let view = on_the_ticket(rules, kind, &key.text, word, &field.columns)?;
                let values = view.columns().map(|(_, cell)| cell.value.as_str());
                let ticket: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
                Some(Leg { ticket: ticket.join(", "), back: field.value(&view, &mut None).ok().flatten()? })
            };
            self.settles(&key.text, words, key.at, &leg);
            let refused = words.iter().find_map(|word| {
                let view = on_the_ticket(rules, kind, &key.text, word, &field.columns)?;
                field.value(&view, &mut None).err().map(|reason| (word, reason))
            });
            if let Some((word, reason)) = refused {
                self.notes
                    .error("M057", key.at, format!("what leaves as `{word}` cannot come back: {reason}"))
                    .hint("each such ticket would need a person; add the row, or a `default`");
            }
        }
    }

    /// What a row of a state table sends away must come back with the same meaning. `default` rows say that they do not care.
    fn meanings(&mut self, rules: &Rules, back: &WayBack, at: &dyn Fn(&str) -> Option<At>) {
        let mut turned: Vec<(String, State, Vec<&str>)> = Vec::new();
        let mut tried: Vec<(State, ChangeKind)> = states().map(|state| (state, ChangeKind::Updated)).collect();
        tried.extend(states().map(|state| (state, kind_of(state))).filter(|(_, kind)| *kind != ChangeKind::Updated));
        for (state, kind) in tried {
            if !is_meant(rules, kind, state) {
                continue;
            }
            let view = on_the_ticket(rules, kind, "state", state.as_str(), &state_columns(back));
            let Some((view, returned)) = view.and_then(|view| back.state_of(&view).map(|state| (view, state))) else {
                continue;
            };
            let ticket = view.get(STATE_COLUMN).map(|cell| cell.value.clone()).unwrap_or_default();
            if Meaning::of(state) == Meaning::of(returned) {
                continue;
            }
            match turned.iter_mut().find(|(known, back, _)| *known == ticket && *back == returned) {
                Some((.., words)) if words.contains(&state.as_str()) => {}
                Some((.., words)) => words.push(state.as_str()),
                None => turned.push((ticket, returned, vec![state.as_str()])),
            }
        }
        for (ticket, returned, words) in turned {
            let fights =
                words.iter().any(|word| State::known(word).is_some_and(State::is_finished) != returned.is_finished());
            let code = if fights { "M044" } else { "M051" };
            let message = format!("what leaves as {} comes back as `{returned}`", said_list(&words));
            self.notes
                .warning(code, at(&ticket).unwrap_or_default(), message)
                .hint("a state that comes back with another meaning makes the two sides fight");
        }
    }

    /// Carries each word there and back, and again. One round may change it, as several words become one; the second must not.
    fn settles(&mut self, what: &str, words: &[&str], at: At, leg: &dyn Fn(&str) -> Option<Leg>) {
        let mut reported: Vec<String> = Vec::new();
        for word in words {
            let Some(first) = leg(word) else { continue };
            let second = leg(&first.back);
            if second.is_none_or(|second| second.back == first.back) {
                continue;
            }
            let mut chain = vec![(*word).to_owned()];
            let mut picture = said_list(&[word]);
            let mut last = Some(first);
            while let Some(Leg { ticket, back }) = last.filter(|leg| chain.last() != Some(&leg.back)) {
                picture = format!("{picture} → {ticket} → `{back}`");
                last = (!chain.contains(&back)).then(|| leg(&back)).flatten();
                chain.push(back);
            }
            if !chain.iter().any(|word| reported.contains(word)) {
                self.notes
                    .error("M052", at, format!("`{what}` does not settle between the two sides: {picture}"))
                    .hint("what comes back must lead to the same ticket value again");
            }
            reported.extend(chain);
        }
    }

    /// Closing needs more rights than resolving, and a closed ticket can never be reopened.
    pub(super) fn closing(&mut self, rules: &Rules, back: Option<&WayBack>) {
        let [closed, _] = FINAL;
        let otherwise = back.and_then(|back| back.row(closed)).is_some_and(|row| !row.words().all(State::is_finished));
        let mut places = Vec::new();
        for place in rules.places.iter().filter(|place| matches!(&*place.rule.name, "state" | "incident_state")) {
            match &place.rule.table {
                None => places.extend((place.rule.value.constant() == Some(closed)).then_some(place.value)),
                Some(table) => {
                    let known = self.tables.iter().find(|known| known.table.name == table.name);
                    let rows = known.into_iter().flat_map(|known| known.table.rows.iter().zip(&known.row_places));
                    places.extend(rows.filter(|((_, row), _)| **row == *closed).map(|(_, at)| *at));
                    places.extend(known.filter(|_| table.default.as_deref() == Some(closed)).map(|known| known.at));
                }
            }
        }
        places.sort_by_key(|at| at.start);
        places.dedup();
        for at in places.into_iter().filter(|_| !otherwise) {
            self.notes
                .warning("M054", at, "this closes tickets (7), and a closed ticket can never be reopened")
                .hint("resolve it (6): the instance closes resolved tickets by itself after some days");
        }
    }
}

fn state_columns(back: &WayBack) -> Vec<Arc<str>> {
    let mut columns: Vec<_> = back.states.iter().flat_map(|row| row.columns.iter().map(Arc::clone)).collect();
    columns.sort();
    columns.dedup();
    columns
}

fn rules_of(rules: &Rules, kind: ChangeKind) -> &[Arc<FieldRule>] {
    let place = ChangeKind::ALL.iter().position(|known| *known == kind);
    place.and_then(|place| rules.by_kind.get(place)).map_or(&[], |rules| rules)
}

/// Whether the file says itself what becomes of a state: by a row of its table, or by a field of that kind of change alone.
fn is_meant(rules: &Rules, kind: ChangeKind, state: State) -> bool {
    let of = |kind| rules_of(rules, kind).iter().find(|rule| &*rule.name == STATE_COLUMN);
    let Some(rule) = of(kind) else { return false };
    match &rule.table {
        Some(table) => table.rows.iter().any(|(word, _)| **word == *state.as_str()),
        None => of(ChangeKind::Updated).is_none_or(|base| !Arc::ptr_eq(base, rule)),
    }
}

/// The columns as the file would write them for an incident of which only one thing is known; `None` if it writes none of them.
fn on_the_ticket(rules: &Rules, kind: ChangeKind, path: &str, word: &str, columns: &[Arc<str>]) -> Option<TicketView> {
    let mut incident = path.rsplit('.').fold(Value::from(word), |inner, name| json!({ name: inner }));
    incident.as_object_mut()?.insert("id".to_owned(), "round".into());
    let change = Change::from_data(kind, json!({ "incident": incident })).ok()?;
    let lookups = Lookups::default();
    let mut view = TicketView::default();
    // What is written once cannot go back and forth, and what a lookup finds is known only there.
    let constant = |rule: &FieldRule| rule.write == Write::Create || rule.lookup.is_some();
    for rule in rules_of(rules, kind).iter().filter(|rule| columns.contains(&rule.name) && !constant(rule)) {
        if let Ok(Step::Value(value)) = rule.evaluate(Given { scope: &change, lookups: &lookups }, &mut None) {
            view.set(&*rule.name, value, None);
        }
    }
    let written = view.columns().next().is_some();
    for column in columns {
        if !view.has(column) {
            view.set(&**column, "", Some(String::new()));
        }
    }
    written.then_some(view)
}
