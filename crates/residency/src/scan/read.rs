//! Reads the letters or digits around an anchor in its form. Most forms write each character in the same number of
//! bytes; the others are walked through, character by character.

use data_encoding::BASE64_NOPAD;

use super::anchors::Anchor;
use crate::canary::{CORE_DIGITS, CORE_LETTERS, Canaries, Kind};
use crate::forms::Form;

/// Most characters of base64 before and behind an anchor that are decoded.
const BASE64_AROUND: usize = 40;
/// Longest HTML entity.
const ENTITY: usize = 10;
/// What stands between characters and is not seen.
const INVISIBLE: [&[u8]; 7] = [
    b"\xe2\x80\x8b",
    b"\xe2\x80\x8c",
    b"\xe2\x80\x8d",
    b"\xe2\x81\xa0",
    b"\xef\xbb\xbf",
    b"\xc2\xad",
    b"=\r\n",
];

/// The canary whose value an anchor is a part of, where it begins, and in which form.
pub(super) fn core(
    canaries: &Canaries,
    bytes: &[u8],
    at: usize,
    anchor: &Anchor,
) -> Option<(usize, (u32, Kind), Form)> {
    let whole = |(start, core): (usize, Vec<u8>)| {
        canaries.whose(&core.to_ascii_lowercase()).map(|whose| (start, whose))
    };
    let strided = |stride, unit: fn(&[u8]) -> Option<u8>| strided(bytes, at, anchor, stride, unit);
    let found = match anchor.form {
        Form::Plain => {
            if let Some((start, whose)) = strided(1, |u| u.first().copied()).and_then(whole) {
                return Some((start, whose, Form::Plain));
            }
            return core(canaries, bytes, at, &Anchor { form: Form::Broken, ..anchor.clone() });
        }
        Form::Broken => walked(bytes, at, anchor, seen_next, seen_before),
        Form::Utf16 => utf16(bytes, at, anchor),
        Form::Hex => strided(2, hex),
        Form::Percent => strided(3, |u| hex(u.strip_prefix(b"%")?)),
        Form::QuotedPrintable => strided(3, |u| hex(u.strip_prefix(b"=")?)),
        Form::Json => strided(6, |u| hex(u.strip_prefix(b"\\u00")?)),
        Form::HtmlDecimal | Form::HtmlHex => walked(bytes, at, anchor, entity_next, entity_before),
        Form::Base64 => base64(bytes, at, anchor),
    };
    found.and_then(whole).map(|(start, whose)| (start, whose, anchor.form))
}

fn length(anchor: &Anchor) -> usize {
    if anchor.digits { CORE_DIGITS } else { CORE_LETTERS }
}

fn strided(
    bytes: &[u8],
    at: usize,
    anchor: &Anchor,
    stride: usize,
    unit: fn(&[u8]) -> Option<u8>,
) -> Option<(usize, Vec<u8>)> {
    let start = at.checked_sub(anchor.offset * stride)?;
    let span = bytes.get(start..start + length(anchor) * stride)?;
    Some((start, span.chunks_exact(stride).map(unit).collect::<Option<_>>()?))
}

fn hex(unit: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    match unit {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// Of either order: between two characters stands one zero byte.
fn utf16(bytes: &[u8], at: usize, anchor: &Anchor) -> Option<(usize, Vec<u8>)> {
    let start = at.checked_sub(anchor.offset * 2)?;
    let span = bytes.get(start..start + length(anchor) * 2 - 1)?;
    let zeros = span.iter().skip(1).step_by(2).all(|b| *b == 0);
    zeros.then(|| (start, span.iter().step_by(2).copied().collect()))
}

/// A character at a place, and where the next begins.
type Next = fn(&[u8], usize) -> Option<(u8, usize)>;
/// A character before a place, and where it begins.
type Before = fn(&[u8], usize) -> Option<(u8, usize)>;

fn walked(bytes: &[u8], at: usize, anchor: &Anchor, next: Next, before: Before) -> Option<(usize, Vec<u8>)> {
    let mut core = Vec::with_capacity(CORE_DIGITS);
    let mut start = at;
    for _ in 0..anchor.offset {
        let (byte, begin) = before(bytes, start)?;
        core.push(byte);
        start = begin;
    }
    core.reverse();
    let mut place = at;
    while core.len() < length(anchor) {
        let (byte, end) = next(bytes, place)?;
        core.push(byte);
        place = end;
    }
    Some((start, core))
}

fn seen_next(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut rest = bytes.get(at..)?;
    while let Some(after) = INVISIBLE.iter().chain(&[b"=\n".as_slice()]).find_map(|i| rest.strip_prefix(*i)) {
        rest = after;
    }
    let place = bytes.len() - rest.len();
    rest.first().map(|b| (*b, place + 1))
}

fn seen_before(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut rest = bytes.get(..at)?;
    while let Some(left) = INVISIBLE.iter().chain(&[b"=\n".as_slice()]).find_map(|i| rest.strip_suffix(*i)) {
        rest = left;
    }
    rest.last().map(|b| (*b, rest.len() - 1))
}

fn entity_next(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let text = bytes.get(at..(at + ENTITY).min(bytes.len()))?;
    let end = text.iter().position(|b| *b == b';')?;
    entity(text.get(..end)?).map(|byte| (byte, at + end + 1))
}

fn entity_before(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let begin = at.saturating_sub(ENTITY);
    let text = bytes.get(begin..at)?.strip_suffix(b";")?;
    let start = text.iter().rposition(|b| *b == b'&')?;
    entity(text.get(start..)?).map(|byte| (byte, begin + start))
}

fn entity(text: &[u8]) -> Option<u8> {
    let number = std::str::from_utf8(text.strip_prefix(b"&#")?).ok()?;
    match number.strip_prefix(['x', 'X']) {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    }
}

fn base64(bytes: &[u8], at: usize, anchor: &Anchor) -> Option<(usize, Vec<u8>)> {
    // Characters, each with its place; line breaks are passed over.
    let mut chars: Vec<(usize, u8)> = Vec::with_capacity(2 * BASE64_AROUND);
    let symbol = |b: u8| match b {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b if b.is_ascii_alphanumeric() || b == b'+' || b == b'/' => Some(b),
        _ => None,
    };
    let back = bytes.get(..at)?.iter().enumerate().rev().filter(|(_, b)| !matches!(b, b'\r' | b'\n'));
    let symbols = |(place, b): (usize, &u8)| Some((place, symbol(*b)?));
    chars.extend(back.map_while(symbols).take(BASE64_AROUND));
    chars.reverse();
    // The anchor begins at this character of a group of four.
    let in_group = (anchor.shift * 8).div_ceil(6);
    let surplus = chars.len().checked_sub(in_group)? % 4;
    chars.drain(..surplus);
    let before = chars.len();
    let ahead = bytes.get(at..)?.iter().enumerate().map(|(n, b)| (at + n, b));
    let ahead = ahead.filter(|(_, b)| !matches!(b, b'\r' | b'\n')).map_while(symbols);
    chars.extend(ahead.take(BASE64_AROUND));
    // A last group of one character says nothing; of two or three, it is filled up.
    let mut text: Vec<u8> = chars.iter().map(|(_, b)| *b).collect();
    text.resize(text.len().next_multiple_of(4), b'A');
    let decoded = BASE64_NOPAD.decode(&text).ok()?;
    let here = (before - in_group) / 4 * 3 + anchor.shift;
    let start = here.checked_sub(anchor.offset)?;
    let core = decoded.get(start..start + length(anchor))?.to_vec();
    Some((chars.get(start * 8 / 6)?.0, core))
}
