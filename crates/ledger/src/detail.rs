//! The sealed detail of an entry: who, whose, what and exactly when, readable only with keys that can be
//! destroyed. Byte form: `docs/formats/detail.md`.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use model::{FlowId, Tag};
use zeroize::{Zeroize, Zeroizing};

const MAGIC: &[u8; 4] = b"CLVD";
const VERSION: u8 = 1;
const NONCE: usize = 12;
const SEAL: usize = 16;

/// A key of 32 bytes that prints nothing.
pub struct SecretKey {
    bytes: [u8; 32],
    /// Made on first use and shared by clones: the key of an epoch seals every entry of a day, and that of a person all
    /// entries for as long as a gateway keeps it.
    ready: Arc<OnceLock<Ready>>,
}

/// What a key needs before it seals or opens.
struct Ready {
    cipher: LessSafeKey,
    /// Binds a section to one key, which the cipher alone does not.
    commitment: [u8; 16],
}

impl Ready {
    fn new(bytes: &[u8; 32]) -> Result<Self, DetailError> {
        let cipher = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| DetailError::Key)?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"clover detail key commitment");
        let commitment = *tag.as_ref().first_chunk().ok_or(DetailError::Key)?;
        Ok(Self { cipher: LessSafeKey::new(cipher), commitment })
    }
}

impl SecretKey {
    /// Wraps key bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { bytes, ready: Arc::default() }
    }

    /// The bytes, for whoever derives or wraps.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn ready(&self) -> Result<&Ready, DetailError> {
        if let Some(ready) = self.ready.get() {
            return Ok(ready);
        }
        let ready = Ready::new(&self.bytes)?;
        Ok(self.ready.get_or_init(|| ready))
    }
}

impl Clone for SecretKey {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes, ready: Arc::clone(&self.ready) }
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for SecretKey {}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// The part of a detail that one person's key opens.
#[derive(Debug)]
pub struct PersonSection<'a> {
    /// Their tag, as in the entry.
    pub tag: Tag,
    /// Their detail key.
    pub key: &'a SecretKey,
    /// What they may read.
    pub text: &'a [u8],
}

/// Why a detail cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DetailError {
    /// Not a detail record of version 1.
    #[error("not a detail record of version 1")]
    Form,
    /// The key is another, was destroyed, or the bytes were changed.
    #[error("the detail does not open with this key")]
    Key,
}

/// Seals a detail. `random` fills its argument with fresh random bytes; `epoch_key` wraps the entry's own
/// key, and is itself wrapped to the regulator once an epoch.
///
/// # Errors
/// [`DetailError::Key`] when the cipher refuses, which a key of 32 bytes never makes it do.
pub fn seal(
    flow: &FlowId,
    epoch: u32,
    epoch_key: &SecretKey,
    actor: &[u8],
    people: &[PersonSection<'_>],
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<Vec<u8>, DetailError> {
    // One draw for the whole record: each has a fixed cost. The entry's key comes first, then the nonces in order.
    let mut drawn = Zeroizing::new(vec![0; 32 + NONCE * (2 + people.len())]);
    random(&mut drawn);
    let (entry_key, nonces) = drawn.split_first_chunk().ok_or(DetailError::Key)?;
    let mut nonces = nonces.as_chunks().0.iter().copied();
    let mut nonce = || nonces.next().ok_or(DetailError::Key);
    let mut out =
        Vec::with_capacity(256 + actor.len() + people.iter().map(|p| p.text.len() + 64).sum::<usize>());
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&epoch.to_be_bytes());
    section(&mut out, epoch_key.ready()?, &aad(flow, b"entry-key"), entry_key, nonce()?)?;
    section(&mut out, &Ready::new(entry_key)?, &aad(flow, b"actor"), actor, nonce()?)?;
    out.extend_from_slice(&u32::try_from(people.len()).unwrap_or(u32::MAX).to_be_bytes());
    for p in people {
        out.extend_from_slice(p.tag.bytes());
        section(&mut out, p.key.ready()?, &aad(flow, p.tag.bytes()), p.text, nonce()?)?;
    }
    Ok(out)
}

/// What a section is bound to: the flow and the section's place. Contexts are at most 16 bytes.
struct Place {
    bytes: [u8; 32],
    len: usize,
}

impl AsRef<[u8]> for Place {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn aad(flow: &FlowId, part: &[u8]) -> Place {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(flow.bytes().iter().chain(part)).for_each(|(to, b)| *to = *b);
    Place { bytes, len: 16 + part.len() }
}

fn section(
    out: &mut Vec<u8>,
    key: &Ready,
    aad: &Place,
    text: &[u8],
    nonce: [u8; NONCE],
) -> Result<(), DetailError> {
    out.extend_from_slice(&u32::try_from(text.len() + SEAL).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&key.commitment);
    out.extend_from_slice(&nonce);
    let start = out.len();
    out.extend_from_slice(text);
    let sealed = out.get_mut(start..).unwrap_or_default();
    let tag = key
        .cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), sealed)
        .map_err(|_| DetailError::Key)?;
    out.extend_from_slice(tag.as_ref());
    Ok(())
}

/// One section as it lies in a record.
struct Sealed<'a> {
    commitment: &'a [u8],
    nonce: [u8; NONCE],
    text: &'a [u8],
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], DetailError> {
    let (head, rest) = bytes.split_at_checked(n).ok_or(DetailError::Form)?;
    *bytes = rest;
    Ok(head)
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, DetailError> {
    take(bytes, 4)?.try_into().map(u32::from_be_bytes).map_err(|_| DetailError::Form)
}

fn take_section<'a>(bytes: &mut &'a [u8]) -> Result<Sealed<'a>, DetailError> {
    let len = usize::try_from(take_u32(bytes)?).map_err(|_| DetailError::Form)?;
    let commitment = take(bytes, 16)?;
    let nonce = take(bytes, NONCE)?.try_into().map_err(|_| DetailError::Form)?;
    Ok(Sealed { commitment, nonce, text: take(bytes, len)? })
}

