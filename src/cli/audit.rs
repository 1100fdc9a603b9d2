//! `snowgate audit`: read the audit log, export it, and prove that nobody changed it.
//!
//! Owns: walking the whole chain, from a running gateway or from the file of an embedded store. Never: repairs anything.
//! Fails: with exit code 1 and the first broken row. Proved by: `tests/it/audit.rs`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::admin::{Admin, Asked, escaped};
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::limits::PAGE_MAX;
use crate::settings::Environment;
use crate::store::audit::{AuditEnds, AuditHead, AuditPage, AuditQuery, AuditRow, Break, Checked, Hash, unhex};
use crate::store::sqlite::read_audit;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what was done, newest first; with `--json` every row on a line of its own, oldest first
    List {
        /// Only to this tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Only from this moment on, such as `2026-11-22T06:00:00Z`
        #[arg(long)]
        since: Option<String>,
        /// How many; with `--json` all
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Prove that no row was changed, added or taken out; prints the head, to be noted elsewhere
    Verify {
        /// A head that was noted earlier: also proves that nothing was cut off since
        #[arg(long, value_name = "HASH")]
        expect: Option<String>,
        /// The file of an embedded store, instead of asking a gateway
        #[arg(long, value_name = "PATH")]
        store: Option<PathBuf>,
    },
}

/// A page as the admin listener answers it.
#[derive(Debug, Deserialize)]
struct Answer {
    rows: Vec<AuditRow>,
    next: Option<u64>,
    anchor: AuditHead,
    head: AuditHead,
}

/// Where rows come from.
struct Source<'a> {
    admin: &'a Admin,
    place: (&'a Path, &'a Environment),
    printer: &'a Printer,
    file: Option<&'a Path>,
    filter: String,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let source = |file, filter| Source { admin: &arguments.admin, place: (config, environment), printer, file, filter };
    match &arguments.command {
        Command::List { tenant, since, limit } => {
            let given = [("tenant", tenant), ("since", since)];
            let given = given.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
            let filter = given.fold(String::new(), |text, (name, value)| format!("{text}&{name}={}", escaped(value)));
            list(&source(None, filter), *limit)
        }
        Command::Verify { expect, store } => {
            let expected = expect.as_deref().map(|text| unhex(text).context("`--expect` takes 64 hexadecimal digits"));
            verify(&source(store.as_deref(), String::new()), expected.transpose()?)
        }
    }
}

impl Source<'_> {
    /// A page, or `None` after a refusal.
    fn page(&self, oldest_first: bool, beyond: Option<u64>, limit: usize) -> anyhow::Result<Option<AuditPage>> {
        if let Some(file) = self.file {
            let query = AuditQuery { oldest_first, beyond, limit, ..AuditQuery::default() };
            return Ok(Some(read_audit(file, &query)?));
        }
        let order = if oldest_first { "oldest" } else { "newest" };
        let cursor = beyond.map_or_else(String::new, |row| format!("&cursor={row}"));
        let path = format!("/v1/audit?order={order}&limit={limit}{cursor}{}", self.filter);
        let Some(answer) = self.admin.ask(Asked::get(path), self.place, self.printer)? else { return Ok(None) };
        let Answer { rows, next, anchor, head } =
            serde_json::from_value(answer).context("the answer is no audit log")?;
        Ok(Some(AuditPage { rows, next, ends: AuditEnds { anchor, head } }))
    }
}

fn list(source: &Source<'_>, limit: usize) -> anyhow::Result<u8> {
    let export = source.printer.is_json();
    let (mut left, mut beyond) = (if export { usize::MAX } else { limit }, None);
    while left > 0 {
        let Some(page) = source.page(export, beyond, left.min(PAGE_MAX))? else { return Ok(WRONG) };
        for row in &page.rows {
            if export { source.printer.document(row) } else { line(row, source.printer) }
        }
        left = left.saturating_sub(page.rows.len());
        beyond = page.next;
        if beyond.is_none() {
            break;
        }
    }
    Ok(DONE)
}

fn line(row: &AuditRow, printer: &Printer) {
    let AuditRow { sequence, at, who, role, tenant, action, target, note, source, .. } = row;
    let from = if source.is_empty() { String::new() } else { format!(" from {source}") };
    printer.line(format_args!(
        "{:>6}  {at}  {who} ({role}{from})  {}  {tenant} {target}  {}",
        printer.ink(Ink::Dim, sequence),
        printer.ink(Ink::Left, action),
        printer.ink(Ink::Dim, note),
    ));
}

fn verify(source: &Source<'_>, expected: Option<Hash>) -> anyhow::Result<u8> {
    let Some(first) = source.page(true, None, PAGE_MAX)? else { return Ok(WRONG) };
    let mut checked = Checked::from(first.ends.anchor).expect(expected);
    let mut page = first;
    let broken = loop {
        if let Err(broken) = page.rows.iter().try_for_each(|row| checked.follow(row)) {
            break broken;
        }
        let Some(beyond) = page.next else {
            match checked.end(page.ends.head) {
                Ok((head, found)) => return Ok(whole(page.ends.anchor, head, found, source.printer)),
                Err(broken) => break broken,
            }
        };
        page = match source.page(true, Some(beyond), PAGE_MAX)? {
            Some(page) if page.ends.anchor.sequence > checked.reached().sequence => {
                bail!("old rows were removed meanwhile; try again")
            }
            Some(page) => page,
            None => return Ok(WRONG),
        };
    };
    tell_broken(&broken, source.printer);
    Ok(WRONG)
}

fn whole(anchor: AuditHead, head: AuditHead, found: Option<u64>, printer: &Printer) -> u8 {
    let rows = head.sequence - anchor.sequence;
    if printer.is_json() {
        printer.document(&serde_json::json!({"whole": true, "rows": rows, "head": head, "checkpoint": found}));
        return DONE;
    }
    printer.line(format_args!("{} {rows} rows, each follows from the one before", printer.ink(Ink::Good, "whole:")));
    if let Some(row) = found {
        printer.line(format_args!("the checkpoint is row {row}"));
    }
    printer.line(format_args!("head: row {}, {head}", head.sequence));
    DONE
}

fn tell_broken(broken: &Break, printer: &Printer) {
    if printer.is_json() {
        printer.document(&serde_json::json!({"whole": false, "broken": broken.to_string()}));
    } else {
        printer.line(format_args!("{} {broken}", printer.ink(Ink::Bad, "broken:")));
    }
}
