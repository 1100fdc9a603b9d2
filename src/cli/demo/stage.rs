//! The stage of the demo: everything that runs, and what each scene makes it do.
//!
//! Owns: the processes' life, the two columns of the print. Never: judges; [`super::reckoning`] does. Fails: with what did
//! not come in time. Proved by: `tests/cli`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::super::check;
use super::super::print::{Ink, Printer};
use super::receiver::{self, Receiver, Whereabouts};
use super::story::{self, Scene};
use crate::app::{Gateway, Parts};
use crate::domain::secret::Secret;
use crate::domain::time::Clock;
use crate::runtime::clock::SystemClock;
use crate::runtime::signals::Signals;
use crate::runtime::{drain, entropy};
use crate::security::api_key::ApiKey;
use crate::security::signature::WebhookSecret;
use crate::settings::Environment;
use crate::sim::acts::Act;
use crate::sim::fault_plan::FaultPlan;
use crate::sim::outbound::{CallState, OutboundRecord, WebhookRule, Wire};
use crate::sim::server::{self, Options, OutageKind, Simulator};

/// How long the story waits for anything before it says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it looks; seldom enough not to be felt, often enough to print what happened in its order.
const GLANCE: Duration = Duration::from_millis(10);
/// A business rule runs within this many milliseconds of its change; the simulator's usual second would only be waited for.
const RULE_DELAY_MS_MAX: u64 = 200;
/// The mapping the demo runs with: the shipped one, as it is.
const MAPPING: &str = include_str!("../../../mappings/teams-rooms.yaml");

/// Simulator, gateway, and the managed service at both of its ends.
pub(super) struct Stage {
    pub(super) printer: Printer,
    folder: PathBuf,
    simulator: Simulator,
    gateway: Gateway,
    pub(super) receiver: Receiver,
    sender: reqwest::Client,
    key: ApiKey,
    shown: Shown,
}

/// What was printed already.
#[derive(Default)]
struct Shown {
    calls: usize,
    callbacks: usize,
    webhooks: BTreeSet<u64>,
}

impl Stage {
    pub(super) async fn set(printer: Printer) -> anyhow::Result<Self> {
        let simulator = server::start(Options::default()).context("the simulator cannot listen on loopback")?;
        let luck = || entropy::random_bytes().context("the machine has no randomness to give");
        let key = ApiKey::from_entropy(luck()?);
        let receiver = Receiver::start(luck()?).context("the managed service cannot listen on loopback")?;
        let (_, webhook_secret) = WebhookSecret::from_entropy(luck()?);
        let folder = std::env::temp_dir().join(format!("snowgate-demo-{}", std::process::id()));
        let files = write_files(&folder, simulator.url(), receiver.url(), &key);
        files.with_context(|| format!("cannot write to {}", folder.display()))?;
        let environment = Environment::empty_in(&folder)
            .with("SNOWGATE_DEMO_PASSWORD", &Options::default().password)
            .with("SNOWGATE_DEMO_WEBHOOK", webhook_secret.expose())
            .with("SNOWGATE_DEMO_CALLBACK", receiver.secret().expose());
        // What it would warn of (a store that goes away, the simulator's password) is meant here.
        let Some((parts, _meant)) = check::load_for_serving(&folder.join("snowgate.yaml"), &printer, &environment)
        else {
            bail!("the demo's own files have errors; see above");
        };
        let gateway = Gateway::start(Parts { clock: Arc::new(SystemClock), ..parts }).await?;
        subscribe(&simulator, &gateway.public_url(), &webhook_secret)?;
        let sender = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let stage = Self { printer, folder, simulator, gateway, receiver, sender, key, shown: Shown::default() };
        stage.introduce();
        Ok(stage)
    }

    fn introduce(&self) {
        let Self { printer, simulator, gateway, receiver, .. } = self;
        printer.line(format_args!("simulated ServiceNow  {}", printer.ink(Ink::Right, simulator.url())));
        printer.line(format_args!("Snowgate              {}", printer.ink(Ink::Left, gateway.public_url())));
        printer.line(format_args!("managed service       {}", printer.ink(Ink::Left, receiver.url())));
        printer.line(format_args!("operators             {}", gateway.admin_url()));
        printer.line("");
        let header = format!("{:<52}  {}", "managed service: → event, ← callback", "ServiceNow: → call, ← webhook");
        printer.line(printer.ink(Ink::Dim, header));
    }

