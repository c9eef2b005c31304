//! A strict rewriter for `multipart/form-data` (RFC 7578).
//!
//! Each part that may come is declared with what is in it: a text, or a document of one of the
//! other formats, which is rewritten with bindings of its own. A part that is not declared refuses
//! the body: a file of unknown form is neither looked through nor let through.
//!
//! Heads are written anew, with the part's name and nothing of the sender's: the name of a file
//! is chosen by a person and says more than the form asks. Refused are: text before the first
//! boundary and behind the last, heads other than `Content-Disposition` and `Content-Type`, a head
//! twice, parameters that readers disagree about (`filename*`, quotes with backslashes), a type
//! that is not the declared one, a name twice, and a result in which the boundary turns up.
//!
//! Start reading at [`rewrite`].

mod head;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::flat::{Answer, Asking};
use crate::json::{self, Bindings, FieldIndex, Form, Limits, Outcome, Stop, Visitor};
use crate::{csv, form};
use head::Head;

/// What is in a part.
#[derive(Debug, Clone)]
pub enum PartKind {
    /// A text: no type, or `text/plain` in UTF-8. One value of this field.
    Text(FieldIndex),
    /// A JSON document, `application/json`.
    Json(Bindings),
    /// NDJSON, `application/x-ndjson`.
    Ndjson(Bindings),
    /// CSV, `text/csv`.
    Csv(Bindings),
    /// A form, `application/x-www-form-urlencoded`.
    Form(Bindings),
}

impl PartKind {
    /// The media type, as it is written.
    const fn media_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text/plain;charset=utf-8",
            Self::Json(_) => "application/json",
            Self::Ndjson(_) => "application/x-ndjson",
            Self::Csv(_) => "text/csv;charset=utf-8",
            Self::Form(_) => "application/x-www-form-urlencoded",
        }
    }
}

/// The parts that may come, by name.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    parts: BTreeMap<String, PartKind>,
}

impl Parts {
    /// No parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a part; one of the same name is declared anew.
    #[must_use]
    pub fn with(mut self, name: &str, kind: PartKind) -> Self {
        self.parts.insert(name.to_owned(), kind);
        self
    }
}

/// A body that the rewriter refuses, and where. No byte of the body is part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte `{at}`")]
pub struct MultipartError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset into the input at which it was noticed; for a part's content, where it begins.
    pub at: usize,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not 1 to 70 of the characters that RFC 2046 §5.1.1 allows.
    #[error("boundary has not the form of one")]
    Boundary,
    /// More than [`Limits::bytes`].
    #[error("body is longer than the limit")]
    TooLarge,
    /// More parts than [`Limits::members`].
    #[error("body has more parts than the limit")]
    TooManyParts,
    /// The body does not begin with its boundary.
    #[error("body does not begin with its boundary")]
    Preamble,
    /// The body ends before its last boundary.
    #[error("body ends before its last boundary")]
    UnexpectedEnd,
    /// Something else than a line end behind a boundary.
    #[error("text behind a boundary")]
    AfterBoundary,
    /// Something behind the last boundary.
    #[error("bytes after the last boundary")]
    Epilogue,
    /// A head that is none, is not known here, or comes twice.
    #[error("part has a head that is not taken")]
    Head,
    /// A part without `form-data` and a plain name.
    #[error("part has no plain name")]
    Name,
    /// The same name twice.
    #[error("part name appears twice")]
    DuplicateName,
    /// A part that is not declared.
    #[error("part is not declared")]
    Undeclared,
    /// A type other than the declared one, or another character set.
    #[error("part has another type than declared")]
    Type,
    /// A text part that is not UTF-8, or has a NUL.
    #[error("text of a part is not utf-8 or has a nul")]
    NotText,
    /// The document in a part is refused.
    #[error("json in a part: {0}")]
    Json(json::ErrorKind),
    /// The document in a part is refused.
    #[error("csv in a part: {0}")]
    Csv(csv::ErrorKind),
    /// The document in a part is refused.
    #[error("form in a part: {0}")]
    Form(form::ErrorKind),
    /// The visitor's replacement is no text, or has a NUL.
    #[error("replacement is no text")]
    Replacement,
    /// What was made of a part holds the boundary.
    #[error("boundary turns up in what is released")]
    BoundaryInside,
    /// The visitor stopped the rewrite.
    #[error("stopped by the visitor with code `{}`", .0.0)]
    Stopped(Stop),
}

impl MultipartError {
    #[cold]
    fn new(kind: ErrorKind, at: usize) -> Self {
        Self { kind, at }
    }
}

