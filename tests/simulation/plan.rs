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

    /// The harder instance, where only look-up, settle time and mark protect.
    pub(crate) fn without_kept_sys_ids(seed: u64) -> Self {
        Self { sys_ids_kept: false, frozen: 0.0, ..Self::everything(seed) }
    }
}
