//! The first look at digits: what each rule for numbers cannot do without.

use super::Look;
use crate::key::Hint;
use crate::lanes::{Mask, Signs, has_run};
use crate::{card_valid, ids, key, number};

/// Most letters before the digits of a word that is an identifier, and the lengths of such words.
const HEAD_MAX: u32 = 6;
const WORD_MIN: u32 = 7;
const WORD_MAX: u32 = 17;

/// Fewest digits that make an IP address, anything of somebody's, what a word may name, a telephone number, what is told by how
/// it is printed, and a card.
const IP_MIN: u32 = 4;
const DIGITS_MIN: u32 = 6;
const NAMED_MIN: u32 = 7;
const PHONE_MIN: u32 = 8;
const PREFIXED_MIN: u32 = 12;
const PRINTED_MIN: u32 = 10;
const CARD_MIN: u32 = 13;

/// Most signs between two groups of one sequence.
const BETWEEN_MAX: u32 = 3;

/// A value of digits alone: a card, or what several check digits tell.
#[inline]
pub(super) fn is_quiet_bare(text: &[u8]) -> bool {
    let len = text.len();
    if text.starts_with(b"00") && (PREFIXED_MIN as usize..=17).contains(&len) {
        return false;
    }
    len <= 10 || matches!(len, 12 | 20..) || !card_valid(text) && ids::alone_bare(text).is_none()
}

/// Digits that only signs part.
struct Run<M> {
    /// The digits, and those of them that begin a group.
    digits: M,
    starts: M,
    count: u32,
}

