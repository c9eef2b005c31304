//! The leaves of the key service's log: each use of people's keys. Byte form: `docs/formats/key-releases.md`.

use model::{Digest, FlowId, Purpose, Tag, UnixSeconds};

use crate::entry::{self, Cursor, EntryError, Subjects};
use crate::merkle::Hash;

/// Length of a leaf in bytes.
pub const LEAF_LEN: usize = 160;

const MAGIC: &[u8; 4] = b"CLVK";
const VERSION: u8 = 1;
const RELEASE: u8 = 1;

/// A use of people's keys for one crossing.
///
/// ```
/// use ledger::Subjects;
/// use ledger::keylog::{self, Release};
/// use model::{Digest, FlowId, Purpose, Tag, UnixSeconds};
///
/// let release = Release {
///     time: UnixSeconds(1_790_000_000),
///     flow: FlowId::new([1; 16]),
///     rulebook: Digest::new([2; 32]),
///     purpose: Purpose::Support,
///     subjects: Subjects::of(vec![Tag::new([3; 16])]),
/// };
/// let leaf = release.encode().ok_or("names nobody")?;
/// assert_eq!(keylog::decode(&leaf)?.release, release);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// When.
    pub time: UnixSeconds,
    /// Which crossing.
    pub flow: FlowId,
    /// The rulebook that decided.
    pub rulebook: Digest,
    /// Why.
    pub purpose: Purpose,
    /// Whose keys. After decoding, a tag list that is not inline is left empty.
    pub subjects: Subjects,
}

/// A leaf with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLeaf {
    /// Which log, as [`entry::short_name`] of its origin.
    pub log: [u8; 8],
    /// Which leaf.
    pub sequence: u64,
    /// What it says.
    pub release: Release,
    /// The root of the tag list, if the tags are not inline.
    pub tag_root: Option<Hash>,
    /// How many people the tags name.
    pub subject_count: u32,
}

impl Release {
    /// Writes the leaf with zeros where its place will stand. `None` when it names nobody: then no key is
    /// used, and there is nothing to record.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let tags: &[Tag] = self.subjects.tags();
        let ([mode, count], block) = self.subjects.header_block();
        if tags.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(LEAF_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, RELEASE, mode, count]);
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&self.time.0.to_be_bytes());
        out.extend_from_slice(self.flow.bytes());
        out.extend_from_slice(self.rulebook.bytes());
        out.extend_from_slice(&self.purpose.code().to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&u32::try_from(tags.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&block);
        out.resize(LEAF_LEN, 0);
        Some(out)
    }
}

/// Bytes that are not a leaf of a key service's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyLeafError {
    /// Another length.
    #[error("a release of `{0}` bytes is not of 160")]
    Length(usize),
    /// A field whose value no writer of version 1 writes.
    #[error("the release's `{0}` is not of version 1")]
    Field(&'static str),
}

impl From<EntryError> for KeyLeafError {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Length(n) => Self::Length(n),
            EntryError::Field(field) => Self::Field(field),
        }
    }
}

/// Reads a leaf.
///
/// # Errors
/// [`KeyLeafError`] for anything that [`Release::encode`] and the sequencer would not write.
pub fn decode(leaf: &[u8]) -> Result<KeyLeaf, KeyLeafError> {
    if leaf.len() != LEAF_LEN {
        return Err(KeyLeafError::Length(leaf.len()));
    }
    let c = &mut Cursor::new(leaf);
    if c.take()? != *MAGIC || c.take()? != [VERSION, RELEASE] {
        return Err(KeyLeafError::Field("magic"));
    }
    let [mode, count] = c.take()?;
    let (log, sequence, time) = (c.take()?, c.u64()?, UnixSeconds(c.u64()?));
    let (flow, rulebook) = (FlowId::new(c.take()?), Digest::new(c.take()?));
    let purpose = Purpose::from_code(c.u16()?).ok_or(KeyLeafError::Field("purpose"))?;
    let zero = c.u16()?;
    let subject_count = c.u32()?;
    let (subjects, tag_root) = entry::read_subjects([mode, count], &c.take()?, subject_count)?;
    if zero != 0 || c.take()? != [0; 8] || !matches!(mode, 1 | 2) {
        return Err(KeyLeafError::Field("subject mode or padding"));
    }
    let release = Release { time, flow, rulebook, purpose, subjects };
    Ok(KeyLeaf { log, sequence, release, tag_root, subject_count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(people: u8) -> Release {
        Release {
            time: UnixSeconds(1_790_000_000),
            flow: FlowId::new([9; 16]),
            rulebook: Digest::new([8; 32]),
            purpose: Purpose::Safety,
            subjects: Subjects::of((1..=people).map(|i| Tag::new([i; 16])).collect()),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_page() {
        let leaf = release(2).encode().unwrap();
        let wanted = [
            "434c564b01010102",
            &"00".repeat(16),
            "000000006ab13b80",
            &"09".repeat(16),
            &"08".repeat(32),
            "0002000000000002",
            &"01".repeat(16),
            &"02".repeat(16),
            &"00".repeat(40),
        ];
        assert_eq!(data_encoding::HEXLOWER.encode(&leaf), wanted.concat());
    }

    #[test]
    fn a_release_reads_back_as_it_was_written() {
        for people in 1..=4 {
            let read = decode(&release(people).encode().unwrap()).unwrap();
            assert_eq!((read.release, read.tag_root), (release(people), None));
        }
        let read = decode(&release(5).encode().unwrap()).unwrap();
        let (root, _) = release(5).subjects.side_record().unwrap();
        assert_eq!((read.tag_root, read.subject_count), (Some(root), 5));
    }

    #[test]
    fn a_release_that_names_nobody_is_not_written() {
        assert_eq!(release(0).encode(), None);
        assert_eq!(Release { subjects: Subjects::Population, ..release(1) }.encode(), None);
    }

    #[test]
    fn fields_that_contradict_one_another_are_refused() {
        let leaf = release(2).encode().unwrap();
        // Magic, version, kind, mode, count, purpose, zero, subjects, order of the tags, rest, zero.
        for (at, byte) in [
            (0, b'X'),
            (4, 2),
            (5, 2),
            (6, 0),
            (6, 2),
            (6, 3),
            (7, 0),
            (7, 1),
            (7, 3),
            (7, 5),
            (81, 99),
            (82, 1),
            (87, 3),
            (88, 3),
            (120, 1),
            (152, 1),
            (159, 1),
        ] {
            let mut other = leaf.clone();
            other[at] = byte;
            assert!(decode(&other).is_err(), "byte {at} is {byte}");
        }
        assert_eq!(decode(&leaf[..159]), Err(KeyLeafError::Length(159)));
    }

    #[test]
    fn a_changed_byte_is_refused_or_reads_as_another_release() {
        for people in [1, 4, 5] {
            let leaf = release(people).encode().unwrap();
            for at in 0..leaf.len() {
                let mut other = leaf.clone();
                other[at] ^= 1;
                assert!(decode(&other).map_or(true, |r| r != decode(&leaf).unwrap()), "byte {at}");
            }
        }
    }
}
