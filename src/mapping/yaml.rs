//! YAML with positions: the only place that knows the YAML library.
//!
//! Owns: reading a file into a tree whose every key and value knows its bytes. Scalars keep the text that was written, so
//! that `0012345` stays a ticket number and `1.10` a version; reading on from a tree, instead of straight into structs, is what
//! lets one run report everything that is wrong. Never: knows a key.
//! Fails: on broken YAML, with one finding, as nothing behind the break can be trusted. Proved by: the tests here.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::diagnostic::{At, Notes, floor};
use crate::limits::MAPPING_FILE_BYTES_MAX;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Flag(bool),
    /// A number as it was written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) at: At,
    pub(crate) text: String,
}

impl Node {
    /// What it is, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Flag(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a block of keys",
        }
    }

    /// The value as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Flag(flag) => Value::Bool(*flag),
            Kind::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => entries.iter().map(|(key, value)| (key.text.clone(), value.to_json())).collect(),
        }
    }

    /// The deepest part of it that a JSON pointer reaches, which is where a fault of that pointer stands.
    pub(crate) fn at_pointer(&self, pointer: &str) -> At {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                Kind::Map(entries) => entries.iter().find(|(key, _)| key.text == step).map(|(_, value)| value),
                Kind::List(items) => step.parse().ok().and_then(|place: usize| items.get(place)),
                Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node.at
    }
}

/// Reads a file; broken YAML and repeated keys become findings.
pub(crate) fn read(notes: &mut Notes<'_>) -> Option<Node> {
    let text = notes.text();
    if text.len() > MAPPING_FILE_BYTES_MAX {
        let message = format!("the file is larger than {MAPPING_FILE_BYTES_MAX} bytes");
        notes.error("M007", At::default(), message);
        return None;
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Parsed>>(text, options) {
        Ok(parsed) => {
            let node = place(text, parsed);
            repeated_keys(&node, notes);
            Some(node)
        }
        Err(broken) => {
            syntax(&broken, notes);
            None
        }
    }
}

/// A value while the library still reads; the text of numbers is taken from the file afterwards.
enum Parsed {
    Null,
    Flag(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn place(text: &str, parsed: Spanned<Parsed>) -> Node {
    let at = bytes(text, &parsed.defined);
    let written = || text.get(at.start..at.end).unwrap_or_default().trim().to_owned();
    let kind = match parsed.value {
        Parsed::Null => Kind::Null,
        Parsed::Flag(flag) => Kind::Flag(flag),
        Parsed::Number => Kind::Number(written()),
        Parsed::Text(text) => Kind::Text(text),
        Parsed::List(items) => Kind::List(items.into_iter().map(|item| place(text, item)).collect()),
        Parsed::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, Spanned<Parsed>)| {
                (Key { at: bytes(text, &key.defined), text: key.value }, place(text, value))
            };
            Kind::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { at, kind }
}

fn bytes(text: &str, location: &serde_saphyr::Location) -> At {
    let span = location.span();
    let start = span.byte_offset().and_then(|start| usize::try_from(start).ok());
    let length = span.byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let start = start.unwrap_or_else(|| {
        // Errors of the scanner come without bytes; lines and columns are always there.
        let line = usize::try_from(location.line()).unwrap_or(1).max(1);
        let column = usize::try_from(location.column()).unwrap_or(1).max(1);
        let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = text.get(before..).unwrap_or_default();
        before + rest.char_indices().nth(column - 1).map_or_else(|| rest.trim_end_matches('\n').len(), |(byte, _)| byte)
    });
    At::new(floor(text, start), floor(text, start.saturating_add(length)))
}

fn repeated_keys(node: &Node, notes: &mut Notes<'_>) {
    match &node.kind {
        Kind::Map(entries) => {
            for (place, (key, value)) in entries.iter().enumerate() {
                if entries.iter().take(place).any(|(earlier, _)| earlier.text == key.text) {
                    notes.error("M003", key.at, format!("`{}` is here twice", key.text));
                }
                repeated_keys(value, notes);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| repeated_keys(item, notes)),
        Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) => {}
    }
}

fn syntax(broken: &serde_saphyr::Error, notes: &mut Notes<'_>) {
    let text = notes.text();
    let at = broken.location().map_or_else(At::default, |location| bytes(text, &location));
    let message = broken.to_string();
    // The library ends its messages with the position, which we show in our own way.
    let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
    let line_start = text.get(..at.start).and_then(|before| before.rfind('\n')).map_or(0, |feed| feed + 1);
    let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let bare_braces = line.contains(": {{") || line.contains("- {{");
    let hint = notes.error("M001", At::new(at.start, at.end.max(at.start + 1)), format!("not YAML: {message}"));
    if bare_braces {
        hint.hint("put text that starts with `{{` into double quotes");
    }
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(ParsedVisitor)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = Parsed;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Parsed, E> {
        Ok(Parsed::Null)
    }
    fn visit_none<E>(self) -> Result<Parsed, E> {
        Ok(Parsed::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Parsed, D::Error> {
        Parsed::deserialize(source)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Parsed, E> {
        Ok(Parsed::Flag(flag))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Parsed, E> {
        Ok(Parsed::Number)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Parsed, E> {
        Ok(Parsed::Number)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Parsed, E> {
        Ok(Parsed::Number)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Parsed, E> {
        Ok(Parsed::Number)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Parsed, E> {
        Ok(Parsed::Number)
    }
    fn visit_str<E>(self, text: &str) -> Result<Parsed, E> {
        Ok(Parsed::Text(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Parsed, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Parsed::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Parsed::Map(entries))
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::mapping::diagnostic::SourceFile;

    fn json(text: &str) -> serde_json::Value {
        let source = SourceFile::new("x", text);
        let mut notes = Notes::new(&source);
        read(&mut notes).map(|node| node.to_json()).unwrap()
    }

    #[test]
    fn scalars_stay_what_was_written() {
        assert_eq!(
            json("a: 0012345\nb: 1_000\nc: no\nd: 1.10\ne: -5\non: true\ng: ~\nh: \"\\u00e9\"\ni: >-\n  x\n  y\n")
                .to_string(),
            r#"{"a":"0012345","b":"1_000","c":"no","d":1.1,"e":-5,"on":true,"g":null,"h":"é","i":"x y"}"#
        );
    }

    #[test]
    fn an_alias_stands_where_it_was_defined() {
        let source = SourceFile::new("x", "a: &x {k: 17}\nb: *x\n");
        let mut notes = Notes::new(&source);
        let node = read(&mut notes).unwrap();
        assert_eq!(node.to_json().to_string(), r#"{"a":{"k":17},"b":{"k":17}}"#);
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let line = |level: usize| match level.checked_sub(1) {
            None => "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
            Some(before) => format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 9].join(", ")),
        };
        let bomb: String = (0..12).map(line).collect();
        let source = SourceFile::new("x", bomb);
        let mut notes = Notes::new(&source);
        assert!(read(&mut notes).is_none());
        assert_eq!(notes.into_findings()[0].code, "M001");
    }
}
