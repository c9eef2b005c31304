//! The first look at a text: how many bytes of a few kinds it has.

/// Shortest IBAN (Norway).
const IBAN_LEN_MIN: usize = 15;

/// Shortest token worth a look: a header that names an algorithm, and two dots.
const JWT_LEN_MIN: usize = 20;

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
        for b in tail {
            let class = CLASSES.get(usize::from(*b)).copied().unwrap_or_default();
            sketch.digits += usize::from(class & DIGIT);
            sketch.dots += usize::from(class & DOT) >> 1;
            sketch.colons += usize::from(class & COLON) >> 2;
            sketch.at |= class & AT != 0;
            sketch.other |= class & OTHER != 0;
        }
        sketch
    }

    /// One counter a lane, so that the compiler can keep sixteen of them in one register.
    fn add(&mut self, blocks: &[[u8; BLOCK]]) {
        let (mut digits, mut dots, mut colons) = ([0_u8; BLOCK], [0_u8; BLOCK], [0_u8; BLOCK]);
        let (mut at, mut other) = ([0_u8; BLOCK], [0_u8; BLOCK]);
        for block in blocks {
            let lanes = digits.iter_mut().zip(&mut dots).zip(&mut colons).zip(&mut at).zip(&mut other);
            for (((((digits, dots), colons), at), other), b) in lanes.zip(block) {
                *digits += u8::from(b.wrapping_sub(b'0') < 10);
                *dots += u8::from(*b == b'.');
                *colons += u8::from(*b == b':');
                *at |= u8::from(*b == b'@') | u8::from(*b == b'%');
                *other |= *b;
            }
        }
        let sum = |lanes: [u8; BLOCK]| lanes.iter().map(|lane| usize::from(*lane)).sum::<usize>();
        self.digits += sum(digits);
        self.dots += sum(dots);
        self.colons += sum(colons);
        self.at |= u128::from_le_bytes(at) != 0;
        self.other |= !other.is_ascii();
    }

    /// True if the text could hold anything; decides nothing about text outside ASCII.
    #[inline]
    pub(crate) fn suspects(self, len: usize) -> bool {
        self.may_hold_email() || self.may_hold_number(len) || self.may_hold_ipv6() || self.may_hold_jwt(len)
    }

    #[inline]
    pub(crate) fn may_hold_email(self) -> bool {
        self.at
    }

    #[inline]
    pub(crate) fn may_hold_number(self, len: usize) -> bool {
        self.digits >= 8
            || (self.digits >= 4 && self.dots >= 3)
            || (self.digits >= 5 && len >= IBAN_LEN_MIN)
    }

    #[inline]
    pub(crate) fn may_hold_ipv6(self) -> bool {
        self.colons >= 2
    }

    #[inline]
    pub(crate) fn may_hold_jwt(self, len: usize) -> bool {
        self.dots >= 2 && len >= JWT_LEN_MIN
    }
}

const DIGIT: u8 = 1;
const DOT: u8 = 2;
const COLON: u8 = 4;
const AT: u8 = 8;
const OTHER: u8 = 16;

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        #[expect(clippy::indexing_slicing, reason = "built at compile time, index is below 256")]
        {
            table[b] = match b as u8 {
                b'0'..=b'9' => DIGIT,
                b'.' => DOT,
                b':' => COLON,
                b'@' | b'%' => AT,
                0x80.. => OTHER,
                _ => 0,
            };
        }
        b += 1;
    }
    table
};
