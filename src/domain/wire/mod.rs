//! The wire form of the canonical model: reading it, looking into it and writing it, from one description.
//!
//! Owns: the reader, which reads straight from bytes (or from any serde source) and collects everything that is wrong
//! with its JSON pointer instead of stopping at the first; [`Node`], a borrowed view of any part of a record; [`Shape`],
//! the same knowledge without a record, for checking mapping files; and the `record!` macro that ties the three to a struct.
//! Never: knows what an incident is. Fails: only on broken JSON; wrong content becomes a [`Fault`].
//! Proved by: the tests and the round trip property in `incident` and `change`.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::time::Timestamp;

pub(super) mod codec;
pub(super) mod reader;
pub(super) mod record;

/// One thing that is wrong with an event, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct Fault {
    /// JSON pointer (RFC 6901) inside `data`, such as `/incident/severity`; empty for the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What a part of the canonical model can hold; used to check paths in mapping files.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A whole number.
    Number,
    /// True or false.
    Flag,
    /// A point in time.
    Time,
    /// Named fields.
    Record(&'static [Field]),
    /// Several of the same.
    List(&'static Self),
    /// Anything the sender likes.
    Free,
}

/// A named field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
}

/// A borrowed view of a part of the canonical model.
#[derive(Clone, Copy)]
pub enum Node<'a> {
    /// The sender did not say.
    Absent,
    /// Text, or a word of a list.
    Text(&'a str),
    /// A whole number.
    Number(u64),
    /// True or false.
    Flag(bool),
    /// A point in time.
    Time(Timestamp),
    /// Named fields.
    Record(&'a dyn Record),
    /// Several of the same.
    List(&'a dyn Items),
    /// Labels.
    Labels(&'a BTreeMap<String, String>),
    /// Named values we do not know.
    Object(&'a Map<String, Value>),
    /// A value we do not know.
    Json(&'a Value),
}

impl<'a> Node<'a> {
    /// The named part of it; absent if it has none.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        match self {
            Self::Record(record) => record.get(name),
            Self::Labels(labels) => labels.get(name).map_or(Self::Absent, |text| Self::Text(text)),
            Self::Object(map) => map.get(name).map_or(Self::Absent, Self::of_json),
            Self::Json(value) => value.get(name).map_or(Self::Absent, Self::of_json),
            Self::Absent | Self::Text(_) | Self::Number(_) | Self::Flag(_) | Self::Time(_) | Self::List(_) => {
                Self::Absent
            }
        }
    }

    /// The item at a place, counted from the end when negative; absent if there is none.
    #[must_use]
    pub fn item(self, place: i64) -> Self {
        let place_in = |len: usize| {
            let len = i64::try_from(len).unwrap_or(i64::MAX);
            usize::try_from(if place < 0 { len.saturating_add(place) } else { place }).ok()
        };
        match self {
            Self::List(items) => place_in(items.len()).map_or(Self::Absent, |place| items.get(place)),
            Self::Json(Value::Array(items)) => {
                place_in(items.len()).and_then(|place| items.get(place)).map_or(Self::Absent, Self::of_json)
            }
            Self::Absent
            | Self::Text(_)
            | Self::Number(_)
            | Self::Flag(_)
            | Self::Time(_)
            | Self::Record(_)
            | Self::Labels(_)
            | Self::Object(_)
            | Self::Json(_) => Self::Absent,
        }
    }

    /// The view of a JSON value; `null` is absent.
    pub fn of_json(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Absent,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::String(text) => Self::Text(text),
            Value::Object(map) => Self::Object(map),
            Value::Number(_) | Value::Array(_) => Self::Json(value),
        }
    }
}

/// Something with named fields.
pub trait Record: Send + Sync {
    /// The field of that name; absent if there is none or the sender did not say.
    fn get(&self, name: &str) -> Node<'_>;
    /// Calls back with every field that is there, in wire order.
    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'static str, Node<'a>));
}

/// A list.
pub trait Items: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The item at a place; absent behind the end.
    fn get(&self, place: usize) -> Node<'_>;
}

/// Something a list can hold.
pub trait AsNode: Send + Sync {
    /// The view of it.
    fn as_node(&self) -> Node<'_>;
}

impl AsNode for String {
    fn as_node(&self) -> Node<'_> {
        Node::Text(self)
    }
}

impl<T: AsNode> Items for Vec<T> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }
    fn get(&self, place: usize) -> Node<'_> {
        self.as_slice().get(place).map_or(Node::Absent, AsNode::as_node)
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Absent => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(number),
            Self::Flag(flag) => serializer.serialize_bool(flag),
            Self::Time(time) => serializer.collect_str(&Rfc3339(time)),
            Self::Record(record) => serialize_record(record, serializer),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for place in 0..items.len() {
                    list.serialize_element(&items.get(place))?;
                }
                list.end()
            }
            Self::Labels(labels) => labels.serialize(serializer),
            Self::Object(map) => map.serialize(serializer),
            Self::Json(value) => value.serialize(serializer),
        }
    }
}

/// Writes a record as a JSON object without the fields that are absent.
pub(super) fn serialize_record<S: Serializer>(record: &dyn Record, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    let mut failed = None;
    record.each(&mut |name, node| {
        if failed.is_none() {
            failed = map.serialize_entry(name, &node).err();
        }
    });
    match failed {
        Some(error) => Err(error),
        None => map.end(),
    }
}

/// RFC 3339 in UTC with as many digits as needed: `2026-11-22T06:00:00Z`.
pub struct Rfc3339(pub Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.millis()) {
            Ok(stamp) => write!(f, "{stamp}"),
            Err(_) => f.write_str("9999-12-31T23:59:59Z"),
        }
    }
}
