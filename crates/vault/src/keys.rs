//! The key service of one machine: a file with the region's key, from which all others come.
//!
//! Keys for pseudonyms and records never leave the region: nothing here is offered over a network.
//! Purposes are kept apart by HKDF labels. A subject's own key is random and only wrapped by the region's,
//! so destroying the wrapped form turns everything under it into noise.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::{hkdf, hmac};
use data_encoding::{BASE64, HEXLOWER};
use ledger::SecretKey;
use ledger::detail::subject_tag;
use model::{ActorId, Explain, Name, SubjectId, Tag, UnixSeconds};

use crate::control::store::ControlKeys;

/// Why keys cannot be used. It names files, never keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key file cannot be read or written.
    #[error("cannot use the key file `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file has other content.
    #[error("`{}` is not a key file", .0.display())]
    Form(PathBuf),
    /// A wrapped key does not open: another region's, or changed.
    #[error("a wrapped key does not open with this region's key")]
    Wrapped,
    /// The random source of the system gave nothing.
    #[error("the system gives no random bytes")]
    Random,
}

impl Explain for KeyError {
    fn code(&self) -> &'static str {
        "CLV-0203"
    }
    fn fix(&self) -> &'static str {
        "check that the folder `keys` is this enclave's and readable by its user only"
    }
    fn public(&self) -> &'static str {
        "the request cannot be answered now"
    }
}

/// Fills with random bytes from the operating system.
///
/// # Errors
/// [`KeyError::Random`] when it gives none.
pub fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    SystemRandom::new().fill(bytes).map_err(|_| KeyError::Random)
}

/// Makes a person's tags, one a day: tags of two days cannot be linked without it.
#[derive(Clone)]
pub struct TagKey {
    key: SecretKey,
    log_set: Arc<str>,
    /// The tag of the day that was asked for first: mostly it is today, and asked for again.
    kept: Arc<OnceLock<(u32, Tag)>>,
}

impl std::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TagKey(..)")
    }
}

impl TagKey {
    /// The person's tag in entries of the day of this time.
    #[must_use]
    pub fn at(&self, time: UnixSeconds) -> Tag {
        let day = time.day();
        let make = || subject_tag(&self.key, &self.log_set, day);
        match self.kept.get_or_init(|| (day, make())) {
            (kept, tag) if *kept == day => *tag,
            _ => make(),
        }
    }

    /// The key itself, for the person's own hands.
    #[must_use]
    pub fn secret(&self) -> &SecretKey {
        &self.key
    }
}

/// A kind of value by which people are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A user name.
    UserName,
}

impl Lookup {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::UserName => "user-name",
        }
    }

    /// One spelling for those that mean the same: no case, and of a telephone number its digits alone.
    fn normal(self, value: &str) -> String {
        match self {
            Self::Email | Self::UserName => value.trim().to_lowercase(),
            Self::Phone => value.chars().filter(char::is_ascii_digit).collect(),
        }
    }
}

/// The keys of one person, derived from their own key.
#[derive(Debug, Clone)]
pub struct PersonKeys {
    /// Makes their tags in this log set.
    pub tags: TagKey,
    /// Opens their sections of details.
    pub detail: SecretKey,
    /// Opens their records.
    pub records: SecretKey,
}

/// The region's keys.
pub struct KeyService {
    folder: PathBuf,
    log_set: Arc<str>,
    region: SecretKey,
    actor: hmac::Key,
    /// Held while the key of an epoch is made, so that two crossings do not make two.
    making: Mutex<()>,
}

impl std::fmt::Debug for KeyService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyService(..)")
    }
}

impl KeyService {
    /// Writes a new region key. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`KeyError`]; an existing key is never replaced.
    pub fn create(folder: &Path) -> Result<(), KeyError> {
        let mut key = [0; 32];
        random(&mut key)?;
        write_secret(&folder.join("region.key"), format!("{}\n", HEXLOWER.encode(&key)))
    }

