//! Values that stay as they are and follow each other: an identifier may be cut into them.
//!
//! When the last part is met the first has been written. So a payload in which one is found is walked again, and then each
//! part is masked.

use inspect::{Kind, Parts, Rule};

/// Joins the values of a payload, in their order.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    parts: Parts,
    series: Option<u16>,
    /// How many values there were, this one included.
    values: usize,
    found: Vec<(usize, Rule)>,
    /// What the walk before has found, in order, and how many of them have been met.
    masked: Vec<(usize, Rule)>,
    met: usize,
}

impl Joined {
    /// The same for another walk, which masks what this one has found; `None` if that is nothing.
    pub(crate) fn again(self) -> Option<Self> {
        (!self.found.is_empty()).then(|| Self { masked: self.found, ..Self::default() })
    }

    /// Which values have a part of what was found, counted from 1, each with the rule that fired.
    pub(super) fn found(self) -> Vec<(usize, Rule)> {
        self.found
    }

    /// Steps to the next value, and says by which rule it is masked, if it is.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Rule> {
        self.values += 1;
        let (_, rule) = self.masked.get(self.met).filter(|(value, _)| *value == self.values)?;
        self.met += 1;
        Some(*rule)
    }

    /// What comes is no part of what was.
    #[inline]
    pub(super) fn clear(&mut self) {
        if self.series.take().is_some() {
            self.parts.clear();
        }
    }

    /// Adds the value that was stepped to, of a field that belongs to `series` and may hold what is `expected`.
    pub(super) fn push(&mut self, series: u16, text: &[u8], expected: impl Fn(Kind) -> bool) {
        if self.series.replace(series) != Some(series) {
            self.parts.clear();
        }
        if let Some(cut) = self.parts.push(text, self.values)
            && !expected(cut.finding.kind)
        {
            self.found.extend(cut.pieces.iter().map(|piece| (piece.tag, cut.finding.rule)));
        }
    }
}
