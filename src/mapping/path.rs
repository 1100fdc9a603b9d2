//! A path into the canonical model, such as `incident.affected[0].name`, or to a column, resolved without copying anything.
//!
//! Owns: walking; and that everything below `ticket` is one name. Never: checks names (that is `lint`). Fails: it cannot; what is not there is absent.
//! Proved by: the property in `expression` that compares it with the expression engine.

use std::fmt;

use minijinja::Value;

use crate::domain::wire::{Node, Record, Rfc3339};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The field of that name.
    Name(Box<str>),
    /// The item at that place, counted from the end when negative.
    Item(i64),
}

impl Step {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Item(_) => None,
        }
    }
}

/// A root and the steps below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) root: Box<str>,
    pub(crate) steps: Box<[Step]>,
}

/// The root of the way back.
pub(crate) const TICKET: &str = "ticket";
/// Behind the name of a column: what people see instead of the raw value.
pub(crate) const DISPLAY: &str = ".display";

impl Path {
    /// A path as it was written. A ticket has columns and no records, so the names below `ticket` are one: `assigned_to.display`.
    pub(crate) fn new(root: &str, mut steps: Vec<Step>) -> Self {
        let names: Option<Vec<&str>> = steps.iter().map(Step::name).collect();
        let column = names.filter(|names| root == TICKET && !names.is_empty()).map(|names| names.join("."));
        if let Some(column) = column {
            steps = vec![Step::Name(column.into())];
        }
        Self { root: root.into(), steps: steps.into() }
    }

    /// The column it reads, if it reads one, and whether it is the display value.
    pub(crate) fn column(&self) -> Option<(&str, bool)> {
        let (TICKET, [Step::Name(name)]) = (&*self.root, self.steps.as_ref()) else { return None };
        Some(name.strip_suffix(DISPLAY).map_or((&**name, false), |column| (column, true)))
    }

    /// What stands there.
    pub(crate) fn resolve<'a>(&self, scope: &'a dyn Record) -> Node<'a> {
        self.steps.iter().fold(scope.get(&self.root), |node, step| match step {
            Step::Name(name) => node.named(name),
            Step::Item(place) => node.item(*place),
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        for step in &self.steps {
            match step {
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Item(place) => write!(f, "[{place}]")?,
            }
        }
        Ok(())
    }
}

/// The value an expression sees for a part of the model; undefined for what is absent.
pub(crate) fn value_of(node: Node<'_>) -> Value {
    match node {
        Node::Absent => Value::UNDEFINED,
        Node::Text(text) => Value::from(text),
        Node::Number(number) => Value::from(number),
        Node::Flag(flag) => Value::from(flag),
        Node::Time(time) => Value::from(Rfc3339(time).to_string()),
        Node::Record(record) => {
            let mut fields = Vec::new();
            record.each(&mut |name, node| fields.push((name, value_of(node))));
            Value::from_pairs(fields)
        }
        Node::List(items) => (0..items.len()).map(|place| value_of(items.get(place))).collect(),
        Node::Labels(labels) => Value::from_pairs(labels.iter().map(|(key, text)| (key.as_str(), text.as_str()))),
        Node::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), json(value)))),
        Node::Json(value) => json(value),
    }
}

fn json(value: &serde_json::Value) -> Value {
    match value {
        // As everywhere on the wire: a null says nothing.
        serde_json::Value::Null => Value::UNDEFINED,
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(json).collect(),
        serde_json::Value::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), json(value)))),
    }
}
