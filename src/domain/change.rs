//! One thing that happened to an incident.
//!
//! Owns: the event types, what each needs, and the state each implies. Never: knows an envelope or a tenant.
//! Fails: with every fault of an event at once, each with its JSON pointer. Proved by: the tests here.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::id::IncidentId;
use super::incident::{Attachment, Escalation, Incident, Message, State};
pub use super::wire::Fault;
use super::wire::codec::{Codec, Name};
use super::wire::reader::Reader;
use super::wire::record::{Nested, record};
use super::wire::{Field, Node, Record, Shape};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was raised.
    Opened,
    /// Something about it changed.
    Updated,
    /// Someone wrote something.
    MessageAdded,
    /// Someone else has to act.
    Escalated,
    /// It is solved.
    Resolved,
    /// It came back.
    Reopened,
    /// It is over.
    Closed,
    /// It was not one.
    Cancelled,
    /// A file was added.
    AttachmentAdded,
}

impl ChangeKind {
    /// Every kind, in the order of an incident's life.
    pub const ALL: [Self; 9] = [
        Self::Opened,
        Self::Updated,
        Self::MessageAdded,
        Self::Escalated,
        Self::Resolved,
        Self::Reopened,
        Self::Closed,
        Self::Cancelled,
        Self::AttachmentAdded,
    ];

    /// Every event type, in the same order.
    pub const WORDS: [&'static str; 9] = [
        Self::Opened.as_str(),
        Self::Updated.as_str(),
        Self::MessageAdded.as_str(),
        Self::Escalated.as_str(),
        Self::Resolved.as_str(),
        Self::Reopened.as_str(),
        Self::Closed.as_str(),
        Self::Cancelled.as_str(),
        Self::AttachmentAdded.as_str(),
    ];

    /// The event type on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "incident.opened",
            Self::Updated => "incident.updated",
            Self::MessageAdded => "incident.message_added",
            Self::Escalated => "incident.escalated",
            Self::Resolved => "incident.resolved",
            Self::Reopened => "incident.reopened",
            Self::Closed => "incident.closed",
            Self::Cancelled => "incident.cancelled",
            Self::AttachmentAdded => "incident.attachment_added",
        }
    }

    /// The kind of an event type; `None` for a type we do not know.
    pub fn parse(event_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == event_type)
    }

    /// The state the event itself tells, whatever an older snapshot inside it says.
    fn implied_state(self, said: Option<State>) -> Option<State> {
        match self {
            Self::Resolved => Some(State::Resolved),
            Self::Closed => Some(State::Closed),
            Self::Cancelled => Some(State::Cancelled),
            Self::Opened => Some(said.unwrap_or(State::New)),
            Self::Reopened => Some(said.filter(|state| !state.is_finished()).unwrap_or(State::Investigating)),
            Self::Updated | Self::MessageAdded | Self::Escalated | Self::AttachmentAdded => said,
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ChangeKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ChangeKind {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not an event type we know")))
    }
}

/// One thing that happened to an incident, with everything its sender told us.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The incident as the sender saw it; often partial.
    pub incident: Incident,
    /// What was written, for a message.
    pub message: Option<Message>,
    /// To whom it went, for an escalation.
    pub escalation: Option<Escalation>,
    /// The file, for an attachment.
    pub attachment: Option<Attachment>,
}

record! {
    /// An event's `data`, and with its `type` the stored form of a change.
    Data {
        /// The event type; only in the stored form.
        event_type "type": String as Name,
        /// The snapshot.
        incident "incident": Incident as Nested<Incident>,
        /// What was written.
        message "message": Message as Nested<Message>,
        /// To whom it went.
        escalation "escalation": Escalation as Nested<Escalation>,
        /// The file.
        attachment "attachment": Attachment as Nested<Attachment>,
    }
}

