//! Proof files: everything a stranger needs to check offline that an entry is in a log
//! (C2SP tlog-proof). This is the form of a receipt that leaves the house.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::checkpoint::{self, CheckpointError, Opened};
use crate::merkle::{Hash, ProofError, leaf_hash, verify_inclusion};
use crate::note::{NOTE_BYTES_MAX, Verifier, base64, decimal};

/// An entry's place in a log, with the path to the root and the signed checkpoint that states it.
///
/// `Display` and `FromStr` are the file, by custom named `*.tlog-proof`.
///
/// ```
/// use ledger::checkpoint::Checkpoint;
/// use ledger::merkle::{MemoryTree, leaf_hash};
/// use ledger::note::Signer;
/// use ledger::proof::LogProof;
///
/// let log = Signer::from_seed("gateway.example/log", &[7; 32])?;
/// let tree: MemoryTree = [b"one", b"two"].iter().map(|entry| leaf_hash(*entry)).collect();
/// let checkpoint = Checkpoint::new("gateway.example/log", tree.head())?.sign(&log)?;
/// let proof = LogProof::new(1, tree.prove_inclusion(1, 2)?, checkpoint);
///
/// let file = proof.to_string();
/// let read: LogProof = file.parse()?;
/// read.verify(b"two", log.verifier(), &[])?;
/// assert!(read.verify(b"one", log.verifier(), &[]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct LogProof {
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: String,
    extra: Vec<u8>,
}

/// A proof file is malformed, or does not prove the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogProofError {
    /// The file does not begin with the line of its format.
    #[error("a proof file begins with the line `{HEADER}`")]
    Header,
    /// The file is longer than any proof.
    #[error("a proof file of `{bytes}` bytes is above the limit of `{BYTES_MAX}`")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The extra data is not base64, or the line has none.
    #[error("the extra line of a proof file is `extra` and standard base64")]
    Extra,
    /// The index line is missing or not a plain number.
    #[error("the index line of a proof file is `index` and a decimal number without leading zeros")]
    Index,
    /// A line of the path is not a hash, or there are more than a tree can have.
    #[error("a proof file has at most `{HASHES_MAX}` hashes, each one line of base64, then a blank line")]
    Hashes,
    /// The checkpoint is malformed or not signed as it must be.
    #[error("the checkpoint of the proof is not in order")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the entry to the root.
    #[error("the proof does not show the entry in the tree")]
    Inclusion(#[from] ProofError),
}

impl LogProof {
    /// A proof from the entry's index, its audit path and a signed checkpoint. Nothing is checked.
    #[must_use]
    pub const fn new(index: u64, hashes: Vec<Hash>, checkpoint: String) -> Self {
        Self { index, hashes, checkpoint, extra: Vec::new() }
    }

    /// Adds bytes that travel along. They are authenticated by nothing.
    #[must_use]
    pub fn with_extra(self, extra: Vec<u8>) -> Self {
        Self { extra, ..self }
    }

    /// The entry's place in the log, as claimed.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The audit path, as claimed.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The signed note of the checkpoint, unchecked.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Bytes that travelled along, empty if there were none. They are authenticated by nothing.
    #[must_use]
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// Checks that `entry` is in the log whose key is `log`, at [`LogProof::index`], and returns the
    /// checkpoint with the cosignatures found, for the caller's policy to judge.
    ///
    /// # Errors
    ///
    /// [`LogProofError::Checkpoint`] or [`LogProofError::Inclusion`].
    pub fn verify(
        &self,
        entry: &[u8],
        log: &Verifier,
        cosigners: &[Verifier],
    ) -> Result<Opened, LogProofError> {
        let opened = checkpoint::open(&self.checkpoint, log, cosigners)?;
        verify_inclusion(&self.hashes, self.index, &leaf_hash(entry), &opened.checkpoint().head())?;
        Ok(opened)
    }
}

impl FromStr for LogProof {
    type Err = LogProofError;

    fn from_str(file: &str) -> Result<Self, LogProofError> {
        if file.len() > BYTES_MAX {
            return Err(LogProofError::TooLong { bytes: file.len() });
        }
        let rest = file.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let (extra, rest) = parse_extra(rest.ok_or(LogProofError::Header)?)?;
        let (line, mut rest) = rest.split_once('\n').ok_or(LogProofError::Index)?;
        let index = line.strip_prefix("index ").and_then(decimal).ok_or(LogProofError::Index)?;
        let mut hashes = Vec::new();
        loop {
            let (line, after) = rest.split_once('\n').ok_or(LogProofError::Hashes)?;
            rest = after;
            if line.is_empty() {
                return Ok(Self { index, hashes, checkpoint: rest.to_owned(), extra });
            }
            if hashes.len() == HASHES_MAX {
                return Err(LogProofError::Hashes);
            }
            hashes.push(line.parse().map_err(|_| LogProofError::Hashes)?);
        }
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", BASE64.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl fmt::Debug for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hashes, extra) = (self.hashes.len(), self.extra.len());
        write!(f, "LogProof(index {}, {hashes} hashes, {extra} extra bytes)", self.index)
    }
}

fn parse_extra(rest: &str) -> Result<(Vec<u8>, &str), LogProofError> {
    let Some(after) = rest.strip_prefix("extra ") else { return Ok((Vec::new(), rest)) };
    let (line, rest) = after.split_once('\n').ok_or(LogProofError::Extra)?;
    let extra = base64(line).ok_or(LogProofError::Extra)?;
    // An empty line would be a second way to write "no extra data".
    if extra.is_empty() { Err(LogProofError::Extra) } else { Ok((extra, rest)) }
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A path is no longer than a tree of 2^64 leaves is high.
const HASHES_MAX: usize = 64;
const BYTES_MAX: usize = NOTE_BYTES_MAX + (1 << 20);

#[cfg(test)]
mod tests;
