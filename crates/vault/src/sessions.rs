//! The durable list of sessions that ended before their time, beside the registry that listeners ask.
//!
//! `control/ended-sessions` is a text: a first line that names its kind, then a line for each end. It is appended to
//! and flushed before a sign-out is confirmed, and written anew at each start without what has expired.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use access::Ended;
use access::sessions::ENDED_MAX;
use model::{SessionId, UnixSeconds};

const KIND: &str = "clover-ended-sessions/v1";
/// Lines after which the file is written anew.
const LINES_MAX: usize = 2 * ENDED_MAX;
/// Most bytes that are read of it.
const BYTES_MAX: u64 = 16 << 20;

/// Ended sessions, in memory and on disk.
pub struct EndedSessions {
    path: PathBuf,
    ended: Arc<Ended>,
    file: Mutex<Appending>,
}

struct Appending {
    file: File,
    lines: usize,
}

impl EndedSessions {
    /// Opens the list in the folder `control`. A list that cannot be read ends every session that began before now:
    /// whoever damages it lets nobody back in.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(folder: &Path, now: UnixSeconds) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("ended-sessions");
        let ended = Arc::new(Ended::default());
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => match file.take(BYTES_MAX).read_to_string(&mut text) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::InvalidData => text = "damaged".to_owned(),
                Err(e) => return Err(e),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => text = format!("{KIND}\n"),
            Err(e) => return Err(e),
        }
        if !read(&text, &ended, now) {
            tracing::error!("the list of ended sessions is damaged: every session has ended");
            ended.end_before(now.plus(1));
        }
        let file = Mutex::new(rewritten(&path, &ended, now)?);
        Ok(Self { path, ended, file })
    }

    /// The registry that listeners ask.
    #[must_use]
    pub fn registry(&self) -> Arc<Ended> {
        Arc::clone(&self.ended)
    }

    /// Ends a session: at once for every listener, and durably when this returns.
    ///
    /// # Errors
    /// When it was not written; it has ended all the same for as long as this process runs.
    pub fn end(&self, id: SessionId, not_after: UnixSeconds, now: UnixSeconds) -> io::Result<()> {
        self.ended.end(id, not_after, now);
        let mut appending = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if appending.lines >= LINES_MAX || self.ended.kept(now).1.is_some() {
            *appending = rewritten(&self.path, &self.ended, now)?;
            return Ok(());
        }
        appending.file.write_all(format!("{id} {}\n", not_after.0).as_bytes())?;
        appending.file.sync_data()?;
        appending.lines += 1;
        Ok(())
    }
}

/// Reads a list; whether it was whole. A last line without its end was never confirmed to anybody.
fn read(text: &str, ended: &Ended, now: UnixSeconds) -> bool {
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    let mut lines = whole.lines();
    if lines.next() != Some(KIND) {
        return false;
    }
    lines.all(|line| match line.split_once(' ') {
        Some(("before", time)) => time.parse().map(|t| ended.end_before(UnixSeconds(t))).is_ok(),
        Some((id, until)) => match (SessionId::parse(id), until.parse().map(UnixSeconds)) {
            (Ok(id), Ok(until)) if now < until => {
                ended.end(id, until, now);
                true
            }
            (Ok(_), Ok(_)) => true,
            _ => false,
        },
        None => false,
    })
}

/// Writes what still counts under another name, flushes it, and takes its place.
fn rewritten(path: &Path, ended: &Ended, now: UnixSeconds) -> io::Result<Appending> {
    let (ids, before) = ended.kept(now);
    let mut text = format!("{KIND}\n");
    if let Some(time) = before {
        text.push_str(&format!("before {}\n", time.0));
    }
    for (id, until) in &ids {
        text.push_str(&format!("{id} {}\n", until.0));
    }
    let part = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    let file = OpenOptions::new().append(true).open(path)?;
    Ok(Appending { file, lines: ids.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId::new([n; 16])
    }

    #[test]
    fn a_session_that_was_ended_is_ended_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = EndedSessions::open(dir.path(), UnixSeconds(10)).unwrap();
        sessions.end(id(1), UnixSeconds(100), UnixSeconds(10)).unwrap();
        sessions.end(id(2), UnixSeconds(30), UnixSeconds(10)).unwrap();
        drop(sessions);
        let again = EndedSessions::open(dir.path(), UnixSeconds(40)).unwrap().registry();
        assert!(again.is_ended(&id(1), UnixSeconds(5)));
        assert!(!again.is_ended(&id(3), UnixSeconds(5)));
        assert_eq!(again.kept(UnixSeconds(40)).0.len(), 1, "what has expired by itself is forgotten");
    }

    #[test]
    fn a_damaged_list_lets_nobody_back_in_and_half_a_line_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ended-sessions");
        for bad in ["", "x\n", &format!("{KIND}\nzz 5\n"), &format!("{KIND}\n{} x\n", id(1))] {
            std::fs::write(&path, bad).unwrap();
            let ended = EndedSessions::open(dir.path(), UnixSeconds(50)).unwrap().registry();
            assert!(ended.is_ended(&id(9), UnixSeconds(50)), "{bad:?}");
            let ended = EndedSessions::open(dir.path(), UnixSeconds(60)).unwrap().registry();
            assert!(ended.is_ended(&id(9), UnixSeconds(50)) && !ended.is_ended(&id(9), UnixSeconds(51)));
        }
        std::fs::write(&path, format!("{KIND}\n{} 100\n{}", id(1), &id(2).to_string()[..9])).unwrap();
        let ended = EndedSessions::open(dir.path(), UnixSeconds(50)).unwrap().registry();
        assert!(ended.is_ended(&id(1), UnixSeconds(5)) && !ended.is_ended(&id(9), UnixSeconds(5)));
    }
}
