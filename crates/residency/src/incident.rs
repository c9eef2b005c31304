//! Findings with a clock. Each opens an incident in a log that only grows, each line holding the digest of the one
//! before. When it is due it escalates by itself. Nobody closes it without the auditor's mark.
//!
//! Time is an argument. The log's last lines can be cut off by whoever owns the file: its head belongs with the auditor.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::error::ResidencyError;
use crate::files;

/// The log's name in the enclave's `residency/` folder.
const LOG: &str = "incidents.jsonl";
/// How long an incident may stay open, if nothing else is said.
pub const DUE_HOURS: u64 = 72;
/// Longest log that is read.
const BYTES_MAX: u64 = 1 << 30;
/// Longest text of a line's parts.
const TEXT_MAX: usize = 4096;

/// What was found, by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// `sweep` or `watch`, and where.
    pub source: String,
    /// What is the same when it is found again.
    pub key: String,
    /// In words.
    pub text: String,
    /// A file that is evidence; none where it is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// What happened to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// It was found.
    Opened {
        /// What.
        found: Found,
        /// When it escalates, in seconds since 1970.
        due: u64,
    },
    /// It is not there any more. The incident stays open.
    Gone,
    /// It is there again.
    Back,
    /// It was not closed in time.
    Escalated,
    /// Its evidence was sealed.
    Sealed {
        /// The manifest's digest.
        manifest: String,
    },
    /// Its evidence was deleted, under the auditor's mark.
    Deleted {
        /// The manifest's digest.
        manifest: String,
        /// The mark's digest.
        mark: String,
        /// The certificate's digest.
        certificate: String,
    },
    /// The auditor let it be closed.
    Closed {
        /// The mark's digest.
        mark: String,
    },
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// Digest of the line before, or of nothing.
    pub previous: String,
    /// When it was written, in seconds since 1970.
    pub time: u64,
    /// Which incident.
    pub incident: String,
    /// What happened.
    #[serde(flatten)]
    pub act: Act,
}

/// One incident as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Its name.
    pub id: String,
    /// What was found.
    pub found: Found,
    /// When.
    pub opened: u64,
    /// When it escalates.
    pub due: u64,
    /// Whether it escalated.
    pub is_escalated: bool,
    /// Whether what was found is still there, as far as anybody looked.
    pub is_there: bool,
    /// The last manifest of its evidence.
    pub sealed: Option<String>,
    /// Whether its evidence was deleted.
    pub is_deleted: bool,
    /// Whether it was closed.
    pub is_closed: bool,
}

impl Incident {
    /// Whether its time is over.
    #[must_use]
    pub const fn is_overdue(&self, now: u64) -> bool {
        !self.is_closed && now >= self.due
    }
}

/// The log of an enclave's incidents, locked against a second writer.
pub struct Incidents {
    path: PathBuf,
    file: File,
    lines: Vec<Line>,
    head: String,
    incidents: BTreeMap<String, Incident>,
}

/// How many incidents stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Not closed.
    pub open: usize,
    /// Of these, beyond their time.
    pub overdue: usize,
}

/// How many incidents stand in an enclave's `residency/` folder. It only reads, and waits for nobody; none where nobody ever
/// looked.
///
/// # Errors
/// When the log cannot be read, or a line is not what its successor says.
pub fn standing(folder: &Path, now: u64) -> Result<Standing, ResidencyError> {
    let path = folder.join(LOG);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Standing::default()),
        Err(e) => return Err(ResidencyError::file(&path)(e)),
    };
    let (log, _) = Incidents::read(path, file)?;
    let open = log.incidents.values().filter(|i| !i.is_closed);
    Ok(Standing { open: open.clone().count(), overdue: open.filter(|i| i.is_overdue(now)).count() })
}

impl Incidents {
    /// Opens the log in the enclave's `residency/` folder, making it if it is not there. Waits for another writer.
    ///
    /// # Errors
    /// When it cannot be read, or a line is not what its successor says.
    pub fn open(folder: &Path) -> Result<Self, ResidencyError> {
        files::folder(folder)?;
        let path = folder.join(LOG);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(ResidencyError::file(&path))?;
        file.lock().map_err(ResidencyError::file(&path))?;
        let (mut log, whole) = Self::read(path, file)?;
        // A line without an end was never confirmed: a crash cut it off.
        log.file.set_len(whole).map_err(ResidencyError::file(&log.path))?;
        log.file.seek(SeekFrom::End(0)).map_err(ResidencyError::file(&log.path))?;
        Ok(log)
    }

