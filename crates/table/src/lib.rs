//! Rows of an Apache Parquet file as lines of JSON, for what reads lines: the road, the scanner, the measure of a release.
//!
//! A treated column has no longer the type that its file declares (a date becomes a band of years, a number a token), so nothing here writes
//! Parquet. What a file says of itself is not believed: `guard` looks at every page before the library that reads them
//! does, so that memory stays within a bound; a panic of that library is an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::{ReaderIter, TreeBuilder};

mod guard;
mod value;

/// How much is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of lines that come out.
    pub bytes: usize,
    /// Most rows.
    pub rows: u64,
}

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// It is no Parquet file, or not a whole one.
    #[error("it is no whole Parquet file")]
    Form,
    /// What it says of itself is not so.
    #[error("what it says of its {0} is not so")]
    Lies(&'static str),
    /// It is written in a way that is not read here.
    #[error("{0}")]
    Unread(&'static str),
    /// A value that JSON cannot say.
    #[error("a value is no number, or nested too deep")]
    Value,
    /// More than is read at once.
    #[error("it holds more than is read at once")]
    TooLarge,
}

/// Rows that are read from each column at a time.
const BATCH: usize = 64;

/// Whether bytes begin as a Parquet file does.
#[must_use]
pub fn is_parquet(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PAR1")
}

/// The rows of a Parquet file, a JSON object a line.
///
/// Dates and times are texts of ISO 8601, decimals texts of their digits, binary values texts of base64.
///
/// # Errors
/// [`TableError`]; then nothing of it is to be used.
pub fn lines(file: &[u8], limits: Limits) -> Result<Vec<u8>, TableError> {
    // INVARIANT: nothing that is shared is changed inside, so that nothing is half changed after a panic.
    catch_unwind(AssertUnwindSafe(|| read(file, limits))).unwrap_or(Err(TableError::Form))
}

fn read(file: &[u8], limits: Limits) -> Result<Vec<u8>, TableError> {
    if !is_parquet(file) {
        return Err(TableError::Form);
    }
    let broken = |_| TableError::Form;
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(file)).map_err(broken)?;
    guard::check(file, reader.metadata(), limits)?;
    let (mut out, mut rows) = (Vec::new(), 0);
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number).map_err(broken)?;
        let schema = group.metadata().schema_descr_ptr();
        let builder = TreeBuilder::new().with_batch_size(BATCH);
        let read: ReaderIter = builder.as_iter(schema, group.as_ref()).map_err(broken)?;
        for row in read {
            rows += 1;
            value::write(&Field::Group(row.map_err(broken)?), &mut out)?;
            out.push(b'\n');
            if rows > limits.rows || out.len() > limits.bytes {
                return Err(TableError::TooLarge);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
