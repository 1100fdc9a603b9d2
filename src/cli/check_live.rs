//! `snowgate check --live`: what the instances themselves say to the files, and a test ticket in each.

use std::sync::Arc;

use serde_json::json;

use super::print::{Ink, Printer};
use super::{DONE, WRONG, runtime};
use crate::app::check_live;
use crate::domain::time::SharedClock;
use crate::onboarding::report::{LiveFinding, LiveReport, Severity};
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
            show(&report, printer);
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

fn show(report: &LiveReport, printer: &Printer) {
    for finding in &report.findings {
        printer.line(shown(finding, printer));
    }
    let LiveReport { tenant, instance, calls, took, .. } = report;
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let seconds = took / 1_000;
    let said = format!("{tenant} at {instance}: {errors} errors, {warnings} warnings; {calls} calls in {seconds} s");
    printer.line(printer.ink(if report.passed { Ink::Good } else { Ink::Bad }, said));
}

fn shown(finding: &LiveFinding, printer: &Printer) -> String {
    let (ink, word) = match finding.severity {
        Severity::Error => (Ink::Bad, "error"),
        Severity::Warning => (Ink::Warn, "warning"),
        Severity::Note => return format!("{} {finding}", printer.ink(Ink::Good, "ok")),
    };
    format!("{} {finding}\n  what to do: {}\n", printer.ink(ink, word), finding.remedy)
}
