//! Keys that sign, and cosignatures of C2SP tlog-cosignature with Ed25519 (type 0x04, `cosignature/v1`).

use std::{fmt, fs, io, path::Path};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

use crate::note::{KeyError, NoteError, key_id, open, read_key};

/// A signer's signature over the text of a note.
const TYPE_NOTE: u8 = 1;
/// A cosigner's signature over a time and a checkpoint.
const TYPE_COSIGNATURE: u8 = 4;
/// Time and signature.
const COSIGNATURE_BYTES: usize = 8 + 64;
/// A cosigner has one key, and a note one line of it; more are a stranger's noise.
const LINES_MAX: usize = 100;

/// What a key is for. A key of one kind never signs for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Cosigns checkpoints (type 0x04): a witness or a mirror.
    Cosigner,
    /// Signs notes (type 0x01): the auditor's own word.
    Auditor,
}

/// A key that signs.
pub struct SigningKey {
    name: String,
    id: [u8; 4],
    kind: KeyKind,
    pair: Ed25519KeyPair,
}

/// Why a signing key was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The file is not there or cannot be read.
    #[error("cannot read the seed")]
    Read(#[source] io::Error),
    /// Not 64 hexadecimal digits and a line feed.
    #[error("the seed is not 64 hexadecimal digits and a line feed")]
    Form,
    /// Others than the owner may read it.
    #[error("the file of the seed can be read by others: its mode must be 0600")]
    Mode,
    /// The name cannot stand in a note.
    #[error("the name is empty, or has blanks or `+`")]
    Name,
}

impl SigningKey {
    /// Makes the key of this name from its seed.
    ///
    /// # Errors
    /// If the name cannot stand in a note.
    pub fn from_seed(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, SeedError> {
        if !name_is_good(name) {
            return Err(SeedError::Name);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SeedError::Form)?;
        let id = key_id(name, kind.code(), pair.public_key().as_ref());
        Ok(Self { name: name.to_owned(), id, kind, pair })
    }

    /// Reads the seed that `clover-audit keygen` wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is not a seed, or can be read by others.
    pub fn read(name: &str, kind: KeyKind, path: &Path) -> Result<Self, SeedError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(path).map_err(SeedError::Read)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(SeedError::Mode);
            }
        }
        let text = fs::read(path).map_err(SeedError::Read)?;
        let digits = text.strip_suffix(b"\n").ok_or(SeedError::Form)?;
        let seed = HEXLOWER.decode(digits).map_err(|_| SeedError::Form)?;
        Self::from_seed(name, kind, &seed.try_into().map_err(|_| SeedError::Form)?)
    }

    /// The name under which this key signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verifier key, as C2SP text.
    #[must_use]
    pub fn vkey(&self) -> String {
        let mut key = vec![self.kind.code()];
        key.extend_from_slice(self.pair.public_key().as_ref());
        format!("{}+{}+{}", self.name, HEXLOWER.encode(&self.id), BASE64.encode(&key))
    }

    /// Whether `other` has the same public key. A mirror and a witness must not: a cosignature does not say which of the two it is of.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        self.pair.public_key().as_ref() == other.pair.public_key().as_ref()
    }

    /// The signature line of this key, at `time` (Unix seconds), for the text of a note.
    ///
    /// A cosigner signs time and text, an auditor the text alone.
    #[must_use]
    pub fn line(&self, text: &str, time: u64) -> String {
        let mut blob = self.id.to_vec();
        match self.kind {
            KeyKind::Cosigner => {
                blob.extend_from_slice(&time.to_be_bytes());
                blob.extend_from_slice(self.pair.sign(message(text, time).as_bytes()).as_ref());
            }
            KeyKind::Auditor => blob.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref()),
        }
        format!("— {} {}\n", self.name, BASE64.encode(&blob))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl KeyKind {
    fn code(self) -> u8 {
        match self {
            Self::Cosigner => TYPE_COSIGNATURE,
            Self::Auditor => TYPE_NOTE,
        }
    }
}

