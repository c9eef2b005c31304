//! Evidence: sealed before anything is deleted, and deleted only under the auditor's mark on that very seal.
//!
//! The mark is a signed note over incident, act and manifest. Deleting checks each file against the manifest again: what
//! changed since needs a new seal and a new mark. It leaves a certificate, signed by the operator.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use ledger::note::{Note, Signer, Verifier};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::error::ResidencyError;
use crate::files;
use crate::incident::{Act, Incident, Incidents, Line, digest};

/// What the auditor lets be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// The sealed evidence may be deleted.
    Delete,
    /// The incident may be closed.
    Close,
}

impl Allowed {
    const fn word(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Close => "close",
        }
    }
}

/// Who has a part in it.
#[derive(Clone, Copy)]
pub struct Parties<'a> {
    /// The programme's name.
    pub programme: &'a str,
    /// The auditor's public key.
    pub auditor: &'a Verifier,
    /// The operator's key, for certificates.
    pub operator: &'a Signer,
}

/// What the evidence is, before anybody touches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this form.
    pub version: u32,
    /// The programme.
    pub programme: String,
    /// The incident.
    pub incident: String,
    /// When it was sealed, in seconds since 1970.
    pub sealed: u64,
    /// The files.
    pub files: Vec<Evidence>,
    /// All that happened to the incident before: when it was found first, by what, and what followed.
    pub history: Vec<Line>,
}

/// One file of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Who may do what with it.
    pub mode: u32,
    /// Its owner and group.
    pub owner: (u32, u32),
    /// When it was last read, as far as the file system says, in seconds since 1970.
    pub accessed: i64,
    /// When its bytes last changed.
    pub modified: i64,
    /// When anything of it last changed, its owner and rights included.
    pub changed: i64,
    /// Programs that had it open at this moment, by process and name.
    pub open_in: Vec<String>,
    /// The copy that was kept in the enclave's folder.
    pub kept: Option<PathBuf>,
}

/// A sealed manifest and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// What the auditor marks.
    pub digest: String,
    /// Where the manifest lies.
    pub path: PathBuf,
    /// What it says.
    pub manifest: Manifest,
}

/// Seals the evidence of an incident, with a copy of each file kept in the enclave's folder if asked for.
///
/// # Errors
/// When a file cannot be read whole, or nothing can be written.
pub fn seal(folder: &Path, programme: &str, id: &str, keep: bool, now: u64) -> Result<Seal, ResidencyError> {
    // Reading may take hours: the log is not held meanwhile, for the watch writes into it.
    let incident = open_incident(&Incidents::open(folder)?, id)?;
    let mut evidence = Vec::new();
    if let Some(file) = &incident.found.file {
        let kept = keep.then(|| folder.join("evidence").join(id));
        evidence.push(look(file, kept.as_deref())?);
    }
    let mut incidents = Incidents::open(folder)?;
    open_incident(&incidents, id)?;
    let manifest = Manifest {
        version: 1,
        programme: programme.to_owned(),
        incident: id.to_owned(),
        sealed: now,
        files: evidence,
        history: incidents.history(id).cloned().collect(),
    };
    let bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| unsealed(id, &e.to_string()))?;
    let digest = digest(&bytes);
    let path = manifest_path(folder, id, &digest);
    files::replace_secret(&path, &bytes)?;
    incidents.append(id, Act::Sealed { manifest: digest.clone() }, now)?;
    Ok(Seal { digest, path, manifest })
}

/// The text that the auditor signs.
#[must_use]
pub fn mark_text(programme: &str, incident: &str, allowed: Allowed, manifest: Option<&str>) -> String {
    let (act, manifest) = (allowed.word(), manifest.unwrap_or("none"));
    format!(
        "clover/residency-mark v1\nprogramme {programme}\nincident {incident}\nact {act}\nmanifest {manifest}\n"
    )
}

