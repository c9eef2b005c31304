//! The memory of what was cosigned. What is in it was signed, and what was signed is in it: the file is
//! durable before the answer leaves.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{request::AddCheckpoint, store::Head};
use crate::{
    checkpoint::Checkpoint,
    cosign::{CosignerKey, SigningKey},
    durable,
    hash::{Hash, sha256},
    note::{KeyError, open},
    tree::hex_of,
};

/// A note with 100 signatures is far shorter.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The folder of the last cosigned checkpoint of each log.
pub(crate) struct Signed {
    folder: PathBuf,
    temporary: PathBuf,
    /// Whose cosignatures may stand in the files.
    keys: Vec<CosignerKey>,
    slots: Mutex<HashMap<Hash, Arc<Slot>>>,
}

/// The last of one log; `None` before it was read. Whoever signs holds it from the comparison to the answer.
type Slot = Mutex<Option<Last>>;

#[derive(Clone)]
struct Last {
    head: Head,
    note: Vec<u8>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the last cosigned checkpoint has {0} entries")]
    Conflict(u64),
    #[error("the proof does not show that the checkpoint continues the last cosigned one")]
    Proof,
    #[error("the mirror's own record of what it signed is damaged")]
    Damaged,
    #[error("cannot write or read what was signed: {0}")]
    Io(#[from] io::Error),
}

impl Signed {
    pub(crate) fn open(folder: &Path, temporary: &Path, keys: &[&SigningKey]) -> Result<Self, KeyError> {
        let keys = keys.iter().map(|key| CosignerKey::parse(&key.vkey())).collect::<Result<_, _>>()?;
        let (folder, temporary) = (folder.to_owned(), temporary.to_owned());
        Ok(Self { folder, temporary, keys, slots: Mutex::new(HashMap::new()) })
    }

    /// How far a log was cosigned. It may read the disk.
    pub(crate) fn head(&self, origin: &str) -> Result<Head, SignError> {
        let slot = self.slot(&sha256(origin.as_bytes()));
        let mut last = slot.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.last(&mut last, &sha256(origin.as_bytes()))?.head)
    }

    /// The last cosigned note of the log whose origin has this SHA-256.
    pub(crate) fn note(&self, log: &Hash) -> Result<Option<Vec<u8>>, SignError> {
        // A stranger may ask for any hash: none of them takes memory.
        if !self.path(log).exists() {
            return Ok(None);
        }
        let slot = self.slot(log);
        let mut last = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let note = self.last(&mut last, log)?.note.clone();
        Ok(Some(note).filter(|note| !note.is_empty()))
    }

    /// Checks that a request continues what was cosigned, without signing.
    pub(crate) fn check(&self, request: &AddCheckpoint) -> Result<(), SignError> {
        let head = self.head(&request.checkpoint.origin)?;
        continues(request, &head)
    }

    /// Compares, signs and persists, with nobody in between, and returns the signature line.
    pub(crate) fn sign(
        &self,
        request: &AddCheckpoint,
        key: &SigningKey,
        time: u64,
    ) -> Result<String, SignError> {
        let log = sha256(request.checkpoint.origin.as_bytes());
        let slot = self.slot(&log);
        let mut last = slot.lock().unwrap_or_else(PoisonError::into_inner);
        continues(request, &self.last(&mut last, &log)?.head)?;
        let line = key.line(&request.text, time);
        let note = self.with_line(request, &line);
        // Until the disk has answered nothing is known: the next one reads it again.
        *last = None;
        durable::replace(&self.temporary, &self.path(&log), &note)?;
        let head = Head { size: request.checkpoint.size, root: request.checkpoint.root };
        *last = Some(Last { head, note });
        Ok(line)
    }

    /// The note with our line instead of whatever the asker says is ours.
    fn with_line(&self, request: &AddCheckpoint, line: &str) -> Vec<u8> {
        let whole = String::from_utf8_lossy(&request.note);
        let lines = whole.get(request.text.len()..).unwrap_or_default().split_inclusive('\n');
        let named = |line: &str| {
            line.split(' ').nth(1).is_some_and(|name| self.keys.iter().any(|key| key.name() == name))
        };
        let others: String = lines.filter(|line| !named(line)).collect();
        format!("{}{others}{line}", request.text).into_bytes()
    }

    fn slot(&self, log: &Hash) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(*log).or_default())
    }

    fn last<'l>(&self, last: &'l mut Option<Last>, log: &Hash) -> Result<&'l Last, SignError> {
        if last.is_none() {
            *last = Some(self.load(log)?);
        }
        last.as_ref().ok_or(SignError::Damaged)
    }

    fn load(&self, log: &Hash) -> Result<Last, SignError> {
        let path = self.path(log);
        let note = match fs::metadata(&path) {
            Ok(file) if file.len() > FILE_BYTES_MAX => return Err(SignError::Damaged),
            Ok(_) => fs::read(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Last { head: Head::empty(), note: Vec::new() });
            }
            Err(error) => return Err(error.into()),
        };
        let text = open(&note, &[]).map_err(|_| SignError::Damaged)?;
        let checkpoint = Checkpoint::read(text).map_err(|_| SignError::Damaged)?;
        // Our own signature says that we wrote it; a file of anybody else is no memory.
        let ours = |key: &CosignerKey| matches!(key.cosigned_at(&note), Ok(Some(_)));
        if !self.keys.iter().any(ours) || sha256(checkpoint.origin.as_bytes()) != *log {
            return Err(SignError::Damaged);
        }
        Ok(Last { head: Head { size: checkpoint.size, root: checkpoint.root }, note })
    }

    fn path(&self, log: &Hash) -> PathBuf {
        self.folder.join(hex_of(log))
    }
}

fn continues(request: &AddCheckpoint, head: &Head) -> Result<(), SignError> {
    if request.old != head.size {
        return Err(SignError::Conflict(head.size));
    }
    // An empty tree has one root only.
    let empty_is_true = request.checkpoint.size > 0 || request.checkpoint.root == Head::empty().root;
    if empty_is_true && request.continues(&head.root) { Ok(()) } else { Err(SignError::Proof) }
}
