//! The only place that writes to standard output and error: colours for people, JSON for machines.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::settings::Environment;

/// How to print.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    json: bool,
    colour: bool,
}

/// Colours that mean something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ink {
    Plain,
    Dim,
    Good,
    Bad,
    Warn,
    Left,
    Right,
}

impl Printer {
    /// Colours only on a terminal, and never with `NO_COLOR` (no-color.org).
    pub(super) fn new(json: bool, environment: &Environment) -> Self {
        let wanted = environment.variable("NO_COLOR").is_none_or(str::is_empty);
        Self { json, colour: wanted && !json && std::io::stdout().is_terminal() }
    }

    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    pub(super) const fn colour(&self) -> bool {
        self.colour
    }

    /// A line for people.
    #[expect(clippy::unused_self, reason = "whoever prints holds the printer, so that one place decides how")]
    pub(super) fn line(&self, text: impl Display) {
        // A closed pipe (`| head`) is the reader's way of saying enough.
        drop(writeln!(std::io::stdout().lock(), "{text}"));
    }

    /// A document for machines.
    pub(super) fn document(&self, document: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(document) {
            self.line(text);
        }
    }

    /// A line about progress, or what went wrong: not part of the answer.
    #[expect(clippy::unused_self, reason = "whoever prints holds the printer, so that one place decides how")]
    pub(super) fn note(&self, text: impl Display) {
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Whether a line of progress can be drawn over the one before.
    pub(super) fn may_redraw(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// Draws a line of progress over the one before.
    #[expect(clippy::unused_self, reason = "whoever prints holds the printer, so that one place decides how")]
    pub(super) fn redraw(&self, text: impl Display) {
        let mut out = std::io::stderr().lock();
        drop(write!(out, "\r\u{1b}[K{text}").and_then(|()| out.flush()));
    }

    /// Why a command did not get to its end, with every cause.
    pub(super) fn failure(&self, failed: &anyhow::Error) {
        let causes: Vec<String> = failed.chain().map(ToString::to_string).collect();
        if self.json {
            self.note(serde_json::json!({"error": causes.join(": ")}));
        } else {
            self.note(format_args!("{} {}", self.ink(Ink::Bad, "error:"), causes.join(": ")));
        }
    }

    /// Text in a colour, if colours are wanted.
    pub(super) fn ink(&self, ink: Ink, text: impl Display) -> String {
        let code = match ink {
            Ink::Plain => return text.to_string(),
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Warn => "33",
            Ink::Left => "36",
            Ink::Right => "35",
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// Wrong usage, `--help` and `--version`.
pub(super) fn usage(usage: &clap::Error) -> ExitCode {
    drop(usage.print());
    ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
}
