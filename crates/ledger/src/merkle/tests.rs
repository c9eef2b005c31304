use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// The definitions of RFC 9162, section 2.1, word for word, over leaves that are their own index.
#[derive(Default)]
struct Naive {
    known: HashMap<(u64, u64), Hash>,
}

impl Naive {
    fn root(&mut self, lo: u64, hi: u64) -> Hash {
        if let Some(hash) = self.known.get(&(lo, hi)) {
            return *hash;
        }
        let hash = match hi - lo {
            0 => empty_root(),
            1 => leaf(lo),
            n => {
                let k = largest_power_below(n);
                let (left, right) = (self.root(lo, lo + k), self.root(lo + k, hi));
                node_hash(&left, &right)
            }
        };
        self.known.insert((lo, hi), hash);
        hash
    }

    fn path(&mut self, m: u64, lo: u64, hi: u64) -> Vec<Hash> {
        if hi - lo == 1 {
            return Vec::new();
        }
        let k = largest_power_below(hi - lo);
        let (mut path, sibling) = if m < k {
            (self.path(m, lo, lo + k), self.root(lo + k, hi))
        } else {
            (self.path(m - k, lo + k, hi), self.root(lo, lo + k))
        };
        path.push(sibling);
        path
    }

    fn subproof(&mut self, m: u64, lo: u64, hi: u64, complete: bool) -> Vec<Hash> {
        let n = hi - lo;
        if m == n {
            return if complete { Vec::new() } else { vec![self.root(lo, hi)] };
        }
        let k = largest_power_below(n);
        let (mut proof, sibling) = if m <= k {
            (self.subproof(m, lo, lo + k, complete), self.root(lo + k, hi))
        } else {
            (self.subproof(m - k, lo + k, hi, false), self.root(lo, lo + k))
        };
        proof.push(sibling);
        proof
    }
}

fn largest_power_below(n: u64) -> u64 {
    (0..63).map(|bit| 1 << bit).take_while(|k| *k < n).last().unwrap()
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn tree(size: u64) -> MemoryTree {
    (0..size).map(leaf).collect()
}

fn flip(hash: &Hash, byte: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[byte] ^= 1;
    bytes.into()
}

/// A tree of any size whose leaves are all the same, so that a node depends on its level alone.
struct Uniform;

impl HashReader for Uniform {
    type Error = Infallible;

    fn node(&mut self, level: u8, _index: u64) -> Result<Hash, Infallible> {
        Ok((0..level).fold(leaf(0), |hash, _| node_hash(&hash, &hash)))
    }
}

const ALL_UP_TO: u64 = 300;

#[test]
fn hashes_are_those_of_rfc_6962() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let tree: MemoryTree = leaves.into_iter().map(leaf_hash).collect();
    let root = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
    assert_eq!(format!("{:x}", tree.head().root), root);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(empty_root(), Hash::from_hex(empty).unwrap());
}

#[test]
fn a_leaf_of_any_length_is_hashed_after_one_zero_byte() {
    for length in [0, 1, 255, 256, 1022, 1023, 1024, 1025, 4352, 65_535] {
        let entry = vec![0xab; length];
        let message = [b"\0".as_slice(), &entry].concat();
        assert_eq!(leaf_hash(&entry), digest::digest(&SHA256, &message).into(), "{length} bytes");
    }
}

#[test]
fn roots_and_frontiers_agree_with_the_definition_at_every_size() {
    let (mut naive, mut frontier, full) = (Naive::default(), Frontier::new(), tree(ALL_UP_TO));
    for size in 0..=ALL_UP_TO {
        let root = naive.root(0, size);
        assert_eq!(frontier.head(), TreeHead { size, root });
        assert_eq!(full.root_at(size).unwrap(), root);
        let mut restored = Frontier::from_roots(size, &frontier.roots()).unwrap();
        assert_eq!(frontier.push(leaf(size)), size);
        restored.push(leaf(size));
        assert_eq!(restored.root(), frontier.root());
    }
}

#[test]
fn a_frontier_of_the_wrong_shape_is_refused() {
    let roots = [leaf(0), leaf(1)];
    let wrong = FrontierError::RootCount { size: 4, wanted: 1, found: 2 };
    assert_eq!(Frontier::from_roots(4, &roots).unwrap_err(), wrong);
    assert!(Frontier::from_roots(3, &roots).is_ok());
    assert!(Frontier::from_roots(0, &roots).is_err());
    for size in [1 << 63, u64::MAX] {
        assert_eq!(Frontier::from_roots(size, &roots).unwrap_err(), FrontierError::Size { size });
    }
}

