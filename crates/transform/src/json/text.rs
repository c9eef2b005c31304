//! Strings in and out of their JSON spelling.

use super::error::{ErrorKind, JsonError};
use super::lex::{byte, hex4, low_surrogate, stray};

/// Appends the text that `raw` (the bytes between the quotes of a JSON string) spells.
///
/// # Errors
///
/// An unknown or truncated escape, or a lone surrogate. Bytes outside escapes are copied as
/// they are.
///
/// ```
/// let mut text = Vec::new();
/// transform::json::unescape(br"caf\u00e9\n", &mut text)?;
/// assert_eq!(text, "caf\u{e9}\n".as_bytes());
/// # Ok::<(), transform::json::JsonError>(())
/// ```
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let mut run = 0;
    while let Some(offset) = raw.get(run..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let at = run + offset;
        out.extend_from_slice(raw.get(run..at).unwrap_or_default());
        run = unescape_one(raw, at, out)?;
    }
    out.extend_from_slice(raw.get(run..).unwrap_or_default());
    Ok(())
}

/// Appends what the escape at `at` spells; returns the position after it.
fn unescape_one(raw: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let plain = match byte(raw, at + 1) {
        same @ (b'"' | b'\\' | b'/') => same,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_unicode(raw, at, out),
        _ => return Err(stray(raw, at + 1, ErrorKind::Escape)),
    };
    out.push(plain);
    Ok(at + 2)
}

fn unescape_unicode(raw: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let high = hex4(raw, at + 2)?;
    let (code, end) = match high {
        0xD800..=0xDBFF => {
            let low = low_surrogate(raw, at + 6)?;
            (0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), at + 12)
        }
        _ => (high, at + 6),
    };
    // `from_u32` refuses exactly what is left to refuse: a low surrogate on its own.
    let c = char::from_u32(code).ok_or_else(|| JsonError::new(ErrorKind::Surrogate, at))?;
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(end)
}

/// Appends `text` as a JSON string with its quotes. Sequences that are not UTF-8 become U+FFFD,
/// so the result is always valid JSON.
///
/// ```
/// let mut out = Vec::new();
/// transform::json::write_string(b"a \"b\"\n", &mut out);
/// assert_eq!(out, br#""a \"b\"\n""#);
/// ```
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if text.is_ascii() {
        write_escaped(text, out);
        return out.push(b'"');
    }
    for chunk in text.utf8_chunks() {
        write_escaped(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    out.push(b'"');
}

fn write_escaped(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = text.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)) {
        let (plain, rest) = text.split_at(at);
        out.extend_from_slice(plain);
        let Some((special, rest)) = rest.split_first() else { return };
        write_special(*special, out);
        text = rest;
    }
    out.extend_from_slice(text);
}

fn write_special(special: u8, out: &mut Vec<u8>) {
    match special {
        b'"' | b'\\' => out.extend([b'\\', special]),
        b'\n' => out.extend(b"\\n"),
        b'\r' => out.extend(b"\\r"),
        b'\t' => out.extend(b"\\t"),
        _ => {
            let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            out.extend([b'\\', b'u', b'0', b'0', hex(special >> 4), hex(special & 15)]);
        }
    }
}
