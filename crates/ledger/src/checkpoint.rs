//! Checkpoints: a log's signed statement of its size and root (C2SP tlog-checkpoint 1.0.0).

use std::fmt;
use std::str::FromStr;

use crate::merkle::{Hash, TreeHead, empty_root};
use crate::note::{
    Note, NoteError, Signer, Verified, VerifiedSignature, Verifier, decimal, has_control_characters,
};

/// What a log states about itself: which log, how many entries, and the root over them.
///
/// `Display` and `FromStr` are the text that is signed. The parser is strict: exactly what
/// `Display` writes is accepted, and an empty tree must have the empty root.
///
/// ```
/// use ledger::checkpoint::Checkpoint;
///
/// let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
/// let checkpoint: Checkpoint = text.parse()?;
/// assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
/// assert_eq!(checkpoint.head().size, 20_852_163);
/// assert_eq!(checkpoint.to_string(), text);
/// # Ok::<(), ledger::checkpoint::CheckpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    head: TreeHead,
    extensions: Vec<String>,
}

/// A checkpoint is malformed, or is not what its log signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The origin is empty or holds control characters.
    #[error("the origin of a checkpoint is one line that is not empty")]
    Origin,
    /// The text is not lines of the right number.
    #[error("a checkpoint is an origin, a size and a root, and extension lines that are not empty")]
    Shape,
    /// The size is not a plain decimal number below 2^64.
    #[error("the size of a checkpoint is a decimal number without leading zeros, below 2^64")]
    Size,
    /// The root is not base64 of 32 bytes, or an empty tree has another root than `SHA256("")`.
    #[error("the root of a checkpoint is base64 of 32 bytes, and of an empty tree the empty hash")]
    Root,
    /// The signer's name is not the origin.
    #[error("the checkpoint of `{origin}` is not signed by the key `{key}`")]
    OtherLog {
        /// Origin line of the checkpoint.
        origin: String,
        /// Name of the log's key.
        key: String,
    },
    /// The note is malformed or its signatures do not stand.
    #[error("the note of the checkpoint is not in order")]
    Note(#[from] NoteError),
}

impl Checkpoint {
    /// The statement that the log `origin` has the tree `head`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when the origin cannot be written as a line, or an empty tree has
    /// another root than the empty one.
    pub fn new(origin: &str, head: TreeHead) -> Result<Self, CheckpointError> {
        if origin.is_empty() || origin.contains('\n') || has_control_characters(origin) {
            return Err(CheckpointError::Origin);
        }
        if head.size == 0 && head.root != empty_root() {
            return Err(CheckpointError::Root);
        }
        Ok(Self { origin: origin.to_owned(), head, extensions: Vec::new() })
    }

    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its size and root.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        self.head
    }

    /// Lines that other logs may add; ours never do, because nothing checks them.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// The signed note, ready to publish.
    ///
    /// The caller answers for the one rule that this function cannot see: a log must never sign two
    /// checkpoints of which one does not continue the other.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OtherLog`] unless the key is named after the origin, and
    /// [`CheckpointError::Note`] if signing fails.
    ///
    /// ```
    /// use ledger::checkpoint::{Checkpoint, open};
    /// use ledger::merkle::TreeHead;
    /// use ledger::note::Signer;
    ///
    /// let signer = Signer::from_seed("gateway.example/log", &[7; 32])?;
    /// let note = Checkpoint::new("gateway.example/log", TreeHead::empty())?.sign(&signer)?;
    /// let opened = open(&note, signer.verifier(), &[])?;
    /// assert_eq!(opened.checkpoint().head(), TreeHead::empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(&self, signer: &Signer) -> Result<String, CheckpointError> {
        check_log(&self.origin, signer.verifier())?;
        let mut note = Note::new(&self.to_string())?;
        note.add(signer.sign(note.unverified_text())?);
        Ok(note.to_string())
    }
}

/// Reads and checks a signed checkpoint of the log whose key is `log`, with the cosignatures of
/// those `cosigners` that made one.
///
/// The log's key must be named after the origin, as the specification recommends, so that a
/// checkpoint of one log never passes for that of another. How many cosignatures are enough, and how
/// old they may be, is the caller's policy.
///
/// # Errors
///
/// [`CheckpointError`] when the note is malformed, any known key's signature fails, the log did not
/// sign, or the text is not a checkpoint of that log.
pub fn open(note: &str, log: &Verifier, cosigners: &[Verifier]) -> Result<Opened, CheckpointError> {
    let note: Note = note.parse()?;
    let known: Vec<_> = std::iter::once(log).chain(cosigners).cloned().collect();
    let verified = note.verify(&known)?;
    if verified.signed_by(log).is_none() {
        return Err(NoteError::NoKnownKey.into());
    }
    let checkpoint: Checkpoint = verified.text().parse()?;
    check_log(checkpoint.origin(), log)?;
    Ok(Opened { checkpoint, cosignatures: cosignatures(&verified, log) })
}

/// A checkpoint that its log signed. Only [`open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    checkpoint: Checkpoint,
    cosignatures: Vec<VerifiedSignature>,
}

impl Opened {
    /// What the log stated.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The known cosigners that signed it too, each once.
    #[must_use]
    pub fn cosignatures(&self) -> &[VerifiedSignature] {
        &self.cosignatures
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Shape)?.split('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Shape);
        let (origin, size, root) = (line()?, line()?, line()?);
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root: Hash = root.parse().map_err(|_| CheckpointError::Root)?;
        let extensions: Vec<_> = lines.map(str::to_owned).collect();
        if extensions.iter().any(|line| line.is_empty() || has_control_characters(line)) {
            return Err(CheckpointError::Shape);
        }
        Ok(Self { extensions, ..Self::new(origin, TreeHead { size, root })? })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.head.size, self.head.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn check_log(origin: &str, log: &Verifier) -> Result<(), CheckpointError> {
    if origin == log.name() {
        return Ok(());
    }
    Err(CheckpointError::OtherLog { origin: origin.to_owned(), key: log.name().to_owned() })
}

fn cosignatures(verified: &Verified<'_>, log: &Verifier) -> Vec<VerifiedSignature> {
    let by_log = verified.signed_by(log);
    verified.by().iter().filter(|signature| Some(*signature) != by_log).cloned().collect()
}

#[cfg(test)]
mod tests;