    /// Opens the keys of a region. `log_set` names the programme whose logs the tags belong to.
    ///
    /// # Errors
    /// [`KeyError`] when the key is not there or not a key.
    pub fn open(folder: &Path, log_set: &str) -> Result<Self, KeyError> {
        let region = SecretKey::new(read_seed(&folder.join("region.key"))?);
        let actor = hmac::Key::new(hmac::HMAC_SHA256, derive(&region, b"actor tags").bytes());
        Ok(Self {
            folder: folder.to_owned(),
            log_set: log_set.into(),
            region,
            actor,
            making: Mutex::default(),
        })
    }

    /// The handle of the person with this identity in an import (a user name). Keyed: without the region's
    /// key nobody can tell.
    #[must_use]
    pub fn subject_id(&self, identity: &str) -> SubjectId {
        let key = hmac::Key::new(hmac::HMAC_SHA256, derive(&self.region, b"subject index").bytes());
        SubjectId::from_index(&short(hmac::sign(&key, identity.trim().to_lowercase().as_bytes()).as_ref()))
    }

    /// The tag of an actor.
    #[must_use]
    pub fn actor_tag(&self, actor: &ActorId) -> Tag {
        Tag::new(short(hmac::sign(&self.actor, actor.as_str().as_bytes()).as_ref()))
    }

    /// The tag of a grant or case.
    #[must_use]
    pub fn evidence_tag(&self, id: &Name) -> Tag {
        let mut context = hmac::Context::with_key(&self.actor);
        context.update(b"evidence\0");
        context.update(id.as_str().as_bytes());
        Tag::new(short(context.sign().as_ref()))
    }

    /// By what a grant's budget knows a person: the same for as long as the region's key lives, in no entry.
    #[must_use]
    pub fn counted_tag(&self, subject: &SubjectId) -> Tag {
        let mut context = hmac::Context::with_key(&self.actor);
        context.update(b"budget\0");
        context.update(subject.as_str().as_bytes());
        Tag::new(short(context.sign().as_ref()))
    }

