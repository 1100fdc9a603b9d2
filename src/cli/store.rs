//! `snowgate store`: what a store holds, and moving it from one engine to another.
//!
//! Owns: what is told on the way and at the end. Never: decides what is copied or whether it is equal (`store::copy` does).
//! Fails: with exit code 1 and what to do; the target is as it was. Proved by: `tests/cli/store.rs`, `tests/store/copying.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use tokio::time::Instant;

use super::print::{Ink, Printer};
use super::{DONE, WRONG, runtime};
use crate::limits::{COPY_ROWS_PER_SECOND, PROGRESS_GUESS_AFTER, PROGRESS_LINE_EVERY, PROGRESS_REDRAW_EVERY};
use crate::settings::Environment;
use crate::store::audit::hex;
use crate::store::copy::{self, Chain, Contents, CopyError, Phase, Place, Progress, Report, TableReport};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Copy everything from one engine to another, prove it, and keep it only if it is equal
    #[command(after_help = COPY_HELP)]
    Copy {
        #[command(flatten)]
        pair: Pair,
        /// Only look whether it could begin, count what there is, and guess how long it takes
        #[arg(long)]
        check: bool,
    },
    /// Compare two stores that nobody uses, row by row; changes neither
    #[command(
        after_help = "After a copy, before the first start on the new store: proves that the two are still equal."
    )]
    Compare {
        #[command(flatten)]
        pair: Pair,
    },
    /// Show what a store holds: rows per table, what waits, and since when (a gateway may be at work)
    #[command(alias = "info")]
    Show {
        /// `sqlite:PATH` or `postgres://user@host/database`
        #[arg(value_name = "URL")]
        url: String,
        #[command(flatten)]
        access: Access,
    },
}

#[derive(Debug, clap::Args)]
struct Pair {
    /// The store that there is, such as `sqlite:data/snowgate.db`
    from: String,
    /// The store that is to be, empty or not there yet, such as `postgres://snowgate@db/snowgate`
    to: String,
    #[command(flatten)]
    access: Access,
    /// Go on although connections or leases in a PostgreSQL source look as if a gateway were at work; it must not be
    #[arg(long)]
    though_used: bool,
}

