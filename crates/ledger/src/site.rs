//! The leaves of the site log: what a site says about all its logs. Byte form: `docs/formats/site-log.md`.
//!
//! A [`SiteEntry`] is encoded without its place; the sequencer fills it in, as for every leaf.
//! Whether rounds follow one another as they must is for who reads the whole log.

use model::{Digest, UnixSeconds};

use crate::merkle::Hash;

pub mod access;
mod body;

pub use access::AccessEntry;

/// Length of the part before the body.
pub const FIXED_LEN: usize = 32;
/// Longest body in bytes.
pub const BODY_MAX: usize = 65_000;
/// Longest text in bytes, but for the note of an override.
pub const TEXT_MAX: usize = 500;

const MAGIC: &[u8; 4] = b"CLVS";
const VERSION: u8 = 1;

/// The newest published checkpoint of one log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogState {
    /// The log's origin.
    pub origin: String,
    /// Leaves in it.
    pub size: u64,
    /// Its root at that size.
    pub root: Hash,
}

/// What a log is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A gateway's crossings.
    Gateway,
    /// The key service's releases.
    KeyService,
}

impl Role {
    /// The stable number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Gateway => 1,
            Self::KeyService => 2,
        }
    }
}

/// One log of the list that makes "complete" mean something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Enrolled {
    /// The log's origin.
    pub origin: String,
    /// Who signs it, as a C2SP verifier key.
    pub vkey: String,
    /// What it is for.
    pub role: Role,
    /// Where it lies under the site's base URL.
    pub prefix: String,
}

/// The entries of one gateway's log that a day's map was built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// The log's origin.
    pub origin: String,
    /// First index that was read.
    pub from: u64,
    /// One more than the last.
    pub to: u64,
    /// The log's root at size `to`.
    pub root: Hash,
}

/// A map of subject tags, published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayMapEntry {
    /// Days since 1970-01-01 UTC.
    pub day: u32,
    /// False for the map of a day that is not over.
    pub is_final: bool,
    /// Root of the map.
    pub root: Hash,
    /// Tags in it, sentinels not counted.
    pub tags: u64,
    /// Pairs of a tag and an entry.
    pub pairs: u64,
    /// What was read, one for each gateway that is or ever was enrolled.
    pub inputs: Vec<Input>,
    /// Root of the calendar.
    pub calendar_root: Hash,
    /// Records in the calendar.
    pub calendar_size: u64,
}

/// What one leaf of the site log says.
///
/// ```
/// use ledger::merkle::empty_root;
/// use ledger::site::{self, LogState, SiteEntry};
/// use model::UnixSeconds;
///
/// let logs = vec![LogState { origin: "ledger.example/sg/gw1".into(), size: 0, root: empty_root() }];
/// let round = SiteEntry::Round { logs };
/// let leaf = round.encode(UnixSeconds(1_790_000_000))?;
/// assert_eq!(site::decode(&leaf)?.entry, round);
/// # Ok::<(), site::SiteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteEntry {
    /// The newest published checkpoints of every enrolled log.
    Round {
        /// One for each, in any order; written ascending by origin.
        logs: Vec<LogState>,
    },
    /// The whole list of logs, from here on. It leaves out none that was enrolled before and is not retired.
    Enrolment {
        /// In any order; written ascending by origin.
        logs: Vec<Enrolled>,
    },
    /// A day's map.
    DayMap(DayMapEntry),
    /// The rulebook in force from here on.
    Activation {
        /// Digest of its manifest.
        rulebook: Digest,
    },
    /// A border override, in force from here on between its times.
    Override {
        /// The signed text (`docs/formats/override.md`).
        note: String,
    },
    /// Entries that the auditor had opened (`docs/formats/samples.md`).
    Sample {
        /// Which log they stand in.
        origin: String,
        /// Size of the site log whose root chose them.
        size: u64,
        /// Their indices, in any order; written ascending.
        indices: Vec<u64>,
    },
    /// A log ends with this size and root, and is enrolled no more.
    Retirement(LogState),
    /// Something was done to a request for access.
    Access(Box<AccessEntry>),
}

/// A leaf with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteLeaf {
    /// Which log, as [`crate::entry::short_name`] of its origin.
    pub log: [u8; 8],
    /// Which leaf.
    pub sequence: u64,
    /// When.
    pub time: UnixSeconds,
    /// What it says.
    pub entry: SiteEntry,
}

/// An entry that cannot be written, or bytes that are no leaf of a site log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// The body would be, or is, too long.
    #[error("a body of `{0}` bytes is over 65000")]
    TooLong(usize),
    /// A field whose value no writer of version 1 writes.
    #[error("the site entry's `{0}` is not of version 1")]
    Field(&'static str),
    /// The same body has a shorter or differently ordered form.
    #[error("the site entry's body is not in deterministic form")]
    NotDeterministic,
}

impl SiteEntry {
    /// The stable number of the kind.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Round { .. } => 1,
            Self::Enrolment { .. } => 2,
            Self::DayMap(_) => 3,
            Self::Activation { .. } => 4,
            Self::Override { .. } => 5,
            Self::Sample { .. } => 6,
            Self::Retirement(_) => 7,
            Self::Access(_) => access::KIND,
        }
    }

    /// Writes the leaf with zeros where its place will stand.
    ///
    /// # Errors
    /// [`SiteError::TooLong`], or [`SiteError::Field`] for a text over 500 bytes or an origin that stands
    /// twice.
    pub fn encode(&self, time: UnixSeconds) -> Result<Vec<u8>, SiteError> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, self.kind(), 0, 0]);
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&time.0.to_be_bytes());
        body::write(self, &mut out)?;
        let body = out.len() - FIXED_LEN;
        if body > BODY_MAX { Err(SiteError::TooLong(body)) } else { Ok(out) }
    }
}

/// Reads a leaf.
///
/// # Errors
/// [`SiteError`] for anything that [`SiteEntry::encode`] and the sequencer would not write.
pub fn decode(leaf: &[u8]) -> Result<SiteLeaf, SiteError> {
    let (fixed, body) = leaf.split_first_chunk::<FIXED_LEN>().ok_or(SiteError::Field("length"))?;
    if body.len() > BODY_MAX {
        return Err(SiteError::TooLong(body.len()));
    }
    let (what, rest) = fixed.split_first_chunk::<8>().ok_or(SiteError::Field("length"))?;
    let [magic @ .., VERSION, kind, 0, 0] = what else { return Err(SiteError::Field("version")) };
    if magic != MAGIC {
        return Err(SiteError::Field("magic"));
    }
    let ([log, sequence, time], _) = rest.as_chunks::<8>() else { return Err(SiteError::Field("length")) };
    let (sequence, time) = (u64::from_be_bytes(*sequence), UnixSeconds(u64::from_be_bytes(*time)));
    let entry = body::read(*kind, body)?;
    let mut again = Vec::with_capacity(body.len());
    body::write(&entry, &mut again)?;
    if again != body {
        return Err(SiteError::NotDeterministic);
    }
    Ok(SiteLeaf { log: *log, sequence, time, entry })
}

#[cfg(test)]
mod tests;
