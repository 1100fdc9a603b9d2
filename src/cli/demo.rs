//! `snowgate demo`: simulator and gateway on free loopback ports, a story, and a check that nothing was lost or doubled.
//!
//! Everything is real but the instance: files, HTTP, signatures, SQLite on disk. It needs no configuration and leaves
//! nothing behind, unless `--keep` keeps it all up to look around.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::print::{Ink, Printer};
use super::story::{self, Scene};
use super::{DONE, WRONG, check, runtime};
use crate::app::{Gateway, Parts};
use crate::runtime::clock::SystemClock;
use crate::runtime::signals::Signals;
use crate::runtime::{drain, entropy};
use crate::security::api_key::ApiKey;
use crate::settings::Environment;
use crate::sim::fault_plan::FaultPlan;
use crate::sim::server::{self, Options, OutageKind, Simulator};

/// How long the story waits for anything before it says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(90);
/// The mapping the demo runs with: the shipped one, as it is.
const MAPPING: &str = include_str!("../../mappings/teams-rooms.yaml");

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Stay up when the story has ended, and say where to look
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<u8> {
    runtime()?.block_on(async {
        let stage = Stage::set(printer.clone()).await?;
        let told = stage.play().await;
        let fine = match told {
            Ok(()) => stage.reckon().await?,
            Err(error) => {
                stage.strike().await;
                return Err(error);
            }
        };
        if arguments.keep {
            stage.keep().await?;
        }
        stage.strike().await;
        Ok(if fine { DONE } else { WRONG })
    })
}

/// Simulator, gateway and a sender.
struct Stage {
    printer: Printer,
    folder: PathBuf,
    simulator: Simulator,
    gateway: Gateway,
    sender: reqwest::Client,
    key: ApiKey,
}

impl Stage {
    async fn set(printer: Printer) -> anyhow::Result<Self> {
        let simulator = server::start(Options::default()).context("the simulator cannot listen on loopback")?;
        let key = ApiKey::from_entropy(entropy::random_bytes().context("the machine has no randomness to give")?);
        let folder = std::env::temp_dir().join(format!("snowgate-demo-{}", std::process::id()));
        write_files(&folder, simulator.url(), &key).with_context(|| format!("cannot write to {}", folder.display()))?;
        let environment = Environment::empty_in(&folder).with("SNOWGATE_DEMO_PASSWORD", &Options::default().password);
        // What it would warn of (a store that goes away, the simulator's password) is meant here.
        let Some((parts, _meant)) = check::load_for_serving(&folder.join("snowgate.yaml"), &printer, &environment)
        else {
            bail!("the demo's own files have errors; see above");
        };
        let gateway = Gateway::start(Parts { clock: Arc::new(SystemClock), ..parts }).await?;
        let sender = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let stage = Self { printer, folder, simulator, gateway, sender, key };
        stage.introduce();
        Ok(stage)
    }

    fn introduce(&self) {
        let Self { printer, simulator, gateway, .. } = self;
        printer.line(format_args!("simulated ServiceNow  {}", printer.ink(Ink::Right, simulator.url())));
        printer.line(format_args!("Snowgate              {}", printer.ink(Ink::Left, gateway.public_url())));
        printer.line(format_args!("operators             {}", gateway.admin_url()));
        printer.line("");
        printer.line(
            printer.ink(Ink::Dim, format_args!("{:<52}  {}", "managed service → Snowgate", "Snowgate → ServiceNow")),
        );
    }

    async fn play(&self) -> anyhow::Result<()> {
        let mut seen = 0;
        for scene in story::evening() {
            match scene {
                Scene::Tell(text) => self.printer.line(format_args!("\n{text}")),
                Scene::Event(event) => {
                    let delivery = self.send(&event).await?;
                    self.wait_for(&delivery, &mut seen).await?;
                }
                Scene::EventAndGoOn(event) | Scene::Repeat(event) => {
                    self.send(&event).await?;
                }
                Scene::Outage(seconds) => {
                    self.simulator.begin_outage(OutageKind::Http503, Duration::from_secs(seconds));
                    self.right(Ink::Bad, &format!("down: answers 503 for {seconds} s"));
                }
                Scene::LoseNextAnswer => {
                    let plan = FaultPlan::parse("answer_lost=1000,verbs=POST,path=/table/incident,budget=1");
                    self.simulator.set_faults(plan.map_err(|invalid| anyhow::anyhow!("{invalid}"))?);
                }
                Scene::Settle => self.settle(&mut seen).await?,
            }
            self.show_calls(&mut seen);
        }
        Ok(())
    }

