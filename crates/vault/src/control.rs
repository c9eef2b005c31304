//! The control store of one machine: signed notes about actors, grants and cases, one file each.
//!
//! A file counts only with the operator's signature, and only for the name it is asked by. What was read
//! serves for the second in which it was read, so a withdrawn file stops serving within one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use access::{Actor, Case, Grant, TextError};
use ledger::note::{Note, Signer, Verifier};
use model::{ActorId, Explain, Name, UnixSeconds};

/// Why something in the control store does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no such file.
    #[error("no such {0} is on record")]
    Missing(&'static str),
    /// The file cannot be used.
    #[error("the control store refuses")]
    Io(#[source] std::io::Error),
    /// The signature is missing or another's.
    #[error("a {0} is not signed by the operator")]
    Unsigned(&'static str),
    /// The text is not what was asked for.
    #[error("a {0} cannot be read")]
    Text(&'static str, #[source] TextError),
    /// The file speaks of another name.
    #[error("a {0} stands under another name")]
    OtherName(&'static str),
}

impl Explain for ControlError {
    fn code(&self) -> &'static str {
        "CLV-0401"
    }
    fn fix(&self) -> &'static str {
        "issue it again with `clover actor`, `clover grant` or `clover case`"
    }
    fn public(&self) -> &'static str {
        "what the request refers to is not on record"
    }
}

type Cached<T> = Mutex<HashMap<String, (UnixSeconds, Arc<T>)>>;

/// Most things remembered of one kind.
const REMEMBERED: usize = 10_000;

/// The folder `control`.
pub struct Control {
    folder: PathBuf,
    operator: Verifier,
    actors: Cached<Actor>,
    grants: Cached<Grant>,
    cases: Cached<Case>,
}

impl Control {
    /// Uses a folder whose notes are signed by this key.
    #[must_use]
    pub fn new(folder: &Path, operator: Verifier) -> Self {
        let (actors, grants, cases) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { folder: folder.to_owned(), operator, actors, grants, cases }
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

    /// A grant by its name.
    ///
    /// # Errors
    /// [`ControlError`] when there is none that counts.
    pub fn grant(&self, id: &Name, now: UnixSeconds) -> Result<Arc<Grant>, ControlError> {
        self.get(&self.grants, "grant", id.as_str(), now, |text| {
            Grant::parse(text).map(|g| (g.id.as_str().to_owned(), g))
        })
    }

    /// A case by its number.
    ///
    /// # Errors
    /// [`ControlError`] when there is none that counts.
    pub fn case(&self, id: &Name, now: UnixSeconds) -> Result<Arc<Case>, ControlError> {
        self.get(&self.cases, "case", id.as_str(), now, |text| {
            Case::parse(text).map(|c| (c.id.as_str().to_owned(), c))
        })
    }

    /// The names under which something of a kind (`actor`, `grant`, `case`) lies here, sorted. Whether it counts is
    /// told by asking for it.
    ///
    /// # Errors
    /// [`ControlError::Io`] when the folder cannot be read.
    pub fn names(&self, kind: &str) -> Result<Vec<Name>, ControlError> {
        let entries = match std::fs::read_dir(self.folder.join(format!("{kind}s"))) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(ControlError::Io)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(ControlError::Io)?.file_name();
            let name = file.to_str().and_then(|name| name.strip_suffix(".note"));
            names.extend(name.and_then(|name| Name::parse(name).ok()));
        }
        names.sort();
        Ok(names)
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
