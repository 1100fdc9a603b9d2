//! The customer's side of a run: people and rules that work on tickets, and the webhooks that tell of it.

use std::sync::Arc;
use std::time::Duration;

use snowgate::domain::id::{EventKey, TenantId};
use snowgate::domain::sighting::Sighting;
use snowgate::domain::time::Timestamp;
use snowgate::mapping::Mapping;
use snowgate::runtime::{luck, tasks};
use snowgate::security::signature::{HexSignatures, SignedHeaders, WebhookSecret, verify};
use snowgate::sim::acts::Act;
use snowgate::sim::instance::{Instance, Operation};
use snowgate::sim::outbound::{CallEnd, OutboundCall};
use snowgate::store::Store;
use tokio::task::JoinHandle;

use super::network::{Network, travel};
use super::service::CANARY;

/// What signs the webhooks of the simulated instance.
pub(crate) const HOOK_SECRET: &str = "whsec_aW5zdGFuY2UtaW5zdGFuY2UtaW5zdGFuY2UtaW5zdA==";
/// The group whose tickets open incidents.
pub(crate) const OPENING_GROUP: &str = "Network";

const PEOPLE: [&str; 3] = ["abel.tuter", "beth.anglin", "itil.manager"];

/// What the people of a run are up to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Customs {
    /// How often somebody does something.
    pub(crate) acts: u32,
    /// Within which time.
    pub(crate) within: Duration,
    /// Tickets of their own that open incidents.
    pub(crate) opens: u32,
    /// Whether tickets are closed for good, and deleted.
    pub(crate) ends: bool,
    /// Whether scripts change records without a trace.
    pub(crate) silent_edits: bool,
}

/// Lets people work.
pub(crate) fn start(network: &Arc<Network>, customs: Customs) -> JoinHandle<()> {
    let network = Arc::clone(network);
    tasks::spawn("people", async move {
        let pause = customs.within.as_secs_f64() / f64::from(customs.acts.max(1));
        for turn in 0..customs.acts {
            tokio::time::sleep(Duration::from_secs_f64(pause * 2.0 * luck::fraction())).await;
            let now = network.clock.now().millis();
            let mut instance = network.instance.lock().unwrap();
            if turn < customs.opens {
                open(&mut instance, turn, now);
            } else {
                act(&mut instance, &customs, turn, now);
            }
        }
    })
}

fn open(instance: &mut Instance, turn: u32, now: i64) {
    let group = Instance::seeded("sys_user_group", OPENING_GROUP);
    let title = format!("customer {turn} asks");
    let fields = [("short_description", title.as_str()), ("assignment_group", group.as_str())];
    instance.create_as("beth.anglin", "incident", &fields, now).unwrap();
}

fn act(instance: &mut Instance, customs: &Customs, turn: u32, now: i64) {
    let tickets = tickets(instance);
    let Some(ticket) = one_of(&tickets).cloned() else { return };
    let user = one_of(&PEOPLE).copied().unwrap();
    let roll = luck::fraction();
    let closing = [("state", "7"), ("close_code", "Solution provided"), ("close_notes", "closed")];
    // Whatever a rule refuses, people leave.
    let ended = if roll < 0.35 {
        instance.act_as(user, &ticket, &Act::Comment(format!("customer says {turn}")), now)
    } else if roll < 0.5 {
        instance.act_as(user, &ticket, &Act::WorkNote(format!("{CANARY} {turn}")), now)
    } else if roll < 0.66 {
        let state = one_of(&["1", "2", "3"]).copied().unwrap().to_owned();
        let hold_reason = if state == "3" { "1".to_owned() } else { String::new() };
        instance.act_as(user, &ticket, &Act::State { state, hold_reason }, now)
    } else if roll < 0.78 {
        let person = one_of(&["Abel Tuter", "Beth Anglin"]).copied().unwrap().to_owned();
        instance.act_as(user, &ticket, &Act::Assign { group: String::new(), person }, now)
    } else if roll < 0.86 {
        let act = Act::Resolve { code: "Solution provided".to_owned(), notes: "solved".to_owned() };
        instance.act_as(user, &ticket, &act, now)
    } else if roll < 0.93 {
        let to = one_of(&tickets).cloned().unwrap();
        instance.act_as("system", &ticket, &Act::CopyComment { to }, now)
    } else if roll < 0.96 && customs.silent_edits {
        let person = one_of(&["abel.tuter", "beth.anglin"]).copied().unwrap();
        instance.edit_silently("incident", &ticket, &[("assigned_to", &Instance::seeded("sys_user", person))]);
        Ok(())
    } else if roll < 0.985 && customs.ends {
        instance.edit_as("itil.manager", "incident", &ticket, &closing, now)
    } else if customs.ends {
        instance.act_as("admin", &ticket, &Act::Delete, now)
    } else {
        Ok(())
    };
    drop(ended);
}