    /// Sends an event and says what came back.
    async fn send(&self, event: &Value) -> anyhow::Result<String> {
        let url = format!("{}/v1/tenants/contoso/events", self.gateway.public_url());
        let request = self.sender.post(&url).bearer_auth(self.key.expose());
        let response = request
            .header("content-type", "application/cloudevents+json")
            .body(event.to_string())
            .send()
            .await
            .context("the gateway does not answer")?;
        let status = response.status();
        #[expect(clippy::disallowed_methods, reason = "the answer of the gateway in this very process")]
        let receipt: Value = response.json().await.context("the receipt is not JSON")?;
        ensure!(status.is_success(), "the gateway refused {event}: {receipt}");
        let again = if receipt["duplicate"] == true { " the same receipt" } else { "" };
        let what = format!(
            "{} {} → {}{again}",
            event["type"].as_str().unwrap_or_default(),
            event["subject"].as_str().unwrap_or_default(),
            status.as_u16()
        );
        self.printer.line(format_args!("  {}", self.printer.ink(Ink::Left, what)));
        Ok(receipt["delivery"].as_str().unwrap_or_default().to_owned())
    }

    async fn wait_for(&self, delivery: &str, seen: &mut usize) -> anyhow::Result<()> {
        let url = format!("{}/v1/tenants/contoso/deliveries/{delivery}", self.gateway.public_url());
        self.until(seen, async || {
            let state = self.get(&url).await?["state"].as_str().unwrap_or_default().to_owned();
            Ok(!matches!(state.as_str(), "waiting" | "sending"))
        })
        .await
        .with_context(|| format!("{delivery} did not end"))
    }

    /// Waits until nothing waits.
    async fn settle(&self, seen: &mut usize) -> anyhow::Result<()> {
        let url = format!("{}/v1/tenants/contoso", self.gateway.admin_url());
        self.until(seen, async || Ok(self.get(&url).await?["waiting"] == 0)).await.context("work is still waiting")
    }

    async fn until(&self, seen: &mut usize, reached: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !reached().await? {
            ensure!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}");
            self.show_calls(seen);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.show_calls(seen);
        Ok(())
    }

    async fn get(&self, url: &str) -> anyhow::Result<Value> {
        let response = self.sender.get(url).bearer_auth(self.key.expose()).send().await?;
        #[expect(clippy::disallowed_methods, reason = "the answer of the gateway in this very process")]
        let body = response.json().await?;
        Ok(body)
    }

    /// Prints the calls that reached ServiceNow since the last time.
    fn show_calls(&self, seen: &mut usize) {
        let calls = self.simulator.calls();
        for call in calls.iter().skip(*seen) {
            let path = call.target.split('?').next().unwrap_or_default();
            let status = call.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let ink = if call.status.is_some_and(|status| status < 400) { Ink::Right } else { Ink::Bad };
            self.right(ink, &format!("{} {} → {status}", call.verb, path.trim_start_matches("/api/now/")));
        }
        *seen = calls.len();
    }

    fn right(&self, ink: Ink, text: &str) {
        self.printer.line(format_args!("  {:<50}  {}", "", self.printer.ink(ink, text)));
    }