#[test]
fn every_inclusion_proof_is_the_one_of_the_definition_and_holds() {
    let (mut naive, full) = (Naive::default(), tree(ALL_UP_TO));
    for size in 1..=ALL_UP_TO {
        let head = TreeHead { size, root: naive.root(0, size) };
        for index in 0..size {
            let proof = full.prove_inclusion(index, size).unwrap();
            assert_eq!(proof, naive.path(index, 0, size), "leaf {index} of {size}");
            verify_inclusion(&proof, index, &leaf(index), &head).unwrap();
            assert!(verify_inclusion(&proof, index, &leaf(index + 1), &head).is_err());
        }
    }
}

#[test]
fn every_consistency_proof_is_the_one_of_the_definition_and_holds() {
    let (mut naive, full) = (Naive::default(), tree(ALL_UP_TO));
    for new in 1..=ALL_UP_TO {
        let new_head = TreeHead { size: new, root: naive.root(0, new) };
        for old in 1..=new {
            let old_head = TreeHead { size: old, root: naive.root(0, old) };
            let proof = full.prove_consistency(old, new).unwrap();
            assert_eq!(proof, naive.subproof(old, 0, new, true), "{old} to {new}");
            verify_consistency(&proof, &old_head, &new_head).unwrap();
            let other = TreeHead { root: flip(&old_head.root, 0), ..old_head };
            assert!(verify_consistency(&proof, &other, &new_head).is_err());
        }
    }
}

#[test]
fn a_flipped_byte_in_an_inclusion_proof_is_refused() {
    for (index, size) in [(0, 1), (0, 2), (4, 5), (6, 7), (3, 8), (128, 129), (77, 200), (255, 256)] {
        let full = tree(size);
        let (proof, head) = (full.prove_inclusion(index, size).unwrap(), full.head());
        for byte in 0..Hash::LEN {
            for place in 0..proof.len() {
                let mut forged = proof.clone();
                forged[place] = flip(&forged[place], byte);
                assert_eq!(verify_inclusion(&forged, index, &leaf(index), &head), Err(ProofError::Root));
            }
            let other = TreeHead { root: flip(&head.root, byte), size };
            assert_eq!(verify_inclusion(&proof, index, &leaf(index), &other), Err(ProofError::Root));
            assert!(verify_inclusion(&proof, index, &flip(&leaf(index), byte), &head).is_err());
        }
    }
}

#[test]
fn a_flipped_byte_in_a_consistency_proof_is_refused() {
    for (old, new) in [(1, 2), (3, 4), (4, 7), (6, 8), (64, 65), (100, 200), (255, 256), (129, 255)] {
        let full = tree(new);
        let proof = full.prove_consistency(old, new).unwrap();
        let old = TreeHead { size: old, root: full.root_at(old).unwrap() };
        for byte in 0..Hash::LEN {
            for place in 0..proof.len() {
                let mut forged = proof.clone();
                forged[place] = flip(&forged[place], byte);
                assert_eq!(verify_consistency(&forged, &old, &full.head()), Err(ProofError::Root));
            }
            let other = TreeHead { root: flip(&full.head().root, byte), size: new };
            assert_eq!(verify_consistency(&proof, &old, &other), Err(ProofError::Root));
        }
    }
}

#[test]
fn a_proof_of_the_wrong_length_is_refused() {
    let full = tree(200);
    let old = TreeHead { size: 77, root: full.root_at(77).unwrap() };
    let (inclusion, consistency) =
        (full.prove_inclusion(77, 200).unwrap(), full.prove_consistency(77, 200).unwrap());
    for length in (0..inclusion.len()).chain([inclusion.len() + 1, 100]) {
        let mut proof = inclusion.clone();
        proof.resize(length, leaf(0));
        let found = verify_inclusion(&proof, 77, &leaf(77), &full.head());
        assert_eq!(found, Err(ProofError::Length { found: length }));
    }
    for length in (0..consistency.len()).chain([consistency.len() + 1, 100]) {
        let mut proof = consistency.clone();
        proof.resize(length, leaf(0));
        let found = verify_consistency(&proof, &old, &full.head());
        assert_eq!(found, Err(ProofError::Length { found: length }));
    }
}

