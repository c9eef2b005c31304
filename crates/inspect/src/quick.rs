//! The first look at a value: most hold nothing, and their classes of bytes show it.
//!
//! Each question here is one that a rule asks later, put so that it can be answered from masks for a whole value at once.
//! It may say yes too often, and never no where the rule would say yes.

mod numbers;

use std::ops::BitOr;

use crate::key::Hint;
use crate::lanes::{Classes, Lanes, Mask, Signs, WIDTH, Work, has_run, widest};
use crate::{evade, fold, is_timestamp, key, secret};

/// Shortest word that may be a key, a token or something encoded.
pub(crate) const WORD_MIN: usize = 16;

/// Longest value that is looked at here; longer ones are prose or nested documents.
const LEN_MAX: usize = 512;

/// Digits and lengths below which only colons and [`Classes::special`] signs could tell anything.
pub(crate) const FEW_DIGITS: u32 = 4;
pub(crate) const FEW_BYTES: usize = 14;

/// Shortest token, MAC address and IBAN.
const JWT_LEN_MIN: usize = 20;
const MAC_LEN_MIN: usize = 14;
const IBAN_LEN_MIN: usize = 15;

/// The families of forms that a value may hold something of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suspects(u8);

impl Suspects {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const EMAIL: Self = Self(1);
    pub(crate) const NUMBER: Self = Self(2);
    pub(crate) const IPV6: Self = Self(4);
    pub(crate) const MAC: Self = Self(8);
    pub(crate) const JWT: Self = Self(16);
    /// Words that may be keys, or hold something encoded.
    pub(crate) const WORD: Self = Self(32);
    /// Whatever there is: the spelling has to be undone first, or the text is long.
    pub(crate) const ALL: Self = Self(255);

    #[inline(always)]
    pub(crate) fn has(self, family: Self) -> bool {
        self.0 & family.0 != 0
    }

    #[inline(always)]
    fn when(self, is: bool) -> Self {
        if is { self } else { Self::NONE }
    }
}

impl BitOr for Suspects {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A value within its document, and what is said of it.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) hint: Hint,
}

impl<'a> Value<'a> {
    /// A text that is a value by itself.
    pub(crate) fn alone(text: &'a [u8], hint: Hint) -> Self {
        Self { bytes: text, start: 0, end: text.len(), hint }
    }

    #[inline(always)]
    pub(crate) fn text(self) -> &'a [u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// True if what the value is called keeps the words before a number from naming it.
    #[inline(always)]
    fn is_deaf(self) -> bool {
        matches!(self.hint, Hint::Harmless | Hint::Version)
    }
}

/// The masks of a value.
#[derive(Clone, Copy)]
struct Look<'a, M> {
    text: &'a [u8],
    value: Value<'a>,
    classes: Classes<M>,
}

/// What may be found in the value by form, or by words within it.
#[inline]
pub(crate) fn suspects(value: Value<'_>) -> Suspects {
    widest(value)
}

/// True if that is nothing.
#[inline]
pub(crate) fn is_quiet(value: Value<'_>) -> bool {
    suspects(value) == Suspects::NONE
}

impl Work for Value<'_> {
    type Out = Suspects;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Suspects {
        let text = self.text();
        if text.len() > WIDTH {
            return lanes.call(Long(self));
        }
        let classes = lanes.short(self.bytes, self.start, self.end);
        suspects_of_short(lanes, Look { text, value: self, classes })
    }
}

/// A value that is longer than [`WIDTH`].
struct Long<'a>(Value<'a>);

impl Work for Long<'_> {
    type Out = Suspects;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Suspects {
        let value = self.0;
        let text = value.text();
        if text.len() > 2 * WIDTH {
            return suspects_of_prose(lanes, value);
        }
        let classes = lanes.long(value.bytes, value.start, value.end);
        let look = Look { text, value, classes };
        look.suspects(|| lanes.long_signs(value.bytes, value.start, value.end))
    }
}

#[inline(always)]
fn suspects_of_short<L: Lanes>(lanes: L, look: Look<'_, u64>) -> Suspects {
    let Look { text, value, classes } = look;
    let len = text.len();
    if classes.digits == u64::low(len) {
        let number = Suspects::NUMBER.when(!numbers::is_quiet_bare(text));
        return number | Suspects::WORD.when(len >= WORD_MIN && evade::is_suspect(text));
    }
    if look.is_time() || look.is_uuid() {
        return Suspects::NONE;
    }
    look.suspects(|| lanes.short_signs(value.bytes, value.start, value.end))
}

