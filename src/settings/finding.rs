//! One thing that is wrong in a file, with its place, an excerpt and what to do about it.
//!
//! Owns: the form in which people and machines read it. Never: shows a secret; see [`super::excerpt`].
//! Fails: it cannot. Proved by: the tests below.

use std::fmt::Write;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::excerpt::{Excerpt, Shown};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// The files can be used, and somebody should look.
    Warning,
}

/// One thing that is wrong, or worth a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable; see [`super::codes`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named, or the environment variable.
    pub file: String,
    /// From 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 if it is about the file as a whole.
    pub column: usize,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The line it is in, without values that are not meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Box<Excerpt>>,
}

/// Where in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters.
    pub width: usize,
}

impl Finding {
    /// About a whole file.
    pub fn of_file(code: &'static str, severity: Severity, file: &str, message: impl Into<String>) -> Self {
        let (file, message) = (file.to_owned(), message.into());
        Self { code, severity, file, line: 0, column: 0, message, hint: None, excerpt: None }
    }

    /// About a place in a file; the excerpt shows what stands there.
    #[must_use]
    pub fn at(self, place: Place, text: &str) -> Self {
        self.placed(place, text, Shown::Place)
    }

    /// About a place in a file, at which something secret may stand; the excerpt shows the names around it.
    #[must_use]
    pub fn at_hidden(self, place: Place, text: &str) -> Self {
        self.placed(place, text, Shown::Names)
    }

    fn placed(mut self, place: Place, text: &str, shown: Shown) -> Self {
        (self.line, self.column) = (place.line, place.column);
        let line = text.lines().nth(place.line.saturating_sub(1));
        self.excerpt = line.and_then(|line| Excerpt::of(line, place, shown)).map(Box::new);
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Takes the excerpt away: the value itself must not be shown.
    pub(super) fn cut(&mut self) {
        self.excerpt = None;
    }

    /// Whether it forbids the use of the files.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// One line: place, code, message.
    pub fn headline(&self) -> String {
        let place = if self.line == 0 { String::new() } else { format!(":{}:{}", self.line, self.column) };
        format!("{}{place} {} {}", self.file, self.code, self.message)
    }

    /// For people: the headline, the excerpt with a caret, the hint.
    pub fn render(&self, colour: bool) -> String {
        let mut text = self.headline();
        if let Some(excerpt) = self.excerpt.as_ref().filter(|_| self.line > 0) {
            text.push('\n');
            text.push_str(&drawn(excerpt, self, colour));
        }
        if let Some(hint) = &self.hint {
            // Writing to a `String` cannot fail.
            let written = write!(text, "\nhint: {hint}");
            debug_assert!(written.is_ok());
        }
        text
    }
}

fn drawn(excerpt: &Excerpt, finding: &Finding, colour: bool) -> String {
    let offset = |chars: usize| excerpt.text.char_indices().nth(chars).map_or(excerpt.text.len(), |(byte, _)| byte);
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let meant = AnnotationKind::Primary.span(offset(excerpt.start)..offset(excerpt.start + excerpt.width));
    let snippet = Snippet::source(excerpt.text.as_str()).line_start(finding.line).annotation(meant);
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let drawing = renderer.render(&[Group::with_level(level).element(snippet)]);
    drawing.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The candidate that was probably meant: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let (edits, candidate) = close.min_by_key(|(edits, _)| *edits)?;
    (edits <= candidate.chars().count().div_ceil(3)).then_some(candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().take(64).collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let above = rows.last().map_or(&[][..], Vec::as_slice);
            let replaced = cell(above, j) + usize::from(a != b);
            let mut best = replaced.min(cell(above, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            if let Some(before) = rows.len().checked_sub(2).and_then(|index| rows.get(index)).filter(|_| swapped) {
                best = best.min(cell(before, j - 1) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_like_a_compiler_message() {
        let text = "servicenow:\n  settle: soon\n";
        let place = Place { line: 2, column: 11, width: 4 };
        let finding =
            Finding::of_file("S025", Severity::Error, "config/tenants/contoso.yaml", "`soon` is not a duration")
                .at(place, text)
                .hint("write `150s`");
        let expected = "\
config/tenants/contoso.yaml:2:11 S025 `soon` is not a duration
  |
2 |   settle: soon
  |           ^^^^
hint: write `150s`";
        assert_eq!(finding.render(false), expected);
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(
            (&json["severity"], &json["line"], &json["excerpt"]),
            (&"error".into(), &2.into(), &"  settle: soon".into())
        );
        assert!(finding.render(true).contains('\u{1b}'));
    }

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        let words = ["servicenow", "senders", "webhook", "callback", "mapping"];
        for (slip, meant) in [
            ("service_now", Some("servicenow")),
            ("sender", Some("senders")),
            ("mappnig", Some("mapping")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, words), meant, "{slip}");
        }
    }
}
