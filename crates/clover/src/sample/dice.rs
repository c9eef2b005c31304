//! Seeded choices: the one place where the sample draws anything.

use rand::{Rng, RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// What a stream of choices is for; each person has one stream for each, so that none disturbs another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// Name, birth date, user name: what other people's files may mention.
    Identity = 0,
    /// The other facts of [`super::Person`].
    Facts = 1,
    /// The long lists of the file.
    Activity = 2,
}

/// A source of choices that depends on seed, person and stream alone.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, index: u64, stream: Stream) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index.wrapping_mul(4).wrapping_add(stream as u64));
        Self(rng)
    }

    /// For the crate `fake`, which draws by itself.
    pub(super) fn rng(&mut self) -> &mut impl Rng {
        &mut self.0
    }

    /// A number from `0` to `end - 1`; `0` if `end` is `0`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// A number from `from` to `to`, both included.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the texts; the empty text if there are none.
    pub(super) fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items.choose(&mut self.0).copied().unwrap_or_default()
    }

    /// `count` decimal digits.
    pub(super) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| self.digit()).collect()
    }

    /// `count` hexadecimal digits in lower case.
    pub(super) fn hex(&mut self, count: usize) -> String {
        (0..count).filter_map(|_| char::from_digit(u32::try_from(self.below(16)).ok()?, 16)).collect()
    }

    /// The pattern with every `#` replaced by a digit and every `@` by a letter.
    pub(super) fn fill(&mut self, pattern: &str) -> String {
        let fill = |place: char| match place {
            '#' => self.digit(),
            '@' => self.letter(),
            other => other,
        };
        pattern.chars().map(fill).collect()
    }

    /// A UUID of version 4 in lower case.
    pub(super) fn uuid(&mut self) -> String {
        let variant = self.pick(&["8", "9", "a", "b"]);
        let (a, b, c, d, e) = (self.hex(8), self.hex(4), self.hex(3), self.hex(3), self.hex(12));
        format!("{a}-{b}-4{c}-{variant}{d}-{e}")
    }

    pub(super) fn digit(&mut self) -> char {
        u32::try_from(self.below(10)).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('0')
    }

    /// A capital letter that cannot be taken for a digit.
    pub(super) fn letter(&mut self) -> char {
        self.pick(&["A", "C", "D", "E", "F", "H", "J", "K", "N", "P", "R", "T", "V", "W", "X", "Y"])
            .chars()
            .next()
            .unwrap_or('A')
    }
}