/// Deletes the sealed files of an incident, and writes the certificate. Returns where that lies.
///
/// # Errors
/// [`ResidencyError::Seal`] when they are not sealed, or are no longer what was sealed; [`ResidencyError::Mark`] without
/// the auditor's mark on that seal. Then nothing was deleted.
pub fn delete(
    folder: &Path,
    parties: Parties<'_>,
    id: &str,
    mark: &str,
    now: u64,
) -> Result<PathBuf, ResidencyError> {
    let Parties { programme, auditor, operator } = parties;
    let incident = open_incident(&Incidents::open(folder)?, id)?;
    let sealed = incident.sealed.clone().ok_or_else(|| unsealed(id, "its evidence was not sealed"))?;
    let path = manifest_path(folder, id, &sealed);
    let bytes = std::fs::read(&path).map_err(ResidencyError::file(&path))?;
    if digest(&bytes) != sealed {
        return Err(unsealed(id, "its manifest was changed after it was sealed"));
    }
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|_| unsealed(id, "its manifest cannot be read"))?;
    check_mark(mark, auditor, id, &mark_text(programme, id, Allowed::Delete, Some(&sealed)))?;
    if manifest.files.is_empty() {
        return Err(unsealed(id, "it is about no file: end it where it is, and have the incident closed"));
    }
    // All are looked at before the first goes.
    for evidence in &manifest.files {
        let now = look(&evidence.path, None)?;
        if (&now.sha256, now.bytes) != (&evidence.sha256, evidence.bytes) {
            return Err(unsealed(id, "a file is no longer what was sealed"));
        }
    }
    let mut incidents = Incidents::open(folder)?;
    if open_incident(&incidents, id)?.sealed.as_ref() != Some(&sealed) {
        return Err(unsealed(id, "it was sealed anew meanwhile"));
    }
    let mut text = format!(
        "clover/residency-certificate v1\nprogramme {programme}\nincident {id}\nmanifest {sealed}\nmark {}\ntime {now}\n",
        digest(mark.as_bytes())
    );
    for evidence in &manifest.files {
        let gone = std::fs::remove_file(&evidence.path).and_then(|()| files::sync_folder(&evidence.path));
        gone.map_err(ResidencyError::file(&evidence.path))?;
        let path = serde_json::to_string(&evidence.path).map_err(|e| unsealed(id, &e.to_string()))?;
        text.push_str(&format!("deleted {} {} {path}\n", evidence.sha256, evidence.bytes));
    }
    let certificate =
        signed(operator, &text).ok_or_else(|| unsealed(id, "the certificate cannot be signed"))?;
    let path = folder.join("certificates").join(format!("{id}.note"));
    files::replace_secret(&path, certificate.as_bytes())?;
    let (mark, certificate) = (digest(mark.as_bytes()), digest(certificate.as_bytes()));
    incidents.append(id, Act::Deleted { manifest: sealed, mark, certificate }, now)?;
    Ok(path)
}

/// Closes an incident under the auditor's mark.
///
/// # Errors
/// [`ResidencyError::Mark`] without it.
pub fn close(
    folder: &Path,
    parties: Parties<'_>,
    id: &str,
    mark: &str,
    now: u64,
) -> Result<(), ResidencyError> {
    let Parties { programme, auditor, .. } = parties;
    let mut incidents = Incidents::open(folder)?;
    let sealed = open_incident(&incidents, id)?.sealed;
    check_mark(mark, auditor, id, &mark_text(programme, id, Allowed::Close, sealed.as_deref()))?;
    incidents.append(id, Act::Closed { mark: digest(mark.as_bytes()) }, now)
}

/// A signed note of a text.
#[must_use]
pub fn signed(signer: &Signer, text: &str) -> Option<String> {
    let mut note = Note::new(text).ok()?;
    note.add(signer.sign(text).ok()?);
    Some(note.to_string())
}

fn check_mark(mark: &str, auditor: &Verifier, id: &str, wanted: &str) -> Result<(), ResidencyError> {
    let refused = |why: &str| ResidencyError::Mark { incident: id.to_owned(), why: why.to_owned() };
    let note: Note = mark.parse().map_err(|_| refused("it is no signed note"))?;
    let verified =
        note.verify(std::slice::from_ref(auditor)).map_err(|_| refused("the auditor did not sign it"))?;
    if verified.text() == wanted {
        Ok(())
    } else {
        Err(refused("it is about another programme, incident, act or seal"))
    }
}

fn open_incident(incidents: &Incidents, id: &str) -> Result<Incident, ResidencyError> {
    let incident = incidents.get(id)?;
    if incident.is_closed { Err(unsealed(id, "it is closed")) } else { Ok(incident.clone()) }
}

fn manifest_path(folder: &Path, id: &str, digest: &str) -> PathBuf {
    folder.join("seals").join(format!("{id}-{}.json", digest.get(..16).unwrap_or(digest)))
}

fn unsealed(incident: &str, why: &str) -> ResidencyError {
    ResidencyError::Seal { incident: incident.to_owned(), why: why.to_owned() }
}

