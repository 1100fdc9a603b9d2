//! Seeded luck: the same seed gives the same run.
//!
//! Owns: the generator and the ids made from it. Never: asks the machine for entropy. Fails: it cannot.
//! Not for secrets: tokens made here only open a simulator. Proved by: the tests below.

/// A small generator with one word of state (`SplitMix64`, public domain), enough for ids and fault rolls.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; the bias of the remainder is irrelevant for per-mille rolls.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// 32 hex digits: the form of a `sys_id`.
    pub(super) fn hex32(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// An opaque token of 86 characters, the usual length of an access token (facts/servicenow 4.1).
    pub(super) fn token(&mut self) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..86)
            .map(|_| ALPHABET.get(usize::try_from(self.below(64)).unwrap_or(0)).map_or('A', |b| char::from(*b)))
            .collect()
    }
}

/// The `sys_id` of a seeded record: depends on its name alone, so documentation and tests may quote it.
pub(super) fn sys_id_of(name: &str) -> String {
    // FNV-1a folds the name into a seed; `SplitMix64` spreads it over 128 bits.
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Random::seeded(seed).hex32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let (mut one, mut two) = (Random::seeded(7), Random::seeded(7));
        assert_eq!((one.hex32(), one.token()), (two.hex32(), two.token()));
        assert_ne!(Random::seeded(8).hex32(), Random::seeded(7).hex32());
    }

    #[test]
    fn ids_and_tokens_have_the_usual_form() {
        let id = sys_id_of("sys_user:snowgate");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(Random::seeded(1).token().len(), 86);
    }
}
