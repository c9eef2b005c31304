//! Private keys that notes are signed with.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::key::cosigned_message;
use super::{KeyError, KeyKind, NoteError, Signature, Verifier};

/// A log's key: signs the text of notes (type 01).
///
/// ```
/// use ledger::note::{Note, Signer};
///
/// let signer = Signer::from_seed("gateway.example/log", &[7; 32])?;
/// let mut note = Note::new("hello\n")?;
/// note.add(signer.sign("hello\n")?);
/// assert_eq!(note.verify(&[signer.verifier().clone()])?.text(), "hello\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

impl Signer {
    /// A key from its name and the 32 secret bytes of RFC 8032, which the caller draws and wipes.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for a name that notes cannot carry.
    pub fn from_seed(name: &str, seed: &[u8; SEED_BYTES]) -> Result<Self, KeyError> {
        let (pair, verifier) = key_pair(name, KeyKind::Ed25519, seed)?;
        Ok(Self { pair, verifier })
    }

    /// Signs a note's text, which includes its final newline.
    ///
    /// # Errors
    ///
    /// [`NoteError::Sign`] if the cryptographic library fails.
    pub fn sign(&self, text: &str) -> Result<Signature, NoteError> {
        let signature = sign(&self.pair, &self.verifier, text)?;
        Ok(Signature::new(self.verifier.name(), self.verifier.key_id(), signature))
    }

    /// The public key.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}+{:08x})", self.verifier.name(), self.verifier.key_id())
    }
}

/// A witness's or mirror's key: signs a time and the text of a checkpoint (type 04).
///
/// The name is not part of what is signed, so every cosigner needs a key of its own.
///
/// ```
/// use ledger::note::{Cosigner, Note};
///
/// let witness = Cosigner::from_seed("witness.example", &[9; 32])?;
/// let mut note = Note::new("log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")?;
/// note.add(witness.cosign(note.unverified_text(), 1_700_000_000)?);
/// assert_eq!(note.verify(&[witness.verifier().clone()])?.by()[0].time(), Some(1_700_000_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cosigner {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

impl Cosigner {
    /// A key from its name and the 32 secret bytes of RFC 8032, which the caller draws and wipes.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for a name that notes cannot carry.
    pub fn from_seed(name: &str, seed: &[u8; SEED_BYTES]) -> Result<Self, KeyError> {
        let (pair, verifier) = key_pair(name, KeyKind::Cosignature, seed)?;
        Ok(Self { pair, verifier })
    }

    /// Cosigns a checkpoint's text, which includes its final newline, at `time` in seconds since
    /// 1970. The caller has checked that the tree continues the last one it cosigned.
    ///
    /// # Errors
    ///
    /// [`NoteError::Time`] beyond 2^63 - 1; [`NoteError::Sign`] if the cryptographic library fails.
    pub fn cosign(&self, text: &str, time: u64) -> Result<Signature, NoteError> {
        let mut blob = time.to_be_bytes().to_vec();
        blob.extend(sign(&self.pair, &self.verifier, &cosigned_message(text, time)?)?);
        Ok(Signature::new(self.verifier.name(), self.verifier.key_id(), blob))
    }

    /// The public key.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}+{:08x})", self.verifier.name(), self.verifier.key_id())
    }
}

fn key_pair(
    name: &str,
    kind: KeyKind,
    seed: &[u8; SEED_BYTES],
) -> Result<(Ed25519KeyPair, Verifier), KeyError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Key)?;
    let public_key = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Key)?;
    let verifier = Verifier::new(name, kind, public_key)?;
    Ok((pair, verifier))
}

fn sign(pair: &Ed25519KeyPair, verifier: &Verifier, message: &str) -> Result<Vec<u8>, NoteError> {
    let signature = pair.try_sign(message.as_bytes());
    let signature = signature.map_err(|_| NoteError::Sign { name: verifier.name().to_owned() })?;
    Ok(signature.as_ref().to_vec())
}

const SEED_BYTES: usize = 32;
