//! Signed notes: text with signature lines, the envelope of checkpoints (C2SP signed-note 1.0.0).
//!
//! Two kinds of key are supported: Ed25519 for logs (type 01) and timestamped Ed25519 cosignatures
//! for witnesses and mirrors (type 04, C2SP tlog-cosignature). They are different Rust types on the
//! signing side, so that a log's key never cosigns. Start reading at [`Note`].

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, BASE64_NOPAD};

mod key;
mod signer;

pub use key::{KeyError, KeyKind, Verifier};
pub use signer::{Cosigner, Signer};

/// Most signatures in a note that is read; the specification asks for at least 16.
pub const SIGNATURES_MAX: usize = 64;

/// Longest note that is read, in bytes.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// A note as received or about to be sent: its signatures are not yet checked.
///
/// `FromStr` and `Display` are the wire form. Use the text only through [`Note::verify`].
///
/// ```
/// use ledger::note::{Note, Verifier};
///
/// let note: Note = "This is an example message.\n\n\
///     — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
///     .parse()?;
/// let key = Verifier::parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")?;
/// let verified = note.verify(&[key])?;
/// assert_eq!(verified.text(), "This is an example message.\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One signature line of a note.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    key_id: u32,
    /// What follows the key id: for type 04, the time and then the signature.
    blob: Vec<u8>,
}

/// A note is malformed, or its signatures do not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`].
    #[error("a note of `{bytes}` bytes is above the limit of `{NOTE_BYTES_MAX}`")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The text does not end in a newline, or the note holds a control character.
    #[error("note text must end in a newline and hold no other control characters")]
    Text,
    /// The text is not followed by a blank line and signatures, each on its line.
    #[error("a note is text, a blank line, and signature lines that end in newlines")]
    Shape,
    /// A signature line is not a dash, a key name and base64.
    #[error("a signature line is `— <name> <base64>`, without anything else")]
    SignatureLine,
    /// More signatures than [`SIGNATURES_MAX`].
    #[error("a note with more than `{SIGNATURES_MAX}` signatures is not read")]
    TooManySignatures,
    /// A signature by a known key does not verify. The whole note is refused.
    #[error("the signature by `{name}` does not verify")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// No signature is by a known key.
    #[error("no signature is by a known key")]
    NoKnownKey,
    /// Two different known keys have the same name and the same short id.
    #[error("two known keys are both `{name}+{key_id:08x}`")]
    AmbiguousKeys {
        /// Name of both keys.
        name: String,
        /// Short id of both keys.
        key_id: u32,
    },
    /// The time of a cosignature is beyond 2^63 - 1 seconds.
    #[error("the time of a cosignature must be below 2^63 seconds")]
    Time,
    /// The cryptographic library would not sign.
    #[error("could not sign with the key `{name}`")]
    Sign {
        /// Name of the key.
        name: String,
    },
}

impl Note {
    /// A note without signatures yet.
    ///
    /// # Errors
    ///
    /// [`NoteError::Text`] when the text does not end in a newline or holds control characters.
    pub fn new(text: &str) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || has_control_characters(text) {
            return Err(NoteError::Text);
        }
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// Adds a signature line. It is not checked.
    pub fn add(&mut self, signature: Signature) {
        self.signatures.push(signature);
    }

    /// The text before any check, for finding out which keys to check it with; nothing else may
    /// rest on it.
    #[must_use]
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signature lines, unchecked.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks every signature by a known key. Signatures by other keys are ignored, even where the
    /// name or the short id agrees with that of a known key.
    ///
    /// # Errors
    ///
    /// [`NoteError`] when a known key's signature fails, when no known key signed, or when two
    /// different known keys cannot be told apart.
    pub fn verify(&self, known: &[Verifier]) -> Result<Verified<'_>, NoteError> {
        let mut by: Vec<VerifiedSignature> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = signature.find_key(known)? else { continue };
            let time = key.check(&self.text, &signature.blob)?;
            let twice = by.iter_mut().find(|s| s.name == signature.name && s.key_id == signature.key_id);
            match twice {
                Some(first) => first.time = first.time.max(time),
                None => by.push(VerifiedSignature {
                    name: signature.name.clone(),
                    key_id: signature.key_id,
                    time,
                }),
            }
        }
        if by.is_empty() { Err(NoteError::NoKnownKey) } else { Ok(Verified { text: &self.text, by }) }
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong { bytes: note.len() });
        }
        if has_control_characters(note) {
            return Err(NoteError::Text);
        }
        // The text may have blank lines too: the last one separates.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Shape)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape)?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let signatures = lines.split('\n').map(Signature::from_str).collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Note({} bytes, {} signatures)", self.text.len(), self.signatures.len())
    }
}

