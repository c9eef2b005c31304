//! The epochs of pseudonyms: the secret of the oldest that is kept, wrapped by the region's key, and nothing before it.
//!
//! It is random and comes from no other key: what an epoch's end destroyed, the root secret does not bring back.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use data_encoding::BASE64;
use ledger::SecretKey;
use model::UnixSeconds;
use transform::pseudonym::{Calendar, Rotation, Shared};

use super::files::{replace_secret, write_secret};
use super::{KeyError, KeyService, RegionKeys, Version, random};

/// The file with the wrapped secret.
const FILE: &str = "pseudonyms.wrapped";
const TITLE: &str = "clover pseudonyms v1";

/// Epochs as the file has them, with the secret still wrapped.
struct Stored {
    oldest: u32,
    current: u32,
    began: u32,
    wrapped: Vec<u8>,
}

/// To what the wrapped secret is bound: the numbers beside it.
fn context(oldest: u32, current: u32, began: u32) -> Vec<u8> {
    format!("pseudonyms {oldest} {current} {began}").into_bytes()
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn read(folder: &Path) -> Result<Option<Stored>, KeyError> {
    let path = path(folder);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeyError::File { path, source }),
    };
    let parse = || {
        let rest = text.strip_prefix(TITLE)?.strip_prefix("\nepochs ")?;
        let (numbers, rest) = rest.split_once("\nwrapped ")?;
        let mut numbers = numbers.split(' ').map(|n| n.parse().ok());
        let mut next = || numbers.next().flatten();
        let (oldest, current, began) = (next()?, next()?, next()?);
        let wrapped = BASE64.decode(rest.strip_suffix('\n')?.as_bytes()).ok()?;
        Some(Stored { oldest, current, began, wrapped })
    };
    parse().map(Some).ok_or(KeyError::Form(path))
}

fn text(service: &dyn RegionKeys, calendar: &Calendar) -> Result<String, KeyError> {
    let (epochs, began) = (calendar.epochs(), calendar.began());
    let (oldest, current) = (epochs.oldest(), epochs.current());
    let wrapped = service.wrap(&context(oldest, current, began), &SecretKey::new(*epochs.secret()))?;
    Ok(format!("{TITLE}\nepochs {oldest} {current} {began}\nwrapped {}\n", BASE64.encode(&wrapped)))
}

fn open(service: &dyn RegionKeys, stored: &Stored, folder: &Path) -> Result<Calendar, KeyError> {
    let Stored { oldest, current, began, wrapped } = stored;
    let secret = service.open(&context(*oldest, *current, *began), wrapped)?;
    Calendar::restore(*oldest, *current, *began, *secret.bytes()).map_err(|_| KeyError::Form(path(folder)))
}

/// The stored epochs; the first begins on the day on which there were none.
pub(super) fn open_or_begin(
    service: &dyn RegionKeys,
    folder: &Path,
    now: UnixSeconds,
) -> Result<Shared, KeyError> {
    if read(folder)?.is_none() {
        let mut secret = [0; 32];
        random(&mut secret)?;
        match write_secret(&path(folder), text(service, &Calendar::begin(secret, now.day()))?) {
            // Another process was first, and its secret is the one.
            Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
            written => written?,
        }
    }
    let stored = read(folder)?.ok_or_else(|| KeyError::Form(path(folder)))?;
    Ok(Arc::new(RwLock::new(open(service, &stored, folder)?)))
}

/// Nobody else changes the file while this is held: what another process destroyed is not written back.
fn alone(folder: &Path) -> Result<std::fs::File, KeyError> {
    let path = folder.join("pseudonyms.lock");
    let cannot = |source| KeyError::File { path: path.clone(), source };
    let file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(cannot)?;
    file.lock().map_err(cannot)?;
    Ok(file)
}

impl KeyService {
    /// The calendar of pseudonyms, for all who decide in this process.
    #[must_use]
    pub fn pseudonyms(&self) -> Shared {
        Arc::clone(&self.pseudonyms)
    }

