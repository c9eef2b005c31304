//! The keys of a region, and everything that comes from them.
//!
//! The region's key lies in a key service ([`RegionKeys`]): a sealed file, a token over PKCS#11, or OpenBao. It wraps one
//! root secret, from which all others are derived under labels that keep them apart, and each person's own key,
//! which is random: destroying its wrapped form turns everything under it into noise. The root secret is opened once and
//! stays in memory; people's keys are opened when they are needed and serve for a lease.
//!
//! Keys for pseudonyms and records never leave the region: nothing here is offered over a network.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::{hkdf, hmac};
use data_encoding::BASE64;
use ledger::SecretKey;
use ledger::detail::subject_tag;
use model::{ActorId, Name, SubjectId, Tag, UnixSeconds};
use tokio::runtime::{Handle, RuntimeFlavor};

use self::lease::Lease;
use crate::control::store::ControlKeys;

mod error;
mod files;
mod lease;
mod pseudonyms;
mod region;
pub mod rewrap;
pub mod sealed;
pub mod token;
pub mod transit;

pub use error::{Cause, KeyError};
pub use files::{SecretFile, read_seed, write_secret};
pub use lease::{Clock, Terms};
pub use region::{RegionKeys, Version};
pub use sealed::Sealed;
pub use token::Token;
pub use transit::Transit;

/// The file with the wrapped root secret.
const ROOT: &str = "root.wrapped";
const ROOT_TITLE: &str = "clover root v1";
const ROOT_CONTEXT: &[u8] = b"root";
/// How long a service that did not answer is left alone: whoever asks meanwhile is told at once.
const REST: Duration = Duration::from_secs(1);

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
    service: Arc<dyn RegionKeys>,
    root: SecretKey,
    actor: hmac::Key,
    pseudonyms: transform::pseudonym::Shared,
    lease: Lease,
    /// The newest version that was met.
    newest: AtomicU32,
    /// Until when the service is left alone, and what it said.
    down: Mutex<Option<(Duration, String)>>,
    /// Held while the key of an epoch is made, so that two crossings do not make two.
    making: Mutex<()>,
}

impl std::fmt::Debug for KeyService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyService(..)")
    }
}

/// How a key service fares, without asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `file`, `pkcs11` or `openbao`.
    pub service: &'static str,
    /// The newest version of the region's key that was met.
    pub version: u32,
    /// Why it did not answer, if it did not.
    pub down: Option<String>,
}

/// Time since the first call.
#[must_use]
pub fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || start.elapsed())
}

/// The passphrase that lies beside the sealed file.
#[must_use]
pub fn beside(folder: &Path) -> SecretFile {
    SecretFile { what: "passphrase", path: folder.join(sealed::BESIDE) }
}

impl KeyService {
    /// Makes a region key in a sealed file, with a random passphrase beside it, and the root secret. Explicit, never
    /// a side effect.
    ///
    /// # Errors
    /// [`KeyError`]; an existing key is never replaced.
    pub fn create(folder: &Path) -> Result<(), KeyError> {
        let passphrase = beside(folder);
        sealed::make_passphrase(&passphrase.path)?;
        Sealed::create(folder, &passphrase, sealed::Cost::RANDOM)?;
        Self::create_with(&Sealed::open(folder, passphrase)?, folder)
    }

    /// Makes the root secret, wrapped by a region key that is there.
    ///
    /// # Errors
    /// [`KeyError`]; an existing root secret is never replaced.
    pub fn create_with(service: &dyn RegionKeys, folder: &Path) -> Result<(), KeyError> {
        let mut root = [0; 32];
        random(&mut root)?;
        let wrapped = service.wrap(ROOT_CONTEXT, &SecretKey::new(root))?;
        write_secret(&folder.join(ROOT), root_text(&wrapped))
    }

    /// Opens the keys of a region in a sealed file whose passphrase lies beside it. `log_set` names the programme whose
    /// logs the tags belong to.
    ///
    /// # Errors
    /// [`KeyError`] when the key is not there or not a key.
    pub fn open(folder: &Path, log_set: &str) -> Result<Self, KeyError> {
        let service = Arc::new(Sealed::open(folder, beside(folder))?);
        Self::open_with(service, folder, log_set, Terms::default(), clock())
    }

