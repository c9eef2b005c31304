//! A whole tree in memory.

use super::prove::{HashReader, ProveError, prove_consistency, prove_inclusion, root_of};
use super::several::prove_several;
use super::{Hash, TreeHead, empty_root, node_hash};

/// A tree with every node in memory, about 64 bytes a leaf: for small trees (a day map, a batch)
/// and for tests. A log is read through [`crate::tile::TileReader`] instead.
///
/// ```
/// use ledger::merkle::{MemoryTree, leaf_hash, verify_inclusion};
///
/// let tree: MemoryTree = (0..7_u8).map(|i| leaf_hash(&[i])).collect();
/// let proof = tree.prove_inclusion(3, 7)?;
/// verify_inclusion(&proof, 3, &leaf_hash(&[3]), &tree.head())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    /// Row `l` holds the roots of all complete subtrees of `2^l` leaves, left to right.
    rows: Vec<Vec<Hash>>,
}

/// A node that the tree does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree has no complete subtree of level `{level}` and index `{index}`")]
pub struct MissingNode {
    /// Height of the subtree.
    pub level: u8,
    /// Position among the subtrees of that height.
    pub index: u64,
}

impl MemoryTree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut carry = leaf;
        for row in &mut self.rows {
            row.push(carry);
            // A pair is complete when the row's length becomes even.
            match row.as_chunks::<2>() {
                (pairs, []) => match pairs.last() {
                    Some([left, right]) => carry = node_hash(left, right),
                    None => return,
                },
                _ => return,
            }
        }
        self.rows.push(vec![carry]);
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.leaves().len() as u64
    }

    /// The leaf hashes in order.
    #[must_use]
    pub fn leaves(&self) -> &[Hash] {
        self.rows.first().map_or(&[], Vec::as_slice)
    }

    /// Size and root over all leaves.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let root = self.root_at(self.size()).unwrap_or_else(|_| empty_root());
        TreeHead { size: self.size(), root }
    }

    /// Root over the first `size` leaves.
    ///
    /// # Errors
    ///
    /// [`MissingNode`] when the tree has fewer leaves.
    pub fn root_at(&self, size: u64) -> Result<Hash, MissingNode> {
        root_of(&mut &*self, size)
    }

    /// Proof that leaf `index` is in the tree of the first `size` leaves.
    ///
    /// # Errors
    ///
    /// As [`prove_inclusion`].
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, ProveError<MissingNode>> {
        prove_inclusion(&mut &*self, index, size)
    }

    /// One proof that the leaves of these indices, ascending, are in the tree of the first `size` leaves.
    ///
    /// # Errors
    ///
    /// As [`prove_several`].
    pub fn prove_several(&self, indices: &[u64], size: u64) -> Result<Vec<Hash>, ProveError<MissingNode>> {
        prove_several(&mut &*self, indices, size)
    }

    /// Proof that the tree of the first `new` leaves begins with the one of the first `old`.
    ///
    /// # Errors
    ///
    /// As [`prove_consistency`].
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProveError<MissingNode>> {
        prove_consistency(&mut &*self, old, new)
    }
}

impl HashReader for &MemoryTree {
    type Error = MissingNode;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, MissingNode> {
        let row = self.rows.get(usize::from(level));
        let place = usize::try_from(index).ok();
        let node = row.zip(place).and_then(|(row, place)| row.get(place));
        node.copied().ok_or(MissingNode { level, index })
    }
}

impl FromIterator<Hash> for MemoryTree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::new();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}
