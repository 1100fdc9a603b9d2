//! `snowgate mapping new`: a mapping to start from, drafted from what the customer's own instance says about itself.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::print::{Ink, Printer};
use super::{DONE, WRONG, runtime};
use crate::app::draft_mapping;
use crate::domain::time::SharedClock;
use crate::mapping::{CaseResult, FindingSeverity, SourceFile, compile};
use crate::onboarding::report::{LiveFinding, Severity};
use crate::runtime::clock::SystemClock;
use crate::settings::{self, Environment, Finding};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Draft a mapping from the dictionary, choices and data policies of a tenant's instance; only reads there
    #[command(after_help = AFTER_HELP)]
    New(New),
}

const AFTER_HELP: &str = "\
The tenant's file must be right, its mapping need not be there yet: only `servicenow` is used. The account must be able to
read sys_db_object, sys_dictionary and sys_choice, and should read sys_data_policy2, sys_data_policy_rule and
sys_user_group; afterwards it does not need them any more (docs/servicenow-admin.md).

  snowgate mapping new --from contoso --out mappings/contoso.yaml    draft it
  grep -n 'FILL IN' mappings/contoso.yaml                            what only you can know: groups, categories, fields of your own
  snowgate check --tenant contoso                                    the file and its cases
  snowgate check --tenant contoso --live                             the same against the instance, with a test ticket

Exit code 1 if the instance does not tell enough, or the file exists.";

#[derive(Debug, clap::Args)]
struct New {
    /// The tenant whose instance is asked, with the credentials of its file
    #[arg(long, value_name = "TENANT")]
    from: String,
    /// The table that tickets are written to
    #[arg(long, default_value = "incident")]
    table: String,
    /// Where to write it; without it, to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(long, requires = "out")]
    force: bool,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let Command::New(new) = &arguments.command;
    if let Some(out) = new.out.as_deref().filter(|out| out.exists() && !new.force) {
        anyhow::bail!("{} exists; choose another name, or say --force to write over it", out.display());
    }
    let loaded = settings::load(config, environment);
    let found = loaded.settings.zip(loaded.tenants.into_iter().find(|tenant| tenant.tenant.as_str() == new.from));
    let Some((settings, tenant)) = found else {
        for finding in loaded.findings.iter().filter(|finding| Finding::is_error(finding)) {
            printer.note(finding.render(printer.colour()));
        }
        anyhow::bail!("there is no tenant `{}` without errors; `snowgate check` shows what is wrong", new.from);
    };
    let stem = new.out.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.unwrap_or_else(|| new.from.clone());
    let clock: SharedClock = Arc::new(SystemClock);
    let progress = |what: &str| printer.note(printer.ink(Ink::Dim, format!("{}: {what}", new.from)));
    let drafted = draft_mapping(&settings, tenant, (&new.table, &name), &clock, &progress);
    let (text, findings) = runtime()?.block_on(drafted)?;
    told(&findings, printer);
    let Some(text) = text else {
        if printer.is_json() {
            printer.document(&json!({"mapping": null, "findings": findings}));
        }
        return Ok(WRONG);
    };
    if let Some(out) = &new.out {
        write(out, &text, new.force)?;
    }
    summary(new, &text, &findings, printer);
    Ok(DONE)
}

/// What was found on the way, but not what was proved.
fn told(findings: &[LiveFinding], printer: &Printer) {
    for finding in findings {
        let (ink, word) = match finding.severity {
            Severity::Error => (Ink::Bad, "error"),
            Severity::Warning => (Ink::Warn, "warning"),
            Severity::Note => continue,
        };
        printer.note(format_args!("{} {finding}\n  what to do: {}", printer.ink(ink, word), finding.remedy));
    }
}

/// A file that came up meanwhile is not written over either.
fn write(out: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let file = options.open(out);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", out.display()))
}

fn summary(new: &New, text: &str, findings: &[LiveFinding], printer: &Printer) {
    let marked = text.lines().filter(|line| line.contains("# FILL IN")).count();
    if printer.is_json() {
        printer.document(&json!({"mapping": text, "file": new.out, "marked": marked, "findings": findings}));
        return;
    }
    let Some(out) = &new.out else {
        printer.line(text.trim_end());
        return;
    };
    let (mapping, wrong) = compile(&SourceFile::new(out.display().to_string(), text));
    for finding in &wrong {
        printer.note(finding.render(printer.colour()));
    }
    let errors = wrong.iter().filter(|finding| finding.severity == FindingSeverity::Error).count();
    let cases = mapping.map_or_else(Vec::new, |mapping| mapping.run_cases());
    let passed = cases.iter().filter(|case| CaseResult::passed(case)).count();
    let ink = if errors == 0 && passed == cases.len() { Ink::Good } else { Ink::Warn };
    let said = format!(
        "{}: a mapping for {}, {passed} of {} cases pass, {errors} errors, {marked} marked FILL IN",
        out.display(),
        new.table,
        cases.len()
    );
    printer.line(printer.ink(ink, said));
    printer.line(format_args!(
        "next: write `mapping: {}` into the tenant's file, mend what is marked FILL IN, and run\n  snowgate check --tenant {} --live",
        out.file_name().unwrap_or_default().to_string_lossy(),
        new.from
    ));
}
