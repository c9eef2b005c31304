//! The rows in what COPY sends, told apart without being read.

use crate::error::MigrateError;
use crate::table::Form;

/// The start of the binary format, up to the flags.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const TRUNCATED: MigrateError = MigrateError::Stream("a copy ends in the middle of a row");

/// Tells rows apart in pieces that may end anywhere.
pub(crate) struct Splitter {
    form: Form,
    begun: bool,
    ended: bool,
    carry: Vec<u8>,
}

/// What stands at the start of some bytes.
enum Next {
    /// A row of so many bytes.
    Row(usize),
    /// So many bytes that are no row.
    Other(usize),
    /// Less than is needed to know.
    More,
}

impl Splitter {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, begun: form == Form::Text, ended: false, carry: Vec::new() }
    }

    /// Gives each row that ends in this piece.
    pub(crate) fn push(&mut self, piece: &[u8], mut row: impl FnMut(&[u8])) -> Result<(), MigrateError> {
        if self.carry.is_empty() {
            let done = self.take(piece, &mut row)?;
            self.carry.extend_from_slice(piece.get(done..).unwrap_or_default());
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.carry);
        all.extend_from_slice(piece);
        let done = self.take(&all, &mut row)?;
        all.drain(..done);
        self.carry = all;
        Ok(())
    }

    /// That nothing is left over.
    pub(crate) fn finish(self) -> Result<(), MigrateError> {
        let whole = self.carry.is_empty() && (self.ended || self.form == Form::Text);
        if whole { Ok(()) } else { Err(TRUNCATED) }
    }

    fn take(&mut self, bytes: &[u8], row: &mut impl FnMut(&[u8])) -> Result<usize, MigrateError> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            at += match self.next(rest)? {
                Next::More => return Ok(at),
                Next::Other(len) => len,
                Next::Row(len) => {
                    row(rest.get(..len).unwrap_or_default());
                    len
                }
            };
        }
    }

    fn next(&mut self, rest: &[u8]) -> Result<Next, MigrateError> {
        if self.form == Form::Text {
            // In a value a line's end is written as an escape.
            return Ok(rest.iter().position(|b| *b == b'\n').map_or(Next::More, |end| Next::Row(end + 1)));
        }
        if !self.begun {
            let Some((head, rest)) = rest.split_first_chunk::<19>() else { return Ok(Next::More) };
            if !head.starts_with(SIGNATURE) {
                return Err(MigrateError::Stream("a copy does not begin as the binary format does"));
            }
            let more = head.last_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize);
            if rest.len() < more {
                return Ok(Next::More);
            }
            self.begun = true;
            return Ok(Next::Other(head.len() + more));
        }
        let Some((count, _)) = rest.split_first_chunk::<2>() else { return Ok(Next::More) };
        match i16::from_be_bytes(*count) {
            -1 => {
                self.ended = true;
                Ok(Next::Other(2))
            }
            count => Ok(binary_row(rest, count)?.map_or(Next::More, Next::Row)),
        }
    }
}

/// How long a row of so many values is, if all of it is there.
fn binary_row(row: &[u8], count: i16) -> Result<Option<usize>, MigrateError> {
    let count = u16::try_from(count).map_err(|_| TRUNCATED)?;
    let mut at = 2;
    for _ in 0..count {
        let Some(length) = row.get(at..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
        // Null has -1.
        at += 4 + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    }
    Ok((at <= row.len()).then_some(at))
}

/// The values of a row of the text format; `None` for null.
pub(crate) fn cells(row: &[u8]) -> Result<Vec<Option<String>>, MigrateError> {
    row.strip_suffix(b"\n").unwrap_or(row).split(|b| *b == b'\t').map(cell).collect()
}

fn cell(cell: &[u8]) -> Result<Option<String>, MigrateError> {
    if cell == b"\\N" {
        return Ok(None);
    }
    let (mut out, mut rest) = (Vec::with_capacity(cell.len()), cell.iter());
    while let Some(b) = rest.next() {
        out.push(match (b, b == &b'\\') {
            (b, false) => *b,
            (_, true) => match rest.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => return Err(TRUNCATED),
            },
        });
    }
    String::from_utf8(out).map(Some).map_err(|_| MigrateError::Stream("a value is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
        let mut out = [SIGNATURE.as_slice(), &[0; 4], &3u32.to_be_bytes(), b"ext"].concat();
        for row in rows {
            out.extend_from_slice(&i16::try_from(row.len()).unwrap().to_be_bytes());
            for value in row {
                let length = value.as_ref().map_or(-1, |v| i32::try_from(v.len()).unwrap());
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(value.as_deref().unwrap_or_default());
            }
        }
        out.extend_from_slice(&(-1i16).to_be_bytes());
        out
    }

    proptest! {
        #[test]
        fn rows_are_told_apart_wherever_the_pieces_end(
            rows in proptest::collection::vec(proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..6)), 1..4), 0..6),
            size in 1..40usize,
        ) {
            let whole = binary(&rows);
            let (mut splitter, mut seen) = (Splitter::new(Form::Binary), Vec::new());
            for piece in whole.chunks(size) {
                splitter.push(piece, |row| seen.push(row.to_vec())).unwrap();
            }
            splitter.finish().unwrap();
            prop_assert_eq!(seen.len(), rows.len());
            prop_assert_eq!(seen.concat(), whole[22..whole.len() - 2].to_vec());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in any::<bool>()) {
            let mut splitter = Splitter::new(if text { Form::Text } else { Form::Binary });
            let mut all = [SIGNATURE.as_slice(), &[0; 8]].concat();
            all.extend(bytes);
            drop(splitter.push(&all, |_| {}));
            drop(splitter.finish());
        }
    }

    #[test]
    fn values_of_a_line_are_what_they_stand_for() {
        let line = b"\\N\t\ta\\tb\\\\N\\n\t\\\\N\n";
        let told = [None, Some(""), Some("a\tb\\N\n"), Some("\\N")].map(|cell| cell.map(str::to_owned));
        assert_eq!(cells(line).unwrap(), told);
        assert!(cells(b"half\\").is_err() && cells(b"\xff").is_err());
    }

    #[test]
    fn lines_are_rows_and_half_a_line_is_none() {
        let (mut splitter, mut seen) = (Splitter::new(Form::Text), Vec::new());
        splitter.push(b"a\t1\nb\\n", |row| seen.push(row.to_vec())).unwrap();
        splitter.push(b"\t2\nc", |row| seen.push(row.to_vec())).unwrap();
        assert_eq!(seen, [b"a\t1\n".to_vec(), b"b\\n\t2\n".to_vec()]);
        assert!(splitter.finish().is_err());
    }
}
