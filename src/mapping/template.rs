//! A text with `{{ … }}` in it: literals and expressions, split by us, so that no statement ever reaches the engine.
//!
//! Owns: the splitting, the places of expressions in the file, and putting a value together.
//! Never: knows which field it is for. Fails: at load with findings, at run time with a [`Trouble`]. Proved by: the tests of
//! `apply` and the table of broken files in `tests/mappings.rs`.

use std::borrow::Cow;

use super::diagnostic::{At, Notes};
use super::expression::Trouble;
use super::filters::to_text;
use super::lint::{self, Meaning};
use super::native::Found;
use super::path::{Path, value_of};
use super::raw::Scalar;
use crate::domain::wire::{Field, Node, Record, Rfc3339, Shape};

/// A compiled text.
#[derive(Debug)]
pub(crate) struct Template {
    parts: Box<[Part]>,
    shape: Option<Shape>,
}

#[derive(Debug)]
enum Part {
    Literal(Box<str>),
    Path(Path),
    Program(Box<super::expression::Program>),
}

impl Template {
    /// Compiles a text; everything wrong with it is noted.
    pub(crate) fn compile(text: &Scalar, roots: &[Field], notes: &mut Notes<'_>) -> Option<Self> {
        let pieces = split(text, notes)?;
        let mut parts = Vec::new();
        let mut clean = true;
        let mut shape = None;
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => parts.push(Part::Literal(literal.into())),
                Piece::Expression { source, at, exact } => match lint::check(source, at, exact, roots, notes) {
                    Some(checked) => {
                        shape = checked.shape;
                        parts.push(match checked.meaning {
                            Meaning::Path(path) => Part::Path(path),
                            Meaning::Program(program) => Part::Program(program),
                        });
                    }
                    None => clean = false,
                },
            }
        }
        let shape = shape.filter(|_| parts.len() == 1);
        clean.then(|| Self { parts: parts.into(), shape })
    }

    /// The text, if there is nothing to compute in it.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.parts.as_ref() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            [..] => None,
        }
    }

    /// Every path it reads.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().flat_map(|part| match part {
            Part::Literal(_) => Vec::new(),
            Part::Path(path) => vec![path],
            Part::Program(program) => program.parameters.iter().map(|parameter| &parameter.path).collect(),
        })
    }

    /// The words it can be, if it is a canonical list of words and nothing else.
    pub(crate) fn words(&self) -> Option<&'static [&'static str]> {
        match (self.parts.as_ref(), self.shape) {
            ([Part::Path(_)], Some(Shape::Words(words))) => Some(words),
            (_, _) => None,
        }
    }

    /// The path it is, if it is nothing else.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self.parts.as_ref() {
            [Part::Path(path)] => Some(path),
            [..] => None,
        }
    }

    /// Whether it is one expression and nothing around it, whose value keeps its type.
    pub(crate) fn is_sole(&self) -> bool {
        matches!(self.parts.as_ref(), [Part::Path(_) | Part::Program(_)])
    }

    /// The value as JSON: an expression that stands alone keeps its type, everything else is text.
    pub(crate) fn json(&self, scope: &dyn Record) -> Result<Option<serde_json::Value>, Trouble> {
        let json = match self.parts.as_ref() {
            [Part::Path(path)] => {
                let node = path.resolve(scope);
                if matches!(node, Node::Absent) {
                    return Err(Trouble::Missing(path.to_string()));
                }
                serde_json::to_value(node)
            }
            [Part::Program(program)] => match program.evaluate(scope)? {
                None => return Ok(None),
                Some(Found::Node(node)) => serde_json::to_value(node),
                Some(Found::Constant(value)) => serde_json::to_value(value),
                Some(Found::Computed(value)) => serde_json::to_value(value),
            },
            [..] => return Ok(self.text(scope)?.map(|text| serde_json::Value::String(text.into_owned()))),
        };
        json.map(Some).map_err(|error| Trouble::Failed(error.to_string()))
    }

    /// The value as text; `None` if it has none and says that it may have none.
    pub(crate) fn text<'a>(&'a self, scope: &'a dyn Record) -> Result<Option<Cow<'a, str>>, Trouble> {
        if let [only] = self.parts.as_ref() {
            return only.text(scope);
        }
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(&part.text(scope)?.unwrap_or_default());
        }
        Ok(Some(text.into()))
    }

    /// Whether it holds: true, a number other than 0, or a text that is neither empty nor `false`.
    pub(crate) fn holds(&self, scope: &dyn Record) -> Result<bool, Trouble> {
        if let [Part::Program(program)] = self.parts.as_ref() {
            return Ok(program.evaluate(scope)?.is_some_and(|value| value.is_true()));
        }
        if let [Part::Path(path)] = self.parts.as_ref()
            && let node @ (Node::List(_) | Node::Record(_) | Node::Labels(_) | Node::Object(_)) = path.resolve(scope)
        {
            // Texts have no form for these; whether there is something in them can be told.
            return Ok(Found::Node(node).is_true());
        }
        match self.text(scope) {
            Ok(text) => Ok(text.is_some_and(|text| !matches!(text.as_ref(), "" | "false" | "0"))),
            Err(Trouble::Missing(_)) => Ok(false),
            Err(failed @ Trouble::Failed(_)) => Err(failed),
        }
    }
}

