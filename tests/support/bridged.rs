//! A tenant with both ways: an instance whose rule calls the gateway, the gateway, and a managed service that it calls.
//!
//! The mapping is the shipped one, so that what the tests prove is what users get. A gateway that starts again listens
//! elsewhere; the instance's rule is then pointed at the new place, as an admin would.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use snowgate::sim::acts::Act;
use snowgate::sim::outbound::{Payload, WebhookRule, Wire};
use snowgate::sim::switches::Switches;

use super::events::{Event, event};
use super::gateway::Gateway;
use super::home::{Home, Tenant, hook_secret_of};
use super::instance::{Instance, Ticket};
use super::mappings::TEAMS_ROOMS;
use super::receiver::Receiver;
use super::reply::Reply;
use super::wait::eventually;

/// What the instance calls itself.
pub(crate) const INSTANCE_NAME: &str = "contoso";
/// The group whose tickets the shipped mapping opens incidents for.
pub(crate) const SOC_GROUP: &str = "Teams Rooms SOC";

/// How often the gateway asks by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweeps {
    /// Once at the start, and then not while a test lasts.
    Never,
    /// All the time.
    Always,
}

/// What a test wants to be otherwise.
pub(crate) struct Setup {
    pub(crate) tenant: String,
    pub(crate) mapping: String,
    pub(crate) payload: Payload,
    /// The rule's condition: it is silent about what this user did.
    pub(crate) skip_user: Option<String>,
    pub(crate) delay_ms_max: u64,
    pub(crate) sweeps: Sweeps,
    pub(crate) switches: Switches,
    /// More lines at the end of the tenant's file.
    pub(crate) more: String,
    /// The columns of the rule's snapshots, if not the usual ones.
    pub(crate) fields: Vec<String>,
    /// Columns that the customer's incidents have beside the usual ones.
    pub(crate) columns: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            tenant: "contoso".to_owned(),
            mapping: TEAMS_ROOMS.to_owned(),
            payload: Payload::Snapshot,
            skip_user: Some("snowgate".to_owned()),
            delay_ms_max: 20,
            sweeps: Sweeps::Never,
            switches: Switches::default(),
            more: String::new(),
            fields: Vec::new(),
            columns: Vec::new(),
        }
    }
}

/// See the module's text.
pub(crate) struct Bridged {
    // The gateway goes first: it looks at what is left while the others are still there.
    gateway: Option<Gateway>,
    pub(crate) receiver: Receiver,
    pub(crate) instance: Instance,
    pub(crate) home: Home,
    setup: Setup,
}

