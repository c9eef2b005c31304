//! Asking a witness for a cosignature: the bytes and the rules of `add-checkpoint` (C2SP
//! tlog-witness, as changed in July 2026 by its pull request 280).
//!
//! A log sends the size that the witness last cosigned, a proof from there, and its new checkpoint;
//! the witness answers with signature lines, or with a status that says what is wrong. HTTP itself,
//! and keeping what was cosigned, are the caller's. Start reading at [`Request`], then [`decide`].

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::merkle::{Hash, ProofError, TreeHead, verify_consistency};
use crate::note::{Cosigner, NOTE_BYTES_MAX, Note, NoteError, SIGNATURES_MAX, Signature, Verifier, decimal};

/// Path of the call below a witness's submission prefix.
pub const ADD_CHECKPOINT: &str = "add-checkpoint";

/// Most lines of a consistency proof in a request.
pub const PROOF_LINES_MAX: usize = 63;

/// Longest request body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = NOTE_BYTES_MAX + (1 << 12);

/// `Content-Type` of the answer that states the size last cosigned.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// The body of an `add-checkpoint` request. Its form is checked, its content is not.
///
/// `Display` writes the body, [`Request::parse`] reads exactly what `Display` writes.
///
/// ```
/// use ledger::checkpoint::Checkpoint;
/// use ledger::merkle::{MemoryTree, leaf_hash};
/// use ledger::note::{Cosigner, Signer};
/// use ledger::witness::{Request, Response, decide};
///
/// let log = Signer::from_seed("gateway.example/log", &[1; 32])?;
/// let tree: MemoryTree = [b"one", b"two"].iter().map(|entry| leaf_hash(*entry)).collect();
/// let checkpoint = Checkpoint::new("gateway.example/log", tree.head())?.sign(&log)?;
/// let body = Request::new(0, Vec::new(), &checkpoint)?.to_string();
///
/// // At the witness, which has cosigned nothing of this log yet:
/// let request = Request::parse(body.as_bytes())?;
/// let latest = decide(None, &request, log.verifier())?;
/// // (Here the witness makes `latest` durable, if nothing else was cosigned meanwhile.)
/// let witness = Cosigner::from_seed("witness.example", &[2; 32])?;
/// let answer = Response::cosign(request.checkpoint(), &witness, 1_700_000_000)?.to_string();
///
/// // At the log again:
/// let answer: Response = answer.parse()?;
/// let cosigned = answer.merge(&checkpoint.parse()?, &[witness.verifier().clone()])?;
/// assert_eq!((latest, cosigned.signatures().len()), (tree.head(), 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    old: u64,
    proof: Vec<Hash>,
    checkpoint: Note,
}

/// A request does not have the form of one. The answer is 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("a request of `{bytes}` bytes is above the limit of `{BODY_BYTES_MAX}`")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not text.
    #[error("a request is UTF-8 text")]
    Encoding,
    /// The first line is not the old size.
    #[error("a request begins with the line `old` and a decimal number without leading zeros, below 2^64")]
    Old,
    /// A line of the proof is not a hash, there are too many, or no blank line ends them.
    #[error("the proof is at most `{PROOF_LINES_MAX}` lines of base64, then a blank line")]
    Proof,
    /// The checkpoint is not a signed note.
    #[error("the checkpoint of the request is not a signed note")]
    Checkpoint(#[from] NoteError),
}

impl Request {
    /// A request to cosign `checkpoint`, a signed note, with the proof that it continues the tree
    /// of `old` leaves, which the witness cosigned last (0 and no proof if it never did).
    ///
    /// # Errors
    ///
    /// [`RequestError`] when the note is malformed or the proof has too many hashes.
    pub fn new(old: u64, proof: Vec<Hash>, checkpoint: &str) -> Result<Self, RequestError> {
        if proof.len() > PROOF_LINES_MAX {
            return Err(RequestError::Proof);
        }
        Ok(Self { old, proof, checkpoint: checkpoint.parse()? })
    }

    /// Reads a request's body.
    ///
    /// # Errors
    ///
    /// [`RequestError`] when it has any other form.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(RequestError::TooLong { bytes: body.len() });
        }
        let body = str::from_utf8(body).map_err(|_| RequestError::Encoding)?;
        let (line, mut rest) = body.split_once('\n').ok_or(RequestError::Old)?;
        let old = line.strip_prefix("old ").and_then(decimal).ok_or(RequestError::Old)?;
        let mut proof = Vec::new();
        loop {
            let (line, after) = rest.split_once('\n').ok_or(RequestError::Proof)?;
            rest = after;
            if line.is_empty() {
                return Self::new(old, proof, rest);
            }
            if proof.len() == PROOF_LINES_MAX {
                return Err(RequestError::Proof);
            }
            proof.push(line.parse().map_err(|_| RequestError::Proof)?);
        }
    }

    /// The size that the witness is said to have cosigned last.
    #[must_use]
    pub const fn old(&self) -> u64 {
        self.old
    }

    /// The consistency proof, as claimed.
    #[must_use]
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The checkpoint, its signatures unchecked.
    #[must_use]
    pub const fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// The log that is said to have signed, for choosing the key to check it with.
    #[must_use]
    pub fn unverified_origin(&self) -> &str {
        self.checkpoint.unverified_text().split('\n').next().unwrap_or_default()
    }
}

