//! RFC 6962 hashing, inclusion as in RFC 9162 §2.1.3.2, and of several leaves as in `docs/formats/day-map.md`.

use aws_lc_rs::digest::{SHA256, digest};

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The leaf hash of `entry`. `scratch` saves an allocation per leaf.
pub(crate) fn leaf_hash(entry: &[u8], scratch: &mut Vec<u8>) -> Hash {
    scratch.clear();
    scratch.push(0);
    scratch.extend_from_slice(entry);
    sha256(scratch)
}

/// The hash of an inner node.
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 65];
    let (prefix, rest) = bytes.split_at_mut(1);
    prefix.fill(1);
    let (to_left, to_right) = rest.split_at_mut(32);
    to_left.copy_from_slice(left);
    to_right.copy_from_slice(right);
    sha256(&bytes)
}

/// The roots of the complete subtrees of a growing tree, tallest first.
#[derive(Clone, Default)]
pub(crate) struct Frontier {
    peaks: Vec<(u8, Hash)>,
}

impl Frontier {
    /// Appends the root of a complete subtree of 2^`height` leaves. The tree so far must be a multiple of it.
    pub(crate) fn push(&mut self, height: u8, hash: Hash) {
        let mut node = (height, hash);
        while let Some(left) = self.peaks.pop_if(|peak| peak.0 == node.0) {
            node = (node.0.saturating_add(1), node_hash(&left.1, &node.1));
        }
        self.peaks.push(node);
    }

    /// The root of the whole tree; of an empty tree it is the hash of nothing.
    pub(crate) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => sha256(&[]),
            Some(last) => peaks.fold(last.1, |right, peak| node_hash(&peak.1, &right)),
        }
    }
}

/// The root over `hashes` as leaves that are already hashed.
pub(crate) fn root_of(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for hash in hashes {
        frontier.push(0, *hash);
    }
    frontier.root()
}

/// The root that `proof` leads to from leaf `index` of a tree of `size`, or `None` if its length is wrong.
pub(crate) fn root_from_proof(leaf: Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last, mut root) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            root = node_hash(sibling, &root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

/// The root that `proof` leads to from `leaves`, by ascending index, of a tree of `size`; `None` if it is no proof of
/// just these.
pub(crate) fn root_from_several(leaves: &[(u64, Hash)], size: u64, proof: &[Hash]) -> Option<Hash> {
    let ascending = leaves.is_sorted_by(|left, right| left.0 < right.0);
    if leaves.is_empty() || !ascending {
        return None;
    }
    let mut walk = Several { leaves, proof };
    let root = walk.range(0, size)?;
    // A leaf that is left over stands outside of the tree.
    (walk.leaves.is_empty() && walk.proof.is_empty()).then_some(root)
}

/// What is not used yet of the leaves and of the proof.
struct Several<'p> {
    leaves: &'p [(u64, Hash)],
    proof: &'p [Hash],
}

