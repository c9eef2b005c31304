//! What a server of the public tree may hand out, by the paths of C2SP tlog-tiles.
//!
//! A path is parsed into one of a few shapes, and what is read is written anew from what was parsed: no text
//! of a stranger becomes part of a file's name unless each of its bytes was looked at.

use std::path::Path;

use ledger::tile::TileCoordinates;

use super::files::{PUBLIC, cut};
use super::{CHECKPOINT, Log, LogError};

/// Longest path that is looked at: a rulebook's file.
const PATH_BYTES_MAX: usize = 200;

/// A path that means something.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Checkpoint,
    Tile(TileCoordinates),
    /// A tag list, by its root.
    Tags(&'a str),
    /// A rulebook's digest and the name of one of its files.
    Rulebook(&'a str, &'a str),
}

fn parse(path: &str) -> Option<Place<'_>> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    if path == "checkpoint" {
        return Some(Place::Checkpoint);
    }
    if path.starts_with("tile/") {
        return path.parse().ok().map(Place::Tile);
    }
    if let Some(root) = path.strip_prefix("tags/") {
        return is_digest(root).then_some(Place::Tags(root));
    }
    let (digest, file) = path.strip_prefix("rulebook/")?.split_once('/')?;
    (is_digest(digest) && is_file(file)).then_some(Place::Rulebook(digest, file))
}

/// 32 bytes in the one spelling that files have.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A plain file name, and none that is hidden or half written.
fn is_file(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty() && !name.starts_with('.') && !name.ends_with(".new") && name.bytes().all(plain)
}

impl Log {
    /// What lies at a path of the public tree: `checkpoint`, `tile/..`, `tags/<root>`,
    /// `rulebook/<digest>/<file>`, without a leading slash. `None` for every other path, and for what the
    /// published tree does not have. Tiles come from packs too, and a partial tile that was replaced by a
    /// wider one is cut from it. What is read here is not authenticated: its reader does that.
    ///
    /// A tag list is there a moment before the entry that names it is published; its root cannot be guessed.
    ///
    /// # Errors
    /// When a file that must be there cannot be read.
    pub fn public(&self, path: &str) -> Result<Option<Vec<u8>>, LogError> {
        match parse(path) {
            None => Ok(None),
            Some(Place::Checkpoint) => self.read(CHECKPOINT),
            Some(Place::Tile(at)) => self.public_tile(at),
            Some(Place::Tags(root)) => self.read(&format!("{PUBLIC}tags/{root}")),
            Some(Place::Rulebook(digest, file)) => self.public_rulebook(digest, file),
        }
    }

    fn public_tile(&self, at: TileCoordinates) -> Result<Option<Vec<u8>>, LogError> {
        let published = TileCoordinates::in_tree(at.level().unwrap_or(0), at.index(), self.published());
        let Some(now) = published.filter(|now| at.width() <= now.width()) else { return Ok(None) };
        let now = if at.level().is_none() { now.as_entries() } else { now };
        let bytes = self.tree().tile(now).and_then(|bytes| cut(bytes, now.width(), at));
        bytes.map(Some).map_err(|source| LogError::Io { path: format!("{PUBLIC}{at}"), source })
    }

    /// A file of a rulebook, if the folder has it. A folder of that name is none.
    fn public_rulebook(&self, digest: &str, file: &str) -> Result<Option<Vec<u8>>, LogError> {
        let folder = format!("{PUBLIC}rulebook/{digest}");
        let io = |source| LogError::Io { path: folder.clone(), source };
        if !self.disk.list(Path::new(&folder)).map_err(io)?.iter().any(|name| name == file) {
            return Ok(None);
        }
        self.read(&format!("{folder}/{file}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_not_of_the_tree_mean_nothing() {
        let root = "ab".repeat(32);
        for path in [
            String::new(),
            "/checkpoint".into(),
            "checkpoint/".into(),
            "ledger/checkpoint".into(),
            "tile/0/000.p/0".into(),
            "tile/0/000.p/256".into(),
            "tile/64/000".into(),
            "tile/0/../../keys".into(),
            "tile/0/x000/000".into(),
            "tile/details/000".into(),
            "pack/0/000".into(),
            "details/000".into(),
            "wal/durable".into(),
            "tags/..".into(),
            format!("tags/{}", root.to_uppercase()),
            format!("tags/{root}/x"),
            format!("rulebook/{root}"),
            format!("rulebook/{root}/"),
            format!("rulebook/{root}/.."),
            format!("rulebook/{root}/a/b"),
            format!("rulebook/{root}/a.new"),
            format!("rulebook/{root}/a\0"),
            format!("rulebook/{root}/{}", "a".repeat(200)),
        ] {
            assert_eq!(parse(&path), None, "{path}");
        }
        assert_eq!(parse(&format!("tags/{root}")), Some(Place::Tags(&root)));
        let manifest = format!("rulebook/{root}/manifest.note");
        assert_eq!(parse(&manifest), Some(Place::Rulebook(&root, "manifest.note")));
    }
}