    /// Under which tag the people are found who have a value: an e-mail address, a telephone number, a user name. Keyed, and
    /// another one for each kind of value.
    #[must_use]
    pub fn lookup_tag(&self, kind: Lookup, value: &str) -> Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, derive(&self.region, b"lookups").bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(kind.word().as_bytes());
        context.update(b"\0");
        context.update(kind.normal(value).as_bytes());
        Tag::new(short(context.sign().as_ref()))
    }

    /// The root of pseudonym keys.
    #[must_use]
    pub fn pseudonym_root(&self) -> SecretKey {
        derive(&self.region, b"pseudonyms")
    }

    /// The keys of the control store's rows.
    #[must_use]
    pub fn control(&self) -> ControlKeys {
        ControlKeys::new(derive(&self.region, b"control rows"), &derive(&self.region, b"control names"))
    }

    /// The key that seals local accounts.
    pub(crate) fn accounts(&self) -> SecretKey {
        derive(&self.region, b"local accounts")
    }

    /// A new key for a person, and its wrapped form bound to their handle.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn new_person(&self, internal: &[u8; 16]) -> Result<(SecretKey, Vec<u8>), KeyError> {
        let mut key = [0; 32];
        random(&mut key)?;
        let wrapped = seal(&derive(&self.region, b"wrap"), internal, &key)?;
        Ok((SecretKey::new(key), wrapped))
    }

    /// The key of a person from its wrapped form.
    ///
    /// # Errors
    /// [`KeyError::Wrapped`].
    pub fn open_person(&self, internal: &[u8; 16], wrapped: &[u8]) -> Result<SecretKey, KeyError> {
        let key = unseal(&derive(&self.region, b"wrap"), internal, wrapped)?;
        key.try_into().map(SecretKey::new).map_err(|_| KeyError::Wrapped)
    }

    /// What is derived from a person's key.
    #[must_use]
    pub fn person(&self, key: &SecretKey) -> PersonKeys {
        let (tag_key, log_set) = (derive(key, b"subject tags"), Arc::clone(&self.log_set));
        let tags = TagKey { key: tag_key, log_set, kept: Arc::default() };
        PersonKeys { tags, detail: derive(key, b"details"), records: derive(key, b"records") }
    }

    /// Keys for a person whom an upstream names and the vault does not hold. They come from the region's key,
    /// so they cannot be destroyed one by one.
    #[must_use]
    pub fn unregistered(&self, subject: &SubjectId) -> PersonKeys {
        let label = [b"unregistered\0", subject.as_str().as_bytes()].concat();
        self.person(&derive(&self.region, &label))
    }

    /// The key that wraps the entry keys of an epoch; made on first use, and then wrapped to the regulator too.
    ///
    /// # Errors
    /// [`KeyError`] when it cannot be read or written.
    pub fn epoch(&self, epoch: u32) -> Result<SecretKey, KeyError> {
        let path = self.folder.join("epochs").join(format!("{epoch}.key"));
        if let Some(key) = self.read_epoch(epoch, &path)? {
            return Ok(key);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read_epoch(epoch, &path)? {
            Some(key) => Ok(key),
            None => self.make_epoch(epoch, &path),
        }
    }

    fn read_epoch(&self, epoch: u32, path: &Path) -> Result<Option<SecretKey>, KeyError> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                self.open_epoch(epoch, &text).map(Some).ok_or_else(|| KeyError::Form(path.to_owned()))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeyError::File { path: path.to_owned(), source }),
        }
    }

    fn open_epoch(&self, epoch: u32, text: &str) -> Option<SecretKey> {
        let sealed = text.lines().find_map(|l| l.strip_prefix("site "))?;
        let sealed = BASE64.decode(sealed.as_bytes()).ok()?;
        let key = unseal(&derive(&self.region, b"epochs"), &epoch.to_be_bytes(), &sealed).ok()?;
        key.try_into().ok().map(SecretKey::new)
    }

    fn make_epoch(&self, epoch: u32, path: &Path) -> Result<SecretKey, KeyError> {
        let mut key = [0; 32];
        random(&mut key)?;
        let site = seal(&derive(&self.region, b"epochs"), &epoch.to_be_bytes(), &key)?;
        let regulator = self.to_regulator(&key)?;
        let text = format!("site {}\nregulator {}\n", BASE64.encode(&site), BASE64.encode(&regulator));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|source| KeyError::File { path: parent.to_owned(), source })?;
        }
        write_secret(path, text)?;
        Ok(SecretKey::new(key))
    }

    /// RSA-OAEP with SHA-256 to the regulator's public key.
    fn to_regulator(&self, key: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        let path = self.folder.join("regulator.der");
        let der = std::fs::read(&path).map_err(|source| KeyError::File { path: path.clone(), source })?;
        let public = PublicEncryptingKey::from_der(&der).map_err(|_| KeyError::Form(path.clone()))?;
        let public = OaepPublicEncryptingKey::new(public).map_err(|_| KeyError::Form(path.clone()))?;
        let mut out = vec![0; public.ciphertext_size()];
        let sealed = public.encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut out, Some(b"clover epoch"));
        sealed.map(|s| s.to_vec()).map_err(|_| KeyError::Form(path))
    }
}

/// HKDF-SHA256 with the label as info.
fn derive(key: &SecretKey, label: &[u8]) -> SecretKey {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"clover/v1");
    let info = [label];
    let prk = salt.extract(key.bytes());
    let mut out = [0; 32];
    // 32 bytes are within HKDF-SHA256's limit, so neither call can refuse.
    let filled = prk.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut out));
    debug_assert!(filled.is_ok());
    SecretKey::new(out)
}

fn short(bytes: &[u8]) -> [u8; 16] {
    bytes.first_chunk().copied().unwrap_or([0; 16])
}

/// AES-256-GCM with a random nonce in front.
pub(crate) fn seal(key: &SecretKey, aad: &[u8], text: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut nonce = [0; 12];
    random(&mut nonce)?;
    let mut out = text.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out)
        .map_err(|_| KeyError::Wrapped)?;
    Ok([&nonce[..], &out].concat())
}