/// The verifier key of a witness or a mirror (type 0x04).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CosignerKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl CosignerKey {
    /// Reads the C2SP text of a key; blanks around it are ignored.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, public) = read_key(text, TYPE_COSIGNATURE)?;
        if !name_is_good(name) {
            return Err(KeyError::Form);
        }
        Ok(Self { name: name.to_owned(), id, public })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn same_key(&self, other: &Self) -> bool {
        self.public == other.public
    }

    /// When this key cosigned the note, in Unix seconds: the newest time, if it did so more than once.
    ///
    /// `None` if it did not sign. A cosignature of this key that does not verify refuses the note.
    pub(crate) fn cosigned_at(&self, note: &[u8]) -> Result<Option<u64>, NoteError> {
        let text = open(note, &[])?;
        let whole = std::str::from_utf8(note).map_err(|_| NoteError::Form("it is not UTF-8"))?;
        let lines = whole.get(text.len()..).unwrap_or_default();
        let mut newest = None;
        for line in lines.lines().filter(|line| !line.is_empty()).take(LINES_MAX) {
            let Some((name, blob)) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')) else {
                return Err(NoteError::Form("a signature line is malformed"));
            };
            let blob = BASE64.decode(blob.as_bytes());
            let blob = blob.map_err(|_| NoteError::Form("a signature line is malformed"))?;
            let Some((id, rest)) = blob.split_first_chunk::<4>() else { continue };
            if name == self.name && *id == self.id {
                newest = newest.max(Some(self.verify(text, rest)?));
            }
        }
        Ok(newest)
    }

    fn verify(&self, text: &str, blob: &[u8]) -> Result<u64, NoteError> {
        let forged = || NoteError::Forged(self.name.clone());
        if blob.len() != COSIGNATURE_BYTES {
            return Err(forged());
        }
        let (time, signature) = blob.split_first_chunk::<8>().ok_or_else(forged)?;
        let time = u64::from_be_bytes(*time);
        // The specification's own limit.
        if i64::try_from(time).is_err() {
            return Err(forged());
        }
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(message(text, time).as_bytes(), signature)
            .map_err(|_| forged())?;
        Ok(time)
    }
}

fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn name_is_good(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::VerifierKey;

    const TEXT: &str = "example.com/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    fn cosigner(seed: u8) -> SigningKey {
        SigningKey::from_seed("w.example/w1", KeyKind::Cosigner, &[seed; 32]).unwrap()
    }

    #[test]
    fn a_cosignature_is_of_this_key_this_time_and_this_text() {
        let signer = cosigner(1);
        let key = CosignerKey::parse(&signer.vkey()).unwrap();
        let note = |line: &str| format!("{TEXT}\n{line}");
        let line = signer.line(TEXT, 1_679_315_147);
        assert_eq!(key.cosigned_at(note(&line).as_bytes()).unwrap(), Some(1_679_315_147));
        let both = format!("{}{}", signer.line(TEXT, 9), line);
        assert_eq!(key.cosigned_at(note(&both).as_bytes()).unwrap(), Some(1_679_315_147));
        let other = CosignerKey::parse(&cosigner(2).vkey()).unwrap();
        assert_eq!(other.cosigned_at(note(&line).as_bytes()).unwrap(), None);
        let moved = note(&line).replace("\n7\n", "\n8\n");
        assert!(key.cosigned_at(moved.as_bytes()).is_err());
    }

    #[test]
    fn any_changed_byte_of_a_cosignature_is_refused() {
        let signer = cosigner(1);
        let key = CosignerKey::parse(&signer.vkey()).unwrap();
        let line = signer.line(TEXT, 1_679_315_147);
        let blob = BASE64.decode(line.trim_end().rsplit(' ').next().unwrap().as_bytes()).unwrap();
        for position in 4..blob.len() {
            let mut bad = blob.clone();
            bad[position] ^= 1;
            let note = format!("{TEXT}\n— {} {}\n", signer.name(), BASE64.encode(&bad));
            assert!(key.cosigned_at(note.as_bytes()).is_err(), "byte {position}");
        }
        let short = format!("{TEXT}\n— {} {}\n", signer.name(), BASE64.encode(&blob[..70]));
        assert!(key.cosigned_at(short.as_bytes()).is_err());
    }

    #[test]
    fn kinds_of_keys_are_not_mixed_up() {
        let auditor = SigningKey::from_seed("a.example/a", KeyKind::Auditor, &[3; 32]).unwrap();
        assert!(CosignerKey::parse(&auditor.vkey()).is_err());
        assert!(VerifierKey::parse(&cosigner(1).vkey()).is_err());
        let note = format!("{TEXT}\n{}", auditor.line(TEXT, 0));
        let key = VerifierKey::parse(&auditor.vkey()).unwrap();
        assert_eq!(open(note.as_bytes(), &[&key]).unwrap(), TEXT);
    }

    #[test]
    fn a_bad_name_is_refused() {
        for name in ["", "a b", "a+b", "a\nb"] {
            assert!(SigningKey::from_seed(name, KeyKind::Cosigner, &[1; 32]).is_err(), "{name}");
        }
    }
}