/// Rewrites `input`, whose parts are separated by `boundary`, and appends the result to `out`.
///
/// A text part that the visitor drops goes with its head. If only texts are declared, the body is
/// one record of the visitor's; otherwise each document has the records of its format, and each
/// text is a record.
/// `limits` hold for the body and for each document in it; `limits.members` bounds the parts.
///
/// # Errors
///
/// [`MultipartError`]. After an error `out` is as it was before.
///
/// ```
/// use transform::json::*;
/// use transform::multipart::{self, PartKind, Parts};
///
/// struct Mask;
/// impl Visitor for Mask {
///     fn scalar(&mut self, _: FieldIndex, _: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
///         write_string(b"***", out);
///         Ok(Verdict::Replaced)
///     }
///     fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
///         Ok(NameVerdict::Drop)
///     }
/// }
///
/// let parts = Parts::new().with("email", PartKind::Text(FieldIndex(0)));
/// let body = b"--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nann@example.org\r\n--b--\r\n";
/// let mut out = Vec::new();
/// multipart::rewrite(body, "b", &parts, &Limits::default(), &mut Mask, &mut out)?;
/// assert_eq!(out, b"--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n***\r\n--b--\r\n");
/// # Ok::<(), multipart::MultipartError>(())
/// ```
pub fn rewrite(
    input: &[u8],
    boundary: &str,
    parts: &Parts,
    limits: &Limits,
    visitor: &mut impl Visitor,
    out: &mut Vec<u8>,
) -> Result<Outcome, MultipartError> {
    rewrite_as(input, (boundary, boundary), parts, limits, visitor, out)
}

/// The same, with another boundary in what is written than in what came: that was chosen by the sender, and may say anything.
///
/// # Errors
///
/// As [`rewrite`].
pub fn rewrite_as(
    input: &[u8],
    (boundary, written): (&str, &str),
    parts: &Parts,
    limits: &Limits,
    visitor: &mut impl Visitor,
    out: &mut Vec<u8>,
) -> Result<Outcome, MultipartError> {
    let before = out.len();
    let mut body = Body {
        input,
        delimiter: format!("\r\n--{boundary}").into_bytes(),
        written: format!("\r\n--{written}").into_bytes(),
        limits,
        parts,
        visitor,
        asking: Asking::default(),
        outcome: Outcome::default(),
    };
    let done = if boundary_fits(boundary) && boundary_fits(written) {
        body.run(out)
    } else {
        Err(MultipartError::new(ErrorKind::Boundary, 0))
    };
    let outcome = body.outcome;
    if done.is_err() {
        out.truncate(before);
    }
    done.map(|()| outcome)
}

fn boundary_fits(boundary: &str) -> bool {
    let taken = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
    (1..=70).contains(&boundary.len()) && boundary.bytes().all(taken)
}

struct Body<'a, V> {
    input: &'a [u8],
    /// What stands before and behind each part: a line end, two hyphens and the boundary.
    delimiter: Vec<u8>,
    /// The same, of what is written.
    written: Vec<u8>,
    limits: &'a Limits,
    parts: &'a Parts,
    visitor: &'a mut V,
    asking: Asking,
    outcome: Outcome,
}

