//! How the words end that name values: most words before a value are told from them by their last four letters.

use super::{NEAR_MAX, NEAR_WORDS, words};

/// Bits for each letter: twenty-six of them, digits, and none.
const BITS: usize = 5;
const DIGIT: usize = 27;

/// For each two last letters the letters that stand before them in some entry, as a mask. Two letters alone go with all.
static THREES: [u32; 1 << (2 * BITS)] = {
    let mut threes = [0; 1 << (2 * BITS)];
    let mut at = 0;
    while at < words::ENTRIES.len() {
        if let Some([last, second, third, _]) = ending(at, false) {
            #[expect(clippy::indexing_slicing, reason = "built at compile time, codes are below 32")]
            {
                threes[last << BITS | second] |= if third == NONE { u32::MAX } else { 1 << third };
            }
        }
        if let Some([last, second, third, _]) = ending(at, true) {
            #[expect(clippy::indexing_slicing, reason = "built at compile time, codes are below 32")]
            {
                threes[last << BITS | second] |= 1 << third;
            }
        }
        at += 1;
    }
    threes
};

/// The same for entries of which no more than three letters are known: they go with all letters before them.
static WHOLE: [u32; 1 << (2 * BITS)] = {
    let mut whole = [0; 1 << (2 * BITS)];
    let mut at = 0;
    while at < 2 * words::ENTRIES.len() {
        if let Some([last, second, third, NONE]) = ending(at / 2, at % 2 == 1) {
            #[expect(clippy::indexing_slicing, reason = "built at compile time, codes are below 32")]
            {
                whole[last << BITS | second] |= 1 << third;
            }
        }
        at += 1;
    }
    whole
};

/// Bits for the last four letters of the others, by a hash of them.
static FOURS: [u64; FOURS_LEN] = {
    let mut fours = [0; FOURS_LEN];
    let mut at = 0;
    while at < 2 * words::ENTRIES.len() {
        if let Some([last, second, third, fourth]) = ending(at / 2, at % 2 == 1)
            && fourth != NONE
        {
            let bit = four(last, second, third, fourth);
            #[expect(clippy::indexing_slicing, reason = "built at compile time, `four` is below the number")]
            {
                fours[bit / 64] |= 1 << (bit % 64);
            }
        }
        at += 1;
    }
    fours
};
const FOURS_LEN: usize = 512;

const fn four(last: usize, second: usize, third: usize, fourth: usize) -> usize {
    let all = ((last << BITS | second) << BITS | third) << BITS | fourth;
    all.wrapping_mul(0x9E37_79B1) >> 11 & (FOURS_LEN * 64 - 1)
}

/// The codes of the last letters of an entry, from the last on. A list is called by the plural. `None` for what tells
/// nothing, and for what has letters outside ASCII at its end, which ends no word of ASCII.
#[expect(clippy::indexing_slicing, reason = "called at compile time, places are below their number")]
const fn ending(at: usize, plural: bool) -> Option<[usize; 4]> {
    let (word, hint) = words::ENTRIES[at];
    let word = word.as_bytes();
    if !hint.is_telling() || plural && word.len() < 2 {
        return None;
    }
    let mut codes = [NONE; 4];
    let mut place = 0;
    if plural {
        codes[0] = code(b's');
        place = 1;
    }
    let mut left = word.len();
    while place < 4 && left > 0 {
        left -= 1;
        if !word[left].is_ascii() {
            return if place < 2 { None } else { Some(codes) };
        }
        codes[place] = code(word[left]);
        place += 1;
    }
    Some(codes)
}

/// No letter.
const NONE: usize = 0;

const fn code(b: u8) -> usize {
    if b.is_ascii_alphabetic() {
        (b & 31) as usize
    } else if b.is_ascii_digit() {
        DIGIT + (b % 5) as usize
    } else {
        0
    }
}

