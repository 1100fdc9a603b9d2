//! One run: tenants, lives, workers that freeze and die, a time of faults, a time without, and the checks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use snowgate::domain::id::TenantId;
use snowgate::domain::secret::Secret;
use snowgate::domain::time::{SharedClock, Timestamp};
use snowgate::mapping::{Mapping, SourceFile, compile};
use snowgate::peer::oauth::Credentials;
use snowgate::peer::pace::Limits;
use snowgate::peer::transport::Transport;
use snowgate::runtime::wake::Wake;
use snowgate::runtime::{luck, tasks};
use snowgate::sim::fault_plan::FaultPlan;
use snowgate::sim::faults::Faults;
use snowgate::sim::instance::{Instance, Options};
use snowgate::store::memory::MemoryStore;
use snowgate::store::{DeliveryQuery, Store, TenantShare};
use snowgate::worker::Protections;
use snowgate::worker::bridges::{Bridge, BridgeParts, Bridges};
use snowgate::worker::dispatcher::Worker;
use tokio::task::JoinHandle;

use super::checks;
use super::events::{self, Life};
use super::network::{Network, VirtualClock, Way};
use super::stall::Stalling;

/// What a run is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) protections: Protections,
    pub(crate) sys_ids_kept: bool,
    pub(crate) fenced: bool,
    /// How likely a worker is frozen, per step it takes.
    pub(crate) frozen: f64,
}

const MAPPING: &str = r#"
version: 1
name: simulation
target: {table: incident}
tables:
  urgency: {critical: 1, high: 2, default: 3}
  state: {resolved: 6, default: 1}
to_ticket:
  fields:
    short_description: {value: "{{ incident.title }}", max: 160}
    urgency: {value: "{{ incident.severity }}", table: urgency}
    state: {value: "{{ incident.state }}", table: state}
  on:
    incident.resolved: {close_code: Solution provided, close_notes: "{{ incident.resolution.notes or 'done' }}"}
  messages: {public: comments, internal: work_notes}
"#;

/// Every fault of the simulator, in rates that make some hundred calls meet all of them. A zombie runs for up to 100 s:
/// the instance's queue and its quota together stay below the settle time.
const FAULTS: &str = "answer_lost=40,zombie=20:9000,zombie=20:100000,reset_before=20,not_executed_202=15,html_ok=15,\
                      partial_ok=20,forbidden_after_commit=20,rate_limited=15:90,semaphore_full=15,unauthorized=20,\
                      server_error=20:500:applied,server_error=20:503,slow_answer=20:30000,delay=20:20000";

/// Lives of one run.
const LIVES: usize = 6;
/// Workers in one process.
const WORKERS: usize = 5;
/// How long the network misbehaves, and how long the gateway then has to finish everything.
const FAULTY: Duration = Duration::from_mins(10);
const PATIENCE: Duration = Duration::from_hours(24);

impl Plan {
    /// Everything on; every other seed meets an instance that does not keep our `sys_id`s.
    pub(crate) fn everything(seed: u64) -> Self {
        Self {
            seed,
            protections: Protections::ALL,
            sys_ids_kept: seed.is_multiple_of(2),
            fenced: true,
            frozen: if seed.is_multiple_of(3) { 0.002 } else { 0.0 },
        }
    }

    /// The harder instance, where only look-up, settle time and mark protect.
    pub(crate) fn without_kept_sys_ids(seed: u64) -> Self {
        Self { sys_ids_kept: false, frozen: 0.0, ..Self::everything(seed) }
    }
}

/// Plays a run and says what was wrong at its end.
pub(crate) fn play(plan: &Plan) -> Vec<String> {
    in_virtual_time(plan, |world, violations| {
        drop(world);
        violations
    })
}

/// The network's log of a run, to compare runs.
pub(crate) fn transcript(plan: &Plan) -> Vec<String> {
    in_virtual_time(plan, |world, _| world.network.log.lock().unwrap().iter().map(|call| format!("{call:?}")).collect())
}

fn in_virtual_time<T>(plan: &Plan, see: impl FnOnce(World, Vec<String>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        luck::seed(plan.seed);
        let world = World::new(plan);
        let violations = world.live().await;
        see(world, violations)
    })
}

