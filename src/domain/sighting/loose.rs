//! JSON as loosely as scripts write it: every scalar is text, and whatever is not needed is read over.
//!
//! Owns: reading bytes of JSON into a small tree that borrows from them, within a depth and a count. Never: knows what a
//! ticket is. What is deeper or more than allowed is skipped and marked as [`Loose::Skipped`], because an unknown part
//! of a payload is no reason to lose the rest of it.
//! Fails: where the text is no JSON, with the place. Proved by: the tests of `sighting`.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::limits::{JSON_DEPTH_MAX, SIGHTING_VALUES_COUNT_MAX};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Loose<'a> {
    /// `null`.
    Null,
    /// Text, a number, or `true` and `false`.
    Text(Cow<'a, str>),
    /// Several.
    List(Vec<Self>),
    /// Named ones, in their order; a name may stand twice.
    Object(Vec<(Cow<'a, str>, Self)>),
    /// Too deep, or one too many.
    Skipped,
}

impl<'a> Loose<'a> {
    /// Reads one JSON value; nothing but space may follow it.
    pub(super) fn parse(text: &'a str) -> serde_json::Result<Self> {
        let left = Cell::new(SIGHTING_VALUES_COUNT_MAX);
        let mut source = serde_json::Deserializer::from_str(text);
        let value = Seed { left: &left, depth: JSON_DEPTH_MAX }.deserialize(&mut source)?;
        source.end()?;
        Ok(value)
    }

    /// Its text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Object(_) | Self::Skipped => None,
        }
    }

    /// The value of that very name. The first one counts: what a script appends later cannot replace it.
    pub(super) fn named(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            Self::Null | Self::Text(_) | Self::List(_) | Self::Skipped => None,
        }
    }
}

/// How much may still be read.
#[derive(Clone, Copy)]
struct Seed<'c> {
    left: &'c Cell<usize>,
    depth: usize,
}

impl Seed<'_> {
    fn inner(self) -> Option<Self> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        Some(Self { depth: self.depth.checked_sub(1)?, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Loose<'de>;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Loose<'de>, D::Error> {
        match self.inner() {
            Some(inner) => source.deserialize_any(inner),
            None => source.deserialize_ignored_any(IgnoredAny).map(|_| Loose::Skipped),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Loose<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
        Ok(Loose::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Borrowed(if flag { "true" } else { "false" })))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(number.to_string().into()))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(number.to_string().into()))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(number.to_string().into()))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Loose::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            members.push((key, map.next_value_seed(self)?));
        }
        Ok(Loose::Object(members))
    }
}

/// A name, borrowed where it holds no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
