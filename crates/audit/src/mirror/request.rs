//! The request of C2SP tlog-witness, and the check of a consistency proof (RFC 9162 §2.1.4.2).

use crate::{
    checkpoint::{Checkpoint, decimal, hash},
    hash::{Hash, node_hash, sha256},
    note::open,
};

/// The specification's own limit.
const PROOF_LINES_MAX: usize = 63;

/// Signatures of the checkpoint; the specification asks for at least 16, and ours is added to them.
const SIGNATURES_MAX: usize = 64;

/// A request to cosign.
pub(crate) struct AddCheckpoint {
    /// The size that the asker believes was cosigned last.
    pub(crate) old: u64,
    pub(crate) proof: Vec<Hash>,
    pub(crate) checkpoint: Checkpoint,
    /// What the checkpoint says, without signatures.
    pub(crate) text: String,
    /// The whole signed note.
    pub(crate) note: Vec<u8>,
}

impl AddCheckpoint {
    /// Reads a body; what is wrong with one that is malformed. No signature is checked.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let body = std::str::from_utf8(body).map_err(|_| "the request is not UTF-8")?;
        let (head, note) = body.split_once("\n\n").ok_or("the request has no blank line")?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or("the request has no old size")?;
        let proof: Option<Vec<Hash>> = lines.map(hash).collect();
        let proof = proof.ok_or("a line of the proof is malformed")?;
        if proof.len() > PROOF_LINES_MAX {
            return Err("the proof has more than 63 lines");
        }
        let text = open(note.as_bytes(), &[]).map_err(|_| "the checkpoint is no signed note")?;
        if note.matches("\n— ").count() > SIGNATURES_MAX {
            return Err("the checkpoint has too many signatures");
        }
        let checkpoint = Checkpoint::read(text).map_err(|_| "the note is no checkpoint")?;
        if checkpoint.origin.chars().any(char::is_control) {
            return Err("the origin has a control character");
        }
        Ok(Self { old, proof, checkpoint, text: text.to_owned(), note: note.as_bytes().to_vec() })
    }

    /// Whether the checkpoint continues the tree of size `old` and this root.
    pub(crate) fn continues(&self, old_root: &Hash) -> bool {
        let Checkpoint { size, root, .. } = &self.checkpoint;
        is_consistent(self.old, *size, old_root, root, &self.proof)
    }
}

/// Whether `proof` shows that the tree of size `new` begins with that of size `old`.
pub(crate) fn is_consistent(old: u64, new: u64, old_root: &Hash, new_root: &Hash, proof: &[Hash]) -> bool {
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == sha256(&[]);
    }
    let Some((mut node, mut last)) = new.checked_sub(1).filter(|_| old < new).map(|last| (old - 1, last))
    else {
        return false;
    };
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let mut proof = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { proof.next() };
    let Some(first) = first else { return false };
    let (mut from_old, mut from_new) = (*first, *first);
    if old.is_power_of_two() && proof.len() == 0 {
        return false;
    }
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(sibling, &from_old);
            from_new = node_hash(sibling, &from_new);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            from_new = node_hash(&from_new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::{leaf_hash, root_of};

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes(), &mut Vec::new())).collect()
    }

    /// RFC 6962 §2.1.2 as it is written.
    fn prove(old: usize, hashes: &[Hash], whole: bool) -> Vec<Hash> {
        if old == hashes.len() {
            return if whole { Vec::new() } else { vec![root_of(hashes)] };
        }
        let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
        if old <= left.len() {
            let mut proof = prove(old, left, whole);
            proof.push(root_of(right));
            return proof;
        }
        let mut proof = prove(old - left.len(), right, false);
        proof.push(root_of(left));
        proof
    }

    #[test]
    fn every_true_proof_is_taken_and_no_changed_one() {
        for new in 1..70_usize {
            let hashes = leaves(new as u64);
            let root = root_of(&hashes);
            for old in 1..=new {
                let before = root_of(&hashes[..old]);
                let proof = prove(old, &hashes, true);
                let check = |old: u64, before: &Hash, proof: &[Hash]| {
                    is_consistent(old, new as u64, before, &root, proof)
                };
                assert!(check(old as u64, &before, &proof), "{old} of {new}");
                let mut long = proof.clone();
                long.push(root);
                assert!(!check(old as u64, &before, &long));
                if old < new {
                    assert!(!check(old as u64, &root, &proof));
                    assert!(!check(old as u64, &before, &proof[..proof.len() - 1]));
                }
                for position in 0..proof.len() {
                    let mut bad = proof.clone();
                    bad[position][0] ^= 1;
                    assert!(!check(old as u64, &before, &bad), "{old} of {new} at {position}");
                }
            }
        }
        assert!(is_consistent(0, 5, &sha256(&[]), &[1; 32], &[]));
        assert!(!is_consistent(0, 5, &sha256(&[]), &[1; 32], &[[1; 32]]));
        assert!(!is_consistent(6, 5, &[1; 32], &[1; 32], &[]));
    }

    #[test]
    fn a_malformed_body_is_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let note = format!("example.com/log\n9\n{root}\n\n— example.com/log Az3grlgtzPICa5OS8npVmQ==\n");
        let good = format!("old 7\n{root}\n\n{note}");
        let read = AddCheckpoint::parse(good.as_bytes()).unwrap();
        assert_eq!((read.old, read.proof.len(), read.checkpoint.size), (7, 1, 9));
        assert_eq!(read.note, note.as_bytes());
        let many = format!("old 7\n{}\n{note}", format!("{root}\n").repeat(64));
        for bad in [
            String::new(),
            note.clone(),
            good.replace("old 7", "old 07"),
            good.replace("old 7", "old -7"),
            good.replace("old 7", "old  7"),
            good.replace("old 7", "new 7"),
            good.replace("\n9\n", "\n09\n"),
            good.replace("\n9\n", "\n\n"),
            good.replacen(root, "CsUY", 1),
            good.replacen(root, "?", 1),
            good.replace('—', "-"),
            good.replace('\n', "\r\n"),
            good.trim_end().to_owned(),
            many,
        ] {
            assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(AddCheckpoint::parse(b"old 1\n\n\xff").is_err());
    }

    proptest! {
        #[test]
        fn no_body_panics(body: Vec<u8>, text in "(old [0-9]{1,20}\n)?([A-Za-z0-9+/=]{44}\n){0,3}\n?.{0,60}") {
            let _ = AddCheckpoint::parse(&body);
            let _ = AddCheckpoint::parse(text.as_bytes());
        }

        #[test]
        fn no_sizes_panic(old: u64, new: u64, proof: Vec<Hash>, root: Hash) {
            is_consistent(old, new, &root, &root, &proof);
        }
    }
}
