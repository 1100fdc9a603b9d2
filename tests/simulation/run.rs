//! One run: an instance with people, a managed service with a mind of its own, workers that freeze and die, a time of
//! faults, a time without, and the checks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snowgate::callback::client::CallbackOptions;
use snowgate::delivery::record::Delivery;
use snowgate::domain::id::TenantId;
use snowgate::domain::secret::Secret;
use snowgate::domain::time::SharedClock;
use snowgate::limits::WORKER_LANES_MAX;
use snowgate::mapping::{Mapping, SourceFile, compile};
use snowgate::peer::oauth::Credentials;
use snowgate::peer::pace::Limits;
use snowgate::peer::transport::Transport;
use snowgate::runtime::wake::Wake;
use snowgate::runtime::{luck, tasks};
use snowgate::security::target::{EgressPolicy, Extent, Target};
use snowgate::sim::fault_plan::FaultPlan;
use snowgate::sim::faults::Faults;
use snowgate::sim::instance::{Instance, Options};
use snowgate::sim::outbound::{Payload, WebhookRule, Wire};
use snowgate::store::memory::MemoryStore;
use snowgate::store::{DeliveryQuery, Store, TenantShare};
use snowgate::worker::bridges::{BackParts, Bridge, BridgeParts, Bridges};
use snowgate::worker::dispatcher::Worker;
use snowgate::worker::slots::Slots;
use tokio::task::JoinHandle;

use super::events::{Event, Life};
use super::network::{Network, VirtualClock, Way};
use super::people;
use super::plan::Plan;
use super::service::{Door, Saying, Service};
use super::stall::Stalling;
use super::{agreement, checks, judge};

const MAPPING: &str = r#"
version: 1
name: simulation
target: {table: incident}
tables:
  urgency: {critical: 1, high: 2, default: 3}
  severity_back: {"1": critical, "2": high, default: low}
  state:
    new: 1
    investigating: 2
    needs_customer_action: 3
    provider_working: 3
    awaiting_external: 3
    mitigated: 2
    resolved: 6
    closed: 6
    cancelled: 8
    merged: 8
    default: 2
to_ticket:
  fields:
    short_description: {value: "{{ incident.title }}", max: 160, when: "{{ incident.title is defined }}"}
    urgency: {value: "{{ incident.severity }}", table: urgency, when: "{{ incident.severity is defined }}"}
    state: {value: "{{ incident.state }}", table: state, when: "{{ incident.state is defined }}"}
    close_code:
      value: Solution provided
      when: "{{ incident.state in ['resolved', 'closed', 'cancelled', 'merged'] }}"
    close_notes:
      value: "{{ incident.resolution.notes or 'done' }}"
      when: "{{ incident.state in ['resolved', 'closed', 'cancelled', 'merged'] }}"
  messages: {public: comments, internal: work_notes}
to_incident:
  state: {"1": new, "2": investigating, "3": needs_customer_action, "6": resolved, "7": closed, "8": cancelled}
  fields:
    assignee.name: "{{ ticket.assigned_to.display }}"
    severity: {value: "{{ ticket.urgency }}", table: severity_back}
  messages: {comments: public}
  opens: {when: "{{ ticket.assignment_group.display == 'Network' }}"}
"#;

/// Every fault of the simulator, in rates that make some hundred calls meet all of them. A zombie runs for up to 100 s:
/// the instance's queue and its quota together stay below the settle time.
const FAULTS: &str = "answer_lost=40,zombie=20:9000,zombie=20:100000,reset_before=20,not_executed_202=15,html_ok=15,\
                      partial_ok=20,forbidden_after_commit=20,rate_limited=15:90,semaphore_full=15,unauthorized=20,\
                      server_error=20:500:applied,server_error=20:503,slow_answer=20:30000,delay=20:20000";

/// The text all keys of a run are derived from.
pub(crate) const DEPLOYMENT_KEY: &str = "simulation";
/// Workers in one process.
const WORKERS: usize = 5;
/// How long the gateway has to finish everything when the faults are over.
const PATIENCE: Duration = Duration::from_hours(24);
/// How long nothing at all may happen at the end.
const SILENCE: Duration = Duration::from_hours(1);

/// Plays a run and says what was wrong at its end.
pub(crate) fn play(plan: &Plan) -> Vec<String> {
    in_virtual_time(plan, |world, violations| {
        if violations.is_empty() { violations } else { [violations, agreement::history(&world)].concat() }
    })
}