impl Change {
    /// What an expression can start with, and everything below it.
    pub const ROOTS: &'static [Field] = &[
        Field { name: "incident", shape: <Nested<Incident> as Codec>::SHAPE },
        Field { name: "message", shape: <Nested<Message> as Codec>::SHAPE },
        Field { name: "escalation", shape: <Nested<Escalation> as Codec>::SHAPE },
        Field { name: "attachment", shape: <Nested<Attachment> as Codec>::SHAPE },
        Field {
            name: "event",
            shape: Shape::Record(&[Field { name: "type", shape: Shape::Words(&ChangeKind::WORDS) }]),
        },
    ];

    /// Reads an event's `data`.
    pub fn from_data(kind: ChangeKind, data: Value) -> Result<Self, Vec<Fault>> {
        Self::read(kind, None, data)
    }

    /// Reads an event's `data` where the envelope's `subject` may name the incident in place of `incident.id`.
    pub fn from_data_about(kind: ChangeKind, subject: Option<IncidentId>, data: Value) -> Result<Self, Vec<Fault>> {
        Self::read(kind, subject, data)
    }

    /// Reads an event's `data` straight from bytes, which is several times faster than through a [`Value`].
    pub fn from_slice(kind: ChangeKind, subject: Option<IncidentId>, data: &[u8]) -> Result<Self, Vec<Fault>> {
        let mut source = serde_json::Deserializer::from_slice(data);
        let change = Self::read(kind, subject, &mut source)?;
        source.end().map_err(|broken| vec![whole(&broken)])?;
        Ok(change)
    }

    /// Whether it may be folded into the next waiting update of the same incident: it says nothing but a newer snapshot.
    pub fn folds(&self) -> bool {
        self.kind == ChangeKind::Updated
            && self.message.is_none()
            && self.escalation.is_none()
            && self.attachment.is_none()
    }

    fn read<'de, D: Deserializer<'de>>(
        kind: ChangeKind,
        subject: Option<IncidentId>,
        source: D,
    ) -> Result<Self, Vec<Fault>>
    where
        D::Error: fmt::Display,
    {
        let mut reader = Reader::about(subject.clone());
        let data = match Nested::<Data>::read(source, &mut reader) {
            Ok(data) => data,
            Err(broken) => return Err(vec![whole(&broken)]),
        };
        let change = data.and_then(|data| Self::check(kind, subject, data, &mut reader));
        match change {
            Some(change) if reader.is_clean() => Ok(change),
            Some(_) | None => {
                if reader.is_clean() {
                    reader.fault("expected an object with an `incident`, found null");
                }
                Err(reader.into_faults())
            }
        }
    }

    fn check(kind: ChangeKind, subject: Option<IncidentId>, data: Data, reader: &mut Reader) -> Option<Self> {
        let incident = data.incident.or_else(|| subject.map(Incident::new));
        let blank = |text: &Option<String>| text.as_deref().is_none_or(|text| text.trim().is_empty());
        match kind {
            ChangeKind::Opened if incident.as_ref().is_some_and(|incident| blank(&incident.title)) => {
                reader.missing_at("/incident/title", "is missing: an incident needs a title to be opened");
            }
            ChangeKind::MessageAdded if data.message.as_ref().is_none_or(|message| blank(&message.text)) => {
                reader.missing_at("/message/text", "is missing: a message needs a text");
            }
            ChangeKind::Escalated if data.escalation.is_none() => {
                reader.missing_at(
                    "/escalation",
                    "is missing: say at least to whom (`channel`), about what (`area`) or how far (`level`)",
                );
            }
            ChangeKind::AttachmentAdded if data.attachment.is_none() => {
                reader.missing_at("/attachment", "is missing: say at least its `name` and `url`");
            }
            ChangeKind::Opened
            | ChangeKind::Updated
            | ChangeKind::MessageAdded
            | ChangeKind::Escalated
            | ChangeKind::Resolved
            | ChangeKind::Reopened
            | ChangeKind::Closed
            | ChangeKind::Cancelled
            | ChangeKind::AttachmentAdded => {}
        }
        let Some(mut incident) = incident else {
            reader.missing_at("/incident/id", "is missing");
            return None;
        };
        if let Some(state) = kind.implied_state(incident.state) {
            incident.enter(state);
        }
        Some(Self { kind, incident, message: data.message, escalation: data.escalation, attachment: data.attachment })
    }
}

fn whole(broken: &dyn fmt::Display) -> Fault {
    Fault { pointer: String::new(), message: broken.to_string() }
}

/// What an expression knows as `event`.
impl Record for ChangeKind {
    fn get(&self, name: &str) -> Node<'_> {
        if name == "type" { Node::Text(self.as_str()) } else { Node::Absent }
    }

    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'static str, Node<'a>)) {
        visit("type", Node::Text(self.as_str()));
    }
}

/// What an expression can start with; and the stored form.
impl Record for Change {
    fn get(&self, name: &str) -> Node<'_> {
        match name {
            "type" => Node::Text(self.kind.as_str()),
            "event" => Node::Record(&self.kind),
            "incident" => Node::Record(&self.incident),
            "message" => self.message.as_ref().map_or(Node::Absent, |message| Node::Record(message)),
            "escalation" => self.escalation.as_ref().map_or(Node::Absent, |escalation| Node::Record(escalation)),
            "attachment" => self.attachment.as_ref().map_or(Node::Absent, |attachment| Node::Record(attachment)),
            _ => Node::Absent,
        }
    }

    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'static str, Node<'a>)) {
        for name in ["type", "incident", "message", "escalation", "attachment"] {
            let node = self.get(name);
            if !matches!(node, Node::Absent) {
                visit(name, node);
            }
        }
    }
}

