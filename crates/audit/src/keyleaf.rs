//! A leaf of the key service's log, read strictly (`docs/formats/key-releases.md`).

use crate::{
    codes::PURPOSE_MAX,
    hash::Hash,
    header::{Subjects, Tag},
};

/// Length of every leaf.
pub(crate) const KEY_LEAF_BYTES: usize = 160;

/// The release of the keys of one crossing's people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyLeaf {
    /// First 8 bytes of SHA-256 of the log's origin.
    pub(crate) log: [u8; 8],
    pub(crate) sequence: u64,
    /// Unix seconds.
    pub(crate) time: u64,
    pub(crate) flow: [u8; 16],
    pub(crate) rulebook: Hash,
    pub(crate) purpose: u16,
    /// Distinct people.
    pub(crate) count: u32,
    /// Inline tags or the root of a list, never anything else.
    pub(crate) subjects: Subjects,
}

/// What a leaf says that it must not.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the release's {field} {why}")]
pub(crate) struct KeyLeafError {
    field: &'static str,
    why: &'static str,
}

type Result<T> = std::result::Result<T, KeyLeafError>;

impl KeyLeaf {
    /// Reads a leaf.
    pub(crate) fn parse(leaf: &[u8]) -> Result<Self> {
        if leaf.len() != KEY_LEAF_BYTES {
            return Err(refused("length", "is not 160 bytes"));
        }
        let mut fields = Fields(leaf);
        if fields.take::<4>()? != *b"CLVK" {
            return Err(refused("magic", "is not `CLVK`"));
        }
        let [version, kind, mode, tags] = fields.take()?;
        if version != 1 {
            return Err(refused("version", "is not 1"));
        }
        if kind != 1 {
            return Err(refused("kind", "is unknown"));
        }
        let log = fields.take()?;
        let sequence = u64::from_be_bytes(fields.take()?);
        let time = u64::from_be_bytes(fields.take()?);
        let (flow, rulebook) = (fields.take()?, fields.take()?);
        let purpose = u16::from_be_bytes(fields.take()?);
        if !(1..=PURPOSE_MAX).contains(&purpose) {
            return Err(refused("purpose", "is unknown"));
        }
        if fields.take::<2>()? != [0; 2] {
            return Err(refused("bytes 82 and 83", "are not zero"));
        }
        let count = u32::from_be_bytes(fields.take()?);
        let subjects = subjects(mode, tags, count, &fields.take()?)?;
        if fields.take::<8>()? != [0; 8] {
            return Err(refused("end", "is not zero"));
        }
        Ok(Self { log, sequence, time, flow, rulebook, purpose, count, subjects })
    }
}

fn subjects(mode: u8, tags: u8, count: u32, block: &[u8; 64]) -> Result<Subjects> {
    let (subjects, used) = match (mode, tags) {
        (1, 1..=4) => (inline(block, tags)?, usize::from(tags) * 16),
        (1, _) => return Err(refused("tag count", "is not 1 to 4")),
        (2, 0) => {
            let root = block.first_chunk().ok_or(refused("tags", "are short"))?;
            (Subjects::List(*root), 32)
        }
        (2, _) => return Err(refused("tag count", "contradicts its subject mode")),
        _ => return Err(refused("subject mode", "is unknown")),
    };
    if block.iter().skip(used).any(|byte| *byte != 0) {
        return Err(refused("subject tags", "are not zero after the last one"));
    }
    let agrees = if mode == 1 { count == u32::from(tags) } else { count > 4 };
    if agrees { Ok(subjects) } else { Err(refused("number of subjects", "contradicts its tags")) }
}

fn inline(block: &[u8; 64], count: u8) -> Result<Subjects> {
    let (all, _) = block.as_chunks::<16>();
    let tags: Vec<Tag> = all.iter().take(usize::from(count)).copied().collect();
    if tags.is_sorted_by(|left, right| left < right) {
        return Ok(Subjects::Inline(tags));
    }
    Err(refused("subject tags", "are not ascending and distinct"))
}

fn refused(field: &'static str, why: &'static str) -> KeyLeafError {
    KeyLeafError { field, why }
}

/// The bytes that are still to be read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(refused("length", "is not 160 bytes"))?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good() -> Vec<u8> {
        let mut leaf = vec![0; KEY_LEAF_BYTES];
        leaf[..8].copy_from_slice(b"CLVK\x01\x01\x01\x02");
        leaf[8..16].fill(3);
        leaf[23] = 9;
        leaf[31] = 8;
        leaf[32..48].fill(4);
        leaf[48..80].fill(5);
        leaf[81] = 1;
        leaf[87] = 2;
        leaf[88..104].fill(6);
        leaf[104..120].fill(7);
        leaf
    }

    #[test]
    fn a_release_is_read() {
        let leaf = KeyLeaf::parse(&good()).unwrap();
        assert_eq!((leaf.log, leaf.sequence, leaf.time, leaf.flow), ([3; 8], 9, 8, [4; 16]));
        assert_eq!((leaf.rulebook, leaf.purpose, leaf.count), ([5; 32], 1, 2));
        assert_eq!(leaf.subjects, Subjects::Inline(vec![[6; 16], [7; 16]]));
        let mut list = good();
        (list[6], list[7], list[87]) = (2, 0, 5);
        assert!(matches!(KeyLeaf::parse(&list).unwrap().subjects, Subjects::List(_)));
    }

    #[test]
    fn every_contradiction_is_refused() {
        for (offset, value, field) in [
            (3, b'1', "magic"),
            (4, 2, "version"),
            (5, 2, "kind"),
            (6, 0, "subject mode"),
            (6, 3, "subject mode"),
            (6, 2, "tag count"),
            (7, 0, "tag count"),
            (7, 5, "tag count"),
            (7, 1, "subject tags"),
            (81, 0, "purpose"),
            (81, 12, "purpose"),
            (83, 1, "bytes 82 and 83"),
            (87, 3, "number of subjects"),
            (104, 1, "subject tags"),
            (151, 1, "subject tags"),
            (159, 1, "end"),
        ] {
            let mut leaf = good();
            leaf[offset] = value;
            let error = KeyLeaf::parse(&leaf).unwrap_err();
            assert_eq!(error.field, field, "byte {offset} = {value}");
        }
        assert_eq!(KeyLeaf::parse(&good()[..159]).unwrap_err().field, "length");
        assert_eq!(KeyLeaf::parse(&[&good()[..], &[0]].concat()).unwrap_err().field, "length");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 150..170)) {
            let _ = KeyLeaf::parse(&bytes);
        }
    }
}
