//! `snowgate simulate`: a ServiceNow on this machine, with the manners and the faults of a real one.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::print::{Ink, Printer};
use super::{DONE, runtime};
use crate::runtime::drain;
use crate::runtime::signals::Signals;
use crate::sim::fault_plan::FaultPlan;
use crate::sim::server::{self, Options, Simulator};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Where to listen; only loopback addresses, port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Speak https with a throw-away authority, whose certificate is written to this file
    #[arg(long, value_name = "CA_FILE")]
    tls: Option<PathBuf>,
    /// Where all its luck comes from: the same seed and calls give the same instance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults in per mille of the calls, such as `answer_lost=50,zombie=20:8000`
    #[arg(long, default_value = "", value_name = "PLAN", value_parser = FaultPlan::parse)]
    faults: FaultPlan,
    /// How long one call occupies one of the instance's four threads, milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    work_ms: u64,
    /// A rate-limit rule: calls an hour and user
    #[arg(long, value_name = "CALLS")]
    rate_limit_per_hour: Option<u32>,
    /// Refuse to keep a `sys_id` chosen by the caller, as some instances do
    #[arg(long)]
    own_sys_ids: bool,
}

const AFTER_HELP: &str = "\
Faults: delay=RATE:MS answer_lost zombie=RATE:MS reset_before not_executed_202 html_ok partial_ok
forbidden_after_commit rate_limited=RATE:SECONDS semaphore_full unauthorized server_error=RATE:STATUS slow_answer=RATE:MS;
scope: verbs=POST+PATCH path=TEXT first=N budget=N seed=N.

While it runs: GET /_sim/state (tickets with journals), GET /_sim/log, PUT /_sim/faults, POST /_sim/outage
{\"kind\":\"http_503\",\"seconds\":30}, POST /_sim/edit (be a person in ServiceNow), POST /_sim/reset.";

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<u8> {
    runtime()?.block_on(async {
        let simulator = server::start(options(arguments))
            .with_context(|| format!("the simulator cannot listen on {}", arguments.listen))?;
        // Before it says where it is: whoever reads that may stop it at once.
        let signals = Signals::catch().context("cannot catch signals")?;
        announce(arguments, &simulator, printer);
        let (stopper, stop) = drain::channel();
        tokio::select! {
            _caught = signals.drive(stopper, std::time::Duration::ZERO) => {}
            () = stop.requested() => {}
        }
        simulator.stop().await;
        Ok(DONE)
    })
}

fn options(arguments: &Arguments) -> Options {
    let mut options = Options {
        listen: arguments.listen,
        tls_ca_file: arguments.tls.clone(),
        seed: arguments.seed,
        faults: arguments.faults.clone(),
        work_ms: arguments.work_ms,
        rate_limit_per_hour: arguments.rate_limit_per_hour,
        ..Options::default()
    };
    options.switches.sys_id_honoured = !arguments.own_sys_ids;
    options
}

fn announce(arguments: &Arguments, simulator: &Simulator, printer: &Printer) {
    let Options { username, password, client_id, client_secret, .. } = Options::default();
    let url = simulator.url();
    if printer.is_json() {
        printer.document(&json!({
            "url": url, "username": username, "password": password,
            "client_id": client_id, "client_secret": client_secret, "ca_file": arguments.tls,
        }));
        return;
    }
    printer.line(format_args!("A simulated ServiceNow answers at {}", printer.ink(Ink::Good, url)));
    printer.line(format_args!("  user   {username} / {password}"));
    printer.line(format_args!(
        "  OAuth  client_id {client_id}, client_secret {client_secret}, token at {url}/oauth_token.do"
    ));
    if let Some(file) = &arguments.tls {
        printer.line(format_args!("  CA     {} (trust it only for this)", file.display()));
    }
    printer.line(format_args!("  try    curl -u {username}:{password} '{url}/api/now/table/incident?sysparm_limit=1'"));
    printer.line(format_args!("  watch  curl {url}/_sim/state"));
    printer.line("It forgets everything when it stops (Ctrl-C).");
}
