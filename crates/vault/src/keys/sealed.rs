//! The key service of one machine: all versions of the region's key in one file, which a passphrase opens.
//!
//! The file tells a wrong passphrase from damage, and says nothing else. Its form: `docs/formats/keys.md`. What was
//! copied can be opened by whoever has the passphrase, and an older copy brings a retired version back: hardware and a
//! service do not have this weakness.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use argon2::{Algorithm, Argon2, Params};
use aws_lc_rs::{constant_time, digest, hmac};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use ledger::SecretKey;
use zeroize::Zeroizing;

use super::files::{SecretFile, replace_secret, write_secret};
use super::region::{RegionKeys, Version, Wrapped, bound};
use super::{KeyError, random, seal, unseal};

/// The name of the file in the folder of keys.
pub const FILE: &str = "region.sealed";
/// The name of a passphrase that `clover init` made up, beside it.
pub const BESIDE: &str = "region.passphrase";
const SERVICE: &str = "file";
const TITLE: &str = "clover region keys v1";
/// Longest file, and most versions in one.
const FILE_MAX: u64 = 1 << 20;
const VERSIONS_MAX: usize = 4096;

/// How much a passphrase is stretched by Argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl Cost {
    /// For what a person made up.
    pub const PERSON: Self = Self { memory_kib: 64 << 10, passes: 3 };
    /// For 32 random bytes, which nobody can guess: no more than the form asks for.
    pub const RANDOM: Self = Self { memory_kib: 1 << 10, passes: 1 };
    /// What is read from a file must not take all memory.
    const MAX: Self = Self { memory_kib: 1 << 20, passes: 16 };
}

/// The sealed file of a region.
pub struct Sealed {
    path: PathBuf,
    secret: SecretFile,
    read: RwLock<Opened>,
}

/// The file as it was read.
struct Opened {
    text: String,
    cost: Cost,
    salt: [u8; 16],
    /// The passphrase, stretched.
    master: SecretKey,
    keys: BTreeMap<Version, SecretKey>,
}

/// A passphrase of 32 random bytes for a file of its own.
///
/// # Errors
/// [`KeyError`]; one that is there is not replaced.
pub fn make_passphrase(path: &Path) -> Result<(), KeyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(&mut bytes[..])?;
    let text = Zeroizing::new(BASE64URL_NOPAD.encode(&bytes[..]) + "\n");
    write_secret(path, text.as_bytes())
}

impl Sealed {
    /// Makes the file with a first version. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`KeyError`]; a file that is there is not replaced.
    pub fn create(folder: &Path, secret: &SecretFile, cost: Cost) -> Result<(), KeyError> {
        let keys = BTreeMap::from([(Version::FIRST, fresh()?)]);
        write_secret(&folder.join(FILE), Opened::seal(&secret.read()?, cost, keys)?.text)
    }

    /// Opens the file of a folder.
    ///
    /// # Errors
    /// [`KeyError::Secret`] when the passphrase is another one, [`KeyError::Damaged`] when the file was changed.
    pub fn open(folder: &Path, secret: SecretFile) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        let read = RwLock::new(read(&path, &secret)?);
        Ok(Self { path, secret, read })
    }

    /// Seals the file by another passphrase.
    ///
    /// # Errors
    /// [`KeyError`]; then the old one still opens it.
    pub fn reseal(&self, secret: &SecretFile, cost: Cost) -> Result<(), KeyError> {
        self.change(|opened| {
            *opened = Opened::seal(&secret.read()?, cost, std::mem::take(&mut opened.keys))?;
            Ok(())
        })
    }

    /// Changes the file, under a lock against other processes.
    fn change<T>(&self, how: impl FnOnce(&mut Opened) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let file = |source| KeyError::File { path: self.path.clone(), source };
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = lock.open(self.path.with_extension("lock")).map_err(file)?;
        lock.lock().map_err(file)?;
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        let mut now = read_again(&self.path, &self.secret, &read)?;
        let done = how(&mut now)?;
        now.text = now.write()?;
        replace_secret(&self.path, &now.text)?;
        *read = now;
        Ok(done)
    }

    /// The key of a version; the file is read again when another process may have made it.
    fn key(&self, version: Version) -> Result<SecretKey, KeyError> {
        {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(key) = read.keys.get(&version) {
                return Ok(key.clone());
            }
        }
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        *read = read_again(&self.path, &self.secret, &read)?;
        read.keys.get(&version).cloned().ok_or(KeyError::Version(version.number()))
    }
}