    /// The log in a file, and the length of its whole lines.
    fn read(path: PathBuf, file: File) -> Result<(Self, u64), ResidencyError> {
        let mut text = String::new();
        let read = (&file).take(BYTES_MAX).read_to_string(&mut text);
        let length = read.map_err(ResidencyError::file(&path))? as u64;
        if length == BYTES_MAX {
            return Err(broken(&path, "the log is too long".to_owned()));
        }
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        let mut log = Self { path, file, lines: Vec::new(), head: digest(b""), incidents: BTreeMap::new() };
        for text in text.lines() {
            let line: Line = serde_json::from_str(text)
                .map_err(|_| broken(&log.path, format!("line {} is none", log.lines.len())))?;
            if line.number != log.lines.len() as u64 || line.previous != log.head {
                return Err(broken(
                    &log.path,
                    format!("line {} does not follow from the one before", log.lines.len()),
                ));
            }
            log.take(text, line)?;
        }
        Ok((log, whole as u64))
    }

    fn take(&mut self, text: &str, line: Line) -> Result<(), ResidencyError> {
        let wrong = || broken(&self.path, format!("line {} is about no open incident", line.number));
        if let Act::Opened { found, due } = &line.act {
            let incident = Incident {
                id: line.incident.clone(),
                found: found.clone(),
                opened: line.time,
                due: *due,
                is_escalated: false,
                is_there: true,
                sealed: None,
                is_deleted: false,
                is_closed: false,
            };
            if self.incidents.insert(line.incident.clone(), incident).is_some() {
                return Err(wrong());
            }
        } else {
            let error = wrong();
            let incident = self.incidents.get_mut(&line.incident).filter(|i| !i.is_closed).ok_or(error)?;
            match &line.act {
                Act::Opened { .. } => {}
                Act::Gone => incident.is_there = false,
                Act::Back => incident.is_there = true,
                Act::Escalated => incident.is_escalated = true,
                Act::Sealed { manifest } => incident.sealed = Some(manifest.clone()),
                Act::Deleted { .. } => incident.is_deleted = true,
                Act::Closed { .. } => incident.is_closed = true,
            }
        }
        self.head = digest(text.as_bytes());
        self.lines.push(line);
        Ok(())
    }

    /// Writes a line, durably.
    pub(crate) fn append(&mut self, incident: &str, act: Act, now: u64) -> Result<(), ResidencyError> {
        let (number, previous) = (self.lines.len() as u64, self.head.clone());
        let line = Line { number, previous, time: now, incident: incident.to_owned(), act };
        let text = serde_json::to_string(&line).map_err(|e| broken(&self.path, e.to_string()))?;
        // In one write, so that a crash leaves the line or a part without an end.
        let written =
            self.file.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(ResidencyError::file(&self.path))?;
        self.take(&text, line)
    }

    /// Takes what one look at a source found: opens what is new, notes what is gone or back, and escalates what is due.
    /// Returns those that were opened.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn observe(
        &mut self,
        source: &str,
        found: &[Found],
        hours: u64,
        now: u64,
    ) -> Result<Vec<Incident>, ResidencyError> {
        let of_source = self.incidents.values().filter(|i| !i.is_closed && i.found.source == source);
        let known: BTreeMap<String, (String, bool)> =
            of_source.map(|i| (i.found.key.clone(), (i.id.clone(), i.is_there))).collect();
        let mut opened = Vec::new();
        for found in found {
            match known.get(&found.key) {
                Some((_, true)) => {}
                Some((id, false)) => self.append(id, Act::Back, now)?,
                None if opened.iter().any(|o: &Incident| o.found.key == found.key) => {}
                None => opened.push(self.opened(found, hours, now)?),
            }
        }
        for (key, (id, is_there)) in &known {
            if *is_there && !found.iter().any(|f| f.key == *key) {
                self.append(id, Act::Gone, now)?;
            }
        }
        self.escalate(now)?;
        Ok(opened)
    }

    fn opened(&mut self, found: &Found, hours: u64, now: u64) -> Result<Incident, ResidencyError> {
        let mut found = found.clone();
        found.text = found.text.chars().take(TEXT_MAX).collect();
        let id = digest(format!("{}\n{}\n{}\n{now}", self.head, found.source, found.key).as_bytes());
        let id = id.get(..16).unwrap_or_default().to_owned();
        let due = now.saturating_add(hours.saturating_mul(3600));
        self.append(&id, Act::Opened { found, due }, now)?;
        self.get(&id).cloned()
    }

    /// Notes each incident whose time is over, once.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn escalate(&mut self, now: u64) -> Result<(), ResidencyError> {
        let due = self.incidents.values().filter(|i| i.is_overdue(now) && !i.is_escalated);
        let due: Vec<String> = due.map(|i| i.id.clone()).collect();
        due.iter().try_for_each(|id| self.append(id, Act::Escalated, now))
    }

    /// One incident.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn get(&self, id: &str) -> Result<&Incident, ResidencyError> {
        self.incidents.get(id).ok_or_else(|| broken(&self.path, format!("there is no incident `{id}`")))
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<&Incident> {
        let mut all: Vec<_> = self.incidents.values().collect();
        all.sort_by(|a, b| (a.opened, &a.id).cmp(&(b.opened, &b.id)));
        all
    }

    /// What happened to one of them.
    pub fn history(&self, id: &str) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |l| l.incident == id)
    }

    /// Number of lines, and the digest of the last: for the auditor to keep.
    #[must_use]
    pub fn head(&self) -> (u64, &str) {
        (self.lines.len() as u64, &self.head)
    }
}

