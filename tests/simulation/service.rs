//! The managed service of a run: takes callbacks as a careful receiver does, and has a mind of its own.
//!
//! It verifies the signature, knows a repeat by its id, and keeps its own view of each incident: what it said itself, and
//! what it was told since. While the network misbehaves it sometimes takes a callback and says nothing, or fails. It may
//! answer a comment, echo it, say again what it was told, or insist on what it said.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use snowgate::delivery::record::Direction;
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use snowgate::domain::time::{SharedClock, Timestamp};
use snowgate::history::{Certainty, Receipt};
use snowgate::peer::message as wire;
use snowgate::peer::message::TransportFault;
use snowgate::peer::transport::{Exchange, Replying};
use snowgate::runtime::{luck, tasks};
use snowgate::security::signature::{HexSignatures, SignedHeaders, WebhookSecret, verify};
use snowgate::store::{Accepted, NewDelivery, Store};

use super::network::{reset, silence, travel};

/// The text that no callback may hold: people write it into every work note.
pub(crate) const CANARY: &str = "PRIVATE";

/// How this managed service is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    /// How many comments of a hundred it answers.
    pub(crate) answers_percent: u64,
    /// It sends every comment back as an event, marked as an echo.
    pub(crate) echoes_comments: bool,
    /// It sends every state that it is told back as an event of its own, without a mark.
    pub(crate) repeats_states: bool,
    /// It does not accept any other state than this.
    pub(crate) insists_on: Option<&'static str>,
}

/// One thing that it says.
#[derive(Clone, Debug)]
pub(crate) struct Saying {
    pub(crate) kind: ChangeKind,
    pub(crate) data: Value,
    /// Whether it says that a callback made it say so.
    pub(crate) is_echo: bool,
    /// How often it is sent: senders repeat what they saw no answer to.
    pub(crate) times: usize,
}

impl Saying {
    fn of(kind: ChangeKind, data: Value) -> Self {
        Self { kind, data, is_echo: false, times: 1 }
    }
}

/// A callback as it was first taken.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) ticket: String,
    pub(crate) event: Value,
}

/// An incident as the managed service sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) title: Option<String>,
    pub(crate) severity: Option<&'static str>,
    pub(crate) system_raised: bool,
    pub(crate) state: String,
    pub(crate) assignee: String,
    /// The messages that it wrote, in order.
    pub(crate) notes: Vec<(&'static str, String)>,
    /// When it said a state itself, under which event.
    pub(crate) said_state: Vec<(Timestamp, String)>,
    /// When a state that it was told had been made out, and when it was told.
    pub(crate) told_state: Vec<(Timestamp, Timestamp)>,
    ticket: String,
    said: usize,
}

#[derive(Default)]
struct Book {
    told: Vec<Told>,
    answers: HashMap<String, Value>,
    views: BTreeMap<String, View>,
    violations: Vec<String>,
    receipts: Vec<Receipt>,
    received: usize,
}

/// See the module's text.
pub(crate) struct Service {
    pub(crate) clock: SharedClock,
    pub(crate) store: Store,
    pub(crate) tenant: TenantId,
    pub(crate) secret: WebhookSecret,
    pub(crate) habits: Habits,
    pub(crate) misbehaves: AtomicBool,
    quiet_until: Mutex<Timestamp>,
    book: Mutex<Book>,
}

/// What a client holds of it.
pub(crate) struct Door(pub(crate) Arc<Service>);

impl Exchange for Door {
    fn exchange(&self, request: wire::Request) -> Replying {
        let service = Arc::clone(&self.0);
        let (answer, answered) = tokio::sync::oneshot::channel();
        drop(tasks::spawn("managed-service", async move {
            // Whoever asked may be dead by now.
            drop(answer.send(service.carry(request).await));
        }));
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(reset())) })
    }
}

impl Service {
    pub(crate) fn new(clock: SharedClock, store: Store, tenant: TenantId, habits: Habits) -> Arc<Self> {
        let secret = WebhookSecret::parse("whsec_c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24=").unwrap();
        Arc::new(Self {
            clock,
            store,
            tenant,
            secret,
            habits,
            misbehaves: AtomicBool::new(true),
            quiet_until: Mutex::new(Timestamp::EPOCH),
            book: Mutex::default(),
        })
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.book.lock().unwrap().told.clone()
    }

    pub(crate) fn views(&self) -> BTreeMap<String, View> {
        self.book.lock().unwrap().views.clone()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.book.lock().unwrap().violations.clone()
    }

