//! Fields and line ends.

use super::{CsvError, ErrorKind};

/// What a field ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Comma,
    Line,
    /// The end of the document.
    Text,
}

/// One field.
pub(super) struct Cell<'a> {
    /// With its quotes.
    pub(super) spelled: &'a [u8],
    pub(super) end: End,
    /// Behind what ends it.
    pub(super) next: usize,
}

impl Cell<'_> {
    /// Appends what the field says.
    pub(super) fn text(&self, out: &mut Vec<u8>) {
        let inner = self.spelled.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let Some(mut rest) = inner else { return out.extend_from_slice(self.spelled) };
        while let Some(quote) = memchr::memchr(b'"', rest) {
            out.extend_from_slice(rest.get(..=quote).unwrap_or_default());
            rest = rest.get(quote + 2..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }
}

/// How lines end, once the first has shown it.
#[derive(Default)]
pub(super) struct Line {
    crlf: Option<bool>,
}

impl Line {
    pub(super) fn end(&self) -> &'static [u8] {
        if self.crlf == Some(true) { b"\r\n" } else { b"\n" }
    }

    /// The field that begins at `at`.
    pub(super) fn cell<'a>(&mut self, input: &'a [u8], at: usize) -> Result<Cell<'a>, CsvError> {
        let end = if input.get(at) == Some(&b'"') { quoted(input, at)? } else { plain(input, at)? };
        let spelled = input.get(at..end).unwrap_or_default();
        let (end, next) = match (input.get(end), input.get(end + 1)) {
            (None, _) => (End::Text, end),
            (Some(b','), _) => (End::Comma, end + 1),
            (Some(b'\n'), _) => (self.ended(false, end)?, end + 1),
            (Some(b'\r'), Some(b'\n')) => (self.ended(true, end)?, end + 2),
            (Some(b'\r'), _) => return Err(CsvError::new(ErrorKind::CarriageReturn, end)),
            _ => return Err(CsvError::new(ErrorKind::AfterQuote, end)),
        };
        Ok(Cell { spelled, end, next })
    }

    fn ended(&mut self, crlf: bool, at: usize) -> Result<End, CsvError> {
        if *self.crlf.get_or_insert(crlf) == crlf {
            Ok(End::Line)
        } else {
            Err(CsvError::new(ErrorKind::LineEnd, at))
        }
    }
}

/// The position behind the closing quote of the field whose opening one is at `at`.
fn quoted(input: &[u8], at: usize) -> Result<usize, CsvError> {
    let mut from = at + 1;
    loop {
        let rest = input.get(from..).unwrap_or_default();
        let Some(offset) = memchr::memchr(b'"', rest) else {
            return Err(CsvError::new(ErrorKind::OpenQuote, at));
        };
        let inner = rest.get(..offset).unwrap_or_default();
        if let Some(control) = inner.iter().position(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
            return Err(CsvError::new(ErrorKind::ControlCharacter, from + control));
        }
        // Inside quotes too a carriage return comes with its line feed.
        if let Some(lone) = lone_return(inner) {
            return Err(CsvError::new(ErrorKind::CarriageReturn, from + lone));
        }
        from += offset + 1;
        if input.get(from) != Some(&b'"') {
            return Ok(from);
        }
        from += 1;
    }
}

fn lone_return(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\r', text).find(|at| text.get(at + 1) != Some(&b'\n'))
}

/// The end of the field without quotes that begins at `at`.
fn plain(input: &[u8], at: usize) -> Result<usize, CsvError> {
    let rest = input.get(at..).unwrap_or_default();
    let special = |b: &u8| matches!(b, b',' | b'"') || (*b < 0x20 && *b != b'\t');
    let end = at + rest.iter().position(special).unwrap_or(rest.len());
    match input.get(end) {
        None | Some(b',' | b'\n' | b'\r') => Ok(end),
        Some(b'"') => Err(CsvError::new(ErrorKind::Quote, end)),
        Some(_) => Err(CsvError::new(ErrorKind::ControlCharacter, end)),
    }
}

/// Appends a field that says `text`; false if nothing can.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) -> bool {
    if text.iter().any(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) || lone_return(text).is_some() {
        return false;
    }
    let quotes = text.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'));
    if !quotes {
        out.extend_from_slice(text);
        return true;
    }
    out.push(b'"');
    for piece in text.split_inclusive(|b| *b == b'"') {
        out.extend_from_slice(piece);
        out.extend(piece.ends_with(b"\"").then_some(b'"'));
    }
    out.push(b'"');
    true
}