#[test]
fn numbers_from_an_adversary_are_refused_without_panic() {
    const EDGES: [u64; 8] = [0, 1, 2, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    let root = leaf(9);
    for length in (0..=70).chain([1000]) {
        let proof = vec![leaf(1); length];
        for a in EDGES {
            for b in EDGES {
                let (old, new) = (TreeHead { size: a, root }, TreeHead { size: b, root });
                let trivial = a == b && length == 0;
                assert_eq!(verify_consistency(&proof, &old, &new).is_ok(), trivial, "{a} {b} {length}");
                assert!(verify_inclusion(&proof, a, &leaf(0), &new).is_err(), "{a} {b} {length}");
            }
        }
    }
}

#[test]
fn proofs_hold_in_trees_near_the_largest_size() {
    for size in [1 << 40, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
        let head = TreeHead { size, root: root_of(&mut Uniform, size).unwrap() };
        for index in [0, 1, size / 3, size / 2, size - 2, size - 1] {
            let proof = prove_inclusion(&mut Uniform, index, size).unwrap();
            verify_inclusion(&proof, index, &leaf(0), &head).unwrap();
        }
        for old in [1, 2, size / 3, size / 2, 1 << (size - 1).ilog2(), size - 1] {
            let proof = prove_consistency(&mut Uniform, old, size).unwrap();
            let old = TreeHead { size: old, root: root_of(&mut Uniform, old).unwrap() };
            verify_consistency(&proof, &old, &head).unwrap();
        }
    }
}

/// What the page says, word for word.
fn several(naive: &mut Naive, wanted: &[u64], lo: u64, hi: u64) -> Vec<Hash> {
    if !wanted.iter().any(|i| (lo..hi).contains(i)) {
        return vec![naive.root(lo, hi)];
    }
    if hi - lo == 1 {
        return Vec::new();
    }
    let k = largest_power_below(hi - lo);
    [several(naive, wanted, lo, lo + k), several(naive, wanted, lo + k, hi)].concat()
}

/// The leaves of these indices, as [`tree`] has them.
fn at(indices: &[u64]) -> Vec<(u64, Hash)> {
    indices.iter().map(|i| (*i, leaf(*i))).collect()
}

#[test]
fn any_leaves_of_a_small_tree_are_proved_at_once_as_the_page_says() {
    let mut naive = Naive::default();
    for size in 1..=9u64 {
        let full = tree(size);
        for set in 1u64..1 << size {
            let indices: Vec<u64> = (0..size).filter(|i| set >> i & 1 == 1).collect();
            let proof = full.prove_several(&indices, size).unwrap();
            assert_eq!(proof, several(&mut naive, &indices, 0, size), "{indices:?} of {size}");
            verify_several(&proof, &at(&indices), &full.head()).unwrap();
        }
    }
}

#[test]
fn a_hash_too_few_too_many_or_in_another_place_is_refused_in_a_proof_of_several() {
    let full = tree(100);
    let indices = [0, 17, 18, 63, 64, 99];
    let (proof, leaves, head) = (full.prove_several(&indices, 100).unwrap(), at(&indices), full.head());
    assert_eq!(verify_several(&proof, &leaves, &head), Ok(()));
    let refused = |proof: &[Hash], leaves: &[(u64, Hash)]| verify_several(proof, leaves, &head).unwrap_err();
    let length = |found| ProofError::Length { found };
    for n in 0..proof.len() {
        assert_eq!(refused(&proof[..n], &leaves), length(n), "truncated");
        let mut other = proof.clone();
        other.remove(n);
        assert_eq!(refused(&other, &leaves), length(proof.len() - 1), "{n} left out");
        other.insert(n, leaf(1_000));
        assert_eq!(refused(&other, &leaves), ProofError::Root, "{n} is another");
        other.insert(n, proof[n]);
        assert_eq!(refused(&other, &leaves), length(proof.len() + 1), "{n} is surplus");
        for m in 0..n {
            let mut other = proof.clone();
            other.swap(n, m);
            assert_eq!(refused(&other, &leaves), ProofError::Root, "{n} and {m} are exchanged");
        }
    }
    for n in 0..leaves.len() {
        let mut other = leaves.clone();
        other[n].1 = leaf(1_000);
        assert_eq!(refused(&proof, &other), ProofError::Root, "leaf {n} is another");
        other.remove(n);
        refused(&proof, &other);
    }
    let moved = at(&[0, 17, 19, 63, 64, 99]);
    refused(&proof, &moved);
    for bad in [&[][..], &[(3, leaf(3)), (3, leaf(3))], &[(4, leaf(4)), (3, leaf(3))]] {
        assert_eq!(refused(&proof, bad), ProofError::Unordered);
    }
    assert_eq!(refused(&proof, &at(&[3, 100])), ProofError::NoSuchLeaf { index: 100, size: 100 });
    assert_eq!(full.prove_several(&[], 100), Err(ProveError::Unordered));
    assert_eq!(full.prove_several(&[2, 2], 100), Err(ProveError::Unordered));
    assert_eq!(full.prove_several(&[100], 100), Err(ProveError::NoSuchLeaf { index: 100, size: 100 }));
}

#[test]
fn several_leaves_are_proved_in_trees_near_the_largest_size() {
    for size in [1 << 40, 1 << 63, u64::MAX] {
        let head = TreeHead { size, root: root_of(&mut Uniform, size).unwrap() };
        let indices = [0, 1, size / 3, size / 2, size - 2, size - 1];
        let proof = prove_several(&mut Uniform, &indices, size).unwrap();
        let leaves = indices.map(|index| (index, leaf(0)));
        verify_several(&proof, &leaves, &head).unwrap();
        assert!(verify_several(&vec![leaf(1); 1_000], &leaves, &head).is_err());
    }
}

#[test]
fn every_tree_continues_the_empty_one_and_itself() {
    let head = tree(5).head();
    verify_consistency(&[], &TreeHead::empty(), &head).unwrap();
    verify_consistency(&[], &head, &head).unwrap();
    verify_consistency(&[], &TreeHead::empty(), &TreeHead::empty()).unwrap();
    let forged_empty = TreeHead { size: 0, root: head.root };
    assert_eq!(verify_consistency(&[], &forged_empty, &head), Err(ProofError::Root));
    let found = verify_consistency(&[leaf(0)], &TreeHead::empty(), &head);
    assert_eq!(found, Err(ProofError::Length { found: 1 }));
}

#[test]
fn a_proof_outside_the_tree_is_not_made() {
    let full = tree(5);
    assert_eq!(full.prove_inclusion(5, 5), Err(ProveError::NoSuchLeaf { index: 5, size: 5 }));
    assert_eq!(full.prove_inclusion(0, 0), Err(ProveError::NoSuchLeaf { index: 0, size: 0 }));
    assert_eq!(full.prove_consistency(4, 3), Err(ProveError::Shrinking { old: 4, new: 3 }));
    assert!(matches!(full.prove_inclusion(0, 6), Err(ProveError::Read(_))));
    assert!(matches!(full.prove_inclusion(0, u64::MAX), Err(ProveError::Read(_))));
}

#[test]
fn only_the_canonical_text_of_a_hash_is_read() {
    let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
    let two_in_a_row = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==Vg==";
    let trailing_bits = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=";
    let url_safe = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=";
    for other in [two_in_a_row, trailing_bits, url_safe, &text[..43], &text[1..], "", &format!("{text}=")] {
        assert_eq!(other.parse::<Hash>(), Err(BadHash), "{other}");
    }
    assert_eq!(Hash::from_hex(&"AB".repeat(32)), Err(BadHash));
}

proptest! {
    #[test]
    fn any_two_sizes_are_consistent_and_every_leaf_is_included(new in 1_u64..2000, a: u64, b: u64) {
        let full = tree(new);
        let (old, index) = (a % new + 1, b % new);
        let old_head = TreeHead { size: old, root: full.root_at(old).unwrap() };
        let consistency = full.prove_consistency(old, new).unwrap();
        prop_assert_eq!(verify_consistency(&consistency, &old_head, &full.head()), Ok(()));
        let inclusion = full.prove_inclusion(index, new).unwrap();
        prop_assert_eq!(verify_inclusion(&inclusion, index, &leaf(index), &full.head()), Ok(()));
    }

    #[test]
    fn any_leaves_of_any_tree_are_proved_at_once(
        size in 1_u64..2000,
        wanted in prop::collection::btree_set(any::<u64>(), 1..40),
    ) {
        let full = tree(size);
        let mut indices: Vec<u64> = wanted.into_iter().map(|i| i % size).collect();
        indices.sort_unstable();
        indices.dedup();
        let proof = full.prove_several(&indices, size).unwrap();
        prop_assert_eq!(verify_several(&proof, &at(&indices), &full.head()), Ok(()));
        let apart: usize = indices.iter().map(|i| full.prove_inclusion(*i, size).unwrap().len()).sum();
        prop_assert!(proof.len() <= apart);
    }
}