#[derive(Debug, clap::Args)]
struct Access {
    /// A file with the password for PostgreSQL; without it, the variable PGPASSWORD is taken
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

const COPY_HELP: &str = "\
Steps:
  1. snowgate store copy --check sqlite:data/snowgate.db postgres://snowgate@db/snowgate
  2. Stop every gateway that uses the source. From here on senders are told to come again.
  3. snowgate store copy sqlite:data/snowgate.db postgres://snowgate@db/snowgate
  4. Set `store.url` to the new place and start the gateway. Put the old store where no gateway starts on it again: what
     waits would be done twice.
To go back before anything was accepted there: set `store.url` back; the source was not changed. After that: copy back.

Everything goes: what waits with its place and its tries, what was being sent (it is looked up, not sent twice), what is
parked, pauses, links, the cursors of sweeps, checks, and the audit log with its chain. The source is only read. The target
is written in one transaction (a file: under another name), read again and proved equal table by table, and only then kept:
a copy that breaks off leaves nothing behind, start it again.

Exit codes: 0 copied and proved equal, 1 refused or not equal (nothing was kept).";

pub(super) fn run(arguments: &Arguments, printer: &Printer, environment: &Environment) -> anyhow::Result<u8> {
    match &arguments.command {
        Command::Copy { pair, check: true } => rehearse(pair, printer, environment),
        Command::Copy { pair, check: false } => copied(pair, printer, environment),
        Command::Compare { pair } => compared(pair, printer, environment),
        Command::Show { url, access } => {
            let place = place(url, access, environment)?;
            let contents = runtime()?.block_on(copy::contents(&place))?;
            show(&contents, printer);
            Ok(DONE)
        }
    }
}

fn rehearse(pair: &Pair, printer: &Printer, environment: &Environment) -> anyhow::Result<u8> {
    let (from, to) = pair.places(environment)?;
    let contents = runtime()?.block_on(copy::rehearse(&from, &to, pair.though_used))?;
    show(&contents, printer);
    if !printer.is_json() {
        let guess = Duration::from_secs(contents.rows() / COPY_ROWS_PER_SECOND + 1);
        printer.line(format_args!("it can begin; about {} or less", spoken(guess)));
    }
    Ok(DONE)
}

fn copied(pair: &Pair, printer: &Printer, environment: &Environment) -> anyhow::Result<u8> {
    let (from, to) = pair.places(environment)?;
    let mut teller = Teller::new(printer);
    let report = runtime()?.block_on(copy::copy(&from, &to, pair.though_used, &mut |progress| teller.tell(progress)));
    teller.end();
    match report {
        Ok(report) => {
            tell(&report, printer);
            if !printer.is_json() {
                let good = printer.ink(Ink::Good, "copied and proved equal:");
                printer.line(format_args!("{good} {} rows in {}", report.rows(), spoken(teller.took())));
                printer.line(
                    "next: set `store.url` to the new place, and put the old one where no gateway starts on it again",
                );
            }
            Ok(DONE)
        }
        Err(CopyError::Differs(report)) => {
            tell(&report, printer);
            bail!("what the target holds is not what the source holds; nothing was kept of it")
        }
        Err(failed) => Err(failed.into()),
    }
}

fn compared(pair: &Pair, printer: &Printer, environment: &Environment) -> anyhow::Result<u8> {
    let (from, to) = pair.places(environment)?;
    let mut teller = Teller::new(printer);
    let report =
        runtime()?.block_on(copy::compare(&from, &to, pair.though_used, &mut |progress| teller.tell(progress)));
    teller.end();
    let report = report?;
    tell(&report, printer);
    if !printer.is_json() {
        let (ink, words) = if report.is_equal() { (Ink::Good, "equal") } else { (Ink::Bad, "not equal") };
        printer.line(printer.ink(ink, words));
    }
    Ok(if report.is_equal() { DONE } else { WRONG })
}

impl Pair {
    fn places(&self, environment: &Environment) -> anyhow::Result<(Place, Place)> {
        Ok((place(&self.from, &self.access, environment)?, place(&self.to, &self.access, environment)?))
    }
}

fn place(url: &str, access: &Access, environment: &Environment) -> anyhow::Result<Place> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() && !path.contains('?') => {
            // `sqlite:///var/lib/x.db` is how other programs write an absolute path.
            Ok(Place::Sqlite(environment.resolve(Path::new(path.strip_prefix("//").unwrap_or(path)))))
        }
        Some(("postgres" | "postgresql", _)) => {
            let password = match &access.password_file {
                Some(file) => {
                    let read = std::fs::read_to_string(file);
                    let text = read.with_context(|| format!("cannot read the password in {}", file.display()))?;
                    Some(text.trim_end_matches(['\r', '\n']).to_owned())
                }
                None => environment.variable("PGPASSWORD").map(str::to_owned),
            };
            Ok(Place::Postgres { url: url.to_owned(), password })
        }
        // What stands there may hold a password, so it is not repeated.
        _ => bail!("that is no store: write `sqlite:data/snowgate.db` or `postgres://user@host/database`"),
    }
}

fn show(contents: &Contents, printer: &Printer) {
    let Contents { schema, tables, open, oldest } = contents;
    if printer.is_json() {
        let tables: serde_json::Map<_, _> =
            tables.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
        let oldest = oldest.map(|oldest| oldest.to_string());
        printer.document(&json!({"schema": schema, "tables": tables, "open": open, "oldest": oldest}));
        return;
    }
    for (table, rows) in tables {
        printer.line(format_args!("{table:<14} {rows:>12}"));
    }
    let since = oldest.map_or_else(String::new, |oldest| format!(", the oldest since {oldest}"));
    printer.line(format_args!("schema {schema}; {open} deliveries wait or are being sent{since}"));
}