impl Several<'_> {
    /// The root over the leaves `from` ≤ index < `to`. It calls itself once for each row of the tree.
    fn range(&mut self, from: u64, to: u64) -> Option<Hash> {
        let within = self.leaves.split_first().filter(|((index, _), _)| *index < to);
        let Some(((_, leaf), others)) = within else {
            let (hash, rest) = self.proof.split_first()?;
            self.proof = rest;
            return Some(*hash);
        };
        let length = to - from;
        if length == 1 {
            self.leaves = others;
            return Some(*leaf);
        }
        // The largest power of two below the length.
        let half = 1 << (63 - (length - 1).leading_zeros());
        let left = self.range(from, from + half)?;
        let right = self.range(from + half, to)?;
        Some(node_hash(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes(), &mut Vec::new())).collect()
    }

    /// RFC 6962 §2.1 as it is written, to compare with.
    fn naive(hashes: &[Hash]) -> Hash {
        match hashes {
            [] => sha256(&[]),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                node_hash(&naive(left), &naive(right))
            }
        }
    }

    fn prove(index: usize, hashes: &[Hash]) -> Vec<Hash> {
        if hashes.len() < 2 {
            return Vec::new();
        }
        let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
        let (mut proof, other) = match index.checked_sub(left.len()) {
            None => (prove(index, left), right),
            Some(rest) => (prove(rest, right), left),
        };
        proof.push(naive(other));
        proof
    }

    /// The page as it is written.
    fn prove_several(set: &[u64], from: u64, hashes: &[Hash]) -> Vec<Hash> {
        let to = from + hashes.len() as u64;
        if !set.iter().any(|index| (from..to).contains(index)) {
            return vec![naive(hashes)];
        }
        if hashes.len() == 1 {
            return Vec::new();
        }
        let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
        [prove_several(set, from, left), prove_several(set, from + left.len() as u64, right)].concat()
    }

    #[test]
    fn a_proof_of_several_leaves_leads_to_the_root_and_any_other_does_not() {
        for size in 1..9_u64 {
            let hashes = leaves(size);
            let root = Some(naive(&hashes));
            for bits in 1..1_u64 << size {
                let set: Vec<u64> = (0..size).filter(|index| bits >> index & 1 == 1).collect();
                let chosen: Vec<_> = set.iter().map(|index| (*index, hashes[*index as usize])).collect();
                let proof = prove_several(&set, 0, &hashes);
                assert_eq!(root_from_several(&chosen, size, &proof), root, "{set:?} of {size}");
                for place in 0..proof.len() {
                    let mut other = proof.clone();
                    let hash = other.remove(place);
                    assert_eq!(root_from_several(&chosen, size, &other), None, "truncated");
                    other.insert(place, [7; 32]);
                    assert_ne!(root_from_several(&chosen, size, &other), root, "another");
                    other.insert(place, hash);
                    assert_eq!(root_from_several(&chosen, size, &other), None, "surplus");
                    for earlier in 0..place {
                        let mut other = proof.clone();
                        other.swap(place, earlier);
                        assert_ne!(root_from_several(&chosen, size, &other), root, "reordered");
                    }
                }
                for place in 0..chosen.len() {
                    let mut other = chosen.clone();
                    other[place].1 = [7; 32];
                    assert_ne!(root_from_several(&other, size, &proof), root, "another leaf");
                    other[place].0 = size;
                    assert_eq!(
                        root_from_several(&other, size, &proof),
                        None,
                        "a leaf outside, or out of order"
                    );
                }
            }
        }
        let leaf = leaves(1)[0];
        assert_eq!(root_from_several(&[], 1, &[leaf]), None);
        assert_eq!(root_from_several(&[(0, leaf), (0, leaf)], 2, &[]), None);
        assert_eq!(root_from_several(&[(0, leaf)], 0, &[]), None);
        assert_eq!(root_from_several(&[(u64::MAX, leaf)], u64::MAX, &[leaf; 70]), None);
        assert!(root_from_several(&[(0, leaf)], u64::MAX, &[leaf; 64]).is_some());
    }

    #[test]
    fn the_frontier_agrees_with_the_definition() {
        for count in 0..300 {
            let hashes = leaves(count);
            assert_eq!(root_of(&hashes), naive(&hashes), "{count} leaves");
        }
    }

    #[test]
    fn a_subtree_may_be_pushed_whole() {
        let hashes = leaves(700);
        let mut frontier = Frontier::default();
        frontier.push(8, root_of(&hashes[..256]));
        frontier.push(8, root_of(&hashes[256..512]));
        for hash in &hashes[512..] {
            frontier.push(0, *hash);
        }
        assert_eq!(frontier.root(), naive(&hashes));
    }

    #[test]
    fn every_inclusion_proof_leads_to_the_root_and_no_other_place() {
        for size in 1..40_u64 {
            let hashes = leaves(size);
            let root = naive(&hashes);
            for index in 0..size {
                let leaf = hashes[index as usize];
                let proof = prove(index as usize, &hashes);
                assert_eq!(root_from_proof(leaf, index, size, &proof), Some(root));
                for other in (0..size).filter(|other| *other != index) {
                    assert_ne!(
                        root_from_proof(leaf, other, size, &proof),
                        Some(root),
                        "{index}/{other}/{size}"
                    );
                }
                let mut long = proof.clone();
                long.push(root);
                assert_eq!(root_from_proof(leaf, index, size, &long), None);
            }
        }
        assert_eq!(root_from_proof([0; 32], 0, 0, &[]), None);
        assert_eq!(root_from_proof([0; 32], u64::MAX - 1, u64::MAX, &[]), None);
    }
}
