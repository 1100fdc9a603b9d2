//! What a check of an instance found, for people and machines.
//!
//! Owns: the form of the report, and collecting it. Never: holds a secret, or a value of a record that is not our own
//! test ticket. Fails: it cannot. Proved by: the tests here and `tests/it/live_check.rs`.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::codes::Code;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::mapping::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Work would be lost or would need a person.
    Error,
    /// It works, and somebody should look.
    Warning,
    /// What was proved, or is good to know.
    Note,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveFinding {
    /// Stable; see `docs/live-check.md`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `incident.close_code`, `sys_user_group.name`, `servicenow.auth`.
    pub subject: String,
    /// `file:line:column` of the mapping or of the tenant's file where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What was found, in one sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// What a check of one tenant's instance found.
#[derive(Clone, Debug, Serialize)]
pub struct LiveReport {
    /// Whose instance.
    pub tenant: TenantId,
    /// Its address.
    pub instance: String,
    /// Whether nothing is an error.
    pub passed: bool,
    /// When it began, in RFC 3339.
    #[serde(serialize_with = "in_words")]
    pub at: Timestamp,
    /// Errors first, then warnings, then notes.
    pub findings: Vec<LiveFinding>,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// How many calls were made.
    pub calls: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn in_words<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

impl LiveReport {
    /// How many findings are this bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for LiveFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place} ")?;
        }
        write!(f, "{} {}: {}", self.code, self.subject, self.message)
    }
}

/// Collects findings; the same one twice is one.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<LiveFinding>);

impl Findings {
    pub(super) fn error(&mut self, code: &'static Code, subject: &str, message: impl Into<String>) -> Hold<'_> {
        self.add(Severity::Error, code, subject, message.into())
    }

    pub(super) fn warning(&mut self, code: &'static Code, subject: &str, message: impl Into<String>) -> Hold<'_> {
        self.add(Severity::Warning, code, subject, message.into())
    }

    pub(super) fn note(&mut self, code: &'static Code, subject: &str, message: impl Into<String>) -> Hold<'_> {
        self.add(Severity::Note, code, subject, message.into())
    }

    pub(super) fn add(&mut self, severity: Severity, code: &'static Code, subject: &str, message: String) -> Hold<'_> {
        let (subject, remedy) = (subject.to_owned(), code.remedy.to_owned());
        self.0.push(LiveFinding { code: code.code, severity, subject, place: None, message, remedy });
        Hold(self.0.last_mut())
    }

    /// Whether something was found of that code and subject.
    pub(super) fn has(&self, code: &Code, subject: &str) -> bool {
        self.0.iter().any(|finding| finding.code == code.code && finding.subject == subject)
    }

    pub(super) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// Everything, the worst first, and otherwise in the order of the check.
    pub(super) fn sorted(self) -> Vec<LiveFinding> {
        let mut sorted: Vec<LiveFinding> = Vec::with_capacity(self.0.len());
        for finding in self.0 {
            if !sorted.contains(&finding) {
                sorted.push(finding);
            }
        }
        sorted.sort_by_key(|finding| finding.severity);
        sorted
    }
}

/// The finding just made, to say more about it.
pub(super) struct Hold<'f>(Option<&'f mut LiveFinding>);

impl Hold<'_> {
    /// Where it comes from.
    pub(super) fn at(self, place: Option<&Spot>) -> Self {
        let Some(finding) = self.0 else { return self };
        finding.place = place.map(ToString::to_string);
        Self(Some(finding))
    }

    /// What to do, more precisely than the code says.
    pub(super) fn remedy(self, remedy: impl Into<String>) {
        if let Some(finding) = self.0 {
            finding.remedy = remedy.into();
        }
    }
}

/// A place in one of the tenant's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    file: Arc<str>,
    place: Place,
}

impl Spot {
    pub(super) fn new(file: &Arc<str>, place: Place) -> Self {
        Self { file: Arc::clone(file), place }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place { line: 0, .. } => f.write_str(&self.file),
            Place { line, column } => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::super::codes;
    use super::*;

    #[test]
    fn the_worst_comes_first_and_nothing_twice() {
        let mut findings = Findings::default();
        findings.note(codes::PROVED, "incident", "read");
        for _ in 0..2 {
            let spot = Spot::new(&"m.yaml".into(), Place { line: 3, column: 5 });
            findings.error(codes::NO_COLUMN, "incident.u_x", "no such column").at(Some(&spot)).remedy("do this");
        }
        let sorted = findings.sorted();
        assert_eq!(sorted.len(), 2);
        assert_eq!(sorted[0].to_string(), "m.yaml:3:5 L014 incident.u_x: no such column");
        assert_eq!((sorted[0].remedy.as_str(), sorted[1].severity), ("do this", Severity::Note));
    }
}
