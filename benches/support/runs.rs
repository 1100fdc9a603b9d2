//! The comparisons: who runs against whom, for how long, and what is made of it.
//!
//! Owns: rounds (A B A B, so that the noise of a shared machine hits both), and the targets. Every measurement starts
//! its process anew in a fresh directory, so no round inherits another's files, caches or backlog.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Failed;
use super::event::{self, Requests};
use super::figures::{Figure, median, median_ratio};
use super::files::{self, CAME_PATH, Came};
use super::gateway::{Gateway, SQLITE, dead_address};
use super::http;
use super::load::{self, Seen, Until, per_second};
use super::process::Process;
use super::upstream::{self, COUNTS_PATH, Counts};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rounds of every comparison.
    pub(crate) rounds: usize,
    /// One measurement under load.
    pub(crate) slice: Duration,
    /// Load before it, not counted: pools fill, files grow.
    pub(crate) warm_up: Duration,
    /// Incidents of one end-to-end round.
    pub(crate) tickets: u32,
    /// Deliveries that wait while the instance is down.
    pub(crate) backlog: u32,
    /// How long memory is watched after that.
    pub(crate) watch: Duration,
}

/// Tenants of the end-to-end run. One tenant may not call its instance more than a hundred times a second; the work is
/// spread so thin that no tenant's pace is the bottleneck.
const END_TO_END_TENANTS: usize = 200;
/// Tenants loaded when idle memory is measured.
const IDLE_TENANTS: usize = 1_000;
/// Time for a start's own garbage to be given back before memory is read.
const IDLE_WAIT: Duration = Duration::from_secs(3);

/// Between two looks at a process's memory.
const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(250);

/// A file that costs nothing but what any file costs.
const SMALL_FILE_BYTES: u64 = 1_024;
/// A hundred megabytes.
const LARGE_FILE_BYTES: u64 = 100 * 1_024 * 1_024;
/// Between two looks at a process's memory while a file passes.
const FILE_LOOK_EVERY: Duration = Duration::from_millis(10);
/// A file that takes longer will not come.
const FILE_WAIT: Duration = Duration::from_secs(90);

const DELIVERED: &str = "snowgate_deliveries_delivered_total";
const PARKED: &str = "snowgate_deliveries_parked_total";
const BACKLOG: &str = "snowgate_backlog_deliveries";

/// What runs: the plan, and where files may be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) plan: Plan,
    pub(crate) scratch: &'a Path,
}

