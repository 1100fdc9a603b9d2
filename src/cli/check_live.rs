//! `snowgate check --live`: what the instances themselves say to the files, and a test ticket in each.

use std::sync::Arc;

use serde_json::{Value, json};

use super::admin::{list_of, text};
use super::print::{Ink, Printer};
use super::{DONE, WRONG, runtime};
use crate::app::check_live;
use crate::domain::time::SharedClock;
use crate::runtime::clock::SystemClock;
use crate::settings::Settings;
use crate::tenants::{Enabled, Tenant};

/// Checks the instances of these tenants, one after the other.
pub(super) fn run(settings: &Settings, tenants: &[Tenant], ticket: bool, printer: &Printer) -> anyhow::Result<u8> {
    let clock: SharedClock = Arc::new(SystemClock);
    let runtime = runtime()?;
    let mut reports = Vec::new();
    for tenant in tenants {
        let id = tenant.id();
        let progress = |what: &str| printer.note(printer.ink(Ink::Dim, format!("{id}: {what}")));
        let report = runtime.block_on(check_live(settings, tenant, &clock, ticket, &progress))?;
        let Some(report) = report else { continue };
        if !printer.is_json() {
            show(&serde_json::to_value(&report)?, printer);
            if tenant.settings().enabled == Enabled::AfterCheck {
                printer.note(format_args!(
                    "`snowgate tenants check {id}` does the same in the running gateway, and makes it tested"
                ));
            }
        }
        reports.push(report);
    }
    let passed = reports.iter().all(|report| report.passed);
    if printer.is_json() {
        printer.document(&json!({"passed": passed, "reports": reports}));
    }
    Ok(if passed { DONE } else { WRONG })
}

/// A report in the form in which a gateway answers it, so that a check made here and one made there read the same.
pub(super) fn show(report: &Value, printer: &Printer) {
    let findings = list_of(&report["findings"]);
    for finding in findings {
        printer.line(shown(finding, printer));
    }
    let count = |severity: &str| findings.iter().filter(|finding| finding["severity"] == severity).count();
    let (errors, warnings) = (count("error"), count("warning"));
    let (tenant, instance) = (text(&report["tenant"]), text(&report["instance"]));
    let (calls, seconds) = (&report["calls"], report["took"].as_u64().unwrap_or_default() / 1_000);
    let said = format!("{tenant} at {instance}: {errors} errors, {warnings} warnings; {calls} calls in {seconds} s");
    printer.line(printer.ink(if report["passed"] == true { Ink::Good } else { Ink::Bad }, said));
}

fn shown(finding: &Value, printer: &Printer) -> String {
    let place = finding["place"].as_str().map(|place| format!("{place} ")).unwrap_or_default();
    let (code, subject, message) = (text(&finding["code"]), text(&finding["subject"]), text(&finding["message"]));
    let said = format!("{place}{code} {subject}: {message}");
    let (ink, word) = match text(&finding["severity"]) {
        "error" => (Ink::Bad, "error"),
        "warning" => (Ink::Warn, "warning"),
        _ => return format!("{} {said}", printer.ink(Ink::Good, "ok")),
    };
    format!("{} {said}\n  what to do: {}\n", printer.ink(ink, word), text(&finding["remedy"]))
}
