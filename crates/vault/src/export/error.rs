//! What can be wrong with a file, and where. No text here holds anything a person wrote.

use std::{fmt, io};

/// Why the receiver of records would not take one.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// A place in a file.
///
/// The pointer holds only names that the layout declares and plain names of the fields of declared items; any
/// other name may be about a person and is shown as `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub byte: u64,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// JSON pointer (RFC 6901).
    pub pointer: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { byte, line, column, pointer } = self;
        write!(f, "byte `{byte}` (line `{line}`, column `{column}`, `{pointer}`)")
    }
}

/// Why a file was not read to its end. Nothing of it may be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The input itself broke.
    #[error("cannot read the export after byte `{byte}`")]
    Read {
        /// Bytes read before.
        byte: u64,
        /// Why.
        source: io::Error,
    },
    /// A file that begins with a byte order mark.
    #[error("export begins with a byte order mark at byte `0`: save it as utf-8 without one")]
    ByteOrderMark,
    /// A file in another encoding.
    #[error("export is utf-16 at byte `0`: save it as utf-8")]
    Utf16,
    /// Bytes that are no text.
    #[error("export is not utf-8 at {place}")]
    NotUtf8 {
        /// Where.
        place: Place,
    },
    /// The file stops in the middle.
    #[error("export ends too early, at {place}: fetch the file again")]
    Truncated {
        /// Where.
        place: Place,
    },
    /// Something that JSON (RFC 8259) does not allow.
    #[error("export is not json: {what} at {place}")]
    Syntax {
        /// What was found.
        what: &'static str,
        /// Where.
        place: Place,
    },
    /// JSON, but not an export.
    #[error("export holds `{found}` at its top in place of an object")]
    NotAnObject {
        /// The kind of value.
        found: &'static str,
    },
    /// An object with the same name twice: which of the two counts is anybody's guess.
    #[error("a name stands twice in one object at {place}")]
    DuplicateName {
        /// Where the second one ends.
        place: Place,
    },
    /// A text above the limit.
    #[error("a text is longer than `{limit}` bytes at {place}")]
    StringTooLong {
        /// The limit.
        limit: u64,
        /// Where the text begins.
        place: Place,
    },
    /// A member name above the limit.
    #[error("a name is longer than `{limit}` bytes at {place}")]
    NameTooLong {
        /// The limit.
        limit: usize,
        /// Where.
        place: Place,
    },
    /// A number with more than a hundred signs or an exponent of more than two digits.
    #[error("a number is longer than an export needs at {place}")]
    NumberTooLong {
        /// Where.
        place: Place,
    },
    /// More names in one object than are kept to find one given twice.
    #[error("the names of one object are longer than `{limit}` bytes at {place}")]
    TooManyNames {
        /// The limit.
        limit: usize,
        /// Where.
        place: Place,
    },
    /// Too many objects and lists inside one another.
    #[error("export is nested deeper than `{limit}` at {place}")]
    TooDeep {
        /// The limit.
        limit: u32,
        /// Where.
        place: Place,
    },
    /// A record above the limit.
    #[error("an item is larger than `{limit}` bytes at {place}")]
    ItemTooLarge {
        /// The limit.
        limit: usize,
        /// Where the limit was reached.
        place: Place,
    },
    /// Two places say that the file belongs to two people.
    #[error("export names two people: another one at {place}")]
    TwoIdentities {
        /// The later place.
        place: Place,
    },
    /// The receiver would not take a record.
    #[error("a record read before byte `{byte}` was not taken")]
    Sink {
        /// Bytes read before.
        byte: u64,
        /// Why.
        source: SinkError,
    },
}
