//! A tree that stands still: what the mirror holds at one moment, as hard links or copies, while the mirror goes on.
//!
//! The whole check needs every file of one size of each log, and a mirror at work replaces the last tiles of a log as it
//! grows. So a log's checkpoint is read, its last tiles are taken at once, and all others, which never change, after.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    incident::disk,
    note::{NOTE_BYTES_MAX, VerifierKey},
    siteleaf::SITE_PREFIX,
    sitelog::{FolderError, MirroredLog, Site},
    tile::{Level, Standing, TILE_WIDTH, Tile},
    tree::Pack,
};

/// Tries to get a checkpoint and its last tiles together.
const TRIES: usize = 50;
/// Waits of so long for a log that the newest round counts further than it is held.
const WAITS: usize = 25;
const WAIT: Duration = Duration::from_millis(200);
const DEPTH_MAX: usize = 8;

/// How folders of copies are named; the number of their process follows.
const PREFIX: &str = "clover-check-";

/// Removes copies of processes that ended while they checked. What cannot be removed is left to the next.
fn remove_left(work: &Path) {
    let Ok(entries) = fs::read_dir(work) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let left = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| {
            let process: u32 = rest.split('-').next()?.parse().ok()?;
            (!Path::new("/proc").join(process.to_string()).exists()).then_some(())
        });
        if left.is_some() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The copy, until it is dropped.
pub(super) struct Still(TempDir);

impl Still {
    /// Copies into a new folder in `work`. The notes that the mirror signed come first and the logs that the site log
    /// counts last, so that nothing in the copy speaks of what is not in it.
    pub(super) fn take(
        mirror: &Path,
        key: &VerifierKey,
        work: &Path,
        pause: impl Fn(Duration),
    ) -> io::Result<Self> {
        remove_left(work);
        let own = format!("{PREFIX}{}-", std::process::id());
        let still = Self(tempfile::Builder::new().prefix(&own).tempdir_in(work)?);
        walk(&mirror.join("signed"), &still.path().join("signed"), "", u64::MAX, 0)?;
        let site = mirror.join(SITE_PREFIX);
        take_log(&site, &still.path().join(SITE_PREFIX), || MirroredLog::open(&site, key))?;
        // What is wrong with the copy of the site log, the check will say.
        let Ok((copy, state)) = Site::open(still.path(), key).and_then(|site| {
            let state = site.state()?;
            Ok((site, state))
        }) else {
            return Ok(still);
        };
        let live = Site::open(mirror, key);
        let mut waits = 0..WAITS;
        for log in state.enrolled.iter().chain(&state.retired) {
            let counted = state.line(&log.origin).map_or(0, |(_, line)| line.size);
            let open =
                || live.as_ref().map_or(Err(FolderError::Unreadable(site.clone())), |s| s.open_log(log));
            while !open().is_ok_and(|log| log.checkpoint.size >= counted) && waits.next().is_some() {
                pause(WAIT);
            }
            take_log(&mirror.join(&log.prefix), &copy.folder_of(log), open)?;
        }
        Ok(still)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Takes one log as it is at its checkpoint.
fn take_log(from: &Path, to: &Path, open: impl Fn() -> Result<MirroredLog, FolderError>) -> io::Result<()> {
    let mut before = None;
    for _ in 0..TRIES {
        let Ok(log) = open() else { break };
        let size = log.checkpoint.size;
        let whole = last_tiles(size).iter().try_for_each(|tile| {
            let tile = tile.to_string();
            link(&from.join(&tile), &to.join(&tile))
        });
        // What is missing though nothing moved is missing.
        let same = before.as_ref() == Some(&log.note);
        match whole {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !same => {
                before = Some(log.note);
                continue;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(to)?;
        fs::write(to.join("checkpoint"), &log.note)?;
        return walk(from, to, "", size, 0);
    }
    // It cannot be read, or never stands still: the check says what is wrong with it as it is.
    if let Ok(note) = disk::read(&from.join("checkpoint"), NOTE_BYTES_MAX) {
        fs::create_dir_all(to)?;
        fs::write(to.join("checkpoint"), note)?;
    }
    walk(from, to, "", u64::MAX, 0)
}

/// The tiles of a log of this size that are not full.
fn last_tiles(size: u64) -> Vec<Tile> {
    let levels = std::iter::once(Level::Entries).chain((0..8).map(Level::Hashes));
    let last = levels.map(|level| {
        let count = level.count(size);
        Tile { level, index: count / TILE_WIDTH, width: count % TILE_WIDTH }
    });
    last.filter(|tile| tile.width > 0).collect()
}

/// Takes everything below a folder but the checkpoint and what is beyond the size.
fn walk(from: &Path, to: &Path, path: &str, size: u64, depth: usize) -> io::Result<()> {
    let items = match fs::read_dir(from.join(path)) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for item in items {
        let item = item?;
        let name = item.file_name();
        let name = name.to_string_lossy();
        let path = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
        let kind = item.file_type()?;
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(from, to, &path, size, depth + 1)?;
        } else if path != "checkpoint" && !is_beyond(&path, size) {
            let target = to.join(&path);
            let taken = if kind.is_file() { link(&item.path(), &target) } else { stand_in(&target) };
            match taken {
                // An older last tile, which the mirror has removed by now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                taken => taken?,
            }
        }
    }
    Ok(())
}

fn is_beyond(path: &str, size: u64) -> bool {
    let tile = Tile::parse(path).or_else(|| Pack::parse(path).and_then(|pack| pack.last_tile()));
    tile.is_some_and(|tile| tile.standing(size) == Standing::Beyond)
}

/// Links a file, or copies it where no link is possible.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => fs::copy(from, to).map(drop),
        Ok(()) => Ok(()),
    }
}

/// For what is no file and has no place in a tree: the check shall see that something is there.
fn stand_in(at: &Path) -> io::Result<()> {
    if let Some(folder) = at.parent() {
        fs::create_dir_all(folder)?;
    }
    std::os::unix::fs::symlink(PathBuf::from("nowhere"), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tiles_of_a_size_are_those_that_are_not_full() {
        let paths = |size| last_tiles(size).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(paths(0).is_empty());
        assert_eq!(paths(256), ["tile/1/000.p/1"]);
        assert_eq!(paths(515), ["tile/entries/002.p/3", "tile/0/002.p/3", "tile/1/000.p/2"]);
    }

    #[test]
    fn what_the_checkpoint_does_not_count_is_left_out() {
        for path in ["tile/0/000.p/9", "tile/entries/001.p/1", "pack/0/000"] {
            assert!(is_beyond(path, 8), "{path}");
        }
        for path in ["tile/0/000.p/8", "tile/0/000.p/3", "tags/00", "stray"] {
            assert!(!is_beyond(path, 8), "{path}");
        }
    }
}
