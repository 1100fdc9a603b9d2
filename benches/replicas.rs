//! Several replicas on one PostgreSQL: what intake costs beside the least that inserts, what a second and a third replica
//! add, and what three bad tenants do to two thousand good ones.
//!
//! Owns: the command line and the comparisons. PostgreSQL is the harness's own, on this machine, and takes its share of the
//! processors like everything else here. `cargo bench --bench replicas` runs everything, `-- --quick` with rounds too short
//! to quote, `-- --only=PART` only `intake`, `delivery` or `fairness`. Never: judges absolute numbers of a shared machine;
//! rounds of both sides alternate, and the median of the ratios counts.
//! Fails: when something could not be measured. A missed target is a result and not a failure.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program reads clocks, starts its own tasks and prints its report"
)]

#[expect(dead_code, reason = "each bench uses its part of it")]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use support::event::Requests;
use support::figures::{Figure, median, print, ratios, spread};
use support::gateway::Gateway;
use support::load::{self, Until, per_second};
use support::postgres::Postgres;
use support::process::Process;
use support::upstream::{self, COUNTS_PATH, Counts, LAGS_PATH};
use support::{Failed, http, machine, roles};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: usize,
    /// One measurement under load, and load before it that is not counted.
    slice: Duration,
    warm_up: Duration,
    /// Tickets of one round of deliveries.
    tickets: u32,
    /// Tenants of the fairness run, and how long one of its rounds is watched.
    tenants: usize,
    watch: Duration,
}

const FULL: Plan = Plan {
    rounds: 5,
    slice: Duration::from_secs(4),
    warm_up: Duration::from_millis(500),
    tickets: 5_000,
    tenants: 2_000,
    watch: Duration::from_secs(15),
};
const QUICK: Plan = Plan {
    rounds: 1,
    slice: Duration::from_secs(1),
    warm_up: Duration::from_millis(250),
    tickets: 1_000,
    tenants: 200,
    watch: Duration::from_secs(5),
};

/// Tenants of the delivery run: so many that no tenant's pace is the bottleneck.
const DELIVERY_TENANTS: usize = 200;
/// Replicas that are compared with one.
const REPLICAS: usize = 3;
/// The three bad tenants come first: one whose instance never answers, one whose instance takes five seconds, and one
/// that sends more than everybody else together.
const DEAD: usize = 0;
const SLOW: usize = 1;
const FLOODING: usize = 2;
/// Events a second of all good tenants together, of the dead and the slow one each, and of the one that floods.
const GOOD_RATE: f64 = 150.0;
const BAD_RATE: f64 = 10.0;
const FLOOD_RATE: f64 = 200.0;

fn main() -> ExitCode {
    roles::run("replicas", measure)
}

fn measure(words: &[&str]) -> Result<(), Failed> {
    let scratch = machine::scratch()?;
    println!("machine: {}", machine::facts(&scratch)?);
    let plan = if words.contains(&"--quick") { QUICK } else { FULL };
    let only = words.iter().find_map(|word| word.strip_prefix("--only="));
    let wanted = |part: &str| only.is_none_or(|only| only == part);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::io("could not start the runtime", &error))?;
    runtime.block_on(async {
        let server = Postgres::start(&scratch).await?;
        let bench = Bench { plan, scratch: &scratch, server };
        if wanted("intake") {
            print(&bench.intake().await?);
        }
        if wanted("delivery") {
            print(&bench.delivery().await?);
        }
        if wanted("fairness") {
            print(&bench.fairness().await?);
        }
        Ok(())
    })
}

struct Bench<'a> {
    plan: Plan,
    scratch: &'a Path,
    server: Postgres,
}

/// One side of one round of intake.
#[derive(Clone, Copy, Debug)]
struct Intake {
    rate: f64,
    p99_millis: f64,
    log_bytes: f64,
}

