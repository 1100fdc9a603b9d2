//! `snowgate preview`: what would be sent for an event or a tool's payload, or told of a ticket, and why each field has its value. Sends nothing,
//! needs no instance: what would be looked up there is shown as such.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::key::read;
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::id::IncidentId;
use crate::mapping::{Draft, IncidentDraft, JournalField, Lookups, Mapping, Operation, TicketView, TraceLine, Write};
use crate::settings::Environment;
use crate::tenants::{self, Loaded, Tenant};

mod source;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose mapping
    #[arg(long, required_unless_present = "source")]
    tenant: Option<String>,
    /// The file is a tool's own payload, read with this source: the events it becomes, and with `--tenant` what comes of them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ticket", "operation"])]
    source: Option<String>,
    /// A `CloudEvent` as a file; `-` reads standard input
    #[arg(required_unless_present = "ticket")]
    event: Option<PathBuf>,
    /// Instead of an event, a ticket as a webhook sends it: what the managed service would be told of it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event", "operation"])]
    ticket: Option<PathBuf>,
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
    if let (Some(name), Some(file)) = (&arguments.source, &arguments.event) {
        let tenant = arguments.tenant.as_deref().map(|name| tenant(&loaded, name)).transpose()?;
        return source::run(&loaded, name, file, tenant.map(|tenant| &**tenant.mapping()), printer);
    }
    let tenant = tenant(&loaded, arguments.tenant.as_deref().unwrap_or_default())?;
    let event = match (&arguments.event, &arguments.ticket) {
        (_, Some(ticket)) => return back(tenant.mapping(), &view(&read(ticket)?)?, printer),
        (Some(event), None) => event,
        (None, None) => bail!("name the file of an event, or of a ticket with `--ticket`"),
    };
    let change = change(&read(event)?)?;
    let operation = match arguments.operation {
        Some(OperationArgument::Create) => Operation::Create,
        None if change.kind == ChangeKind::Opened => Operation::Create,
        Some(OperationArgument::Update) | None => Operation::Update,
    };
    Ok(written(tenant.mapping(), &change, operation, printer))
}

fn tenant<'l>(loaded: &'l Loaded, name: &str) -> anyhow::Result<&'l Tenant> {
    let found = loaded.tenants.iter().find(|tenant| tenant.id().as_str() == name);
    found.with_context(|| format!("there is no tenant `{name}` without errors (`snowgate check` says more)"))
}

/// What the mapping would write for a change.
fn written(mapping: &Mapping, change: &Change, operation: Operation, printer: &Printer) -> u8 {
    let lookups = Lookups::as_if_found(mapping.plan(change, operation));
    match mapping.explain(change, operation, &lookups) {
        Ok(draft) if printer.is_json() => printer.document(&json!({"operation": operation, "draft": draft})),
        Ok(draft) => show(change, operation, &draft, printer),
        Err((fault, trace)) => {
            if printer.is_json() {
                printer.document(&json!({"operation": operation, "parked": fault, "trace": trace}));
            } else {
                show_lines(&trace, "not written", printer);
                printer.line(format_args!("{} {fault}", printer.ink(Ink::Bad, "parked:")));
            }
            return WRONG;
        }
    }
    DONE
}

/// Reads a `CloudEvent`, or what stands in its `data` with a `type` beside it.
pub(super) fn change(bytes: &[u8]) -> anyhow::Result<Change> {
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

/// Reads a ticket: raw value by column, or `{"value": …, "display": …}`, on its own or under `fields`.
fn view(bytes: &[u8]) -> anyhow::Result<TicketView> {
    let ticket: Value = serde_json::from_slice(bytes).context("the ticket is not JSON")?;
    let columns = ticket.get("fields").unwrap_or(&ticket);
    let columns = columns.as_object().context("the ticket is not an object of columns")?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let mut view = TicketView::default();
    for (column, cell) in columns {
        let display = cell.get("display").or_else(|| cell.get("display_value")).and_then(text);
        let value = text(cell.get("value").unwrap_or(cell));
        let value = value.with_context(|| format!("`{column}` needs a raw value: a text, or `{{\"value\": …}}`"))?;
        view.set(column.as_str(), value, display);
    }
    Ok(view)
}

/// The other direction: what a ticket would say about its incident.
fn back(mapping: &Mapping, ticket: &TicketView, printer: &Printer) -> anyhow::Result<u8> {
    if !mapping.has_way_back() {
        bail!("the mapping `{}` has no `to_incident`, so nothing is ever told of a ticket", mapping.name());
    }
    let opens = mapping.opens(ticket);
    match mapping.explain_back(ticket) {
        Ok(draft) if printer.is_json() => {
            let incident = draft.to_json(&|_| true);
            printer.document(&json!({"incident": incident, "opens": opens.ok(), "draft": draft}));
        }
        Ok(draft) => show_back(mapping, &draft, opens.unwrap_or(false), printer),
        Err((fault, trace)) => {
            if printer.is_json() {
                printer.document(&json!({"parked": fault, "trace": trace}));
            } else {
                show_lines(&trace, "not told", printer);
                printer.line(format_args!("{} {fault}", printer.ink(Ink::Bad, "parked:")));
            }
            return Ok(WRONG);
        }
    }
    Ok(DONE)
}

fn show_back(mapping: &Mapping, draft: &IncidentDraft, opens: bool, printer: &Printer) {
    printer.line("The ticket says of its incident (only what depends on a column that somebody changed is told):\n");
    show_lines(&draft.trace, "not told", printer);
    for left in &draft.dropped {
        printer.line(format_args!("{} {}: {}", printer.ink(Ink::Warn, "left out"), left.what, left.reason));
    }
    for journal in JournalField::ALL {
        let leaves = mapping.leaves_as(journal);
        let said =
            leaves.map_or_else(|| "stay in the tenant".to_owned(), |as_what| format!("leave as {as_what} messages"));
        printer.line(format_args!("{} {said}", printer.ink(Ink::Left, format_args!("{:<20}", journal.as_str()))));
    }
    if opens {
        printer.line("\nIf no incident knows the ticket, it opens one.");
    }
}

fn show(change: &Change, operation: Operation, draft: &Draft, printer: &Printer) {
    let what = match operation {
        Operation::Create => "a new ticket",
        Operation::Update => "an update (fields whose value did not change since the last write are left out)",
    };
    printer.line(format_args!("{} of incident {} becomes {what}:\n", change.kind, change.incident.id));
    show_lines(&draft.trace, "not written", printer);
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

fn show_lines(trace: &[TraceLine], absent: &str, printer: &Printer) {
    for line in trace {
        let name = printer.ink(Ink::Left, format_args!("{:<20}", line.field));
        match &line.value {
            Some(value) => printer.line(format_args!("{name} {value}")),
            None => printer.line(format_args!("{name} {}", printer.ink(Ink::Dim, absent))),
        }
        // A template over several lines is one reason.
        let why = line.why.replace('\n', "\\n");
        printer.line(printer.ink(Ink::Dim, format_args!("{:<20} {why}", "")));
    }
}
