//! One proof for several leaves of a tree: what their paths share stands in it once.
//! Byte form: `docs/formats/day-map.md`.

use std::slice::Iter;

use super::prove::{HashReader, ProveError, range_root, split};
use super::{Hash, ProofError, TreeHead, node_hash};

/// The hashes that lead from the leaves of these indices, ascending, to the root of the tree of `size` leaves:
/// from left to right the roots of the largest subtrees that hold none of them.
///
/// # Errors
///
/// [`ProveError::Unordered`], [`ProveError::NoSuchLeaf`], or [`ProveError::Read`] with the reader's error.
///
/// ```
/// use ledger::merkle::{MemoryTree, leaf_hash, prove_several, verify_several};
///
/// let tree: MemoryTree = (0..7_u8).map(|i| leaf_hash(&[i])).collect();
/// let proof = prove_several(&mut &tree, &[2, 3], 7)?;
/// assert_eq!(proof.len(), 2, "the subtree before, and the one behind");
/// verify_several(&proof, &[(2, leaf_hash(&[2])), (3, leaf_hash(&[3]))], &tree.head())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prove_several<R: HashReader>(
    reader: &mut R,
    indices: &[u64],
    size: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if indices.is_empty() || !indices.is_sorted_by(|a, b| a < b) {
        return Err(ProveError::Unordered);
    }
    if let Some(index) = indices.last().copied().filter(|last| *last >= size) {
        return Err(ProveError::NoSuchLeaf { index, size });
    }
    let mut proof = Vec::new();
    collect(reader, indices, (0, size), &mut proof)?;
    Ok(proof)
}

/// No deeper than a tree is high.
fn collect<R: HashReader>(
    reader: &mut R,
    indices: &[u64],
    (lo, hi): (u64, u64),
    proof: &mut Vec<Hash>,
) -> Result<(), R::Error> {
    if indices.is_empty() {
        proof.push(range_root(reader, lo, hi)?);
        return Ok(());
    }
    if hi - lo == 1 {
        return Ok(());
    }
    let middle = lo + split(hi - lo);
    let (left, right) = indices.split_at(indices.partition_point(|index| *index < middle));
    collect(reader, left, (lo, middle), proof)?;
    collect(reader, right, (middle, hi), proof)
}

/// Checks that these leaves, ascending by index, stand in the tree `head`. A proof that has a hash too few, too many or
/// in another order is refused.
///
/// # Errors
///
/// [`ProofError`] when one does not, or the proof does not show it.
pub fn verify_several(proof: &[Hash], leaves: &[(u64, Hash)], head: &TreeHead) -> Result<(), ProofError> {
    if leaves.is_empty() || !leaves.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(ProofError::Unordered);
    }
    if let Some((index, _)) = leaves.last().filter(|(last, _)| *last >= head.size) {
        return Err(ProofError::NoSuchLeaf { index: *index, size: head.size });
    }
    let mut rest = proof.iter();
    match (subtree(leaves, (0, head.size), &mut rest), rest.next()) {
        (Some(root), None) if root == head.root => Ok(()),
        (Some(_), None) => Err(ProofError::Root),
        _ => Err(ProofError::Length { found: proof.len() }),
    }
}

/// Root over a range of which these leaves are known; `None` when the proof has no more hashes.
fn subtree(leaves: &[(u64, Hash)], (lo, hi): (u64, u64), rest: &mut Iter<'_, Hash>) -> Option<Hash> {
    let Some((_, leaf)) = leaves.first() else { return rest.next().copied() };
    if hi - lo == 1 {
        return Some(*leaf);
    }
    let middle = lo + split(hi - lo);
    let (left, right) = leaves.split_at(leaves.partition_point(|(index, _)| *index < middle));
    let left = subtree(left, (lo, middle), rest)?;
    Some(node_hash(&left, &subtree(right, (middle, hi), rest)?))
}
