//! Spellings undone: JSON's escapes, CSV's doubled quotation marks, percent signs and HTML's entities.

/// What a value stands for, and where each of its bytes came from.
#[derive(Default)]
pub(crate) struct Decoded {
    text: Vec<u8>,
    /// For each byte of `text`, where its spelling begins and ends, as offsets into the spelled value.
    origins: Vec<(u32, u32)>,
    /// True if only the text is wanted.
    only_text: bool,
}

/// Longest value that is decoded whole, in bytes; of a longer one the rest is left as it is.
const SPELLED_MAX: usize = u32::MAX as usize;

impl Decoded {
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The bytes of the spelling that the bytes `start..end` came from.
    pub(crate) fn place(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.origins.get(start).map_or(0, |origin| origin.0);
        let last = self.origins.get(end.saturating_sub(1)).map_or(first, |origin| origin.1);
        (first as usize, last as usize)
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.origins.clear();
    }

    /// What stands in a value, without the places, which take longer.
    pub(crate) fn only_text(&mut self, read: fn(&mut Self, &[u8]), spelled: &[u8]) -> &[u8] {
        self.only_text = true;
        read(self, spelled);
        self.only_text = false;
        &self.text
    }

    pub(crate) fn push(&mut self, bytes: &[u8], from: usize, to: usize) {
        self.text.extend_from_slice(bytes);
        if self.only_text {
            return;
        }
        self.origins.resize(self.text.len(), (from as u32, to as u32));
    }

    /// Bytes that stand for themselves.
    pub(crate) fn copy(&mut self, bytes: &[u8], from: usize) {
        self.text.extend_from_slice(bytes);
        if self.only_text {
            return;
        }
        self.origins.extend((from as u32..).take(bytes.len()).map(|at| (at, at + 1)));
    }

    /// Reads what stands between the quotation marks of a JSON string.
    pub(crate) fn read_json(&mut self, spelled: &[u8]) {
        self.clear();
        let spelled = spelled.get(..SPELLED_MAX.min(spelled.len())).unwrap_or_default();
        let mut at = 0;
        while let Some(offset) = memchr::memchr(b'\\', spelled.get(at..).unwrap_or_default()) {
            self.copy(spelled.get(at..at + offset).unwrap_or_default(), at);
            at += offset;
            at += self.escape(spelled.get(at..).unwrap_or_default(), at);
        }
        self.copy(spelled.get(at..).unwrap_or_default(), at);
    }

    /// Reads one escape at the start of `rest`, which stands at `at`; returns its length.
    fn escape(&mut self, rest: &[u8], at: usize) -> usize {
        let plain = match rest.get(1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b' | b'f') => b' ',
            Some(b'u') => return self.unicode(rest, at),
            Some(other) => *other,
            None => {
                self.push(b"\\", at, at + 1);
                return 1;
            }
        };
        self.push(&[plain], at, at + 2);
        2
    }

    /// Two surrogates are one character; one alone is none.
    fn unicode(&mut self, rest: &[u8], at: usize) -> usize {
        let Some(first) = hex4(rest.get(2..6)) else {
            self.push(b"u", at, (at + 2).min(at + rest.len()));
            return rest.len().min(2);
        };
        let second = rest.get(6..8).filter(|two| two == b"\\u").and_then(|_| hex4(rest.get(8..12)));
        let (c, len) = match (first, second) {
            (0xD800..0xDC00, Some(second @ 0xDC00..0xE000)) => {
                (char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)), 12)
            }
            _ => (char::from_u32(first), 6),
        };
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        self.push(c.encode_utf8(&mut [0; 4]).as_bytes(), at, at + len);
        len
    }

    /// Reads what stands between the quotation marks of a CSV cell.
    pub(crate) fn read_csv(&mut self, spelled: &[u8]) {
        self.clear();
        let spelled = spelled.get(..SPELLED_MAX.min(spelled.len())).unwrap_or_default();
        let mut at = 0;
        while let Some(offset) = memchr::memmem::find(spelled.get(at..).unwrap_or_default(), b"\"\"") {
            self.copy(spelled.get(at..at + offset).unwrap_or_default(), at);
            at += offset;
            self.push(b"\"", at, at + 2);
            at += 2;
        }
        self.copy(spelled.get(at..).unwrap_or_default(), at);
    }
}