/// The network's log of a run, to compare runs.
pub(crate) fn transcript(plan: &Plan) -> Vec<String> {
    in_virtual_time(plan, |world, _| world.network.log.lock().unwrap().iter().map(|call| format!("{call:?}")).collect())
}

/// How many deliveries a run had.
pub(crate) fn deliveries_of(plan: &Plan) -> usize {
    in_virtual_time(plan, |world, _| world.ended.len())
}

fn in_virtual_time<T>(plan: &Plan, see: impl FnOnce(World, Vec<String>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        luck::seed(plan.seed);
        let mut world = World::new(plan);
        let violations = world.live().await;
        see(world, violations)
    })
}

/// Plays a run, and looks at the world it ended in and at what was wrong there.
pub(crate) fn lived<T>(plan: &Plan, see: impl FnOnce(&World, Vec<String>) -> T) -> T {
    in_virtual_time(plan, |world, violations| see(&world, violations))
}

/// Plays a scene: a world in which only happens what `act` does.
pub(crate) fn staged<T>(plan: &Plan, act: impl AsyncFnOnce(&mut World) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        luck::seed(plan.seed);
        let mut world = World::new(plan);
        let share = TenantShare { tenant: world.tenant.clone(), lanes_max: 4 };
        world.store.serve_tenants(vec![share]).await.unwrap();
        drop(world.takes_webhooks());
        act(&mut world).await
    })
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) network: Arc<Network>,
    pub(crate) service: Arc<Service>,
    pub(crate) clock: SharedClock,
    pub(crate) machine: Arc<VirtualClock>,
    pub(crate) store: Store,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) tenant: TenantId,
    /// Every delivery on record at the end, oldest first in each lane.
    pub(crate) ended: Vec<Delivery>,
    lives: Vec<Life>,
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
        // The machine's clock may jump; the instance and the managed service have clocks of their own.
        let machine = VirtualClock::new();
        let (clock, ours): (SharedClock, SharedClock) = (VirtualClock::new(), Arc::<VirtualClock>::clone(&machine));
        let faults = if plan.faulty { FAULTS } else { "" };
        let faults = FaultPlan::parse(&format!("seed={},{faults}", plan.seed)).unwrap();
        let network = Arc::new(Network {
            clock: Arc::clone(&clock),
            instance: Mutex::new(instance(plan)),
            faults: Mutex::new(Faults::new(faults)),
            log: Mutex::default(),
            quiet: Mutex::default(),
            broken_windows: Mutex::default(),
            strips_footers: plan.strips_footers,
        });
        let memory = match (plan.fenced, plan.knows_repeats) {
            (true, true) => MemoryStore::new(ours),
            (false, _) => MemoryStore::without_fence(ours),
            (true, false) => MemoryStore::without_repeats(ours),
        };
        let (mapping, findings) = compile(&SourceFile::new("simulation.yaml", MAPPING));
        let mapping = mapping.unwrap_or_else(|| panic!("{findings:?}"));
        let (store, tenant) = (Store::Memory(Arc::new(memory)), TenantId::parse("contoso").unwrap());
        let service = Service::new(Arc::clone(&clock), store.clone(), tenant.clone(), plan.habits);
        service.misbehaves.store(plan.faulty, Ordering::Relaxed);
        Self {
            plan: plan.clone(),
            network,
            service,
            clock,
            machine,
            store,
            mapping: Arc::new(mapping),
            tenant,
            ended: Vec::new(),
            lives: (0..plan.lives).map(|number| Life::of(format!("MTR-{number}"))).collect(),
        }
    }

    async fn live(&mut self) -> Vec<String> {
        let share = TenantShare { tenant: self.tenant.clone(), lanes_max: 4 };
        self.store.serve_tenants(vec![share]).await.unwrap();
        let mut busy: Vec<_> = self.lives.iter().map(|life| self.send(life.clone())).collect();
        busy.push(people::start(&self.network, self.plan.customs));
        drop(self.takes_webhooks());
        let process = self.time_of_faults().await;
        *self.network.faults.lock().unwrap() = Faults::default();
        self.service.misbehaves.store(false, Ordering::Relaxed);
        for task in busy {
            task.await.unwrap();
        }
        self.network.instance.lock().unwrap().set_wire(wire(&self.plan));
        let mut violations = self.comes_to_rest().await;
        process.iter().for_each(JoinHandle::abort);
        self.ended = self.deliveries().await;
        if self.plan.fighting_rule.is_none() {
            violations.extend(self.violations().await);
        }
        violations
    }

    fn takes_webhooks(&self) -> JoinHandle<()> {
        let intake = people::Intake {
            store: self.store.clone(),
            tenant: self.tenant.clone(),
            mapping: Arc::clone(&self.mapping),
            actor_is_last_writer: self.plan.actor_is_last_writer,
            looks_every: self.plan.looks_every.1,
        };
        people::pump(&self.network, intake)
    }

    async fn time_of_faults(&self) -> Vec<JoinHandle<()>> {
        let mut process = self.start_process();
        let quiet_at = self.clock.now().plus(self.plan.faulty_for);
        while self.clock.now() < quiet_at {
            let (least, most) = self.plan.killed_after;
            tokio::time::sleep(Duration::from_secs_f64(least + (most - least) * luck::fraction())).await;
            if !self.plan.faulty {
                continue;
            }
            // Killed without a word; what it was told of windows dies with it, what it recorded does not.
            process.iter().for_each(JoinHandle::abort);
            for task in process {
                // Aborted is not dead yet: until then it would be told of windows that the next process cannot know.
                drop(task.await);
            }
            *self.network.quiet.lock().unwrap() = None;
            self.service.forget_windows();
            process = self.start_process();
        }
        process
    }

    /// Sends a life's events, in order, repeats included.
    fn send(&self, life: Life) -> JoinHandle<()> {
        let service = Arc::clone(&self.service);
        // Runs without a spread draw the same luck as ever, so that their seeds stay what they were.
        let at_once = self.plan.spread.is_zero();
        let begins = if at_once { Duration::ZERO } else { self.plan.spread.mul_f64(luck::fraction()) };
        tasks::spawn("sender", async move {
            if !at_once {
                tokio::time::sleep(begins).await;
            }
            for event in life.events {
                tokio::time::sleep(event.pause).await;
                let Event { kind, data, times, .. } = event;
                service.say(&life.incident, Saying { kind, data, is_echo: false, times }).await;
            }
        })
    }

    /// A process: its own client with its own tokens, pace and breaker, and a few workers.
    pub(crate) fn start_process(&self) -> Vec<JoinHandle<()>> {
        let transport = Transport::Simulated(Arc::new(Way(Arc::clone(&self.network))));
        let bridge = Bridge::new(BridgeParts {
            tenant: self.tenant.clone(),
            mapping: Arc::clone(&self.mapping),
            instance: "https://contoso.service-now.com".to_owned(),
            credentials: Credentials::ClientCredentials {
                client_id: "snowgate-client".to_owned(),
                client_secret: Secret::new("snowgate-secret"),
            },
            token_url: None,
            sends_sys_id: true,
            limits: LIMITS,
            settle: self.plan.settle,
            deployment_key: Arc::from(DEPLOYMENT_KEY),
            transport,
            clock: self.machine_clock(),
            back: Some(self.back()),
        });
        let worker = Worker {
            store: self.store.clone(),
            bridges: Arc::new(Bridges::fixed([bridge])),
            clock: self.machine_clock(),
            accepted: Wake::default(),
            settled: Wake::default(),
            owner: "simulation".to_owned(),
            slots: Slots::new(WORKER_LANES_MAX),
            protections: self.plan.protections,
        };
        let mut process: Vec<_> = (0..WORKERS).map(|_| self.start_worker(worker.clone())).collect();
        if self.plan.sweeps {
            let sweeping = sweep(worker, self.tenant.clone());
            process.push(tasks::spawn("sweep", Stalling::new(sweeping, self.plan.frozen)));
        }
        process
    }

    fn machine_clock(&self) -> SharedClock {
        Arc::<VirtualClock>::clone(&self.machine)
    }

    fn back(&self) -> BackParts {
        BackParts {
            callback: CallbackOptions {
                url: callback_url(),
                secrets: vec![self.service.secret.clone()],
                oauth: None,
                limits: LIMITS,
                transport: Transport::Simulated(Arc::new(Door(Arc::clone(&self.service)))),
                clock: self.machine_clock(),
                luck_seed: luck::bits(),
                observer: None,
            },
            user: self.plan.user_known.then(|| Arc::from("snowgate")),
            instance_name: Some(Arc::from("example")),
            sweep_every: self.plan.sweep_every,
            compare_every: Duration::from_hours(1),
            service_levels: None,
            files: None,
        }
    }

    fn start_worker(&self, worker: Worker) -> JoinHandle<()> {
        tasks::spawn("worker", Stalling::new(work(worker, self.plan.looks_every.0), self.plan.frozen))
    }

    /// Waits until both sides are done, then looks whether they stay so.
    async fn comes_to_rest(&self) -> Vec<String> {
        // Where two rules fight, an end is a lane that waits for a person.
        let fights = self.plan.fighting_rule.is_some();
        // A sweep, and the rotation of the full compare, which at this size is the next sweep; but a sweep that meets a fault goes
        // on where it ended with the next one, and some in a row may.
        let caught_up = self.plan.sweep_every * 6 + Duration::from_mins(1);
        let until = self.clock.now().plus(if fights { SILENCE } else { PATIENCE });
        loop {
            if self.clock.now() > until {
                return vec![
                    "not finished a day after the last fault: something waits, or traffic does not end".to_owned(),
                ];
            }
            let before = self.traffic().await;
            tokio::time::sleep(caught_up).await;
            if self.traffic().await == before && (fights || self.nothing_waits().await) {
                break;
            }
        }
        let before = self.traffic().await;
        tokio::time::sleep(SILENCE).await;
        let after = self.traffic().await;
        if before == after {
            Vec::new()
        } else {
            vec![format!("traffic goes on: {before:?} then {after:?} deliveries and callbacks")]
        }
    }

    pub(crate) async fn nothing_waits(&self) -> bool {
        let jobs = self.network.instance.lock().unwrap().jobs_waiting();
        jobs == 0 && self.store.backlog().await.unwrap().iter().all(|backlog| backlog.waiting == 0)
    }

    async fn traffic(&self) -> (usize, usize) {
        (self.deliveries().await.len(), self.service.received())
    }

    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        let query = DeliveryQuery {
            tenant: self.tenant.clone(),
            state: None,
            incidents: Vec::new(),
            direction: None,
            before: None,
            limit: usize::MAX - 1,
        };
        let mut deliveries = self.store.deliveries(&query).await.unwrap().deliveries;
        deliveries.sort_by(|one, other| {
            (one.direction, &one.incident, one.sequence).cmp(&(other.direction, &other.incident, other.sequence))
        });
        deliveries
    }

    async fn violations(&self) -> Vec<String> {
        let mut violations = judge::of(self);
        violations.extend(checks::of(self).await);
        violations.extend(agreement::of(self).await);
        // A frozen worker has not read the answer that asks for quiet, and the others of its process go on. In the field
        // all of a process freezes.
        if self.plan.frozen == 0.0 {
            violations.extend(self.network.broken_windows.lock().unwrap().iter().cloned());
        }
        violations
    }
}

