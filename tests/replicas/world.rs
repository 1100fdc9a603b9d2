//! An instance, a store, and replicas with clients of their own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use snowgate::delivery::record::{Delivery, Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use snowgate::domain::secret::Secret;
use snowgate::domain::time::SharedClock;
use snowgate::limits::WORKER_LANES_MAX;
use snowgate::mapping::{Mapping, SourceFile, compile};
use snowgate::peer::oauth::Credentials;
use snowgate::peer::pace::Limits;
use snowgate::peer::transport::Transport;
use snowgate::runtime::drain::{self, Stopper};
use snowgate::runtime::wake::Wake;
use snowgate::runtime::{luck, tasks};
use snowgate::sim::fault_plan::FaultPlan;
use snowgate::sim::faults::Faults;
use snowgate::sim::instance::{Instance, Options};
use snowgate::store::memory::MemoryStore;
use snowgate::store::{Accepted, DeliveryQuery, NewDelivery, Store, TenantShare};
use snowgate::worker::Protections;
use snowgate::worker::bridges::{Bridge, BridgeParts, Bridges};
use snowgate::worker::dispatcher::Worker;
use snowgate::worker::sharing::SharedStore;
use snowgate::worker::slots::Slots;
use tokio::task::JoinHandle;

use crate::network::{Call, Network, VirtualClock, Way};

const MAPPING: &str = r#"
version: 1
name: replicas
target: {table: incident}
to_ticket:
  fields:
    short_description: {value: "{{ incident.title }}", max: 160}
"#;

/// How many replicas there are.
pub(crate) const REPLICAS: usize = 3;
/// Calls a second of the tenant, over all of them.
pub(crate) const RATE: usize = 5;

/// See the module's text.
pub(crate) struct World {
    pub(crate) clock: SharedClock,
    pub(crate) replicas: Vec<Arc<Bridges>>,
    pub(crate) tenant: TenantId,
    network: Arc<Network>,
    store: Store,
    running: Mutex<Vec<JoinHandle<()>>>,
    _stopper: Stopper,
}

/// Plays a scene on virtual time, with replicas that share what they know of the instance, or do not.
pub(crate) fn play<T>(sharing: bool, scene: impl AsyncFnOnce(World) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        luck::seed(20_261_122);
        let world = World::start(sharing).await;
        scene(world).await
    })
}

impl World {
    async fn start(sharing: bool) -> Self {
        let clock: SharedClock = VirtualClock::new();
        let network = Arc::new(Network {
            clock: Arc::clone(&clock),
            instance: Mutex::new(Instance::new(Options::default())),
            faults: Mutex::default(),
            log: Mutex::default(),
            quiet: Mutex::default(),
            broken_windows: Mutex::default(),
            strips_footers: false,
        });
        let store = Store::Memory(Arc::new(MemoryStore::new(Arc::clone(&clock))));
        let tenant = TenantId::parse("contoso").unwrap();
        // Room for all lanes that all clients can serve at once: only the rate is to hold them back.
        let share = TenantShare { tenant: tenant.clone(), lanes_max: 12 };
        store.serve_tenants(vec![share]).await.unwrap();
        let (mapping, findings) = compile(&SourceFile::new("replicas.yaml", MAPPING));
        let mapping = Arc::new(mapping.unwrap_or_else(|| panic!("{findings:?}")));
        let (stopper, stop) = drain::channel();
        let replicas = (1..=REPLICAS).map(|number| {
            let bridge = bridge(&network, &mapping, &tenant);
            let name = format!("replica-{number}");
            let shared = SharedStore::new(store.clone(), Arc::from(name.as_str()));
            let bridge = if sharing { bridge.shared_over(&shared) } else { bridge };
            let worker = Worker {
                store: store.clone(),
                bridges: Arc::new(Bridges::fixed([bridge])),
                clock: Arc::clone(&clock),
                accepted: Wake::default(),
                settled: Wake::default(),
                owner: name,
                slots: Slots::new(WORKER_LANES_MAX),
                protections: Protections::ALL,
            };
            (Arc::clone(&worker.bridges), tasks::spawn("replica", worker.run(stop.clone())))
        });
        let (replicas, running): (_, Vec<_>) = replicas.unzip();
        Self { clock, replicas, tenant, network, store, running: Mutex::new(running), _stopper: stopper }
    }

