//! What is wrong with a mapping file, where, and what would be right.
//!
//! Owns: the codes (each explained in `docs/mapping.md`), positions and the picture with the caret.
//! Never: decides what is wrong. Fails: it cannot. Proved by: the tests here and the table in `tests/mappings.rs`.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::limits::MAPPING_FINDINGS_COUNT_MAX;

/// A file as read by whoever may read files.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// How people call it, usually its path.
    pub name: String,
    /// Its content.
    pub text: String,
}

impl SourceFile {
    /// A file of that name and content.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// Whether a finding keeps the file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// The file is not used.
    Error,
    /// The file is used; someone should look.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// Its code, such as `M012`; explained in `docs/mapping.md`.
    pub code: &'static str,
    /// Whether it keeps the file from being used.
    pub severity: FindingSeverity,
    /// The file's name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes in the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
    /// The line it stands in.
    pub excerpt: String,
    #[serde(skip)]
    marked: Range<usize>,
}

impl Diagnostic {
    /// The finding with its line of the file and a caret, for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            FindingSeverity::Error => Level::ERROR,
            FindingSeverity::Warning => Level::WARNING,
        };
        let snippet = Snippet::source(&self.excerpt)
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(self.marked.clone()));
        let picture = renderer.decor_style(DecorStyle::Ascii).render(&[Group::with_level(level).element(snippet)]);
        let mut text = format!("{self}\n{picture}");
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        text
    }
}

/// `mappings/acme.yaml:14:9 M012 what is wrong`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{} {} {}", self.file, self.line, self.column, self.code, self.message)
    }
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    /// The first byte.
    pub(crate) start: usize,
    /// Behind the last byte; not before `start`.
    pub(crate) end: usize,
}

impl At {
    /// The bytes between.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }
}

/// Collects the findings of one file.
#[derive(Debug)]
pub(crate) struct Notes<'a> {
    source: &'a SourceFile,
    found: Vec<Diagnostic>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(source: &'a SourceFile) -> Self {
        Self { source, found: Vec::new() }
    }

    /// The file's text.
    pub(crate) fn text(&self) -> &'a str {
        &self.source.text
    }

    /// The file's name.
    pub(crate) fn file(&self) -> &'a str {
        &self.source.name
    }

    /// Line and column of a place, both from 1.
    pub(crate) fn line_and_column(&self, at: At) -> (usize, usize) {
        let before = self.source.text.get(..floor(&self.source.text, at.start)).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |feed| feed + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    pub(crate) fn error(&mut self, code: &'static str, at: At, message: impl Into<String>) -> Hint<'_> {
        self.note(code, FindingSeverity::Error, at, message.into())
    }

    pub(crate) fn warning(&mut self, code: &'static str, at: At, message: impl Into<String>) -> Hint<'_> {
        self.note(code, FindingSeverity::Warning, at, message.into())
    }

    fn note(&mut self, code: &'static str, severity: FindingSeverity, at: At, message: String) -> Hint<'_> {
        if self.found.len() >= MAPPING_FINDINGS_COUNT_MAX {
            return Hint(None);
        }
        let text = self.source.text.as_str();
        let start = floor(text, at.start);
        let line_start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |feed| feed + 1);
        let line_end = text.get(start..).and_then(|after| after.find('\n')).map_or(text.len(), |feed| start + feed);
        let excerpt = text.get(line_start..line_end).unwrap_or_default().trim_end_matches('\r').to_owned();
        // What is trimmed off the end of the line cannot be pointed at.
        let within = |byte: usize| byte.saturating_sub(line_start).min(excerpt.len());
        let marked = within(start)..within(floor(text, at.end).min(line_end).max(start));
        self.found.push(Diagnostic {
            code,
            severity,
            file: self.source.name.clone(),
            line: text.get(..start).unwrap_or_default().matches('\n').count() + 1,
            column: text.get(line_start..start).unwrap_or_default().chars().count() + 1,
            span: start..at.end.max(start),
            message,
            hint: None,
            excerpt,
            marked,
        });
        Hint(self.found.last_mut())
    }

    /// Whether nothing found so far keeps the file from being used.
    pub(crate) fn usable(&self) -> bool {
        self.found.iter().all(|finding| finding.severity == FindingSeverity::Warning)
    }

    /// Everything found, in file order.
    pub(crate) fn into_findings(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|finding| (finding.span.start, finding.code));
        self.found
    }
}

/// Where a hint can be added to the finding just made.
pub(crate) struct Hint<'n>(Option<&'n mut Diagnostic>);

impl Hint<'_> {
    pub(crate) fn hint(self, hint: impl Into<String>) {
        if let Some(finding) = self.0 {
            finding.hint = Some(hint.into());
        }
    }

    /// Adds the nearest of the known words as a hint, or all of them if there are few.
    pub(crate) fn nearest<'k>(self, word: &str, known: impl IntoIterator<Item = &'k str>) {
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(near) = nearest(word, known.iter().copied()) {
            self.hint(format!("did you mean `{near}`?"));
        } else if known.len() <= 16 && !known.is_empty() {
            self.hint(format!("known are {}", list(&known)));
        }
    }
}

/// `a`, `b` and `c`, each in back quotes.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// The known word that differs least, if it differs little enough to be a slip.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to add, drop, change or swap with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (row, letter) in left.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&last, column) + usize::from(letter != *other);
            let mut fewest = changed.min(at(&last, column + 1) + 1).min(at(&line, column) + 1);
            let swapped = column.checked_sub(1).filter(|place| right.get(*place) == Some(&letter));
            if let Some(place) = swapped.filter(|_| previous == Some(*other)) {
                fewest = fewest.min(at(&before, place) + 1);
            }
            line.push(fewest);
        }
        before = std::mem::replace(&mut last, line);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or(0)
}

/// The nearest character boundary at or before a byte.
pub(crate) fn floor(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word() {
        let known = ["truncate", "trim", "upper", "lower"];
        assert_eq!(nearest("trimm", known), Some("trim"));
        assert_eq!(nearest("uppre", known), Some("upper"));
        assert_eq!(nearest("banana", known), None);
    }

    #[test]
    fn the_picture_points_at_the_place() {
        let source = SourceFile::new("mappings/acme.yaml", "a: 1\nü: \"{{ x | trimm }}\"\n");
        let mut notes = Notes::new(&source);
        let start = source.text.find("trimm").unwrap();
        notes.error("M023", At::new(start, start + 5), "unknown filter `trimm`").nearest("trimm", ["trim"]);
        let findings = notes.into_findings();
        assert_eq!(
            findings[0].render(false),
            "mappings/acme.yaml:2:12 M023 unknown filter `trimm`\n  |\n2 | ü: \"{{ x | trimm }}\"\n  |            ^^^^^\nhint: did you mean `trim`?"
        );
        assert!(findings[0].render(true).contains("\u{1b}["));
    }
}
