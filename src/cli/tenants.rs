//! `snowgate tenants`: how each tenant stands, and the levers a person has; asks a running gateway.

use std::path::Path;

use serde_json::{Value, json};

use super::admin::{Admin, Asked, escaped, list_of, text};
use super::print::{Ink, Printer};
use super::{DONE, WRONG, check_live};
use crate::settings::Environment;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List every tenant and how it stands
    List,
    /// Show how one tenant stands
    Show(One),
    /// Check it against its instance, with a test ticket: a passed check makes it `tested`. Takes up to two minutes
    Check {
        #[command(flatten)]
        one: One,
        /// Without a test ticket; then it is not `tested` afterwards
        #[arg(long)]
        no_ticket: bool,
    },
    /// Let a tenant be served whose file says `enabled: after_check`; refused unless a check of exactly this passed
    Enable {
        #[command(flatten)]
        one: One,
        /// Without a passed check; the audit log says so
        #[arg(long)]
        force: bool,
    },
    /// Take that back: nothing is accepted or delivered; what waits stays
    Disable(One),
    /// Hold its deliveries back; events are still accepted
    Pause {
        #[command(flatten)]
        one: One,
        /// For so many seconds; without it until resumed
        #[arg(long)]
        seconds: Option<u64>,
        /// Why, for whoever meets it
        #[arg(long)]
        reason: Option<String>,
    },
    /// End a pause now
    Resume(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its name
    tenant: String,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let asked = request(&arguments.command);
    let Some(answer) = arguments.admin.ask(asked, (config, environment), printer)? else {
        return Ok(WRONG);
    };
    let failed = matches!(arguments.command, Command::Check { .. }) && answer["passed"] == false;
    if printer.is_json() {
        printer.document(&answer);
    } else if let Command::Check { .. } = arguments.command {
        check_live::show(&answer, printer);
    } else if let Command::List = arguments.command {
        for tenant in list_of(&answer["tenants"]) {
            line(tenant, printer);
        }
    } else {
        show(&answer, printer);
    }
    Ok(if failed { WRONG } else { DONE })
}

fn request(command: &Command) -> Asked {
    let post = |one: &One, action: &str, body| Asked::post(format!("{}/{action}", one.path()), body);
    match command {
        Command::List => Asked::get("/v1/tenants".to_owned()),
        Command::Show(one) => Asked::get(one.path()),
        Command::Check { one, no_ticket } => post(one, "check", Some(json!({"ticket": !no_ticket}))),
        Command::Enable { one, force } => post(one, "enable", Some(json!({"force": force}))),
        Command::Disable(one) => post(one, "disable", None),
        Command::Pause { one, seconds, reason } => {
            post(one, "pause", Some(json!({"seconds": seconds, "reason": reason})))
        }
        Command::Resume(one) => post(one, "resume", None),
    }
}

impl One {
    fn path(&self) -> String {
        format!("/v1/tenants/{}", escaped(&self.tenant))
    }
}

fn line(tenant: &Value, printer: &Printer) {
    let ink = if tenant["enabled"] == true { Ink::Good } else { Ink::Warn };
    let stage = printer.ink(ink, format_args!("{:<8}", text(&tenant["stage"])));
    printer.line(format_args!("{:<20}  {stage}  {}", text(&tenant["tenant"]), text(&tenant["health"])));
}

fn show(tenant: &Value, printer: &Printer) {
    line(tenant, printer);
    let dim = |name: &str, value: String| {
        if !value.is_empty() {
            printer.line(format_args!("{} {value}", printer.ink(Ink::Dim, format_args!("{name:<12}"))));
        }
    };
    dim("instance", text(&tenant["instance"]).to_owned());
    dim("mapping", text(&tenant["mapping"]).to_owned());
    let waits = format!("{} waiting, {} parked", tenant["waiting"], tenant["parked"]);
    dim("deliveries", waits);
    let released = &tenant["released"];
    if released.is_object() {
        let how = if released["forced"] == true { ", without a passed check" } else { "" };
        dim("enabled", format!("{} by {}{how}", text(&released["at"]), text(&released["by"])));
    }
    let check = &tenant["check"];
    if check.is_object() {
        let verdict = if check["passed"] == true { "passed" } else { "failed" };
        let since = if check["changed_since"] == true { "; instance, account or mapping changed since" } else { "" };
        dim("check", format!("{verdict} {} by {}{since}", text(&check["at"]), text(&check["by"])));
        for finding in list_of(&check["findings"]) {
            dim("finding", finding.to_string());
        }
    }
    for peer in ["servicenow", "callback", "sweep"] {
        dim(peer, text(&tenant[peer]["words"]).to_owned());
    }
}
