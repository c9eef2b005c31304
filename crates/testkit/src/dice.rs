//! Numbers that look random and are the same for the same seed.

/// `SplitMix64` (Steele, Lea and Flood 2014): enough for tests, and nothing else.
///
/// ```
/// let mut dice = testkit::Dice::new(7);
/// assert_eq!(dice.below(6), testkit::Dice::new(7).below(6));
/// ```
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Numbers of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below a limit; 0 when the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        usize::try_from(self.roll() % limit).unwrap_or(0)
    }
}
