//! `snowgate health`: whether a running gateway can take work, for containers and scripts that have no other client.
//!
//! Owns: the question. Never: needs an operator's token, or changes anything. Fails: with exit code 1 and the reasons if the
//! gateway is not ready, with 3 if nobody answers. Proved by: `tests/cli/health.rs`.

use std::path::Path;

use super::admin::{Admin, Asked, list_of};
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::settings::Environment;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 1 if the gateway answers and cannot take work now, 3 if nobody answers.")]
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
    let (status, answer) = arguments.admin.answer(Asked::get("/readyz".to_owned()), (config, environment))?;
    let ready = status.is_success();
    if printer.is_json() {
        printer.document(&answer);
    } else if ready {
        printer.line(printer.ink(Ink::Good, "ready"));
    } else {
        printer.line(printer.ink(Ink::Bad, "not ready"));
        for reason in list_of(&answer["reasons"]) {
            printer.line(format_args!("  {}", reason.as_str().unwrap_or_default()));
        }
    }
    Ok(if ready { DONE } else { WRONG })
}