    /// The table of tickets, and whether every incident has one and every message is there once.
    async fn reckon(&self) -> anyhow::Result<bool> {
        let state = self.state();
        let tickets = state["tickets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut ours: Vec<_> = tickets.iter().filter(|ticket| is_ours(ticket)).collect();
        ours.sort_by_key(|ticket| text(ticket, "number").to_owned());
        self.printer.line(format_args!(
            "\n{:<12} {:<8} {:<7} {:<5} {}",
            "ticket", "state", "urgency", "notes", "short description"
        ));
        let mut notes: BTreeMap<&str, usize> = BTreeMap::new();
        for ticket in &ours {
            let journal = ticket["journal"].as_array().map(Vec::as_slice).unwrap_or_default();
            for entry in journal {
                *notes.entry(text(entry, "text")).or_default() += 1;
            }
            self.printer.line(format_args!(
                "{:<12} {:<8} {:<7} {:<5} {}",
                text(ticket, "number"),
                state_word(text(ticket, "state")),
                text(ticket, "urgency"),
                journal.len(),
                text(ticket, "short_description")
            ));
        }
        let parked = self.get(&format!("{}/v1/tenants/contoso", self.gateway.admin_url())).await?["parked"]
            .as_u64()
            .unwrap_or(1);
        let once = notes.len() == story::MESSAGES && notes.values().all(|times| *times == 1);
        let checks = [
            (ours.len() == story::INCIDENTS, format!("{} incidents, {} tickets", story::INCIDENTS, ours.len())),
            (once, format!("{} messages, each written once", story::MESSAGES)),
            (parked == 0, format!("{parked} deliveries need a person")),
        ];
        self.printer.line("");
        for (fine, what) in &checks {
            let (ink, word) = if *fine { (Ink::Good, "ok   ") } else { (Ink::Bad, "WRONG") };
            self.printer.line(format_args!("{} {what}", self.printer.ink(ink, word)));
        }
        let fine = checks.iter().all(|(fine, _)| *fine);
        if self.printer.is_json() {
            self.printer.document(&json!({"fine": fine, "tickets": ours}));
        }
        Ok(fine)
    }

    fn state(&self) -> Value {
        let instance = self.simulator.instance();
        let instance = instance.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        instance.state()
    }

    async fn keep(&self) -> anyhow::Result<()> {
        let Self { printer, simulator, gateway, key, .. } = self;
        let signals = Signals::catch().context("cannot catch signals")?;
        printer.line("\nEverything stays up until Ctrl-C:");
        printer.line(format_args!("  curl {}/_sim/state", simulator.url()));
        printer.line(format_args!("  curl {}/v1/tenants/contoso/deliveries", gateway.admin_url()));
        printer.line(format_args!(
            "  curl {}/v1/tenants/contoso/events -H 'Authorization: Bearer {}' \\",
            gateway.public_url(),
            key.expose()
        ));
        printer.line("    -H 'Content-Type: application/cloudevents+json' -H 'Prefer: wait=10' \\");
        printer.line(r#"    -d '{"specversion":"1.0","id":"mine-1","source":"me","type":"incident.opened","data":{"incident":{"id":"MINE-1","title":"My first"}}}'"#);
        let (stopper, stop) = drain::channel();
        tokio::select! {
            _twice = signals.drive(stopper, Duration::ZERO) => {}
            () = stop.requested() => {}
        }
        Ok(())
    }

    async fn strike(self) {
        // Nothing is in flight any more; what could not be ended would be in a folder that goes away now.
        drop(self.gateway.stop().await);
        self.simulator.stop().await;
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn write_files(folder: &Path, instance: &str, key: &ApiKey) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("tenants"))?;
    std::fs::create_dir_all(folder.join("mappings"))?;
    std::fs::write(folder.join("mappings/teams-rooms.yaml"), MAPPING)?;
    let settings = "server: {listen: \"127.0.0.1:0\", admin_listen: \"127.0.0.1:0\"}\n\
         store: {url: \"sqlite:snowgate.db\", accept_data_loss: true}\n\
         tenants: tenants\nmappings: mappings\n\
         egress: {allow_private: [127.0.0.0/8]}\nlog: {level: \"off\"}\n";
    std::fs::write(folder.join("snowgate.yaml"), settings)?;
    let tenant = format!(
        "tenant: contoso\nservicenow:\n  instance: {instance}\n  auth: {{kind: basic, username: snowgate, password: {{env: SNOWGATE_DEMO_PASSWORD}}}}\n\
         mapping: teams-rooms.yaml\nsenders:\n  - {{name: soc, api_key_sha256: \"{}\"}}\n",
        key.hash()
    );
    std::fs::write(folder.join("tenants/contoso.yaml"), tenant)
}

fn is_ours(ticket: &Value) -> bool {
    text(ticket, "correlation_id").starts_with("sg1-")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn state_word(state: &str) -> &str {
    match state {
        "1" => "New",
        "2" => "Working",
        "3" => "On hold",
        "6" => "Resolved",
        "7" => "Closed",
        "8" => "Canceled",
        other => other,
    }
}
