//! Small, deterministic luck: what the tests choose differs by seed and is the same at every run.

/// The generator known as `SplitMix64`.
pub(super) struct Luck(u64);

impl Luck {
    pub(super) const fn of_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `most`.
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % most as u64).expect("below `most`")
    }

    /// One of these.
    pub(super) fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }
}
