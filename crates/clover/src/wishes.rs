//! Wishes of people to be erased, until the operator has looked at them: a file for each, named by the person's handle,
//! which says nothing to anybody without the region's key.

use std::path::Path;

use anyhow::{Context, Result};
use model::{SubjectId, UnixSeconds};
use vault::disk::replace_file;

use crate::error::CommandError;
use crate::layout::Layout;

/// How long the operator may take (GDPR article 12(3): a month).
const DUE_SECONDS: u64 = 30 * 86_400;
/// Most wishes that are read.
const WISHES_MAX: usize = 100_000;

/// By when it is done, or the person is told why not.
#[must_use]
pub fn due(at: UnixSeconds) -> UnixSeconds {
    at.plus(DUE_SECONDS)
}

/// When somebody asked, if they did.
///
/// # Errors
/// When the file cannot be read.
pub fn of(layout: &Layout, subject: &SubjectId) -> Result<Option<UnixSeconds>> {
    read(&layout.wishes().join(subject.as_str()))
}

fn read(path: &Path) -> Result<Option<UnixSeconds>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(UnixSeconds::parse(text.trim()).context("a wish to be erased cannot be read")?)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // Not the file's name, which is somebody's handle.
        Err(e) => Err(CommandError::file(path.parent().unwrap_or(path))(e).into()),
    }
}

/// Notes that somebody asks, durably. Who asked before keeps that date.
///
/// # Errors
/// When the file cannot be written.
pub fn ask(layout: &Layout, subject: &SubjectId, now: UnixSeconds) -> Result<UnixSeconds> {
    if let Some(at) = of(layout, subject)? {
        return Ok(at);
    }
    std::fs::create_dir_all(layout.wishes())?;
    replace_file(&layout.wishes().join(subject.as_str()), format!("{}\n", now.rfc3339()).as_bytes())?;
    Ok(now)
}

/// Everybody who asked, the first first.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn all(layout: &Layout) -> Result<Vec<(SubjectId, UnixSeconds)>> {
    let entries = match std::fs::read_dir(layout.wishes()) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(CommandError::file(layout.wishes())(e).into()),
    };
    let mut all = Vec::new();
    for entry in entries.take(WISHES_MAX) {
        let entry = entry?;
        let handle = entry.file_name().to_str().and_then(|name| SubjectId::parse(name).ok());
        // One that cannot be read hides none of the others; it counts as long due.
        let at = read(&entry.path()).unwrap_or(Some(UnixSeconds(0)));
        if let (Some(handle), Some(at)) = (handle, at) {
            all.push((handle, at));
        }
    }
    all.sort_by_key(|(_, at)| *at);
    Ok(all)
}

/// Forgets a wish: it is done.
///
/// # Errors
/// When the file cannot be removed.
pub fn done(layout: &Layout, subject: &SubjectId) -> Result<()> {
    match std::fs::remove_file(layout.wishes().join(subject.as_str())) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_keeps_its_first_date_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let [one, two] = ["s-one", "s-two"].map(|t| SubjectId::parse(t).unwrap());
        assert_eq!(of(&layout, &one).unwrap(), None);
        assert!(all(&layout).unwrap().is_empty());
        assert_eq!(ask(&layout, &two, UnixSeconds(2000)).unwrap(), UnixSeconds(2000));
        assert_eq!(ask(&layout, &one, UnixSeconds(1000)).unwrap(), UnixSeconds(1000));
        assert_eq!(ask(&layout, &one, UnixSeconds(3000)).unwrap(), UnixSeconds(1000));
        assert_eq!(all(&layout).unwrap().first(), Some(&(one.clone(), UnixSeconds(1000))));
        done(&layout, &one).unwrap();
        done(&layout, &one).unwrap();
        assert_eq!(all(&layout).unwrap(), vec![(two, UnixSeconds(2000))]);
    }
}