impl Bench<'_> {
    /// Intake into PostgreSQL, beside two handlers that insert the same bodies and promise nothing else.
    async fn intake(&self) -> Result<Vec<Figure>, Failed> {
        let (mut grouped, mut gateway, mut single) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds {
            grouped.push(self.inserting("unnest", 202).await?);
            gateway.push(self.paused_gateway().await?);
            single.push(self.inserting("inserts", 202).await?);
        }
        let rates = |side: &[Intake]| side.iter().map(|intake| intake.rate).collect::<Vec<_>>();
        let told = |side: &[Intake]| {
            let middle = |of: fn(&Intake) -> f64| median(&side.iter().map(of).collect::<Vec<_>>());
            let (rate, p99, log) = (middle(|one| one.rate), middle(|one| one.p99_millis), middle(|one| one.log_bytes));
            format!("{rate:.0}/s, p99 {p99:.1} ms, {log:.0} bytes of log each")
        };
        let against_grouped = ratios(&rates(&gateway), &rates(&grouped));
        let against_single = ratios(&rates(&gateway), &rates(&single));
        Ok(vec![
            Figure::plain("PostgreSQL: bare handler, one unnest for all who wait", told(&grouped)),
            Figure::plain("PostgreSQL: bare handler, one prepared insert each", told(&single)),
            Figure::plain(
                "PostgreSQL intake: gateway, tenant paused",
                format!("{} ({})", told(&gateway), spread(&against_grouped)),
            )
            .ratio(median(&against_grouped))
            .target(">= 0.60 x bare unnest", median(&against_grouped) >= 0.6),
            Figure::plain("PostgreSQL intake: beside single inserts", format!("({})", spread(&against_single)))
                .ratio(median(&against_single))
                .target(">= 2.00 x bare inserts", median(&against_single) >= 2.0),
        ])
    }

    async fn inserting(&self, role: &str, status: u16) -> Result<Intake, Failed> {
        let url = self.server.database("bare").await?;
        support::postgres::ask(&url, support::inserters::TABLE).await?;
        let (_process, address) = Process::role(role, url.as_ref())?;
        self.under_load(address, status).await
    }

    async fn paused_gateway(&self) -> Result<Intake, Failed> {
        let url = self.server.database("intake").await?;
        let gateway = Gateway::start_on(self.scratch, &url, 1, |_| ([127, 0, 0, 1], 9).into()).await?;
        gateway.pause(0).await?;
        self.under_load(gateway.public(), 202).await
    }

    async fn under_load(&self, address: SocketAddr, status: u16) -> Result<Intake, Failed> {
        // What the rounds before left is written down first, so that nobody pays for his neighbour.
        self.server.checkpoint().await?;
        let requests = Requests::for_tenants(1);
        load::run(address, &requests, status, Until::Elapsed(self.plan.warm_up)).await?;
        let before = self.server.log_bytes().await?;
        let seen = load::run(address, &requests, status, Until::Elapsed(self.plan.slice)).await?;
        let written = self.server.log_bytes().await? - before;
        #[expect(clippy::cast_precision_loss, reason = "some hundred thousand answers")]
        let log_bytes = written / seen.answers as f64;
        Ok(Intake { rate: seen.rate(), p99_millis: seen.quantile_millis(0.99), log_bytes })
    }

    /// From the first event to the last ticket, with one replica and with three.
    async fn delivery(&self) -> Result<Vec<Figure>, Failed> {
        let (mut one, mut three) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds {
            one.push(self.tickets(1).await?);
            three.push(self.tickets(REPLICAS).await?);
        }
        let against = ratios(&three, &one);
        Ok(vec![
            Figure::plain("PostgreSQL end to end: one replica", format!("{:.0} tickets/s", median(&one))),
            Figure::plain(
                format!("PostgreSQL end to end: {REPLICAS} replicas"),
                format!("{:.0} tickets/s ({})", median(&three), spread(&against)),
            )
            .ratio(median(&against))
            .target(">= 1.00 x one replica", median(&against) >= 1.0),
        ])
    }

    async fn tickets(&self, replicas: usize) -> Result<f64, Failed> {
        let (_upstream, instance) = Process::role("upstream", "0".as_ref())?;
        let of_tenant = |tenant| upstream::instance(instance, tenant);
        let mut gateways = self.replicas("delivery", replicas, DELIVERY_TENANTS, of_tenant).await?;
        let targets: Vec<SocketAddr> = gateways.iter().map(Gateway::public).collect();
        let requests = Requests::for_tenants(DELIVERY_TENANTS);
        let mut tickets = async |count: u32| {
            let expected = f64::from(counts(instance).await?.post + count);
            let began = Instant::now();
            load::run_on(&targets, &requests, 202, Until::Sent(u64::from(count))).await?;
            let first = gateways.first_mut().ok_or_else(|| Failed::new("no replica"))?;
            first.wait_until("tickets", expected, async |_| Ok(f64::from(counts(instance).await?.post))).await?;
            Ok::<_, Failed>(per_second(u64::from(count), began.elapsed()))
        };
        // Each tenant's first ticket teaches the replicas about its instance.
        tickets(u32::try_from(DELIVERY_TENANTS).unwrap_or(u32::MAX)).await?;
        self.server.checkpoint().await?;
        tickets(self.plan.tickets).await
    }

    /// What good tenants' tickets wait, without and with three bad tenants beside them.
    async fn fairness(&self) -> Result<Vec<Figure>, Failed> {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds.min(3) {
            alone.push(self.lag_of_the_good(false).await?);
            beside.push(self.lag_of_the_good(true).await?);
        }
        let against = ratios(&beside, &alone);
        let name =
            format!("p99 lag of {} good tenants beside a dead, a slow and a flooding one", self.plan.tenants - 3);
        Ok(vec![
            Figure::plain(name, format!("{:.1} -> {:.1} ms ({})", median(&alone), median(&beside), spread(&against)))
                .ratio(median(&against))
                .target("< 1.20 x without them", median(&against) < 1.2),
        ])
    }

    /// The 99th percentile of the time from an event to its ticket, in milliseconds.
    async fn lag_of_the_good(&self, with_bad: bool) -> Result<f64, Failed> {
        let (_good, good) = Process::role("upstream", "0".as_ref())?;
        let (_flooded, flooded) = Process::role("upstream", "0".as_ref())?;
        let (_slow, slow) = Process::role("upstream", "5000".as_ref())?;
        let (_dead, dead) = Process::role("upstream", "3600000".as_ref())?;
        let of_tenant = |tenant| {
            let peer = match tenant {
                DEAD => dead,
                SLOW => slow,
                FLOODING => flooded,
                _ => good,
            };
            upstream::instance(peer, tenant)
        };
        let gateways = self.replicas("fairness", REPLICAS, self.plan.tenants, of_tenant).await?;
        let targets: Vec<SocketAddr> = gateways.iter().map(Gateway::public).collect();
        let requests = Requests::timed(3, self.plan.tenants - 3);
        let bad = [DEAD, SLOW, FLOODING].map(|tenant| Requests::timed(tenant, 1));
        let warm_up = self.plan.watch / 2;
        let whole = warm_up + self.plan.watch;
        let send = |requests, rate, connections, time| load::steady(&targets, requests, (rate, connections), time);
        let measured = async {
            send(&requests, GOOD_RATE, 16, warm_up).await?;
            // What was on its way until here is not looked at.
            lags(good).await?;
            send(&requests, GOOD_RATE, 16, self.plan.watch).await?;
            // The last ones arrive as well.
            tokio::time::sleep(Duration::from_secs(2)).await;
            lags(good).await
        };
        let disturbed = async {
            if with_bad {
                let [dead, slow, flooding] = &bad;
                tokio::try_join!(
                    send(dead, BAD_RATE, 2, whole),
                    send(slow, BAD_RATE, 2, whole),
                    send(flooding, FLOOD_RATE, 8, whole)
                )?;
            }
            Ok::<_, Failed>(())
        };
        let (lags, ()) = tokio::try_join!(measured, disturbed)?;
        let last = lags.len().saturating_sub(1) * 99 / 100;
        let micros = lags.get(last).ok_or_else(|| Failed::new("no good tenant's ticket came"))?;
        Ok(f64::from(*micros) / 1_000.0)
    }

    /// Replicas on one fresh database.
    async fn replicas(
        &self,
        database: &str,
        count: usize,
        tenants: usize,
        instance: impl Fn(usize) -> SocketAddr,
    ) -> Result<Vec<Gateway>, Failed> {
        let url = self.server.database(database).await?;
        let mut replicas = Vec::with_capacity(count);
        for _ in 0..count {
            replicas.push(Gateway::start_on(self.scratch, &url, tenants, &instance).await?);
        }
        Ok(replicas)
    }
}

async fn counts(upstream: SocketAddr) -> Result<Counts, Failed> {
    asked(upstream, COUNTS_PATH).await
}

async fn lags(upstream: SocketAddr) -> Result<Vec<u32>, Failed> {
    asked(upstream, LAGS_PATH).await
}

async fn asked<T: serde::de::DeserializeOwned>(upstream: SocketAddr, path: &str) -> Result<T, Failed> {
    let answer = http::ask(upstream, "GET", path).await;
    let answer = answer.map_err(|error| Failed::io("could not ask the upstream", &error))?;
    serde_json::from_slice(&answer.body).map_err(|error| Failed::new(format!("the upstream's word: {error}")))
}
