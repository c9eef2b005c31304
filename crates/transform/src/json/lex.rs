//! Scalars and whitespace of RFC 8259, checked to the letter.

use super::block::{BLOCK, marks};
use super::error::{ErrorKind, JsonError};

/// The byte at `at`, or 0 past the end. A raw 0 is refused everywhere in JSON, so both cases
/// take the same refusing branch and `stray` tells them apart.
#[inline(always)]
pub(super) fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The error for an unfit byte at `at`: the end of the text has its own kind.
#[cold]
pub(super) fn stray(text: &[u8], at: usize, kind: ErrorKind) -> JsonError {
    JsonError::new(if at >= text.len() { ErrorKind::UnexpectedEnd } else { kind }, at)
}

/// The first position at or after `at` that is not whitespace.
#[inline(always)]
pub(super) fn skip_space(text: &[u8], at: usize) -> usize {
    if byte(text, at) > b' ' { at } else { skip_space_slow(text, at) }
}

#[inline(never)]
fn skip_space_slow(text: &[u8], mut at: usize) -> usize {
    while matches!(byte(text, at), b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

/// A string that ends with the quote at `end`.
#[derive(Clone, Copy)]
pub(super) struct StringEnd {
    pub(super) end: usize,
    pub(super) escaped: bool,
}

/// Checks the string whose first byte after the opening quote is at `start`: its escapes, that
/// no control character stands in it, and that it is UTF-8. Outside strings no byte beyond ASCII
/// is taken, so the text as a whole needs no other check.
#[inline(always)]
pub(super) fn string(text: &[u8], start: usize) -> Result<StringEnd, JsonError> {
    let mut high = 0;
    let end = plain_end(text, start, &mut high);
    if byte(text, end) != b'"' {
        return string_slow(text, start, end, high);
    }
    if high != 0 {
        utf8(text, start, end)?;
    }
    Ok(StringEnd { end, escaped: false })
}

#[inline(never)]
fn string_slow(text: &[u8], start: usize, mut at: usize, mut high: u32) -> Result<StringEnd, JsonError> {
    let mut escaped = false;
    loop {
        match byte(text, at) {
            b'"' => break,
            b'\\' => {
                escaped = true;
                at = escape(text, at)?;
            }
            _ => return Err(stray(text, at, ErrorKind::ControlCharacter)),
        }
        at = plain_end(text, at, &mut high);
    }
    if high != 0 {
        utf8(text, start, at)?;
    }
    Ok(StringEnd { end: at, escaped })
}

/// Checks the runs of bytes beyond ASCII: a text is UTF-8 if each of them is. They are few and
/// short in most texts, and the check of the whole would go byte by byte behind each of them.
#[inline(never)]
fn utf8(text: &[u8], start: usize, end: usize) -> Result<(), JsonError> {
    let text = text.get(..end).unwrap_or_default();
    let mut at = next_high(text, start);
    while at < end {
        let rest = text.get(at..).unwrap_or_default();
        let run = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
        if let Err(error) = std::str::from_utf8(rest.get(..run).unwrap_or_default()) {
            return Err(JsonError::new(ErrorKind::NotUtf8, at + error.valid_up_to()));
        }
        at = next_high(text, at + run);
    }
    Ok(())
}

/// The position of the first byte beyond ASCII at or after `at`, or the end of the text.
fn next_high(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        match marks(block).high {
            0 => at += BLOCK,
            high => return at + high.trailing_zeros() as usize,
        }
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| !b.is_ascii()).unwrap_or(rest.len())
}

/// The position of the first quote, backslash or control character at or after `at`, or the
/// end of the text. `high` becomes nonzero if a byte beyond ASCII was passed, or stands shortly
/// behind.
#[inline(always)]
fn plain_end(text: &[u8], mut at: usize, high: &mut u32) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let marks = marks(block);
        *high |= marks.high;
        if marks.special != 0 {
            return at + marks.special.trailing_zeros() as usize;
        }
        at += BLOCK;
    }
    plain_end_slow(text, at, high)
}