/// Opens what [`seal`] made.
pub(crate) fn unseal(key: &SecretKey, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
    let (nonce, text) = sealed.split_first_chunk::<12>().ok_or(KeyError::Wrapped)?;
    let mut text = text.to_vec();
    let opened = cipher(key)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut text);
    let len = opened.map_err(|_| KeyError::Wrapped)?.len();
    text.truncate(len);
    Ok(text)
}

fn cipher(key: &SecretKey) -> Result<LessSafeKey, KeyError> {
    UnboundKey::new(&AES_256_GCM, key.bytes()).map(LessSafeKey::new).map_err(|_| KeyError::Wrapped)
}

/// Reads 32 bytes of hexadecimal.
///
/// # Errors
/// [`KeyError`] when the file is not there or holds something else.
pub fn read_seed(path: &Path) -> Result<[u8; 32], KeyError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| KeyError::Form(path.to_owned()))?;
    bytes.try_into().map_err(|_| KeyError::Form(path.to_owned()))
}

/// Writes a file that only its owner may read, durably and whole or not at all, and never replaces one.
///
/// # Errors
/// What the file system says.
pub fn write_secret(path: &Path, secret: impl AsRef<[u8]>) -> Result<(), KeyError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = |source| KeyError::File { path: path.to_owned(), source };
    let part = path.with_extension("part");
    let mut options = std::fs::OpenOptions::new();
    let mut f = options.write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(file)?;
    f.write_all(secret.as_ref()).and_then(|()| f.sync_all()).map_err(file)?;
    // Unlike a rename, a link never replaces what is there.
    let linked = std::fs::hard_link(&part, path);
    let removed = std::fs::remove_file(&part);
    linked.and(removed).map_err(file)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_only_for_its_own_person_and_region() {
        let dir = tempfile::tempdir().unwrap();
        KeyService::create(dir.path()).unwrap();
        let keys = KeyService::open(dir.path(), "set").unwrap();
        let (key, wrapped) = keys.new_person(&[1; 16]).unwrap();
        assert_eq!(keys.open_person(&[1; 16], &wrapped).unwrap(), key);
        assert!(keys.open_person(&[2; 16], &wrapped).is_err(), "another person's");
        let other = tempfile::tempdir().unwrap();
        KeyService::create(other.path()).unwrap();
        let other = KeyService::open(other.path(), "set").unwrap();
        assert!(other.open_person(&[1; 16], &wrapped).is_err(), "another region's");
        assert!(KeyService::create(dir.path()).is_err(), "a key is never replaced");
    }

    #[test]
    fn a_key_file_that_was_left_half_written_does_not_stand_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("region.part"), "0011").unwrap();
        KeyService::create(dir.path()).unwrap();
        KeyService::open(dir.path(), "set").unwrap();
        assert!(!dir.path().join("region.part").exists());
    }

    #[test]
    fn a_tag_is_that_of_its_day_whatever_was_asked_before() {
        let dir = tempfile::tempdir().unwrap();
        KeyService::create(dir.path()).unwrap();
        let keys = KeyService::open(dir.path(), "set").unwrap();
        let (key, _) = keys.new_person(&[1; 16]).unwrap();
        let tags = keys.person(&key).tags;
        for day in [7, 7, 8, 6, 7] {
            let tag = tags.clone().at(UnixSeconds::midnight(day));
            assert_eq!(tag, subject_tag(tags.secret(), "set", day));
        }
    }

    #[test]
    fn the_same_name_in_other_letters_is_the_same_person() {
        let dir = tempfile::tempdir().unwrap();
        KeyService::create(dir.path()).unwrap();
        let keys = KeyService::open(dir.path(), "set").unwrap();
        assert_eq!(keys.subject_id("Anna_K "), keys.subject_id("anna_k"));
        assert_ne!(keys.subject_id("anna_k"), keys.subject_id("anna_l"));
    }
}
