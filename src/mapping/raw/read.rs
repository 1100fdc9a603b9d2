//! How the pieces of the grammar are read from a tree, with a finding for everything that is wrong.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::mapping::diagnostic::{At, Notes};
use crate::mapping::yaml::{Key, Kind, Node};

/// Read from a value; `None` if it was wrong, and then noted.
pub(crate) trait FromYaml: Sized {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self>;
}

/// A block of known keys.
pub(crate) trait Block {
    /// Where it starts, for findings about what is not in it.
    fn start(&self) -> At;

    /// Whether a key was there, right or wrong.
    fn tried(&self, key: &str) -> bool;

    /// Notes that a key is missing, unless it was there and wrong.
    fn missing(&self, key: &str, hint: &str, notes: &mut Notes<'_>) {
        if !self.tried(key) {
            notes.error("M005", self.start(), format!("`{key}` is missing")).hint(hint);
        }
    }
}

/// Notes a value of the wrong type.
fn wrong<T>(node: &Node, expected: &str, notes: &mut Notes<'_>) -> Option<T> {
    notes.error("M004", node.at, format!("expected {expected}, found {}", node.noun()));
    None
}

/// The entries of a block.
pub(crate) fn entries<'n>(node: &'n Node, what: &str, notes: &mut Notes<'_>) -> Option<&'n [(Key, Node)]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => wrong(node, what, notes),
    }
}

/// A value that keeps its place.
#[derive(Clone, Debug)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) at: At,
}

impl<T: JsonSchema> JsonSchema for Said<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl FromYaml for Said<String> {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Text(text) => Some(Self { value: text.clone(), at: node.at }),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::List(_) | Kind::Map(_) => wrong(node, "text", notes),
        }
    }
}

impl FromYaml for Said<u64> {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        let number = if let Kind::Number(text) = &node.kind { text.parse().ok() } else { None };
        number.map(|value| Self { value, at: node.at }).or_else(|| wrong(node, "a whole number", notes))
    }
}

impl FromYaml for Said<bool> {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        let flag = if let Kind::Flag(flag) = &node.kind { Some(*flag) } else { None };
        flag.map(|value| Self { value, at: node.at }).or_else(|| wrong(node, "true or false", notes))
    }
}

/// A text, a number, true or false: what can become a ticket value.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) at: At,
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A text, which may have {{ … }} in it, or a number.",
            "type": ["string", "number", "boolean"]})
    }
}

impl FromYaml for Scalar {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        let text = match &node.kind {
            Kind::Text(text) | Kind::Number(text) => text.clone(),
            Kind::Flag(flag) => flag.to_string(),
            Kind::Null | Kind::List(_) | Kind::Map(_) => return wrong(node, "a text or a number", notes),
        };
        Some(Self { text, at: node.at })
    }
}

/// What a case expects of a field: a value, or `null` for not written.
#[derive(Clone, Debug)]
pub(crate) struct Expected(pub(crate) Option<Scalar>);

impl JsonSchema for Expected {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Expected".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<Scalar>();
        json_schema!({"anyOf": [value, {"const": null}]})
    }
}

impl FromYaml for Expected {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Null => Some(Self(None)),
            Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                Scalar::from_yaml(node, notes).map(|scalar| Self(Some(scalar)))
            }
        }
    }
}

/// Any value.
#[derive(Debug)]
pub(crate) struct Json {
    pub(crate) node: Node,
}

impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "required": ["type"]})
    }
}

impl FromYaml for Json {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        entries(node, "an event", notes)?;
        Some(Self { node: node.clone() })
    }
}

/// Named values inside each other.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) node: Node,
}

impl JsonSchema for Tree {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Tree".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

impl FromYaml for Tree {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        entries(node, "the fields of an incident", notes)?;
        Some(Self { node: node.clone() })
    }
}

impl<T: FromYaml> FromYaml for Vec<T> {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) => Some(items.iter().filter_map(|item| T::from_yaml(item, notes)).collect()),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) | Kind::Map(_) => wrong(node, "a list", notes),
        }
    }
}

/// A block whose keys are names that people chose, in file order.
#[derive(Debug)]
pub(crate) struct Named<T> {
    pub(crate) entries: Vec<(Key, T)>,
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let each = generator.subschema_for::<T>();
        json_schema!({"type": "object", "additionalProperties": each})
    }
}

impl<T: FromYaml> FromYaml for Named<T> {
    fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
        let entries = entries(node, "a block of keys", notes)?;
        let read = |(key, value): &(Key, Node)| Some((key.clone(), T::from_yaml(value, notes)?));
        Some(Self { entries: entries.iter().filter_map(read).collect() })
    }
}

/// Declares a block of known keys: the struct, its schema and its reader.
macro_rules! block {
    ($(#[$doc:meta])* $name:ident $what:literal {
        $($(#[$field_doc:meta])* $field:ident $key:literal: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_doc])* #[schemars(rename = $key)] pub(crate) $field: Option<$type>,)*
            /// Where the block starts.
            #[schemars(skip)]
            pub(crate) at: At,
            /// The keys that were there with a wrong value or in a wrong spelling: they are not missing.
            #[schemars(skip)]
            tried: Vec<&'static str>,
        }

        impl Block for $name {
            fn start(&self) -> At {
                At::new(self.at.start, self.at.start)
            }

            fn tried(&self, key: &str) -> bool {
                self.tried.contains(&key)
            }
        }

        impl FromYaml for $name {
            fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
                let mut block = Self { $($field: None,)* at: node.at, tried: Vec::new() };
                for (key, value) in $crate::mapping::raw::read::entries(node, concat!($what, " (a block of keys)"), notes)? {
                    match key.text.as_str() {
                        $($key => {
                            block.$field = <$type as FromYaml>::from_yaml(value, notes);
                            block.tried.push($key);
                        })*
                        unknown => {
                            notes
                                .error("M002", key.at, format!(concat!("`{}` is not a key of ", $what), unknown))
                                .nearest(unknown, [$($key),*]);
                            block.tried.extend($crate::mapping::diagnostic::nearest(unknown, [$($key),*]));
                        }
                    }
                }
                Some(block)
            }
        }
    };
}
pub(super) use block;

/// Declares a list of words: the enum, its schema and its reader.
macro_rules! choice {
    ($(#[$doc:meta])* $visibility:vis $name:ident $what:literal { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, JsonSchema)]
        $visibility enum $name {
            $($(#[$word_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl FromYaml for Said<$name> {
            fn from_yaml(node: &Node, notes: &mut Notes<'_>) -> Option<Self> {
                let said = Said::<String>::from_yaml(node, notes)?;
                let value = match said.value.as_str() {
                    $($word => $name::$variant,)*
                    unknown => {
                        notes
                            .error("M006", said.at, format!(concat!("`{}` is not ", $what), unknown))
                            .nearest(unknown, [$($word),*]);
                        return None;
                    }
                };
                Some(Said { value, at: said.at })
            }
        }
    };
}
pub(super) use choice;
