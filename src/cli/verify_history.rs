//! `snowgate verify-history`: whether gateway and instances tell the same story.
//!
//! Owns: where the two sides come from: files, or the running gateway and the instances themselves. Never: judges (that is
//! `history`), writes anywhere. Fails: with exit code 1 if something is wrong, and names the line of a file that it cannot
//! read. Proved by: `tests/cli/verify_history.rs`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;

use super::admin::{Admin, Asked, escaped};
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::history::{BadLine, History, Verdict, Verdicts};
use crate::limits::{HISTORY_LINE_BYTES_MAX, PAGE_MAX};
use crate::settings::{self, Environment};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// What the gateway has on record, one JSON document per line; may be given several times. Without it a running gateway
    /// is asked
    #[arg(long, value_name = "FILE")]
    records: Vec<PathBuf>,
    /// What senders hold receipts for, one per line; may be given several times, or left out
    #[arg(long, value_name = "FILE")]
    receipts: Vec<PathBuf>,
    /// What the instance of a tenant shows; several tenants of one instance are separated by commas
    #[arg(long, value_name = "TENANT=FILE", required = true)]
    instance: Vec<Side>,
    /// The text that all keys were derived from; by default the settings' own
    #[arg(long, value_name = "TEXT")]
    deployment_key: Option<String>,
    /// The user name of the gateway in the instances; by default whoever wrote its texts
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Everything since then is on record, such as `2026-11-22T06:00:00Z`; by default the records say how far back they go
    #[arg(long, value_name = "TIME")]
    complete_since: Option<String>,
    /// Leave out what the instances show of later moments: the records were read before them
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    admin: Admin,
}

const AFTER_HELP: &str = "\
Verdicts:
  lost          acknowledged, and neither applied nor superseded, parked, dropped or waiting
  duplicated    two tickets for one incident and episode, or one message twice
  reordered     applied in another order than accepted, or undone by something older
  unexpected    it carries our keys, and nobody sent it
  cross-tenant  one tenant's, in another one's instance

The two sides of one tenant, read in this order:
  snowgate deliveries list --tenant contoso --limit 200 --json   page by page (`--cursor`), into records.jsonl
  GET /api/now/table/incident?sysparm_query=correlation_idSTARTSWITHsg1-^ORDERBYsys_id    into contoso.jsonl,
  GET /api/now/table/sys_journal_field?sysparm_query=element_idIN…                        behind it
  snowgate verify-history --records records.jsonl --instance contoso=contoso.jsonl --until 2026-11-22T06:00:00Z

docs/verify-history.md has all columns, and ways to get them out of an instance.";

/// An instance's export and who lives there.
#[derive(Clone, Debug)]
struct Side {
    tenants: Vec<TenantId>,
    file: PathBuf,
}

impl std::str::FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tenants, file) = text.split_once('=').ok_or("write it as TENANT=FILE, such as contoso=contoso.jsonl")?;
        let tenants = tenants.split(',').map(|tenant| TenantId::parse(tenant).map_err(|wrong| wrong.to_string()));
        Ok(Self { tenants: tenants.collect::<Result<_, _>>()?, file: file.into() })
    }
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let mut history = History::new(&deployment_key(config, arguments, environment)?);
    if let Some(since) = moment(arguments.complete_since.as_deref())? {
        history = history.complete_since(since);
    }
    for file in arguments.records.iter().chain(&arguments.receipts) {
        each_line(file, |line| history.line(line))?;
    }
    if arguments.records.is_empty() {
        let tenants = arguments.instance.iter().flat_map(|side| &side.tenants);
        for tenant in tenants {
            if !ask_gateway(&mut history, tenant, (config, arguments, environment), printer)? {
                return Ok(WRONG);
            }
        }
    }
    let until = moment(arguments.until.as_deref())?;
    for side in &arguments.instance {
        let shown = history.instance(&side.tenants);
        if let Some(until) = until {
            shown.until(until);
        }
        if let Some(user) = &arguments.user {
            shown.written_by(user);
        }
        each_line(&side.file, |line| shown.line(line))?;
    }
    Ok(tell(&history.judge(), printer))
}

fn deployment_key(config: &Path, arguments: &Arguments, environment: &Environment) -> anyhow::Result<String> {
    if let Some(key) = &arguments.deployment_key {
        return Ok(key.clone());
    }
    let Some(settings) = settings::load(config, environment).settings else {
        bail!("the settings cannot be read (`snowgate check` says why); name the key with --deployment-key TEXT");
    };
    Ok(settings.deployment_key)
}

fn moment(text: Option<&str>) -> anyhow::Result<Option<Timestamp>> {
    let read = |text: &str| {
        Timestamp::parse(text).with_context(|| format!("`{text}` is no time such as 2026-11-22T06:00:00Z"))
    };
    text.map(read).transpose()
}

/// Reads a file line by line, so that no more than a line of it is in memory.
fn each_line(file: &Path, mut take: impl FnMut(&str) -> Result<(), BadLine>) -> anyhow::Result<()> {
    let shown = file.display();
    let mut reader = BufReader::new(File::open(file).with_context(|| format!("cannot read {shown}"))?);
    let most = u64::try_from(HISTORY_LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        let read =
            reader.by_ref().take(most).read_line(&mut line).with_context(|| format!("cannot read {shown}:{number}"))?;
        if read == 0 {
            break;
        }
        take(&line).with_context(|| format!("{shown}:{number}"))?;
    }
    Ok(())
}

/// All records of a tenant, page by page; `false` after a refusal, which was printed.
fn ask_gateway(
    history: &mut History,
    tenant: &TenantId,
    (config, arguments, environment): (&Path, &Arguments, &Environment),
    printer: &Printer,
) -> anyhow::Result<bool> {
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/tenants/{}/deliveries?limit={PAGE_MAX}{cursor}", escaped(tenant.as_str()));
        let Some(page) = arguments.admin.ask(Asked::get(path), (config, environment), printer)? else {
            return Ok(false);
        };
        history.line(&page.to_string()).context("the gateway's answer")?;
        let Some(next) = page["next"].as_str() else { return Ok(true) };
        cursor = format!("&cursor={}", escaped(next));
    }
}

fn tell(verdicts: &Verdicts, printer: &Printer) -> u8 {
    let clean = verdicts.is_clean();
    if printer.is_json() {
        let found: serde_json::Map<_, _> = Verdict::ALL
            .into_iter()
            .map(|verdict| (verdict.as_str().to_owned(), json!(verdicts.count(verdict))))
            .collect();
        let Verdicts { counts, violations, .. } = verdicts;
        printer.document(&json!({"clean": clean, "verdicts": found, "counts": counts, "violations": violations}));
    } else {
        for violation in &verdicts.violations {
            printer.line(printer.ink(Ink::Bad, violation));
        }
        let (ink, word) = if clean { (Ink::Good, "clean:") } else { (Ink::Bad, "not clean:") };
        printer.line(format_args!("{} {verdicts}", printer.ink(ink, word)));
    }
    if clean { DONE } else { WRONG }
}
