//! Classes of bytes as bit masks, sixty-four bytes a step.
//!
//! Bit `n` of a mask tells of byte `n`. On x86-64 the masks come from SSE2, which all such processors have, or from AVX2 or
//! AVX-512 where the processor says that it has them; elsewhere from a loop with the same result.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not, Shl, Shr};

/// Bytes of one look.
pub(crate) const WIDTH: usize = 64;

/// A mask of as many bits as a text has bytes.
pub(crate) trait Mask:
    Copy
    + PartialEq
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitOrAssign
    + Not<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    const NONE: Self;
    const ONE: Self;
    const ALL: Self;
    const BITS: u32;
    fn count(self) -> u32;
    fn first(self) -> u32;
    /// How many bits from the first on are set.
    fn ones(self) -> u32;
    /// Of how many bits from the last one on is none set.
    fn above(self) -> u32;
    /// Without its first bit.
    fn rest(self) -> Self;

    /// The first `len` bits.
    #[inline(always)]
    fn low(len: usize) -> Self {
        if len == 0 { Self::NONE } else { Self::ALL >> (Self::BITS - (len as u32).min(Self::BITS)) }
    }

    #[inline(always)]
    fn any(self) -> bool {
        self != Self::NONE
    }
}

macro_rules! mask {
    ($mask:ty) => {
        impl Mask for $mask {
            const NONE: Self = 0;
            const ONE: Self = 1;
            const ALL: Self = Self::MAX;
            const BITS: u32 = Self::BITS;
            #[inline(always)]
            fn count(self) -> u32 {
                self.count_ones()
            }
            #[inline(always)]
            fn first(self) -> u32 {
                self.trailing_zeros()
            }
            #[inline(always)]
            fn ones(self) -> u32 {
                self.trailing_ones()
            }
            #[inline(always)]
            fn above(self) -> u32 {
                self.leading_zeros()
            }
            #[inline(always)]
            fn rest(self) -> Self {
                self & self.wrapping_sub(1)
            }
        }
    };
}
mask!(u64);
mask!(u128);

/// What a short text is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Classes<M> {
    pub(crate) digits: M,
    pub(crate) letters: M,
    pub(crate) dots: M,
    pub(crate) colons: M,
    /// `-`, `_`, `+`, `/`, `=`.
    pub(crate) joints: M,
    /// `@`, `%`, `&`, and whatever is no ASCII.
    pub(crate) special: M,
}

impl<M: Mask> Classes<M> {
    /// The same of the first `len` bytes only.
    #[inline(always)]
    fn cut(self, len: usize) -> Self {
        let all = M::low(len);
        Self {
            digits: self.digits & all,
            letters: self.letters & all,
            dots: self.dots & all,
            colons: self.colons & all,
            joints: self.joints & all,
            special: self.special & all,
        }
    }
}

impl Classes<u64> {
    fn joined(self, next: Self) -> Classes<u128> {
        let both = |low: u64, high: u64| u128::from(low) | u128::from(high) << WIDTH;
        Classes {
            digits: both(self.digits, next.digits),
            letters: both(self.letters, next.letters),
            dots: both(self.dots, next.dots),
            colons: both(self.colons, next.colons),
            joints: both(self.joints, next.joints),
            special: both(self.special, next.special),
        }
    }
}

/// What may stand between groups of digits, and what ties a word to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signs<M> {
    /// Space, `.`, `-`, `/`, `(`, `)`.
    pub(crate) between: M,
    /// `-`, `_`, `+`, `/`.
    pub(crate) ties: M,
}

/// What a block of a document has: the marks that were asked for, digits, and the bytes that need another look (`@`,
/// `%`, `&`, `:`, and what is no ASCII).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) marks: u64,
    pub(crate) digits: u64,
    pub(crate) signs: u64,
}

