//! The Merkle tree, built again from the entries, one tile per level in memory.

use crate::{
    hash::{Frontier, Hash, root_of},
    report::{Report, Rule},
    tile::{Level, TILE_WIDTH, Tile},
    tree::{Inventory, ReadError, Tree},
};

/// Bytes of a full hash tile.
pub(crate) const TILE_BYTES_MAX: u64 = 32 * TILE_WIDTH;

/// Hashes that are not yet a full tile, per level, and how many tiles are full.
pub(crate) struct Levels<'t> {
    tree: &'t Tree,
    inventory: &'t Inventory,
    frontier: Frontier,
    upper: Vec<UpperLevel>,
    buffer: Vec<u8>,
    /// A bundle could not be read and its tile neither: the root is unknown.
    broken: bool,
}

#[derive(Default)]
struct UpperLevel {
    full: u64,
    hashes: Vec<Hash>,
}

impl<'t> Levels<'t> {
    pub(crate) fn new(tree: &'t Tree, inventory: &'t Inventory) -> Self {
        let (frontier, upper, buffer) = (Frontier::default(), Vec::new(), Vec::new());
        Self { tree, inventory, frontier, upper, buffer, broken: false }
    }

    /// Adds the leaf hashes of bundle `index`, and compares the tiles that they complete.
    pub(crate) fn leaves(&mut self, index: u64, hashes: &[Hash], report: &mut Report) {
        self.compare(0, index, hashes, report);
        self.grow(hashes, report);
    }

    /// Stands in for a bundle that cannot be read, with the hashes that its tile claims.
    ///
    /// The signed root still tells whether they are the true ones, so that one bad bundle does not hide
    /// what else is wrong.
    pub(crate) fn claimed(&mut self, tile: &Tile, report: &mut Report) {
        let tile = Tile { level: Level::Hashes(0), ..*tile };
        if !self.load(&tile, report) {
            self.broken = true;
            return;
        }
        let (hashes, _) = self.buffer.as_chunks::<32>();
        let hashes = hashes.to_vec();
        self.grow(&hashes, report);
    }

    /// Marks leaves as lost: nothing is known of them.
    pub(crate) fn lost(&mut self) {
        self.broken = true;
    }

    /// Compares the partial tiles of the upper levels and returns the root, if it can be known.
    pub(crate) fn finish(mut self, report: &mut Report) -> Option<Hash> {
        for (level, upper) in (1..).zip(std::mem::take(&mut self.upper)) {
            if !upper.hashes.is_empty() && !self.broken {
                self.compare(level, upper.full, &upper.hashes, report);
            }
        }
        (!self.broken).then(|| self.frontier.root())
    }

    fn grow(&mut self, hashes: &[Hash], report: &mut Report) {
        if self.broken {
            return;
        }
        if hashes.len() as u64 == TILE_WIDTH {
            let root = root_of(hashes);
            self.frontier.push(8, root);
            self.carry(root, report);
        } else {
            hashes.iter().for_each(|hash| self.frontier.push(0, *hash));
        }
    }

    /// Hands the root of a full tile up, through as many levels as it fills.
    fn carry(&mut self, mut root: Hash, report: &mut Report) {
        for level in 1_u8..=63 {
            let place = usize::from(level - 1);
            if self.upper.len() <= place {
                self.upper.push(UpperLevel::default());
            }
            let Some(upper) = self.upper.get_mut(place) else { return };
            upper.hashes.push(root);
            if (upper.hashes.len() as u64) < TILE_WIDTH {
                return;
            }
            let (index, hashes) = (upper.full, std::mem::take(&mut upper.hashes));
            upper.full += 1;
            self.compare(level, index, &hashes, report);
            root = root_of(&hashes);
        }
    }

    /// Compares a tile file, and older partial files of it, with the hashes it must hold.
    fn compare(&mut self, level: u8, index: u64, hashes: &[Hash], report: &mut Report) {
        let level = Level::Hashes(level);
        let needed = Tile { level, index, width: hashes.len() as u64 };
        let older =
            self.inventory.older(level, index).iter().map(|width| Tile { level, index, width: *width });
        for tile in std::iter::once(needed).chain(older) {
            if self.load(&tile, report) {
                let (found, _) = self.buffer.as_chunks::<32>();
                if let Some(place) = found.iter().zip(hashes).position(|(found, right)| found != right) {
                    let text = format!("hash {place} is not that of the entries");
                    report.file(Rule::Tile, tile.to_string(), text);
                }
            }
        }
    }

    /// Reads a tile of the right length into the buffer.
    fn load(&mut self, tile: &Tile, report: &mut Report) -> bool {
        let path = tile.to_string();
        if let Err(error) = self.tree.read(&path, TILE_BYTES_MAX, &mut self.buffer) {
            report_unread(&path, &error, report);
            return false;
        }
        report.tiles += 1;
        let expected = tile.width * 32;
        if self.buffer.len() as u64 != expected {
            let text = format!("it has {} bytes and must have {expected}", self.buffer.len());
            report.file(Rule::Shape, path, text);
            return false;
        }
        true
    }
}

/// Reports a file that could not be read.
pub(crate) fn report_unread(path: &str, error: &ReadError, report: &mut Report) {
    match error {
        ReadError::Missing => report.file(Rule::Missing, path, "it is missing"),
        ReadError::TooLong => report.file(Rule::Shape, path, "it is longer than it may be"),
        ReadError::Unreadable(error) => report.file(Rule::Shape, path, format!("it cannot be read: {error}")),
    }
}
