//! The command line: one `match`, one file per command, and an exit code that scripts can rely on.
//!
//! Owns: arguments and what is printed. Never: decides about deliveries. Fails: with one line that says what to do.
//! Exit codes: 0 done, 1 something is wrong with what was given (findings, a refused request), 2 wrong usage,
//! 3 the gateway could not start or be reached.

mod admin;
mod audit;
mod check;
mod check_live;
mod deliveries;
mod demo;
mod health;
mod key;
mod mapping;
mod plan;
mod preview;
mod print;
mod reload;
mod schema;
mod serve;
mod simulate;
mod store;
mod tenants;
mod verify_history;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};

use crate::app::StartError;
use crate::runtime::clock::SystemClock;
use crate::settings::Environment;
use print::Printer;

/// Everything went well.
const DONE: u8 = 0;
/// What was given is wrong, or was refused.
const WRONG: u8 = 1;
/// The gateway could not start, or could not be reached.
const UNAVAILABLE: u8 = 3;

/// Keeps a managed service's incidents and its customers' ServiceNow tickets in step.
#[derive(Debug, Parser)]
#[command(name = "snowgate", version, about, max_term_width = 110, after_help = AFTER_HELP)]
struct Arguments {
    /// Settings file; relative paths inside it are resolved against the working directory
    #[arg(long, global = true, env = "SNOWGATE_CONFIG", default_value = "config/snowgate.yaml", value_name = "PATH")]
    config: PathBuf,
    /// Print for machines: one JSON document, or one per line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  snowgate demo                     see it work, no configuration
  snowgate simulate                 a ServiceNow to try against, on this machine
  snowgate check                    settings, tenants and mappings, with their cases
  snowgate serve                    run the gateway

Exit codes: 0 done, 1 something is wrong with what was given, 2 wrong usage, 3 could not start or reach the gateway;
130 and 143 after a second Ctrl-C or SIGTERM.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    #[command(
        after_help = "Stops on SIGTERM or Ctrl-C: finishes what is being sent, keeps the rest for the next start."
    )]
    Serve(serve::Arguments),
    /// Play an evening in a meeting-room estate, both ways: simulator, gateway and a story on loopback, no configuration
    Demo(demo::Arguments),
    /// Run only the ServiceNow simulator
    Simulate(simulate::Arguments),
    /// Check settings, tenants, mappings and their cases; every finding with its file, line and column
    Check(check::Arguments),
    /// Show what would be sent for an event, and why each field has its value; sends nothing
    Preview(preview::Arguments),
    /// Show what another mapping would make of the same events, ticket by ticket; sends nothing
    Plan(plan::Arguments),
    /// See how each tenant stands; enable, disable, pause or resume one (asks a running gateway)
    Tenants(tenants::Arguments),
    /// Read the audit log, and prove that nobody changed it
    Audit(audit::Arguments),
    /// See what waits and what is parked; replay or drop it (asks a running gateway)
    Deliveries(deliveries::Arguments),
    /// Prove that gateway and instances tell the same story: nothing lost, doubled, reordered, unexpected or astray
    VerifyHistory(verify_history::Arguments),
    /// Say whether a running gateway can take work (asks it)
    Health(health::Arguments),
    /// See what a store holds; copy it from SQLite to PostgreSQL or back, with proof
    Store(store::Arguments),
    /// Make a running gateway read its files now, and say what that changed
    Reload(reload::Arguments),
    /// Make or use keys: `new` for a sender's API key, `sign` for a Standard Webhooks signature
    Key(key::Arguments),
    /// Start a mapping: `new` drafts one from what a tenant's instance says about itself
    Mapping(mapping::Arguments),
    /// Print the JSON Schema of a file, for editors, or the OpenAPI document of both listeners
    Schema {
        /// Which file
        #[arg(value_enum)]
        of: SchemaOf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    Mapping,
    Source,
    Tenant,
    Settings,
    Openapi,
}

/// Nobody answers where the gateway should be.
#[derive(Debug, thiserror::Error)]
#[error("no gateway answers at {0}; is `snowgate serve` running?")]
struct NoGateway(String);

/// Runs the program and says how it went.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) => return print::usage(&usage),
    };
    let environment = Environment::of_process().with_clock(Arc::new(SystemClock));
    let printer = Printer::new(arguments.json, &environment);
    let outcome = run(&arguments, &printer, &environment);
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            printer.failure(&failed);
            let unavailable = failed.is::<StartError>() || failed.is::<NoGateway>();
            ExitCode::from(if unavailable { UNAVAILABLE } else { WRONG })
        }
    }
}

fn run(arguments: &Arguments, printer: &Printer, environment: &Environment) -> anyhow::Result<u8> {
    let config = arguments.config.as_path();
    match &arguments.command {
        Command::Serve(serve) => serve::run(config, serve, printer, environment),
        Command::Demo(demo) => demo::run(demo, printer),
        Command::Simulate(simulate) => simulate::run(simulate, printer),
        Command::Check(check) => check::run(config, check, printer, environment),
        Command::Preview(preview) => preview::run(config, preview, printer, environment),
        Command::Plan(plan) => plan::run(config, plan, printer, environment),
        Command::Tenants(tenants) => tenants::run(config, tenants, printer, environment),
        Command::Audit(audit) => audit::run(config, audit, printer, environment),
        Command::Deliveries(deliveries) => deliveries::run(config, deliveries, printer, environment),
        Command::VerifyHistory(verify) => verify_history::run(config, verify, printer, environment),
        Command::Health(health) => health::run(config, health, printer, environment),
        Command::Store(store) => store::run(store, printer, environment),
        Command::Reload(reload) => reload::run(config, reload, printer, environment),
        Command::Key(key) => key::run(key, printer),
        Command::Mapping(mapping) => mapping::run(config, mapping, printer, environment),
        Command::Schema { of } => Ok(schema::run(*of, printer)),
    }
}

/// The runtime commands run in: two threads do for a command, the gateway's HTTP workers have their own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("snowgate").build()?)
}
