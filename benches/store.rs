//! How fast the embedded store is, against the fastest thing that is as durable: a thread that appends the same
//! bodies to a file and syncs once per group.
//!
//! `cargo bench --bench store` prints each figure as a table row; rounds of both sides alternate, because a shared
//! disk changes its speed by the minute, and the median round counts. `-- --million` adds a backlog of a million.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops when it cannot measure")]

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use snowgate::delivery::lane::LaneMemory;
use snowgate::delivery::record::{Direction, Ending, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use snowgate::runtime::clock::SystemClock;
use snowgate::store::sqlite::{Options, SqliteStore};
use snowgate::store::{Claim, ClaimRequest, NewDelivery, Postponement, Settlement, SlowShare, Store, TenantShare};
use tokio::sync::{mpsc, oneshot};

const CLIENTS: u64 = 64;
const ACCEPTS_PER_CLIENT: u64 = 500;
const ROUNDS: usize = 5;
const BODY_BYTES: usize = 1_024;
const TENANTS: u64 = 8;
const LEASE: Duration = Duration::from_mins(2);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Beside the build, where the disk is the one that is meant; a system's temporary directory may be memory.
    let directory = tempfile::tempdir_in("target").unwrap();
    runtime.block_on(accepting(directory.path()));
    runtime.block_on(whole_lives(directory.path()));
    runtime.block_on(claiming(directory.path()));
}

fn open(path: &Path) -> Store {
    let options = Options { accept_data_loss: true, ..Options::new(Arc::new(SystemClock)) };
    Store::Sqlite(Arc::new(SqliteStore::open(path, options).unwrap()))
}

/// A change of one of eight tenants; every fourth opens an incident, the others follow up on it.
fn change(number: u64) -> NewDelivery {
    let kind = if number.is_multiple_of(4) { ChangeKind::Opened } else { ChangeKind::Updated };
    change_of(number, number / 4, kind)
}

/// A change that opens an incident of its own, and with it a lane.
fn lone_change(number: u64) -> NewDelivery {
    change_of(number, number, ChangeKind::Opened)
}

fn change_of(number: u64, incident: u64, kind: ChangeKind) -> NewDelivery {
    let body = format!(r#"{{"incident":{{"id":"MTR-{incident}"}},"text":"{}"}}"#, "x".repeat(BODY_BYTES - 48));
    let mut body_hash = [0; 32];
    body_hash[..8].copy_from_slice(&number.to_le_bytes());
    let event = uuid::Uuid::from_u128(scattered(number)).to_string();
    NewDelivery {
        id: DeliveryId::from_bits(uuid::Uuid::now_v7().as_u128()),
        tenant: tenant(incident % TENANTS),
        direction: Direction::ToServicenow,
        incident: IncidentId::parse(&format!("MTR-{incident}")).unwrap(),
        event: EventKey::new("https://soc.example/rooms", &event).unwrap(),
        kind: kind.into(),
        body: body.into(),
        body_hash,
        is_echo: false,
    }
}

/// Event ids as senders make them: without any order.
fn scattered(number: u64) -> u128 {
    u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)
}

fn tenant(number: u64) -> TenantId {
    TenantId::parse(&format!("tenant-{number}")).unwrap()
}

