//! `snowgate deliveries`: what waits and what is parked, asked of a running gateway's admin listener.
//!
//! It goes through the gateway and not into the store: an embedded store belongs to one process.

use std::path::Path;

use serde_json::Value;

use super::admin::{Admin, Asked, escaped, list_of, text};
use super::print::{Ink, Printer};
use super::{DONE, WRONG};
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
    /// List deliveries, newest first
    List {
        /// Whose
        #[arg(long)]
        tenant: String,
        /// waiting, sending, delivered, superseded, parked or dropped
        #[arg(long)]
        state: Option<String>,
        /// Only of this incident and its tickets
        #[arg(long)]
        incident: Option<String>,
        /// `to_servicenow` or `to_service`
        #[arg(long)]
        direction: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Go on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one incident in both directions, newest first, with its tickets
    Timeline {
        /// The managed service's id of it
        incident: String,
        /// Whose
        #[arg(long)]
        tenant: String,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Go on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show everything on record about one delivery
    Show(One),
    /// Put a parked delivery back to work
    Replay(One),
    /// Give a parked delivery up; what waits behind it goes on
    Drop(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// `dlv_…`
    delivery: String,
    /// Whose
    #[arg(long)]
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
    if printer.is_json() {
        printer.document(&answer);
        return Ok(DONE);
    }
    match &arguments.command {
        Command::List { .. } => list(&answer, printer),
        Command::Timeline { .. } => timeline(&answer, printer),
        Command::Show(_) => show(&answer, printer),
        Command::Replay(_) => printer.line(format_args!("back to work as {}", text(&answer["delivery"]))),
        Command::Drop(_) => printer.line(format_args!("dropped {}", text(&answer["dropped"]))),
    }
    Ok(DONE)
}

fn request(command: &Command) -> Asked {
    match command {
        Command::List { tenant, state, incident, direction, limit, cursor } => {
            let filters = [("state", state), ("incident", incident), ("direction", direction), ("cursor", cursor)];
            Asked::get(format!("/v1/tenants/{}/deliveries{}", escaped(tenant), query(*limit, &filters)))
        }
        Command::Timeline { incident, tenant, limit, cursor } => {
            let query = query(*limit, &[("cursor", cursor)]);
            Asked::get(format!("/v1/tenants/{}/incidents/{}{query}", escaped(tenant), escaped(incident)))
        }
        Command::Show(one) => Asked::get(one.path("")),
        Command::Replay(one) => Asked::post(one.path("/replay"), None),
        Command::Drop(one) => Asked::post(one.path("/drop"), None),
    }
}

fn query(limit: usize, filters: &[(&str, &Option<String>)]) -> String {
    let given = filters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    given.fold(format!("?limit={limit}"), |query, (name, value)| format!("{query}&{name}={}", escaped(value)))
}

impl One {
    fn path(&self, action: &str) -> String {
        format!("/v1/tenants/{}/deliveries/{}{action}", escaped(&self.tenant), escaped(&self.delivery))
    }
}

fn timeline(answer: &Value, printer: &Printer) {
    for ticket in list_of(&answer["tickets"]) {
        printer.line(format_args!("{}  {}", text(&ticket["number"]), text(&ticket["url"])));
    }
    list(answer, printer);
}

fn list(answer: &Value, printer: &Printer) {
    let deliveries = answer["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
    if deliveries.is_empty() {
        printer.line("nothing here");
        return;
    }
    printer.line(printer.ink(
        Ink::Dim,
        format_args!(
            "{:<36}  {:<20}  {:>4}    {:<26}  {:<10}  {:<12}  {}",
            "delivery", "incident", "#", "what", "state", "ticket", "why"
        ),
    ));
    for delivery in deliveries {
        let state = text(&delivery["state"]);
        let ink = match state {
            "parked" => Ink::Bad,
            "waiting" | "sending" => Ink::Warn,
            _ => Ink::Plain,
        };
        let way = if delivery["direction"] == "to_service" { '←' } else { '→' };
        let why = text(&delivery["ending"]["parking"]["code"]);
        let why = if why.is_empty() { last_outcome(delivery) } else { why };
        printer.line(format_args!(
            "{:<36}  {:<20}  {:>4}  {way} {:<26}  {}  {:<12}  {why}",
            text(&delivery["id"]),
            lane(text(&delivery["incident"])),
            delivery["sequence"],
            text(&delivery["kind"]),
            printer.ink(ink, format_args!("{state:<10}")),
            text(&delivery["ending"]["ticket"]["number"]),
        ));
    }
    if let Some(next) = answer["next"].as_str() {
        printer.line(printer.ink(Ink::Dim, format_args!("more: --cursor {next}")));
    }
}

/// A ticket's lane is named after 32 digits, of which some are enough to tell two of them apart.
fn lane(incident: &str) -> String {
    match incident.strip_prefix("ticket:") {
        Some(sys_id) => format!("ticket:{}…", sys_id.chars().take(12).collect::<String>()),
        None => incident.to_owned(),
    }
}

fn show(delivery: &Value, printer: &Printer) {
    let line = |name: &str, value: &str| {
        if !value.is_empty() {
            printer.line(format_args!("{} {value}", printer.ink(Ink::Dim, format_args!("{name:<12}"))));
        }
    };
    line("delivery", text(&delivery["id"]));
    line("incident", &format!("{} #{}", text(&delivery["incident"]), delivery["sequence"]));
    line("what", text(&delivery["kind"]));
    line("state", text(&delivery["state"]));
    line("how", text(&delivery["ending"]["how"]));
    line("ticket", text(&delivery["ending"]["ticket"]["number"]));
    let parking = &delivery["ending"]["parking"];
    line("parked", text(&parking["code"]));
    line("reason", text(&parking["reason"]));
    line("whose turn", text(&parking["owner"]));
    line("next step", text(&parking["next_step"]));
    for difference in list_of(&delivery["ending"]["differences"]) {
        let stored = difference["stored"].as_str().unwrap_or("nothing");
        let said = format!(
            "{}: asked `{}`, stored `{stored}` ({})",
            text(&difference["field"]),
            text(&difference["asked"]),
            text(&difference["reason"])
        );
        line("difference", &said);
    }
    for left_out in list_of(&delivery["ending"]["left_out"]) {
        line("left out", text(left_out));
    }
    for attempt in list_of(&delivery["attempts"]) {
        let outcome = &attempt["outcome"];
        line(
            "attempt",
            &format!("{}: {}; {}", text(&outcome["code"]), text(&outcome["detail"]), text(&attempt["next"])),
        );
    }
    printer.line(format_args!("{:#}", delivery["body"]));
}

fn last_outcome(delivery: &Value) -> &str {
    list_of(&delivery["attempts"]).last().map_or("", |attempt| text(&attempt["outcome"]["code"]))
}
