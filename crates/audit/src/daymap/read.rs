//! The entries of a range of one log, as the day map sees them.

use std::{
    fs::File,
    io::{BufReader, Read},
    ops::ControlFlow,
};

use super::Problem;
use crate::{
    bundle::{BUNDLE_BYTES_MAX, split},
    hash::{Frontier, Hash, leaf_hash, sha256},
    header::{Header, Subjects, Tag},
    nodes::read_tile,
    tile::{Level, TILE_WIDTH, Tile},
    tree::{Tree, hex_of},
};

/// One log whose entries are read.
pub(super) struct Log<'a> {
    pub(super) tree: Tree,
    pub(super) origin: &'a str,
    gateway: [u8; 8],
}

impl<'a> Log<'a> {
    pub(super) fn new(tree: Tree, origin: &'a str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = sha256(origin.as_bytes());
        Self { tree, origin, gateway: [a, b, c, d, e, f, g, h] }
    }

    /// The log's own 8 bytes in every pair.
    pub(super) fn gateway(&self) -> u64 {
        u64::from_be_bytes(self.gateway)
    }

    /// Shows the headers of the entries `from` ≤ index < `to`, ascending, until `visit` has enough.
    pub(super) fn each(
        &self,
        from: u64,
        to: u64,
        mut visit: impl FnMut(Header, &[u8]) -> Result<ControlFlow<()>, Problem>,
    ) -> Result<(), Problem> {
        let mut buffer = Vec::new();
        let mut next = from;
        while next < to {
            let bundle = next / TILE_WIDTH;
            let first = bundle * TILE_WIDTH;
            let end = first.saturating_add(TILE_WIDTH).min(to);
            let tile = Tile { level: Level::Entries, index: bundle, width: end - first };
            let width = read_tile(&self.tree, &tile, BUNDLE_BYTES_MAX, &mut buffer)?;
            let entries = split(&buffer, width).map_err(|what| self.refused(first, what))?;
            for (index, entry) in (first..end).zip(entries).skip_while(|(index, _)| *index < next) {
                let header = self.header(index, entry)?;
                if visit(header, entry)?.is_break() {
                    return Ok(());
                }
            }
            next = end;
        }
        Ok(())
    }

    /// The header of an entry that stands where it says.
    pub(super) fn header(&self, index: u64, entry: &[u8]) -> Result<Header, Problem> {
        let (header, _) = Header::parse(entry).map_err(|error| self.refused(index, error.to_string()))?;
        if header.gateway != self.gateway || header.sequence != index {
            return Err(self.refused(index, "it is of another log or stands elsewhere".into()));
        }
        Ok(header)
    }

    /// Shows the tags of an entry.
    pub(super) fn tags(
        &self,
        header: &Header,
        mut visit: impl FnMut(Tag) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        match &header.subjects {
            Subjects::None | Subjects::Everyone => Ok(()),
            Subjects::Inline(tags) => tags.iter().try_for_each(|tag| visit(*tag)),
            Subjects::List(root) => self.list(header, root, &mut visit),
        }
    }

    fn list(
        &self,
        header: &Header,
        root: &Hash,
        visit: &mut dyn FnMut(Tag) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let refused = |what: &str| self.refused(header.sequence, format!("its tag list {what}"));
        let path = self.tree.path(&format!("tags/{}", hex_of(root)));
        let file = File::open(path).map_err(|_| refused("is missing or cannot be opened"))?;
        let mut list = BufReader::with_capacity(1 << 16, file);
        let (mut frontier, mut scratch) = (Frontier::default(), Vec::new());
        let mut last: Option<Tag> = None;
        for _ in 0..header.count {
            let mut tag: Tag = [0; 16];
            list.read_exact(&mut tag).map_err(|_| refused("is shorter than its header says"))?;
            if last.is_some_and(|last| last >= tag) {
                return Err(refused("is not ascending and distinct"));
            }
            last = Some(tag);
            frontier.push(0, leaf_hash(&tag, &mut scratch));
            visit(tag)?;
        }
        if list.read(&mut [0]).map_err(|_| refused("cannot be read"))? > 0 {
            return Err(refused("is longer than its header says"));
        }
        if frontier.root() == *root { Ok(()) } else { Err(refused("does not hash to its root")) }
    }

    pub(super) fn refused(&self, index: u64, what: String) -> Problem {
        Problem::Entry { origin: self.origin.to_owned(), index, what }
    }
}