    /// What it was answered to its events.
    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.book.lock().unwrap().receipts.clone()
    }

    pub(crate) fn received(&self) -> usize {
        self.book.lock().unwrap().received
    }

    /// A process died: nobody lives who was asked to wait.
    pub(crate) fn forget_windows(&self) {
        *self.quiet_until.lock().unwrap() = Timestamp::EPOCH;
    }

    async fn carry(self: Arc<Self>, request: wire::Request) -> Result<wire::Answer, TransportFault> {
        travel().await;
        let roll = if self.misbehaves.load(Ordering::Relaxed) { luck::fraction() } else { 1.0 };
        if roll < 0.02 {
            return silence().await;
        } else if roll < 0.05 {
            return Ok(answer(500, &json!({"error": "try again"})));
        } else if roll < 0.07 {
            return Ok(asking_for_time(503, "20"));
        } else if roll < 0.09 {
            return Ok(asking_for_time(429, "30"));
        }
        let taken = self.take(&request);
        if roll < 0.14 {
            return silence().await;
        }
        travel().await;
        Ok(taken)
    }

    fn take(self: &Arc<Self>, request: &wire::Request) -> wire::Answer {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let signed = SignedHeaders {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
        };
        let secrets = std::slice::from_ref(&self.secret);
        let verified = verify(signed, &request.body, secrets, HexSignatures::Refuse, self.clock.now());
        let mut book = self.book.lock().unwrap();
        book.received += 1;
        if let Err(error) = verified {
            book.violations.push(format!("callback {}: {error}", signed.id));
            return answer(401, &json!({}));
        }
        if let Some(known) = book.answers.get(signed.id) {
            let status = if luck::fraction() < 0.5 { 200 } else { 409 };
            let mut known = known.clone();
            known["error"] = "duplicate".into();
            return answer(status, &known);
        }
        if String::from_utf8_lossy(&request.body).contains(CANARY) {
            book.violations.push(format!("private: callback {} holds a work note", signed.id));
        }
        let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if event["id"] != signed.id || event["origin"] != "servicenow" {
            book.violations.push(format!("callback {} is not what it says: {event}", signed.id));
        }
        let said = self.understand(&mut book, signed.id, &event);
        book.answers.insert(signed.id.to_owned(), said.clone());
        answer(200, &said)
    }

    /// Takes over what it is told, and makes up its mind about it.
    fn understand(self: &Arc<Self>, book: &mut Book, id: &str, event: &Value) -> Value {
        let (kind, data) = (event["type"].as_str().unwrap_or_default().to_owned(), &event["data"]);
        let ticket = data["ticket"]["sys_id"].as_str().unwrap_or_default().to_owned();
        let now = self.clock.now();
        let told =
            Told { at: now, id: id.to_owned(), kind: kind.clone(), ticket: ticket.clone(), event: event.clone() };
        book.told.push(told);
        if kind == "ticket.opened" {
            let incident = format!("CUS-{}", ticket.get(..8).unwrap_or_default());
            let state = data["incident"]["state"].as_str().unwrap_or("new").to_owned();
            let assignee = data["incident"]["assignee"]["name"].as_str().unwrap_or_default().to_owned();
            let view = View { ticket, state, assignee, told_state: vec![(moment(event), now)], ..View::default() };
            if book.views.insert(incident.clone(), view).is_some() {
                book.violations.push(format!("opened twice: {incident}"));
            }
            self.later(&incident, Saying::of(ChangeKind::MessageAdded, message(&incident, "We took it over.")));
            return json!({"incident": {"id": incident}});
        }
        let Some(incident) = data["incident"]["id"].as_str().map(str::to_owned) else { return json!({}) };
        let Some(view) = book.views.get_mut(&incident) else {
            book.violations.push(format!("callback {id} is about {incident}, which nobody knows"));
            return json!({});
        };
        // A ticket that follows a closed one is nobody's until the customer says whose it is.
        if kind == "ticket.linked" && !ticket.is_empty() && view.ticket != ticket {
            view.assignee.clear();
        }
        if !ticket.is_empty() && kind == "ticket.linked" {
            view.ticket.clone_from(&ticket);
        }
        let changes = &data["changes"];
        if let Some(name) = changes["assignee"]["name"].as_str() {
            name.clone_into(&mut view.assignee);
        }
        if let Some(state) = changes["state"].as_str() {
            state.clone_into(&mut view.state);
            view.told_state.push((moment(event), now));
            self.mind_state(&incident, state);
        }
        if kind == "ticket.message_added" && !id.ends_with("-handed-back") {
            self.mind_message(&incident, &data["message"]);
        }
        json!({})
    }

    fn mind_state(self: &Arc<Self>, incident: &str, state: &str) {
        let said = |state: &str| json!({"incident": {"id": incident, "state": state}});
        match self.habits.insists_on {
            Some(own) if own != state => self.later(incident, Saying::of(ChangeKind::Updated, said(own))),
            None if self.habits.repeats_states => self.later(incident, Saying::of(ChangeKind::Updated, said(state))),
            Some(_) | None => {}
        }
    }

    fn mind_message(self: &Arc<Self>, incident: &str, message_told: &Value) {
        let text = message_told["text"].as_str().unwrap_or_default();
        if self.habits.echoes_comments {
            let echo = Saying::of(ChangeKind::MessageAdded, message(incident, text));
            self.later(incident, Saying { is_echo: true, ..echo });
        } else if luck::below(100) < self.habits.answers_percent {
            let key = message_told["id"].as_str().unwrap_or_default();
            let answer = format!("answer to {key}");
            self.later(incident, Saying::of(ChangeKind::MessageAdded, message(incident, &answer)));
        }
    }

    fn later(self: &Arc<Self>, incident: &str, saying: Saying) {
        let (service, incident) = (Arc::clone(self), incident.to_owned());
        drop(tasks::spawn("reaction", async move {
            tokio::time::sleep(Duration::from_secs_f64(1.0 + 8.0 * luck::fraction())).await;
            service.say(&incident, saying).await;
        }));
    }

    /// Says something about an incident.
    pub(crate) async fn say(&self, incident: &str, saying: Saying) {
        let change = {
            let mut book = self.book.lock().unwrap();
            let view = book.views.entry(incident.to_owned()).or_default();
            view.said += 1;
            let event = format!("{incident}-{}", view.said);
            if !saying.is_echo {
                view.take_over_own(&saying, self.clock.now(), &event);
            }
            new_delivery(&self.tenant, incident, &event, &saying)
        };
        let answers = self.store.accept(vec![change.clone(); saying.times]).await.unwrap();
        self.book.lock().unwrap().receipts.extend(answers.iter().map(|answer| receipt(&change, answer)));
    }
}

