//! The history of a test, told from three sides and judged: what its senders were answered, what the gateway has on record,
//! and what the instances hold. The instances are read from the inside, so no fault of a network is between.

use reqwest::Method;
use serde_json::{Value, json};
use snowgate::domain::id::TenantId;
use snowgate::domain::time::Timestamp;
use snowgate::history::{Certainty, History, Receipt, Verdicts};

use super::events::Event;
use super::gateway::Gateway;
use super::instance::Instance;
use super::reply::{Reply, text};

/// The key of a home that names none.
const DEPLOYMENT_KEY: &str = "snowgate";

/// What was told so far.
#[derive(Debug)]
pub(crate) struct Story(History);

impl Story {
    /// From the very beginning: whatever carries our keys must be explained.
    pub(crate) fn new() -> Self {
        Self::of(DEPLOYMENT_KEY)
    }

    /// The same of a home with a key of its own.
    pub(crate) fn of(deployment_key: &str) -> Self {
        Self(History::new(deployment_key).complete_since(Timestamp::EPOCH))
    }

    /// An event was sent; `None` if no answer came. Repeats are told as well: the surest counts.
    pub(crate) fn sent(&mut self, tenant: &str, event: &Event, reply: Option<&Reply>) {
        self.0.acknowledged(receipt(tenant, event, reply));
    }

    /// Everything a gateway has on record about these tenants.
    pub(crate) async fn records(&mut self, gateway: &Gateway, tenants: &[&str]) {
        for tenant in tenants {
            let mut cursor = String::new();
            loop {
                let path = format!("/v1/tenants/{tenant}/deliveries?limit=200{cursor}");
                let page = gateway.ask(Method::GET, &path).await.expect(200);
                self.0.line(&page.text).expect("a page of records");
                match page.json()["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
        }
    }

    /// Everything the instance of these tenants holds; told after the records.
    pub(crate) fn instance(&mut self, tenants: &[&str], instance: &Instance) {
        let tenants: Vec<TenantId> = tenants.iter().map(|tenant| TenantId::parse(tenant).expect("a tenant")).collect();
        let shown = self.0.instance(&tenants);
        for row in instance_lines(instance) {
            shown.line(&row.to_string()).expect("a row");
        }
    }

    /// What is wrong with it.
    pub(crate) fn judge(&self) -> Verdicts {
        self.0.judge()
    }

    /// Nothing is; gives the figures, for the record.
    #[track_caller]
    pub(crate) fn assert_clean(&self) -> Verdicts {
        let verdicts = self.judge();
        let lines: Vec<String> = verdicts.violations.iter().map(ToString::to_string).collect();
        assert!(verdicts.is_clean(), "{verdicts}\n{}", lines.join("\n"));
        verdicts
    }
}

/// What a sender knows after an answer, or after none.
pub(crate) fn receipt(tenant: &str, event: &Event, reply: Option<&Reply>) -> Receipt {
    let of = |pointer: &str| text(&event.0, pointer);
    let stored = reply.filter(|reply| (200..300).contains(&reply.status)).map(Reply::delivery);
    let certainty = match reply.map(|reply| reply.status) {
        Some(200..300) => Certainty::Stored,
        // A conflict says that an event of this name was stored before.
        Some(400..500) if reply.is_some_and(|reply| reply.code() != "event_conflict") => Certainty::Refused,
        Some(_) | None => Certainty::Unclear,
    };
    let receipt = json!({
        "tenant": tenant, "incident": of("/data/incident/id"), "source": of("/source"), "event": of("/id"),
        "certainty": certainty, "delivery": stored.filter(|delivery| !delivery.is_empty()),
    });
    serde_json::from_value(receipt).expect("a receipt")
}

/// An instance's tickets and journals as an export has them, tickets first.
pub(crate) fn instance_lines(instance: &Instance) -> Vec<Value> {
    let tickets = instance.tickets();
    let columns =
        ["sys_id", "number", "correlation_id", "correlation_display", "active", "sys_created_on", "sys_created_by"];
    let row = |ticket: &super::instance::Ticket| {
        let cells = columns.iter().map(|column| ((*column).to_owned(), json!(ticket.field(column))));
        Value::Object(cells.collect())
    };
    let mut lines: Vec<Value> = tickets.iter().map(row).collect();
    for sys_id in tickets.iter().map(|ticket| ticket.field("sys_id")) {
        lines.extend(instance.entries(&sys_id).into_iter().map(|entry| {
            json!({"sys_id": entry.sys_id, "element_id": sys_id, "value": entry.text,
                   "sys_created_by": entry.by, "sys_created_on": entry.at})
        }));
    }
    lines
}
