//! `snowgate plan`: what another mapping would make of the same events, before it is put to work. Sends nothing.
//!
//! Owns: where events come from (files, or a running gateway's records) and how differences are shown; the differences
//! themselves are [`crate::mapping::Rehearsal`]'s. Never: writes or looks up anything at an instance. Fails: with the findings of a mapping that
//! cannot be used. Exit code 0 also when there are differences. Proved by: `tests/cli/plan.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::admin::{Admin, Asked, escaped, list_of, text};
use super::key::read;
use super::preview::change;
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::domain::change::Change;
use crate::limits::{MAPPING_FILE_BYTES_MAX, PAGE_MAX, PLAN_EVENTS_MAX};
use crate::mapping::{
    Calls, Entry, FieldDifference, FindingSeverity, Mapping, Rehearsal, SourceFile, TicketDifference, compile,
};
use crate::settings::{Environment, read_text};
use crate::tenants;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without EVENT the last events of a running gateway are asked for, which need the role `read` on its admin listener.
Records that must be looked up are as if they had been found; `snowgate check --live` looks at the instance itself.

  snowgate plan --tenant contoso --new drafts/teams-rooms.yaml              the last 200 events, the old mapping and the new one
  snowgate plan --tenant contoso --new drafts/teams-rooms.yaml one.json     only these events")]
pub(super) struct Arguments {
    /// Whose mapping, and whose events
    #[arg(long)]
    tenant: String,
    /// The mapping file as it is to be
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    /// The mapping file to compare with; by default the one that the tenant names
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
    /// How many events to ask the gateway for, the newest ones
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=PLAN_EVENTS_MAX), conflicts_with = "events")]
    recent: u16,
    /// Files of events: a `CloudEvent`, a list of them, or one per line; `-` reads standard input
    #[arg(value_name = "EVENT")]
    events: Vec<PathBuf>,
    #[command(flatten)]
    admin: Admin,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let old = match &arguments.old {
        Some(file) => mapping(file, printer, environment)?,
        None => tenants_mapping(config, &arguments.tenant, environment).map(Some)?,
    };
    let (Some(old), Some(new)) = (old, mapping(&arguments.new, printer, environment)?) else { return Ok(WRONG) };
    let changes = if arguments.events.is_empty() {
        match recent(arguments, (config, environment), printer)? {
            Some(changes) => changes,
            None => return Ok(WRONG),
        }
    } else {
        given(&arguments.events)?
    };
    let played = |mapping| {
        let mut rehearsal = Rehearsal::new(mapping);
        for change in &changes {
            rehearsal.play(change);
        }
        rehearsal
    };
    let (before, after) = (played(&old), played(&new));
    let differences = before.differences(&after);
    if printer.is_json() {
        let calls = json!({"old": before.calls(), "new": after.calls()});
        let plan =
            json!({"events": changes.len(), "tickets": differences, "tickets_seen": before.tickets(), "calls": calls});
        printer.document(&plan);
    } else {
        show(&differences, printer);
        summary(changes.len(), differences.len(), (&before, &after), printer);
    }
    Ok(DONE)
}

fn tenants_mapping(config: &Path, tenant: &str, environment: &Environment) -> anyhow::Result<Arc<Mapping>> {
    let loaded = tenants::load(config, environment);
    let found = loaded.tenants.iter().find(|known| known.id().as_str() == tenant);
    let found = found.with_context(|| {
        format!("there is no tenant `{tenant}` without errors (`snowgate check` says more); `--old FILE` needs none")
    })?;
    Ok(Arc::clone(found.mapping()))
}

/// `None` after saying what is wrong with it.
fn mapping(file: &Path, printer: &Printer, environment: &Environment) -> anyhow::Result<Option<Arc<Mapping>>> {
    let text = read_text(file, MAPPING_FILE_BYTES_MAX as u64)
        .map_err(|reason| anyhow::anyhow!("the mapping file {} {reason}", file.display()))?;
    let (mapping, found) = compile(&SourceFile::new(environment.shown(file), text));
    for finding in found.iter().filter(|finding| mapping.is_none() || finding.severity == FindingSeverity::Error) {
        printer.note(finding.render(printer.colour()));
    }
    Ok(mapping.map(Arc::new))
}

