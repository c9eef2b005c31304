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
    let text = bytes.get(start..end).unwrap_or_default();
    let len = text.len();
    if len > WIDTH {
        return is_quiet_long(text);
    }
    // Ids and times are common, and told by a few bytes.
    if len >= 19 {
        match (text.get(4), text.get(8), text.get(13)) {
            (Some(b'-'), _, Some(b':')) if is_timestamp(text) => return true,
            (_, Some(b'-'), Some(b'-')) if is_uuid(text) => return true,
            _ => {}
        }
    } else if len <= 10 && text.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let classes = if let Some(window) = bytes.get(start..).and_then(<[u8]>::first_chunk::<WIDTH>) {
        Classes::of(window, len)
    } else {
        of_short(text)
    };
    is_quiet_short(text, classes)
}

fn of_short(text: &[u8]) -> Classes {
    let mut window = [0; WIDTH];
    for (place, b) in window.iter_mut().zip(text) {
        *place = *b;
    }
    Classes::of(&window, text.len())
}

/// Digits and lengths below which only colons and [`Classes::special`] signs could tell anything.
pub(crate) const FEW_DIGITS: u32 = 4;
pub(crate) const FEW_BYTES: usize = 14;

/// Fewest digits, with whatever may stand between them, that are a number of somebody's.
const DIGITS_MIN: u32 = 6;

/// A value of at most [`WIDTH`] bytes.
fn is_quiet_short(text: &[u8], classes: Classes) -> bool {
    if classes.special != 0 && !is_plain(text, classes.special) {
        return false;
    }
    let len = text.len();
    let all = u64::MAX >> (WIDTH - len.clamp(1, WIDTH));
    if classes.digits == all {
        let short = len <= 10 || matches!(len, 12 | 20..);
        return short || !card_valid(text) && ids::alone_bare(text).is_none();
    }
    if classes.colons.count_ones() >= 2 {
        return len >= 19 && is_timestamp(text);
    }
    if len == 10 && is_date(text, classes) {
        return true;
    }
    // A word before a number may name it.
    if classes.digits.count_ones() >= 4
        && classes.letters.count_ones() >= 2
        && (classes.colons != 0 || text.contains(&b' '))
    {
        return false;
    }
    let words = classes.letters | classes.digits | classes.joints;
    // Within one long word digits are a card or nothing, and `are_quiet_words` looks at how many follow each other.
    if len > WORD_MIN && classes.letters | classes.digits == all {
        return !may_be_address(classes, len) && are_quiet_words(text, classes);
    }
    let long = len >= WORD_MIN && has_run(words, WORD_MIN as u32);
    are_quiet_numbers(classes, all)
        && !may_be_address(classes, len)
        && (!long || are_quiet_words(text, classes))
}

/// A UUID whose last part is more than digits: nothing else has its form.
fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else { return false };
    let dashed = text[8] == b'-' && text[13] == b'-' && text[18] == b'-' && text[23] == b'-';
    let hex = text.iter().map(|b| u8::from(b.is_ascii_hexdigit())).sum::<u8>();
    let tail = text.get(24..).unwrap_or_default();
    dashed && hex == 32 && tail.iter().map(|b| u8::from(b.is_ascii_digit())).sum::<u8>() < 11
}

/// True if the special bytes are ampersands that begin no entity.
fn is_plain(text: &[u8], mut special: u64) -> bool {
    while special != 0 {
        let at = special.trailing_zeros() as usize;
        let rest = text.get(at..).unwrap_or_default();
        let entity = rest.iter().take(12).any(|b| *b == b';');
        if rest.first() != Some(&b'&') || entity {
            return false;
        }
        special &= special - 1;
    }
    true
}

/// `2026-05-06`: no number is printed so that begins with this or the last century.
fn is_date(text: &[u8], classes: Classes) -> bool {
    classes.joints == 1 << 4 | 1 << 7
        && classes.digits == 0b11_0110_1111
        && matches!(text, [b'1', b'9', ..] | [b'2', b'0', ..])
        && text.get(4) == Some(&b'-')
}

/// True if between any two letters there are fewer digits than a number of somebody's has.
fn are_quiet_numbers(classes: Classes, all: u64) -> bool {
    if classes.digits.count_ones() < DIGITS_MIN {
        return true;
    }
    let mut rest = all & !classes.letters;
    while rest != 0 {
        let start = rest.trailing_zeros();
        let run = (rest >> start).trailing_ones();
        let mask = if run == 64 { u64::MAX } else { ((1 << run) - 1) << start };
        if (classes.digits & mask).count_ones() >= DIGITS_MIN {
            return false;
        }
        rest &= !mask;
    }
    true
}

/// True for what may hold an IP address, a MAC address or an IBAN whose digits are few.
fn may_be_address(classes: Classes, len: usize) -> bool {
    let (digits, letters) = (classes.digits, classes.letters);
    let words = letters | digits;
    let starts = words & !(words << 1);
    let iban = starts & letters & letters >> 1 & digits >> 2 & digits >> 3;
    let ip = classes.dots.count_ones() >= 3 && digits.count_ones() >= 4;
    let mac = len >= 14 && (classes.joints.count_ones() >= 5 || classes.dots & classes.dots >> 5 != 0);
    ip || mac && may_be_mac(classes) || iban != 0 && len >= 15 && digits.count_ones() >= 5
}

/// Two signs three bytes apart five times, or twice five bytes apart.
fn may_be_mac(classes: Classes) -> bool {
    let joints = classes.joints;
    let bytes = joints & joints >> 3 & joints >> 6 & joints >> 9 & joints >> 12;
    bytes != 0 || classes.dots & classes.dots >> 5 != 0
}

/// True if no long word of the text is a key, an identifier, or has text inside.
fn are_quiet_words(text: &[u8], classes: Classes) -> bool {
    // Tokens have two dots.
    if classes.dots.count_ones() >= 2 || has_run(classes.digits, 11) {
        return false;
    }
    let words = classes.letters | classes.digits | classes.joints;
    if words.trailing_ones() as usize == text.len() {
        return is_quiet_word(text, 0, text, classes);
    }
    evade::LongWords::of(text)
        .all(|(start, end)| is_quiet_word(text, start, text.get(start..end).unwrap_or_default(), classes))
}

/// `word` stands at `start` of the text.
fn is_quiet_word(text: &[u8], start: usize, word: &[u8], classes: Classes) -> bool {
    // A word that follows another may be named by it, and one with an equals sign names itself.
    let named =
        start > 0 && text.get(start - 1) == Some(&b' ') || classes.joints != 0 && word.contains(&b'=');
    let first_letter = word.first().is_some_and(u8::is_ascii_alphabetic);
    let identifier = word.len() == WORD_MIN && first_letter && classes.digits != 0;
    !named
        && !identifier
        && !word.starts_with(b"-----")
        && !evade::is_suspect(word)
        && !secret::is_suspect(word)
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
