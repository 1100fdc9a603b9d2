//! Luck as a value: where a spread of waits is wanted, a number comes from here and goes into a pure function.

use std::cell::RefCell;

use super::entropy;

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
    let bits = bits();
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

/// `SplitMix64` (Steele, Lea, Flood 2014): one addition and a mix, good enough to spread waits.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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
}
