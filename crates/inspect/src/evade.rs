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
pub(crate) fn is_suspect(word: &[u8]) -> bool {
    let head = word.get(..HEAD.div_ceil(3) * 4).unwrap_or(word);
    is_worth(&base64(head)) || word.len() >= 2 * WORD_MIN && is_worth(&hex(word.get(..HEAD * 2).unwrap_or(word)))
}

fn is_worth(head: &Head) -> bool {
    let bytes = head.bytes.get(..head.len).unwrap_or_default();
    bytes.len() >= 8 && (bytes.starts_with(&[0x1F, 0x8B, 8]) || is_readable(bytes))
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

struct Head {
    bytes: [u8; HEAD + 4],
    len: usize,
}

impl Head {
    fn read(bytes: impl Iterator<Item = u8>) -> Self {
        let mut head = Self { bytes: [0; HEAD + 4], len: 0 };
        for (place, b) in head.bytes.iter_mut().zip(bytes) {
            *place = b;
            head.len += 1;
        }
        head
    }
}

fn base64(word: &[u8]) -> Head {
    Head::read(base64_bytes(word))
}

fn hex(word: &[u8]) -> Head {
    Head::read(hex_bytes(word))
}

/// base64 with either alphabet (RFC 4648 4 and 5) up to its padding; bits that fill no byte are left out.
fn base64_bytes(word: &[u8]) -> impl Iterator<Item = u8> {
    let (mut bits, mut count) = (0_u32, 0);
    word.iter().map_while(|b| six(*b)).filter_map(move |six| {
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count < 8 {
            return None;
        }
        count -= 8;
        Some((bits >> count) as u8)
    })
}

fn six(b: u8) -> Option<u8> {
    match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'-' | b'+' => Some(62),
        b'_' | b'/' => Some(63),
        _ => None,
    }
}

fn hex_bytes(word: &[u8]) -> impl Iterator<Item = u8> {
    let (pairs, _) = word.as_chunks::<2>();
    pairs.iter().map_while(|[high, low]| {
        let digit = |b: u8| char::from(b).to_digit(16);
        Some((digit(*high)? << 4 | digit(*low)?) as u8)
    })
}

/// Looks into the word at `start..end` of `text`; what is found there covers the word.
pub(crate) fn scan_word(text: &[u8], start: usize, end: usize, depth: usize, out: &mut Vec<Finding>) {
    let word = text.get(start..end.min(start + WORD_MAX)).unwrap_or_default();
    if depth >= DEPTH_MAX {
        return;
    }
    let bare = word.strip_prefix(b"0x").unwrap_or(word);
    let unpacked = if bare.len() >= 2 * WORD_MIN - 2 && is_worth(&hex(bare)) && bare.iter().all(u8::is_ascii_hexdigit) {
        hex_bytes(bare).collect()
    } else if is_worth(&base64(word)) {
        base64_bytes(word).collect()
    } else {
        return;
    };
    let unpacked = gunzip(unpacked);
    let mut inner = Vec::new();
    crate::scan_depth(&unpacked, Hint::None, depth + 1, &mut inner);
    if let Some(found) = inner.iter().min_by_key(|finding| finding.kind) {
        out.push(Finding { start, end, ..*found });
    }
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
        for word in ["3f2504e04f8911d39a0c0305e82c3301", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "dozjgNryP4J3jVmNHl0w5N"] {
            assert!(!is_suspect(word.as_bytes()), "{word}");
        }
        assert!(is_suspect(b"YW5uQGV4YW1wbGUub3Jn") && is_suspect(b"616e6e406578616d706c652e6f7267616e6e"));
    }
}
