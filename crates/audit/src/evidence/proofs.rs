//! The files of proofs in a pack: C2SP tlog-proof, and the link from an entry to a round of the site log.

use data_encoding::BASE64;

use crate::{
    checkpoint::{decimal, hash},
    hash::{Hash, leaf_hash, root_from_proof},
};

const LINK: &str = "clover evidence link v1";
/// A tree of 2^64 leaves has proofs of 64 hashes.
const HASHES_MAX: usize = 64;

/// A tlog-proof file.
pub(super) fn proof_file(index: u64, proof: &[Hash], checkpoint: &[u8]) -> Vec<u8> {
    let mut text = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
    proof.iter().for_each(|hash| text.push_str(&format!("{}\n", BASE64.encode(hash))));
    text.push('\n');
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(checkpoint);
    bytes
}

/// That an entry is in its log as a round of the site log names it.
pub(super) struct Link {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) index: u64,
    pub(super) proof: Vec<Hash>,
}

impl Link {
    pub(super) fn to_file(&self) -> Vec<u8> {
        let root = BASE64.encode(&self.root);
        let mut text = format!("{LINK}\n{}\n{} {root}\n{}\n", self.origin, self.size, self.index);
        self.proof.iter().for_each(|hash| text.push_str(&format!("{}\n", BASE64.encode(hash))));
        text.into_bytes()
    }

    pub(super) fn parse(file: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(file).ok()?.strip_suffix('\n')?;
        let mut lines = text.split('\n');
        if lines.next()? != LINK {
            return None;
        }
        let origin = lines.next()?.to_owned();
        let (size, root) = lines.next()?.split_once(' ')?;
        let index = decimal(lines.next()?)?;
        let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
        if proof.len() > HASHES_MAX {
            return None;
        }
        Some(Self { origin, size: decimal(size)?, root: hash(root)?, index, proof })
    }

    /// Whether the entry is where the link says.
    pub(super) fn holds(&self, entry: &[u8]) -> bool {
        let leaf = leaf_hash(entry, &mut Vec::new());
        root_from_proof(leaf, self.index, self.size, &self.proof) == Some(self.root)
    }
}
