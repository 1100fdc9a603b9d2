//! `snowgate check`: everything that is wrong, in all files at once, and every case of every mapping and source.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::check_live;
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::app::{Origin, Parts};
use crate::limits::{BODY_BYTES_MAX, MAPPING_FILE_BYTES_MAX};
use crate::mapping::source::Source;
use crate::mapping::{CaseResult, FindingSeverity, Mapping, SourceFile, compile};
use crate::runtime::clock::SystemClock;
use crate::settings::{Environment, Finding, read_text};
use crate::tenants::{self, Loaded, Tenant};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 1 if anything is an error or a case fails; warnings alone are 0.")]
pub(super) struct Arguments {
    /// Only this tenant's findings and mapping
    #[arg(long)]
    tenant: Option<String>,
    /// Also against the instances themselves, with a test ticket that is put away again
    #[arg(long)]
    live: bool,
    /// With --live: only read, make no test ticket
    #[arg(long, requires = "live")]
    no_ticket: bool,
}

/// One mapping file and how its cases went.
struct Checked {
    file: String,
    cases: Vec<CaseResult>,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let mut loaded = tenants::load(config, environment);
    if let Some(only) = &arguments.tenant
        && !keep_only(&mut loaded, only)
    {
        anyhow::bail!("there is no tenant `{only}`; leave --tenant out to see all findings");
    }
    let (mut checked, unnamed) = mappings(&loaded, arguments.tenant.is_none());
    checked.extend(sources(&loaded, arguments.tenant.is_none()));
    let errors = loaded.findings.iter().filter(|finding| finding.is_error()).count()
        + unnamed.iter().filter(|text| text.error).count();
    let failed: usize = checked.iter().flat_map(|file| &file.cases).filter(|case| !case.passed()).count();
    if arguments.live && errors + failed == 0 {
        return live(&loaded, arguments, printer);
    }
    if printer.is_json() {
        let cases: Vec<_> = checked.iter().map(|file| json!({"file": file.file, "cases": file.cases})).collect();
        let others: Vec<_> = unnamed.iter().map(|text| &text.json).collect();
        printer.document(&json!({"findings": loaded.findings, "unnamed_mappings": others, "mappings": cases, "errors": errors, "failed_cases": failed}));
    } else {
        show(&loaded, &checked, &unnamed, printer);
        summary(&loaded, &checked, errors, failed, printer);
    }
    Ok(if errors + failed == 0 { DONE } else { WRONG })
}

/// The files are in order; now the instances are asked.
fn live(loaded: &Loaded, arguments: &Arguments, printer: &Printer) -> anyhow::Result<u8> {
    let settings = loaded.settings.as_ref().context("the settings have errors")?;
    if !printer.is_json() {
        for finding in &loaded.findings {
            printer.line(format_args!("{}\n", finding.render(printer.colour())));
        }
    }
    check_live::run(settings, &loaded.tenants, !arguments.no_ticket, printer)
}

/// Reads everything for a gateway that is about to start; `None` after saying why it cannot.
pub(super) fn load_for_serving(
    config: &Path,
    printer: &Printer,
    environment: &Environment,
) -> Option<(Parts, Vec<Finding>)> {
    match tenants::load(config, environment).strict() {
        Ok(prepared) => {
            let warnings = prepared.warnings.clone();
            let origin = Origin { path: config.to_owned(), environment: environment.clone() };
            Some((Parts { prepared, origin, clock: Arc::new(SystemClock) }, warnings))
        }
        Err(findings) => {
            for finding in &findings {
                printer.note(finding.render(printer.colour()));
            }
            let errors = findings.iter().filter(|finding| finding.is_error()).count();
            printer.note(format_args!(
                "{} {errors} to mend before the gateway can start",
                printer.ink(Ink::Bad, "error:")
            ));
            None
        }
    }
}

/// A finding about a mapping file that no tenant names.
struct Unnamed {
    error: bool,
    text: String,
    json: serde_json::Value,
}

fn keep_only(loaded: &mut Loaded, only: &str) -> bool {
    loaded.tenants.retain(|tenant| tenant.id().as_str() == only);
    let is_named = |file: &str, name: &str| Path::new(file).file_name().is_some_and(|last| last == name);
    match loaded.tenants.first().map(|tenant| (tenant.settings().file.to_string(), tenant.settings().mapping.clone())) {
        Some((file, mapping)) => {
            loaded.findings.retain(|finding| finding.file == file || is_named(&finding.file, &mapping));
            true
        }
        // It has errors, or what it names has: everything is shown, because the fault may be in any of the files.
        None => loaded.settings.is_none() || loaded.findings.iter().any(Finding::is_error),
    }
}

