//! The first look at a text: how many bytes of a few kinds it has.

use crate::quick::WORD_MIN;

/// Shortest IBAN (Norway).
const IBAN_LEN_MIN: usize = 15;

/// Shortest token worth a look: a header that names an algorithm, and two dots.
const JWT_LEN_MIN: usize = 20;

/// Shortest MAC address: three groups of four.
const MAC_LEN_MIN: usize = 14;

const BLOCK: usize = 16;

/// Blocks after which the byte-sized counters must be emptied.
const BLOCKS_MAX: usize = 255;

/// Counts of the bytes that identifiers cannot do without.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sketch {
    digits: usize,
    dots: usize,
    colons: usize,
    at: bool,
    dashes: bool,
    /// A byte outside ASCII.
    pub(crate) other: bool,
}

impl Sketch {
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut sketch = Self::default();
        let (blocks, tail) = text.as_chunks::<BLOCK>();
        for blocks in blocks.chunks(BLOCKS_MAX) {
            sketch.add(blocks);
        }
        // Fewer than sixteen bytes are left, so no lane of the sum overflows into the next.
        let sum = tail.iter().fold(0, |sum, b| sum + LANES.get(usize::from(*b)).copied().unwrap_or(0));
        sketch.digits += (sum & 0xFF) as usize;
        sketch.dots += (sum >> 8 & 0xFF) as usize;
        sketch.colons += (sum >> 16 & 0xFF) as usize;
        sketch.at |= sum >> 24 & 0xFF != 0;
        sketch.other |= sum >> 32 & 0xFF != 0;
        sketch.dashes |= sum >> 40 != 0;
        sketch
    }

    /// One counter a lane, so that the compiler can keep sixteen of them in one register.
    fn add(&mut self, blocks: &[[u8; BLOCK]]) {
        let (mut digits, mut dots, mut colons) = ([0_u8; BLOCK], [0_u8; BLOCK], [0_u8; BLOCK]);
        let (mut at, mut other, mut dashes) = ([0_u8; BLOCK], [0_u8; BLOCK], [0_u8; BLOCK]);
        for block in blocks {
            let lanes = digits
                .iter_mut()
                .zip(&mut dots)
                .zip(&mut colons)
                .zip(&mut at)
                .zip(&mut other)
                .zip(&mut dashes);
            for ((((((digits, dots), colons), at), other), dashes), b) in lanes.zip(block) {
                *digits += u8::from(b.wrapping_sub(b'0') < 10);
                *dots += u8::from(*b == b'.');
                *colons += u8::from(*b == b':');
                *at |= u8::from(*b == b'@') | u8::from(*b == b'%') | u8::from(*b == b'&');
                *dashes |= u8::from(*b == b'-');
                *other |= *b;
            }
        }
        let sum = |lanes: [u8; BLOCK]| lanes.iter().map(|lane| usize::from(*lane)).sum::<usize>();
        self.digits += sum(digits);
        self.dots += sum(dots);
        self.colons += sum(colons);
        self.at |= u128::from_le_bytes(at) != 0;
        self.other |= !other.is_ascii();
        self.dashes |= u128::from_le_bytes(dashes) != 0;
    }

    /// True if the text could hold anything; decides nothing about text outside ASCII.
    #[inline]
    pub(crate) fn suspects(self, len: usize) -> bool {
        self.may_hold_email()
            || self.may_hold_number(len)
            || self.may_hold_ipv6()
            || self.may_hold_token(len)
            || self.may_hold_mac(len)
    }

    #[inline]
    pub(crate) fn may_hold_email(self) -> bool {
        self.at
    }

    /// True if something may be written with percent signs or entities.
    #[inline]
    pub(crate) fn is_marked(self) -> bool {
        self.at
    }

    #[inline]
    pub(crate) fn may_hold_number(self, len: usize) -> bool {
        self.digits >= 6 || (self.digits >= 4 && self.dots >= 3) || (self.digits >= 2 && len >= IBAN_LEN_MIN)
    }

    #[inline]
    pub(crate) fn may_hold_ipv6(self) -> bool {
        self.colons >= 2
    }

    /// A word that is long enough to be a key or to hold something encoded.
    #[inline]
    pub(crate) fn may_hold_token(self, len: usize) -> bool {
        len >= WORD_MIN
    }

    /// Five signs between six bytes.
    #[inline]
    pub(crate) fn may_hold_mac(self, len: usize) -> bool {
        len >= MAC_LEN_MIN && (self.colons >= 5 || self.dashes || self.dots >= 2)
    }

    #[inline]
    pub(crate) fn may_hold_jwt(self, len: usize) -> bool {
        self.dots >= 2 && len >= JWT_LEN_MIN
    }
}

/// What a byte adds: one byte-wide lane for each kind.
static LANES: [u64; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        #[expect(clippy::indexing_slicing, reason = "built at compile time, index is below 256")]
        {
            table[b] = match b as u8 {
                b'0'..=b'9' => 1,
                b'.' => 1 << 8,
                b':' => 1 << 16,
                b'@' | b'%' | b'&' => 1 << 24,
                0x80.. => 1 << 32,
                b'-' => 1 << 40,
                _ => 0,
            };
        }
        b += 1;
    }
    table
};
