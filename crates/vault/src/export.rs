//! The personal-data export of a platform, read as a stream: one file is one person, each item of it a
//! [`Record`].
//!
//! Which part of the file is which collection is a [`Layout`], made from the catalogue; this module knows no
//! key name. What no collection covers is handed over as well, in pieces, as records of the collection
//! [`UNKNOWN`]: nothing of a file is lost, and nothing unknown takes the name of something known.
//!
//! Memory is bounded by [`Limits`] whatever the file holds. No error text holds a value of the file.
//!
//! Start reading at [`read`], then `export/walk.rs`.

mod copy;
mod cursor;
mod error;
mod guard;
mod layout;
mod names;
mod pieces;
mod walk;

use std::{collections::BTreeMap, fmt, io::Read};

pub use error::{ImportError, Place, SinkError};
pub use layout::{Collection, Layout, LayoutError, Shape};

/// The collection of everything that the layout does not declare.
pub const UNKNOWN: &str = "unknown";

/// The member of a record that holds the key of the map in which it was found.
pub const WITH: &str = "_with";

/// The member of an unknown record that holds its place in the file, a JSON pointer (RFC 6901).
pub const POINTER: &str = "_pointer";

/// The member that holds an element which is no object, and what an unknown record found.
pub const VALUE: &str = "value";

/// What a file may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one text, escapes resolved.
    pub string_bytes: u64,
    /// Bytes of one member name.
    pub name_bytes: usize,
    /// Bytes that the names of one object may take in memory, which are kept to find a name given twice.
    pub names_bytes: usize,
    /// Objects and lists inside one another.
    pub depth: u32,
    /// Bytes of one record.
    pub item_bytes: usize,
    /// Bytes from which an unknown value is split; a piece is larger only if a single text is.
    pub piece_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            string_bytes: 1 << 20,
            name_bytes: 4 << 10,
            names_bytes: 16 << 20,
            depth: 64,
            item_bytes: 8 << 20,
            piece_bytes: 64 << 10,
        }
    }
}

/// One item of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The collection, or [`UNKNOWN`].
    pub collection: String,
    /// One JSON object in UTF-8, numbers as they were written.
    pub json: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}, {} bytes)", self.collection, self.json.len())
    }
}

/// What was read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records by collection, [`UNKNOWN`] among them; a collection without records is missing.
    pub records: BTreeMap<String, u64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Values found at a declared place in another shape than the declared one, and so taken as unknown.
    pub misshapen: u64,
    /// Whose file it is; `None` if no place that the layout names holds a text other than `""` and `"N/A"`.
    pub identity: Option<String>,
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summary")
            .field("records", &self.records)
            .field("bytes", &self.bytes)
            .field("misshapen", &self.misshapen)
            .field("identity", &self.identity.as_ref().map(|identity| format!("{} bytes", identity.len())))
            .finish()
    }
}

/// Reads one export file and hands each item to `sink`, in the order of the file.
///
/// A declared collection's record is always an object: an element of another kind is wrapped as
/// `{"value": ...}`, and an element found under a key of a map carries that key as `_with`. `null` in place of a
/// collection is an empty one. An unknown record is `{"_pointer": "...", "value": ...}`: a whole undeclared
/// member if it is small, else its members and elements in pieces.
///
/// The identity may stand at the end of the file, so the sink sees records before anybody knows whose they are:
/// keep them apart until this function has returned.
///
/// # Errors
///
/// [`ImportError`] at the first thing that is wrong; records handed over before it came from a file that is not
/// whole, and must be dropped.
///
/// # Examples
///
/// ```
/// use vault::export::{self, Collection, Layout, Limits, Shape};
///
/// let comments = Collection {
///     name: "comment".to_owned(),
///     pointers: vec!["/Comment/Comments/CommentsList".to_owned()],
///     shape: Shape::List,
/// };
/// let layout = Layout::new([comments], ["/Profile/userName"])?;
/// let file = r#"{
///     "Comment": {"Comments": {"CommentsList": [{"comment": "hi"}]}},
///     "Profile": {"userName": "lea"}
/// }"#;
///
/// let mut records = Vec::new();
/// let summary = export::read(file.as_bytes(), &layout, &Limits::default(), &mut |record| {
///     records.push(record);
///     Ok(())
/// })?;
///
/// assert_eq!(records[0].json, br#"{"comment":"hi"}"#);
/// assert_eq!(records[1].collection, export::UNKNOWN);
/// assert_eq!(summary.identity.as_deref(), Some("lea"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(
    input: impl Read,
    layout: &Layout,
    limits: &Limits,
    sink: &mut dyn FnMut(Record) -> Result<(), SinkError>,
) -> Result<Summary, ImportError> {
    walk::Walk::new(input, layout, limits, sink)?.run()
}

#[cfg(test)]
mod tests;
