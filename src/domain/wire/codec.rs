//! How each sort of field is read from the wire and seen by the mapping engine, and the macro that makes records of them.
//!
//! Owns: the bounds on text and lists. Never: knows a field by name.
//! Fails: it cannot; a wrong value is a fault and counts as absent. Proved by: the tests of `incident` and `change`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::reader::{Element, Reader, Scalar};
use super::{AsNode, Node, Shape};
use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;
use crate::domain::words::Word;
use crate::limits::{INCIDENT_LABELS_COUNT_MAX, INCIDENT_NAME_CHARS_MAX};

/// The visits of a list or an object that found something else: a fault, and on.
macro_rules! wrong_kinds {
    ($expected:literal, not_list) => {
        wrong_kinds!($expected);
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Scalar::Object.refuse($expected, self.0);
            Ok(None)
        }
    };
    ($expected:literal, not_map) => {
        wrong_kinds!($expected);
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Scalar::List.refuse($expected, self.0);
            Ok(None)
        }
    };
    ($expected:literal) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
            Scalar::Flag(flag).refuse($expected, self.0);
            Ok(None)
        }
        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            Scalar::Unsigned(number).refuse($expected, self.0);
            Ok(None)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Scalar::Unsigned(0).refuse($expected, self.0);
            Ok(None)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Scalar::Unsigned(0).refuse($expected, self.0);
            Ok(None)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Scalar::Text(String::new()).refuse($expected, self.0);
            Ok(None)
        }
    };
}

pub(super) use wrong_kinds;

/// How a field is read and seen; the markers below implement it.
pub(in crate::domain) trait Codec {
    type Value;
    const SHAPE: Shape;
    /// `None` for a null, an empty word, or a value that was wrong (then a fault was noted).
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<Self::Value>, D::Error>;
    fn node(value: &Self::Value) -> Node<'_>;
}

/// Hands the reader to serde.
pub(super) struct Seed<'r, C>(&'r mut Reader, PhantomData<C>);

impl<'r, C> Seed<'r, C> {
    pub(super) fn new(reader: &'r mut Reader) -> Self {
        Self(reader, PhantomData)
    }
}

impl<'de, C: Codec> DeserializeSeed<'de> for Seed<'_, C> {
    type Value = Option<C::Value>;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        C::read(source, self.0)
    }
}

/// Text of at most so many characters.
pub(in crate::domain) struct Text<const CHARS_MAX: usize>;
/// A name, an id, an address.
pub(in crate::domain) type Name = Text<INCIDENT_NAME_CHARS_MAX>;

impl<const CHARS_MAX: usize> Codec for Text<CHARS_MAX> {
    type Value = String;
    const SHAPE: Shape = Shape::Text;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<String>, D::Error> {
        let scalar = Scalar::read(source)?;
        let Scalar::Text(text) = scalar else {
            scalar.refuse("text", reader);
            return Ok(None);
        };
        // Counting characters is only needed for text that has more bytes than allowed characters.
        if text.len() > CHARS_MAX && text.chars().count() > CHARS_MAX {
            reader.fault(format!("longer than {CHARS_MAX} characters"));
            return Ok(None);
        }
        if text.contains('\0') {
            reader.fault("contains a NUL character");
            return Ok(None);
        }
        Ok(Some(text))
    }
    fn node(value: &String) -> Node<'_> {
        Node::Text(value)
    }
}

/// One of a list of words; a word we do not know is kept in the reader for the field's `…_raw`.
pub(in crate::domain) struct OneOf<W>(PhantomData<W>);

impl<W: Word> Codec for OneOf<W> {
    type Value = W;
    const SHAPE: Shape = Shape::Words(W::WORDS);
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<W>, D::Error> {
        let Some(text) = Name::read(source, reader)? else { return Ok(None) };
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(W::known(&text).unwrap_or_else(|| {
            reader.keep_raw(text);
            W::unknown()
        })))
    }
    fn node(value: &W) -> Node<'_> {
        Node::Text(value.as_str())
    }
}

/// A whole number from 0.
pub(in crate::domain) struct Number<T>(PhantomData<T>);

impl<T: TryFrom<u64> + Into<u64> + Copy> Codec for Number<T> {
    type Value = T;
    const SHAPE: Shape = Shape::Number;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<T>, D::Error> {
        let scalar = Scalar::read(source)?;
        let number = if let Scalar::Unsigned(number) = scalar { T::try_from(number).ok() } else { None };
        if number.is_none() {
            scalar.refuse("a whole number, not negative and not larger than its field", reader);
        }
        Ok(number)
    }
    fn node(value: &T) -> Node<'_> {
        Node::Number((*value).into())
    }
}

/// True or false.
pub(in crate::domain) struct Flag;

impl Codec for Flag {
    type Value = bool;
    const SHAPE: Shape = Shape::Flag;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<bool>, D::Error> {
        let scalar = Scalar::read(source)?;
        if let Scalar::Flag(flag) = scalar {
            return Ok(Some(flag));
        }
        scalar.refuse("true or false", reader);
        Ok(None)
    }
    fn node(value: &bool) -> Node<'_> {
        Node::Flag(*value)
    }
}

/// RFC 3339 with any offset; kept in UTC with milliseconds. Empty text means not said.
pub(in crate::domain) struct Moment;

