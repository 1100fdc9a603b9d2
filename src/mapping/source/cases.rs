//! Examples inside a source file, run by `snowgate check`: a payload, and the events that must come of it.
//!
//! Owns: running and comparing. Only what a case names is compared, but every event is to be named. Never: reads a file; whoever
//! runs the cases hands over what the files say. Fails: it cannot; a case that differs says how.
//! Proved by: the cases of the shipped sources, and `a_case_that_differs_says_how` in `tests/source_files.rs`.

use serde_json::Value;

use super::read::{Reading, SourceEvent};
use super::{Source, SourceFault};
use crate::mapping::CaseResult;
use crate::mapping::diagnostic::Notes;
use crate::mapping::raw::{Block, RawSourceCase};

/// A checked case.
#[derive(Debug)]
pub(super) struct Case {
    name: Box<str>,
    line: usize,
    payload: Payload,
    expect: Expect,
}

#[derive(Debug)]
enum Payload {
    Here(Value),
    File(Box<str>),
}

#[derive(Debug, Default)]
struct Expect {
    events: Option<Vec<Value>>,
    refused: Option<Box<str>>,
    skipped: Option<u64>,
}

impl Case {
    pub(super) fn compile(raw: &RawSourceCase, notes: &mut Notes<'_>) -> Option<Self> {
        raw.missing("name", "what the case shows", notes);
        raw.missing("expect", "such as `expect: {events: [{type: incident.opened}]}`", notes);
        let payload = match (&raw.payload, &raw.file) {
            (Some(payload), None) => Payload::Here(payload.node.to_json()),
            (None, Some(file)) => Payload::File(file.value.as_str().into()),
            (Some(_), Some(file)) => {
                notes.error("M004", file.at, "a case has a `payload` or a `file`, not both");
                return None;
            }
            (None, None) => {
                if !raw.tried("file") {
                    raw.missing("payload", "what the tool sends, here or as a `file`", notes);
                }
                return None;
            }
        };
        let said = raw.expect.as_ref()?;
        let expect = Expect {
            events: said.events.as_ref().map(|events| events.iter().map(|event| event.node.to_json()).collect()),
            refused: said.refused.as_ref().map(|reason| reason.value.as_str().into()),
            skipped: said.skipped.as_ref().map(|count| count.value),
        };
        if matches!(expect, Expect { events: None, refused: None, skipped: None }) {
            if !["events", "refused", "skipped"].iter().any(|key| said.tried(key)) {
                notes
                    .error("M005", said.at, "the case expects nothing")
                    .hint("add `events:`, `skipped:` or `refused:`");
            }
            return None;
        }
        let line = notes.text().get(..raw.at.start).unwrap_or_default().matches('\n').count() + 1;
        Some(Self { name: raw.name.as_ref()?.value.as_str().into(), line, payload, expect })
    }

    fn run(&self, source: &Source, file: &dyn Fn(&str) -> Result<String, String>) -> Vec<String> {
        let read;
        let payload = match &self.payload {
            Payload::Here(payload) => payload,
            Payload::File(path) => {
                let parsed = file(path)
                    .and_then(|text| serde_json::from_str(&text).map_err(|error| format!("is not JSON: {error}")));
                match parsed {
                    Ok(payload) => read = payload,
                    Err(why) => return vec![format!("file `{path}` {why}")],
                }
                &read
            }
        };
        self.expect.compare(source.read(payload))
    }
}

impl Expect {
    fn compare(&self, outcome: Result<Reading, SourceFault>) -> Vec<String> {
        match (outcome, &self.refused) {
            (Err(fault), None) => vec![format!("refused: {fault}")],
            (Err(fault), Some(expected)) => {
                let said = fault.to_string();
                if said.contains(&**expected) {
                    Vec::new()
                } else {
                    vec![format!("refused: expected `{expected}`, found `{said}`")]
                }
            }
            (Ok(reading), Some(_)) => vec![format!("refused: expected a refusal, found {}", told(&reading.events))],
            (Ok(reading), None) => self.differences(&reading),
        }
    }

    fn differences(&self, reading: &Reading) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(expected) = self.skipped
            && u64::try_from(reading.skipped).is_ok_and(|found| found != expected)
        {
            differences.push(format!("skipped: expected {expected}, found {}", reading.skipped));
        }
        let Some(expected) = &self.events else { return differences };
        if expected.len() != reading.events.len() {
            let found = told(&reading.events);
            differences.push(format!("events: expected {}, found {found}", expected.len()));
            return differences;
        }
        for (place, (expected, event)) in expected.iter().zip(&reading.events).enumerate() {
            let mut found = serde_json::to_value(&event.change).unwrap_or_default();
            if let Value::Object(found) = &mut found {
                found.insert("id".to_owned(), event.change.incident.id.as_str().into());
                found.insert("dedup".to_owned(), event.event.parts().1.into());
            }
            compare(&format!("events[{place}]"), expected, Some(&found), &mut differences);
        }
        differences
    }
}

fn told(events: &[SourceEvent]) -> String {
    let kinds: Vec<&str> = events.iter().map(|event| event.change.kind.as_str()).collect();
    format!("{} ({})", kinds.len(), kinds.join(", "))
}

/// What is named must be as it is named; `null` must not be there.
fn compare(path: &str, expected: &Value, found: Option<&Value>, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Some(Value::Object(found))) => {
            for (name, expected) in expected {
                compare(&format!("{path}.{name}"), expected, found.get(name), differences);
            }
        }
        (Value::Array(expected), Some(Value::Array(found))) if expected.len() == found.len() => {
            for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}[{place}]"), expected, Some(found), differences);
            }
        }
        (Value::Null, None) => {}
        (expected, Some(found)) if expected == found => {}
        (expected, found) => {
            let found = found.map_or_else(|| "nothing".to_owned(), Value::to_string);
            differences.push(format!("{path}: expected {expected}, found {found}"));
        }
    }
}

impl Source {
    /// Runs the cases of the file. `file` gives the text of a payload by its path from the source file, or why it cannot
    /// be had (`is not there`).
    pub fn run_cases(&self, file: &dyn Fn(&str) -> Result<String, String>) -> Vec<CaseResult> {
        let result = |case: &Case| CaseResult {
            name: case.name.to_string(),
            line: case.line,
            differences: case.run(self, file),
        };
        self.cases.iter().map(result).collect()
    }
}
