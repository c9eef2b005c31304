//! The leaf: a fixed 256-byte header and a block of facts. Byte form: `docs/formats/entry.md`.

use aws_lc_rs::digest;
use model::{Country, DataClass, Digest, Direction, FlowId, Purpose, Reason, Tag, Treatment, UnixSeconds};

use crate::merkle::{self, Hash};

mod decode;

pub use decode::inline_tags;
pub(crate) use decode::{Cursor, read_subjects};

/// Length of a header in bytes.
pub const HEADER_LEN: usize = 256;
/// Longest facts block in bytes.
pub const FACTS_MAX: usize = 4096;
/// Most tags that stand in the header itself.
pub const INLINE_TAGS: usize = 4;

/// Longest lease of a stream in seconds, from the entry that grants it.
pub const LEASE_MAX: u64 = 3_600;

const MAGIC: &[u8; 4] = b"CLV1";
const VERSION: u8 = 1;

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A buffered crossing with its outcome.
    Answer,
    /// A refusal.
    Refusal,
    /// A batch of imported subjects.
    Import,
    /// A rulebook became active.
    Activation,
    /// The border opened again after it was closed.
    Border,
    /// A stream begins: so many bytes may leave until its lease ends.
    Open,
    /// A stream's budget or lease grows.
    Extend,
    /// A stream ended.
    Close,
    /// Crossings to a country were suspended, or are again allowed; the signed order stands in place of facts.
    Suspension,
    /// An authority outside the region demanded data: a record that grants nothing, signed, in place of facts.
    Demand,
    /// A person's key is destroyed.
    Erasure,
    /// A person's home is another country from here on: from *place* to *destination*.
    Home,
    /// What a service inside did with records in at most a minute, summed up.
    Inside,
    /// How far a set of records is on its way into the region; the signed text stands in place of facts.
    Migration,
}

impl EntryKind {
    const ALL: [Self; 14] = [
        Self::Answer,
        Self::Refusal,
        Self::Import,
        Self::Activation,
        Self::Border,
        Self::Open,
        Self::Extend,
        Self::Close,
        Self::Suspension,
        Self::Demand,
        Self::Erasure,
        Self::Home,
        Self::Inside,
        Self::Migration,
    ];

    /// The stable number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Answer => 1,
            Self::Refusal => 2,
            Self::Import => 3,
            Self::Activation => 4,
            Self::Border => 5,
            Self::Open => 6,
            Self::Extend => 7,
            Self::Close => 8,
            Self::Suspension => 9,
            Self::Demand => 10,
            Self::Erasure => 11,
            Self::Home => 12,
            Self::Inside => 13,
            Self::Migration => 14,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.code() == code)
    }
}

/// Whose data a crossing touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// Nobody's is named.
    None,
    /// These people, as keyed pseudonyms: sorted and distinct. Up to four stand in the header, more in
    /// a side record addressed by its root.
    Tags(Vec<Tag>),
    /// Everybody: aggregates over the whole population.
    Population,
}

impl Subjects {
    /// Sorts and de-duplicates.
    #[must_use]
    pub fn of(mut tags: Vec<Tag>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        if tags.is_empty() { Self::None } else { Self::Tags(tags) }
    }

    /// The tags, if any are named.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        if let Self::Tags(tags) = self { tags } else { &[] }
    }

    /// The side record that this needs: its root and its bytes.
    #[must_use]
    pub fn side_record(&self) -> Option<(Hash, Vec<u8>)> {
        let Self::Tags(tags) = self else { return None };
        (tags.len() > INLINE_TAGS).then(|| (tag_root(tags), tags.iter().flat_map(|t| *t.bytes()).collect()))
    }

    /// Mode and tag count, and the 64 bytes of tags or root.
    pub(crate) fn header_block(&self) -> ([u8; 2], [u8; 64]) {
        let mut block = [0; 64];
        let mode_and_count = match self {
            Self::None => [0, 0],
            Self::Population => [3, 0],
            Self::Tags(tags) if tags.len() <= INLINE_TAGS => {
                block.as_chunks_mut::<16>().0.iter_mut().zip(tags).for_each(|(to, t)| *to = *t.bytes());
                [1, u8::try_from(tags.len()).unwrap_or(0)]
            }
            Self::Tags(tags) => {
                block.iter_mut().zip(tag_root(tags).as_bytes()).for_each(|(to, b)| *to = *b);
                [2, 0]
            }
        };
        (mode_and_count, block)
    }
}

fn tag_root(tags: &[Tag]) -> Hash {
    let mut tree = merkle::Frontier::new();
    for t in tags {
        tree.push(merkle::leaf_hash(t.bytes()));
    }
    tree.root()
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// All of it was released.
    Complete,
    /// It was broken off, and what was released is known.
    BrokenOff,
    /// The gateway died: nobody knows more than that at most the budget was released.
    Unknown,
}

impl Outcome {
    /// The stable number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Complete => 1,
            Self::BrokenOff => 2,
            Self::Unknown => 3,
        }
    }
}

/// What an entry says of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamPlace {
    /// It begins.
    Open {
        /// Until when bytes may be released.
        lease: UnixSeconds,
    },
    /// It may release more, or longer.
    Extend {
        /// Index of the open entry, in the same log.
        open: u64,
        /// Until when bytes may be released.
        lease: UnixSeconds,
    },
    /// It ended.
    Close {
        /// Index of the open entry, in the same log.
        open: u64,
        /// How.
        outcome: Outcome,
    },
}

