//! Making proofs from whatever can hand out the roots of complete subtrees.

use super::{Hash, empty_root, node_hash};

/// Hands out the nodes of a tree that never change: the roots of complete subtrees.
pub trait HashReader {
    /// Why a node could not be read.
    type Error;

    /// Root over the leaves `index * 2^level .. (index + 1) * 2^level`.
    ///
    /// # Errors
    ///
    /// Whatever the reader meets; also when the tree does not reach that far.
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// A proof could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// The leaf is not in the tree.
    #[error("leaf `{index}` is outside a tree of `{size}` leaves")]
    NoSuchLeaf {
        /// Leaf asked for.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The earlier tree is larger than the later one.
    #[error("a tree of `{new}` leaves cannot continue one of `{old}`")]
    Shrinking {
        /// Leaves of the earlier tree.
        old: u64,
        /// Leaves of the later tree.
        new: u64,
    },
    /// The leaves asked for are none, or not ascending.
    #[error("the leaves to prove are none, or not ascending")]
    Unordered,
    /// A node could not be read.
    #[error("cannot read a node of the tree")]
    Read(#[source] E),
}

impl<E> From<E> for ProveError<E> {
    fn from(source: E) -> Self {
        Self::Read(source)
    }
}

/// Root of the tree of `size` leaves.
///
/// # Errors
///
/// Those of the reader.
pub fn root_of<R: HashReader>(reader: &mut R, size: u64) -> Result<Hash, R::Error> {
    range_root(reader, 0, size)
}

/// The audit path of leaf `index` in the tree of `size` leaves, from the leaf's sibling up
/// (RFC 9162, section 2.1.3.1).
///
/// # Errors
///
/// [`ProveError::NoSuchLeaf`], or [`ProveError::Read`] with the reader's error.
///
/// ```
/// use ledger::merkle::{MemoryTree, leaf_hash, prove_inclusion};
///
/// let tree: MemoryTree = [leaf_hash(b"a"), leaf_hash(b"b")].into_iter().collect();
/// assert_eq!(prove_inclusion(&mut &tree, 0, 2)?, [leaf_hash(b"b")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prove_inclusion<R: HashReader>(
    reader: &mut R,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if index >= size {
        return Err(ProveError::NoSuchLeaf { index, size });
    }
    let (mut lo, mut hi) = (0, size);
    let mut path = Vec::new();
    while hi - lo > 1 {
        let middle = lo + split(hi - lo);
        if index < middle {
            path.push(range_root(reader, middle, hi)?);
            hi = middle;
        } else {
            path.push(range_root(reader, lo, middle)?);
            lo = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162,
/// section 2.1.4.1). It is empty when `old` is zero or equal to `new`.
///
/// # Errors
///
/// [`ProveError::Shrinking`], or [`ProveError::Read`] with the reader's error.
pub fn prove_consistency<R: HashReader>(
    reader: &mut R,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if old > new {
        return Err(ProveError::Shrinking { old, new });
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    let (mut lo, mut hi) = (0, new);
    while hi != old {
        let middle = lo + split(hi - lo);
        if old <= middle {
            path.push(range_root(reader, middle, hi)?);
            hi = middle;
        } else {
            path.push(range_root(reader, lo, middle)?);
            lo = middle;
        }
    }
    // The verifier knows the old root; any other subtree that ends the old tree must be told.
    if lo != 0 {
        path.push(range_root(reader, lo, hi)?);
    }
    path.reverse();
    Ok(path)
}

/// The complete subtrees that make up the leaves `lo..hi`, left to right, as (level, index).
/// `lo` must be a multiple of the smallest power of two that is not less than `hi - lo`, which
/// every range of a proof is.
pub(crate) fn subtree_roots(lo: u64, hi: u64) -> impl Iterator<Item = (u8, u64)> {
    let length = hi.saturating_sub(lo);
    let largest_first = (0..u64::BITS).rev().filter(move |level| length >> level & 1 == 1);
    let mut start = lo;
    largest_first.map(move |level| {
        let index = start >> level;
        start += 1 << level;
        (u8::try_from(level).unwrap_or(u8::MAX), index)
    })
}

pub(super) fn range_root<R: HashReader>(reader: &mut R, lo: u64, hi: u64) -> Result<Hash, R::Error> {
    let roots = subtree_roots(lo, hi).map(|(level, index)| reader.node(level, index));
    let roots = roots.collect::<Result<Vec<_>, _>>()?;
    Ok(roots.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root))
}

/// The largest power of two smaller than `length`, which is at least 2.
pub(super) fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}
