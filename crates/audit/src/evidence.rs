//! Evidence packs: entries with everything that a stranger needs to check them offline (`docs/formats/evidence.md`).

mod build;
mod check;
mod proofs;
#[cfg(test)]
mod tests;
mod zip;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::{
    build::collect_evidence,
    check::{EvidenceReport, EvidenceTrust, verify_evidence},
};
use crate::{note::VerifierKey, sitelog::FolderError};

const FORMAT: &str = "clover evidence v1";
const MANIFEST: &str = "manifest.json";
const MANIFEST_NOTE: &str = "manifest.note";
const MANIFEST_FIRST_LINE: &str = "clover evidence manifest v1";
const README: &str = "README.txt";
const SITE_KEY: &str = "site/site.vkey";
const AUDITOR_KEY: &str = "auditor.vkey";
const SITE_CHECKPOINT: &str = "site/checkpoint";
/// Entries of one pack.
const ENTRIES_MAX: usize = 10_000;

/// What goes into a pack.
#[derive(Clone, Debug)]
pub struct EvidenceOptions {
    /// A mirror's folder.
    pub mirror: PathBuf,
    /// The key of the site log.
    pub site: VerifierKey,
    /// Which entries.
    pub selection: Selection,
    /// Files that go along in the folder `incident`: names and contents.
    pub attachments: Vec<(String, Vec<u8>)>,
}

/// Which entries go into a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// Origin of the gateway's log, and index.
    Entries(Vec<(String, u64)>),
    /// All entries of a day, counted from 1970-01-01 UTC, of all gateways, and the day's maps.
    Day(u64),
}

/// Why there is no pack, or a pack shows nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The mirror's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Nothing or too much was chosen.
    #[error("a pack holds 1 to 10000 entries, and `{0}` were chosen")]
    Count(usize),
    /// The whole is too long, or a file has a name that no pack has.
    #[error("no pack can be made of it: {0}")]
    Pack(String),
    /// The file is no pack.
    #[error("not an evidence pack: {0}")]
    Form(String),
    /// A file of the pack does not hold.
    #[error("`{path}`: {why}")]
    File {
        /// Its name in the pack.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl EvidenceError {
    fn file(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self::File { path: path.into(), why: why.into() }
    }
}

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    /// RFC 3339, by the auditor's clock.
    made: String,
    /// Origin of the site log.
    site: String,
    entries: Vec<Named>,
    /// SHA-256 of every file but the manifest and its note, in lower-case hexadecimal digits.
    files: BTreeMap<String, String>,
}

/// An entry of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    origin: String,
    index: u64,
    /// Its files begin so, and end in `.entry`, `.proof` and `.link`.
    path: String,
}

/// A link as it is written after it was read.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn link_again(file: &[u8]) -> Option<Vec<u8>> {
    proofs::Link::parse(file).map(|link| link.to_file())
}

/// Reads a pack: what is read is written again as it was.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn pack(file: &[u8]) {
    if let Ok(files) = zip::read(file) {
        assert!(zip::write(&files).is_ok_and(|again| again == file));
    }
    let _ = std::hint::black_box(verify_evidence(file, &EvidenceTrust::default()));
}
