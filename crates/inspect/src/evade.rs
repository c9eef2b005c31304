//! Text inside words: base64, hexadecimal digits, and gzip in either.
//!
//! Only what decodes to readable text is looked at: the first bytes tell at once for nearly every key, hash and
//! id. Depth and size are bounded.

use std::io::Read;

use crate::quick::WORD_MIN;
use crate::{Finding, key::Hint};

/// How often text may be wrapped.
pub(crate) const DEPTH_MAX: usize = 3;

/// Longest word that is decoded, in bytes; of a longer one only the start is.
const WORD_MAX: usize = 262_144;

/// Most bytes that are unpacked from one word.
const UNPACKED_MAX: u64 = 262_144;

/// Bytes of the decoded text that must be readable.
const HEAD: usize = 12;

/// True if the word could be readable text in base64 or hexadecimal digits.
#[inline]
pub(crate) fn is_suspect(word: &[u8]) -> bool {
    is_worth_base64(word) || word.len() >= 2 * WORD_MIN - 2 && is_worth_hex(without_mark(word))
}

/// The digits behind `0x`.
fn without_mark(word: &[u8]) -> &[u8] {
    word.strip_prefix(b"0x").unwrap_or(word)
}

/// The values of letters in base64 with either alphabet (RFC 4648 4 and 5), and of hexadecimal digits; 255 for none.
static BASE64: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut b = 0;
    while b < 256 {
        #[expect(clippy::indexing_slicing, reason = "built at compile time, index is below 256")]
        {
            table[b] = match b as u8 {
                b @ b'A'..=b'Z' => b - b'A',
                b @ b'a'..=b'z' => b - b'a' + 26,
                b @ b'0'..=b'9' => b - b'0' + 52,
                b'-' | b'+' => 62,
                b'_' | b'/' => 63,
                _ => NONE,
            };
        }
        b += 1;
    }
    table
};

static HEX: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut b = 0;
    while b < 256 {
        #[expect(clippy::indexing_slicing, reason = "built at compile time, index is below 256")]
        {
            table[b] = match b as u8 {
                b @ b'0'..=b'9' => b - b'0',
                b @ b'a'..=b'f' => b - b'a' + 10,
                b @ b'A'..=b'F' => b - b'A' + 10,
                _ => NONE,
            };
        }
        b += 1;
    }
    table
};

const NONE: u8 = 255;

#[inline]
fn value(table: &[u8; 256], b: u8) -> u8 {
    table.get(usize::from(b)).copied().unwrap_or(NONE)
}

/// The first bytes of the word as base64: readable, or gzip.
#[inline]
fn is_worth_base64(word: &[u8]) -> bool {
    let Some(head) = word.first_chunk::<16>() else { return false };
    // How gzip's mark begins in base64.
    if head.starts_with(b"H4sI") {
        return true;
    }
    // Text begins with no byte that only goes on with a character.
    let [first, second, third, ..] = *head;
    let lead = value(&BASE64, first) << 2 | value(&BASE64, second) >> 4;
    if matches!(lead, 0x80..0xC2 | ..9) {
        return false;
    }
    // What begins a character of several bytes is followed by one that goes on with it.
    let next = value(&BASE64, second) << 4 | value(&BASE64, third) >> 2 & 15;
    if lead >= 0xC2 && !matches!(next, 0x80..0xC0) && lead != 0x1F {
        return false;
    }
    let mut bytes = [0; HEAD];
    let (fours, _) = head.as_chunks::<4>();
    for (three, four) in bytes.chunks_exact_mut(3).zip(fours) {
        let [a, b, c, d] = four.map(|b| value(&BASE64, b));
        if (a | b | c | d) > 63 {
            return false;
        }
        let bits = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
        let [_, x, y, z] = bits.to_be_bytes();
        // One control sign tells that this is no text.
        if x < 9 || y < 9 || z < 9 {
            return false;
        }
        three.copy_from_slice(&[x, y, z]);
    }
    is_worth(&bytes)
}

#[inline]
fn is_worth_hex(word: &[u8]) -> bool {
    let Some(head) = word.first_chunk::<{ HEAD * 2 }>() else { return false };
    let [first, second, ..] = *head;
    if matches!(value(&HEX, first) << 4 | value(&HEX, second), 0x80..0xC2 | ..9) {
        return false;
    }
    let mut bytes = [0; HEAD];
    let (pairs, _) = head.as_chunks::<2>();
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|b| value(&HEX, b));
        if (high | low) > 15 {
            return false;
        }
        *byte = high << 4 | low;
    }
    is_worth(&bytes)
}

fn is_worth(head: &[u8; HEAD]) -> bool {
    head.starts_with(&[0x1F, 0x8B, 8]) || is_readable(head)
}

/// UTF-8 without control signs; the last character may be cut.
fn is_readable(bytes: &[u8]) -> bool {
    let control = |b: &u8| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r') || *b == 0x7F;
    !bytes.iter().any(control)
        && match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
}

/// base64 up to its padding; bits that fill no byte are left out.
fn base64_bytes(word: &[u8]) -> impl Iterator<Item = u8> {
    let (mut bits, mut count) = (0_u32, 0);
    word.iter().map(|b| value(&BASE64, *b)).take_while(|six| *six != NONE).filter_map(move |six| {
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count < 8 {
            return None;
        }
        count -= 8;
        Some((bits >> count) as u8)
    })
}