/// The stored form: `{"type": …, "incident": …}` and whatever stands beside it.
impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::wire::serialize_record(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut reader = Reader::default();
        let data = Nested::<Data>::read(source, &mut reader)?.ok_or_else(|| D::Error::custom("expected an object"))?;
        let event_type = data.event_type.clone().unwrap_or_default();
        let Some(kind) = ChangeKind::parse(&event_type) else {
            return Err(D::Error::custom(format!("`{event_type}` is not an event type we know")));
        };
        let change = Self::check(kind, None, data, &mut reader);
        match (change, reader.into_faults().into_iter().next()) {
            (Some(change), None) => Ok(change),
            (_, Some(fault)) => Err(D::Error::custom(fault)),
            (None, None) => Err(D::Error::custom("expected an object with an `incident`")),
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kind: ChangeKind, data: Value) -> Result<Change, Vec<(String, String)>> {
        let bytes = data.to_string();
        let through_value = Change::from_data(kind, data);
        assert_eq!(through_value, Change::from_slice(kind, None, bytes.as_bytes()), "both ways read the same");
        through_value.map_err(|faults| faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect())
    }

    fn check(kind: ChangeKind, data: Value, expected: &[(&str, &str)]) {
        let faults = read(kind, data).unwrap_err();
        let faults: Vec<_> = faults.iter().map(|(pointer, message)| (pointer.as_str(), message.as_str())).collect();
        assert_eq!(faults, expected);
    }

    #[test]
    fn the_smallest_event_opens_an_incident() {
        let change =
            read(ChangeKind::Opened, json!({"incident": {"id": "MTR-1", "title": "Front display 1 not detected"}}));
        let incident = change.unwrap().incident;
        assert_eq!(incident.id.as_str(), "MTR-1");
        assert_eq!(incident.state, Some(State::New));
        assert_eq!(incident.severity, None);
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        check(
            ChangeKind::Opened,
            json!({
                "incident": {
                    "severity": 3, "high_impact": "yes", "affected": [{"name": "a"}, {"name": []}, 7], "tags": "x",
                    "times": {"opened_at": "yesterday"}, "labels": {"a/b": {}}, "episode": -1, "assignee": "me"
                }
            }),
            &[
                ("/incident/severity", "expected text, found a number"),
                ("/incident/high_impact", "expected true or false, found text"),
                ("/incident/affected/1/name", "expected text, found a list"),
                ("/incident/affected/2", "expected an object, found a number"),
                ("/incident/tags", "expected a list, found text"),
                ("/incident/times/opened_at", "expected a time such as 2026-11-22T06:00:00Z"),
                ("/incident/labels/a~1b", "expected text, found an object"),
                (
                    "/incident/episode",
                    "expected a whole number, not negative and not larger than its field, found a number",
                ),
                ("/incident/assignee", "expected an object, found text"),
                ("/incident/id", "is missing"),
            ],
        );
    }

    #[test]
    fn each_event_type_needs_its_own_part() {
        let bare = || json!({"incident": {"id": "1"}});
        let title = "is missing: an incident needs a title to be opened";
        check(ChangeKind::Opened, bare(), &[("/incident/title", title)]);
        check(ChangeKind::Opened, json!({"incident": {"id": "1", "title": "  "}}), &[("/incident/title", title)]);
        check(ChangeKind::MessageAdded, bare(), &[("/message/text", "is missing: a message needs a text")]);
        check(
            ChangeKind::MessageAdded,
            json!({"incident": {"id": "1"}, "message": {"text": 3}}),
            &[("/message/text", "expected text, found a number")],
        );
        assert_eq!(read(ChangeKind::Escalated, bare()).unwrap_err()[0].0, "/escalation");
        assert_eq!(read(ChangeKind::AttachmentAdded, bare()).unwrap_err()[0].0, "/attachment");
        for kind in [ChangeKind::Updated, ChangeKind::Resolved, ChangeKind::Closed, ChangeKind::Reopened] {
            assert!(read(kind, bare()).is_ok(), "{kind}");
        }
    }

    #[test]
    fn data_that_is_not_an_event_says_so() {
        check(ChangeKind::Opened, json!(null), &[("", "expected an object with an `incident`, found null")]);
        check(ChangeKind::Opened, json!([1]), &[("", "expected an object, found a list")]);
        check(ChangeKind::Updated, json!({}), &[("/incident/id", "is missing")]);
        let broken = Change::from_slice(ChangeKind::Updated, None, b"{\"incident\": ").unwrap_err();
        assert!(broken[0].message.contains("EOF while parsing"), "{broken:?}");
        assert!(Change::from_slice(ChangeKind::Updated, None, b"{\"incident\": {\"id\":\"1\"}} x").is_err());
    }

    #[test]
    fn the_envelope_may_name_the_incident() {
        let subject = Some(IncidentId::parse("MTR-9").unwrap());
        let named = |data| Change::from_data_about(ChangeKind::Updated, subject.clone(), data).unwrap().incident.id;
        assert_eq!(named(json!({})).as_str(), "MTR-9");
        assert_eq!(named(json!({"incident": {"state": "new"}})).as_str(), "MTR-9");
        assert_eq!(named(json!({"incident": {"id": "other"}})).as_str(), "other");
    }

    #[test]
    fn the_event_type_wins_over_a_stale_snapshot() {
        let state = |kind, said: Value| read(kind, json!({"incident": {"id": "1", "state": said}})).unwrap().incident;
        for (kind, said, expected) in [
            (ChangeKind::Resolved, json!("needs_customer_action"), Some(State::Resolved)),
            (ChangeKind::Closed, json!("resolved"), Some(State::Closed)),
            (ChangeKind::Cancelled, json!(null), Some(State::Cancelled)),
            (ChangeKind::Reopened, json!("resolved"), Some(State::Investigating)),
            (ChangeKind::Reopened, json!(null), Some(State::Investigating)),
            (ChangeKind::Reopened, json!("provider_working"), Some(State::ProviderWorking)),
            (ChangeKind::Updated, json!(null), None),
            (ChangeKind::Updated, json!("resolved"), Some(State::Resolved)),
        ] {
            assert_eq!(state(kind, said.clone()).state, expected, "{kind} {said}");
        }
        let odd = state(ChangeKind::Updated, json!("Parked"));
        assert_eq!((odd.state, odd.state_raw.as_deref()), (Some(State::Unknown), Some("Parked")));
        assert_eq!(state(ChangeKind::Resolved, json!("Parked")).state_raw, None);
    }

    #[test]
    fn only_a_plain_update_folds() {
        let folds = |kind, data: Value| read(kind, data).unwrap().folds();
        assert!(folds(ChangeKind::Updated, json!({"incident": {"id": "1"}})));
        assert!(!folds(ChangeKind::Updated, json!({"incident": {"id": "1"}, "message": {"text": "x"}})));
        assert!(!folds(ChangeKind::Resolved, json!({"incident": {"id": "1"}})));
    }

    #[test]
    fn the_stored_form_leads_back() {
        let change = read(
            ChangeKind::MessageAdded,
            json!({"incident": {"id": "1", "severity": "Sev 9"}, "message": {"id": "m", "text": "x", "at": "2026-11-22T07:00:00+01:00"}}),
        )
        .unwrap();
        let stored = serde_json::to_value(&change).unwrap();
        assert_eq!(
            stored,
            json!({
                "type": "incident.message_added",
                "incident": {"id": "1", "severity": "unknown", "severity_raw": "Sev 9"},
                "message": {"id": "m", "text": "x", "at": "2026-11-22T06:00:00Z"}
            })
        );
        assert_eq!(serde_json::from_value::<Change>(stored).unwrap(), change);
    }

    #[test]
    fn too_much_is_a_fault_that_says_the_limit() {
        let long = |chars| json!({"incident": {"id": "1", "title": "é".repeat(chars)}});
        assert!(read(ChangeKind::Opened, long(1_000)).is_ok());
        check(ChangeKind::Opened, long(1_001), &[("/incident/title", "longer than 1000 characters")]);
        check(
            ChangeKind::Updated,
            json!({"incident": {"id": "1", "tags": vec!["x"; 201]}}),
            &[("/incident/tags", "more than 200 items")],
        );
        let deep = (0..9).fold(json!(1), |inner, _| json!([inner]));
        check(
            ChangeKind::Updated,
            json!({"incident": {"id": "1", "mine": deep}}),
            &[("/incident/mine", "nested deeper than 8 levels")],
        );
        check(
            ChangeKind::Updated,
            json!({"incident": {"id": "1", "custom": {"mine": vec![0; 3_000]}}}),
            &[("/incident/custom/mine", "there are more than 2000 values of unknown fields")],
        );
        let many = json!({"incident": {"id": "1", "affected": vec![1; 200]}});
        assert_eq!(read(ChangeKind::Updated, many).unwrap_err().len(), 50);
    }
}
