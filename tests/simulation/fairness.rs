//! A hundred instances that accept a call and never answer, and one that is well, on the slots of one replica.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use snowgate::delivery::record::{Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use snowgate::domain::time::SharedClock;
use snowgate::limits::SLOW_AFTER;
use snowgate::peer::message::Request;
use snowgate::peer::oauth::Credentials;
use snowgate::peer::pace::Limits;
use snowgate::peer::transport::{Exchange, Replying, Transport};
use snowgate::runtime::wake::Wake;
use snowgate::runtime::{drain, luck, tasks};
use snowgate::store::{DeliveryQuery, NewDelivery, Store, TenantShare};
use snowgate::worker::Protections;
use snowgate::worker::bridges::{Bridge, BridgeParts, Bridges};
use snowgate::worker::dispatcher::Worker;
use snowgate::worker::slots::{Slots, Use};

use super::network::Way;
use super::plan::Plan;
use super::run::World;

const HANGING: usize = 100;
/// Lanes of each of them that are due: as many as it may have under way.
const LANES: usize = 4;
const SLOTS: usize = 16;
/// Events of the tenant that is well, and how long they may take: a create takes some calls of a tenth of a second.
const EVENTS: usize = 40;
const IN_TIME: Duration = Duration::from_secs(20);

/// An instance that accepts every call and answers none.
struct Silent;

impl Exchange for Silent {
    fn exchange(&self, _request: Request) -> Replying {
        Box::pin(std::future::pending())
    }
}

fn bridge(world: &World, tenant: &TenantId, transport: Transport) -> Bridge {
    Bridge::new(BridgeParts {
        tenant: tenant.clone(),
        mapping: Arc::clone(&world.mapping),
        instance: format!("https://{tenant}.service-now.com"),
        credentials: Credentials::ClientCredentials {
            client_id: "snowgate-client".to_owned(),
            client_secret: snowgate::domain::secret::Secret::new("snowgate-secret"),
        },
        token_url: None,
        sends_sys_id: true,
        limits: Limits { calls_per_second: 100, calls_per_hour: 100_000, concurrency: 8 },
        settle: Duration::from_secs(150),
        deployment_key: Arc::from(super::run::DEPLOYMENT_KEY),
        transport,
        clock: SharedClock::clone(&world.clock),
        back: None,
    })
}

fn opened(tenant: &TenantId, number: usize) -> NewDelivery {
    let incident = format!("{tenant}-{number}");
    let body = json!({"incident": {"id": incident, "title": "It is dark."}}).to_string();
    NewDelivery {
        id: DeliveryId::from_bits(u128::from(luck::bits())),
        tenant: tenant.clone(),
        direction: Direction::ToServicenow,
        incident: IncidentId::parse(&incident).unwrap(),
        event: EventKey::new("soc", &incident).unwrap(),
        kind: ChangeKind::Opened.into(),
        body_hash: Sha256::digest(&body).into(),
        body: body.into(),
        is_echo: false,
    }
}

async fn delivered(store: &Store, tenant: &TenantId) -> usize {
    let query = DeliveryQuery {
        tenant: tenant.clone(),
        state: Some(State::Delivered),
        incidents: Vec::new(),
        direction: None,
        before: None,
        limit: 1_000,
    };
    store.deliveries(&query).await.unwrap().deliveries.len()
}

/// How many events of the tenant that is well are delivered in time, and the most slots that slow tenants held meanwhile.
async fn delivered_in_time(slots: Slots) -> (usize, usize) {
    luck::seed(17);
    let world = World::new(&Plan { faulty: false, ..Plan::everything(17) });
    let hanging: Vec<TenantId> =
        (0..HANGING).map(|number| TenantId::parse(&format!("hangs-{number}")).unwrap()).collect();
    let share = |tenant: &TenantId| TenantShare { tenant: tenant.clone(), lanes_max: 8 };
    let served = hanging.iter().chain([&world.tenant]).map(share).collect();
    world.store.serve_tenants(served).await.unwrap();
    let silent = Transport::Simulated(Arc::new(Silent));
    let well = bridge(&world, &world.tenant, Transport::Simulated(Arc::new(Way(Arc::clone(&world.network)))));
    let bridges = hanging.iter().map(|tenant| bridge(&world, tenant, silent.clone())).chain([well]);
    let worker = Worker {
        store: world.store.clone(),
        bridges: Arc::new(Bridges::fixed(bridges)),
        clock: Arc::clone(&world.clock),
        accepted: Wake::default(),
        settled: Wake::default(),
        owner: "simulation".to_owned(),
        slots: slots.clone(),
        protections: Protections::ALL,
    };
    for tenant in &hanging {
        let lanes = (0..LANES).map(|number| opened(tenant, number)).collect();
        world.store.accept(lanes).await.unwrap();
    }
    // Who hangs has been known for a while: each had a lane that took long.
    let known: Vec<_> = hanging.iter().map(|tenant| slots.take(tenant)).collect();
    tokio::time::sleep(SLOW_AFTER * 2).await;
    drop(known);
    let (_stopper, stop) = drain::channel();
    let working = tasks::spawn("worker", worker.run(stop));
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.store.accept((0..EVENTS).map(|number| opened(&world.tenant, number)).collect()).await.unwrap();
    let deadline = tokio::time::Instant::now() + IN_TIME;
    let mut slow_most = 0;
    while tokio::time::Instant::now() < deadline {
        let Use { slow, .. } = slots.in_use();
        slow_most = slow_most.max(slow);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    working.abort();
    (delivered(&world.store, &world.tenant).await, slow_most)
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// The pool is what helps: with all slots open to whoever hangs, the same events are late.
#[test]
fn instances_that_hang_leave_the_slots_to_the_others() {
    // proves F47: 100 hung tenants with 400 due lanes on 16 slots hold at most 4 of them; all 40 events of another tenant are
    // delivered within 20 s, of which without the pool fewer than half are
    let (in_time, slow_most) = in_virtual_time(delivered_in_time(Slots::new(SLOTS)));
    assert_eq!(in_time, EVENTS, "with the pool");
    assert!(slow_most <= SLOTS / 4, "slow tenants held {slow_most} of {SLOTS}");
    let (without, slow_most) = in_virtual_time(delivered_in_time(Slots::with_slow_pool(SLOTS, SLOTS)));
    assert!(without < EVENTS / 2, "without the pool {without} of {EVENTS} are in time: the test proves nothing");
    assert!(slow_most > SLOTS / 2, "without the pool slow tenants hold {slow_most} of {SLOTS}");
}