    /// Accepts this many new incidents, from this number on.
    pub(crate) async fn open_incidents(&self, from: usize, count: usize) {
        for number in from..from + count {
            let incident = format!("MTR-{number}");
            let body = format!(r#"{{"incident":{{"id":"{incident}","title":"Room {number}","state":"new"}}}}"#);
            let change = NewDelivery {
                id: DeliveryId::from_bits(u128::try_from(number).unwrap()),
                tenant: self.tenant.clone(),
                direction: Direction::ToServicenow,
                incident: IncidentId::parse(&incident).unwrap(),
                event: EventKey::new("soc", &format!("event-{number}")).unwrap(),
                kind: ChangeKind::Opened.into(),
                body_hash: Sha256::digest(&body).into(),
                body: body.into(),
                is_echo: false,
            };
            let accepted = self.store.accept(vec![change]).await.unwrap();
            assert!(matches!(accepted.as_slice(), [Accepted::Stored(_)]));
        }
    }

    /// One of the replicas claims nothing any more.
    pub(crate) fn kill(&self, replica: usize) {
        self.running.lock().unwrap()[replica].abort();
    }

    /// From now on the instance misbehaves so.
    pub(crate) fn misbehaves(&self, plan: &str) {
        *self.network.faults.lock().unwrap() = Faults::new(FaultPlan::parse(plan).unwrap());
    }

    /// Every call so far, and the millisecond at which the instance got it.
    pub(crate) fn calls(&self) -> Vec<(i64, Call)> {
        let log = self.network.log.lock().unwrap();
        log.iter().map(|call| (call.at.millis(), call.clone())).collect()
    }

    /// Virtual time goes by.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits in virtual time until the probe gives something.
    pub(crate) async fn until<T>(&self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let end = self.clock.now().plus(Duration::from_hours(1));
        loop {
            if let Some(found) = probe() {
                return found;
            }
            assert!(self.clock.now() < end, "not within an hour: {what}");
            self.pass(Duration::from_millis(10)).await;
        }
    }

    /// Every delivery, whatever became of it.
    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        let query = DeliveryQuery {
            tenant: self.tenant.clone(),
            state: None,
            incidents: Vec::new(),
            direction: None,
            before: None,
            limit: 10_000,
        };
        self.store.deliveries(&query).await.unwrap().deliveries
    }

    /// How many were delivered.
    pub(crate) async fn delivered(&self) -> usize {
        self.deliveries().await.iter().filter(|delivery| delivery.state == State::Delivered).count()
    }
}

fn bridge(network: &Arc<Network>, mapping: &Arc<Mapping>, tenant: &TenantId) -> Bridge {
    Bridge::new(BridgeParts {
        tenant: tenant.clone(),
        mapping: Arc::clone(mapping),
        instance: "https://contoso.service-now.com".to_owned(),
        credentials: Credentials::Basic { username: "snowgate".to_owned(), password: Secret::new("snowgate") },
        token_url: None,
        limits: Limits { calls_per_second: u32::try_from(RATE).unwrap(), calls_per_hour: 20_000, concurrency: 4 },
        settle: Duration::from_secs(150),
        sends_sys_id: true,
        deployment_key: Arc::from("replicas"),
        transport: Transport::Simulated(Arc::new(Way(Arc::clone(network)))),
        clock: Arc::clone(&network.clock),
        back: None,
    })
}

/// The most calls that any window of this length saw, and when it began.
pub(crate) fn busiest(calls: &[(i64, Call)], window: Duration) -> usize {
    let window = i64::try_from(window.as_millis()).unwrap();
    let within = |from: i64| calls.iter().filter(|(at, _)| (from..from + window).contains(at)).count();
    calls.iter().map(|(from, _)| within(*from)).max().unwrap_or(0)
}
