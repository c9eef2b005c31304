//! A strict one-pass rewriter for CSV.
//!
//! RFC 4180, less what readers disagree about. The first record names the columns, and a column
//! binds like a member of a JSON record: `/email`, or `/*` for all that are not written. What
//! nothing binds is removed with its column; what stays is copied as it is spelled.
//!
//! Refused are: a quote inside a field that does not begin with one, text behind a closing
//! quote, a quote that is never closed, line ends of two kinds, a carriage return on its own, a
//! record with more or fewer fields than the head, a blank line, a column named twice (compared
//! without quotes) or not at all, control characters, a byte order mark, and what is not UTF-8.
//!
//! Start reading at [`rewrite`].

mod lex;
#[cfg(test)]
mod tests;

use crate::flat::{Answer, Asking};
use crate::json::{Bindings, FieldIndex, Limits, NameVerdict, Outcome, Stop, Visitor};
use lex::{Cell, End, Line};

/// A document that the rewriter refuses, and where. No byte of the document is part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte `{at}`")]
pub struct CsvError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset into the input at which it was noticed.
    pub at: usize,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No byte.
    #[error("document is empty")]
    Empty,
    /// The document, or the name of a column, begins with U+FEFF.
    #[error("document or column name begins with a byte order mark")]
    ByteOrderMark,
    /// A sequence that is not UTF-8.
    #[error("document is not utf-8")]
    NotUtf8,
    /// More than [`Limits::bytes`].
    #[error("document is longer than the limit")]
    TooLarge,
    /// More columns than [`Limits::members`].
    #[error("document has more columns than the limit")]
    TooManyColumns,
    /// More than [`Limits::records`].
    #[error("document has more records than the limit")]
    TooManyRecords,
    /// A quote where none may stand.
    #[error("quote inside a field that does not begin with one")]
    Quote,
    /// Something between a closing quote and the end of its field.
    #[error("text behind a closing quote")]
    AfterQuote,
    /// The document ends inside quotes.
    #[error("quote is never closed")]
    OpenQuote,
    /// A carriage return without a line feed.
    #[error("carriage return on its own")]
    CarriageReturn,
    /// Some lines end with CR LF, others with LF.
    #[error("lines end in two ways")]
    LineEnd,
    /// A control character other than a tab, or a line end outside quotes.
    #[error("control character inside a field")]
    ControlCharacter,
    /// More or fewer fields than the head names.
    #[error("record has more or fewer fields than there are columns")]
    Ragged,
    /// A line without a byte.
    #[error("blank line")]
    BlankLine,
    /// A column with an empty name.
    #[error("column without a name")]
    Nameless,
    /// The same name twice.
    #[error("column name appears twice")]
    DuplicateName,
    /// No column is bound: nothing would be left.
    #[error("no column is bound")]
    Unbound,
    /// The visitor's replacement is no text, or has a control character.
    #[error("replacement is no text")]
    Replacement,
    /// The visitor stopped the rewrite.
    #[error("stopped by the visitor with code `{}`", .0.0)]
    Stopped(Stop),
}

impl CsvError {
    #[cold]
    fn new(kind: ErrorKind, at: usize) -> Self {
        Self { kind, at }
    }
}

/// Rewrites `input` and appends the result to `out`.
///
/// A value that the visitor drops leaves an empty field, so that the others keep their columns.
/// The visitor sees each field as the JSON string that spells it; what it writes in its place is
/// a JSON string, number or literal, and is quoted as it must be. `limits.members` bounds the
/// columns, `limits.records` the records behind the head; `limits.depth` means nothing here.
///
/// # Errors
///
/// [`CsvError`]. After an error `out` is as it was before.
///
/// ```
/// use transform::csv;
/// use transform::json::*;
///
/// struct Mask;
/// impl Visitor for Mask {
///     fn scalar(&mut self, field: FieldIndex, _: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
///         if field == FieldIndex(0) {
///             return Ok(Verdict::Keep);
///         }
///         write_string(b"***", out);
///         Ok(Verdict::Replaced)
///     }
///     fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
///         Ok(NameVerdict::Drop)
///     }
/// }
///
/// let bindings = Bindings::compile([("/id", FieldIndex(0)), ("/email", FieldIndex(1))])?;
/// let input = b"id,email,note\r\n7,ann@example.org,\"call, her\"\r\n";
/// let mut out = Vec::new();
/// let outcome = csv::rewrite(input, &bindings, &Limits::default(), &mut Mask, &mut out)?;
/// assert_eq!(out, b"id,email\r\n7,***\r\n");
/// assert_eq!((outcome.records, outcome.kept, outcome.replaced), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rewrite(
    input: &[u8],
    bindings: &Bindings,
    limits: &Limits,
    visitor: &mut impl Visitor,
    out: &mut Vec<u8>,
) -> Result<Outcome, CsvError> {
    let before = out.len();
    let done = check(input, limits).and_then(|()| {
        let mut table =
            Table { input, out, limits, visitor, asking: Asking::default(), outcome: Outcome::default() };
        table.run(bindings)
    });
    if done.is_err() {
        out.truncate(before);
    }
    done
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

fn check(input: &[u8], limits: &Limits) -> Result<(), CsvError> {
    if input.len() > limits.bytes {
        return Err(CsvError::new(ErrorKind::TooLarge, limits.bytes));
    }
    if input.is_empty() {
        return Err(CsvError::new(ErrorKind::Empty, 0));
    }
    if input.starts_with(BYTE_ORDER_MARK) {
        return Err(CsvError::new(ErrorKind::ByteOrderMark, 0));
    }
    match std::str::from_utf8(input) {
        Ok(_) => Ok(()),
        Err(error) => Err(CsvError::new(ErrorKind::NotUtf8, error.valid_up_to())),
    }
}

struct Table<'a, V> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
    limits: &'a Limits,
    visitor: &'a mut V,
    asking: Asking,
    outcome: Outcome,
}

