//! Text and bytes that may be anything, piece by piece: memory stays bounded however long they are.

use crate::Finding;
use crate::context::scan_hinted;
use crate::key::Hint;
use crate::settle;

/// Bytes of one piece, and how many of them the next piece sees again.
const PIECE: usize = 32_768;
pub(super) const OVERLAP: usize = 512;

/// How far back a line's end is looked for.
const LINE_MAX: usize = 8_192;

pub(crate) fn scan(bytes: &[u8], out: &mut Vec<Finding>) {
    let first = out.len();
    let mut from = 0;
    let mut overlapped = false;
    while from < bytes.len() {
        let (to, next) = piece(bytes, from);
        let known = out.len();
        scan_hinted(Hint::None, false, bytes.get(from..to).unwrap_or_default(), out);
        for finding in out.iter_mut().skip(known) {
            finding.start += from;
            finding.end += from;
        }
        overlapped |= next < to;
        from = next;
    }
    if overlapped {
        settle(first, out);
    }
}

/// Where the piece that begins at `from` ends, and where the next one begins: at a line's end if there is one.
fn piece(bytes: &[u8], from: usize) -> (usize, usize) {
    let end = from + PIECE;
    let Some(piece) = bytes.get(from..end) else { return (bytes.len(), bytes.len()) };
    let tail = piece.get(PIECE - LINE_MAX..).unwrap_or_default();
    if let Some(line) = memchr::memrchr(b'\n', tail) {
        let end = end - LINE_MAX + line + 1;
        return (end, end);
    }
    // INVARIANT: a piece is longer than the overlap, so that each one goes on.
    (char_start(bytes, end), char_start(bytes, end - OVERLAP))
}

/// The start of the character at `at`, where the bytes are UTF-8.
pub(super) fn char_start(bytes: &[u8], at: usize) -> usize {
    let back = bytes.get(at.saturating_sub(3)..=at).unwrap_or_default();
    let tail = back.iter().rev().take_while(|b| (0x80..0xC0).contains(*b)).count();
    if tail < back.len() { at - tail } else { at }
}
