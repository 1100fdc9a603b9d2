//! Records: named fields that are read, seen, written and shaped from one list.
//!
//! Owns: the `record!` macro, so that no field can be readable but not writable, or unknown to the mapping engine.
//! Never: knows a record by name. Fails: it cannot. Proved by: the tests of `incident` and `change`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::codec::{Codec, wrong_kinds};
use super::reader::{Reader, Scalar};
use super::{Field, Node, Record, Shape};

/// A record inside a record.
pub(in crate::domain) struct Nested<R>(PhantomData<R>);

/// What `record!` writes for each record.
pub(in crate::domain) trait ReadRecord: Record + Sized {
    /// What it cannot be without; `()` for most.
    type Key;
    const FIELDS: &'static [Field];
    /// A record that says nothing else.
    fn bare(key: Self::Key) -> Self;
    fn read_map<'de, A: MapAccess<'de>>(map: A, reader: &mut Reader) -> Result<Option<Self>, A::Error>;
}

impl<R: ReadRecord> Codec for Nested<R> {
    type Value = R;
    const SHAPE: Shape = Shape::Record(R::FIELDS);
    fn read<'de, D: Deserializer<'de>>(source: D, reader: &mut Reader) -> Result<Option<R>, D::Error> {
        source.deserialize_any(RecordVisitor::<R>(reader, PhantomData))
    }
    fn node(value: &R) -> Node<'_> {
        Node::Record(value)
    }
}

struct RecordVisitor<'r, R>(&'r mut Reader, PhantomData<R>);

impl<'de, R: ReadRecord> Visitor<'de> for RecordVisitor<'_, R> {
    type Value = Option<R>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        R::read_map(map, self.0)
    }
    wrong_kinds!("an object", not_map);
}

/// A key of a record, recognised while it is still borrowed from the source.
pub(in crate::domain) trait FromKey: Sized {
    fn from_key(key: &str) -> Self;
}

/// Hands a [`FromKey`] to serde.
pub(in crate::domain) struct KeySeed<K>(PhantomData<K>);

impl<K> KeySeed<K> {
    pub(in crate::domain) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, K: FromKey> DeserializeSeed<'de> for KeySeed<K> {
    type Value = K;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<K, D::Error> {
        source.deserialize_identifier(self)
    }
}

impl<K: FromKey> Visitor<'_> for KeySeed<K> {
    type Value = K;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    fn visit_str<E>(self, text: &str) -> Result<K, E> {
        Ok(K::from_key(text))
    }
}