impl View {
    fn take_over_own(&mut self, saying: &Saying, now: Timestamp, event: &str) {
        let data = &saying.data;
        let incident = &data["incident"];
        if let Some(title) = incident["title"].as_str() {
            self.title = Some(title.to_owned());
        }
        if let Some(severity) = incident["severity"].as_str() {
            self.severity = ["critical", "high", "medium", "low"].into_iter().find(|word| *word == severity);
        }
        self.system_raised |= incident["origin"] == "system";
        let implied = match saying.kind {
            ChangeKind::Opened => Some("new"),
            ChangeKind::Resolved => Some("resolved"),
            ChangeKind::Reopened => Some("investigating"),
            _ => incident["state"].as_str(),
        };
        if let Some(state) = implied {
            state.clone_into(&mut self.state);
            self.said_state.push((now, event.to_owned()));
        }
        if let Some(text) = data["message"]["text"].as_str() {
            let internal = data["message"]["visibility"] == "internal";
            self.notes.push((if internal { "work_notes" } else { "comments" }, text.to_owned()));
        }
    }
}

/// What a sender holds after this answer.
fn receipt(change: &NewDelivery, answer: &Accepted) -> Receipt {
    let (certainty, delivery) = match answer {
        Accepted::Stored(receipt) | Accepted::Repeat(receipt) => (Certainty::Stored, Some(receipt.delivery.clone())),
        Accepted::Conflict(_) | Accepted::LaneFull | Accepted::NotStored => (Certainty::Refused, None),
    };
    let (source, event) = change.event.parts();
    Receipt {
        tenant: change.tenant.clone(),
        incident: change.incident.clone(),
        source: source.to_owned(),
        event: event.to_owned(),
        certainty,
        delivery,
    }
}

fn message(incident: &str, text: &str) -> Value {
    json!({"incident": {"id": incident}, "message": {"text": text, "visibility": "public"}})
}

fn moment(event: &Value) -> Timestamp {
    let time = event["time"].as_str().unwrap_or_default();
    let raw = time.get(..19).unwrap_or_default().replace('T', " ");
    Timestamp::parse_utc(&raw).unwrap_or(Timestamp::EPOCH)
}

fn new_delivery(tenant: &TenantId, incident: &str, event: &str, saying: &Saying) -> NewDelivery {
    let body = saying.data.to_string();
    NewDelivery {
        id: DeliveryId::from_bits((u128::from(luck::bits()) << 64) | u128::from(luck::bits())),
        tenant: tenant.clone(),
        direction: Direction::ToServicenow,
        incident: IncidentId::parse(incident).unwrap(),
        event: EventKey::new("simulation", event).unwrap(),
        kind: saying.kind.into(),
        body_hash: Sha256::digest(&body).into(),
        is_echo: saying.is_echo,
        body: Arc::from(body),
    }
}

fn answer(status: u16, body: &Value) -> wire::Answer {
    wire::Answer { status, body: body.to_string().into_bytes(), ..wire::Answer::default() }
}

fn asking_for_time(status: u16, seconds: &'static str) -> wire::Answer {
    let mut answer = answer(status, &json!({}));
    answer.headers.insert("retry-after", wire::HeaderValue::from_static(seconds));
    answer
}
