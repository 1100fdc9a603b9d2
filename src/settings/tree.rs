//! A YAML file as a tree that remembers where everything stands.
//!
//! Owns: the only use of the YAML reader for settings. Never: knows which keys exist.
//! Numbers that are more than numbers stay text: `0123`, `1_000`, `on`, `no`.
//! Fails: with one finding, since a reader cannot go on after a syntax error. Proved by: the tests below.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::codes;
use super::finding::{Finding, Place, Severity};
use crate::limits::SETTINGS_NODES_MAX;

/// A file that was read, with what it is called.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// As it was named, for messages.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) root: Node,
}

/// A value and its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Value {
    #[default]
    Nothing,
    Flag(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

impl Document {
    /// Reads YAML. An empty file is an empty map.
    pub(super) fn parse(name: &str, text: String) -> Result<Self, Finding> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_nodes: SETTINGS_NODES_MAX },
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            with_snippet: false,
        };
        let name = name.to_owned();
        match serde_saphyr::from_str_with_options::<Spanned<Bare>>(&text, options) {
            Ok(root) => Ok(Self { root: Node::from(root), name, text }),
            Err(error) => Err(syntax(&name, &text, &error)),
        }
    }

    /// The value at a path such as `senders.0.name`.
    pub(super) fn find(&self, path: &str) -> Option<&Node> {
        path.split('.').filter(|step| !step.is_empty()).try_fold(&self.root, |node, step| match &node.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.text == step).map(|(_, node)| node),
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            Value::Nothing | Value::Flag(_) | Value::Number(_) | Value::Text(_) => None,
        })
    }
}

fn syntax(name: &str, text: &str, error: &serde_saphyr::Error) -> Finding {
    let message = error.without_snippet().to_string();
    // The reader puts the place behind its message; we put it in front.
    let message = message.split(" at line ").next().unwrap_or(&message);
    // And it adds advice for programmers.
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    let unfolds = "the file unfolds to more than a settings file can need; are its aliases meant?";
    let message = if message.contains("budget breached") { unfolds } else { message };
    let message = message.trim_start_matches("error: ").to_owned();
    let finding = Finding::of_file(codes::SYNTAX, Severity::Error, name, message);
    let Some(location) = error.location() else { return finding };
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    finding.at_hidden(Place { line: number(location.line()), column: number(location.column()), width: 1 }, text)
}

impl Node {
    /// The same without places.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Nothing => serde_json::Value::Null,
            Value::Flag(flag) => (*flag).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect(),
            ),
        }
    }
}

impl Value {
    /// What it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "keys and values",
        }
    }
}

/// A value as the YAML reader gives it; the place comes around it.
#[derive(Debug)]
struct Bare(Value);

impl From<Spanned<Bare>> for Node {
    fn from(spanned: Spanned<Bare>) -> Self {
        let width = match &spanned.value.0 {
            Value::Text(text) => text.lines().next().map_or(1, |line| line.chars().count()),
            Value::Number(number) => number.to_string().len(),
            Value::Flag(true) => 4,
            Value::Flag(false) => 5,
            Value::Nothing | Value::List(_) | Value::Map(_) => 1,
        };
        Self { place: place(&spanned.referenced, width), value: spanned.value.0 }
    }
}

fn place(location: &serde_saphyr::Location, width: usize) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Place { line: number(location.line()), column: number(location.column()), width }
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Bare, E> {
        Ok(Bare(Value::Flag(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Bare, E> {
        Ok(Bare(Value::Number(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Bare, E> {
        Ok(Bare(Value::Number(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Bare, E> {
        // Infinity and "not a number" are no JSON numbers; as text they fail where a number is expected.
        let number =
            serde_json::Number::from_f64(number).map_or_else(|| Value::Text(number.to_string()), Value::Number);
        Ok(Bare(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Bare, E> {
        Ok(Bare(Value::Text(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare(Value::Nothing))
    }

    fn visit_none<E>(self) -> Result<Bare, E> {
        Ok(Bare(Value::Nothing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bare, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Bare>>()? {
            list.push(item.into());
        }
        Ok(Bare(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Bare, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Bare>>()? {
            let place = place(&key.referenced, key.value.chars().count());
            map.push((Key { text: key.value, place }, value.into()));
        }
        Ok(Bare(Value::Map(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = "tenant: contoso\nsenders:\n  - {name: soc, hash: \"12\"}\n  - name: rooms\n";
        let document = Document::parse("x.yaml", text.to_owned()).unwrap();
        let at = |path| document.find(path).map(|node| (node.place.line, node.place.column, node.place.width));
        assert_eq!(at("tenant"), Some((1, 9, 7)));
        assert_eq!(at("senders.0.name"), Some((3, 12, 3)));
        assert_eq!(at("senders.1.name"), Some((4, 11, 5)));
        assert_eq!(at("senders.2"), None);
        let Value::Map(entries) = &document.root.value else { panic!("a map") };
        assert_eq!(entries[1].0.place, Place { line: 2, column: 1, width: 7 });
    }

    #[test]
    fn numbers_that_are_more_than_numbers_stay_text() {
        let text = "a: 0123\nb: 1_000\nc: on\nd: no\ne: 12\nf: true\ng: \"7\"\nh: ~\ni: 1.5\n";
        let document = Document::parse("x.yaml", text.to_owned()).unwrap();
        let expected = serde_json::json!({
            "a": "0123", "b": "1_000", "c": "on", "d": "no", "e": 12, "f": true, "g": "7", "h": null, "i": 1.5
        });
        assert_eq!(document.root.to_json(), expected);
    }

    #[test]
    fn a_syntax_error_has_its_place_and_a_key_given_twice_is_one() {
        for (text, expected) in [("a: 1\na: 2\n", ""), ("a: [1, 2\n", ""), ("a: 1\n\tb: 2\n", "")] {
            let finding = Document::parse("x.yaml", text.to_owned()).unwrap_err();
            println!("{}", finding.headline());
            assert!(finding.headline().contains(expected));
        }
    }

    #[test]
    fn an_empty_file_is_nothing_and_no_error() {
        for text in ["", "# only a comment\n", "---\n"] {
            let document = Document::parse("x.yaml", text.to_owned()).unwrap();
            assert!(matches!(document.root.value, Value::Nothing), "{text:?}");
        }
    }
}