fn open(key: &SecretKey, aad: &Place, sealed: &Sealed<'_>) -> Result<Vec<u8>, DetailError> {
    let key = key.ready()?;
    if sealed.commitment != key.commitment {
        return Err(DetailError::Key);
    }
    let mut text = sealed.text.to_vec();
    let len = key
        .cipher
        .open_in_place(Nonce::assume_unique_for_key(sealed.nonce), Aad::from(aad), &mut text)
        .map_err(|_| DetailError::Key)?
        .len();
    text.truncate(len);
    Ok(text)
}

/// A person's tag in the entries of a day, made with their tag key. Form: `docs/formats/detail.md`.
#[must_use]
pub fn subject_tag(key: &SecretKey, log_set: &str, day: u32) -> Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes()));
    context.update(log_set.as_bytes());
    context.update(&[0]);
    context.update(&day.to_be_bytes());
    Tag::new(context.sign().as_ref().first_chunk().copied().unwrap_or_default())
}

/// A detail record, read but not opened.
pub struct Detail<'a> {
    epoch: u32,
    wrapped: Sealed<'a>,
    actor: Sealed<'a>,
    people: Vec<(Tag, Sealed<'a>)>,
}

impl<'a> Detail<'a> {
    /// Reads the shape of a record.
    ///
    /// # Errors
    /// [`DetailError::Form`] for other bytes.
    pub fn read(record: &'a [u8]) -> Result<Self, DetailError> {
        let bytes = &mut &*record;
        if take(bytes, 4)? != MAGIC || take(bytes, 1)? != [VERSION] {
            return Err(DetailError::Form);
        }
        let epoch = take_u32(bytes)?;
        let (wrapped, actor) = (take_section(bytes)?, take_section(bytes)?);
        let count = take_u32(bytes)?;
        let mut people = Vec::new();
        for _ in 0..count {
            let tag = take(bytes, 16)?.try_into().map_err(|_| DetailError::Form)?;
            people.push((Tag::new(tag), take_section(bytes)?));
        }
        if bytes.is_empty() { Ok(Self { epoch, wrapped, actor, people }) } else { Err(DetailError::Form) }
    }

    /// The epoch whose key wraps the entry's own.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Opens the actor's and request's section.
    ///
    /// # Errors
    /// [`DetailError::Key`] when the key is not that epoch's.
    pub fn open_actor(&self, flow: &FlowId, epoch_key: &SecretKey) -> Result<Vec<u8>, DetailError> {
        let key = self.entry_key(flow, epoch_key)?;
        open(&key, &aad(flow, b"actor"), &self.actor)
    }

    /// The entry's own key: it opens the actor's and request's section of this record, and nothing else.
    ///
    /// # Errors
    /// [`DetailError::Key`] when the key is not that epoch's.
    pub fn entry_key(&self, flow: &FlowId, epoch_key: &SecretKey) -> Result<SecretKey, DetailError> {
        let key = open(epoch_key, &aad(flow, b"entry-key"), &self.wrapped)?;
        Ok(SecretKey::new(key.try_into().map_err(|_| DetailError::Form)?))
    }

    /// Opens one person's section.
    ///
    /// # Errors
    /// [`DetailError::Key`] when there is none for this tag, or the key is not that person's.
    pub fn open_person(&self, flow: &FlowId, tag: &Tag, key: &SecretKey) -> Result<Vec<u8>, DetailError> {
        let (_, section) = self.people.iter().find(|(t, _)| t == tag).ok_or(DetailError::Key)?;
        open(key, &aad(flow, tag.bytes()), section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> impl FnMut(&mut [u8]) {
        let mut next = 0u8;
        move |bytes: &mut [u8]| {
            for b in bytes {
                next = next.wrapping_add(1);
                *b = next;
            }
        }
    }

    #[test]
    fn each_section_opens_with_its_own_key_and_no_other() {
        let (flow, tag) = (FlowId::new([1; 16]), Tag::new([2; 16]));
        let (epoch_key, person) = (SecretKey::new([3; 32]), SecretKey::new([4; 32]));
        let people = [PersonSection { tag, key: &person, text: b"seen" }];
        let record = seal(&flow, 7, &epoch_key, b"who", &people, &mut counter()).unwrap();
        let detail = Detail::read(&record).unwrap();
        assert_eq!(detail.epoch(), 7);
        assert_eq!(detail.open_actor(&flow, &epoch_key).unwrap(), b"who");
        assert_eq!(detail.open_person(&flow, &tag, &person).unwrap(), b"seen");
        assert_eq!(detail.open_person(&flow, &tag, &epoch_key), Err(DetailError::Key));
        assert_eq!(
            detail.open_actor(&FlowId::new([9; 16]), &epoch_key),
            Err(DetailError::Key),
            "another entry's"
        );
    }

    #[test]
    fn a_cut_or_changed_record_never_opens_as_something_else() {
        let flow = FlowId::new([1; 16]);
        let key = SecretKey::new([3; 32]);
        let record = seal(&flow, 7, &key, b"who", &[], &mut counter()).unwrap();
        for i in 0..record.len() {
            assert!(Detail::read(&record[..i]).is_err());
            let mut changed = record.clone();
            changed[i] ^= 1;
            let opened = Detail::read(&changed).and_then(|d| d.open_actor(&flow, &key));
            assert!(opened.map_or(true, |text| text == b"who" && (5..9).contains(&i)), "byte {i}");
        }
    }
}
