//! From a payload to events.
//!
//! Owns: the order (items as they come, each with its first event and then its further ones), the identity of each event, and what makes
//! the whole refused. Never: takes a part of a payload. Fails: with every problem at once. Proved by: the tests of `source`.

use std::borrow::Cow;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::fault::{SourceFault, SourceProblem, words};
use super::identity::{fitted, hash};
use super::scope::{Place, Scope};
use super::slots::missing;
use super::{EventRule, Source};
use crate::domain::change::{Change, ChangeKind, Fault};
use crate::domain::id::{EventKey, IncidentId};
use crate::domain::time::Timestamp;
use crate::limits::{
    EVENT_KEY_CHARS_MAX, INCIDENT_ID_CHARS_MAX, SOURCE_EVENTS_MAX, SOURCE_PROBLEMS_COUNT_MAX, SOURCE_VALUES_COUNT_MAX,
};
use crate::mapping::draft::{Lookups, Reason};
use crate::mapping::path::Path;
use crate::mapping::rule::{FieldRule, Given, Step};
use crate::mapping::template::Template;

/// What a payload says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The events, in order.
    pub events: Vec<SourceEvent>,
    /// Items of which nothing is said.
    pub skipped: usize,
}

/// One event of a payload.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceEvent {
    /// What happened.
    pub change: Change,
    /// What makes a repeat recognisable.
    pub event: EventKey,
    /// Equal for events that count as the same.
    pub fingerprint: [u8; 32],
    /// The event's `data`, as it is stored.
    pub data: String,
}

impl Source {
    /// Reads an example: a payload that came at no particular moment.
    pub fn read(&self, payload: &Value) -> Result<Reading, SourceFault> {
        self.read_at(payload, Timestamp::from_millis(0))
    }

    /// Reads a payload that came at this moment: every event of it, or why there is none.
    pub fn read_at(&self, payload: &Value, received: Timestamp) -> Result<Reading, SourceFault> {
        let mut work = Work { source: self, reading: Reading::default(), problems: Problems::default() };
        if count(payload, SOURCE_VALUES_COUNT_MAX) > SOURCE_VALUES_COUNT_MAX {
            let message = format!("the payload has more than {SOURCE_VALUES_COUNT_MAX} values");
            work.problems.say("each", String::new(), message);
        } else {
            work.payload(&Scope::of(payload, received));
        }
        if work.problems.found.is_empty() {
            Ok(work.reading)
        } else {
            Err(SourceFault { problems: work.problems.found })
        }
    }
}

/// What was wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<SourceProblem>,
}

impl Problems {
    pub(super) fn note(&mut self, key: String, pointer: String, reason: &Reason) {
        self.say(key, pointer, words(reason));
    }

    fn say(&mut self, key: impl Into<String>, pointer: String, message: String) {
        if self.found.len() < SOURCE_PROBLEMS_COUNT_MAX {
            self.found.push(SourceProblem { pointer, key: key.into(), message });
        }
    }
}

/// The elements of a list, borrowed from the payload where they stand there as they are.
pub(super) struct Elements<'a> {
    items: Cow<'a, [Value]>,
    pointer: String,
    /// Whether an element stands in the payload at its own number.
    in_place: bool,
}

impl Elements<'_> {
    pub(super) fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.items.iter().enumerate().map(|(number, value)| {
            let pointer = if self.in_place { format!("{}/{number}", self.pointer) } else { self.pointer.clone() };
            Place { value, pointer: pointer.into() }
        })
    }
}

/// What `each` gives.
pub(super) fn elements<'a>(each: &Template, scope: &Scope<'a>) -> Result<Elements<'a>, Reason> {
    if let Some(path) = each.path()
        && let Some(items) = list_at(path, scope)
    {
        return Ok(Elements { items: Cow::Borrowed(items), pointer: scope.pointer(path), in_place: true });
    }
    let items = match each.json(scope)? {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => Vec::new(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(Reason::Failed("this is not a list".to_owned()));
        }
    };
    // Behind a filter or a condition the one path it reads is still where the elements come from.
    let mut paths = each.paths();
    let only = paths.next().filter(|_| paths.next().is_none());
    let in_place = only.and_then(|path| list_at(path, scope)).is_some_and(|list| *list == *items);
    Ok(Elements { items: Cow::Owned(items), pointer: scope.origin(each, None), in_place })
}

fn list_at<'a>(path: &Path, scope: &Scope<'a>) -> Option<&'a [Value]> {
    let root = match &*path.root {
        "payload" => scope.payload,
        "item" => scope.item.value,
        "parent" => scope.parent.as_ref()?.value,
        "entry" => scope.entry.as_ref()?.value,
        _ => return None,
    };
    let found = path.steps.iter().try_fold(root, |value, step| match step {
        crate::mapping::path::Step::Name(name) => value.get(&**name),
        crate::mapping::path::Step::Item(place) => value.get(usize::try_from(*place).ok()?),
    });
    found?.as_array().map(Vec::as_slice)
}