    pub(super) async fn play(&mut self) -> anyhow::Result<()> {
        for scene in story::whole() {
            self.play_scene(scene).await?;
            self.show();
        }
        Ok(())
    }

    async fn play_scene(&mut self, scene: Scene) -> anyhow::Result<()> {
        match scene {
            Scene::Tell(text) => self.printer.line(format_args!("\n{text}")),
            Scene::Event(event) => {
                let delivery = self.send(&event).await?;
                self.wait_for(&delivery).await?;
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
            Scene::Settle => self.settle().await?,
            Scene::Person(user, incident, act) => self.act(user, incident, &act)?,
            Scene::CustomerOpens(user, fields, group) => self.open(user, fields, group)?,
            Scene::Hear(kind, what) => {
                let heard = self.until(async |stage| Ok(stage.receiver.has_heard(kind, what))).await;
                heard.with_context(|| format!("no {kind} that says `{what}`"))?;
            }
            // A sweep that ran into the outage would make it longer: failures in a row close the way for half a minute.
            Scene::Swept => {
                self.until(async |stage| Ok(stage.tenant().await?["sweep"]["drifted"].as_u64() > Some(0))).await?;
            }
            Scene::Webhooks(arrive) => {
                self.simulator.set_wire(if arrive { Wire::default() } else { Wire::silence() });
            }
        }
        Ok(())
    }

    /// Somebody at the customer does something to an incident's ticket.
    fn act(&self, user: &str, incident: &str, act: &Act) -> anyhow::Result<()> {
        let Whereabouts { sys_id, number } =
            self.receiver.ticket_of(incident).with_context(|| format!("nobody told where {incident} is"))?;
        self.right(Ink::Plain, &format!("{user} {} {number}", doing(act)));
        let instance = self.simulator.instance();
        let mut instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        let done = instance.act_as(user, &sys_id, act, SystemClock.now().millis());
        done.map_err(|refusal| anyhow::anyhow!("ServiceNow refused {user}: {refusal:?}"))
    }

    fn open(&self, user: &str, fields: &[(&str, &str)], group: &str) -> anyhow::Result<()> {
        self.right(Ink::Plain, &format!("{user} opens a ticket for {group}"));
        let instance = self.simulator.instance();
        let mut instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        let group = instance.find("sys_user_group", "name", group).pop().unwrap_or_default();
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("assignment_group", group.as_str())]).collect();
        let made = instance.create_as(user, "incident", &fields, SystemClock.now().millis());
        made.map(drop).map_err(|refusal| anyhow::anyhow!("ServiceNow refused {user}: {refusal:?}"))
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
            "→ {} {} → {}{again}",
            event["type"].as_str().unwrap_or_default(),
            event["subject"].as_str().unwrap_or_default(),
            status.as_u16()
        );
        self.printer.line(format_args!("  {}", self.printer.ink(Ink::Left, what)));
        Ok(receipt["delivery"].as_str().unwrap_or_default().to_owned())
    }

    async fn wait_for(&mut self, delivery: &str) -> anyhow::Result<()> {
        let url = format!("{}/v1/tenants/contoso/deliveries/{delivery}", self.gateway.public_url());
        self.until(async |stage| {
            let state = stage.get(&url).await?["state"].as_str().unwrap_or_default().to_owned();
            Ok(!matches!(state.as_str(), "waiting" | "sending"))
        })
        .await
        .with_context(|| format!("{delivery} did not end"))
    }

    /// Waits until nothing is on its way, in neither direction.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.until(async |stage| {
            let called = {
                let instance = stage.simulator.instance();
                let instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
                instance.jobs_waiting() == 0 && instance.outbound_calls().all(|call| call.state != CallState::Sent)
            };
            Ok(called && stage.tenant().await?["waiting"] == 0)
        })
        .await
        .context("work is still waiting")
    }

    async fn until(&mut self, reached: impl AsyncFn(&Self) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !reached(self).await? {
            ensure!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}");
            self.show();
            tokio::time::sleep(GLANCE).await;
        }
        self.show();
        Ok(())
    }

    /// How the tenant stands, as an operator sees it.
    pub(super) async fn tenant(&self) -> anyhow::Result<Value> {
        self.get(&format!("{}/v1/tenants/contoso", self.gateway.admin_url())).await
    }

    async fn get(&self, url: &str) -> anyhow::Result<Value> {
        let response = self.sender.get(url).bearer_auth(self.key.expose()).send().await?;
        #[expect(clippy::disallowed_methods, reason = "the answer of the gateway in this very process")]
        let body = response.json().await?;
        Ok(body)
    }

    /// Prints what reached ServiceNow and the managed service since the last time.
    fn show(&mut self) {
        let calls = self.simulator.calls();
        for call in calls.iter().skip(self.shown.calls) {
            let path = call.target.split('?').next().unwrap_or_default();
            let status = call.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let ink = if call.status.is_some_and(|status| status < 400) { Ink::Right } else { Ink::Bad };
            self.right(ink, &format!("→ {} {} → {status}", call.verb, path.trim_start_matches("/api/now/")));
        }
        self.shown.calls = calls.len();
        for webhook in self.simulator.outbound_calls() {
            let Some((ink, how)) = ended(&webhook) else { continue };
            if self.shown.webhooks.insert(webhook.id) {
                self.right(ink, &format!("← webhook about {} → {how}", self.number_of(&webhook.sys_id)));
            }
        }
        let callbacks = self.receiver.callbacks();
        for callback in callbacks.iter().skip(self.shown.callbacks) {
            self.printer
                .line(format_args!("  {}", self.printer.ink(Ink::Good, format!("← {}", receiver::line(callback)))));
        }
        self.shown.callbacks = callbacks.len();
    }

    fn number_of(&self, sys_id: &str) -> String {
        let instance = self.simulator.instance();
        let instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.record("incident", sys_id).and_then(|ticket| ticket.get("number").cloned()).unwrap_or_default()
    }

    fn right(&self, ink: Ink, text: &str) {
        self.printer.line(format_args!("  {:<50}  {}", "", self.printer.ink(ink, text)));
    }

    /// Everything that is in ServiceNow.
    pub(super) fn state(&self) -> Value {
        let instance = self.simulator.instance();
        let instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.state()
    }

    /// Where to look next.
    pub(super) fn point_onwards(&self) {
        for line in [
            "",
            "Next:  snowgate demo --keep      the same, and it stays up: look around, send events, change tickets",
            "       README.md                 five minutes with a tenant of your own",
            "       docs/managed-service.md   events in, callbacks out        docs/servicenow-admin.md  the customer's side",
            "       docs/mapping.md           which field becomes what        docs/guarantees.md        what is promised",
        ] {
            self.printer.line(self.printer.ink(Ink::Dim, line));
        }
    }

    /// Stays up until somebody has seen enough.
    pub(super) async fn keep(&mut self) -> anyhow::Result<()> {
        let Self { printer, simulator, gateway, receiver, key, .. } = self;
        let ticket = receiver.ticket_of("MTR-5001").map(|ticket| ticket.sys_id).unwrap_or_default();
        let act = format!(r#""user":"joe.employee","sys_id":"{ticket}","act":"comment","text":"Still nothing.""#);
        let signals = Signals::catch().context("cannot catch signals")?;
        printer.line("\nEverything stays up until Ctrl-C:");
        printer.line(format_args!("  curl {}/_sim/state", simulator.url()));
        printer.line(format_args!("  curl {}/v1/tenants/contoso", gateway.admin_url()));
        printer.line(format_args!("  curl {}/v1/tenants/contoso/deliveries", gateway.admin_url()));
        printer.line(format_args!("  curl {}/v1/tenants/contoso/incidents/MTR-4101", gateway.admin_url()));
        printer.line(format_args!(
            "  curl {}/v1/tenants/contoso/events -H 'Authorization: Bearer {}' \\",
            gateway.public_url(),
            key.expose()
        ));
        printer.line("    -H 'Content-Type: application/cloudevents+json' -H 'Prefer: wait=10' \\");
        printer.line(r#"    -d '{"specversion":"1.0","id":"mine-1","source":"me","type":"incident.opened","data":{"incident":{"id":"MINE-1","title":"My first"}}}'"#);
        printer.line(
            "  be a person in ServiceNow (docs/simulator.md), and see here what the managed service hears of it:",
        );
        printer.line(format_args!("  curl {}/_sim/act -d '{{{act}}}'", simulator.url()));
        let (stopper, stop) = drain::channel();
        tokio::select! {
            _twice = signals.drive(stopper, Duration::ZERO) => {}
            () = self.watch_until(&stop) => {}
        }
        Ok(())
    }

    /// Goes on printing what happens.
    async fn watch_until(&mut self, stop: &drain::Stop) {
        while !stop.is_requested() {
            self.show();
            tokio::time::sleep(GLANCE).await;
        }
    }

    pub(super) async fn strike(self) {
        // Nothing is in flight any more; what could not be ended would be in a folder that goes away now.
        drop(self.gateway.stop().await);
        self.simulator.stop().await;
        self.receiver.stop().await;
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The business rule of a careful admin, and of one who did not exclude our user: what we write comes back to us.
fn subscribe(simulator: &Simulator, gateway: &str, secret: &Secret) -> anyhow::Result<()> {
    let url = format!("{gateway}/v1/tenants/contoso/webhooks/servicenow");
    let rule = WebhookRule { delay_ms_max: RULE_DELAY_MS_MAX, ..WebhookRule::new(&url, secret.expose()) };
    simulator.subscribe(rule).context("the business rule cannot be made")?;
    Ok(())
}

/// How a webhook ended; nothing if it has not.
fn ended(webhook: &OutboundRecord) -> Option<(Ink, String)> {
    match &webhook.state {
        CallState::Sent => None,
        CallState::Answered(status @ 200..=299) => Some((Ink::Dim, status.to_string())),
        CallState::Answered(status) => Some((Ink::Bad, status.to_string())),
        CallState::Failed(_) => Some((Ink::Bad, "no answer".to_owned())),
        CallState::Dropped => Some((Ink::Bad, "lost".to_owned())),
    }
}

/// What somebody does, in a word.
fn doing(act: &Act) -> &'static str {
    match act {
        Act::Comment(_) => "comments on",
        Act::WorkNote(_) => "writes a work note on",
        Act::State { state, .. } if state == "7" => "closes",
        Act::State { .. } => "moves",
        Act::Assign { .. } => "takes",
        Act::Resolve { .. } => "resolves",
        Act::Attach { .. } => "attaches a file to",
        Act::Delete => "deletes",
        Act::CopyComment { .. } => "copies a comment of",
    }
}

fn write_files(folder: &Path, instance: &str, callback: &str, key: &ApiKey) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("tenants"))?;
    std::fs::create_dir_all(folder.join("mappings"))?;
    std::fs::write(folder.join("mappings/teams-rooms.yaml"), MAPPING)?;
    let settings = "server: {listen: \"127.0.0.1:0\", admin_listen: \"127.0.0.1:0\"}\n\
         store: {url: \"sqlite:snowgate.db\", accept_data_loss: true}\n\
         tenants: tenants\nmappings: mappings\n\
         egress: {allow_private: [127.0.0.0/8]}\nlog: {level: \"off\"}\n";
    std::fs::write(folder.join("snowgate.yaml"), settings)?;
    let tenant = format!(
        "tenant: contoso\nservicenow:\n  instance: {instance}\n  auth: {{kind: basic, username: snowgate, password: {{env: SNOWGATE_DEMO_PASSWORD}}}}\n  \
         sweep: {{every: 10s}}\n\
         mapping: teams-rooms.yaml\nsenders:\n  - {{name: soc, api_key_sha256: \"{}\"}}\n\
         webhook: {{instance: example, secrets: [{{env: SNOWGATE_DEMO_WEBHOOK}}]}}\n\
         callback: {{url: \"{callback}\", secret: {{env: SNOWGATE_DEMO_CALLBACK}}}}\n",
        key.hash()
    );
    std::fs::write(folder.join("tenants/contoso.yaml"), tenant)
}
