//! A strict one-pass rewriter for JSON and NDJSON.
//!
//! The document is never built in memory. One pass checks every byte against RFC 8259, follows
//! the bound pointers, hands each bound scalar to a [`Visitor`] and copies what stays in large
//! runs. What no pointer reaches is checked as strictly and removed.
//!
//! Beyond RFC 8259 it refuses what readers disagree about: a name twice in one object (compared
//! after unescaping), a byte order mark, lone surrogates, text after the document, and nesting or
//! sizes beyond the [`Limits`].
//!
//! Start reading at [`rewrite`]; the walk itself is in `json/engine.rs`.

mod bindings;
mod block;
mod engine;
mod error;
mod lex;
mod names;
mod shape;
#[cfg(test)]
mod tests;
mod text;

pub use bindings::{BindingError, Bindings, FieldIndex};
pub use error::{ErrorKind, JsonError};
pub use text::{unescape, write_string};

/// How documents are laid out in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One document. The elements of an array at the root are its records; any other root is
    /// one record.
    Json,
    /// One document a line, each a record. The last line may lack its line feed.
    Ndjson,
}

/// What a document may cost. Beyond a limit it is refused, never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of input. Never more than 1 GiB, whatever is asked.
    pub bytes: usize,
    /// Most open containers at one time. Never more than 512, whatever is asked.
    pub depth: usize,
    /// Most members of one object or elements of one array.
    pub members: usize,
    /// Most records.
    pub records: u64,
}

impl Default for Limits {
    /// 64 MiB, 64 levels, 1,000,000 members a container and 1,000,000 records.
    fn default() -> Self {
        Self { bytes: 64 << 20, depth: 64, members: 1_000_000, records: 1_000_000 }
    }
}

/// One bound scalar, as it is spelled in the document.
#[derive(Clone, Copy)]
pub enum Scalar<'a> {
    /// A string.
    String {
        /// The bytes between the quotes.
        raw: &'a [u8],
        /// True if `raw` contains escapes; see [`unescape`].
        escaped: bool,
    },
    /// A number, as it is spelled.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

impl<'a> Scalar<'a> {
    /// The text of a string without escapes, written to `scratch` if it had any; `None` for
    /// other scalars.
    ///
    /// ```
    /// use transform::json::Scalar;
    ///
    /// let mut scratch = Vec::new();
    /// let scalar = Scalar::String { raw: br"a\tb", escaped: true };
    /// assert_eq!(scalar.text(&mut scratch), Some(&b"a\tb"[..]));
    /// assert_eq!(Scalar::Null.text(&mut scratch), None);
    /// ```
    pub fn text<'s>(&self, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        match *self {
            Scalar::String { raw, escaped: false } => Some(raw),
            Scalar::String { raw, escaped: true } => {
                scratch.clear();
                unescape(raw, scratch).ok()?;
                Some(scratch)
            }
            _ => None,
        }
    }
}

impl std::fmt::Debug for Scalar<'_> {
    /// Kind and size only: a scalar is somebody's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::String { raw, .. } => write!(f, "String({} bytes)", raw.len()),
            Scalar::Number(raw) => write!(f, "Number({} bytes)", raw.len()),
            Scalar::Bool(_) => f.write_str("Bool"),
            Scalar::Null => f.write_str("Null"),
        }
    }
}

/// What becomes of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is spelled.
    Keep,
    /// Its member is removed; in an array and at the root `null` takes its place.
    Drop,
    /// The visitor has written one complete JSON value, which takes its place.
    Replaced,
}

/// What becomes of a member whose name the pointers did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameVerdict {
    /// Name and value go on.
    Keep,
    /// The member is removed with everything beneath it.
    Drop,
}

/// A visitor's order to refuse the whole document, with a code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop(pub u32);

/// Decides about each bound scalar, in document order.
pub trait Visitor {
    /// Decides about one scalar of `field`. `out` is empty; a visitor that answers
    /// [`Verdict::Replaced`] has written one complete JSON value into it.
    ///
    /// # Errors
    ///
    /// [`Stop`] refuses the document.
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop>;

    /// Decides about a member that is reached by `*` or `**` only. Such a name was chosen by
    /// whoever wrote the document and may be personal data itself (`{"ann@example.org": 3}`), so
    /// there is no default. `raw` is as in [`Scalar::String`].
    ///
    /// # Errors
    ///
    /// [`Stop`] refuses the document.
    fn wild_name(&mut self, raw: &[u8], escaped: bool) -> Result<NameVerdict, Stop>;

    /// A record begins; `index` counts from 0.
    ///
    /// # Errors
    ///
    /// [`Stop`] refuses the document.
    fn enter_record(&mut self, index: u64) -> Result<(), Stop> {
        let _ = index;
        Ok(())
    }

    /// The record begun last has ended.
    ///
    /// # Errors
    ///
    /// [`Stop`] refuses the document.
    fn leave_record(&mut self, index: u64) -> Result<(), Stop> {
        let _ = index;
        Ok(())
    }
}

/// What a rewrite did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Bound scalars that stayed.
    pub kept: u64,
    /// Members and elements removed because no pointer reaches them; a subtree counts once.
    pub dropped_unbound: u64,
    /// Bound scalars and wild members that the visitor dropped.
    pub dropped: u64,
    /// Bound scalars that the visitor replaced.
    pub replaced: u64,
    /// Records, as [`Form`] defines them.
    pub records: u64,
}

/// Rewrites `input` and appends the result to `out`.
///
/// Containers on the way to a bound pointer stay, even when they end up empty. An unbound member
/// goes with its name; an unbound element of an array becomes `null`, so that the others keep
/// their places. A container where a scalar field is bound refuses the document, unless the field
/// is bound by `**`.
///
/// # Errors
///
/// Anything that RFC 8259 or this module's header refuses, and the visitor's [`Stop`]. After an
/// error `out` is as it was before.
///
/// ```
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
/// let bindings = Bindings::compile([("/*/id", FieldIndex(0)), ("/*/email", FieldIndex(1))])?;
/// let input = br#"[{"id": 7, "email": "ann@example.org", "note": "call her"}]"#;
/// let mut out = Vec::new();
/// let outcome = rewrite(input, Form::Json, &bindings, &Limits::default(), &mut Mask, &mut out)?;
/// assert_eq!(out, br#"[{"id": 7, "email": "***"}]"#);
/// assert_eq!((outcome.kept, outcome.replaced, outcome.dropped_unbound), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rewrite(
    input: &[u8],
    form: Form,
    bindings: &Bindings,
    limits: &Limits,
    visitor: &mut impl Visitor,
    out: &mut Vec<u8>,
) -> Result<Outcome, JsonError> {
    engine::run(input, form, bindings, limits, visitor, out)
}