fn broken(path: &Path, why: String) -> ResidencyError {
    ResidencyError::Incidents { path: path.to_owned(), why }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str) -> Found {
        Found {
            source: "sweep /srv".to_owned(),
            key: key.to_owned(),
            text: format!("a canary in {key}"),
            file: None,
        }
    }

    const HOUR: u64 = 3600;

    #[test]
    fn a_finding_opens_one_incident_however_often_it_is_found_and_escalates_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let opened = Incidents::open(dir.path())
            .unwrap()
            .observe("sweep /srv", &[found("a"), found("a")], 72, 1000)
            .unwrap();
        assert_eq!((opened.len(), opened[0].due), (1, 1000 + 72 * HOUR));
        let id = opened[0].id.clone();
        let again = |now| {
            let mut log = Incidents::open(dir.path()).unwrap();
            assert_eq!(log.observe("sweep /srv", &[found("a")], 72, now).unwrap(), vec![]);
            log.get(&id).unwrap().is_escalated
        };
        assert!(!again(1000 + 72 * HOUR - 1));
        assert!(again(1000 + 72 * HOUR));
        assert!(again(1000 + 99 * HOUR));
        let log = Incidents::open(dir.path()).unwrap();
        assert_eq!(log.history(&id).filter(|l| l.act == Act::Escalated).count(), 1);
    }

    #[test]
    fn what_is_gone_stays_open_and_escalates() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(standing(dir.path(), 0).unwrap(), Standing::default(), "nobody ever looked");
        let mut log = Incidents::open(dir.path()).unwrap();
        let id =
            log.observe("watch a", &[Found { source: "watch a".to_owned(), ..found("k") }], 1, 0).unwrap()[0]
                .id
                .clone();
        log.observe("watch a", &[], 1, 10).unwrap();
        log.observe("watch b", &[], 1, 20).unwrap();
        assert!(!log.get(&id).unwrap().is_there);
        log.escalate(HOUR).unwrap();
        assert!(log.get(&id).unwrap().is_escalated && !log.get(&id).unwrap().is_closed);
        log.observe("watch a", &[Found { source: "watch a".to_owned(), ..found("k") }], 1, HOUR + 5).unwrap();
        assert!(log.get(&id).unwrap().is_there);
        assert_eq!(log.all().len(), 1);
    }

    #[test]
    fn a_changed_removed_or_reordered_line_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("incidents.jsonl");
        let mut log = Incidents::open(dir.path()).unwrap();
        for n in 0..4 {
            log.observe("sweep /srv", &(0..=n).map(|k| found(&k.to_string())).collect::<Vec<_>>(), 72, n)
                .unwrap();
        }
        let good = std::fs::read_to_string(&path).unwrap();
        drop(log);
        let lines: Vec<&str> = good.lines().collect();
        let refused = |lines: &[&str]| {
            std::fs::write(&path, lines.iter().map(|l| format!("{l}\n")).collect::<String>()).unwrap();
            matches!(Incidents::open(dir.path()), Err(ResidencyError::Incidents { .. }))
        };
        assert!(!refused(&lines));
        let changed = lines[1].replace("\"time\":1", "\"time\":9");
        assert!(refused(&[lines[0], &changed, lines[2], lines[3]]));
        assert!(refused(&[lines[0], lines[2], lines[3]]));
        assert!(refused(&[lines[1], lines[0], lines[2], lines[3]]));
        assert!(refused(&[lines[0], "nonsense"]));
    }

    #[test]
    fn a_line_that_a_crash_cut_off_was_never_confirmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("incidents.jsonl");
        Incidents::open(dir.path()).unwrap().observe("s", &[found("a")], 72, 1).unwrap();
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&good, &b"{\"number\":1,\"prev"[..]].concat()).unwrap();
        let mut log = Incidents::open(dir.path()).unwrap();
        assert_eq!(log.head().0, 1);
        log.escalate(u64::MAX).unwrap();
        drop(log);
        assert_eq!(Incidents::open(dir.path()).unwrap().head().0, 2);
    }
}
