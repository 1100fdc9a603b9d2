//! From the bytes of a webhook to a sighting, whatever a script made of them.
//!
//! Owns: the order of the attempts: JSON as the contract says, JSON of another shape, text that holds a `sys_id`. Never:
//! guesses between two tickets. Fails: with what is wrong, where, and what would be enough.

use std::borrow::Cow;

use super::loose::Loose;
use super::snapshot::{self, Ticket};
use super::{Sighting, labels};

/// What every fault ends with.
const ENOUGH: &str =
    "enough is {\"table\":\"incident\",\"sys_id\":\"<32 hexadecimal digits>\"}, made with JSON.stringify";

/// How a body was understood, and so how much of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A snapshot in our own shape: its values count.
    Snapshot,
    /// It names a ticket, which is then read.
    Hint,
    /// JSON of a shape of its own. Its values may be labels or local times, so that it counts as a hint.
    Flat,
    /// No JSON, or JSON that hides its ticket: only the `sys_id` was saved, and it counts as a hint.
    Salvaged,
}

impl Form {
    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Hint => "hint",
            Self::Flat => "flat",
            Self::Salvaged => "salvaged",
        }
    }
}

/// A body that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSighting {
    /// What it says.
    pub sighting: Sighting,
    /// How it was understood.
    pub form: Form,
    /// The sighting as it is stored.
    pub body: String,
    /// What was wrong with a body that was salvaged; for the log, and without words of the body.
    pub flaw: Option<String>,
}

/// Why it cannot be told which ticket a body is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SightingFault {
    /// There is none.
    #[error("the body is empty; {ENOUGH}")]
    Empty,
    /// It is no JSON, and no `sys_id` could be saved.
    #[error("the body is no JSON ({flaw}) and names no ticket; {ENOUGH}")]
    Unreadable {
        /// What is wrong, and at which line and column.
        flaw: String,
    },
    /// It is JSON without a `sys_id`.
    #[error("no `sys_id` names the ticket; {ENOUGH}")]
    NoTicket,
    /// Its `sys_id` is none.
    #[error("this is no sys_id of 32 hexadecimal digits{advice}; {ENOUGH}")]
    NotASysId {
        /// The JSON pointer of it.
        pointer: String,
        /// What probably went wrong, with a colon before it; mostly empty.
        advice: &'static str,
    },
    /// It names several tickets.
    #[error("several tickets are named: send one webhook for each; {ENOUGH}")]
    Several,
}

impl SightingFault {
    /// Whether the body is no JSON, rather than JSON that says too little.
    pub const fn is_malformed(&self) -> bool {
        match self {
            Self::Empty | Self::Unreadable { .. } => true,
            Self::NoTicket | Self::NotASysId { .. } | Self::Several => false,
        }
    }

    /// The JSON pointer of the place; empty for the whole.
    pub fn pointer(&self) -> &str {
        match self {
            Self::NotASysId { pointer, .. } => pointer,
            Self::NoTicket => "/sys_id",
            Self::Empty | Self::Unreadable { .. } | Self::Several => "",
        }
    }
}

/// Reads a body.
pub(super) fn read(bytes: &[u8], content_type: Option<&str>) -> Result<ReadSighting, SightingFault> {
    let text = decoded(bytes);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(SightingFault::Empty);
    }
    match Loose::parse(text) {
        Ok(json) => read_json(&json, text),
        Err(error) => read_broken(text, flaw(&error, text, content_type)),
    }
}

fn read_json(json: &Loose<'_>, text: &str) -> Result<ReadSighting, SightingFault> {
    // `JSON.stringify` twice makes a text of JSON, and some scripts send a list of one.
    if let Some(inner) = json.text()
        && let Ok(json @ Loose::Object(_)) = Loose::parse(inner)
    {
        return read_record(&json, inner);
    }
    match json {
        Loose::List(items) => match items.as_slice() {
            [one @ Loose::Object(_)] => read_record(one, text),
            _ => read_record(json, text),
        },
        Loose::Null | Loose::Text(_) | Loose::Object(_) | Loose::Skipped => read_record(json, text),
    }
}

fn read_record(json: &Loose<'_>, text: &str) -> Result<ReadSighting, SightingFault> {
    match snapshot::ticket_of(json) {
        Ticket::Named(sys_id) => {
            let (sighting, form) = snapshot::of(json, sys_id);
            Ok(understood(sighting, form, None))
        }
        Ticket::Inside(sys_id) => {
            let flaw = "the sys_id does not stand at the top of the JSON".to_owned();
            Ok(understood(Sighting::hint(sys_id), Form::Salvaged, Some(flaw)))
        }
        Ticket::Wrong { pointer, said } => Err(SightingFault::NotASysId { pointer, advice: advice(&said) }),
        Ticket::Several => Err(SightingFault::Several),
        // A link to the ticket, or JSON inside a text.
        Ticket::Absent => match labels::labelled_sys_id(text) {
            Some(sys_id) => {
                let flaw = "the sys_id is hidden in a text of the JSON".to_owned();
                Ok(understood(Sighting::hint(sys_id), Form::Salvaged, Some(flaw)))
            }
            None => Err(SightingFault::NoTicket),
        },
    }
}

/// Text that is no JSON still counts as a hint if it says, beyond doubt, which record it is about.
fn read_broken(text: &str, flaw: String) -> Result<ReadSighting, SightingFault> {
    let Some(sys_id) = labels::labelled_sys_id(text).or_else(|| labels::only_sys_id(text)) else {
        return Err(SightingFault::Unreadable { flaw });
    };
    let sighting = Sighting { table: labels::labelled_table(text), ..Sighting::hint(sys_id) };
    Ok(understood(sighting, Form::Salvaged, Some(format!("the body is no JSON: {flaw}"))))
}

fn understood(sighting: Sighting, form: Form, flaw: Option<String>) -> ReadSighting {
    ReadSighting { body: sighting.to_stored(), sighting, form, flaw }
}

/// UTF-8, or else ISO-8859-1, in which every byte is the character of its number; no header is asked, because a script
/// that sets one sets it for all its texts.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// What is wrong with the JSON and where, with the cause if its traces are there.
fn flaw(error: &serde_json::Error, text: &str, content_type: Option<&str>) -> String {
    let essence = content_type.and_then(|said| said.split(';').next()).map(str::trim).unwrap_or_default();
    let plain = essence.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+-.".contains(&byte));
    let foreign =
        plain && !essence.is_empty() && !essence.contains("json") && !essence.eq_ignore_ascii_case("text/plain");
    let cause = advice(text);
    let media = if foreign { format!("; it is said to be {essence}") } else { String::new() };
    format!("{error}{cause}{media}")
}

/// What a template leaves behind when it goes wrong.
fn advice(text: &str) -> &'static str {
    if text.contains("${") {
        ": a variable `${…}` of the template was not replaced"
    } else if text.contains("&quot;") || text.contains("&#34;") {
        ": the template escaped the quotes, so build the body in the script"
    } else {
        ""
    }
}
