//! C2SP checkpoints: what a log says of itself, signed.

use data_encoding::BASE64;

use crate::{
    hash::Hash,
    note::{NoteError, VerifierKey, open},
};

/// A tree head that the log's key has signed.
#[derive(Clone)]
pub(crate) struct Checkpoint {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// Why a checkpoint was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
}

impl Checkpoint {
    /// Reads a checkpoint that `log` has signed.
    pub(crate) fn open(note: &[u8], log: &VerifierKey) -> Result<Self, CheckpointError> {
        Self::read(open(note, &[log])?)
    }

    /// Reads the text of a checkpoint, whoever has signed it.
    pub(crate) fn read(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty());
        let origin = origin.ok_or(CheckpointError::Form("no origin"))?.to_owned();
        let size = lines.next().and_then(decimal).ok_or(CheckpointError::Form("no tree size"))?;
        let root = lines.next().and_then(hash).ok_or(CheckpointError::Form("no root hash"))?;
        Ok(Self { origin, size, root })
    }
}

/// A decimal number without sign or leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    BASE64.decode(text.as_bytes()).ok()?.try_into().ok()
}