impl RegionKeys for Sealed {
    fn service(&self) -> &'static str {
        SERVICE
    }

    fn waits(&self) -> bool {
        false
    }

    fn versions(&self) -> Result<Vec<Version>, KeyError> {
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        *read = read_again(&self.path, &self.secret, &read)?;
        Ok(read.keys.keys().copied().collect())
    }

    fn wrap(&self, context: &[u8], key: &SecretKey) -> Result<Vec<u8>, KeyError> {
        let newest = {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            read.keys.last_key_value().map(|(version, key)| (*version, key.clone()))
        };
        let (version, region) = newest.ok_or_else(|| KeyError::Form(self.path.clone()))?;
        let body = seal(&region, &bound(context), key.bytes())?;
        Wrapped::write(version, &body).ok_or(KeyError::Wrapped)
    }

    fn open(&self, context: &[u8], wrapped: &[u8]) -> Result<SecretKey, KeyError> {
        let wrapped = Wrapped::read(wrapped)?;
        let key = Zeroizing::new(unseal(&self.key(wrapped.version)?, &bound(context), &wrapped.body)?);
        key.as_slice().try_into().map(SecretKey::new).map_err(|_| KeyError::Wrapped)
    }

    fn rotate(&self) -> Result<Version, KeyError> {
        self.change(|opened| {
            let next = opened.keys.last_key_value().and_then(|(newest, _)| newest.next());
            let next = next.filter(|_| opened.keys.len() < VERSIONS_MAX);
            let why = || KeyError::Refused { service: SERVICE, why: "it holds too many versions".to_owned() };
            let next = next.ok_or_else(why)?;
            opened.keys.insert(next, fresh()?);
            Ok(next)
        })
    }

    fn retire(&self, through: Version) -> Result<(), KeyError> {
        self.change(|opened| {
            if opened.keys.last_key_value().is_none_or(|(newest, _)| *newest <= through) {
                return Err(KeyError::Newest(through.number()));
            }
            opened.keys.retain(|version, _| *version > through);
            Ok(())
        })
    }
}

fn fresh() -> Result<SecretKey, KeyError> {
    let mut key = [0; 32];
    random(&mut key)?;
    Ok(SecretKey::new(key))
}