/// One way to make masks.
pub(crate) trait Lanes: Copy {
    fn classes(self, window: &[u8; WIDTH]) -> Classes<u64>;
    fn signs(self, window: &[u8; WIDTH]) -> Signs<u64>;
    fn block(self, window: &[u8; WIDTH], marks: [u8; 3]) -> Block;

    /// Does other work with the same lanes, not inlined.
    fn call<W: Work>(self, work: W) -> W::Out;

    /// Looks at `start..end`, which is at most [`WIDTH`] bytes long.
    #[inline(always)]
    fn short(self, bytes: &[u8], start: usize, end: usize) -> Classes<u64> {
        let classes = match whole(bytes, start) {
            Some(window) => self.classes(window),
            None => self.classes(&padded(bytes, start, end)),
        };
        classes.cut(end - start)
    }

    /// The signs of the same, and perhaps of what stands behind it.
    #[inline(always)]
    fn short_signs(self, bytes: &[u8], start: usize, end: usize) -> Signs<u64> {
        match whole(bytes, start) {
            Some(window) => self.signs(window),
            None => self.signs(&padded(bytes, start, end)),
        }
    }

    /// Looks at `start..end`, which is longer than [`WIDTH`] and at most twice as long.
    #[inline(always)]
    fn long(self, bytes: &[u8], start: usize, end: usize) -> Classes<u128> {
        let half = start + WIDTH;
        self.short(bytes, start, half).joined(self.short(bytes, half, end))
    }

    #[inline(always)]
    fn long_signs(self, bytes: &[u8], start: usize, end: usize) -> Signs<u128> {
        let half = start + WIDTH;
        let (head, tail) = (self.short_signs(bytes, start, half), self.short_signs(bytes, half, end));
        let both = |low: u64, high: u64| u128::from(low) | u128::from(high) << WIDTH;
        Signs { between: both(head.between, tail.between), ties: both(head.ties, tail.ties) }
    }
}

/// The bytes from `start` on, if there are enough of them.
#[inline(always)]
fn whole(bytes: &[u8], start: usize) -> Option<&[u8; WIDTH]> {
    bytes.get(start..).and_then(<[u8]>::first_chunk)
}

/// The bytes `start..end` with zeros behind them.
#[inline]
fn padded(bytes: &[u8], start: usize, end: usize) -> [u8; WIDTH] {
    let mut window = [0; WIDTH];
    let text = bytes.get(start..end).unwrap_or_default();
    if let Some(place) = window.get_mut(..text.len()) {
        place.copy_from_slice(text);
    }
    window
}

/// True if `mask` has `len` bits in a row; `len` is at most as many as the mask has.
#[inline(always)]
pub(crate) fn has_run<M: Mask>(mut mask: M, len: u32) -> bool {
    let mut have = 1;
    while have * 2 <= len {
        mask = mask & mask >> have;
        have *= 2;
    }
    (mask & mask >> (len - have)).any()
}

/// Work that is the same whatever makes its masks. `run` must be inlined, so that the instructions of the lanes reach it.
pub(crate) trait Work {
    type Out;
    fn run<L: Lanes>(self, lanes: L) -> Self::Out;
}

/// Does the work with the widest lanes that this processor has.
#[inline]
pub(crate) fn widest<W: Work>(work: W) -> W::Out {
    lane::widest(work)
}

