//! Deriving again what can be derived: all hash tiles, their packs, and the tag index.
//!
//! The entry bundles and tag lists are the truth, and the signed checkpoint says whether they are whole.
//! Everything is derived into a folder beside, and nothing is replaced unless the root is the signed one. From
//! then on the log does not start until a rebuild has come to its end; it may be killed anywhere and run
//! again. Details are not touched: nothing but a copy of theirs can bring them back.

mod beside;
mod source;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use ledger::checkpoint;
use ledger::merkle::{TreeHead, leaf_hash};
use ledger::note::Verifier;
use ledger::tile::{FULL_WIDTH, TileBuilder, TileCoordinates, TileReader};
use ledger::{Entry, Subjects};
use model::Tag;

use self::beside::Beside;
use self::source::{Found, Sources};
use super::files::{PUBLIC, Tree};
use super::packs::Kind;
use super::{CHECKPOINT, DURABLE, LogError, Options, TagIndex};
use crate::disk::Disk;

/// Where everything is derived to.
const FOLDER: &str = "rebuild/";
/// There while the tree is neither the old nor the new one.
const BEGUN: &str = "rebuilding";
const WIDTH: u64 = FULL_WIDTH as u64;
/// Pairs that are given to the tag index at once.
const PAIRS: usize = 4096;

/// What a rebuild has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries of the tree that was derived.
    pub size: u64,
    /// Bundles and tag lists that were damaged or missing, and were taken from another place.
    pub repaired: u64,
    /// Pairs of tag and entry in the index.
    pub tags: u64,
}

/// Derives hash tiles, their packs and the tag index from the entry bundles of a log that is not running.
///
/// A bundle or tag list that is damaged or missing is taken from `from`, a copy of the public tree (its paths
/// begin with `tile/`, `tags/`, and so on). Where the bundles behind the last flushed size are not whole, the
/// tree is derived up to that size: the frames have the rest, and the next start publishes it again.
///
/// # Errors
/// [`LogError::Damaged`] with the name of the first bundle that does not fit; nothing was replaced then.
/// [`LogError::Missing`] and [`LogError::OtherLog`] when there is no checkpoint of this log. Else what the disk
/// or the index says: then it must be run again before the log can start.
pub fn rebuild(
    disk: &dyn Disk,
    verifier: &Verifier,
    options: &Options,
    index: &dyn TagIndex,
    from: Option<&dyn Disk>,
) -> Result<Rebuilt, LogError> {
    let published = head(disk, CHECKPOINT, verifier)?.ok_or(LogError::Missing)?;
    let marked = head(disk, DURABLE, verifier)?.filter(|m| m.size <= published.size);
    let tree = Tree::of(disk, options.pack_tiles);
    let copy = from.map(|disk| Tree { disk, prefix: "", pack_tiles: options.pack_tiles });
    let copied = from.and_then(|disk| head(disk, "checkpoint", verifier).ok().flatten());
    let work = Work { tree, copy, copied: copied.unwrap_or(published), published, marked };
    let (target, derived) = work.derive_most()?;
    swap(disk, &tree, &derived.unpack)?;
    let tags = work.fill(&target, index)?;
    finish(disk)?;
    Ok(Rebuilt { size: target.size, repaired: derived.repaired, tags })
}

/// Refuses a log whose rebuild did not come to its end.
pub(super) fn refuse_unfinished(disk: &dyn Disk) -> Result<(), LogError> {
    match disk.read_at(Path::new(BEGUN), 0, 0).map_err(io(BEGUN))? {
        Some(_) => Err(LogError::Damaged("a rebuild was begun and not finished; run it again".to_owned())),
        None => Ok(()),
    }
}

fn io(path: &str) -> impl Fn(io::Error) -> LogError + '_ {
    move |source| LogError::Io { path: path.to_owned(), source }
}

fn head(disk: &dyn Disk, path: &str, verifier: &Verifier) -> Result<Option<TreeHead>, LogError> {
    let Some(bytes) = disk.read(Path::new(path)).map_err(io(path))? else { return Ok(None) };
    let note = String::from_utf8(bytes).map_err(|_| LogError::OtherLog)?;
    let opened = checkpoint::open(&note, verifier, &[]).map_err(|_| LogError::OtherLog)?;
    Ok(Some(opened.checkpoint().head()))
}

/// Why a tree could not be derived.
enum Failed {
    /// Nothing that was found for a bundle is what was signed.
    Misfit(u64, String),
    Log(LogError),
}

impl From<LogError> for Failed {
    fn from(e: LogError) -> Self {
        Self::Log(e)
    }
}

impl From<Failed> for LogError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Misfit(_, why) => Self::Damaged(why),
            Failed::Log(e) => e,
        }
    }
}

struct Derived {
    repaired: u64,
    /// Groups of bundles whose pack is damaged or holds damaged bundles.
    unpack: BTreeSet<u64>,
}