fn tell(report: &Report, printer: &Printer) {
    if printer.is_json() {
        let table = |TableReport { table, rows, digests }: &TableReport| json!({"table": table, "rows": [rows.0, rows.1], "sha256": [hex(&digests.0), hex(&digests.1)]});
        let (whole, chain) = match &report.chain {
            Chain::Whole(head) => (true, json!(head)),
            Chain::Broken(broken) => (false, json!(broken)),
        };
        let tables: Vec<_> = report.tables.iter().map(table).collect();
        printer
            .document(&json!({"equal": report.is_equal(), "tables": tables, "audit": {"whole": whole, "head": chain}}));
        return;
    }
    for table in &report.tables {
        let short = |digest| hex(digest).chars().take(16).collect::<String>();
        let name = table.table;
        if table.is_equal() {
            let equal = printer.ink(Ink::Good, "equal");
            printer.line(format_args!("{name:<14} {:>12} rows  {equal}  {}", table.rows.0, short(&table.digests.0)));
        } else {
            let differs = printer.ink(Ink::Bad, "differs");
            let (from, to) = (short(&table.digests.0), short(&table.digests.1));
            let (source, target) = table.rows;
            printer.line(format_args!("{name:<14} {source:>12} rows  {differs}  {from}, target {target} rows {to}"));
        }
    }
    match &report.chain {
        Chain::Whole(head) => printer.line(format_args!("audit log whole, head: row {}, {head}", head.sequence)),
        Chain::Broken(broken) => printer.line(format_args!(
            "{} {broken}; it is in the target as it was in the source",
            printer.ink(Ink::Warn, "the audit log is broken:")
        )),
    }
}

/// Tells how far a copy is: on a terminal one line that changes, elsewhere a line now and then.
struct Teller<'a> {
    printer: &'a Printer,
    begun: Instant,
    told: Option<Instant>,
    drawn: bool,
}

impl<'a> Teller<'a> {
    fn new(printer: &'a Printer) -> Self {
        Self { printer, begun: Instant::now(), told: None, drawn: false }
    }

    fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    fn tell(&mut self, progress: Progress) {
        let every = if self.printer.may_redraw() { PROGRESS_REDRAW_EVERY } else { PROGRESS_LINE_EVERY };
        if self.told.is_some_and(|told| told.elapsed() < every) {
            return;
        }
        self.told = Some(Instant::now());
        let line = line(progress, self.took());
        if self.printer.may_redraw() {
            self.drawn = true;
            self.printer.redraw(line);
        } else {
            self.printer.note(line);
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.printer.redraw("");
        }
    }
}

fn line(progress: Progress, took: Duration) -> String {
    let Progress { phase, table, rows: (row, rows), steps: (step, steps) } = progress;
    let doing = match phase {
        Phase::Copying => "copying",
        Phase::Proving => "proving",
    };
    let percent = (step * 100).checked_div(steps).unwrap_or(100).min(100);
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = step.saturating_mul(1_000) / millis;
    let told = format!("{percent:>3} %  {doing} {table}: {row} of {rows}");
    if took < PROGRESS_GUESS_AFTER {
        return told;
    }
    let left = Duration::from_secs(steps.saturating_sub(step).checked_div(rate).unwrap_or(0));
    format!("{told}, {rate} rows/s, {} left", spoken(left))
}

/// A duration as people say it.
fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "less than a second".to_owned(),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let progress = Progress { phase: Phase::Copying, table: "delivery", rows: (500, 1_000), steps: (1_000, 4_000) };
        let told = line(progress, Duration::from_secs(10));
        assert_eq!(told, " 25 %  copying delivery: 500 of 1000, 100 rows/s, 30 s left");
        let begun = line(Progress { steps: (0, 0), ..progress }, Duration::ZERO);
        assert_eq!(begun, "100 %  copying delivery: 500 of 1000", "too early for a guess");
        assert_eq!(spoken(Duration::from_secs(3_725)), "1 h 2 min");
    }
}
