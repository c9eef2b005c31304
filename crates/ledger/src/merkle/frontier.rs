//! The right edge of a growing tree.

use std::fmt;

use super::{Hash, TreeHead, empty_root, node_hash};

/// The growing edge of a tree: enough to append leaves and to compute the root, and no more.
///
/// It keeps the roots of the complete subtrees of which the tree is made, one for each set bit of
/// its size, so that an append costs one node hash on average and a root at most 63, without
/// allocation. A clone is a plain copy of 2 KiB.
///
/// ```
/// use ledger::merkle::{Frontier, leaf_hash, node_hash};
///
/// let mut tree = Frontier::new();
/// tree.push(leaf_hash(b"first"));
/// tree.push(leaf_hash(b"second"));
/// assert_eq!(tree.size(), 2);
/// assert_eq!(tree.root(), node_hash(&leaf_hash(b"first"), &leaf_hash(b"second")));
/// ```
#[derive(Clone)]
pub struct Frontier {
    size: u64,
    /// INVARIANT: slot `l` is meaningful if and only if bit `l` of `size` is set; it then holds the
    /// root of the complete subtree of `2^l` leaves which that bit stands for.
    slots: [Hash; u64::BITS as usize],
}

/// A frontier could not be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// The number of subtree roots does not fit the size.
    #[error("a tree of `{size}` leaves has `{wanted}` subtree roots, not `{found}`")]
    RootCount {
        /// Leaves in the tree.
        size: u64,
        /// Set bits of the size.
        wanted: u32,
        /// Roots given.
        found: usize,
    },
    /// No log grows to this size; the number is damaged.
    #[error("a tree of `{size}` leaves is beyond the limit of `{}`", Frontier::SIZE_MAX)]
    Size {
        /// Leaves in the tree.
        size: u64,
    },
}

impl Frontier {
    /// Largest size a frontier is restored at; leaves room so that an append never overflows.
    pub const SIZE_MAX: u64 = 1 << 62;

    /// The frontier of a tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, slots: [Hash::from_bytes([0; Hash::LEN]); u64::BITS as usize] }
    }

    /// Restores a frontier from its size and [`Frontier::roots`]. The caller compares
    /// [`Frontier::root`] with a signed one: the roots prove nothing by themselves.
    ///
    /// # Errors
    ///
    /// [`FrontierError`] when the count does not fit the size, or the size is beyond
    /// [`Frontier::SIZE_MAX`].
    ///
    /// ```
    /// # use ledger::merkle::{Frontier, leaf_hash};
    /// let mut tree = Frontier::new();
    /// (0..5_u8).for_each(|i| { tree.push(leaf_hash(&[i])); });
    /// let restored = Frontier::from_roots(tree.size(), &tree.roots())?;
    /// assert_eq!(restored.root(), tree.root());
    /// # Ok::<(), ledger::merkle::FrontierError>(())
    /// ```
    pub fn from_roots(size: u64, roots: &[Hash]) -> Result<Self, FrontierError> {
        if size > Self::SIZE_MAX {
            return Err(FrontierError::Size { size });
        }
        if roots.len() != size.count_ones() as usize {
            return Err(FrontierError::RootCount { size, wanted: size.count_ones(), found: roots.len() });
        }
        let mut frontier = Self { size, ..Self::new() };
        let largest_first = frontier.slots.iter_mut().enumerate().rev().filter(|(l, _)| size >> l & 1 == 1);
        for ((_, slot), root) in largest_first.zip(roots) {
            *slot = *root;
        }
        Ok(frontier)
    }

    /// Appends one leaf and returns its index. Does not allocate.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        let mut carry = leaf;
        let mut bits = index;
        for slot in &mut self.slots {
            if bits & 1 == 0 {
                *slot = carry;
                break;
            }
            carry = node_hash(slot, &carry);
            bits >>= 1;
        }
        self.size += 1;
        index
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        let smallest_first = self.complete();
        smallest_first.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// Size and root together.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }

    /// Roots of the complete subtrees, largest (leftmost) first: what [`Frontier::from_roots`] needs.
    #[must_use]
    pub fn roots(&self) -> Vec<Hash> {
        self.complete().rev().collect()
    }

    fn complete(&self) -> impl DoubleEndedIterator<Item = Hash> + '_ {
        self.slots.iter().enumerate().filter(|(l, _)| self.size >> l & 1 == 1).map(|(_, root)| *root)
    }
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frontier").field("size", &self.size).finish_non_exhaustive()
    }
}