impl Codec for Moment {
    type Value = Timestamp;
    const SHAPE: Shape = Shape::Time;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<Timestamp>, D::Error> {
        const EXPECTED: &str = "a time such as 2026-11-22T06:00:00Z";
        let scalar = Scalar::read(source)?;
        let Scalar::Text(text) = scalar else {
            scalar.refuse(EXPECTED, reader);
            return Ok(None);
        };
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = text.parse::<jiff::Timestamp>();
        if parsed.is_err() {
            reader.fault(format!("expected {EXPECTED}"));
        }
        Ok(parsed.ok().map(|stamp| Timestamp::from_millis(stamp.as_millisecond())))
    }
    fn node(value: &Timestamp) -> Node<'_> {
        Node::Time(*value)
    }
}

/// The incident's id.
pub(in crate::domain) struct Id;

impl Codec for Id {
    type Value = IncidentId;
    const SHAPE: Shape = Shape::Text;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<IncidentId>, D::Error> {
        let scalar = Scalar::read(source)?;
        let Scalar::Text(text) = scalar else {
            scalar.refuse("text", reader);
            return Ok(None);
        };
        let parsed = IncidentId::parse(&text);
        if let Err(wrong) = &parsed {
            reader.fault(wrong.to_string());
        }
        Ok(parsed.ok())
    }
    fn node(value: &IncidentId) -> Node<'_> {
        Node::Text(value.as_str())
    }
}

/// At most so many of the same.
pub(in crate::domain) struct ListOf<C, const COUNT_MAX: usize>(PhantomData<C>);

impl<C: Codec, const COUNT_MAX: usize> Codec for ListOf<C, COUNT_MAX>
where
    C::Value: AsNode,
{
    type Value = Vec<C::Value>;
    const SHAPE: Shape = Shape::List(&C::SHAPE);
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<Self::Value>, D::Error> {
        source.deserialize_any(ListVisitor::<C, COUNT_MAX>(reader, PhantomData))
    }
    fn node(value: &Self::Value) -> Node<'_> {
        Node::List(value)
    }
}

struct ListVisitor<'r, C, const COUNT_MAX: usize>(&'r mut Reader, PhantomData<C>);

impl<'de, C: Codec, const COUNT_MAX: usize> Visitor<'de> for ListVisitor<'_, C, COUNT_MAX> {
    type Value = Option<Vec<C::Value>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        for place in 0..COUNT_MAX {
            match self.0.element::<C, A>(place, &mut list)? {
                Element::Item(item) => items.push(item),
                Element::Wrong => {}
                Element::End => return Ok(Some(items)),
            }
        }
        if list.next_element::<IgnoredAny>()?.is_some() {
            self.0.fault(format!("more than {COUNT_MAX} items"));
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Some(items))
    }
    wrong_kinds!("a list", not_list);
}

/// Named texts; numbers and booleans are taken as text, as tools send them so.
pub(in crate::domain) struct Labels;

impl Codec for Labels {
    type Value = BTreeMap<String, String>;
    const SHAPE: Shape = Shape::Free;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<Self::Value>, D::Error> {
        source.deserialize_any(LabelsVisitor(reader))
    }
    fn node(value: &Self::Value) -> Node<'_> {
        Node::Labels(value)
    }
}

struct LabelsVisitor<'r>(&'r mut Reader);

impl<'de> Visitor<'de> for LabelsVisitor<'_> {
    type Value = Option<BTreeMap<String, String>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(text) = self.0.keyed::<Label, A>(&key, &mut map)? {
                labels.insert(key, text);
            }
        }
        if labels.len() > INCIDENT_LABELS_COUNT_MAX {
            self.0.fault(format!("more than {INCIDENT_LABELS_COUNT_MAX} labels"));
        }
        Ok(Some(labels))
    }
    wrong_kinds!("an object of texts", not_map);
}

/// The value of one label.
struct Label;

impl Codec for Label {
    type Value = String;
    const SHAPE: Shape = Shape::Text;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<String>, D::Error> {
        match Scalar::read(source)? {
            Scalar::Text(text) if text.chars().count() <= INCIDENT_NAME_CHARS_MAX => return Ok(Some(text)),
            Scalar::Text(_) => reader.fault(format!("longer than {INCIDENT_NAME_CHARS_MAX} characters")),
            Scalar::Flag(flag) => return Ok(Some(flag.to_string())),
            Scalar::Unsigned(number) => return Ok(Some(number.to_string())),
            Scalar::Fraction(number) => return Ok(Some(number)),
            wrong @ (Scalar::Null | Scalar::List | Scalar::Object) => wrong.refuse("text", reader),
        }
        Ok(None)
    }
    fn node(value: &String) -> Node<'_> {
        Node::Text(value)
    }
}

/// An object with anything in it.
pub(in crate::domain) struct Custom;

impl Codec for Custom {
    type Value = Map<String, Value>;
    const SHAPE: Shape = Shape::Free;
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<Self::Value>, D::Error> {
        source.deserialize_any(CustomVisitor(reader))
    }
    fn node(value: &Self::Value) -> Node<'_> {
        Node::Object(value)
    }
}

struct CustomVisitor<'r>(&'r mut Reader);

impl<'de> Visitor<'de> for CustomVisitor<'_> {
    type Value = Option<Map<String, Value>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut custom = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.0.unknown(key, &mut map, &mut custom)?;
        }
        Ok(Some(custom))
    }
    wrong_kinds!("an object", not_map);
}
