//! What a ticket says about its incident: a state and fields, each with the columns it came from.
//!
//! Owns: which outputs a change of columns can have touched, the nested JSON of dotted names, and what the end of a ticket means for an
//! incident that only telemetry may end. Never: knows what changed; whoever compares two views says so.
//! Fails: it cannot. Proved by: the tests of `back`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::draft::{Dropped, TraceLine};
use crate::domain::change::Change;
use crate::domain::incident::{Origin, Owner, State, Word};
use crate::domain::wire::Shape;

/// The name of the incident's state among the outputs.
pub(crate) const STATE: &str = "state";
/// The name of whoever has to act.
const OWNER: &str = "owner";

/// What a ticket says about its incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IncidentDraft {
    /// Where the incident stands; `None` if the mapping does not translate the ticket's state.
    #[serde(serialize_with = "word")]
    pub state: Option<State>,
    /// The end that the ticket says, but that only telemetry may bring about; see [`IncidentDraft::for_origin`].
    #[serde(serialize_with = "word")]
    pub handed_back: Option<State>,
    /// Incident fields by dotted name, such as `assignee.name`; times in RFC 3339, UTC.
    pub fields: BTreeMap<Box<str>, String>,
    /// What was left out.
    pub dropped: Vec<Dropped>,
    /// Why each output has its value; only from `explain_back`.
    pub trace: Vec<TraceLine>,
    /// By output, the ticket columns it was made of.
    #[serde(skip)]
    pub(crate) sources: BTreeMap<Box<str>, Arc<[Arc<str>]>>,
}

/// One thing a ticket says about its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'d> {
    /// The dotted name in the incident: `state`, `assignee.name`.
    pub path: &'d str,
    /// The value.
    pub value: &'d str,
    /// The ticket columns it was made of; none for a constant.
    pub columns: &'d [Arc<str>],
}

impl Output<'_> {
    /// Whether one of its columns is among those that changed.
    pub fn depends_on(&self, changed: &dyn Fn(&str) -> bool) -> bool {
        self.columns.iter().any(|column| changed(column))
    }
}

impl IncidentDraft {
    /// Everything it says: the state, then the fields by name.
    pub fn outputs(&self) -> impl Iterator<Item = Output<'_>> {
        let columns = |path: &str| self.sources.get(path).map_or(&[][..], |columns| columns);
        let state = self.state.map(|state| Output { path: STATE, value: state.as_str(), columns: columns(STATE) });
        let field = move |(path, value)| Output { path, value, columns: columns(path) };
        let fields = self.fields.iter().map(|(path, value)| (&**path, value.as_str()));
        state.into_iter().chain(fields.map(field))
    }

    /// The outputs that may have changed, given which columns did. A constant never changes.
    pub fn changes_since<'d>(&'d self, changed: &'d dyn Fn(&str) -> bool) -> impl Iterator<Item = Output<'d>> {
        self.outputs().filter(move |output| output.depends_on(changed))
    }

    /// The outputs a filter takes, as the JSON of an incident: `assignee.name` becomes `{"assignee": {"name": …}}`.
    pub fn to_json(&self, takes: &dyn Fn(&Output<'_>) -> bool) -> Value {
        let mut incident = Map::new();
        for output in self.outputs().filter(|output| takes(output)) {
            put(&mut incident, output.path, typed(output.path, output.value));
        }
        Value::Object(incident)
    }

    /// The same for an incident of that origin. What telemetry raised ends when telemetry is healthy again, never because a person
    /// ended the ticket: the state is taken out, kept in `handed_back`, and the provider becomes the one who has to act.
    /// The caller sends a message with it.
    #[must_use]
    pub fn for_origin(mut self, origin: Origin) -> Self {
        if origin != Origin::System {
            return self;
        }
        let Some(state) = self.state.filter(|state| state.is_finished()) else { return self };
        self.state = None;
        self.handed_back = Some(state);
        let columns = self.sources.remove(STATE).unwrap_or_default();
        self.fields.insert(OWNER.into(), Owner::Provider.as_str().to_owned());
        self.sources.insert(OWNER.into(), columns);
        let reason = format!("the ticket is {state}, but only telemetry ends what telemetry raised: handed back");
        self.dropped.push(Dropped { what: STATE.into(), reason });
        self
    }
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands over the field")]
fn word<S: Serializer>(state: &Option<State>, serializer: S) -> Result<S::Ok, S::Error> {
    state.map(State::as_str).serialize(serializer)
}

/// Puts a value under a dotted name. Names that go through each other (`custom.a`, `custom.a.b`) are refused at load.
pub(crate) fn put(record: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            record.insert(path.to_owned(), value);
        }
        Some((name, rest)) => {
            let inner = record.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The value as its field holds it. Values were checked when the draft was made, so what does not parse cannot be there.
fn typed(path: &str, value: &str) -> Value {
    match shape_of(path) {
        Some(Shape::Number) => value.parse::<u64>().map_or_else(|_| value.into(), Value::from),
        Some(Shape::Flag) => value.parse::<bool>().map_or_else(|_| value.into(), Value::from),
        Some(Shape::Text | Shape::Words(_) | Shape::Time | Shape::Record(_) | Shape::List(_) | Shape::Free) | None => {
            value.into()
        }
    }
}

/// What an incident holds under a dotted name; `None` if it has no such field.
pub(crate) fn shape_of(path: &str) -> Option<Shape> {
    let incident = Change::ROOTS.iter().find(|root| root.name == "incident")?;
    path.split('.').try_fold(incident.shape, |shape, step| match shape {
        Shape::Record(fields) => fields.iter().find(|field| field.name == step).map(|field| field.shape),
        Shape::Free => Some(Shape::Free),
        Shape::Text | Shape::Words(_) | Shape::Number | Shape::Flag | Shape::Time | Shape::List(_) => None,
    })
}