impl Bench<'_> {
    /// The references alone: what the machine and the harness can do at all.
    pub(crate) async fn references(&self) -> Result<Vec<Figure>, Failed> {
        let (mut ceiling, mut handler, mut durable, mut proxy) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds {
            ceiling.push(self.bare_upstream().await?);
            handler.push(self.bare_handler().await?);
            durable.push(self.bare_durable().await?);
            proxy.push(self.bare_proxy().await?.0);
        }
        let of = |name: &str, seen: &[Seen]| {
            Figure::plain(name, speed(seen)).ratio(median_ratio(&rates(seen), &rates(&ceiling)))
        };
        Ok(vec![
            of("load generator against the bare upstream", &ceiling),
            of("bare handler", &handler),
            of("bare durable", &durable),
            of("bare reverse proxy", &proxy),
        ])
    }

    /// Intake: how much of the floor's speed is left when events are authenticated, ordered and stored in a database.
    pub(crate) async fn intake(&self) -> Result<Vec<Figure>, Failed> {
        let (mut durable, mut gateway, mut webhooks, mut handler) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds {
            durable.push(self.bare_durable().await?);
            gateway.push(self.paused_gateway(&Requests::for_tenants(1)).await?);
            webhooks.push(self.paused_gateway(&Requests::webhooks()).await?);
            handler.push(self.bare_handler().await?);
        }
        let speed_ratio = median_ratio(&rates(&gateway), &rates(&durable));
        let tail_ratio = median_ratio(&tails(&gateway), &tails(&durable));
        let tail = format!("{:.1} ms", median(&tails(&gateway)));
        let webhook_ratio = median_ratio(&rates(&webhooks), &rates(&gateway));
        Ok(vec![
            Figure::plain("bare handler (no disk), for orientation", speed(&handler)),
            Figure::plain("bare durable: parse, append, group fdatasync", speed(&durable)),
            Figure::plain("durable intake: gateway, tenant paused", speed(&gateway))
                .ratio(speed_ratio)
                .target(">= 0.60 x bare durable", speed_ratio >= 0.6),
            Figure::plain("durable intake: p99", tail)
                .ratio(tail_ratio)
                .target("<= 3.00 x bare durable", tail_ratio <= 3.0),
            Figure::plain("webhook intake: ServiceNow's, signed", speed(&webhooks))
                .ratio(webhook_ratio)
                .target(">= 0.90 x event intake", webhook_ratio >= 0.9),
        ])
    }

    /// End to end: from the first event to the last settled ticket, against a proxy that keeps no promise.
    pub(crate) async fn end_to_end(&self) -> Result<Vec<Figure>, Failed> {
        let (_upstream, instance) = Process::role("upstream", "".as_ref())?;
        let of_tenant = |tenant| upstream::instance(instance, tenant);
        let mut gateway = Gateway::start_on(self.scratch, SQLITE, END_TO_END_TENANTS, of_tenant).await?;
        let requests = Requests::for_tenants(END_TO_END_TENANTS);
        // Every tenant's first ticket teaches the gateway how its instance treats a chosen sys_id. That is once in a
        // lifetime, so it is not part of the price of a ticket.
        let first = u32::try_from(END_TO_END_TENANTS).expect("a small constant");
        tickets(&mut gateway, instance, &requests, first).await?;
        let (mut proxy, mut settled, mut calls, mut micros) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut proxy_micros = Vec::new();
        for _ in 0..self.plan.rounds {
            let (seen, micros_each) = self.bare_proxy().await?;
            proxy.push(seen);
            proxy_micros.push(micros_each);
            let before = gateway.process().processor_time()?;
            let round = tickets(&mut gateway, instance, &requests, self.plan.tickets).await?;
            let used = gateway.process().processor_time()?.saturating_sub(before);
            settled.push(per_second(u64::from(self.plan.tickets), round.took));
            calls.push(round.calls / f64::from(self.plan.tickets));
            micros.push(used.as_secs_f64() * 1e6 / f64::from(self.plan.tickets));
        }
        let (rate, ratio, price) = (median(&settled), median_ratio(&settled, &rates(&proxy)), median(&calls));
        Ok(vec![
            Figure::plain("bare reverse proxy", speed(&proxy)),
            Figure::plain("end to end: event to settled ticket", format!("{rate:.0} tickets/s"))
                .ratio(ratio)
                .target(">= 0.40 x bare reverse proxy", ratio >= 0.4),
            Figure::plain("end to end: tickets per second", format!("{rate:.0} tickets/s"))
                .target(">= 5000 tickets/s", rate >= 5_000.0),
            Figure::plain(
                "processor time: of the gateway per ticket, of the proxy per request",
                format!("{:.0} us, {:.0} us", median(&micros), median(&proxy_micros)),
            )
            .ratio(median_ratio(&micros, &proxy_micros)),
            Figure::plain("calls to the instance per new ticket", format!("{price:.3}"))
                .target("<= 1.05", price <= 1.05),
        ])
    }

    /// Memory of a gateway that has nothing to do for many tenants.
    pub(crate) async fn idle_memory(&self) -> Result<Figure, Failed> {
        let mut gateway = Gateway::start(self.scratch, IDLE_TENANTS, dead_address()?).await?;
        tokio::time::sleep(IDLE_WAIT).await;
        let mib = gateway.process().resident_mib()?;
        Ok(Figure::plain(format!("memory, idle, {IDLE_TENANTS} tenants"), format!("{mib:.1} MiB"))
            .target("<= 60 MiB", mib <= 60.0))
    }

    /// Memory of a gateway whose one instance is down while events keep coming: it must not depend on what waits.
    pub(crate) async fn backlog_memory(&self) -> Result<Vec<Figure>, Failed> {
        let mut gateway = Gateway::start(self.scratch, 1, dead_address()?).await?;
        let requests = Requests::for_tenants(1);
        let half = u64::from(self.plan.backlog / 2);
        load::run(gateway.public(), &requests, 202, Until::Sent(half)).await?;
        let at_half = gateway.process().resident_mib()?;
        load::run(gateway.public(), &requests, 202, Until::Sent(half)).await?;
        gateway.wait_for(BACKLOG, f64::from(self.plan.backlog)).await?;
        let watched = Instant::now();
        let at_end = gateway.process().resident_mib()?;
        let mut peak = at_end;
        while watched.elapsed() < self.plan.watch {
            tokio::time::sleep(MEMORY_LOOK_EVERY).await;
            peak = peak.max(gateway.process().resident_mib()?);
        }
        let growth = peak / at_end;
        let name = format!("memory, {} deliveries waiting, instance down", self.plan.backlog);
        Ok(vec![
            Figure::plain("memory, half of them waiting, for orientation", format!("{at_half:.1} MiB")),
            Figure::plain(name, format!("{peak:.1} MiB")).target("<= 100 MiB", peak <= 100.0),
            Figure::plain("memory, while they go on waiting", format!("{at_end:.1} -> {peak:.1} MiB"))
                .ratio(growth)
                .target("<= 1.10 x (flat)", growth <= 1.1),
        ])
    }

    /// Memory while a large file passes, each way: it must not depend on the file.
    pub(crate) async fn files(&self) -> Result<Vec<Figure>, Failed> {
        let (_peers, peers) = Process::role("files", "".as_ref())?;
        let mut gateway = Gateway::start_with_files(self.scratch, peers).await?;
        let mut figures = Vec::new();
        for (name, inwards) in [("to ServiceNow", true), ("to the managed service", false)] {
            // Everything that is set up once is there before the first look.
            pass(&mut gateway, peers, inwards, SMALL_FILE_BYTES).await?;
            let before = gateway.process().resident_mib()?;
            let (peak, took) = pass(&mut gateway, peers, inwards, LARGE_FILE_BYTES).await?;
            let more = peak - before;
            let speed = 100.0 / took.as_secs_f64();
            figures.push(
                Figure::plain(
                    format!("memory, a file of 100 MiB {name}"),
                    format!("{before:.1} -> {peak:.1} MiB, {speed:.0} MiB/s"),
                )
                .ratio(peak / before)
                .target("< 20 MiB more", more < 20.0),
            );
        }
        Ok(figures)
    }

    async fn bare_upstream(&self) -> Result<Seen, Failed> {
        let (_process, address) = Process::role("upstream", "".as_ref())?;
        self.under_load(address, 201).await
    }

    async fn bare_handler(&self) -> Result<Seen, Failed> {
        let (_process, address) = Process::role("handler", "".as_ref())?;
        self.under_load(address, 202).await
    }

    async fn bare_durable(&self) -> Result<Seen, Failed> {
        let directory = tempfile::tempdir_in(self.scratch);
        let directory = directory.map_err(|error| Failed::io("could not create a directory", &error))?;
        let (_process, address) = Process::role("durable", directory.path().as_os_str())?;
        self.under_load(address, 202).await
    }

    /// With the processor time of each request, in microseconds.
    async fn bare_proxy(&self) -> Result<(Seen, f64), Failed> {
        let (_upstream, upstream) = Process::role("upstream", "".as_ref())?;
        let (mut process, address) = Process::role("proxy", upstream.to_string().as_ref())?;
        let requests = Requests::for_tenants(1);
        load::run(address, &requests, 201, Until::Elapsed(self.plan.warm_up)).await?;
        let before = process.processor_time()?;
        let seen = load::run(address, &requests, 201, Until::Elapsed(self.plan.slice)).await?;
        let used = process.processor_time()?.saturating_sub(before);
        let micros = used.as_secs_f64() / seen.took.as_secs_f64() * 1e6 / seen.rate();
        Ok((seen, micros))
    }

    async fn paused_gateway(&self, requests: &Requests) -> Result<Seen, Failed> {
        let (_upstream, instance) = Process::role("upstream", "".as_ref())?;
        let gateway = Gateway::start(self.scratch, 1, instance).await?;
        gateway.pause(0).await?;
        let seen = self.under_load_of(gateway.public(), requests, 202).await?;
        match counts(instance).await?.all() {
            0 => Ok(seen),
            calls => Err(Failed::new(format!("{calls} calls to the instance of a paused tenant"))),
        }
    }

    async fn under_load(&self, address: std::net::SocketAddr, expected: u16) -> Result<Seen, Failed> {
        self.under_load_of(address, &Requests::for_tenants(1), expected).await
    }

    async fn under_load_of(
        &self,
        address: std::net::SocketAddr,
        requests: &Requests,
        expected: u16,
    ) -> Result<Seen, Failed> {
        load::run(address, requests, expected, Until::Elapsed(self.plan.warm_up)).await?;
        load::run(address, requests, expected, Until::Elapsed(self.plan.slice)).await
    }
}

