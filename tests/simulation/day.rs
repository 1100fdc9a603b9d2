//! The whole day of a large estate on simulated time: tenants by the thousand, each with its instance, its people, its faults
//! and its dying processes; every tenant's day is judged as it ends, and then forgotten, so that memory stays small.
//!
//! Tenants share nothing but processes, so each is played in a world of its own; as many at once as there are processors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use snowgate::history::Verdict;

use super::judge;
use super::plan::Plan;
use super::run::lived;

/// How large the estate is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estate {
    pub(crate) seed: u64,
    pub(crate) tenants: u64,
    /// Incidents that the managed service raises, over all tenants.
    pub(crate) incidents: u64,
    pub(crate) threads: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Day {
    pub(crate) incidents: u64,
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    pub(crate) tickets: u64,
    pub(crate) texts: u64,
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    pub(crate) found: [u64; 5],
    /// What was wrong, with the seed of the tenant's day.
    pub(crate) violations: Vec<String>,
    pub(crate) took: Duration,
}

impl Estate {
    /// Plays every tenant's day.
    #[expect(clippy::disallowed_methods, reason = "what a simulated day costs is told in real time")]
    pub(crate) fn play(self) -> Day {
        let begun = Instant::now();
        let next = AtomicU64::new(0);
        let work = || {
            let tenants = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            tenants.take_while(|tenant| *tenant < self.tenants).fold(Day::default(), |mut sum, tenant| {
                sum.add(self.day_of(tenant));
                sum
            })
        };
        let mut sum = Day::default();
        thread::scope(|threads| {
            let mut workers = Vec::new();
            workers.extend((0..self.threads).map(|_| threads.spawn(work)));
            for worker in workers {
                sum.add(worker.join().unwrap());
            }
        });
        Day { took: begun.elapsed(), ..sum }
    }

    fn day_of(self, tenant: u64) -> Day {
        let (share, rest) = (self.incidents / self.tenants, self.incidents % self.tenants);
        let lives = share + u64::from(tenant < rest);
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(tenant);
        lived(&Plan::day(seed, usize::try_from(lives).unwrap()), |world, wrong| {
            let verdicts = judge::verdicts(world);
            let log = world.network.log.lock().unwrap();
            Day {
                incidents: lives,
                events: verdicts.counts.acknowledged,
                deliveries: verdicts.counts.recorded,
                tickets: verdicts.counts.tickets,
                texts: verdicts.counts.texts,
                calls: log.len() as u64,
                faults: log.iter().filter(|call| call.fate != "normal").count() as u64,
                found: Verdict::ALL.map(|verdict| verdicts.count(verdict)),
                violations: wrong.into_iter().map(|line| format!("tenant {tenant}, seed {seed}: {line}")).collect(),
                took: Duration::ZERO,
            }
        })
    }
}

impl Day {
    fn add(&mut self, other: Self) {
        self.incidents += other.incidents;
        self.events += other.events;
        self.deliveries += other.deliveries;
        self.tickets += other.tickets;
        self.texts += other.texts;
        self.calls += other.calls;
        self.faults += other.faults;
        self.found.iter_mut().zip(other.found).for_each(|(sum, count)| *sum += count);
        self.violations.extend(other.violations);
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { incidents, events, deliveries, tickets, texts, calls, faults, found, violations: _, took } = self;
        write!(
            f,
            "{incidents} incidents, {events} events, {deliveries} deliveries, {tickets} tickets, {texts} texts, "
        )?;
        write!(f, "{calls} calls of which {faults} met a fault")?;
        for (verdict, count) in Verdict::ALL.iter().zip(found) {
            write!(f, ", {count} {}", verdict.as_str())?;
        }
        write!(f, "; {:.1} s", took.as_secs_f64())
    }
}