/// Defines a record of the canonical model: the struct, how it is read, seen, written and merged.
///
/// A field is `name "wire name": Type as Codec`; `(raw)` behind the wire name says where an unknown word is kept.
/// `@ name "wire name": Type as Codec or "fault"` is a field without which the record does not exist.
macro_rules! record {
    (
        $(#[$doc:meta])*
        $name:ident {
            $(@ $(#[$key_doc:meta])* $key:ident $key_wire:literal: $key_type:ty as $key_codec:ty,)?
            $($(#[$field_doc:meta])* $field:ident $wire:literal $(($raw:ident))?: $type:ty as $codec:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$key_doc])* pub $key: $key_type,)?
            $($(#[$field_doc])* pub $field: Option<$type>,)*
            /// Fields we do not know, as sent.
            pub custom: serde_json::Map<String, serde_json::Value>,
        }

        impl $crate::domain::wire::Record for $name {
            fn get(&self, name: &str) -> $crate::domain::wire::Node<'_> {
                use $crate::domain::wire::{Node, codec::Codec};
                match name {
                    $($key_wire => <$key_codec as Codec>::node(&self.$key),)?
                    $($wire => self.$field.as_ref().map_or(Node::Absent, <$codec as Codec>::node),)*
                    "custom" => Node::Object(&self.custom),
                    _ => Node::Absent,
                }
            }

            fn each<'a>(&'a self, visit: &mut dyn FnMut(&'static str, $crate::domain::wire::Node<'a>)) {
                use $crate::domain::wire::{Node, codec::Codec};
                $(visit($key_wire, <$key_codec as Codec>::node(&self.$key));)?
                $(if let Some(value) = &self.$field {
                    visit($wire, <$codec as Codec>::node(value));
                })*
                if !self.custom.is_empty() {
                    visit("custom", Node::Object(&self.custom));
                }
            }
        }

        impl $crate::domain::wire::AsNode for $name {
            fn as_node(&self) -> $crate::domain::wire::Node<'_> {
                $crate::domain::wire::Node::Record(self)
            }
        }

        impl $crate::domain::wire::record::ReadRecord for $name {
            type Key = ($($key_type,)?);

            fn bare(key: Self::Key) -> Self {
                let ($($key,)?) = key;
                Self { $($key,)? $($field: None,)* custom: serde_json::Map::new() }
            }

            const FIELDS: &'static [$crate::domain::wire::Field] = {
                use $crate::domain::wire::{Field, Shape, codec::Codec};
                &[
                    $(Field { name: $key_wire, shape: <$key_codec as Codec>::SHAPE },)?
                    $(Field { name: $wire, shape: <$codec as Codec>::SHAPE },)*
                    Field { name: "custom", shape: Shape::Free },
                ]
            };

            fn read_map<'de, A: serde::de::MapAccess<'de>>(
                mut map: A,
                reader: &mut $crate::domain::wire::reader::Reader,
            ) -> Result<Option<Self>, A::Error> {
                use $crate::domain::wire::{codec::Custom, record::{FromKey, KeySeed}};
                #[expect(non_camel_case_types, reason = "the variants are the fields")]
                enum Key {
                    $($key,)?
                    $($field,)*
                    Custom,
                    Other(String),
                }
                impl FromKey for Key {
                    fn from_key(key: &str) -> Self {
                        match key {
                            $($key_wire => Self::$key,)?
                            $($wire => Self::$field,)*
                            "custom" => Self::Custom,
                            other => Self::Other(other.to_owned()),
                        }
                    }
                }
                $(let mut $key: Option<$key_type> = None;)?
                $(let mut $field: Option<$type> = None;)*
                let mut custom = serde_json::Map::new();
                while let Some(key) = map.next_key_seed(KeySeed::<Key>::new())? {
                    match key {
                        $(Key::$key => {
                            if $key.is_some() {
                                reader.repeated($key_wire);
                            }
                            $key = reader.field::<$key_codec, A>($key_wire, &mut map)?;
                        })?
                        $(Key::$field => {
                            let said = reader.field::<$codec, A>($wire, &mut map)?;
                            if said.is_some() {
                                $field = said;
                            }
                            $(if let Some(raw) = reader.take_raw() {
                                $raw.get_or_insert(raw);
                            })?
                        })*
                        Key::Custom => {
                            for (key, value) in reader.field::<Custom, A>("custom", &mut map)?.unwrap_or_default() {
                                custom.insert(key, value);
                            }
                        }
                        Key::Other(key) => reader.unknown(key, &mut map, &mut custom)?,
                    }
                }
                $(let Some($key) = $key.or_else(|| reader.take_subject()) else {
                    reader.missing($key_wire);
                    return Ok(None);
                };)?
                Ok(Some(Self { $($key,)? $($field,)* custom }))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::domain::wire::serialize_record(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                $crate::domain::wire::record::read_alone::<Self, D>(source)
            }
        }
    };
}
pub(in crate::domain) use record;

/// Reads one record on its own; the first fault is the error.
pub(in crate::domain) fn read_alone<'de, R: ReadRecord, D: Deserializer<'de>>(source: D) -> Result<R, D::Error> {
    let mut reader = Reader::default();
    let record = Nested::<R>::read(source, &mut reader)?;
    match (record, reader.into_faults().into_iter().next()) {
        (Some(record), None) => Ok(record),
        (_, Some(fault)) => Err(serde::de::Error::custom(fault)),
        (None, None) => Err(serde::de::Error::custom("expected an object, found null")),
    }
}