/// Values with everything inside them, counted until there are too many.
fn count(value: &Value, enough: usize) -> usize {
    let mut counted = 0_usize;
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        counted += 1;
        if counted > enough {
            break;
        }
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(map) => waiting.extend(map.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    counted
}

/// The incident of an item, which its further events are about as well.
struct About {
    id: Option<IncidentId>,
    incident: Map<String, Value>,
}

/// A payload being read.
struct Work<'s> {
    source: &'s Source,
    reading: Reading,
    problems: Problems,
}

impl Work<'_> {
    fn payload(&mut self, whole: &Scope<'_>) {
        let rule = &self.source.rule;
        let Some(each) = &rule.each else {
            self.item(whole);
            return;
        };
        match elements(each, whole) {
            Ok(elements) => {
                let mut places = elements.places();
                while let Some(item) = places.next().filter(|_| self.reading.events.len() <= SOURCE_EVENTS_MAX) {
                    self.item(&Scope { item, ..whole.clone() });
                }
            }
            Err(reason) => self.problems.note("each".to_owned(), whole.origin(each, missing(&reason)), &reason),
        }
        if self.reading.events.len() > SOURCE_EVENTS_MAX {
            let message =
                format!("the payload has more than {SOURCE_EVENTS_MAX} events: let the tool send fewer at once");
            self.problems.say("each", whole.origin(each, None), message);
        }
    }

    fn item(&mut self, scope: &Scope<'_>) {
        let before = (self.reading.events.len(), self.problems.found.len());
        let rule = &self.source.rule;
        if self.holds(rule, "", scope) {
            let mut about = None;
            if let Some(kind) = self.kind(rule, "", scope) {
                let about = about.insert(self.about(scope));
                self.event(kind, rule, "", (scope, about));
            }
            for (place, rule) in self.source.also.iter().enumerate() {
                self.also(rule, &format!("also[{place}]."), scope, &mut about);
            }
        }
        if (self.reading.events.len(), self.problems.found.len()) == before {
            self.reading.skipped += 1;
        }
    }

    /// A further event, or one for each element.
    fn also(&mut self, rule: &EventRule, key: &str, scope: &Scope<'_>, about: &mut Option<About>) {
        let Some(each) = &rule.each else {
            let inner = Scope { parent: Some(scope.item.clone()), ..scope.clone() };
            self.further(rule, key, (scope, &inner), about);
            return;
        };
        match elements(each, scope) {
            Ok(elements) => {
                for item in elements.places().take(SOURCE_EVENTS_MAX + 1) {
                    let inner = Scope { item, parent: Some(scope.item.clone()), ..scope.clone() };
                    self.further(rule, key, (scope, &inner), about);
                }
            }
            Err(reason) => self.problems.note(format!("{key}each"), scope.origin(each, missing(&reason)), &reason),
        }
    }

    fn further(
        &mut self,
        rule: &EventRule,
        key: &str,
        (outer, inner): (&Scope<'_>, &Scope<'_>),
        about: &mut Option<About>,
    ) {
        if self.holds(rule, key, inner)
            && let Some(kind) = self.kind(rule, key, inner)
        {
            if about.is_none() {
                *about = Some(self.about(outer));
            }
            if let Some(about) = about {
                self.event(kind, rule, key, (inner, about));
            }
        }
    }

    fn holds(&mut self, rule: &EventRule, key: &str, scope: &Scope<'_>) -> bool {
        let Some(when) = &rule.when else { return true };
        when.holds(scope).unwrap_or_else(|trouble| {
            self.problems.note(format!("{key}when"), scope.origin(when, None), &trouble.into());
            false
        })
    }

    /// The event type; `None` if nothing is to be said.
    fn kind(&mut self, rule: &EventRule, key: &str, scope: &Scope<'_>) -> Option<ChangeKind> {
        let word = self.text(&rule.event, &format!("{key}event"), scope)?;
        if word.is_empty() || word == SKIP {
            return None;
        }
        let kind = ChangeKind::parse(&word);
        if kind.is_none() {
            // A word of the payload: no longer than one can read, and nothing that moves a cursor.
            let shown: String = word.chars().filter(|letter| !letter.is_control()).take(SHOWN_CHARS_MAX).collect();
            let message = format!("`{shown}` is not a kind of change, and not `{SKIP}`");
            self.problems.say(format!("{key}event"), scope.origin(&rule.event.value, None), message);
        }
        kind
    }

    /// A value that is a text; `None` if it has none, or a reason why is noted.
    fn text(&mut self, rule: &FieldRule, key: &str, scope: &Scope<'_>) -> Option<String> {
        match rule.evaluate(Given { scope, lookups: &Lookups::default() }, &mut None) {
            Ok(Step::Value(text)) => Some(text),
            Ok(Step::Skip(_)) => None,
            Err(reason) => {
                self.problems.note(key.to_owned(), scope.of_reason(rule, &reason), &reason);
                None
            }
        }
    }

    fn about(&mut self, scope: &Scope<'_>) -> About {
        let rule = &self.source.rule;
        let id = rule.id.as_ref().and_then(|id| self.id(id, "", scope));
        let part = rule.parts.iter().find(|part| part.root == INCIDENT);
        let incident = part.map_or_else(Map::new, |part| part.evaluate(scope, &mut self.problems));
        About { id, incident }
    }

    fn id(&mut self, rule: &FieldRule, key: &str, scope: &Scope<'_>) -> Option<IncidentId> {
        let noted = self.problems.found.len();
        let text = self.text(rule, &format!("{key}id"), scope).unwrap_or_default();
        let id = IncidentId::parse(&fitted(&text, INCIDENT_ID_CHARS_MAX)).ok().filter(|_| !text.is_empty());
        if id.is_none() && self.problems.found.len() == noted {
            let message = "an incident needs an id, and this is empty".to_owned();
            self.problems.say(format!("{key}id"), scope.origin(&rule.value, None), message);
        }
        id
    }

    fn event(&mut self, kind: ChangeKind, rule: &EventRule, key: &str, (scope, about): (&Scope<'_>, &About)) {
        // The first event's id is the one it is about already.
        let own = rule.id.as_ref().filter(|_| !key.is_empty());
        let id = match own {
            Some(own) => self.id(own, key, scope),
            None => about.id.clone(),
        };
        let mut data = Map::new();
        let mut incident = about.incident.clone();
        for part in &rule.parts {
            if part.root != INCIDENT {
                data.insert(part.root.to_owned(), part.evaluate(scope, &mut self.problems).into());
            } else if !key.is_empty() {
                incident = part.evaluate(scope, &mut self.problems);
            }
        }
        let noted = self.problems.found.len();
        let dedup = rule.dedup.as_ref().map(|dedup| self.text(dedup, &format!("{key}dedup"), scope));
        let (Some(id), true) = (id, self.problems.found.len() == noted) else { return };
        incident.insert("id".to_owned(), id.as_str().into());
        data.insert(INCIDENT.to_owned(), incident.into());
        let data = Value::Object(data);
        let body = data.to_string();
        let change = match Change::from_data(kind, data) {
            Ok(change) => change,
            Err(faults) => {
                // What is missing because it could not be evaluated has been said already.
                let faults = faults.into_iter().filter(|_| self.problems.found.is_empty()).collect::<Vec<_>>();
                for fault in &faults {
                    self.refused(fault, rule, key, scope);
                }
                return;
            }
        };
        let same = dedup.flatten().filter(|dedup| !dedup.is_empty());
        let same = same.unwrap_or_else(|| hash(scope.item.value.to_string().as_bytes()));
        self.reading.events.extend(identified(&self.source.name, change, &same, body));
    }

    /// A fault of the finished event, at the place in the payload that its field is made of.
    fn refused(&mut self, fault: &Fault, rule: &EventRule, key: &str, scope: &Scope<'_>) {
        let dotted = fault.pointer.trim_start_matches('/').replace('/', ".");
        let (root, name) = dotted.split_once('.').unwrap_or((&dotted, ""));
        let own = rule.parts.iter().find(|part| part.root == root);
        let part = own.or_else(|| self.source.rule.parts.iter().find(|part| part.root == root));
        let template = part.and_then(|part| part.slot(name)).and_then(super::slots::Slot::template);
        let pointer = template.map_or_else(|| scope.item.pointer.to_string(), |template| scope.origin(template, None));
        self.problems.say(format!("{key}{dotted}"), pointer, fault.message.clone());
    }
}

/// What of a word that is no kind of change is repeated.
const SHOWN_CHARS_MAX: usize = 60;
/// The word for nothing to say.
pub(super) const SKIP: &str = "skip";
/// The part every event has.
pub(super) const INCIDENT: &str = "incident";

/// Gives an event its identity. Two events of another kind, or of another incident, are never the same, whatever the file says;
/// two that the file calls the same are, whatever else differs.
fn identified(source: &str, change: Change, same: &str, data: String) -> Option<SourceEvent> {
    let (kind, incident) = (change.kind.as_str(), change.incident.id.as_str());
    let scope = format!("source:{source}");
    let chars_max = EVENT_KEY_CHARS_MAX.saturating_sub(scope.chars().count() + 1);
    let event = EventKey::new(&scope, &fitted(&format!("{kind}:{incident}:{same}"), chars_max)).ok()?;
    let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(incident).chain_update([0]);
    let fingerprint = hash.chain_update(same).finalize().into();
    Some(SourceEvent { change, event, fingerprint, data })
}
