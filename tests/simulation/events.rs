//! The lives of incidents that a run sends: opened, updated, talked about, resolved, in a random but repeatable way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use snowgate::delivery::record::Direction;
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use snowgate::runtime::luck;
use snowgate::store::NewDelivery;

/// One event of a life.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// After which pause since the one before.
    pub(crate) pause: Duration,
    pub(crate) kind: ChangeKind,
    pub(crate) data: Value,
    /// How often it is submitted: senders repeat what they saw no answer to.
    pub(crate) times: usize,
}

/// One incident's life, and what its ticket must look like at the end.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) incident: String,
    pub(crate) events: Vec<Event>,
    /// The messages, in order.
    pub(crate) notes: Vec<(&'static str, String)>,
    pub(crate) title: String,
    pub(crate) severity: &'static str,
    pub(crate) resolved: bool,
}

impl Life {
    pub(crate) fn of(incident: String) -> Self {
        let severity = pick(&["critical", "high", "medium", "low"]);
        let title = format!("{incident} as opened");
        let opened = json!({"incident": {"id": incident, "title": title, "severity": severity}});
        let mut life = Self { incident, events: Vec::new(), notes: Vec::new(), title, severity, resolved: false };
        life.add(ChangeKind::Opened, opened);
        for step in 0..3 + luck::below(8) {
            life.step(step);
        }
        if luck::fraction() < 0.5 {
            life.resolve();
        }
        life
    }

    fn step(&mut self, step: u64) {
        let id = self.incident.clone();
        let roll = luck::fraction();
        if roll < 0.25 {
            self.title = format!("{id} retitled {step}");
            let data = json!({"incident": {"id": id, "title": self.title}});
            self.add(ChangeKind::Updated, data);
        } else if roll < 0.5 {
            self.severity = pick(&["critical", "high", "medium", "low"]);
            let data = json!({"incident": {"id": id, "severity": self.severity}});
            self.add(ChangeKind::Updated, data);
        } else {
            let (visibility, column) = if roll < 0.8 { ("public", "comments") } else { ("internal", "work_notes") };
            let text = format!("note {step} of {id}");
            let message = json!({"id": format!("m{step}"), "text": text, "visibility": visibility});
            self.notes.push((column, text));
            self.add(ChangeKind::MessageAdded, json!({"incident": {"id": id}, "message": message}));
        }
    }

    fn resolve(&mut self) {
        self.resolved = true;
        let data = json!({"incident": {"id": self.incident, "resolution": {"notes": "done"}}});
        self.add(ChangeKind::Resolved, data);
    }

    fn add(&mut self, kind: ChangeKind, data: Value) {
        let pause = Duration::from_secs_f64(luck::fraction().powi(3) * 60.0);
        let times = if luck::fraction() < 0.2 { 2 } else { 1 };
        self.events.push(Event { pause, kind, data, times });
    }
}

pub(crate) fn delivery(tenant: &TenantId, incident: &str, number: usize, event: &Event) -> NewDelivery {
    let body = event.data.to_string();
    NewDelivery {
        id: DeliveryId::from_bits((u128::from(luck::bits()) << 64) | number as u128),
        tenant: tenant.clone(),
        direction: Direction::ToServicenow,
        incident: IncidentId::parse(incident).unwrap(),
        event: EventKey::new("simulation", &format!("{incident}-{number}")).unwrap(),
        kind: event.kind.into(),
        body_hash: Sha256::digest(&body).into(),
        is_echo: false,
        body: Arc::from(body),
    }
}

fn pick(words: &[&'static str]) -> &'static str {
    words[usize::try_from(luck::below(words.len() as u64)).unwrap()]
}
