//! Classes of bytes as bit masks, sixteen bytes a step.
//!
//! Bit `n` of a mask tells of byte `n`. On x86-64 the masks come from SSE2, which all such processors have and
//! whose intrinsics are safe to call there; elsewhere from a loop with the same result.

/// Bytes of one look.
pub(crate) const WIDTH: usize = 64;

const LANE: usize = 16;

/// What a short text is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Classes {
    pub(crate) digits: u64,
    pub(crate) letters: u64,
    pub(crate) dots: u64,
    pub(crate) colons: u64,
    /// `-`, `_`, `+`, `/`, `=`.
    pub(crate) joints: u64,
    /// `@`, `%`, `&`, and whatever is no ASCII.
    pub(crate) special: u64,
}

impl Classes {
    /// Looks at the first `len` bytes, at most [`WIDTH`].
    #[inline]
    pub(crate) fn of(window: &[u8; WIDTH], len: usize) -> Self {
        let mut classes = Self::default();
        let (lanes, _) = window.as_chunks::<LANE>();
        for (place, lane) in lanes.iter().take(len.div_ceil(LANE)).enumerate() {
            let part = lane::classes(lane);
            let shift = place * LANE;
            classes.digits |= u64::from(part.digits) << shift;
            classes.letters |= u64::from(part.letters) << shift;
            classes.dots |= u64::from(part.dots) << shift;
            classes.colons |= u64::from(part.colons) << shift;
            classes.joints |= u64::from(part.joints) << shift;
            classes.special |= u64::from(part.special) << shift;
        }
        let all = u64::MAX >> (WIDTH - len.clamp(1, WIDTH));
        let all = if len == 0 { 0 } else { all };
        classes.digits &= all;
        classes.letters &= all;
        classes.dots &= all;
        classes.colons &= all;
        classes.joints &= all;
        classes.special &= all;
        classes
    }
}

/// True if `mask` has `len` bits in a row; `len` is at most 64.
#[inline]
pub(crate) fn has_run(mut mask: u64, len: u32) -> bool {
    let mut have = 1;
    while have * 2 <= len {
        mask &= mask >> have;
        have *= 2;
    }
    mask & mask >> (len - have) != 0
}

/// Where the digits of a block stand, and the bytes that need another look: `@`, `%`, `&`, `:`, and what is no ASCII.
#[inline]
pub(crate) fn digits_and_signs(block: &[u8; WIDTH]) -> (u64, u64) {
    let (lanes, _) = block.as_chunks::<LANE>();
    lanes.iter().rev().fold((0, 0), |(digits, signs), lane| {
        let (more_digits, more_signs) = lane::digits_and_signs(lane);
        (digits << LANE | u64::from(more_digits), signs << LANE | u64::from(more_signs))
    })
}

/// Where `a`, `b` and `c` stand in a block.
#[inline]
pub(crate) fn any_of(block: &[u8; WIDTH], a: u8, b: u8, c: u8) -> u64 {
    let (lanes, _) = block.as_chunks::<LANE>();
    lanes.iter().rev().fold(0, |mask, lane| mask << LANE | u64::from(lane::any_of(lane, a, b, c)))
}

struct Part {
    digits: u16,
    letters: u16,
    dots: u16,
    colons: u16,
    joints: u16,
    special: u16,
}