impl FromStr for Request {
    type Err = RequestError;

    fn from_str(body: &str) -> Result<Self, RequestError> {
        Self::parse(body.as_bytes())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a witness does not cosign. [`Refusal::status`] is the protocol's word for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The body has not the form of a request (400).
    #[error("the request is malformed")]
    Malformed(#[from] RequestError),
    /// The note is not a checkpoint (400).
    #[error("the note of the request is not a checkpoint")]
    NoCheckpoint(#[source] CheckpointError),
    /// The old size is above the new one (400).
    #[error("the old size `{old}` is above the size `{new}` of the checkpoint")]
    OldAboveNew {
        /// The old size.
        old: u64,
        /// Size of the checkpoint.
        new: u64,
    },
    /// No signature by the log's key, or one that does not verify (403).
    #[error("the checkpoint is not signed by a key that is trusted for its log")]
    NotSigned(#[source] NoteError),
    /// The witness does not serve this log (404).
    #[error("the log of the checkpoint is not known here")]
    UnknownLog,
    /// The old size is not the one cosigned last (409, and that size as the body).
    #[error("the checkpoint cosigned last has the size `{latest}`")]
    Stale {
        /// The size cosigned last; 0 if none was.
        latest: u64,
    },
    /// An empty tree with a root of its own (422).
    #[error("the checkpoint states an empty tree with another root than the empty one")]
    EmptyTree,
    /// Same size as the last, other root (422): evidence that the log shows two trees.
    #[error("the checkpoint cosigned last has the same size `{size}` and another root")]
    OtherRoot {
        /// Size of both.
        size: u64,
    },
    /// The proof does not hold (422): an error of the sender, or evidence of two trees.
    #[error("the checkpoint is not shown to continue the one cosigned last")]
    Proof(#[source] ProofError),
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::NoCheckpoint(_) | Self::OldAboveNew { .. } => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownLog => 404,
            Self::Stale { .. } => 409,
            Self::EmptyTree | Self::OtherRoot { .. } | Self::Proof(_) => 422,
        }
    }

    /// Body and `Content-Type`, for the one refusal that has a body by the protocol.
    #[must_use]
    pub fn body(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Stale { latest } => Some((SIZE_CONTENT_TYPE, format!("{latest}\n"))),
            _ => None,
        }
    }
}

/// What a witness does with a request: `latest` is the tree it cosigned last of the log whose key
/// is `log`, and the result is the tree to remember in its place and then cosign.
///
/// The caller makes the result durable before it answers, and in one step with checking that
/// `latest` still stands; otherwise two requests at once can roll the witness back.
///
/// # Errors
///
/// [`Refusal`], checked in the order of the specification.
pub fn decide(latest: Option<&TreeHead>, request: &Request, log: &Verifier) -> Result<TreeHead, Refusal> {
    let stated = read_checkpoint(request.checkpoint.unverified_text());
    if let Err(refusal @ Refusal::NoCheckpoint(_)) = stated {
        return Err(refusal);
    }
    if request.unverified_origin() != log.name() {
        return Err(Refusal::UnknownLog);
    }
    request.checkpoint.verify(std::slice::from_ref(log)).map_err(Refusal::NotSigned)?;
    // From here on the log has signed what `stated` says.
    let new = stated?;
    if request.old > new.size {
        return Err(Refusal::OldAboveNew { old: request.old, new: new.size });
    }
    let latest = latest.copied().unwrap_or_else(TreeHead::empty);
    if request.old != latest.size {
        return Err(Refusal::Stale { latest: latest.size });
    }
    if latest.size == new.size && latest.root != new.root {
        return Err(Refusal::OtherRoot { size: new.size });
    }
    verify_consistency(&request.proof, &latest, &new).map_err(Refusal::Proof)?;
    Ok(new)
}

/// The tree head in a checkpoint's text. An empty tree with a root of its own has a status of its
/// own, which comes only after those for unknown logs and missing signatures.
fn read_checkpoint(text: &str) -> Result<TreeHead, Refusal> {
    let mut lines = text.split('\n').skip(1);
    let (size, root) = (lines.next(), lines.next());
    match text.parse::<Checkpoint>() {
        Ok(checkpoint) => Ok(checkpoint.head()),
        Err(CheckpointError::Root)
            if size == Some("0") && root.is_some_and(|root| root.parse::<Hash>().is_ok()) =>
        {
            Err(Refusal::EmptyTree)
        }
        Err(error) => Err(Refusal::NoCheckpoint(error)),
    }
}

/// The body of a witness's consent: one or more signature lines, unchecked.
///
/// `Display` and `FromStr` are the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    lines: Vec<Signature>,
}

impl Response {
    /// The answer of a witness that cosigns at `time`, in seconds since 1970. The caller has run
    /// [`decide`] and made its result durable.
    ///
    /// # Errors
    ///
    /// [`NoteError`] for a time beyond 2^63 - 1, or if the cryptographic library fails.
    pub fn cosign(checkpoint: &Note, witness: &Cosigner, time: u64) -> Result<Self, NoteError> {
        Ok(Self { lines: vec![witness.cosign(checkpoint.unverified_text(), time)?] })
    }

