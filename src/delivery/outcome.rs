//! What a peer answered, classified once: nothing else in the program looks at a status code of a peer.
//!
//! The classes are those of `facts/reliability.md` 4.1; `servicenow::classify` makes them.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// What an answer says about the request, whoever is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Done, and the answer proves it.
    Done,
    /// Surely not processed: send again without looking.
    NotProcessed,
    /// May have been processed: look before any resend.
    Unclear,
    /// Refused until a time the peer named; concerns the whole tenant; not a try.
    Throttled,
    /// Refused because too many calls run at once; concerns the whole tenant; not a try.
    Crowded,
    /// The credentials were not accepted; the request was not processed.
    Unauthorized,
    /// Refused for this content: sending it again cannot help.
    Refused,
    /// Refused, but a create may have happened all the same: look, then treat as refused.
    RefusedPerhapsDone,
    /// The record is not there, or hidden from us.
    Missing,
    /// The tenant's configuration or instance needs a person; blind retries do harm.
    Misconfigured,
    /// We sent nonsense; a defect of ours.
    Defect,
}

impl Class {
    /// The word used in logs and as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotProcessed => "not_processed",
            Self::Unclear => "unclear",
            Self::Throttled => "throttled",
            Self::Crowded => "crowded",
            Self::Unauthorized => "unauthorized",
            Self::Refused => "refused",
            Self::RefusedPerhapsDone => "refused_perhaps_done",
            Self::Missing => "missing",
            Self::Misconfigured => "misconfigured",
            Self::Defect => "defect",
        }
    }
}

/// One classified answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it means.
    pub class: Class,
    /// A stable code such as `http_403_data_policy`, `html_instead_of_json`, `connect_refused`.
    pub code: String,
    /// The HTTP status, if an answer came at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the peer said, shortened and without secrets, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The earliest moment the peer wants to hear from us again; only ever rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Whether the breaker counts it as a failure of the instance.
    #[serde(default)]
    pub instance_fault: bool,
}

impl Outcome {
    /// An outcome with a code and no further particulars.
    pub fn new(class: Class, code: impl Into<String>) -> Self {
        Self { class, code: code.into(), status: None, detail: String::new(), not_before: None, instance_fault: false }
    }

    /// Adds what the peer said.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}
