//! What a run is made of, drawn from its seed.

use std::time::Duration;

use snowgate::sim::switches::FightingRule;
use snowgate::worker::Protections;

use super::people::Customs;
use super::service::Habits;

/// What a run is made of.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of an instance or a run, independent of the others")]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) protections: Protections,
    pub(crate) sys_ids_kept: bool,
    pub(crate) fenced: bool,
    /// Whether the store knows a repeat.
    pub(crate) knows_repeats: bool,
    /// How long a write without an answer is waited for.
    pub(crate) settle: Duration,
    /// A webhook names whoever saved the ticket last when it arrives, not who did what it tells.
    pub(crate) actor_is_last_writer: bool,
    /// How likely a worker is frozen, per step it takes.
    pub(crate) frozen: f64,
    /// Whether the networks misbehave and processes are killed.
    pub(crate) faulty: bool,
    /// Incidents that the managed service raises.
    pub(crate) lives: usize,
    pub(crate) customs: Customs,
    pub(crate) habits: Habits,
    /// Webhooks say no more than which ticket.
    pub(crate) hints: bool,
    /// The instance does not call for what we did ourselves.
    pub(crate) skips_user: bool,
    /// Whether the tenant's file says who we are there.
    pub(crate) user_known: bool,
    /// The instance does not show who updated a record, so that nobody learns who we are.
    pub(crate) user_hidden: bool,
    /// A rule saves every ticket again.
    pub(crate) resaved: bool,
    /// A rule that sets a column back; then nothing is asked of the run but that it ends.
    pub(crate) fighting_rule: Option<FightingRule>,
    /// A rule strips the last line of every comment that comes in by REST.
    pub(crate) strips_footers: bool,
    /// No webhook arrives until the people are done.
    pub(crate) silent: bool,
    pub(crate) sweeps: bool,
    pub(crate) sweep_every: Duration,
    /// The time within which incidents begin.
    pub(crate) spread: Duration,
    /// How long the networks misbehave.
    pub(crate) faulty_for: Duration,
    /// How often somebody looks who has nothing to do: workers at most, and the wire of the instance.
    pub(crate) looks_every: (Duration, Duration),
    /// Seconds after which a process is killed, at least and at most.
    pub(crate) killed_after: (f64, f64),
}

impl Plan {
    /// Everything on; the seed decides what kind of instance and of managed service it meets.
    pub(crate) fn everything(seed: u64) -> Self {
        let one_in = |count: u64, rest: u64| seed % count == rest;
        let silent = one_in(10, 7);
        let within = Duration::from_mins(if silent { 60 } else { 9 });
        let customs = Customs {
            acts: 24,
            within,
            opens: if one_in(3, 0) {
                0
            } else if one_in(3, 1) {
                1
            } else {
                2
            },
            ends: one_in(4, 1),
            silent_edits: one_in(5, 3),
        };
        let habits = Habits {
            answers_percent: 30,
            echoes_comments: one_in(5, 2),
            repeats_states: one_in(4, 3),
            insists_on: None,
        };
        Self {
            seed,
            protections: Protections::ALL,
            sys_ids_kept: seed.is_multiple_of(2),
            fenced: true,
            knows_repeats: true,
            settle: Duration::from_secs(150),
            actor_is_last_writer: false,
            frozen: if seed.is_multiple_of(3) { 0.002 } else { 0.0 },
            faulty: true,
            lives: 4,
            customs,
            habits,
            hints: one_in(3, 1),
            skips_user: one_in(4, 0) || one_in(4, 1),
            user_known: one_in(5, 0),
            user_hidden: false,
            resaved: one_in(6, 5),
            fighting_rule: None,
            strips_footers: false,
            silent,
            sweeps: true,
            sweep_every: Duration::from_mins(5),
            spread: Duration::ZERO,
            faulty_for: Duration::from_mins(10),
            looks_every: (Duration::from_secs(30), Duration::from_secs(1)),
            killed_after: (20.0, 120.0),
        }
    }

    /// A day of one customer: so many incidents from midnight to midnight, people at work, faults all day, and a process
    /// that dies every few hours.
    pub(crate) fn day(seed: u64, lives: usize) -> Self {
        let day = Duration::from_hours(24);
        let everything = Self::everything(seed);
        let acts = u32::try_from(lives).unwrap();
        Self {
            lives,
            customs: Customs { acts, within: day, opens: acts / 20, ..everything.customs },
            silent: false,
            // Most processes are never frozen; a third of the tenants meet some that are.
            frozen: everything.frozen / 20.0,
            sweep_every: Duration::from_hours(1),
            spread: day,
            faulty_for: day,
            looks_every: (Duration::from_mins(4), Duration::from_secs(20)),
            killed_after: (3_600.0, 4.0 * 3_600.0),
            ..everything
        }
    }

    /// Networks that work, a plain instance that calls for everything, and nobody who deletes: what goes wrong here is an
    /// echo.
    pub(crate) fn calm(seed: u64) -> Self {
        let within = Duration::from_mins(9);
        let customs = Customs { acts: 12, within, opens: 0, ends: false, silent_edits: false };
        let habits = Habits { answers_percent: 50, ..Habits::default() };
        Self {
            faulty: false,
            frozen: 0.0,
            lives: 2,
            customs,
            habits,
            hints: false,
            skips_user: false,
            user_known: true,
            resaved: false,
            silent: false,
            ..Self::everything(seed)
        }
    }

    /// Nobody but the managed service, and it only when it is told to: for scenes with one fault.
    pub(crate) fn alone(seed: u64, sys_ids_kept: bool) -> Self {
        let customs = Customs { acts: 0, ..Self::calm(seed).customs };
        Self { lives: 0, customs, sys_ids_kept, ..Self::calm(seed) }
    }

    /// The harder instance, where only look-up, settle time and mark protect.
    pub(crate) fn without_kept_sys_ids(seed: u64) -> Self {
        Self { sys_ids_kept: false, frozen: 0.0, ..Self::everything(seed) }
    }
}
