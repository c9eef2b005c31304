//! What the operator signs about actors, one file each.
//!
//! A file counts only with the operator's signature, and only for the name it is asked by. What was read
//! serves for the second in which it was read, so a withdrawn file stops serving within one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use access::{Actor, TextError};
use ledger::note::{Note, Signer, Verifier};
use model::{ActorId, UnixSeconds};

use super::ControlError;

type Cached<T> = Mutex<HashMap<String, (UnixSeconds, Arc<T>)>>;

/// Most things remembered of one kind.
const REMEMBERED: usize = 10_000;

/// Signed notes of a folder.
pub struct Notes {
    folder: PathBuf,
    operator: Verifier,
    actors: Cached<Actor>,
}

impl Notes {
    /// The notes of a folder, signed by this key.
    #[must_use]
    pub fn new(folder: &Path, operator: Verifier) -> Self {
        Self { folder: folder.to_owned(), operator, actors: Mutex::default() }
    }

    /// What is on record about an actor.
    ///
    /// # Errors
    /// [`ControlError`] when nothing is that counts.
    pub fn actor(&self, id: &ActorId, now: UnixSeconds) -> Result<Arc<Actor>, ControlError> {
        self.get(&self.actors, "actor", id.as_str(), now, |text| {
            Actor::parse(text).map(|a| (a.id.as_str().to_owned(), a))
        })
    }

    fn get<T>(
        &self,
        cache: &Cached<T>,
        kind: &'static str,
        id: &str,
        now: UnixSeconds,
        parse: impl Fn(&str) -> Result<(String, T), TextError>,
    ) -> Result<Arc<T>, ControlError> {
        if let Ok(cache) = cache.lock()
            && let Some((at, value)) = cache.get(id)
            && *at == now
        {
            return Ok(Arc::clone(value));
        }
        let note = std::fs::read_to_string(path(&self.folder, kind, id)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => ControlError::Missing(kind),
            _ => ControlError::Io(e),
        })?;
        let note: Note = note.parse().map_err(|_| ControlError::Unsigned(kind))?;
        let verified =
            note.verify(std::slice::from_ref(&self.operator)).map_err(|_| ControlError::Unsigned(kind))?;
        let (name, value) = parse(verified.text()).map_err(|e| ControlError::Text(kind, e))?;
        if name != id {
            return Err(ControlError::OtherName(kind));
        }
        let value = Arc::new(value);
        if let Ok(mut cache) = cache.lock() {
            if cache.len() >= REMEMBERED {
                cache.clear();
            }
            cache.insert(id.to_owned(), (now, Arc::clone(&value)));
        }
        Ok(value)
    }
}

fn path(folder: &Path, kind: &str, id: &str) -> PathBuf {
    folder.join(format!("{kind}s")).join(format!("{id}.note"))
}

/// Writes a signed text under its name, replacing an older one.
///
/// # Errors
/// [`ControlError::Io`] when it cannot be written.
pub fn write(
    folder: &Path,
    kind: &'static str,
    id: &str,
    text: &str,
    operator: &Signer,
) -> Result<(), ControlError> {
    let mut note = Note::new(text).map_err(|_| ControlError::Unsigned(kind))?;
    note.add(operator.sign(text).map_err(|_| ControlError::Unsigned(kind))?);
    let path = path(folder, kind, id);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(ControlError::Io)?;
    }
    let part = path.with_extension("new");
    std::fs::write(&part, note.to_string()).map_err(ControlError::Io)?;
    std::fs::rename(&part, &path).map_err(ControlError::Io)
}
