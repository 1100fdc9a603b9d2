//! A ticket as somebody saw it: a webhook of the instance, a sweep, or a read of ours.
//!
//! Owns: the shape of a snapshot, as stored and as ServiceNow sends it (`docs/http.md`), and what is made of a body that
//! has another shape: the parts that need no trust are kept, the rest costs a read of the ticket ([`Form`]). A snapshot
//! says how the ticket is, never what changed: asynchronous business rules know no previous record. Never: decides what
//! is new, or what an echo is.
//! Fails: while reading, if it cannot be told which ticket is meant, with the reason and what would be right.
//! Proved by: the tests here, with payloads as they are sent, and with arbitrary bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::SysId;

mod labels;
mod loose;
mod read;
mod snapshot;
#[cfg(test)]
mod tests;

pub use read::{Form, ReadSighting, SightingFault};

/// A ticket as it was seen once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The sender's own id of this sighting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The table it lives in; the mapping's own if it was not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Its key.
    pub sys_id: SysId,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The key we gave it, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Our mark on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_display: Option<String>,
    /// What was done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// `sys_mod_count`: grows with each update.
    #[serde(rename = "sys_mod_count", skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// `sys_updated_on`, raw, in UTC.
    #[serde(rename = "sys_updated_on", skip_serializing_if = "Option::is_none")]
    pub updated_on: Option<String>,
    /// Who did what triggered this, at that moment; never the record's later `sys_updated_by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The `instance_name` of the instance that says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its columns; `None` for a bare hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<BTreeMap<String, Cell>>,
    /// Its newest journal entries, if they were sent along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<Vec<JournalEntry>>,
    /// Its newest attachments, if they were sent along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<FileEntry>>,
}

/// What was done to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It was made.
    Insert,
    /// It was changed.
    Update,
    /// It is gone.
    Delete,
}

/// A column's raw value, and what people see, where both differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The raw value; empty if the column is.
    pub value: String,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Its own key. `None` where the instance hides the journal's rows and only their text was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sys_id: Option<SysId>,
    /// `comments` or `work_notes`.
    pub element: String,
    /// What was written.
    pub value: String,
    /// When, raw, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_on: Option<String>,
    /// Who wrote it: a user name, or a display name where only the text was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

/// One file that hangs on a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its own key.
    pub sys_id: SysId,
    /// What people call it.
    pub file_name: String,
    /// Its media type as ServiceNow knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// SHA-256 of its content, as ServiceNow says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// When it was added, raw, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_on: Option<String>,
    /// Who added it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

impl Sighting {
    /// Whether it says nothing but that something happened, not even whose doing it was.
    pub fn is_hint(&self) -> bool {
        let bare = self.fields.is_none() && self.journal.is_none() && self.attachments.is_none();
        bare && self.actor.is_none() && self.operation != Some(Operation::Delete)
    }

    /// A bare hint: this ticket changed.
    pub fn hint(sys_id: SysId) -> Self {
        Self {
            event: None,
            table: None,
            sys_id,
            number: None,
            correlation_id: None,
            correlation_display: None,
            operation: None,
            version: None,
            updated_on: None,
            actor: None,
            instance: None,
            fields: None,
            journal: None,
            attachments: None,
        }
    }

    /// Reads what ServiceNow sent. `content_type` is only used to explain what is wrong: scripts rarely set it right.
    pub fn read(bytes: &[u8], content_type: Option<&str>) -> Result<ReadSighting, SightingFault> {
        read::read(bytes, content_type)
    }

    /// Its stored form.
    pub fn to_stored(&self) -> String {
        #[expect(
            clippy::expect_used,
            clippy::missing_panics_doc,
            reason = "keys are text and no value can fail to be written"
        )]
        serde_json::to_string(self).expect("a sighting is JSON")
    }

    /// Reads the stored form back; fails on a record that is damaged, or of a newer program.
    pub fn from_stored(stored: &str) -> Result<Self, DamagedSighting> {
        Ok(serde_json::from_str(stored)?)
    }
}

/// A stored sighting cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("the stored sighting cannot be read")]
pub struct DamagedSighting(#[from] serde_json::Error);