/// Reads a file whole, and keeps a copy if a folder for it is given.
fn look(path: &Path, keep: Option<&Path>) -> Result<Evidence, ResidencyError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let open = || std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let read = || {
        // Before it is read, so that this look is not the last that is seen.
        let before = std::fs::symlink_metadata(path)?;
        let mut file = open()?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let (sha256, bytes) = hashed(&mut file, &mut io::sink())?;
        Ok((before, sha256, bytes))
    };
    let (before, sha256, bytes) = read().map_err(ResidencyError::file(path))?;
    let kept = keep.map(|folder| folder.join(&sha256));
    if let Some(kept) = &kept {
        files::folder(kept.parent().unwrap_or(kept))?;
        let copy = || {
            let mut to =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o400).open(kept)?;
            let copied = hashed(&mut open()?, &mut to)?;
            to.sync_all()?;
            if copied.0 == sha256 {
                Ok(())
            } else {
                Err(io::Error::other("the file changes while it is copied"))
            }
        };
        if !kept.exists() {
            copy().map_err(ResidencyError::file(kept))?;
        }
    }
    Ok(evidence(path, &before, sha256, bytes, kept))
}

fn evidence(path: &Path, before: &Metadata, sha256: String, bytes: u64, kept: Option<PathBuf>) -> Evidence {
    Evidence {
        path: path.to_owned(),
        sha256,
        bytes,
        mode: before.mode(),
        owner: (before.uid(), before.gid()),
        accessed: before.atime(),
        modified: before.mtime(),
        changed: before.ctime(),
        open_in: open_in(before),
        kept,
    }
}

fn hashed(file: &mut File, to: &mut dyn io::Write) -> io::Result<(String, u64)> {
    let (mut context, mut piece, mut bytes) = (Context::new(&SHA256), vec![0; 256 << 10], 0);
    loop {
        let n = file.read(&mut piece)?;
        let read = piece.get(..n).unwrap_or_default();
        if read.is_empty() {
            return Ok((HEXLOWER.encode(context.finish().as_ref()), bytes));
        }
        context.update(read);
        to.write_all(read)?;
        bytes += n as u64;
    }
}

