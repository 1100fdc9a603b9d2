//! The grammar of source files: what a tool's own payload says, in events of ours.
//!
//! Owns: the blocks and their schema. Never: looks at meaning (that is `source::compile`).
//! Fails: as `raw` does. Proved by: the table of broken files in `tests/source_files.rs`.

use schemars::JsonSchema;

use super::read::{Block, FromYaml, Named, Said, Scalar, Tree, block};
use super::{RawField, RawFieldBody};
use crate::mapping::diagnostic::{At, Notes};
use crate::mapping::yaml::{Kind, Node};

block! {
    /// A source: how the payload of one tool becomes events of incidents.
    RawSource "a source" {
        /// The version of this language; 1.
        #[schemars(required)]
        version "version": Said<u64>,
        /// The last part of the path it is posted to; the same as the name of the file.
        #[schemars(required)]
        source "source": Said<String>,
        /// For people.
        description "description": Said<String>,
        /// The status this tool takes as "come again": 429 or 503.
        busy "busy": Said<u64>,
        /// Where a tool that can send no header carries its API key.
        key "key": Scalar,
        /// Value tables: the tool's word to ours. `default` is the row for everything else.
        tables "tables": Named<Named<Scalar>>,
        /// A list in the payload, each element of which is an `item`. Without it the payload is the one item.
        each "each": Scalar,
        /// Items for which this does not hold are skipped.
        when "when": Scalar,
        /// The event type; nothing is said for an empty text or `skip`.
        #[schemars(required)]
        event "event": RawField,
        /// The incident.
        #[schemars(required)]
        id "id": RawField,
        /// What makes a repeat recognisable; without it the content does.
        dedup "dedup": RawField,
        /// The fields of the incident, by their dotted names.
        incident "incident": Named<RawSlot>,
        /// The fields of the message.
        message "message": Named<RawSlot>,
        /// The fields of the escalation.
        escalation "escalation": Named<RawSlot>,
        /// The fields of the attachment.
        attachment "attachment": Named<RawSlot>,
        /// Further events of an item.
        also "also": Vec<RawAlso>,
        /// Examples that `snowgate check` runs.
        cases "cases": Vec<RawSourceCase>,
    }
}

block! {
    /// A further event of an item.
    RawAlso "a further event" {
        /// A list, each element of which is an `item` here; the outer one is `parent`.
        each "each": Scalar,
        /// Elements for which this does not hold are left out.
        when "when": Scalar,
        /// The event type; nothing is said for an empty text or `skip`.
        #[schemars(required)]
        event "event": RawField,
        /// The incident, if it is another.
        id "id": RawField,
        /// What makes a repeat recognisable; without it the content does.
        dedup "dedup": RawField,
        /// The fields of the incident; without it those of the first event.
        incident "incident": Named<RawSlot>,
        /// The fields of the message.
        message "message": Named<RawSlot>,
        /// The fields of the escalation.
        escalation "escalation": Named<RawSlot>,
        /// The fields of the attachment.
        attachment "attachment": Named<RawSlot>,
    }
}

/// What a field of an event is made of: as a ticket field, or a list of entries.
#[derive(Debug)]
pub(crate) enum RawSlot {
    Field(RawField),
    List(Vec<RawEntry>),
}

/// An entry of a list: a text, or fields, with `each` and `when` among them.
#[derive(Debug)]
pub(crate) enum RawEntry {
    Text(Scalar),
    Fields(At, Named<RawField>),
}

block! {
    /// An example: a payload, and the events that must come of it.
    RawSourceCase "a case" {
        /// What it shows.
        #[schemars(required)]
        name "name": Said<String>,
        /// The payload.
        payload "payload": RawPayload,
        /// The payload as a file, by its path from this one.
        file "file": Said<String>,
        /// What must come of it.
        #[schemars(required)]
        expect "expect": RawSourceExpect,
    }
}

block! {
    /// What must come of a payload; only what is named is compared.
    RawSourceExpect "an expectation" {
        /// The events in order: `type`, `id`, and parts of `incident`, `message`, `escalation`, `attachment`.
        events "events": Vec<Tree>,
        /// The payload is refused: a part of the reason.
        refused "refused": Said<String>,
        /// How many items say nothing.
        skipped "skipped": Said<u64>,
    }
}

/// Any value.
#[derive(Debug)]
pub(crate) struct RawPayload {
    pub(crate) node: Node,
}

impl JsonSchema for RawPayload {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"description": "The payload as the tool sends it."})
    }
}

impl FromYaml for RawPayload {
    fn from_yaml(node: &Node, _: &mut Notes<'_>) -> Option<Self> {
        Some(Self { node: node.clone() })
    }
}

impl FromYaml for RawSlot {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(_) => Vec::from_yaml(node, notes).map(Self::List),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::Map(_) => {
                RawField::from_yaml(node, notes).map(Self::Field)
            }
        }
    }
}

impl FromYaml for RawEntry {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => Named::from_yaml(node, notes).map(|fields| Self::Fields(node.at, fields)),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => {
                Scalar::from_yaml(node, notes).map(Self::Text)
            }
        }
    }
}

impl JsonSchema for RawSlot {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RawSlot".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let short = generator.subschema_for::<Scalar>();
        let long = generator.subschema_for::<RawFieldBody>();
        let entry = generator.subschema_for::<Named<RawField>>();
        schemars::json_schema!({"anyOf": [short, long, {"type": "array", "items": {"anyOf": [short, entry]}}]})
    }
}

/// The JSON Schema of source files, for editors.
pub fn schema() -> serde_json::Value {
    super::schema_of::<RawSource>("Snowgate source")
}
