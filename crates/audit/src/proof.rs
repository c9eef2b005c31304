//! C2SP tlog-proof files: the receipt that one entry is in the log.

use crate::{
    checkpoint::{Checkpoint, CheckpointError, decimal, hash},
    hash::{leaf_hash, root_from_proof},
    header::{Header, HeaderError},
    note::VerifierKey,
};

/// A tree of 2^64 leaves has proofs of 64 hashes.
const HASHES_MAX: usize = 64;

/// What a valid proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The log.
    pub origin: String,
    /// The place of the entry, counted from 0.
    pub index: u64,
    /// How many entries the signed log had.
    pub size: u64,
}

/// Why a proof shows nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The file is not of the form of the specification.
    #[error("not a proof file: {0}")]
    Form(&'static str),
    /// The checkpoint in it is not good.
    #[error("the checkpoint is refused: {0}")]
    Checkpoint(String),
    /// The hashes do not lead from the leaf to the root.
    #[error("the proof does not lead from this entry to the signed root")]
    Hashes,
    /// The leaf is in the log, and is no entry.
    #[error("the leaf is no entry: {0}")]
    Entry(String),
    /// The entry says that it stands elsewhere.
    #[error("the entry says that it is number `{said}`, and stands at `{stands}`")]
    Sequence {
        /// The number in its header.
        said: u64,
        /// The number that the proof shows.
        stands: u64,
    },
}

/// Checks a file of the form `c2sp.org/tlog-proof@v1` for the entry `leaf` (header and facts), under the
/// key of the log.
///
/// # Errors
/// If anything in the file, the checkpoint or the hashes is not right.
///
/// ```
/// let key = audit::VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")?;
/// assert!(audit::verify_proof(b"entry", b"c2sp.org/tlog-proof@v1\n", &key).is_err());
/// # Ok::<(), audit::KeyError>(())
/// ```
pub fn verify_proof(leaf: &[u8], proof: &[u8], log: &VerifierKey) -> Result<Inclusion, ProofError> {
    let (checkpoint, index) = open_proof(leaf, proof, log)?;
    let (header, _) =
        Header::parse(leaf).map_err(|error: HeaderError| ProofError::Entry(error.to_string()))?;
    if header.sequence != index {
        return Err(ProofError::Sequence { said: header.sequence, stands: index });
    }
    Ok(Inclusion { origin: checkpoint.origin, index, size: checkpoint.size })
}

/// Checks a proof file for a leaf of any log, and returns the checkpoint in it and the leaf's place.
pub(crate) fn open_proof(
    leaf: &[u8],
    proof: &[u8],
    log: &VerifierKey,
) -> Result<(Checkpoint, u64), ProofError> {
    let proof = std::str::from_utf8(proof).map_err(|_| ProofError::Form("it is not UTF-8"))?;
    let (head, note) = proof.split_once("\n\n").ok_or(ProofError::Form("no blank line"))?;
    let mut lines = head.split('\n').peekable();
    if lines.next() != Some("c2sp.org/tlog-proof@v1") {
        return Err(ProofError::Form("unknown first line"));
    }
    if let Some(extra) = lines.next_if(|line| line.starts_with("extra ")) {
        let bytes = extra.strip_prefix("extra ").map(|text| data_encoding::BASE64.decode(text.as_bytes()));
        if !matches!(bytes, Some(Ok(_))) {
            return Err(ProofError::Form("the extra data is not base64"));
        }
    }
    let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
    let index = index.ok_or(ProofError::Form("no index"))?;
    let hashes: Option<Vec<_>> = lines.map(hash).collect();
    let hashes = hashes.ok_or(ProofError::Form("a hash is malformed"))?;
    if hashes.len() > HASHES_MAX {
        return Err(ProofError::Form("too many hashes"));
    }
    let checkpoint = Checkpoint::open(note.as_bytes(), log)
        .map_err(|error: CheckpointError| ProofError::Checkpoint(error.to_string()))?;
    let leaf_hash = leaf_hash(leaf, &mut Vec::new());
    if root_from_proof(leaf_hash, index, checkpoint.size, &hashes) != Some(checkpoint.root) {
        return Err(ProofError::Hashes);
    }
    Ok((checkpoint, index))
}