impl<V: Visitor> Body<'_, V> {
    fn run(&mut self, out: &mut Vec<u8>) -> Result<(), MultipartError> {
        let input = self.input;
        if input.len() > self.limits.bytes {
            return Err(MultipartError::new(ErrorKind::TooLarge, self.limits.bytes));
        }
        // Before the first boundary the line end is that of the heads of HTTP.
        let first = self.delimiter.get(2..).unwrap_or_default();
        if !input.starts_with(first) {
            return Err(MultipartError::new(ErrorKind::Preamble, 0));
        }
        let finder = memchr::memmem::Finder::new(&self.delimiter).into_owned();
        let (mut at, mut names, mut wrote) = (first.len(), BTreeSet::new(), false);
        let texts_only = self.parts.parts.values().all(|kind| matches!(kind, PartKind::Text(_)));
        if texts_only {
            self.record(0, at)?;
        }
        while let Some(part) = part_at(input, at)? {
            if names.len() >= self.limits.members {
                return Err(MultipartError::new(ErrorKind::TooManyParts, at));
            }
            let Some(length) = finder.find(part) else {
                return Err(MultipartError::new(ErrorKind::UnexpectedEnd, at));
            };
            let part = part.get(..length).unwrap_or_default();
            let (name, stays) = self.part(part, at + 2, wrote, texts_only, out)?;
            wrote |= stays;
            if !names.insert(name) {
                return Err(MultipartError::new(ErrorKind::DuplicateName, at));
            }
            at += 2 + length + self.delimiter.len();
        }
        if texts_only {
            self.visitor.leave_record(0).map_err(|stop| stopped(stop, at))?;
        }
        out.extend_from_slice(self.delimiter(wrote));
        out.extend_from_slice(b"--\r\n");
        Ok(())
    }

    fn delimiter(&self, wrote: bool) -> &[u8] {
        self.written.get(if wrote { 0 } else { 2 }..).unwrap_or_default()
    }

    /// Rewrites one part; its name, and whether it stays.
    fn part(
        &mut self,
        part: &[u8],
        at: usize,
        wrote: bool,
        texts_only: bool,
        out: &mut Vec<u8>,
    ) -> Result<(String, bool), MultipartError> {
        let refused = |kind| MultipartError::new(kind, at);
        let (head, content) = Head::read(part).map_err(refused)?;
        let parts = self.parts;
        let kind = parts.parts.get(&head.name).ok_or(refused(ErrorKind::Undeclared))?;
        head.check(kind).map_err(refused)?;
        let joint = out.len();
        out.extend_from_slice(self.delimiter(wrote));
        out.extend_from_slice(b"\r\n");
        head.write(kind, out);
        let inside = out.len();
        let stays = match kind {
            PartKind::Text(field) => self.text(*field, content, at, texts_only, out)?,
            _ => self.document(kind, content, at, out)?,
        };
        if !stays {
            out.truncate(joint);
        } else if self.holds_boundary(out.get(inside.saturating_sub(2)..).unwrap_or_default()) {
            // Two pieces that stood apart may spell it once what was between them has gone.
            return Err(refused(ErrorKind::BoundaryInside));
        }
        Ok((head.name, stays))
    }

    fn holds_boundary(&self, written: &[u8]) -> bool {
        memchr::memmem::find(written, &self.written).is_some()
    }

    fn text(
        &mut self,
        field: FieldIndex,
        content: &[u8],
        at: usize,
        texts_only: bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, MultipartError> {
        if content.contains(&0) || std::str::from_utf8(content).is_err() {
            return Err(MultipartError::new(ErrorKind::NotText, at));
        }
        let index = self.outcome.records;
        if !texts_only {
            self.record(index, at)?;
        }
        let stays = match self.asking.ask(self.visitor, field, content).map_err(|stop| stopped(stop, at))? {
            Answer::Keep => {
                self.outcome.kept += 1;
                out.extend_from_slice(content);
                true
            }
            Answer::Drop => {
                self.outcome.dropped += 1;
                false
            }
            Answer::Text(text) if !text.contains(&0) => {
                self.outcome.replaced += 1;
                out.extend_from_slice(text);
                true
            }
            Answer::Text(_) | Answer::NoText => return Err(MultipartError::new(ErrorKind::Replacement, at)),
        };
        if !texts_only {
            self.visitor.leave_record(index).map_err(|stop| stopped(stop, at))?;
        }
        Ok(stays)
    }

    fn record(&mut self, index: u64, at: usize) -> Result<(), MultipartError> {
        self.outcome.records += 1;
        self.visitor.enter_record(index).map_err(|stop| stopped(stop, at))
    }

    fn document(
        &mut self,
        kind: &PartKind,
        content: &[u8],
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, MultipartError> {
        let (limits, visitor) = (self.limits, &mut *self.visitor);
        let done = match kind {
            PartKind::Text(_) => Ok(Outcome::default()),
            PartKind::Json(bindings) => json::rewrite(content, Form::Json, bindings, limits, visitor, out)
                .map_err(|error| ErrorKind::Json(error.kind)),
            PartKind::Ndjson(bindings) => {
                json::rewrite(content, Form::Ndjson, bindings, limits, visitor, out)
                    .map_err(|error| ErrorKind::Json(error.kind))
            }
            PartKind::Csv(bindings) => csv::rewrite(content, bindings, limits, visitor, out)
                .map_err(|error| ErrorKind::Csv(error.kind)),
            PartKind::Form(bindings) => form::rewrite(content, bindings, limits, visitor, out)
                .map_err(|error| ErrorKind::Form(error.kind)),
        };
        let done = done.map_err(|kind| MultipartError::new(kind, at))?;
        let sum = &mut self.outcome;
        sum.kept += done.kept;
        sum.dropped += done.dropped;
        sum.dropped_unbound += done.dropped_unbound;
        sum.replaced += done.replaced;
        sum.records += done.records;
        Ok(true)
    }
}

/// What begins behind the boundary that ends at `at`; `None` if that was the last.
fn part_at(input: &[u8], at: usize) -> Result<Option<&[u8]>, MultipartError> {
    match input.get(at..).unwrap_or_default() {
        [b'-', b'-'] | [b'-', b'-', b'\r', b'\n'] => Ok(None),
        [b'-', b'-', ..] => Err(MultipartError::new(ErrorKind::Epilogue, at + 2)),
        [b'\r', b'\n', part @ ..] => Ok(Some(part)),
        [] | [b'-' | b'\r'] => Err(MultipartError::new(ErrorKind::UnexpectedEnd, at)),
        _ => Err(MultipartError::new(ErrorKind::AfterBoundary, at)),
    }
}

fn stopped(stop: Stop, at: usize) -> MultipartError {
    MultipartError::new(ErrorKind::Stopped(stop), at)
}