/// Longest entity that is read, in bytes.
const ENTITY_MAX: usize = 10;

impl Decoded {
    /// Reads percent-encoding (RFC 3986 2.1); false if there is none.
    pub(crate) fn read_percent(&mut self, spelled: &[u8]) -> bool {
        self.read_marked(spelled, b'%', |rest| {
            let two = rest.get(1..3)?;
            let high = char::from(*two.first()?).to_digit(16)?;
            let low = char::from(*two.last()?).to_digit(16)?;
            Some((Plain::Byte((high << 4 | low) as u8), 3))
        })
    }

    /// Reads the character references of HTML; false if there is none.
    pub(crate) fn read_html(&mut self, spelled: &[u8]) -> bool {
        self.read_marked(spelled, b'&', |rest| {
            let near = rest.get(..ENTITY_MAX.min(rest.len()))?;
            let end = near.iter().position(|b| *b == b';')?;
            let c = entity(near.get(1..end)?)?;
            Some((Plain::Char(c), end + 1))
        })
    }

    fn read_marked(
        &mut self,
        spelled: &[u8],
        mark: u8,
        read: impl Fn(&[u8]) -> Option<(Plain, usize)>,
    ) -> bool {
        self.clear();
        let (mut from, mut any) = (0, false);
        for at in memchr::memchr_iter(mark, spelled) {
            if at < from {
                continue;
            }
            let Some((plain, len)) = spelled.get(at..).and_then(&read) else { continue };
            self.copy(spelled.get(from..at).unwrap_or_default(), from);
            match plain {
                Plain::Byte(byte) => self.push(&[byte], at, at + len),
                Plain::Char(c) => self.push(c.encode_utf8(&mut [0; 4]).as_bytes(), at, at + len),
            }
            (from, any) = (at + len, true);
        }
        self.copy(spelled.get(from..).unwrap_or_default(), from);
        any
    }
}

enum Plain {
    Byte(u8),
    Char(char),
}

/// The character of a reference, of those by name only what occurs in identifiers.
fn entity(name: &[u8]) -> Option<char> {
    let number = |digits: &[u8], radix| {
        let number =
            std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, radix).ok());
        number.and_then(char::from_u32)
    };
    match name {
        [b'#', b'x' | b'X', hex @ ..] => number(hex, 16),
        [b'#', digits @ ..] => number(digits, 10),
        b"commat" => Some('@'),
        b"period" => Some('.'),
        b"colon" => Some(':'),
        b"plus" => Some('+'),
        b"nbsp" => Some(' '),
        b"shy" => Some('\u{AD}'),
        b"hyphen" | b"dash" => Some('-'),
        b"sol" => Some('/'),
        b"quot" => Some('"'),
        b"amp" => Some('&'),
        b"lowbar" => Some('_'),
        _ => None,
    }
}

fn hex4(four: Option<&[u8]>) -> Option<u32> {
    four?.iter().try_fold(0, |number, b| Some(number << 4 | char::from(*b).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_knows_where_it_came_from() {
        let mut decoded = Decoded::default();
        let spelled = br"a\n\u0040\ud83d\ude00z\";
        decoded.read_json(spelled);
        assert_eq!(decoded.text(), "a\n@\u{1F600}z\\".as_bytes());
        assert_eq!(decoded.place(0, 3), (0, 9));
        assert_eq!(decoded.place(3, 7), (9, 21));
        decoded.read_json(br"\ud83d\u12\u");
        assert_eq!(decoded.text(), "\u{FFFD}u12u".as_bytes());
        assert!(
            decoded.read_percent(b"a%40b%2")
                && decoded.text() == b"a@b%2"
                && !decoded.read_percent(b"50% off")
        );
        assert!(decoded.read_html(b"a&#64;b&#x2e;c&amp;d&x;") && decoded.text() == b"a@b.c&d&x;");
        decoded.read_csv(b"a\"\"b");
        assert_eq!((decoded.text(), decoded.place(1, 2)), (&b"a\"b"[..], (1, 3)));
    }
}