    /// Turns the epochs that have begun, and destroys the secrets of those whose retention has ended: first in the file,
    /// then in memory. True if it did anything. The caller knows that the clock is right: nothing is brought back.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing has changed, and whoever decides goes on with what there is.
    pub fn tend_pseudonyms(&self, rotation: Rotation, now: UnixSeconds) -> Result<bool, KeyError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let _alone = alone(&self.folder)?;
        let stored = read(&self.folder)?.ok_or_else(|| KeyError::Form(path(&self.folder)))?;
        // What lies there may be further on than we are: another process shares the folder.
        let mut calendar = self.ask(|service| open(service, &stored, &self.folder))?;
        let turned = calendar.tend(rotation, now.day()).map_err(|_| KeyError::Form(path(&self.folder)))?;
        if turned {
            let text = self.ask(|service| text(service, &calendar))?;
            replace_secret(&path(&self.folder), text)?;
        }
        *self.pseudonyms.write().unwrap_or_else(PoisonError::into_inner) = calendar;
        Ok(turned)
    }

    /// Puts the secret under the newest version of the region's key.
    pub(crate) fn rewrap_pseudonyms(&self, newest: Version) -> Result<(), KeyError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let _alone = alone(&self.folder)?;
        let Some(stored) = read(&self.folder)? else { return Ok(()) };
        if Version::of(&stored.wrapped)? >= newest {
            return Ok(());
        }
        let calendar = self.ask(|service| open(service, &stored, &self.folder))?;
        let text = self.ask(|service| text(service, &calendar))?;
        replace_secret(&path(&self.folder), text)?;
        // What was written is read again before the old version may go.
        let stored = read(&self.folder)?.ok_or_else(|| KeyError::Form(path(&self.folder)))?;
        let again = self.ask(|service| open(service, &stored, &self.folder))?;
        if again.epochs().secret() == calendar.epochs().secret() { Ok(()) } else { Err(KeyError::Wrapped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTATION: Rotation = Rotation { days: 30, kept: 1 };

    fn days_after(keys: &KeyService, days: u64) -> UnixSeconds {
        let began = keys.pseudonyms().read().unwrap().began();
        UnixSeconds((u64::from(began) + days) * 86_400)
    }

    #[test]
    fn an_epoch_that_ended_is_gone_from_memory_and_file_and_no_other_key_gives_it_again() {
        let dir = tempfile::tempdir().unwrap();
        KeyService::create(dir.path()).unwrap();
        let keys = KeyService::open(dir.path(), "set").unwrap();
        let of = |keys: &KeyService, epoch| keys.pseudonyms().read().unwrap().secret(epoch);
        let (first, later) = (of(&keys, 1).unwrap(), of(&keys, 4).unwrap());
        let now = days_after(&keys, 95);
        assert!(keys.tend_pseudonyms(ROTATION, now).unwrap());
        assert!(!keys.tend_pseudonyms(ROTATION, now).unwrap(), "nothing is due");
        assert_eq!((of(&keys, 1), of(&keys, 2), of(&keys, 4)), (None, None, Some(later.clone())));
        drop(keys);
        let again = KeyService::open(dir.path(), "set").unwrap();
        assert_eq!((of(&again, 2), of(&again, 4)), (None, Some(later)));
        assert!((3..200).all(|epoch| of(&again, epoch).is_some_and(|secret| secret != first)));
        let changed =
            std::fs::read_to_string(path(dir.path())).unwrap().replace("epochs 3 4 ", "epochs 2 4 ");
        std::fs::write(path(dir.path()), changed).unwrap();
        assert!(KeyService::open(dir.path(), "set").is_err(), "the numbers are bound to the secret");
    }

    #[test]
    fn a_rotation_of_the_regions_key_keeps_pseudonyms() {
        let dir = tempfile::tempdir().unwrap();
        KeyService::create(dir.path()).unwrap();
        let keys = KeyService::open(dir.path(), "set").unwrap();
        let before = keys.pseudonyms().read().unwrap().secret(1);
        let newest = keys.rotate().unwrap();
        keys.rewrap_root(newest).unwrap();
        keys.rewrap_pseudonyms(newest).unwrap();
        keys.service().retire(newest.before().unwrap()).unwrap();
        let again = KeyService::open(dir.path(), "set").unwrap();
        assert_eq!(again.pseudonyms().read().unwrap().secret(1), before);
    }
}