const LIMITS: Limits = Limits { calls_per_second: 20, calls_per_hour: 100_000, concurrency: 4 };

fn instance(plan: &Plan) -> Instance {
    let mut options = Options { seed: plan.seed, ..Options::default() };
    options.switches.sys_id_honoured = plan.sys_ids_kept;
    options.switches.resaved_by_system = plan.resaved;
    options.switches.fighting_rule.clone_from(&plan.fighting_rule);
    if plan.user_hidden {
        options.switches.unreadable_columns.insert("incident.sys_created_by".to_owned());
    }
    let mut instance = Instance::new(options);
    let rule = WebhookRule {
        payload: if plan.hints { Payload::Hint } else { Payload::Snapshot },
        skip_user: plan.skips_user.then(|| "snowgate".to_owned()),
        ..WebhookRule::new("https://snowgate.example/v1/tenants/contoso/webhooks/servicenow", people::HOOK_SECRET)
    };
    instance.subscribe(rule).unwrap();
    instance.set_wire(if plan.silent { Wire::silence() } else { wire(plan) });
    instance
}

fn wire(plan: &Plan) -> Wire {
    if !plan.faulty {
        return Wire::default();
    }
    Wire {
        drop_percent: 10,
        repeat_percent: 10,
        reorder_percent: 10,
        hold_ms_max: 20_000,
        seed: plan.seed,
        silent: false,
    }
}

fn callback_url() -> Target {
    let allow_hosts = vec!["soc.example".parse().unwrap()];
    let policy = EgressPolicy { allow_hosts, ..EgressPolicy::default() };
    policy.check("https://soc.example/callbacks", Extent::Path).unwrap()
}

async fn work(worker: Worker, idle_most: Duration) {
    let mut idle = Duration::from_secs(1);
    while let Ok(lanes) = Box::pin(worker.turn(1)).await {
        if lanes == 0 {
            tokio::time::sleep(idle).await;
            idle = (idle * 2).min(idle_most);
        } else {
            idle = Duration::from_secs(1);
        }
    }
}

async fn sweep(worker: Worker, tenant: TenantId) {
    while Box::pin(worker.sweep_tenant(&tenant)).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
}
