//! The sorted Merkle map of a day, from subject tag to the entries that carry it, and its proofs.
//! Byte form: `docs/formats/day-map.md`.
//!
//! Start reading at [`DayMap::build`] and [`Answer`]. A map knows neither its day nor where its pairs come
//! from: that stands in the site log ([`crate::site::DayMapEntry`]). Whether a map leaves somebody out
//! shows only who builds it again.

use model::Tag;

use crate::merkle::{self, Hash, ProofError, TreeHead};
use crate::sequencer::sha256;

mod calendar;
mod file;

pub use calendar::{Calendar, CalendarError, RECORD_LEN, Record};
pub use file::{DayMap, Lookup, MapError, ReadAt};

/// Length of a leaf in bytes.
pub const LEAF_LEN: usize = 52;
/// Length of a pair in bytes.
pub const PAIR_LEN: usize = 16;

/// The tag of the first leaf. It is nobody's.
pub const LOWEST: Tag = Tag::new([0; 16]);
/// The tag of the last leaf. It is nobody's.
pub const HIGHEST: Tag = Tag::new([0xff; 16]);

/// One entry that carries a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// Which log, as [`crate::entry::short_name`] of its origin.
    pub gateway: [u8; 8],
    /// The entry's index in it.
    pub index: u64,
}

impl Pair {
    /// The 16 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PAIR_LEN] {
        (u128::from(u64::from_be_bytes(self.gateway)) << 64 | u128::from(self.index)).to_be_bytes()
    }

    /// Reads the 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; PAIR_LEN]) -> Self {
        let ([gateway, index], _) = bytes.as_chunks::<8>() else { return Self { gateway: [0; 8], index: 0 } };
        Self { gateway: *gateway, index: u64::from_be_bytes(*index) }
    }

    /// Reads a list. `None` when it is not whole pairs, ascending and distinct.
    #[must_use]
    pub fn list(bytes: &[u8]) -> Option<Vec<Self>> {
        let (pairs, []) = bytes.as_chunks::<PAIR_LEN>() else { return None };
        let list: Vec<Self> = pairs.iter().map(Self::from_bytes).collect();
        list.is_sorted_by(|a, b| a < b).then_some(list)
    }
}

/// What the map says of one tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The tag.
    pub tag: Tag,
    /// Number of its pairs.
    pub count: u32,
    /// SHA-256 of its list.
    pub list: Hash,
}

impl Leaf {
    /// The leaf of a tag with this list.
    #[must_use]
    pub fn of(tag: Tag, list: &[Pair]) -> Self {
        let bytes: Vec<u8> = list.iter().flat_map(|p| p.to_bytes()).collect();
        Self::over(tag, &bytes)
    }

    /// The leaf of a tag whose list has these bytes.
    fn over(tag: Tag, list: &[u8]) -> Self {
        let count = u32::try_from(list.len() / PAIR_LEN).unwrap_or(u32::MAX);
        Self { tag, count, list: Hash::from_bytes(*sha256(list).bytes()) }
    }

    /// The 52 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEAF_LEN] {
        let mut out = [0; LEAF_LEN];
        if let Some((tag, rest)) = out.split_first_chunk_mut()
            && let Some((count, list)) = rest.split_first_chunk_mut()
        {
            *tag = *self.tag.bytes();
            *count = self.count.to_be_bytes();
            list.copy_from_slice(self.list.as_bytes());
        }
        out
    }

    /// Reads the 52 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LEAF_LEN]) -> Option<Self> {
        let (tag, rest) = bytes.split_first_chunk::<16>()?;
        let (count, list) = rest.split_first_chunk::<4>()?;
        let list = Hash::try_from(list).ok()?;
        Some(Self { tag: Tag::new(*tag), count: u32::from_be_bytes(*count), list })
    }

    /// What [`merkle::leaf_hash`] gives, with a message of just this length: a map has millions of leaves.
    fn hash(&self) -> Hash {
        let mut message = [0; 1 + LEAF_LEN];
        message.iter_mut().skip(1).zip(self.to_bytes()).for_each(|(to, b)| *to = b);
        Hash::from_bytes(*sha256(&message).bytes())
    }
}

/// What a map proves of a tag.
///
/// ```
/// use ledger::daymap::{DayMap, Pair};
/// use model::Tag;
///
/// let (ana, ben) = (Tag::new([1; 16]), Tag::new([2; 16]));
/// let map = DayMap::build([(ana, Pair { gateway: [7; 8], index: 41 })]);
/// map.prove(&ana)?.verify(&ana, &map.head())?;
/// map.prove(&ben)?.verify(&ben, &map.head())?;
/// assert!(map.prove(&ana)?.verify(&ben, &map.head()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These entries carry it, and no others.
    Present {
        /// Index of its leaf.
        index: u64,
        /// The entries, ascending.
        list: Vec<Pair>,
        /// The proof of the leaf, as [`merkle::prove_several`] gives it.
        proof: Vec<Hash>,
    },
    /// No entry carries it: it would stand between two neighbours.
    Absent(Absence),
}

/// Two leaves that stand side by side, and nothing between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Index of the first; the other has the next.
    pub index: u64,
    /// The leaf before.
    pub low: Leaf,
    /// The leaf behind.
    pub high: Leaf,
    /// One proof for both, as [`merkle::prove_several`] gives it.
    pub proof: Vec<Hash>,
}

/// A proof about a tag does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The list is empty, or not ascending and distinct.
    #[error("the list of entries is empty or not ascending")]
    List,
    /// The tag does not stand between the leaves.
    #[error("the tag does not stand between the two leaves")]
    Between,
    /// The leaves are not in the map.
    #[error("the leaves are not in the map")]
    Proof(#[from] ProofError),
}

impl Answer {
    /// The entries that carry the tag; none if it is absent.
    #[must_use]
    pub fn list(&self) -> &[Pair] {
        if let Self::Present { list, .. } = self { list } else { &[] }
    }

    /// Checks it against the map's number of leaves and root.
    ///
    /// # Errors
    /// [`AnswerError`] when it does not prove what it says.
    pub fn verify(&self, tag: &Tag, map: &TreeHead) -> Result<(), AnswerError> {
        match self {
            Self::Present { index, list, proof } => verify_present(tag, *index, list, proof, map),
            Self::Absent(absence) => verify_absent(tag, absence, map),
        }
    }
}

/// Checks that the entries that carry a tag are these.
///
/// # Errors
/// [`AnswerError`] when the proof does not show it.
pub fn verify_present(
    tag: &Tag,
    index: u64,
    list: &[Pair],
    proof: &[Hash],
    map: &TreeHead,
) -> Result<(), AnswerError> {
    if list.is_empty() || !list.is_sorted_by(|a, b| a < b) {
        return Err(AnswerError::List);
    }
    Ok(merkle::verify_several(proof, &[(index, Leaf::of(*tag, list).hash())], map)?)
}

/// Checks that no entry carries a tag, as far as the map is sorted.
///
/// # Errors
/// [`AnswerError`] when the proof does not show it.
pub fn verify_absent(tag: &Tag, absence: &Absence, map: &TreeHead) -> Result<(), AnswerError> {
    let Absence { index, low, high, proof } = absence;
    if low.tag >= *tag || high.tag <= *tag {
        return Err(AnswerError::Between);
    }
    // An index without a next one is refused as not ascending.
    let leaves = [(*index, low.hash()), (index.saturating_add(1), high.hash())];
    Ok(merkle::verify_several(proof, &leaves, map)?)
}

#[cfg(test)]
mod tests;
