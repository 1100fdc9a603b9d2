//! Source files: the payload a tool sends of itself becomes events of incidents, in the language of mappings.
//!
//! Owns: a [`Source`], which cannot be wrong, from the text of its file (`compile`), and from a payload to [`SourceEvent`]s (`read`), each
//! with an identity that makes a repeat recognisable (`identity`). All of a payload is read or nothing of it.
//! Never: does I/O, reads a clock, knows a tenant. Fails: at load with every [`Diagnostic`](super::Diagnostic) at once; at run time with a
//! [`SourceFault`] that names the place in the payload and the key of the file.
//! Proved by: the tests here, `tests/source_files.rs`, and the cases of the shipped sources.

use serde_json::Value;

use super::template::Template;
use crate::domain::time::Timestamp;

mod cases;
mod compile;
mod fault;
mod identity;
mod read;
mod scope;
mod slots;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use fault::{SourceFault, SourceProblem};
pub use read::{Reading, SourceEvent};

use super::rule::FieldRule;
use scope::Scope;
use slots::Part;

/// A checked source file.
#[derive(Debug)]
pub struct Source {
    name: Box<str>,
    busy: Busy,
    key: Option<Template>,
    rule: EventRule,
    /// Further events of each item.
    also: Box<[EventRule]>,
    cases: Box<[cases::Case]>,
}

/// The status a tool takes as "come again". Tools differ in what they repeat: Alertmanager gives up on everything below 500.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Busy {
    /// `429 Too Many Requests`.
    #[default]
    TooManyRequests,
    /// `503 Service Unavailable`.
    Unavailable,
}

/// One event of an item.
#[derive(Debug)]
struct EventRule {
    each: Option<Template>,
    when: Option<Template>,
    event: FieldRule,
    /// Without it: the one of the first event.
    id: Option<FieldRule>,
    dedup: Option<FieldRule>,
    /// Without an `incident` among them: the one of the first event.
    parts: Box<[Part]>,
}

impl Source {
    /// The last part of its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The status its sender takes as "come again".
    pub const fn busy(&self) -> Busy {
        self.busy
    }

    /// Whether its senders may carry their API key in the payload.
    pub const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The API key in a payload, if the file says where it is.
    pub fn key(&self, payload: &Value) -> Option<String> {
        // Who is calling does not depend on when.
        let scope = Scope::of(payload, Timestamp::from_millis(0));
        let key = self.key.as_ref()?.text(&scope).ok()??;
        (!key.is_empty()).then(|| key.into_owned())
    }
}
