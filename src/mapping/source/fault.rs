//! Why a payload is refused: each place in it, and the key of the source file that could not do without.
//!
//! Owns: the words. Never: decides. Fails: it cannot. Proved by: the tests of `source`.

use std::fmt;

use serde::Serialize;

use crate::mapping::draft::Reason;

/// A payload of which nothing is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct SourceFault {
    /// At least one.
    pub problems: Vec<SourceProblem>,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// One place of a payload that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceProblem {
    /// JSON pointer into the payload.
    pub pointer: String,
    /// The key of the source file, such as `incident.title`.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, key, message } = self;
        let pointer = if pointer.is_empty() { "the payload" } else { pointer };
        write!(f, "{pointer}: `{key}` of the source: {message}")
    }
}

/// The words for a reason, where the source of everything is a payload.
pub(super) fn words(reason: &Reason) -> String {
    match reason {
        Reason::Missing(path) => {
            format!("`{path}` is not there; if it may be absent, the source file says so with `default(…)` or `when:`")
        }
        Reason::NoRow { .. }
        | Reason::NotFound(_)
        | Reason::NotLookedUp(_)
        | Reason::Failed(_)
        | Reason::TooLong { .. } => reason.to_string(),
    }
}