/// The only `unsafe` of this crate: calls of functions that need SSE2, AVX2 or AVX-512, and a barrier for the compiler.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "SSE2 is a part of x86-64 itself, and the others are asked for before they are used; the compiler wants a word on all and on the barrier, which is empty"
)]
mod lane {
    use std::arch::asm;
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8,
        _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8,
        _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8, _mm512_cmpeq_epi8_mask,
        _mm512_loadu_si512, _mm512_maskz_permutex2var_epi8, _mm512_movepi8_mask, _mm512_set1_epi8,
        _mm512_test_epi8_mask,
    };

    use super::{Block, Classes, Lanes, Signs, WIDTH, Work};

    /// What every x86-64 processor has.
    #[derive(Clone, Copy)]
    pub(super) struct Sse2;

    /// Only made where the processor has AVX2 and what comes with it.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(());

    /// Only made where the processor has AVX-512 with tables of bytes (VBMI), and AVX2.
    #[derive(Clone, Copy)]
    pub(super) struct Avx512(());

    impl Avx512 {
        #[inline]
        pub(super) fn new() -> Option<Self> {
            let has = is_x86_feature_detected!("avx512vbmi") && is_x86_feature_detected!("avx512bw");
            (has && Avx2::new().is_some()).then_some(Self(()))
        }
    }

    impl Avx2 {
        #[inline]
        pub(super) fn new() -> Option<Self> {
            let has = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            has.then_some(Self(()))
        }
    }

    #[inline]
    pub(super) fn widest<W: Work>(work: W) -> W::Out {
        if let Some(lanes) = Avx512::new() {
            // SAFETY: an `Avx512` is made only where the processor has all that `run_avx512` asks for.
            return unsafe { run_avx512(work, lanes) };
        }
        match Avx2::new() {
            // SAFETY: an `Avx2` is made only where the processor has all that `run_avx2` asks for.
            Some(lanes) => unsafe { run_avx2(work, lanes) },
            // SAFETY: every x86-64 processor has SSE2.
            None => unsafe { run_sse2(work, Sse2) },
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx512bw,avx512vbmi,avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn run_avx512<W: Work>(work: W, lanes: Avx512) -> W::Out {
        work.run(lanes)
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn run_avx2<W: Work>(work: W, lanes: Avx2) -> W::Out {
        work.run(lanes)
    }

    #[inline(never)]
    #[target_feature(enable = "sse2")]
    fn run_sse2<W: Work>(work: W, lanes: Sse2) -> W::Out {
        work.run(lanes)
    }

    /// The same mask, of which the compiler does not know that it was made of bits: it would take it apart, bit by bit.
    #[inline(always)]
    fn whole(mut mask: u64) -> u64 {
        // SAFETY: there are no instructions in it.
        unsafe { asm!("/* {0} */", inout(reg) mask, options(pure, nomem, nostack, preserves_flags)) };
        mask
    }

    /// The masks that a module of functions makes.
    macro_rules! lanes_of {
        ($lanes:ty, $run:ident, $module:ident) => {
            impl Lanes for $lanes {
                #[inline(always)]
                fn classes(self, window: &[u8; WIDTH]) -> Classes<u64> {
                    // SAFETY: the processor has the instructions, else there were no such value.
                    unsafe { $module::classes(window) }
                }

                #[inline(always)]
                fn signs(self, window: &[u8; WIDTH]) -> Signs<u64> {
                    // SAFETY: as above.
                    unsafe { $module::signs(window) }
                }

                #[inline(always)]
                fn block(self, window: &[u8; WIDTH], marks: [u8; 3]) -> Block {
                    // SAFETY: as above.
                    unsafe { $module::block(window, marks) }
                }

                #[inline(always)]
                fn call<W: Work>(self, work: W) -> W::Out {
                    // SAFETY: as above.
                    unsafe { $run(work, self) }
                }
            }
        };
    }

    /// The masks by registers of `$bytes`.
    macro_rules! lanes {
        ($lanes:ty, $run:ident, $feature:literal, $module:ident, $bytes:ty, $load:ident, $splat:ident, $equal:ident, $or:ident,
         $less:ident, $least:ident, $bits:ident) => {
            lanes_of!($lanes, $run, $module);

            mod $module {
                use super::*;

                const LANE: usize = size_of::<$bytes>();

                #[inline]
                #[target_feature(enable = $feature)]
                pub(super) fn classes(window: &[u8; WIDTH]) -> Classes<u64> {
                    let (mut digits, mut letters, mut dots) = (0, 0, 0);
                    let (mut colons, mut joints, mut special) = (0, 0, 0);
                    for lane in window.as_chunks::<LANE>().0.iter().rev() {
                        let bytes = load(lane);
                        let small = $or(bytes, splat(0x20));
                        let dash_or_underscore = $or(is(bytes, b'-'), is(bytes, b'_'));
                        let base64 = $or($or(is(bytes, b'+'), is(bytes, b'/')), is(bytes, b'='));
                        let signs = $or(is(bytes, b'@'), within(bytes, b'%', 2));
                        digits = digits << LANE | bits(within(bytes, b'0', 10));
                        letters = letters << LANE | bits(within(small, b'a', 26));
                        dots = dots << LANE | bits(is(bytes, b'.'));
                        colons = colons << LANE | bits(is(bytes, b':'));
                        joints = joints << LANE | bits($or(dash_or_underscore, base64));
                        special = special << LANE | bits($or(signs, bytes));
                    }
                    Classes { digits, letters, dots, colons, joints, special }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                pub(super) fn signs(window: &[u8; WIDTH]) -> Signs<u64> {
                    let (mut between, mut ties) = (0, 0);
                    for lane in window.as_chunks::<LANE>().0.iter().rev() {
                        let bytes = load(lane);
                        let dash_or_slash = $or(is(bytes, b'-'), is(bytes, b'/'));
                        let space_or_dot = $or(is(bytes, b' '), is(bytes, b'.'));
                        let others = $or(space_or_dot, within(bytes, b'(', 2));
                        between = between << LANE | bits($or(others, dash_or_slash));
                        let others = $or(is(bytes, b'_'), is(bytes, b'+'));
                        ties = ties << LANE | bits($or(others, dash_or_slash));
                    }
                    Signs { between, ties }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                pub(super) fn block(window: &[u8; WIDTH], [a, b, c]: [u8; 3]) -> Block {
                    let (mut marks, mut digits, mut signs) = (0, 0, 0);
                    for lane in window.as_chunks::<LANE>().0.iter().rev() {
                        let bytes = load(lane);
                        marks = marks << LANE | bits($or($or(is(bytes, a), is(bytes, b)), is(bytes, c)));
                        digits = digits << LANE | bits(within(bytes, b'0', 10));
                        let at_or_colon = $or(is(bytes, b'@'), is(bytes, b':'));
                        signs = signs << LANE | bits($or($or(at_or_colon, within(bytes, b'%', 2)), bytes));
                    }
                    Block { marks, digits, signs }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn load(lane: &[u8; LANE]) -> $bytes {
                    // SAFETY: the array has as many bytes as are read, and they need not be aligned.
                    unsafe { $load(lane.as_ptr().cast()) }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn bits(bytes: $bytes) -> u64 {
                    // The sign must not spread.
                    whole(u64::from($bits(bytes) as u32))
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn splat(b: u8) -> $bytes {
                    $splat(b as i8)
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn is(bytes: $bytes, b: u8) -> $bytes {
                    $equal(bytes, splat(b))
                }

                /// Bytes from `first` on, `count` of them.
                #[inline]
                #[target_feature(enable = $feature)]
                fn within(bytes: $bytes, first: u8, count: u8) -> $bytes {
                    let from = $less(bytes, splat(first));
                    $equal($least(from, splat(count - 1)), from)
                }
            }
        };
    }
    lanes!(
        Sse2,
        run_sse2,
        "sse2",
        sse2,
        __m128i,
        _mm_loadu_si128,
        _mm_set1_epi8,
        _mm_cmpeq_epi8,
        _mm_or_si128,
        _mm_sub_epi8,
        _mm_min_epu8,
        _mm_movemask_epi8
    );
    lanes!(
        Avx2,
        run_avx2,
        "avx2",
        avx2,
        __m256i,
        _mm256_loadu_si256,
        _mm256_set1_epi8,
        _mm256_cmpeq_epi8,
        _mm256_or_si256,
        _mm256_sub_epi8,
        _mm256_min_epu8,
        _mm256_movemask_epi8
    );
    lanes_of!(Avx512, run_avx512, avx512);

    /// The classes of sixty-four bytes from one table, a bit each.
    mod avx512 {
        use super::*;

        const DIGIT: u8 = 1;
        const LETTER: u8 = 2;
        const DOT: u8 = 4;
        const COLON: u8 = 8;
        const JOINT: u8 = 16;
        const SPECIAL: u8 = 32;
        const BETWEEN: u8 = 64;
        const TIE: u8 = 128;

        /// What each byte of ASCII is.
        static CLASSES: [[u8; WIDTH]; 2] = {
            let mut table = [[0; WIDTH]; 2];
            let mut b = 0;
            while b < 2 * WIDTH {
                #[expect(clippy::indexing_slicing, reason = "built at compile time, index is below 128")]
                {
                    table[b / WIDTH][b % WIDTH] = match b as u8 {
                        b'0'..=b'9' => DIGIT,
                        b'a'..=b'z' | b'A'..=b'Z' => LETTER,
                        b'.' => DOT | BETWEEN,
                        b':' => COLON,
                        b'-' | b'/' => JOINT | BETWEEN | TIE,
                        b'_' | b'+' => JOINT | TIE,
                        b'=' => JOINT,
                        b' ' | b'(' | b')' => BETWEEN,
                        b'@' | b'%' | b'&' => SPECIAL,
                        _ => 0,
                    };
                }
                b += 1;
            }
            table
        };

        #[inline]
        #[target_feature(enable = "avx512bw,avx512vbmi")]
        fn load(window: &[u8; WIDTH]) -> __m512i {
            // SAFETY: the array has as many bytes as are read, and they need not be aligned.
            unsafe { _mm512_loadu_si512(window.as_ptr().cast()) }
        }

        /// The class of each byte, none for what is no ASCII, and which those are.
        #[inline]
        #[target_feature(enable = "avx512bw,avx512vbmi")]
        fn look_up(bytes: __m512i) -> (__m512i, u64) {
            let [low, high] = &CLASSES;
            let other = _mm512_movepi8_mask(bytes);
            (_mm512_maskz_permutex2var_epi8(!other, load(low), bytes, load(high)), other)
        }

        #[inline]
        #[target_feature(enable = "avx512bw,avx512vbmi")]
        fn of(classes: __m512i, class: u8) -> u64 {
            whole(_mm512_test_epi8_mask(classes, _mm512_set1_epi8(class as i8)))
        }

        #[inline]
        #[target_feature(enable = "avx512bw,avx512vbmi")]
        pub(super) fn classes(window: &[u8; WIDTH]) -> Classes<u64> {
            let (classes, other) = look_up(load(window));
            Classes {
                digits: of(classes, DIGIT),
                letters: of(classes, LETTER),
                dots: of(classes, DOT),
                colons: of(classes, COLON),
                joints: of(classes, JOINT),
                special: of(classes, SPECIAL) | other,
            }
        }

        #[inline]
        #[target_feature(enable = "avx512bw,avx512vbmi")]
        pub(super) fn signs(window: &[u8; WIDTH]) -> Signs<u64> {
            let (classes, _) = look_up(load(window));
            Signs { between: of(classes, BETWEEN), ties: of(classes, TIE) }
        }

        #[inline]
        #[target_feature(enable = "avx512bw,avx512vbmi")]
        pub(super) fn block(window: &[u8; WIDTH], marks: [u8; 3]) -> Block {
            let bytes = load(window);
            let (classes, other) = look_up(bytes);
            let [a, b, c] = marks.map(|mark| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(mark as i8)));
            Block {
                marks: whole(a | b | c),
                digits: of(classes, DIGIT),
                signs: of(classes, SPECIAL | COLON) | other,
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lane {
    pub(super) use super::plain::widest;
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::{Block, Classes, Lanes, Signs, WIDTH, Work};

    /// Byte by byte.
    #[derive(Clone, Copy)]
    pub(super) struct Plain;

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub(super) fn widest<W: Work>(work: W) -> W::Out {
        work.run(Plain)
    }

    fn bits(window: &[u8; WIDTH], is: impl Fn(u8) -> bool) -> u64 {
        window.iter().rev().fold(0, |mask, b| mask << 1 | u64::from(is(*b)))
    }

    impl Lanes for Plain {
        fn call<W: Work>(self, work: W) -> W::Out {
            work.run(self)
        }

        fn classes(self, window: &[u8; WIDTH]) -> Classes<u64> {
            Classes {
                digits: bits(window, |b| b.is_ascii_digit()),
                letters: bits(window, |b| b.is_ascii_alphabetic()),
                dots: bits(window, |b| b == b'.'),
                colons: bits(window, |b| b == b':'),
                joints: bits(window, |b| matches!(b, b'-' | b'_' | b'+' | b'/' | b'=')),
                special: bits(window, |b| matches!(b, b'@' | b'%' | b'&' | 0x80..)),
            }
        }

        fn signs(self, window: &[u8; WIDTH]) -> Signs<u64> {
            Signs {
                between: bits(window, |b| matches!(b, b' ' | b'.' | b'-' | b'/' | b'(' | b')')),
                ties: bits(window, |b| matches!(b, b'-' | b'_' | b'+' | b'/')),
            }
        }

        fn block(self, window: &[u8; WIDTH], marks: [u8; 3]) -> Block {
            Block {
                marks: bits(window, |b| marks.contains(&b)),
                digits: bits(window, |b| b.is_ascii_digit()),
                signs: bits(window, |b| matches!(b, b'@' | b'%' | b'&' | b':' | 0x80..)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct SameAsPlain<'a>(&'a [u8; WIDTH]);

    impl Work for SameAsPlain<'_> {
        type Out = ();
        fn run<L: Lanes>(self, lanes: L) {
            let marks = *b"\"\\\n";
            assert_eq!(lanes.classes(self.0), plain::Plain.classes(self.0));
            assert_eq!(lanes.signs(self.0), plain::Plain.signs(self.0));
            assert_eq!(lanes.block(self.0, marks), plain::Plain.block(self.0, marks));
        }
    }

    #[test]
    fn masks_are_those_of_the_plain_loop() {
        // Each byte at each place, among others.
        for b in 0..=255_u8 {
            for place in 0..WIDTH {
                let mut window: [u8; WIDTH] = std::array::from_fn(|at| b.wrapping_add(at as u8));
                window[place] = b;
                widest(SameAsPlain(&window));
                #[cfg(target_arch = "x86_64")]
                SameAsPlain(&window).run(lane::Sse2);
                #[cfg(target_arch = "x86_64")]
                if let Some(lanes) = lane::Avx2::new() {
                    SameAsPlain(&window).run(lanes);
                }
            }
        }
    }

    #[test]
    fn a_look_goes_no_further_than_its_text() {
        let bytes = [b'7'; 3 * WIDTH];
        for len in 0..=2 * WIDTH {
            if len <= WIDTH {
                assert_eq!(plain::Plain.short(&bytes, 1, 1 + len).digits, u64::low(len));
                assert_eq!(plain::Plain.short(&bytes[..len], 0, len).digits, u64::low(len));
            } else {
                assert_eq!(plain::Plain.long(&bytes[..len], 0, len).digits, u128::low(len));
            }
        }
    }

    #[test]
    fn runs_are_told_by_their_length() {
        for len in 1..=40_u32 {
            let run = (1_u64 << len) - 1;
            assert!(has_run(run << 3, len) && !has_run(run << 3, len + 1) && !has_run(0b0101_0101_u64, 2));
        }
    }
}