fn given(files: &[PathBuf]) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for file in files {
        let bytes = read(file)?;
        let name = || format!("{}", file.display());
        let values: Vec<Value> = match serde_json::from_slice(&bytes) {
            Ok(Value::Array(several)) => several,
            Ok(one) => vec![one],
            // One per line, or something that is no JSON at all; then the first line says so.
            Err(_) => lines(&bytes).with_context(name)?,
        };
        for (at, value) in values.iter().enumerate() {
            let event = serde_json::to_vec(value)?;
            changes.push(change(&event).with_context(|| format!("{}, event {}", name(), at + 1))?);
        }
    }
    if changes.is_empty() {
        bail!("there is no event in what was given");
    }
    Ok(changes)
}

fn lines(bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
    let text = std::str::from_utf8(bytes).context("not UTF-8")?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).with_context(|| format!("line {} is not JSON", at + 1))).collect()
}

/// The newest events of the managed service that the gateway has on record, oldest first.
fn recent(
    arguments: &Arguments,
    found_by: (&Path, &Environment),
    printer: &Printer,
) -> anyhow::Result<Option<Vec<Change>>> {
    let mut changes = Vec::new();
    let mut cursor = None::<String>;
    let wanted = usize::from(arguments.recent);
    while changes.len() < wanted {
        let from = cursor.map(|cursor| format!("&cursor={}", escaped(&cursor))).unwrap_or_default();
        let path = format!(
            "/v1/tenants/{}/deliveries?direction=to_servicenow&limit={}{from}",
            escaped(&arguments.tenant),
            PAGE_MAX.min(wanted)
        );
        let Some(page) = arguments.admin.ask(Asked::get(path), found_by, printer)? else { return Ok(None) };
        let ours =
            list_of(&page["deliveries"]).iter().filter(|delivery| text(&delivery["kind"]).starts_with("incident."));
        for delivery in ours.take(wanted - changes.len()) {
            let event = json!({"type": delivery["kind"], "subject": delivery["incident"], "data": delivery["body"]});
            let event = change(&serde_json::to_vec(&event)?);
            changes.push(event.with_context(|| format!("the event of {}", text(&delivery["id"])))?);
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    if changes.is_empty() {
        bail!("the gateway has no event of `{}` on record; name files of events instead", arguments.tenant);
    }
    changes.reverse();
    Ok(Some(changes))
}

fn show(differences: &[TicketDifference], printer: &Printer) {
    for ticket in differences {
        let TicketDifference { incident, episode, fields, entries, parked, left_out } = ticket;
        let again = if *episode > 1 { format!(", episode {episode}") } else { String::new() };
        printer.line(format_args!("{}{again}", printer.ink(Ink::Left, incident)));
        for FieldDifference { field, old, new } in fields {
            let (old, new) = (value(old.as_deref()), value(new.as_deref()));
            let (old, new) = (printer.ink(Ink::Bad, old), printer.ink(Ink::Good, new));
            printer.line(format_args!("  {field:<22} {old} → {new}"));
        }
        let lines = |mark: &str, ink: Ink, lines: &[String]| {
            for line in lines {
                printer.line(format_args!("  {} {line}", printer.ink(ink, mark)));
            }
        };
        let shown = |entries: &[Entry]| -> Vec<String> {
            entries
                .iter()
                .map(|Entry { journal, text }| format!("{:<20} {}", journal.as_str(), one_line(text)))
                .collect()
        };
        lines("-", Ink::Bad, &shown(&entries.old));
        lines("+", Ink::Good, &shown(&entries.new));
        lines("- parked  ", Ink::Bad, &parked.old);
        lines("+ parked  ", Ink::Good, &parked.new);
        lines("- left out", Ink::Bad, &left_out.old);
        lines("+ left out", Ink::Good, &left_out.new);
    }
}

fn summary(events: usize, differing: usize, (old, new): (&Rehearsal<'_>, &Rehearsal<'_>), printer: &Printer) {
    let said = |calls: Calls| {
        let Calls { creates, updates, lookups, nothing_to_write } = calls;
        format!(
            "{} calls ({creates} creates, {updates} updates, {lookups} look-ups; {nothing_to_write} changes write nothing)",
            calls.total()
        )
    };
    printer.line(format_args!("{events} events of {} tickets: {differing} would differ", old.tickets()));
    printer.line(format_args!("old  {}", said(old.calls())));
    printer.line(format_args!("new  {}", said(new.calls())));
}

fn value(value: Option<&str>) -> String {
    value.map_or_else(|| "not written".to_owned(), |value| format!("`{}`", one_line(value)))
}

/// A long text is told by its beginning.
fn one_line(text: &str) -> String {
    const SHOWN: usize = 100;
    let line = text.replace('\n', "\\n");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(&line)),
        None => line,
    }
}