impl Part {
    fn text<'a>(&'a self, scope: &'a dyn Record) -> Result<Option<Cow<'a, str>>, Trouble> {
        match self {
            Self::Literal(text) => Ok(Some(Cow::Borrowed(text))),
            Self::Path(path) => {
                let node = path.resolve(scope);
                if matches!(node, Node::Absent) {
                    return Err(Trouble::Missing(path.to_string()));
                }
                plain(node).map(Some).map_err(|why| Trouble::Failed(format!("`{path}`: {why}")))
            }
            Self::Program(program) => match program.evaluate(scope)? {
                None => Ok(None),
                Some(found) => found_text(found)
                    .map(Some)
                    .map_err(|why| Trouble::Failed(format!("`{}`: {why}", program.source.trim()))),
            },
        }
    }
}

/// A value as ServiceNow takes it.
fn found_text(found: Found<'_>) -> Result<Cow<'_, str>, String> {
    match found {
        Found::Node(node) => plain(node),
        Found::Constant(value) => to_text(value).map_err(|error| why(&error)),
        Found::Computed(value) => to_text(&value).map(|text| text.into_owned().into()).map_err(|error| why(&error)),
    }
}

fn why(error: &minijinja::Error) -> String {
    error.detail().unwrap_or("has no text form").to_owned()
}

/// A part of the model as ServiceNow takes it.
fn plain(node: Node<'_>) -> Result<Cow<'_, str>, String> {
    Ok(match node {
        Node::Absent => Cow::Borrowed(""),
        Node::Text(text) => Cow::Borrowed(text),
        Node::Number(number) => number.to_string().into(),
        Node::Flag(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
        Node::Time(time) => Rfc3339(time).to_string().into(),
        other @ (Node::List(_) | Node::Json(_) | Node::Record(_) | Node::Labels(_) | Node::Object(_)) => {
            to_text(&value_of(other)).map_err(|error| why(&error))?.into_owned().into()
        }
    })
}

enum Piece<'t> {
    Literal(&'t str),
    Expression { source: &'t str, at: At, exact: bool },
}

/// Splits a text into literals and expressions.
fn split<'t>(scalar: &'t Scalar, notes: &mut Notes<'_>) -> Option<Vec<Piece<'t>>> {
    let text = scalar.text.as_str();
    let mut pieces = Vec::new();
    let mut rest = text;
    // Where to go on looking for an expression in the file: quotes and folding may have changed the text around it.
    let mut cursor = scalar.at.start;
    while let Some(open) = rest.find("{{") {
        let (before, after) = rest.split_at(open);
        refuse_statements(before, scalar, notes)?;
        let inner = after.get(2..).unwrap_or_default();
        let Some(length) = closing(inner) else {
            let at = locate(after, scalar.at, cursor, notes.text()).unwrap_or(scalar.at);
            notes.error("M020", at, "`{{` is never closed with `}}`");
            return None;
        };
        let (source, behind) = inner.split_at(length);
        let found = locate(source, scalar.at, cursor, notes.text());
        let at = found.unwrap_or(scalar.at);
        if source.starts_with(['-', '+']) || source.ends_with('-') {
            notes.error("M021", at, "`{{-` and `-}}` are not part of the language").hint("write `{{ … }}`");
            return None;
        }
        cursor = found.map_or(cursor, |at| at.end);
        if !before.is_empty() {
            pieces.push(Piece::Literal(before));
        }
        pieces.push(Piece::Expression { source, at, exact: found.is_some() });
        rest = behind.get(2..).unwrap_or_default();
    }
    refuse_statements(rest, scalar, notes)?;
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    Some(pieces)
}

/// Where a piece of text stands in the file, if it stands there as it is.
fn locate(piece: &str, within: At, from: usize, file: &str) -> Option<At> {
    let found = file.get(from..within.end)?.find(piece)?;
    Some(At::new(from + found, from + found + piece.len()))
}

/// The length of an expression: up to the `}}` that is not inside quotes or braces.
fn closing(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut quote = None;
    let mut depth = 0_usize;
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        match (quote, byte) {
            (Some(_), b'\\') => place += 1,
            (Some(open), byte) if open == *byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth == 0 && bytes.get(place + 1) == Some(&b'}') => return Some(place),
            (None, b'}') => depth = depth.saturating_sub(1),
            (Some(_) | None, _) => {}
        }
        place += 1;
    }
    None
}

fn refuse_statements(literal: &str, scalar: &Scalar, notes: &mut Notes<'_>) -> Option<()> {
    let refused = [
        ("{%", "there are no statements", "use `{{ a if condition else b }}`, a table, or the field's `when:`"),
        ("{#", "there are no comments inside texts", "use YAML's `# …`"),
        ("}}", "this closes nothing", "write it as `{{ '}}' }}`"),
    ];
    let Some((mark, what, hint)) = refused.into_iter().find(|(mark, ..)| literal.contains(mark)) else {
        return Some(());
    };
    let at = locate(mark, scalar.at, scalar.at.start, notes.text()).unwrap_or(scalar.at);
    notes.error("M021", at, format!("{what}: `{mark}`")).hint(hint);
    None
}