/// The only `unsafe` of this crate: three calls of functions that need SSE2.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "SSE2 is a part of x86-64 itself; the compiler asks for a word on it nevertheless"
)]
mod lane {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8,
    };

    use super::{LANE, Part};

    #[inline]
    pub(super) fn classes(lane: &[u8; LANE]) -> Part {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { classes_sse2(lane) }
    }

    #[inline]
    pub(super) fn any_of(lane: &[u8; LANE], a: u8, b: u8, c: u8) -> u16 {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { any_of_sse2(lane, a, b, c) }
    }

    #[inline]
    pub(super) fn digits_and_signs(lane: &[u8; LANE]) -> (u16, u16) {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { digits_and_signs_sse2(lane) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn digits_and_signs_sse2(lane: &[u8; LANE]) -> (u16, u16) {
        let bytes = load(lane);
        let percent_or_ampersand = within(bytes, b'%', 2);
        let signs = _mm_or_si128(_mm_or_si128(is(bytes, b'@'), is(bytes, b':')), percent_or_ampersand);
        (bits(within(bytes, b'0', 10)), bits(_mm_or_si128(signs, bytes)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(lane: &[u8; LANE]) -> __m128i {
        let both = u128::from_le_bytes(*lane);
        _mm_set_epi64x((both >> 64) as i64, both as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(mask: __m128i) -> u16 {
        _mm_movemask_epi8(mask) as u16
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn is(bytes: __m128i, b: u8) -> __m128i {
        _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b as i8))
    }

    /// Bytes from `first` on, `count` of them.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn within(bytes: __m128i, first: u8, count: u8) -> __m128i {
        let from = _mm_sub_epi8(bytes, _mm_set1_epi8(first as i8));
        _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8(count as i8 - 1)), from)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn classes_sse2(lane: &[u8; LANE]) -> Part {
        let bytes = load(lane);
        let small = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        let dash_or_underscore = _mm_or_si128(is(bytes, b'-'), is(bytes, b'_'));
        let base64 = _mm_or_si128(_mm_or_si128(is(bytes, b'+'), is(bytes, b'/')), is(bytes, b'='));
        let signs = _mm_or_si128(_mm_or_si128(is(bytes, b'@'), is(bytes, b'%')), is(bytes, b'&'));
        Part {
            digits: bits(within(bytes, b'0', 10)),
            letters: bits(within(small, b'a', 26)),
            dots: bits(is(bytes, b'.')),
            colons: bits(is(bytes, b':')),
            joints: bits(_mm_or_si128(dash_or_underscore, base64)),
            special: bits(_mm_or_si128(signs, bytes)),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn any_of_sse2(lane: &[u8; LANE], a: u8, b: u8, c: u8) -> u16 {
        let bytes = load(lane);
        bits(_mm_or_si128(_mm_or_si128(is(bytes, a), is(bytes, b)), is(bytes, c)))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lane {
    pub(super) use super::plain::{any_of, classes, digits_and_signs};
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::{LANE, Part};

    fn bits(lane: &[u8; LANE], is: impl Fn(u8) -> bool) -> u16 {
        lane.iter().rev().fold(0, |mask, b| mask << 1 | u16::from(is(*b)))
    }

    pub(super) fn classes(lane: &[u8; LANE]) -> Part {
        Part {
            digits: bits(lane, |b| b.is_ascii_digit()),
            letters: bits(lane, |b| b.is_ascii_alphabetic()),
            dots: bits(lane, |b| b == b'.'),
            colons: bits(lane, |b| b == b':'),
            joints: bits(lane, |b| matches!(b, b'-' | b'_' | b'+' | b'/' | b'=')),
            special: bits(lane, |b| matches!(b, b'@' | b'%' | b'&' | 0x80..)),
        }
    }

    pub(super) fn digits_and_signs(lane: &[u8; LANE]) -> (u16, u16) {
        (bits(lane, |b| b.is_ascii_digit()), bits(lane, |b| matches!(b, b'@' | b'%' | b'&' | b':' | 0x80..)))
    }

    pub(super) fn any_of(lane: &[u8; LANE], a: u8, b: u8, c: u8) -> u16 {
        bits(lane, |byte| byte == a || byte == b || byte == c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_the_plain_loop() {
        for first in (0..=255_u8).step_by(16) {
            let lane: [u8; LANE] = std::array::from_fn(|place| first + place as u8);
            let (fast, slow) = (lane::classes(&lane), plain::classes(&lane));
            assert_eq!(
                (fast.digits, fast.letters, fast.dots, fast.colons, fast.joints, fast.special),
                (slow.digits, slow.letters, slow.dots, slow.colons, slow.joints, slow.special),
                "from {first}"
            );
            assert_eq!(lane::digits_and_signs(&lane), plain::digits_and_signs(&lane));
            assert_eq!(lane::any_of(&lane, b'"', b'\\', b'\n'), plain::any_of(&lane, b'"', b'\\', b'\n'));
        }
    }

    #[test]
    fn a_look_goes_no_further_than_its_text() {
        let window = [b'7'; WIDTH];
        for len in 0..=WIDTH {
            assert_eq!(Classes::of(&window, len).digits.count_ones() as usize, len);
        }
    }

    #[test]
    fn runs_are_told_by_their_length() {
        for len in 1..=40_u32 {
            let run = (1_u64 << len) - 1;
            assert!(has_run(run << 3, len) && !has_run(run << 3, len + 1) && !has_run(0b0101_0101, 2));
        }
    }
}