impl Bridged {
    /// With the shipped mapping, snapshot webhooks, and no sweep but the first.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        let (instance, receiver) = (Instance::with(|switches| *switches = setup.switches.clone()), Receiver::start());
        instance.add_group(SOC_GROUP);
        for column in &setup.columns {
            instance.add_column(column);
        }
        let home = Home::of(&[tenant(&setup, &instance, &receiver)]);
        home.write("callback.secret", receiver.secret());
        home.write("webhook.secret", &hook_secret_of("webhook"));
        let mut bridged = Self { gateway: None, receiver, instance, home, setup };
        bridged.start_gateway().await;
        bridged
    }

    async fn start_gateway(&mut self) {
        let gateway = self.home.start().await;
        let url = format!("{}/v1/tenants/{}/webhooks/servicenow", gateway.public(), self.setup.tenant);
        self.instance.calls_only(WebhookRule {
            payload: self.setup.payload,
            skip_user: self.setup.skip_user.clone(),
            delay_ms_max: self.setup.delay_ms_max,
            fields: self.setup.fields.clone(),
            instance_name: INSTANCE_NAME.to_owned(),
            ..WebhookRule::new(&url, &hook_secret_of("webhook"))
        });
        self.gateway = Some(gateway);
        // The first sweep is over before anything happens, so that it finds nothing that a test is about.
        self.swept(1).await;
    }

    /// Stops the gateway and starts it again, with other settings if they were changed.
    pub(crate) async fn restarted(&mut self, change: impl FnOnce(&mut Setup)) {
        self.quiet().await;
        self.gateway = None;
        change(&mut self.setup);
        self.home.rewrite(&tenant(&self.setup, &self.instance, &self.receiver));
        let gateway = self.home.start().await;
        self.gateway = Some(gateway);
        self.instance.redirected(&self.webhook_url());
    }

    /// Ends the gateway as a power cut would, and starts it again.
    pub(crate) async fn killed_and_restarted(&mut self) {
        if let Some(mut gateway) = self.gateway.take() {
            gateway.kill();
        }
        self.gateway = Some(self.home.start().await);
        self.instance.redirected(&self.webhook_url());
    }

    fn webhook_url(&self) -> String {
        format!("{}/v1/tenants/{}/webhooks/servicenow", self.gateway().public(), self.setup.tenant)
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("it runs")
    }

    /// Waits until so many sweeps of this process have ended.
    pub(crate) async fn swept(&self, count: usize) {
        eventually(&format!("{count} sweeps"), async || (self.sweeps().await >= count).then_some(())).await;
    }

    async fn sweeps(&self) -> usize {
        let count = self.gateway().metric("snowgate_sweep_seconds_count", "").await;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        {
            count as usize
        }
    }

    /// Waits until a whole sweep was made that began after this call. The tenant must be one that sweeps.
    pub(crate) async fn sweep(&self) {
        assert_eq!(self.setup.sweeps, Sweeps::Always, "this tenant is not swept");
        let before = self.sweeps().await;
        self.swept(before + 2).await;
        self.gateway().quiet().await;
    }

    /// Waits until no call of the instance is on its way and nothing waits at the gateway.
    pub(crate) async fn quiet(&self) {
        loop {
            self.instance.quiet().await;
            let (heard, told) = (self.gateway().deliveries("").await.len(), self.receiver.taken().len());
            self.gateway().quiet().await;
            self.instance.quiet().await;
            let now = (self.gateway().deliveries("").await.len(), self.receiver.taken().len());
            if (heard, told) == now {
                return;
            }
        }
    }

    /// Opens an incident of the managed service, and gives its ticket.
    pub(crate) async fn opened(&self, incident: &str, origin: &str) -> Ticket {
        let event = Event::opened(incident).with("/data/incident/origin", json!(origin));
        self.gateway().post_for(&self.setup.tenant, &event).await.expect(202);
        self.receiver
            .has_one("ticket.linked", |callback| {
                callback.text("/type") == "ticket.linked" && callback.text("/subject") == incident
            })
            .await;
        self.instance.ticket_of(incident)
    }

    /// The same without waiting for a callback, for a managed service that takes none.
    pub(crate) async fn opened_quietly(&self, incident: &str) -> Ticket {
        self.gateway().post_for(&self.setup.tenant, &Event::opened(incident)).await.expect(202);
        let ticket = async || self.instance.tickets_of(incident).into_iter().next();
        eventually(&format!("a ticket of {incident}"), ticket).await
    }

    /// Signs a request as the instance would.
    pub(crate) fn signs(request: RequestBuilder, id: &str, body: &str) -> RequestBuilder {
        let at = jiff::Timestamp::now().as_second();
        let webhook = standardwebhooks::Webhook::new(&hook_secret_of("webhook")).expect("a secret");
        let signature = webhook.sign(id, at, body.as_bytes()).expect("text");
        request.header("webhook-id", id).header("webhook-timestamp", at).header("webhook-signature", signature)
    }

    /// A snapshot of a ticket as it was when it was looked at, told now: a job that was slow to call.
    pub(crate) async fn hears_late(&self, ticket: &Ticket, actor: &str) {
        let columns = [
            "state",
            "hold_reason",
            "assigned_to",
            "assignment_group",
            "impact",
            "close_code",
            "close_notes",
            "resolved_by",
            "resolved_at",
            "short_description",
            "description",
        ];
        let cell = |column: &&str| {
            let (value, name) = (ticket.field(column), if *column == "assignment_group" { "AV Support" } else { "" });
            ((*column).to_owned(), json!({"value": value, "display": name}))
        };
        let fields: serde_json::Map<String, Value> = columns.iter().map(cell).collect();
        let body = json!({
            "event": "late", "table": "incident", "sys_id": ticket.field("sys_id"), "number": ticket.field("number"),
            "correlation_id": ticket.field("correlation_id"), "operation": "update",
            "sys_mod_count": ticket.field("sys_mod_count"), "sys_updated_on": ticket.field("sys_updated_on"),
            "actor": actor, "instance": INSTANCE_NAME, "fields": fields, "journal": [],
        });
        let body = body.to_string();
        let request =
            self.gateway().request(Method::POST, &format!("/v1/tenants/{}/webhooks/servicenow", self.setup.tenant));
        let id = format!("late-{}", ticket.field("sys_mod_count"));
        Reply::of(Self::signs(request.body(body.clone()), &id, &body)).await.expect("an answer").expect(202);
    }

    /// An event of the managed service about an incident, applied.
    pub(crate) async fn says(&self, kind: &str, id: &str, data: Value) -> String {
        let event = event(kind, id, &data);
        let reply = self.gateway().post_for(&self.setup.tenant, &event).await.expect(202);
        self.gateway().quiet().await;
        reply.delivery()
    }

    /// A person does something to a ticket.
    pub(crate) fn acts(&self, user: &str, ticket: &Ticket, act: &Act) {
        self.instance.act(user, &ticket.field("sys_id"), act);
    }

    pub(crate) fn comments(&self, user: &str, ticket: &Ticket, said: &str) {
        self.acts(user, ticket, &Act::Comment(said.to_owned()));
    }

    /// A person opens a ticket and assigns it to the managed service's group.
    pub(crate) fn customer_opens(&self, title: &str) -> Ticket {
        let group = self.instance.group(SOC_GROUP);
        let caller = Instance::seeded("sys_user", "joe.employee");
        let fields = [("short_description", title), ("assignment_group", &group), ("caller_id", &caller)];
        self.instance.create("beth.anglin", &fields);
        let tickets = self.instance.tickets();
        tickets.into_iter().find(|ticket| ticket.field("short_description") == title).expect("it was opened")
    }

    /// A ticket as it is now.
    pub(crate) fn now(&self, ticket: &Ticket) -> Ticket {
        self.instance.ticket(&ticket.field("sys_id"))
    }

    /// Nothing of the wire arrives any more.
    pub(crate) fn silences_webhooks(&self) {
        self.instance.wire(Wire::silence());
    }

    /// Everything an operator can read of the tenant.
    pub(crate) async fn admin_says(&self) -> String {
        let mut said = String::new();
        for path in ["/v1/tenants", &format!("/v1/tenants/{}", self.setup.tenant), "/metrics"] {
            said += &self.gateway().ask(Method::GET, path).await.expect(200).text;
        }
        let mut seen = BTreeMap::new();
        for delivery in self.gateway().deliveries("").await {
            let id = super::reply::text(&delivery, "/id");
            seen.insert(id.clone(), self.gateway().record(&id).await.to_string());
        }
        said + &seen.into_values().collect::<String>()
    }
}

fn tenant(setup: &Setup, instance: &Instance, receiver: &Receiver) -> Tenant {
    let every = match setup.sweeps {
        Sweeps::Never => "1d",
        Sweeps::Always => "1s",
    };
    let more = format!(
        "webhook: {{secrets: [{{file: webhook.secret}}], instance: {INSTANCE_NAME}}}\n\
         callback: {{url: \"{}\", secret: {{file: callback.secret}}, limits: {{calls_per_second: 1000, calls_per_hour: 3600000}}}}\n{}",
        receiver.url(),
        setup.more
    );
    Tenant::named(&setup.tenant, instance.url()).mapped_by(&setup.mapping).sweeping(every).and(&more)
}
