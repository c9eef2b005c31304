//! Why a document is refused.

use super::Stop;

/// A document that the rewriter refuses, and where. The position is a byte offset into the
/// input; no byte of the document is ever part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte `{at}`")]
pub struct JsonError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset into the input at which it was noticed.
    pub at: usize,
}

impl JsonError {
    #[cold]
    pub(super) fn new(kind: ErrorKind, at: usize) -> Self {
        Self { kind, at }
    }
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No byte but whitespace.
    #[error("document is empty")]
    Empty,
    /// The document begins with U+FEFF.
    #[error("document begins with a byte order mark")]
    ByteOrderMark,
    /// A sequence that is not UTF-8.
    #[error("document is not utf-8")]
    NotUtf8,
    /// More than [`Limits::bytes`](super::Limits::bytes).
    #[error("document is longer than the limit")]
    TooLarge,
    /// More than [`Limits::depth`](super::Limits::depth).
    #[error("document is nested deeper than the limit")]
    TooDeep,
    /// More than [`Limits::members`](super::Limits::members).
    #[error("container has more members than the limit")]
    TooManyMembers,
    /// More than [`Limits::records`](super::Limits::records).
    #[error("document has more records than the limit")]
    TooManyRecords,
    /// The text stops inside a value.
    #[error("document ends inside a value")]
    UnexpectedEnd,
    /// Something else where a value must begin.
    #[error("no value where one is needed")]
    ExpectedValue,
    /// Something else where a member's name must begin.
    #[error("no member name where one is needed")]
    ExpectedName,
    /// No colon after a member's name.
    #[error("no colon after a member name")]
    ExpectedColon,
    /// Neither a comma nor the end of the container after a value.
    #[error("neither comma nor end of container after a value")]
    ExpectedCommaOrEnd,
    /// Neither `true`, `false` nor `null`.
    #[error("unknown literal")]
    Literal,
    /// Not a number as RFC 8259 §6 writes them.
    #[error("number outside the grammar")]
    Number,
    /// A backslash followed by something that RFC 8259 §7 does not know.
    #[error("unknown escape")]
    Escape,
    /// Half of a surrogate pair.
    #[error("lone surrogate")]
    Surrogate,
    /// A raw control character inside a string.
    #[error("control character inside a string")]
    ControlCharacter,
    /// The same name twice in one object, compared after unescaping.
    #[error("member name appears twice in one object")]
    DuplicateName,
    /// Something after the end of the document.
    #[error("bytes after the end of the document")]
    TrailingBytes,
    /// A blank line between two NDJSON records.
    #[error("blank line between records")]
    EmptyRecord,
    /// An object or array where a scalar field is bound.
    #[error("container where a scalar field is bound")]
    ContainerAtField,
    /// A scalar document that no pointer binds: there is no member to remove.
    #[error("document is a scalar that nothing binds")]
    RootUnbound,
    /// The visitor answered `Replaced` and wrote nothing.
    #[error("replacement is empty")]
    EmptyReplacement,
    /// The visitor stopped the rewrite.
    #[error("stopped by the visitor with code `{}`", .0.0)]
    Stopped(Stop),
}
