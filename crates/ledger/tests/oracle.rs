//! Roots and proofs against two independent implementations, `ct-merkle` and `tlog_tiles`.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use ledger::merkle::{Frontier, Hash, MemoryTree, TreeHead, leaf_hash, verify_consistency, verify_inclusion};
use sha2::Sha256;

const SIZES: [u64; 14] = [1, 2, 3, 4, 5, 7, 8, 9, 31, 63, 64, 65, 100, 257];

fn entry(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

fn tree(size: u64) -> MemoryTree {
    (0..size).map(|i| leaf_hash(&entry(i))).collect()
}

fn theirs(size: u64) -> ct_merkle::mem_backed_tree::MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::new();
    (0..size).for_each(|i| tree.push(entry(i)));
    tree
}

fn concat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn split(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(32).map(|hash| Hash::try_from(hash).unwrap()).collect()
}

fn places(size: u64) -> impl Iterator<Item = u64> {
    (0..size).filter(move |i| size < 70 || i % 17 == 0 || *i == size - 1)
}

#[test]
fn inclusion_proofs_are_exchangeable_with_ct_merkle() {
    for size in SIZES {
        let (ours, theirs) = (tree(size), theirs(size));
        let root: RootHash<Sha256> = theirs.root();
        assert_eq!(root.as_bytes().as_slice(), ours.head().root.as_bytes());
        for index in places(size) {
            let proof = theirs.prove_inclusion(usize::try_from(index).unwrap());
            verify_inclusion(&split(proof.as_bytes()), index, &leaf_hash(&entry(index)), &ours.head())
                .unwrap();
            let proof = ours.prove_inclusion(index, size).unwrap();
            let proof = InclusionProof::<Sha256>::try_from_bytes(concat(&proof)).unwrap();
            root.verify_inclusion(&entry(index), index, &proof).unwrap();
        }
    }
}

#[test]
fn consistency_proofs_are_exchangeable_with_ct_merkle() {
    for size in SIZES {
        let (ours, newer) = (tree(size), theirs(size));
        for old in places(size).filter(|old| *old > 0) {
            let old_head = TreeHead { size: old, root: ours.root_at(old).unwrap() };
            let proof = newer.prove_consistency(usize::try_from(size - old).unwrap());
            verify_consistency(&split(proof.as_bytes()), &old_head, &ours.head()).unwrap();
            let proof = ours.prove_consistency(old, size).unwrap();
            let proof = ConsistencyProof::<Sha256>::try_from_bytes(concat(&proof)).unwrap();
            newer.root().verify_consistency(&theirs(old).root(), &proof).unwrap();
        }
    }
}

#[test]
fn the_checks_of_tlog_tiles_accept_our_proofs_and_refuse_changed_ones() {
    let oracle_hash = |hash: &Hash| tlog_tiles::Hash(*hash.as_bytes());
    for size in SIZES {
        let ours = tree(size);
        let root = oracle_hash(&ours.head().root);
        for place in places(size) {
            let leaf = oracle_hash(&leaf_hash(&entry(place)));
            let mut proof: Vec<_> =
                ours.prove_inclusion(place, size).unwrap().iter().map(oracle_hash).collect();
            tlog_tiles::check_record(&proof, size, root, place, leaf).unwrap();
            if let Some(first) = proof.first_mut() {
                first.0[0] ^= 1;
                assert!(tlog_tiles::check_record(&proof, size, root, place, leaf).is_err());
            }
            let (old, old_root) = (place + 1, oracle_hash(&ours.root_at(place + 1).unwrap()));
            let proof: Vec<_> = ours.prove_consistency(old, size).unwrap().iter().map(oracle_hash).collect();
            tlog_tiles::check_tree(&proof, size, root, old, old_root).unwrap();
        }
    }
}

#[test]
fn a_streamed_root_of_100_000_leaves_is_the_one_in_memory() {
    let mut frontier = Frontier::new();
    (0..100_000).for_each(|i| {
        frontier.push(leaf_hash(&entry(i)));
    });
    assert_eq!(frontier.head(), tree(100_000).head());
}
