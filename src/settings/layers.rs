//! Lays the settings over each other: file, local file, environment. The last one that says something wins.
//!
//! Owns: the order, and how a variable's name and text become a key and a value. Never: judges values.
//! Fails: by collecting findings. Proved by: `tests/settings.rs`.

use config::{Config, ConfigError, Map, Source};
use serde_json::Value as Json;

use super::Environment;
use super::codes;
use super::finding::{Finding, Place, Severity, nearest};
use super::shape::{self, Shape};
use super::tree::{Document, Key, Node, Value};

/// Variables of this beginning are settings: `SNOWGATE__SERVER__LISTEN`.
const PREFIX: &str = "SNOWGATE__";
const SEPARATOR: &str = "__";

/// What all layers say together.
pub(super) fn merged(layers: &[Document], schema: &Json) -> Result<Json, Finding> {
    let known = shape::names_at(schema, &[]);
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(Layer::of(layer, &known));
    }
    builder.build().and_then(Config::try_deserialize).map_err(|error| {
        let file = layers.first().map_or("", |layer| &layer.name);
        Finding::of_file(codes::SYNTAX, Severity::Error, file, format!("the layers do not fit together: {error}"))
    })
}

/// One layer per variable, named like it, so that a finding can name it. What is wrong with the variables goes into
/// `shape`.
pub(super) fn of_environment(environment: &Environment, schema: &Json, shape: &mut Shape) -> Vec<Document> {
    let mut layers = Vec::new();
    for (name, value) in environment.beginning(PREFIX) {
        let path: Vec<String> = name.split(SEPARATOR).map(str::to_lowercase).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let name = format!("{PREFIX}{name}");
        match read(schema, &path, value) {
            Ok(root) => layers.push(Document { name, text: String::new(), root }),
            Err((code, message, hint)) => {
                let finding = Finding::of_file(code, Severity::Error, &name, message);
                shape.findings.push(Finding { hint, ..finding });
                shape.broken.push(path.join("."));
            }
        }
    }
    layers
}

type Refusal = (&'static str, String, Option<String>);

fn read(schema: &Json, path: &[&str], text: &str) -> Result<Node, Refusal> {
    let Some(found) = shape::lookup(schema, path) else { return Err(unknown(schema, path)) };
    let is = |name| shape::is_type(schema, found, name);
    let value = if is("integer") {
        let number =
            text.parse::<u64>().map_err(|_| (codes::WRONG_TYPE, "it is not a whole number".to_owned(), None))?;
        Value::Number(number.into())
    } else if is("boolean") {
        let flag =
            text.parse().map_err(|_| (codes::WRONG_TYPE, "it is neither `true` nor `false`".to_owned(), None))?;
        Value::Flag(flag)
    } else if is("string") {
        Value::Text(text.to_owned())
    } else if is("array") {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Value::List(items.map(|item| nowhere(Value::Text(item.to_owned()))).collect())
    } else {
        let names = shape::names_at(schema, path).join(", ");
        let hint = (!names.is_empty()).then(|| format!("one of its keys can be: {names}"));
        return Err((codes::WRONG_TYPE, "it holds keys and cannot be set by one variable".to_owned(), hint));
    };
    // A variable has no lines, so nothing in it has a place, and no excerpt of it is ever shown.
    Ok(path.iter().rev().fold(nowhere(value), |inner, step| {
        let key = Key { text: (*step).to_owned(), place: Place::default() };
        nowhere(Value::Map(vec![(key, inner)]))
    }))
}

fn unknown(schema: &Json, path: &[&str]) -> Refusal {
    let (last, around) = path.split_last().map_or(("", path), |(last, around)| (*last, around));
    let names = shape::names_at(schema, around);
    let variable = |name: &str| {
        let steps = around.iter().copied().chain([name]).collect::<Vec<_>>();
        format!("{PREFIX}{}", steps.join(SEPARATOR).to_uppercase())
    };
    let hint = nearest(last, names).map(|name| format!("did you mean `{}`?", variable(name)));
    (codes::UNKNOWN_KEY, format!("there is no setting `{}`", path.join(".")), hint)
}

fn nowhere(value: Value) -> Node {
    Node { place: Place::default(), value }
}

/// A file or variable as the `config` crate takes it.
#[derive(Clone, Debug)]
struct Layer(Map<String, config::Value>);

impl Layer {
    /// Unknown keys were reported and are left out: their names may mean something to `config`.
    fn of(document: &Document, known: &[&str]) -> Self {
        let Value::Map(entries) = &document.root.value else { return Self(Map::new()) };
        let entries = entries.iter().filter(|(key, _)| known.contains(&key.text.as_str()));
        Self(entries.map(|(key, node)| (key.text.clone(), value(node, &document.name))).collect())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn value(node: &Node, origin: &String) -> config::Value {
    use config::ValueKind;
    let kind = match &node.value {
        Value::Nothing => ValueKind::Nil,
        Value::Flag(flag) => ValueKind::Boolean(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => ValueKind::I64(whole),
            (None, float) => ValueKind::Float(float.unwrap_or(f64::NAN)),
        },
        Value::Text(text) => ValueKind::String(text.clone()),
        Value::List(items) => ValueKind::Array(items.iter().map(|item| value(item, origin)).collect()),
        Value::Map(entries) => {
            ValueKind::Table(entries.iter().map(|(key, node)| (key.text.clone(), value(node, origin))).collect())
        }
    };
    config::Value::new(Some(origin), kind)
}
