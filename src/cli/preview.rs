//! `snowgate preview`: what would be sent for an event, and why each field has its value. Sends nothing, needs no
//! instance: what would be looked up there is shown as such.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::key::read;
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::id::IncidentId;
use crate::mapping::{Draft, Lookup, Lookups, Mapping, Operation, TraceLine, Write};
use crate::settings::Environment;
use crate::tenants;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose mapping
    #[arg(long)]
    tenant: String,
    /// A `CloudEvent` as a file; `-` reads standard input
    event: PathBuf,
    /// As if the ticket were made now, or were there already; by default by the event's type
    #[arg(long, value_enum)]
    operation: Option<OperationArgument>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OperationArgument {
    Create,
    Update,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let loaded = tenants::load(config, environment);
    let Some(tenant) = loaded.tenants.iter().find(|tenant| tenant.id().as_str() == arguments.tenant) else {
        bail!("there is no tenant `{}` without errors (`snowgate check` says more)", arguments.tenant);
    };
    let change = change(&read(&arguments.event)?)?;
    let operation = match arguments.operation {
        Some(OperationArgument::Create) => Operation::Create,
        None if change.kind == ChangeKind::Opened => Operation::Create,
        Some(OperationArgument::Update) | None => Operation::Update,
    };
    let mapping = tenant.mapping();
    let lookups = as_if_found(mapping, &change, operation);
    match mapping.explain(&change, operation, &lookups) {
        Ok(draft) if printer.is_json() => printer.document(&json!({"operation": operation, "draft": draft})),
        Ok(draft) => show(&change, operation, &draft, printer),
        Err((fault, trace)) => {
            if printer.is_json() {
                printer.document(&json!({"operation": operation, "parked": fault, "trace": trace}));
            } else {
                for line in &trace {
                    show_line(line, printer);
                }
                printer.line(format_args!("{} {fault}", printer.ink(Ink::Bad, "parked:")));
            }
            return Ok(WRONG);
        }
    }
    Ok(DONE)
}

/// Reads a `CloudEvent`, or what stands in its `data` with a `type` beside it.
fn change(bytes: &[u8]) -> anyhow::Result<Change> {
    let event: Value = serde_json::from_slice(bytes).context("the event is not JSON")?;
    let kind = event["type"].as_str().context("the event has no `type`, such as `incident.opened`")?;
    let kind = ChangeKind::parse(kind).with_context(|| {
        format!("`{kind}` is unknown: use one of {}", ChangeKind::ALL.map(ChangeKind::as_str).join(", "))
    })?;
    let subject = event["subject"].as_str().map(IncidentId::parse).transpose().context("`subject`")?;
    let data = event.get("data").cloned().unwrap_or(event);
    Change::from_data_about(kind, subject, data).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the event is not valid:\n  {}", faults.join("\n  "))
    })
}

/// Offline every look-up is as if it had found its record; what it stands for is shown in its place.
fn as_if_found(mapping: &Mapping, change: &Change, operation: Operation) -> Lookups {
    let keys = mapping.plan(change, operation).into_iter();
    keys.map(|key| {
        let found = Lookup::Found(format!("<{} with {} {}>", key.table, key.by, key.value));
        (key, found)
    })
    .collect()
}

fn show(change: &Change, operation: Operation, draft: &Draft, printer: &Printer) {
    let what = match operation {
        Operation::Create => "a new ticket",
        Operation::Update => "an update (fields whose value did not change since the last write are left out)",
    };
    printer.line(format_args!("{} of incident {} becomes {what}:\n", change.kind, change.incident.id));
    for line in &draft.trace {
        show_line(line, printer);
    }
    if let Some((field, text)) = &draft.journal {
        printer.line(format_args!("{} {text}", printer.ink(Ink::Left, format_args!("{:<20}", field.as_str()))));
    }
    for left in &draft.dropped {
        printer.line(format_args!("{} {}: {}", printer.ink(Ink::Warn, "left out"), left.what, left.reason));
    }
    let insisting = draft.fields.iter().filter(|field| field.write == Write::Always).count();
    if insisting > 0 {
        printer.line(format_args!("\n{insisting} fields are written with every update (`on: always`)"));
    }
}

fn show_line(line: &TraceLine, printer: &Printer) {
    let name = printer.ink(Ink::Left, format_args!("{:<20}", line.field));
    match &line.value {
        Some(value) => printer.line(format_args!("{name} {value}")),
        None => printer.line(format_args!("{name} {}", printer.ink(Ink::Dim, "not written"))),
    }
    // A template over several lines is one reason.
    let why = line.why.replace('\n', "\\n");
    printer.line(printer.ink(Ink::Dim, format_args!("{:<20} {why}", "")));
}
