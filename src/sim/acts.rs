//! What people do to a ticket, in their words: comment, assign, resolve, attach.
//!
//! Owns: the acts and what each of them writes. Never: a shortcut around the rules. Fails: with the refusal the person would see.
//! Proved by: `tests/people`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::attachments::{File, Upload};
use super::errors::Refusal;
use super::instance::Instance;
use super::people::body;

const INCIDENT: &str = "incident";

/// One act on an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Writes an additional comment, which the caller sees.
    Comment(String),
    /// Writes a work note.
    WorkNote(String),
    /// Moves the ticket; a reason belongs to On Hold.
    State {
        /// The stored value, such as `3`.
        state: String,
        /// The stored value, such as `1`; empty for none.
        hold_reason: String,
    },
    /// Gives it to a group, a person, or both, by name; empty leaves that one as it is.
    Assign {
        /// The group's name.
        group: String,
        /// The person's name.
        person: String,
    },
    /// Resolves it.
    Resolve {
        /// A resolution code.
        code: String,
        /// Resolution notes.
        notes: String,
    },
    /// Attaches a file.
    Attach {
        /// Its name, extension included.
        file_name: String,
        /// Its media type.
        content_type: String,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// Removes the ticket.
    Delete,
    /// Copies its newest comment to another ticket, as rules between parent and child do; then the user is `system`.
    CopyComment {
        /// The `sys_id` of the other ticket.
        to: String,
    },
}

impl Act {
    /// Reads `{"act":"comment","text":…}` and its like; the error is a sentence for people.
    pub fn from_json(body: &Value) -> Result<Self, String> {
        let text = |name: &str| body[name].as_str().map(str::to_owned).ok_or_else(|| format!("`{name}` is a text"));
        let maybe = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match body["act"].as_str().unwrap_or_default() {
            "comment" => Ok(Self::Comment(text("text")?)),
            "work_note" => Ok(Self::WorkNote(text("text")?)),
            "state" => Ok(Self::State { state: text("state")?, hold_reason: maybe("hold_reason") }),
            "assign" => Ok(Self::Assign { group: maybe("group"), person: maybe("person") }),
            "resolve" => Ok(Self::Resolve { code: text("code")?, notes: text("notes")? }),
            "attach" => Ok(Self::Attach {
                file_name: text("file_name")?,
                content_type: text("content_type")?,
                content: content(body)?,
            }),
            "delete" => Ok(Self::Delete),
            "copy_comment" => Ok(Self::CopyComment { to: text("to")? }),
            _ => Err("`act` is comment, work_note, state, assign, resolve, attach, delete or copy_comment".to_owned()),
        }
    }
}

/// `content` as text, or `content_base64`.
fn content(body: &Value) -> Result<Vec<u8>, String> {
    match (body["content"].as_str(), body["content_base64"].as_str()) {
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| "`content_base64` is base64".to_owned()),
        (Some(_), Some(_)) | (None, None) => Err("either `content` or `content_base64`".to_owned()),
    }
}

impl Instance {
    /// Does something to an incident as a person. Fails if the user is unknown (401), or as REST.
    pub fn act_as(&mut self, user: &str, sys_id: &str, act: &Act, now: i64) -> Result<(), Refusal> {
        let caller = self.person(user, now)?;
        let fields = match act {
            Act::Comment(text) => body(&[("comments", text)]),
            Act::WorkNote(text) => body(&[("work_notes", text)]),
            Act::State { state, hold_reason } => body(&[("state", state), ("hold_reason", hold_reason)]),
            Act::Assign { group, person } => named(&[("assignment_group", group), ("assigned_to", person)]),
            Act::Resolve { code, notes } => body(&[("state", "6"), ("close_code", code), ("close_notes", notes)]),
            Act::Attach { file_name, content_type, content } => {
                let file = File { table: INCIDENT, sys_id, name: file_name, content_type };
                return self.attach(file, Upload::of(content), &caller).map(|_| ());
            }
            Act::Delete => return self.delete((INCIDENT, sys_id), &caller),
            Act::CopyComment { to } => return self.copy_comment(sys_id, to, user, now),
        };
        // Forms take names and labels, as display input does.
        self.update((INCIDENT, sys_id), &fields, matches!(act, Act::Assign { .. }), &caller)
    }

    fn copy_comment(&mut self, from: &str, to: &str, user: &str, now: i64) -> Result<(), Refusal> {
        let comment = self.journal(from).into_iter().rev().find(|entry| entry.element == "comments");
        let text = comment.ok_or_else(Refusal::no_record)?.text;
        self.act_as(user, to, &Act::Comment(text), now)
    }
}

fn named(fields: &[(&str, &String)]) -> Map<String, Value> {
    let said = fields.iter().filter(|(_, text)| !text.is_empty());
    said.map(|(column, text)| ((*column).to_owned(), json!(text))).collect()
}
