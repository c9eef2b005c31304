//! Sixteen bytes at one look: where strings end.
//!
//! The one module with unsafe code, and that is one call: of a function for SSE2, which every
//! x86-64 processor has. Elsewhere the same is done in plain registers. Both are held against a
//! byte-by-byte reference in `tests`.

/// Bytes that one look covers.
pub(super) const BLOCK: usize = 16;

/// What stands in a block, one bit a byte, the first byte lowest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marks {
    /// Quotes, backslashes and control characters.
    pub(super) special: u32,
    /// Bytes beyond ASCII.
    pub(super) high: u32,
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn marks(block: &[u8; BLOCK]) -> Marks {
    #[expect(unsafe_code, reason = "a function for SSE2 may be called where SSE2 is known to be there")]
    // SAFETY: the only condition is that the processor has SSE2, which belongs to x86-64 itself.
    // The function takes its bytes as a value and touches no memory.
    unsafe {
        sse2::marks(u128::from_le_bytes(*block))
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    use super::Marks;

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn marks(block: u128) -> Marks {
        let bytes = _mm_set_epi64x((block >> 64) as i64, block as i64);
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        let special = _mm_or_si128(_mm_or_si128(quote, backslash), control);
        Marks { special: _mm_movemask_epi8(special) as u32, high: _mm_movemask_epi8(bytes) as u32 }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn marks(block: &[u8; BLOCK]) -> Marks {
    plain_marks(block)
}

/// The same in two registers of eight bytes.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn plain_marks(block: &[u8; BLOCK]) -> Marks {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // Exact for each byte, since seven bits cannot carry into the next.
    let below = |word: u64, limit: u64| !((word & !HIGHS) + ONES * (0x80 - limit)) & !word & HIGHS;
    let equal = |word: u64, wanted: u8| below(word ^ (ONES * u64::from(wanted)), 1);
    let gather = |flags: u64| ((flags >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32;
    let (words, _) = block.as_chunks::<8>();
    let mut marks = Marks { special: 0, high: 0 };
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = equal(word, b'"') | equal(word, b'\\') | below(word, 0x20);
        marks.special |= gather(special) << (8 * place);
        marks.high |= gather(word & HIGHS) << (8 * place);
    }
    marks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_byte(block: &[u8; BLOCK]) -> Marks {
        let bits = |wanted: fn(u8) -> bool| {
            block.iter().enumerate().map(|(at, b)| u32::from(wanted(*b)) << at).sum::<u32>()
        };
        Marks { special: bits(|b| matches!(b, b'"' | b'\\' | 0..0x20)), high: bits(|b| b >= 0x80) }
    }

    #[test]
    fn every_byte_at_every_place_is_marked_as_it_should_be() {
        for byte in 0..=255 {
            for place in 0..BLOCK {
                for around in [b'a', 0x00, 0xFF, b'"', 0x1F, 0x20, 0x21, 0x80] {
                    let mut block = [around; BLOCK];
                    block[place] = byte;
                    assert_eq!(marks(&block), by_byte(&block));
                    assert_eq!(plain_marks(&block), by_byte(&block));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_block_is_marked_as_byte_by_byte(block: [u8; BLOCK]) {
            prop_assert_eq!(marks(&block), by_byte(&block));
            prop_assert_eq!(plain_marks(&block), by_byte(&block));
        }
    }
}
