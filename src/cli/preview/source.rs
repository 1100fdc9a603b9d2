//! `snowgate preview --source`: the events a tool's payload becomes, and what a tenant's mapping makes of each.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::super::key::read;
use super::super::print::{Ink, Printer};
use super::super::{DONE, WRONG};
use super::written;
use crate::domain::change::ChangeKind;
use crate::mapping::source::{Reading, SourceEvent, SourceFault};
use crate::mapping::{Lookups, Mapping, Operation};
use crate::tenants::Loaded;

pub(super) fn run(
    loaded: &Loaded,
    name: &str,
    file: &Path,
    mapping: Option<&Mapping>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let Some(source) = loaded.sources.find(name) else {
        let known: Vec<&str> = loaded.sources.all().map(|source| source.name()).collect();
        bail!("there is no source `{name}` without errors; known are {}", known.join(", "));
    };
    let payload: Value = serde_json::from_slice(&read(file)?).context("the payload is not JSON")?;
    match source.read(&payload) {
        Ok(reading) => Ok(events(&reading, mapping, printer)),
        Err(fault) => {
            refused(&fault, printer);
            Ok(WRONG)
        }
    }
}

fn refused(fault: &SourceFault, printer: &Printer) {
    if printer.is_json() {
        printer.document(&json!({"refused": fault.problems}));
        return;
    }
    printer.line(format_args!("{} nothing of this payload is taken:", printer.ink(Ink::Bad, "refused:")));
    for problem in &fault.problems {
        printer.line(format_args!("  {problem}"));
    }
}

fn events(reading: &Reading, mapping: Option<&Mapping>, printer: &Printer) -> u8 {
    if printer.is_json() {
        let events: Vec<Value> = reading.events.iter().map(|event| document(event, mapping)).collect();
        printer.document(&json!({"events": events, "skipped": reading.skipped}));
        return DONE;
    }
    let mut worst = DONE;
    for event in &reading.events {
        let (kind, incident) = (event.change.kind, &event.change.incident.id);
        printer.line(printer.ink(Ink::Left, format_args!("{kind} of incident {incident}")));
        printer
            .line(printer.ink(Ink::Dim, format_args!("the same as every event with the id {}", event.event.parts().1)));
        printer.line(format_args!("{:#}", data(event)));
        if let Some(mapping) = mapping {
            printer.line("");
            worst = worst.max(written(mapping, &event.change, operation(kind), printer));
        }
        printer.line("");
    }
    printer.line(format_args!("{} events, {} items of which nothing is said", reading.events.len(), reading.skipped));
    worst
}

fn operation(kind: ChangeKind) -> Operation {
    if kind == ChangeKind::Opened { Operation::Create } else { Operation::Update }
}

fn data(event: &SourceEvent) -> Value {
    serde_json::from_str(&event.data).unwrap_or_default()
}

fn document(event: &SourceEvent, mapping: Option<&Mapping>) -> Value {
    let (source, id) = event.event.parts();
    let kind = event.change.kind;
    let mut document = json!({"type": kind, "source": source, "id": id, "data": data(event)});
    if let (Some(mapping), Value::Object(document)) = (mapping, &mut document) {
        let lookups = Lookups::as_if_found(mapping.plan(&event.change, operation(kind)));
        let (key, said) = match mapping.explain(&event.change, operation(kind), &lookups) {
            Ok(draft) => ("draft", json!(draft)),
            Err((fault, _)) => ("parked", json!(fault)),
        };
        document.insert("operation".to_owned(), json!(operation(kind)));
        document.insert(key.to_owned(), said);
    }
    document
}
