//! The Merkle tree of RFC 6962, which every C2SP log uses: hashes, the growing edge of a tree, and
//! its proofs (one entry or several are in the tree; a later tree only appends to an earlier one).
//!
//! Nothing here knows what an entry means. Start reading at [`Frontier`], then [`verify_inclusion`].

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{self, SHA256};
use data_encoding::{BASE64, HEXLOWER};

use crate::note;

mod frontier;
mod memory;
mod prove;
mod several;
mod verify;

pub use frontier::{Frontier, FrontierError};
pub use memory::{MemoryTree, MissingNode};
pub use prove::{HashReader, ProveError, prove_consistency, prove_inclusion, root_of};
pub use several::{prove_several, verify_several};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

pub(crate) use prove::subtree_roots;

/// One SHA-256 value of the tree: a leaf, a node or a root.
///
/// `Display` and `FromStr` are standard base64 with padding, the form of checkpoints and proofs;
/// `{:x}` is lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; Hash::LEN]);

impl Hash {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Takes the 32 bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`BadHash`] when the text is anything else.
    pub fn from_hex(text: &str) -> Result<Self, BadHash> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| BadHash)?;
        Self::try_from(bytes.as_slice())
    }
}

/// The text or slice is not one SHA-256 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 32 bytes, in text as standard base64 with padding")]
pub struct BadHash;

impl TryFrom<&[u8]> for Hash {
    type Error = BadHash;

    fn try_from(bytes: &[u8]) -> Result<Self, BadHash> {
        bytes.try_into().map(Self).map_err(|_| BadHash)
    }
}

impl FromStr for Hash {
    type Err = BadHash;

    /// Strict: no line breaks, full padding, and zero bits in the unused part of the last symbol.
    fn from_str(text: &str) -> Result<Self, BadHash> {
        let bytes = note::base64(text).ok_or(BadHash)?;
        Self::try_from(bytes.as_slice())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::LowerHex for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self:x})")
    }
}

impl From<[u8; Self::LEN]> for Hash {
    fn from(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }
}

impl From<digest::Digest> for Hash {
    /// The digest must come from SHA-256; only this module calls this, and only with that.
    fn from(digest: digest::Digest) -> Self {
        Self(digest.as_ref().try_into().unwrap_or([0; Self::LEN]))
    }
}

/// A tree seen from outside: how many leaves, and the hash over them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Number of leaves.
    pub size: u64,
    /// Merkle tree hash over the leaves.
    pub root: Hash,
}

impl TreeHead {
    /// The head of a tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, root: empty_root() }
    }
}

/// Hash of an entry as a leaf: `SHA256(00 || entry)` (RFC 6962, section 2.1).
///
/// ```
/// let leaf = ledger::merkle::leaf_hash(b"");
/// assert_eq!(format!("{leaf:x}"), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
/// ```
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    // One call over a stack copy costs less than a streaming context, which allocates.
    let mut short = [0; 1 + ONE_CALL_MAX];
    if let Some(message) = short.get_mut(..=entry.len())
        && let Some((_, body)) = message.split_first_mut()
    {
        body.copy_from_slice(entry);
        return digest::digest(&SHA256, message).into();
    }
    let mut context = digest::Context::new(&SHA256);
    context.update(&[LEAF_PREFIX]);
    context.update(entry);
    context.finish().into()
}

/// Hash of two nodes: `SHA256(01 || left || right)` (RFC 6962, section 2.1).
///
/// ```
/// # use ledger::merkle::{leaf_hash, node_hash};
/// let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
/// assert_ne!(node_hash(&a, &b), node_hash(&b, &a));
/// ```
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut message = [NODE_PREFIX; 1 + 2 * Hash::LEN];
    if let Some((_, body)) = message.split_first_mut()
        && let Some((first, second)) = body.split_at_mut_checked(Hash::LEN)
    {
        first.copy_from_slice(&left.0);
        second.copy_from_slice(&right.0);
    }
    digest::digest(&SHA256, &message).into()
}

/// Root of the tree without leaves: `SHA256("")`.
///
/// ```
/// # use ledger::merkle::{Frontier, empty_root};
/// assert_eq!(Frontier::new().root(), empty_root());
/// ```
#[must_use]
pub fn empty_root() -> Hash {
    digest::digest(&SHA256, b"").into()
}

const LEAF_PREFIX: u8 = 0;
const NODE_PREFIX: u8 = 1;
/// Longest entry hashed in one call; header-only entries fit, and beyond it hashing dominates.
const ONE_CALL_MAX: usize = 1023;

#[cfg(test)]
mod tests;