    /// The signature lines, unchecked.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.lines
    }

    /// The checkpoint with the cosignatures of the `witnesses` that are in this answer.
    ///
    /// Every witness has one line at most in the result, the one with the latest time, whether it
    /// was in the note or is in the answer: a witness cannot fill a note with lines until no one
    /// reads it, and a replayed answer makes nothing look older. Lines by other keys are ignored.
    ///
    /// # Errors
    ///
    /// [`NoteError::BadSignature`] when a line by one of the `witnesses` does not verify, and
    /// [`NoteError::NoKnownKey`] when the answer has none by any of them.
    pub fn merge(&self, checkpoint: &Note, witnesses: &[Verifier]) -> Result<Note, NoteError> {
        let mut merged = Note::new(checkpoint.unverified_text())?;
        let foreign = |line: &&Signature| !witnesses.iter().any(|witness| is_by(line, witness));
        checkpoint.signatures().iter().filter(foreign).for_each(|line| merged.add(line.clone()));
        let answered = |witness: &&Verifier| self.lines.iter().any(|line| is_by(line, witness));
        if !witnesses.iter().any(|witness| answered(&witness)) {
            return Err(NoteError::NoKnownKey);
        }
        for witness in witnesses {
            let all = checkpoint.signatures().iter().chain(&self.lines);
            let ours = all.filter(|line| is_by(line, witness));
            if let Some(line) = latest(ours, checkpoint.unverified_text(), witness)? {
                merged.add(line.clone());
            }
        }
        Ok(merged)
    }
}

impl FromStr for Response {
    type Err = NoteError;

    fn from_str(body: &str) -> Result<Self, NoteError> {
        if body.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong { bytes: body.len() });
        }
        let lines = body.strip_suffix('\n').ok_or(NoteError::Shape)?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        Ok(Self { lines: lines.split('\n').map(Signature::from_str).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn is_by(line: &Signature, key: &Verifier) -> bool {
    line.name() == key.name() && line.key_id() == key.key_id()
}

/// The line with the latest time; all of them must verify.
fn latest<'s>(
    lines: impl Iterator<Item = &'s Signature>,
    text: &str,
    witness: &Verifier,
) -> Result<Option<&'s Signature>, NoteError> {
    let mut best = None;
    for line in lines {
        let mut note = Note::new(text)?;
        note.add(line.clone());
        let time = note.verify(std::slice::from_ref(witness))?.by().first().and_then(|by| by.time());
        if best.is_none_or(|(other, _)| other < time) {
            best = Some((time, line));
        }
    }
    Ok(best.map(|(_, line)| line))
}

/// A witness's answer as the log reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It cosigned (200). The lines are unchecked: see [`Response::merge`].
    Cosigned(Response),
    /// It last cosigned another size (409): ask again with a proof from there. A size above the
    /// log's own means that the log has lost entries, or that the witness lies.
    Stale {
        /// The size it cosigned last.
        latest: u64,
    },
    /// It refused, and asking again with the same checkpoint is no use. Before July 2026, 409
    /// without a size was the status for two roots of one size.
    Refused {
        /// The HTTP status.
        status: u16,
    },
}

/// An answer has a body that its status does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Status 200 with anything but signature lines.
    #[error("the witness answered `200` with something else than signature lines")]
    Lines(#[source] Option<NoteError>),
    /// Status 409 of the type for sizes, with anything but a size.
    #[error("the witness answered `409` with something else than a size")]
    Size,
}

impl Answer {
    /// Reads an answer from its status, its `Content-Type` and its body.
    ///
    /// # Errors
    ///
    /// [`AnswerError`] when the body is not what the status promises.
    ///
    /// ```
    /// use ledger::witness::Answer;
    ///
    /// let answer = Answer::read(409, Some("text/x.tlog.size"), b"20852014\n")?;
    /// assert_eq!(answer, Answer::Stale { latest: 20_852_014 });
    /// assert_eq!(Answer::read(404, None, b"no such log")?, Answer::Refused { status: 404 });
    /// # Ok::<(), ledger::witness::AnswerError>(())
    /// ```
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8]) -> Result<Self, AnswerError> {
        match status {
            200 => {
                let body = str::from_utf8(body).map_err(|_| AnswerError::Lines(None))?;
                body.parse().map(Self::Cosigned).map_err(|error| AnswerError::Lines(Some(error)))
            }
            409 if content_type == Some(SIZE_CONTENT_TYPE) => {
                let line = str::from_utf8(body).ok().and_then(|body| body.strip_suffix('\n'));
                let latest = line.and_then(decimal).ok_or(AnswerError::Size)?;
                Ok(Self::Stale { latest })
            }
            _ => Ok(Self::Refused { status }),
        }
    }
}

#[cfg(test)]
mod tests;
