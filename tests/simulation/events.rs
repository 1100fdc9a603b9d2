//! The lives of incidents that a run sends: opened, updated, talked about, resolved, in a random but repeatable way.

use std::time::Duration;

use serde_json::{Value, json};
use snowgate::domain::change::ChangeKind;
use snowgate::runtime::luck;

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

/// What the managed service does with one incident by itself.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) incident: String,
    pub(crate) events: Vec<Event>,
}

impl Life {
    pub(crate) fn of(incident: String) -> Self {
        let severity = pick(&["critical", "high", "medium", "low"]);
        let title = format!("{incident} as opened");
        let origin = pick(&["system", "customer"]);
        let opened = json!({"incident": {"id": incident, "title": title, "severity": severity, "origin": origin}});
        let mut life = Self { incident, events: Vec::new() };
        life.add(ChangeKind::Opened, opened);
        for step in 0..3 + luck::below(8) {
            life.step(step);
        }
        if luck::fraction() < 0.5 {
            let data = json!({"incident": {"id": life.incident, "resolution": {"notes": "done"}}});
            life.add(ChangeKind::Resolved, data);
            if luck::fraction() < 0.3 {
                let data = json!({"incident": {"id": life.incident}});
                life.add(ChangeKind::Reopened, data);
            }
        }
        life
    }

    fn step(&mut self, step: u64) {
        let id = self.incident.clone();
        let roll = luck::fraction();
        if roll < 0.2 {
            let data = json!({"incident": {"id": id, "title": format!("{id} retitled {step}")}});
            self.add(ChangeKind::Updated, data);
        } else if roll < 0.4 {
            let severity = pick(&["critical", "high", "medium", "low"]);
            self.add(ChangeKind::Updated, json!({"incident": {"id": id, "severity": severity}}));
        } else if roll < 0.5 {
            let state = pick(&["investigating", "needs_customer_action"]);
            self.add(ChangeKind::Updated, json!({"incident": {"id": id, "state": state}}));
        } else {
            let visibility = if roll < 0.8 { "public" } else { "internal" };
            let text = format!("note {step} of {id}");
            let message = json!({"id": format!("m{step}"), "text": text, "visibility": visibility});
            self.add(ChangeKind::MessageAdded, json!({"incident": {"id": id}, "message": message}));
        }
    }

    fn add(&mut self, kind: ChangeKind, data: Value) {
        let pause = Duration::from_secs_f64(luck::fraction().powi(3) * 60.0);
        let times = if luck::fraction() < 0.2 { 2 } else { 1 };
        self.events.push(Event { pause, kind, data, times });
    }
}

fn pick(words: &[&'static str]) -> &'static str {
    words[usize::try_from(luck::below(words.len() as u64)).unwrap()]
}