struct Work<'a> {
    tree: Tree<'a>,
    copy: Option<Tree<'a>>,
    /// The tree that the copy has.
    copied: TreeHead,
    published: TreeHead,
    marked: Option<TreeHead>,
}

impl Work<'_> {
    /// Derives the published tree, or the flushed one where only that is whole.
    fn derive_most(&self) -> Result<(TreeHead, Derived), LogError> {
        match (self.derive(&self.published), self.marked) {
            (Ok(derived), _) => Ok((self.published, derived)),
            (Err(Failed::Misfit(bundle, _)), Some(marked))
                if marked.size < self.published.size && bundle >= marked.size / WIDTH =>
            {
                Ok((marked, self.derive(&marked)?))
            }
            (Err(failed), _) => Err(failed.into()),
        }
    }

    fn derive(&self, target: &TreeHead) -> Result<Derived, Failed> {
        let disk = self.tree.disk;
        disk.remove(Path::new(FOLDER.trim_end_matches('/'))).map_err(io(FOLDER))?;
        let mut beside = Beside::new(disk, self.tree.pack_tiles);
        let mut derived = Derived { repaired: 0, unpack: BTreeSet::new() };
        let mut sources = self.sources();
        let mut tiles = TileBuilder::new();
        // The first bundle since a known root for which no authentic tile vouches.
        let mut unsure = None;
        for bundle in 0..target.size.div_ceil(WIDTH) {
            let Some(at) = TileCoordinates::in_tree(0, bundle, target.size) else { break };
            let at = at.as_entries();
            let found = sources.bundle(at).ok_or_else(|| misfit(at))?;
            if !found.authentic {
                unsure = unsure.or(Some(at));
            }
            derived.repaired += self.lists(&found, at, &mut beside)?;
            for entry in &found.entries {
                for tile in tiles.push(leaf_hash(entry)) {
                    beside.full(&tile).map_err(io(FOLDER))?;
                }
                if let Some(marked) = self.marked.filter(|m| m.size == tiles.size()) {
                    if tiles.head() != marked {
                        return Err(misfit(unsure.unwrap_or(at)));
                    }
                    beside.partial(tiles.partial()).map_err(io(FOLDER))?;
                    unsure = unsure.filter(|u| *u == at);
                }
            }
            self.repair(at, &found, &mut derived, &mut beside)?;
        }
        if tiles.head() != *target {
            let last = TileCoordinates::in_tree(0, target.size.saturating_sub(1) / WIDTH, target.size);
            return Err(unsure.or(last.map(TileCoordinates::as_entries)).map_or_else(
                || {
                    Failed::Log(LogError::Damaged(
                        "the checkpoint of an empty tree has another root".to_owned(),
                    ))
                },
                misfit,
            ));
        }
        beside.partial(tiles.partial()).and_then(|()| beside.finish()).map_err(io(FOLDER))?;
        self.unpack(&derived.unpack, &beside)?;
        Ok(derived)
    }

    fn sources(&self) -> Sources<'_> {
        let mut sources = Sources::new(self.tree, self.copy);
        // Every tree whose head is signed, the surest first.
        if let Some(marked) = self.marked {
            sources.vouch(self.tree, marked);
        }
        sources.vouch(self.tree, self.published);
        if let Some(copy) = self.copy {
            sources.vouch(copy, self.copied);
        }
        sources
    }

    /// Puts a bundle beside that did not lie at its place as it should.
    fn repair(
        &self,
        at: TileCoordinates,
        found: &Found,
        derived: &mut Derived,
        beside: &mut Beside<'_>,
    ) -> Result<(), Failed> {
        if !found.damaged {
            return Ok(());
        }
        derived.repaired += 1;
        beside.put(&at.to_string(), &found.bytes).map_err(io(FOLDER))?;
        let group = at.index() / u64::from(self.tree.pack_tiles.max(1));
        let pack = Kind::Entries.pack(PUBLIC, group);
        if self.tree.disk.read_at(Path::new(&pack), 0, 0).map_err(io(&pack))?.is_some() {
            derived.unpack.insert(group);
        }
        Ok(())
    }

    /// Puts the other bundles of damaged packs beside as single files.
    fn unpack(&self, groups: &BTreeSet<u64>, beside: &Beside<'_>) -> Result<(), Failed> {
        let width = u64::from(self.tree.pack_tiles.max(1));
        for index in groups.iter().flat_map(|group| group * width..(group + 1) * width) {
            let Ok(at) = TileCoordinates::entries(index, FULL_WIDTH) else { continue };
            let path = at.to_string();
            if !beside.has(&path).map_err(io(FOLDER))? {
                let bytes = self.tree.tile(at).map_err(io(&path))?;
                beside.put(&path, &bytes).map_err(io(FOLDER))?;
            }
        }
        Ok(())
    }

    /// Sees that the tag lists of a bundle's entries are there. How many had to be taken from the copy.
    fn lists(&self, found: &Found, at: TileCoordinates, beside: &mut Beside<'_>) -> Result<u64, Failed> {
        let mut repaired = 0;
        for entry in found.entries.iter().filter_map(|leaf| Entry::decode(leaf).ok()) {
            let Some(path) = list_path(&entry) else { continue };
            if list(&self.tree, &path, &entry).map_err(io(&path))?.is_some() {
                continue;
            }
            let copied = self.copy.map(|copy| list(&copy, &path, &entry)).transpose().map_err(io(&path))?;
            let Some(bytes) = copied.flatten() else {
                let why = format!("the tag list of entry {} in `{at}` is missing or damaged", entry.sequence);
                return Err(Failed::Misfit(at.index(), why));
            };
            beside.put(&path, &bytes).map_err(io(FOLDER))?;
            repaired += 1;
        }
        Ok(repaired)
    }

    /// Fills the tag index from the new tree, every entry of which is authenticated once more.
    fn fill(&self, target: &TreeHead, index: &dyn TagIndex) -> Result<u64, LogError> {
        let refused = |e: String| LogError::Io { path: "tag index".to_owned(), source: io::Error::other(e) };
        index.clear().map_err(refused)?;
        let mut reader = TileReader::new(*target, |at| self.tree.tile(at));
        let (mut pairs, mut count) = (Vec::new(), 0);
        for bundle in 0..target.size.div_ceil(WIDTH) {
            let entries = reader.entries(bundle).map_err(|e| LogError::Damaged(e.to_string()))?;
            for (at, leaf) in (bundle * WIDTH..).zip(&entries) {
                self.tags(at, leaf, &mut pairs)?;
            }
            if pairs.len() >= PAIRS || (bundle + 1) * WIDTH >= target.size {
                count += pairs.len() as u64;
                index.add(&pairs).map_err(refused)?;
                pairs.clear();
            }
        }
        index.flush().map_err(refused)?;
        Ok(count)
    }

    fn tags(&self, index: u64, leaf: &[u8], pairs: &mut Vec<(Tag, u64)>) -> Result<(), LogError> {
        let Ok(entry) = Entry::decode(leaf) else { return Ok(()) };
        match list_path(&entry) {
            None => pairs.extend(entry.draft.subjects.tags().iter().map(|t| (*t, index))),
            Some(path) => {
                let bytes = list(&self.tree, &path, &entry).map_err(io(&path))?;
                let bytes = bytes.ok_or_else(|| io(&path)(io::ErrorKind::NotFound.into()))?;
                pairs.extend(bytes.as_chunks::<16>().0.iter().map(|t| (Tag::new(*t), index)));
            }
        }
        Ok(())
    }
}

