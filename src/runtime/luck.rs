//! Luck as a value: where a spread of waits is wanted, a number comes from here and goes into a pure function.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entropy;

/// What [`mix`] is stepped by: the golden ratio in 64 bits, so that no two near states look alike.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Luck of one's own, for somebody who must get the same luck again whichever thread asks.
#[derive(Debug)]
pub struct Luck(AtomicU64);

impl Luck {
    /// The same seed gives the same luck.
    pub const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number in `0.0..1.0`. Not for secrets.
    pub fn fraction(&self) -> f64 {
        fraction_of(mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP)))
    }
}

thread_local! {
    /// A small generator per thread; seeded by the machine, or by a simulation that wants its run again.
    static STATE: RefCell<Option<u64>> = const { RefCell::new(None) };
}

/// 64 bits, such as a seed for somebody else's luck. Not for secrets.
pub fn bits() -> u64 {
    STATE.with_borrow_mut(|state| next(state.get_or_insert_with(machine_seed)))
}

/// A number in `0.0..1.0`. Not for secrets.
pub fn fraction() -> f64 {
    fraction_of(bits())
}

fn fraction_of(bits: u64) -> f64 {
    // 53 bits fill the mantissa exactly, so that 1.0 is never reached.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into the mantissa")]
    let fraction = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}

/// A whole number below `bound`, evenly; 0 if `bound` is 0. Not for secrets.
pub fn below(bound: u64) -> u64 {
    // The high half of the product is even enough for spreading and choosing (Lemire 2019).
    let product = u128::from(bits()) * u128::from(bound);
    u64::try_from(product >> 64).unwrap_or(0)
}

/// Makes this thread's luck repeatable.
pub fn seed(seed: u64) {
    STATE.set(Some(seed));
}

fn machine_seed() -> u64 {
    entropy::random_bytes::<8>().map_or(0x5eed, u64::from_le_bytes)
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(STEP);
    mix(*state)
}

/// `SplitMix64` (Steele, Lea, Flood 2014): one addition and a mix, good enough to spread waits.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_luck() {
        seed(7);
        let once: Vec<_> = (0..100).map(|_| fraction()).collect();
        seed(7);
        assert_eq!(once, (0..100).map(|_| fraction()).collect::<Vec<_>>());
        assert!(once.iter().all(|luck| (0.0..1.0).contains(luck)));
        assert!(once.iter().any(|luck| *luck < 0.2) && once.iter().any(|luck| *luck > 0.8));
    }

    #[test]
    fn luck_of_ones_own_is_that_of_a_thread_with_the_same_seed() {
        seed(7);
        let own = Luck::seeded(7);
        assert!((0..100).all(|_| own.fraction().to_bits() == fraction().to_bits()));
    }
}
