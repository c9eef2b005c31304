//! The places of three bytes in a document, in order.

use crate::lanes::{Block, Lanes, WIDTH, Work};
use crate::quick::{FEW_BYTES, FEW_DIGITS};

/// Walks the places of quotation marks, backslashes and line ends.
pub(super) struct Marks<'a, L> {
    lanes: L,
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

impl<'a, L: Lanes> Marks<'a, L> {
    #[inline(always)]
    pub(super) fn new(lanes: L, bytes: &'a [u8], of: [u8; 3]) -> Self {
        Self { lanes, bytes, base: 0, next: 0, mask: 0, of, digits: 0, signs: 0 }
    }

    /// True if `start..end`, which ends at the last mark, is short, lies in one block with it, and has few digits and
    /// no sign of anything: most values are told so.
    #[inline(always)]
    pub(super) fn is_plain(&self, start: usize, end: usize) -> bool {
        let len = end.saturating_sub(start);
        if start < self.base || len >= FEW_BYTES || end >= self.next {
            return false;
        }
        let bits = ((1_u64 << len) - 1) << (start - self.base);
        self.signs & bits == 0 && (self.digits & bits).count_ones() < FEW_DIGITS
    }

    /// How many digits stand at `start`, as far as the block of the last mark tells.
    #[inline(always)]
    pub(super) fn digits(&self, start: usize) -> usize {
        match start.checked_sub(self.base) {
            Some(place) if start < self.next => (self.digits >> place).trailing_ones() as usize,
            _ => 0,
        }
    }

    /// Passes over what stands before `at`.
    #[inline(always)]
    pub(super) fn skip_to(&mut self, at: usize) {
        if at >= self.next {
            (self.mask, self.next) = (0, at);
        } else if at > self.base {
            self.mask &= u64::MAX << (at - self.base);
        }
    }

    /// Goes on to the next block that has a mark; false if there is none.
    #[inline(always)]
    fn refill(&mut self) -> bool {
        while self.mask == 0 {
            let rest = self.bytes.get(self.next..).unwrap_or_default();
            self.base = self.next;
            let block = if let Some(window) = rest.first_chunk::<WIDTH>() {
                self.next += WIDTH;
                self.lanes.block(window, self.of)
            } else if rest.is_empty() {
                return false;
            } else {
                self.next += rest.len();
                self.lanes.call(Last(rest, self.of))
            };
            (self.mask, self.digits, self.signs) = (block.marks, block.digits, block.signs);
        }
        true
    }
}

impl<L: Lanes> Iterator for Marks<'_, L> {
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

/// The end of the document, which is shorter than a block.
struct Last<'a>(&'a [u8], [u8; 3]);

impl Work for Last<'_> {
    type Out = Block;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Block {
        let mut window = [0; WIDTH];
        for (place, b) in window.iter_mut().zip(self.0) {
            *place = *b;
        }
        let block = lanes.block(&window, self.1);
        let valid = u64::MAX >> (WIDTH - self.0.len());
        Block { marks: block.marks & valid, ..block }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::widest;

    struct EverySeventh(usize);

    impl Work for EverySeventh {
        type Out = ();
        fn run<L: Lanes>(self, lanes: L) {
            let len = self.0;
            let bytes: Vec<u8> = (0..len).map(|at| if at % 7 == 0 { b'"' } else { b'1' }).collect();
            let all: Vec<usize> = Marks::new(lanes, &bytes, *b"\"\\\n").collect();
            assert_eq!(all, (0..len).step_by(7).collect::<Vec<_>>());
            let mut marks = Marks::new(lanes, &bytes, *b"\"\\\n");
            let _ = marks.next();
            assert_eq!(marks.digits(1), len.saturating_sub(1).min(6));
            marks.skip_to(65);
            assert_eq!(marks.next(), (70 < len).then_some(70));
        }
    }

    #[test]
    fn marks_are_found_at_every_place_and_can_be_passed_over() {
        for len in 0..200_usize {
            widest(EverySeventh(len));
        }
    }
}
