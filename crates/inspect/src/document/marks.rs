//! The places of three bytes in a document, in order.

use crate::lanes::{WIDTH, any_of, digits_and_signs};
use crate::quick::{FEW_BYTES, FEW_DIGITS};

/// Walks the places of quotation marks, backslashes and line ends.
pub(super) struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the block of `mask` begins, and where the next one does.
    base: usize,
    next: usize,
    mask: u64,
    of: [u8; 3],
    /// Of the same block.
    digits: u64,
    signs: u64,
}

impl<'a> Marks<'a> {
    pub(super) fn new(bytes: &'a [u8], of: [u8; 3]) -> Self {
        Self { bytes, base: 0, next: 0, mask: 0, of, digits: 0, signs: 0 }
    }

    /// True if `start..end`, which ends at the last mark, is short, lies in one block with it, and has few digits and
    /// no sign of anything: most values are told so.
    #[inline]
    pub(super) fn is_plain(&self, start: usize, end: usize) -> bool {
        let len = end.saturating_sub(start);
        if start < self.base || len >= FEW_BYTES || end >= self.next {
            return false;
        }
        let bits = ((1_u64 << len) - 1) << (start - self.base);
        self.signs & bits == 0 && (self.digits & bits).count_ones() < FEW_DIGITS
    }

    /// Passes over what stands before `at`.
    #[inline]
    pub(super) fn skip_to(&mut self, at: usize) {
        if at >= self.next {
            (self.mask, self.next) = (0, at);
        } else if at > self.base {
            self.mask &= u64::MAX << (at - self.base);
        }
    }
}

impl Iterator for Marks<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.mask == 0 && !self.refill() {
            return None;
        }
        let at = self.base + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }
}

impl Marks<'_> {
    /// Goes on to the next block that has a mark; false if there is none.
    #[inline(never)]
    fn refill(&mut self) -> bool {
        let [a, b, c] = self.of;
        while self.mask == 0 {
            let rest = self.bytes.get(self.next..).unwrap_or_default();
            self.base = self.next;
            if let Some(block) = rest.first_chunk::<WIDTH>() {
                self.mask = any_of(block, a, b, c);
                (self.digits, self.signs) = digits_and_signs(block);
                self.next += WIDTH;
            } else if rest.is_empty() {
                return false;
            } else {
                let mut block = [0; WIDTH];
                for (place, b) in block.iter_mut().zip(rest) {
                    *place = *b;
                }
                let valid = u64::MAX >> (WIDTH - rest.len());
                self.mask = any_of(&block, a, b, c) & valid;
                (self.digits, self.signs) = digits_and_signs(&block);
                self.next += rest.len();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_at_every_place_and_can_be_passed_over() {
        for len in 0..200_usize {
            let bytes: Vec<u8> = (0..len).map(|at| if at % 7 == 0 { b'"' } else { b'a' }).collect();
            let all: Vec<usize> = Marks::new(&bytes, *b"\"\\\n").collect();
            assert_eq!(all, (0..len).step_by(7).collect::<Vec<_>>());
            let mut marks = Marks::new(&bytes, *b"\"\\\n");
            let _ = marks.next();
            marks.skip_to(65);
            assert_eq!(marks.next(), (70 < len).then_some(70));
        }
    }
}