impl Look<'_, u64> {
    /// An RFC 3339 time: told by where its digits and signs stand.
    #[inline(always)]
    fn is_time(&self) -> bool {
        const COLONS: u64 = 1 << 13 | 1 << 16;
        const DIGITS: u64 = 0b110_1101_1011_0110_1111;
        self.classes.colons & 0x1_FFFF == COLONS
            && self.classes.digits & 0x7_FFFF == DIGITS
            && is_timestamp(self.text)
    }

    /// A UUID whose last part is more than digits: nothing else has its form.
    #[inline(always)]
    fn is_uuid(&self) -> bool {
        const DASHES: u64 = 1 << 8 | 1 << 13 | 1 << 18 | 1 << 23;
        const DIGITS: u64 = ((1 << 36) - 1) & !DASHES;
        self.text.len() == 36
            && self.classes.joints == DASHES
            && self.classes.letters | self.classes.digits == DIGITS
            && (self.classes.digits >> 24).count_ones() < 11
            && self.text.iter().map(|b| u8::from(b.is_ascii_hexdigit() || *b == b'-')).sum::<u8>() == 36
    }
}

impl<M: Mask> Look<'_, M> {
    /// All questions. `signs` are asked for where digits are left to look at.
    #[inline(always)]
    fn suspects(&self, signs: impl FnOnce() -> Signs<M>) -> Suspects {
        let Classes { digits, letters, dots, colons, joints, special } = self.classes;
        let marked = if special.any() { self.marked() } else { Suspects::NONE };
        if marked == Suspects::ALL {
            return marked;
        }
        let len = self.text.len();
        let words = letters | digits | joints;
        // A line of five dashes stands around keys in PEM.
        let word = len >= WORD_MIN
            && has_run(words, WORD_MIN as u32)
            && (has_run(joints, 5) || !self.are_quiet_words(words));
        // Two colons beside each other, or six, are in every IPv6 address, and five in a MAC address.
        let ipv6 = colons.any() && (colons.count() >= 5 || (colons & colons >> 1).any());
        let dotted = len >= MAC_LEN_MIN && (dots & dots >> 5).any();
        let mac = ipv6 || dotted || len >= MAC_LEN_MIN && may_be_mac(joints);
        let jwt = len >= JWT_LEN_MIN && dots.count() >= 2 && may_hold_jwt(self.text);
        let number = len >= IBAN_LEN_MIN && self.may_hold_iban()
            || digits.count() >= FEW_DIGITS && !self.are_quiet_digits(signs);
        marked
            | Suspects::WORD.when(word)
            | Suspects::IPV6.when(ipv6)
            | Suspects::MAC.when(mac)
            | Suspects::JWT.when(jwt)
            | Suspects::NUMBER.when(number)
    }

    /// What percent signs and entities, at signs, and whatever is no ASCII make of the text.
    #[inline(never)]
    fn marked(&self) -> Suspects {
        let mut special = self.classes.special;
        let mut suspects = Suspects::NONE;
        while special.any() {
            let rest = self.text.get(special.first() as usize..).unwrap_or_default();
            let plain = match rest.first() {
                Some(b'@') => {
                    suspects = Suspects::EMAIL;
                    true
                }
                // An entity ends soon.
                Some(b'&') => !rest.iter().take(12).any(|b| *b == b';'),
                Some(b @ 0x80..) => !fold::may_begin(*b),
                _ => false,
            };
            if !plain {
                return Suspects::ALL;
            }
            special = special.rest();
        }
        suspects
    }

    /// Two letters and two digits at the start of a word: all else may be letters.
    #[inline(always)]
    fn may_hold_iban(&self) -> bool {
        let Classes { digits, letters, .. } = self.classes;
        let alnum = letters | digits;
        (!(alnum << 1) & letters & letters >> 1 & digits >> 2 & digits >> 3).any()
    }

    #[inline(always)]
    fn are_quiet_digits(&self, signs: impl FnOnce() -> Signs<M>) -> bool {
        // Without six digits that no letter parts, or a word that has both, only an address of four numbers is left.
        let signs = signs();
        self.are_quiet_lettered(signs) && self.are_quiet_runs(signs)
    }

    /// True if no long word of the text is a key, an identifier, or has text inside.
    #[inline(always)]
    fn are_quiet_words(&self, words: M) -> bool {
        // Long words are runs of at least sixteen.
        let mut left = words;
        while left.any() {
            let start = left.first();
            let len = (left >> start).ones();
            if len >= WORD_MIN as u32 && !self.is_quiet_word(start as usize, (start + len) as usize) {
                return false;
            }
            let next = start + len;
            if next >= M::BITS {
                break;
            }
            left = left & M::ALL << next;
        }
        true
    }

    #[inline(always)]
    fn is_quiet_word(&self, start: usize, end: usize) -> bool {
        let word = self.text.get(start..end).unwrap_or_default();
        !evade::is_suspect(word)
            && !secret::is_suspect(word)
            && (start == 0 || !self.is_named(start))
            && (!self.has_joint(start, end) || is_quiet_assignment(word))
    }

    #[inline(always)]
    fn has_joint(&self, start: usize, end: usize) -> bool {
        (self.classes.joints & M::low(end) & M::ALL << start as u32).any()
    }

    /// True if what stands before the word may say what it is.
    #[inline(never)]
    fn is_named(&self, start: usize) -> bool {
        let before = self.text.get(..start).unwrap_or_default();
        matches!(before.last(), Some(b':' | b'"' | b' ' | b'\''))
            && (key::may_name(before) || secret::follows_scheme(before))
    }
}

