//! What a large backlog costs: a claim while a million deliveries of ten thousand tenants wait, and the memory of a
//! replica that has them. On SQLite and on PostgreSQL.
//!
//! Owns: filling, claiming, comparing. `cargo bench --bench backlog` fills a million, which takes minutes; `-- --quick`
//! fifty thousand. What is claimed backs off, as it does while an instance is down, so that the backlog stays as it was.
//! Never: judges absolute numbers. Fails: when something could not be measured.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program reads clocks, starts its own tasks and prints its report"
)]

#[expect(dead_code, reason = "each bench uses its part of it")]
mod support;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use snowgate::delivery::record::Direction;
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use snowgate::runtime::clock::SystemClock;
use snowgate::store::postgres::{self, PostgresStore};
use snowgate::store::sqlite::{Options, SqliteStore};
use snowgate::store::{ClaimRequest, NewDelivery, Postponement, SlowShare, Store, StoreError, TenantShare};
use support::figures::{Figure, median};
use support::gateway::{Gateway, dead_address};
use support::postgres::Postgres;
use support::{Failed, event, machine, roles};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// The small backlog, one delivery for each tenant, and the large one.
    tenants: usize,
    deliveries: usize,
    /// How long a replica's memory is watched.
    watch: Duration,
}

const FULL: Plan = Plan { tenants: 10_000, deliveries: 1_000_000, watch: Duration::from_secs(20) };
const QUICK: Plan = Plan { tenants: 2_000, deliveries: 50_000, watch: Duration::from_secs(3) };

/// Claims in one measurement, and lanes of one claim: what a replica with some free slots asks for.
const CLAIMS: usize = 60;
const LANES: usize = 16;
const LEASE: Duration = Duration::from_mins(2);
/// Accepted in one call while filling.
const FILL: usize = 1_000;
/// Fills at once: more gather in one commit.
const FILLERS: usize = 4;
/// Between filling and claiming.
const SETTLE: Duration = Duration::from_secs(3);
const CLOSE_WAIT: Duration = Duration::from_secs(10);
const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match roles::asked(&words) {
        Some(played) => played,
        // `cargo test --all-targets` starts benches without this word; a test run is no place to measure.
        None if !words.contains(&"--bench") => Ok(()),
        None => measure(if words.contains(&"--quick") { QUICK } else { FULL }, &words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("bench backlog: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: Plan, words: &[&str]) -> Result<(), Failed> {
    let scratch = machine::scratch()?;
    println!("machine: {}", machine::facts(&scratch)?);
    let only = words.iter().find_map(|word| word.strip_prefix("--only="));
    let wanted = |part: &str| only.is_none_or(|only| only == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failed::io("could not start the runtime", &error))?;
    runtime.block_on(async {
        if wanted("sqlite") {
            let directory = tempfile::tempdir_in(&scratch);
            let directory = directory.map_err(|error| Failed::io("could not create a directory", &error))?;
            let url = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
            on_engine(plan, &scratch, "SQLite", (&url("small.db"), &url("large.db"))).await?;
        }
        if wanted("postgres") {
            let server = Postgres::start(&scratch).await?;
            let (small, large) = (server.database("small").await?, server.database("large").await?);
            on_engine(plan, &scratch, "PostgreSQL", (&small, &large)).await?;
        }
        Ok(())
    })
}

/// Measures one engine, on two stores of which one has the small backlog and one the large.
async fn on_engine(plan: Plan, scratch: &Path, engine: &str, (small, large): (&str, &str)) -> Result<(), Failed> {
    let Plan { tenants, deliveries, .. } = plan;
    let (few, many) = (open(small).await.map_err(failed)?, open(large).await.map_err(failed)?);
    for store in [&few, &many] {
        let share = |number| TenantShare { tenant: tenant(number), lanes_max: 16 };
        store.serve_tenants((0..tenants).map(share).collect()).await.map_err(failed)?;
    }
    fill(&few, tenants, 0..tenants).await?;
    let began = Instant::now();
    fill(&many, tenants, 0..deliveries).await?;
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    let rate = deliveries as f64 / began.elapsed().as_secs_f64();
    println!("{}", Figure::plain(format!("{engine}: backlog filled"), format!("{rate:.0} deliveries/s")).line());
    let (of_few, of_many) = claims(&few, &many).await?;
    let ratio = of_many / of_few;
    let name = format!("{engine}: claim of {LANES} lanes, {tenants} and {deliveries} waiting");
    let value = format!("{of_few:.2} and {of_many:.2} ms");
    println!("{}", Figure::plain(name, value).ratio(ratio).target("<= 2.00 x the small one", ratio <= 2.0).line());
    few.close(CLOSE_WAIT).await;
    many.close(CLOSE_WAIT).await;
    let peak = memory(plan, scratch, large).await?;
    let name = format!("{engine}: memory of a replica, {deliveries} waiting, {tenants} tenants");
    println!("{}", Figure::plain(name, format!("{peak:.1} MiB")).target("< 150 MiB", peak < 150.0).line());
    Ok(())
}

async fn open(url: &str) -> Result<Store, StoreError> {
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let options = Options { accept_data_loss: true, ..Options::new(Arc::new(SystemClock)) };
            Ok(Store::Sqlite(Arc::new(SqliteStore::open(Path::new(path), options)?)))
        }
        None => Ok(Store::Postgres(PostgresStore::open(url, postgres::Options::default()).await?)),
    }
}

