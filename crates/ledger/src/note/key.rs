//! Public keys that notes are checked with.

use std::fmt;

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

use super::{NoteError, base64};

/// What a key signs. The number is the signature type identifier of signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// Plain Ed25519 over the text (type 01): logs.
    Ed25519,
    /// Ed25519 over a time and the text (type 04): witnesses and mirrors.
    Cosignature,
}

/// A key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is empty or has a space or a plus in it.
    #[error("a key name is not empty and has no spaces, plus signs or control characters")]
    Name,
    /// The text is not a verifier key.
    #[error("a verifier key is `<name>+<8 hexadecimal digits>+<base64 of type and key>`")]
    Shape,
    /// The short id does not belong to the name and key.
    #[error("the id of the verifier key `{name}` is `{found:08x}`, but its content has `{wanted:08x}`")]
    Id {
        /// Name in the text.
        name: String,
        /// Id in the text.
        found: u32,
        /// Id computed from name, type and key.
        wanted: u32,
    },
    /// The type is neither 01 nor 04.
    #[error("the verifier key `{name}` has the type `{kind:02x}`, and only `01` and `04` are supported")]
    Kind {
        /// Name in the text.
        name: String,
        /// Type identifier.
        kind: u8,
    },
    /// The bytes are not an Ed25519 key.
    #[error("the bytes are not an Ed25519 key")]
    Key,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A public key with the name it signs under.
///
/// ```
/// use ledger::note::{KeyKind, Verifier};
///
/// let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// let key = Verifier::parse(text)?;
/// assert_eq!((key.name(), key.key_id(), key.kind()), ("example.com/foo", 0x530d_903a, KeyKind::Ed25519));
/// assert_eq!(key.to_vkey(), text);
/// # Ok::<(), ledger::note::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    name: String,
    key_id: u32,
    kind: KeyKind,
    key: ParsedPublicKey,
}

impl Verifier {
    /// A key from its parts: name, kind and the 32 bytes of RFC 8032.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for a name that notes cannot carry, or bytes that are not a key.
    pub fn new(name: &str, kind: KeyKind, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        let key = ParsedPublicKey::new(&ED25519, public_key).map_err(|_| KeyError::Key)?;
        Ok(Self { name: name.to_owned(), key_id: key_id(name, kind, public_key), kind, key })
    }

    /// Reads a verifier key in its text form ("vkey").
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the text has another shape, the id does not fit, or the type is unknown.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let (name, rest) = vkey.split_once('+').ok_or(KeyError::Shape)?;
        // Base64 may contain further plus signs.
        let (id, encoded) = rest.split_once('+').ok_or(KeyError::Shape)?;
        let id = HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok());
        let found = u32::from_be_bytes(id.ok_or(KeyError::Shape)?);
        let bytes = base64(encoded).ok_or(KeyError::Shape)?;
        let (kind, key) = bytes.split_first().ok_or(KeyError::Shape)?;
        let kind = match kind {
            0x01 => KeyKind::Ed25519,
            0x04 => KeyKind::Cosignature,
            other => return Err(KeyError::Kind { name: name.to_owned(), kind: *other }),
        };
        let verifier = Self::new(name, kind, key.try_into().map_err(|_| KeyError::Key)?)?;
        if verifier.key_id != found {
            return Err(KeyError::Id { name: name.to_owned(), found, wanted: verifier.key_id });
        }
        Ok(verifier)
    }

    /// The text form.
    #[must_use]
    pub fn to_vkey(&self) -> String {
        let mut bytes = vec![self.kind.byte()];
        bytes.extend_from_slice(self.key.as_ref());
        format!("{}+{:08x}+{}", self.name, self.key_id, BASE64.encode(&bytes))
    }

    /// Name it signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Short id: a hint, not a fingerprint, since it is easily made to collide.
    #[must_use]
    pub const fn key_id(&self) -> u32 {
        self.key_id
    }

    /// What it signs.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    #[cfg(test)]
    pub(super) fn with_key_id(self, key_id: u32) -> Self {
        Self { key_id, ..self }
    }

    /// Checks what follows the key id in a signature line, and returns the time of a cosignature.
    pub(super) fn check(&self, text: &str, blob: &[u8]) -> Result<Option<u64>, NoteError> {
        let bad = || NoteError::BadSignature { name: self.name.clone() };
        match self.kind {
            KeyKind::Ed25519 => {
                self.key.verify_sig(text.as_bytes(), blob).map_err(|_| bad())?;
                Ok(None)
            }
            KeyKind::Cosignature => {
                let (time, signature) = blob.split_first_chunk().ok_or_else(bad)?;
                let time = u64::from_be_bytes(*time);
                let message = cosigned_message(text, time).map_err(|_| bad())?;
                self.key.verify_sig(message.as_bytes(), signature).map_err(|_| bad())?;
                Ok(Some(time))
            }
        }
    }
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.kind, self.key.as_ref()) == (&other.name, other.kind, other.key.as_ref())
    }
}

impl Eq for Verifier {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.to_vkey())
    }
}

/// What a cosigner signs (C2SP tlog-cosignature).
pub(super) fn cosigned_message(text: &str, time: u64) -> Result<String, NoteError> {
    if time > TIME_MAX {
        return Err(NoteError::Time);
    }
    Ok(format!("cosignature/v1\ntime {time}\n{text}"))
}

pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.chars().all(allowed)
}

fn key_id(name: &str, kind: KeyKind, public_key: &[u8; PUBLIC_KEY_BYTES]) -> u32 {
    let message = [name.as_bytes(), b"\n", &[kind.byte()], public_key].concat();
    let hash = digest::digest(&SHA256, &message);
    hash.as_ref().first_chunk().map_or(0, |id| u32::from_be_bytes(*id))
}

const PUBLIC_KEY_BYTES: usize = 32;
/// tlog-cosignature: the time must not exceed 2^63 - 1.
const TIME_MAX: u64 = u64::MAX >> 1;