fn content(path: &Path) -> Result<String, KeyError> {
    let file = |source| KeyError::File { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(file)?.len() > FILE_MAX {
        return Err(KeyError::Form(path.to_owned()));
    }
    let bytes = std::fs::read(path).map_err(file)?;
    String::from_utf8(bytes).map_err(|_| KeyError::Damaged(path.to_owned()))
}

fn read(path: &Path, secret: &SecretFile) -> Result<Opened, KeyError> {
    let text = content(path)?;
    let parts = Parts::of(&text, path)?;
    let master = stretch(&secret.read()?, parts.cost, &parts.salt)?;
    parts.open(master, &text, path)?.ok_or_else(|| secret.wrong())
}

/// Reads the file again. The passphrase is asked for only if it may be another one.
fn read_again(path: &Path, secret: &SecretFile, before: &Opened) -> Result<Opened, KeyError> {
    let text = content(path)?;
    let parts = Parts::of(&text, path)?;
    if parts.salt == before.salt && parts.cost == before.cost {
        let opened = parts.open(before.master.clone(), &text, path)?;
        return opened.ok_or_else(|| KeyError::Damaged(path.to_owned()));
    }
    read(path, secret)
}

/// A file's lines, whole by their digest.
struct Parts<'t> {
    cost: Cost,
    salt: [u8; 16],
    check: Vec<u8>,
    /// What the seal is bound to.
    head: &'t str,
    sealed: Vec<u8>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str, path: &Path) -> Result<Self, KeyError> {
        if !text.starts_with(TITLE) {
            return Err(KeyError::Form(path.to_owned()));
        }
        Self::whole(text).ok_or_else(|| KeyError::Damaged(path.to_owned()))
    }

    fn whole(text: &'t str) -> Option<Self> {
        let (body, last) = text.split_at_checked(text.rfind("digest ")?)?;
        if last
            != format!(
                "digest {}\n",
                HEXLOWER.encode(digest::digest(&digest::SHA256, body.as_bytes()).as_ref())
            )
        {
            return None;
        }
        let (head, sealed) = body.split_at_checked(body.find("sealed ")?)?;
        let mut lines = head.strip_suffix('\n')?.split('\n');
        let title = lines.next()?;
        let (cost, salt, check) = (lines.next()?, lines.next()?, lines.next()?);
        let (memory, passes) = cost.strip_prefix("argon2id ")?.split_once(' ')?;
        let cost = Cost { memory_kib: memory.parse().ok()?, passes: passes.parse().ok()? };
        let bounded = cost.memory_kib <= Cost::MAX.memory_kib && cost.passes <= Cost::MAX.passes;
        let salt = BASE64.decode(salt.strip_prefix("salt ")?.as_bytes()).ok()?.try_into().ok()?;
        let check = HEXLOWER.decode(check.strip_prefix("check ")?.as_bytes()).ok()?;
        let sealed = sealed.strip_prefix("sealed ")?.strip_suffix('\n')?;
        let sealed = BASE64.decode(sealed.as_bytes()).ok()?;
        (title == TITLE && lines.next().is_none() && bounded).then_some(Self {
            cost,
            salt,
            check,
            head,
            sealed,
        })
    }

    /// `None` when the passphrase is another one.
    fn open(&self, master: SecretKey, text: &str, path: &Path) -> Result<Option<Opened>, KeyError> {
        if constant_time::verify_slices_are_equal(&check(&master), &self.check).is_err() {
            return Ok(None);
        }
        let damaged = || KeyError::Damaged(path.to_owned());
        let plain = unseal(&master, self.head.as_bytes(), &self.sealed).map_err(|_| damaged())?;
        let keys = keys(&Zeroizing::new(plain)).ok_or_else(damaged)?;
        Ok(Some(Opened { text: text.to_owned(), cost: self.cost, salt: self.salt, master, keys }))
    }
}

/// Versions and their keys, in ascending order.
fn keys(plain: &[u8]) -> Option<BTreeMap<Version, SecretKey>> {
    let (records, rest) = plain.as_chunks::<36>();
    let mut keys = BTreeMap::new();
    for record in records {
        let (number, key) = record.split_first_chunk::<4>()?;
        let version = Version::new(u32::from_be_bytes(*number))?;
        let ascending = keys.last_key_value().is_none_or(|(last, _)| *last < version);
        if !ascending {
            return None;
        }
        keys.insert(version, SecretKey::new(key.try_into().ok()?));
    }
    (rest.is_empty() && !keys.is_empty()).then_some(keys)
}

impl Opened {
    fn seal(secret: &str, cost: Cost, keys: BTreeMap<Version, SecretKey>) -> Result<Self, KeyError> {
        let mut salt = [0; 16];
        random(&mut salt)?;
        let master = stretch(secret, cost, &salt)?;
        let mut opened = Self { text: String::new(), cost, salt, master, keys };
        opened.text = opened.write()?;
        Ok(opened)
    }

    fn write(&self) -> Result<String, KeyError> {
        let head = format!(
            "{TITLE}\nargon2id {} {}\nsalt {}\ncheck {}\n",
            self.cost.memory_kib,
            self.cost.passes,
            BASE64.encode(&self.salt),
            HEXLOWER.encode(&check(&self.master)),
        );
        let mut plain = Zeroizing::new(Vec::new());
        for (version, key) in &self.keys {
            plain.extend_from_slice(&version.number().to_be_bytes());
            plain.extend_from_slice(key.bytes());
        }
        let sealed = seal(&self.master, head.as_bytes(), &plain)?;
        let body = format!("{head}sealed {}\n", BASE64.encode(&sealed));
        let digest = digest::digest(&digest::SHA256, body.as_bytes());
        Ok(format!("{body}digest {}\n", HEXLOWER.encode(digest.as_ref())))
    }
}

