//! The places of three bytes in a document, in order.

use crate::lanes::{WIDTH, any_of};

/// Walks the places of quotation marks, backslashes and line ends.
pub(super) struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the block of `mask` begins, and where the next one does.
    base: usize,
    next: usize,
    mask: u64,
    of: [u8; 3],
}

impl<'a> Marks<'a> {
    pub(super) fn new(bytes: &'a [u8], of: [u8; 3]) -> Self {
        Self { bytes, base: 0, next: 0, mask: 0, of }
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

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            let rest = self.bytes.get(self.next..).filter(|rest| !rest.is_empty())?;
            self.base = self.next;
            let [a, b, c] = self.of;
            if let Some(block) = rest.first_chunk::<WIDTH>() {
                self.mask = any_of(block, a, b, c);
                self.next += WIDTH;
            } else {
                let mut block = [0; WIDTH];
                for (place, b) in block.iter_mut().zip(rest) {
                    *place = *b;
                }
                let valid = u64::MAX >> (WIDTH - rest.len());
                self.mask = any_of(&block, a, b, c) & valid;
                self.next += rest.len();
            }
        }
        let at = self.base + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
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