fn misfit(at: TileCoordinates) -> Failed {
    Failed::Misfit(at.index(), format!("`{at}` is missing, or not what was signed"))
}

/// Where an entry's tag list lies, if its tags do not stand in the header.
fn list_path(entry: &Entry) -> Option<String> {
    entry.tag_root.map(|root| format!("tags/{}", data_encoding::HEXLOWER.encode(root.as_bytes())))
}

/// The tag list of an entry, if it is there and leads to the root that the entry names.
fn list(tree: &Tree<'_>, path: &str, entry: &Entry) -> io::Result<Option<Vec<u8>>> {
    let Some(bytes) = tree.disk.read(Path::new(&format!("{}{path}", tree.prefix)))? else { return Ok(None) };
    let tags = bytes.as_chunks::<16>().0.iter().map(|t| Tag::new(*t)).collect();
    let same =
        Subjects::of(tags).side_record().filter(|(root, all)| Some(*root) == entry.tag_root && *all == bytes);
    Ok(same.map(|_| bytes))
}

/// Puts the derived files in their places.
fn swap(disk: &dyn Disk, tree: &Tree<'_>, unpack: &BTreeSet<u64>) -> Result<(), LogError> {
    disk.sync_all().map_err(io(FOLDER))?;
    // INVARIANT: before the first file of the old tree goes, it is on the disk that the log must not start.
    disk.replace(Path::new(BEGUN), b"").and_then(|()| disk.sync_all()).map_err(io(BEGUN))?;
    for folder in ["tile", "pack"] {
        let folder = format!("{}{folder}", tree.prefix);
        for name in disk.list(Path::new(&folder)).map_err(io(&folder))? {
            if name != "entries" {
                disk.remove(&Path::new(&folder).join(name)).map_err(io(&folder))?;
            }
        }
    }
    beside::move_all(disk, tree.prefix).map_err(io(FOLDER))?;
    for group in unpack {
        let pack = Kind::Entries.pack(tree.prefix, *group);
        disk.remove(Path::new(&pack)).map_err(io(&pack))?;
    }
    disk.sync_all().map_err(io(PUBLIC))
}

/// From here on the log may start.
fn finish(disk: &dyn Disk) -> Result<(), LogError> {
    disk.sync_all().map_err(io(PUBLIC))?;
    disk.remove(Path::new(FOLDER.trim_end_matches('/'))).map_err(io(FOLDER))?;
    disk.remove(Path::new(BEGUN)).and_then(|()| disk.sync_all()).map_err(io(BEGUN))
}
