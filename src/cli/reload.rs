//! `snowgate reload`: makes a running gateway read its files now, and says what that changed or what is wrong.

use std::path::Path;

use serde_json::Value;

use super::admin::{Admin, Asked, list_of, text};
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::settings::Environment;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 1 if the files have errors: then nothing was changed, and the old ones stay in use.")]
pub(super) struct Arguments {
    #[command(flatten)]
    admin: Admin,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let (status, answer) = arguments.admin.answer(Asked::post("/v1/reload".to_owned(), None), (config, environment))?;
    if printer.is_json() {
        printer.document(&answer);
        return Ok(if status.is_success() { DONE } else { WRONG });
    }
    if !status.is_success() {
        show(list_of(&answer["findings"]), printer);
        let detail = answer["detail"].as_str().unwrap_or("no detail");
        printer.note(format_args!("{} {status}: {detail}", printer.ink(Ink::Bad, "refused:")));
        return Ok(WRONG);
    }
    show(list_of(&answer["warnings"]), printer);
    let mut changed = false;
    for what in ["added", "changed", "removed"] {
        let names: Vec<&str> = list_of(&answer[what]).iter().filter_map(Value::as_str).collect();
        if !names.is_empty() {
            changed = true;
            printer.line(format_args!("{what:<8} {}", names.join(" ")));
        }
    }
    if !changed {
        printer.line("no tenant changed");
    }
    Ok(DONE)
}

/// As `snowgate check` says it, without the excerpts.
fn show(findings: &[Value], printer: &Printer) {
    for finding in findings {
        let (line, column) = (&finding["line"], &finding["column"]);
        let place = if *line == 0 { String::new() } else { format!(":{line}:{column}") };
        let (file, code, message) = (text(&finding["file"]), text(&finding["code"]), text(&finding["message"]));
        printer.note(format_args!("{file}{place} {code} {message}"));
        if let Some(hint) = finding["hint"].as_str() {
            printer.note(format_args!("hint: {hint}"));
        }
    }
}
