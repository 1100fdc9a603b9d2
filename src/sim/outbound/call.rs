//! One outbound call as others see it: what to send, how it ended, what is remembered of it.
//!
//! Owns: these values and the bounded log. Never: bodies in the log. Fails: it cannot; old entries make room.
//! Proved by: `tests/outbound`, `the_log_tells_how_each_call_ended`.

use std::collections::VecDeque;

use crate::limits::SIM_OUTBOUND_LOG_MAX;

/// One HTTP POST that is to be sent now.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundCall {
    /// Names the call towards `Instance::call_ended` and in the log.
    pub id: u64,
    /// Host and port, what the limit of four connections counts.
    pub host: String,
    /// The whole URL.
    pub url: String,
    /// All headers, the signature among them.
    pub headers: Vec<(String, String)>,
    /// The body, as signed.
    pub body: Vec<u8>,
    /// 1, or more for the attempts of a flow.
    pub attempt: u32,
}

impl std::fmt::Debug for OutboundCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        f.debug_struct("OutboundCall")
            .field("id", &self.id)
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("body", &body)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// With an answer.
    Answered {
        /// The status.
        status: u16,
        /// Its `Retry-After`, in seconds.
        retry_after_secs: Option<u64>,
    },
    /// Without one; the text is for people.
    Failed(String),
}

/// What is known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Handed out; its end is not known.
    Sent,
    /// The receiver answered with this status.
    Answered(u16),
    /// There was no answer.
    Failed(String),
    /// The wire lost it.
    Dropped,
}

/// One call in the log; bodies are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRecord {
    /// [`OutboundCall::id`].
    pub id: u64,
    /// When it was sent, milliseconds since the epoch.
    pub at: i64,
    /// The subscription.
    pub subscription: u32,
    /// Where to.
    pub url: String,
    /// The record it speaks of.
    pub table: String,
    /// The record it speaks of.
    pub sys_id: String,
    /// `webhook-id`.
    pub event: String,
    /// Which attempt.
    pub attempt: u32,
    /// Whether the wire made it, as a copy of one sent before.
    pub repeated: bool,
    /// What became of it.
    pub state: CallState,
}

/// The last calls, oldest first; their ids grow.
#[derive(Clone, Debug, Default)]
pub(super) struct OutboundLog(VecDeque<OutboundRecord>);

impl OutboundLog {
    pub(super) fn push(&mut self, record: OutboundRecord) {
        if self.0.len() >= SIM_OUTBOUND_LOG_MAX {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    /// Writes down how a call ended, if it is still remembered.
    pub(super) fn end(&mut self, id: u64, state: CallState) {
        let at = self.0.partition_point(|record| record.id < id);
        if let Some(record) = self.0.get_mut(at).filter(|record| record.id == id) {
            record.state = state;
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &OutboundRecord> {
        self.0.iter()
    }
}