/// What a byte is for [`may_name`]: the code of a letter or digit, with its case.
static SIGNS: [u8; 256] = {
    let mut signs = [SPACE; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        let sign = match byte {
            0x80.. => FOREIGN,
            b'\n' | b';' | b'{' | b'}' => STOP,
            b'A'..=b'Z' => code(byte) as u8 | UPPER,
            b'a'..=b'z' => code(byte) as u8 | LOWER,
            b'0'..=b'9' => code(byte) as u8,
            _ => SPACE,
        };
        #[expect(clippy::indexing_slicing, reason = "built at compile time, bytes are below 256")]
        {
            signs[b] = sign;
        }
        b += 1;
    }
    signs
};
const UPPER: u8 = 0x20;
const LOWER: u8 = 0x40;
const SPACE: u8 = 0x80;
const STOP: u8 = 0x81;
const FOREIGN: u8 = 0x82;

/// False if [`super::near`] would say nothing of a value that stands behind `before`.
pub(crate) fn may_name(before: &[u8]) -> bool {
    let text = before.get(before.len().saturating_sub(NEAR_MAX)..).unwrap_or_default();
    // The codes from the last letter on, and which of them end a word.
    let mut codes = [NONE as u8; NEAR_MAX + 4];
    let mut ends = 0_u64;
    let (mut count, mut most, mut last) = (0, NEAR_MAX, SPACE);
    for b in text.iter().rev() {
        let sign = SIGNS.get(usize::from(*b)).copied().unwrap_or(FOREIGN);
        if sign >= SPACE {
            match sign {
                STOP => break,
                // Letters of other scripts are looked at in earnest.
                FOREIGN => return true,
                _ => last = SPACE,
            }
            continue;
        }
        if last == SPACE || last & UPPER != 0 && sign & LOWER != 0 {
            ends |= 1 << count;
            if ends.count_ones() as usize == NEAR_WORDS {
                most = count + 4;
            }
        }
        let Some(place) = codes.get_mut(count) else { break };
        *place = sign & 31;
        count += 1;
        if count == most {
            break;
        }
        last = sign;
    }
    // Words behind the fourth were only letters before it.
    let mut ends = if most == NEAR_MAX { ends } else { ends & ((2 << (most - 4)) - 1) };
    while ends != 0 {
        let at = ends.trailing_zeros() as usize;
        if codes.get(at..at + 4).and_then(<[u8]>::first_chunk).is_some_and(ends_like_an_entry) {
            return true;
        }
        ends &= ends - 1;
    }
    false
}

/// Letters of one word after another count as if they stood together, as they do in the table.
#[inline]
fn ends_like_an_entry(codes: &[u8; 4]) -> bool {
    let [last, second, third, fourth] = codes.map(usize::from);
    let thirds = THREES.get(last << BITS | second).copied().unwrap_or(u32::MAX);
    // Words of two letters go with all that stands before them.
    if thirds == u32::MAX {
        return true;
    }
    if thirds >> third & 1 == 0 {
        return false;
    }
    let whole = WHOLE.get(last << BITS | second).copied().unwrap_or(u32::MAX);
    let bit = four(last, second, third, fourth);
    whole >> third & 1 == 1 || FOURS.get(bit / 64).is_none_or(|bits| bits >> (bit % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::super::near;
    use super::*;

    fn capital(word: &str) -> String {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
    }

    #[test]
    fn no_word_of_the_table_is_passed_over() {
        for (word, hint) in words::ENTRIES.iter().filter(|(_, hint)| hint.is_telling()) {
            for before in [
                format!("{word}: "),
                format!("my {word}s "),
                format!("X{}-number of ", word.to_uppercase()),
                format!("x{} is ", capital(word)),
            ] {
                let named = near(before.as_bytes());
                assert!(!named.is_telling() || may_name(before.as_bytes()), "{before:?} of {hint:?}");
            }
        }
        assert!(!may_name(b"/api/v2/items/") && !may_name(b"processed 12 rows of ") && !may_name(b""));
    }
}
