//! The log of calls: what was asked, what fate it met, what was answered.
//!
//! Owns: a bounded list. Never: bodies or headers, so no secret can be in it. Fails: it cannot; old calls make room.
//! Proved by: `server`.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::faults::Fate;
use crate::limits::SIM_LOG_CALLS_MAX;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it arrived, milliseconds since the epoch.
    pub at: i64,
    /// The verb that counted.
    pub verb: String,
    /// Path and query as sent.
    pub target: String,
    /// The status answered; `None` if the connection was cut.
    pub status: Option<u16>,
    /// The fate's word, or `outage`, `queue_full`, `session_busy`.
    pub fate: &'static str,
    /// Whether the instance handled it.
    pub applied: bool,
    /// Whether this entry is a request that was applied after its connection was gone.
    pub late: bool,
}

impl Call {
    pub(super) fn json(&self) -> Value {
        json!({
            "at": self.at, "verb": self.verb, "target": self.target, "status": self.status,
            "fate": self.fate, "applied": self.applied, "late": self.late,
        })
    }

    pub(super) fn met(mut self, fate: Fate) -> Self {
        self.fate = fate.word();
        self
    }
}

/// The last calls, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct CallLog(VecDeque<Call>);

impl CallLog {
    pub(super) fn push(&mut self, call: Call) {
        if self.0.len() >= SIM_LOG_CALLS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(call);
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