impl Signature {
    fn new(name: &str, key_id: u32, blob: Vec<u8>) -> Self {
        Self { name: name.to_owned(), key_id, blob }
    }

    /// Name of the key that is said to have signed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Short id of the key that is said to have signed.
    #[must_use]
    pub const fn key_id(&self) -> u32 {
        self.key_id
    }

    fn find_key<'k>(&self, known: &'k [Verifier]) -> Result<Option<&'k Verifier>, NoteError> {
        let mut matching = known.iter().filter(|key| key.name() == self.name && key.key_id() == self.key_id);
        let Some(first) = matching.next() else { return Ok(None) };
        // Short ids collide at will; guessing which key is meant would let one pass for the other.
        if matching.any(|other| other != first) {
            return Err(NoteError::AmbiguousKeys { name: self.name.clone(), key_id: self.key_id });
        }
        Ok(Some(first))
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    /// Reads a signature line without its newline.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let rest = line.strip_prefix("— ").ok_or(NoteError::SignatureLine)?;
        let (name, encoded) = rest.split_once(' ').ok_or(NoteError::SignatureLine)?;
        let bytes = base64(encoded).ok_or(NoteError::SignatureLine)?;
        match bytes.split_first_chunk() {
            Some((key_id, blob)) if key::is_name(name) && !blob.is_empty() => {
                Ok(Self::new(name, u32::from_be_bytes(*key_id), blob.to_vec()))
            }
            _ => Err(NoteError::SignatureLine),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(4 + self.blob.len());
        bytes.extend_from_slice(&self.key_id.to_be_bytes());
        bytes.extend_from_slice(&self.blob);
        write!(f, "— {} {}", self.name, BASE64.encode(&bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}+{:08x}, {} bytes)", self.name, self.key_id, self.blob.len())
    }
}

/// The text of a note together with the known keys that signed it. Only [`Note::verify`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified<'n> {
    text: &'n str,
    by: Vec<VerifiedSignature>,
}

impl<'n> Verified<'n> {
    /// The text that was signed.
    #[must_use]
    pub const fn text(&self) -> &'n str {
        self.text
    }

    /// Who signed, each key once; never empty.
    #[must_use]
    pub fn by(&self) -> &[VerifiedSignature] {
        &self.by
    }

    /// The signature of one key, if it signed.
    #[must_use]
    pub fn signed_by(&self, key: &Verifier) -> Option<&VerifiedSignature> {
        self.by.iter().find(|s| s.name == key.name() && s.key_id == key.key_id())
    }
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} bytes, by {:?})", self.text.len(), self.by)
    }
}

/// A known key's signature that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    name: String,
    key_id: u32,
    time: Option<u64>,
}

impl VerifiedSignature {
    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Short id of the key.
    #[must_use]
    pub const fn key_id(&self) -> u32 {
        self.key_id
    }

    /// For a cosignature, when it was made, in seconds since 1970; the latest if there are several.
    #[must_use]
    pub const fn time(&self) -> Option<u64> {
        self.time
    }
}

/// An ASCII decimal without sign or leading zeros, as the C2SP formats write numbers.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Standard base64 with padding, in its one canonical form. (The library's padded decoder would
/// also take several encodings in a row.)
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let unpadded = text.trim_end_matches('=');
    let canonical = text.len().is_multiple_of(4) && text.len() - unpadded.len() <= 2;
    if canonical { BASE64_NOPAD.decode(unpadded.as_bytes()).ok() } else { None }
}

pub(crate) fn has_control_characters(text: &str) -> bool {
    text.bytes().any(|b| b < b' ' && b != b'\n')
}

#[cfg(test)]
mod tests;