/// Passes one file, and gives the most memory that the gateway had meanwhile, in MiB, and how long it took.
async fn pass(
    gateway: &mut Gateway,
    peers: std::net::SocketAddr,
    inwards: bool,
    bytes: u64,
) -> Result<(f64, Duration), Failed> {
    let came = async || -> Result<Came, Failed> {
        let answer = http::ask(peers, "GET", CAME_PATH).await;
        let answer = answer.map_err(|error| Failed::io("could not ask what came", &error))?;
        serde_json::from_slice(&answer.body).map_err(|error| Failed::new(format!("what came is not said: {error}")))
    };
    let passed = |came: &Came| if inwards { came.attached } else { came.called_back };
    let before = came().await?;
    let request = if inwards {
        event::with_file(&files::shelf(peers, bytes))
    } else {
        event::of_file(&before.linked, &files::attachment(bytes))
    };
    let started = Instant::now();
    let status = http::send(gateway.public(), request.as_bytes()).await;
    let status = status.map_err(|error| Failed::io("could not send", &error))?;
    if status != 202 {
        return Err(Failed::new(format!("a file was answered with {status}")));
    }
    let mut peak: f64 = 0.0;
    while passed(&came().await?) < passed(&before) + bytes {
        peak = peak.max(gateway.process().resident_mib()?);
        if started.elapsed() > FILE_WAIT {
            return Err(Failed::new(format!("the file did not come\n{}", gateway.process().last_words())));
        }
        tokio::time::sleep(FILE_LOOK_EVERY).await;
    }
    let took = started.elapsed();
    Ok((peak.max(gateway.process().resident_mib()?), took))
}

