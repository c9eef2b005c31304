//! Characters read as the plain ones they stand for.
//!
//! A small part of Unicode's compatibility folding (UAX #15, NFKC): only what can hide an
//! identifier from the scanner, and only towards ASCII.

/// A folded text, and where each of its bytes came from.
pub(crate) struct Folded {
    text: Vec<u8>,
    /// For each byte of `text`, the place of its character in the original.
    origins: Vec<(u32, u32)>,
}

impl Folded {
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The bytes of the original that the bytes `start..end` of the folded text came from.
    pub(crate) fn place(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.origins.get(start).map_or(0, |origin| origin.0);
        let last = self.origins.get(end.saturating_sub(1)).map_or(0, |origin| origin.1);
        (first as usize, last as usize)
    }
}

/// The folded text, or `None` if folding changes nothing.
pub(crate) fn fold(text: &[u8]) -> Option<Folded> {
    let text = std::str::from_utf8(text).ok().filter(|text| u32::try_from(text.len()).is_ok())?;
    if !is_foldable(text) {
        return None;
    }
    let mut folded = Folded { text: Vec::with_capacity(text.len()), origins: Vec::with_capacity(text.len()) };
    for (at, c) in text.char_indices() {
        let to = match plain(c) {
            Some(Plain::Nothing) => continue,
            Some(Plain::Byte(byte)) => char::from(byte),
            None => c,
        };
        folded.text.extend_from_slice(to.encode_utf8(&mut [0; 4]).as_bytes());
        let origin = (at as u32, (at + c.len_utf8()) as u32);
        folded.origins.resize(folded.text.len(), origin);
    }
    Some(folded)
}

/// True for first bytes of characters of which some fold.
pub(crate) fn may_begin(b: u8) -> bool {
    matches!(b, 0xC2 | 0xCD | 0xD9 | 0xDB | 0xE0..=0xE3 | 0xEF | 0xF0)
}

fn is_foldable(text: &str) -> bool {
    // Only characters with these first bytes fold, so most scripts are passed over by the byte.
    let suspect = |b: &u8| may_begin(*b);
    let mut at = 0;
    while let Some(offset) = text.as_bytes().get(at..).and_then(|rest| rest.iter().position(suspect)) {
        at += offset;
        let c = text.get(at..).and_then(|rest| rest.chars().next());
        if c.is_some_and(|c| plain(c).is_some()) {
            return true;
        }
        at += c.map_or(1, char::len_utf8);
    }
    false
}

enum Plain {
    Byte(u8),
    Nothing,
}

fn plain(c: char) -> Option<Plain> {
    let digit = |zero: u32| Some(Plain::Byte(b'0' + ((c as u32 - zero) % 10) as u8));
    match c {
        '\0'..='\u{7F}' => None,
        // invisible: soft hyphen, joiners, marks of direction, variation selectors
        '\u{AD}'
        | '\u{34F}'
        | '\u{180B}'..='\u{180E}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' => Some(Plain::Nothing),
        '\u{FF01}'..='\u{FF5E}' => Some(Plain::Byte((c as u32 - 0xFEE0) as u8)),
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => {
            Some(Plain::Byte(b' '))
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => Some(Plain::Byte(b'-')),
        '\u{B7}' | '\u{2024}' | '\u{3002}' | '\u{FF61}' | '\u{FE52}' => Some(Plain::Byte(b'.')),
        '\u{2044}' | '\u{2215}' => Some(Plain::Byte(b'/')),
        '\u{FE6B}' => Some(Plain::Byte(b'@')),
        '\u{660}'..='\u{669}' => digit(0x660),
        '\u{6F0}'..='\u{6F9}' => digit(0x6F0),
        '\u{966}'..='\u{96F}' => digit(0x966),
        '\u{1D7CE}'..='\u{1D7FF}' => digit(0x1D7CE),
        _ => None,
    }
}