/// Tells whether a passphrase is the right one, which the cipher alone does not.
fn check(master: &SecretKey) -> [u8; 16] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, master.bytes());
    hmac::sign(&key, b"clover region keys check").as_ref().first_chunk().copied().unwrap_or([0; 16])
}

fn stretch(secret: &str, cost: Cost, salt: &[u8; 16]) -> Result<SecretKey, KeyError> {
    let refused =
        || KeyError::Refused { service: SERVICE, why: "its cost of Argon2id cannot be used".to_owned() };
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(|_| refused())?;
    let mut out = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon.hash_password_into(secret.as_bytes(), salt, &mut out[..]).map_err(|_| refused())?;
    Ok(SecretKey::new(*out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, SecretFile) {
        let dir = tempfile::tempdir().unwrap();
        let secret = SecretFile { what: "passphrase", path: dir.path().join(BESIDE) };
        make_passphrase(&secret.path).unwrap();
        Sealed::create(dir.path(), &secret, Cost::RANDOM).unwrap();
        (dir, secret)
    }

    #[test]
    fn a_wrong_passphrase_is_told_from_every_damage_of_the_file() {
        let (dir, secret) = made();
        let path = dir.path().join(FILE);
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(7).chain([good.len() - 2]) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let error = Sealed::open(dir.path(), secret.clone()).err().expect("a flipped bit is found");
            assert!(matches!(error, KeyError::Damaged(_) | KeyError::Form(_)), "{at}: {error}");
        }
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert!(matches!(Sealed::open(dir.path(), secret.clone()), Err(KeyError::Damaged(_))), "cut off");
        std::fs::write(&path, &good).unwrap();
        let other = SecretFile { what: "passphrase", path: dir.path().join("other") };
        make_passphrase(&other.path).unwrap();
        let error = Sealed::open(dir.path(), other.clone()).err().unwrap();
        assert!(matches!(error, KeyError::Secret { .. }), "{error}");
        let said = std::fs::read_to_string(&other.path).unwrap();
        assert!(!format!("{error:?} {error}").contains(said.trim()), "no secret is named");
        Sealed::open(dir.path(), secret).unwrap();
    }

    #[test]
    fn a_file_sealed_again_opens_by_the_new_passphrase_alone() {
        let (dir, old) = made();
        let keys = Sealed::open(dir.path(), old.clone()).unwrap();
        let wrapped = keys.wrap(b"a", &SecretKey::new([7; 32])).unwrap();
        let new = SecretFile { what: "passphrase", path: dir.path().join("new") };
        make_passphrase(&new.path).unwrap();
        keys.reseal(&new, Cost::RANDOM).unwrap();
        assert!(matches!(Sealed::open(dir.path(), old), Err(KeyError::Secret { .. })));
        let keys = Sealed::open(dir.path(), new).unwrap();
        assert_eq!(keys.open(b"a", &wrapped).unwrap(), SecretKey::new([7; 32]));
    }

    #[test]
    fn what_another_process_rotated_is_read_when_it_is_met() {
        let (dir, secret) = made();
        let [one, two] = [0, 1].map(|_| Sealed::open(dir.path(), secret.clone()).unwrap());
        let second = one.rotate().unwrap();
        let wrapped = one.wrap(b"a", &SecretKey::new([7; 32])).unwrap();
        assert_eq!(Version::of(&wrapped).unwrap(), second);
        assert_eq!(two.open(b"a", &wrapped).unwrap(), SecretKey::new([7; 32]));
        assert_eq!(two.rotate().unwrap().number(), 3, "no version is made twice");
        assert_eq!(one.versions().unwrap().len(), 3);
    }

    #[test]
    fn a_passphrase_that_everybody_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, secret) = made();
        std::fs::set_permissions(&secret.path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Sealed::open(dir.path(), secret).err().unwrap();
        assert!(matches!(error, KeyError::File { .. }), "{error}");
    }
}