fn hex_bytes(word: &[u8]) -> impl Iterator<Item = u8> {
    let (pairs, _) = word.as_chunks::<2>();
    let values = pairs.iter().map(|pair| pair.map(|b| value(&HEX, b)));
    values.take_while(|[high, low]| high | low != NONE).map(|[high, low]| high << 4 | low)
}

/// Looks into the word at `start..end` of `text`; what is found there covers the word.
pub(crate) fn scan_word(
    text: &[u8],
    (start, end): (usize, usize),
    hint: Hint,
    depth: usize,
    out: &mut Vec<Finding>,
) {
    let word = text.get(start..end.min(start + WORD_MAX)).unwrap_or_default();
    if depth >= DEPTH_MAX {
        return;
    }
    let bare = without_mark(word);
    let unpacked =
        if bare.len() >= 2 * WORD_MIN - 2 && is_worth_hex(bare) && bare.iter().all(u8::is_ascii_hexdigit) {
            hex_bytes(bare).collect()
        } else if is_worth_base64(word) {
            base64_bytes(word).collect()
        } else {
            return;
        };
    let unpacked = gunzip(unpacked);
    let mut inner = Vec::new();
    crate::told(&unpacked, hint, &mut inner);
    crate::scan_depth(&unpacked, Hint::None, depth + 1, &mut inner);
    if let Some(found) = inner.iter().min_by_key(|finding| finding.kind) {
        out.push(Finding { start, end, ..*found });
    }
}

/// Fewest letters of a whole value that is undone because of its name.
const NAMED_MIN: usize = 8;

/// A whole value in base64 or hexadecimal digits under a name that tells what is in it: short ones count, too, for what the
/// name tells must be found in them.
pub(crate) fn scan_named(text: &[u8], hint: Hint, out: &mut Vec<Finding>) {
    let bare = without_mark(text);
    let padded =
        text.trim_ascii_end().strip_suffix(b"=").map_or(text, |one| one.strip_suffix(b"=").unwrap_or(one));
    if !(NAMED_MIN..=WORD_MAX).contains(&bare.len()) {
        return;
    }
    let is_hex = bare.len().is_multiple_of(2) && bare.iter().all(u8::is_ascii_hexdigit);
    let is_base64 = padded.iter().all(|b| value(&BASE64, *b) != NONE);
    let mut inner = Vec::new();
    for plain in [
        is_hex.then(|| hex_bytes(bare).collect::<Vec<u8>>()),
        is_base64.then(|| base64_bytes(padded).collect::<Vec<u8>>()),
    ] {
        // Numbers and names are printable; nearly no bytes that chance makes are, all of them.
        let Some(plain) = plain.filter(|plain| is_printable(plain)) else { continue };
        crate::told(&plain, hint, &mut inner);
        crate::scan_depth(&plain, Hint::None, 1, &mut inner);
        let most = |finding: &&Finding| (finding.end - finding.start) * 2 >= plain.len();
        if let Some(found) = inner.iter().filter(most).min_by_key(|finding| finding.kind) {
            out.push(Finding { start: 0, end: text.len(), ..*found });
            return;
        }
        inner.clear();
    }
}

/// ASCII without control signs, or other letters.
fn is_printable(bytes: &[u8]) -> bool {
    bytes.len() >= 6 && is_readable(bytes) && std::str::from_utf8(bytes).is_ok()
}

/// What gzip packed, up to a limit; a broken file gives what came before the fault.
fn gunzip(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return bytes;
    }
    let mut unpacked = Vec::new();
    // A fault is no reason to look away from what was read before it.
    let _ = flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(UNPACKED_MAX).read_to_end(&mut unpacked);
    unpacked
}

/// Words of at least [`WORD_MIN`] letters, digits and signs of base64. Every such word covers a place that is a
/// multiple of its least length, so only those places are looked at.
pub(crate) struct LongWords<'a> {
    text: &'a [u8],
    probe: usize,
    floor: usize,
}

impl<'a> LongWords<'a> {
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self { text, probe: WORD_MIN - 1, floor: 0 }
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'/' | b'=')
}

impl Iterator for LongWords<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        loop {
            let probe = self.probe;
            let b = *self.text.get(probe)?;
            self.probe += WORD_MIN;
            if probe < self.floor || !is_word(b) {
                continue;
            }
            let before = self.text.get(self.floor..probe).unwrap_or_default();
            let start = probe - before.iter().rev().take_while(|b| is_word(**b)).count();
            let after = self.text.get(probe..).unwrap_or_default();
            let end = probe + after.iter().take_while(|b| is_word(**b)).count();
            self.floor = end;
            if end - start >= WORD_MIN {
                return Some((start, end));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_found_wherever_they_begin() {
        for before in 0..40 {
            for len in 14..20 {
                let text = format!("{}{} b", " ".repeat(before), "x".repeat(len));
                let found: Vec<_> = LongWords::of(text.as_bytes()).collect();
                let expected = if len >= WORD_MIN { vec![(before, before + len)] } else { Vec::new() };
                assert_eq!(found, expected, "{text:?}");
            }
        }
    }

    #[test]
    fn hashes_and_ids_are_not_worth_a_look() {
        for word in [
            "3f2504e04f8911d39a0c0305e82c3301",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "dozjgNryP4J3jVmNHl0w5N",
        ] {
            assert!(!is_suspect(word.as_bytes()), "{word}");
        }
        assert!(is_suspect(b"YW5uQGV4YW1wbGUub3Jn") && is_suspect(b"616e6e406578616d706c652e6f7267616e6e"));
    }
}