impl<M: Mask> Look<'_, M> {
    #[inline(always)]
    fn at(&self, place: u32) -> u8 {
        self.text.get(place as usize).copied().unwrap_or(b' ')
    }

    #[inline(always)]
    fn before(&self, place: u32) -> &[u8] {
        self.text.get(..place as usize).unwrap_or_default()
    }

    /// Words that begin with letters and go on with digits.
    #[inline(always)]
    pub(super) fn are_quiet_lettered(&self, signs: Signs<M>) -> bool {
        let (digits, letters) = (self.classes.digits, self.classes.letters);
        if !(letters << 1 & digits).any() {
            return true;
        }
        let alnum = letters | digits;
        let mut heads = alnum & !(alnum << 1) & letters & !(signs.ties << 1);
        let mut words = M::NONE;
        for count in 1..=HEAD_MAX {
            words |= heads & digits >> count;
            heads = heads & letters >> count;
        }
        while words.any() {
            let start = words.first();
            let len = (alnum >> start).ones();
            if (WORD_MIN..=WORD_MAX).contains(&len) && !self.is_quiet_lettered(start, len, signs) {
                return false;
            }
            words = words.rest();
        }
        true
    }

    #[inline(never)]
    fn is_quiet_lettered(&self, start: u32, len: u32, signs: Signs<M>) -> bool {
        let head = (self.classes.letters >> start).ones();
        let mut end = start + len;
        if head == 1 && len == 8 && self.at(end) == b'-' {
            end += 2;
        } else if end < M::BITS && (signs.ties >> end & M::ONE).any() && (end as usize) < self.text.len() {
            return true;
        }
        let word = self.text.get(start as usize..end as usize).unwrap_or_default();
        let alone = matches!(head, 1 | 2 | HEAD_MAX) && ids::alone_word(word).is_some();
        !alone && (self.value.is_deaf() || !key::may_name(self.before(start)))
    }

    /// Digits that begin a word, with what may stand between them.
    #[inline(always)]
    pub(super) fn are_quiet_runs(&self, signs: Signs<M>) -> bool {
        let (digits, letters) = (self.classes.digits, self.classes.letters);
        let mut free = digits;
        if (letters << 1 & digits).any() {
            let glued = digits & behind(letters, letters | digits);
            // A card may stand in a word.
            if has_run(glued, CARD_MIN) {
                return false;
            }
            free = digits & !glued;
        }
        if free.count() < IP_MIN {
            return true;
        }
        let between = signs.between & M::low(self.text.len());
        if has_run(between, BETWEEN_MAX + 1) {
            return false;
        }
        let mut left = free | between;
        loop {
            let some = left & free;
            if !some.any() {
                return true;
            }
            let start = some.first();
            let end = start + (left >> start).ones();
            let digits = free & M::low(end as usize) & M::ALL << start;
            let run = Run { digits, starts: digits & !(digits << 1), count: digits.count() };
            if run.count >= IP_MIN && !self.is_quiet_run(start, end, &run) {
                return false;
            }
            if end >= M::BITS {
                return true;
            }
            left = left & M::ALL << end;
        }
    }

    #[inline(always)]
    fn is_quiet_run(&self, start: u32, end: u32, run: &Run<M>) -> bool {
        let dots = self.classes.dots & M::low(end as usize) & M::ALL << start;
        if run.starts.count() >= IP_MIN && dots.count() >= IP_MIN - 1 && self.value.hint != Hint::Version {
            return false;
        }
        if run.count < DIGITS_MIN {
            return true;
        }
        // Letters may go on where the digits end.
        let last = M::BITS - run.digits.above();
        let goes_on = match self.at(last) {
            b' ' | b'-' => self.at(last + 1).is_ascii_uppercase(),
            next => next.is_ascii_uppercase(),
        };
        !goes_on
            && (run.count < NAMED_MIN || self.is_unnamed(start, run))
            && (run.count < PHONE_MIN || self.is_no_phone(start, run))
            && (run.count < PRINTED_MIN || self.is_no_identifier(run))
            && (run.count < CARD_MIN || self.is_no_card(run))
    }

    #[inline(always)]
    fn is_unnamed(&self, start: u32, run: &Run<M>) -> bool {
        start < 2
            || self.value.is_deaf()
            || !(run.digits & run.digits >> 1).any()
            || !key::may_name(self.before(start))
    }

    /// True if no plus sign stands before the digits, and no group begins like a number with its prefix.
    #[inline(always)]
    fn is_no_phone(&self, start: u32, run: &Run<M>) -> bool {
        if start > 0 && self.at(start - 1) == b'+' {
            return false;
        }
        let mut starts = run.starts;
        while starts.any() {
            let at = starts.first();
            if self.at(at) == b'0' {
                let len = (run.digits >> at).ones();
                let digits = (run.digits >> at).count();
                let national = (2..=6).contains(&len) && self.at(at + 1) != b'0';
                let prefixed = self.at(at + 1) == b'0' && digits >= PREFIXED_MIN;
                if prefixed || national && digits > PHONE_MIN {
                    return false;
                }
            }
            starts = starts.rest();
        }
        true
    }

    /// True if nothing is printed as identifiers are, and no group has several check digits.
    #[inline(always)]
    fn is_no_identifier(&self, run: &Run<M>) -> bool {
        let mut starts = run.starts;
        let len = |starts: M| if starts.any() { (run.digits >> starts.first()).ones() } else { 0 };
        while starts.any() {
            let at = starts.first();
            let next = starts.rest();
            let lens = (len(starts), len(next), len(next.rest()));
            if ids::may_be_printed(lens, self.at(at + lens.0)) {
                return false;
            }
            if matches!(lens.0, 11 | 13 | 15) {
                let group = self.text.get(at as usize..(at + lens.0) as usize);
                if group.and_then(ids::alone_bare).is_some() {
                    return false;
                }
            }
            starts = next;
        }
        true
    }

    /// True if no group begins like a card.
    #[inline(always)]
    fn is_no_card(&self, run: &Run<M>) -> bool {
        let mut starts = run.starts;
        while starts.any() {
            let at = starts.first();
            let mut digits = run.digits & M::ALL << at;
            if digits.count() < CARD_MIN {
                return true;
            }
            let mut head = 0;
            for _ in 0..4 {
                head = head * 10 + u32::from(self.at(digits.first()) & 15);
                digits = digits.rest();
            }
            if number::may_begin_card(head) {
                return false;
            }
            starts = starts.rest();
        }
        true
    }
}

/// All that stands behind one of `marks` in the same run of `runs`.
#[inline(always)]
fn behind<M: Mask>(marks: M, mut runs: M) -> M {
    let mut behind = marks;
    let mut step = 1;
    while step < M::BITS {
        behind |= behind << step & runs;
        runs = runs & runs << step;
        step *= 2;
    }
    behind
}
