//! Tables of lanes are read by somebody else. What opens a foreign Parquet file may take memory and time as the file likes, and may fall: it
//! must not run in this process, and where it runs is the assembly's to say.

use std::future::Future;
use std::pin::Pin;

use model::Reason;

/// How much may come of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of rows.
    pub bytes: usize,
    /// Most rows.
    pub rows: u64,
}

/// Why a table has no rows for us. It says nothing of what is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is no table, says of itself what is not so, or was the end of whoever read it.
    #[error("the table cannot be read")]
    Broken,
    /// There is more than may come of it.
    #[error("the table holds more than is taken")]
    TooLarge,
    /// There is nobody to read it.
    #[error("nobody reads tables now")]
    Down,
}

impl From<Unread> for Reason {
    fn from(why: Unread) -> Self {
        match why {
            Unread::Broken => Self::Malformed,
            Unread::TooLarge => Self::Limit,
            Unread::Down => Self::Upstream,
        }
    }
}

/// Rows of a table, as they are read.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Unread>> + Send + 'a>>;

/// Reads tables outside of this process.
pub trait Tables: Send + Sync {
    /// The rows of a table, a JSON object a line. Whoever stops waiting ends the reading.
    fn rows<'a>(&'a self, table: &'a [u8], bounds: Bounds) -> Reading<'a>;
}
