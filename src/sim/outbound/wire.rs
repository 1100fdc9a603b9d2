//! The wire between the instance and its receiver: what gets lost, repeated and overtaken.
//!
//! Owns: the percentages and their luck. Never: the reason; a lost call looks like a broken connection to the instance.
//! Fails: it cannot; more than 100 per cent is 100. Proved by: `tests/outbound`.

use super::super::random::Random;

/// What the wire does to calls. The default does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Calls of a hundred that never arrive.
    pub drop_percent: u8,
    /// Calls of a hundred that arrive a second time, byte for byte, later.
    pub repeat_percent: u8,
    /// Calls of a hundred that are held back, so that later ones overtake them.
    pub reorder_percent: u8,
    /// Longest that a call is held, or its repetition is late, milliseconds.
    pub hold_ms_max: u64,
    /// Where the wire's luck comes from.
    pub seed: u64,
    /// Nothing arrives at all.
    pub silent: bool,
}

impl Default for Wire {
    fn default() -> Self {
        Self { drop_percent: 0, repeat_percent: 0, reorder_percent: 0, hold_ms_max: 2_000, seed: 1, silent: false }
    }
}

impl Wire {
    /// Nothing arrives.
    pub fn silence() -> Self {
        Self { silent: true, ..Self::default() }
    }

    /// Reads `drop=5,repeat=10,reorder=20,hold_ms=500,seed=7,silent`; every part may be left out.
    pub fn parse(text: &str) -> Result<Self, InvalidWire> {
        let mut wire = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let percent = || value.parse().ok().filter(|percent| *percent <= 100);
            let taken = match name {
                "drop" => percent().map(|percent| wire.drop_percent = percent),
                "repeat" => percent().map(|percent| wire.repeat_percent = percent),
                "reorder" => percent().map(|percent| wire.reorder_percent = percent),
                "hold_ms" => value.parse().ok().map(|millis| wire.hold_ms_max = millis),
                "seed" => value.parse().ok().map(|seed| wire.seed = seed),
                "silent" if value.is_empty() => {
                    wire.silent = true;
                    Some(())
                }
                _ => None,
            };
            taken.ok_or_else(|| InvalidWire(part.to_owned()))?;
        }
        Ok(wire)
    }
}

/// A part of a wire's text that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no wire: there are drop=PERCENT repeat=PERCENT reorder=PERCENT hold_ms=MS seed=N silent")]
pub struct InvalidWire(String);

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Roll {
    pub(super) dropped: bool,
    /// A copy arrives this much later, milliseconds.
    pub(super) repeated_after: Option<u64>,
    /// The call itself is held for so long, milliseconds.
    pub(super) held_for: Option<u64>,
}

/// A wire with its luck.
#[derive(Clone, Debug)]
pub(super) struct Rolling {
    pub(super) wire: Wire,
    luck: Random,
}

impl Rolling {
    pub(super) const fn of(wire: Wire) -> Self {
        Self { wire, luck: Random::seeded(wire.seed) }
    }

    /// Draws the same number of times for every call, so that turning one knob does not move the others' luck.
    pub(super) fn roll(&mut self) -> Roll {
        let Wire { drop_percent, repeat_percent, reorder_percent, hold_ms_max, silent, .. } = self.wire;
        let mut strikes = |percent: u8| self.luck.below(100) < u64::from(percent);
        let (dropped, repeated, held) = (strikes(drop_percent), strikes(repeat_percent), strikes(reorder_percent));
        let mut later = || 1_u64.saturating_add(self.luck.below(hold_ms_max));
        let (repeat_ms, hold_ms) = (later(), later());
        Roll {
            dropped: dropped || silent,
            repeated_after: repeated.then_some(repeat_ms),
            held_for: held.then_some(hold_ms),
        }
    }
}