/// The tickets that are there.
pub(crate) fn tickets(instance: &Instance) -> Vec<String> {
    let made = instance.changes_after(0).filter(|change| change.operation == Operation::Insert);
    let made = made.filter(|change| change.table == "incident").map(|change| change.sys_id.clone());
    made.filter(|ticket| instance.record("incident", ticket).is_some()).collect()
}

fn one_of<T>(things: &[T]) -> Option<&T> {
    things.get(usize::try_from(luck::below(things.len() as u64)).unwrap_or_default())
}

/// Carries the instance's calls to the gateway: what `http` does with a webhook, without HTTP.
pub(crate) fn pump(network: &Arc<Network>, gateway: Intake) -> JoinHandle<()> {
    let network = Arc::clone(network);
    tasks::spawn("pump", async move {
        let gateway = Arc::new(gateway);
        loop {
            let now = network.clock.now();
            let calls = network.instance.lock().unwrap().due_calls(now.millis());
            for call in calls {
                drop(tasks::spawn("webhook", carry(Arc::clone(&network), Arc::clone(&gateway), call)));
            }
            tokio::time::sleep(gateway.looks_every).await;
        }
    })
}

async fn carry(network: Arc<Network>, gateway: Arc<Intake>, call: OutboundCall) {
    travel().await;
    let last_writer = gateway.actor_is_last_writer.then(|| last_writer(&network, &call)).flatten();
    let end = gateway.take(&call, last_writer, network.clock.now()).await;
    network.instance.lock().unwrap().call_ended(call.id, end, network.clock.now().millis());
}

/// Who saved the ticket last, as a gateway would read it now.
fn last_writer(network: &Network, call: &OutboundCall) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&call.body).ok()?;
    let sys_id = body["sys_id"].as_str()?;
    network.instance.lock().unwrap().record("incident", sys_id)?.remove("sys_updated_by")
}

fn with_actor(body: &[u8], name: &str) -> Vec<u8> {
    let mut body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["actor"] = name.into();
    body.to_string().into_bytes()
}

/// What takes webhooks.
pub(crate) struct Intake {
    pub(crate) store: Store,
    pub(crate) tenant: TenantId,
    pub(crate) mapping: Arc<Mapping>,
    /// See the plan's.
    pub(crate) actor_is_last_writer: bool,
    /// How often the instance is asked what it has to send.
    pub(crate) looks_every: Duration,
}

impl Intake {
    async fn take(&self, call: &OutboundCall, last_writer: Option<String>, now: Timestamp) -> CallEnd {
        let header = |name: &str| call.headers.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text);
        let signed = SignedHeaders {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
        };
        let secret = WebhookSecret::parse(HOOK_SECRET).unwrap();
        verify(signed, &call.body, std::slice::from_ref(&secret), HexSignatures::Refuse, now).unwrap();
        let body = last_writer.map_or_else(|| call.body.clone(), |name| with_actor(&call.body, &name));
        let read = Sighting::read(&body, Some(header("Content-Type"))).unwrap();
        let event = EventKey::new("servicenow", signed.id).unwrap();
        let delivery = snowgate::http::delivery_of(&self.tenant, &self.mapping, event, read, &body);
        self.store.accept(vec![delivery]).await.unwrap();
        CallEnd::Answered { status: 202, retry_after_secs: None }
    }
}
