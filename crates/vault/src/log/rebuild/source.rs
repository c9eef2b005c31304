//! Where a bundle may be found, and who can say that it is the right one.

use std::io;

use ledger::Entry;
use ledger::merkle::{Hash, TreeHead, leaf_hash};
use ledger::tile::{FULL_WIDTH, ReadError, TileCoordinates, TileReader, split_bundle};

use crate::log::files::{self, Tree, cut};

type Fetch<'a> = Box<dyn FnMut(TileCoordinates) -> io::Result<Vec<u8>> + 'a>;

/// A bundle that fits.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<Vec<u8>>,
    /// Authentic tiles say that these are its entries.
    pub(super) authentic: bool,
    /// It does not lie at its place, or something else lies there too.
    pub(super) damaged: bool,
}

/// A tree and perhaps a copy of it, with the hash tiles that may still vouch for bundles.
pub(super) struct Sources<'a> {
    tree: Tree<'a>,
    copy: Option<Tree<'a>>,
    readers: Vec<TileReader<Fetch<'a>>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(tree: Tree<'a>, copy: Option<Tree<'a>>) -> Self {
        Self { tree, copy, readers: Vec::new() }
    }

    /// Asks the hash tiles of a tree too, whose head is signed.
    pub(super) fn vouch(&mut self, tree: Tree<'a>, head: TreeHead) {
        self.readers.push(TileReader::new(head, Box::new(move |at| tree.tile(at))));
    }

    /// A bundle that is not known to be wrong.
    pub(super) fn bundle(&mut self, at: TileCoordinates) -> Option<Found> {
        let leaves = self.leaves(at);
        let here = self.here(at);
        let damaged_file = here.iter().any(Result::is_err);
        let here: Vec<Vec<u8>> = here.into_iter().filter_map(Result::ok).flatten().collect();
        let fitting = |bytes: &Vec<u8>| fits(bytes, at, leaves.as_deref());
        let chosen = here.iter().find_map(|bytes| Some((bytes.clone(), fitting(bytes)?)));
        let elsewhere = || {
            let wider = self.tree.tile(at).ok();
            let copied = self.copy.and_then(|copy| copy.tile(at).ok());
            wider.into_iter().chain(copied).find_map(|bytes| fitting(&bytes).map(|entries| (bytes, entries)))
        };
        let (bytes, entries) = chosen.or_else(elsewhere)?;
        let damaged = damaged_file || here.is_empty() || here.iter().any(|other| *other != bytes);
        Some(Found { bytes, entries, authentic: leaves.is_some(), damaged })
    }

    /// What lies at the bundle's place: its file, the full one's beginning, and the pack's.
    fn here(&self, at: TileCoordinates) -> Vec<io::Result<Option<Vec<u8>>>> {
        let whole = || {
            let full = files::full(at).map_err(io::Error::other)?;
            self.tree.exact(full)?.map(|bytes| cut(bytes, FULL_WIDTH, at)).transpose()
        };
        let mut here = vec![self.tree.exact(at)];
        if at.is_partial() {
            here.push(whole());
        }
        here.push(self.tree.packed(at));
        here
    }

    /// The leaf hashes of a bundle, if tiles have them that lead to a signed root.
    fn leaves(&mut self, at: TileCoordinates) -> Option<Vec<Hash>> {
        let first = at.index().checked_mul(u64::from(FULL_WIDTH))?;
        let end = first.checked_add(u64::from(at.width()))?;
        let mut found = None;
        self.readers.retain_mut(|reader| {
            if found.is_some() || end > reader.head().size {
                return true;
            }
            match (first..end).map(|leaf| reader.leaf(leaf)).collect() {
                Ok(leaves) => {
                    found = Some(leaves);
                    true
                }
                // Without its edge a tree vouches for nothing, and reading it again costs much.
                Err(ReadError::Root { .. }) => false,
                Err(_) => true,
            }
        });
        found
    }
}

/// The entries of a bundle, if nothing says that they are not its entries.
fn fits(bytes: &[u8], at: TileCoordinates, leaves: Option<&[Hash]>) -> Option<Vec<Vec<u8>>> {
    let entries = split_bundle(bytes, at.width()).ok()?;
    let first = at.index().checked_mul(u64::from(FULL_WIDTH))?;
    let placed = |(index, leaf): (u64, &&[u8])| Entry::decode(leaf).map_or(true, |e| e.sequence == index);
    let hashed = leaves.is_none_or(|all| entries.iter().map(|e| leaf_hash(e)).eq(all.iter().copied()));
    let fits = hashed && (first..).zip(&entries).all(placed);
    fits.then(|| entries.into_iter().map(<[u8]>::to_vec).collect())
}