/// One end-to-end round.
#[derive(Debug)]
struct Round {
    took: Duration,
    calls: f64,
}

/// Sends `count` events and waits until each is a settled ticket.
async fn tickets(
    gateway: &mut Gateway,
    instance: std::net::SocketAddr,
    requests: &Requests,
    count: u32,
) -> Result<Round, Failed> {
    let (before, delivered) = (counts(instance).await?, gateway.metric(DELIVERED).await?);
    let started = Instant::now();
    load::run(gateway.public(), requests, 202, Until::Sent(u64::from(count))).await?;
    // The upstream's counts are cheap to read, the gateway's metrics are not; so they are asked for only at the end.
    let expected = f64::from(before.post + count);
    gateway.wait_until("tickets", expected, async |_| Ok(f64::from(counts(instance).await?.post))).await?;
    gateway.wait_for(DELIVERED, delivered + f64::from(count)).await?;
    let took = started.elapsed();
    let after = counts(instance).await?;
    if after.post - before.post != count {
        return Err(Failed::new(format!("{count} incidents made {} tickets", after.post - before.post)));
    }
    if gateway.metric(PARKED).await? > 0.0 {
        return Err(Failed::new(format!("deliveries were parked\n{}", gateway.process().last_words())));
    }
    Ok(Round { took, calls: f64::from(after.all() - before.all()) })
}

async fn counts(instance: std::net::SocketAddr) -> Result<Counts, Failed> {
    let answer = http::ask(instance, "GET", COUNTS_PATH).await;
    let answer = answer.map_err(|error| Failed::io("could not ask the upstream", &error))?;
    serde_json::from_slice(&answer.body).map_err(|error| Failed::new(format!("the upstream's counts: {error}")))
}

fn rates(seen: &[Seen]) -> Vec<f64> {
    seen.iter().map(Seen::rate).collect()
}

fn tails(seen: &[Seen]) -> Vec<f64> {
    seen.iter().map(|seen| seen.quantile_millis(0.99)).collect()
}

/// Medians over the rounds.
fn speed(seen: &[Seen]) -> String {
    let middle: Vec<f64> = seen.iter().map(|seen| seen.quantile_millis(0.5)).collect();
    format!("{:.0}/s, p50 {:.1} ms, p99 {:.1} ms", median(&rates(seen)), median(&middle), median(&tails(seen)))
}