/// `eyJ` is how tokens begin.
#[inline(never)]
fn may_hold_jwt(text: &[u8]) -> bool {
    memchr::memchr_iter(b'J', text).any(|at| text.get(..at).is_some_and(|head| head.ends_with(b"ey")))
}

/// `name=value`, as one word.
#[inline(never)]
fn is_quiet_assignment(word: &[u8]) -> bool {
    // Padding ends words, and names nothing.
    let name = word.iter().position(|b| *b == b'=').and_then(|at| word.get(..at));
    name.is_none_or(|name| name.len() + 8 >= word.len() || !key::may_name(name))
}

/// Two signs three bytes apart five times.
#[inline(always)]
fn may_be_mac<M: Mask>(joints: M) -> bool {
    let three = joints & joints >> 3 & joints >> 6;
    (three & three >> 6).any()
}

/// What a text longer than two looks may hold: the questions of [`crate::sketch::Sketch`], and whether there are long words.
#[inline(always)]
fn suspects_of_prose<L: Lanes>(lanes: L, value: Value<'_>) -> Suspects {
    let text = value.text();
    if text.len() > LEN_MAX {
        return Suspects::ALL;
    }
    let (mut before, mut colons, mut dots, mut digits) = (0, 0, 0, 0);
    let (mut last_joints, mut last_dots) = (0, 0);
    let mut suspects = Suspects::NONE;
    for start in (0..text.len()).step_by(WIDTH) {
        let classes = lanes.short(text, start, text.len().min(start + WIDTH));
        if classes.special != 0 {
            let rest = text.get(start..).unwrap_or_default();
            suspects = suspects | Look { text: rest, value, classes }.marked();
            if suspects == Suspects::ALL {
                return suspects;
            }
        }
        let words = classes.letters | classes.digits | classes.joints;
        let joined = before + words.trailing_ones() as usize;
        before = if words == u64::MAX { joined } else { words.leading_ones() as usize };
        let word = joined >= WORD_MIN || has_run(words, WORD_MIN as u32);
        // What began in the last look may go on in this one.
        let both = |last: u64, next: u64| u128::from(last) | u128::from(next) << WIDTH;
        let (joints, points) = (both(last_joints, classes.joints), both(last_dots, classes.dots));
        let mac = may_be_mac(joints) || (points & points >> 5).any();
        suspects = suspects | Suspects::WORD.when(word) | Suspects::MAC.when(mac);
        (last_joints, last_dots) = (classes.joints, classes.dots);
        colons += classes.colons.count_ones();
        dots += classes.dots.count_ones();
        digits += classes.digits.count_ones();
    }
    suspects
        | Suspects::NUMBER.when(digits >= 2)
        | Suspects::IPV6.when(colons >= 2)
        | Suspects::MAC.when(colons >= 5)
        | Suspects::JWT.when(dots >= 2 && may_hold_jwt(text))
}
