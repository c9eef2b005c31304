//! The rotation of a region's key: everything that older versions wrapped is wrapped by the newest, and then the older
//! ones are destroyed.
//!
//! It may be killed at any point and begun again: what is under the newest version already is passed over.
//!
//! INVARIANT: a version is retired only when nobody is left under it, durably, and by whoever has the store to itself with
//! nobody on the way into it: an import that wrapped a key before the rotation, and admits its person after the walk,
//! would lose them. Who comes later is wrapped by the newest version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::{KeyError, KeyService, Version, files};
use crate::records::{Person, RecordError, Records};

/// Says that people may be left under an older version: the next start goes on.
const MARK: &str = "rewrap";
/// People whose keys become durable together.
const TOGETHER: usize = 256;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrapped {
    /// The version that wraps everything now.
    pub version: Version,
    /// People whose keys it wrapped.
    pub people: usize,
    /// People whose keys do not open. While there are any, no version is retired.
    pub broken: usize,
    /// Whether everything is under the newest version and those before are destroyed.
    pub ended: bool,
}

/// What becomes of older versions that wrap nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// They are destroyed. The caller has the store to itself.
    Retire,
    /// They are destroyed if nobody else has the store and nobody is on the way into it. Otherwise they stay, and the
    /// rewrap is still due.
    IfSettled,
}

/// Whether a rotation was begun in this folder of keys and did not end.
#[must_use]
pub fn is_due(folder: &Path) -> bool {
    mark(folder).exists()
}

fn mark(folder: &Path) -> PathBuf {
    folder.join(MARK)
}

/// How many people's keys each version wraps.
///
/// # Errors
/// When the store refuses.
pub fn counts(records: &Records) -> Result<BTreeMap<Version, usize>, RecordError> {
    let mut counts = BTreeMap::new();
    for person in records.people() {
        // Who was erased between two looks has no key any more.
        if let Some(wrapped) = person?.wrapped() {
            *counts.entry(Version::of(wrapped)?).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Says that a rewrap is due: a running enclave takes it up, and a start ends it.
///
/// # Errors
/// When the file cannot be written.
pub fn begin(folder: &Path) -> Result<(), KeyError> {
    if is_due(folder) { Ok(()) } else { files::write_secret(&mark(folder), "due\n") }
}

/// Wraps everything by the newest version and retires those before. `each` is told how many people were looked at.
///
/// # Errors
/// When store or service refuse; begun again, it goes on.
pub fn run(
    records: &Records,
    keys: &KeyService,
    older: Older,
    mut each: impl FnMut(usize),
) -> Result<Rewrapped, RecordError> {
    let versions = keys.ask(|service| service.versions())?;
    let newest = *versions.last().ok_or(KeyError::Version(0))?;
    keys.newest.fetch_max(newest.number(), Ordering::AcqRel);
    begin(&keys.folder)?;
    keys.rewrap_root(newest)?;
    keys.rewrap_pseudonyms(newest)?;
    let mut done = Rewrapped { version: newest, people: 0, broken: 0, ended: false };
    let mut together = Vec::with_capacity(TOGETHER);
    for (looked, person) in records.people().enumerate() {
        let person = person?;
        let Some(wrapped) = person.wrapped() else { continue };
        match keys.rewrap_person(person.internal(), wrapped, newest) {
            Ok(Some(wrapped)) => together.push((person, wrapped)),
            Ok(None) => {}
            // A key that was damaged is not made worse, and keeps its version.
            Err(KeyError::Wrapped | KeyError::Version(_)) => done.broken += 1,
            Err(e) => return Err(e.into()),
        }
        if together.len() == TOGETHER {
            done.people += write(records, &mut together)?;
        }
        each(looked + 1);
    }
    done.people += write(records, &mut together)?;
    // Looked at behind the newest version's beginning, and before it is looked again who is left.
    if done.broken > 0 || (older == Older::IfSettled && !records.is_settled()) {
        return Ok(done);
    }
    // Nobody is left: this is looked at again, and not believed.
    let left = counts(records)?.into_keys().any(|version| version < newest);
    if let Some(old) = newest.before().filter(|_| !left && versions.len() > 1) {
        keys.ask(|service| service.retire(old))?;
    }
    if !left {
        let path = mark(&keys.folder);
        std::fs::remove_file(&path).map_err(|source| KeyError::File { path, source })?;
        done.ended = true;
    }
    Ok(done)
}

fn write(records: &Records, together: &mut Vec<(Person, Vec<u8>)>) -> Result<usize, RecordError> {
    let replaced = records.replace_wrapped(together)?;
    together.clear();
    Ok(replaced)
}
