//! Takes parts out of checked files and puts every later finding at its place in them.
//!
//! Owns: finding the layer that said something, and resolving secrets. Never: reads a part whose shape is broken, so
//! that one mistake is reported once; shows a secret.
//! Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::Environment;
use super::codes;
use super::finding::{Finding, Place, Severity};
use super::raw::{RawSecret, RawText};
use super::shape::Shape;
use super::tree::Document;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::limits::SECRET_FILE_BYTES_MAX;

/// Parts of one file, or of several laid over each other.
pub(super) struct Reader<'a> {
    /// The last one that says something wins.
    layers: &'a [Document],
    merged: Json,
    broken: Vec<String>,
    environment: &'a Environment,
    findings: Vec<Finding>,
    /// The files of secrets that were looked at, whether or not they are there.
    files: BTreeSet<PathBuf>,
    /// Over everything that was read, the content of secrets included: tells whether anything changed.
    digest: Sha256,
    /// The same over a part, while it is read.
    part: Sha256,
}

/// What came of reading parts.
pub(super) struct Finished {
    /// Everything that was found.
    pub(super) findings: Vec<Finding>,
    /// The files of secrets that were looked at.
    pub(super) files: BTreeSet<PathBuf>,
    /// Over everything that was read.
    pub(super) digest: [u8; 32],
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a [Document], merged: Json, shape: Shape, environment: &'a Environment) -> Self {
        let mut digest = Sha256::new();
        for layer in layers {
            digest.update(layer.text.as_bytes());
        }
        Self {
            layers,
            merged,
            broken: shape.broken,
            environment,
            findings: shape.findings,
            files: BTreeSet::new(),
            digest,
            part: Sha256::new(),
        }
    }

    /// The part at a path, or this if nobody said anything. `None` if its shape is broken: that was reported.
    pub(super) fn part<T: DeserializeOwned>(&mut self, path: &str, default: impl FnOnce() -> T) -> Option<T> {
        if !self.is_broken(path) && self.is_absent(path) { Some(default()) } else { self.required(path) }
    }

    /// The part at a path. `None` if it is absent or its shape is broken: that was reported.
    pub(super) fn required<T: DeserializeOwned>(&mut self, path: &str) -> Option<T> {
        if self.is_broken(path) || self.is_absent(path) {
            return None;
        }
        let value = self.json(path)?.clone();
        match serde_json::from_value(value) {
            Ok(part) => Some(part),
            Err(error) => {
                // Only if schema and type disagree, which would be a defect; it must not go unnoticed.
                self.error(codes::WRONG_TYPE, path, format!("`{path}` cannot be read: {error}"));
                None
            }
        }
    }

    /// How many entries the list at a path has.
    pub(super) fn count(&self, path: &str) -> usize {
        self.json(path).and_then(Json::as_array).map_or(0, Vec::len)
    }

    /// Where a value stands, in the last layer that has it.
    pub(super) fn place(&self, path: &str) -> Place {
        self.layers.iter().rev().find_map(|layer| layer.find(path)).map_or_else(Place::default, |node| node.place)
    }

    /// The moment of reading.
    pub(super) fn now(&self) -> Timestamp {
        self.environment.now()
    }

    pub(super) fn is_absent(&self, path: &str) -> bool {
        self.json(path).is_none_or(Json::is_null)
    }

    pub(super) fn error(&mut self, code: &'static str, path: &str, message: impl Into<String>) -> &mut Finding {
        self.report(code, Severity::Error, path, message.into())
    }

    pub(super) fn warning(&mut self, code: &'static str, path: &str, message: impl Into<String>) -> &mut Finding {
        self.report(code, Severity::Warning, path, message.into())
    }

    /// Adds what to do about it to the finding that was reported last.
    pub(super) fn hint(&mut self, hint: &str) {
        if let Some(finding) = self.findings.last_mut() {
            finding.hint = Some(hint.to_owned());
        }
    }

    /// Takes the excerpt from the finding that was reported last: the value itself must not be shown.
    pub(super) fn cut(&mut self) {
        if let Some(finding) = self.findings.last_mut() {
            finding.cut();
        }
    }

    /// Turns an error into a finding at a path.
    pub(super) fn check<T, E: std::fmt::Display>(
        &mut self,
        code: &'static str,
        path: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.error(code, path, error.to_string())).ok()
    }

    /// Reads a secret from where it is kept.
    pub(super) fn secret(&mut self, reference: &RawSecret, path: &str) -> Option<Secret> {
        let (found, code, path) = match reference {
            RawSecret::Env(name) => (self.variable(name), codes::NO_VARIABLE, format!("{path}.env")),
            RawSecret::File(file) => (self.secret_file(file), codes::NO_SECRET_FILE, format!("{path}.file")),
        };
        let text = self.check(code, &path, found)?;
        // With its length, so that two secrets do not read like two others that are cut elsewhere.
        for digest in [&mut self.digest, &mut self.part] {
            digest.update(text.len().to_le_bytes());
            digest.update(text.as_bytes());
        }
        Some(Secret::new(text))
    }

    /// Reads text that is given directly or kept somewhere.
    pub(super) fn text(&mut self, text: &RawText, path: &str) -> Option<String> {
        match text {
            RawText::Plain(text) => Some(text.clone()),
            RawText::Kept(reference) => self.secret(reference, path).map(|secret| secret.expose().to_owned()),
        }
    }

    /// Reads a part with `read`, and makes a digest over what stands there and the secrets that it names: two loads
    /// with the same digest have the same part.
    pub(super) fn digested<T>(&mut self, path: &str, read: impl FnOnce(&mut Self) -> T) -> (T, [u8; 32]) {
        let said = self.json(path).map(Json::to_string).unwrap_or_default();
        self.part = Sha256::new_with_prefix(said);
        let part = read(self);
        (part, std::mem::take(&mut self.part).finalize().into())
    }

    /// Everything that was found and read.
    pub(super) fn finish(mut self) -> Finished {
        // As one reads the files; what has no line comes after its file's lines.
        let layer = |finding: &Finding| self.layers.iter().position(|layer| layer.name == finding.file);
        self.findings.sort_by_key(|finding| (layer(finding), finding.line == 0, finding.line, finding.column));
        Finished { findings: self.findings, files: self.files, digest: self.digest.finalize().into() }
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        let value = self.environment.variable(name).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(|| format!("the environment variable `{name}` is not set, or empty"))
    }

    fn secret_file(&mut self, file: &Path) -> Result<String, String> {
        let path = self.environment.resolve(file);
        self.files.insert(path.clone());
        let shown = path.display();
        let text =
            read_text(&path, SECRET_FILE_BYTES_MAX).map_err(|error| format!("the secret file {shown} {error}"))?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() { Err(format!("the secret file {shown} is empty")) } else { Ok(text.to_owned()) }
    }

    fn json(&self, path: &str) -> Option<&Json> {
        path.split('.').try_fold(&self.merged, |value, step| match value {
            Json::Object(map) => map.get(step),
            Json::Array(list) => list.get(step.parse::<usize>().ok()?),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        })
    }

    /// Whether something at, above or below the path is broken.
    fn is_broken(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.broken.iter().any(|broken| within(broken, path) || within(path, broken))
    }

    fn report(&mut self, code: &'static str, severity: Severity, path: &str, message: String) -> &mut Finding {
        let finding = self.placed(path, Finding::of_file(code, severity, "", message));
        self.findings.push_mut(finding)
    }

    /// At the value, in the last layer that has it; at what is around it if nobody said it.
    fn placed(&self, path: &str, finding: Finding) -> Finding {
        let find = |path| self.layers.iter().rev().find_map(|layer| Some((path, layer, layer.find(path)?)));
        let around = std::iter::successors(Some(path), |path| path.rsplit_once('.').map(|(around, _)| around));
        let Some((path, layer, node)) = around.chain([""]).find_map(find) else { return finding };
        let finding = Finding { file: layer.name.clone(), ..finding };
        if path.is_empty() { finding } else { finding.at(node.place, &layer.text) }
    }
}

/// Reads a file that must be UTF-8 and not larger than this. The error goes on after the file's name.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    // Looked at before it is opened: opening a pipe waits for somebody who writes to it.
    let found = std::fs::metadata(path).map_err(|error| reason(&error))?;
    if found.is_dir() {
        return Err("is a directory".to_owned());
    }
    if !found.is_file() {
        return Err("is not a regular file, but a pipe, a socket or a device".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| reason(&error))?;
    let mut text = String::new();
    let read = file.take(bytes_max + 1).read_to_string(&mut text).map_err(|error| reason(&error))?;
    if read as u64 > bytes_max { Err(format!("is larger than {bytes_max} bytes")) } else { Ok(text) }
}

pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        std::io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for path in [path.as_path(), Path::new("/dev/null")] {
            let refused = read_text(path, 10).unwrap_err();
            assert_eq!(refused, "is not a regular file, but a pipe, a socket or a device");
        }
    }
}
