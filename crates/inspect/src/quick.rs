//! The first look at a value: most hold nothing, and their classes of bytes show it.

use crate::lanes::{Classes, WIDTH, has_run};
use crate::{card_valid, evade, ids, is_timestamp, secret};

/// Shortest word that may be a key, a token or something encoded.
pub(crate) const WORD_MIN: usize = 16;

/// Longest value that is looked at here; longer ones are prose or nested documents.
const LEN_MAX: usize = 512;

/// True if nothing can be found in `start..end` by form alone.
#[inline]
pub(crate) fn is_quiet(bytes: &[u8], start: usize, end: usize) -> bool {
    let len = end.saturating_sub(start);
    if len > WIDTH {
        return is_quiet_long(bytes.get(start..end).unwrap_or_default());
    }
    let classes = if let Some(window) = bytes.get(start..).and_then(<[u8]>::first_chunk::<WIDTH>) {
        Classes::of(window, len)
    } else {
        of_short(bytes.get(start..end).unwrap_or_default())
    };
    if classes.special != 0 {
        return false;
    }
    let words = classes.letters | classes.digits | classes.joints;
    let digits = classes.digits.count_ones();
    let colons = classes.colons.count_ones();
    if digits < 4 {
        return colons < 2 && !(len >= WORD_MIN && has_run(words, WORD_MIN as u32));
    }
    is_quiet_numbered(bytes.get(start..end).unwrap_or_default(), classes)
}

fn of_short(text: &[u8]) -> Classes {
    let mut window = [0; WIDTH];
    for (place, b) in window.iter_mut().zip(text) {
        *place = *b;
    }
    Classes::of(&window, text.len())
}

/// A value of at most [`WIDTH`] plain ASCII bytes with four digits or more.
fn is_quiet_numbered(text: &[u8], classes: Classes) -> bool {
    let len = text.len();
    let all = u64::MAX >> (WIDTH - len.clamp(1, WIDTH));
    let words = classes.letters | classes.digits | classes.joints;
    let digits = classes.digits.count_ones();
    let colons = classes.colons.count_ones();
    if classes.digits == all {
        return len <= 10 || matches!(len, 12 | 20..) || !card_valid(text) && ids::alone_bare(text).is_none();
    }
    if colons >= 2 {
        return len >= 19 && is_timestamp(text);
    }
    if len >= WORD_MIN && has_run(words, WORD_MIN as u32) {
        return words == all && is_quiet_word(text, classes);
    }
    digits < 6 && !(classes.dots.count_ones() >= 3) && len < 15
}

/// Where the dashes of a UUID stand.
const UUID_DASHES: u64 = 1 << 8 | 1 << 13 | 1 << 18 | 1 << 23;

/// One word of at least [`WORD_MIN`] letters, digits and joints.
fn is_quiet_word(text: &[u8], classes: Classes) -> bool {
    if text.len() == 36 && classes.joints == UUID_DASHES {
        return !has_run(classes.digits, 11);
    }
    if classes.joints != 0 || text.len() < 17 || has_run(classes.digits, 11) {
        return false;
    }
    let like_iban = classes.letters & 3 == 3 && classes.digits >> 2 & 3 == 3;
    !like_iban && !evade::is_suspect(text) && !secret::is_suspect(text)
}

/// Prose without anything that marks an identifier.
fn is_quiet_long(text: &[u8]) -> bool {
    if text.len() > LEN_MAX {
        return false;
    }
    let (windows, tail) = text.as_chunks::<WIDTH>();
    let mut before = 0;
    let mut seen = |classes: Classes| {
        let words = classes.letters | classes.digits | classes.joints;
        let joined = before + words.trailing_ones() as usize;
        before = if words == u64::MAX { joined } else { words.leading_ones() as usize };
        let quiet = classes.special | classes.digits == 0 && classes.colons.count_ones() < 2;
        quiet && joined < WORD_MIN && !has_run(words, WORD_MIN as u32)
    };
    windows.iter().all(|window| seen(Classes::of(window, WIDTH))) && seen(of_short(tail))
}