#[inline(never)]
fn plain_end_slow(text: &[u8], at: usize, high: &mut u32) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
    *high |= u32::from(!rest.get(..end).unwrap_or_default().is_ascii());
    at + end
}

/// Checks the escape whose backslash is at `at`; returns the position after it. A surrogate
/// pair is one escape.
fn escape(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match byte(text, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match hex4(text, at + 2)? {
            0xD800..=0xDBFF => {
                low_surrogate(text, at + 6)?;
                Ok(at + 12)
            }
            0xDC00..=0xDFFF => Err(JsonError::new(ErrorKind::Surrogate, at)),
            _ => Ok(at + 6),
        },
        _ => Err(stray(text, at + 1, ErrorKind::Escape)),
    }
}

/// The low half of a surrogate pair, whose backslash must be at `at`.
pub(super) fn low_surrogate(text: &[u8], at: usize) -> Result<u32, JsonError> {
    if byte(text, at) != b'\\' || byte(text, at + 1) != b'u' {
        return Err(stray(text, at, ErrorKind::Surrogate));
    }
    match hex4(text, at + 2)? {
        low @ 0xDC00..=0xDFFF => Ok(low),
        _ => Err(JsonError::new(ErrorKind::Surrogate, at)),
    }
}

/// Four hexadecimal digits at `at`.
pub(super) fn hex4(text: &[u8], at: usize) -> Result<u32, JsonError> {
    let mut value = 0;
    for offset in 0..4 {
        let digit = char::from(byte(text, at + offset)).to_digit(16);
        value = value * 16 + digit.ok_or_else(|| stray(text, at + offset, ErrorKind::Escape))?;
    }
    Ok(value)
}

/// Checks the number at `at`; returns the position after it.
#[inline]
pub(super) fn number(text: &[u8], start: usize) -> Result<usize, JsonError> {
    let at = if byte(text, start) == b'-' { start + 1 } else { start };
    let mut at = match byte(text, at) {
        b'0' => at + 1,
        b'1'..=b'9' => digits(text, at + 1),
        _ => return Err(stray(text, at, ErrorKind::Number)),
    };
    if byte(text, at) == b'.' {
        at = some_digits(text, at + 1)?;
    }
    if matches!(byte(text, at), b'e' | b'E') {
        let sign = usize::from(matches!(byte(text, at + 1), b'+' | b'-'));
        at = some_digits(text, at + 1 + sign)?;
    }
    // `01`, `1a`, `1.2.3`: name the number as the culprit, not the missing comma.
    if NUMBER_TAIL.get(usize::from(byte(text, at))).copied().unwrap_or(false) {
        return Err(JsonError::new(ErrorKind::Number, at));
    }
    Ok(at)
}

#[inline(always)]
fn digits(text: &[u8], mut at: usize) -> usize {
    while byte(text, at).is_ascii_digit() {
        at += 1;
    }
    at
}

fn some_digits(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let end = digits(text, at);
    if end == at { Err(stray(text, at, ErrorKind::Number)) } else { Ok(end) }
}

/// Checks for one literal at `at`; returns the position after it.
#[inline]
pub(super) fn literal(text: &[u8], at: usize, word: &[u8]) -> Result<usize, JsonError> {
    let end = at + word.len();
    if text.get(at..end) == Some(word) {
        return Ok(end);
    }
    let rest = text.get(at..).unwrap_or_default();
    let cut_off = word.starts_with(rest);
    Err(JsonError::new(if cut_off { ErrorKind::UnexpectedEnd } else { ErrorKind::Literal }, at))
}

/// Bytes that cannot follow a number but look as if they belonged to it.
static NUMBER_TAIL: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 128 {
        #[expect(clippy::indexing_slicing, reason = "built at compile time, index is below 128")]
        {
            table[b as usize] = b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
        }
        b += 1;
    }
    table
};