    /// Opens the keys of a region.
    ///
    /// # Errors
    /// [`KeyError`] when the service does not open the root secret.
    pub fn open_with(
        service: Arc<dyn RegionKeys>,
        folder: &Path,
        log_set: &str,
        terms: Terms,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        let newest = service.versions()?.last().map_or(0, |version| version.number());
        let root = service.open(ROOT_CONTEXT, &read_root(folder)?)?;
        let actor = hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"actor tags").bytes());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let pseudonyms = pseudonyms::open_or_begin(service.as_ref(), folder, UnixSeconds(since.as_secs()))?;
        Ok(Self {
            folder: folder.to_owned(),
            log_set: log_set.into(),
            service,
            root,
            actor,
            pseudonyms,
            lease: Lease::new(terms, clock),
            newest: AtomicU32::new(newest),
            down: Mutex::default(),
            making: Mutex::default(),
        })
    }

    /// How the key service fares.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        let down = down.as_ref().map(|(_, why)| why.clone());
        Standing { service: self.service.service(), version: self.newest.load(Ordering::Acquire), down }
    }

    /// The key service itself.
    #[must_use]
    pub fn service(&self) -> &dyn RegionKeys {
        self.service.as_ref()
    }

    /// Asks the key service, unless it did not answer a moment ago.
    fn ask<T>(&self, run: impl FnOnce(&dyn RegionKeys) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let down = || self.down.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, why)) = down().as_ref()
            && self.lease.now() < *until
        {
            return Err(KeyError::Down { service: self.service.service(), source: why.clone().into() });
        }
        let answer = if self.service.waits() {
            waiting(|| run(self.service.as_ref()))
        } else {
            run(self.service.as_ref())
        };
        *down() = match &answer {
            Err(KeyError::Down { source, .. }) => {
                Some((self.lease.now().saturating_add(REST), source.to_string()))
            }
            _ => None,
        };
        answer
    }

    /// The handle of the person with this identity in an import (a user name). Keyed: without the region's
    /// keys nobody can tell.
    #[must_use]
    pub fn subject_id(&self, identity: &str) -> SubjectId {
        let key = hmac::Key::new(hmac::HMAC_SHA256, derive(&self.root, b"subject index").bytes());
        SubjectId::from_index(&short(hmac::sign(&key, identity.trim().to_lowercase().as_bytes()).as_ref()))
    }

    /// The tag of an actor.
    #[must_use]
    pub fn actor_tag(&self, actor: &ActorId) -> Tag {
        Tag::new(short(hmac::sign(&self.actor, actor.as_str().as_bytes()).as_ref()))
    }

    /// The tag of the operator, who brings people in.
    #[must_use]
    pub fn operator_tag(&self) -> Tag {
        Tag::new(short(hmac::sign(&self.actor, b"operator").as_ref()))
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

    /// By what a guard over one recipient's counts of a dataset knows a person: the same for as long as the region's key
    /// lives, in no entry, and another one for each recipient and dataset.
    #[must_use]
    pub fn guarded_tag(&self, recipient: &str, dataset: &Name, subject: &SubjectId) -> Tag {
        let mut context = hmac::Context::with_key(&self.actor);
        for part in ["guard", recipient, dataset.as_str()] {
            context.update(part.as_bytes());
            context.update(b"\0");
        }
        context.update(subject.as_str().as_bytes());
        Tag::new(short(context.sign().as_ref()))
    }

    /// Under which tag the people are found who have a value: an e-mail address, a telephone number, a user name. Keyed, and
    /// another one for each kind of value.
    #[must_use]
    pub fn lookup_tag(&self, kind: Lookup, value: &str) -> Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, derive(&self.root, b"lookups").bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(kind.word().as_bytes());
        context.update(b"\0");
        context.update(kind.normal(value).as_bytes());
        Tag::new(short(context.sign().as_ref()))
    }

    /// The keys of the control store's rows.
    #[must_use]
    pub fn control(&self) -> ControlKeys {
        ControlKeys::new(derive(&self.root, b"control rows"), &derive(&self.root, b"control names"))
    }

    /// The key that seals local accounts.
    pub(crate) fn accounts(&self) -> SecretKey {
        derive(&self.root, b"local accounts")
    }

    /// A new key for a person, and its wrapped form bound to their handle.
    ///
    /// # Errors
    /// [`KeyError`] when the service does not wrap it.
    pub fn new_person(&self, internal: &[u8; 16]) -> Result<(SecretKey, Vec<u8>), KeyError> {
        let mut key = [0; 32];
        random(&mut key)?;
        let key = SecretKey::new(key);
        let wrapped = self.ask(|service| service.wrap(&person_context(internal), &key))?;
        self.newest.fetch_max(Version::of(&wrapped)?.number(), Ordering::AcqRel);
        Ok((key, wrapped))
    }

    /// The key of a person from its wrapped form. One that was opened a moment ago is not asked for again.
    ///
    /// # Errors
    /// [`KeyError`] when it does not open, or the service does not answer.
    pub fn open_person(&self, internal: &[u8; 16], wrapped: &[u8]) -> Result<SecretKey, KeyError> {
        if let Some(key) = self.lease.held(internal, wrapped) {
            return Ok(key);
        }
        let asked = self.lease.asking();
        let key = self.ask(|service| service.open(&person_context(internal), wrapped))?;
        self.lease.hold(asked, internal, wrapped, &key);
        Ok(key)
    }

    /// Drops a person's key from memory, as when it was destroyed.
    pub fn forget(&self, internal: &[u8; 16]) {
        self.lease.forget(internal);
    }

    /// The wrapped form of a person's key under the newest version; `None` when it is that already.
    pub(crate) fn rewrap_person(
        &self,
        internal: &[u8; 16],
        wrapped: &[u8],
        newest: Version,
    ) -> Result<Option<Vec<u8>>, KeyError> {
        if Version::of(wrapped)? >= newest {
            return Ok(None);
        }
        let context = person_context(internal);
        self.ask(|service| service.wrap(&context, &service.open(&context, wrapped)?)).map(Some)
    }

    /// Puts the root secret under the newest version.
    pub(crate) fn rewrap_root(&self, newest: Version) -> Result<(), KeyError> {
        if Version::of(&read_root(&self.folder)?)? >= newest {
            return Ok(());
        }
        let wrapped = self.ask(|service| service.wrap(ROOT_CONTEXT, &self.root))?;
        // What was written is read again before the old version may go.
        files::replace_secret(&self.folder.join(ROOT), root_text(&wrapped))?;
        let opened = self.ask(|service| service.open(ROOT_CONTEXT, &read_root(&self.folder)?))?;
        if opened == self.root { Ok(()) } else { Err(KeyError::Wrapped) }
    }

    /// Makes a new version of the region's key, which wraps from then on.
    ///
    /// # Errors
    /// [`KeyError`]; then the newest is what it was.
    pub fn rotate(&self) -> Result<Version, KeyError> {
        let version = self.ask(|service| service.rotate())?;
        self.newest.fetch_max(version.number(), Ordering::AcqRel);
        Ok(version)
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
        self.person(&derive(&self.root, &label))
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
        let key = unseal(&derive(&self.root, b"epochs"), &epoch.to_be_bytes(), &sealed).ok()?;
        key.try_into().ok().map(SecretKey::new)
    }

    fn make_epoch(&self, epoch: u32, path: &Path) -> Result<SecretKey, KeyError> {
        let mut key = [0; 32];
        random(&mut key)?;
        let site = seal(&derive(&self.root, b"epochs"), &epoch.to_be_bytes(), &key)?;
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

/// What a person's wrapped key is bound to.
fn person_context(internal: &[u8; 16]) -> Vec<u8> {
    [&b"person\0"[..], internal].concat()
}

fn root_text(wrapped: &[u8]) -> String {
    format!("{ROOT_TITLE}\nwrapped {}\n", BASE64.encode(wrapped))
}

fn read_root(folder: &Path) -> Result<Vec<u8>, KeyError> {
    let path = folder.join(ROOT);
    let text =
        std::fs::read_to_string(&path).map_err(|source| KeyError::File { path: path.clone(), source })?;
    let line = text.strip_prefix(ROOT_TITLE).and_then(|rest| rest.strip_prefix("\nwrapped "));
    let wrapped = line.and_then(|line| BASE64.decode(line.strip_suffix('\n')?.as_bytes()).ok());
    wrapped.ok_or(KeyError::Form(path))
}

/// Waits for a service without keeping other tasks of this thread waiting.
fn waiting<T>(run: impl FnOnce() -> T) -> T {
    let several = Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
    if several { tokio::task::block_in_place(run) } else { run() }
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
