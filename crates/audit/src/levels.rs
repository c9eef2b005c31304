//! The Merkle tree, built again from the entries, one tile per level in memory.

use std::{collections::BTreeSet, io};

use crate::{
    claims::ClaimReader,
    hash::{Frontier, Hash, root_of},
    report::{Report, Rule},
    tile::{Level, TILE_WIDTH, Tile},
    tree::{Pack, ReadError, Tree},
};

/// Bytes of a full hash tile.
pub(crate) const TILE_BYTES_MAX: u64 = 32 * TILE_WIDTH;

/// Contradictions with claims that are kept; more are counted by nobody, as one is enough.
const WRONG_MAX: usize = 1000;

/// Hashes that are not yet a full tile, per level, and how many tiles are full.
pub(crate) struct Levels<'t> {
    tree: &'t Tree,
    packs: &'t BTreeSet<Pack>,
    frontier: Frontier,
    count: u64,
    upper: Vec<UpperLevel>,
    buffer: Vec<u8>,
    twin: Vec<u8>,
    /// A bundle could not be read and its tile neither: the root is unknown.
    broken: bool,
    claims: Option<ClaimReader>,
    wrong: Vec<Wrong>,
}

#[derive(Default)]
struct UpperLevel {
    full: u64,
    hashes: Vec<Hash>,
}

/// A claim about this log that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where the claim stands.
    pub(crate) place: u64,
    pub(crate) size: u64,
    /// The log is shorter; else it has another root at that size.
    pub(crate) beyond: bool,
}

impl<'t> Levels<'t> {
    pub(crate) fn new(tree: &'t Tree, packs: &'t BTreeSet<Pack>, claims: Option<ClaimReader>) -> Self {
        Self {
            tree,
            packs,
            frontier: Frontier::default(),
            count: 0,
            upper: Vec::new(),
            buffer: Vec::new(),
            twin: Vec::new(),
            broken: false,
            claims,
            wrong: Vec::new(),
        }
    }

    /// Adds the leaf hashes of bundle `index`, and compares the tiles that they complete. `root` is that of
    /// a full bundle.
    pub(crate) fn leaves(
        &mut self,
        index: u64,
        hashes: &[Hash],
        root: Option<Hash>,
        report: &mut Report,
    ) -> io::Result<()> {
        self.compare(0, index, hashes, report);
        self.grow(hashes, root, report)
    }

    /// Stands in for a bundle that cannot be read, with the hashes that its tile claims.
    ///
    /// The signed root still tells whether they are the true ones, so that one bad bundle does not hide
    /// what else is wrong.
    pub(crate) fn claimed(&mut self, tile: &Tile, report: &mut Report) -> io::Result<()> {
        let tile = Tile { level: Level::Hashes(0), ..*tile };
        if !self.load(&tile, report) {
            self.broken = true;
            return Ok(());
        }
        let (hashes, _) = self.buffer.as_chunks::<32>();
        let hashes = hashes.to_vec();
        self.grow(&hashes, None, report)
    }

    /// Marks leaves as lost: nothing is known of them.
    pub(crate) fn lost(&mut self) {
        self.broken = true;
    }

    /// Compares the partial tiles of the upper levels and returns the root, if it can be known, and the
    /// claims that do not hold.
    pub(crate) fn finish(mut self, report: &mut Report) -> io::Result<(Option<Hash>, Vec<Wrong>)> {
        for (level, upper) in (1..).zip(std::mem::take(&mut self.upper)) {
            if !upper.hashes.is_empty() && !self.broken {
                self.compare(level, upper.full, &upper.hashes, report);
            }
        }
        self.check_claims(&[])?;
        if let Some(claim) = self.claims.as_mut().map(ClaimReader::peek).transpose()?.flatten() {
            self.wrong.push(Wrong { place: claim.place, size: claim.size, beyond: true });
        }
        Ok(((!self.broken).then(|| self.frontier.root()), self.wrong))
    }

    fn grow(&mut self, hashes: &[Hash], root: Option<Hash>, report: &mut Report) -> io::Result<()> {
        if self.broken {
            return Ok(());
        }
        self.check_claims(hashes)?;
        self.count += hashes.len() as u64;
        if hashes.len() as u64 == TILE_WIDTH {
            let root = root.unwrap_or_else(|| root_of(hashes));
            self.frontier.push(8, root);
            self.carry(root, report);
        } else {
            hashes.iter().for_each(|hash| self.frontier.push(0, *hash));
        }
        Ok(())
    }

    /// Compares the claims about sizes from here to the end of `hashes`, which are not yet counted.
    fn check_claims(&mut self, hashes: &[Hash]) -> io::Result<()> {
        let Some(claims) = &mut self.claims else { return Ok(()) };
        let mut leaves = hashes.iter();
        let (mut frontier, mut count) = (None, self.count);
        while let Some(claim) = claims.next_up_to(self.count + hashes.len() as u64)? {
            let frontier = frontier.get_or_insert_with(|| self.frontier.clone());
            while let Some(hash) = (count < claim.size).then(|| leaves.next()).flatten() {
                frontier.push(0, *hash);
                count += 1;
            }
            let right = count == claim.size && frontier.root() == claim.root;
            if !right && self.wrong.len() < WRONG_MAX {
                self.wrong.push(Wrong { place: claim.place, size: claim.size, beyond: false });
            }
        }
        Ok(())
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
        let older = self.tree.older(&needed);
        for tile in std::iter::once(needed).chain(older.iter().map(|width| Tile { width: *width, ..needed }))
        {
            if self.load(&tile, report) {
                let (found, _) = self.buffer.as_chunks::<32>();
                if let Some(place) = found.iter().zip(hashes).position(|(found, right)| found != right) {
                    let text = format!("hash {place} is not that of the entries");
                    report.file(Rule::Tile, tile.to_string(), text);
                }
                if twin_differs(self.tree, self.packs, &tile, &self.buffer, &mut self.twin) {
                    report.file(Rule::Shape, tile.to_string(), "its file and its pack differ");
                }
            }
        }
    }

    /// Reads a tile of the right length into the buffer.
    fn load(&mut self, tile: &Tile, report: &mut Report) -> bool {
        let path = tile.to_string();
        if let Err(error) = self.tree.read_tile(tile, TILE_BYTES_MAX, &mut self.buffer) {
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

/// Whether a tile lies in a file and in a pack too, and they are not the same.
pub(crate) fn twin_differs(
    tree: &Tree,
    packs: &BTreeSet<Pack>,
    tile: &Tile,
    bytes: &[u8],
    twin: &mut Vec<u8>,
) -> bool {
    let packed = Pack::of(tile).is_some_and(|pack| packs.contains(&pack));
    // If there is no such file, the bytes come from the pack.
    packed
        && tree.path(&tile.to_string()).exists()
        && (tree.read_packed(tile, u64::MAX, twin).is_err() || twin != bytes)
}

/// Reports a file that could not be read.
pub(crate) fn report_unread(path: &str, error: &ReadError, report: &mut Report) {
    match error {
        ReadError::Missing => report.file(Rule::Missing, path, "it is missing"),
        ReadError::TooLong => report.file(Rule::Shape, path, "it is longer than it may be"),
        ReadError::Unreadable(error) => report.file(Rule::Shape, path, format!("it cannot be read: {error}")),
    }
}