/// What came of one round.
struct Round {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// Runs an operation from many clients at once, each waiting for its answer before the next.
async fn round<F: Future<Output = ()>>(first: u64, operation: impl Fn(NewDelivery) -> F) -> Round {
    let operation = &operation;
    let client = |client| {
        let changes: Vec<_> = (0..ACCEPTS_PER_CLIENT).map(|n| change(first + n * CLIENTS + client)).collect();
        async move {
            let mut times = Vec::with_capacity(changes.len());
            for change in changes {
                let start = Instant::now();
                operation(change).await;
                times.push(start.elapsed());
            }
            times
        }
    };
    // What is sent is made before the time counts.
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    let start = Instant::now();
    let mut times = join_all(clients).await.concat();
    let took = start.elapsed();
    times.sort_unstable();
    let count = times.len();
    Round { per_second: rate(count, took), p50: times[count / 2], p99: times[count * 99 / 100] }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is printed with few digits")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn print(name: &str, round: &Round) {
    println!("{name:<34} {:>8.0}/s  p50 {:>8.2?}  p99 {:>8.2?}", round.per_second, round.p50, round.p99);
}

type Append = (Arc<str>, oneshot::Sender<()>);

/// The yardstick: takes what waits, appends it in one write, syncs once, answers all.
fn bare(path: &Path) -> mpsc::Sender<Append> {
    let mut file = File::create(path).unwrap();
    let (sender, mut queue) = mpsc::channel::<Append>(1_024);
    std::thread::spawn(move || {
        let (mut group, mut buffer) = (Vec::new(), Vec::new());
        while queue.blocking_recv_many(&mut group, 256) > 0 {
            buffer.clear();
            for (body, _) in &group {
                buffer.extend_from_slice(body.as_bytes());
            }
            file.write_all(&buffer).unwrap();
            file.sync_data().unwrap();
            for (_, answer) in group.drain(..) {
                answer.send(()).unwrap();
            }
        }
    });
    sender
}

async fn accepting(directory: &Path) {
    let bare = bare(&directory.join("bare"));
    let path = directory.join("accepting.db");
    let store = open(&path);
    let mut pairs = Vec::new();
    for number in 0..ROUNDS as u64 {
        let first = number * CLIENTS * ACCEPTS_PER_CLIENT;
        let bare = round(first, async |change| {
            let (answer, answered) = oneshot::channel();
            bare.send((change.body, answer)).await.unwrap();
            answered.await.unwrap();
        });
        let bare = bare.await;
        let stored = round(first, async |change| {
            store.accept(vec![change]).await.unwrap();
        });
        let stored = stored.await;
        print("append and sync, bare", &bare);
        print("accept", &stored);
        pairs.push(stored.per_second / bare.per_second);
    }
    pairs.sort_by(f64::total_cmp);
    println!("accept against bare, median ratio  {:.2}  (all: {pairs:.2?})", pairs[ROUNDS / 2]);
    println!("figure\tstore alone: accept, durable\t-\t{:.2} x append thread\t-\t-", pairs[ROUNDS / 2]);
}

/// Accepts this many changes in large calls.
async fn fill(store: &Store, changes: impl Iterator<Item = NewDelivery>) {
    let mut changes = changes.peekable();
    while changes.peek().is_some() {
        store.accept(changes.by_ref().take(1_000).collect()).await.unwrap();
    }
}

async fn serve_all(store: &Store) {
    let shares = (0..TENANTS).map(|number| TenantShare { tenant: tenant(number), lanes_max: 1_000_000 });
    store.serve_tenants(shares.collect()).await.unwrap();
}

fn request(lanes_max: usize) -> ClaimRequest {
    ClaimRequest {
        owner: "bench".to_owned(),
        lanes_max,
        lease_for: LEASE,
        waiting_max: 4,
        newest_first: false,
        slow: SlowShare::default(),
    }
}

async fn whole_lives(directory: &Path) {
    const DELIVERIES: u64 = 20_000;
    let store = open(&directory.join("lives.db"));
    serve_all(&store).await;
    fill(&store, (0..DELIVERIES).map(change)).await;
    let start = Instant::now();
    let workers = (0..16).map(|_| async {
        let mut ended = 0;
        loop {
            let claims = store.claim(&request(4)).await.unwrap();
            if claims.is_empty() {
                return ended;
            }
            ended += claims.len();
            join_all(claims.iter().map(|claim| async {
                let upto = claim.lease.head;
                assert!(store.intend(&claim.lease, upto, LEASE).await.unwrap().is_yes());
                let ending = Ending { how: "updated".to_owned(), ..Ending::default() };
                let memory = LaneMemory::default();
                let settlement = Settlement {
                    upto,
                    state: State::Delivered,
                    ending,
                    attempt: None,
                    memory,
                    follows: Vec::new(),
                    link: None,
                };
                assert!(store.settle(&claim.lease, settlement).await.unwrap().is_yes());
            }))
            .await;
        }
    });
    let ended: usize = join_all(workers).await.into_iter().sum();
    println!("claim + intend + settle             {:>8.0}/s  ({ended} deliveries)", rate(ended, start.elapsed()));
}

async fn claiming(directory: &Path) {
    let million = std::env::args().any(|argument| argument == "--million");
    let sizes: &[u64] = if million { &[1_000, 100_000, 1_000_000] } else { &[1_000, 100_000] };
    let store = open(&directory.join("claiming.db"));
    serve_all(&store).await;
    let mut filled = 0;
    let mut base = None;
    for waiting in sizes {
        fill(&store, (filled..*waiting).map(lone_change)).await;
        filled = *waiting;
        // What was filled in is copied to its place first, so that it does not share the disk with the claims.
        let settled = Instant::now() + Duration::from_secs(3);
        while Instant::now() < settled {
            store.ping().await.unwrap();
        }
        let mut times = Vec::new();
        for _ in 0..15 {
            let one = request(1);
            let start = Instant::now();
            let claims = join_all((0..16).map(|_| store.claim(&one))).await;
            times.push(start.elapsed() / 16);
            // They back off, as lanes do whose instance is down: the backlog stays as long as it was.
            join_all(claims.into_iter().flat_map(Result::unwrap).map(|claim| back_off(&store, claim))).await;
        }
        // The least disturbed round: what is compared is the work of a claim, not the mood of the disk.
        let least = times.into_iter().min().unwrap();
        let base = *base.get_or_insert(least);
        let ratio = least.as_secs_f64() / base.as_secs_f64();
        println!("claim of a lane, {waiting:>8} waiting   {least:>8.2?}  ({ratio:.2} of the smallest)");
        let met = if ratio <= 1.5 { "met" } else { "NOT met" };
        println!(
            "figure\tclaim of a lane, {waiting} waiting\t{least:.2?}\t{ratio:.2} x\t<= 1.50 x the smallest\t{met}"
        );
    }
}

async fn back_off(store: &Store, claim: Claim) {
    let at = claim.now.plus(LEASE);
    let postponement = Postponement { at, counted: false, not_processed: true, attempt: None };
    assert!(store.postpone(&claim.lease, postponement).await.unwrap().is_yes());
}