impl StreamPlace {
    /// The kind of entry that says this.
    #[must_use]
    pub const fn kind(self) -> EntryKind {
        match self {
            Self::Open { .. } => EntryKind::Open,
            Self::Extend { .. } => EntryKind::Extend,
            Self::Close { .. } => EntryKind::Close,
        }
    }

    /// The header's fields `open`, `lease` and `outcome`.
    const fn fields(this: Option<Self>) -> (u64, u64, u8) {
        match this {
            None => (0, 0, 0),
            Some(Self::Open { lease }) => (0, lease.0, 0),
            Some(Self::Extend { open, lease }) => (open, lease.0, 0),
            Some(Self::Close { open, outcome }) => (open, 0, outcome.code()),
        }
    }
}

/// An entry before the sequencer gives it its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it records.
    pub kind: EntryKind,
    /// Which way data moves.
    pub direction: Direction,
    /// When.
    pub time: UnixSeconds,
    /// Which crossing.
    pub flow: FlowId,
    /// Under which rulebook.
    pub rulebook: Digest,
    /// Why.
    pub purpose: Purpose,
    /// Where the actor is.
    pub place: Country,
    /// Where the data goes.
    pub destination: Country,
    /// Classes released.
    pub classes: Vec<DataClass>,
    /// Treatments used.
    pub treatments: Vec<Treatment>,
    /// Why refused.
    pub reason: Reason,
    /// Values withheld because personal data was found in them.
    pub findings: u16,
    /// Bytes that the receipt releases; a stream's budget in all, or at its close what was released.
    pub bytes: u64,
    /// Records in the payload.
    pub rows: u32,
    /// SHA-256 of the sealed detail record; zero if none.
    pub detail: Digest,
    /// Who, as a keyed pseudonym.
    pub actor: Tag,
    /// Whose, as keyed pseudonyms.
    pub subjects: Subjects,
    /// First 8 bytes of SHA-256 of the lane's name.
    pub lane: [u8; 8],
    /// What it says of its stream: there for the kinds open, extend and close, and for no other.
    pub stream: Option<StreamPlace>,
    /// The facts block, already in deterministic CBOR; may be empty. A signed text for suspensions and demands.
    pub facts: Vec<u8>,
}

/// First 8 bytes of SHA-256 of a name, as headers carry it for gateways and lanes.
#[must_use]
pub fn short_name(name: &str) -> [u8; 8] {
    let d = digest::digest(&digest::SHA256, name.as_bytes());
    let mut short = [0; 8];
    short.iter_mut().zip(d.as_ref()).for_each(|(s, d)| *s = *d);
    short
}

/// What the header of an entry says besides the draft: where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which log, as [`short_name`] of its origin.
    pub gateway: [u8; 8],
    /// Which leaf.
    pub sequence: u64,
    /// What it records. After decoding, a tag list that is not inline is left empty.
    pub draft: Draft,
    /// The root of the tag list, if the tags are not inline.
    pub tag_root: Option<Hash>,
    /// How many people the tags name.
    pub subject_count: u32,
}

/// Bytes that are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Shorter than a header, or longer than header and facts may be.
    #[error("an entry of `{0}` bytes is not between 256 and 4352")]
    Length(usize),
    /// A field whose value no writer of version 1 writes.
    #[error("the header's `{0}` is not of version 1")]
    Field(&'static str),
}

impl Draft {
    /// Writes the leaf for its place in a log.
    #[must_use]
    pub fn encode(&self, gateway: [u8; 8], sequence: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.facts.len());
        let released = self.kind != EntryKind::Refusal;
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[
            VERSION,
            self.kind.code(),
            self.direction.code(),
            if released { 1 } else { 2 },
        ]);
        out.extend_from_slice(&gateway);
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&self.time.0.to_be_bytes());
        out.extend_from_slice(self.flow.bytes());
        out.extend_from_slice(self.rulebook.bytes());
        out.extend_from_slice(&self.purpose.code().to_be_bytes());
        out.extend_from_slice(&self.place.bytes());
        out.extend_from_slice(&self.destination.bytes());
        out.push(self.classes.iter().fold(0, |set, c| set | c.code()));
        out.push(self.treatments.iter().fold(0, |set, t| set | t.code()));
        out.extend_from_slice(&self.reason.code().to_be_bytes());
        out.extend_from_slice(&self.findings.to_be_bytes());
        let tags = self.subjects.tags();
        out.extend_from_slice(&u32::try_from(tags.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.bytes.to_be_bytes());
        out.extend_from_slice(&self.rows.to_be_bytes());
        out.extend_from_slice(self.detail.bytes());
        out.extend_from_slice(self.actor.bytes());
        let (mode_and_count, block) = self.subjects.header_block();
        out.extend_from_slice(&mode_and_count);
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&block);
        out.extend_from_slice(&self.lane);
        let (open, lease, outcome) = StreamPlace::fields(self.stream);
        out.extend_from_slice(&open.to_be_bytes());
        out.extend_from_slice(&lease.to_be_bytes());
        out.push(outcome);
        out.resize(HEADER_LEN, 0);
        out.extend_from_slice(&self.facts);
        out
    }
}

#[cfg(test)]
pub(crate) mod tests;