fn tenant(number: usize) -> TenantId {
    TenantId::parse(&event::tenant_name(number)).expect("a name of ours")
}

/// A change that opens an incident of its own, and with it a lane.
fn change(number: usize, tenants: usize) -> NewDelivery {
    let text = "The room's compute module reports no signal on HDMI ingest 1 since the last restart.";
    let body =
        format!(r#"{{"incident":{{"id":"MTR-{number}","title":"Dark","description":"{text}","severity":"high"}}}}"#);
    let mut body_hash = [0; 32];
    body_hash[..8].copy_from_slice(&number.to_le_bytes());
    // Event ids as senders make them: without any order.
    let event = format!("{:016x}-{number}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    NewDelivery {
        id: DeliveryId::from_bits(uuid::Uuid::now_v7().as_u128()),
        tenant: tenant(number % tenants),
        direction: Direction::ToServicenow,
        incident: IncidentId::parse(&format!("MTR-{number}")).expect("an id of ours"),
        event: EventKey::new("bench/soc", &event).expect("an id of ours"),
        kind: ChangeKind::Opened.into(),
        body: body.into(),
        body_hash,
        is_echo: false,
    }
}

async fn fill(store: &Store, tenants: usize, numbers: std::ops::Range<usize>) -> Result<(), Failed> {
    let starts: Vec<usize> = numbers.clone().step_by(FILL).collect();
    for starts in starts.chunks(FILLERS) {
        let accepted = starts.iter().map(|start| {
            let end = (start + FILL).min(numbers.end);
            store.accept((*start..end).map(|number| change(number, tenants)).collect())
        });
        futures_util::future::try_join_all(accepted).await.map_err(failed)?;
    }
    Ok(())
}

/// What a claim of each store takes, in milliseconds: medians. They take turns, because a claim is a commit, and a disk
/// that others use changes its speed by the minute.
async fn claims(few: &Store, many: &Store) -> Result<(f64, f64), Failed> {
    // What was filled in is written to its place first, so that it does not share the disk with the claims.
    tokio::time::sleep(SETTLE).await;
    let (mut of_few, mut of_many) = (Vec::with_capacity(CLAIMS), Vec::with_capacity(CLAIMS));
    for _ in 0..CLAIMS {
        of_few.push(claim(few).await?);
        of_many.push(claim(many).await?);
    }
    Ok((median(&of_few), median(&of_many)))
}

/// Claims once and gives everything back; answers how long the claim took, in milliseconds.
async fn claim(store: &Store) -> Result<f64, Failed> {
    let request = ClaimRequest {
        owner: "bench".to_owned(),
        lanes_max: LANES,
        lease_for: LEASE,
        waiting_max: 4,
        newest_first: false,
        slow: SlowShare::default(),
    };
    let began = Instant::now();
    let claims = store.claim(&request).await.map_err(failed)?;
    let took = began.elapsed();
    if claims.len() != LANES {
        return Err(Failed::new(format!("{} lanes were claimed of {LANES}", claims.len())));
    }
    for claim in claims {
        let at = claim.now.plus(LEASE);
        let postponement = Postponement { at, counted: false, not_processed: true, attempt: None };
        if !store.postpone(&claim.lease, postponement).await.map_err(failed)?.is_yes() {
            return Err(Failed::new("a lane that was just claimed is lost"));
        }
    }
    Ok(took.as_secs_f64() * 1_000.0)
}

/// The most memory of a replica that works on this backlog while every instance is down, in MiB.
async fn memory(plan: Plan, scratch: &Path, url: &str) -> Result<f64, Failed> {
    let dead = dead_address()?;
    let mut gateway = Gateway::start_on(scratch, url, plan.tenants, |_| dead).await?;
    let began = Instant::now();
    let mut peak: f64 = 0.0;
    while began.elapsed() < plan.watch {
        tokio::time::sleep(MEMORY_LOOK_EVERY).await;
        peak = peak.max(gateway.process().resident_mib()?);
    }
    Ok(peak)
}

#[expect(clippy::needless_pass_by_value, reason = "as the argument of `map_err`")]
fn failed(error: StoreError) -> Failed {
    Failed::new(format!("the store: {error}"))
}