struct World {
    plan: Plan,
    network: Arc<Network>,
    clock: SharedClock,
    store: Store,
    mapping: Arc<Mapping>,
    tenant: TenantId,
    lives: Vec<Life>,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let clock = VirtualClock::shared();
        let mut options = Options { seed: plan.seed, ..Options::default() };
        options.switches.sys_id_honoured = plan.sys_ids_kept;
        let faults = FaultPlan::parse(&format!("seed={},{FAULTS}", plan.seed)).unwrap();
        let network = Arc::new(Network {
            clock: Arc::clone(&clock),
            instance: Mutex::new(Instance::new(options)),
            faults: Mutex::new(Faults::new(faults)),
            log: Mutex::default(),
            quiet_until: Mutex::new(Timestamp::EPOCH),
            broken_windows: Mutex::default(),
        });
        let memory = if plan.fenced {
            MemoryStore::new(Arc::clone(&clock))
        } else {
            MemoryStore::without_fence(Arc::clone(&clock))
        };
        let (mapping, findings) = compile(&SourceFile::new("simulation.yaml", MAPPING));
        let mapping = mapping.unwrap_or_else(|| panic!("{findings:?}"));
        Self {
            plan: plan.clone(),
            network,
            clock,
            store: Store::Memory(Arc::new(memory)),
            mapping: Arc::new(mapping),
            tenant: TenantId::parse("contoso").unwrap(),
            lives: (0..LIVES).map(|number| Life::of(format!("MTR-{number}"))).collect(),
        }
    }

    async fn live(&self) -> Vec<String> {
        let share = TenantShare { tenant: self.tenant.clone(), lanes_max: 4 };
        self.store.serve_tenants(vec![share]).await.unwrap();
        let senders: Vec<_> = self.lives.iter().map(|life| self.send(life.clone())).collect();
        let mut process = self.start_process();
        let quiet_at = self.clock.now().plus(FAULTY);
        while self.clock.now() < quiet_at {
            tokio::time::sleep(Duration::from_secs_f64(20.0 + 100.0 * luck::fraction())).await;
            // Killed without a word; what it was told of windows dies with it, what it recorded does not.
            process.iter().for_each(JoinHandle::abort);
            *self.network.quiet_until.lock().unwrap() = Timestamp::EPOCH;
            process = self.start_process();
        }
        *self.network.faults.lock().unwrap() = Faults::default();
        for sender in senders {
            sender.await.unwrap();
        }
        let drained = self.drained().await;
        process.iter().for_each(JoinHandle::abort);
        let mut violations = self.violations().await;
        if !drained {
            violations.push("not finished a day after the last fault".to_owned());
        }
        violations
    }

    /// Sends a life's events, in order, repeats included.
    fn send(&self, life: Life) -> JoinHandle<()> {
        let (store, tenant) = (self.store.clone(), self.tenant.clone());
        tasks::spawn("sender", async move {
            for (number, event) in life.events.iter().enumerate() {
                tokio::time::sleep(event.pause).await;
                let change = events::delivery(&tenant, &life.incident, number, event);
                store.accept(vec![change; event.times]).await.unwrap();
            }
        })
    }

    /// A process: its own client with its own tokens, pace and breaker, and a few workers.
    fn start_process(&self) -> Vec<JoinHandle<()>> {
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
            limits: Limits { calls_per_second: 20, calls_per_hour: 100_000, concurrency: 4 },
            settle: Duration::from_secs(150),
            deployment_key: Arc::from("simulation"),
            transport,
            clock: Arc::clone(&self.clock),
            back: None,
        });
        let worker = Worker {
            store: self.store.clone(),
            bridges: Arc::new(Bridges::fixed([bridge])),
            clock: Arc::clone(&self.clock),
            accepted: Wake::default(),
            settled: Wake::default(),
            owner: "simulation".to_owned(),
            protections: self.plan.protections,
        };
        (0..WORKERS).map(|_| self.start_worker(worker.clone())).collect()
    }

    fn start_worker(&self, worker: Worker) -> JoinHandle<()> {
        tasks::spawn("worker", Stalling::new(work(worker), self.plan.frozen))
    }

    async fn drained(&self) -> bool {
        let until = self.clock.now().plus(PATIENCE);
        while self.clock.now() < until {
            if self.store.backlog().await.unwrap().iter().all(|backlog| backlog.waiting == 0) {
                // What still runs at the other side may land for a while.
                tokio::time::sleep(Duration::from_mins(10)).await;
                return true;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        false
    }

    async fn violations(&self) -> Vec<String> {
        let query = DeliveryQuery {
            tenant: self.tenant.clone(),
            state: None,
            incidents: Vec::new(),
            direction: None,
            before: None,
            limit: usize::MAX - 1,
        };
        let deliveries = self.store.deliveries(&query).await.unwrap().deliveries;
        let accepted = self.lives.iter().map(|life| life.events.len()).sum();
        let mut violations = checks::deliveries(&deliveries, accepted);
        violations.extend(checks::tickets(&self.network.instance.lock().unwrap(), &self.lives));
        // A frozen worker has not read the answer that asks for quiet, and the others of its process go on. In the field
        // all of a process freezes.
        if self.plan.frozen == 0.0 {
            violations.extend(self.network.broken_windows.lock().unwrap().iter().cloned());
        }
        violations
    }
}

async fn work(worker: Worker) {
    while let Ok(lanes) = Box::pin(worker.turn(1)).await {
        if lanes == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
