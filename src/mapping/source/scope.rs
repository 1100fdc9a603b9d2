//! What expressions of a source see: the payload, an item of it, and where in the payload each stands.
//!
//! Owns: the names, and JSON pointers for messages. Never: copies the payload. Fails: it cannot; what is not there is absent.
//! Proved by: the tests of `source`.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::time::Timestamp;
use crate::domain::wire::{Field, Node, Record, Shape};
use crate::mapping::path::{Path, Step};
use crate::mapping::template::Template;

/// The body as a whole.
pub(super) const PAYLOAD: Field = Field { name: "payload", shape: Shape::Free };
/// An element of `each`, or the payload.
pub(super) const ITEM: Field = Field { name: "item", shape: Shape::Free };
/// Inside `also`: the item of the first event.
pub(super) const PARENT: Field = Field { name: "parent", shape: Shape::Free };
/// Inside a list: an element of its `each`.
pub(super) const ENTRY: Field = Field { name: "entry", shape: Shape::Free };

/// The moment the payload came, for tools that say nothing that tells one request from another.
pub(super) const RECEIVED: Field = Field { name: "received", shape: Shape::Time };

/// A part of the payload.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    /// Its JSON pointer, or that of the nearest part around it that is known.
    pub(super) pointer: Arc<str>,
}

/// What the names stand for.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    pub(super) payload: &'a Value,
    pub(super) item: Place<'a>,
    pub(super) parent: Option<Place<'a>>,
    pub(super) entry: Option<Place<'a>>,
    pub(super) received: Timestamp,
}

impl<'a> Scope<'a> {
    /// The payload is the one item.
    pub(super) fn of(payload: &'a Value, received: Timestamp) -> Self {
        Self { payload, item: Place { value: payload, pointer: "".into() }, parent: None, entry: None, received }
    }

    /// Where a path leads in the payload.
    pub(super) fn pointer(&self, path: &Path) -> String {
        let base = match &*path.root {
            "item" => &*self.item.pointer,
            "parent" => self.parent.as_ref().map_or("", |place| &place.pointer),
            "entry" => self.entry.as_ref().map_or("", |place| &place.pointer),
            _ => "",
        };
        let mut pointer = base.to_owned();
        for step in &path.steps {
            pointer.push('/');
            match step {
                Step::Name(name) => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Step::Item(place) => pointer.push_str(&place.to_string()),
            }
        }
        pointer
    }

    /// Where a value comes from: the path that was missing, or else the first it reads, or else the item.
    pub(super) fn origin(&self, template: &Template, missing: Option<&str>) -> String {
        let named = missing.and_then(|missing| template.paths().find(|path| path.to_string() == missing));
        let path = named.or_else(|| template.paths().next());
        path.map_or_else(|| self.item.pointer.to_string(), |path| self.pointer(path))
    }
}

impl Record for Scope<'_> {
    fn get(&self, name: &str) -> Node<'_> {
        let value = match name {
            "received" => return Node::Time(self.received),
            "payload" => Some(self.payload),
            "item" => Some(self.item.value),
            "parent" => self.parent.as_ref().map(|place| place.value),
            "entry" => self.entry.as_ref().map(|place| place.value),
            _ => None,
        };
        value.map_or(Node::Absent, Node::of_json)
    }

    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'static str, Node<'a>)) {
        for field in [PAYLOAD, ITEM, PARENT, ENTRY, RECEIVED] {
            visit(field.name, self.get(field.name));
        }
    }
}
