//! C2SP signed notes with Ed25519 signatures (type 0x01).

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use crate::hash::sha256;

/// No note that we read comes near it.
pub(crate) const NOTE_BYTES_MAX: u64 = 1 << 20;
/// The specification asks for at least 16.
const SIGNATURES_MAX: usize = 100;
const ED25519_TYPE: u8 = 1;

/// A key that checks the signatures of one name, from its C2SP text `<name>+<hex id>+<base64>`.
///
/// ```
/// let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// let key = audit::VerifierKey::parse(text)?;
/// assert_eq!(key.name(), "PeterNeumann");
/// # Ok::<(), audit::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

/// Why a verifier key was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not of the form name, id, key.
    #[error("not a verifier key of the form `<name>+<hex id>+<base64>`")]
    Form,
    /// Some other kind of key.
    #[error("the key is not of the Ed25519 type `0x01`")]
    Type,
    /// The id is that of another key or name.
    #[error("the key id does not belong to this name and key")]
    Id,
}

impl VerifierKey {
    /// Reads the text of a key; blanks around it are ignored.
    ///
    /// # Errors
    /// If the form, the type or the id is not right.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, public) = read_key(text, ED25519_TYPE)?;
        Ok(Self { name: name.to_owned(), id, public })
    }

    /// The name under which this key signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The C2SP text of the key.
    pub(crate) fn text(&self) -> String {
        let key = [&[ED25519_TYPE], &self.public[..]].concat();
        format!("{}+{}+{}", self.name, HEXLOWER_PERMISSIVE.encode(&self.id), BASE64.encode(&key))
    }

    /// Whether `other` is the same key, whatever its name.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

/// Reads the C2SP text of a key of this type: its name, id and public bytes. Blanks around it are ignored.
pub(crate) fn read_key(text: &str, code: u8) -> Result<(&str, [u8; 4], [u8; 32]), KeyError> {
    let mut parts = text.trim().splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Form);
    };
    let id = HEXLOWER_PERMISSIVE.decode(id.as_bytes()).map_err(|_| KeyError::Form)?;
    let id: [u8; 4] = id.try_into().map_err(|_| KeyError::Form)?;
    let key = BASE64.decode(key.as_bytes()).map_err(|_| KeyError::Form)?;
    if !name_is_good(name) {
        return Err(KeyError::Form);
    }
    let (_, public) = key.split_first().filter(|(found, _)| **found == code).ok_or(KeyError::Type)?;
    let public = <[u8; 32]>::try_from(public).map_err(|_| KeyError::Type)?;
    if key_id(name, code, &public) == id { Ok((name, id, public)) } else { Err(KeyError::Id) }
}

/// The id of a key: the first four bytes of a digest of its name, type and public bytes.
pub(crate) fn key_id(name: &str, code: u8, public: &[u8]) -> [u8; 4] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend_from_slice(&[b'\n', code]);
    bytes.extend_from_slice(public);
    let [a, b, c, d, ..] = sha256(&bytes);
    [a, b, c, d]
}

fn name_is_good(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// Why a note was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoteError {
    #[error("not a signed note: {0}")]
    Form(&'static str),
    #[error("the signature of `{0}` does not verify")]
    Forged(String),
    #[error("there is no signature of `{0}`")]
    Unsigned(String),
}

/// Returns the text of a note that every one of `keys` has signed.
///
/// Signatures of other keys are ignored; a bad signature of one of `keys` refuses the note.
pub(crate) fn open<'n>(note: &'n [u8], keys: &[&VerifierKey]) -> Result<&'n str, NoteError> {
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Form("it is not UTF-8"))?;
    if note.contains(|c: char| c < ' ' && c != '\n') {
        return Err(NoteError::Form("it has a control character"));
    }
    let (end, _) = note.rmatch_indices("\n\n").next().ok_or(NoteError::Form("no blank line"))?;
    let (text, rest) = note.split_at_checked(end + 1).ok_or(NoteError::Form("no blank line"))?;
    let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
    let lines = lines.ok_or(NoteError::Form("the last line has no end"))?;
    let mut signed = vec![false; keys.len()];
    for (count, line) in lines.split('\n').enumerate() {
        if count >= SIGNATURES_MAX {
            return Err(NoteError::Form("too many signatures"));
        }
        let (name, id, signature) = signature_line(line)?;
        for (key, signed) in keys.iter().zip(&mut signed).filter(|(key, _)| key.name == name && key.id == id)
        {
            UnparsedPublicKey::new(&ED25519, key.public)
                .verify(text.as_bytes(), &signature)
                .map_err(|_| NoteError::Forged(key.name.clone()))?;
            *signed = true;
        }
    }
    match keys.iter().zip(&signed).find(|(_, signed)| !**signed) {
        Some((key, _)) => Err(NoteError::Unsigned(key.name.clone())),
        None => Ok(text),
    }
}

fn signature_line(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    let form = || NoteError::Form("a signature line is malformed");
    let (name, blob) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or_else(form)?;
    let blob = BASE64.decode(blob.as_bytes()).map_err(|_| form())?;
    let (id, signature) = blob.split_first_chunk::<4>().ok_or_else(form)?;
    if signature.is_empty() || !name_is_good(name) {
        return Err(form());
    }
    Ok((name, *id, signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the C2SP signed-note specification.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let key = VerifierKey::parse(KEY).unwrap();
        let text = open(NOTE.as_bytes(), &[&key]).unwrap();
        assert!(text.ends_with("problem is.\n"));
    }

    #[test]
    fn any_changed_byte_of_a_note_is_refused() {
        let key = VerifierKey::parse(KEY).unwrap();
        for position in 0..NOTE.len() {
            for bit in [1, 4, 0x20, 0x80] {
                let mut note = NOTE.as_bytes().to_vec();
                note[position] ^= bit;
                assert!(open(&note, &[&key]).is_err(), "byte {position} bit {bit}");
            }
        }
    }

    #[test]
    fn a_note_cut_anywhere_is_refused() {
        let key = VerifierKey::parse(KEY).unwrap();
        for end in 0..NOTE.len() {
            assert!(open(&NOTE.as_bytes()[..end], &[&key]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn strangers_signatures_are_ignored_and_our_bad_one_is_not() {
        let key = VerifierKey::parse(KEY).unwrap();
        let stranger = format!("{NOTE}— Stranger AAAAAAAAAAAAAAAA\n");
        assert!(open(stranger.as_bytes(), &[&key]).is_ok());
        let bad = format!("{NOTE}— PeterNeumann x08goxIAQxVBtiFupLLr8pAcElZInNIuGUg=\n");
        assert!(matches!(open(bad.as_bytes(), &[&key]), Err(NoteError::Forged(_))));
    }

    #[test]
    fn a_key_with_a_wrong_id_type_or_length_is_refused() {
        for (text, what) in [
            (KEY.replace("c74f20a3", "c74f20a4"), "id"),
            (KEY.replace("PeterNeumann", "peterneumann"), "name"),
            (KEY.replace("+AR", "+AB"), "key"),
            (KEY.replace("10TW", ""), "length"),
            ("PeterNeumann+c74f20a3".to_owned(), "no key"),
            (String::new(), "nothing"),
        ] {
            assert!(VerifierKey::parse(&text).is_err(), "{what}");
        }
    }
}
