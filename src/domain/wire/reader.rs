//! Reading with a memory: where we are, and everything that was wrong so far.
//!
//! Owns: the path, the faults and their bound. Never: stops at a wrong value; it reads over it and goes on.
//! Fails: only where the source itself is broken. Proved by: the tests of `change`.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Fault;
use super::codec::{Codec, Seed};
use crate::domain::id::IncidentId;
use crate::limits::{CHANGE_FAULTS_COUNT_MAX, INCIDENT_CUSTOM_DEPTH_MAX, INCIDENT_CUSTOM_VALUES_COUNT_MAX};

/// What came next in a list.
pub(in crate::domain) enum Element<T> {
    Item(T),
    Wrong,
    End,
}

/// Where the reader is, kept as cheap pieces; a pointer is only built for a fault.
enum Segment {
    Name(&'static str),
    Key(String),
    Place(usize),
}

/// Reads records and collects what is wrong with them.
#[derive(Default)]
pub(in crate::domain) struct Reader {
    path: Vec<Segment>,
    faults: Vec<Fault>,
    raw: Option<String>,
    values: usize,
    subject: Option<IncidentId>,
}

impl Reader {
    /// A reader that knows the incident's id from elsewhere, for a record that does not name it.
    pub(in crate::domain) fn about(subject: Option<IncidentId>) -> Self {
        Self { subject, ..Self::default() }
    }

    /// Notes a fault at the present place.
    pub(in crate::domain) fn fault(&mut self, message: impl Into<String>) {
        if self.faults.len() < CHANGE_FAULTS_COUNT_MAX {
            self.faults.push(Fault { pointer: self.pointer(), message: message.into() });
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for segment in &self.path {
            pointer.push('/');
            match segment {
                Segment::Name(name) => pointer.push_str(name),
                Segment::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Segment::Place(place) => pointer.push_str(&place.to_string()),
            }
        }
        pointer
    }

    /// Everything that was wrong.
    pub(in crate::domain) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Whether nothing was wrong so far.
    pub(in crate::domain) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// The word that was not known, if the last value was one.
    pub(in crate::domain) fn take_raw(&mut self) -> Option<String> {
        self.raw.take()
    }

    /// Keeps a word that was not known until its record asks for it.
    pub(in crate::domain) fn keep_raw(&mut self, word: String) {
        self.raw = Some(word);
    }

    /// The id that stands in for the incident's own.
    pub(in crate::domain) fn take_subject(&mut self) -> Option<IncidentId> {
        self.subject.take()
    }

    /// Notes that what names the record stands twice: which one would count?
    pub(in crate::domain) fn repeated(&mut self, name: &str) {
        let pointer = format!("{}/{name}", self.pointer());
        self.missing_at(&pointer, "stands here twice");
    }

    /// Notes that a needed field was not there, unless it was there and wrong.
    pub(in crate::domain) fn missing(&mut self, name: &str) {
        let pointer = format!("{}/{name}", self.pointer());
        self.missing_at(&pointer, "is missing");
    }

    /// Notes that a field was needed, unless it, something around it or something inside it was wrong already.
    pub(in crate::domain) fn missing_at(&mut self, pointer: &str, message: &str) {
        let inside = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let known = |fault: &Fault| inside(&fault.pointer, pointer) || inside(pointer, &fault.pointer);
        if self.faults.len() < CHANGE_FAULTS_COUNT_MAX && !self.faults.iter().any(known) {
            self.faults.push(Fault { pointer: pointer.to_owned(), message: message.to_owned() });
        }
    }

    /// Reads the value of a known field of a map.
    pub(in crate::domain) fn field<'de, C: Codec, A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        map: &mut A,
    ) -> Result<Option<C::Value>, A::Error> {
        self.path.push(Segment::Name(name));
        let value = map.next_value_seed(Seed::<C>::new(self));
        self.path.pop();
        value
    }

    /// Reads the value under a key that is itself data.
    pub(in crate::domain) fn keyed<'de, C: Codec, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<Option<C::Value>, A::Error> {
        self.path.push(Segment::Key(key.to_owned()));
        let value = map.next_value_seed(Seed::<C>::new(self));
        self.path.pop();
        value
    }

    /// Reads the next item of a list.
    pub(in crate::domain) fn element<'de, C: Codec, A: SeqAccess<'de>>(
        &mut self,
        place: usize,
        list: &mut A,
    ) -> Result<Element<C::Value>, A::Error> {
        self.path.push(Segment::Place(place));
        let value = list.next_element_seed(Seed::<C>::new(self));
        self.path.pop();
        Ok(value?.map_or(Element::End, |item| item.map_or(Element::Wrong, Element::Item)))
    }

    /// Reads the value of a field we do not know.
    pub(in crate::domain) fn unknown<'de, A: MapAccess<'de>>(
        &mut self,
        key: String,
        map: &mut A,
        custom: &mut Map<String, Value>,
    ) -> Result<(), A::Error> {
        let value: Value = map.next_value()?;
        self.path.push(Segment::Key(key.clone()));
        self.measure(&value, 0);
        self.path.pop();
        custom.entry(key).or_insert(value);
        Ok(())
    }

    fn measure(&mut self, value: &Value, depth: usize) {
        self.values += 1;
        if self.values == INCIDENT_CUSTOM_VALUES_COUNT_MAX + 1 {
            self.fault(format!("there are more than {INCIDENT_CUSTOM_VALUES_COUNT_MAX} values of unknown fields"));
        }
        let deepest = depth == INCIDENT_CUSTOM_DEPTH_MAX;
        match value {
            Value::Array(_) | Value::Object(_) if deepest => {
                self.fault(format!("nested deeper than {INCIDENT_CUSTOM_DEPTH_MAX} levels"));
            }
            Value::Array(items) => items.iter().for_each(|item| self.measure(item, depth + 1)),
            Value::Object(map) => map.values().for_each(|item| self.measure(item, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// A value without structure. Lists and objects are read over, so that reading can go on behind a wrong one.
pub(in crate::domain) enum Scalar {
    Null,
    Flag(bool),
    Unsigned(u64),
    Fraction(String),
    Text(String),
    List,
    Object,
}

impl Scalar {
    pub(in crate::domain) fn read<'de, D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(ScalarVisitor)
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "a boolean",
            Self::Unsigned(_) | Self::Fraction(_) => "a number",
            Self::Text(_) => "text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }

    pub(in crate::domain) fn refuse(&self, expected: &str, reader: &mut Reader) {
        if !matches!(self, Self::Null) {
            reader.fault(format!("expected {expected}, found {}", self.noun()));
        }
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }
    fn visit_none<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Scalar, D::Error> {
        Scalar::read(source)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Unsigned(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(u64::try_from(number).map_or_else(|_| Scalar::Fraction(number.to_string()), Scalar::Unsigned))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Fraction(number.to_string()))
    }
    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::List)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}