/// Processes that have a file open, as far as this user may see.
fn open_in(of: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = process.file_name().to_string_lossy().into_owned();
        if !number.bytes().all(|b| b.is_ascii_digit()) || number == std::process::id().to_string() {
            continue;
        }
        let handles = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let same = |m: Metadata| (m.dev(), m.ino()) == (of.dev(), of.ino());
        if handles.into_iter().any(|h| std::fs::metadata(h.path()).is_ok_and(same)) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(format!("{number} {}", name.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Found;

    struct Case {
        dir: tempfile::TempDir,
        file: PathBuf,
        auditor: Signer,
        operator: Signer,
        id: String,
    }

    impl Case {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("chat.log");
            std::fs::write(&file, "somebody's data").unwrap();
            let signer = |name: &str, seed| Signer::from_seed(name, &[seed; 32]).unwrap();
            let found = Found {
                source: "sweep".to_owned(),
                key: "chat.log".to_owned(),
                text: "a canary".to_owned(),
                file: Some(file.clone()),
            };
            let id = Incidents::open(&dir.path().join("residency"))
                .unwrap()
                .observe("sweep", &[found], 72, 5)
                .unwrap()[0]
                .id
                .clone();
            Self { dir, file, auditor: signer("p/auditor", 1), operator: signer("p/operator", 2), id }
        }

        fn folder(&self) -> PathBuf {
            self.dir.path().join("residency")
        }

        fn parties(&self) -> Parties<'_> {
            Parties { programme: "p", auditor: self.auditor.verifier(), operator: &self.operator }
        }

        fn seal(&self) -> Seal {
            seal(&self.folder(), "p", &self.id, true, 10).unwrap()
        }

        fn mark(&self, by: &Signer, allowed: Allowed, manifest: Option<&str>) -> String {
            signed(by, &mark_text("p", &self.id, allowed, manifest)).unwrap()
        }

        fn delete(&self, mark: &str) -> Result<PathBuf, ResidencyError> {
            delete(&self.folder(), self.parties(), &self.id, mark, 20)
        }

        fn close(&self, mark: &str) -> Result<(), ResidencyError> {
            close(&self.folder(), self.parties(), &self.id, mark, 30)
        }
    }

    #[test]
    fn nothing_is_deleted_without_a_seal() {
        let case = Case::new();
        let mark = case.mark(&case.auditor, Allowed::Delete, None);
        assert!(matches!(case.delete(&mark), Err(ResidencyError::Seal { .. })));
        assert!(case.file.exists());
    }

    #[test]
    fn nothing_is_deleted_without_the_auditors_mark_on_this_very_seal() {
        let case = Case::new();
        let seal = case.seal();
        let digest = Some(seal.digest.as_str());
        for mark in [
            String::new(),
            case.mark(&case.operator, Allowed::Delete, digest),
            case.mark(&case.auditor, Allowed::Close, digest),
            case.mark(&case.auditor, Allowed::Delete, Some("00")),
            case.mark(&case.auditor, Allowed::Delete, digest).replace("incident ", "incident 0"),
            signed(&case.auditor, &mark_text("q", &case.id, Allowed::Delete, digest)).unwrap(),
        ] {
            assert!(matches!(case.delete(&mark), Err(ResidencyError::Mark { .. })), "{mark}");
        }
        assert!(case.file.exists());
    }

    #[test]
    fn what_changed_after_its_seal_is_not_deleted_until_it_is_sealed_and_marked_again() {
        let case = Case::new();
        let mark = case.mark(&case.auditor, Allowed::Delete, Some(&case.seal().digest));
        std::fs::write(&case.file, "something else").unwrap();
        assert!(matches!(case.delete(&mark), Err(ResidencyError::Seal { .. })));
        assert!(case.file.exists());
        let seal = case.seal();
        assert!(matches!(case.delete(&mark), Err(ResidencyError::Mark { .. })));
        std::fs::write(&seal.path, "{}").unwrap();
        let mark = case.mark(&case.auditor, Allowed::Delete, Some(&seal.digest));
        assert!(matches!(case.delete(&mark), Err(ResidencyError::Seal { .. })));
        assert!(case.file.exists());
    }

    #[test]
    fn sealed_and_marked_evidence_is_deleted_with_a_certificate_and_a_copy_is_kept() {
        let case = Case::new();
        let _reader = File::open(&case.file).unwrap();
        let seal = case.seal();
        let evidence = &seal.manifest.files[0];
        assert_eq!((evidence.sha256.as_str(), evidence.bytes), (digest(b"somebody's data").as_str(), 15));
        assert_eq!(std::fs::read(evidence.kept.as_ref().unwrap()).unwrap(), b"somebody's data");
        assert!(matches!(seal.manifest.history[0].act, Act::Opened { .. }));
        let mark = case.mark(&case.auditor, Allowed::Delete, Some(&seal.digest));
        let certificate: Note =
            std::fs::read_to_string(case.delete(&mark).unwrap()).unwrap().parse().unwrap();
        let operator = [case.operator.verifier().clone()];
        assert!(certificate.verify(&operator).unwrap().text().contains(&evidence.sha256));
        assert!(!case.file.exists());
        assert!(Incidents::open(&case.folder()).unwrap().get(&case.id).unwrap().is_deleted);
    }

    #[test]
    fn an_incident_is_closed_by_the_auditors_mark_alone() {
        let case = Case::new();
        assert!(case.close(&case.mark(&case.operator, Allowed::Close, None)).is_err());
        let early = case.mark(&case.auditor, Allowed::Close, None);
        let seal = case.seal();
        // A mark that was made before the evidence was sealed is about something else.
        assert!(matches!(case.close(&early), Err(ResidencyError::Mark { .. })));
        case.close(&case.mark(&case.auditor, Allowed::Close, Some(&seal.digest))).unwrap();
        let incidents = Incidents::open(&case.folder()).unwrap();
        assert!(incidents.get(&case.id).unwrap().is_closed);
        assert!(!incidents.get(&case.id).unwrap().is_overdue(u64::MAX));
    }

    #[test]
    fn a_link_in_the_place_of_evidence_is_neither_sealed_nor_deleted() {
        let case = Case::new();
        let other = case.dir.path().join("other");
        std::fs::rename(&case.file, &other).unwrap();
        std::os::unix::fs::symlink(&other, &case.file).unwrap();
        assert!(seal(&case.folder(), "p", &case.id, true, 10).is_err());
    }

    #[test]
    fn whoever_has_the_evidence_open_stands_in_the_manifest() {
        let case = Case::new();
        let mut holder = std::process::Command::new("tail")
            .arg("-f")
            .arg(&case.file)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // It has read, so it has the file open.
        let mut first = [0; 1];
        holder.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        let seal = case.seal();
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(seal.manifest.files[0].open_in, [format!("{} tail", holder.id())]);
    }
}