/// What becomes of the columns: the field of each that stays.
type Columns = Vec<Option<FieldIndex>>;

impl<V: Visitor> Table<'_, V> {
    fn run(&mut self, bindings: &Bindings) -> Result<Outcome, CsvError> {
        let mut line = Line::default();
        let (columns, mut at) = self.head(bindings, &mut line)?;
        let mut text = Vec::new();
        while at < self.input.len() {
            at = self.record(&columns, &mut line, at, &mut text)?;
        }
        Ok(self.outcome)
    }

    fn head(&mut self, bindings: &Bindings, line: &mut Line) -> Result<(Columns, usize), CsvError> {
        let (mut columns, mut names): (Columns, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        let (mut at, mut wrote) = (0, false);
        loop {
            if columns.len() >= self.limits.members {
                return Err(CsvError::new(ErrorKind::TooManyColumns, at));
            }
            let cell = line.cell(self.input, at)?;
            let mut name = Vec::new();
            cell.text(&mut name);
            if name.is_empty() {
                return Err(CsvError::new(ErrorKind::Nameless, at));
            }
            // With the columns before it removed, the mark would begin the document.
            if name.starts_with(BYTE_ORDER_MARK) {
                return Err(CsvError::new(ErrorKind::ByteOrderMark, at));
            }
            let field = self.column(bindings, &name, at)?;
            names.push(name);
            columns.push(field);
            if field.is_some() {
                self.separate(&mut wrote);
                self.out.extend_from_slice(cell.spelled);
            }
            at = cell.next;
            if cell.end != End::Comma {
                break;
            }
        }
        names.sort_unstable();
        if names.array_windows().any(|[a, b]| a == b) {
            return Err(CsvError::new(ErrorKind::DuplicateName, 0));
        }
        if !wrote {
            return Err(CsvError::new(ErrorKind::Unbound, 0));
        }
        self.end(line, at);
        Ok((columns, at))
    }

    fn column(
        &mut self,
        bindings: &Bindings,
        name: &[u8],
        at: usize,
    ) -> Result<Option<FieldIndex>, CsvError> {
        let Some((field, wild)) = bindings.flat(name) else { return Ok(None) };
        if wild
            && self.asking.name(self.visitor, name).map_err(|stop| stopped(stop, at))? == NameVerdict::Drop
        {
            return Ok(None);
        }
        Ok(Some(field))
    }

    fn record(
        &mut self,
        columns: &Columns,
        line: &mut Line,
        start: usize,
        text: &mut Vec<u8>,
    ) -> Result<usize, CsvError> {
        let index = self.outcome.records;
        if index >= self.limits.records {
            return Err(CsvError::new(ErrorKind::TooManyRecords, start));
        }
        if matches!(self.input.get(start), Some(b'\n' | b'\r')) {
            return Err(CsvError::new(ErrorKind::BlankLine, start));
        }
        self.outcome.records += 1;
        self.visitor.enter_record(index).map_err(|stop| stopped(stop, start))?;
        let (mut at, mut wrote) = (start, false);
        let before = self.out.len();
        for (place, column) in columns.iter().enumerate() {
            let cell = line.cell(self.input, at)?;
            if (cell.end == End::Comma) != (place + 1 < columns.len()) {
                return Err(CsvError::new(ErrorKind::Ragged, cell.next));
            }
            match column {
                Some(field) => {
                    self.separate(&mut wrote);
                    self.value(*field, &cell, at, text)?;
                }
                None => self.outcome.dropped_unbound += 1,
            }
            at = cell.next;
        }
        if self.out.len() == before {
            self.out.extend_from_slice(b"\"\""); // one column, nothing in it: not a blank line
        }
        self.visitor.leave_record(index).map_err(|stop| stopped(stop, start))?;
        self.end(line, at);
        Ok(at)
    }

    fn value(
        &mut self,
        field: FieldIndex,
        cell: &Cell<'_>,
        at: usize,
        text: &mut Vec<u8>,
    ) -> Result<(), CsvError> {
        text.clear();
        cell.text(text);
        match self.asking.ask(self.visitor, field, text).map_err(|stop| stopped(stop, at))? {
            Answer::Keep => {
                self.outcome.kept += 1;
                self.out.extend_from_slice(cell.spelled);
            }
            Answer::Drop => self.outcome.dropped += 1,
            Answer::Text(instead) => {
                self.outcome.replaced += 1;
                if !lex::write(instead, self.out) {
                    return Err(CsvError::new(ErrorKind::Replacement, at));
                }
            }
            Answer::NoText => return Err(CsvError::new(ErrorKind::Replacement, at)),
        }
        Ok(())
    }

    fn separate(&mut self, wrote: &mut bool) {
        if *wrote {
            self.out.push(b',');
        }
        *wrote = true;
    }

    /// The line end, as all lines have it; the last line may have none.
    fn end(&mut self, line: &Line, at: usize) {
        if at < self.input.len() || self.input.ends_with(b"\n") {
            self.out.extend_from_slice(line.end());
        }
    }
}

fn stopped(stop: Stop, at: usize) -> CsvError {
    CsvError::new(ErrorKind::Stopped(stop), at)
}
