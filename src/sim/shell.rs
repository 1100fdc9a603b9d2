//! One call through the shell: outage, fate, gate, work, answer.
//!
//! Owns: the order of these, in real time, and what the handlers share. Never: the meaning of a fate (that is `faults`) or of a
//! request (that is `instance`). Fails: by cutting the connection, which is then what was wanted.
//! Proved by: `server`.
//!
//! The work of a call runs in a task of its own: a client that gives up does not stop its transaction, on the platform as here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::call_log::{Call, CallLog};
use super::faults::{self, Fate, Faults};
use super::gate::{Gate, TurnedAway};
use super::instance::{Instance, Options};
use super::message::{Request, Response};

/// What is wrong with the whole instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageKind {
    /// Connections break without an answer.
    Connect,
    /// The load balancer answers `503` with a page.
    Http503,
    /// Nothing is answered until the outage ends; then connections break.
    Hang,
    /// `200` with the page of a hibernating instance.
    Html,
}

impl OutageKind {
    /// Reads `connect`, `http_503`, `hang` or `html`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "connect" => Some(Self::Connect),
            "http_503" => Some(Self::Http503),
            "hang" => Some(Self::Hang),
            "html" => Some(Self::Html),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    kind: OutageKind,
    until: Instant,
}

/// What all handlers share.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) instance: Arc<Mutex<Instance>>,
    pub(super) faults: Mutex<Faults>,
    pub(super) log: Mutex<CallLog>,
    /// What the instance was made from, for a reset.
    options: Options,
    outage: watch::Sender<Option<Outage>>,
    pub(super) gate: Gate,
    work_ms: u64,
}

impl Shell {
    pub(super) fn new(options: Options, faults: Faults, work_ms: u64) -> Self {
        Self {
            instance: Arc::new(Mutex::new(Instance::new(options.clone()))),
            faults: Mutex::new(faults),
            log: Mutex::default(),
            options,
            outage: watch::Sender::new(None),
            gate: Gate::open(),
            work_ms,
        }
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    pub(super) const fn work_ms(&self) -> u64 {
        self.work_ms
    }

    /// A fresh instance and an empty log; the plan of faults and the wire start again from their seeds, webhooks stay, and so
    /// does what is set up wrongly unless it is to be `mended`.
    pub(super) fn reset(&self, mended: bool) {
        let mut instance = lock(&self.instance);
        let outbound = instance.outbound.restarted(self.options.seed);
        let mut fresh = Instance::new(self.options.clone());
        for mistake in instance.mistakes().iter().filter(|_| !mended) {
            // It could be made before, in the same order; were it refused now, the instance would only be better.
            if let Err(why) = fresh.misconfigure(mistake) {
                tracing::warn!(why, "A misconfiguration could not be made again");
            }
        }
        *instance = fresh;
        instance.outbound = outbound;
        drop(instance);
        let mut faults = lock(&self.faults);
        *faults = Faults::new(faults.plan().clone());
        lock(&self.log).clear();
        self.end_outage();
    }

    pub(super) fn begin_outage(&self, kind: OutageKind, duration: Duration) {
        let until = now_instant() + duration;
        self.outage.send_replace(Some(Outage { kind, until }));
    }

    pub(super) fn end_outage(&self) {
        self.outage.send_replace(None);
    }

    /// Serves one call; `None` means: cut the connection.
    pub(super) async fn serve(self: Arc<Self>, request: Request) -> Option<Response> {
        let at = now_millis();
        let call = arrived(&request, at);
        let outage = *self.outage.borrow();
        if let Some(outage) = outage.filter(|outage| outage.until > now_instant()) {
            let answer = self.suffer(outage).await;
            let status = answer.as_ref().map(|answer| answer.status);
            lock(&self.log).push(Call { status, fate: "outage", ..call });
            return answer;
        }
        let fate = lock(&self.faults).decide(&request);
        // Its own task, so that a client that leaves does not take the transaction with it.
        let work = actix_web::rt::spawn(self.work(request, call.met(fate), fate));
        work.await.ok().flatten()
    }

    async fn suffer(&self, outage: Outage) -> Option<Response> {
        match outage.kind {
            OutageKind::Connect => None,
            OutageKind::Http503 => Some(faults::unavailable(503)),
            OutageKind::Html => Some(faults::hibernating()),
            OutageKind::Hang => {
                let mut changes = self.outage.subscribe();
                tokio::select! {
                    () = sleep_until(outage.until) => {}
                    // The sender lives in `self`, so this only ends with a change of the outage.
                    _ = changes.changed() => {}
                }
                None
            }
        }
    }

    async fn work(self: Arc<Self>, request: Request, call: Call, fate: Fate) -> Option<Response> {
        // The token endpoint has its own pool on the platform; it is never the bottleneck there.
        let gated = request.path.starts_with("/api/");
        let admitted = if gated { Some(self.gate.enter(request.cookie("JSESSIONID")).await) } else { None };
        let admitted = match admitted.transpose() {
            Ok(admitted) => admitted,
            Err(turned_away) => return Some(self.turn_away(call, turned_away)),
        };
        let work_ms = if gated { self.work_ms } else { 0 };
        sleep(Duration::from_millis(work_ms.saturating_add(fate.wait_before_ms()))).await;
        let performed = faults::perform(&mut lock(&self.instance), &request, fate, now_millis());
        drop(admitted);
        let status = performed.answer.as_ref().map(|answer| answer.status);
        lock(&self.log).push(Call { status, applied: performed.applied, ..call.clone() });
        if let Some(ms) = performed.apply_later_ms {
            actix_web::rt::spawn(Arc::clone(&self).apply_late(request, call, ms));
        }
        sleep(Duration::from_millis(performed.wait_after_ms)).await;
        performed.answer
    }

    fn turn_away(&self, call: Call, reason: TurnedAway) -> Response {
        let (answer, fate) = match reason {
            TurnedAway::QueueFull => (faults::semaphore_full(), "queue_full"),
            TurnedAway::SessionBusy => (Response::empty(202), "session_busy"),
        };
        lock(&self.log).push(Call { status: Some(answer.status), fate, ..call });
        answer
    }

    async fn apply_late(self: Arc<Self>, request: Request, call: Call, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
        let at = now_millis();
        let answer = lock(&self.instance).handle(&request, at);
        lock(&self.log).push(Call { at, status: Some(answer.status), applied: true, late: true, ..call });
    }
}

fn arrived(request: &Request, at: i64) -> Call {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    Call {
        at,
        verb: request.verb(),
        target: format!("{}{query}", request.path),
        status: None,
        fate: "normal",
        applied: false,
        late: false,
    }
}

/// A lock whose holder panicked is still a lock: the simulator goes on, the panic is reported where it happened.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the epoch.
fn now_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn now_instant() -> Instant {
    Instant::now()
}
