//! `snowgate simulate`: a ServiceNow on this machine, with the manners and the faults of a real one.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::print::{Ink, Printer};
use super::{DONE, runtime};
use crate::runtime::drain;
use crate::runtime::signals::Signals;
use crate::settings::Environment;
use crate::sim::fault_plan::FaultPlan;
use crate::sim::misconfiguration::Misconfiguration;
use crate::sim::outbound::{Payload, WebhookRule, Wire};
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
    /// Set the instance up wrongly, as real ones are, to see what `check --live` says: `choice_missing`,
    /// `column_short=incident.description:500`, … May be given several times; docs/simulator.md has the list
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = Misconfiguration::parse)]
    misconfigure: Vec<Misconfiguration>,
    /// Refuse to keep a `sys_id` chosen by the caller, as some instances do
    #[arg(long)]
    own_sys_ids: bool,
    /// Call this URL whenever an incident changes, as a customer's business rule does
    #[arg(long, value_name = "URL", requires = "webhook_secret_env")]
    webhook: Option<String>,
    /// The environment variable that holds the secret the calls are signed with, `whsec_` and base64
    #[arg(long, value_name = "NAME")]
    webhook_secret_env: Option<String>,
    /// What the calls carry: `snapshot`, `hint`, `flat` or `bad-escaping`
    #[arg(long, value_name = "FORM", default_value = "snapshot", value_parser = payload)]
    webhook_form: Payload,
    /// What the wire does to the calls, in per cent, such as `drop=5,repeat=10,reorder=20`
    #[arg(long, value_name = "WIRE", default_value = "", value_parser = Wire::parse)]
    webhook_loss: Wire,
}

fn payload(word: &str) -> Result<Payload, String> {
    let forms = || Payload::ALL.map(Payload::word).join(", ");
    Payload::parse(word).ok_or_else(|| format!("there are: {}", forms()))
}

const AFTER_HELP: &str = "\
Faults: delay=RATE:MS answer_lost zombie=RATE:MS reset_before not_executed_202 html_ok partial_ok
forbidden_after_commit rate_limited=RATE:SECONDS semaphore_full unauthorized server_error=RATE:STATUS slow_answer=RATE:MS;
scope: verbs=POST+PATCH path=TEXT first=N budget=N seed=N.

Webhooks: the calls come as from a real instance, some time after the change and in no order, each once; a failed one is
lost. Changes of the integration user are not told. To hear of the others:
  WEBHOOK_SECRET=whsec_… snowgate simulate --webhook-secret-env WEBHOOK_SECRET \\
    --webhook http://127.0.0.1:8080/v1/tenants/contoso/webhooks/servicenow --webhook-loss drop=5,reorder=20
Wire: drop=PERCENT repeat=PERCENT reorder=PERCENT hold_ms=MS seed=N silent.

While it runs: GET /_sim/state (tickets with journals), GET /_sim/log, PUT /_sim/faults, POST /_sim/outage
{\"kind\":\"http_503\",\"seconds\":30}, POST /_sim/create, POST /_sim/act
{\"user\":\"abel.tuter\",\"sys_id\":\"…\",\"act\":\"comment\",\"text\":\"On my way\"} (be a person in ServiceNow), POST /_sim/webhooks,
PUT /_sim/loss, GET /_sim/outbound, POST /_sim/misconfigurations, POST /_sim/reset. docs/simulator.md shows them all.";

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<u8> {
    if !arguments.listen.ip().is_loopback() {
        anyhow::bail!(
            "the simulator listens on loopback addresses only, such as 127.0.0.1:8090, not on {}",
            arguments.listen
        );
    }
    runtime()?.block_on(async {
        let simulator = server::start(options(arguments))
            .with_context(|| format!("the simulator cannot listen on {}", arguments.listen))?;
        misconfigure(arguments, &simulator)?;
        subscribe(arguments, &simulator)?;
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

fn misconfigure(arguments: &Arguments, simulator: &Simulator) -> anyhow::Result<()> {
    for mistake in &arguments.misconfigure {
        simulator.misconfigure(mistake).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// The rule of `--webhook`; the integration user's own changes would only come back.
fn subscribe(arguments: &Arguments, simulator: &Simulator) -> anyhow::Result<()> {
    let (Some(url), Some(name)) = (&arguments.webhook, &arguments.webhook_secret_env) else { return Ok(()) };
    let environment = Environment::of_process();
    let secret = environment.variable(name).with_context(|| format!("the environment has no variable {name}"))?;
    let skip_user = Some(Options::default().username);
    let rule = WebhookRule { payload: arguments.webhook_form, skip_user, ..WebhookRule::new(url, secret) };
    simulator.subscribe(rule).with_context(|| format!("cannot call {url}"))?;
    simulator.set_wire(arguments.webhook_loss);
    Ok(())
}

fn announce(arguments: &Arguments, simulator: &Simulator, printer: &Printer) {
    let Options { username, password, client_id, client_secret, .. } = Options::default();
    let url = simulator.url();
    if printer.is_json() {
        printer.document(&json!({
            "url": url, "username": username, "password": password,
            "client_id": client_id, "client_secret": client_secret, "ca_file": arguments.tls,
            "webhook": arguments.webhook,
            "misconfigurations": arguments.misconfigure.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
        return;
    }
    printer.line(format_args!("A simulated ServiceNow answers at {}", printer.ink(Ink::Good, url)));
    printer.line(format_args!("  user   {username} / {password}"));
    printer.line(format_args!(
        "  OAuth  client_id {client_id}, client_secret {client_secret}, token at {url}/oauth_token.do"
    ));
    if let Some(url) = &arguments.webhook {
        printer.line(format_args!("  calls  {url} when an incident changes ({})", arguments.webhook_form.word()));
    }
    if let Some(file) = &arguments.tls {
        printer.line(format_args!("  CA     {} (trust it only for this)", file.display()));
    }
    for mistake in &arguments.misconfigure {
        printer.line(format_args!("  {}  {mistake}: {}", printer.ink(Ink::Bad, "wrong"), mistake.says()));
    }
    printer.line(format_args!("  try    curl -u {username}:{password} '{url}/api/now/table/incident?sysparm_limit=1'"));
    printer.line(format_args!("  watch  curl {url}/_sim/state"));
    printer.line("It forgets everything when it stops (Ctrl-C).");
}