/// The cases of every mapping that a tenant names, and of every other file in the folder of mappings.
fn mappings(loaded: &Loaded, all: bool) -> (Vec<Checked>, Vec<Unnamed>) {
    let mut checked: Vec<Checked> = Vec::new();
    for tenant in &loaded.tenants {
        let file = tenant.settings().mapping.clone();
        if !checked.iter().any(|known| known.file == file) {
            checked.push(Checked { file, cases: cases(tenant) });
        }
    }
    let mut unnamed = Vec::new();
    let Some(folder) = loaded.settings.as_ref().map(|settings| &settings.mappings).filter(|_| all) else {
        return (checked, unnamed);
    };
    for path in yaml_files(folder) {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let named = loaded.tenants.iter().any(|tenant| tenant.settings().mapping == file);
        let same = |finding: &Finding| Path::new(&finding.file).file_name().is_some_and(|last| *last == *file);
        let reported = loaded.findings.iter().any(same);
        if named || reported {
            continue;
        }
        let Ok(text) = read_text(&path, MAPPING_FILE_BYTES_MAX as u64) else { continue };
        let (mapping, findings) = compile(&SourceFile::new(path.display().to_string(), text));
        unnamed.extend(findings.iter().map(|finding| Unnamed {
            error: finding.severity == FindingSeverity::Error,
            text: finding.render(false),
            json: json!(finding),
        }));
        if let Some(mapping) = mapping {
            checked.push(Checked { file, cases: mapping.run_cases() });
        }
    }
    (checked, unnamed)
}

/// The cases of every source. They are nobody's in particular, so a look at one tenant leaves them out.
fn sources(loaded: &Loaded, all: bool) -> Vec<Checked> {
    let Some(folder) = loaded.settings.as_ref().map(|settings| tenants::sources_folder(&settings.mappings)) else {
        return Vec::new();
    };
    let payload = |file: &str| read_text(&folder.join(file), BODY_BYTES_MAX as u64);
    let checked = |source: &Arc<Source>| Checked {
        file: format!("sources/{}.yaml", source.name()),
        cases: source.run_cases(&payload),
    };
    loaded.sources.all().filter(|_| all).map(checked).collect()
}

fn cases(tenant: &Tenant) -> Vec<CaseResult> {
    let mapping: &Mapping = tenant.mapping();
    mapping.run_cases()
}

fn yaml_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn show(loaded: &Loaded, checked: &[Checked], unnamed: &[Unnamed], printer: &Printer) {
    for finding in &loaded.findings {
        printer.line(format_args!("{}\n", finding.render(printer.colour())));
    }
    for finding in unnamed {
        printer.line(format_args!("{}\n", finding.text));
    }
    for file in checked {
        let failed: Vec<_> = file.cases.iter().filter(|case| !case.passed()).collect();
        let passed = file.cases.len() - failed.len();
        let ink = if failed.is_empty() { Ink::Good } else { Ink::Bad };
        let said = format!("{passed} of {} cases", file.cases.len());
        printer.line(format_args!("{}: {}", file.file, printer.ink(ink, said)));
        for case in failed {
            printer.line(format_args!("  {}:{} {}", file.file, case.line, printer.ink(Ink::Bad, &case.name)));
            for difference in &case.differences {
                printer.line(format_args!("    {difference}"));
            }
        }
    }
}

fn summary(loaded: &Loaded, checked: &[Checked], errors: usize, failed: usize, printer: &Printer) {
    let warnings = loaded.findings.iter().filter(|finding: &&Finding| !finding.is_error()).count();
    let cases: usize = checked.iter().map(|file| file.cases.len()).sum();
    let sources = checked.iter().filter(|file| file.file.starts_with("sources/")).count();
    let said = format!(
        "{} tenants, {} mappings, {} sources, {cases} cases: {errors} errors, {warnings} warnings, {failed} failed cases",
        loaded.tenants.len(),
        checked.len() - sources,
        sources
    );
    let ink = if errors + failed == 0 { Ink::Good } else { Ink::Bad };
    printer.line(printer.ink(ink, said));
}
