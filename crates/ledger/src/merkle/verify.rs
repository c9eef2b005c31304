//! Checking proofs. Every number and hash here may come from an adversary.

use super::{Hash, TreeHead, empty_root, node_hash};

/// A proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf is not in the tree.
    #[error("leaf `{index}` is outside a tree of `{size}` leaves")]
    NoSuchLeaf {
        /// Leaf in question.
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
    /// The leaves are none, or not ascending.
    #[error("the leaves to check are none, or not ascending")]
    Unordered,
    /// The proof has too few or too many hashes for these sizes.
    #[error("the proof has `{found}` hashes, a length that these sizes do not allow")]
    Length {
        /// Hashes in the proof.
        found: usize,
    },
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that `leaf` is at `index` in the tree `head` (RFC 9162, section 2.1.3.2).
///
/// # Errors
///
/// [`ProofError`] when it is not, or the proof does not show it.
///
/// ```
/// use ledger::merkle::{TreeHead, leaf_hash, node_hash, verify_inclusion};
///
/// let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
/// let head = TreeHead { size: 2, root: node_hash(&a, &b) };
/// verify_inclusion(&[a], 1, &b, &head)?;
/// assert!(verify_inclusion(&[a], 0, &b, &head).is_err());
/// # Ok::<(), ledger::merkle::ProofError>(())
/// ```
pub fn verify_inclusion(proof: &[Hash], index: u64, leaf: &Hash, head: &TreeHead) -> Result<(), ProofError> {
    if index >= head.size {
        return Err(ProofError::NoSuchLeaf { index, size: head.size });
    }
    let mut walk = Walk { node: index, last: head.size - 1 };
    let mut root = *leaf;
    for sibling in proof {
        root = match walk.step().ok_or(ProofError::Length { found: proof.len() })? {
            Side::Left => node_hash(sibling, &root),
            Side::Right => node_hash(&root, sibling),
        };
    }
    match (walk.last, root == head.root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length { found: proof.len() }),
    }
}

/// Checks that the tree `new` begins with all leaves of the tree `old` (RFC 9162, section 2.1.4.2).
/// Every tree continues the empty one, and itself; the proof is then empty.
///
/// # Errors
///
/// [`ProofError`] when it does not, or the proof does not show it.
///
/// ```
/// use ledger::merkle::{MemoryTree, leaf_hash, verify_consistency};
///
/// let mut tree: MemoryTree = (0..3_u8).map(|i| leaf_hash(&[i])).collect();
/// let old = tree.head();
/// tree.push(leaf_hash(&[3]));
/// verify_consistency(&tree.prove_consistency(3, 4)?, &old, &tree.head())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify_consistency(proof: &[Hash], old: &TreeHead, new: &TreeHead) -> Result<(), ProofError> {
    if old.size > new.size {
        return Err(ProofError::Shrinking { old: old.size, new: new.size });
    }
    if old.size == 0 || old.size == new.size {
        return trivially_consistent(proof, old, new);
    }
    let mut walk = Walk { node: old.size - 1, last: new.size - 1 };
    walk.skip_complete();
    // A complete old tree is itself the first node of the proof, and is left out of it.
    let (first, rest) = if old.size.is_power_of_two() {
        (&old.root, proof)
    } else {
        proof.split_first().ok_or(ProofError::Length { found: 0 })?
    };
    let (mut old_root, mut new_root) = (*first, *first);
    for sibling in rest {
        match walk.step().ok_or(ProofError::Length { found: proof.len() })? {
            Side::Left => {
                old_root = node_hash(sibling, &old_root);
                new_root = node_hash(sibling, &new_root);
            }
            Side::Right => new_root = node_hash(&new_root, sibling),
        }
    }
    match (walk.last, old_root == old.root && new_root == new.root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length { found: proof.len() }),
    }
}

fn trivially_consistent(proof: &[Hash], old: &TreeHead, new: &TreeHead) -> Result<(), ProofError> {
    if !proof.is_empty() {
        return Err(ProofError::Length { found: proof.len() });
    }
    let same = if old.size == new.size { old.root == new.root } else { old.root == empty_root() };
    if same { Ok(()) } else { Err(ProofError::Root) }
}

enum Side {
    Left,
    Right,
}

/// The way from a node up to the root: the index of the node on its row, and of the row's last.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    /// On which side the next sibling stands; climbs to the parent. `None` at the root.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // The last node of a row may have no sibling there: climb to the row where it has one.
            self.climb(self.node.trailing_zeros());
            Side::Left
        } else {
            Side::Right
        };
        self.climb(1);
        Some(side)
    }

    /// Climbs from the last leaf of the old tree to the largest complete subtree that it ends.
    fn skip_complete(&mut self) {
        self.climb(self.node.trailing_ones());
    }

    fn climb(&mut self, rows: u32) {
        self.node = self.node.checked_shr(rows).unwrap_or(0);
        self.last = self.last.checked_shr(rows).unwrap_or(0);
    }
}
